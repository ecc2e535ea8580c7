"""The hex head: its arithmetic, its file, its ratings, and how it is fitted."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from support import fake_hex, hex_reference
from support.fake_heads import loaded

from iqcli.errors import IqError
from iqcli.models.hex import graph as hexgraph
from iqcli.models.hex import head as hexmodel
from iqcli.models.hex.config import named
from iqcli.models.hex.head import HexHead, load
from iqcli.output.plots import learning
from iqcli.records import NoRating, Rating
from iqcli.training import hex_fit
from iqcli.training.hex import check_defined
from iqcli.training.hex_fit import HexLoss, HexTrainingSet, RandomField

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq

SIX = named("hex6")


def vectors(rows: int = 30, seed: int = 3) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {
        name: random.normal(0, 2, (rows, size)).astype(np.float32)
        for name, size in fake_hex.SIZES.items()
    }


def test_layers_by_hand() -> None:
    head, blocks = fake_hex.head(), vectors(4)
    x = hexmodel.inputs_of(head.tensors, blocks, head.sizes)
    assert x.shape == (4, 132)
    t = head.tensors
    wanted = np.maximum(x @ t["layer.0.weight"].T + t["layer.0.bias"], 0)
    wanted = wanted @ t["layer.1.weight"].T + t["layer.1.bias"]
    assert np.allclose(head.logits(blocks), wanted, atol=1e-6)
    assert np.allclose(head.marginals(blocks), hexgraph.marginals(SIX, wanted), atol=1e-6)
    none = hexgraph.none_probability(SIX, wanted)
    assert np.allclose(head.quality(blocks), none, atol=1e-6)
    assert hexgraph.is_legal(SIX, head.levels(blocks)).all()


def test_prompts_by_hand() -> None:
    """Cosines: the length of an embedding is no matter; none at all says nothing."""
    head = fake_hex.head(sizes={"clip:ViT-B-32": 512}, kind=hexmodel.PROMPTS)
    e = np.random.default_rng(0).normal(size=(3, 512)).astype(np.float32)
    units = e / np.linalg.norm(e, axis=1, keepdims=True)
    wanted = 30 * units @ head.tensors["text"].T + head.tensors["bias"]
    found = head.logits({"clip:ViT-B-32": e * np.array([[1], [7], [0]], np.float32)})
    assert np.allclose(found[:2], wanted[:2], atol=1e-4)
    assert np.isnan(found[2]).all()


def test_an_undefined_block_is_masked_by_its_flag() -> None:
    head, blocks = fake_hex.head(), vectors(5)
    blocks["brisque"][2, 7] = np.nan
    other = {**blocks, "brisque": blocks["brisque"].copy()}
    other["brisque"][2] = np.nan
    assert np.isfinite(head.logits(blocks)).all()
    assert (head.logits(blocks) == head.logits(other)).all()
    assert (hexmodel.inputs_of(head.tensors, blocks, head.sizes)[2, :37] == 0).all()


def test_a_file_gives_the_same_head(tmp_path: Path) -> None:
    given = fake_hex.head(named("hex12"), hidden=())
    found = load(fake_hex.written(tmp_path / "h.safetensors", given))
    assert found.graph.edges == given.graph.edges
    assert (found.logits(vectors()) == given.logits(vectors())).all()


def test_it_says_what_the_levels_are_called_here_and_in_published_lists() -> None:
    text = fake_hex.head().describe() or ""
    assert "levels: 1 none, 2 slight, 3 clear, 4 severe; in lists that count from 0" in text


def broken(head: HexHead, case: str) -> dict[str, Any]:
    """What to change in the account, or the tensors changed in place."""
    tensors = head.tensors
    assert isinstance(tensors, dict)
    knots = tensors["knots.brisque"].copy()
    match case:
        case "nan":
            tensors["layer.0.weight"] = np.full_like(tensors["layer.0.weight"], np.nan)
        case "huge":
            tensors["layer.1.bias"] = tensors["layer.1.bias"] + np.float32(1e5)
        case "shape":
            tensors["layer.1.bias"] = tensors["layer.1.bias"][:-1]
        case "kind of number":
            tensors["layer.1.bias"] = tensors["layer.1.bias"].astype(np.float64)
        case "knots fall":
            tensors["knots.brisque"] = knots[:, ::-1].copy()
        case "one more":
            tensors["layer.2.bias"] = tensors["layer.1.bias"]
    return {
        "format": {"format": "iq-hex-2"},
        "unknown kind": {"kind": "trees"},
        "two blocks of prompts": {"kind": "prompts"},
        "hidden": {"hidden": [12, -1]},
        "hidden bool": {"hidden": [True]},
        "known by": {"known_by": {"brisque": "1"}},
        "escape": {"model": "a\x1b[2J"},
        "other graph": {"graph": named("hex12").metadata},
        "no figures": {"figures": None},
    }.get(case, {})


CASES = (
    *("nan", "huge", "shape", "kind of number", "knots fall", "one more", "format"),
    *("unknown kind", "two blocks of prompts", "hidden", "hidden bool", "known by", "escape"),
    *("other graph", "no figures"),
)


@pytest.mark.parametrize("case", CASES)
def test_a_strangers_file_is_refused(tmp_path: Path, case: str) -> None:
    given = fake_hex.head()
    changes = broken(given, case)
    file = fake_hex.written(tmp_path / "h.safetensors", given, **changes)
    with pytest.raises(IqError, match="is no hex model of this iq; train it again"):
        load(file)


def test_a_graph_that_contradicts_itself_is_refused_in_a_file_too(tmp_path: Path) -> None:
    account = dict(SIX.metadata)
    account["implications"] = [
        {"label": "too_bright", "level": 2, "needs": "too_dark", "needs_level": 2}
    ]
    file = fake_hex.written(tmp_path / "h.safetensors", fake_hex.head(), graph=account)
    with pytest.raises(IqError, match="too_bright at level 2 can never be"):
        load(file)


def test_no_file_at_all(tmp_path: Path) -> None:
    (tmp_path / "h.safetensors").write_bytes(b"junk")
    for name in ("h.safetensors", "none.safetensors"):
        with pytest.raises(IqError, match=r"cannot read the model .*; train it again"):
            load(tmp_path / name)


def test_a_block_that_this_iq_has_not(tmp_path: Path) -> None:
    for changes, why in (
        ({"known_by": {"brisque": "0", "photometry": "1"}}, "was trained on another block"),
        ({}, None),
    ):
        file = fake_hex.written(tmp_path / "h.safetensors", fake_hex.head(), **changes)
        if why:
            with pytest.raises(IqError, match=why):
                loaded(file)
        else:
            assert [block.name for block in loaded(file).blocks] == [*fake_hex.SIZES]
    strange = fake_hex.head(sizes={"brisque": 35})
    file = fake_hex.written(tmp_path / "s.safetensors", strange)
    with pytest.raises(IqError, match="needs a block 'brisque' of size 35"):
        loaded(file)


def test_ratings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given, blocks = fake_hex.head(), vectors(40)
    model = loaded(fake_hex.written(tmp_path / "h.safetensors", given))
    photos = [{name: values[k] for name, values in blocks.items()} for k in range(40)]
    rated = model.rate(photos)
    levels, quality = given.levels(blocks), given.quality(blocks)
    assert (levels > 1).any()
    for row, q, rating in zip(levels, quality, rated, strict=True):
        assert isinstance(rating, Rating)
        assert rating.score == pytest.approx(1 + 9 * q, abs=6e-4)
        assert rating.uncertainty is None
        assert "not calibrated" in rating.reasons[0]
        names = {label.name: level for label, level in zip(SIX.labels, row, strict=True)}
        assert {i.name: i.level for i in rating.issues} == {n: v for n, v in names.items() if v > 1}
        found = [issue.level for issue in rating.issues]
        assert found == sorted(found, reverse=True)
    assert model.rate([]) == []


def test_a_photo_that_nothing_is_known_of_has_no_score(tmp_path: Path) -> None:
    given = fake_hex.head(sizes={"photometry": 94}, kind=hexmodel.PROMPTS)
    model = loaded(fake_hex.written(tmp_path / "h.safetensors", given))
    (found,) = model.rate([{"photometry": np.full(94, np.nan, np.float32)}])
    assert isinstance(found, NoRating)


def test_a_block_that_stops_nothing_or_teaches_nothing_is_refused() -> None:
    """A loss over no photo is no number: the fit would be kept as it was before the first step."""
    values = np.full((30, 36), np.nan, np.float32)
    pupils = HexTrainingSet({"brisque": values}, np.ones((30, 6), int), [str(k) for k in range(30)])
    for rows in pupils.split():
        values[:] = np.nan
        values[rows] = 1
        with pytest.raises(IqError, match="the block brisque is defined for too few of the photos"):
            check_defined(pupils)
    values[:] = 1
    check_defined(pupils)


# --- the losses ---


def drawn(rows: int = 8) -> tuple[torch.Tensor, np.ndarray, torch.Tensor, torch.Tensor]:
    """Logits, legal levels, and what is on and known of them."""
    random = np.random.default_rng(2)
    logits = random.normal(0, 2, (rows, 18))
    levels = hex_reference.most_likely(SIX, random.normal(0, 2, (rows, 18)))
    on, known = (torch.from_numpy(each) for each in hexgraph.switches(SIX, levels))
    return torch.from_numpy(logits), levels, on, known


def test_torch_and_numpy_say_the_same() -> None:
    logits, levels, on, known = drawn(50)
    field = RandomField(SIX)
    exact = hexgraph.marginals(SIX, logits.numpy())
    assert np.abs(field.marginals(logits).numpy() - exact).max() < 1e-12
    levels[::3, :2] = 0
    on, known = (torch.from_numpy(each) for each in hexgraph.switches(SIX, levels))
    found = field.log_likelihood(logits, on, known).numpy()
    assert np.abs(found - hex_reference.log_likelihood(SIX, logits.numpy(), levels)).max() < 1e-9


def test_losses_by_hand() -> None:
    logits, levels, on, known = drawn()
    p, g = hexgraph.marginals(SIX, logits.numpy()), on.numpy()
    pt, balance = p * g + (1 - p) * (1 - g), 0.8 * g + 0.2 * (1 - g)
    wanted = {
        "nll": -hex_reference.log_likelihood(SIX, logits.numpy(), levels).mean(),
        "bce": -(g * np.log(p) + (1 - g) * np.log(1 - p)).mean(),
        "focal": -(balance * (1 - pt) ** 2 * np.log(pt)).mean(),
        "fidelity": (
            balance * (1 - pt) ** 2 * (1 - np.sqrt(p * g) - np.sqrt((1 - p) * (1 - g)))
        ).mean(),
    }
    for name, value in wanted.items():
        alpha = 0.8 if name == "focal" else None
        loss = HexLoss.of(name, None, alpha)
        assert float(loss(RandomField(SIX), logits, on, known)) == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("name", hex_fit.LOSSES)
def test_an_unknown_label_teaches_nothing(name: str) -> None:
    """Its pair is still bound to it; the labels of another pair are not."""
    logits, levels, _, _ = drawn()
    levels[:, 2:4] = 0
    on, known = (torch.from_numpy(each) for each in hexgraph.switches(SIX, levels))
    logits.requires_grad_()
    HexLoss.of(name, None, None)(RandomField(SIX), logits, on, known).backward()
    assert logits.grad is not None
    assert (logits.grad[:, 6:12].abs() < 1e-12).all()
    assert (logits.grad[:, :6].abs() > 1e-6).any()


@pytest.mark.parametrize("name", hex_fit.LOSSES)
def test_a_loss_survives_certainty(name: str) -> None:
    """Also where the truth has no probability left."""
    _, _, on, known = drawn()
    logits = (1000 * (1 - 2 * on)).requires_grad_()
    value = HexLoss.of(name, None, None)(RandomField(SIX), logits, on, known)
    value.backward()
    assert math.isfinite(value.item())
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_the_published_alpha_of_ten_rewards_errors_and_is_refused() -> None:
    """1 - alpha is then -9: the surer a wrong "on" is, the lower the loss."""
    _, _, on, known = drawn()
    none, surer = torch.zeros_like(on), [torch.full(on.shape, each) for each in (-2.0, 2.0)]
    published = HexLoss("focal", 0.5, 10.0)
    lost = [float(published(RandomField(SIX), each.double(), none, known)) for each in surer]
    assert lost[1] < lost[0]
    with pytest.raises(IqError, match="--alpha is 10, which would reward errors"):
        HexLoss.of("focal", 0.5, 10.0)
    honest = HexLoss.of("focal", 0.5, 0.9)
    lost = [float(honest(RandomField(SIX), each.double(), none, known)) for each in surer]
    assert lost[1] > lost[0]


def test_losses_that_make_no_sense() -> None:
    for given, why in (
        (("hinge", None, None), "no loss 'hinge'"),
        (("nll", 2.0, None), "belong to focal and fidelity"),
        (("fidelity", -1.0, None), "--gamma is -1"),
        (("focal", None, 1.0), "or pass over them; give more than 0 and less than 1"),
        (("focal", math.nan, None), "--gamma is nan"),
    ):
        with pytest.raises(IqError, match=re.escape(why)):
            HexLoss.of(*given)


@pytest.mark.parametrize("name", hex_fit.LOSSES)
def test_a_fit_learns_what_is_there(name: str) -> None:
    """Levels that follow one number; levels of a fit in torch are those of the file in NumPy."""
    random = np.random.default_rng(5)
    light = random.uniform(-1, 1, 300).astype(np.float32)
    noise = random.normal(0, 1, (300, 35)).astype(np.float32)
    levels = np.ones((300, 6), int)
    levels[:, 0] = 1 + np.digitize(light, (0.4, 0.6, 0.8))
    levels[:, 1] = 1 + np.digitize(-light, (0.4, 0.6, 0.8))
    levels[:40, 4] = 0
    blocks = {"brisque": np.column_stack([light, noise])}
    pupils = HexTrainingSet(blocks, levels, [str(k) for k in range(300)])
    fitted = hex_fit.fit(SIX, pupils, (16,), HexLoss.of(name, None, None))
    info = {"kind": "layers", "hidden": [16], "blocks": {"brisque": 36}}
    assert {n: t.shape for n, t in fitted.tensors.items()} == hexmodel.tensor_shapes(SIX, info)
    head = HexHead(SIX, {"brisque": 36}, fitted.tensors, fitted.info)
    said = head.levels(blocks)
    assert ((said[:, 0] > 1) == (levels[:, 0] > 1)).mean() > 0.9
    assert ((said[:, 1] > 1) == (levels[:, 1] > 1)).mean() > 0.9
    assert fitted.stop_losses[0] > min(fitted.stop_losses)
    assert len(fitted.train_losses) == len(fitted.stop_losses)


@pytest.mark.slow
def test_the_curve_is_drawn_alike_each_time() -> None:
    losses = {"taught": [3.0, 2.0, 1.5], "<b>held</b>": [3.1, 2.5, 2.6]}
    drawn = [learning("a $x$ title", losses) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert drawn[0]["learning.png"].startswith(b"\x89PNG")
    other = learning("a $x$ title", losses | {"taught": [3.0, 2.0, 1.0]})
    assert other["learning.svg"] != drawn[0]["learning.svg"]


def test_without_a_file_one_sentence_says_how_to_make_one(iq: Iq, roll: Path) -> None:
    ran = iq("score", "photos", "--model", "hex")
    assert ran.code == 2
    assert ran.lines == [
        "iq: you have no hex model yet, and none is published; make one of labelled photos with "
        "`iq train hex FILE.csv`"
    ]
    assert "hex" in iq("models").out.decode()
