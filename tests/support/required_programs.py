"""Programs beside iq that some tests need: a mark each, and what to install for it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

# Set where every program has to be there: a test without its program fails.
REQUIRED = "IQ_REQUIRE_PROGRAMS"


class Program(NamedTuple):
    """The names it goes by, and the Debian package that brings it."""

    names: tuple[str, ...]
    package: str


# By mark: a test marked so is skipped where none of the names is found.
PROGRAMS = {
    "browser": Program(("chromium", "chromium-browser", "google-chrome"), "chromium"),
    "exiftool": Program(("exiftool",), "libimage-exiftool-perl"),
    "java": Program(("java",), "default-jre-headless"),
    "fzf": Program(("fzf",), "fzf"),
    "jq": Program(("jq",), "jq"),
    "rsync": Program(("rsync",), "rsync"),
}


def found(mark: str) -> str | None:
    """Where the program of a mark lies."""
    return next((path for name in PROGRAMS[mark].names if (path := shutil.which(name))), None)


def register(config: pytest.Config) -> None:
    """Make the marks known."""
    for mark, program in PROGRAMS.items():
        config.addinivalue_line("markers", f"{mark}: needs it: apt install {program.package}")


def require(item: pytest.Item) -> None:
    """Skip a test whose program is not here, or fail it where every program has to be."""
    for mark in PROGRAMS:
        if item.get_closest_marker(mark) and not found(mark):
            if os.environ.get(REQUIRED):
                pytest.fail(f"{_lack(mark)} ({REQUIRED} is set)", pytrace=False)
            pytest.skip(_lack(mark))


def tell(reporter: TerminalReporter) -> None:
    """Say how many tests each missing program has cost."""
    reasons = [str(each.longrepr) for each in reporter.stats.get("skipped", ())]
    for mark, program in PROGRAMS.items():
        if number := sum(_lack(mark) in reason for reason in reasons):
            tests = f"{number} {mark} test{'s' * (number != 1)}"
            reporter.write_line(f"{tests} skipped: apt install {program.package}")


def _lack(mark: str) -> str:
    return f"no {mark} here: apt install {PROGRAMS[mark].package}"
