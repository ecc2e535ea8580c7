"""One frozen object of settings: flag > `IQ_*` > nearest `.iq.toml` > user config > default."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqcli.errors import IqError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEVICES = ("auto", "cpu", "cuda", "mps")
FORMATS = ("table", "csv", "json", "jsonl", "paths")
# A folder of photos may come from a stranger: what lies in it chooses rules and looks, never
# where we write and never what we load.
BESIDE_PHOTOS = frozenset({"format", "max_reject"})


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


def load(
    flags: Mapping[str, Any], start: Path | None, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Join the five sources, the stronger over the weaker.

    `flags` holds what the command line gave (None is "not given"); `start` is the folder whose
    nearest `.iq.toml`, upward, applies, None where no photo is looked at. Raises IqError for a
    file or value that cannot be used.
    """
    values: dict[str, Any] = {"cache_dir": _user_dir("cache"), "state_dir": _user_dir("state")}
    values |= _from_file(user_config(environ), trusted=True)
    if start is not None and (nearest := _nearest(start)):
        values |= _from_file(nearest, trusted=False)
    for item in fields(Settings):
        name = f"IQ_{item.name.upper()}"
        if environ.get(name):
            values[item.name] = _checked(item.name, environ[name], name)
    for key, value in flags.items():
        if value is not None:
            values[key] = _checked(key, value, f"--{key.replace('_', '-')}")
    return Settings(**values)


def user_config(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the person's own settings lie, or would; raises IqError if `IQ_CONFIG` names none."""
    import platformdirs

    if not (named := environ.get("IQ_CONFIG")):
        return platformdirs.user_config_path("iq") / "config.toml"
    if not Path(named).is_file():
        raise IqError(f"IQ_CONFIG names {named}, which is no file; mend or unset it")
    return Path(named)


def _nearest(start: Path) -> Path | None:
    folder = start.absolute()
    found = (each / ".iq.toml" for each in (folder, *folder.parents))
    return next((path for path in found if path.is_file()), None)


def _from_file(path: Path, *, trusted: bool) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise IqError(f"cannot read the settings in {path}: {error}; mend or remove it") from error
    known = {item.name for item in fields(Settings)}
    allowed = known if trusted else BESIDE_PHOTOS
    for key in raw:
        if key not in allowed:
            why = "may only stand in your own config" if key in known else "is no setting of iq"
            raise IqError(f"{path}: {key!r} {why}; remove that line")
    return {key: _checked(key, value, f"{path}: {key}") for key, value in raw.items()}


def _checked(key: str, value: Any, source: str) -> Any:
    if key in ("cache_dir", "state_dir", "data_dir", "weights_table"):
        return _folder(value, source)
    if key in ("device", "format"):
        choices = DEVICES if key == "device" else FORMATS
        if value not in choices:
            raise IqError(f"{source} is {value!r}; give one of {', '.join(choices)}")
        return value
    if key == "model":
        if not isinstance(value, str):
            raise IqError(f"{source} is {value!r}; give a model's name or file")
        return value
    if key == "weights_mirror":
        if not isinstance(value, str) or not value.startswith(("http://", "https://")):
            raise IqError(f"{source} is {value!r}; give an address, as https://HOST/FOLDER")
        return value.rstrip("/")
    return _number(key, value, source)


def _folder(value: Any, source: str) -> Path:
    if not isinstance(value, str) or not value:
        raise IqError(f"{source} is {value!r}; give a folder")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:
        raise IqError(f"{source} is {value!r}; there is no such user") from None


def _number(key: str, value: Any, source: str) -> float | int:
    whole = key in ("batch_size", "jobs")
    if key == "batch_size" and value == "auto":
        return 0
    try:
        # By its text: `int` would take 1.5 and `true`, too.
        if key == "max_reject":
            return share(str(value))
        number = int(str(value)) if whole else float(str(value))
    except ValueError:
        kind = "a whole number" if whole else "a number"
        kind = "a share from 0% to 100%" if key == "max_reject" else kind
        raise IqError(f"{source} is {value!r}; give {kind}") from None
    low, high = {"batch_size": (0, 4096), "jobs": (0, 256)}.get(key, (0.001, 10_000))
    if not low <= number <= high:
        raise IqError(f"{source} is {value!r}; give a number from {low} to {high}")
    return number


def share(text: str) -> float:
    """'20%' or '0.2' as a share in 0..1. Raises ValueError outside it or where it is no number."""
    number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= number <= 1:
        raise ValueError(text)
    return number
