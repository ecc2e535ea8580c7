from __future__ import annotations

import pytest

from iqcli.photos.names.burst_names import burst_of_name, is_named, is_panorama_name, is_weak

SAME = [
    (
        "name:img_20231014_183246_burst",
        ["IMG_20231014_183246_BURST001_COVER.jpg", "IMG_20231014_183246_BURST002.jpg"],
    ),
    ("name:img_20170101_120000123_burst", ["IMG_20170101_120000123_BURST12.HEIC"]),
    ("name:20140101_120000_burst", ["20140101_120000_Burst01.jpg", "20140101_120000_Burst20.JPG"]),
    (
        "name:burst20171111030039",
        ["00015IMG_00015_BURST20171111030039_COVER.jpg", "00001IMG_00001_BURST20171111030039.jpg"],
    ),
    ("name:burst20181229213517346", ["00100lPORTRAIT_00100_BURST20181229213517346_COVER.jpg"]),
    (
        "name:burst20230709220904977",
        ["DSC_0052_BURST20230709220904977_COVER.JPG", "DSC_0001_BURST20230709220904977.JPG"],
    ),
    ("name:imag0001_burst", ["IMAG0001_BURST00001.jpg", "IMAG0001_BURST2_COVER_TOP(1).jpg"]),
    ("name:burst1577934245123", ["1_BURST1577934245123.jpg", "2_BURST1577934245123_COV.jpg"]),
    (
        "name:img_20200102_030405_burst_",
        ["IMG_20200102_030405_BURST_01.jpg", "IMG_20200102_030405_Burst_2_COVER.jpg"],
    ),
    ("name:20231207_101605", ["20231207_101605_001.jpg", "20231207_101605_031.jpg"]),
]


@pytest.mark.parametrize(("key", "names"), SAME)
def test_frames_share_a_key(key: str, names: list[str]) -> None:
    assert {burst_of_name(name) for name in names} == {key}


@pytest.mark.parametrize(("key", "names"), SAME)
def test_only_a_stamp_of_the_burst_is_no_other_bursts(key: str, names: list[str]) -> None:
    assert is_named(key)
    assert is_weak(key) is (key in ("name:imag0001_burst", "name:20231207_101605"))


@pytest.mark.parametrize(
    "name",
    [
        *("IMG_0001.JPG", "IMG_0002.JPG", "DSC_0001.JPG", "DSC00123.ARW", "P1010001.JPG", ""),
        *("20231207_101605.jpg", "20231207_101605(0).jpg", "20231207_101605_1.jpg", "photo 1.jpg"),
        # No such day, no such time, scans by number.
        *("20231307_101605_001.jpg", "20231232_101605_001.jpg", "20231207_251605_001.jpg"),
        *(
            "12345678_123456_001.jpg",
            "IMG_0001_BURST.jpg",
            "BURST.jpg",
        ),
        *(
            "Sunburst1.jpg",
            "starburst_01.jpg",
            "IMG_0001_BURST_1.jpg",
            "20200102_starburst_01.jpg",
            "IMG_0001_BURST٣.jpg",
        ),
        *("PXL_20230330_184138390.jpg", "PXL_20231207_032111247.RAW-01.COVER.jpg"),
        *("IMG_20231014_183246.jpg", "IMG_20231014_183246_COVER.jpg", "a_COVER.jpg"),
        "٢٠٢٣١٢٠٧_101605_001.jpg",
        "IMG_20231014_183246_BURST001_COVER.jpg\n.jpg",
        "x" * 100_000 + "_BURST.jpg",
    ],
)
def test_ordinary_names_are_of_no_burst(name: str) -> None:
    assert burst_of_name(name) is None


@pytest.mark.parametrize(
    ("name", "stitched"),
    [
        ("PXL_20230330_184138390.PANO.jpg", True),
        ("PXL_20230330_184138390.PANO.RAW-01.COVER.jpg", True),
        ("PANO_20170505_120000.jpg", True),
        ("PANO_20170505_120000_1.vr.jpg", True),
        ("PXL_20230330_184138390.PORTRAIT.jpg", False),
        ("PANORAMA.jpg", False),
        ("IMG_0001.PANO.jpg", False),
    ],
)
def test_names_of_panoramas(name: str, stitched: bool) -> None:
    assert is_panorama_name(name) is stitched
