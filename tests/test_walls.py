"""The walls between the rooms, read from the imports; and what a process really loads."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from importlinter.cli import lint_imports
from support.cli_runner import SOURCE

import iqcli
from iqcli.pipeline.devices import _may_have_accelerator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.cli_runner import Iq

TOP = Path(iqcli.__file__).parent
FILES = sorted(TOP.rglob("*.py"))
HEAVY = {"torch", "cv2", "PIL", "numpy", "scipy", "diskcache", "rich", "safetensors", "pyarrow"}
HEAVY |= {"jinja2", "matplotlib"}
MOVING = {"rename", "renames", "unlink", "rmdir", "removedirs", "hardlink_to", "symlink_to"}
MOVERS = {"fs/files.py", "fs/syscalls.py", "fs/durable.py"}


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


def users_of(*packages: str) -> set[str]:
    """The files that import any of these."""
    return {
        name_of(path) for path in FILES if {n.split(".")[0] for n in imports(path)} & {*packages}
    }


@pytest.mark.slow
def test_typer_stays_at_the_door() -> None:
    assert all(name.startswith("cli/") for name in users_of("typer", "click"))


def test_one_module_knows_diskcache() -> None:
    assert users_of("diskcache", "sqlite3") == {"pipeline/cache_store.py"}


def test_nothing_unpickles() -> None:
    assert users_of("pickle", "shelve", "marshal", "dill", "joblib") == set()


def test_one_module_reaches_out() -> None:
    # The manifest only reads addresses.
    web = ("urllib", "http", "socket", "ssl", "requests", "httpx")
    assert users_of(*web) == {"weights/manifest.py", "weights/download.py"}


def test_rich_draws_for_people_only() -> None:
    assert users_of("rich") == {
        "output/fit.py",
        "output/table.py",
        "output/terminal_images.py",
        "cli/console.py",
        "cli/commands/history.py",
    }
    assert users_of("textual") == {"output/review_app.py"}
    assert users_of("textual_image") == {"output/terminal_images.py", "output/review_app.py"}


def test_one_module_fills_templates() -> None:
    assert users_of("jinja2", "markupsafe") == {"output/contact_sheet.py"}


def test_one_module_draws_figures() -> None:
    assert users_of("matplotlib") == {"output/plots.py"}
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
    assert users_of("tempfile", "send2trash") == {"fs/files.py"}
    assert users_of("shutil") == {"fs/durable.py", "xmp/exiftool.py"}
    assert any(moves(TOP / "fs/files.py"))


def test_only_files_writes() -> None:
    writing = {"write_bytes", "write_text", "touch", "savez", "save_file"}
    calls = [
        f"{name_of(path)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in writing
    ]
    assert calls == []


def test_a_package_imports_only_packages_below_it() -> None:
    """The contracts of pyproject.toml; imports for types alone and inside functions count."""
    assert lint_imports(config_filename=str(SOURCE / "pyproject.toml"), no_cache=True) == 0


def test_one_module_knows_the_inference_library() -> None:
    """By name: it is loaded without its package, which no module imports."""
    named = {
        name_of(path)
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.split(".")[0] == "openvino"
    }
    assert users_of("openvino", "openvino_telemetry", "onnxruntime") == set()
    assert named == {"runtime/library.py"}


def test_rooms_without_torch() -> None:
    rooms = ("culling", "transactions", "output", "photos", "models", "runtime")
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


@pytest.mark.slow
def test_a_model_without_a_network_needs_no_torch(iq: Iq, roll: Path) -> None:
    for device in ("auto", "cpu"):
        words = ("score", "photos", "--model", "brisque-refit", "--device", device, "--no-cache")
        ran, opened, loaded = iq.spied(*words)
        assert ran.code == 0
        assert sum(name.endswith(".jpg") for name in opened) == 6
        assert "torch" not in loaded


@pytest.mark.slow
@pytest.mark.skipif(_may_have_accelerator(), reason="there may be an accelerator")
def test_a_cold_run_on_a_cpu_loads_no_torch(iq: Iq, roll: Path) -> None:
    for words in (("score", "photos"), ("explain", "photos/IMG_1.jpg", "--no-cache")):
        ran, opened, loaded = iq.spied(*words)
        assert ran.code == 0
        assert any(name.endswith("IMG_1.jpg") for name in opened)
        unwanted = {"torch", "openvino", "openvino_telemetry", "scipy", "urllib.request", "ssl"}
        assert loaded & unwanted == set()


@pytest.mark.slow
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
    assert (
        loaded
        & {
            "openvino._pyopenvino",
            "torch",
            "cv2",
            "PIL",
            "scipy",
            "pillow_heif",
            "rawpy",
            "exifread",
        }
        == set()
    )
