"""A process of the fork server behaves as one that was started anew."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from support.cli_runner import IQ
from support.forkserver import FORK_SERVER, ForkServer

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="not used there"),
    pytest.mark.slow,
]


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
def test_output_and_exit_code_are_the_same(iq: Iq, roll: Path, words: tuple[str, ...]) -> None:
    stdin = b"photos/IMG_1.jpg\0photos/day/IMG_4.jpg\0"
    forked = iq(*words, stdin=stdin)
    started = subprocess.run(
        (*IQ, *words), cwd=iq.cwd, env=iq.environ, input=stdin, capture_output=True
    )
    assert (forked.code, forked.out) == (started.returncode, started.stdout)
    err = started.stderr.decode()
    # A traceback begins with the lines that lead to iqcli.
    assert forked.err.splitlines()[-1:] == err.splitlines()[-1:]
    assert "--traceback" in words or forked.err == err


def test_variables_that_act_before_python_runs_need_a_new_python(iq: Iq) -> None:
    first = FORK_SERVER.run(("--version",), iq.cwd, iq.environ, b"", 60)
    assert first and first.returncode == 0
    other = iq.environ | {"PYTHONIOENCODING": "ascii"}
    assert FORK_SERVER.run(("--version",), iq.cwd, other, b"", 60) is None


def test_a_process_that_hangs_is_ended(iq: Iq) -> None:
    words = ("score", "--watch", ".", "-f", "csv")
    with pytest.raises(subprocess.TimeoutExpired):
        FORK_SERVER.run(words, iq.cwd, iq.environ, b"", 2)
    after = FORK_SERVER.run(("--version",), iq.cwd, iq.environ, b"", 60)
    assert after and after.stdout.startswith(b"iq ")


def test_a_server_that_died_is_reported_and_started_again(iq: Iq) -> None:
    server = ForkServer()
    assert server.run(("--version",), iq.cwd, iq.environ, b"", 60)
    assert server._parent
    server._parent.kill()
    server._parent.wait()
    with pytest.raises(RuntimeError, match="the fork server has died"):
        server.run(("--version",), iq.cwd, iq.environ, b"", 60)
    after = server.run(("--version",), iq.cwd, iq.environ, b"", 60)
    assert after and after.stdout.startswith(b"iq ")
