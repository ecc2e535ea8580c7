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
# What is believed before what. GPS comes last: its time may be that of an older position.
SOURCES = (EXIF, XMP, IPTC, PNG, QUICKTIME, TAKEOUT, NAME, GPS)

DAY_LENGTH = len("2020-01-02")
ZONE_HOURS = 14
# The first photos that still exist are older than that, but not those with a time of day.
FIRST_YEAR = 1900
EPOCH, QUICKTIME_EPOCH = datetime(1970, 1, 1), datetime(1904, 1, 1)


class Taken(NamedTuple):
    """A time, and which of `SOURCES` says so."""

    when: str
    source: str


def is_moment(taken: str | None) -> bool:
    """Whether a time is more than a day."""
    return taken is not None and len(taken) > DAY_LENGTH


def best(found: Iterable[Taken | None]) -> Taken | None:
    """The time to believe, by its source; the first of equal ones. See `first`."""
    known: list[Taken] = [each for each in found if each]
    known.sort(key=lambda each: SOURCES.index(each.source))
    return first(known)


def first(found: Iterable[Taken | None]) -> Taken | None:
    """The first time. Where that is a day alone, the first moment of that day says more."""
    known = [each for each in found if each]
    if not known or is_moment(known[0].when):
        return known[0] if known else None
    same = (each for each in known if each.when.startswith(known[0].when) and is_moment(each.when))
    return next(same, known[0])


_WRITTEN = re.compile(
    r"(\d{4})([-:/.]?)(\d\d)\2(\d\d)"
    r"(?:[ T]+(\d\d):?(\d\d)(?::?(\d\d))?(?:[.,](\d{1,6})\d*)?\s*(Z|[+-]\d\d:?\d\d)?)?\s*",
    re.ASCII,
)


def parse(text: str) -> str | None:
    """A time as metadata write it: "2020:01:02 03:04:05", "2020-01-02T03:04Z", "20200102", …

    None for what is no day of the calendar.
    """
    found = _WRITTEN.fullmatch(text.strip("\0 "))
    if found is None:
        return None
    year, _, month, day, hour, minute, second, fraction, zone = found.groups()
    try:
        when = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0)
        )
    except ValueError:
        return None
    if hour is None:
        return when.date().isoformat()
    # ".000" stands where a program had no fraction.
    part = f".{fraction}" if (fraction or "").strip("0") else ""
    return when.isoformat() + part + _zone(zone or "")


def _zone(text: str) -> str:
    """An offset as `+01:00`; nothing where it is none that exists."""
    if text in ("", "Z"):
        return text
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
    return when.isoformat().replace("+00:00", "Z")


def of_iptc(date: Any, time: Any) -> str | None:
    """Date and time of IPTC-IIM: "20200102" and "030405+0100"."""
    day = parse(str(date or ""))
    clock = re.fullmatch(r"(\d{6})([+-]\d{4})?", str(time or ""), re.ASCII)
    if day is None or clock is None:
        return day
    return parse(f"{day}T{clock[1]}{clock[2] or ''}") or day


def of_xmp(properties: Mapping[str, Sequence[str]], names: Iterable[str]) -> Taken | None:
    """The time in the first of these properties that has one."""
    texts = (text for name in names for text in properties.get(name, ()))
    when = next((each for text in texts if (each := parse(text))), None)
    return Taken(when, XMP) if when else None


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
    zoned = sorted(
        (local, ahead)
        for local, ahead, is_local in filter(None, parsed)
        if is_local and ahead is not None
    )
    moments = [local for local, _ in zoned]
    found: list[float | None] = []
    for each in parsed:
        if each is None:
            found.append(None)
            continue
        local, ahead, _ = each
        if ahead is None:
            ahead = zoned[_nearest(moments, local)][1] if zoned else 0.0
        found.append(local - ahead)
    return found


def _nearest(moments: Sequence[float], moment: float) -> int:
    at = bisect_left(moments, moment)
    near = [each for each in (at - 1, at) if 0 <= each < len(moments)]
    return min(near, key=lambda each: abs(moments[each] - moment))


def _parsed(taken: str | None) -> tuple[float, float | None, bool] | None:
    """Seconds as written, how far they are ahead of UTC, and whether they are local time."""
    if not is_moment(taken):
        return None
    try:
        when = datetime.fromisoformat(taken or "")
    except ValueError:
        return None
    offset = when.utcoffset()
    local = (when.replace(tzinfo=None) - EPOCH).total_seconds()
    ahead = None if offset is None else offset.total_seconds()
    return local, ahead, not (taken or "").endswith("Z")
