"""When a photo was taken: what metadata and files beside it tell, and the order of times."""

from __future__ import annotations

from datetime import datetime

import pytest

from iqcli.photos.times.capture_time import (
    CHANGED,
    EXIF,
    GPS,
    IPTC,
    NAME,
    TAKEOUT,
    Taken,
    best,
    is_moment,
    local_days,
    of_iptc,
    of_seconds,
    of_takeout,
    parse,
    parse_mail,
    timeline,
)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2020:01:02 03:04:05", "2020-01-02T03:04:05"),
        ("2020-01-02T03:04:05", "2020-01-02T03:04:05"),
        ("2020-01-02T03:04:05.6789012Z", "2020-01-02T03:04:05.678901Z"),
        ("2020-01-02T03:04-0730", "2020-01-02T03:04:00-07:30"),
        ("2020-01-02T03:04:05+99:00", "2020-01-02T03:04:05"),
        ("2020:01:02 03:04:05 PM", "2020-01-02T15:04:05"),
        ("2020: 1: 2  3: 4: 5", "2020-01-02T03:04:05"),
        ("2020-1-2 3:04:05.6", "2020-01-02T03:04:05.6"),
        ("20200102", "2020-01-02"),
        ("2020-01-02", "2020-01-02"),
        *((text, None) for text in ("0001-01-01T00:00:00Z", "1601-01-01")),
        *((text, None) for text in ("2020", "2020-01", "", "yesterday", "0000:00:00 00:00:00")),
        *((text, None) for text in ("2020-02-30", "2020-01-02T25:00:00", "٢٠٢٠-٠١-٠٢")),
    ],
)
def test_times_as_metadata_write_them(text: str, when: str | None) -> None:
    assert parse(text) == when
    if when:
        assert datetime.fromisoformat(when)


def test_times_of_mails() -> None:
    assert parse_mail("Thu, 02 Jan 2020 03:04:05 GMT") == "2020-01-02T03:04:05Z"
    assert parse_mail("2 Jan 2020 03:04:05 +0100") == "2020-01-02T03:04:05+01:00"
    assert parse_mail("Thu Jan  2 03:04:05 2020") == "2020-01-02T03:04:05"
    # By a desktop, in words of its language.
    assert parse_mail("Thu 02 Jan 2020 03:04:05 PM CET") == "2020-01-02T15:04:05"
    assert parse_mail("Thu 02 Jan 2020 12:04:05 AM CET") == "2020-01-02T00:04:05"
    assert [parse_mail(text) for text in ("", "yesterday", "2 Foo 2020", "9" * 5000)] == [None] * 4


def test_times_of_iptc() -> None:
    assert of_iptc("20200102", "030405+0100") == "2020-01-02T03:04:05+01:00"
    assert of_iptc("20200102", "030405") == "2020-01-02T03:04:05"
    assert of_iptc("20200102", None) == of_iptc("20200102", "996000") == "2020-01-02"
    assert of_iptc(None, "030405") is of_iptc("20201302", "030405") is None


@pytest.mark.parametrize(
    "content",
    [
        *(None, [], 3, {}, {"photoTakenTime": 3}, {"photoTakenTime": {}}),
        *({"photoTakenTime": {"timestamp": text}} for text in ("", "x", "1" * 12, "1e9", "٣", "0")),
        *({"photoTakenTime": {"timestamp": text}} for text in ("99999999999", "-99999999999")),
    ],
)
def test_what_is_no_time_of_takeout(content: object) -> None:
    assert of_takeout(content) is None


def test_the_time_of_takeout() -> None:
    content = {"photoTakenTime": {"timestamp": "1577880000", "formatted": "x"}}
    assert of_takeout(content) == Taken("2020-01-01T12:00:00Z", TAKEOUT)
    before = {"photoTakenTime": {"timestamp": -86400}}
    assert of_takeout(before) == Taken("1969-12-31T00:00:00Z", TAKEOUT)
    assert of_seconds(float("1e300"), TAKEOUT) is None


def test_a_day_is_no_moment_and_what_tells_more_of_it_is_believed() -> None:
    assert is_moment("2020-01-02T03:04:05")
    assert not is_moment("2020-01-02")
    assert not is_moment(None)
    day, later = Taken("2020-01-02", IPTC), Taken("2020-01-03T01:00:00", NAME)
    exact, fix = Taken("2020-01-02T03:04:05", NAME), Taken("2020-01-02T03:04:00Z", GPS)
    own = Taken("2019-01-01T00:00:00", EXIF)
    assert best([]) is best([None]) is None
    assert best([fix, exact, None]) == exact
    assert best([fix, exact, day]) == exact
    assert best([later, day]) == day
    assert best([day, later, own, exact]) == own


def test_what_no_clock_of_a_camera_shows_comes_last() -> None:
    for unset in ("1970-01-01T01:00:00", "1980-01-01T00:00:07", "2199-01-01T00:00:00"):
        own, named = Taken(unset, EXIF), Taken("2020-01-02", NAME)
        assert best([own, named]) == named
        assert best([own]) == own
    changed, fix = Taken("2021-01-02T03:04:05", CHANGED), Taken("2020-01-02T03:04:00Z", GPS)
    assert best([fix, changed]) == changed
    assert best([changed, Taken("2020-01-02", NAME)]) == Taken("2020-01-02", NAME)


def test_a_day_is_that_of_the_place() -> None:
    evening = "2024-05-04T18:30:00-07:00"  # the next day by UTC
    times = [evening, "2024-05-05T02:10:00Z", "2024-05-05T08:00:00Z", "2024-05-04", None]
    there = ["2024-05-04", "2024-05-04", "2024-05-05", "2024-05-04", None]
    assert local_days(times) == there
    assert local_days(times[1:2]) == ["2024-05-05"]


def test_times_are_ordered_by_the_instant_where_zones_are_known() -> None:
    one, two, three = timeline(
        ["2024-05-01T12:00:00+02:00", "2024-05-01T11:30:00+01:00", "2024-05-01T10:15:00Z"]
    )
    assert one is not None
    assert (two, three) == (one + 1800, one + 900)
    # A camera without a zone has that of the time nearest to its own.
    flight = timeline(
        [
            *("2024-05-01T12:00:00+02:00", "2024-05-01T12:00:01"),
            *("2024-05-03T12:00:00-04:00", "2024-05-03T13:00:00"),
        ]
    )
    assert [None if each is None else each - (flight[0] or 0) for each in flight] == [
        *(0, 1, 2 * 86400 + 6 * 3600, 2 * 86400 + 7 * 3600)
    ]
    assert timeline(["1970-01-01T00:00:07", "1970-01-02", None, "", "nonsense of text"]) == [
        *(7, None, None, None, None)
    ]
