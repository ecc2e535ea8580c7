"""The manifest of the weights that are fetched on request: its rows, checked before use.

A manifest is TOML, a table in it one row. A row names no folder, no file outside its own folder,
and no address but of the web.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from iqcli.errors import IqError
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KINDS = ("clip", "head", "fusion", "brisque", "qualiclip", "musiq")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
# What the pull keeps beside a file must not be a file itself.
FILE = re.compile(
    r"(?!(?i:installed\.json)$)[A-Za-z0-9][A-Za-z0-9._+-]{0,127}(?<!\.part)(?<!\.part\.json)"
)
HUB = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
# Larger than any weights there are, and small enough to be counted in.
LARGEST = 10**13
# How far the size of a file without a sum may be from what the table says.
ABOUT = 2
# An address that a server points to is signed, and long by that.
LONGEST = 8000


@dataclass(frozen=True, slots=True)
class Weight:
    """A row of the table: what a file is, where it comes from and on what terms.

    It lies on a model hub (`hub`, `revision`), at a `url`, or with the person alone. `sha256` is
    None where only the hub knows it, or nobody. `size` is in bytes, about if `sha256` is None.
    `commercial` is whether what it makes may be sold; `terms` is where the licence stands. `needs`
    are other rows. `config` is an open_clip model config where it is no standard one.
    """

    name: str
    kind: str
    what: str
    file: str
    size: int
    licence: str
    commercial: bool
    url: str | None = None
    hub: str | None = None
    revision: str | None = None
    sha256: str | None = None
    terms: str | None = None
    needs: tuple[str, ...] = ()
    arch: str | None = None
    config: Mapping[str, Any] | None = None

    @property
    def megabytes(self) -> str:
        """The size as a person reads it."""
        return megabytes(self.size)

    @property
    def source(self) -> str:
        """Where it comes from, for people."""
        if self.hub:
            return f"{self.hub} on the hub, {self.revision or 'its newest'}"
        return self.url or "a file of your own"

    @property
    def sizes(self) -> tuple[int, int]:
        """The least and the most bytes that the file may have."""
        return (self.size, self.size) if self.sha256 else (self.size // ABOUT, self.size * ABOUT)


def megabytes(size: int) -> str:
    """A number of bytes as a person reads it."""
    digits = 1 if size < 1e7 else 0
    return f"{max(size / 1e6, 0.1):,.{digits}f} MB" if size else "0 MB"


# The columns that every row has.
NEEDED = tuple(each.name for each in fields(Weight) if each.default is MISSING)[1:]
_PLAIN = re.compile(r"[!-~]+")


def read(path: Path) -> dict[str, Weight]:
    """Every row of a table by name. Raises IqError for a table that cannot be used."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        what = f"cannot read the table of weights {display_path(path)}: {error}"
        raise IqError(f"{what}; install iq again") from error
    return {name: _row(name, values, display_path(path)) for name, values in raw.items()}


def _row(name: str, values: Any, path: str) -> Weight:
    where = f"{display_path(path)}: {escape(name)}"
    if not NAME.fullmatch(name) or ".." in name:
        raise IqError(f"{where} is no name; give one of small letters, digits, - and .")
    known = {each.name for each in fields(Weight)} - {"name"}
    strange = set(values) - known if isinstance(values, dict) else {name}
    if strange:
        raise IqError(f"{where}: {min(strange)!r} is no column of the table; take it out")
    for column, value in values.items():
        if fault := _fault(column, value):
            raise IqError(f"{where}: {column} is {value!r}; give {fault}")
    if lacking := [each for each in NEEDED if each not in values]:
        raise IqError(f"{where} lacks a column; give {', '.join(lacking)}")
    found = Weight(name, **{**values, "needs": tuple(values.get("needs", ()))})
    if found.url and found.hub:
        raise IqError(f"{where} has a url and a hub; give one of them")
    return found


def _fault(column: str, value: Any) -> str | None:
    """What the column should hold instead, None where the value will do."""
    sound, wanted = _CHECKS[column]
    return None if sound(value) else wanted


def _text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 500 and value.isprintable()


def _like(pattern: re.Pattern[str]) -> Any:
    return lambda v: isinstance(v, str) and bool(pattern.fullmatch(v)) and ".." not in v


def is_web(value: Any) -> bool:
    """Whether this is an address of the web, http or https."""
    try:
        if not isinstance(value, str) or len(value) > LONGEST or not _PLAIN.fullmatch(value):
            return False
        split = urlsplit(value)
        return bool(split.scheme in ("http", "https") and split.hostname and split.port != 0)
    except ValueError:  # so says a port that is no number
        return False


def _size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST


def _names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_like(NAME), value))


_WORDS = _text, "a line of text"
_ADDRESS = is_web, "an address that begins with http:// or https://"
_CHECKS = {
    "kind": (lambda v: v in KINDS, f"one of {', '.join(KINDS)}"),
    "what": _WORDS,
    "file": (_like(FILE), "a plain file name"),
    "size": (_size, "a number of bytes"),
    "licence": _WORDS,
    "commercial": (lambda v: isinstance(v, bool), "true or false"),
    "url": _ADDRESS,
    "hub": (_like(HUB), "a name like owner/model"),
    "revision": (_like(re.compile(r"[0-9a-f]{40}|main")), "a commit of 40 hex digits, or main"),
    "sha256": (_like(re.compile(r"[0-9a-f]{64}")), "64 hex digits"),
    "terms": _ADDRESS,
    "needs": (_names, "a list of names"),
    "arch": _WORDS,
    "config": (lambda v: isinstance(v, dict), "a table"),
}
