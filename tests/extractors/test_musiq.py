"""MUSIQ: an independent forward, both kinds of published files, any size, warm without torch."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch
from PIL import Image
from support.cli_runner import Iq
from support.drawn_scenes import photo
from support.fake_clip import install, registry, store
from support.fake_heads import NOWHERE
from torch.nn import functional as F  # noqa: N812

from iqcli.errors import IqError
from iqcli.extractors import base, musiq, musiq_weights
from iqcli.extractors.musiq import MusiqBlock, places
from iqcli.extractors.musiq_net import Musiq, StdConv, same
from iqcli.models.musiq import Head
from iqcli.models.registry import ENTRIES
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.measure import measure
from iqcli.records import NoRating, Shot
from iqcli.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iqcli.records import Pixels

State = dict[str, torch.Tensor]
TINY = (32, 2, 48)
LAYER = "transformer_encoder.transformer.encoderblock_{}"


@cache
def weights(seed: int = 0, outputs: int = 1) -> State:
    """A tiny network by the names of the torch conversions; every tensor moves the result."""
    draw = torch.Generator().manual_seed(seed)
    state = {}
    for name, like in Musiq(*TINY).state_dict().items():
        found = torch.randn(like.shape, generator=draw)
        if like.ndim == 2 and name.endswith("weight"):
            found /= like.shape[1] ** 0.5
        elif like.ndim == 1:
            found = 0.2 * found + (1.0 if name.endswith("weight") else 0.0)
        state[name] = found
    head = "head." if outputs == 1 else "head.0."
    wide = 30.0 if outputs == 1 else 1.0
    state[f"{head}weight"] = wide * torch.randn(outputs, 384, generator=draw) / 384**0.5
    state[f"{head}bias"] = torch.full((outputs,), 50.0 if outputs == 1 else 0.0)
    return state


def as_torch(state: State, wrapped: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save({"params": state} if wrapped else state, file)
    return file.getvalue()


def as_flax(state: State) -> bytes:
    """The same tensors as Google's code names and shapes them, with some state of its optimiser."""
    file = io.BytesIO()
    kept = dict(_flax(state))
    np.savez(file, **kept, **{"opt/state/step": np.array(7)})
    return file.getvalue()


def _flax(state: State) -> Iterator[tuple[str, np.ndarray]]:
    for name, tensor in state.items():
        value = tensor.numpy()
        *owners, leaf = name.replace("head.0.", "head.").split(".")
        path = "/".join(owners)
        for ours, theirs in (
            ("transformer_encoder/transformer", "transformer_encoder"),
            ("transformer_encoder", "Transformer"),
            ("block1/", "block1/unit1/"),
            ("norm1", "LayerNorm_0"),
            ("norm2", "LayerNorm_2"),
            ("attention", "MultiHeadDotProductAttention_1"),
            ("mlp/fc1", "MlpBlock_3/Dense_0"),
            ("mlp/fc2", "MlpBlock_3/Dense_1"),
        ):
            path = path.replace(ours, theirs)
        attention = "Attention" in path
        if leaf == "position_emb":
            leaf = "pos_embedding"
        elif leaf == "scale_emb":
            leaf, value = "scale_embedding", value[None]
        elif leaf == "weight" and value.ndim == 4:
            leaf, value = "kernel", value.transpose(2, 3, 1, 0)
        elif leaf == "weight" and value.ndim == 2:
            leaf, value = "kernel", value.T
            if path.endswith("/out"):
                value = value.reshape(6, 64, 384)
            elif attention:
                value = value.reshape(384, 6, 64)
        elif leaf == "weight":
            leaf = "scale"
        if "gn" in path:
            value = value.reshape(1, 1, 1, -1)
        elif leaf == "bias" and attention and not path.endswith("/out"):
            value = value.reshape(6, 64)
        yield f"opt/target/{path}/{leaf}".replace("//", "/"), value


def pictures() -> list[Pixels]:
    """Eight pictures of eight shapes, from a strip to one smaller than a patch."""
    whole = [photo(name) for name in ("astronaut.png", "coffee.png", "chelsea.png")]
    cuts = [whole[0][:97, :401], whole[1][:300, :33], whole[2][10:50, 20:40], whole[0][:512, :64]]
    return [np.ascontiguousarray(each) for each in (*whole, *cuts, whole[1][:256, :256])]


def independent(state: State, picture: Pixels) -> torch.Tensor:
    """The class token written down once more, with all paddings of the published code."""
    x = (torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255 - 0.5) * 2
    height, width = x.shape[-2:]
    rows, at, of, real = [], [], [], []
    for scale, (long, most) in enumerate(((224, 49), (384, 144), (None, 0))):
        view, (h, w) = x, (height, width)
        if long:
            h, w = (round(side * (long / max(height, width))) for side in (height, width))
            view = F.interpolate(x, (h, w), mode="bicubic", align_corners=False)
        down, across = -(-h // 32), -(-w // 32)
        extra = (across * 32 - w, down * 32 - h)
        ends = [part for each in extra for part in (each // 2, each - each // 2)]
        cut = F.unfold(F.pad(view, ends), 32, stride=32)[0].T.reshape(-1, 3, 32, 32)
        grid = torch.arange(10.0)[None, None]
        i, j = (F.interpolate(grid, n, mode="nearest")[0, 0] for n in (down, across))
        place = (i[:, None] * 10 + j).flatten().long()
        short = max(most - len(cut), 0)
        rows.append(torch.cat([cut, torch.zeros(short, 3, 32, 32)]))
        at.append(torch.cat([place, torch.zeros(short, dtype=torch.long)]))
        of += [scale] * len(cut) + [0] * short
        real += [1.0] * len(cut) + [0.0] * short
    y = torch.cat(rows)

    def conv(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        w = state[f"{name}.weight"]
        flat = w.flatten(1)
        deviation = (flat.var(1, keepdim=True, unbiased=True)).sqrt() + 1e-5
        w = ((flat - flat.mean(1, keepdim=True)) / deviation).view_as(w)
        gap = max((-(-x.shape[-1] // stride) - 1) * stride + w.shape[-1] - x.shape[-1], 0)
        ends = (gap // 2, gap - gap // 2)
        return F.conv2d(F.pad(x, ends * 2), w, stride=stride)

    def norm(name: str, x: torch.Tensor, eps: float) -> torch.Tensor:
        return F.group_norm(x, 32, state[f"{name}.weight"], state[f"{name}.bias"], eps)

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def layer_norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(x, (384,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    y = norm("gn_root", conv("conv_root", y, 2), 1e-6).relu()
    y = F.max_pool2d(F.pad(y, (0, 1, 0, 1)), 3, 2)
    first = norm("block1.gn_proj", conv("block1.conv_proj", y), 1e-4)
    for n in (1, 2):
        y = norm(f"block1.gn{n}", conv(f"block1.conv{n}", y), 1e-4).relu()
    y = (norm("block1.gn3", conv("block1.conv3", y), 1e-4) + first).relu()
    y = linear("embedding", y.permute(0, 2, 3, 1).reshape(len(y), -1))
    encoder = "transformer_encoder"
    y = y + state[f"{encoder}.posembed_input.position_emb"][0][torch.cat(at)]
    y = y + state[f"{encoder}.scaleembed_input.scale_emb"][torch.tensor(of)]
    y = torch.cat([state[f"{encoder}.cls"][0], y])
    seen = torch.tensor([1.0, *real])
    for k in range(TINY[1]):
        name = LAYER.format(k)
        z = layer_norm(f"{name}.norm1", y)
        q, key, value = (
            linear(f"{name}.attention.{part}", z).view(-1, 6, 64).transpose(0, 1)
            for part in ("query", "key", "value")
        )
        logits = (q @ key.transpose(1, 2)) * 64**-0.5
        logits = logits.masked_fill(seen[:, None] * seen == 0, -1e3)
        z = (logits.softmax(-1) @ value).transpose(0, 1).reshape(-1, 384)
        y = y + linear(f"{name}.attention.out", z)
        z = linear(f"{name}.mlp.fc1", layer_norm(f"{name}.norm2", y))
        z = z * 0.5 * (1 + torch.erf(z / 2**0.5))
        y = y + linear(f"{name}.mlp.fc2", z)
    return layer_norm(f"{encoder}.encoder_norm", y)[0]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MusiqBlock:
    """The block with tiny weights, in a data folder of its own."""
    put(tmp_path, as_flax(weights()))
    return MusiqBlock("musiq-koniq", store=store(tmp_path))


def put(
    home: Path,
    data: bytes,
    file: str = "koniq_ckpt.npz",
    name: str = "musiq-koniq",
) -> None:
    install(home, name, data, kind="musiq", file=file)


# --- the network ---


@pytest.mark.slow
def test_the_class_token_is_that_of_an_independent_forward(installed: MusiqBlock) -> None:
    found = [installed.forward([each], "cpu")[0] for each in pictures()]
    wanted = [independent(weights(), each).numpy() for each in pictures()]
    np.testing.assert_allclose(found, wanted, atol=2e-5)
    assert min(np.ptp(found, axis=0)) > 1e-3  # no token is the same for all pictures


@pytest.mark.slow
def test_eight_shapes_at_once_are_each_alone(installed: MusiqBlock) -> None:
    """Fault: padding that other pictures of a batch bring changed a score."""
    alone = [installed.forward([each], "cpu")[0] for each in pictures()]
    np.testing.assert_allclose(installed.forward(pictures(), "cpu"), alone, atol=1e-5)


def test_the_published_shape_has_27_million_parameters() -> None:
    with torch.device("meta"):
        network = Musiq()
    assert sum(each.numel() for each in network.parameters()) + 385 == 27_125_825


def test_filters_are_standardised_by_the_deviation_of_a_sample() -> None:
    """Fault: the deviation of all three weights is a fifth less, and so was the score another."""
    conv = StdConv(3, 4, 1, bias=False)
    used = conv(torch.eye(3)[..., None, None]).detach()[..., 0, 0].T.numpy()
    np.testing.assert_allclose(used.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(used.std(axis=1, ddof=1), 1, atol=1e-3)
    before = conv(torch.ones(1, 3, 8, 8))
    with torch.no_grad():
        conv.weight.mul_(5).add_(2)
    torch.testing.assert_close(conv(torch.ones(1, 3, 8, 8)), before, atol=1e-3, rtol=0)


@pytest.mark.parametrize("side", [1, 15, 16, 31, 32, 33, 64])
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 2), (3, 1), (1, 1), (32, 32)])
def test_padding_is_that_of_same(side: int, kernel: int, stride: int) -> None:
    padded = same(torch.ones(1, 1, side, side), kernel, stride).shape[-1]
    assert (padded - kernel) // stride + 1 == -(-side // stride)
    ones = same(torch.ones(1, 1, side, side), kernel, stride)[0, 0].sum(dim=0)
    before = int((ones.cumsum(0) == 0).sum())
    assert before == (padded - side) // 2  # the odd zero comes last


@pytest.mark.parametrize("count", [*range(1, 25), 64, 100, 333])
def test_places_are_hashed_as_torch_interpolates(count: int) -> None:
    grid = torch.arange(10.0)[None, None]
    wanted = F.interpolate(grid, count, mode="nearest")[0, 0].numpy().astype(int)
    np.testing.assert_array_equal(places(1, count), wanted)
    np.testing.assert_array_equal(places(count, 1), wanted * 10)


def test_a_picture_of_one_pixel_and_a_line_are_seen(installed: MusiqBlock) -> None:
    """Fault: the copy of a very long picture had no height."""
    line = np.full((1, 2048, 3), 90, np.uint8)
    found = installed.forward([line, line[:, :1]], "cpu")
    assert found.shape == (2, 384)
    assert np.isfinite(found).all()


# --- the files ---


def test_another_decoder_is_another_fingerprint_for_the_same_heads(
    installed: MusiqBlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = installed.fingerprint, installed.weights_fingerprint
    monkeypatch.setattr(base, "package_version", lambda name: f"{name} of another day")
    block = MusiqBlock("musiq-koniq", store=installed.store)
    assert block.fingerprint != before[0] and block.weights_fingerprint == before[1]


@pytest.mark.parametrize("kind", ["npz", "pth", "params", "parameters"])
def test_every_published_kind_of_file_gives_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    state = weights(3)
    kept = {name: torch.nn.Parameter(each) for name, each in state.items()}
    data = as_torch(kept if kind == "parameters" else state, wrapped=kind == "params")
    data = as_flax(state) if kind == "npz" else data
    put(tmp_path, data, f"file.{'npz' if kind == 'npz' else 'pth'}")
    found = MusiqBlock("musiq-koniq", store=store(tmp_path)).forward([photo("chelsea.png")], "cpu")[
        0
    ]
    np.testing.assert_allclose(found, independent(state, photo("chelsea.png")), atol=2e-5)
    head = musiq_weights.read_tensors(store(tmp_path), "musiq-koniq", head=True)
    np.testing.assert_array_equal(head["head.weight"], state["head.weight"])


def test_other_weights_are_another_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prints, seen = [], []
    for seed in (1, 2):
        put(tmp_path, as_flax(weights(seed)))
        block = MusiqBlock("musiq-koniq", store=store(tmp_path))
        prints.append(block.fingerprint)
        seen.append(block.forward([photo("chelsea.png")], "cpu"))
    assert prints[0] != prints[1]
    assert np.abs(seen[0] - seen[1]).max() > 0.1  # nor is the first network kept


def broken(how: str) -> tuple[bytes, str]:
    state = dict(weights())
    if how == "pickle":
        file = io.BytesIO()
        np.savez(file, **{"opt/target/head/kernel": np.array([{"a": 1}], object)})
        return file.getvalue(), "file.npz"
    if how == "damaged inside":
        file = io.BytesIO()
        with ZipFile(file, "w", ZIP_DEFLATED) as archive:
            archive.writestr("opt/target/conv_root/kernel.npy", bytes(4000))
        data = bytearray(file.getvalue())
        start = data.index(b"kernel.npy") + len(b"kernel.npy")
        data[start : start + 12] = bytes([255]) * 12
        return bytes(data), "file.npz"
    if how == "more than there is":
        file = io.BytesIO()
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 384)}"
        with ZipFile(file, "w") as archive:
            text = header.ljust(117) + b"\n"
            archive.writestr(
                "opt/target/conv_root/kernel.npy",
                b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text,
            )
        return file.getvalue(), "file.npz"
    if how == "no zip":
        return b"PK\x03\x04 no zip at all", "file.npz"
    if how == "half":
        return as_flax(weights())[:100_000], "file.npz"
    if how == "a layer short":
        del state[f"{LAYER.format(1)}.norm1.weight"]
    elif how == "one more":
        state["block2.conv1.weight"] = torch.zeros(3)
    elif how == "not finite":
        state["embedding.bias"] = torch.full((384,), float("nan"))
    elif how == "no tensor":
        return as_torch({**state, "cls": "print()"}), "file.pth"  # type: ignore[dict-item]
    elif how == "another shape":
        state["embedding.weight"] = torch.zeros(384, 7)
    return as_torch(state), "file.pth"


def test_an_archive_that_unpacks_to_too_much_is_not_unpacked(
    installed: MusiqBlock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert musiq_weights.read_tensors(installed.store, installed.name, head=True)
    monkeypatch.setattr(musiq_weights, "MOST_BYTES", 100_000)
    monkeypatch.setattr(musiq_weights, "_transpose", lambda *_: pytest.fail("unpacked"))
    with pytest.raises(IqError, match="pull it again"):
        musiq_weights.read_tensors(installed.store, installed.name, head=True)


@pytest.mark.parametrize(
    "how",
    [
        *("pickle", "no zip", "half", "a layer short", "one more", "not finite", "no tensor"),
        *("another shape", "damaged inside", "more than there is"),
    ],
)
def test_a_foreign_file_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    put(tmp_path, *broken(how))
    with pytest.raises(IqError, match="pull it again"):
        MusiqBlock("musiq-koniq", store=store(tmp_path)).forward([photo("chelsea.png")], "cpu")


@pytest.mark.parametrize("outputs", [2, 7])
def test_a_head_of_another_width_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: int
) -> None:
    put(tmp_path, as_flax(weights(0, outputs)))
    with pytest.raises(IqError, match="no MUSIQ"):
        registry(tmp_path).load("musiq")


# --- the heads ---


def test_an_opinion_of_0_to_100_is_a_quality_of_0_to_1() -> None:
    head = Head("x", np.zeros((1, 384), np.float32), np.array([75], np.float32))
    tokens = np.zeros((2, 384), np.float32)
    tokens[1] = np.nan
    found = head({"x": tokens})
    assert found[0] == pytest.approx(0.75)
    assert np.isnan(found[1])  # not defined stays so
    high, low = (head.__class__("x", head.weight, np.array([v], np.float32)) for v in (130, -5))
    assert (high({"x": tokens})[0], low({"x": tokens})[0]) == (1, 0)


def test_ava_is_the_mean_of_ten_marks() -> None:
    bias = np.log(np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 11], np.float32) / 20)
    head = Head("x", np.zeros((10, 384), np.float32), bias.astype(np.float32))
    mean = (sum(range(1, 10)) + 11 * 10) / 20
    tokens = np.zeros((1, 384), np.float32)
    assert 1 + 9 * head({"x": tokens})[0] == pytest.approx(mean, abs=1e-5)
    shifted = Head("x", head.weight, (bias + 500).astype(np.float32))
    assert shifted({"x": tokens})[0] == pytest.approx(head({"x": tokens})[0], abs=1e-4)


def test_each_model_reads_its_own_weights() -> None:
    wanted = {"musiq": "koniq", "musiq-spaq": "spaq", "musiq-paq2piq": "paq2piq"}
    for name, data in (wanted | {"musiq-ava": "ava"}).items():
        assert ENTRIES[name].needs == (f"musiq-{data}",)
        assert registry(NOWHERE).blocks[f"musiq-{data}"].size == 384
        assert "no terms" in ENTRIES[name].licence and "NC" in ENTRIES[name].licence


def test_the_head_of_ava_in_a_sequence_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, as_torch(weights(0, 10)), "ava.pth", "musiq-ava")
    model = registry(tmp_path).load("musiq-ava").predictor
    assert model.part == "aesthetic"
    token = independent(weights(0, 10), photo("chelsea.png"))
    shares = F.linear(token, *(weights(0, 10)[f"head.0.{n}"] for n in ("weight", "bias")))
    wanted = float((shares.softmax(0) * torch.arange(10) / 9).sum())
    found = model.quality({"musiq-ava": token.numpy()[None]})
    assert found[0] == pytest.approx(wanted, abs=1e-5)


# --- the whole ---


def test_a_photo_costs_one_forward_and_a_warm_one_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: MusiqBlock
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, picture in enumerate([*pictures()[:2], pictures()[1]]):
        Image.fromarray(picture).save(folder / f"{number}.png")
    seen: list[int] = []
    real = MusiqBlock.forward

    def counted(self: MusiqBlock, batch: list[Pixels], device: str) -> np.ndarray:
        seen.append(len(batch))
        return real(self, batch, device)

    monkeypatch.setattr(MusiqBlock, "forward", counted)
    shots = [Shot(folder, path) for path in sorted(folder.iterdir())]
    given = Settings(cache_dir=tmp_path / "cache", state_dir=tmp_path, device="cpu", jobs=2)
    results = []
    for _ in range(2):
        cache = Cache(tmp_path / "cache", print)
        found = list(measure(shots, [installed], cache, given))
        cache.close()
        results.append([each.blocks["musiq-koniq"] for each in found if each.blocks])
    assert sum(seen) == 2  # two pictures of three are the same
    np.testing.assert_array_equal(*results)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["npz", "pth"])
def test_a_warm_score_needs_no_torch(iq: Iq, roll: Path, kind: str) -> None:
    data = as_flax(weights()) if kind == "npz" else as_torch(weights())
    iq.changes |= install(iq.home, "musiq-koniq", data, kind="musiq", file=f"koniq.{kind}")
    cold = iq("score", "photos", "--model", "musiq", "-f", "jsonl")
    assert cold.code == 0, cold.err
    assert len({row["score"] for row in cold.rows}) > 3
    for row in cold.rows:
        assert row["model"] == "musiq"
        assert 1 <= row["score"] <= 10
        assert row["technical"] == row["score"] and row["uncertainty"] is None
        assert any("not calibrated" in reason for reason in row["reasons"])
    ran, opened, loaded = iq.spied("score", "photos", "--model", "musiq", "-f", "jsonl")
    assert ran.out == cold.out
    assert not [name for name in opened if name.endswith(".jpg")]
    assert loaded & {"torch", "cv2", "PIL"} == set()


def test_weights_that_are_not_here_are_named(iq: Iq, roll: Path) -> None:
    ran = iq("score", "photos", "--model", "musiq-spaq")
    assert ran.code == 2
    assert "iq models pull musiq-spaq" in ran.err
    assert len(ran.lines) == 1


def test_a_token_that_is_not_defined_has_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, as_flax(weights()))
    model = registry(tmp_path).load("musiq")
    blocks = {b.name: np.zeros(b.size, np.float32) for b in model.blocks}
    blocks["musiq-koniq"] += np.nan
    (found,) = model.rate([blocks])
    assert isinstance(found, NoRating)


def test_the_network_is_asked_by_its_own_numbers(installed: MusiqBlock) -> None:
    """The copies, not the picture alone, reach the score: without them it is another."""
    whole = installed.forward([photo("coffee.png")], "cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(musiq, "LONG_SIDES", (384, 224))
        assert np.abs(installed.forward([photo("coffee.png")], "cpu") - whole).max() > 1e-3
