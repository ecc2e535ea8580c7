"""The EXIF tags of a photo, and all its metadata: when, with what, in which burst, how rated.

Tags are untrusted: numbers are checked, text is cut and cleaned.
"""

from __future__ import annotations

import logging
import math
import re
import struct
from io import BytesIO
from typing import TYPE_CHECKING, Any

import exifread

from iqcli.photos import xmp
from iqcli.photos.codecs.metadata import stars_in
from iqcli.photos.tiff import EXIF_IFD, directory, first_directory
from iqcli.photos.times import capture_time
from iqcli.photos.times.capture_time import Taken
from iqcli.records import Facts

if TYPE_CHECKING:
    from collections.abc import Mapping

# It logs every odd tag at a level that reaches stderr by default.
logging.getLogger("exifread").setLevel(logging.CRITICAL + 1)

MAX_TEXT = 100
# A photo of a phone takes about 600 reads. A directory with 65,535 tags of 999 values each would
# keep a worker busy for a minute.
MAX_READS = 20_000
PREFIX = b"Exif\0\0"
# Not of exifread: it reads no maker notes here, and has no name for stars in percent.
APPLE_BURST, STARS = "MakerNote BurstUUID", "stars"
RENDERED, STITCHED = "EXIF CustomRendered", 6  # so Apple marks its panoramas
IDENTITY = re.compile(r"[\w.:+/=-]{1,100}", re.ASCII)
TIMES = (
    ("EXIF DateTimeOriginal", "EXIF SubSecTimeOriginal", "EXIF OffsetTimeOriginal"),
    ("EXIF DateTimeDigitized", "EXIF SubSecTimeDigitized", "EXIF OffsetTimeDigitized"),
)
# The last change of the file, and all that some cameras write.
CHANGED = ("Image DateTime", "EXIF SubSecTime", "EXIF OffsetTime")
MOMENT = re.compile(r"\d{4}[:\-/]\d\d[:\-/]\d\d[ T]\d\d:\d\d:\d\d")
# Not of EXIF, but kept beside its tags: dates of IPTC-IIM, by record and data set, and the
# text "Creation Time" of a PNG.
IPTC_TAGS = {
    (2, 55): "IPTC DateCreated",
    (2, 60): "IPTC TimeCreated",
    (2, 62): "IPTC DigitalCreationDate",
    (2, 63): "IPTC DigitalCreationTime",
}
IPTC_TIMES = (
    (IPTC_TAGS[2, 55], IPTC_TAGS[2, 60]),
    (IPTC_TAGS[2, 62], IPTC_TAGS[2, 63]),
)
PNG_TIME = "PNG CreationTime"

Tags = dict[str, Any]

# The value of the 16-bit field where the sensitivity is higher; other fields then hold it.
FULL = 65535
SENSITIVITIES = ("EXIF ISOSpeedRatings", "EXIF RecommendedExposureIndex", "EXIF ISOSpeed")
# No camera goes beyond these, in stops: higher values are garbage.
MOST_BIAS, MOST_EXPOSURE = 20.0, 40.0

MAKER_NOTE = 0x927C
# "Apple iOS", a zero, a version, and the order of the bytes; the directory follows. Its offsets
# count from the beginning of the note. Source: exiftool, lib/Image/ExifTool/MakerNotes.pm.
APPLE = re.compile(rb"Apple iOS\0..(MM|II)", re.DOTALL)
BURST_UUID = 0x000B
# A UUID has 36 characters; no two photos may be joined by an empty or a broken one.
BURST_IDENTITY = re.compile(rb"[0-9A-Za-z-]{8,64}")


class _Bounded(BytesIO):
    """Bytes that may be read `MAX_READS` times."""

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
    # DNG may have the tags of the EXIF directory in its first one (TIFF/EP).
    tags = {name.replace("Image ", "EXIF "): values for name, values in tags.items()} | tags
    more = {APPLE_BURST: apple_burst(block), STARS: stars_in(block)}
    return tags | {name: value for name, value in more.items() if value is not None}


def orientation_of(tags: Mapping[str, Any]) -> int:
    """The EXIF orientation 1..8; 1 where it is missing or invalid."""
    value = _integer(tags.get("Image Orientation"))
    return value if value is not None and 1 <= value <= 8 else 1


def facts_of(tags: Mapping[str, Any], packet: bytes, kind: str, width: int, height: int) -> Facts:
    """Join tags and XMP packet of one photo; `width` and `height` are upright pixels."""
    maker, model = _text(tags.get("Image Make")), _text(tags.get("Image Model"))
    properties = xmp.properties_of(packet) if packet else {}
    taken = _taken(tags, properties)
    marks = xmp.marks(properties)
    return Facts(
        width=width,
        height=height,
        format=kind,
        taken=taken and taken.when,
        camera=_camera(maker, model),
        maker=maker,
        # XMP before EXIF: programs that write one only write XMP.
        stars=xmp.first_rating([marks.stars, tags.get(STARS)]),
        pick=marks.pick,
        burst=_burst(tags, properties),
        bias=bias_of(tags),
        exposure=exposure_of(tags),
        panorama=xmp.is_panorama(properties) or number_of(tags.get(RENDERED)) == STITCHED,
        taken_from=taken and taken.source,
    )


def _burst(tags: Mapping[str, Any], properties: xmp.Properties) -> str | None:
    """The maker's own id of the burst, prefixed with the maker."""
    if apple := tags.get(APPLE_BURST):
        return f"apple:{apple}"
    google = next(
        (text for text in properties.get(xmp.BURST, ()) if IDENTITY.fullmatch(text)), None
    )
    return google and f"google:{google}"


def _taken(tags: Mapping[str, Any], properties: xmp.Properties) -> Taken | None:
    """The time that the file itself tells; when it was last changed, only for want of a better."""
    return capture_time.first(
        [
            *(_moment(tags, *names) for names in TIMES),
            capture_time.of_xmp(properties, xmp.TIMES),
            *(_iptc(tags, *names) for names in IPTC_TIMES),
            _png(_text(tags.get(PNG_TIME))),
            _moment(tags, *CHANGED, source=capture_time.CHANGED),
            _satellites(tags),
        ]
    )


def _moment(
    tags: Mapping[str, Any],
    moment: str,
    fraction: str,
    offset: str,
    source: str = capture_time.EXIF,
) -> Taken | None:
    """A moment or day that exists in the calendar (cameras write "0000:00:00 …" for unknown)."""
    text = _text(tags.get(moment)) or ""
    match = MOMENT.match(text)
    several = (text, match[0] if match else "", text[: capture_time.DAY_LENGTH])
    when = next(filter(None, map(capture_time.parse, several)), None)
    if when is None:
        return None
    if len(when) == capture_time.MOMENT_LENGTH:  # it has no fraction and no offset of its own
        part = re.match(r"\d{1,6}", _text(tags.get(fraction)) or "", re.ASCII)
        when += f".{part[0]}" if part else ""
        when += capture_time.zone_of(_text(tags.get(offset)) or "")
    return Taken(when, source)


def _iptc(tags: Mapping[str, Any], date: str, time: str) -> Taken | None:
    when = capture_time.of_iptc(_text(tags.get(date)), _text(tags.get(time)))
    return Taken(when, capture_time.IPTC) if when else None


def _png(text: str | None) -> Taken | None:
    when = text and (capture_time.parse(text) or capture_time.parse_mail(text))
    return Taken(when, capture_time.PNG) if when else None


def _satellites(tags: Mapping[str, Any]) -> Taken | None:
    """The time of the position, by UTC."""
    day = capture_time.parse(_text(tags.get("GPS GPSDate")) or "")
    clock = tags.get("GPS GPSTimeStamp")
    parts = [number_of([each]) for each in clock] if isinstance(clock, list) else []
    if day is None or len(parts) != 3:
        return None
    hour, minute, second = (-1 if each is None else int(each) for each in parts)
    when = capture_time.parse(f"{day}T{hour:02}:{minute:02}:{second:02}Z")
    return Taken(when, capture_time.GPS) if when else None


def _camera(maker: str | None, model: str | None) -> str | None:
    """Make and model, the make once: "Apple iPhone 12 Pro", "Canon EOS 6D", "NIKON D90"."""
    if not maker or not model:
        return model or maker
    same = maker.split()[0].lower() == model.split()[0].lower()
    return model if same else f"{maker} {model}"[:MAX_TEXT]


def bias_of(tags: Mapping[str, Any]) -> float | None:
    """The exposure compensation in EV, None if unknown."""
    return _within(number_of(tags.get("EXIF ExposureBiasValue")), MOST_BIAS)


def exposure_of(tags: Mapping[str, Any]) -> float | None:
    """The light let in, log2(seconds * ISO / 100 / aperture^2) in EV.

    None where the time, the aperture or the sensitivity is missing, not positive or not finite.
    Source: APEX, CIPA DC-008 annex C; the aperture value is 2 * log2 of the f-number.
    """
    seconds = _positive(number_of(tags.get("EXIF ExposureTime")))
    aperture = _positive(number_of(tags.get("EXIF FNumber"))) or _opening(tags)
    iso = _sensitivity(tags)
    if seconds is None or aperture is None or iso is None:
        return None
    return _within(
        math.log2(seconds) + math.log2(iso / 100) - 2 * math.log2(aperture), MOST_EXPOSURE
    )


def _opening(tags: Mapping[str, Any]) -> float | None:
    value = _positive(_within(number_of(tags.get("EXIF ApertureValue")), MOST_BIAS))
    return None if value is None else 2 ** (value / 2)


def _sensitivity(tags: Mapping[str, Any]) -> float | None:
    values = (_positive(number_of(tags.get(name))) for name in SENSITIVITIES)
    return next((iso for iso in values if iso is not None and iso != FULL), None)


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _within(value: float | None, most: float) -> float | None:
    return value if value is not None and abs(value) <= most else None


def apple_burst(block: bytes) -> str | None:
    """Apple's BurstUUID in an EXIF block (or in a whole TIFF), None if there is none.

    exifread skips maker notes, the undocumented directories of each maker.
    """
    order = ">" if block[:2] == b"MM" else "<"
    pointer = first_directory(block).get(EXIF_IFD, b"")
    if len(pointer) != 4:
        return None
    (start,) = struct.unpack(order + "I", pointer)
    note = directory(block, order, start, {MAKER_NOTE}).get(MAKER_NOTE, b"")
    text = apple_text(note, BURST_UUID).rstrip(b"\0")
    return text.decode("ascii") if BURST_IDENTITY.fullmatch(text) else None


def apple_text(note: bytes, tag: int) -> bytes:
    """The text of a tag in Apple's maker note; empty if there is none, or the note is another's."""
    head = APPLE.match(note)
    if head is None:
        return b""
    order = ">" if head[1] == b"MM" else "<"
    return directory(note, order, head.end(), {tag}).get(tag, b"")


def number_of(values: Any) -> float | None:
    """The first value of a tag, finite; None for anything else (cameras write "1/0" for unknown).

    exifread gives integers and fractions.
    """
    first = values[0] if isinstance(values, list) and values else None
    top, bottom = getattr(first, "numerator", None), getattr(first, "denominator", None)
    if not isinstance(top, int) or not isinstance(bottom, int) or bottom == 0:
        return None
    return top / bottom


def _integer(values: Any) -> int | None:
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
