"""A test whose program is missing is skipped with the way out, counted, and fails where asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.required_programs import PROGRAMS, REQUIRED, found

TESTS = Path(__file__).parent
MARKED = """
import pytest

@pytest.mark.exiftool
@pytest.mark.parametrize("number", [1, 2])
def test_marked(number):
    pass

def test_plain():
    pass
"""


def ran(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Pytest, where no program is found, on two marked tests and a plain one."""
    (folder / "test_marked.py").write_text(MARKED)
    command = (sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--strict-markers")
    plugins = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "conftest")
    env = os.environ | {"PATH": str(folder), "PYTHONPATH": str(TESTS), "PYTEST_ADDOPTS": ""}
    env = {key: value for key, value in env.items() if key != REQUIRED} | environ
    return subprocess.run(
        (*command, *plugins, str(folder)), env=env, capture_output=True, text=True, timeout=60
    )


@pytest.mark.slow
def test_what_is_missing_skips_and_is_counted(tmp_path: Path) -> None:
    done = ran(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 exiftool tests skipped: apt install libimage-exiftool-perl" in done.stdout
    assert "1 passed, 2 skipped" in done.stdout


@pytest.mark.slow
def test_what_is_missing_fails_where_it_has_to_be_there(tmp_path: Path) -> None:
    done = ran(tmp_path, **{REQUIRED: "1"})
    assert done.returncode == 1
    assert "no exiftool here: apt install libimage-exiftool-perl" in done.stdout
    assert "1 passed, 2 errors" in done.stdout


def test_a_program_goes_by_several_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not any(map(found, PROGRAMS))
    (tmp_path / "chromium-browser").write_text("#!/bin/sh\n")
    (tmp_path / "chromium-browser").chmod(0o755)
    assert found("browser") == str(tmp_path / "chromium-browser")
