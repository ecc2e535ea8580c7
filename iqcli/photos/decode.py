"""From the bytes of a picture file to upright sRGB pixels, in one decode."""

from __future__ import annotations

import logging
import math
import warnings
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageFile

from iqcli.photos import exif, time_limit
from iqcli.photos.cicp import code_points, in_profile, linear_points, wide
from iqcli.photos.codecs import jxl
from iqcli.photos.codecs.boxes import box
from iqcli.photos.codecs.pillow_gaps import complete, loaded, require_psd
from iqcli.photos.colour import flatten, span_of, to_rgb
from iqcli.photos.formats import FORMATS
from iqcli.photos.limits import HEARD_PIXELS, check, jpeg_scale, require_size
from iqcli.photos.load import load
from iqcli.photos.stderr import quiet_stderr
from iqcli.photos.views import halved, limited, stored, strip_halvings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.photos.cicp import CodePoints
    from iqcli.photos.views import Part
    from iqcli.records import Pixels

    Pixels16 = NDArray[np.uint16]

# Pictures of more pixels are converted in strips of about so many.
STRIPS_FROM, STRIP_PIXELS = 2**23, 2**19

# The size is checked in `limits`, for all formats alike and against the setting; Pillow's own limit
# would warn on stderr and refuse at another size.
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = False
logging.getLogger("PIL").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture, not yet turned: RGB `pixels`, by default those of the larger view.

    `width` and `height` are those of the original as stored, `orientation` (EXIF, 1..8) is the turn
    that `pixels` still need. `profile` is the ICC profile of the pixels, None for sRGB. `xmp` is
    empty if there is none. `damage` is the share (0..1) of the picture that is lost.
    """

    pixels: Pixels
    width: int
    height: int
    orientation: int
    tags: exif.Tags
    xmp: bytes
    profile: bytes | None = None
    damage: float = 0.0


@time_limit.bounded
def decode(
    data: bytes, kind: str, max_megapixels: float, *, whole: bool = False, part: Part | None = None
) -> Picture:
    """Decode a file of a format (see `FORMATS`) that is not raw; the first frame of several.

    With `whole` the pixels keep their number, however many, or are those of a `part` of the upright
    picture. Raises PhotoError above the limit, and whatever the decoder raises.
    """
    check(data, kind, max_megapixels, whole=whole)
    deep, own, damage = None, None, 0.0
    with quiet_stderr():
        if kind == "jxl":
            time_limit.allow(kind, math.prod(jxl.size_of(data)) / 1e6)
            unpacked = jxl.decode(data)
            if isinstance(unpacked, bytes):
                return decode(unpacked, "jpeg", max_megapixels, whole=whole, part=part)
            image, points = unpacked, in_profile(_profile(unpacked))
            width, height = image.size
        else:
            opened = _opened(data, kind)
            width, height = opened.size
            require_size(width, height, max_megapixels)
            time_limit.allow(kind, width * height / 1e6)
            if kind == "jpeg" and not whole:
                _draft(opened)
            image, points = opened, code_points(data, kind)
            if kind == "heif" and points:
                deep = _deep(data)
            if deep is None:
                image, own, damage = load(opened, data, kind, lambda: _opened(data, kind))
            if (light := linear_points(data, kind)) and not damage:
                deep = _sixteen(data, image)
                points = light if deep is not None else points
    image = loaded(image, kind)
    tags = _tags(data, kind, image)
    turn, profile = _turn(data, kind, image, tags), _profile(image)
    if points:
        coded = deep
        if coded is None:
            flat = flatten(image, paper=points.paper)
            coded = np.asarray(flat if flat.mode == "RGB" else flat.convert("RGB"))
        pixels = _shown(coded, points, turn, part, whole)
        return Picture(pixels, width, height, turn, tags, _packet(image), damage=damage)
    kept = _kept(image, own, whole, part, turn)
    pixels = to_rgb(kept, profile)
    left = (profile or None) if kept.ndim == 3 and kept.shape[2] == 3 else None
    return Picture(pixels, width, height, turn, tags, _packet(image), left, damage)


def _kept(
    image: Image.Image, own: Pixels | None, whole: bool, part: Part | None, turn: int
) -> Pixels:
    """All pixels or those of a part, or a smaller picture; `own` pixels are not in the image."""
    if own is None and whole:
        return np.asarray(flatten(_cut(image, part, turn) if part else image))
    if own is None:
        return limited(_less(image))
    if whole:
        return own[stored(part, turn, *own.shape[:2])] if part else own
    return limited(own)


def _deep(data: bytes) -> Pixels16 | None:
    """A HEIF of more than 8 bits, without transparency: RGB of 16 bits; None for any other."""
    from pillow_heif import open_heif

    image = open_heif(BytesIO(data), convert_hdr_to_8bit=False)
    return np.asarray(image) if image.mode == "RGB;16" else None


def _sixteen(data: bytes, image: Image.Image) -> Pixels16 | None:
    """A PNG as stored, or a TIFF turned, as Pillow gives it, but RGB of 16 bits; None if large."""
    if image.width * image.height > HEARD_PIXELS:
        return None
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16 or found.shape != (*image.size[::-1], 3):
        return None
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


def _shown(
    coded: Pixels | Pixels16, points: CodePoints, turn: int, part: Part | None, whole: bool
) -> Pixels:
    """Coded RGB, or a part of it, as an sRGB screen shows it; its brightest counts for a part."""
    peak = points.peak(coded)
    if whole:
        kept = coded[stored(part, turn, *coded.shape[:2])] if part else coded
        return points.to_srgb(kept, peak)
    # Averages of 8-bit values need more than 8 bits: a step of PQ is four of sRGB.
    times, places = _strips(*coded.shape[1::-1])
    strips = (halved(wide(coded[top:bottom]), times) for top, bottom in places)
    return points.to_srgb(limited(np.concatenate(list(strips))), peak)


def _opened(data: bytes, kind: str) -> ImageFile.ImageFile:
    """The picture, not decoded yet; a HEIF is turned by loading, as its container says."""
    if kind == "heif":
        from pillow_heif import HeifImageFile  # deferred: most runs meet no HEIC

        return HeifImageFile(BytesIO(data))
    if kind == "psd":
        require_psd(data)
    # By the name of the plugin: Pillow's `open` would try sixty others, too.
    name = FORMATS[kind].plugin
    plugin = getattr(import_module(f"PIL.{name}ImagePlugin"), f"{name}ImageFile")
    return complete(plugin(BytesIO(data)), data, kind)


def _draft(image: Image.Image) -> None:
    """Ask for the smallest scale 1, 1/2, 1/4, 1/8 that leaves `ENOUGH_LONG` of the long side."""
    width, height = image.size
    scale = jpeg_scale(width, height)
    # Pillow divides the size by this one and rounds down: rounding up would give the next larger
    # scale.
    if scale > 1:
        image.draft(None, (max(1, width // scale), max(1, height // scale)))


def _less(image: Image.Image) -> Pixels:
    """L (h, w), RGB or CMYK (h, w, bands), halved in whole or in part as `limited` would.

    In strips where it is large: converted as a whole, a picture of hundreds of megapixels would
    take many times its own memory.
    """
    width, height = image.size
    if width * height <= STRIPS_FROM:
        return np.asarray(flatten(image))
    times, places = _strips(width, height)
    boxes = [(0, top, width, bottom) for top, bottom in places]
    span = span_of(map(image.crop, boxes))
    less: Pixels | None = None
    for (top, bottom), each in zip(places, boxes, strict=True):
        strip = halved(np.asarray(flatten(image.crop(each), span)), times)
        if less is None:
            less = np.empty((height >> times, *strip.shape[1:]), np.uint8)
        less[top >> times : bottom >> times] = strip
    assert less is not None
    return less


def _strips(width: int, height: int) -> tuple[int, list[tuple[int, int]]]:
    """How often the strips of a picture can be halved, and their rows, from each to behind."""
    times = strip_halvings(width, height)
    rows = max(1, STRIP_PIXELS // width >> times) << times
    return times, [(top, min(top + rows, height)) for top in range(0, height, rows)]


def _cut(image: Image.Image, part: Part, turn: int) -> Image.Image:
    """A part of a picture that still needs a turn: turning and converting the rest costs more."""
    rows, columns = stored(part, turn, image.height, image.width)
    if image.mode in ("I", "F"):
        image = flatten(image)  # by the range of the whole
    bottom, right = min(rows.stop, image.height), min(columns.stop, image.width)
    return image.crop((columns.start, rows.start, right, bottom))


def _turn(data: bytes, kind: str, image: Image.Image, tags: exif.Tags) -> int:
    """The orientation that is still to be applied after loading."""
    if kind in ("tiff", "jxl"):
        return 1  # Pillow turns a TIFF by itself, libjxl by the header of the codestream
    return _heif_turn(data, image) if kind == "heif" else exif.orientation_of(tags)


def _heif_turn(data: bytes, image: Image.Image) -> int:
    """The EXIF orientation of a HEIF that is still to be applied after loading.

    The container's own turn is authoritative, EXIF only repeats it (ISO 23008-12, 6.5.10). Some
    camera programs write EXIF alone: then the picture is not turned yet.
    """
    meta = box(data, b"meta")
    if b"irot" in meta or b"imir" in meta:
        return 1
    return int(image.info.get("original_orientation") or 1)


def _profile(image: Image.Image) -> bytes:
    return image.info.get("icc_profile") or b""


def metadata(data: bytes, kind: str) -> tuple[exif.Tags, bytes]:
    """Tags and XMP packet as `decode` gives them, for which no pixel is decoded.

    Raises whatever the reader of headers raises.
    """
    if kind == "jxl":
        block, packet = jxl.metadata(data)
        return exif.tags_of(block), packet
    with quiet_stderr():
        image = _opened(_texts_first(data) if kind == "png" else data, kind)
        return _tags(data, kind, image), _packet(image)


def _texts_first(data: bytes) -> bytes:
    """A PNG whose metadata all lie before its pixels, where Pillow finds them without decoding."""
    pieces: dict[bool, list[bytes]] = {True: [], False: []}
    at = 8
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        pieces[data[at + 4 : at + 8] in (b"IDAT", b"IEND")].append(data[at:end])
        at = end
    return b"".join([data[:8], *pieces[False], *pieces[True]])


def _tags(data: bytes, kind: str, image: Image.Image) -> exif.Tags:
    """The tags of EXIF, and the dates of IPTC and of PNG's texts, by the names of `exif`."""
    info = image.info
    block = data if kind == "tiff" else info.get("exif") or b""
    if kind == "png" and not block:
        with suppress(KeyError, ValueError, AttributeError):  # as ImageMagick wrote it
            block = bytes.fromhex("".join(info["Raw profile type exif"].split("\n")[3:]))
    tags = exif.tags_of(block)
    if kind == "png":
        texts = {str(name).replace(" ", "").lower(): text for name, text in info.items()}
        tags |= {exif.PNG_TIME: texts.get("creationtime")}
    elif isinstance(image, ImageFile.ImageFile) and kind in ("jpeg", "tiff"):
        tags |= _iptc(image)
    return tags


def _iptc(image: ImageFile.ImageFile) -> exif.Tags:
    if image.format == "JPEG" and "photoshop" not in image.info:
        return {}
    from PIL import IptcImagePlugin  # deferred: few photos have any

    found: object = None
    with suppress(Exception):  # it is no reason to fail a photo
        found = IptcImagePlugin.getiptcinfo(image)
    if not isinstance(found, dict):
        return {}
    return {name: found[key] for key, name in exif.IPTC_TAGS.items() if key in found}


def _packet(image: Image.Image) -> bytes:
    xmp = image.info.get("xmp") or b""
    return xmp.encode("utf-8", "replace") if isinstance(xmp, str) else bytes(xmp)
