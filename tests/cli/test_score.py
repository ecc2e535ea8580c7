"""A folder as nobody wishes it: every readable photo gets a score, every other one its reason."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from support.cli_runner import Iq, Ran
from support.images import dng, encoded, exif_block, noise, scene

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such names there")

JPEG = encoded(scene(320, 240), "JPEG")
SIXTEEN = noise(320, 240)[..., 0].astype(np.uint16) * 257
PICTURES = {
    b"good.jpg": JPEG,
    b"phone.heic": encoded(noise(320, 240), "HEIF"),
    b"camera.dng": dng(scene(320, 240), JPEG, (320, 240)),
    b"press.jpg": encoded(Image.fromarray(scene(320, 240)).convert("CMYK"), "JPEG"),
    b"deep.png": encoded(Image.fromarray(SIXTEEN), "PNG"),
    b"deep.tif": encoded(Image.fromarray(SIXTEEN), "TIFF"),
    b"wrong.png": encoded(noise(300, 200), "JPEG"),
}
ODD = [
    b"new\nline.jpg",
    b"esc\x1b[31m.jpg",
    b"bell\x07.jpg",
    b"[red].jpg",
    b"-rf.jpg",
    b"=cmd.jpg",
    b'@sum,"a;b".jpg',
    b"carriage\r.jpg",
    "\u202etxt.jpg".encode(),
    "naïve 写真.jpg".encode(),
    b"no\xff\xe9text.jpg",
]
BROKEN = {
    b"short.jpg": (encoded(noise(300, 200), "JPEG")[:900], "data ends early"),
    b"empty.jpg": (b"", "empty file"),
    b"letter.jpg": (b"Dear all,\n", "looks like text"),
    b"lost\n\x1b]0;.jpg": (b"Dear all,\n", "looks like text"),
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iq:
    """A command line in a folder with all of the above, and with what is no photo at all."""
    top = tmp_path_factory.mktemp("hostile")
    folder = top / "here" / "photos"
    folder.mkdir(parents=True)
    camera = exif_block({272: "=HYPERLINK(1)\x1b[0m"})
    odd = {name: encoded(noise(200 + n, 200), "JPEG") for n, name in enumerate(ODD)}
    odd[b"new\nline.jpg"] = encoded(noise(280, 200), "JPEG", exif=camera)
    for name, data in (PICTURES | odd | {k: v[0] for k, v in BROKEN.items()}).items():
        (folder / os.fsdecode(name)).write_bytes(data)
    (folder / "folder.jpg").mkdir()
    (folder / "lost.jpg").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.jpg")
    return Iq(top / "home", top / "here")


@pytest.fixture(scope="module")
def shown(hostile: Iq) -> dict[str, Ran]:
    """The folder in every format."""
    forms = ("table", "csv", "json", "jsonl", "paths")
    return {form: hostile("score", "photos", "-f", form) for form in forms}


GOOD = len(PICTURES) + len(ODD)


def test_every_photo_has_a_score_or_a_reason(shown: dict[str, Ran]) -> None:
    rows = {exact(row): row for row in shown["jsonl"].rows}
    names = {b"./photos/" + name: name for name in (*PICTURES, *ODD, *BROKEN)}
    assert rows.keys() == names.keys()
    for path, row in rows.items():
        reason = BROKEN.get(names[path], (b"", None))[1]
        assert (row["score"] is None) == (reason is not None)
        assert reason is None or reason in row["error"]
        assert reason or 1 <= row["score"] <= 10


def exact(row: Mapping[str, str | None]) -> bytes:
    """The bytes of the path of a row."""
    return base64.b64decode(row["path_b64"]) if row["path_b64"] else str(row["path"]).encode()


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl", "paths"])
def test_the_counts_add_up_in_every_format(shown: dict[str, Ran], form: str) -> None:
    ran = shown[form]
    assert ran.code == 1
    *failures, counts = ran.lines
    total = GOOD + len(BROKEN)
    assert counts == f"{total} photos: {GOOD} scored, {len(BROKEN)} could not be read"
    assert len(failures) == len(BROKEN)
    assert all(line.startswith("iq: ./photos/") and line.count(": ") == 2 for line in failures)


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl", "paths"])
def test_no_name_acts_on_the_terminal(shown: dict[str, Ran], form: str) -> None:
    ran = shown[form]
    text = ran.out.decode() + ran.err
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "\r" not in text.replace("\r\n", "")
    assert r"esc\x1b[31m.jpg" in text.replace("\\\\", "\\")
    assert r"new\nline.jpg" in text.replace("\\\\", "\\")


def test_a_table_has_a_line_a_photo_and_no_blanks_at_the_end(shown: dict[str, Ran]) -> None:
    title, *lines = shown["table"].out.decode().splitlines()
    assert title.split() == ["score", "±", "issues", "photo"]
    assert len(lines) == GOOD
    assert all(line == line.rstrip() for line in lines)
    assert any(line.endswith("./photos/[red].jpg") for line in lines)


def test_csv_reads_back_and_no_cell_is_a_formula(shown: dict[str, Ran]) -> None:
    data = shown["csv"].out
    read = list(csv.reader(io.StringIO(data.decode(), newline="")))
    assert len(read) == 1 + GOOD + len(BROKEN) == data.count(b"\r\n")
    assert len({len(line) for line in read}) == 1
    assert not any(cell.startswith(("=", "+", "-", "@")) for line in read for cell in line)
    assert any(cell.startswith("'=HYPERLINK") for line in read for cell in line)


def test_every_format_speaks_the_same_record(hostile: Iq, shown: dict[str, Ran]) -> None:
    rows = shown["jsonl"].rows
    assert json.loads(shown["json"].out) == rows
    exported = hostile("export", "photos", "-o", "all.parquet")
    assert exported.code == 1
    found = pq.read_table(hostile.cwd / "all.parquet").to_pylist()
    for issue in (each for row in found for each in row["issues"]):
        assert issue.pop("share") is None
    # `score` streams, and sees no copies.
    assert found == [
        row | {"copy_of": other["copy_of"]} for row, other in zip(rows, found, strict=True)
    ]
    assert {row["copy_of"] for row in rows} == {None}
    for row, cells in zip(rows, shown["csv"].cells, strict=True):
        assert list(row) == list(cells)
        assert all(flat(row[name]) == cells[name].removeprefix("'") for name in row)


def flat(value: object) -> str:
    """A value as a CSV holds it."""
    if isinstance(value, list):
        return ";".join(f"{v['name']}:{v['level']}" if isinstance(v, dict) else v for v in value)
    return "" if value is None else str(value)


def test_exact_paths_feed_back(hostile: Iq, shown: dict[str, Ran]) -> None:
    ran = hostile("score", "photos", "-f", "paths", "-0")
    names = ran.out.split(b"\0")[:-1]
    assert set(names) == {b"./photos/" + name for name in (*PICTURES, *ODD)}
    again = hostile("score", "-", "--from0", "-f", "jsonl", stdin=ran.out)
    assert again.code == 0
    assert [exact(row) for row in again.rows] == names
    scores = {exact(row): row["score"] for row in shown["jsonl"].rows}
    assert all(row["score"] == scores[exact(row)] for row in again.rows)


def test_a_list_of_plain_lines(hostile: Iq) -> None:
    ran = hostile("score", "-", "-f", "paths", stdin=b"photos/good.jpg\n\nphotos/deep.png\n")
    assert (ran.code, ran.out) == (0, b"./photos/good.jpg\n./photos/deep.png\n")


def test_paths_that_are_no_photos_are_reported(hostile: Iq) -> None:
    ran = hostile("score", "photos/pipe.jpg", "photos/empty.jpg", "photos/good.jpg")
    assert ran.code == 1
    assert ran.lines == [
        "iq: ./photos/pipe.jpg: it is neither a file nor a folder",
        "iq: ./photos/empty.jpg: empty file",
        "2 photos: 1 scored, 1 could not be read; 1 path passed over",
    ]
    lost = hostile("score", "photos/lost.jpg")
    assert (lost.code, lost.lines) == (
        2,
        ["iq: there is no file or folder ./photos/lost.jpg; check the name"],
    )


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_photo_without_rights(iq: Iq, roll: Path) -> None:
    (roll / "IMG_1.jpg").chmod(0)
    ran = iq("score", "photos")
    assert ran.code == 1
    assert "iq: ./photos/IMG_1.jpg: cannot be read: Permission denied" in ran.lines


def test_rank_puts_the_best_first_and_cuts(hostile: Iq) -> None:
    rows = hostile("rank", "photos", "-f", "jsonl").rows
    scored, failed = rows[:GOOD], rows[GOOD:]
    assert [row["rank"] for row in scored] == list(range(1, GOOD + 1))
    assert [row["score"] for row in scored] == sorted((r["score"] for r in scored), reverse=True)
    assert (scored[0]["percentile"], scored[-1]["percentile"]) == (100, 0)
    assert all(row["rank"] is None and row["error"] for row in failed)
    cut = hostile("rank", "photos", "-f", "jsonl", "--sort", "width", "--reverse", "--limit", "3")
    assert [row["width"] for row in cut.rows] == sorted((r["width"] for r in scored), reverse=True)[
        :3
    ]
    assert cut.lines[-1].startswith(f"{GOOD + len(BROKEN)} photos: {GOOD} ranked")


def test_quiet_leaves_results_and_errors(hostile: Iq) -> None:
    ran = hostile("score", "photos", "-q", "-f", "paths")
    assert len(ran.lines) == len(BROKEN)
    assert hostile("score", "photos/good.jpg", "-q").err == ""


def test_a_screen_that_knows_only_ascii(hostile: Iq) -> None:
    ran = hostile("score", "photos", PYTHONIOENCODING="ascii")
    assert ran.code == 1
    assert b"na\\xefve" in ran.out
    ran.out.decode("ascii")


def test_export_writes_a_file_and_overwrites_no_photo(hostile: Iq) -> None:
    photo = hostile.cwd / "photos" / "good.jpg"
    before = photo.read_bytes()
    refused = hostile("export", "photos", "-f", "csv", "-o", photo)
    assert refused.code == 2
    assert photo.read_bytes() == before
    (hostile.cwd / "all.csv").write_bytes((hostile.cwd / photo).read_bytes())
    misnamed = hostile("export", "photos", "-o", "all.csv")
    assert misnamed.lines == ["iq: ./all.csv exists and is no file of scores; give another name"]
    (hostile.cwd / "all.csv").write_bytes(b"")
    for _ in range(2):
        written = hostile("export", "photos", "-o", "all.csv")
    assert written.out == b""
    assert (hostile.cwd / "all.csv").read_bytes() == hostile("export", "photos").out
