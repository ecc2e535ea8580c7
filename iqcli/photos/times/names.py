"""The time in the name of a file, as phones, messengers, programs and people write it.

By form, not by program: a date, compact or with one separator, and a time behind it. The table of
who writes what is in the test of this module.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from iqcli.photos.times.capture_time import NAME, Taken, hour_of, of_seconds

# A date, compact or with one separator. Digits are those of ASCII, blanks any.
_2 = "[0-9][0-9]"
_YEAR = r"(?P<year>199[0-9]|20[0-9][0-9])"
_DATE = rf"(?<![0-9]){_YEAR}(?P<s>[-_. ]?)(?P<month>{_2})(?P=s)(?P<day>{_2})"
# Telegram's exports, and months and days of one digit, which are no version where a time follows.
_REVERSED = rf"(?<=@)(?P<day>{_2})-(?P<month>{_2})-{_YEAR}"
_SHORT = rf"(?<![0-9]){_YEAR}(?P<s>[-_. ])(?P<month>[0-9]?[0-9])(?P=s)(?P<day>[0-9]?[0-9])"
# The half of the day, behind the time or (in East Asia) before it.
_HALF = r"(?:[\s_.-]?(?P<half>[ap])\.?\s?m\b\.?)?"
# Times of names, each behind a date: compact; and with a separator, after words such as "at".
_COMPACT = (
    rf"[-_ T.]{{0,3}}(?P<h>{_2})(?P<m>{_2})(?P<sec>{_2})"
    r"(?:[.,]?(?P<part>[0-9]{3}|[0-9]{6}))?(?![0-9])"
)
_SEPARATED = (
    rf"(?P<gap>[^0-9]{{0,16}}?)(?P<h>[0-9]?[0-9])(?P<t>[-_.: ])(?P<m>{_2})(?P=t)(?P<sec>{_2})"
    r"(?:(?:(?P=t)|[.,])(?P<part>[0-9]{3}))?(?![0-9])"
)
_LETTERS = rf"[-_ T]{{1,3}}(?P<h>{_2})h(?P<m>{_2})m(?P<sec>{_2})(?:s(?P<part>[0-9]{{3}}))?(?![0-9])"
_FLAGS = re.IGNORECASE
_TIMED = tuple(
    re.compile(date + time + r"(?P<utc>Z\b)?" + _HALF, _FLAGS)
    for date, time in (
        *((_DATE, _COMPACT), (_DATE, _SEPARATED), (_DATE, _LETTERS)),
        *((_REVERSED, _SEPARATED), (_SHORT, _SEPARATED)),
    )
)
_DATED = re.compile(_DATE + r"(?![0-9])")
# Hashes, in hexadecimal digits, hold whatever seems to be a date.
_HASH = re.compile(r"(?<![0-9a-z])(?=[0-9]*[a-f])[0-9a-f]{12,}(?![0-9a-z])", _FLAGS)
# Albums of LINE, whose names may be dates, with the day (200102) on which they were saved.
_ALBUM = re.compile(r"LINE_ALBUM_", _FLAGS)
_AFTERNOON = ("午後", "下午", "오후")
# Milliseconds since 1970: Facebook, WeChat, other apps, and LINE, which gives no other name; or
# seconds, which are less often a number of another sort only in names that cameras give.
_APPS = r"(?:FB_IMG|mmexport|wx_camera|microMsg|IMG|image|photo|beauty|Screenshot|signal|line)"
_EPOCH = re.compile(
    rf"(?:(?:{_APPS}[-_.]?)?(?P<ms>1\d{{12}})|(?:IMG|Screenshot)[-_](?P<seconds>1\d{{9}}))"
    r"(?!\d).*",
    _FLAGS | re.ASCII,
)
# Pixel phones name photos by UTC.
_BY_UTC = "PXL_"


def of_name(name: str, now: datetime | None = None) -> Taken | None:
    """The time, or only the day, in the name of a file; `now` is the local time.

    Only days from 1990 until tomorrow are believed, for names are full of other numbers. A day
    alone is that on which a messenger sent the photo, or what a person wrote.
    """
    stem = _HASH.sub(" ", name.rpartition(".")[0] or name)
    latest = (now or datetime.now()) + timedelta(days=1)
    for pattern in () if _ALBUM.match(stem) else _TIMED:
        for match in pattern.finditer(stem):
            if when := _moment(match, latest):
                utc = match["utc"] or stem[: match.start()].upper().endswith(_BY_UTC)
                return Taken(when + ("Z" if utc else ""), NAME)
    for match in _DATED.finditer(stem):
        if day := _day(match, latest):
            return Taken(day.date().isoformat(), NAME)
    if stamp := _EPOCH.fullmatch(stem):
        return of_seconds(int(stamp["seconds"] or 0) or int(stamp["ms"]) / 1000, NAME)
    return None


def _day(match: re.Match[str], latest: datetime) -> datetime | None:
    try:
        day = datetime(int(match["year"]), int(match["month"]), int(match["day"]))
    except ValueError:
        return None
    return day if day <= latest else None


def _moment(match: re.Match[str], latest: datetime) -> str | None:
    day = _day(match, latest)
    hour, minute, second = (int(match[each]) for each in ("h", "m", "sec"))
    gap = match["gap"] if "gap" in match.re.groupindex else ""
    half = match["half"] or ("p" if any(w in gap for w in _AFTERNOON) else "")
    hour = hour_of(hour, half)
    if day is None or hour > 23 or minute > 59 or second > 59:
        return None
    when = day.replace(hour=hour, minute=minute, second=second).isoformat()
    return when + (f".{match['part']}" if match["part"] else "")
