"""CLIP towers with weights drawn at random, installed as `iq models pull` would leave them."""

from __future__ import annotations

import hashlib
import json
import tomllib
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from iqcli.extractors import clip_model
from iqcli.models.registry import Registry
from iqcli.weights import manifest
from iqcli.weights import store as weight_store
from iqcli.weights.store import WeightStore, shipped_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pytest

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
EYE = {"image_size": 224, "layers": 1, "width": 32, "head_width": 16}
RESNET = {"image_size": 224, "layers": [1, 1, 1, 1], "width": 8}
# Towers as wide at their end as the blocks want them, and next to nothing before.
TINY: dict[str, dict[str, Any]] = {
    "clip-vit-b-32": {"embed_dim": 512, "vision_cfg": EYE | {"patch_size": 32}, "text_cfg": TEXT},
    "clip-vit-l-14": {"embed_dim": 768, "vision_cfg": EYE | {"patch_size": 14}, "text_cfg": TEXT},
    "clip-rn50": {"embed_dim": 1024, "vision_cfg": RESNET, "text_cfg": TEXT},
}
TINY["qualiclip"] = TINY["clip-rn50"]


def tensors(config: Mapping[str, Any], seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights of a config, every one of which moves the embedding."""
    draw = torch.Generator().manual_seed(seed)
    wanted = clip_model.build(config).state_dict()
    return {name: _drawn(name, tensor, draw) for name, tensor in wanted.items()}


def calibrated(config: Mapping[str, Any], pictures: Sequence[torch.Tensor]) -> dict[str, Any]:
    """Random weights of a ResNet whose norms know these normalised pictures (1, 3, h, w).

    Without that, all embeddings of a drawn tower are nearly one.
    """
    clip = clip_model.build(config).to_empty(device="cpu").eval()
    clip.load_state_dict(tensors(config))
    norms = [each for each in clip.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the pictures
        norm.train()
    with torch.inference_mode():
        for each in pictures:
            clip_model.embed_whole(clip, each)
    return {name: value.clone() for name, value in clip.state_dict().items()}


def _drawn(name: str, like: torch.Tensor, draw: torch.Generator) -> torch.Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.long)
    found = (torch.rand(like.shape, generator=draw) - 0.5) * 12**0.5
    if name == "logit_scale":
        return torch.tensor(100.0).log()
    if name.endswith("running_var"):
        return found.abs() + 0.5
    if name.endswith("embedding") or "embedding." in name:
        return found * 0.1
    if like.ndim < 2:  # norms and biases
        return 0.1 * found + (1.0 if name.endswith("weight") else 0.0)
    return found / (like[0].numel() ** 0.5)


def install(
    home: Path,
    name: str,
    state: Mapping[str, torch.Tensor] | bytes | None = None,
    config: Mapping[str, Any] | None = None,
    **columns: Any,
) -> dict[str, str]:
    """Put weights into `home`, with a row of a manifest for them; the environment for `Iq`.

    `state` is what the file holds (bytes as they are), a tiny tower of that name unless given.
    `columns` change the row, such as `file`, `needs`, or `arch` instead of a `config`.
    """
    if "arch" not in columns:
        config = config or TINY.get(name)
    if state is None:
        assert config
        state = tensors(config)
    data = state if isinstance(state, bytes) else save(dict(state))
    row = {"kind": "clip", "what": f"a tiny {name}", "file": "model.safetensors", "licence": "MIT"}
    row |= {"commercial": True, "size": len(data)} | ({"config": config} if config else {})
    row |= columns
    _place(home / "data" / "weights" / name, row["file"], data)
    table = home / "weights.toml"
    rows = tomllib.loads(table.read_text()) if table.exists() else {}
    rows[name] = row
    table.write_text("\n".join(f"{json.dumps(each)} = {_toml(rows[each])}" for each in rows))
    return {"IQ_DATA_DIR": str(home / "data"), "IQ_TEST_MANIFEST": str(table)}


def store(home: Path) -> WeightStore:
    """The weights of `home`, by its own rows and those that iq ships."""
    table = home / "weights.toml"
    own = manifest.read(table) if table.exists() else {}
    return WeightStore(home / "data", rows={**shipped_rows(), **own})


def registry(home: Path) -> Registry:
    """The models of `home`."""
    return Registry(home / "data", store(home))


def use(patch: pytest.MonkeyPatch, home: Path) -> Registry:
    """Let this process have the weights of `home` wherever settings are read; its models."""
    found = registry(home)
    patch.setenv("IQ_DATA_DIR", str(home / "data"))
    patch.setattr(weight_store, "shipped_rows", lambda: found.weights.rows)
    return found


def _place(folder: Path, file: str, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(data)
    stat = (folder / file).stat()
    told = {"file": file, "sha256": hashlib.sha256(data).hexdigest(), "size": stat.st_size}
    (folder / "installed.json").write_text(json.dumps(told | {"mtime_ns": stat.st_mtime_ns}))


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)
