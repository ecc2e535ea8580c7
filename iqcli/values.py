"""What each setting may be: a value from a file, a variable or the command line, checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from iqcli.errors import IqError
from iqcli.text import brief

if TYPE_CHECKING:
    from collections.abc import Callable

N = TypeVar("N", int, float)
DEVICES = ("auto", "cpu", "cuda", "mps")
FORMATS = ("table", "csv", "json", "jsonl", "paths")
# What the photos are counted in that a rule keeps some of.
UNITS = ("burst", "scene", "day", "folder", "all")
# The programs whose ways of reading XMP sidecars are known.
PROFILES = ("generic", "lightroom", "digikam", "darktable", "captureone", "immich")
A_SHARE = "give a share from 0% to 100%"


def checked(key: str, value: Any, source: str) -> Any:
    """The value of a setting as it is kept; raises IqError, naming `source`, for any other."""
    try:
        return _CHECKS[key](value)
    except ValueError as error:
        raise IqError(f"{source} is {brief(value)}; {error}") from None


def share(text: str) -> float:
    """'20%' or '0.2' as a share in 0..1. Raises ValueError outside it or where it is no number."""
    number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= number <= 1:
        raise ValueError(text)
    return number


def _folder(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("give a folder")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:
        raise ValueError("there is no such user") from None


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("give a model's name or file")
    return value


def _address(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise ValueError("give an address, as https://HOST/FOLDER")
    return value.rstrip("/")


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"give one of {', '.join(choices)}")
        return str(value)

    return check


def _number(low: float, high: float) -> Callable[[Any], float]:
    return lambda value: _within(low, high, _read(float, value, "give a number"))


def _whole(low: int, high: int) -> Callable[[Any], int]:
    return lambda value: _within(low, high, _read(int, value, "give a whole number"))


def _batch(value: Any) -> int:
    return 0 if value == "auto" else _whole(0, 4096)(value)


def _share(value: Any) -> float:
    return _read(share, value, A_SHARE)


def _kept(value: Any) -> str:
    """How many to keep, as text: a number of photos, or a share with its per cent sign."""
    wanted = "give how many to keep, as 3, or a share, as 20%"
    if isinstance(value, str) and value.endswith("%"):
        if not _read(share, value, wanted):
            raise ValueError(wanted)
        return value
    return str(_within(1, 1_000_000, _read(int, value, wanted)))


def _read(kind: Callable[[str], N], value: Any, wanted: str) -> N:
    # By its text: `int` would take 1.5 and `true`, too.
    try:
        return kind(str(value))
    except ValueError:
        raise ValueError(wanted) from None


def _within(low: N, high: N, number: N) -> N:
    if not low <= number <= high:
        raise ValueError(f"give a number from {low} to {high}")
    return number


_CHECKS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("cache_dir", "state_dir", "data_dir", "weights_table"), _folder),
    "weights_mirror": _address,
    "model": _name,
    "device": _one_of(DEVICES),
    "batch_size": _batch,
    "jobs": _whole(0, 256),
    "max_megapixels": _number(0.001, 10_000),
    "format": _one_of(FORMATS),
    **dict.fromkeys(("max_reject", "worst", "promise"), _share),
    "below": _number(1, 10),
    "keep": _kept,
    "per": _one_of(UNITS),
    "margin": _number(0, 9),
    "xmp_profile": _one_of(PROFILES),
}
