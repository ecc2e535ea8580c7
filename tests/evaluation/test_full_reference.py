"""Copies held against their originals: the measures pinned to others', the pairing, the reading."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from support.drawn_scenes import photo, plain, texture
from support.images import P3, encoded, exif_block, noise, profile, scene

from iqcli.errors import PhotoError
from iqcli.evaluation import full_reference
from iqcli.photos.read import read_whole

if TYPE_CHECKING:
    from support.cli_runner import Iq

    from iqcli.records import Pixels

MEASURES = ("mse", "psnr", "ssim", "ms_ssim", "fsim", "vif")
FALLING = ("psnr", "ssim", "ms_ssim", "fsim", "vif")


def jpeg(picture: Pixels, quality: int) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(encoded(picture, "JPEG", quality=quality))))


def grainy(picture: Pixels, sigma: float) -> Pixels:
    grain = np.random.default_rng(3).normal(0, sigma, picture.shape)
    return np.clip(np.rint(picture + grain), 0, 255).astype(np.uint8)


def soft(picture: Pixels, sigma: float) -> Pixels:
    return cv2.GaussianBlur(picture, (0, 0), sigma)


COPIES = {
    "jpeg": lambda p: jpeg(p, 20),
    "grain": lambda p: grainy(p, 12),
    "blur": lambda p: soft(p, 2),
}


# --- the formulas ---


def test_mse_and_psnr_by_hand() -> None:
    original = np.zeros((12, 12, 3), np.uint8)
    copy = original.copy()
    copy[0, 0] = (10, 20, 30)
    found = full_reference.compare(original, copy)
    assert found.mse == pytest.approx((100 + 400 + 900) / (12 * 12 * 3))
    assert found.psnr == pytest.approx(10 * np.log10(255**2 / found.mse))


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png"])
@pytest.mark.parametrize("copy", COPIES)
def test_psnr_and_ssim_are_those_of_scikit_image(name: str, copy: str) -> None:
    original, other = photo(name), COPIES[copy](photo(name))
    found = full_reference.compare(original, other)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(original, other), abs=1e-9)
    theirs = structural_similarity(
        full_reference.luma(original),
        full_reference.luma(other),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
    )
    assert found.ssim == pytest.approx(theirs, abs=1e-9)


# Even sides: piq halves an odd one with a row of its own. FSIM halves the larger picture.
@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), [("astronaut.png", 400), ("coffee.png", 240)])
@pytest.mark.parametrize("copy", COPIES)
def test_the_others_are_those_of_piq(name: str, side: int, copy: str) -> None:
    torch, piq = pytest.importorskip("torch"), pytest.importorskip("piq")
    original = photo(name)[:side, :side]
    other = COPIES[copy](original)
    found = full_reference.compare(original, other)
    greys = [
        torch.tensor(full_reference.luma(each).astype(float))[None, None]
        for each in (original, other)
    ]
    colours = [
        torch.tensor(each.astype(float)).permute(2, 0, 1)[None] for each in (original, other)
    ]
    multi = float(piq.multi_scale_ssim(*greys, data_range=255.0))
    vif = float(piq.vif_p(greys[1], greys[0], data_range=255.0))  # it wants the copy first
    assert found.ms_ssim == pytest.approx(multi, abs=1e-6)
    assert found.vif == pytest.approx(vif, abs=1e-6)
    # The median of an even count lies between the middle two here, on the lower one there.
    assert found.fsim == pytest.approx(float(piq.fsim(*colours, data_range=255.0)), abs=1e-4)


def test_ssim_of_a_large_picture_is_not_taken_of_a_smaller_one() -> None:
    """The default of a well-known library averages large pictures first: fine noise vanishes."""
    original = texture(1, 1024, 1024)
    copy = grainy(original, 20)
    half = [cv2.resize(each, (256, 256), interpolation=cv2.INTER_AREA) for each in (original, copy)]
    small = full_reference.ssim(*map(full_reference.luma, half))
    whole = full_reference.ssim(full_reference.luma(original), full_reference.luma(copy))
    assert whole < small - 0.2


def test_vif_knows_which_is_the_original() -> None:
    original = (64 + photo("astronaut.png") // 2).astype(np.uint8)
    strong = np.rint(128 + 1.3 * (original.astype(float) - 128)).astype(np.uint8)
    assert full_reference.vif(full_reference.luma(original), full_reference.luma(strong)) > 1
    assert full_reference.vif(full_reference.luma(strong), full_reference.luma(original)) < 1


def test_fsim_sees_lost_colour_and_ssim_does_not() -> None:
    original = photo("astronaut.png")
    grey = np.repeat(full_reference.luma(original)[..., None], 3, axis=2)
    found = full_reference.compare(original, grey)
    assert found.ssim > 0.999
    assert found.fsim < 0.995
    assert found.mse > 100


@pytest.mark.parametrize("shape", [(511, 333), (200, 700), (162, 161)])
def test_the_strips_do_not_show(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]) -> None:
    original = texture(2, *shape)
    copy = jpeg(original, 30)
    whole = full_reference.compare(original, copy)
    monkeypatch.setattr(full_reference, "STRIP", 37)
    stripped = full_reference.compare(original, copy)
    for name in MEASURES:
        assert getattr(stripped, name) == pytest.approx(getattr(whole, name), abs=1e-9)


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coins.png"])
def test_an_identical_copy_has_lost_nothing(name: str) -> None:
    found = full_reference.compare(photo(name), photo(name).copy())
    assert found.mse == 0
    assert found.psnr is None  # infinite
    assert [getattr(found, each) for each in FALLING[1:]] == pytest.approx([1] * 4, abs=1e-6)
    assert found.notes == ("identical pixels: PSNR is infinite",)


LADDERS = {
    "grain": [lambda p, s=s: grainy(p, s) for s in (2, 6, 15, 40)],
    "blur": [lambda p, s=s: soft(p, s) for s in (0.6, 1.2, 2.5, 5)],
    "jpeg": [lambda p, q=q: jpeg(p, q) for q in (95, 70, 30, 8)],
}


@pytest.mark.parametrize("ladder", LADDERS)
@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png"])
def test_every_measure_falls_as_a_fault_grows(name: str, ladder: str) -> None:
    found = [
        full_reference.compare(photo(name), distort(photo(name))) for distort in LADDERS[ladder]
    ]
    for measure in FALLING:
        values = [getattr(each, measure) for each in found]
        assert values == sorted(values, reverse=True), measure
        assert values[-1] < values[0]


def test_ms_ssim_is_the_product_over_its_scales() -> None:
    """A calibration list of another project holds the weighted sum of the same numbers."""
    original = full_reference.luma(photo("astronaut.png"))
    copy = full_reference.luma(jpeg(photo("astronaut.png"), 5))
    found, product, total = full_reference.ms_ssim(original, copy), 1.0, 0.0
    for scale, weight in enumerate(full_reference.SCALE_WEIGHTS):
        whole, contrast = full_reference._ssim_and_contrast(original, copy)
        part = whole if scale == 4 else contrast
        product, total = product * part**weight, total + part * weight
        original, copy = full_reference._halved(original), full_reference._halved(copy)
    assert found == pytest.approx(product)
    assert total > found + 0.001


@pytest.mark.parametrize(
    ("side", "wanting"),
    [
        (1, {"ssim", "ms_ssim", "fsim", "vif"}),
        (11, {"ms_ssim", "fsim", "vif"}),
        (41, {"ms_ssim", "fsim"}),
        (160, {"ms_ssim"}),
        (161, set()),
    ],
)
def test_what_is_too_small_for_a_measure_is_noted(side: int, wanting: set[str]) -> None:
    original = texture(3, side, side + 30)
    found = full_reference.compare(original, grainy(original, 5))
    assert {name for name in MEASURES if getattr(found, name) is None} == wanting
    assert len(found.notes) == len(wanting)


def test_a_flat_original_holds_no_information_to_keep() -> None:
    found = full_reference.compare(plain(90, 200, 200), plain(93, 200, 200))
    assert found.mse == 9
    assert found.vif is None and found.fsim is None
    assert found.ssim == pytest.approx(1, abs=1e-3)
    assert [note.split()[0] for note in found.notes] == ["FSIM", "VIF"]


def test_pictures_of_two_sizes_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="one size"):
        full_reference.compare(plain(1, 20, 20), plain(1, 20, 21))


# --- whole pictures ---


def test_a_picture_is_read_at_full_size() -> None:
    pixels = noise(2600, 1100)
    read = read_whole(encoded(pixels, "PNG"), max_megapixels=10)
    assert np.array_equal(read, pixels)
    assert read_whole(encoded(pixels, "JPEG"), max_megapixels=10).shape == pixels.shape
    with pytest.raises(PhotoError, match="megapixels"):
        read_whole(encoded(pixels, "PNG"), max_megapixels=2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_it_lies_upright(kind: str) -> None:
    sideways = np.ascontiguousarray(np.rot90(scene(320, 240)))
    data = encoded(sideways, kind, exif=exif_block({274: 6}))
    read = read_whole(data, max_megapixels=10)
    assert read.shape == (240, 320, 3)
    assert np.abs(read[10, 10].astype(int) - (200, 30, 30)).max() < 12


def test_its_colours_are_srgb() -> None:
    """Red of Display P3 (234, 51, 35) is sRGB's (255, 0, 0) and a little more."""
    red = Image.new("RGB", (60, 50), (234, 51, 35))
    read = read_whole(encoded(red, "PNG", icc_profile=profile(P3)), max_megapixels=1)
    assert read[0, 0, 0] > 250 and read[0, 0, 1:].max() < 30


def test_every_kind_of_pixel_becomes_8_bit_rgb() -> None:
    grey = Image.fromarray(noise(60, 50)[..., 0])
    assert read_whole(encoded(grey, "PNG"), max_megapixels=1).shape == (50, 60, 3)
    clear = Image.new("RGBA", (60, 50), (200, 0, 0, 0))
    assert (read_whole(encoded(clear, "PNG"), max_megapixels=1) == 255).all()
    deep = Image.fromarray(np.full((50, 60), 0x80FF, np.uint16))
    assert (read_whole(encoded(deep, "PNG"), max_megapixels=1) == 0x80).all()


# --- the command ---


@pytest.fixture
def folders(iq: Iq) -> tuple[Path, Path]:
    """Two folders: three photos recompressed, one copy of another size, one alone in each."""
    originals, copies = iq.cwd / "originals", iq.cwd / "copies"
    (originals / "day").mkdir(parents=True)
    (copies / "day").mkdir(parents=True)
    for number, quality in enumerate((95, 60, 20)):
        picture = texture(number, 200, 300)
        (originals / f"DSC{number}.png").write_bytes(encoded(picture, "PNG"))
        (copies / f"DSC{number}.jpg").write_bytes(encoded(picture, "JPEG", quality=quality))
    (originals / "day/DSC0.png").write_bytes(encoded(texture(7, 200, 300), "PNG"))
    (copies / "day/DSC0.webp").write_bytes(encoded(texture(7, 100, 150), "WEBP"))
    (originals / "lone.png").write_bytes(encoded(scene(200, 200), "PNG"))
    (copies / "other.png").write_bytes(encoded(scene(200, 200), "PNG"))
    return originals, copies


def test_two_files(iq: Iq, folders: tuple[Path, Path]) -> None:
    ran = iq("compare", "originals/DSC1.png", "copies/DSC1.jpg", "-f", "jsonl")
    assert (ran.code, ran.lines) == (0, ["1 pair: 1 compared"])
    (row,) = ran.rows
    assert (row["original"], row["copy"]) == ("./originals/DSC1.png", "./copies/DSC1.jpg")
    assert (row["width"], row["height"], row["error"], row["notes"]) == (300, 200, None, [])
    original = read_whole((iq.cwd / row["original"]).read_bytes(), max_megapixels=1)
    copy = read_whole((iq.cwd / row["copy"]).read_bytes(), max_megapixels=1)
    found = full_reference.compare(original, copy)
    for name in MEASURES:
        assert row[name] == pytest.approx(getattr(found, name), abs=1e-6)


def test_folders_pair_by_path_and_stem(iq: Iq, folders: tuple[Path, Path]) -> None:
    ran = iq("compare", "originals", "copies", "-f", "jsonl")
    assert ran.code == 1
    pairs = [(row["original"], row["copy"]) for row in ran.rows]
    assert pairs == [
        (None, "./copies/other.png"),
        *((f"./originals/DSC{n}.png", f"./copies/DSC{n}.jpg") for n in range(3)),
        ("./originals/day/DSC0.png", "./copies/day/DSC0.webp"),
        ("./originals/lone.png", None),
    ]
    assert ran.lines[-1] == "4 pairs: 3 compared, 1 could not be compared; 2 photos unpaired"
    alone = [line.split(": ")[1] for line in ran.lines[1:3]]
    assert alone == ["./copies/other.png", "./originals/lone.png"]


def test_what_a_person_excludes_is_no_pair(iq: Iq, folders: tuple[Path, Path]) -> None:
    (iq.cwd / "originals" / ".iq.toml").write_text('exclude = ["lone.png", "day/"]')
    (iq.cwd / "copies" / ".iqignore").write_text("other.png\nDSC2.*\n")
    ran = iq("compare", "originals", "copies", "-f", "jsonl")
    names = [row["original"] for row in ran.rows if row["copy"]]
    assert names == ["./originals/DSC0.png", "./originals/DSC1.png"]
    assert ran.lines[-1].endswith("; 1 photo unpaired")


def test_a_copy_of_another_size_is_refused_with_the_way_out(
    iq: Iq, folders: tuple[Path, Path]
) -> None:
    words = ("compare", "originals/day/DSC0.png", "copies/day/DSC0.webp", "-f", "jsonl")
    ran = iq(*words)
    assert ran.code == 1
    assert ran.rows[0]["psnr"] is None
    assert "300 x 200 pixels and the copy 150 x 100; export it at that size" in ran.lines[0]
    scaled = iq(*words, "--resize")
    assert scaled.code == 0
    assert scaled.rows[0]["notes"] == ["the copy was scaled from 150 x 100"]
    assert scaled.rows[0]["psnr"] > 15


def test_another_crop_is_never_stretched(iq: Iq, folders: tuple[Path, Path]) -> None:
    ran = iq("compare", "originals/DSC0.png", "copies/other.png", "--resize")
    assert ran.code == 1
    assert "another crop" in ran.lines[0]
    assert ran.out == b""


@pytest.mark.parametrize(
    ("size", "copy", "why"),
    [
        ((300, 200), (298, 200), "another crop"),
        ((300, 200), (200, 300), "turned on its side"),
        ((300, 200), (100, 150), "turned on its side"),
        ((300, 200), (32, 21), None),
        ((1000, 40), (333, 13), None),
        ((40, 1000), (13, 333), None),
        ((100, 67), (300, 200), None),
    ],
)
def test_a_crop_a_turn_and_a_scale_differ(
    iq: Iq, size: tuple[int, int], copy: tuple[int, int], why: str | None
) -> None:
    (iq.cwd / "a.png").write_bytes(encoded(noise(*size), "PNG"))
    (iq.cwd / "b.png").write_bytes(encoded(noise(*copy), "PNG"))
    ran = iq("compare", "a.png", "b.png", "--resize")
    assert ran.code == (0 if why is None else 1)
    assert why is None or why in ran.lines[0]


@pytest.mark.slow
def test_the_least_difference_is_not_rounded_to_none(iq: Iq) -> None:
    picture = noise(1200, 1000)
    (iq.cwd / "a.png").write_bytes(encoded(picture, "PNG"))
    picture[0, 0, 0] ^= 1
    (iq.cwd / "b.png").write_bytes(encoded(picture, "PNG"))
    (row,) = iq("compare", "a.png", "b.png", "-f", "jsonl").rows
    assert row["mse"] == pytest.approx(1 / picture.size)
    assert row["psnr"] == pytest.approx(10 * np.log10(255**2 * picture.size), abs=1e-5)
    assert "∞" not in iq("compare", "a.png", "b.png", LC_ALL="C.UTF-8").out.decode()


def test_several_of_one_name_are_not_guessed(iq: Iq, folders: tuple[Path, Path]) -> None:
    originals, copies = folders
    (originals / "DSC0.tif").write_bytes(encoded(scene(40, 30), "TIFF"))
    ran = iq("compare", "originals", "copies")
    assert ran.code == 1
    assert ran.err.count("several pictures are called DSC0;") == 3
    assert ran.lines[-1] == "3 pairs: 2 compared, 1 could not be compared; 5 photos unpaired"
    (copies / "DSC0.tif").write_bytes(encoded(scene(40, 30), "TIFF"))
    whole = iq("compare", "originals", "copies", "-f", "jsonl")
    named = {row["original"]: row["copy"] for row in whole.rows if row["error"] is None}
    assert named["./originals/DSC0.tif"] == "./copies/DSC0.tif"
    assert named["./originals/DSC0.png"] == "./copies/DSC0.jpg"


def test_copies_inside_the_folder_of_originals(iq: Iq) -> None:
    edited = iq.cwd / "photos" / "edited"
    edited.mkdir()
    for folder in (edited, edited.parent):
        (folder / "a.jpg").write_bytes(encoded(noise(64, 48), "JPEG"))
    ran = iq("compare", "photos", "photos/edited", "-f", "jsonl")
    assert ran.code == 0
    assert [row["copy"] for row in ran.rows] == ["./photos/edited/a.jpg"]


@pytest.mark.slow
def test_infinity_never_reaches_json(iq: Iq, folders: tuple[Path, Path]) -> None:
    for form in ("json", "jsonl", "csv"):
        ran = iq("compare", "originals/lone.png", "copies/other.png", "-f", form)
        assert ran.code == 0
        assert b"nfinity" not in ran.out and b"NaN" not in ran.out and b",inf" not in ran.out
    row = json.loads(iq("compare", "originals/lone.png", "copies/other.png", "-f", "json").out)[0]
    assert (row["mse"], row["psnr"], row["ssim"]) == (0, None, 1)
    assert row["notes"] == ["identical pixels: PSNR is infinite"]
    table = iq("compare", "originals/lone.png", "copies/other.png", LC_ALL="C.UTF-8").out.decode()
    assert table.splitlines()[1].split()[:3] == ["./copies/other.png", "0.00", "∞"]


def test_the_table_ends_with_the_means(iq: Iq, folders: tuple[Path, Path]) -> None:
    first, *lines, last = iq("compare", "originals", "copies").out.decode().splitlines()
    assert first.split() == ["copy", "MSE", "PSNR", "SSIM", "MS-SSIM", "FSIM", "VIF"]
    cells = [[float(cell) for cell in line.split()[1:]] for line in lines]
    assert last.split()[0] == "mean"
    assert [float(c) for c in last.split()[1:]] == pytest.approx(np.mean(cells, axis=0), abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("column", ["psnr", "mse", "copy"])
def test_rows_are_sorted(iq: Iq, folders: tuple[Path, Path], column: str) -> None:
    (iq.cwd / "copies/lone.png").write_bytes((iq.cwd / "originals/lone.png").read_bytes())
    for turned in (False, True):
        words = ("--sort", column, *(["--reverse"] if turned else []))
        rows = iq("compare", "originals", "copies", "-f", "jsonl", *words).rows
        values = [
            float("inf") if column == "psnr" and row["mse"] == 0 else row[column] for row in rows
        ]
        known = [value for value in values if value is not None]
        assert known == sorted(known, reverse=turned)
        assert values[: len(known)] == known


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("gone.png", "copies/DSC0.jpg"), "there is no file or folder ./gone.png; check the name"),
        (("originals", "copies/DSC0.jpg"), "is a folder and ./copies/DSC0.jpg a file"),
        (("originals", "./originals"), "is given twice"),
        (("", "copies"), "a path is empty"),
        (("originals", "copies", "-f", "paths"), "give one of table, csv, json, jsonl"),
        (("originals", "copies", "--sort", "beauty"), "give one of original, copy"),
        (("originals", "copies", "--max-megapixels", "0"), "give a number from"),
    ],
)
def test_what_cannot_be_compared_is_an_error_in_one_sentence(
    iq: Iq, folders: tuple[Path, Path], words: tuple[str, ...], why: str
) -> None:
    ran = iq("compare", *words)
    assert (ran.code, ran.out, len(ran.lines)) == (2, b"", 1)
    assert why in ran.lines[0]


def test_empty_folders(iq: Iq) -> None:
    (iq.cwd / "more").mkdir()
    ran = iq("compare", "photos", "more")
    assert ran.code == 3
    assert ran.lines == ["iq: no photo in ./photos and ./more"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"Dear all,\n", "looks like text"),
        (b"", "empty file"),
        (encoded(noise(300, 200), "JPEG")[:900], "data ends early"),
        (b"FUJIFILMCCD-RAW ", "develop it"),
    ],
)
def test_an_unreadable_copy_is_reported(iq: Iq, data: bytes, why: str) -> None:
    (iq.cwd / "a.png").write_bytes(encoded(noise(300, 200), "PNG"))
    (iq.cwd / "b.jpg").write_bytes(data)
    ran = iq("compare", "a.png", "b.jpg", "-f", "jsonl")
    assert ran.code == 1
    assert why in ran.rows[0]["error"] and why in ran.lines[0]
    assert ran.lines[-1] == "1 pair: 0 compared, 1 could not be compared"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_hostile_names_steer_nothing(iq: Iq) -> None:
    names = [b"=cmd.png", b"esc\x1b[31m.png", b"new\nline.png", b"no\xfftext.png"]
    for folder, size in (("photos", 60), ("more", 80)):
        (iq.cwd / folder).mkdir(exist_ok=True)
        for name in names:
            picture = encoded(noise(size if b"=" in name else 60, 60), "PNG")
            (iq.cwd / folder / os.fsdecode(name)).write_bytes(picture)
    for form in ("table", "csv", "json", "jsonl"):
        ran = iq("compare", "photos", "more", "-f", form)
        assert ran.code == 1
        assert "\x1b" not in ran.out.decode() + ran.err
        assert ran.lines[-1] == "4 pairs: 3 compared, 1 could not be compared"
    rows = iq("compare", "photos", "more", "-f", "jsonl").rows
    assert sum(row["copy_b64"] is not None for row in rows) == 3


@pytest.mark.slow
def test_it_neither_loads_torch_nor_writes_a_cache(iq: Iq, folders: tuple[Path, Path]) -> None:
    ran, _, loaded = iq.spied("compare", "originals/DSC1.png", "copies/DSC1.jpg")
    assert ran.code == 0
    assert "torch" not in loaded
    assert not iq.cache.exists()
    _, _, light = iq.spied("compare", "--help")
    assert not light & {"numpy", "cv2", "scipy", "PIL"}
