"""What the cache of an earlier version is worth, and for which photos it is not."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from support.fake_pipeline import block, calls, settings
from support.images import encoded, scene
from support.more_formats import jxl

from iqcli.photos.read import read_photo
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.cache_codec import Failure
from iqcli.pipeline.spec import MeasureSpec, PlainReader
from iqcli.records import Facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iqcli.records import Views

SMALL = scene(64, 48) // 2
PQ = {"color_primaries": 9, "transfer_characteristics": 16, "matrix_coefficients": 9}
OLD = np.array([1, 2, 3, 4], np.float32)
BLOCK = block()
SETTINGS = settings(Path())


@dataclass(frozen=True)
class Counting:
    fingerprint: str = "decoders-1"

    def __call__(self, data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
        calls["decode"] += 1
        return read_photo(data, max_megapixels=max_megapixels)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    calls.clear()
    made = Cache(tmp_path, pytest.fail)
    yield made
    made.close()


def measured_before(cache: Cache, data: bytes, facts: Facts | Failure) -> None:
    """Put into the cache what version 0.2 kept of a picture."""
    sha256 = hashlib.sha256(data).hexdigest()
    cache.remember_facts(sha256, "decoders-1", facts)
    cache.remember_block(sha256, f"{BLOCK.fingerprint}|decoders-1", OLD)


def measure(cache: Cache, data: bytes) -> tuple[bool, Facts | Failure | None, list[float]]:
    """As a run does: whether the file was opened, and what came out."""
    spec = MeasureSpec((BLOCK,), Counting(), SETTINGS)
    sha256 = hashlib.sha256(data).hexdigest()
    known = spec.load(cache, sha256)
    opened = not spec.is_complete(known)
    if opened:
        known = spec.load(cache, sha256, data)
        if not spec.is_complete(known):
            spec.compute(known, data)
        spec.save(cache, known)
    return opened, known.facts, known.blocks["a"].tolist() if known.blocks else []


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "BMP"])
def test_what_changed_in_nothing_is_not_even_opened(cache: Cache, kind: str) -> None:
    data = encoded(SMALL, kind)
    measured_before(cache, data, Facts(64, 48, kind.lower()))
    assert measure(cache, data) == (False, Facts(64, 48, kind.lower()), OLD.tolist())


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "PNG", "TIFF"])
def test_a_picture_without_code_points_is_looked_at_once_and_never_decoded(
    cache: Cache, kind: str
) -> None:
    data, facts = encoded(SMALL, kind), Facts(64, 48, kind.lower())
    measured_before(cache, data, facts)
    assert measure(cache, data) == (True, facts, OLD.tolist())
    assert measure(cache, data) == (False, facts, OLD.tolist())
    assert not calls["decode"]


def test_a_picture_with_code_points_is_measured_anew_once(cache: Cache) -> None:
    data = encoded(SMALL, "HEIF", full_range_flag=1, **PQ)
    measured_before(cache, data, Facts(64, 48, "heif"))
    opened, facts, values = measure(cache, data)
    assert opened and isinstance(facts, Facts) and values[0] != OLD[0]
    calls.clear()
    again = measure(cache, data)
    assert (again[0], again[2][0], calls["decode"]) == (False, values[0], 0)


def test_a_panorama_is_measured_anew_once(cache: Cache) -> None:
    data = encoded(scene(130, 48), "JPEG")
    measured_before(cache, data, Facts(130, 48, "jpeg"))
    opened, facts, found = measure(cache, data)
    assert opened and facts == Facts(130, 48, "jpeg", taken_from=facts.taken_from)
    assert found and found != OLD.tolist()
    assert measure(cache, data) == (False, facts, found)


def test_blocks_of_a_panorama_of_unknown_size_are_not_used(cache: Cache) -> None:
    data = encoded(scene(130, 48), "JPEG")
    sha256 = hashlib.sha256(data).hexdigest()
    cache.remember_block(sha256, f"{BLOCK.fingerprint}|decoders-1", OLD)
    _, _, found = measure(cache, data)
    assert found and found != OLD.tolist()


def test_what_was_no_picture_is_tried_again_once(cache: Cache) -> None:
    for data in (encoded(SMALL, "JPEG2000"), jxl(SMALL)):
        measured_before(cache, data, Failure("not a picture iq can read (it looks like …)", 250.0))
        opened, facts, values = measure(cache, data)
        assert opened and isinstance(facts, Facts) and values
        assert measure(cache, data)[:2] == (False, facts)
    words = b"only words"
    measured_before(cache, words, Failure("not a picture iq can read (it looks like text)", 250.0))
    assert measure(cache, words)[0]
    opened, facts, _ = measure(cache, words)
    assert not opened and facts is None


def test_jxl_is_tried_again_once_the_extra_is_there(
    cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = jxl(SMALL)
    with monkeypatch.context() as without:
        without.setitem(__import__("sys").modules, "pillow_jxl", None)
        assert measure(cache, data)[2] == []
    assert measure(cache, data)[2]


def test_the_grey_picture_is_kept_of_what_is_decoded_and_nothing_is_decoded_for_it(
    cache: Cache,
) -> None:
    spec = MeasureSpec((BLOCK,), PlainReader(), SETTINGS)
    new, old = encoded(SMALL, "JPEG"), encoded(SMALL, "PNG")
    shas = [hashlib.sha256(data).hexdigest() for data in (new, old)]
    known = spec.load(cache, shas[0], new)
    spec.compute(known, new)
    spec.save(cache, known)
    again = spec.load(cache, shas[0])
    assert spec.is_complete(again)
    np.testing.assert_array_equal(again.blocks["grey"], known.blocks["grey"])
    # As version 0.3 left it.
    cache.remember_facts(shas[1], spec.fingerprint, Facts(64, 48, "png"))
    cache.remember_block(shas[1], f"{BLOCK.fingerprint}|{spec.fingerprint}", OLD)
    before = spec.load(cache, shas[1], old)
    assert spec.is_complete(before) and "grey" not in before.blocks
    # A photo with a fault that was put into it is nobody's copy.
    assert MeasureSpec((BLOCK,), Counting(), SETTINGS).along == ()
