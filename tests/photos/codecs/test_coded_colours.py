from __future__ import annotations

from io import BytesIO

import numpy as np
import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.images import encoded, noise

from iqcli.photos.cicp import HLG, PQ, CodePoints, code_points
from iqcli.photos.codecs.boxes import coded_items, coded_properties
from iqcli.photos.codecs.coded_colours import of_av1, of_hevc

PICTURE = noise(64, 48)


def heic(primaries: int, transfer: int, matrix: int, deep: bool = False) -> bytes:
    """A HEIC whose coded picture alone says these numbers."""
    mode, pixels = ("RGB;16", PICTURE * np.uint16(257)) if deep else ("RGB", PICTURE)
    image = pillow_heif.from_bytes(mode, (64, 48), pixels.tobytes())
    buffer = BytesIO()
    image.save(
        buffer,
        format="HEIF",
        color_primaries=primaries,
        transfer_characteristics=transfer,
        matrix_coefficients=matrix,
        save_nclx_profile=True,
    )
    return silent(buffer.getvalue())


def silent(data: bytes) -> bytes:
    """The file without the box that says its colours."""
    assert data.count(b"colr") == 1
    return data.replace(b"colr", b"skip")


def avif(primaries: int, transfer: int, matrix: int) -> bytes:
    """An AVIF whose coded picture alone says these numbers, in place of those of Pillow."""
    data = encoded(PICTURE, "AVIF")
    begin, end = coded_items(data)[0][0]
    bits = "".join(f"{byte:08b}" for byte in data[begin : begin + 64])
    old, new = (
        "1" + "".join(f"{each:08b}" for each in numbers)
        for numbers in ((1, 13, 6), (primaries, transfer, matrix))
    )
    assert bits.count(old) == 1 and end - begin > 64
    changed = int(bits.replace(old, new), 2).to_bytes(64, "big")
    return silent(data[:begin] + changed + data[begin + 64 :])


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("numbers", [(9, PQ, 9), (9, HLG, 9), (12, 13, 6)])
def test_a_heic_without_colours_in_its_boxes(numbers: tuple[int, int, int], deep: bool) -> None:
    data = heic(*numbers, deep=deep)
    assert of_hevc(dict(coded_properties(data))[b"hvcC"]) == bytes(numbers)
    found = code_points(data, "heif")
    assert found and found.primaries == numbers[0]
    assert (found.transfer == numbers[1]) == (numbers[1] != 13)


@pytest.mark.parametrize("numbers", [(9, PQ, 9), (12, 13, 6)])
def test_an_avif_without_colours_in_its_boxes(numbers: tuple[int, int, int]) -> None:
    found = code_points(avif(*numbers), "avif")
    assert found and found.primaries == numbers[0]
    assert (found.transfer == PQ) == (numbers[1] == PQ)


def test_the_primaries_of_television_mean_nothing_there() -> None:
    assert code_points(heic(5, 6, 5), "heif") is None
    assert code_points(heic(5, PQ, 5), "heif") == CodePoints(1, PQ)


def test_a_box_beats_the_coded_picture() -> None:
    data = heic(9, PQ, 9).replace(b"skip", b"colr")
    at = data.index(b"nclx")
    plain = data[: at + 4] + bytes((0, 1, 0, 13, 0, 6)) + data[at + 10 :]
    assert code_points(data, "heif") == CodePoints(9, PQ)
    assert code_points(plain, "heif") is None


CONFIGURATION = dict(coded_properties(heic(9, PQ, 9)))[b"hvcC"]


@given(st.binary(max_size=200), st.integers(0, 200))
def test_whatever_is_broken_says_nothing_or_three_numbers(junk: bytes, at: int) -> None:
    for broken in (junk, CONFIGURATION[:at], CONFIGURATION[:at] + junk):
        assert len(of_hevc(broken)) in (0, 3)
        assert len(of_av1(broken)) in (0, 3)
