"""What a photo says of itself: when, with what, in which burst, and how its owner rated it.

Everything in a tag may come from a stranger: numbers are checked, text is cut and cleaned.
"""

from __future__ import annotations

import logging
import re
from datetime import datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import exifread

from iqcli.photos import xmp
from iqcli.photos.exposure import bias_of, exposure_of, number_of
from iqcli.photos.makernote import apple_burst
from iqcli.records import Facts

if TYPE_CHECKING:
    from collections.abc import Mapping

# It reports every odd tag at a level that reaches stderr by default.
logging.getLogger("exifread").setLevel(logging.CRITICAL + 1)

MAX_TEXT = 100
# A photo of a phone takes about 600 reads. A directory that claims 65,535 tags of 999 values
# each would keep a worker busy for a minute.
MAX_READS = 20_000
PREFIX = b"Exif\0\0"
RATING = "Image Rating"
# Not of exifread: it reads no maker notes here.
APPLE_BURST = "MakerNote BurstUUID"
RENDERED, STITCHED = "EXIF CustomRendered", 6  # so Apple marks its panoramas
IDENTITY = re.compile(r"[\w.:+/=-]{1,100}", re.ASCII)
TIMES = (
    ("EXIF DateTimeOriginal", "EXIF SubSecTimeOriginal", "EXIF OffsetTimeOriginal"),
    ("EXIF DateTimeDigitized", "EXIF SubSecTimeDigitized", "EXIF OffsetTimeDigitized"),
    ("Image DateTime", "EXIF SubSecTime", "EXIF OffsetTime"),
)
MOMENT = re.compile(r"(\d{4})[:\-/](\d\d)[:\-/](\d\d)[ T](\d\d):(\d\d):(\d\d)")
OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d")

Tags = dict[str, Any]


class _Bounded(BytesIO):
    """Bytes that may be read so many times and no more."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise OSError("more tags than a photo has")
        return super().read(size)


def tags_of(block: bytes) -> Tags:
    """Tags of an EXIF block (or of a whole TIFF) by exifread's names; empty if it is broken.

    Of maker notes only Apple's burst is read. Source: CIPA DC-008 (Exif 2.32).
    """
    block = block.removeprefix(PREFIX)
    if block[:2] not in (b"II", b"MM"):
        return {}
    try:
        found = exifread.process_file(_Bounded(block), details=False, extract_thumbnail=False)
    except Exception:  # a broken tag may raise anything; EXIF never fails a photo
        return {}
    tags = {name: tag.values for name, tag in found.items() if hasattr(tag, "values")}
    burst = apple_burst(block)
    return tags | {APPLE_BURST: burst} if burst else tags


def orientation_of(tags: Mapping[str, Any]) -> int:
    """1..8 as EXIF defines it; 1 for absence and for garbage."""
    value = _number(tags.get("Image Orientation"))
    return value if value is not None and 1 <= value <= 8 else 1


def facts_of(tags: Mapping[str, Any], packet: bytes, kind: str, width: int, height: int) -> Facts:
    """Join tags and XMP packet of one photo; `width` and `height` are upright pixels."""
    maker, model = _text(tags.get("Image Make")), _text(tags.get("Image Model"))
    said = xmp.properties_of(packet) if packet else {}
    marks = xmp.marks(said)
    return Facts(
        width=width,
        height=height,
        format=kind,
        taken=_taken(tags),
        camera=_camera(maker, model),
        maker=maker,
        # XMP before EXIF: programs that write one only write XMP.
        stars=_stars(tags) if marks.stars is None else marks.stars,
        pick=marks.pick,
        burst=_burst(tags, said),
        bias=bias_of(tags),
        exposure=exposure_of(tags),
        panorama=xmp.is_panorama(said) or number_of(tags.get(RENDERED)) == STITCHED,
    )


def _burst(tags: Mapping[str, Any], said: xmp.Properties) -> str | None:
    """The maker's own mark, with the maker before it: two makers' marks never meet."""
    if apple := tags.get(APPLE_BURST):
        return f"apple:{apple}"
    google = next((text for text in said.get(xmp.BURST, ()) if IDENTITY.fullmatch(text)), None)
    return google and f"google:{google}"


def _taken(tags: Mapping[str, Any]) -> str | None:
    """The first moment that exists in the calendar ("0000:00:00 …" is how cameras say unknown)."""
    for moment, fraction, offset in TIMES:
        match = MOMENT.match(_text(tags.get(moment)) or "")
        try:
            when = datetime(*map(int, match.groups())) if match else None  # type: ignore[arg-type]
        except ValueError:
            continue
        if when:
            part = re.match(r"\d{1,6}", _text(tags.get(fraction)) or "")
            zone = OFFSET.fullmatch(_text(tags.get(offset)) or "")
            return when.isoformat() + (f".{part[0]}" if part else "") + (zone[0] if zone else "")
    return None


def _camera(maker: str | None, model: str | None) -> str | None:
    """Make and model, the make once: "Apple iPhone 12 Pro", "Canon EOS 6D", "NIKON D90"."""
    if not maker or not model:
        return model or maker
    same = maker.split()[0].lower() == model.split()[0].lower()
    return model if same else f"{maker} {model}"[:MAX_TEXT]


def _stars(tags: Mapping[str, Any]) -> int | None:
    rating = _number(tags.get(RATING))
    return rating if rating is not None and 0 <= rating <= 5 else None


def _number(values: Any) -> int | None:
    first = values[0] if isinstance(values, list) and values else None
    return first if isinstance(first, int) else None


def _text(values: Any) -> str | None:
    """Printable text of at most `MAX_TEXT` characters, None if nothing is left."""
    if isinstance(values, bytes):
        values = values.decode("latin-1")
    if not isinstance(values, str):
        return None
    plain = "".join(char if char.isprintable() else " " for char in values[: 2 * MAX_TEXT])
    return " ".join(plain.split())[:MAX_TEXT].strip() or None
