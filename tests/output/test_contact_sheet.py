"""The contact sheet as a file: what it holds, in what order, and what it never says."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.contact_sheets import (
    CROP,
    HEADER,
    HOSTILE,
    THUMB,
    best_first,
    decided,
    entry,
    photo,
    walk,
    written,
)

from iqcli.cli.commands.contact_sheet import check_sheet
from iqcli.errors import IqError
from iqcli.fs.files import write_stream
from iqcli.output import contact_sheet, contact_sheet_data
from iqcli.records import FrameSet, Photo
from iqcli.text import escape

if TYPE_CHECKING:
    from support.cli_runner import Iq


class Parsed(HTMLParser):
    """The tags of a page, and the text of its scripts by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.found: list[dict[str, str | None]] = []
        self.scripts: dict[str | None, str] = {}
        self._script: str | None = None
        self._within = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.found.append({"tag": tag, **dict(attrs)})
        if tag == "script":
            self._within, self._script = True, dict(attrs).get("id")
            self.scripts[self._script] = ""

    def handle_endtag(self, tag: str) -> None:
        self._within = self._within and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._within:
            self.scripts[self._script] += data


def parsed(file: Path) -> Parsed:
    return Parsed(file.read_text("utf-8"))


def data(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(parsed(file).scripts["data"])
    return found


def names(file: Path) -> list[str]:
    return [each["name"] for each in data(file)["photos"]]


def titles(file: Path) -> list[str]:
    return [each["title"] for each in data(file)["sections"]]


def units(judged: list[Photo]) -> list[contact_sheet_data.Unit]:
    return contact_sheet_data.units([entry(decided(each)) for each in judged], best_first)


def test_photos_stand_in_bursts_under_days(tmp_path: Path) -> None:
    (file,) = written(tmp_path / "sheet.html", walk(tmp_path))
    found = data(file)
    assert titles(file) == ["Saturday, 4 May 2024", "Sunday, 5 May 2024", "Without a date"]
    shown = [
        [(flow["title"], [(u["title"], u["photos"]) for u in flow["units"]]) for flow in s["flows"]]
        for s in found["sections"]
    ]
    assert shown == [
        [("09:01–09:02", [(None, [0]), (None, [1])])],
        [("Scene of 4 · 10:00", [("Burst of 3", [2, 3, 4]), (None, [5])])],
        [("", [(None, [6])])],
    ]
    assert names(file)[2:5] == ["IMG_4.jpg", "IMG_3.jpg", "IMG_5.jpg"]
    assert [each["best"] for each in found["photos"]] == [0, 0, 3, 0, 0, 0, 0]


def test_a_photo_tells_all_that_is_known(tmp_path: Path) -> None:
    (file,) = written(tmp_path / "sheet.html", walk(tmp_path))
    found = data(file)["photos"]
    assert found[1]["score"] == 3.1
    assert found[1]["doubt"] == 0.7
    assert found[1]["decision"] == "reject"
    assert found[1]["reasons"] == ["score 3.1"]
    assert found[1]["issues"] == [{"name": "too_dark", "level": 4, "text": "badly too dark"}]
    assert found[1]["taken"] == "2024-05-04 09:02:00"
    assert found[1]["camera"] == "Canon EOS R6"
    assert found[6]["error"] == "it is cut off"
    assert found[6]["score"] is None


def test_a_set_has_no_best_frame(tmp_path: Path) -> None:
    frames = [
        Photo(
            each.shot,
            each.sha256,
            each.facts,
            rating=each.rating,
            group="b0001",
            frame_set=FrameSet.BRACKET,
        )
        for each in walk(tmp_path)[:3]
    ]
    (file,) = written(tmp_path / "sheet.html", frames)
    assert data(file)["sections"][0]["flows"][0]["units"][0]["title"] == "Bracket of 3, kept whole"
    assert names(file) == ["IMG_1.jpg", "IMG_2.jpg", "IMG_3.jpg"]
    assert not any(each["best"] for each in data(file)["photos"])


def test_a_scene_stays_together(tmp_path: Path) -> None:
    clock = "2024-05-04T09:00:{:02d}"
    scenes = ("s0001", None, "s0001", "s0002", "s0001", "s0002")
    mixed = [
        photo(tmp_path / f"{n}.jpg", 5, clock.format(n), scene=scene)
        for n, scene in enumerate(scenes)
    ]
    order = [unit.first.shot.path.stem for unit in units(mixed)]
    assert order == ["0", "2", "4", "1", "3", "5"]


def test_photos_stand_in_the_order_of_their_instants(tmp_path: Path) -> None:
    times = {
        "evening": "2024-05-04T19:00:00",  # where the offset is +02:00, by its neighbours
        "abroad": "2024-05-04T23:30:00+07:00",
        "home": "2024-05-04T18:00:00+02:00",
        "sent": "2024-05-04T16:15:00Z",
        "day alone": "2024-05-04",
    }
    roll = [photo(tmp_path / f"{name}.jpg", 5, taken) for name, taken in times.items()]
    order = [unit.first.shot.path.stem for unit in units(roll)]
    assert order == ["home", "sent", "abroad", "evening", "day alone"]


def test_a_day_alone_has_no_clock(tmp_path: Path) -> None:
    (file,) = written(tmp_path / "sheet.html", [photo(tmp_path / "a.jpg", 5, "2024-05-04")])
    assert titles(file) == ["Saturday, 4 May 2024"]
    assert data(file)["photos"][0]["taken"] == "2024-05-04"
    assert data(file)["sections"][0]["flows"][0]["title"] == ""


def test_a_time_that_is_none_is_no_day(tmp_path: Path) -> None:
    (file,) = written(tmp_path / "sheet.html", [photo(tmp_path / "a.jpg", 5, "yesterday")])
    assert titles(file) == ["Without a date"]
    assert data(file)["photos"][0]["taken"] is None


def test_pictures_are_held_once_and_whole(tmp_path: Path) -> None:
    (file,) = written(tmp_path / "sheet.html", walk(tmp_path))
    found = parsed(file)
    ids = found.scripts.keys() - {"data", None}
    blocks = {name: base64.b64decode(found.scripts[name]) for name in ids}
    assert len(blocks) == 12
    assert {blocks[f"thumb-{n}"] for n in range(6)} == {THUMB}
    assert {blocks[f"crop-{n}"] for n in range(6)} == {CROP}
    order = [each["id"] for each in found.found if str(each.get("id", "")).startswith(("th", "cr"))]
    assert order[-12:] == [f"thumb-{n}" for n in range(6)] + [f"crop-{n}" for n in range(6)]


def test_only_the_program_of_the_page_may_run(tmp_path: Path) -> None:
    (file,) = written(tmp_path / "sheet.html", walk(tmp_path))
    found = parsed(file)
    (policy,) = [each["content"] for each in found.found if each.get("http-equiv")]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    digest = hashlib.sha256(found.scripts[None].encode()).digest()
    assert f"script-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    style = re.search(r"<style>(.*?)</style>", file.read_text("utf-8"), re.S)
    assert style
    digest = hashlib.sha256(style[1].encode()).digest()
    assert f"style-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert not [each for each in found.found if each.get("style") or each.get("onclick")]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    plain = [photo(tmp_path / f"{n}.jpg", 5) for n in range(len(HOSTILE))]
    hostile = [photo(tmp_path / name, 5, camera=f"</script>{name}") for name in HOSTILE]
    (calm,) = written(tmp_path / "calm.html", plain)
    (file,) = written(tmp_path / "sheet.html", hostile)
    assert parsed(file).tags == parsed(calm).tags
    raw = re.search(r'id="data">(.*?)</script>', file.read_text("utf-8"), re.S)
    assert raw
    assert not set("<>&\u2028\u2029") & set(raw[1])
    assert set(names(file)) == {escape(name) for name in HOSTILE}
    cameras = {each["camera"] for each in data(file)["photos"]}
    assert cameras == {f"</script>{escape(name)}" for name in HOSTILE}


def test_a_title_and_a_file_name_are_text(tmp_path: Path) -> None:
    name = '"><script>alert(1)<script>'
    files = (f"{name}.html", os.fsdecode(b"a:\xff b-2.html"))
    title = contact_sheet.Title(name, HEADER, os.fsdecode(b"\xff") + name, files, 2)
    part = units([photo(tmp_path / "a.jpg")])
    text = b"".join(contact_sheet.render(title, 0, part, lambda *_: None)).decode()
    assert "the model \\xff&#34;&gt;" in text
    assert "<script>alert" not in text.replace(contact_sheet._text("keys.js"), "")
    links = [each["href"] for each in Parsed(text).found if each["tag"] == "a"]
    assert links == ["%22%3E%3Cscript%3Ealert%281%29%3Cscript%3E.html", "a%3A%FF%20b-2.html"]


def test_many_photos_become_several_files(tmp_path: Path) -> None:
    roll = [
        photo(tmp_path / f"{n:02}.jpg", n % 9 + 1, f"2024-05-04T09:{n:02}:00", group=f"b{n // 3}")
        for n in range(20)
    ]
    files = written(tmp_path / "sheet.html", roll, limit=7)
    assert [each.name for each in files] == [
        "sheet.html",
        "sheet-2.html",
        "sheet-3.html",
        "sheet-4.html",
    ]
    # No burst is cut.
    assert [len(names(each)) for each in files] == [6, 6, 6, 2]
    assert sorted(name for each in files for name in names(each)) == [
        each.shot.path.name for each in roll
    ]
    links = [each for each in parsed(files[1]).found if each["tag"] == "a"]
    assert [each["href"] for each in links] == [each.name for each in files]
    assert [each.get("aria-current") for each in links] == [None, "page", None, None]
    assert [data(each)["save"] for each in files] == [
        "decisions",
        "decisions-2",
        "decisions-3",
        "decisions-4",
    ]


def test_a_burst_larger_than_a_file_stays_whole(tmp_path: Path) -> None:
    roll = [photo(tmp_path / f"{n}.jpg", 5, group="b0001") for n in range(5)]
    assert [len(p) for p in contact_sheet_data.parts(units(roll), 2)] == [1]


def test_it_is_written_in_pieces(tmp_path: Path) -> None:
    part = units([photo(tmp_path / f"{n}.jpg") for n in range(40)])
    title = contact_sheet.Title("x", HEADER, "drawn", ("a.html",), 40)
    large = os.urandom(200_000)
    sizes = [len(piece) for piece in contact_sheet.render(title, 0, part, lambda *_: large)]
    assert sum(sizes) > 40 * 2 * 200_000 * 4 / 3
    assert max(sizes) < 2 * contact_sheet.CHUNK


def test_a_sheet_that_cannot_be_finished_leaves_the_old_one(
    tmp_path: Path,
) -> None:
    (file,) = written(tmp_path / "sheet.html", walk(tmp_path))
    before = file.read_bytes()

    def full(entry: object, name: str) -> bytes:
        raise OSError("no room")

    title = contact_sheet.Title("x", HEADER, "drawn", ("sheet.html",), 1)
    with pytest.raises(OSError, match="no room"):
        write_stream(file, contact_sheet.render(title, 0, units([photo(tmp_path / "a.jpg")]), full))
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {file.name: before}


def test_only_a_sheet_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "sheet.html"
    check_sheet(file)
    written(file, walk(tmp_path))
    check_sheet(file)
    file.write_bytes(file.read_bytes().replace(b"iq contact", b"my contact"))
    with pytest.raises(IqError, match="exists and is no contact sheet of iq; give another name"):
        check_sheet(file)
    with pytest.raises(IqError, match="is no contact sheet"):
        check_sheet(tmp_path)
    with pytest.raises(IqError, match="there is no folder"):
        check_sheet(tmp_path / "none" / "sheet.html")


def test_a_folder_that_takes_nothing_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(IqError, match=r"cannot write .*: its folder is not writable; give"):
        check_sheet(tmp_path / "sheet.html")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["export", "cull"])
def test_a_strangers_file_stops_a_run_before_it_begins(iq: Iq, roll: Path, command: str) -> None:
    file = iq.cwd / "notes.html"
    file.write_text("<p>mine</p>")
    ran = iq(command, "photos", "--html", "notes.html")
    assert ran.code == 2
    assert ran.err == ("iq: ./notes.html exists and is no contact sheet of iq; give another name\n")
    assert file.read_text() == "<p>mine</p>"
    assert not iq.cache.exists()
    assert iq(command, "photos", "--html", "none/sheet.html").code == 2


def test_it_is_built_from_every_file_of_its_room() -> None:
    there = {each.name for each in contact_sheet.FOLDER.iterdir()}
    assert there == {"sheet.html", "sheet.css", *contact_sheet.SCRIPTS}
