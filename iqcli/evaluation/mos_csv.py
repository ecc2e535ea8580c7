"""Human opinions from a CSV file: the photos, and the mean opinion of each, on 1..10."""

from __future__ import annotations

import csv
import math
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.records import Shot
from iqcli.text import display_path, escape, meant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IMAGE = (
    *("image", "image name", "image_name", "image_path"),
    *("name", "file", "filename", "path", "photo"),
)
MOS = ("mos", "opinion", "stars", "score", "rating", "quality", "human_score")
USUAL = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What people thought of one photo, 1..10; `row` is its line of the file by column name."""

    shot: Shot
    value: float
    row: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Opinions:
    """All opinions of a file, the scale they were given on, and how many lines had none.

    `source` is the file's name without its end.
    """

    rows: tuple[Opinion, ...]
    scale: tuple[float, float]
    blank: int
    source: str = ""

    def column(self, name: str) -> list[str]:
        """One value a photo; `prefix` is what the file name begins with, letters and digits.

        Raises IqError for a column that is not there.
        """
        if name == "prefix":
            return [_prefix(each.shot.path.name) for each in self.rows]
        if any(name not in each.row for each in self.rows):
            near = meant(name, self.rows[0].row)
            raise IqError(
                f"there is no column {name!r}{near}; give one of {named(self.rows[0].row)}"
            )
        return [each.row[name] for each in self.rows]


def read(
    file: Path,
    images: Path | None,
    scale: str | None,
    where: str | None,
    usual: tuple[float, float] = USUAL,
) -> Opinions:
    """The opinions in `file`, its photos looked for in `images` (else beside it).

    `scale` is "LOW:HIGH", the ends of the file's opinions, worst first; without it opinions within
    the `usual` ends are taken on those. `where` is "COLUMN=VALUE". Raises IqError for what cannot
    be understood.
    """
    lines = lines_of(file)
    image, mos = (column_of(file, lines[0], names) for names in (IMAGE, MOS))
    if where is not None:
        lines = filtered(file, lines, where)
    rated = [line for line in lines if (line[mos] or "").strip()]
    if not rated:
        raise IqError(
            f"{display_path(file)} holds no opinion for these rows; fill its column {mos!r}"
        )
    values = [_number(file, line[mos]) for line in rated]
    low, high = _scale(file, values, scale, usual)
    shots = shots_of(file, images, [line[image] for line in rated])
    rows = tuple(
        Opinion(shot, 1 + 9 * (value - low) / (high - low), line)
        for shot, value, line in zip(shots, values, rated, strict=True)
    )
    return Opinions(rows, (low, high), len(lines) - len(rated), escape(file.stem))


def lines_of(file: Path, wanted: str = "image and mos") -> list[dict[str, str]]:
    """The rows of a CSV file by column. Raises IqError where it holds none, or is none."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            # A short row is blank at its end; the surplus of a long one has no name.
            lines = list(csv.DictReader(stream, restkey="", restval=""))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise IqError(
            f"cannot read {display_path(file)}: {why}; give a CSV file in UTF-8"
        ) from error
    if not lines:
        raise IqError(f"{display_path(file)} has no rows; give a CSV file with columns {wanted}")
    return lines


def column_of(file: Path, line: Mapping[str, str], names: tuple[str, ...]) -> str:
    """The first of these columns that a row has, in any case of letters. Raises IqError."""
    found = {str(key).strip().lower(): key for key in line}
    for name in names:
        if name in found:
            return found[name]
    raise IqError(
        f"{display_path(file)} has no column {names[0]!r}, only {named(line)}; name one so"
    )


def named(line: Mapping[str, str]) -> str:
    """The columns of a row, for a sentence."""
    return ", ".join(repr(name) for name in line if name)


def filtered(file: Path, lines: list[dict[str, str]], where: str) -> list[dict[str, str]]:
    """The rows that `where`, "COLUMN=VALUE", asks for. Raises IqError for no such column."""
    column, equals, value = where.partition("=")
    if not equals or column not in lines[0]:
        raise IqError(
            f"--where is {where!r}; give COLUMN=VALUE with a column of {display_path(file)}"
        )
    return [line for line in lines if line[column] == value]


def shots_of(file: Path, images: Path | None, names: Sequence[str]) -> list[Shot]:
    """The photos of these names in `images`, else beside the file, whether they exist or not.

    Published lists differ from their files in case: names are as the disk has them.
    """
    folder = images if images is not None else file.parent
    listed: dict[Path, dict[str, str]] = {}

    def find(name: str) -> Path:
        path = folder / name
        if path.exists():
            return path
        if path.parent not in listed and path.parent.is_dir():
            listed[path.parent] = {each.name.lower(): each.name for each in path.parent.iterdir()}
        return path.with_name(listed.get(path.parent, {}).get(path.name.lower(), path.name))

    return [Shot(folder, find(name)) for name in names]


def _number(file: Path, text: str) -> float:
    with suppress(ValueError):
        if math.isfinite(number := float(text)):
            return number
    raise IqError(f"{display_path(file)} has the opinion {text!r}; give numbers")


def _scale(
    file: Path, values: list[float], given: str | None, usual: tuple[float, float]
) -> tuple[float, float]:
    if given is None:
        if min(values) < usual[0] or max(values) > usual[1]:
            raise IqError(
                f"the opinions in {display_path(file)} go from {min(values):g} to {max(values):g}; "
                "give the ends of their scale, worst first, as --mos-range 1:5"
            )
        return usual
    try:
        low, high = (float(part) for part in given.split(":"))
    except ValueError:
        low = high = 0.0
    if low == high or not math.isfinite(low + high):
        raise IqError(f"--mos-range is {given!r}; give the ends of the scale, as 0:1")
    if min(values) < min(low, high) or max(values) > max(low, high):
        raise IqError(
            f"--mos-range is {given!r}, but the opinions in {display_path(file)} go from "
            f"{min(values):g} to {max(values):g}; give the ends of their scale"
        )
    return low, high


def _prefix(name: str) -> str:
    found = re.match(r"[^\W_]+", name)
    return found[0] if found else name
