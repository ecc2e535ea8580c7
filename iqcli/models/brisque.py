"""BRISQUE with the weights of OpenCV, learnt from the LIVE database. Inference in NumPy.

    x     = 2 (f - low) / (high - low) - 1              (n, 36), f the block `brisque`
    score = sum over i of a_i exp(-gamma |x - v_i|^2) - rho, cut to 0..100; lower is better

There are at least three scales called BRISQUE; this is the one of `cv2.quality`, from which it
differs by the rounding of OpenCV's single precision, 0.002 of 100. Two things it does otherwise. A
picture whose features are not defined (flat, tiny) has no score, where OpenCV says 0, the best. And
every photo is read at a short side of 512 pixels: the score falls as a picture is made smaller (34
for a photo of 1080 x 810, 4 for a quarter of it), so it says nothing at the size of the file.

Source: Mittal, Moorthy, Bovik, IEEE TIP 2012; opencv_contrib, `modules/quality/samples`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.models.base import Method
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.models.base import Blocks, Source
    from iqcli.records import Array
    from iqcli.weights.store import WeightStore

    Tensors = dict[str, NDArray[Any]]

BLOCK = "brisque"
FEATURES = 36
SVR, RANGE = "brisque-live", "brisque-live-range"
# Far beyond any regression on 0..100; below it no sum of kernels overflows.
LARGEST = 1e6


@dataclass(frozen=True)
class Brisque:
    """The support vector regression; read-only once loaded.

    `svr` holds `vectors` (m, 36), `alphas` (m,) and `line` (gamma, rho); `span` is (2, 36), the
    least and the greatest of each feature.
    """

    svr: Mapping[str, NDArray[Any]]
    span: Array

    def score(self, features: Array) -> Array:
        """(n, 36) features to (n,) scores, 0 (best) .. 100; NaN where a feature is not finite."""
        low, high = self.span
        # In OpenCV's order of single-precision steps, then in double: C = 1024 magnifies.
        x = ((np.float32(2) * (features - low)) / (high - low) - np.float32(1)).astype(np.float64)
        gamma, rho = self.svr["line"]
        vectors = self.svr["vectors"].astype(np.float64)
        distances = np.stack([((vectors - row) ** 2).sum(axis=1) for row in x])
        scores = np.exp(-gamma * distances) @ self.svr["alphas"] - rho
        found: Array = np.clip(scores, 0, 100).astype(np.float32)
        found[~np.isfinite(features).all(axis=1)] = np.nan
        return found

    def quality(self, blocks: Blocks) -> Array:
        """(n, 36) of the block to (n,) qualities, 1 for the score 0 and 0 for 100."""
        return 1 - self.score(blocks[BLOCK]) / np.float32(100)


def predictor(source: Source) -> Method:
    """The model `brisque-live`. Raises IqError like `load`."""
    quality = load(source.weights).quality
    return Method(quality=quality, reads=(BLOCK,), part="technical")


def load(weights: WeightStore) -> Brisque:
    """The installed regression, converted once. Raises IqError where it is missing or damaged."""
    found = weights.converted(SVR, read_svr) | weights.converted(RANGE, read_range)
    for name, is_sound in ((SVR, _is_svr), (RANGE, _is_range)):
        if not is_sound(found):
            raise IqError(
                f"what is kept in {display_path(weights.folder(name))} is damaged; "
                f"run `iq models rm {name}` and pull it again"
            )
    span = np.asarray(found.pop("span"), np.float32)
    return Brisque(found, span)


def read_svr(path: Path) -> Tensors:
    """What OpenCV stored of a regression, as `Brisque.svr`. Raises IqError for anything else."""
    import cv2  # deferred: only for a conversion

    try:
        machine = cv2.ml.SVM.load(str(path))
        kind = machine.getType(), machine.getKernelType(), machine.getVarCount()
        if kind != (cv2.ml.SVM_EPS_SVR, cv2.ml.SVM_RBF, FEATURES):
            raise IqError(
                f"{display_path(path)} is no regression on {FEATURES} features; pull it again"
            )
        vectors = np.asarray(machine.getSupportVectors(), np.float32)
        rho, alphas, places = machine.getDecisionFunction(0)
        line = np.array([machine.getGamma(), rho], np.float64)
    except cv2.error as error:
        raise _unreadable(path) from error
    found: Tensors = {
        "vectors": np.ascontiguousarray(vectors[np.ravel(places)]),
        "alphas": np.asarray(alphas, np.float64).ravel(),
        "line": line,
    }
    if not _is_svr(found):
        raise _unreadable(path)
    return found


def read_range(path: Path) -> Tensors:
    """The least and the greatest of each feature: {"span": (2, 36)}. Raises IqError if they are not
    there."""
    import cv2

    try:
        storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
        found = storage.getNode("range").mat()
        storage.release()
    except (cv2.error, SystemError) as error:
        raise _unreadable(path) from error
    span: Tensors = {"span": np.asarray(found if found is not None else [], np.float32)}
    if not _is_range(span):
        raise _unreadable(path)
    return span


def _is_svr(found: Tensors) -> bool:
    if not {"vectors", "alphas", "line"} <= set(found):
        return False
    vectors, alphas, line = (found[name] for name in ("vectors", "alphas", "line"))
    alike = vectors.shape == (len(alphas), FEATURES) and alphas.ndim == 1 and line.shape == (2,)
    bounded = all((np.abs(each) < LARGEST).all() for each in (vectors, alphas, line))
    return alike and bounded and line[0] > 0


def _is_range(found: Tensors) -> bool:
    span = found.get("span", np.zeros(0))
    sound = span.shape == (2, FEATURES) and bool((np.abs(span) < LARGEST).all())
    return sound and bool((span[1] > span[0]).all())


def _unreadable(path: Path) -> IqError:
    return IqError(f"{display_path(path)} is not what OpenCV keeps BRISQUE in; pull it again")
