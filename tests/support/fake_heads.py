"""Fusion heads drawn at random, and held-out experience to put beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save

from iqcli.models import fusion
from iqcli.models.checkpoint import HOLDOUT
from iqcli.models.fusion import FEATURES, Doubt, FusionHead, tensor_shapes
from iqcli.models.registry import Registry
from iqcli.weights.store import WeightStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.models.base import RatedModel

# A data folder in which nothing lies.
NOWHERE = Path("/nowhere")
SIZES = {"brisque": 36, "photometry": 94}
MEMBERS = 3
DOUBT = Doubt(
    np.linspace(-0.5, 0.5, FEATURES, dtype=np.float32),
    np.array([-1, 0, 1], np.float32),
    np.array([0.2, 0.4, 1.2], np.float32),
)


def head(seed: int = 0, sizes: dict[str, int] = SIZES, members: int = MEMBERS) -> FusionHead:
    """A head with random weights of a sensible size, and the doubt `DOUBT`."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in tensor_shapes(sizes, members).items():
        if name.startswith("knots."):
            tensors[name] = np.sort(random.normal(0, 2, shape).astype(np.float32), axis=1)
        else:
            wide = (2 / shape[-1]) ** 0.5
            tensors[name] = random.normal(0, wide, shape).astype(np.float32)
    info = {
        "format": fusion.FORMAT,
        "model": "random/1",
        "blocks": dict(sizes),
        "members": members,
        "logits": {},
    }
    return FusionHead(sizes, tensors | DOUBT.tensors(), info)


def first_format(given: FusionHead) -> FusionHead:
    """The same network as heads were before they had a doubt."""
    tensors = {name: each for name, each in given.tensors.items() if name not in fusion.DOUBT}
    info = {name: each for name, each in given.info.items() if name != "logits"}
    return FusionHead(given.sizes, tensors, info | {"format": fusion.FIRST, "calibration": 1.3})


def held(
    scores: Sequence[float], opinions: Sequence[float], sigma: float = 0.5
) -> dict[str, np.ndarray]:
    """The tensors of an experience."""
    columns = (scores, [sigma] * len(scores), opinions)
    return dict(zip(HOLDOUT, (np.array(each, np.float32) for each in columns), strict=True))


def write_head(
    path: Path,
    experience: dict[str, np.ndarray],
    sizes: dict[str, int] = SIZES,
    **info: object,
) -> Path:
    """A weight file of the random head with this experience, its account changed by `info`."""
    given = head(sizes=sizes)
    told = json.dumps({**given.info, **info})
    path.write_bytes(save({**given.tensors, **experience}, metadata={"iq": told}))
    return path


def registry(data_dir: Path = NOWHERE) -> Registry:
    """The models that iq ships, and those in this data folder."""
    return Registry(data_dir, WeightStore(data_dir))


def loaded(name: str | Path, data_dir: Path = NOWHERE) -> RatedModel:
    """A model that iq ships, or of a file, ready to rate."""
    return registry(data_dir).load(str(name))
