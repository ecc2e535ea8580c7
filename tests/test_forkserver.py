"""A process out of the nursery is to its tests what one begun in earnest is."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.cli_runner import IQ
from support.forkserver import Nursery

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="not used there")


@pytest.mark.parametrize(
    "words",
    [
        ("score", "photos", "--no-cache", "-f", "jsonl"),
        ("score", "-", "--from0", "-f", "csv"),
        ("score", "photos/none.jpg"),
        ("rank", "--limit", "no number"),
        ("--traceback", "models", "info", "nobody"),
        ("--version",),
    ],
    ids=lambda words: words[0],
)
def test_it_says_and_does_the_same(iq: Iq, roll: Path, words: tuple[str, ...]) -> None:
    stdin = b"photos/IMG_1.jpg\0photos/day/IMG_4.jpg\0"
    born = iq(*words, stdin=stdin)
    begun = subprocess.run(
        (*IQ, *words), cwd=iq.cwd, env=iq.environ, input=stdin, capture_output=True
    )
    assert (born.code, born.out) == (begun.returncode, begun.stdout)
    said = begun.stderr.decode()
    # A traceback begins with the lines that lead to iqcli.
    assert born.err.splitlines()[-1:] == said.splitlines()[-1:]
    assert "--traceback" in words or born.err == said


def test_what_acts_before_python_runs_is_begun_in_earnest(iq: Iq) -> None:
    nursery = Nursery()
    first = nursery.run(("--version",), iq.cwd, iq.environ, b"", 60)
    assert first and first.returncode == 0
    other = iq.environ | {"PYTHONIOENCODING": "ascii"}
    assert nursery.run(("--version",), iq.cwd, other, b"", 60) is None


def test_one_that_hangs_is_ended(iq: Iq) -> None:
    nursery = Nursery()
    words = ("score", "--watch", ".", "-f", "csv")
    with pytest.raises(subprocess.TimeoutExpired):
        nursery.run(words, iq.cwd, iq.environ, b"", 2)
    after = nursery.run(("--version",), iq.cwd, iq.environ, b"", 60)
    assert after and after.stdout.startswith(b"iq ")


def test_one_that_died_is_told_and_begun_anew(iq: Iq) -> None:
    nursery = Nursery()
    assert nursery.run(("--version",), iq.cwd, iq.environ, b"", 60)
    assert nursery._parent
    nursery._parent.kill()
    nursery._parent.wait()
    with pytest.raises(RuntimeError, match="the nursery has died"):
        nursery.run(("--version",), iq.cwd, iq.environ, b"", 60)
    after = nursery.run(("--version",), iq.cwd, iq.environ, b"", 60)
    assert after and after.stdout.startswith(b"iq ")
