"""Everything that the published fusion reads, small and drawn at random, and installed."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from support.drawn_scenes import PHOTOS, noisy, own_view, photo, texture
from support.fake_clip import install

from iqcli.extractors import brisque
from iqcli.hub import FusionNetwork
from iqcli.models.brisque import FEATURES, RANGE, SVR

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.records import Pixels


def features(picture: Pixels) -> np.ndarray:
    """The 36 numbers of a picture as it is."""
    return brisque.extract(own_view(picture))


@cache
def pictures() -> list[Pixels]:
    """Photos and drawn pictures, sharp and spoilt."""
    sharp = [np.array(photo(name)) for name in PHOTOS] + [texture(k, 200, 260) for k in range(8)]
    soft = [cv2.GaussianBlur(each, (0, 0), 1 + k / 3) for k, each in enumerate(sharp)]
    grain = noisy(40, size=600)
    harsh = [
        cv2.addWeighted(each, 0.8, grain[: each.shape[0], : each.shape[1]], 0.4, -20)
        for each in sharp
    ]
    return [*sharp, *soft, *harsh]


@cache
def known() -> np.ndarray:
    """(n, 36) features of all `pictures`."""
    return np.stack([features(each) for each in pictures()])


def svr(folder: Path, kernel: int = cv2.ml.SVM_RBF, count: int = FEATURES) -> tuple[Path, Path]:
    """A regression of OpenCV's own on the pictures, the spoilt ones the worse, and its range."""
    found = known()[:, :count]
    span = np.stack([found.min(axis=0) - 0.01, found.max(axis=0) + 0.01]).astype(np.float32)
    scaled = (-1 + 2 * (found - span[0]) / (span[1] - span[0])).astype(np.float32)
    machine = cv2.ml.SVM.create()
    machine.setType(cv2.ml.SVM_EPS_SVR)
    machine.setKernel(kernel)
    machine.setGamma(0.05)
    machine.setC(1024)
    machine.setP(0.1)
    wanted = np.linspace(5, 80, len(scaled)).astype(np.float32)
    assert machine.train(scaled, cv2.ml.ROW_SAMPLE, wanted)
    model, ranges = folder / "model.yml", folder / "range.yml"
    machine.save(str(model))
    storage = cv2.FileStorage(str(ranges), cv2.FILE_STORAGE_WRITE)
    storage.write("range", span)
    storage.release()
    return model, ranges


def install_brisque(home: Path, files: tuple[Path, Path]) -> dict[str, str]:
    """Both files as `iq models pull brisque-live` leaves them."""
    said: dict[str, str] = {}
    for name, file in zip((SVR, RANGE), files, strict=True):
        said = install(home, name, file.read_bytes(), kind="brisque", file=file.name)
    return said


def stored(told: object) -> bytes:
    """What torch writes of it."""
    buffer = io.BytesIO()
    torch.save(told, buffer)
    return buffer.getvalue()


def network(seed: int = 0, **config: Any) -> FusionNetwork:
    """A network with random weights, all biases included; in eval mode."""
    draw = torch.Generator().manual_seed(seed)
    made = FusionNetwork(**config)
    with torch.no_grad():
        for name, tensor in made.named_parameters():
            wide = (1 if name.endswith("bias") else 2 / tensor.shape[1]) ** 0.5
            tensor.copy_(torch.randn(tensor.shape, generator=draw) * wide)
        # As spread as a trained one; CLIP vectors are about 10 long.
        made.clip_net[0].weight /= 4
        made.fusion_net[6].weight *= 2
        made.fusion_net[6].bias.zero_()
        made.eval()
        clip = torch.randn((200, made.clip_net[0].in_features), generator=draw) / 2
        drawn = {name: torch.rand(200, generator=draw) for name in ("brisque", "laion")}
        low, high = made.output_range
        share = (made(drawn | {"clip": clip}) - low) / (high - low)
        made.fusion_net[6].bias -= torch.logit(share, eps=1e-6).mean()
    return made


def checkpoint(made: FusionNetwork, prefix: str = "", **config: Any) -> dict[str, Any]:
    """The dictionary that the authors' training stored."""
    told = {"clip_embed_dim": 512, "hidden_dim": 256, "output_range": made.output_range}
    state = {prefix + name: tensor for name, tensor in made.state_dict().items()}
    metadata = {"epoch": 41, "val_loss": 2.86, "metrics": {"correlation": 0.52}}
    return {"model_state_dict": state, "model_config": told | config, "metadata": metadata}


def install_readers(home: Path, files: tuple[Path, Path]) -> dict[str, str]:
    """BRISQUE, LAION V1 and a tiny CLIP."""
    draw = torch.Generator().manual_seed(5)
    head = {"weight": torch.randn((1, 512), generator=draw) * 3, "bias": torch.tensor([5.0])}
    install_brisque(home, files)
    install(home, "laion-v1", stored(head), kind="head", file="v1.pth")
    return install(home, "clip-vit-b-32")


def install_fusion(home: Path, files: tuple[Path, Path], made: FusionNetwork) -> dict[str, str]:
    """All that the model `fusion` needs."""
    install_readers(home, files)
    data = stored(checkpoint(made))
    return install(home, "fusion", data, kind="fusion", file="pytorch_model.bin")
