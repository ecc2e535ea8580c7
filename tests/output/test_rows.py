"""Names on their way out: readable whatever they hold, exact where they can be."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iqcli.output import rows
from iqcli.output.stdout import encoded
from iqcli.records import Facts, Issue, Marks, Photo, Rating, Shot
from iqcli.text import display_path, escape, exact

# What a name may hold on Linux: any bytes but these two.
parts = st.binary(min_size=1, max_size=30).map(
    lambda raw: raw.replace(b"\0", b"?").replace(b"/", b"|")
)
names = parts.filter(lambda raw: raw not in (b".", b"..")).map(os.fsdecode)
texts = st.text(max_size=20)


@given(names, st.booleans())
def test_a_name_is_readable_and_exact(name: str, absolute: bool) -> None:
    path = Path("/" + name) if absolute else Path(name)
    text = display_path(path)
    assert text.startswith("/" if absolute else "./")
    assert text.isprintable()
    text.encode()
    raw = base64.b64decode(exact(path) or b"") or text.encode()
    assert raw == (b"" if absolute else b"./") + os.fsencode(path)


@given(texts)
def test_readable_text_stays_as_it_is(text: str) -> None:
    assert escape(escape(text)) == escape(text)
    assert escape(text) == text or not text.isprintable()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a b.jpg", "./a b.jpg"),
        ("../a.jpg", "../a.jpg"),
        (".", "./"),
        ("-rf.jpg", "./-rf.jpg"),
        ("写真.jpg", "./写真.jpg"),
        ("new\nline", r"./new\nline"),
        ("\x1b[31m", r"./\x1b[31m"),
        ("\u202e", r"./\u202e"),
        ("\U000e0041", r"./\U000e0041"),
        ("\udcff", r"./\xff"),
        ("\x9b2J", r"./\x9b2J"),
    ],
)
def test_spelled_out(name: str, text: str) -> None:
    assert display_path(Path(name)) == text


def judged(name: str, camera: str | None, error: str | None) -> Photo:
    """A row that holds these strings wherever a string may stand."""
    shot = Shot(Path(), Path(name), (Path(f"{name}.xmp"),))
    facts = Facts(3, 2, "jpeg", taken=camera, camera=camera)
    if error is not None:
        return Photo(shot, "ab" * 32, facts, error=error)
    issues = (Issue("blurred", 3), Issue("low_contrast", 2))
    return Photo(shot, "ab" * 32, facts, Marks(2), Rating(5.12345, 1, "m", 5.1, issues=issues))


rolls = st.lists(st.builds(judged, names, st.none() | texts, st.none() | texts), max_size=5)


@given(rolls)
def test_every_writer_holds_every_row(roll: list[Photo]) -> None:
    records = [rows.row(each) for each in roll]
    lines = encoded("".join(rows.to_jsonl(records))).decode().split("\n")
    assert [json.loads(line) for line in lines[:-1]] == json.loads("".join(rows.to_json(records)))
    text = encoded("".join(rows.to_csv(records))).decode()
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[0] == list(rows.COLUMNS)
    assert [line[1] for line in read[1:]] == [record["path"] for record in records]
    assert not any(cell.startswith(("=", "+", "-", "@")) for line in read for cell in line)
    raw = b"".join(rows.to_paths(roll, nul=True)).split(b"\0")[:-1]
    assert [Path(os.fsdecode(name)) for name in raw] == [j.shot.path for j in roll if j.rating]


def test_one_shape_whatever_became_of_the_photo() -> None:
    good, bad = (rows.row(judged("a.jpg", None, error)) for error in (None, "empty file"))
    assert list(good) == list(bad) == list(rows.COLUMNS)
    assert (good["score"], bad["score"], bad["error"]) == (5.123, None, "empty file")
    assert bad["issues"] == [] and bad["companions"] == ["./a.jpg.xmp"]


def test_a_decision_puts_its_reasons_before_the_models() -> None:
    rating = Rating(5, 1, "m", reasons=("judged without brisque",))
    extra = {"decision": "keep", "reasons": ("rated 3 stars",)}
    row = rows.row(Photo(Shot(Path(), Path("a.jpg")), rating=rating), extra)
    assert row["reasons"] == ["rated 3 stars", "judged without brisque"]
    assert next(iter(list(rows.to_csv([row]))[1:])).count(";") == 1


def test_nothing_is_still_a_file() -> None:
    assert "".join(rows.to_json([])) == "[]\n"
    assert "".join(rows.to_jsonl([])) == ""
    assert list(csv.reader(rows.to_csv([]))) == [list(rows.COLUMNS)]
    table = pq.read_table(io.BytesIO(rows.to_parquet([])))
    assert table.column_names == list(rows.COLUMNS)
    assert table.num_rows == 0
