"""The pixels of an opened picture as far as its data go, and how much of it is lost.

Pillow does not pass on what libjpeg complains of, so JPEG is decoded by simplejpeg, which is the
same libjpeg-turbo, gives the same pixels and is no slower. JPEG 2000 is decoded by OpenCV, for
Pillow lets nothing else run meanwhile. Other formats are decoded by Pillow, and where it fails,
what it got so far is kept, if there is any.
"""

from __future__ import annotations

import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg

from iqcli.photos.codecs import jpeg2000, png
from iqcli.photos.jpeg_damage import EOI, lost, parse
from iqcli.photos.limits import HEARD_PIXELS, LEAST_LEFT
from iqcli.photos.sectors import lost_share, lost_spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL.ImageFile import ImageFile

    from iqcli.photos.jpeg_damage import Jpeg
    from iqcli.records import Pixels

# The modes that Pillow gives to a JPEG, and what they are called here.
COLOURS = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
# Formats whose decoder gives the part that is there.
IN_PARTS = frozenset({"bmp", "gif", "png", "pnm", "psd", "tiff"})
# What is heard of loses this much at least, and nothing is left to judge where it is more.
LEAST, MOST = 0.01, 1 - LEAST_LEFT
# A seam is this many times as clear as any other row; the fewest rows to compare; and the part of
# the picture at its top where a strip of text may end.
CLEAR, FEWEST_ROWS, STRIP = 1.4, 8, 0.05
# The grey of a place without data.
GREY = 128
# So many coded bytes of a PNG are unpacked at once.
PIECE = 1 << 12


def load(
    image: ImageFile, data: bytes, kind: str, again: Callable[[], ImageFile]
) -> tuple[ImageFile, Pixels | None, float]:
    """The picture with its pixels, and the share (0..1) of it that is lost.

    Pixels L (h, w) or RGB (h, w, 3) are beside a picture that has none of its own: into Pillow and
    out again they would be copied twice. `again` opens the same file anew. Raises whatever the
    decoder raises, and OSError, where it gives nothing of the picture, or next to nothing.
    """
    if kind == "jpeg":
        return image, *_load_jpeg(image, data)
    zeros, share = lost_share(image, data, kind), 0.0
    if kind == "jp2":
        jpeg2000.load(image, data)
    else:
        image, share = _load_other(image, kind, again)
    share = max(share, zeros)
    if kind == "png":
        share = max(share, _lost_of_png(data))
    if share > MOST:
        raise OSError("next to nothing is left")
    return image, None, max(share, LEAST) if share else 0.0


# --- JPEG ---


def _load_jpeg(image: ImageFile, data: bytes) -> tuple[Pixels | None, float]:
    if image.mode not in COLOURS or image.width * image.height > HEARD_PIXELS:
        image.load()
        return None, 0.0
    pixels, complaint = _decoded(image, data)
    share = 0.0
    # Zeros may be codes of an even ground, of which no decoder complains.
    if complaint or lost_spans(data, max(data.find(b"\xff\xda"), 0)):
        # What stands around the coded data does no harm, nor does what is missing behind it.
        found = parse(data)
        pixels, complaint = _decoded(image, found.clean)
        has_gaps = any(scan.gaps for scan in found.scans)
        if pixels is not None and (complaint or has_gaps or not found.is_whole):
            share = _lost_of_jpeg(found, pixels, complaint)
        if share > MOST:
            raise OSError(complaint or "premature end of the picture")
    if pixels is None:
        image.load()  # a JPEG of another kind, or Pillow says what is wrong with it
        return None, 0.0
    if image.mode != "CMYK":
        return pixels if image.mode == "RGB" else pixels[..., 0], share
    image.tile = []
    image.load_prepare()
    # By the conventions of Adobe, CMYK is stored inverted.
    image.frombytes(pixels.data, "raw", "CMYK;I")
    return None, share


def _decoded(image: ImageFile, data: bytes) -> tuple[Pixels | None, str]:
    """The pixels at the size of the picture, None if there are none; and the first complaint."""
    width, height = image.size
    pixels = np.empty((height, width, len(image.getbands())), np.uint8)
    complaint = ""
    for strict in (True, False):
        if not strict:
            pixels[:] = 0  # what a decoder leaves out is black, not what was there before
        try:
            found = simplejpeg.decode_jpeg(
                data,
                COLOURS[image.mode],
                min_height=height,
                min_width=width,
                buffer=pixels,
                strict=strict,
            )
            return (found, complaint) if found.shape == pixels.shape else (None, complaint)
        except ValueError as error:
            complaint = complaint or str(error) or "broken"
    return None, complaint


def _lost_of_jpeg(found: Jpeg, pixels: Pixels, complaint: str) -> float:
    share = lost(found)
    if share is None:
        grey = (pixels == GREY).all(axis=(1, 2))
        share = float(np.argmin(grey[::-1]) / len(grey)) if not grey.all() else 1.0
    # More data than the picture needs are no loss, if nothing else speaks for one.
    is_more = "extraneous" in complaint and f"0x{EOI:x}" in complaint and found.is_refined
    if share and is_more:
        share = max(share, _behind_seam(found, pixels, share))
    is_lost = share or (complaint and not is_more)
    return max(share, LEAST) if is_lost or not found.is_whole else 0.0


def _behind_seam(found: Jpeg, pixels: Pixels, share: float) -> float:
    """The share behind a seam in what is not lost, 0 if there is none.

    Codes may make sense again at once after a fault; what follows stands elsewhere then, and in
    other colours. From there on a row of blocks differs from the one above it by `CLEAR` times
    as much as any other row does.
    """
    side = max(2, 16 * pixels.shape[1] // found.width)
    height, width = (round((1 - share) * len(pixels)) // side, pixels.shape[1] // side)
    if height < FEWEST_ROWS or width < 2 or any(scan.interval for scan in found.scans):
        return 0.0
    kept = pixels[: height * side, : width * side].astype(np.float32)
    means = kept.reshape(height, side, width, side, -1).mean(axis=(1, 3))
    sums = np.cumsum(np.abs(means[1:] - means[:-1]).sum(axis=2).ravel())
    steps = (sums[width:] - sums[:-width]) / width
    steps[: round(STRIP * height) * width] = 0
    at = int(steps.argmax())
    others = np.concatenate([steps[: max(0, at - width)], steps[at + width + 1 :]])
    if not others.size or steps[at] < CLEAR * max(float(others.max()), 1.0):
        return 0.0
    return 1 - (at + width + 1) / (height * width) * (1 - share)


# --- others ---


def _load_other(
    image: ImageFile, kind: str, again: Callable[[], ImageFile]
) -> tuple[ImageFile, float]:
    try:
        image.load()
        return image, 0.0
    except MemoryError:
        raise
    except Exception:
        if kind not in IN_PARTS or image.width * image.height > HEARD_PIXELS:
            raise
        # Where two decodes over different grounds do not agree, nothing was decoded.
        part, other = again(), again()
        _load_part(part, GREY)
        _load_part(other, 0)
        differs = np.asarray(part) != np.asarray(other)
        share = float(differs.reshape(*differs.shape[:2], -1).any(axis=2).mean())
        if share > MOST:
            raise
    return part, share


def _load_part(image: ImageFile, ground: int) -> None:
    """Load what can be decoded, over an even ground."""
    prepare = image.load_prepare

    def prepare_ground() -> None:
        prepare()
        bands = len(image.getbands())
        image.im.paste((ground,) * bands if bands > 1 else ground, (0, 0, *image.im.size))

    image.load_prepare = prepare_ground  # type: ignore[method-assign]
    with suppress(Exception):
        image.load()
    image.tile = []
    if image.format == "TIFF":
        with suppress(Exception):
            image.load_end()  # which turns it


def _lost_of_png(data: bytes) -> float:
    """The share behind the first wrong checksum of coded data, which Pillow does not look at."""
    chunks = list(_coded_chunks(data))
    if all(is_right for _, is_right in chunks):
        return 0.0
    inflate, filled, total = zlib.decompressobj(), 0, max(_size_of_png(data), 1)
    fault: float | None = None
    for body, is_right in chunks:
        begin = filled
        try:
            for at in range(0, len(body), PIECE):
                filled += len(inflate.decompress(body[at : at + PIECE]))
        except zlib.error:
            fault = filled if fault is None else fault
            break
        if not is_right and fault is None:
            fault = (begin + filled) / 2  # somewhere in this chunk
    if fault is None or inflate.eof:
        return 0.0  # by the checksum of its own, the pixels are whole
    return max(1 - fault / total, 0.0)


def _coded_chunks(data: bytes) -> Iterator[tuple[bytes, bool]]:
    """The chunks of coded pixels, and whether their checksum is right."""
    for name, begin, end in png.chunks(data):
        if name == b"IDAT" and end + 4 <= len(data):
            body = data[begin:end]
            found = int.from_bytes(data[end : end + 4], "big")
            yield body, zlib.crc32(body, zlib.crc32(name)) == found


def _size_of_png(data: bytes) -> int:
    """How many bytes the pixels of a PNG take, one more for each row."""
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    bands = png.CHANNELS.get(data[25], 1)
    return height * (1 - (-width * bands * data[24] // 8))
