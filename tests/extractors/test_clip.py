"""CLIP towers and the blocks `clip:…`: their numbers, their prompts, and files that are none."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load, save
from support.drawn_scenes import PHOTOS, photo, texture
from support.fake_clip import TINY, calibrated, install, registry, store, tensors
from support.fake_fusion import stored
from torch.nn import functional as F  # noqa: N812
from torch.nn.modules.module import register_module_forward_hook
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

from iqcli.errors import IqError
from iqcli.extractors import base, clip_model
from iqcli.extractors import clip as clip_blocks
from iqcli.extractors.clip import (
    MEAN,
    PROMPTS,
    STD,
    ClipBlock,
    centre_crop,
    normalise,
    share_of_good,
)
from iqcli.extractors.registry import block_table
from iqcli.models.registry import ENTRIES
from iqcli.photos.views import limited, views_of
from iqcli.records import Views

if TYPE_CHECKING:
    from support.cli_runner import Iq

    from iqcli.records import Pixels

EYES = ("clip-vit-b-32", "clip-vit-l-14", "clip-rn50")
CONFIG = TINY["clip-rn50"]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def eyes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home in which all three tiny towers are installed."""
    for name in EYES:
        install(tmp_path, name)
    clip_model._texts.cache_clear()
    return tmp_path


def block(home: Path, name: str) -> ClipBlock:
    """A block on the weights of `home` that nobody has asked yet."""
    found = block_table(store(home))[name]
    assert isinstance(found, ClipBlock)
    return found


def same(picture: Pixels) -> Views:
    return Views(picture, picture)


# --- numbers of the full towers, from their files' own names ---


def quick(x: torch.Tensor) -> torch.Tensor:
    return x * torch.sigmoid(1.702 * x)


def attended(x: torch.Tensor, q, k, v, out, heads: int, mask: torch.Tensor | None = None):
    """Attention of (n, tokens, width) with (weight, bias) of each projection."""
    n, tokens, width = x.shape
    parts = [F.linear(x, *each).view(n, tokens, heads, -1).transpose(1, 2) for each in (q, k, v)]
    seen = parts[0] @ parts[1].transpose(2, 3) / parts[0].shape[-1] ** 0.5
    seen = (seen if mask is None else seen + mask).softmax(dim=-1) @ parts[2]
    return F.linear(seen.transpose(1, 2).reshape(n, tokens, width), *out)


def transformed(x, state, prefix: str, layers: int, heads: int, mask=None) -> torch.Tensor:
    for layer in range(layers):
        at = f"{prefix}resblocks.{layer}."

        def pair(name: str, at: str = at) -> tuple[torch.Tensor, torch.Tensor]:
            return state[f"{at}{name}.weight"], state[f"{at}{name}.bias"]

        width = x.shape[-1]
        joined = zip(
            state[f"{at}attn.in_proj_weight"].split(width),
            state[f"{at}attn.in_proj_bias"].split(width),
            strict=True,
        )
        normal = F.layer_norm(x, (width,), *pair("ln_1"))
        x = x + attended(normal, *joined, pair("attn.out_proj"), heads, mask)
        normal = F.layer_norm(x, (width,), *pair("ln_2"))
        x = x + F.linear(quick(F.linear(normal, *pair("mlp.c_fc"))), *pair("mlp.c_proj"))
    return x


def vit_b_32(state: dict[str, torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    patches = F.conv2d(pixels, state["visual.conv1.weight"], stride=32).flatten(2).transpose(1, 2)
    first = state["visual.class_embedding"].expand(len(pixels), 1, 768)
    x = torch.cat([first, patches], dim=1) + state["visual.positional_embedding"]
    x = F.layer_norm(x, (768,), state["visual.ln_pre.weight"], state["visual.ln_pre.bias"])
    x = transformed(x, state, "visual.transformer.", 12, 12)[:, 0]
    x = F.layer_norm(x, (768,), state["visual.ln_post.weight"], state["visual.ln_post.bias"])
    return x @ state["visual.proj"]


def written(state: dict[str, torch.Tensor], tokens: torch.Tensor) -> torch.Tensor:
    x = state["token_embedding.weight"][tokens] + state["positional_embedding"]
    mask = torch.full((77, 77), -torch.inf).triu(1)
    x = transformed(x, state, "transformer.", 12, 8, mask)
    x = F.layer_norm(x, (512,), state["ln_final.weight"], state["ln_final.bias"])
    last = x[torch.arange(len(x)), tokens.argmax(dim=1)] @ state["text_projection"]
    return F.normalize(last, dim=1)


def resnet_50(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Without positional embedding."""

    def normal(x: torch.Tensor, name: str) -> torch.Tensor:
        kinds = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(state[f"{name}.{kind}"] for kind in kinds))

    def seen(x: torch.Tensor, at: str, conv: str, bn: str, **how: int) -> torch.Tensor:
        return normal(F.conv2d(x, state[f"{at}{conv}.weight"], **how), f"{at}{bn}")

    x = seen(x, "visual.", "conv1", "bn1", stride=2, padding=1).relu()
    for k in (2, 3):
        x = seen(x, "visual.", f"conv{k}", f"bn{k}", padding=1).relu()
    x = F.avg_pool2d(x, 2)
    for layer, blocks in enumerate((3, 4, 6, 3), 1):
        for k in range(blocks):
            at = f"visual.layer{layer}.{k}."
            stride = 2 if k == 0 and layer > 1 else 1
            y = seen(x, at, "conv1", "bn1").relu()
            y = F.avg_pool2d(seen(y, at, "conv2", "bn2", padding=1).relu(), stride)
            y = seen(y, at, "conv3", "bn3")
            if k == 0:
                x = seen(F.avg_pool2d(x, stride), at, "downsample.0", "downsample.1")
            x = (x + y).relu()
    places = x.flatten(2).transpose(1, 2)
    places = torch.cat([places.mean(dim=1, keepdim=True), places], dim=1)
    projections = [
        (state[f"visual.attnpool.{each}_proj.weight"], state[f"visual.attnpool.{each}_proj.bias"])
        for each in "qkv"
    ]
    q, k, v = (F.linear(places, *each).unflatten(2, (32, 64)) for each in projections)
    weights = (torch.einsum("nhd,nthd->nht", q[:, 0], k) / 8).softmax(dim=-1)
    pooled = torch.einsum("nht,nthd->nhd", weights, v).flatten(1)
    last = [state[f"visual.attnpool.c_proj.{each}"] for each in ("weight", "bias")]
    return F.linear(pooled, *last)


def full(monkeypatch: pytest.MonkeyPatch, arch: str):
    """A full tower and the tensors in it, without the hundreds of megabytes on a disk."""
    config = open_clip.get_model_config(arch)
    state = tensors(config, seed=3)
    monkeypatch.setattr(clip_model, "_tensors", lambda path: state)
    return clip_model.load_clip(config, Path("none"), "a CLIP", "pull it", "cpu"), state


@pytest.mark.slow
@torch.inference_mode()
def test_a_full_vit_b_32_gives_the_numbers_of_its_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, state = full(monkeypatch, "ViT-B-32-quickgelu")
    pixels = normalise(np.stack([centre_crop(photo(name)) for name in PHOTOS[:2]]), "cpu")
    found, wanted = clip.encode_image(pixels), vit_b_32(state, pixels)
    assert found.shape == (2, 512)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert (F.normalize(found) - F.normalize(wanted)).abs().max() < 1e-4
    tokens = clip_model.tokenize(clip, PROMPTS[:3])
    torch.testing.assert_close(
        torch.from_numpy(clip_model.encode_texts(clip, PROMPTS[:3])),
        written(state, tokens),
        atol=1e-4,
        rtol=0,
    )


@pytest.mark.slow
@torch.inference_mode()
def test_a_full_resnet_50_gives_the_numbers_of_its_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, state = full(monkeypatch, "RN50-quickgelu")
    for shape in ((2, 3, 96, 160), (1, 3, 224, 224)):
        pixels = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        found, wanted = clip_model.embed_whole(clip, pixels), resnet_50(state, pixels)
        assert found.shape == (len(pixels), 1024)
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


# --- traps ---


@torch.inference_mode()
def test_without_quick_gelu_the_embedding_is_another(eyes: Path) -> None:
    clip, config = clip_model.tower(store(eyes), "clip-vit-b-32", "cpu"), TINY["clip-vit-b-32"]
    plain_one = open_clip.CLIP(**config, quick_gelu=False).eval()
    plain_one.load_state_dict(clip.state_dict())
    pixels = normalise(centre_crop(photo("astronaut.png"))[None], "cpu")
    assert (plain_one.encode_image(pixels) - clip.encode_image(pixels)).abs().max() > 1e-3
    tokens = clip_model.tokenize(clip, PROMPTS[:1])
    assert (plain_one.encode_text(tokens) - clip.encode_text(tokens)).abs().max() > 1e-4


@pytest.mark.parametrize("value", [False, True])
def test_quick_gelu_is_on_whatever_the_config_has(value: bool) -> None:
    clip = clip_model.build({**TINY["clip-vit-b-32"], "quick_gelu": value})
    acts = [m for m in clip.modules() if type(m).__name__ in ("GELU", "QuickGELU")]
    assert {type(m).__name__ for m in acts} == {"QuickGELU"} and len(acts) == 2


@torch.inference_mode()
def test_a_resnet_sees_any_size_without_positional_embedding(eyes: Path) -> None:
    clip = clip_model.tower(store(eyes), "clip-rn50", "cpu")
    pixels = torch.randn((1, 3, 64, 96), generator=torch.Generator().manual_seed(2))
    before = clip_model.embed_whole(clip, pixels)
    kept = clip.visual.attnpool.positional_embedding.clone()
    try:
        clip.visual.attnpool.positional_embedding.add_(5)
        assert torch.equal(clip_model.embed_whole(clip, pixels), before)
    finally:
        clip.visual.attnpool.positional_embedding.copy_(kept)
    for height, width in ((32, 32), (32, 2048), (224, 224), (683, 512)):
        assert clip_model.embed_whole(clip, torch.zeros(1, 3, height, width)).isfinite().all()


# --- prompts ---


def test_words_are_openais_tokens(eyes: Path) -> None:
    tokens = clip_model.tokenize(
        clip_model.tower(store(eyes), "clip-rn50", "cpu"), ["a photo of a cat", "A  Cat"]
    )
    assert tokens.shape == (2, 77)
    assert tokens[0, :7].tolist() == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert tokens[1, :5].tolist() == [49406, 320, 2368, 49407, 0]


def test_prompts_are_unit_rows_that_differ(eyes: Path) -> None:
    for name in EYES:
        rows = clip_model.text_features(store(eyes), name, PROMPTS)
        assert rows.shape == (10, TINY[name]["embed_dim"]) and rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        assert (rows @ rows.T)[~np.eye(10, dtype=bool)].max() < 0.9999


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The prompts of each time that a text tower was asked."""
    asked: list[tuple[str, ...]] = []
    encode = clip_model.encode_texts

    def counted(clip: object, prompts: tuple[str, ...]) -> np.ndarray:
        asked.append(tuple(prompts))
        return encode(clip, prompts)

    monkeypatch.setattr(clip_model, "encode_texts", counted)
    return asked


def kept(home: Path, name: str) -> list[Path]:
    return sorted((home / "data" / "weights" / name).glob("texts-*.safetensors"))


def test_prompts_are_encoded_once_for_all_runs(eyes: Path, encodings: list) -> None:
    first = clip_model.text_features(store(eyes), "clip-rn50", PROMPTS)
    clip_model._texts.cache_clear()  # as another process
    np.testing.assert_array_equal(
        clip_model.text_features(store(eyes), "clip-rn50", PROMPTS), first
    )
    assert encodings == [PROMPTS]
    clip_model.text_features(store(eyes), "clip-rn50", PROMPTS[:2])
    clip_model.text_features(store(eyes), "clip-vit-b-32", PROMPTS)
    assert len(encodings) == 3 and len(kept(eyes, "clip-rn50")) == 2


def test_other_weights_have_other_prompts(
    eyes: Path, encodings: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = clip_model.text_features(store(eyes), "clip-rn50", PROMPTS)
    install(eyes, "clip-rn50", tensors(CONFIG, seed=9))
    assert np.abs(clip_model.text_features(store(eyes), "clip-rn50", PROMPTS) - first).max() > 1e-3
    assert len(encodings) == 2


@pytest.mark.parametrize("harm", [b"", b"x9", "rows", "name", "long", "nan", "type"])
def test_damaged_prompts_are_encoded_again(eyes: Path, encodings: list, harm: bytes | str) -> None:
    wanted = np.array(clip_model.text_features(store(eyes), "clip-rn50", PROMPTS))
    (file,) = kept(eyes, "clip-rn50")
    rows = load(file.read_bytes())["rows"]
    broken = {
        "rows": {"rows": rows[:9]},
        "name": {"others": rows},
        "long": {"rows": rows * 2},
        "nan": {"rows": rows * float("nan")},
        "type": {"rows": rows.double()},
    }
    file.write_bytes(harm if isinstance(harm, bytes) else save(broken[harm]))
    clip_model._texts.cache_clear()
    np.testing.assert_array_equal(
        clip_model.text_features(store(eyes), "clip-rn50", PROMPTS), wanted
    )
    assert len(encodings) == 2
    np.testing.assert_array_equal(load(file.read_bytes())["rows"].numpy(), wanted)


def test_a_read_only_folder_only_costs_time(
    eyes: Path, encodings: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, data: bytes) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(clip_model, "write_atomic", refused)
    for _ in range(2):
        assert clip_model.text_features(store(eyes), "clip-rn50", PROMPTS).shape == (10, 1024)
    assert len(encodings) == 1 and kept(eyes, "clip-rn50") == []


# --- blocks ---


@pytest.mark.parametrize(
    ("height", "width"),
    [(512, 683), (700, 512), (512, 768), (301, 224), (224, 224), (512, 513), (997, 512), (8, 8)],
)
def test_the_centre_is_what_torchvision_gives(height: int, width: int) -> None:
    picture = texture(2, height, width)
    steps = Compose([Resize(224, InterpolationMode.BICUBIC), CenterCrop(224)])
    np.testing.assert_array_equal(centre_crop(picture), np.asarray(steps(Image.fromarray(picture))))


@pytest.mark.parametrize(("height", "width"), [(1, 2048), (2048, 3), (30, 1000)])
def test_a_strip_has_a_centre_too(height: int, width: int) -> None:
    strip = np.zeros((height, width, 3), np.uint8)
    strip[:, :] = (
        np.linspace(0, 255, max(height, width))
        .astype(np.uint8)
        .reshape((-1, 1, 1) if height > width else (1, -1, 1))
    )
    found = centre_crop(strip)
    assert found.shape == (224, 224, 3) and abs(found.astype(int) - 127).max() < 12


def test_pixels_are_normalised_as_clip_was_trained() -> None:
    picture = np.zeros((1, 2, 2, 3), np.uint8)
    picture[0, 0, 1] = (255, 51, 0)
    found = normalise(picture, "cpu")
    assert found.shape == (1, 3, 2, 2)
    wanted = (np.array([1, 0.2, 0]) - MEAN) / STD
    np.testing.assert_allclose(found[0, :, 0, 1], wanted, atol=1e-6)


def test_a_block_is_the_tower_on_what_it_prepares(eyes: Path) -> None:
    views = views_of(limited(photo("coffee.png")))
    for name, weights in (("clip:ViT-B-32", "clip-vit-b-32"), ("clip:ViT-L-14", "clip-vit-l-14")):
        chosen = block(eyes, name)
        clip = clip_model.tower(store(eyes), weights, "cpu")
        pixels = (torch.from_numpy(centre_crop(views.scoring) / 255).permute(2, 0, 1)).float()
        pixels = (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
        found = chosen.forward([chosen.prepare(views)], "cpu")
        np.testing.assert_allclose(found, clip.encode_image(pixels[None]), rtol=1e-4, atol=1e-5)
        assert found.shape == (1, chosen.size) and abs(np.linalg.norm(found) - 1) > 0.5
    whole = block(eyes, "clip:RN50")
    np.testing.assert_array_equal(whole.prepare(views), views.scoring)


def test_a_mixed_batch_is_as_one_by_one(eyes: Path) -> None:
    shapes = ((512, 683), (683, 512), (512, 683), (30, 2048), (512, 512), (1, 1))
    pictures = [texture(k, *shape) for k, shape in enumerate(shapes)]
    for name in ("clip:ViT-B-32", "clip:RN50"):
        chosen = block(eyes, name)
        inputs = [chosen.prepare(same(each)) for each in pictures]
        together = chosen.forward(inputs, "cpu")
        alone = np.concatenate([chosen.forward([each], "cpu") for each in inputs])
        assert together.shape == (len(shapes), chosen.size)
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-4)
        assert np.unique(together.round(3), axis=0).shape == together.shape


def test_more_pictures_than_are_taken_at_once(eyes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_blocks, "CHUNK", 2)
    chosen = block(eyes, "clip:RN50")
    pictures = [texture(k, 64, 64) for k in range(5)]
    together = chosen.forward(pictures, "cpu")
    np.testing.assert_allclose(together[4], chosen.forward(pictures[4:], "cpu")[0], atol=1e-3)


def test_bfloat16_would_move_a_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: CLIP-IQA depended on the device, by more than 0.05 of a point.

    It does not show on towers as they are drawn, which tell no photos apart.
    """
    monkeypatch.setattr(base, "autocast_type", lambda device: torch.bfloat16)
    pictures = [views_of(limited(photo(name))).scoring for name in PHOTOS]
    inputs = [normalise(each[None], "cpu") for each in pictures]
    install(tmp_path, "clip-rn50", calibrated(CONFIG, inputs[:3]))
    found = block(tmp_path, "clip:RN50").forward(pictures, "cpu")
    clip = clip_model.tower(store(tmp_path), "clip-rn50", "cpu")
    with torch.inference_mode():
        exact = np.concatenate([clip_model.embed_whole(clip, each) for each in inputs])
        with torch.autocast("cpu", torch.bfloat16):
            short = [clip_model.embed_whole(clip, each).float() for each in inputs]
    unit = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    assert np.median((unit @ unit.T)[np.triu_indices(len(unit), 1)]) < 0.9
    texts = np.random.default_rng(0).normal(size=(50, 10, 1024)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=2, keepdims=True)
    exact, short, found = (
        np.array([9 * share_of_good(np.asarray(each), rows) for rows in texts])
        for each in (exact, np.concatenate(short), found)
    )
    assert np.abs(short - exact).max() > 0.1
    assert np.abs(found - exact).max() < 0.001


@pytest.mark.parametrize("name", ("clip:ViT-B-32", "clip:ViT-L-14", "clip:RN50", "maclip"))
def test_every_layer_is_float32_where_bfloat16_is_faster(
    eyes: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(base, "autocast_type", lambda device: torch.bfloat16)
    chosen, types = block(eyes, name), set[torch.dtype]()
    with register_module_forward_hook(lambda module, given, out: types.add(dtype_of(out))):
        chosen.forward([chosen.prepare(same(texture(1, 64, 64)))], "cpu")
    assert types == {torch.float32}


def dtype_of(out: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.dtype:
    """Of what a layer gives; attention gives its weights, too."""
    return (out[0] if isinstance(out, tuple) else out).dtype


def test_heads_that_were_fitted_to_rounded_numbers_still_fit(eyes: Path) -> None:
    """What was cached under the old fingerprint may be bfloat16; QualiCLIP's never was."""
    install(eyes, "qualiclip")
    for name, edition in (("clip:RN50", 2), ("maclip", 2), ("qualiclip", 1)):
        chosen = block(eyes, name)
        before = replace(chosen, edition=1)
        assert chosen.edition == edition
        assert before.weights_fingerprint == chosen.weights_fingerprint
        assert (before.fingerprint == chosen.fingerprint) == (edition == 1)


def test_an_absent_tower_costs_nothing_and_says_what_to_pull(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = block(tmp_path, "clip:RN50")
    for ask in (
        lambda: chosen.fingerprint,
        lambda: chosen.weights_fingerprint,
        lambda: chosen.forward([texture(1, 64, 64)], "cpu"),
        lambda: clip_model.text_features(store(tmp_path), "clip-rn50", PROMPTS),
    ):
        with pytest.raises(IqError, match="iq models pull clip-rn50"):
            ask()
    assert list(tmp_path.iterdir()) == []


def test_a_fingerprint_tells_weights_and_architecture_apart(
    eyes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {
        (block(eyes, name).fingerprint, block(eyes, name).weights_fingerprint)
        for name in block_table(store(eyes))
        if "clip:" in name
    }
    assert len({each for pair in found for each in pair}) == 6
    first = block(eyes, "clip:RN50")
    before = first.fingerprint, first.weights_fingerprint
    monkeypatch.setattr(base, "package_version", lambda name: "0")
    again = block(eyes, "clip:RN50")
    assert again.weights_fingerprint == before[1] and again.fingerprint != before[0]
    other = {**CONFIG, "text_cfg": CONFIG["text_cfg"] | {"heads": 4}}
    install(eyes, "clip-rn50", tensors(CONFIG), other)
    assert block(eyes, "clip:RN50").weights_fingerprint != before[1]
    install(eyes, "clip-rn50", tensors(CONFIG, seed=4))
    assert block(eyes, "clip:RN50").weights_fingerprint != before[1]


def test_a_tower_of_another_width_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "clip-rn50", None, {**CONFIG, "embed_dim": 512})
    with pytest.raises(IqError, match="give 512 numbers, and clip:RN50 has 1024"):
        block(tmp_path, "clip:RN50").forward([texture(1, 64, 64)], "cpu")


def test_antonyms_tell_good_from_bad() -> None:
    random = np.random.default_rng(0)
    texts = random.normal(size=(10, 64)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    pictures = random.normal(size=(7, 64)).astype(np.float32) * np.arange(1, 8)[:, None]
    cosines = pictures / np.linalg.norm(pictures, axis=1, keepdims=True) @ texts.T
    wanted = torch.tensor(100 * cosines).reshape(7, 5, 2).softmax(dim=-1)[..., 0].mean(dim=1)
    np.testing.assert_allclose(share_of_good(pictures.astype(np.float32), texts), wanted, atol=1e-5)
    swapped = texts.reshape(5, 2, 64)[:, ::-1].reshape(10, 64)
    np.testing.assert_allclose(share_of_good(pictures, swapped), 1 - wanted, atol=1e-5)
    assert share_of_good(texts[:1], texts[:2])[0] > 0.9
    assert np.isnan(share_of_good(np.zeros((1, 64), np.float32), texts)).all()


# --- files that are no tower ---


def changed(**tensors_: torch.Tensor | None) -> dict[str, torch.Tensor]:
    """A tiny ResNet's tensors, some replaced, or left out for None."""
    both = {**tensors(CONFIG), **{key.replace("__", "."): v for key, v in tensors_.items()}}
    return {key: value for key, value in both.items() if value is not None}


HARMS = {
    "lacks": (changed(text_projection=None), "it lacks text_projection"),
    "extra": (changed(visual__more=torch.ones(1)), "it has visual.more"),
    "shape": (changed(ln_final__bias=torch.ones(7)), r"ln_final.bias is \(7,\), not \(16,\)"),
    "nan": (changed(ln_final__bias=torch.full((16,), torch.nan)), "ln_final.bias holds numbers"),
    "inf": (changed(ln_final__bias=torch.full((16,), torch.inf)), "ln_final.bias holds numbers"),
    "huge": (changed(ln_final__bias=torch.full((16,), 1e9)), "ln_final.bias holds numbers"),
    "whole": (changed(ln_final__bias=torch.ones(16).int()), "ln_final.bias holds numbers"),
    "mere": (stored(changed(ln_final__bias=torch.ones(16, device="meta"))), "ln_final.bias holds"),
    "spread": (changed(visual__bn1__running_var=-torch.ones(4)), "running_var holds numbers"),
    "garbage": (b"no tensors at all", "cannot read"),
    "cut": (save(tensors(CONFIG))[:-9], "cannot read"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_foreign_file_is_no_tower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    state, reason = HARMS[harm]
    name = "model.pth" if harm == "mere" else "model.safetensors"
    install(tmp_path, "clip-rn50", state, CONFIG, file=name)
    with pytest.raises(IqError, match=reason) as refused:
        clip_model.tower(store(tmp_path), "clip-rn50", "cpu")
    assert name in str(refused.value) and "pull it again" in str(refused.value)
    assert "\n" not in str(refused.value)


class Bomb:
    """Unpickled, it would leave a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path(self.path),)


def test_a_pickle_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = tmp_path / "went-off"
    data = pickle.dumps({"visual.proj": Bomb(str(bomb))})
    install(tmp_path, "clip-rn50", data, CONFIG, file="model.pth")
    with pytest.raises(IqError, match="holds more than tensors"):
        clip_model.tower(store(tmp_path), "clip-rn50", "cpu")
    assert not bomb.exists()


@torch.inference_mode()
def test_tensors_inside_another_model_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in QualiCLIP's own file: a prefix, halves, torch's format, and texts beside."""
    state = tensors(CONFIG)
    wrapped = {
        f"clip_model.{k}": v.half() if v.is_floating_point() else v for k, v in state.items()
    }
    file = tmp_path / "own.pth"
    torch.save({**wrapped, "prompts_features": torch.ones(14, 1024)}, file)
    install(tmp_path, "clip-rn50", file.read_bytes(), CONFIG, file="own.pth")
    clip = clip_model.tower(store(tmp_path), "clip-rn50", "cpu")
    assert {each.dtype for each in clip.parameters()} == {torch.float32}
    install(tmp_path, "clip-rn50", state, CONFIG)
    pixels = torch.randn((1, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    wanted = clip_model.embed_whole(clip_model.tower(store(tmp_path), "clip-rn50", "cpu"), pixels)
    torch.testing.assert_close(clip_model.embed_whole(clip, pixels), wanted, atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"embed_dim": 8}, "no config of a CLIP"),
        ({**CONFIG, "custom": 1}, "no config of a CLIP"),
        ({**CONFIG, "vision_cfg": {"timm_model_name": "resnet50"}}, "timm_model_name"),
        ({**CONFIG, "text_cfg": {"hf_model_name": "x/y"}}, "hf_model_name"),
        ({**CONFIG, "vision_cfg": {"width": "wide"}}, "builds no CLIP"),
        ({**CONFIG, "vision_cfg": 3}, "builds no CLIP"),
        ({**CONFIG, "embed_dim": -1}, "builds no CLIP"),
        ({**CONFIG, "text_cfg": {"tall": 3}}, "builds no CLIP"),
    ],
)
def test_a_config_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: dict, reason: str
) -> None:
    install(tmp_path, "clip-rn50", tensors(CONFIG), config)
    with pytest.raises(IqError, match=reason):
        clip_model.tower(store(tmp_path), "clip-rn50", "cpu")


@pytest.mark.parametrize("arch", ["hf-hub:someone/something", "local-dir:/", "no-such", None])
def test_an_architecture_is_never_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arch: str | None
) -> None:
    row = {"arch": arch} if arch else {}
    install(tmp_path, "mystery", {"x": torch.ones(1)}, None, **row)
    with pytest.raises(IqError, match="no config of a CLIP"):
        clip_model.tower(store(tmp_path), "mystery", "cpu")


# --- the command line ---


@pytest.mark.slow
def test_clipiqa_from_the_command_line(iq: Iq, roll: Path) -> None:
    """Scores, whatever the batch; a second run computes nothing; nor does its prompts."""
    iq.changes |= install(iq.home, "clip-rn50")
    words = ("score", "photos", "--model", "clipiqa", "-f", "json")
    first, _, loaded = iq.spied(*words)
    assert first.code == 0 and "torch" in loaded
    rows = json.loads(first.out)
    assert len(rows) == 6 and len({row["score"] for row in rows}) > 1
    assert all(1 <= row["score"] <= 10 and row["model"] == "clipiqa" for row in rows)
    assert all(row["uncertainty"] is None and "calibrated" in row["reasons"][0] for row in rows)
    second, opened, loaded = iq.spied(*words)
    assert second.out == first.out
    assert loaded & {"torch", "open_clip", "cv2", "PIL", "timm", "torchvision"} == set()
    assert not [name for name in opened if "model.safetensors" in name]
    single = iq(*words, "--no-cache", "--batch-size", "1", "--jobs", "1")
    for row, again in zip(rows, json.loads(single.out), strict=True):
        assert row["score"] == pytest.approx(again["score"], abs=0.05)


def test_foreign_weights_end_the_run_in_one_sentence(iq: Iq, roll: Path) -> None:
    state, _ = HARMS["lacks"]
    iq.changes |= install(iq.home, "clip-rn50", state)
    ran = iq("score", "photos", "--model", "clipiqa")
    assert ran.code == 2 and ran.lines[-1].startswith("iq: ")
    assert "it lacks text_projection" in ran.lines[-1] and "Traceback" not in ran.err


@pytest.mark.parametrize("name", ["clipiqa", "maclip", "maclip-norm", "laion-v1", "laion-v2"])
def test_a_model_without_its_weights_says_what_to_pull(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    models = registry(tmp_path)
    assert not models.is_ready(ENTRIES[name])
    with pytest.raises(IqError, match=f"iq models pull {name}`$"):
        models.load(name)
