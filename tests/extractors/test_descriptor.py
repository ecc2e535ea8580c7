"""What a photo looks like from its blocks: its light, its sharpness, its kind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from support.cli_runner import SOURCE
from support.drawn_scenes import blocks_of, grey, photo, plain, texture
from support.fake_heads import loaded

from iqcli.extractors.descriptor import BLOCKS, descriptor_of
from iqcli.extractors.schema import EMBEDDING
from iqcli.models.scoring import blocks_for, judge
from iqcli.records import FrameDescriptor, Photo, Shot

if TYPE_CHECKING:
    from iqcli.records import Pixels


def looked(picture: Pixels) -> FrameDescriptor:
    return descriptor_of(blocks_of(picture, *BLOCKS))


def soft(picture: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(picture, None, sigma), np.uint8)


def crisp(seed: int) -> Pixels:
    """A texture with detail in single pixels, as grass or fur in focus."""
    detail = np.random.default_rng(seed).normal(0, 25, (512, 512, 1))
    return np.clip(texture(seed) + detail, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def coffee() -> FrameDescriptor:
    return looked(photo("coffee.png"))


def test_the_embedding_is_that_of_the_whole_picture(coffee: FrameDescriptor) -> None:
    mini = blocks_of(photo("coffee.png"), "mini")["mini"]
    assert coffee.embedding.dtype == np.float16
    np.testing.assert_allclose(coffee.embedding, mini[:EMBEDDING], rtol=1e-3, atol=1e-3)


def test_the_light_is_where_it_falls() -> None:
    picture = plain(20)
    picture[:128, 256:] = 220
    light = looked(picture).light
    assert light.dtype == np.uint8
    np.testing.assert_array_equal(light.reshape(12, 12)[:3, 6:], 220)
    np.testing.assert_array_equal(light.reshape(12, 12)[3:], 20)


def test_a_soft_ground_is_no_fault() -> None:
    """A sharp subject in front of a soft ground is as sharp as if all were."""
    sharp = crisp(1)
    portrait = soft(sharp, 6)
    portrait[150:400, 150:400] = sharp[150:400, 150:400]
    missed = soft(sharp, 2)
    levels = [looked(each).sharpness for each in (sharp, portrait, missed)]
    assert None not in levels
    assert levels[1] > 0.8 * levels[0] > 2 * levels[2]


def test_the_sharper_frame_of_a_photo_is_found(coffee: FrameDescriptor) -> None:
    blurred = looked(soft(photo("coffee.png"), 1.2))
    assert coffee.sharpness and blurred.sharpness
    assert coffee.sharpness > 1.3 * blurred.sharpness


def test_a_picture_without_tiles_has_no_sharpness_and_no_kind() -> None:
    tiny = looked(plain(10, 30, 30))
    assert (tiny.sharpness, tiny.classes) == (None, ())
    assert not tiny.light.any() and len(tiny.light) == 144


def lamps() -> Pixels:
    picture = plain(12)
    for k in range(4):
        picture[60:180, 20 + 128 * k : 100 + 128 * k] = 240
    return picture


def bird_in_the_sky() -> Pixels:
    sky = plain(180)
    sky[180:330, 180:330] = texture(2)[180:330, 180:330]
    return sky


def portrait() -> Pixels:
    sharp = crisp(3)
    ground = soft(sharp, 4)
    ground[200:320, 200:320] = sharp[200:320, 200:320]
    return ground


@pytest.mark.parametrize(
    ("picture", "classes"),
    [
        (lamps(), {"low key"}),
        (bird_in_the_sky(), {"plain ground"}),
        (portrait(), {"soft ground"}),
        (texture(4), set()),
        (plain(12), set()),  # nothing stands out: a pocket, or a lens cap
        (plain(180), set()),
        (soft(crisp(3), 8), set()),  # all of it is soft
        (grey(np.random.default_rng(0).normal(20, 3, (512, 512))), set()),
    ],
)
def test_kinds_of_photo_are_seen_in_the_tiles(picture: Pixels, classes: set[str]) -> None:
    assert {*looked(picture).classes} & {"low key", "plain ground", "soft ground"} >= classes
    if not classes:
        assert looked(picture).classes == ()


@pytest.mark.parametrize("name", ["fusion-mini", "brisque-refit"])
def test_any_model_measures_what_the_look_needs_once(name: str) -> None:
    model = loaded(name)
    names = [block.name for block in blocks_for(model, grouped=True)]
    assert {*BLOCKS, *(block.name for block in model.blocks)} == {*names}
    assert len(names) == len({*names})
    assert blocks_for(model) == list(model.blocks)


def test_judged_photos_have_a_look_where_it_is_asked_for() -> None:
    model = loaded("fusion-mini")
    blocks = blocks_of(photo("coffee.png"), *(b.name for b in blocks_for(model, grouped=True)))
    shots = [Shot(Path("/p"), Path(f"/p/{k}.jpg")) for k in range(2)]
    measured = [Photo(shots[0], blocks=blocks), Photo(shots[1], error="damaged")]
    first, second = judge(measured, model, grouped=True)
    assert first.descriptor and first.descriptor.sharpness and second.descriptor is None
    plainly = next(iter(judge(measured, model)))
    assert plainly.descriptor is None and plainly == first


def test_it_needs_neither_torch_nor_opencv() -> None:
    code = "import sys, iqcli.extractors.descriptor, iqcli.culling.grouping.group; print({*sys.modules})"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=SOURCE, check=True)
    assert not {"torch", "cv2", "PIL", "scipy"} & set(eval(done.stdout))
