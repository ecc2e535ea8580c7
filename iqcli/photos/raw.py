"""Raw files: the camera's own preview, else a quick development."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from iqcli.photos import exif, time_limit
from iqcli.photos.decode import Picture, decode, metadata
from iqcli.photos.limits import ENOUGH_LONG, require_memory, require_size
from iqcli.photos.stderr import quiet_stderr
from iqcli.photos.tiff import xmp_of
from iqcli.photos.views import limited

if TYPE_CHECKING:
    import rawpy

# LibRaw's flip as the EXIF orientation of the same turn.
ORIENTATIONS = {1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}

# Bytes a pixel at the peak of developing.
FILTER_BYTES, LINEAR_BYTES = 6, 20


@time_limit.bounded
def decode_raw(data: bytes, max_megapixels: float) -> Picture:
    """Decode a raw file; its size is that of the visible sensor, not of the preview.

    The largest embedded preview is the picture as its owner saw it, and is the fastest. It is not
    used where developing at half size gives more pixels. Raises PhotoError above the limit, and
    whatever LibRaw raises.
    """
    import rawpy  # deferred: few folders hold raw files

    with quiet_stderr(), rawpy.imread(BytesIO(data)) as raw:
        sizes = raw.sizes
        require_size(sizes.raw_width, sizes.raw_height, max_megapixels)
        time_limit.allow("raw", sizes.raw_width * sizes.raw_height / 1e6)
        preview = _preview(raw, max_megapixels)
        own = exif.tags_of(data) or (preview.tags if preview else {})
        if preview is None or _long(preview) < min(ENOUGH_LONG, _long(sizes) // 2):
            require_memory(_memory_of(raw, len(data)), max_megapixels)
            pixels, orientation, profile = limited(_developed(raw)), 1, None
        else:
            pixels, orientation, profile = preview.pixels, _turn(preview, sizes), preview.profile
    width, height = sizes.width, sizes.height
    if orientation < 5 and ORIENTATIONS.get(sizes.flip, 1) >= 5:
        width, height = height, width  # the pixels lie upright already
    return Picture(pixels, width, height, orientation, own, xmp_of(data), profile)


def metadata_of_raw(data: bytes) -> tuple[exif.Tags, bytes]:
    """Tags and XMP packet as `decode_raw` gives them, without decoding a pixel.

    Raises whatever LibRaw raises.
    """
    import rawpy

    tags = exif.tags_of(data)
    if not tags:
        with quiet_stderr(), rawpy.imread(BytesIO(data)) as raw:
            thumb = raw.extract_thumb()
        if thumb.format is rawpy.ThumbFormat.JPEG:
            tags, _ = metadata(bytes(thumb.data), "jpeg")
    return tags, xmp_of(data)


@time_limit.bounded
def sensor(data: bytes) -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    """Every value of the sensor, as a raw file stores it. Raises whatever LibRaw raises."""
    import rawpy

    with quiet_stderr(), rawpy.imread(BytesIO(data)) as raw:
        return raw.raw_image.copy()


def _long(size: Picture | rawpy.ImageSizes) -> int:
    return max(size.width, size.height)


def _preview(raw: rawpy.RawPy, max_megapixels: float) -> Picture | None:
    import rawpy

    try:
        thumb = raw.extract_thumb()
        if thumb.format is rawpy.ThumbFormat.JPEG:
            preview = decode(bytes(thumb.data), "jpeg", max_megapixels)
            return None if preview.damage else preview
    except Exception:  # without a usable preview, the raw data may still be good
        return None
    pixels = np.asarray(thumb.data)
    height, width = pixels.shape[:2]
    return Picture(limited(pixels), width, height, 1, {}, b"")


def _turn(preview: Picture, sizes: rawpy.ImageSizes) -> int:
    """The orientation of a preview: its own, else the raw's, unless it was stored upright.

    LibRaw writes the raw's flip into previews without orientation, also into those that a converter
    stored upright already; these are recognised by their shape against the sensor's.
    """
    flip = ORIENTATIONS.get(sizes.flip, 1)
    turn = preview.orientation if preview.orientation != 1 else flip
    as_sensor = (preview.width > preview.height) == (sizes.width > sizes.height)
    return turn if turn < 5 or as_sensor else 1


def _memory_of(raw: rawpy.RawPy, size: int) -> int:
    """What LibRaw takes to develop a file of this size, measured: of a colour filter array its
    values in 16 bits and a quarter of the pixels in four colours; else four colours of every pixel.
    """
    per_pixel = LINEAR_BYTES if raw.raw_pattern is None else FILTER_BYTES
    return 2 * size + per_pixel * raw.sizes.raw_width * raw.sizes.raw_height


def _developed(raw: rawpy.RawPy) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return raw.postprocess(half_size=True, use_camera_wb=True)
