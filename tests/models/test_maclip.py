"""MA-CLIP: the published arithmetic, photo by photo, and the variant in which length counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from support.drawn_scenes import photo, texture
from support.fake_clip import TINY, install, registry, store, tensors
from torch import nn
from torch.nn import functional as F  # noqa: N812

from iqcli.extractors import clip_model
from iqcli.extractors.clip import PROMPTS, SIDE, normalise
from iqcli.extractors.maclip import COLUMNS, MaclipBlock, pieces_of, shape_of, summary
from iqcli.extractors.registry import block_table
from iqcli.models import maclip
from iqcli.photos.views import limited, views_of
from iqcli.records import Views

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq

pytestmark = pytest.mark.slow


@pytest.fixture
def block(tmp_path: Path) -> MaclipBlock:
    """The block on a tiny tower."""
    install(tmp_path, "clip-rn50")
    clip_model._texts.cache_clear()
    return MaclipBlock("maclip", "clip-rn50", store=store(tmp_path))


def columns(vectors: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(COLUMNS, np.atleast_2d(vectors).T, strict=True))


def embeddings(seed: int, count: int = 13) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, (count, 1024)).astype(np.float32)


def texts(seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(10, 1024)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def as_published(features: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """Their formulas, on the (k, d) features of one photo."""
    unit = features / features.norm(dim=-1, keepdim=True)
    cos = (100 * unit @ texts.T).reshape(len(unit), -1, 2).softmax(dim=-1)[..., 0].mean(dim=1)
    size = features.abs()
    size = size / (size.std(dim=1, keepdim=True) + 1e-6)
    mag = (((size + 1) ** 0.5 - 1) / 0.5).mean(dim=-1)
    apart = cos - mag
    weights = F.softmax(torch.stack([1.0 + apart, 0.6 - apart], dim=-1), dim=-1)
    return (weights[:, 0] * cos + weights[:, 1] * mag).mean()


@torch.inference_mode()
@pytest.mark.parametrize(("height", "width"), [(512, 683), (300, 420), (224, 224)])
def test_a_photo_gets_the_published_score(block: MaclipBlock, height: int, width: int) -> None:
    picture = texture(4, height, width)
    raw = normalise(picture[None], "cpu")
    cut = nn.Unfold(kernel_size=(SIDE, SIDE), stride=128)(raw).view(1, 3, SIDE, SIDE, -1)[0]
    small = F.interpolate(raw, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
    views = torch.cat([cut.permute(3, 0, 1, 2), small])
    features = clip_model.embed_whole(clip_model.tower(block.store, "clip-rn50", "cpu"), views)
    rows = torch.from_numpy(np.array(clip_model.text_features(block.store, "clip-rn50", PROMPTS)))
    found = block.forward([block.prepare(Views(picture, picture))], "cpu")
    assert columns(found)["views"] == len(views)
    np.testing.assert_allclose(
        maclip.published({"maclip": found}), as_published(features, rows), atol=1e-5
    )
    np.testing.assert_allclose(columns(found)["log_norm"], features.norm(dim=1).log().mean(), 1e-5)


def test_pieces_lie_every_128_pixels_and_the_whole_is_the_last() -> None:
    picture = torch.arange(500 * 700).float().reshape(1, 500, 700).expand(3, 500, 700)
    pieces = pieces_of(picture)
    assert pieces.shape == (3 * 4 + 1, 3, SIDE, SIDE)
    for k, piece in enumerate(pieces[:-1]):
        row, column = divmod(k, 4)
        place = picture[:, 128 * row : 128 * row + SIDE, 128 * column : 128 * column + SIDE]
        assert torch.equal(piece, place)
    assert float(pieces[-1].mean()) == pytest.approx(float(picture.mean()), rel=0.01)


@pytest.mark.parametrize(("height", "width", "count"), [(30, 2048, 16), (100, 90, 2), (1, 1, 2)])
def test_a_photo_smaller_than_a_piece_is_enlarged(
    block: MaclipBlock, height: int, width: int, count: int
) -> None:
    picture = texture(1, height, width)
    found = columns(block.forward([block.prepare(Views(picture, picture))], "cpu"))
    assert found["views"] == count and all(np.isfinite(each).all() for each in found.values())


# --- traps ---


def test_no_photo_is_averaged_with_the_others_of_its_batch(
    block: MaclipBlock, tmp_path: Path
) -> None:
    pictures = [texture(1, 300, 420), limited(photo("coffee.png")) // 9, texture(3, 512, 683)]
    inputs = [block.prepare(Views(each, each)) for each in pictures]
    together = block.forward(inputs, "cpu")
    alone = np.concatenate([block.forward([each], "cpu") for each in inputs])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert len(set(together[:, 1])) == 3
    model = registry(tmp_path).load("maclip")
    many = maclip.published({"maclip": together})
    one = [float(maclip.published({"maclip": each[None]})[0]) for each in alone]
    np.testing.assert_allclose(many, one, atol=1e-5)
    assert [each.name for each in model.blocks][:1] == ["maclip"]


def test_the_published_magnitude_does_not_change_with_the_magnitude() -> None:
    seen = embeddings(1)
    for scale in (0.2, 5, 300):
        np.testing.assert_allclose(shape_of(seen * scale), shape_of(seen), rtol=1e-4)
    short, long = (summary(seen * scale, texts())[None] for scale in (1, 5))
    np.testing.assert_allclose(
        maclip.published({"maclip": short}), maclip.published({"maclip": long}), atol=1e-4
    )
    # What it does tell: how evenly the components are filled.
    peaked = np.zeros_like(seen)
    peaked[:, :9] = 1
    assert shape_of(seen).mean() == pytest.approx(0.99, abs=0.02)
    assert shape_of(peaked).max() < 0.5


def test_in_the_norm_variant_the_magnitude_counts() -> None:
    seen = np.stack([summary(embeddings(1) * scale, texts()) for scale in (0.3, 1, 3, 10)])
    found = maclip.by_norm({"maclip": seen})
    assert (np.diff(found) > 0.02).all()
    assert ((found > 0) & (found < 1)).all()
    np.testing.assert_allclose(columns(seen)["cos"], columns(seen)["cos"][0], rtol=1e-4)
    # Neither good nor bad at the reference, whatever that is.
    length = float(np.exp(columns(seen)["log_norm"][1]))
    even = maclip.by_norm({"maclip": seen[1:2]}, reference=length)
    cos = float(columns(seen)["cos"][1])
    weight = 1 / (1 + np.exp(-(0.4 + 2 * (cos - 0.5))))
    assert even[0] == pytest.approx(weight * cos + (1 - weight) * 0.5, abs=1e-5)


def test_an_empty_answer_has_no_score() -> None:
    nothing = summary(np.zeros((2, 1024), np.float32), texts())[None]
    assert np.isnan(maclip.published({"maclip": nothing})).all()
    assert np.isnan(maclip.by_norm({"maclip": nothing})).all()


def test_other_sentences_are_another_block(block: MaclipBlock) -> None:
    plain = block_table(block.store)["clip:RN50"]
    assert block.weights_fingerprint != plain.weights_fingerprint
    assert all(sentence in block.origin for sentence in PROMPTS)


def test_both_models_read_one_block(iq: Iq, roll: Path) -> None:
    """The second computes nothing, and they disagree."""
    iq.changes |= install(iq.home, "clip-rn50", tensors(TINY["clip-rn50"], seed=2))
    first = iq("score", "photos", "--model", "maclip", "-f", "jsonl")
    assert first.code == 0 and len(first.rows) == 6
    second, opened, loaded = iq.spied("score", "photos", "--model", "maclip-norm", "-f", "jsonl")
    assert loaded & {"torch", "open_clip", "cv2", "PIL"} == set()
    assert not [name for name in opened if name.endswith((".jpg", "model.safetensors"))]
    assert [row["score"] for row in first.rows] != [row["score"] for row in second.rows]
    assert {row["model"] for row in second.rows} == {"maclip-norm"}


def test_a_head_view_is_what_is_cut(block: MaclipBlock) -> None:
    """One rule for all photos: a short side of 512, never the name of a data set."""
    views = views_of(limited(texture(1, 1200, 1600)))
    found = columns(block.forward([block.prepare(views)], "cpu"))
    assert block.prepare(views).shape == (512, 683, 3)
    assert found["views"] == 3 * 4 + 1
