"""The blocks `clip:…`: embeddings of a photo by an image tower of OpenAI's CLIP.

`clip:ViT-B-32` and `clip:ViT-L-14` take the centre square at 224 by 224, prepared as CLIP was
trained (Radford et al., 2021); `clip:RN50` takes the whole scoring view, unscaled and without
positional embedding (Wang et al., CLIP-IQA, AAAI 2023). Embeddings are not normalised: their
length is information too.

`share_of_good` compares an embedding with pairs of opposite sentences (CLIP-IQA): the published
code has five pairs where the paper has one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError
from iqcli.extractors.base import ANY, edition_of, hash_of, versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import open_clip
    import torch
    from numpy.typing import NDArray

    from iqcli.records import Array, Pixels, Views
    from iqcli.weights.store import WeightStore


VERSION = 1
SIDE = 224
# The shortest side that a ResNet can take.
STRIDE = 32
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
# How many times its short side a picture may be long; of a longer one the middle is taken.
LONGEST = 8
# Whole scoring views that run at once: each is about seven times 224 by 224.
CHUNK = 8
# Good, then bad, pair by pair.
PROMPTS = (
    *("Good image", "bad image"),
    *("Sharp image", "blurry image"),
    *("sharp edges", "blurry edges"),
    *("High resolution image", "low resolution image"),
    *("Noise-free image", "noisy image"),
)
# What OpenAI's training ended with, and was limited to.
LOGIT_SCALE = 100.0


@dataclass(frozen=True)
class ClipTowerBlock(ABC):
    """The image tower of a CLIP; see `iqcli.extractors.base.DeviceBlock`.

    `weights` names where it comes from, `size` is its embed_dim. `whole` is for ResNets: no crop,
    no positional embedding. Always float32: in bfloat16, drawn towers of the full size that tell
    photos apart moved CLIP-IQA by 0.2 of a point in the median (16 photos, 200 sets of sentences)
    and LAION's scores by 0.09 at most (20 photos, 300 heads each). `edition` is that of the
    numbers: before 2 they could be bfloat16, and heads fitted to them still fit. Costs nothing
    while the weights are absent; `fingerprint`, `weights_fingerprint` and `forward` then raise
    IqError.
    """

    name: str
    weights: str
    size: int
    whole: bool = False
    edition: int = 2
    within = ANY
    may_be_nan = False

    @cached_property
    def fingerprint(self) -> str:
        """Of the weights, of what prepares the views, and of this code."""
        packages = versions("numpy", "opencv-contrib-python", "pillow")
        return hash_of(self.origin, *edition_of(self.edition), *packages)

    @cached_property
    def weights_fingerprint(self) -> str:
        """Of the weights and of this code."""
        return hash_of(self.origin)

    @property
    def origin(self) -> str:
        """The weights and this code, as text."""
        return "|".join((self.name, str(VERSION), self.installed))

    @property
    @abstractmethod
    def installed(self) -> str:
        """Which weights these are; changes with their content."""

    @abstractmethod
    def tower(self, device: str) -> open_clip.CLIP:
        """The tower, ready. Raises IqError for weights that are missing or foreign."""

    def prepare(self, views: Views) -> Pixels:
        """(h, w, 3) of uint8: the whole scoring view, or its centre at 224 by 224."""
        return enlarge_to(views.scoring, STRIDE) if self.whole else centre_crop(views.scoring)

    def needs_torch(self, device: str) -> bool:
        return True

    def forward(self, batch: Sequence[NDArray[np.generic]], device: str) -> NDArray[np.float32]:
        """n of (h, w, 3), of any shapes, to (n, size). Raises IqError for foreign weights."""
        clip = self.tower(device)
        found = np.empty((len(batch), self.size), np.float32)
        for some in group_by_shape(batch, CHUNK if self.whole else len(batch)):
            found[some] = self._embed(clip, np.stack([batch[k] for k in some]), device)
        return found

    def _embed(
        self, clip: open_clip.CLIP, pixels: NDArray[np.generic], device: str
    ) -> NDArray[np.float32]:
        import torch

        from iqcli.extractors.clip_model import embed_whole

        with torch.inference_mode():
            normal = normalise(pixels, device)
            seen = embed_whole(clip, normal) if self.whole else clip.encode_image(normal)
        if seen.shape[1] != self.size:
            raise IqError(
                f"the weights {self.weights} give {seen.shape[1]} numbers, and {self.name} has "
                f"{self.size}; correct their config in the table of weights"
            )
        return np.asarray(seen.cpu(), np.float32)


@dataclass(frozen=True)
class ClipBlock(ClipTowerBlock):
    """The tower of installed weights: a row of the manifest of `store`."""

    store: WeightStore = field(kw_only=True, repr=False)

    @cached_property
    def installed(self) -> str:
        """Which weights these are; see `iqcli.extractors.clip_model.weights_identity`."""
        from iqcli.extractors.clip_model import weights_identity

        return weights_identity(self.store, self.weights)

    def tower(self, device: str) -> open_clip.CLIP:
        from iqcli.extractors.clip_model import tower_of

        return tower_of(self.store, self.weights, self.installed, device)


def group_by_shape(batch: Sequence[NDArray[np.generic]], most: int) -> Iterator[list[int]]:
    """The places in the batch of inputs that have one shape, at most `most` at once."""
    found: dict[tuple[int, ...], list[int]] = {}
    for index, picture in enumerate(batch):
        found.setdefault(picture.shape, []).append(index)
    for places in found.values():
        yield from (places[start : start + most] for start in range(0, len(places), most))


def centre_crop(picture: Pixels) -> Pixels:
    """The centre square at `SIDE` by `SIDE`, as torchvision's Resize and CenterCrop give it.

    Bicubic and antialiased as PIL does it. The ends of a long strip are cut off before.
    """
    from PIL import Image

    short = min(picture.shape[:2])
    top, left = (max(0, each - LONGEST * short) // 2 for each in picture.shape[:2])
    picture = picture[top : picture.shape[0] - top, left : picture.shape[1] - left]
    height, width = (int(SIDE * each / short) for each in picture.shape[:2])
    small = Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)
    top, left = round((height - SIDE) / 2), round((width - SIDE) / 2)
    return np.asarray(small.crop((left, top, left + SIDE, top + SIDE)), np.uint8)


def enlarge_to(picture: Pixels, side: int) -> Pixels:
    """The picture; a side shorter than `side` is enlarged to it."""
    import cv2
    import numpy as np

    if min(picture.shape[:2]) >= side:
        return picture
    wanted = tuple(max(each, side) for each in picture.shape[1::-1])
    return np.asarray(cv2.resize(picture, wanted, interpolation=cv2.INTER_CUBIC), np.uint8)


def normalise(pixels: NDArray[np.generic], device: str) -> torch.Tensor:
    """(n, h, w, 3) of uint8 to (n, 3, h, w) as CLIP was trained, on `device`."""
    import torch

    mean, std = (torch.tensor(each, device=device).view(3, 1, 1) for each in (MEAN, STD))
    # Copied: a decoded picture may be read-only, and torch has no such tensors.
    rows = torch.from_numpy(np.array(pixels)).to(device).permute(0, 3, 1, 2)
    return (rows.float() / 255 - mean) / std


def share_of_good(embeddings: Array, texts: Array) -> Array:
    """(n, d) embeddings of any length and (2 k, d) unit texts to (n,) in 0..1.

    The mean over pairs of softmax(100 cos)[0]; NaN for an embedding without a direction.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        ahead = unit @ (texts[0::2] - texts[1::2]).T
    # The first of a softmax over two; |ahead| <= 2, so nothing overflows in float64.
    shares = 1 / (1 + np.exp(-LOGIT_SCALE * ahead.astype(np.float64)))
    return np.asarray(shares.mean(axis=1), np.float32)
