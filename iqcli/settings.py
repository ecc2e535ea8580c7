"""One frozen object of settings: flag > `IQ_*` > nearest `.iq.toml` > user config > default.

A setting is a field of `Settings`: its default, the check of its value, and whether it may stand
beside photos. `load` joins the sources, `put` writes into the person's own config.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from iqcli.errors import IqError
from iqcli.fs import files
from iqcli.output.rows import FORMATS
from iqcli.text import display_path, escape, meant, percent, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

N = TypeVar("N", int, float)
T = TypeVar("T", int, float, str)
DEVICES = ("auto", "cpu", "cuda", "mps")
# What the photos are counted in that a rule keeps some of.
UNITS = ("burst", "scene", "day", "folder", "all")
# The programs whose ways of reading XMP sidecars are known.
PROFILES = ("generic", "lightroom", "digikam", "darktable", "captureone", "immich")
# How stars follow from scores unless thresholds are given: by shares of the photos.
QUANTILES = "quantiles"
A_SHARE = 'give a share from 0% to 100%, as "20%"'
A_QUOTA = "give how many, as 3, or a share, as 20%"
MOST = 1_000_000
# One rule in parts: where a source gives any of them, the others of weaker sources are void.
RULE = ("below", "worst", "promise", "keep", "duplicates")
# What each source adds to, and none replaces.
JOINED = "exclude"
# What a file beside photos may lower and not raise, and what its origin says if it tried.
CAPPED, HELD_BACK = "max_reject", "not raised to"
# The time that reading takes may grow with the square of the size.
FILE_BYTES = 2**16
DEFAULT = "default"
# Settings of earlier versions -> what to do instead.
REMOVED = {
    "weights_table": "place a file of weights with `iq models pull NAME --from FILE`",
}


def checked(key: str, value: Any, source: str) -> Any:
    """The value of a setting as it is kept; raises IqError, naming `source`, for any other."""
    try:
        return _FIELDS[key].metadata["check"](value)
    except ValueError as error:
        raise IqError(f"{source} is {shorten(value)}; {error}") from None


def share(text: str) -> float:
    """'20%' as a share in 0..1. Raises ValueError with what to give instead of another text."""
    if not text.endswith("%"):
        raise ValueError(_without_sign(text) or A_SHARE)
    number = _read_values(float, text.removesuffix("%"), A_SHARE) / 100
    if not 0 <= number <= 1:
        raise ValueError(A_SHARE)
    return number


def count_or_share(text: str) -> tuple[int | None, float | None]:
    """'7' as (7, None) and '20%' as (None, 0.2).

    Raises ValueError with what to give instead of a text that is neither.
    """
    if text.endswith("%"):
        try:
            return None, share(text)
        except ValueError:
            raise ValueError(A_QUOTA) from None
    try:
        return int(text), None
    except ValueError:
        raise ValueError(_without_sign(text, most=1) or A_QUOTA) from None


def _without_sign(text: str, most: float = 100) -> str:
    """What is wrong with a share without its sign, "" if a text is none from 0 to `most`.

    A number up to 1 is meant as before version 0.3: 0.2 was 20%.
    """
    try:
        number = float(text)
    except ValueError:
        return ""
    if not 0 <= number <= most:
        return ""
    return f'a share needs its %, give "{percent(number if number <= 1 else number / 100)}"'


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


def _patterns(value: Any) -> tuple[str, ...]:
    """Patterns as in .gitignore: a list, or lines of text."""
    lines = value.splitlines() if isinstance(value, str) else value
    if not isinstance(lines, (list, tuple)) or not all(isinstance(each, str) for each in lines):
        raise ValueError('give patterns, as ["*.png", "drafts/"]')
    from iqcli.photos.ignore import check_patterns

    check_patterns(lines)
    return tuple(lines)


def _address(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        raise ValueError("give an address, as https://HOST/FOLDER")
    return value.rstrip("/")


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in choices:
            near = meant(str(value)[:50], choices)
            raise ValueError(f"give one of {', '.join(choices)}{near}")
        return str(value)

    return check


def _flag(value: Any) -> bool:
    found = {"true": True, "1": True, "false": False, "0": False}.get(str(value).lower())
    if found is None:
        raise ValueError("give true or false")
    return found


def _number(low: float, high: float) -> Callable[[Any], float]:
    return lambda value: _within(low, high, _read_values(float, value, "give a number"))


def _whole(low: int, high: int) -> Callable[[Any], int]:
    return lambda value: _within(low, high, _read_values(int, value, "give a whole number"))


def _batch(value: Any) -> int:
    return 0 if value == "auto" else _whole(0, 4096)(value)


def _share(value: Any) -> float:
    return share(_read_values(str, value, A_SHARE))


def _quota(least: int) -> Callable[[Any], str]:
    """How many of a group, as text: a number of photos, or a share with its per cent sign."""

    def check(value: Any) -> str:
        text = _read_values(str, value, A_QUOTA)
        number, part = count_or_share(text)
        if number is not None:
            return str(_within(least, MOST, number))
        if least and not part:
            raise ValueError(A_QUOTA)
        return text

    return check


def _read_values(kind: Callable[[str], T], value: Any, wanted: str) -> T:
    # By its text: `int` would take 1.5 and `true`, too. A number may be too long for a text.
    try:
        return kind(str(value))
    except ValueError:
        raise ValueError(wanted) from None


def _within(low: N, high: N, number: N) -> N:
    if not low <= number <= high:
        raise ValueError(f"give a number from {low} to {high}")
    return number


def _user_dir(kind: str) -> Path:
    import platformdirs  # deferred: 10 ms that `iq --help` does not need

    folders = {
        "cache": platformdirs.user_cache_path,
        "state": platformdirs.user_state_path,
        "data": platformdirs.user_data_path,
    }
    return folders[kind]("iq", appauthor=False)


def _by(check: Callable[[Any], Any], *, beside_photos: bool = False) -> dict[str, Any]:
    """The metadata of a setting: `check` makes what is kept of a value as it was given.

    It raises ValueError with what to give instead. A folder of photos may come from a stranger:
    what may lie `beside_photos` chooses rules and formats, never where iq writes or what it loads.
    """
    return {"check": check, "beside_photos": beside_photos}


@dataclass(frozen=True, slots=True)
class Settings:
    """Every knob that outlives one command.

    `batch_size` 0 and `jobs` 0 mean "as the machine allows". `max_megapixels` bounds what is
    decoded, by its pixels and the memory that they take (`photos.limits`), `max_seconds` the time
    of the processor that it takes (more for large pictures); `exclude` are patterns of what is
    passed over, joined from all sources; with `protect_labels` a colour label protects as a flag
    does; `max_reject` is the largest share (0..1) of shots a plan may reject. `data_dir` holds what
    was trained on the person's photos and the weights that were pulled. With a `weights_mirror`,
    https://HOST/PATH is pulled from MIRROR/HOST/PATH.

    `below` (a score), `worst` and `keep` ("3", "20%"), `promise` (a share), `duplicates` and `per`
    are the rule of `cull`, `margin` (points) is its tolerance; `xmp_profile` is the program that
    sidecars are for.
    """

    cache_dir: Path = field(metadata=_by(_folder))
    state_dir: Path = field(metadata=_by(_folder))
    model: str = field(default="fusion-mini", metadata=_by(_name))
    device: str = field(default="auto", metadata=_by(_one_of(DEVICES)))
    batch_size: int = field(default=0, metadata=_by(_batch))
    jobs: int = field(default=0, metadata=_by(_whole(0, 256)))
    max_megapixels: float = field(default=250.0, metadata=_by(_number(0.001, 10_000)))
    max_seconds: float = field(default=3.0, metadata=_by(_number(0.1, 86_400)))
    exclude: tuple[str, ...] = field(default=(), metadata=_by(_patterns, beside_photos=True))
    protect_labels: bool = field(default=False, metadata=_by(_flag, beside_photos=True))
    max_reject: float = field(default=0.5, metadata=_by(_share, beside_photos=True))
    format: str = field(default="table", metadata=_by(_one_of(FORMATS), beside_photos=True))
    below: float | None = field(default=None, metadata=_by(_number(1, 10), beside_photos=True))
    worst: str | None = field(default=None, metadata=_by(_quota(0), beside_photos=True))
    promise: float | None = field(default=None, metadata=_by(_share, beside_photos=True))
    keep: str | None = field(default=None, metadata=_by(_quota(1), beside_photos=True))
    duplicates: bool = field(default=False, metadata=_by(_flag, beside_photos=True))
    per: str | None = field(default=None, metadata=_by(_one_of(UNITS), beside_photos=True))
    margin: float = field(default=0.0, metadata=_by(_number(0, 9), beside_photos=True))
    xmp_profile: str = field(default="generic", metadata=_by(_one_of(PROFILES), beside_photos=True))
    data_dir: Path = field(default_factory=lambda: _user_dir("data"), metadata=_by(_folder))
    weights_mirror: str | None = field(default=None, metadata=_by(_address))

    @property
    def workers(self) -> int:
        """Decode workers: one a core, at most 16 (memory is the limit beyond that)."""
        if self.jobs:
            return self.jobs
        usable = getattr(os, "sched_getaffinity", None)
        return min(len(usable(0)) if usable else os.cpu_count() or 1, 16)


_FIELDS = {item.name: item for item in fields(Settings)}
NAMES = tuple(_FIELDS)


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
    folders: dict[str, Any] = {
        f"{kind}_dir": _user_dir(kind) for kind in ("cache", "state", "data")
    }
    found: dict[str, tuple[str, Any]] = {}
    for given, trusted in _sources(flags, start, environ):
        if not trusted and CAPPED in given:
            given[CAPPED] = _lower(found.get(CAPPED, _default(CAPPED)), given[CAPPED])
        if any(name in given for name in RULE):
            found = {name: pair for name, pair in found.items() if name not in RULE}
        if JOINED in given and JOINED in found:
            (before, weaker), (source, patterns) = found[JOINED], given[JOINED]
            given[JOINED] = f"{before}, {source}", weaker + patterns
        found |= given
    chosen = {name: value for name, (_, value) in found.items()}
    origins = {name: found[name][0] if name in found else DEFAULT for name in NAMES}
    return Settings(**folders | chosen), origins


def _default(name: str) -> tuple[str, Any]:
    return DEFAULT, _FIELDS[name].default


def _lower(before: tuple[str, float], given: tuple[str, float]) -> tuple[str, float]:
    """The lower of two shares; if it is the one before, its origin says what was held back."""
    source, share = given
    if share <= before[1]:
        return given
    return f"{before[0]}, {HELD_BACK} {percent(share)} by {source}", before[1]


def _sources(
    flags: Mapping[str, Any], start: Path | None, environ: Mapping[str, str]
) -> Iterator[tuple[dict[str, tuple[str, Any]], bool]]:
    """What each source gives, the weakest first, and whether it is the person's own.

    That is, by setting, its origin and the checked value.
    """
    yield _from_file(user_config(environ), trusted=True), True
    if start is not None and (nearest := beside_photos(start)):
        yield _from_file(nearest, trusted=False), False
    variables = {name: f"IQ_{name.upper()}" for name in NAMES}
    for name, way in REMOVED.items():
        if environ.get(f"IQ_{name.upper()}"):
            raise IqError(f"IQ_{name.upper()} was removed; unset it, and {way}")
    yield (
        {
            name: (f"{each} in the environment", checked(name, environ[each], each))
            for name, each in variables.items()
            if environ.get(each)
        },
        True,
    )
    options = {name: f"--{name.replace('_', '-')}" for name in flags}
    given = {name: each for name, each in options.items() if flags[name] is not None}
    yield {name: (each, checked(name, flags[name], each)) for name, each in given.items()}, True


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
    raw, where = _read(path), display_path(path)
    for key in raw:
        if trusted and key in REMOVED:
            raise IqError(f"{where}: {key} was removed; delete that line, and {REMOVED[key]}")
        if key not in NAMES or not (trusted or _FIELDS[key].metadata["beside_photos"]):
            why = "may only stand in your own config"
            if key not in NAMES:
                why = f"is no setting of iq{meant(key[:50], NAMES)}"
            raise IqError(f"{where}: {shorten(key)} {why}; remove that line")
    found = {key: (str(path), checked(key, value, f"{where}: {key}")) for key, value in raw.items()}
    if not trusted and JOINED in found:
        _check_foreign(found[JOINED][1], where)
    return found


def _check_foreign(patterns: tuple[str, ...], where: str) -> None:
    """Refuse patterns beside photos that take back what a person excludes. Raises IqError."""
    from iqcli.photos.ignore import check_foreign

    try:
        check_foreign(patterns)
        if lifting := next((each for each in patterns if each.startswith("!")), None):
            raise ValueError(f"{shorten(lifting)} would lift what you exclude")
    except ValueError as error:
        raise IqError(f"{where}: {JOINED}: {error}; remove that pattern") from None


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
        where = display_path(path)
        raise IqError(f"cannot read the settings in {where}: {error}; mend or remove it") from error


def put(key: str, value: str) -> Path:
    """Set a key of the person's config, which is made if need be; returns where it lies.

    Raises IqError, nothing changed, for a config that cannot be read or written.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    path = user_config()
    try:
        text = path.read_bytes().decode() if path.exists() else ""
        config = tomlkit.parse(text)
    except (OSError, ValueError, TOMLKitError) as error:
        raise IqError(
            f"cannot read the settings in {display_path(path)}: {error}; mend it"
        ) from error
    if config.get(key) == value:
        return path
    config[key] = value
    try:
        data = tomlkit.dumps(config).encode()
    except UnicodeEncodeError as error:
        raise IqError(f"{escape(value)} cannot stand in {display_path(path)}; rename it") from error
    with files.writing(path, "mend that"):
        files.make_folders(path.parent)
        files.write_atomic(path, data)
    return path
