"""Places not to touch, from end to end: other programs' folders, and what a person excludes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.images import encoded, noise
from support.photo_trees import tree

if TYPE_CHECKING:
    from support.cli_runner import Iq, Ran

ALL = ("--below", "10", "--max-reject", "100%")
JPEG = encoded(noise(240, 180), "JPEG")
# Folders of other programs, each holding a photo.
OWNED = (
    "#recycle",
    "@Recycle",
    "RECYCLER",
    "$RECYCLE.BIN",
    "#snapshot",
    "lost+found",
    ".Trash-1000",
    ".Trashes",
    "Temporary Items",
    "@eaDir",
    "@__thumb",
    ".@__thumb",
    ".thumbnails",
    "Old.aplibrary/Masters",
    "iPhoto Library.photolibrary/Originals",
    "Photos.migratedphotolibrary/x",
    "Photos Library.photoslibrary/originals",
    "L.lrlibrary",
    "Previews.lrdata",
    "Session.cocatalog/x",
    "CaptureOne/Cache/Thumbnails",
    "node_modules",
    ".git",
)
LIBRARY = "photos/Photos Library.photoslibrary/originals"
WAY_OUT = (
    "lies in Photos Library.photoslibrary, which belongs to Apple Photos; "
    "export the originals from Photos first"
)


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(JPEG if path.suffix == ".jpg" else b"")


def paths(ran: Ran) -> list[str]:
    return ran.out.decode().splitlines()


@pytest.fixture
def photos(iq: Iq) -> Path:
    return iq.cwd / "photos"


@pytest.fixture
def library(iq: Iq, photos: Path) -> Path:
    """A photo of the person's, one in a library beside it, and one with the name of a cache."""
    put(photos, "a.jpg", "thumbs/b.jpg")
    put(iq.cwd / LIBRARY, "c.jpg", "d.jpg")
    return iq.cwd / LIBRARY


def test_folders_of_other_programs_are_passed_over_and_counted(iq: Iq, photos: Path) -> None:
    mine = ("a.jpg", "Thumbnails/b.jpg", "darktable_exported/c.jpg", "thumbs/d.jpg")
    put(photos, *mine, *(f"{folder}/IMG_1.jpg" for folder in OWNED))
    ran = iq("score", "photos", "-f", "paths")
    assert (ran.code, set(paths(ran))) == (0, {f"./photos/{name}" for name in mine})
    first, *libraries, counts = ran.lines
    assert first.startswith(f"{len(OWNED)} folders of other programs passed over: #recycle, #sna")
    assert first.endswith(" and 11 other names")
    assert libraries == [
        f"./photos/{name}: export originals from {program} first"
        for name, program in (
            ("L.lrlibrary", "Lightroom"),
            ("Old.aplibrary", "Aperture"),
            ("Photos Library.photoslibrary", "Photos"),
            ("Photos.migratedphotolibrary", "iPhoto"),
            ("Session.cocatalog", "Capture One"),
            ("iPhoto Library.photolibrary", "iPhoto"),
        )
    ]
    assert counts == "4 photos: 4 scored"
    assert iq("score", "photos", "--quiet", "-f", "paths").lines == []
    every = iq("score", "photos", "--no-default-excludes", "-f", "paths")
    assert len(paths(every)) == len(mine) + len(OWNED)


def test_a_folder_of_which_nothing_is_left_says_why(iq: Iq, photos: Path) -> None:
    put(photos, "@eaDir/a.jpg", "x/@eaDir/b.jpg", ".private/c.jpg")
    ran = iq("rank", "photos")
    assert (ran.code, ran.lines) == (
        3,
        [
            "2 folders of other programs passed over: @eaDir (2)",
            "1 hidden folder passed over: .private",
            "iq: no photo in ./photos",
        ],
    )


WRITES = (
    ("cull", "{}", *ALL, "--apply"),
    ("export", "{}", "--xmp"),
    ("cull", "{}", *ALL, "--plan", "plan.jsonl"),
    ("cull", "{}", *ALL, "--action", "copy", "--apply"),
    ("cull", "{}", *ALL, "--xmp", "--apply"),
    ("export", "{}", "--output", "{}/scores.csv"),
    ("export", "{}", "--html", "{}/sheet.html"),
    ("cull", "photos/a.jpg", *ALL, "--plan", "{}/plan.jsonl"),
    ("explain", "{}/c.jpg", "--heatmap", "{}/map.png"),
)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        *(("folder", words) for words in WRITES),
        *((given, words) for given in ("photo", "inside", "link") for words in WRITES[:2]),
    ],
    ids=str,
)
def test_nothing_is_written_in_a_library(
    iq: Iq, library: Path, given: str, words: tuple[str, ...]
) -> None:
    (iq.cwd / "link").symlink_to(library)
    places = {"inside": ".", "link": "link", "photo": f"{LIBRARY}/c.jpg"}
    named = [word.replace("{}", places.get(given, LIBRARY)) for word in words]
    if given == "inside":
        iq.cwd = library
    before = tree(iq.cwd)
    ran = iq(*named)
    assert ran.code == 2
    assert ran.lines[-1].startswith("iq: ")
    assert WAY_OUT in ran.lines[-1]
    assert tree(iq.cwd) == before
    assert not iq.state.exists()


def test_what_is_named_is_scored_and_a_dry_run_says_what_apply_would(iq: Iq, library: Path) -> None:
    ran = iq("score", LIBRARY, "-f", "paths")
    assert (ran.code, paths(ran)) == (0, [f"./{LIBRARY}/c.jpg", f"./{LIBRARY}/d.jpg"])
    assert paths(iq("score", f"{LIBRARY}/d.jpg", "-f", "paths")) == [f"./{LIBRARY}/d.jpg"]
    dry = iq("cull", LIBRARY, *ALL)
    assert dry.code == 0
    assert "nothing has moved yet, and --apply would refuse it: " in dry.lines[-1]
    assert dry.lines[-1].endswith(WAY_OUT)


@pytest.mark.parametrize("words", [("cull", *ALL, "--apply"), ("export", "--xmp")], ids=" ".join)
@pytest.mark.parametrize("how", ["--no-default-excludes", "listed", "below"])
def test_no_way_leads_around_the_guard(
    iq: Iq, library: Path, words: tuple[str, ...], how: str
) -> None:
    before = tree(iq.cwd)
    command, *options = words
    if how == "listed":
        ran = iq(command, "-", *options, stdin=f"photos/a.jpg\n{LIBRARY}/c.jpg\n".encode())
    elif how == "below":
        (iq.cwd / "photos" / "link").symlink_to(library)
        before = tree(iq.cwd)
        ran = iq(command, "photos", "-L", "--no-default-excludes", *options)
    else:
        ran = iq(command, "photos", how, *options)
    assert ran.code in (2, 4)
    assert "Photos Library.photoslibrary" in ran.lines[-1] or "outside" in ran.lines[-1]
    assert tree(iq.cwd) == before


@pytest.mark.skipif(not shutil.which("exiftool"), reason="needs exiftool")
def test_no_part_is_left_beside_the_photos_of_a_library(iq: Iq, library: Path) -> None:
    before = tree(iq.cwd)
    ran = iq("export", "photos", "--no-default-excludes", "--xmp", "--embed")
    assert (ran.code, WAY_OUT in ran.lines[-1]) == (2, True)
    assert tree(iq.cwd) == before


@pytest.mark.parametrize("name", ["#recycle", "#snapshot", "@eaDir", "L.lrlibrary", ".git"])
def test_nothing_moves_out_of_any_such_folder(iq: Iq, photos: Path, name: str) -> None:
    put(photos, f"{name}/2024/a.jpg")
    before = tree(iq.cwd)
    ran = iq("cull", photos / name / "2024", *ALL, "--apply")
    assert ran.code == 2
    assert f"/2024 lies in {name}, which " in ran.lines[-1]
    assert ran.lines[-1].endswith((" first", "photos themselves"))
    assert tree(iq.cwd) == before


def test_a_plan_or_decisions_from_elsewhere_change_no_library(iq: Iq, library: Path) -> None:
    """As of an earlier version, or forged: the folder was a person's when the plan was made."""
    free = iq.cwd / "Photos"
    shutil.copytree(library, free)
    assert iq("cull", "Photos", *ALL, "--plan", "plan.jsonl").code == 0
    text = (
        (iq.cwd / "plan.jsonl").read_text().replace(json.dumps(str(free)), json.dumps(str(library)))
    )
    (iq.cwd / "plan.jsonl").write_text(text)
    before = tree(iq.cwd)
    for apply in ((), ("--apply",)):
        ran = iq("cull", "--from-plan", "plan.jsonl", *apply)
        assert (ran.code, WAY_OUT in ran.lines[-1]) == (2, True)
    assert tree(iq.cwd) == before


def test_undo_still_takes_back_what_was_done_there(iq: Iq, photos: Path) -> None:
    """By an earlier version, say, that knew nothing of the program."""
    put(photos, "year/a.jpg", "year/b.jpg")
    before = tree(photos)
    assert iq("cull", "photos/year", *ALL, "--apply").code == 0
    put(photos, "year/.immich")
    assert iq("cull", "photos/year", *ALL, "--apply").code == 2
    assert iq("undo").code == 0
    (photos / "year/.immich").unlink()
    assert tree(photos) == before


def test_what_a_person_excludes_is_passed_over_and_counted(iq: Iq, photos: Path) -> None:
    put(photos, "a.jpg", "b_edit.jpg", "drafts/c.jpg", "cache/d.jpg", "cache/.nomedia", "e/f.jpg")
    (photos / ".iqignore").write_text("e/\n")
    ran = iq("score", "photos", "--exclude", "*_edit.jpg", "--exclude", "drafts/", "-f", "paths")
    assert (ran.code, paths(ran)) == (0, ["./photos/a.jpg"])
    assert ran.lines == [
        "1 folder and 1 photo passed over by --exclude",
        "1 folder passed over by .iqignore",
        "1 folder passed over by .nomedia",
        "1 photo: 1 scored",
    ]
    before = tree(photos)
    assert iq("cull", "photos", *ALL, "--exclude", "*_edit.jpg", "--apply").code == 0
    moved = {name for name in tree(photos) if name.startswith(b"_Rejected/")}
    assert {Path(os.fsdecode(name)).name for name in moved} >= {"a.jpg", "c.jpg"}
    assert not any(b"edit" in name or b"cache" in name or b"/e" in name for name in moved)
    assert iq("undo").code == 0
    assert tree(photos) == before


def test_excludes_of_the_settings_add_up(iq: Iq, photos: Path) -> None:
    put(photos, *(f"{name}.jpg" for name in "abcde"))
    config = iq.cwd / "config.toml"
    config.write_text('exclude = ["a.jpg"]')
    (photos / ".iq.toml").write_text('exclude = ["b.jpg"]')
    ran = iq(
        *("score", "photos", "-f", "paths", "--exclude", "d.jpg", "--exclude", "!a.jpg"),
        IQ_CONFIG=str(config),
        IQ_EXCLUDE="c.jpg",
    )
    assert paths(ran) == ["./photos/a.jpg", "./photos/e.jpg"]
    shown = iq("doctor", "photos", "-f", "json", IQ_CONFIG=str(config))
    (row,) = (e for e in json.loads(shown.out)["settings"] if e["setting"] == "exclude")
    assert row["value"] == "a.jpg, b.jpg"
    assert row["from"] == f"{config}, {photos / '.iq.toml'}"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--exclude", "!"), "--exclude is ['!']; '!' is no pattern as in .gitignore"),
        (("--exclude", "["), None),
    ],
)
def test_a_pattern_that_is_none(iq: Iq, photos: Path, words: tuple[str], says: str | None) -> None:
    put(photos, "a.jpg")
    ran = iq("score", "photos", *words)
    assert ran.code == (2 if says else 0)
    assert says is None or ran.lines == [f"iq: {says}"]


def test_a_photo_that_is_named_and_excluded(iq: Iq, photos: Path) -> None:
    put(photos, "a.jpg", "b.jpg")
    assert paths(
        iq("score", "photos/a.jpg", "photos/b.jpg", "--exclude", "a.*", "-f", "paths")
    ) == ["./photos/b.jpg"]
    ran = iq("explain", "photos/a.jpg", "--exclude", "a.*")
    assert (ran.code, ran.lines) == (
        2,
        ["iq: ./photos/a.jpg is excluded, by --exclude or your settings; lift that"],
    )
    assert "number 1 of 1 in" in iq("explain", "photos/a.jpg", "--exclude", "b.*").out.decode()


def test_a_folder_of_links_says_how_to_follow_them(iq: Iq, photos: Path) -> None:
    put(iq.cwd, "real/a.jpg", "real/b.jpg")
    (photos / "a.jpg").symlink_to(iq.cwd / "real/a.jpg")
    (photos / "more").symlink_to(iq.cwd / "real")
    ran = iq("score", "photos")
    assert (ran.code, ran.lines) == (
        3,
        ["iq: no photo in ./photos, but 2 links; give -L to follow links"],
    )
    assert iq("score", "photos", "--quiet").lines == ran.lines
    assert iq("score", "photos", "-L").lines == ["3 photos: 3 scored"]
    put(photos, "c.jpg")
    assert iq("score", "photos").lines == [
        "2 links not followed; give -L to follow links",
        "1 photo: 1 scored",
    ]


def test_videos_are_counted_and_never_moved_alone(iq: Iq, photos: Path) -> None:
    put(photos, "IMG_1.jpg", "IMG_1.MOV", "film.mp4", "day/talk.avi", "day/talk.xmp")
    ran = iq("cull", "photos", *ALL, "--apply")
    assert ran.code == 0
    assert ran.lines[:2] == [
        "2 videos left alone: iq scores and moves photos",
        "1 photo: 1 scored",
    ]
    stays = {"film.mp4", "day/talk.avi", "day/talk.xmp"}
    assert all((photos / name).exists() for name in stays)
    assert (photos / "_Rejected" / "IMG_1.MOV").exists()
    assert iq("undo").code == 0
    (photos / "IMG_1.jpg").unlink()
    before = tree(photos)
    only = iq("cull", "photos", *ALL, "--apply")
    assert (only.code, only.lines) == (
        3,
        ["3 videos left alone: iq scores and moves photos", "iq: no photo in ./photos"],
    )
    named = iq("cull", "photos/film.mp4", *ALL, "--apply")
    assert (named.code, tree(photos)) == (1, before)


def test_pictures_of_no_photo_format_are_counted_and_photos_that_fail_named(
    iq: Iq, photos: Path
) -> None:
    put(photos, "a.jpg", "drawn/b.svg", "drawn/c.SVG", "drawn/logo.eps")
    quiet = iq("score", "photos")
    assert (quiet.code, quiet.lines) == (
        0,
        ["3 pictures in formats iq does not read: 2 SVG, 1 EPS", "1 photo: 1 scored"],
    )
    (photos / "x.jxr").write_bytes(b"II\xbc\x01" + b"\0" * 40)
    (photos / "IMG_2").write_bytes(b"v/1\x01" + b"\0" * 40)  # known by its content
    (photos / "y.jpg").write_bytes(b"<svg/>")
    loud = iq("score", "photos")
    assert (loud.code, loud.lines) == (
        1,
        [
            "iq: ./photos/IMG_2: OpenEXR, which iq does not read; convert it",
            "iq: ./photos/x.jxr: JPEG XR, which iq does not read; convert it",
            "iq: ./photos/y.jpg: not a picture iq can read (it looks like SVG)",
            "3 pictures in formats iq does not read: 2 SVG, 1 EPS",
            "4 photos: 1 scored, 3 could not be read",
        ],
    )
    only = iq("score", "photos/drawn")
    assert (only.code, only.lines) == (
        3,
        [
            "3 pictures in formats iq does not read: 2 SVG, 1 EPS",
            "iq: no photo in ./photos/drawn",
        ],
    )


def test_a_second_run_opens_no_photo_and_no_rules_are_loaded(iq: Iq, photos: Path) -> None:
    put(photos, "a.jpg", "b/c.jpg", "@eaDir/d.jpg", "P.photoslibrary/originals/e.jpg", "film.mp4")
    for path in photos.rglob("*"):
        os.utime(path, ns=(1_600_000_000_000_000_000,) * 2)
    assert iq("score", "photos").code == 0
    ran, opened, loaded = iq.spied("score", "photos")
    assert ran.code == 0
    assert not [name for name in opened if name.endswith((".jpg", ".mp4"))]
    assert "pathspec" not in loaded
    assert "torch" not in loaded
