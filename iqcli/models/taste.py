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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.fs.files import make_folders, sha256, write_atomic
from iqcli.models import checkpoint, fusion, gaussian_process, registry
from iqcli.models.base import Predictor
from iqcli.models.checkpoint import valid_arrays
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from iqcli.models.base import Blocks, Points, Source
    from iqcli.models.fusion import TrainedHead
    from iqcli.records import Array

FORMAT = "iq-taste-1"
AGAIN = "train it again with `iq train taste`"
FIGURES = ("photos", "days", "srcc", "pairs", "stock_srcc", "stock_pairs")


@dataclass(frozen=True)
class TasteHead:
    """The line of one person; read-only once loaded.

    `tensors` holds `line` (2,), level and slope, and `weights.BLOCK` (size + 1,) a block. `info` is
    the metadata of the training: model id, the stock head by name and content, error, figures.
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


def inputs_of(stock: TrainedHead, blocks: Blocks) -> Array:
    """(n, size) vectors by block to the (n, sum of size + 1) inputs, in the order of the head."""
    parts = [
        stock.normalise(name, blocks[name]) / np.float32(size**0.5)
        for name, size in stock.sizes.items()
    ]
    return np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class TastePredictor(Predictor):
    """A line and the stock head it stands on. Nothing is promised from the stars of one person."""

    head: TasteHead
    stock: TrainedHead
    in_points = True

    @property
    def reads(self) -> tuple[str, ...]:
        return self.stock.reads

    @property
    def name(self) -> str:
        return self.version

    @property
    def version(self) -> str:
        return str(self.head.info["model"])

    @property
    def technical(self) -> Points | None:
        """The stock head's score, if that is a technical one."""
        return self._stock_points if self.stock.part == "technical" else None

    @property
    def quantiles(self) -> Mapping[str, Array]:
        return self.stock.quantiles

    def predict(self, blocks: Blocks) -> tuple[Array, NDArray[np.float64]]:
        stock = np.asarray(self.stock.predict(blocks)[0], np.float32)
        scores = self.head.predict(stock, inputs_of(self.stock, blocks))
        return scores, np.full(len(scores), self.head.info["rmse"])

    def _stock_points(self, blocks: Blocks) -> list[float | None]:
        return [float(each) for each in self.stock.predict(blocks)[0]]

    def describe(self) -> str:
        info = self.head.info
        figures, stock = info["figures"], info["stock"]["name"]
        return (
            f"{info['model']}: learnt from the stars of {figures['photos']:,.0f} photos of "
            f"{figures['days']:,.0f} days, on top of {stock}\n"
            f"on days held out: SRCC {figures['srcc']:.3f} ({stock} {figures['stock_srcc']:.3f}), "
            f"pairs {figures['pairs']:.3f} ({stock} {figures['stock_pairs']:.3f}), "
            f"RMSE {info['rmse']:.2f} points\n"
        )


def predictor(source: Source) -> TastePredictor:
    """The line of an entry's file, on its stock head.

    Raises IqError for a missing or foreign file, or where the stock head is gone or another.
    """
    path = source.file
    head = load(path)
    stock = head.info["stock"]
    file = stock_file(stock, source.weights.data_dir)
    if not file.exists():
        raise IqError(f"{display_path(path)} needs {display_path(file)}, which is gone; {AGAIN}")
    if stock["sha256"] != sha256(file):
        raise IqError(
            f"{display_path(path)} stands on another {stock['name']} than this iq has; {AGAIN}"
        )
    is_process = checkpoint.format_of(file) == gaussian_process.FORMAT
    stock_head = gaussian_process.load(file) if is_process else fusion.load(file)
    loaded = fusion.on_blocks(stock_head, file, source.blocks)
    # In the same order, too: weights and inputs are joined in it.
    if list(head.sizes.items()) != list(loaded.sizes.items()):
        raise IqError(f"{display_path(path)} has other blocks than its stock model; {AGAIN}")
    return TastePredictor(head, loaded)


def identity(stock: str) -> dict[str, str]:
    """How a taste file names the head it stands on, a model or a trained file: by name and content.

    The name of a file ends as the file's, as that of no model does.
    """
    entry = registry.ENTRIES.get(stock)
    file = entry.weights if entry else Path(stock)
    assert file  # no head of ours is without a file
    return {"name": stock if entry else file.name, "sha256": sha256(file)}


def stock_file(stock: Mapping[str, str], data_dir: Path) -> Path:
    """Where the head of that `identity` lies: with iq, or beside a person's own."""
    shipped = registry.ENTRIES.get(stock["name"])
    if shipped and shipped.weights:
        return shipped.weights
    return data_dir / "heads" / f"{stock['sha256']}.safetensors"


def keep_stock(stock: str, data_dir: Path) -> None:
    """Copy a trained file to where a taste looks for it: the file itself may move or change."""
    place = stock_file(identity(stock), data_dir)
    if stock not in registry.ENTRIES and not place.exists():
        make_folders(place.parent, 0o700)
        write_atomic(place, Path(stock).read_bytes())


def load(path: Path) -> TasteHead:
    """Read a line from a safetensors file. Raises IqError for any other file."""
    info, tensors = checkpoint.load(path, "taste", AGAIN, _valid_metadata, _valid_tensors)
    return TasteHead(info["blocks"], tensors, info)


def _valid_metadata(info: object) -> bool:
    """Whether the format's fields are there."""
    match info:
        case {
            "format": str(form),
            "model": str(model),
            "stock": {"name": str(name), "sha256": str(digest)},
            "blocks": dict(blocks),
            "rmse": float(rmse),
            "figures": dict(figures),
        }:
            return (
                form == FORMAT
                and re.fullmatch(r"taste/[0-9a-f]{12}", model) is not None
                and _is_stock(name, digest)
                and len(blocks) > 0
                and all(type(size) is int and size > 0 for size in blocks.values())
                and 0 < rmse < 10
                and sorted(figures) == sorted(FIGURES)
                and all(isinstance(each, float) and abs(each) < 1e9 for each in figures.values())
            )
    return False


def _is_stock(name: str, digest: str) -> bool:
    shipped = registry.ENTRIES.get(name)
    own = re.fullmatch(r"[0-9a-f]{64}", digest) and name.endswith(".safetensors")
    return bool(shipped.weights) if shipped else bool(own) and name.isprintable()


def _valid_tensors(tensors: Mapping[str, Array], info: Mapping[str, Any]) -> bool:
    return valid_arrays(tensors, tensor_shapes(info["blocks"]))


def tensor_shapes(sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a line over these blocks."""
    return {"line": (2,), **{f"weights.{name}": (size + 1,) for name, size in sizes.items()}}
