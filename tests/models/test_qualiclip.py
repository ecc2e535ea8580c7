"""QualiCLIP as a method: texts, arithmetic, weights, and the traps of published code."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from support import fake_clip
from support.drawn_scenes import photo, texture
from support.images import encoded
from torch.nn import functional

from iqcli.errors import IqError
from iqcli.extractors.clip import share_of_good
from iqcli.models import qualiclip, registry
from iqcli.models.qualiclip import PROMPTS, checked_texts
from iqcli.photos.read import read_photo

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq

State = "Mapping[str, torch.Tensor]"


pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.slow,
]


# --- the method written down a second time, from the tensors of a file alone ---


def conv(state: State, name: str, x: torch.Tensor, **how: int) -> torch.Tensor:
    return functional.conv2d(x, state[f"{name}.weight"], **how)


def norm(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    weight, bias, mean, var = (
        state[f"{name}.{part}"].view(1, -1, 1, 1)
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def block(state: State, name: str, x: torch.Tensor, stride: int) -> torch.Tensor:
    out = norm(state, f"{name}.bn1", conv(state, f"{name}.conv1", x)).relu()
    out = norm(state, f"{name}.bn2", conv(state, f"{name}.conv2", out, padding=1)).relu()
    short = x
    if stride > 1:
        out, short = functional.avg_pool2d(out, stride), functional.avg_pool2d(x, stride)
    out = norm(state, f"{name}.bn3", conv(state, f"{name}.conv3", out))
    if f"{name}.downsample.0.weight" in state:
        short = norm(state, f"{name}.downsample.1", conv(state, f"{name}.downsample.0", short))
    return (out + short).relu()


def embedding(state: State, picture: np.ndarray, heads: int) -> torch.Tensor:
    """(h, w, 3) of uint8 to (size,), token by token."""
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    x = ((torch.from_numpy(picture.copy()).permute(2, 0, 1) / 255 - mean) / std)[None]
    for k, stride in ((1, 2), (2, 1), (3, 1)):
        x = conv(state, f"visual.conv{k}", x, stride=stride, padding=1)
        x = norm(state, f"visual.bn{k}", x).relu()
    x = functional.avg_pool2d(x, 2)
    for k in range(1, 5):
        x = block(state, f"visual.layer{k}.0", x, 1 if k == 1 else 2)
    tokens = x[0].flatten(1).T
    tokens = torch.cat([tokens.mean(dim=0, keepdim=True), tokens])

    def linear(name: str, rows: torch.Tensor) -> torch.Tensor:
        pool = f"visual.attnpool.{name}"
        return rows @ state[f"{pool}.weight"].T + state[f"{pool}.bias"]

    width = tokens.shape[1] // heads
    q, k, v = linear("q_proj", tokens[:1]), linear("k_proj", tokens), linear("v_proj", tokens)
    seen = []
    for h in range(heads):
        part = slice(h * width, (h + 1) * width)
        weight = ((q[:, part] @ k[:, part].T) / width**0.5).softmax(dim=-1)
        seen.append(weight @ v[:, part])
    return linear("c_proj", torch.cat(seen, dim=1))[0]


def quality(seen: torch.Tensor, texts: torch.Tensor) -> float:
    cosines = functional.cosine_similarity(seen[None], texts, dim=1)
    shares = [(100 * cosines[2 * k : 2 * k + 2]).softmax(dim=0)[0] for k in range(7)]
    return float(sum(shares) / 7)


# --- tiny weights in the shape of the published ones ---


def texts(rows: int = 14, seed: int = 3) -> torch.Tensor:
    """Unit rows, near each other as the texts of a CLIP are."""
    draw = torch.Generator().manual_seed(seed)
    found = torch.randn(1024, generator=draw) + 0.2 * torch.randn(rows, 1024, generator=draw)
    return functional.normalize(found, dim=-1)


def checkpoint(state: State, rows: torch.Tensor) -> bytes:
    """As torch stores it."""
    stream = io.BytesIO()
    tensors = {f"clip_model.{name}": value for name, value in state.items()}
    torch.save({**tensors, "prompts_features": rows}, stream)
    return stream.getvalue()


STATE = fake_clip.tensors(fake_clip.TINY["qualiclip"], seed=7)
HEADS = 4


def pull(iq: Iq, data: bytes | None = None) -> dict[str, str]:
    """Weights installed in the home of `iq`; what the environment must say."""
    data = checkpoint(STATE, texts()) if data is None else data
    terms = {"licence": "CC BY-NC 4.0", "commercial": False}
    return fake_clip.install(iq.home, "qualiclip", data, file="qualiclip.pth", **terms)


@pytest.fixture
def shots(iq: Iq) -> Path:
    """Photos of several shapes."""
    folder = iq.cwd / "photos"
    for name, picture in {
        "coffee": photo("coffee.png"),
        "wide": texture(1, 700, 1100),
        "tall": texture(2, 900, 640),
        "noise": np.random.default_rng(0).integers(0, 256, (512, 600, 3), np.uint8),
    }.items():
        (folder / f"{name}.png").write_bytes(encoded(np.ascontiguousarray(picture), "PNG"))
    return folder


def scores(iq: Iq, *words: str, **environ: str) -> dict[str, float]:
    model = () if "--model" in words else ("--model", "qualiclip")
    ran = iq("score", "photos", "-f", "csv", *model, *words, OMP_NUM_THREADS="1", **environ)
    assert ran.code == 0, ran.err
    return {row["path"].split("/")[-1]: float(row["score"]) for row in ran.cells}


def test_a_whole_picture_is_seen_as_the_paper_says(iq: Iq, shots: Path) -> None:
    """At a short side of 512 pixels, never cut, and without positional embedding."""
    found = scores(iq, "--device", "cpu", **pull(iq))
    assert len(found) == 4
    for name, score in found.items():
        head = read_photo((shots / name).read_bytes(), max_megapixels=100)[1].scoring
        assert min(head.shape[:2]) == 512
        expected = quality(embedding(STATE, head, HEADS), texts())
        assert 0.01 < expected < 0.99
        assert score == pytest.approx(1 + 9 * expected, abs=2e-3)  # CSV has three decimals


def test_the_embedding_is_that_of_an_independent_forward(iq: Iq, shots: Path) -> None:
    pull(iq)
    model = fake_clip.registry(iq.home).load("qualiclip")
    seer = model.blocks[0]
    heads = [
        read_photo(path.read_bytes(), max_megapixels=100)[1].scoring
        for path in sorted(shots.iterdir())
    ]
    seen = seer.forward(heads, "cpu")
    expected = torch.stack([embedding(STATE, head, HEADS) for head in heads]).numpy()
    np.testing.assert_allclose(seen, expected, atol=1e-4 * np.abs(expected).max())
    # 1e-4 of the quality, the photos of a batch each by itself.
    qualities = model.predictor.quality({"qualiclip": seen})
    np.testing.assert_allclose(
        qualities, [quality(torch.from_numpy(row), texts()) for row in expected], atol=1e-4
    )
    assert np.ptp(qualities) > 1e-3
    for row, one in zip(seen, qualities, strict=True):
        assert float(share_of_good(row[None], texts().numpy())[0]) == pytest.approx(
            float(one), 1e-6
        )


def test_positions_count_for_nothing(iq: Iq, shots: Path) -> None:
    moved = dict(STATE)
    name = "visual.attnpool.positional_embedding"
    first = scores(iq, "--no-cache", **pull(iq))
    moved[name] = torch.randn_like(STATE[name]) * 50
    assert scores(iq, "--no-cache", **pull(iq, checkpoint(moved, texts()))) == first


def test_other_weights_are_another_block(iq: Iq, shots: Path) -> None:
    """The cache kept the vectors of the weights before."""
    first = scores(iq, **pull(iq))
    other = fake_clip.tensors(fake_clip.TINY["qualiclip"], seed=8)
    assert scores(iq, **pull(iq, checkpoint(other, texts()))) != first


# --- the traps of published code ---


def test_no_comma_is_missing_between_the_prompts() -> None:
    """Their list has 13 sentences: 'Noisy image.' 'High-quality image.' are one string."""
    assert len(PROMPTS) == 14 == len(set(PROMPTS))
    assert all(prompt.count(".") == 1 and prompt.endswith(".") for prompt in PROMPTS)
    words = ("photo", "image", "edges", "image", "image", "image", "picture")
    good = ("Good", "Sharp", "Sharp", "High-resolution", "Noise-free", "High-quality", "Good")
    bad = ("Bad", "Blurry", "Blurry", "Low-resolution", "Noisy", "Low-quality", "Bad")
    assert PROMPTS[0::2] == tuple(f"{g} {w}." for g, w in zip(good, words, strict=True))
    assert PROMPTS[1::2] == tuple(f"{b} {w}." for b, w in zip(bad, words, strict=True))


@pytest.mark.parametrize("rows", [13, 12, 16])
def test_a_checkpoint_with_13_texts_is_refused(iq: Iq, shots: Path, rows: int) -> None:
    environ = pull(iq, checkpoint(STATE, texts(rows)))
    ran = iq("score", "photos", "--model", "qualiclip", **environ)
    assert ran.code == 2 and len(ran.lines) == 1 and ran.out == b""
    assert f"texts of the shape ({rows}, 1024), not (14, 1024)" in ran.err


def test_a_checkpoint_without_texts_is_refused(iq: Iq, shots: Path) -> None:
    stream = io.BytesIO()
    torch.save({f"clip_model.{name}": value for name, value in STATE.items()}, stream)
    ran = iq("score", "photos", "--model", "qualiclip", **pull(iq, stream.getvalue()))
    assert ran.code == 2 and len(ran.lines) == 1 and "holds no prompts_features" in ran.err


def test_the_cosines_are_not_divided_by_2() -> None:
    """Another library's tau of 2 gives other numbers and, through the mean, another order."""
    rows = np.zeros((14, 3), np.float32)
    rows[0::2, 0] = rows[1::2, 1] = 1
    angle = np.float32(np.pi / 4 + 0.01)
    seen = np.array([[np.sin(angle), np.cos(angle), 0]], np.float32)
    lead = 100 * (np.sin(angle) - np.cos(angle))
    found = float(share_of_good(seen, rows)[0])
    assert found == pytest.approx(1 / (1 + np.exp(-lead)), abs=1e-5)
    assert abs(found - 1 / (1 + np.exp(-lead / 2))) > 0.1


def test_good_comes_first_and_each_pair_counts_a_seventh() -> None:
    rows = np.eye(14, dtype=np.float32)
    for k in range(14):
        found = float(share_of_good(rows[k : k + 1], rows)[0])
        assert found == pytest.approx(((k % 2 == 0) + 6 * 0.5) / 7, abs=1e-6)


def test_the_texts_are_unit_rows_and_a_photo_of_any_length(tmp_path: Path) -> None:
    rows = texts().numpy()
    np.testing.assert_array_equal(checked_texts(rows, 1024, tmp_path), rows)
    # As half precision stores them.
    checked_texts(rows.astype(np.float16), 1024, tmp_path)
    for odd in (rows * 10, rows * np.float32(1.01), rows * 0, rows * np.nan):
        with pytest.raises(IqError, match="not of unit length"):
            checked_texts(odd, 1024, tmp_path)
    seen = np.random.default_rng(0).normal(size=(5, 1024)).astype(np.float32)
    np.testing.assert_allclose(share_of_good(seen, rows), share_of_good(seen * 40, rows), atol=1e-5)


def test_no_mean_is_taken_over_a_batch() -> None:
    rows = texts().numpy()
    seen = np.random.default_rng(1).normal(size=(6, 1024)).astype(np.float32)
    together = share_of_good(seen, rows)
    assert together.shape == (6,)
    alone = [share_of_good(row[None], rows)[0] for row in seen]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert np.ptp(together) > 0.01


def test_what_has_no_direction_has_no_quality() -> None:
    rows = texts().numpy()
    seen = np.stack([np.zeros(1024), np.full(1024, np.nan), rows[0]]).astype(np.float32)
    found = share_of_good(seen, rows)
    assert np.isnan(found[:2]).all() and found[2] > 0.5


# --- the door ---


def test_the_licence_is_told_and_must_be_accepted(iq: Iq, shots: Path) -> None:
    assert registry.ENTRIES["qualiclip"].licence == "CC BY-NC 4.0, not for commercial use"
    ran = iq("score", "photos", "--model", "qualiclip")
    assert ran.code == 2 and len(ran.lines) == 1 and ran.out == b""
    assert "CC BY-NC 4.0" in ran.err
    assert "iq models pull qualiclip --accept-licence" in ran.err


def test_a_second_run_needs_no_torch(iq: Iq, shots: Path) -> None:
    environ = pull(iq)
    first = scores(iq, **environ)
    ran, _, loaded = iq.spied("score", "photos", "--model", "qualiclip", "-f", "csv", **environ)
    assert ran.code == 0, ran.err
    assert {row["path"].split("/")[-1]: float(row["score"]) for row in ran.cells} == first
    assert loaded & {"torch", "open_clip", "cv2", "PIL", "scipy"} == set()


def test_the_score_says_that_it_is_not_calibrated(iq: Iq, shots: Path) -> None:
    ran = iq("score", "photos/coffee.png", "--model", "qualiclip", "-f", "jsonl", **pull(iq))
    assert ran.code == 0, ran.err
    (row,) = ran.rows
    assert row["model"] == "qualiclip" and row["uncertainty"] is None
    assert qualiclip.BLOCK == "qualiclip"
