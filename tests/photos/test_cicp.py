from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image
from support.images import P3, corners, encoded, exif_block, profile, read, scene

from iqcli.photos.cicp import (
    HLG,
    LINEAR,
    PQ,
    WHITE,
    CodePoints,
    code_points,
    in_profile,
    linear_points,
    shoulder,
)
from iqcli.photos.read import read_whole
from iqcli.photos.reading import Reading, reading_of

if TYPE_CHECKING:
    from collections.abc import Callable

# Linear sRGB to linear BT.2020 and P3 (BT.2087, SMPTE EG 432-1).
TO_2020 = ((0.6274, 0.3293, 0.0433), (0.0691, 0.9195, 0.0114), (0.0164, 0.0880, 0.8956))
TO_P3 = ((0.8225, 0.1775, 0.0), (0.0332, 0.9668, 0.0), (0.0171, 0.0724, 0.9105))
PLAIN = np.clip(scene(128, 96).astype(int) + np.arange(128)[None, :, None] // 4, 0, 255)


def linear(srgb: Any) -> Any:
    coded = np.asarray(srgb) / 255
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def pq(nits: Any) -> Any:
    """SMPTE ST 2084, written down from BT.2100 once more."""
    power = (np.maximum(nits, 0) / 10000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375


def hlg(nits: Any) -> Any:
    """The inverse OOTF for a screen of 1,000 cd/m2, then the OETF (BT.2100)."""
    luma = np.maximum(nits @ (0.2627, 0.6780, 0.0593), 1e-9)[..., None] / 1000
    light = nits / 1000 * luma ** (1 / 1.2 - 1)
    root = np.sqrt(3 * np.maximum(light, 0))
    log = 0.17883277 * np.log(np.maximum(12 * light - 0.28466892, 1e-9)) + 0.55991073
    return np.where(light <= 1 / 12, root, log)


def coded(kind: str, times: float = 1) -> tuple[Any, dict[str, int]]:
    """The picture in 0..1, `times` as bright, and its code points."""
    light = linear(PLAIN) * times
    if kind == "P3":
        p3 = np.clip(light @ np.transpose(TO_P3), 0, 1)
        curve = np.where(p3 <= 0.0031308, 12.92 * p3, 1.055 * p3 ** (1 / 2.4) - 0.055)
        return curve, {"color_primaries": 12, "transfer_characteristics": 13}
    if kind == "linear":
        return light, {"color_primaries": 1, "transfer_characteristics": 8}
    wide = np.clip(light @ np.transpose(TO_2020), 0, None) * WHITE
    number = {"PQ": PQ, "HLG": HLG}[kind]
    return (pq(wide) if kind == "PQ" else hlg(wide)), {
        "color_primaries": 9,
        "transfer_characteristics": number,
    }


def heif(kind: str, deep: bool, times: float = 1, **options: Any) -> bytes:
    values, points = coded(kind, times)
    dtype, mode = (np.uint16, "RGB;16") if deep else (np.uint8, "RGB")
    pixels = np.rint(np.clip(values, 0, 1) * np.iinfo(dtype).max).astype(dtype)
    image = pillow_heif.from_bytes(mode, pixels.shape[1::-1], pixels.tobytes())
    out = BytesIO()
    full = {"matrix_coefficients": 1, "full_range_flag": 1, "quality": -1, "chroma": 444}
    image.save(out, **(full | points | options))
    return out.getvalue()


def avif(kind: str) -> bytes:
    values, points = coded(kind)
    data = encoded(
        np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8),
        "AVIF",
        quality=100,
        subsampling="4:4:4",
    )
    at = data.index(b"colrnclx") + 8
    numbers = struct.pack(">HH", points["color_primaries"], points["transfer_characteristics"])
    return data[:at] + numbers + data[at + 4 :]


def png(kind: str, full: bool = True) -> bytes:
    values, points = coded(kind)
    levels = values * 255 if full else 16 + values * 219
    data = encoded(np.rint(np.clip(levels, 0, 255)).astype(np.uint8), "PNG")
    numbers = (points["color_primaries"], points["transfer_characteristics"], 0, full)
    return with_chunk(data, b"cICP", bytes(numbers))


def with_chunk(data: bytes, name: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(name + content)
    return (
        data[:33] + struct.pack(">I", len(content)) + name + content + crc.to_bytes(4) + data[33:]
    )


def icc_with(points: tuple[int, int, int, int]) -> bytes:
    """A profile with a `cicp` tag besides curves that say something else."""
    old = profile(P3)
    count = int.from_bytes(old[128:132], "big")
    start = len(old) + 12
    rows = b""
    for at in range(132, 132 + 12 * count, 12):
        name, place, size = struct.unpack(">4sII", old[at : at + 12])
        rows += struct.pack(">4sII", name, place + 12, size)
    rows += struct.pack(">4sII", b"cicp", start, 12)
    body = old[132 + 12 * count :] + b"cicp\0\0\0\0" + bytes(points)
    return struct.pack(">I", start + 12) + old[4:128] + struct.pack(">I", count + 1) + rows + body


FILES = {
    "PQ, 10 bits": heif("PQ", deep=True),
    "HLG, 10 bits": heif("HLG", deep=True),
    "P3, 8 bits": heif("P3", deep=False),
    "PQ AVIF": avif("PQ"),
    "HLG AVIF": avif("HLG"),
    "P3 AVIF": avif("P3"),
    "PQ PNG": png("PQ"),
    "HLG PNG": png("HLG"),
    "P3 PNG": png("P3"),
    "PQ PNG of narrow range": png("PQ", full=False),
    "linear, 10 bits": heif("linear", deep=True),
}


@pytest.mark.parametrize("name", FILES)
def test_the_same_picture_in_other_code_points_looks_the_same(name: str) -> None:
    _, views = read(FILES[name])
    assert views.profile is None
    error = np.abs(views.detail.astype(int) - PLAIN)
    # A step of PQ in 8 bits is up to four of sRGB; linear light has few steps in the shadows.
    worst, mean = (4, 1) if "10 bits" in name and "linear" not in name else (13, 6)
    assert np.percentile(error, 90) <= worst
    assert error.mean() <= mean


def test_highlights_bend_and_are_not_cut_off() -> None:
    """Four times as bright: what was white is beyond paper white, and steps stay apart."""
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(8, 0)
    values = np.rint(pq(ramp * 4 * WHITE) * 65535).astype(np.uint16)[..., None].repeat(3, 2)
    points = CodePoints(9, PQ)
    row = points.to_srgb(values, points.peak(values))[0, :, 0].astype(int)
    assert row[-1] >= 250
    assert (np.diff(row) >= 0).all()
    assert len(set(row[64:].tolist())) >= 20  # all that is above paper white
    shadows = linear(row[:8]) / (np.arange(8) / 255 * 4 + 1e-9)
    assert np.abs(shadows[2:] - 1).max() < 0.1  # below the knee nothing changes


def test_the_shoulder_is_that_of_the_report() -> None:
    """BT.2390: continuous at the knee, the peak goes to the target; no highlights, no change."""
    light = np.linspace(0, 5, 1000, dtype=np.float32)
    assert np.array_equal(shoulder(light[light <= 1], 0.8), light[light <= 1])
    bent = shoulder(light, 5.0)
    assert bent[-1] == pytest.approx(1, abs=1e-3)
    assert (np.diff(bent) >= -1e-6).all() and np.diff(bent).max() < 0.006
    assert 0.5 < float(bent[np.searchsorted(light, 1)]) < 0.9


def test_a_part_is_shown_as_in_the_whole() -> None:
    data = heif("PQ", deep=True, times=3)
    whole = read_whole(data, max_megapixels=1)
    part = slice(10, 40), slice(70, 100)
    assert np.array_equal(read_whole(data, max_megapixels=1, part=part), whole[part])


def test_transparent_parts_are_paper_white() -> None:
    values, points = coded("PQ")
    image = Image.fromarray(np.rint(values * 255).astype(np.uint8)).convert("RGBA")
    image.putalpha(0)
    data = encoded(image, "PNG")
    numbers = (points["color_primaries"], points["transfer_characteristics"], 0, 1)
    detail = read(with_chunk(data, b"cICP", bytes(numbers)))[1].detail
    assert np.abs(detail.astype(int) - 255).max() <= 4


def test_a_profile_beats_nclx_and_cicp_beats_a_profile_in_png() -> None:
    values, _ = coded("PQ")
    image = Image.fromarray(np.rint(values * 255).astype(np.uint8))
    icc = profile(P3)
    out = BytesIO()
    heif_image = pillow_heif.from_pillow(image)
    heif_image.info["icc_profile"] = icc
    heif_image.save(out, quality=-1)
    assert b"colrprof" in out.getvalue()
    assert code_points(out.getvalue(), "heif") is None
    with_both = with_chunk(encoded(image, "PNG", icc_profile=icc), b"cICP", bytes((9, 16, 0, 1)))
    assert code_points(with_both, "png") == CodePoints(9, PQ)


def test_the_code_points_in_a_profile_beat_its_curves() -> None:
    icc = icc_with((9, PQ, 0, 1))
    assert in_profile(icc) == CodePoints(9, PQ)
    assert in_profile(profile(P3)) is None
    values, _ = coded("PQ")
    data = encoded(np.rint(values * 255).astype(np.uint8), "PNG", icc_profile=icc)
    assert np.abs(read(data)[1].detail.astype(int) - PLAIN).mean() < 2
    assert code_points(data.replace(b"ICC Profile", b"ITUR_2100_P"), "png")


@pytest.mark.parametrize("numbers", [(1, 13), (1, 1), (2, 2), (6, 6), (77, 99)])
def test_what_a_screen_shows_as_srgb_stays_as_it_is(numbers: tuple[int, int]) -> None:
    data = encoded(scene(64, 48), "AVIF", quality=100)
    at = data.index(b"colrnclx") + 8
    found = code_points(data[:at] + struct.pack(">HH", *numbers) + data[at + 4 :], "avif")
    assert (found is None) == (numbers[0] != 6)


@pytest.mark.parametrize("cut", [*range(0, 400, 7)])
def test_headers_that_end_early_or_lie_are_no_code_points(cut: int) -> None:
    for kind, data in (("avif", FILES["PQ AVIF"]), ("png", FILES["PQ PNG"])):
        found = code_points(data[:cut], kind)
        assert found is None or found == CodePoints(9, PQ)
        code_points(data[:cut] + b"\xff" * 64 + data[cut + 64 :], kind)
    icc = icc_with((9, PQ, 0, 1))
    in_profile(icc[:cut] + b"\xff" * 9 + icc[cut + 9 :])


def test_a_gain_map_is_neither_the_picture_nor_another_photo() -> None:
    """As phones write it: the base first, the gain map as a second picture behind it (MPF)."""
    out = BytesIO()
    base, gain = Image.fromarray(scene()), Image.new("L", (160, 120), 255)
    base.save(out, "MPO", save_all=True, append_images=[gain])
    facts, views = read(out.getvalue())
    assert (facts.format, facts.width) == ("jpeg", 640)
    assert np.abs(np.subtract(corners(views.detail), corners(scene()))).max() <= 4


# --- light itself, in 16 bits ---


def deep_png(pixels: Any, *chunks: tuple[bytes, bytes]) -> bytes:
    """RGB of uint16 as a PNG; Pillow writes none."""
    done, data = cv2.imencode(".png", pixels[..., ::-1])
    assert done
    found = data.tobytes()
    for name, content in chunks:
        found = with_chunk(found, name, content)
    return found


def deep_tiff(pixels: Any, icc: bytes, turn: int = 1) -> bytes:
    """RGB of uint16 as a TIFF of one strip (TIFF 6.0, section 2)."""
    height, width = pixels.shape[:2]
    bits, strip = 8, 14
    place = strip + pixels.nbytes
    rows = [
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, bits), (259, 3, 1, 1)),
        *((262, 3, 1, 2), (273, 4, 1, strip), (274, 3, 1, turn), (277, 3, 1, 3)),
        *((278, 4, 1, height), (279, 4, 1, pixels.nbytes), (34675, 7, len(icc), place)),
    ]
    table = b"".join(struct.pack("<HHII", *row) for row in rows)
    start = place + len(icc)
    head = b"II*\0" + struct.pack("<I3H", start, 16, 16, 16)
    body = head + pixels.astype("<u2").tobytes() + icc
    return body + struct.pack("<H", len(rows)) + table + bytes(4)


SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
DIM = PLAIN // 3
LIGHT = np.rint(linear(DIM) * 65535).astype(np.uint16)
LIGHT_P3 = np.rint(linear(DIM) @ np.transpose(TO_P3) * 65535).astype(np.uint16)
LINEAR_FILES = {
    "cICP": (deep_png(LIGHT, (b"cICP", bytes((1, LINEAR, 0, 1)))), "png"),
    "gAMA": (deep_png(LIGHT, (b"gAMA", struct.pack(">I", 100_000))), "png"),
    "iCCP": (deep_png(LIGHT, (b"iCCP", b"x\0\0" + zlib.compress(profile(SRGB, 1)))), "png"),
    "TIFF": (deep_tiff(LIGHT, profile(SRGB, 1)), "tiff"),
    "P3 TIFF": (deep_tiff(LIGHT_P3, profile(P3, 1)), "tiff"),
}


# How an upright picture is stored under each EXIF orientation.
STORED: dict[int, Callable[[Any], Any]] = {
    1: lambda pixels: pixels,
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: np.rot90,
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels, -1),
}


@pytest.mark.parametrize("name", LINEAR_FILES)
def test_the_shadows_of_light_itself_have_all_their_levels(name: str) -> None:
    data, kind = LINEAR_FILES[name]
    assert reading_of(data) is Reading.LINEAR
    assert linear_points(data, kind) == CodePoints(12 if name == "P3 TIFF" else 1, LINEAR)
    _, views = read(data)
    assert np.abs(views.detail.astype(int) - DIM).max() <= 1
    assert np.abs(read_whole(data, max_megapixels=9).astype(int) - DIM).max() <= 1


@pytest.mark.parametrize("turn", range(1, 9))
def test_light_itself_has_the_same_values_however_it_is_stored(turn: int) -> None:
    stored = np.ascontiguousarray(STORED[turn](LIGHT))
    gamma, exif = (b"gAMA", struct.pack(">I", 100_000)), (b"eXIf", exif_block({274: turn})[6:])
    for data in (deep_png(stored, gamma, exif), deep_tiff(stored, profile(SRGB, 1), turn)):
        facts, views = read(data)
        assert (facts.height, facts.width) == DIM.shape[:2]
        assert np.abs(views.detail.astype(int) - DIM).max() <= 1
        assert np.abs(read_whole(data, max_megapixels=9).astype(int) - DIM).max() <= 1


@pytest.mark.parametrize(
    "data",
    [
        deep_png(LIGHT),
        deep_png(LIGHT, (b"gAMA", struct.pack(">I", 45_455))),
        deep_png(LIGHT, (b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000))),
        deep_png(LIGHT, (b"iCCP", b"x\0\0" + zlib.compress(profile(SRGB, 1.8)))),
        with_chunk(encoded(scene(64, 48), "PNG"), b"gAMA", struct.pack(">I", 100_000)),
        deep_tiff(LIGHT, profile(SRGB, 1.8)),
        deep_tiff(LIGHT, profile(((0.9, 0.1, 0), (0.1, 0.9, 0), (0, 0, 0.8)), 1)),
        deep_tiff(LIGHT, b"no profile"),
        deep_tiff(LIGHT, profile(SRGB, 1))[:500],
    ],
)
def test_whatever_has_a_curve_is_read_as_ever(data: bytes) -> None:
    assert linear_points(data, "png" if data[1:4] == b"PNG" else "tiff") is None
    assert reading_of(data) is Reading.CHECKED


def test_a_picture_hardly_brighter_than_white_is_no_hole() -> None:
    for peak in (1 + 1e-7, 1 + 1e-5, 1 + 1e-4, 1.01):
        found = shoulder(np.array([0.5, 1, peak], np.float32), peak)
        assert found == pytest.approx([0.5, 1, 1], abs=0.02)
