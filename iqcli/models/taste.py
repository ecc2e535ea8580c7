"""One person's taste: a line on top of a stock fusion head, learnt from their own stars.

The stock head gives its score s and its view of each block, the normal scores; the line adds what
this person likes more or less than people at large:

    x_b   = [normal scores of block b, flag] / sqrt(size_b)       (n, size_b + 1)
    score = level + slope s + sum over b of x_b w_b               (n,), cut to 1..10

Every block counts alike, however long it is. The uncertainty is the error on days that were held
out, the same for all photos. Issues and reasons are the stock model's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli import settings
from iqcli.errors import IqError
from iqcli.extractors.registry import BLOCKS
from iqcli.fs.files import make_folders, sha256, write_atomic
from iqcli.models import checkpoint, registry
from iqcli.models.base import Head, HeadModel
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iqcli.extractors.base import AnyBlock
    from iqcli.records import Array, HoldoutSample, Rating, Vector


FORMAT = "iq-taste-1"
AGAIN = "train it again with `iq train taste`"
# No training of ours comes near it; below it no sum can overflow.
LARGEST = 1e4
FIGURES = ("photos", "days", "srcc", "pairs", "stock_srcc", "stock_pairs")


@dataclass(frozen=True)
class TasteHead:
    """The line of one person; read-only once loaded.

    `tensors` holds `line` (2,), level and slope, and `weights.BLOCK` (size + 1,) a block. `info` is
    the training's own account: model id, the stock head by name and content, error, figures.
    """

    sizes: Mapping[str, int]
    tensors: Mapping[str, Array]
    info: Mapping[str, Any]

    def predict(self, stock: Array, inputs: Array) -> Array:
        """(n,) stock scores and (n, width) `inputs_of` their photos to (n,) scores in 1..10."""
        level, slope = self.tensors["line"]
        weights = np.concatenate([self.tensors[f"weights.{name}"] for name in self.sizes])
        scores: Array = np.clip(level + slope * stock + inputs @ weights, 1, 10)
        return scores


def inputs_of(stock: Head, blocks: Mapping[str, Array]) -> Array:
    """(n, size) vectors by block to the (n, sum of size + 1) inputs, in the order of the head."""
    parts = [
        stock.normalise(name, blocks[name]) / np.float32(size**0.5)
        for name, size in stock.sizes.items()
    ]
    return np.concatenate(parts, axis=1)


def make(entry: registry.Entry) -> TasteModel:
    """The model of a taste's file."""
    assert entry.weights
    return TasteModel(entry.weights)


class TasteModel:
    """Ratings from a taste file and the stock model it stands on; reads both at the first need."""

    def __init__(self, weights: Path) -> None:
        self.weights = weights

    @cached_property
    def head(self) -> TasteHead:
        """The loaded line. Raises IqError for a missing or foreign file, or another stock head."""
        head = load(self.weights)
        stock = head.info["stock"]
        file = stock_file(stock)
        if not file.exists():
            raise IqError(
                f"{display_path(self.weights)} needs {display_path(file)}, which is gone; {AGAIN}"
            )
        if stock["sha256"] != sha256(file):
            raise IqError(
                f"{display_path(self.weights)} stands on another {stock['name']} than this iq "
                f"has; {AGAIN}"
            )
        # In the same order, too: weights and inputs are joined in it.
        if list(head.sizes.items()) != list(self._stock_of(head).head.sizes.items()):
            raise IqError(
                f"{display_path(self.weights)} has other blocks than its stock model; {AGAIN}"
            )
        return head

    @cached_property
    def stock(self) -> HeadModel:
        """The model that the taste corrects."""
        return self._stock_of(self.head)

    @property
    def blocks(self) -> Sequence[AnyBlock]:
        """Those of the stock model; no other is read."""
        return self.stock.blocks

    @property
    def holdout(self) -> HoldoutSample | None:
        """None: the stars of one person are too few to promise from, and no one else's count."""
        return None

    def rate(self, photos: Sequence[Mapping[str, Vector]]) -> list[Rating]:
        """See `registry.Model`. The technical part stays what the stock model says."""
        if not photos:
            return []
        rated = self.stock.rate(photos)
        stacked = {name: np.stack([each[name] for each in photos]) for name in self.head.sizes}
        stock = np.array([rating.score for rating in rated], np.float32)
        scores = self.head.predict(stock, inputs_of(self.stock.head, stacked))
        told, error = self.head.info["model"], self.head.info["rmse"]
        return [
            replace(rating, score=float(score), uncertainty=error, model=told)
            for rating, score in zip(rated, scores, strict=True)
        ]

    @staticmethod
    def _stock_of(head: TasteHead) -> HeadModel:
        return HeadModel(stock_file(head.info["stock"]))


def identity(stock: str) -> dict[str, str]:
    """How a taste file names the head it stands on, a model or a trained file: by name and content.

    The name of a file ends as the file's, as that of no model does.
    """
    found = registry.entry(stock)
    assert found.weights  # no head of ours is without a file
    name = stock if stock in registry.ENTRIES else found.weights.name
    return {"name": name, "sha256": sha256(found.weights)}


def stock_file(stock: Mapping[str, str]) -> Path:
    """Where the head of that `identity` lies: with iq, or beside a person's own."""
    shipped = registry.ENTRIES.get(stock["name"])
    if shipped and shipped.weights:
        return shipped.weights
    return settings.load({}, None).data_dir / "heads" / f"{stock['sha256']}.safetensors"


def keep_stock(stock: str) -> None:
    """Copy a trained file to where a taste looks for it: the file itself may move or change."""
    place = stock_file(identity(stock))
    if stock not in registry.ENTRIES and not place.exists():
        make_folders(place.parent, 0o700)
        write_atomic(place, Path(stock).read_bytes())


def load(path: Path) -> TasteHead:
    """Read a line from a safetensors file. Raises IqError for anything that is not one of ours."""
    try:
        info, tensors = checkpoint.read(path)
    except checkpoint.UNREADABLE as error:
        raise IqError(f"cannot read the taste {display_path(path)}: {error}; {AGAIN}") from error
    if not _is_ours(info) or not _fits(tensors, info["blocks"]):
        raise IqError(f"{display_path(path)} is no taste of this iq; {AGAIN}")
    return TasteHead(info["blocks"], tensors, info)


def _is_ours(info: object) -> bool:
    """The account has the format's fields: a weight file is a stranger's word."""
    match info:
        case {
            "format": str(form),
            "model": str(model),
            "stock": {"name": str(name), "sha256": str(known_by)},
            "blocks": dict(blocks),
            "rmse": float(rmse),
            "figures": dict(figures),
        }:
            sizes = blocks.items()
            return (
                form == FORMAT
                and re.fullmatch(r"taste/[0-9a-f]{12}", model) is not None
                and _is_stock(name, known_by)
                and len(blocks) > 0
                and all(n in BLOCKS and BLOCKS[n].size == s for n, s in sizes)
                and 0 < rmse < 10
                and sorted(figures) == sorted(FIGURES)
                and all(isinstance(each, float) and abs(each) < 1e9 for each in figures.values())
            )
    return False


def _is_stock(name: str, known_by: str) -> bool:
    shipped = registry.ENTRIES.get(name)
    own = re.fullmatch(r"[0-9a-f]{64}", known_by) and name.endswith(".safetensors")
    return bool(shipped.weights) if shipped else bool(own) and name.isprintable()


def _fits(tensors: Mapping[str, Array], sizes: Mapping[str, int]) -> bool:
    """Every tensor is there, of the right shape and kind, and bounded."""
    found = {name: tensor.shape for name, tensor in tensors.items()}
    return found == shapes(sizes) and all(
        tensor.dtype == np.float32 and bool((np.abs(tensor) < LARGEST).all())
        for tensor in tensors.values()
    )


def shapes(sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a line over these blocks."""
    return {"line": (2,), **{f"weights.{name}": (size + 1,) for name, size in sizes.items()}}


def account(head: TasteHead) -> str:
    """What `iq models info` says of it."""
    figures, stock = head.info["figures"], head.info["stock"]["name"]
    return (
        f"{head.info['model']}: learnt from the stars of {figures['photos']:,.0f} photos of "
        f"{figures['days']:,.0f} days, on top of {stock}\n"
        f"on days held out: SRCC {figures['srcc']:.3f} ({stock} {figures['stock_srcc']:.3f}), "
        f"pairs {figures['pairs']:.3f} ({stock} {figures['stock_pairs']:.3f}), "
        f"RMSE {head.info['rmse']:.2f} points\n"
    )
