"""When a photo was taken, by all that can say so: its own tags, files beside it, its name.

A time is ISO 8601 text: local, with the fraction of a second and the offset where they are known.
It ends in Z where only the moment is known and not the place (RFC 9557, 2), and is a date alone
where nothing says the time of day: that is a day and no moment. Times are untrusted text.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

EXIF, XMP, IPTC, PNG = "exif", "xmp", "iptc", "png"
QUICKTIME, TAKEOUT, NAME, GPS = "quicktime", "takeout", "name", "gps"
# When the file was last changed, by EXIF: all that some cameras write, and of an edit its own time.
CHANGED = "changed"
# What is believed before what. GPS comes last: its time may be that of an older position.
SOURCES = (EXIF, XMP, IPTC, PNG, QUICKTIME, TAKEOUT, NAME, CHANGED, GPS)

DAY_LENGTH, MOMENT_LENGTH = len("2020-01-02"), len("2020-01-02T03:04:05")
ZONE_HOURS = 14
# The first photo that still exists is of that year or the next.
FIRST_YEAR = 1826
# Days on which the clocks of films, of Unix (in any zone) and of FAT begin: clocks never set.
CLOCKS_BEGIN = ("1904-01-01", "1969-12-31", "1970-01-01", "1980-01-01")
EPOCH, QUICKTIME_EPOCH = datetime(1970, 1, 1), datetime(1904, 1, 1)


class Taken(NamedTuple):
    """A time, and which of `SOURCES` says so."""

    when: str
    source: str


def is_moment(taken: str | None) -> bool:
    """Whether a time is more than a day."""
    return taken is not None and len(taken) > DAY_LENGTH


def is_doubtful(taken: str) -> bool:
    """Whether a clock was never set that shows such a time, or is ahead of this one."""
    return taken[:DAY_LENGTH] in CLOCKS_BEGIN or is_ahead(taken)


def is_ahead(taken: str) -> bool:
    """Whether a clock shows a time that has not come yet in any zone."""
    latest = datetime.now() + timedelta(days=1)
    return taken[:DAY_LENGTH] > latest.date().isoformat()


def best(found: Iterable[Taken | None]) -> Taken | None:
    """The time to believe, by its source; the first of equal ones. See `first`."""
    known: list[Taken] = [each for each in found if each]
    known.sort(key=lambda each: SOURCES.index(each.source))
    return first(known)


def first(found: Iterable[Taken | None]) -> Taken | None:
    """The first time, if there is any that is not doubtful.

    Where that is a day alone, the first moment of that day says more.
    """
    known = sorted((each for each in found if each), key=lambda each: is_doubtful(each.when))
    if not known or is_moment(known[0].when):
        return known[0] if known else None
    same = (each for each in known if each.when.startswith(known[0].when) and is_moment(each.when))
    return next(same, known[0])


_WRITTEN = re.compile(
    r"(\d{4})([-:/.]?)(\d\d)\2(\d\d)"
    r"(?:[ T]++(\d\d):?(\d\d)(?::?(\d\d))?(?:[.,](\d{1,6})\d*+)?\s*+(?:([AaPp])\.?[Mm]\.?)?"
    r"\s*+(Z|[+-]\d\d:?\d\d)?)?\s*+",
    re.ASCII,
)
# Numbers of one digit, with a blank or nothing before them.
_ONE_DIGIT = re.compile(r"(?<=[-:/ T]) ?(\d)(?!\d)", re.ASCII)
_HALF = re.compile(r"\d\s*([ap])\.?m\b", re.ASCII | re.IGNORECASE)


def parse(text: str) -> str | None:
    """A time as metadata write it: "2020:01:02 03:04:05", "2020-01-02T03:04Z", "20200102", …

    None for what is no day of the calendar.
    """
    found = _WRITTEN.fullmatch(_ONE_DIGIT.sub(r"0\1", text.strip("\0 ")))
    if found is None:
        return None
    year, _, month, day, hour, minute, second, fraction, half, zone = found.groups()
    hours = hour_of(int(hour or 0), half)
    try:
        when = datetime(int(year), int(month), int(day), hours, int(minute or 0), int(second or 0))
    except ValueError:
        return None
    if when.year < FIRST_YEAR:
        return None
    if hour is None:
        return when.date().isoformat()
    # ".000" stands where a program had no fraction.
    part = f".{fraction}" if (fraction or "").strip("0") else ""
    return when.isoformat() + part + zone_of(zone or "")


def hour_of(hour: int, half: str | None) -> int:
    """An hour of 24 by one of the clock and its half, "a" or "p"; of 24 already where it is."""
    if not half or not 1 <= hour <= 12:
        return hour
    return hour % 12 + (12 if half.lower() == "p" else 0)


def zone_of(text: str) -> str:
    """An offset as `+01:00`, or Z; nothing where it is none that exists."""
    if text == "Z" or not re.fullmatch(r"[+-]\d\d:?\d\d", text, re.ASCII):
        return text if text == "Z" else ""
    hours, minutes = int(text[1:3]), int(text[-2:])
    known = minutes < 60 and hours * 60 + minutes <= ZONE_HOURS * 60
    return f"{text[0]}{hours:02}:{minutes:02}" if known else ""


def parse_mail(text: str) -> str | None:
    """A time as mails have it, which the PNG specification asks for: "2 Jan 2020 03:04:05 GMT"."""
    from email.utils import parsedate_to_datetime  # deferred: hardly a photo needs it

    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    half = _HALF.search(text)  # which no mail has, but the screenshots of a desktop
    when = when.replace(hour=hour_of(when.hour, half and half[1]))
    return when.isoformat().replace("+00:00", "Z") if when.year >= FIRST_YEAR else None


def of_iptc(date: Any, time: Any) -> str | None:
    """Date and time of IPTC-IIM: "20200102" and "030405+0100"."""
    day = parse(str(date or ""))
    clock = re.fullmatch(r"(\d{6})([+-]\d{4})?", str(time or ""), re.ASCII)
    if day is None or clock is None:
        return day
    return parse(f"{day}T{clock[1]}{clock[2] or ''}") or day


def of_xmp(properties: Mapping[str, Sequence[str]], names: Iterable[str]) -> Taken | None:
    """The time in these properties, the `first` of those that have one."""
    texts = (text for name in names for text in properties.get(name, ()))
    return first(Taken(when, XMP) for when in map(parse, texts) if when)


def of_seconds(seconds: float, source: str, epoch: datetime = EPOCH) -> Taken | None:
    """Seconds since an epoch, by UTC; None for 0, which says "unknown", and for no photo's time."""
    try:
        when = epoch + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return None
    if not seconds or when.year < FIRST_YEAR or when > datetime.now() + timedelta(days=1):
        return None
    part = "milliseconds" if when.microsecond else "seconds"
    return Taken(when.isoformat(timespec=part) + "Z", source)


def of_takeout(content: Any) -> Taken | None:
    """`photoTakenTime` in the parsed JSON that Google Takeout puts beside a photo."""
    entry = content.get("photoTakenTime") if isinstance(content, dict) else None
    stamp = str(entry.get("timestamp", "")) if isinstance(entry, dict) else ""
    return of_seconds(int(stamp), TAKEOUT) if re.fullmatch(r"-?[0-9]{1,11}", stamp) else None


def timeline(times: Iterable[str | None]) -> list[float | None]:
    """Seconds since 1970 of each time, by which they can be put in order; None for no moment.

    By the instant where the zone is known. A local time has the zone of the time nearest to it that
    has one; where none has, all are as they are written.
    """
    parsed = [_parsed(each) for each in times]
    zones = _Zones.of(parsed)
    found: list[float | None] = []
    for each in parsed:
        if each is None:
            found.append(None)
            continue
        local, ahead, _ = each
        found.append(local - (zones.ahead(local) if ahead is None else ahead))
    return found


def local_days(times: Iterable[str | None]) -> list[str | None]:
    """The day of each time where it was taken.

    Where only the moment is known, not the place (Z), by the zone of the local time nearest to it
    that has one; where none has, by UTC.
    """
    texts = list(times)
    parsed = [_parsed(each) for each in texts]
    zones = _Zones.of(parsed)
    found: list[str | None] = []
    for text, each in zip(texts, parsed, strict=True):
        day = text[:DAY_LENGTH] if text else None
        if each and not each[2]:
            moment = EPOCH + timedelta(seconds=each[0] + zones.ahead(each[0]))
            day = moment.date().isoformat()
        found.append(day)
    return found


class _Zones(NamedTuple):
    """The local times that have a zone, in their order, and how far each is ahead of UTC."""

    moments: list[float]
    seconds: list[float]

    @classmethod
    def of(cls, parsed: Iterable[tuple[float, float | None, bool] | None]) -> _Zones:
        zoned = sorted(
            (local, ahead)
            for local, ahead, is_local in filter(None, parsed)
            if is_local and ahead is not None
        )
        return cls([local for local, _ in zoned], [ahead for _, ahead in zoned])

    def ahead(self, moment: float) -> float:
        """How far the nearest of them is ahead, in seconds; 0 where there is none."""
        if not self.moments:
            return 0.0
        at = bisect_left(self.moments, moment)
        near = [each for each in (at - 1, at) if 0 <= each < len(self.moments)]
        return self.seconds[min(near, key=lambda each: abs(self.moments[each] - moment))]


def _parsed(taken: str | None) -> tuple[float, float | None, bool] | None:
    """Seconds as written, how far they are ahead of UTC, and whether they are local time."""
    if not is_moment(taken):
        return None
    try:
        when = datetime.fromisoformat(taken or "")
    except ValueError:
        return None
    if when.tzinfo is None:
        return (when - EPOCH).total_seconds(), None, True
    offset = when.utcoffset()
    local = (when.replace(tzinfo=None) - EPOCH).total_seconds()
    ahead = None if offset is None else offset.total_seconds()
    return local, ahead, not (taken or "").endswith("Z")
