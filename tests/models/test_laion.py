"""LAION's aesthetic heads: folded as written, on unit embeddings, as a model and beside others."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from support.fake_clip import install, registry, store

from iqcli.errors import IqError
from iqcli.models import laion
from iqcli.models.laion import LAYERS, READS, Laion
from iqcli.records import NoRating, Rating

if TYPE_CHECKING:
    from support.cli_runner import Iq

pytestmark = pytest.mark.slow

NAMES = tuple(LAYERS)
TOWERS = {"laion-v1": "clip-vit-b-32", "laion-v2": "clip-vit-l-14"}


def layers(name: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random layers as the published files call them; scores spread about 5."""
    draw, found = torch.Generator().manual_seed(seed), {}
    for layer, (wide, narrow) in LAYERS[name].items():
        found[f"{layer}weight"] = torch.randn((narrow, wide), generator=draw) / (wide / 4) ** 0.5
        found[f"{layer}bias"] = torch.randn(narrow, generator=draw) * 0.1
    last = [key for key in found if key.endswith("bias")][-1]
    found[last] = found[last] + 5
    return found


def stored(tmp_path: Path, tensors: object) -> bytes:
    file = tmp_path / "stored.pth"
    torch.save(tensors, file)
    return file.read_bytes()


def put(home: Path, name: str, tensors: object = None, **row: object) -> None:
    """Install a head."""
    data = tensors if isinstance(tensors, bytes) else stored(home, tensors or layers(name))
    head(home, name, data, **row)


def head(home: Path, name: str, data: bytes, **row: object) -> dict[str, str]:
    return install(home, name, data, **{"kind": "head", "file": "head.pth", **row})


def embeddings(size: int, count: int = 9) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 0.4, (count, size)).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_the_folded_map_is_the_layers_one_after_another(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And there is no activation between them."""
    put(tmp_path, name)
    found = laion.load(name, store(tmp_path))
    seen = embeddings(len(found.weight))
    x = torch.from_numpy(seen).double()
    x = x / x.norm(dim=1, keepdim=True)
    for layer in LAYERS[name]:
        weight, bias = (layers(name)[f"{layer}{kind}"].double() for kind in ("weight", "bias"))
        x = x @ weight.T + bias
    assert x.std() > 0.02
    np.testing.assert_allclose(found.score(seen), x[:, 0], atol=1e-4)
    assert (
        found.block == READS[name]
        and len(found.weight) == registry(tmp_path).blocks[found.block].size
    )


def test_an_embedding_counts_by_its_direction_alone() -> None:
    """CLIP blocks keep the length; the head was trained on unit embeddings."""
    found = Laion("b", np.linspace(-20, 20, 512, dtype=np.float32), 5.0)
    seen = embeddings(512)
    np.testing.assert_allclose(found.score(seen * 30), found.score(seen), atol=1e-4)
    unit = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    np.testing.assert_allclose(found.score(seen), unit @ found.weight + 5, atol=1e-4)


def test_quality_ends_where_the_scale_ends() -> None:
    found = Laion("b", np.array([20, 0], np.float32), 5.0)
    seen = np.array([[1, 0], [-1, 0], [0, 1], [0, 0], [np.nan, 1]], np.float32)
    np.testing.assert_allclose(found.score(seen)[:3], [25, -15, 5])
    quality = found.quality({"b": seen})
    np.testing.assert_allclose(quality[:3], [1, 0, 4 / 9], rtol=1e-6)
    assert np.isnan(quality[3:]).all()


def test_the_file_is_converted_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "laion-v2")
    first = laion.load("laion-v2", store(tmp_path))
    monkeypatch.setattr(laion, "read_torch", lambda path: pytest.fail("read again"))
    again = laion.load("laion-v2", store(tmp_path))
    np.testing.assert_array_equal(again.weight, first.weight)
    assert again.bias == first.bias


def without(key: str, name: str = "laion-v2") -> dict[str, torch.Tensor]:
    return {k: v for k, v in layers(name).items() if k != key}


def relu() -> dict[str, torch.Tensor]:
    """The sibling with activations: layers 0, 3, 6, 9, 11."""
    renamed = {"2": "3", "4": "6", "6": "9", "7": "11", "0": "0"}
    return {
        f"layers.{renamed[key.split('.')[1]]}.{key.split('.')[2]}": value
        for key, value in layers("laion-v2").items()
    }


HARMS = {
    "relu": ("laion-v2", relu(), "has activations between its layers"),
    "lacks": ("laion-v2", without("layers.4.bias"), "it lacks layers.4.bias"),
    "extra": ("laion-v1", layers("laion-v1") | {"more": torch.ones(1)}, "it has more"),
    "shape": ("laion-v1", {"weight": torch.ones(1, 768), "bias": torch.ones(1)}, "not .1, 512"),
    "nan": ("laion-v1", {"weight": torch.ones(1, 512), "bias": torch.tensor([torch.nan])}, "bias"),
    "huge": ("laion-v1", {"weight": torch.full((1, 512), 1e9), "bias": torch.ones(1)}, "weight"),
    "product": (
        "laion-v2",
        {key: torch.full_like(value, 9e5) for key, value in layers("laion-v2").items()},
        "have no end; pull it again",
    ),
    "other": ("laion-v1", [torch.ones(3)], "it lacks bias"),
    "words": ("laion-v1", {"weight": "w", "bias": "b"}, "it lacks bias"),
    "model": ("laion-v1", layers("laion-v2"), "it has layers.0.bias|it lacks bias"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_foreign_file_is_no_head(
    harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, tensors, told = HARMS[harm]
    put(tmp_path, name, tensors)
    with pytest.raises(IqError, match=told) as refused:
        laion.load(name, store(tmp_path))
    assert "head.pth" in str(refused.value) and "\n" not in str(refused.value)


def test_a_pickle_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "went-off",)

    put(tmp_path, "laion-v1", pickle.dumps({"weight": Bomb()}))
    with pytest.raises(IqError, match="holds more than tensors"):
        laion.load("laion-v1", store(tmp_path))
    assert not (tmp_path / "went-off").exists()


def test_a_damaged_conversion_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "laion-v1")
    laion.load("laion-v1", store(tmp_path))
    (kept,) = (tmp_path / "data" / "weights" / "laion-v1").glob("*.safetensors")
    kept.write_bytes(save({"weight": np.ones(3, np.float32), "bias": np.ones(1, np.float32)}))
    with pytest.raises(IqError, match="iq models rm laion-v1"):
        laion.load("laion-v1", store(tmp_path))


# --- ratings ---


def photos(count: int = 4) -> list[dict[str, np.ndarray]]:
    """Blocks of pictures drawn at random, of every kind that the models here read."""
    random = np.random.default_rng(5)
    names = ("photometry", "tiles", "brisque", "mini", *READS.values())
    return [
        {n: random.normal(0, 1, registry(Path()).blocks[n].size).astype(np.float32) for n in names}
        for _ in range(count)
    ]


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both heads and their towers, installed; nobody opens the towers here."""
    for name, tower in TOWERS.items():
        put(tmp_path, name)
        install(tmp_path, tower, b"a tower")
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_a_head_is_a_model_of_its_own(name: str, both: Path) -> None:
    model, seen = registry(both).load(name), photos()
    seen[2][READS[name]] = np.zeros_like(seen[2][READS[name]])
    rated = model.rate(seen)
    raw = laion.load(name, store(both)).score(np.stack([each[READS[name]] for each in seen]))
    for rating, score in zip(rated[:2], raw[:2], strict=True):
        assert isinstance(rating, Rating)
        assert rating.score == rating.aesthetic == pytest.approx(np.clip(score, 1, 10), abs=6e-4)
        assert rating.technical is None and rating.uncertainty is None
    assert isinstance(rated[2], NoRating)
    assert {block.name for block in model.blocks} == {READS[name], "photometry", "tiles"}


def test_beside_other_models_it_changes_no_score(
    both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = photos()
    found: dict[bool, list[Rating]] = {}
    for there in (True, False):
        model = registry(both if there else tmp_path / "none").load("fusion-mini")
        assert (READS["laion-v1"] in {block.name for block in model.blocks}) is there
        found[there] = model.rate(seen)
    for rating, without_it, own in zip(
        found[True], found[False], registry(both).load("laion-v1").rate(seen), strict=True
    ):
        assert isinstance(own, Rating)
        assert (rating.score, rating.uncertainty) == (without_it.score, without_it.uncertainty)
        assert without_it.aesthetic is None
        assert rating.aesthetic == own.aesthetic


def test_the_head_of_a_tower_that_is_read_anyway_comes_first(both: Path) -> None:
    for block in READS.values():
        assert READS[laion.preferred(READS, (block,))] == block
    assert laion.preferred(READS, ("brisque",)) == "laion-v1"
    model = registry(both).load("brisque-refit")
    assert {each.name for each in model.blocks} == {
        *("brisque", "photometry", "tiles"),
        READS["laion-v1"],
    }
    (rating,), (own,) = model.rate(photos(1)), registry(both).load("laion-v1").rate(photos(1))
    assert isinstance(rating, Rating) and rating.aesthetic == own.score


def test_the_second_head_serves_where_the_first_lacks_its_tower(tmp_path: Path) -> None:
    put(tmp_path, "laion-v1")
    assert registry(tmp_path).load("fusion-mini").aesthetic is None
    put(tmp_path, "laion-v2")
    install(tmp_path, "clip-vit-l-14", b"a tower")
    found = registry(tmp_path).load("fusion-mini").aesthetic
    assert found and found.head.block == READS["laion-v2"]


def test_a_score_that_is_the_aesthetic_part_asks_no_other(both: Path) -> None:
    model = registry(both).load("laion-v2")
    assert model.aesthetic is None
    assert READS["laion-v1"] not in {each.name for each in model.blocks}


def test_one_embedding_serves_two_models(iq: Iq, roll: Path, tmp_path: Path) -> None:
    """The default's aesthetic part, then `laion-v1` itself: nothing is computed again."""
    iq.changes |= install(iq.home, "clip-vit-b-32")
    iq.changes |= head(iq.home, "laion-v1", stored(tmp_path, layers("laion-v1")))
    first = iq("score", "photos", "-f", "jsonl")
    assert first.code == 0 and all(1 <= row["aesthetic"] <= 10 for row in first.rows)
    second, opened, loaded = iq.spied("score", "photos", "--model", "laion-v1", "-f", "jsonl")
    assert loaded & {"torch", "open_clip", "cv2", "PIL"} == set()
    assert not [name for name in opened if name.endswith((".jpg", ".pth", "model.safetensors"))]
    assert [row["score"] for row in second.rows] == [row["aesthetic"] for row in first.rows]
    assert len({row["score"] for row in second.rows}) > 1
