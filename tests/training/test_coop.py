"""Learnt words before the texts of a hex model, on a tiny tower."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from support import fake_clip, fake_hex

from iqcli.errors import IqError
from iqcli.extractors.clip_model import encode_texts, tokenize, tower
from iqcli.models.hex import head as hexmodel
from iqcli.models.hex.config import named, parsed
from iqcli.models.hex.head import HexHead
from iqcli.training import coop
from iqcli.training.hex_fit import HexLoss, HexTrainingSet

if TYPE_CHECKING:
    from pathlib import Path

    import open_clip
    from support.cli_runner import Iq

SIX = named("hex6")
WEIGHTS = "clip-vit-b-32"


@pytest.fixture
def clip(tmp_path: Path) -> open_clip.CLIP:
    """A tiny CLIP of 512 numbers, installed."""
    fake_clip.install(tmp_path, WEIGHTS)
    return tower(fake_clip.store(tmp_path), WEIGHTS, "cpu")


def phrase(template: str, title: str = "overall too bright", word: str = "slight") -> str:
    return template.format(title=title, word=word)


def test_words_in_the_place_of_contexts_give_the_text_itself(clip: open_clip.CLIP) -> None:
    """So the end of the text moves with the contexts, and every place gets its own position."""
    prompts = coop.Prompts(clip, SIX, 4)
    words = "very honest camera critic"
    tokens = tokenize(clip, [words])[0, 1:5]
    with torch.no_grad():
        prompts.context.copy_(clip.token_embedding(tokens).expand_as(prompts.context))
        found = prompts().numpy()
    assert found.shape == (18, 512)
    for node, (title, word) in (
        (0, ("overall too bright", "slight")),
        (5, ("overall too dark", "extreme")),
    ):
        whole = encode_texts(clip, [f"{words} {phrase(t, title, word)}" for t in coop.TEMPLATES])
        mean = whole.mean(axis=0)
        assert np.allclose(found[node], mean / np.linalg.norm(mean), atol=1e-5)


def test_the_end_is_read_where_it_moved_to(clip: open_clip.CLIP) -> None:
    """Read where it was without contexts, a text would lose its last words."""
    prompts = coop.Prompts(clip, SIX, 4)
    with torch.no_grad():
        right = prompts().numpy()
        assert isinstance(prompts.ends, torch.Tensor)
        prompts.ends -= 4
        wrong = prompts().numpy()
    assert not np.allclose(right, wrong, atol=1e-3)
    # Levels of one label differ in their last words alone, in the first template.
    apart = np.linalg.norm(right[0] - right[1])
    assert np.linalg.norm(wrong[0] - wrong[1]) < apart


def test_a_text_that_would_lose_its_end_is_refused(clip: open_clip.CLIP) -> None:
    with pytest.raises(IqError, match=re.escape("are longer than the 77 tokens of the tower")):
        coop.Prompts(clip, SIX, 72)
    long = {"labels": [{"name": "x", "title": "word " * 80}]}
    with pytest.raises(IqError, match="longer than the 77 tokens"):
        coop.Prompts(clip, parsed(long, "here"))


def test_only_contexts_temperature_and_biases_learn(clip: open_clip.CLIP) -> None:
    prompts = coop.Prompts(clip, SIX, 4)
    shapes = {name: tuple(value.shape) for name, value in prompts.named_parameters()}
    assert shapes == {"context": (5, 4, 16), "temperature": (), "bias": (18,)}
    before = {name: value.clone() for name, value in clip.state_dict().items()}
    units = torch.nn.functional.normalize(torch.randn(7, 512), dim=1)
    prompts.logits(units).square().sum().backward()
    assert prompts.context.grad is not None
    assert prompts.context.grad.abs().max() > 0
    assert all(value.grad is None for value in clip.parameters())
    assert all((value == before[name]).all() for name, value in clip.state_dict().items())


def test_a_tower_that_was_read_for_measuring_can_still_be_learnt_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tensors made in inference mode refuse gradients; photos are measured in it."""
    state = fake_clip.tensors(fake_clip.TINY[WEIGHTS], seed=3)
    fake_clip.install(tmp_path, WEIGHTS, state)
    with torch.inference_mode():
        shared = tower(fake_clip.store(tmp_path), WEIGHTS, "cpu")
    prompts = coop.Prompts(shared, SIX, 2)
    prompts.logits(torch.ones(1, 512)).sum().backward()
    assert prompts.context.grad is not None


@pytest.mark.slow
def test_a_fit_is_scored_without_the_tower(clip: open_clip.CLIP) -> None:
    """Embeddings that lie beside one text or the other; NumPy predicts the same as torch."""
    random = np.random.default_rng(0)
    with torch.no_grad():
        texts = coop.Prompts(clip, SIX, 4)().numpy()
    levels = np.ones((120, 6), int)
    levels[:40, 0], levels[40:80, 1] = 4, 3
    apart = texts - texts.mean(axis=0)
    apart /= np.linalg.norm(apart, axis=1, keepdims=True)
    ends = np.repeat([apart[2], apart[4], -apart[2] - apart[4]], 40, axis=0)
    vectors = (3 * ends + random.normal(0, 0.02, (120, 512))).astype(np.float32)
    vectors[7] = np.nan
    blocks = {"clip:ViT-B-32": vectors}
    data = HexTrainingSet(blocks, levels, [str(k) for k in range(120)])
    fitted = coop.fit(SIX, data, clip, 4, HexLoss.of("nll", None, None), "cpu", lambda _: None)
    assert fitted.train_losses[-1] < 0.7 * fitted.train_losses[0]
    info = {"kind": "prompts", "blocks": {"clip:ViT-B-32": 512}, "hidden": []}
    assert {n: t.shape for n, t in fitted.tensors.items()} == hexmodel.tensor_shapes(SIX, info)
    assert all(t.dtype == np.float32 for t in fitted.tensors.values())
    head = HexHead(SIX, {"clip:ViT-B-32": 512}, fitted.tensors, fitted.info)
    predicted = head.levels(blocks)
    there = np.isfinite(vectors).all(axis=1)
    assert ((predicted > 1) == (levels > 1))[there].mean() > 0.95
    logits = head.logits(blocks)
    units = torch.nn.functional.normalize(torch.from_numpy(vectors), dim=1)
    exact = units @ torch.from_numpy(fitted.tensors["text"]).T * torch.from_numpy(
        fitted.tensors["scale"]
    ) + torch.from_numpy(fitted.tensors["bias"])
    assert np.allclose(logits[there], exact.numpy()[there], atol=1e-4)


@pytest.mark.slow
def test_prompts_from_the_command_line(iq: Iq) -> None:
    file = fake_hex.labelled(iq.cwd / "photos", scenes=16, size=96)
    words = (
        "train",
        "hex",
        str(file),
        "--prompts",
        WEIGHTS,
        "--scene",
        "scene",
        "-o",
        "p.safetensors",
    )
    ran = iq(*words)
    assert ran.code == 2
    assert f"iq models pull {WEIGHTS}" in ran.err
    assert not (iq.cwd / "p.safetensors").exists()
    iq.changes |= fake_clip.install(iq.home, WEIGHTS)
    ran = iq(*words)
    assert ran.code == 0, ran.err
    assert "epoch 10 of at most 100" in ran.err
    with (iq.cwd / "p.curve.csv").open() as stream:
        losses = [float(row["loss"]) for row in csv.DictReader(stream)]
    assert losses[-1] < losses[0]
    ran, _, loaded = iq.spied("score", "photos", "--model", "p.safetensors", "-f", "jsonl")
    assert ran.code == 0
    assert len(ran.rows) == 64
    assert loaded & {"torch", "open_clip", "cv2", "PIL"} == set()
    ran = iq(*words, "--hidden", "8")
    assert ran.code == 2
    assert "--hidden has no place beside --prompts" in ran.err
