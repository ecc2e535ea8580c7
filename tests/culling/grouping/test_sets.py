"""Sets that are kept whole: exposure brackets and panoramas; and scenes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from support.drawn_scenes import own_view, photo, texture
from support.frames import frame, groups, scenes

from iqcli.culling.grouping.group import group
from iqcli.extractors.schema import layer
from iqcli.extractors.tiles import extract
from iqcli.records import FrameSet, Photo

if TYPE_CHECKING:
    from iqcli.records import Pixels

AEB = (0.0, -2.0, 2.0)


def series(
    values: tuple[float, ...],
    gap: float = 0.5,
    by: str = "bias",
    lighter: float = 1.35,
    first: str = "f",
) -> list[Photo]:
    """Frames of one thing, each let in so much more light than the metered one."""
    return [
        frame(f"{first}{k:02}.jpg", k * gap, brighter=lighter**ev, **{by: ev, **_other(by)})
        for k, ev in enumerate(values)
    ]


def _other(by: str) -> dict[str, float]:
    return {"bias": 0.0} if by == "exposure" else {}


def sets(frames: list[Photo]) -> list[tuple[FrameSet | None, int]]:
    """The kind and the number of frames of each group, in the order of their numbers."""
    found: dict[str, list[Photo]] = {}
    for each in group(frames):
        if each.group:
            found.setdefault(each.group, []).append(each)
    return [(members[0].frame_set, len(members)) for _, members in sorted(found.items())]


# --- brackets ---


@pytest.mark.parametrize("by", ["bias", "exposure"])
@pytest.mark.parametrize(
    "values",
    [
        *(AEB, (-2.0, 0.0, 2.0), (0.0, -0.33, 0.33), (0.0, -1.0, 1.0, -2.0, 2.0)),
        *((0.0, 0.7, -0.7), tuple(float(ev) for ev in range(-3, 4))),
    ],
)
def test_evenly_spaced_exposures_are_a_bracket(values: tuple[float, ...], by: str) -> None:
    assert sets(series(values, by=by)) == [(FrameSet.BRACKET, len(values))]


def test_repeated_brackets_are_several() -> None:
    assert sets(series(AEB * 3)) == [(FrameSet.BRACKET, 3)] * 3
    assert sets(series((0.0, *AEB, *AEB, 0.0))) == [(FrameSet.BRACKET, 3)] * 2


def test_a_bracket_by_hand_takes_longer_and_has_more_frames() -> None:
    dialled = (1.0, 0.1, -0.9, -2.0, -2.93)  # shutter speeds as they are rounded
    assert sets(series(dialled, 12, by="exposure")) == [(FrameSet.BRACKET, 5)]
    assert sets(series((*dialled, -3.25), 12, by="exposure")) == [(FrameSet.BRACKET, 6)]
    assert sets(series(dialled[:3], 12, by="exposure")) == []
    assert sets(series(dialled, 40, by="exposure")) == []


@pytest.mark.parametrize(
    "values", [(0.0, -2.0, 1.0), (0.0, -2.0), (0.0, 0.1, 0.2), (0.0, 0.0, 0.0)]
)
def test_other_exposures_are_no_bracket(values: tuple[float, ...]) -> None:
    assert all(kind is None for kind, _ in sets(series(values)))


def test_an_exposure_that_follows_the_scene_is_no_bracket() -> None:
    """An automatic lets in more light where there is less: the pictures stay as light."""
    drifting = series((1.0, 1.33, 1.66, 2.0), by="exposure", lighter=1.0)
    assert sets(drifting) == [(None, 4)]


def test_frames_of_several_things_are_no_bracket() -> None:
    several = [
        frame(f"{k}.jpg", k / 2, thing=k, bias=ev, brighter=1.35**ev) for k, ev in enumerate(AEB)
    ]
    assert sets(several) == []


def test_frames_that_are_black_or_white_are_of_the_bracket_still() -> None:
    values = (-4.0, 0.0, 4.0)
    assert sets(series(values, lighter=2.5)) == [(FrameSet.BRACKET, 3)]


def test_frames_that_cannot_be_read_are_of_the_bracket_by_what_they_say() -> None:
    three = series(AEB)
    three[1] = replace(three[1], descriptor=None, rating=None, error="damaged")
    assert sets(three) == [(FrameSet.BRACKET, 3)]


def test_a_bracket_in_a_burst_is_taken_out_of_it() -> None:
    marked = [
        frame(f"{k}.jpg", 0.2 * k, bias=bias, brighter=1.35**bias, burst="apple:A")
        for k, bias in enumerate((*AEB, 0.0, 0.0))
    ]
    assert sets(marked) == [(FrameSet.BRACKET, 3), (None, 2)]


def test_times_without_seconds_make_no_bracket() -> None:
    typed = [
        frame(f"{k}.jpg", taken="2024-05-01T12:00:00", bias=ev, brighter=1.35**ev)
        for k, ev in enumerate(AEB)
    ]
    assert sets(typed) == []


# --- panoramas ---


def wide(seed: int) -> Pixels:
    """A wide picture with things all over it."""
    return texture(seed, 600, 2400)


def turned(
    picture: Pixels, steps: tuple[float, ...], gap: float = 2.0, down: bool = False, **facts: float
) -> list[Photo]:
    """Windows of a third of the picture, each further by so many of their widths."""
    if down:
        picture = np.rot90(picture)
    side = picture.shape[0 if down else 1] // 3
    found, start = [], 0.0
    for k, step in enumerate((0.0, *steps)):
        start += step * side
        part = slice(round(start), round(start) + side)
        window = np.ascontiguousarray(picture[part] if down else picture[:, part])
        light = layer(extract(own_view(window))[None], "mean")[0].round().astype(np.uint8)
        # The contents of the frames have nothing to do with each other.
        told = {"exposure": 3.0, "bias": 0.0} | facts
        found.append(frame(f"{k}.jpg", k * gap, 100 + k, light=light, **told))
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("steps", [(0.5, 0.5), (0.45, 0.55, 0.5), (0.7, 0.68), (0.33,) * 4])
def test_frames_side_by_side_are_a_panorama(seed: int, steps: tuple[float, ...]) -> None:
    assert sets(turned(wide(seed), steps)) == [(FrameSet.PANORAMA, len(steps) + 1)]
    assert sets(turned(wide(seed), steps, down=True)) == [(FrameSet.PANORAMA, len(steps) + 1)]


def test_from_right_to_left_as_well() -> None:
    mirrored = np.ascontiguousarray(wide(0)[:, ::-1])
    assert sets(turned(mirrored, (0.5, 0.5))) == [(FrameSet.PANORAMA, 3)]


@pytest.mark.parametrize(
    ("steps", "gap", "facts"),
    [
        ((0.5,), 2, {}),  # two are a pair
        ((0.5, 0.9), 2, {}),  # the third hardly overlaps
        ((0.5, 0.5), 30, {}),
        ((0.5, 0.5), 2, {"exposure": float("nan")}),
    ],
)
def test_other_frames_are_none(
    steps: tuple[float, ...], gap: float, facts: dict[str, float]
) -> None:
    assert sets(turned(wide(1), steps, gap, **facts)) == []


def test_another_exposure_ends_a_panorama() -> None:
    frames = turned(wide(1), (0.4, 0.4, 0.4))
    assert frames[3].facts
    frames[3] = replace(frames[3], facts=replace(frames[3].facts, exposure=3.4))
    assert sets(frames) == [(FrameSet.PANORAMA, 3)]


@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "chelsea.png"])
def test_a_burst_is_no_panorama(name: str) -> None:
    """The hand moves a little, or the thing does."""
    picture, found = cv2.resize(photo(name), (640, 480)), []
    for k in range(6):
        window = np.ascontiguousarray(picture[k : k + 440, 4 * k : 4 * k + 560])
        light = layer(extract(own_view(window))[None], "mean")[0].round().astype(np.uint8)
        found.append(frame(f"{k}.jpg", k / 2, light=light, exposure=3.0, bias=0.0))
    assert sets(found) == [(None, 6)]


def test_a_burst_of_a_fence_is_no_panorama() -> None:
    """What repeats itself is like itself one post further on."""
    fence = np.tile([40, 120, 200], 48).astype(np.uint8)
    roll = [frame(f"{k}.jpg", k / 2, light=fence + k, exposure=3.0, bias=0.0) for k in range(4)]
    assert sets(roll) == [(None, 4)]


# --- scenes ---


@pytest.mark.parametrize(
    ("gap", "things", "cameras", "joined"),
    [
        (4, (0, 1), "AA", True),  # at once, whatever they show
        (4, (0, 1), "AB", False),
        (30, (0, 0), "AB", True),
        (30, (0, 1), "AA", False),
        (500, (0, 0), "AB", True),
        (700, (0, 0), "AA", False),
    ],
)
def test_a_scene_is_near_in_time_or_alike(
    gap: float, things: tuple[int, int], cameras: str, joined: bool
) -> None:
    roll = [
        frame(f"{k}.jpg", 2 + k * gap, thing, camera=camera)
        for k, (thing, camera) in enumerate(zip(things, cameras, strict=True))
    ]
    assert scenes(roll) == ([["0.jpg", "1.jpg"]] if joined else [])


def test_two_scenes_may_lie_in_one_another() -> None:
    roll = [frame(f"{k}.jpg", 20 * k, k % 2, camera="AB"[k % 2]) for k in range(6)]
    assert scenes(roll) == [["0.jpg", "2.jpg", "4.jpg"], ["1.jpg", "3.jpg", "5.jpg"]]


def test_a_chain_is_one_scene_however_long() -> None:
    assert [len(each) for each in scenes([frame(f"{k:04}.jpg", 50 * k) for k in range(900)])] == [
        900
    ]


def test_times_on_the_minute_tell_less_of_a_scene() -> None:
    typed = [frame(f"{k}.jpg", thing=k, taken="2024-05-01T00:00:00") for k in range(9)]
    assert scenes(typed) == []


def test_a_photo_without_a_time_is_of_no_scene_but_that_of_its_burst() -> None:
    names = [f"20231207_101605_00{k}.jpg" for k in (1, 2)]
    assert scenes([frame(name, None) for name in names]) == []
    assert scenes([frame(names[0]), frame(names[1], None)]) == [names]
    assert scenes([frame("a.jpg"), frame("b.jpg", None)]) == []


def test_a_bracket_lies_in_one_scene() -> None:
    three = series((1.0, 0.0, -1.0, -2.0, -3.0), 25, by="exposure", lighter=1.6)
    assert [len(each) for each in scenes(three)] == [5]
    assert groups(three) == scenes(three)
