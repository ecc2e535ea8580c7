"""One record for every format, one row a shot; and its writers: CSV, JSON, JSON lines, paths."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iqcli.output.stdout import encoded
from iqcli.text import display_path, escape, exact, with_dot

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from iqcli.records import Issue, Photo

    Row = dict[str, Any]

SCHEMA = 1
_json = json.JSONEncoder(ensure_ascii=False).encode
# Name and Arrow type of every column, in the order they are written.
COLUMNS = {
    "schema": "int32",
    "path": "string",
    "score": "float64",
    "uncertainty": "float64",
    "technical": "float64",
    "aesthetic": "float64",
    "issues": "issues",
    "model": "string",
    "taken": "string",
    "taken_from": "string",
    "camera": "string",
    "width": "int32",
    "height": "int32",
    "stars": "int32",
    "pick": "int32",
    "companions": "strings",
    "group": "string",
    "scene": "string",
    "set": "string",
    "copy_of": "string",
    "rank": "int32",
    "percentile": "float64",
    "decision": "string",
    "codes": "strings",
    "reasons": "strings",
    "error": "string",
    "sha256": "string",
    "path_b64": "string",
}


def row(photo: Photo, extra: Mapping[str, Any] | None = None) -> Row:
    """The row of a photo. `extra` adds rank, percentile, decision and its reasons.

    Every key of `COLUMNS` is there; what does not apply is None, so every row has the same keys.
    Broken files of the shot are among the reasons; those of a decision name them already.
    """
    shot, facts, rating = photo.shot, photo.facts, photo.rating
    # One literal: a tree of photos has as many rows.
    found: Row = {
        "schema": SCHEMA,
        "path": display_path(shot.path),
        "score": rating and _rounded(rating.score),
        "uncertainty": rating and _rounded(rating.uncertainty),
        "technical": rating and _rounded(rating.technical),
        "aesthetic": rating and _rounded(rating.aesthetic),
        "issues": [issue_record(each) for each in rating.issues] if rating else [],
        "model": rating and rating.model,
        "taken": facts and facts.taken and escape(facts.taken),
        "taken_from": facts and facts.taken_from,
        "camera": facts and facts.camera and escape(facts.camera),
        "width": facts and facts.width,
        "height": facts and facts.height,
        "stars": photo.marks.stars,
        "pick": photo.marks.pick,
        "companions": [display_path(each) for each in shot.companions],
        "group": photo.group,
        "scene": photo.scene,
        "set": photo.frame_set and photo.frame_set.value,
        "copy_of": photo.copy and display_path(photo.copy.of),
        "rank": None,
        "percentile": None,
        "decision": None,
        "codes": [],
        "reasons": [],
        "error": photo.error,
        "sha256": photo.sha256,
        "path_b64": exact(shot.path),
    }
    if extra:
        found |= extra
    reasons = found["reasons"] or [escape(each.reason) for each in photo.broken]
    found["reasons"] = [*reasons, *(rating.reasons if rating else ())]
    return found


def _rounded(points: float | None) -> float | None:
    return None if points is None else round(points, 3)


def issue_record(issue: Issue) -> Row:
    """Name and level of an issue, and its share where it has one."""
    found: Row = {"name": issue.name, "level": issue.level}
    return found if issue.share is None else {**found, "share": issue.share}


def to_csv(rows: Iterable[Row], columns: Collection[str] = COLUMNS.keys()) -> Iterator[str]:
    """RFC 4180: CRLF, quotes where needed; lists joined by `;`, an issue as `name:level`.

    Where an issue has a share, it is `name:level:share`.
    """
    yield _csv_line(list(columns))
    for each in rows:
        yield _csv_line([_flat(each[name]) for name in columns])


def _csv_line(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()


def _flat(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        parts = (":".join(map(str, v.values())) if isinstance(v, dict) else str(v) for v in value)
        value = ";".join(parts)
    text = str(value)
    # A cell that a spreadsheet would run as a formula; numbers of ours are not such.
    formula = isinstance(value, str) and text.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{text}" if formula else text


def to_jsonl(rows: Iterable[Row], columns: Collection[str] = ()) -> Iterator[str]:
    """One JSON object a line; its keys are those of the row, whatever `columns` there are."""
    for each in rows:
        yield _json(each) + "\n"


def to_json(rows: Iterable[Row], columns: Collection[str] = ()) -> Iterator[str]:
    """One JSON array of the objects of `to_jsonl`, written as they come."""
    opening = "[\n"
    for each in rows:
        yield opening + _json(each)
        opening = ",\n"
    yield "\n]\n" if opening == ",\n" else "[]\n"


@dataclass(frozen=True, slots=True)
class Writer:
    """A format in which rows are written as text.

    `to_text` takes the rows and the names of their columns. `streams`: what was written of some
    rows stays true when more come, so that a row can be written as soon as it is known.
    """

    to_text: Callable[[Iterable[Row], Collection[str]], Iterator[str]]
    streams: bool = False


# A new format of rows needs a line here, and no other: options, help, settings and completions
# follow.
WRITERS = {
    "csv": Writer(to_csv, streams=True),
    "json": Writer(to_json),
    "jsonl": Writer(to_jsonl, streams=True),
}
# Formats of commands that list photos, of those among them that write photos as they arrive, and
# of files.
FORMATS = ("table", *WRITERS, "paths")
STREAMING = (*(name for name, each in WRITERS.items() if each.streams), "paths")
FILE_FORMATS = (*WRITERS, "parquet")


def to_text(
    form: str, rows: Iterable[Row], columns: Collection[str] = COLUMNS.keys()
) -> Iterator[str]:
    """The rows in one of the formats of `WRITERS`."""
    return WRITERS[form].to_text(rows, columns)


def to_paths(photos: Iterable[Photo], *, nul: bool, unscored: bool = False) -> Iterator[bytes]:
    """The paths of the scored shots, or all: exact bytes and a NUL, or escaped and a newline."""
    for each in photos:
        if each.rating is None and not unscored:
            continue
        path = with_dot(each.shot.path)
        if nul:
            yield os.fsencode(path) + b"\0"
        else:
            yield (path if path.isprintable() else display_path(each.shot.path)).encode() + b"\n"


def to_bytes(form: str, rows: Iterable[Row]) -> bytes:
    """The rows as a file in one of `FILE_FORMATS`."""
    return to_parquet(rows) if form == "parquet" else encoded("".join(to_text(form, rows)))


def to_parquet(rows: Iterable[Row]) -> bytes:
    """The rows as one Parquet file. Raises ImportError where pyarrow is not installed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "issues": pa.list_(
            pa.struct([("name", pa.string()), ("level", pa.int32()), ("share", pa.float64())])
        ),
        "strings": pa.list_(pa.string()),
    }
    fields = [(name, kinds.get(kind) or getattr(pa, kind)()) for name, kind in COLUMNS.items()]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=pa.schema(fields)), buffer)
    return buffer.getvalue()
