"""One frozen object of settings: flag > `IQ_*` > nearest `.iq.toml` > user config > default."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqcli import values
from iqcli.errors import IqError
from iqcli.text import brief

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# One rule in parts: where a source gives any of them, what weaker ones said of the others is void.
RULE = ("below", "worst", "promise", "keep")
# A folder of photos may come from a stranger: what lies in it chooses rules and looks, never
# where we write and never what we load.
BESIDE_PHOTOS = frozenset({"format", "max_reject", "per", "margin", "xmp_profile", *RULE})
# The time that reading takes may grow with the square of the size.
FILE_BYTES = 2**16
DEFAULT = "default"


def _user_dir(kind: str) -> Path:
    import platformdirs  # deferred: 10 ms that `iq --help` does not need

    folders = {
        "cache": platformdirs.user_cache_path,
        "state": platformdirs.user_state_path,
        "data": platformdirs.user_data_path,
    }
    return folders[kind]("iq", appauthor=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """Every knob that outlives one command.

    `batch_size` 0 and `jobs` 0 mean "as the machine allows". `max_megapixels` bounds what is
    decoded; `max_reject` is the largest share (0..1) of shots a plan may reject. `data_dir` holds
    what was learnt from the person and the weights that were pulled; `weights_table` adds to those
    that can be. With a `weights_mirror`, https://HOST/PATH is pulled from MIRROR/HOST/PATH.

    `below` (a score), `worst` and `promise` (shares), `keep` ("3", "20%") and `per` are the rule of
    `cull`, `margin` (points) is its tolerance; `xmp_profile` is the program that sidecars are for.
    """

    cache_dir: Path
    state_dir: Path
    model: str = "fusion-mini"
    device: str = "auto"
    batch_size: int = 0
    jobs: int = 0
    max_megapixels: float = 250.0
    max_reject: float = 0.5
    format: str = "table"
    below: float | None = None
    worst: float | None = None
    promise: float | None = None
    keep: str | None = None
    per: str | None = None
    margin: float = 0.0
    xmp_profile: str = "generic"
    data_dir: Path = field(default_factory=lambda: _user_dir("data"))
    weights_table: Path | None = None
    weights_mirror: str | None = None

    @property
    def workers(self) -> int:
        """Decode workers: one a core, at most 16 (memory is the limit beyond that)."""
        if self.jobs:
            return self.jobs
        usable = getattr(os, "sched_getaffinity", None)
        return min(len(usable(0)) if usable else os.cpu_count() or 1, 16)


NAMES = tuple(item.name for item in fields(Settings))


def load(
    flags: Mapping[str, Any], start: Path | None, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Join the five sources, the stronger over the weaker; see `load_with_origins`."""
    return load_with_origins(flags, start, environ)[0]


def load_with_origins(
    flags: Mapping[str, Any], start: Path | None, environ: Mapping[str, str] = os.environ
) -> tuple[Settings, dict[str, str]]:
    """The settings, and where each value comes from: a file, a variable, an option or `DEFAULT`.

    `flags` holds what the command line gave (None is "not given"); `start` is the folder whose
    nearest `.iq.toml`, upward, applies, None where no photo is looked at. Raises IqError for a
    file or value that cannot be used.
    """
    folders: dict[str, Any] = {"cache_dir": _user_dir("cache"), "state_dir": _user_dir("state")}
    found: dict[str, tuple[str, Any]] = {}
    for given in _sources(flags, start, environ):
        if any(name in given for name in RULE):
            found = {name: pair for name, pair in found.items() if name not in RULE}
        found |= given
    chosen = {name: value for name, (_, value) in found.items()}
    origins = {name: found[name][0] if name in found else DEFAULT for name in NAMES}
    return Settings(**folders | chosen), origins


def _sources(
    flags: Mapping[str, Any], start: Path | None, environ: Mapping[str, str]
) -> Iterator[dict[str, tuple[str, Any]]]:
    """What each source gives, the weakest first: by setting its origin and the checked value."""
    yield _from_file(user_config(environ), trusted=True)
    if start is not None and (nearest := beside_photos(start)):
        yield _from_file(nearest, trusted=False)
    variables = {name: f"IQ_{name.upper()}" for name in NAMES}
    yield {
        name: (f"{each} in the environment", values.checked(name, environ[each], each))
        for name, each in variables.items()
        if environ.get(each)
    }
    options = {name: f"--{name.replace('_', '-')}" for name in flags}
    yield {
        name: (each, values.checked(name, flags[name], each))
        for name, each in options.items()
        if flags[name] is not None
    }


def user_config(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the person's own settings lie, or would; raises IqError if `IQ_CONFIG` names none."""
    import platformdirs

    if not (named := environ.get("IQ_CONFIG")):
        return platformdirs.user_config_path("iq") / "config.toml"
    if not Path(named).is_file():
        raise IqError(f"IQ_CONFIG names {named}, which is no file; mend or unset it")
    return Path(named)


def beside_photos(start: Path) -> Path | None:
    """The `.iq.toml` that applies to the photos in this folder, if there is one."""
    folder = start.absolute()
    found = (each / ".iq.toml" for each in (folder, *folder.parents))
    return next((path for path in found if path.is_file()), None)


def _from_file(path: Path, *, trusted: bool) -> dict[str, tuple[str, Any]]:
    raw = _read(path)
    allowed = NAMES if trusted else BESIDE_PHOTOS
    for key in raw:
        if key not in allowed:
            why = "may only stand in your own config" if key in NAMES else "is no setting of iq"
            raise IqError(f"{path}: {brief(key)} {why}; remove that line")
    return {
        key: (str(path), values.checked(key, value, f"{path}: {key}")) for key, value in raw.items()
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise ValueError(f"it is larger than {FILE_BYTES >> 10} KiB")
        return tomllib.loads(data.decode())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise IqError(f"cannot read the settings in {path}: {error}; mend or remove it") from error
