"""A backbone of three small stages that sees small views, and photos for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from support.drawn_scenes import texture
from support.images import encoded

from iqcli.distortions.bank import DISTORTIONS
from iqcli.extractors import backbone, mini_crops
from iqcli.training.backbone import data, quality_network
from iqcli.training.backbone.data import BackboneData
from iqcli.training.backbone.quality_network import QualityNetwork
from iqcli.training.backbone.view_store import ViewStore

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SIDE = 32
# Numbers of good pictures; by their names, those from 6 on are only for the monitor.
GOOD = (1, 2, 3, 4, 6, 18)


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network and view that is made is small."""
    stages = ((3, 1, 1, 4, 1), (5, 2, 6, 4, 2), (3, 2, 6, 8, 1))
    monkeypatch.setattr(backbone, "STAGES", stages)
    monkeypatch.setattr(backbone, "STEM", 4)
    monkeypatch.setattr(backbone, "LAST", 8)
    monkeypatch.setattr(backbone, "MOSAIC_STAGE", 1)
    monkeypatch.setattr(quality_network, "TAPS", (2 * 16 + 8, 2 * 8))
    monkeypatch.setattr(mini_crops, "SIDE", SIDE)
    monkeypatch.setattr(mini_crops, "PIECE", SIDE // mini_crops.GRID)
    monkeypatch.setattr(data, "SIDE", SIDE)


def drawn_network(seed: int = 0) -> QualityNetwork:
    """A network drawn at random, of a size that keeps its maps alive."""
    torch.manual_seed(seed)
    network = QualityNetwork()
    with torch.no_grad():
        for layer in network.convolutions():
            layer.gain.uniform_(0.5, 1.5)
            layer.factor.uniform_(0.8, 1.2)
            layer.weight.normal_(0, (2 / layer.weight[0].numel()) ** 0.5)
            layer.bias.normal_(0, 0.1)
        network.both[-1].weight.normal_(0, 0.1)
        for name in ("whole", "parts"):
            getattr(network, f"{name}_mean").normal_(0, 0.1)
            getattr(network, f"{name}_deviation").uniform_(0.5, 1.5)
    return network


def public(network: QualityNetwork) -> dict[str, torch.Tensor]:
    """A state as the public package names it, of a network like `network`; and a classifier."""
    torch.manual_seed(4)
    found: dict[str, torch.Tensor] = {}
    for k, layer in enumerate(network.convolutions()):
        width = len(layer.weight)
        found[f"_conv{k}.weight"] = torch.randn(layer.weight.shape)
        found[f"_bn{k}.weight"] = torch.rand(width) + 0.5
        found[f"_bn{k}.bias"] = torch.randn(width)
        found[f"_bn{k}.running_mean"] = torch.randn(width)
        found[f"_bn{k}.running_var"] = torch.rand(width) + 0.5
        found[f"_bn{k}.num_batches_tracked"] = torch.tensor(3)
    return found | {"_fc.weight": torch.zeros(10, 1280), "_fc.bias": torch.zeros(10)}


def write_album(folder: Path, count: int) -> Path:
    """Small photos in scenes of two, one of which is the noisy one, listed with opinions."""
    lines = ["image,mos,scene"]
    for k in range(count):
        picture = texture(k, 64 + k % 3 * 16, 64 + k % 2 * 32)
        if k % 4 == 0:
            picture = DISTORTIONS["white_noise"](picture, 5, k)
        (folder / f"{k:03}.jpg").write_bytes(encoded(picture, "JPEG", quality=90))
        lines.append(f"{k:03}.jpg,{0.2 if k % 4 == 0 else 0.7 + k % 3 / 10:.1f},{k // 2}")
    file = folder / "opinions.csv"
    file.write_text("\n".join(lines) + "\n")
    return file


def small_data(folder: Path, count: int = 16) -> BackboneData:
    """Photos in scenes of two, decoded, and a folder of good pictures."""
    album, good = folder / "album", folder / "good"
    for each in (album, good):
        each.mkdir()
    write_album(album, count)
    for k in GOOD:
        (good / f"good {k}.png").write_bytes(encoded(texture(100 + k, 80, 96), "PNG"))
    photos = sorted(album.glob("*.jpg"))
    found = BackboneData(
        ViewStore(folder / "views", photos, small=True),
        np.array([3.0 if k % 4 == 0 else 7.0 + k % 3 for k in range(count)], np.float32),
        [str(k // 2) for k in range(count)],
        [ViewStore(folder / "views", sorted(good.glob("*.png")), small=True)],
    )
    for store in (found.photos, *found.good):
        store.fill(print)
    return found
