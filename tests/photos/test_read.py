from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image
from support.images import corners, encoded, exif_block, noise, read, scene

from iqcli.photos.read import views_in
from iqcli.photos.views import limited, upright

UPRIGHT = corners(scene())
# What a camera stores, so that the orientation shows it upright.
STORED = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, 1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: lambda p: np.rot90(p, -1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turn_is_undone_to_the_pixel(orientation: int) -> None:
    picture = noise(31, 17)
    stored = np.ascontiguousarray(STORED[orientation](picture))
    turned = upright(stored, orientation)
    assert np.array_equal(turned, picture)
    assert turned.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_gives_the_same_upright_views(kind: str, orientation: int) -> None:
    stored = np.ascontiguousarray(STORED[orientation](scene()))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(stored, kind, exif=exif_block({274: orientation}), **options)
    facts, views = read(data)
    assert (facts.width, facts.height) == (640, 480)
    assert views.detail.shape == (480, 640, 3)
    assert views.scoring.shape == (512, 683, 3)
    assert np.abs(np.subtract(corners(views.detail), UPRIGHT)).max() <= 3
    assert views.detail.flags.c_contiguous


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_a_garbage_orientation_turns_nothing(orientation: int) -> None:
    facts, views = read(encoded(scene(), "PNG", exif=exif_block({274: orientation})))
    assert (facts.width, facts.height) == (640, 480)
    assert corners(views.detail) == UPRIGHT


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_and_avif_are_turned_exactly_once(kind: str, orientation: int) -> None:
    stored = np.ascontiguousarray(STORED[orientation](scene()))
    facts, views = read(encoded(stored, kind, exif=exif_block({274: orientation})))
    assert (facts.width, facts.height) == (640, 480)
    assert np.abs(np.subtract(corners(views.detail), UPRIGHT)).max() <= 6


def test_a_heic_whose_turn_stands_in_exif_alone_is_turned_too() -> None:
    stored = np.ascontiguousarray(STORED[6](scene()))
    data = encoded(stored, "HEIF", exif=exif_block({274: 6}))
    assert b"irot" in data
    # The box stays, under a name that no reader knows: such files are written without it.
    facts, views = read(data.replace(b"irot", b"free"))
    assert (facts.width, facts.height) == (640, 480)
    assert np.abs(np.subtract(corners(views.detail), UPRIGHT)).max() <= 6


@pytest.mark.parametrize(
    ("size", "detail", "head"),
    [
        ((4032, 3024), (2016, 1512), (683, 512)),
        ((6000, 4000), (1500, 1000), (768, 512)),
        ((5000, 2000), (2290, 916), (1280, 512)),
        ((4000, 2000), (2000, 1000), (1024, 512)),
        ((9600, 1600), (3547, 591), (3073, 512)),
        ((2880, 2160), (1440, 1080), (683, 512)),
        ((2878, 2160), (2048, 1537), (682, 512)),
        ((300, 200), (300, 200), (768, 512)),
        ((12000, 400), (5793, 193), (5793, 193)),
        ((3001, 3), (3001, 3), (5793, 6)),
        ((1, 1), (1, 1), (512, 512)),
        ((1, 40000), (1, 5793), (1, 5793)),
    ],
)
def test_sizes_of_jpeg_views(
    size: tuple[int, int], detail: tuple[int, int], head: tuple[int, int]
) -> None:
    facts, views = read(encoded(np.full((size[1], size[0], 3), 90, np.uint8), "JPEG"))
    assert (facts.width, facts.height) == size
    assert views.detail.shape == (*detail[::-1], 3)
    assert views.scoring.shape == (*head[::-1], 3)
    assert abs(int(views.scoring.mean()) - 90) <= 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "HEIF"])
def test_other_formats_are_reduced_to_the_same_bounds(kind: str) -> None:
    facts, views = read(encoded(scene(2600, 1300), kind))
    assert (facts.width, facts.height, facts.format) == (2600, 1300, kind.lower())
    assert views.detail.shape == (1024, 2048, 3)
    assert views.scoring.shape == (512, 1024, 3)
    assert np.abs(np.subtract(corners(views.scoring), UPRIGHT)).max() <= 6


def test_a_jpeg_is_decoded_at_a_scale_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    decode_jpeg = simplejpeg.decode_jpeg

    def spy(*given: object, **options: object) -> np.ndarray:
        found = decode_jpeg(*given, **options)
        sizes.append(found.shape)
        return found

    monkeypatch.setattr(simplejpeg, "decode_jpeg", spy)
    data = encoded(np.zeros((3001, 4001, 3), np.uint8), "JPEG")
    assert read(data)[1].detail.shape == (1501, 2001, 3)
    assert set(sizes) == {(1501, 2001, 3)}


def test_exactly_512_pixels_are_left_untouched() -> None:
    picture = noise(512, 512)
    _, views = read(encoded(picture, "PNG"))
    assert np.array_equal(views.scoring, picture)
    assert np.array_equal(views.detail, picture)


def test_detail_is_never_enlarged_and_head_is() -> None:
    picture = noise(100, 80)
    _, views = read(encoded(picture, "PNG"))
    assert np.array_equal(views.detail, picture)
    assert views.scoring.shape == (512, 640, 3)


def test_reduction_averages_areas() -> None:
    board = np.indices((2048, 4096)).sum(0) % 2 * np.uint8(255)
    detail = limited(np.repeat(board[..., None], 3, axis=2).astype(np.uint8))
    assert detail.shape == (1024, 2048, 3)
    assert set(np.unique(detail)) <= {127, 128}


@pytest.mark.parametrize("size", [(512, 512), (600, 700), (100, 90), (3000, 20)])
def test_views_can_be_handed_to_any_library(size: tuple[int, int]) -> None:
    _, views = read(encoded(noise(*size), "PNG"))
    for view in (views.scoring, views.detail):
        assert view.dtype == np.uint8
        assert view.flags.c_contiguous
        assert max(view.shape) <= 5793 and view.size <= 3 * 2048**2


def frames(kind: str) -> bytes:
    out = BytesIO()
    first, second = Image.fromarray(scene()), Image.new("RGB", (640, 480), "white")
    first.save(out, kind, save_all=True, append_images=[second])
    return out.getvalue()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "MPO", "TIFF", "AVIF"])
def test_of_several_frames_the_first_counts(kind: str) -> None:
    data = frames(kind)
    assert Image.open(BytesIO(data)).n_frames == 2  # type: ignore[attr-defined]
    facts, views = read(data)
    assert np.abs(np.subtract(corners(views.detail), UPRIGHT)).max() <= 8
    assert facts.format == ("jpeg" if kind == "MPO" else kind.lower())


def test_views_of_a_folder_leave_out_what_is_excluded(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "drafts/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(scene(64, 64), "PNG"))
    found = views_in([tmp_path], 1, pytest.fail, ("drafts/", "b.*"))
    assert [name for name, _ in found] == ["a.png"]
