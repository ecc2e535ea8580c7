"""Small pictures: what they show, that they come from the same decode, and where they wait."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from support.cli_runner import SOURCE
from support.fake_pipeline import Reader, block, calls, photos, settings
from support.images import P3, corners, dng, encoded, exif_block, noise, profile, read, scene

from iqcli.errors import IqError
from iqcli.photos.read import read_whole
from iqcli.photos.views import upright
from iqcli.pipeline import cache as cache_module
from iqcli.pipeline import thumbnails
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.cache_codec import LARGEST_THUMBNAIL as LARGEST
from iqcli.pipeline.cache_codec import THUMBNAIL, seal
from iqcli.pipeline.measure import measure
from iqcli.pipeline.thumbnails import CROP, THUMB, ThumbnailStore
from iqcli.records import Shot

SHA = "ab" * 32
FULL = Path("/dev/full")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.clear()
    monkeypatch.setattr(cache_module, "FINE_NS", 0)


@pytest.fixture
def cache(tmp_path: Path):
    made = Cache(tmp_path / "cache", pytest.fail)
    yield made
    made.close()


def shown(picture: bytes) -> np.ndarray:
    image = Image.open(BytesIO(picture), formats=["WEBP"])
    assert not image.getexif() and "icc_profile" not in image.info
    return np.asarray(image.convert("RGB"))


def made(thumbnail: thumbnails.ThumbnailSpec, data: bytes) -> np.ndarray:
    facts, views = read(data)
    return shown(thumbnail.make(views, facts, data, 250))


def soft_with_a_sharp_spot(width: int, height: int, spot: tuple[int, int]) -> np.ndarray:
    """Blurred noise, and 300 x 300 pixels of a fine pattern round `spot` (x, y)."""
    picture = cv2.GaussianBlur(noise(width, height), (0, 0), 12)
    x, y = spot
    fine = cv2.GaussianBlur(noise(300, 300), (0, 0), 1.5)
    picture[y - 150 : y + 150, x - 150 : x + 150] = fine
    return picture


def spot_in(crop: np.ndarray) -> tuple[float, float]:
    """The centre (x, y) of what is sharp, in the pixels of the crop."""
    edges = np.abs(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_32F))
    rows, columns = np.nonzero(cv2.GaussianBlur(edges, (0, 0), 8) > edges.mean())
    return float(columns.mean()), float(rows.mean())


def placed(picture: np.ndarray, crop: np.ndarray) -> tuple[float, int, int]:
    """How far the crop is from what lies in the picture, and where that begins (x, y)."""
    grey, part = (cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (picture, crop))
    found = cv2.matchTemplate(grey, part, cv2.TM_SQDIFF_NORMED)
    error, _, (left, top), _ = cv2.minMaxLoc(found)
    return error, left, top


def test_a_thumbnail_is_the_upright_picture() -> None:
    turned = exif_block({0x0112: 6})
    picture = made(THUMB, encoded(scene(1200, 900), "JPEG", quality=95, exif=turned))
    assert picture.shape == (320, 240, 3)
    # Turned clockwise, blue comes to the top left, red beside it.
    expected = [(30, 30, 200), (200, 30, 30), (128, 128, 128), (30, 200, 30)]
    assert np.abs(np.array(corners(picture)) - expected).max() < 12


def test_a_thumbnail_is_never_larger_than_its_picture() -> None:
    for width, height in ((1, 1), (2, 1), (40, 30)):
        picture = made(THUMB, encoded(np.zeros((height, width, 3), np.uint8), "PNG"))
        assert picture.shape == (height, width, 3)


@pytest.mark.parametrize("thumbnail", [THUMB, CROP])
def test_colours_are_those_of_srgb(thumbnail: thumbnails.ThumbnailSpec) -> None:
    """Red of Display P3 (234, 51, 35) is sRGB's (255, 0, 0) and a little more."""
    flat = np.full((500, 3000, 3), (234, 51, 35), np.uint8)
    for picture in (flat, flat[:, :600]):  # decoded whole, and cut from the view
        seen = made(
            thumbnail, encoded(np.ascontiguousarray(picture), "PNG", icc_profile=profile(P3))
        )
        assert np.abs(seen.mean((0, 1)) - (255, 0, 0)).max() < 6


def test_a_small_picture_is_never_enlarged() -> None:
    data = encoded(noise(100, 80), "PNG")
    assert made(THUMB, data).shape == made(CROP, data).shape == (80, 100, 3)


def test_a_line_of_pixels_has_thumbnails() -> None:
    data = encoded(noise(3000, 1), "PNG")
    assert made(THUMB, data).shape == (1, 320, 3)
    assert made(CROP, data).shape == (1, 360, 3)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1600, 1200), (2600, 1800)])
def test_a_crop_is_the_sharpest_spot_pixel_by_pixel(size: tuple[int, int]) -> None:
    picture = soft_with_a_sharp_spot(*size, (size[0] - 400, 500))
    crop = made(CROP, encoded(picture, "PNG"))
    assert crop.shape == (360, 360, 3)
    x, y = spot_in(crop)
    assert abs(x - 180) < 40 and abs(y - 180) < 40
    error, left, top = placed(picture, crop)
    assert error < 0.002  # not scaled: it lies in the picture as it is
    assert abs(left + 180 - (size[0] - 400)) < 40 and abs(top + 180 - 500) < 40


def test_a_crop_of_a_turned_photo_is_upright() -> None:
    picture = soft_with_a_sharp_spot(2600, 1800, (300, 400))
    crop = made(CROP, encoded(picture, "JPEG", quality=97, exif=exif_block({0x0112: 6})))
    assert placed(upright(picture, 6), crop)[0] < 0.01
    x, y = spot_in(crop)
    assert abs(x - 180) < 40 and abs(y - 180) < 40


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_part_of_a_picture_is_that_of_the_whole(turn: int) -> None:
    data = encoded(noise(90, 60), "PNG", exif=exif_block({0x0112: turn}))
    whole = read_whole(data, max_megapixels=1)
    for part in (slice(3, 20), slice(5, 47)), (slice(0, 300), slice(40, 300)):
        assert (read_whole(data, max_megapixels=1, part=part) == whole[part]).all()


@pytest.mark.parametrize("mode", ["F", "I;16", "RGBA", "P", "CMYK", "LA"])
def test_a_part_is_converted_as_the_whole_is(mode: str) -> None:
    image = Image.fromarray(noise(50, 40)).convert("I" if mode == "I;16" else mode)
    data = encoded(image.convert("I;16") if mode == "I;16" else image, "TIFF")
    whole, part = read_whole(data, max_megapixels=1), (slice(10, 30), slice(1, 9))
    assert (read_whole(data, max_megapixels=1, part=part) == whole[part]).all()


def test_a_raw_file_gives_a_crop_of_its_preview() -> None:
    preview = soft_with_a_sharp_spot(1600, 1200, (400, 700))
    data = dng(scene(3200, 2400), encoded(preview, "JPEG", quality=97), (1600, 1200))
    crop = made(CROP, data)
    assert crop.shape == (360, 360, 3) and placed(preview, crop)[0] < 0.01


@dataclass
class Fake:
    """A thumbnail that may fail."""

    name: str = "fake"
    fingerprint: str = "fake-1"
    fault: Exception | None = None

    def make(self, *_: object) -> bytes:
        calls["thumbnail"] += 1
        if self.fault:
            raise self.fault
        return WEBP


WEBP = encoded(scene(8, 8), "WEBP")


def run(shots: list[Shot], cache: Cache, root: Path, thumbnail: Fake | None = None) -> list:
    wanted = [thumbnail] if thumbnail else []
    given = settings(root, jobs=4)
    return list(measure(shots, [block()], cache, given, thumbnails=wanted, reader=Reader()))


def test_blocks_and_thumbnails_share_a_decode(tmp_path: Path, cache: Cache) -> None:
    shots = photos(tmp_path / "p", [f"tiny {number}" for number in range(5)])
    assert all(each.thumbnails == {"fake": WEBP} for each in run(shots, cache, tmp_path, Fake()))
    assert calls == {"decode": 5, "extract": 5, "thumbnail": 5}
    calls.clear()
    assert all(each.thumbnails == {"fake": WEBP} for each in run(shots, cache, tmp_path, Fake()))
    assert not calls


def test_what_is_only_wanted_now_is_made_without_the_rest(tmp_path: Path, cache: Cache) -> None:
    shots = photos(tmp_path / "p", ["tiny 1", "tiny 2"])
    assert not any(each.thumbnails for each in run(shots, cache, tmp_path))
    calls.clear()
    assert all(each.thumbnails and each.blocks for each in run(shots, cache, tmp_path, Fake()))
    assert calls == {"decode": 2, "thumbnail": 2}


def test_a_photo_without_a_thumbnail_is_no_failure(tmp_path: Path, cache: Cache) -> None:
    shots = photos(tmp_path / "p", ["tiny 1"])
    for _ in range(2):  # and it is not tried again
        (done,) = run(shots, cache, tmp_path, Fake(fault=ValueError("no")))
        assert done.error is None and done.blocks and not done.thumbnails
    assert calls["thumbnail"] == 1


def test_a_want_of_memory_is_not_remembered(tmp_path: Path, cache: Cache) -> None:
    shots = photos(tmp_path / "p", ["tiny 1"])
    (done,) = run(shots, cache, tmp_path, Fake(fault=MemoryError()))
    assert done.error is None and not done.thumbnails
    (done,) = run(shots, cache, tmp_path, Fake())
    assert done.thumbnails == {"fake": WEBP}


@pytest.mark.parametrize(
    "entry",
    [
        seal(THUMBNAIL, b"<svg onload=alert(1)>"),
        seal(THUMBNAIL, WEBP[:-1]),
        seal(b"iqV1", WEBP),
        THUMBNAIL + b"0000" + WEBP,
        seal(
            THUMBNAIL,
            b"RIFF" + LARGEST.to_bytes(4, "little") + b"WEBP" + bytes(LARGEST),
        ),
        "RIFF",
    ],
    ids=["another kind", "cut off", "another entry", "checksum", "too long", "text"],
)
def test_what_is_no_small_picture_is_not_believed(tmp_path: Path, entry: object) -> None:
    warned: list[str] = []
    cache = Cache(tmp_path / "cache", warned.append)
    cache.remember_thumbnail(SHA, "s", WEBP)
    assert cache.thumbnail(SHA, "s") == WEBP
    cache._store._pending = dict.fromkeys(cache._store._pending, entry)
    assert cache.thumbnail(SHA, "s") is None
    assert ["damaged or foreign" in each for each in warned] == [True]
    cache._store._pending = {}
    cache.close()


def test_a_spool_gives_back_what_it_took(tmp_path: Path) -> None:
    with ThumbnailStore((THUMB,)) as store:
        for number in range(300):
            for _ in range(2):  # equal photos under two names
                store.add(f"{number:064x}", {"thumb": b"%d" % number * 50, "crop": b"c"})
        assert store.get(f"{7:064x}", "thumb") == b"7" * 50
        assert store.get(f"{299:064x}", "thumb") == b"299" * 50
        assert store.get(f"{7:064x}", "other") is store.get(None, "thumb") is None
        assert store._file.seek(0, 2) == sum(len(str(n)) * 50 + 1 for n in range(300))


def test_a_spool_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with ThumbnailStore() as store:
        store.add(SHA, {"thumb": WEBP})
        assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("tempfile.tempdir", None)


@pytest.mark.skipif(not FULL.exists(), reason="no full disk to try here")
def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "anonymous_file", lambda: FULL.open("r+b", buffering=0))
    with ThumbnailStore() as store, pytest.raises(IqError, match=r"No space left.*TMPDIR"):
        store.add(SHA, {"thumb": WEBP})


WARM = """
import sys
from pathlib import Path
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.measure import measure
from iqcli.records import Shot
from iqcli.settings import Settings
from iqcli.pipeline.thumbnails import ThumbnailStore
root = Path(sys.argv[1])
opened = []
sys.addaudithook(lambda event, given: event == "open" and opened.append(str(given[0])))
cache = Cache(root / "cache", print)
given = Settings(cache_dir=root / "cache", state_dir=root / "state", jobs=1)
shots = [Shot(root, root / "a.jpg")]
with ThumbnailStore() as store:
    for each in store.collect(measure(shots, [], cache, given, thumbnails=store.wanted)):
        assert store.get(each.sha256, "thumb") and store.get(each.sha256, "crop")
cache.close()
loaded = {"torch", "cv2", "PIL"} & {*sys.modules}
print(sum(name.endswith("a.jpg") for name in opened), *sorted(loaded))
"""


@pytest.mark.slow
def test_a_second_run_opens_no_photo(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(encoded(scene(3000, 2000), "JPEG"))
    time.sleep(0.1)  # older than its entry, by git's rule

    def again() -> str:
        command = (sys.executable, "-c", WARM, str(tmp_path))
        done = subprocess.run(command, capture_output=True, cwd=SOURCE)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    assert again() == "1 PIL cv2"
    assert again() == "0"
