"""Hex heads drawn at random, and photos whose levels of issues are known."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import save
from support.drawn_scenes import texture
from support.images import encoded

from iqcli.distortions.camera_faults import blow_out, darken, fade
from iqcli.models.hex import head as hexes
from iqcli.models.hex.config import named
from iqcli.models.hex.head import HexHead, tensor_shapes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from iqcli.models.hex.config import Graph

SIZES = {"brisque": 36, "photometry": 94}
HIDDEN = (12,)


def head(
    graph: Graph | None = None,
    sizes: Mapping[str, int] = SIZES,
    hidden: Sequence[int] = HIDDEN,
    kind: str = hexes.LAYERS,
    seed: int = 0,
) -> HexHead:
    """A head with random weights of a sensible size."""
    graph, random = graph or named("hex6"), np.random.default_rng(seed)
    info: dict[str, Any] = {
        "format": hexes.FORMAT,
        "model": "random/hex",
        "kind": kind,
        "blocks": dict(sizes),
        "known_by": dict.fromkeys(sizes, "1"),
        "hidden": [*hidden] if kind == hexes.LAYERS else [],
        "figures": {},
        "graph": graph.metadata,
    }
    tensors = {}
    for name, shape in tensor_shapes(graph, info).items():
        drawn = random.normal(0, 1, shape)
        if name.startswith("knots."):
            drawn = np.sort(2 * drawn, axis=1)
        elif name.startswith("layer."):
            drawn *= (2 / shape[-1]) ** 0.5
        elif name == "text":
            drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
        elif name == "scale":
            drawn = np.array([30.0])
        tensors[name] = drawn.astype(np.float32)
    return HexHead(graph, dict(sizes), tensors, info)


def written(path: Path, given: HexHead, **info: Any) -> Path:
    """The file of a head, its account changed by `info`."""
    told = json.dumps({**given.info, **info})
    path.write_bytes(save(dict(given.tensors), metadata={"iq": told}))
    return path


def labelled(folder: Path, scenes: int = 20, size: int = 256) -> Path:
    """A CSV file of drawn photos, their levels known: of each scene a good one and three faults.

    The columns are the published ones, and `scene`.
    """
    random = np.random.default_rng(1)
    names = ("bright", "dark", "low_contrast", "high_contrast", "overexposed", "over_suppressed")
    rows = []
    for scene in range(scenes):
        good = texture(scene, size, size)
        level = 2 + scene % 3
        for fault in ("none", "bright", "dark", "low_contrast"):
            levels = dict.fromkeys(names, 1)
            picture = good
            if fault == "bright":
                picture = blow_out(good, (1.2, 2.0, 3.2)[level - 2], random)
                levels["overexposed"] = level
            elif fault == "dark":
                picture = darken(good, (1.5, 2.7, 4.2)[level - 2], random)
            elif fault == "low_contrast":
                picture = fade(good, (0.5, 0.28, 0.12)[level - 2], random)
            if fault != "none":
                levels[fault] = level
            image = f"s{scene}-{fault}.jpg"
            (folder / image).write_bytes(encoded(picture, "JPEG", quality=92))
            rows.append({"image": image, "scene": f"s{scene}", **levels})
    file = folder / "levels.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return file
