"""The Python door: `ImageQualityFusion` scores files, PIL pictures and arrays, without a cache."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL.Image import Image

from iqcli import settings
from iqcli.errors import PhotoError
from iqcli.models.card import about
from iqcli.models.registry import Registry
from iqcli.models.scoring import with_facts
from iqcli.photos.read import read_photo
from iqcli.photos.views import limited, views_of
from iqcli.pipeline.devices import measure_views
from iqcli.records import Facts, NoRating
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from iqcli.records import Rating, Views

    Photo = str | Path | bytes | Image | NDArray[np.uint8]

MAX_MEGAPIXELS = 250.0
# Modes that no lossless file holds, and those that say the same.
STORED = {"HSV": "RGB", "RGBX": "RGB", "RGBa": "RGBA", "La": "LA", "PA": "RGBA"}


class ImageQualityFusion:
    """A model ready to score photos from 1 (bad) to 10 (excellent).

    A photo is a path, the bytes of a file, a PIL picture, or an upright sRGB array
    (height, width, 3) of uint8 in RGB order. Nothing is scored by default: what cannot be judged
    raises `iqcli.errors.PhotoError`, and an array of another kind TypeError.
    """

    def __init__(self, registry: Registry, name: str) -> None:
        self._model = registry.load(name)
        self._entry = registry.entry(name)
        self._weights = registry.weights

    @classmethod
    def from_pretrained(cls, name: str | Path = "fusion-mini") -> ImageQualityFusion:
        """The model of that name, of a `.safetensors` file, or of a folder of a fusion network.

        Such a folder is written by `iqcli.hub.FusionNetwork.save_pretrained`;
        "matthewyuan/image-quality-fusion" is the model `fusion`. Nothing is ever downloaded: raises
        IqError where the model is not here, and says what to pull.
        """
        return cls(Registry.of(settings.load({}, None)), str(name))

    def predict_quality(self, photo: Photo) -> float:
        """The score of one photo, 1..10."""
        return self.rate([photo])[0].score

    def predict_batch(self, photos: Iterable[Photo]) -> list[float]:
        """The scores of many photos, in order; the network runs once for all."""
        return [rating.score for rating in self.rate(photos)]

    def rate(self, photos: Iterable[Photo]) -> list[Rating]:
        """The full ratings: score, uncertainty, parts, issues, reasons."""
        names: list[str] = []

        facts: list[Facts] = []

        def seen() -> Iterator[Views]:
            for count, photo in enumerate(photos, start=1):
                name = (
                    display_path(Path(photo)) if isinstance(photo, str | Path) else f"photo {count}"
                )
                names.append(name)
                known, views = _read(photo)
                facts.append(known)
                yield views

        rated = self._model.rate(measure_views(seen(), self._model.blocks))
        found = zip(rated, names, facts, strict=True)
        return [with_facts(_rated(each, name), known) for each, name, known in found]

    def get_model_info(self) -> dict[str, Any]:
        """What is known of the model: its name, version, licence, blocks, figures and limits.

        `performance` is a list of rows, the figures of the card as data; `limits` and `biases` are
        its words, `card` all of it as Markdown. None or empty where nothing is known.
        """
        return {
            "name": self._entry.name,
            "summary": self._entry.summary,
            "licence": self._entry.licence,
            "blocks": {block.name: block.size for block in self._model.blocks},
            **about(self._entry, self._model, self._weights),
        }


def _rated(found: Rating | NoRating, name: str) -> Rating:
    if isinstance(found, NoRating):
        raise PhotoError(f"{name}: {found.reason}")
    return found


def _read(photo: Photo) -> tuple[Facts, Views]:
    if isinstance(photo, np.ndarray):
        return _read_array(photo)
    if isinstance(photo, bytes):
        return read_photo(photo, max_megapixels=MAX_MEGAPIXELS)
    if isinstance(photo, str | Path):
        return _read_file(Path(photo))
    if isinstance(photo, Image):
        return _read_picture(photo)
    kind = type(photo).__name__
    raise TypeError(f"a photo is a path, bytes, PIL picture or array, not {kind}")


def _read_file(path: Path) -> tuple[Facts, Views]:
    try:
        return read_photo(path.read_bytes(), max_megapixels=MAX_MEGAPIXELS)
    except (OSError, ValueError, PhotoError) as error:
        why = getattr(error, "strerror", None) or error
        raise PhotoError(f"{display_path(path)}: {why}") from error


def _read_array(pixels: NDArray[np.uint8]) -> tuple[Facts, Views]:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise TypeError(
            f"an array must be (height, width, 3) of uint8 in RGB order, "
            f"not {pixels.shape} of {pixels.dtype}"
        )
    height, width = pixels.shape[:2]
    return Facts(width, height, "array"), views_of(limited(pixels))


def _read_picture(picture: Image) -> tuple[Facts, Views]:
    """Through a lossless file, so that mode, profile and orientation are treated as on disk."""
    buffer = io.BytesIO()
    try:
        picture.load()  # before its EXIF is asked for: Pillow turns a TIFF while it loads it
        exif, profile = picture.getexif().tobytes(), picture.info.get("icc_profile")
        stored = picture.convert(STORED[picture.mode]) if picture.mode in STORED else picture
        form = "TIFF" if stored.mode in ("CMYK", "LAB", "F", "I", "YCbCr") else "PNG"
        stored.save(buffer, form, exif=exif, icc_profile=profile, compress_level=1)
    except Exception as error:  # decoders raise whatever they like on broken data
        raise PhotoError(f"a PIL picture that cannot be read: {error}") from error
    return read_photo(buffer.getvalue(), max_megapixels=MAX_MEGAPIXELS)
