"""The walls between the rooms, read from the imports; and what a process really loads."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import iqcli

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shell import Iq

TOP = Path(iqcli.__file__).parent
FILES = sorted(TOP.rglob("*.py"))
HEAVY = {"torch", "cv2", "PIL", "numpy", "scipy", "diskcache", "rich", "safetensors", "pyarrow"}
HEAVY |= {"jinja2", "matplotlib"}
# The rooms a room may use, its own aside; ground-floor modules stand for themselves.
GROUND = {"errors", "records", "text"}
DISK = GROUND | {"contents", "files", "durable", "libc", "links", "locks"}
ROOMS = {
    "errors": set(),
    "records": set(),
    "text": set(),
    "libc": set(),
    "durable": {"libc"},
    "locks": set(),
    "contents": {"durable"},
    "files": {"contents", "durable", "libc", "text"},
    "links": {"files"},
    "workshops": DISK,
    "photos": DISK,
    "values": {"errors", "text"},
    "settings": GROUND | {"values"},
    "catalogue": DISK,
    "weights": DISK | {"catalogue", "settings"},
    "web": GROUND | {"catalogue", "settings"},
    "fetching": DISK | {"catalogue", "web"},
    "pulling": DISK | {"catalogue", "fetching", "settings", "weights", "web"},
    "features": DISK | {"photos", "weights"},
    "arrivals": DISK | {"photos"},
    "plaindisk": GROUND,
    "outputs": GROUND,
    "culling": DISK | {"photos", "settings", "values"},
    "models": DISK | {"catalogue", "features", "settings", "weights"},
    "evaluation": set(),
    "comparing": {"evaluation"},
    "hub": GROUND | {"models"},
    "calibration": {"evaluation"},
    "labelled": GROUND | {"models", "opinions", "outputs"},
    "hexeval": {"evaluation", "models"},
    "phase": set(),
    "fullref": {"phase", "records"},
    "measuring": {"devices", "errors", "features", "records"},
    "pipeline": None,
}
MOVING = {"rename", "renames", "unlink", "rmdir", "removedirs", "hardlink_to", "symlink_to"}
MOVERS = {"contents.py", "files.py", "libc.py", "links.py", "durable.py"}


def name_of(path: Path) -> str:
    """The file, counted from the package."""
    return path.relative_to(TOP).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside functions and for types alone."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)} imports by dots"
            yield from (f"{node.module}.{each.name}" for each in node.names)


def ours(path: Path) -> set[str]:
    """The rooms and top-level modules of ours that a file imports."""
    return {parts[1] for parts in (n.split(".") for n in imports(path)) if parts[0] == "iqcli"}


def users_of(*packages: str) -> set[str]:
    """The files that import any of these."""
    return {
        name_of(path) for path in FILES if {n.split(".")[0] for n in imports(path)} & {*packages}
    }


def test_typer_stays_at_the_door() -> None:
    assert all(
        name == "cli.py" or name.startswith("commands/") for name in users_of("typer", "click")
    )


def test_one_module_knows_diskcache() -> None:
    assert users_of("diskcache", "sqlite3") == {"plaindisk.py"}


def test_nothing_unpickles() -> None:
    assert users_of("pickle", "shelve", "marshal", "dill", "joblib") == set()


def test_one_module_reaches_out() -> None:
    # The catalogue only reads addresses.
    web = ("urllib", "http", "socket", "ssl", "requests", "httpx")
    assert users_of(*web) == {"catalogue.py", "fetching.py", "web.py"}


def test_rich_draws_for_people_only() -> None:
    assert users_of("rich") == {"outputs/table.py", "outputs/preview.py", "commands/screen.py"}
    assert users_of("textual") == {"outputs/review.py", "outputs/captions.py"}
    assert users_of("textual_image") == {"outputs/preview.py", "outputs/review.py"}


def test_one_module_fills_templates() -> None:
    assert users_of("jinja2", "markupsafe") == {"outputs/sheet.py"}


def test_one_module_draws_figures() -> None:
    assert users_of("matplotlib") == {"outputs/plots.py"}
    pyplots = [name_of(path) for path in FILES if any("pyplot" in each for each in imports(path))]
    assert pyplots == []


def moves(path: Path) -> Iterator[str]:
    """What a file calls to rename or remove files."""
    for node in ast.walk(parsed(path)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        attribute, owner = node.func.attr, node.func.value
        of_os = isinstance(owner, ast.Name) and owner.id in ("os", "shutil")
        # `str.replace` takes two arguments, `Path.replace` one.
        replaces = attribute == "replace" and len(node.args) == 1 and not node.keywords
        removes = of_os and attribute in ("remove", "replace", "link", "symlink", "truncate")
        shifts = getattr(owner, "id", "") == "shutil" and attribute != "which"
        if attribute in MOVING or replaces or removes or shifts:
            yield f"{name_of(path)}:{node.lineno} {attribute}"


def test_one_module_moves_and_removes() -> None:
    assert [call for path in FILES if name_of(path) not in MOVERS for call in moves(path)] == []
    assert users_of("tempfile", "send2trash") == {"files.py"}
    assert users_of("shutil") == {"contents.py", "exiftool.py"}
    assert any(moves(TOP / "files.py"))


def test_only_files_writes() -> None:
    writing = {"write_bytes", "write_text", "touch", "savez", "save_file"}
    calls = [
        f"{name_of(path)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in writing
    ]
    assert calls == []


@pytest.mark.parametrize("room", [room for room, below in ROOMS.items() if below is not None])
def test_a_room_uses_only_what_lies_below(room: str) -> None:
    below = ROOMS[room]
    assert below is not None
    inside = [path for path in FILES if name_of(path).split("/")[0] in (room, f"{room}.py")]
    assert inside
    above = {name_of(path): ours(path) - below - {room} for path in inside}
    assert {name: found for name, found in above.items() if found} == {}


def test_the_pipeline_knows_no_model() -> None:
    rooms = ("pipeline", "jobs", "decoding", "reading", "devices", "cache", "store")
    for name in (f"{room}.py" for room in rooms):
        assert not ours(TOP / name) & {"models", "culling", "outputs", "commands", "training"}


def test_nobody_climbs_to_the_commands() -> None:
    climbers = [
        name_of(path)
        for path in FILES
        if ours(path) & {"cli", "commands"} and not name_of(path).startswith("commands/")
    ]
    assert climbers == ["__main__.py", "cli.py"]


def test_only_commands_and_studies_teach() -> None:
    """A person who scores photos loads no training."""
    users = {name_of(path) for path in FILES if "training" in ours(path)}
    rooms = {name.split("/")[0] for name in users}
    assert rooms <= {"training", "commands", "laddering.py"}


def test_the_measuring_of_pictures_knows_no_file() -> None:
    for name in ("features/mini.py", "features/backbone.py", "features/pieces.py", "measuring.py"):
        assert not ours(TOP / name) & {"photos", "files", "cache", "store", "pipeline", "models"}


def test_rooms_without_torch() -> None:
    rooms = ("culling", "outputs", "photos", "models")
    assert not [name for name in users_of("torch", "open_clip") if name.split("/")[0] in rooms]


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("score", "--help"),
        ("explain", "-h"),
        ("undo", "--help"),
        ("undo",),
        ("cull", "x", "-h"),
    ],
)
def test_help_and_undo_are_light(iq: Iq, words: tuple[str, ...]) -> None:
    _, _, loaded = iq.spied(*words)
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("option", ["--format", "--model", "--device", "--sort"])
def test_a_tab_is_light(iq: Iq, option: str) -> None:
    words = {"COMP_WORDS": f"iq score {option} ", "COMP_CWORD": "3"}
    ran, _, loaded = iq.spied(_IQ_COMPLETE="complete_bash", **words)
    assert len(ran.out.splitlines()) > 1
    assert loaded & HEAVY <= {"numpy"} if option == "--model" else not loaded & HEAVY


def test_a_model_without_a_network_needs_no_torch(iq: Iq, roll: Path) -> None:
    for device in ("auto", "cpu"):
        words = ("score", "photos", "--model", "brisque-refit", "--device", device, "--no-cache")
        ran, opened, loaded = iq.spied(*words)
        assert ran.code == 0
        assert sum(name.endswith(".jpg") for name in opened) == 6
        assert "torch" not in loaded


@pytest.mark.parametrize("command", [("rank",), ("score", "-f", "csv"), ("cull", "--worst", "0%")])
def test_a_second_run_opens_no_photo(iq: Iq, roll: Path, command: tuple[str, ...]) -> None:
    """Also of photos that were copied here a moment ago."""
    for name in ("IMG_1.jpg.xmp", "unknown", "IMG_1.MOV"):
        (roll / name).write_bytes(b"x")
    (roll / "IMG_2.jpg.supplemental-metadata.json").write_text('{"favorited": true}')
    assert iq("score", "photos").code == 0
    ran, opened, loaded = iq.spied(*command, "photos")
    assert ran.code == 0
    assert [name for name in opened if str(roll) in str(Path(iq.cwd, name))] == []
    assert loaded & {"torch", "cv2", "PIL", "scipy", "pillow_heif", "rawpy", "exifread"} == set()
