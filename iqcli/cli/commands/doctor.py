"""`iq doctor`: what iq finds on this machine, and where each setting comes from."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli import __version__
from iqcli.cli.console import warn
from iqcli.cli.options import CacheDir, format_option, start_folder
from iqcli.cli.output import choose
from iqcli.errors import Exit, IqError
from iqcli.settings import NAMES, beside_photos, load_with_origins, user_config
from iqcli.text import display_path, escape, percent

if TYPE_CHECKING:
    from iqcli.settings import Settings

FORMATS = ("table", "json")
# Settings that a person writes with a per cent sign.
SHARES = ("max_reject", "promise")
PACKAGES = (
    "torch",
    "opencv-contrib-python",
    "pillow",
    "pillow-heif",
    "simplejpeg",
    "rawpy",
    "diskcache",
    "typer",
)
# What needs a package that is not always installed: the feature, the package, the extra of iq.
EXTRAS = (
    ("JPEG XL", "pillow-jxl-plugin", "jxl"),
    ("Parquet", "pyarrow", "parquet"),
    ("figures", "matplotlib", "plots"),
    ("trash", "send2trash", "trash"),
    ("review", "textual", "review"),
    ("pictures in review", "textual-image", "review"),
)


def doctor(
    path: Annotated[
        Path, typer.Argument(help="Photos whose settings are shown.", metavar="PATH")
    ] = Path(),
    format: Annotated[str, format_option(FORMATS)] = "table",
    cache_dir: CacheDir = None,
) -> Exit:
    """Show what iq finds on this machine.

    Versions, accelerator, decoders, optional parts, model files, cache and journal folders. Then
    every setting that applies to PATH (by default this folder), and where it was set.
    """
    choose(format, FORMATS)
    if not path.exists():
        raise IqError(f"there is no file or folder {display_path(path)}; check the name")
    start = start_folder([str(path)])
    settings, origins = load_with_origins({"cache_dir": cache_dir}, start)
    checks = [*_machine(), *_extras(), *_models(settings), *_places(settings, start)]
    chosen = [(name, _value(settings, name), origins[name]) for name in NAMES]
    _render(checks, chosen, format)
    return Exit.SOME_FAILED if any(found.startswith("BROKEN") for _, found in checks) else Exit.DONE


def _render(
    checks: list[tuple[str, str]], chosen: list[tuple[str, str | float | None, str]], form: str
) -> None:
    from iqcli.output import table
    from iqcli.output.stdout import write

    if form == "json":
        records = [dict(zip(("setting", "value", "from"), each, strict=True)) for each in chosen]
        write([json.dumps({"found": dict(checks), "settings": records}) + "\n"])
        return
    table.show(table.plain_table(("what", "found"), checks))
    rows = [(name, _shown(name, value), origin) for name, value, origin in chosen]
    write(["\n"])
    table.show(table.plain_table(("setting", "value", "from"), rows))


def _shown(name: str, value: str | float | None) -> str | float:
    """A value as a person would write it."""
    from iqcli.output.table import NONE

    if value is None:
        return NONE
    return percent(value) if name in SHARES and isinstance(value, float) else value


def _value(settings: Settings, name: str) -> str | float | None:
    value = getattr(settings, name)
    if name == "weights_mirror" and value:  # it may contain a password
        from iqcli.weights.download import host

        return host(value)
    if isinstance(value, tuple):
        return ", ".join(map(escape, value)) or None
    return display_path(value) if isinstance(value, Path) else value


def _machine() -> list[tuple[str, str]]:
    from importlib.metadata import version

    return [
        ("iq", __version__),
        ("python", f"{platform.python_version()} on {platform.platform(terse=True)}"),
        *((name, version(name)) for name in PACKAGES),
        ("accelerator", _accelerator()),
        ("networks on the CPU", _runtime()),
        *_decoders(),
    ]


def _places(settings: Settings, start: Path) -> list[tuple[str, str]]:
    config, beside = user_config(), beside_photos(start)
    return [
        ("settings", f"{display_path(config)}{'' if config.is_file() else ' (none yet)'}"),
        ("settings beside photos", display_path(beside) if beside else "none"),
        ("cache", _cache(settings)),
        ("journals", display_path(settings.state_dir)),
        ("moves", _moves()),
        ("models and weights", display_path(settings.data_dir)),
        ("decode workers", str(settings.workers)),
    ]


def _moves() -> str:
    """How safe moves are while another process changes the same folders."""
    from iqcli.fs import anchors, syscalls

    weaker = []
    if not anchors.DESCRIPTORS:
        weaker.append(
            "no folder can be held open, so a link swapped in for one is noticed, not prevented"
        )
    if not syscalls.can_rename_new():
        weaker.append("no rename refuses a name that is taken, so names are claimed before a move")
    if not weaker:
        return "in folders held open, onto free names alone"
    return f"weaker on this system: {'; '.join(weaker)}; let nobody else change folders meanwhile"


def _extras() -> list[tuple[str, str]]:
    """The optional parts, and how to install what is missing."""
    found = [(what, _package(package, extra)) for what, package, extra in EXTRAS]
    return [*found, ("exiftool", _exiftool())]


def _exiftool() -> str:
    from iqcli.xmp.exiftool import find

    try:
        return display_path(Path(find()))
    except IqError:
        return "no: see https://exiftool.org"


def _package(name: str, extra: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"yes, {name} {version(name)}"
    except PackageNotFoundError:
        return f"no: pip install 'iqcli[{extra}]'"


def _accelerator() -> str:
    from iqcli.pipeline.devices import choose_device

    device = choose_device("auto")
    if device != "cuda":
        return device
    import torch

    return f"cuda: {torch.cuda.get_device_name()}"


def _runtime() -> str:
    """What runs the embedded networks where there is no accelerator."""
    from iqcli.runtime import library

    if reason := library.missing():
        return f"torch: {reason}"
    kind = "bfloat16" if library.has_bfloat16() else "float32"
    return f"OpenVINO {library.version()}, {kind}"


def _decoders() -> list[tuple[str, str]]:
    import pillow_heif  # noqa: F401  the import fails where its libraries are missing
    import rawpy
    from PIL import features

    avif = "yes" if features.check("avif") else "BROKEN: this Pillow has no AVIF"
    raw = ".".join(str(part) for part in rawpy.libraw_version)
    return [("HEIC", "yes"), ("AVIF", avif), ("RAW", f"yes, LibRaw {raw}")]


def _models(settings: Settings) -> list[tuple[str, str]]:
    from iqcli.extractors.mini import MiniBlock
    from iqcli.models import status
    from iqcli.models.registry import ENTRIES, Registry

    registry, found = Registry.of(settings), []
    for entry in ENTRIES.values():
        if entry.needs and not registry.is_ready(entry):
            found.append((entry.name, status.model(entry, registry.weights).state))
            continue
        try:
            for block in registry.load(entry.name).blocks:
                if isinstance(block, MiniBlock):
                    block.check()
            found.append((entry.name, "ready"))
        except IqError as error:
            found.append((entry.name, f"BROKEN: {error}"))
    return found


def _cache(settings: Settings) -> str:
    from iqcli.pipeline.cache import Cache

    info = Cache(settings.cache_dir, warn).info()
    assert info is not None
    if info.on_network:
        warn(f"the cache is on a network disk ({info.filesystem}); move it with IQ_CACHE_DIR")
    kind = f" on {info.filesystem}" if info.filesystem else ""
    return (
        f"{display_path(info.folder)}{kind}: {info.entries:,} entries, {info.bytes / 1e6:,.1f} MB"
    )
