"""Broken metadata: nothing that reads them raises, takes long, or reads more than it needs."""

from __future__ import annotations

import io
import json
import os
import random
import time
from collections import Counter
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import pytest
from support.fault_injection import seeds
from support.metadata_files import (
    PACKET,
    films,
    heif_of_exif,
    heif_of_places,
    moov_of,
    photos,
)
from support.mutations import mutated
from support.phone_files import box

from iqcli.errors import PhotoError
from iqcli.photos import xmp
from iqcli.photos.codecs.metadata import MOST_INDEX, MOST_ITEM
from iqcli.photos.codecs.quicktime import CONTENT_ID, CREATED
from iqcli.photos.find import find_shots
from iqcli.photos.formats import PHOTO, extension
from iqcli.photos.names import burst_names, companions, edit_marks, keys, live, takeout
from iqcli.photos.names.headers import read_header
from iqcli.photos.names.read_evidence import ReadEvidence
from iqcli.photos.times import capture_time
from iqcli.photos.times.films import taken_of
from iqcli.photos.times.names import of_name
from iqcli.pipeline import editor_marks
from iqcli.pipeline.picasa import PicasaStars, starred
from iqcli.pipeline.sidecars import favourite_of, marks_in, read_marks, sidecars, takeout_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iqcli.records import Shot

# Seconds of processor time for one file: a hundred times what most need.
SECONDS = 0.7
# The same for all that is asked of one name or text: seventy times what it takes.
NAME_SECONDS = 0.1
MOST_BYTES = MOST_INDEX + 2 * MOST_ITEM + 4 * 2**20
HUGE = 2**28
JSON = b'{"title": "IMG_1.jpg", "photoTakenTime": {"timestamp": "1577880000"}, "favorited": true}'
INI = b"[IMG_1.jpg]\nstar=yes\n[Caf\xc3\xa9.jpg]\nrotate=rotate(1)\nSTAR = yes\n"


class Counted(io.BufferedReader):
    """Counts the bytes that are read of a file."""

    total = 0

    def read(self, size: int | None = -1, /) -> bytes:
        found = super().read(size)
        Counted.total += len(found)
        return found


@contextmanager
def cheap(what: object) -> Iterator[None]:
    """What is done here takes little time, and reads little."""
    Counted.total, start = 0, time.process_time()
    yield
    assert time.process_time() - start < SECONDS, what
    assert Counted.total <= MOST_BYTES, what


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fdopen", lambda number, _: Counted(io.FileIO(number)))


def read_all(path: Path) -> None:
    """Ask a photo or film for all that its metadata may tell."""
    for ask in (read_header, taken_of):
        with cheap((path, ask)):
            ask(path)
    if extension(path.name) in PHOTO:
        with cheap(path):
            read_marks([path])
    if path.stat().st_size < HUGE:
        with cheap(path):
            marks_in(BytesIO(path.read_bytes()))


@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("seeds", [seeds(0, 2), pytest.param(seeds(2, 12), marks=pytest.mark.slow)])
def test_broken_files(quick_path: Path, seeds: range) -> None:
    whole = photos() | films()
    for seed in seeds:
        chance = random.Random(seed)
        for number in range(150):
            name = chance.choice(sorted(whole))
            data = mutated(whole[name], chance, whole[chance.choice(sorted(whole))])
            # what is a photo by its content may be called a film
            path = quick_path / (name if chance.random() < 0.9 else "any.mov")
            path.write_bytes(data)
            if number % 10 == 0:
                os.truncate(path, HUGE)
            read_all(path)


@pytest.mark.usefixtures("counted")
def test_texts_of_millions_of_bytes(quick_path: Path) -> None:
    text = b"x" * (MOST_ITEM - 8000)
    (quick_path / "a.heic").write_bytes(heif_of_exif(text))
    read_all(quick_path / "a.heic")
    for key in (CREATED, CONTENT_ID):
        (quick_path / "a.mov").write_bytes(box_of_film(key, text))
        read_all(quick_path / "a.mov")


@pytest.mark.usefixtures("counted")
def test_far_more_parts_than_a_photo_has(quick_path: Path) -> None:
    """Packets of XMP, items of a HEIF, boxes and keys of a film, segments of a JPEG."""
    segment = b"\xff\xe1\0\x22Exif\0\0II*\0\x08\0\0\0\1\0\x0f\1\2\0\4\0\0\0abc\0".ljust(36, b"\0")
    keys = box(b"keys", bytes(8) + box(b"mdta", b"") * 9000)
    items = box(b"ilst", box(b"\0\0\0\1", b"") * 9000)
    several = {
        "a.tif": b"II*\0\x08\0\0\0\0\0" + b"<x:xmpmeta></x:xmpmeta>" * 70_000,
        "b.heic": heif_of_places(bytes((0, 0, 0, 1, 0, 0, 0, 0, 0, 0)) * (MOST_INDEX // 10 - 20)),
        "c.mov": box(b"ftyp", b"qt  ") + box(b"free", b"") * 20_000,
        "d.mov": box(b"moov", box(b"mvhd", bytes(100)) + box(b"meta", keys + items)),
        "e.jpg": b"\xff\xd8" + segment * 7000,
    }
    for name, data in several.items():
        (quick_path / name).write_bytes(data)
        read_all(quick_path / name)


def box_of_film(key: bytes, text: bytes) -> bytes:
    return b"\0\0\0\x0cftypqt  " + moov_of(key, text)


@pytest.mark.parametrize("size", [8, 15])
@pytest.mark.parametrize("place", [b"\xff", b"\x7f"])
def test_a_place_beyond_all_files(tmp_path: Path, size: int, place: bytes) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(heif_of_exif(b"", place + b"\xff" * (size - 1)))
    read_all(path)


def test_broken_texts_beside_photos() -> None:
    chance = random.Random(1)
    for _ in range(400):
        data = mutated(JSON, chance, PACKET)
        with suppress(ValueError):
            content = takeout_of(data)
            assert favourite_of(content) in (None, 1)
            capture_time.of_takeout(content)
        starred(mutated(INI, chance, JSON).decode("utf-8-sig", "replace"))
        properties = xmp.properties_of(mutated(PACKET, chance, JSON))
        xmp.marks(properties, labels=True)
        capture_time.of_xmp(properties, xmp.TIMES)
    with pytest.raises(ValueError):
        takeout_of(b"[" * 10**6)
    for stamp in ("9" * 11, "-" + "9" * 11, "1e3", "\u0661", "", None, [], {}, 1e400, True):
        capture_time.of_takeout({"photoTakenTime": {"timestamp": stamp}})
        capture_time.of_takeout(json.loads(json.dumps({"photoTakenTime": stamp})))


@pytest.mark.parametrize("behind", ["", " 03:04", " 03:04:05."])
def test_long_times(behind: str) -> None:
    for piece in (" ", "1", "\t", "1 ", "T", "a.m"):
        start = time.process_time()
        assert capture_time.parse(f"2020-01-02{behind}{piece * 2000}x") is None
        assert time.process_time() - start < NAME_SECONDS, piece


def test_names_of_separators() -> None:
    names = ("_" * 250, f"a{'_' * 240}(1)", f"img_1234{'-' * 240}", f"a{' _' * 120}x!")
    start = time.process_time()
    for name in names * 10:
        list(edit_marks.originals(name, Everything()))
    assert time.process_time() - start < SECONDS


def test_files_of_developers_of_blanks() -> None:
    for ext in editor_marks.RATINGS:
        for piece in (b"\n", b" ", b" \n", b"\t"):
            for front in (b"", b"Rating = 3", b"Rank=3", b"Favorite: true", b"K='Basic_Rating'"):
                start = time.process_time()
                editor_marks.marks_of(ext, front + piece * 30_000 + b"x", labels=True)
                assert time.process_time() - start < NAME_SECONDS, (ext, front, piece)


class Everything:
    """Knows every name, so that each rule about names is tried to its end."""

    def __contains__(self, _: object) -> bool:
        return True


ASKED: tuple[Callable[[str], Any], ...] = (
    of_name,
    keys.key_of,
    lambda name: list(edit_marks.originals(keys.stem_of(name), Everything())),
    lambda name: list(companions.full_names(name)),
    lambda name: list(companions.full_names(f"{name}.xmp")),
    lambda name: takeout.CutNames([name]).photo_of(f"{name[:46]}.json"),
    lambda name: takeout.is_takeout(f"{name}.json"),
    burst_names.burst_of_name,
    burst_names.is_panorama_name,
    lambda name: live.assign([[name]], [name + ".mov"], [0], Path(), ReadEvidence()),
    capture_time.parse,
    capture_time.parse_mail,
)
BITS = (
    *(
        "-",
        "_",
        " ",
        ".",
        "~",
        "(",
        ")",
        "(1)",
        "-edited",
        "_edit",
        " copy",
        "copy",
        "1",
        "0",
        "19",
    ),
    *("2024", "20240504", "_101112", "2024-01-02", "1:02:03", "pm", "午後", "１", "\u0663", "Z"),
    *("BURST", "IMG_", "IMG_E1234", "PXL_20240504_101112123", ".raw-01", "_hevc", "-1234567"),
    *("copy of ", "副本", "é", "e\u0301", "\u202e", "\n", "\udce9", "FB_IMG_", "hdr", ".JPG"),
)


def hostile_names(chance: random.Random) -> Iterator[str]:
    """Names as long as they may be: one piece again and again, and some of them mixed."""
    for piece in BITS:
        yield piece * 250
    for _ in range(400):
        yield "".join(chance.choice(BITS) * chance.choice((1, 1, 2, 60)) for _ in range(8))


def test_hostile_names() -> None:
    for name in hostile_names(random.Random(2)):
        start = time.process_time()
        for ask in ASKED:
            ask(f"{name[:250]}.jpg")
        assert time.process_time() - start < NAME_SECONDS, name


STEMS = ("IMG_1", "IMG_1234", "IMG_E1234", "PXL_20240504_101112123", "Caf\u00e9", "Cafe\u0301")
MARKS = (
    *("", "", "", "-edited", "~2", "(1)", "_1", "-2", " copy", "_edit_1714817472123", "_HEVC"),
    *("-1234567", ".RAW-01.COVER"),
)


def grow_broken(root: Path, chance: random.Random) -> None:
    """Files whose names say that they belong together, most of them broken."""
    whole = photos() | films()
    for _ in range(chance.randint(3, 20)):
        kind = chance.choice([*whole, "m.jpg", "m.jpg", "o.heic"])
        data = whole[kind]
        if chance.random() < 0.6:
            data = mutated(data, chance, whole[chance.choice(sorted(whole))])
        ending = chance.choice((PurePath(kind).suffix, PurePath(kind).suffix, ".jpg", ".MOV"))
        folder = root / chance.choice(("", "", "RAW", "JPG"))
        folder.mkdir(parents=True, exist_ok=True)
        name = chance.choice(STEMS) + chance.choice(MARKS) + ending
        (folder / name).write_bytes(data)
        if chance.random() < 0.3:
            beside = name + chance.choice((".json", ".xmp", "_original"))
            (folder / beside).write_bytes(mutated(chance.choice((JSON, PACKET)), chance, JSON))
    (root / ".picasa.ini").write_bytes(mutated(INI, chance, JSON))


@pytest.mark.parametrize(
    "seeds", [seeds(0, 10), pytest.param(seeds(10, 60), marks=pytest.mark.slow)]
)
def test_folders_of_broken_files(quick_path: Path, seeds: range) -> None:
    for seed in seeds:
        root = quick_path / str(seed)
        grow_broken(root, random.Random(seed))
        start = time.process_time()
        shots = walked(root)
        files = Counter(path for shot in shots for path in shot.files)
        assert set(files.values()) <= {1}
        stars = PicasaStars()
        for shot in shots:
            stars.of(shot)
            for path in sidecars(shot, own=True):
                with suppress(PhotoError):  # what should tell marks and cannot be read
                    read_marks([path])
        assert time.process_time() - start < 10 * SECONDS
        assert walked(root) == shots


def walked(root: Path) -> list[Shot]:
    problems: list[tuple[object, ...]] = []
    found = list(find_shots([root], on_problem=lambda *why: problems.append(why)))
    assert problems == []
    return found
