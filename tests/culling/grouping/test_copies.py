"""Copies: which photos hold one picture, and which of them is the original."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from support.drawn_scenes import blocks_of, texture
from support.drawn_scenes import photo as real
from support.frames import frame
from support.images import encoded, read

from iqcli.culling.decide import decide
from iqcli.culling.grouping.copies import with_copies
from iqcli.culling.grouping.group import group, sections
from iqcli.culling.rules import Protection, Quota, Rule
from iqcli.extractors.perceptual_hash import BLOCKS, likeness_of
from iqcli.records import (
    BrokenFile,
    CopyKind,
    Facts,
    FileStamp,
    FrameSet,
    Likeness,
    Marks,
    Photo,
    Rating,
    Shot,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.records import Pixels

ROOT = Path("photos")
PLACES = {"WA": "WhatsApp Images/IMG-20240504-WA0001.jpg", "camera": "DCIM/IMG_1031.HEIC"}


@cache
def likeness(name: str, how: str = "whole") -> tuple[Likeness, tuple[int, int]]:
    """The likeness and the size of a picture as a JPEG, after a change."""
    picture = texture(int(name)) if name.isdigit() else real(name)
    data = encoded(changed(picture, how), "JPEG", quality=60 if how == "encoded" else 95)
    facts, views = read(data)
    found = likeness_of(blocks_of(views.detail, *BLOCKS))
    assert found
    return found, (facts.width, facts.height)


def changed(picture: Pixels, how: str) -> Pixels:
    height, width = picture.shape[:2]
    if how == "half":
        return cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    if how == "cropped":
        y, x = round(0.06 * height), round(0.06 * width)
        return np.ascontiguousarray(picture[y : height - y // 3, x:])
    if how == "shifted":  # another frame: as much comes in as goes out
        return np.roll(picture, width // 25, axis=1)
    if how == "words":  # a screen on which something else is written
        written = picture.copy()
        written[height // 3 : height // 3 + 16, width // 3 : width // 3 + 24] = 255
        return written
    if how == "number":  # a form on which another number is written
        written = np.full((1500, 1080, 3), 255, np.uint8)
        for line in range(20):
            number = int(picture[0, 0, 0]) * 7919 % 90000 + 10000 if line == 5 else 12345
            words = f"Field {line}   {number}"
            cv2.putText(written, words, (80, 200 + 60 * line), 0, 0.8, (0, 0, 0), 2)
        return written
    if how == "grey":
        return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    if how == "cut":  # as a decoder fills what is missing
        cut = picture.copy()
        cut[height * 2 // 3 :] = 128
        return cut
    if how == "darker":
        return (picture * 0.75).astype(np.uint8)
    return picture


def shot(
    name: str,
    thing: str = "coffee.png",
    how: str = "whole",
    *,
    sha: str | None = None,
    companions: Sequence[str] = (),
    score: float = 5.0,
    marks: Marks = Marks(),
    bytes_: int = 100_000,
    time: int = 0,
    inode: int = 0,
    **facts: object,
) -> Photo:
    like, size = likeness(thing, how)
    path = ROOT / name
    return Photo(
        Shot(ROOT, path, tuple(ROOT / each for each in companions)),
        sha or name,
        Facts(*size, **{"format": "jpeg"} | facts),  # type: ignore[arg-type]
        marks,
        Rating(score, 1.0, "m"),
        file=FileStamp(bytes_, time, 1, inode),
        likeness=like,
    )


def copies(*photos: Photo) -> dict[str, tuple[str, CopyKind]]:
    """By the names of the copies: of which photo, and how they differ; the same in any order."""
    found = with_copies(photos)
    mixed = random.Random(1).sample(photos, len(photos))
    again = {each.shot.path: each.copy for each in with_copies(mixed)}
    assert again == {each.shot.path: each.copy for each in found}
    named = {each.shot.path.name: each.copy for each in found}
    return {name: (each.of.name, each.kind) for name, each in named.items() if each}


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("encoded", CopyKind.SAME),
        ("half", CopyKind.SAME),
        ("cropped", CopyKind.CROPPED),
        ("grey", CopyKind.RECOLOURED),
        ("darker", CopyKind.RECOLOURED),
    ],
)
@pytest.mark.parametrize("thing", ["coffee.png", "chelsea.png", "astronaut.png", "7"])
def test_a_changed_picture_is_a_copy(thing: str, how: str, kind: CopyKind) -> None:
    found = copies(shot("a/first.jpg", thing), shot("b/second.jpg", thing, how, bytes_=20_000))
    assert found == {"second.jpg": ("first.jpg", kind)}


def test_different_pictures_are_no_copies() -> None:
    things = ["coffee.png", "chelsea.png", "astronaut.png", *map(str, range(12))]
    assert copies(*(shot(f"{name}.jpg", name) for name in things)) == {}


def test_files_that_are_no_pictures_are_no_copies() -> None:
    empty = [replace(shot(f"{k}.jpg", sha="e"), facts=None, likeness=None) for k in range(2)]
    assert copies(*empty) == {}


def test_another_frame_is_no_copy() -> None:
    assert copies(shot("1.jpg", "7"), shot("2.jpg", "7", "shifted")) == {}
    assert copies(shot("1.jpg"), shot("2.jpg", how="shifted")) == {}
    assert copies(shot("1.jpg"), shot("2.jpg", how="words")) == {}


def test_forms_with_other_numbers_are_no_copies() -> None:
    forms = [shot(f"{number}.png", str(number), "number") for number in range(4)]
    assert copies(*forms) == {}


def test_plain_pictures_are_no_copies() -> None:
    plain = likeness_of(blocks_of(np.full((480, 640, 3), 40, np.uint8), *BLOCKS))
    photos = [replace(shot(f"{k}.jpg", str(k)), likeness=plain) for k in range(3)]
    assert copies(*photos) == {}


def test_frames_of_one_camera_with_times_of_their_own_are_no_copies() -> None:
    def frame(name: str, taken: str, **facts: object) -> Photo:
        return shot(name, camera="Apple iPhone 12", taken=taken, **facts)

    noon, later = "2024-05-01T12:00:00", "2024-05-01T12:00:10"
    assert copies(frame("1.jpg", noon), frame("2.jpg", later)) == {}
    assert copies(frame("1.jpg", noon + ".10"), frame("2.jpg", noon + ".20")) == {}
    # A clock without parts of a second: the names are a camera's, and differ.
    assert copies(frame("IMG_1031.jpg", noon), frame("IMG_1032.jpg", noon)) == {}
    assert copies(frame("1.jpg", noon, exposure=3.0), frame("2.jpg", noon, exposure=5.0)) == {}
    # One photo, exported again or by a program that set the clock to another zone.
    assert copies(frame("IMG_1031.jpg", noon), frame("x IMG_1031.jpg", noon)) != {}
    assert copies(frame("1.jpg", noon), frame("2.jpg", "2024-05-01T10:00:00")) != {}
    assert copies(frame("IMG_1031.jpg", noon), frame("IMG_1032.jpg", noon, how="half")) != {}
    # Equal bytes are one picture, whatever the times of the files.
    assert copies(frame("1.jpg", noon), shot("2.jpg", sha="1.jpg", time=9)) != {}


def test_frames_of_one_burst_by_its_name_are_no_copies() -> None:
    names = [f"IMG_20231014_183246_BURST00{k}.jpg" for k in (1, 2)]
    assert copies(*map(shot, names)) == {}
    assert copies(shot(names[0]), shot(f"b/{names[0]}")) != {}


def test_a_photo_of_an_earlier_cache_is_compared_by_its_light() -> None:
    old = shot("old.jpg")
    assert old.likeness
    old = replace(old, likeness=replace(old.likeness, grey=None))
    assert copies(old, shot("new.jpg", how="half")) == {"new.jpg": ("old.jpg", CopyKind.SAME)}
    # Colours that are not known may be other ones.
    unknown = replace(old, likeness=Likeness(old.likeness.light))
    assert copies(unknown, shot("new.jpg", how="half"))["new.jpg"][1] is CopyKind.RECOLOURED


CAMERA = {"camera": "Apple iPhone 12"}
KEPT = [
    # RAW before JPEG, as its own or beside it.
    (shot("a.dng", format="dng"), shot("b.jpg", **CAMERA)),
    (shot("a.jpg", companions=["a.CR2"]), shot("b.jpg", **CAMERA)),
    # What a camera wrote before what lost that, and its own format before another.
    (shot("b.jpg", how="half", **CAMERA), shot("a.jpg")),
    (shot("b.heic", format="heif", **CAMERA), shot("a.jpg", bytes_=900_000, **CAMERA)),
    (shot("b.jpg", **CAMERA), shot("a.png", format="png", bytes_=900_000, **CAMERA)),
    # More pixels; less recompressed; nothing lost.
    (shot("b.jpg"), shot("a.jpg", how="half", bytes_=900_000)),
    (shot("b.jpg", bytes_=200_000), shot("a.jpg", bytes_=100_000)),
    (shot("b.png", format="png", bytes_=90_000), shot("a.jpg", bytes_=100_000)),
    # A few bytes more tell nothing: saved again at a higher quality, a photo grows.
    (shot("IMG_1.jpg", bytes_=100_000), shot("x.jpg", bytes_=190_000)),
    # A name of its own before a messenger's; the oldest time.
    (shot("beach.jpg"), shot("IMG-20240504-WA0001.jpg")),
    (shot("b.jpg", taken="2020-01-01T10:00:00"), shot("a.jpg", taken="2021-01-01T10:00:00")),
    # By the instant; a clock that was never set says nothing, and a day less than a moment of it.
    (
        shot("b.jpg", taken="2020-01-01T12:00:00+02:00"),
        shot("a.jpg", taken="2020-01-01T11:00:00+00:00"),
    ),
    (shot("b.jpg", taken="2020-01-01T10:00:00"), shot("a.jpg", taken="1970-01-01T00:00:00")),
    (shot("b.jpg", taken="2020-01-01T10:00:00"), shot("a.jpg", taken="2020-01-01")),
    (shot("beach.jpg"), shot("photo_1@02-01-2020_03-04-05.jpg")),
    (shot("beach.jpg"), shot("IMG_1577934245000.jpg")),
    # Whole before damaged, a person's mark before anything.
    (shot("b.jpg", how="half"), shot("a.jpg", damage=0.01, **CAMERA)),
    (shot("b.jpg", how="half", marks=Marks(1)), shot("a.dng", format="dng", **CAMERA)),
    # Equal bytes: with its film, a camera's name, the oldest file, the shortest path.
    (shot("z/x.jpg", sha="s", time=9, companions=["z/x.mov"]), shot("IMG_1.jpg", sha="s")),
    (shot("z/IMG_1031.jpg", sha="s", time=9), shot("copy.jpg", sha="s", time=1)),
    (shot("z/x.jpg", sha="s", time=1), shot("x.jpg", sha="s", time=9)),
    (shot("z.jpg", sha="s"), shot("a/z.jpg", sha="s")),
]


@pytest.mark.parametrize(("original", "copy"), KEPT)
@pytest.mark.parametrize("score", [1.0, 9.0])
def test_the_most_original_is_kept_whatever_it_scores(
    original: Photo, copy: Photo, score: float
) -> None:
    copy = replace(copy, rating=Rating(score, 1.0, "m"))
    found = with_copies([copy, original])
    assert found[1].copy is None
    assert found[0].copy and found[0].copy.of == original.shot.path


def test_a_second_name_of_a_file_is_no_copy_to_remove() -> None:
    names = [shot(f"{name}.jpg", sha="s", inode=7) for name in "abc"]
    other = shot("other.jpg", sha="s", inode=8)
    found = with_copies([*names, other])
    kinds = [each.copy and each.copy.kind for each in found]
    assert kinds == [None, CopyKind.LINK, CopyKind.LINK, CopyKind.EXACT]
    result = decide(found, Rule(duplicates=True))
    assert [each.verdict for each in result] == [Verdict.KEEP] * 3 + [Verdict.REJECT]
    assert result[2].reasons[-1] == "another name of ./photos/a.jpg"
    # One file goes with all its names, or stays with them, and counts once.
    gone = decide(found[:3], Rule(below=6.0))
    assert [each.verdict for each in gone] == [Verdict.REJECT] * 3
    assert [each.verdict for each in decide(found[:3], Rule(worst=Quota(1)))] == [
        Verdict.REJECT
    ] * 3


def test_another_name_of_a_copy_is_no_second_copy() -> None:
    """It counts once, and goes or stays with its first name."""
    photos = [shot("a.jpg", bytes_=200_000), shot("b.jpg", how="half", sha="h", inode=7)]
    photos += [shot("c.jpg", how="half", sha="h", inode=7)]
    found = with_copies(photos)
    first, second = found[1].copy, found[2].copy
    assert first and second
    assert (first.kind, second.kind, second.link) == (
        CopyKind.SAME,
        CopyKind.LINK,
        found[1].shot.path,
    )
    assert {first.of, second.of} == {found[0].shot.path}
    assert [each.scene for each in group(found)] == [None] * 3
    result = decide(found, Rule(duplicates=True))
    assert [each.verdict for each in result] == [Verdict.KEEP, Verdict.REJECT, Verdict.REJECT]
    assert result[2].reasons[-1] == "another name of ./photos/b.jpg"
    [part] = sections(found, "copies")
    assert len(part) == 3


def test_frames_of_a_set_are_no_copies_of_each_other() -> None:
    """However alike they are, and whether or not a camera is known: twelve of a still thing."""
    still = shot("0.jpg").likeness
    frames = [
        replace(frame(f"IMG_{k}.jpg", 4 * k, camera=None, exact=False), likeness=still)
        for k in range(12)
    ]
    found = group(with_copies(frames))
    assert {(each.frame_set, each.copy) for each in found} == {(FrameSet.TIMELAPSE, None)}


def test_a_set_that_was_copied_whole_goes_whole() -> None:
    def bracketed(folder: str, number: int, ev: float) -> Photo:
        facts = {"taken": f"2024-05-01T12:00:0{number}", "bias": ev, "exposure": 3 + ev}
        name = f"IMG_{number}.jpg"
        return shot(f"{folder}/{name}", str(number), sha=name, camera="Maker One", **facts)

    frames = [
        bracketed(folder, k, ev)
        for folder in ("a", "a/copied")
        for k, ev in ((1, -2), (2, 0), (3, 2))
    ]
    found = group(with_copies(frames))
    assert {each.frame_set for each in found} == {FrameSet.BRACKET}
    kept = [Verdict.KEEP] * 3
    gone = [each.verdict for each in decide(found, Rule(duplicates=True))]
    assert gone == kept + [Verdict.REJECT] * 3
    # Another rule takes no part of either.
    assert [each.verdict for each in decide(found, Rule(below=9.0))] == kept * 2


@pytest.mark.parametrize("thing", ["coffee.png", "chelsea.png", "7"])
def test_a_damaged_copy_loses_to_the_whole_one(thing: str) -> None:
    cut = shot("DSC_0001.jpg", thing, "cut", damage=0.3, bytes_=900_000, **CAMERA)
    others = [shot(f"{name}.jpg", name) for name in ("astronaut.png", "8", "9")]
    found = copies(cut, shot("half.jpg", thing, "half"), *others)
    assert found == {"DSC_0001.jpg": ("half.jpg", CopyKind.SAME)}


def test_copies_of_copies_name_the_original() -> None:
    first = shot("first.jpg", bytes_=200_000)
    half = shot("half.jpg", how="half")
    equal = shot("half (1).jpg", how="half", sha="half.jpg", time=5)
    same = {"half.jpg", "half (1).jpg"}
    assert copies(first, half, equal) == dict.fromkeys(same, ("first.jpg", CopyKind.SAME))


def decided(*photos: Photo, rule: Rule, protect: Protection = Protection()) -> dict[str, str]:
    found = group(with_copies(photos, protect))
    return {
        each.photo.shot.path.name: f"{each.verdict}: {'; '.join(each.reasons)}"
        for each in decide(found, rule, protect)
    }


def test_duplicates_rejects_copies_and_leaves_edits_for_review() -> None:
    camera = replace(
        shot("IMG_1031.HEIC", bytes_=300_000), shot=Shot(ROOT, Path("DCIM/IMG_1031.HEIC"))
    )
    found = decided(
        camera,
        shot("half.jpg", how="half", score=9.0),
        shot("equal.jpg", sha="IMG_1031.HEIC"),
        shot("cropped.jpg", how="cropped"),
        shot("grey.jpg", how="grey"),
        shot("starred.jpg", how="half", marks=Marks(4)),
        shot("cat.jpg", "chelsea.png"),
        rule=Rule(duplicates=True),
        protect=Protection(marked=False),
    )
    of = "of ./DCIM/IMG_1031.HEIC"
    assert found == {
        "IMG_1031.HEIC": "keep: no copy of another photo",
        "half.jpg": f"reject: copy {of}",
        "equal.jpg": f"reject: copy {of}",
        "cropped.jpg": f"review: cropped copy {of}",
        "grey.jpg": f"review: copy {of} in other colours",
        "starred.jpg": f"reject: copy {of}",
        "cat.jpg": "keep: no copy of another photo",
    }


def test_a_protected_copy_is_the_original_and_protects_no_other() -> None:
    found = decided(
        shot("big.jpg", **CAMERA),
        shot("starred.jpg", how="half", marks=Marks(4)),
        rule=Rule(duplicates=True),
    )
    assert found["starred.jpg"].startswith("keep: rated 4 stars")
    assert found["big.jpg"] == "reject: copy of ./photos/starred.jpg"


def test_other_rules_go_with_duplicates() -> None:
    photos = [shot("1.jpg", score=9.0), shot("2.jpg", how="half", score=8.0)]
    photos += [shot(f"{k}.jpg", str(k), score=3.0 + k / 10) for k in range(3, 6)]
    found = decided(*photos, rule=Rule(worst=Quota.parse("20%"), duplicates=True))
    gone = {name for name, each in found.items() if each.startswith("reject")}
    assert gone == {"2.jpg", "3.jpg"}
    assert str(Rule(worst=Quota.parse("20%"), duplicates=True)) == "worst 20% or duplicates"


def test_copies_count_once_in_a_burst() -> None:
    def part_of(name: str, part: int, **more: object) -> Photo:
        more = {"camera": "Apple iPhone 12", "burst": "apple:U"} | more
        return shot(name, taken=f"2024-05-01T12:00:00.{part}", **more)

    best, worse = part_of("1.jpg", 1, score=8.0), part_of("2.jpg", 2, score=6.0)
    found = decided(
        best,
        worse,
        part_of("3.jpg", 1, sha="1.jpg", score=8.0),
        rule=Rule(keep=Quota.parse("2"), per="burst"),
    )
    assert {name: each[:4] for name, each in found.items()} == {
        "1.jpg": "keep",
        "2.jpg": "keep",
        "3.jpg": "reje",
    }
    alone = decided(shot("a.jpg"), shot("b.jpg", how="half"), rule=Rule(keep=Quota(1), per="burst"))
    assert alone["a.jpg"].startswith("keep") and alone["b.jpg"] == "reject: copy of ./photos/a.jpg"


def test_a_burst_of_copies_is_a_burst_of_its_own() -> None:
    """As in a folder that was copied whole: none of it goes but what goes of the first."""
    names = ("IMG_1.jpg", "IMG_2.jpg")
    frames = [
        shot(f"{folder}/{name}", sha=name, taken=f"2024-05-01T12:00:00.{part}", burst="apple:U")
        for folder in ("a", "a/copied")
        for part, name in enumerate(names)
    ]
    found = group(with_copies([*frames, shot("x.jpg", how="half")]))
    assert [each.group for each in found] == ["b0001", "b0001", "b0002", "b0002", None]
    assert [each.copy is not None for each in found] == [False, False, True, True, True]
    result = decide(found, Rule(keep=Quota(1), per="burst"))
    assert [each.verdict.value for each in result] == ["keep", "reject", "keep", "reject", "reject"]
    assert result[-1].reasons == ("copy of ./photos/a/IMG_1.jpg",)


def test_a_shot_with_more_pictures_than_its_original_is_for_review() -> None:
    """Its own original, or its RAW, is nowhere else."""
    kept = shot("kept.jpg", marks=Marks(5))
    edit = shot("IMG_E1.jpg", how="half", companions=["IMG_1.jpg", "IMG_1.mov"])
    film = shot("IMG_2.jpg", how="half", companions=["IMG_2.mov", "IMG_2.xmp"])
    plain = shot("IMG_3.jpg", how="half", companions=["IMG_3.xmp"])
    found = decided(kept, edit, film, plain, rule=Rule(duplicates=True))
    why = "copy of ./photos/kept.jpg with more in its shot"
    assert found["IMG_E1.jpg"] == found["IMG_2.jpg"] == f"review: {why}"
    assert found["IMG_3.jpg"] == "reject: copy of ./photos/kept.jpg"
    by_burst = decided(kept, edit, plain, rule=Rule(keep=Quota(1), per="burst"))
    assert by_burst["IMG_E1.jpg"].startswith("keep") and by_burst["IMG_3.jpg"].startswith("reject")


@pytest.mark.parametrize("name", ["IMG_1.DNG", "IMG_1.MOV"])
def test_a_copy_whose_raw_or_film_is_whole_is_the_original(tmp_path: Path, name: str) -> None:
    """Where that of the other was cut off."""
    photos = []
    for folder, size in (("a", 10), ("b/deeper", 10_000)):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_bytes(b"x" * size)
        path = tmp_path / folder / "IMG_1.JPG"
        files = Shot(tmp_path, path, (path.with_name(name),))
        photos.append(replace(shot("x.jpg", sha="s"), shot=files))
    found = with_copies(photos)
    assert [each.copy is None for each in found] == [False, True]
    # A mark decides before that, but then the whole one is looked at.
    found = with_copies([replace(photos[0], marks=Marks(5)), photos[1]])
    assert found[0].copy is None and found[1].copy and found[1].copy.has_more


def test_a_shot_with_a_broken_file_is_less_than_a_whole_one() -> None:
    led = replace(
        shot("a/IMG_1.DNG", format="dng", **CAMERA),
        broken=(BrokenFile(ROOT / "a/IMG_1.JPG", "empty file", False),),
    )
    whole = shot("b/IMG_1.JPG", how="half")
    found = with_copies([led, whole])
    assert found[1].copy is None and found[0].copy


def test_copies_of_one_photo_are_no_burst() -> None:
    """However many there are, in its folder or in another."""
    frames = [
        shot(name, sha="s", taken="2024-05-01T12:00:00", burst="apple:U")
        for name in ("1.jpg", "2.jpg", "3.jpg", "b/1.jpg", "b/2.jpg")
    ]
    found = group(with_copies(frames))
    assert [each.group for each in found] == [None] * 5
    result = decide(found, Rule(keep=Quota(1), per="burst"))
    assert sorted(each.verdict.value for each in result) == ["keep", *["reject"] * 4]


def test_without_a_rule_copies_go_to_their_original() -> None:
    photos = [shot("a.jpg", score=8.0), shot("b.jpg", how="half", score=9.0)]
    photos += [shot("c.jpg", how="grey", score=9.0), shot("d.jpg", "chelsea.png", score=9.0)]
    of = "of ./photos/a.jpg"
    assert decided(*photos, rule=Rule()) == {
        "a.jpg": "keep: score 8.0 ± 1.0: nine in ten like it are rated 5.5 or more",
        "b.jpg": f"reject: copy {of}",
        "c.jpg": f"review: copy {of} in other colours",
        "d.jpg": "keep: score 9.0 ± 1.0: nine in ten like it are rated 5.5 or more",
    }


def test_a_copy_alone_is_in_no_group() -> None:
    found = group(with_copies([shot("a/1.jpg"), shot("a/2.jpg", sha="1.jpg")]))
    assert [each.group for each in found] == [None, None]


def test_copies_are_listed_behind_their_original() -> None:
    photos = [shot("a.jpg", score=3.0), shot("b.jpg", how="half", score=9.0)]
    photos += [shot("c.jpg", "chelsea.png", score=6.0)]
    parts = sections(group(with_copies(photos)), "copies")
    assert [[each.shot.path.name for each in part] for part in parts] == [
        ["a.jpg", "b.jpg"],
        ["c.jpg"],
    ]


def test_a_bracket_stays_whole_though_a_frame_of_it_lies_elsewhere() -> None:
    def bracketed(number: int, ev: float) -> Photo:
        taken = f"2024-05-01T12:00:0{number}"
        facts = {"camera": "Maker One", "taken": taken, "bias": ev, "exposure": 3 + ev}
        return shot(f"DCIM/100/IMG_{number}.jpg", str(number), **facts)

    frames = [bracketed(1, -2.0), bracketed(2, 0.0), bracketed(3, 2.0)]
    path = ROOT / "x.jpg"  # shorter, and so the original of photos alone
    other = replace(frames[1], shot=Shot(ROOT, path))
    assert decided(*frames, other, rule=Rule(duplicates=True))["x.jpg"].startswith("reject")


def test_a_stitched_panorama_stays_though_a_copy_of_it_goes() -> None:
    photos = [shot("a.jpg", panorama=True, bytes_=200_000), shot("b.jpg", how="half")]
    found = group(with_copies(photos))
    assert found[0].frame_set is FrameSet.PANORAMA
    assert [each.verdict for each in decide(found, Rule(duplicates=True))] == [
        Verdict.KEEP,
        Verdict.REJECT,
    ]
