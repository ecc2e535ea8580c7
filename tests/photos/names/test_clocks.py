"""Times at which a clock stood still."""

from __future__ import annotations

from pathlib import Path

import pytest

from iqcli.photos.names.evidence import Header, Look
from iqcli.photos.names.shots import group

NOON = "2000-01-01T12:00:17"


class Seen:
    """All photos have one header; those of `alike` names look alike."""

    def __init__(self, *headers: Header, look: Look) -> None:
        self.headers, self.look = headers, look

    def header(self, path: Path) -> Header:
        number = int("".join(each for each in path.stem if each.isdigit()))
        return self.headers[number % len(self.headers)]

    def likeness(self, edit: Path, original: Path) -> Look:
        return self.look


STANDING = [Header(NOON, camera="A")]
RUNNING = [Header(f"2024-05-04T10:11:1{k}", camera="A") for k in range(5)]
FAST = [Header(NOON, str(k), camera="A") for k in range(5)]


@pytest.mark.parametrize("names", [("IMG_{}.JPG", "IMG_{}.CR2"), ("{}-edited.jpg", "{}.jpg")])
@pytest.mark.parametrize(
    ("headers", "look", "joined"),
    [
        (STANDING, Look.UNLIKE, False),
        (STANDING, Look.ALIKE, True),
        (RUNNING, Look.UNLIKE, True),
        (FAST, Look.UNLIKE, True),
    ],
)
def test_a_time_that_several_pictures_have_tells_nothing(
    names: tuple[str, str], headers: list[Header], look: Look, joined: bool
) -> None:
    photos = [name.format(number) for number in range(5) for name in names]
    found = group(photos, (), Path(), Seen(*headers, look=look))
    assert len(found) == (5 if joined else 10)


def test_two_pictures_of_one_second_are_no_clock_that_stands() -> None:
    photos = [f"IMG_{number}.{ext}" for number in range(2) for ext in ("JPG", "CR2")]
    assert len(group(photos, (), Path(), Seen(*STANDING, look=Look.UNLIKE))) == 2


@pytest.mark.parametrize("names", [("IMG_1.JPG", "IMG_1.CR2"), ("1-edited.jpg", "1.jpg")])
@pytest.mark.parametrize(
    ("taken", "fraction", "joined"),
    [("12:00:00", None, False), ("12:00:00", "31", True), ("12:00:17", None, True)],
)
def test_a_minute_is_no_moment(
    names: tuple[str, str], taken: str, fraction: str | None, joined: bool
) -> None:
    header = Header(f"2024-05-04T{taken}", fraction, "A")
    assert len(group(names, (), Path(), Seen(header, look=Look.UNLIKE))) == (1 if joined else 2)
    assert len(group(names, (), Path(), Seen(header, look=Look.ALIKE))) == 1


def test_a_raw_file_that_cannot_be_decoded_goes_by_the_minute() -> None:
    seen = Seen(Header(NOON[:-2] + "00", None, "A"), look=Look.UNREADABLE)
    assert len(group(("IMG_1.JPG", "IMG_1.CR3"), (), Path(), seen)) == 1
