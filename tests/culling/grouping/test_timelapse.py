"""Time-lapses, clocks that stand still, and times that are no time of the picture."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from support.frames import frame, groups, scenes

from iqcli.culling.grouping.frames import frames_of
from iqcli.culling.grouping.group import group
from iqcli.records import FrameSet, Photo


def series(pauses: list[float], *, exact: bool = False, **facts: object) -> list[Photo]:
    """Frames of one thing with these pauses between them."""
    times = np.concatenate([[0.0], np.cumsum(pauses)])
    return [frame(f"G{k:04}.jpg", float(at), exact=exact, **facts) for k, at in enumerate(times)]  # type: ignore[arg-type]


def kinds(photos: list[Photo]) -> list[tuple[FrameSet | None, int]]:
    found: dict[str, list[Photo]] = {}
    for each in group(photos):
        if each.group:
            found.setdefault(each.group, []).append(each)
    return [(members[0].frame_set, len(members)) for _, members in sorted(found.items())]


@pytest.mark.parametrize(
    ("pace", "count"), [(1, 12), (1, 10), (2, 8), (5, 30), (10, 8), (60, 20), (900, 8)]
)
@pytest.mark.parametrize("exact", [False, True])
def test_many_frames_at_an_even_pace_are_a_set(pace: float, count: int, exact: bool) -> None:
    found = kinds(series([pace] * (count - 1), exact=exact))
    assert found == [(FrameSet.TIMELAPSE, count)]


@pytest.mark.parametrize("pace", [1.5, 2.5, 7.3])
def test_a_clock_without_fractions_shows_two_sorts_of_pauses(pace: float) -> None:
    times = np.floor(np.arange(40) * pace)
    assert kinds(series(np.diff(times).tolist())) == [(FrameSet.TIMELAPSE, 40)]


def test_two_frames_a_second_for_half_a_minute_are_no_burst() -> None:
    assert kinds(series([0.5] * 79, exact=True)) == [(FrameSet.TIMELAPSE, 80)]
    assert kinds(series([0, 1] * 40)) == [(FrameSet.TIMELAPSE, 81)]
    assert kinds(series([0.5] * 39, exact=True)) == [(None, 40)]


def test_an_intervalometer_is_not_exact() -> None:
    pauses = 3 + np.random.default_rng(0).uniform(-0.1, 0.1, 99)
    assert kinds(series(pauses.tolist(), exact=True)) == [(FrameSet.TIMELAPSE, 100)]


@pytest.mark.parametrize(
    "pauses",
    [
        # By clocks without fractions, the slower the fewer are enough.
        [1, 2, 1, 1, 1, 0, 1, 1] * 4,
        [2, 2, 3, 2, 1, 2, 2, 2] * 5,
        [5, 5, 4, 6, 5, 5, 5, 5, 6, 4],
        [10, 9, 11, 10, 10, 11, 9, 10],
        [60, 59, 60, 62, 60, 59, 60, 61],
        # A frame is missing.
        [1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1],
        [5, 5, 4, 6, 5, 10, 5, 5, 6],
        # A long series goes on after a pause that is none of its pace, and is cut by none.
        [2] * 40 + [3, 2, 2, 3, 3],
    ],
)
def test_a_pace_that_is_not_quite_even(pauses: list[float]) -> None:
    assert kinds(series(pauses)) == [(FrameSet.TIMELAPSE, len(pauses) + 1)]


def test_a_pace_of_minutes_that_begins_on_the_minute() -> None:
    times = [f"2024-05-01T{12 + k // 60}:{k % 60:02}:00" for k in range(0, 120, 10)]
    film = [frame(f"{k:02}.jpg", taken=each) for k, each in enumerate(times)]
    assert kinds(film) == [(FrameSet.TIMELAPSE, 12)]


def test_names_that_count_as_those_of_a_burst_do_and_share_no_time() -> None:
    film = [
        frame(f"20240501_1200{k:02}_001.jpg", k, exact=False, camera=None) for k in range(7, 27)
    ]
    assert kinds(film) == [(FrameSet.TIMELAPSE, 20)]


@pytest.mark.parametrize("rate", [3, 10, 20])
def test_a_burst_is_no_time_lapse_however_even_it_is(rate: int) -> None:
    assert kinds(series([1 / rate] * 39, exact=True)) == [(None, 40)]
    # Cut to whole seconds it is as fast.
    assert kinds(series(np.diff(np.arange(40) // rate).tolist())) == [(None, 40)]
    assert kinds(series([1.0] * 11, exact=True, burst="apple:A")) == [(None, 12)]


def test_few_frames_or_an_uneven_pace_are_no_time_lapse() -> None:
    assert kinds(series([1] * 8)) == [(None, 9)]
    assert kinds(series([2] * 6)) == [(None, 7)]
    numbers = np.random.default_rng(1)
    pressed = [series(numbers.uniform(0.8, 1.9, 30).tolist()) for _ in range(20)]
    pressed += [series(numbers.choice([1, 2, 2, 3], 12).tolist()) for _ in range(20)]
    assert {kind for each in pressed for kind, _ in kinds(each)} == {None}


def test_things_that_have_nothing_to_do_with_each_other_are_no_time_lapse() -> None:
    assert kinds([frame(f"{k}.jpg", 5 * k, k, exact=False) for k in range(30)]) == []


def test_someone_walks_through_a_time_lapse() -> None:
    film = series([5.0] * 29)
    film[11] = frame("G0011.jpg", 55.0, 7, exact=False)
    assert kinds(film) == [(FrameSet.TIMELAPSE, 30)]


def test_a_frame_of_a_time_lapse_is_missing() -> None:
    film = series([2.0] * 11)
    assert kinds([*film[:6], *film[7:]]) == [(FrameSet.TIMELAPSE, 11)]
    # One that cannot be read tells no time.
    film[4] = frame("G0004.jpg", None, None, score=None)
    assert kinds(film) == [(FrameSet.TIMELAPSE, 11)]
    assert kinds(series([2, 2, 2, 4, 2, 4, 2, 4, 2])) == [
        (None, 4),
        (None, 2),
        (None, 2),
        (None, 2),
    ]


def test_two_cameras_and_two_folders_have_a_pace_of_their_own() -> None:
    both = [
        frame(f"{folder}/{k:02}.jpg", 4 * k + offset, camera=camera, exact=False)
        for folder, camera, offset in (("a", "A", 0), ("b", "A", 1), ("a2", "B", 2))
        for k in range(9)
    ]
    assert kinds(both) == [(FrameSet.TIMELAPSE, 9)] * 3


# --- clocks ---


def test_a_clock_that_stands_still_joins_nothing() -> None:
    stopped = "2000-01-01T00:00:17"
    unlike = [frame(f"{k}.jpg", thing=k, taken=stopped) for k in range(6)]
    assert groups(unlike) == scenes(unlike) == []
    # Though two of them look alike by chance.
    unlike[3] = frame("3.jpg", thing=2, taken=stopped)
    assert groups(unlike) == scenes(unlike) == []
    assert groups(unlike[:2]) == scenes(unlike[:2]) == []
    elsewhere = [frame(f"{k}/1.jpg", thing=k, taken=stopped) for k in range(6)]
    assert scenes(elsewhere) == []


def test_a_burst_within_one_second_is_one() -> None:
    names = [f"{k}.jpg" for k in range(8)]
    fast = [frame(name, taken="2024-05-01T12:00:07") for name in names]
    assert groups(fast) == scenes(fast) == [names]
    # One frame of it shows something else.
    fast[5] = frame("5.jpg", thing=4, taken="2024-05-01T12:00:07")
    assert groups(fast) == [names[:5], names[6:]]


def test_a_time_on_the_minute_has_seconds_if_its_neighbours_have() -> None:
    names = [f"{k}.jpg" for k in range(4)]
    clock = [frame(name, taken=f"2024-05-01T10:00:0{k}") for k, name in enumerate(names)]
    assert groups(clock) == [names]
    midnight = ["2024-04-30T23:59:58", "2024-04-30T23:59:59", "2024-05-01T00:00:00"]
    assert groups([frame(f"{k}.jpg", taken=each) for k, each in enumerate(midnight)]) == [names[:3]]
    # A time of another source says nothing of this clock.
    typed = [frame(name, taken="2024-05-01T12:00:00", taken_from="xmp") for name in names]
    other = frame("z.jpg", taken="2024-05-01T12:30:17", taken_from="exif")
    assert groups([*typed, other]) == []


def test_a_day_alone_is_no_time() -> None:
    sent = [
        frame(f"IMG-20240501-WA000{k}.jpg", taken="2024-05-01", camera=None, taken_from="name")
        for k in range(4)
    ]
    assert groups(sent) == scenes(sent) == []
    assert groups([replace(each, facts=replace(each.facts, camera="A")) for each in sent]) == []  # type: ignore[type-var]


def test_photos_that_were_sent_together_must_look_more_alike() -> None:
    base = frame("a.jpg", 0)
    assert base.descriptor
    light = base.descriptor.light.astype(float)
    other = np.random.default_rng(5).uniform(30, 220, 144)
    mixed = np.clip(0.55 * light + 0.45 * other, 0, 255).astype(np.uint8)
    content = np.zeros(96, np.float16)
    content[0] = 1

    def pair(taken_from: str, camera: str | None) -> list[Photo]:
        found = [
            frame(f"{k}.jpg", k, exact=False, camera=camera, taken_from=taken_from)
            for k in range(2)
        ]
        assert found[1].descriptor
        seen = replace(found[1].descriptor, light=mixed, embedding=content)
        return [found[0], replace(found[1], descriptor=seen)]

    joined = [["0.jpg", "1.jpg"]]
    for known in (pair("exif", None), pair("name", "A")):
        assert groups(known) == scenes(known) == joined
    for sent in (pair("name", None), pair("takeout", None)):
        assert groups(sent) == scenes(sent) == []


def test_zeros_for_want_of_a_fraction_are_none() -> None:
    def split(*fractions: str) -> list[bool]:
        taken = [f"2024-05-01T12:00:07{each}" for each in fractions]
        found = frames_of([frame(f"{k}.jpg", taken=each) for k, each in enumerate(taken)])
        return [bool(each) for each in found.split]

    assert split(".00", ".00+02:00", "") == [False, False, False]
    assert split(".00", ".10", "") == [True, True, False]


def test_messages_with_one_horizon_are_no_burst_and_no_scene() -> None:
    """Bright sky above dark ground, and something else on each."""

    def sent(name: str, seed: int, sky: int) -> Photo:
        chance = np.random.default_rng(seed)
        light = np.full((12, 12), 40.0)
        light[:5] = sky
        light += cv2.resize(chance.normal(0, 25, (4, 4)), (12, 12))
        ground = np.clip(light, 0, 255).astype(np.uint8).reshape(-1)
        facts = {"camera": None, "taken_from": "name", "light": ground}
        return frame(name, 0.0, seed, exact=False, taken="2024-05-04T10:11:17", **facts)  # type: ignore[arg-type]

    photos = [sent("0.jpg", 0, 200), sent("1.jpg", 1, 200)]
    seen = frames_of(photos).descriptors
    one, other = np.array([0]), np.array([1])
    assert seen.light_similarity(one, other) > 0.9
    assert groups(photos) == scenes(photos) == []
    again = [sent("0.jpg", 0, 200), sent("1.jpg", 0, 190)]
    assert groups(again) == scenes(again) == [["0.jpg", "1.jpg"]]


# --- names ---


@pytest.mark.parametrize("head", ["", "IMG_", "IMAG0001_", "DSC_0052_"])
def test_a_burst_without_a_stamp_of_its_own_must_look_alike(head: str) -> None:
    named = [frame(f"{head}BURST0000{k}.jpg", None, k // 3, camera=None) for k in range(6)]
    found = groups(named)
    assert found == [[f"{head}BURST0000{k}.jpg" for k in part] for part in ((0, 1, 2), (3, 4, 5))]


@pytest.mark.parametrize(
    "names",
    [
        ["IMG_20161225_142433541_BURST000_COVER_TOP.jpg", "IMG_20161225_142433541_BURST001.jpg"],
        [
            "00001PORTRAIT_00001_BURST20190512105520444.jpg",
            "00100lP_BURST20190512105520444_COV.jpg",
        ],
    ],
)
def test_stamped_names_of_a_burst_join_whatever_they_show(names: list[str]) -> None:
    assert groups([frame(name, None, k) for k, name in enumerate(names)]) == [sorted(names)]
    apart = [frame(f"{k}/{name}", None, k) for k, name in enumerate(names)]
    assert groups(apart) == []
    later = [frame(name, 3600 * k) for k, name in enumerate(names)]
    assert groups(later) == []


def test_scans_that_are_numbered_behind_a_time_are_no_burst() -> None:
    scans = [frame(f"20231207_101605_00{k}.jpg", None, k, camera=None) for k in range(3)]
    assert groups(scans) == []
