"""`iq doctor`: what iq finds on this machine."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

from iqcli import __version__
from iqcli.commands.options import CacheDir
from iqcli.commands.screen import warn
from iqcli.errors import Exit, IqError
from iqcli.outputs.names import shown
from iqcli.settings import Settings, load, user_config

PACKAGES = (
    "torch",
    "opencv-contrib-python",
    "pillow",
    "pillow-heif",
    "rawpy",
    "diskcache",
    "typer",
)


def doctor(cache_dir: CacheDir = None) -> Exit:
    """Say what iq finds on this machine.

    Versions, accelerator, decoders, model files, cache and journal folders.
    """
    from iqcli.outputs import table

    settings, config = load({"cache_dir": cache_dir}, Path()), user_config()
    checks = [
        ("iq", __version__),
        ("python", f"{platform.python_version()} on {platform.platform(terse=True)}"),
        *((name, version(name)) for name in PACKAGES),
        ("accelerator", _accelerator()),
        *_decoders(),
        *_models(),
        ("settings", f"{shown(config)}{'' if config.is_file() else ' (none yet)'}"),
        ("cache", _cache(settings)),
        ("journals", shown(settings.state_dir)),
        ("decode workers", str(settings.workers)),
    ]
    table.show(table.plain_table(("what", "found"), checks))
    return Exit.SOME_FAILED if any(found.startswith("BROKEN") for _, found in checks) else Exit.DONE


def _accelerator() -> str:
    from iqcli.devices import choose_device

    device = choose_device("auto")
    if device != "cuda":
        return device
    import torch

    return f"cuda: {torch.cuda.get_device_name()}"


def _decoders() -> list[tuple[str, str]]:
    import pillow_heif  # noqa: F401  its import tells whether its libraries load
    import rawpy
    from PIL import features

    avif = "yes" if features.check("avif") else "BROKEN: this Pillow has no AVIF"
    raw = ".".join(str(part) for part in rawpy.libraw_version)
    return [("HEIC", "yes"), ("AVIF", avif), ("RAW", f"yes, LibRaw {raw}")]


def _models() -> list[tuple[str, str]]:
    from iqcli.features.mini import MiniBlock
    from iqcli.models import shelf
    from iqcli.models.registry import ENTRIES, load

    found = []
    for entry in ENTRIES.values():
        if entry.needs and not entry.is_ready:
            found.append((entry.name, shelf.model(entry).state))
            continue
        try:
            for block in load(entry.name).blocks:
                if isinstance(block, MiniBlock):
                    block.check()
            found.append((entry.name, "ready"))
        except IqError as error:
            found.append((entry.name, f"BROKEN: {error}"))
    return found


def _cache(settings: Settings) -> str:
    from iqcli.cache import Cache

    info = Cache(settings.cache_dir, warn).info()
    assert info is not None
    if info.on_network:
        warn(f"the cache lies on a network disk ({info.filesystem}); move it with IQ_CACHE_DIR")
    kind = f" on {info.filesystem}" if info.filesystem else ""
    return f"{shown(info.folder)}{kind}: {info.entries:,} entries, {info.bytes / 1e6:,.1f} MB"
