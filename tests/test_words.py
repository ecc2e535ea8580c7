"""The words and the size of the house: names that can be looked up, and rooms that stay small."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path

import iqcli

TOP = Path(iqcli.__file__).parent
FILES = sorted(TOP.rglob("*.py"))
# Each of these once stood for something that has a word of its own in its field.
FORBIDDEN = {"told", "said", "spoilt", "deed", "wish", "pupil", "rung", "shelf", "coat", "trip"}
FORBIDDEN |= {"deeds", "wishes", "pupils", "rungs", "shelves", "coats", "trips"}
# Names of modules that stand in several packages, by why.
SHARED_MODULES = {
    # What every package with a command, a table or options of its own has.
    *("__init__", "command", "report", "options", "base", "registry", "config", "read"),
    # A command is called like what it shows or does.
    *("cache", "contact_sheet", "explain", "history", "undo", "watch", "xmp"),
    # A method is measured by an extractor, predicted by a model and fitted by a training.
    *("brisque", "maclip", "musiq", "niqe", "qualiclip", "issues", "calibration", "fusion"),
    *("gaussian_process", "taste", "thumbnails"),
    # The steps of the two long trainings.
    *("data", "init", "monitor", "train"),
}


def name_of(path: Path) -> str:
    """The file, counted from the package."""
    return path.relative_to(TOP).as_posix()


def words(text: str) -> list[str]:
    """The words of a text; snake_case and CamelCase names come apart."""
    parts = re.sub(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3 \2\4", text)
    return [each.lower() for each in re.findall(r"[A-Za-z]+", parts)]


def test_the_words_come_apart() -> None:
    text = "strip_trip StripTrip XMPTrip tripod TRIPS"
    assert words(text) == [
        *("strip", "trip", "strip", "trip"),
        *("xmp", "trip", "tripod", "trips"),
    ]


def test_no_word_is_a_riddle() -> None:
    found = [
        f"{name_of(path)}:{number} {word}"
        for path in FILES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        for word in words(line)
        if word in FORBIDDEN
    ]
    assert found == []


def test_no_module_name_stands_twice() -> None:
    places = defaultdict(list)
    for path in FILES:
        places[path.stem].append(name_of(path))
    twice = {name: each for name, each in places.items() if len(each) > 1}
    assert {name: each for name, each in twice.items() if name not in SHARED_MODULES} == {}


def test_no_class_name_stands_twice() -> None:
    places = defaultdict(list)
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name_of(path))
    assert {name: each for name, each in places.items() if len(each) > 1} == {}


def test_rooms_stay_small() -> None:
    sizes = Counter(name_of(path.parent) for path in FILES)
    assert sizes.pop(".") <= 9
    assert {name: size for name, size in sizes.items() if size > 25} == {}
