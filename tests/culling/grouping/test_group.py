"""Bursts, and what holds of all groups: their numbers, any order, nothing else changed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from support.frames import frame, groups, scenes

from iqcli.culling.grouping.group import group, key_of, order_within, sections, with_days
from iqcli.records import FrameSet, Photo, Shot

# --- by the maker ---


def test_the_makers_mark_makes_a_burst_whatever_the_frames_show() -> None:
    burst = [frame(f"{k}.jpg", 3 * k, k, burst="apple:A") for k in range(3)]
    assert groups([*burst, frame("x.jpg", 7, 9, burst="apple:B")]) == [
        ["0.jpg", "1.jpg", "2.jpg"],
    ]


def test_names_make_a_burst_without_any_time() -> None:
    names = ["IMG_20231014_183246_BURST001_COVER.jpg", "IMG_20231014_183246_BURST002.jpg"]
    assert groups([frame(name, None, k) for k, name in enumerate(names)]) == [names]


def test_a_burst_lies_in_one_folder() -> None:
    copies = [frame(f"{folder}/{k}.jpg", 0, burst="apple:A") for folder in "ab" for k in (1, 2)]
    assert groups(copies) == [["a/1.jpg", "a/2.jpg"], ["b/1.jpg", "b/2.jpg"]]


def test_two_cameras_are_never_one_burst() -> None:
    two = [
        *(frame(f"a{k}.jpg", k / 5, burst="x:1", camera="A") for k in (0, 1)),
        *(frame(f"b{k}.jpg", k / 5, burst="x:1", camera="B") for k in (0, 1)),
        frame("c.jpg", 0.1, camera="C"),
        frame("d.jpg", 0.1, camera="D"),
    ]
    assert groups(two) == [["a0.jpg", "a1.jpg"], ["b0.jpg", "b1.jpg"]]


def test_a_frame_that_cannot_be_read_is_of_the_burst_by_its_name() -> None:
    names = [f"20231207_101605_00{k}.jpg" for k in (1, 2, 3)]
    burst = [frame(name, 0.1 * k) for k, name in enumerate(names)]
    burst[1] = replace(burst[1], facts=None, descriptor=None, rating=None, error="damaged")
    assert groups(burst) == [names]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.85])
def test_a_damaged_frame_is_of_its_burst_by_what_is_left(share: float) -> None:
    whole, other = frame("a.jpg", 0), frame("b.jpg", 0.4)
    assert other.descriptor
    light = other.descriptor.light.copy()
    light[round((1 - share) * len(light)) :] = 128
    alien = np.zeros(96, np.float16)
    alien[0] = 1
    seen = replace(other.descriptor, light=light, embedding=alien)
    damaged = replace(other, descriptor=seen)
    if share > 0.6:
        assert groups([whole, damaged]) == []
    assert damaged.facts
    damaged = replace(damaged, facts=replace(damaged.facts, damage=share))
    assert groups([whole, damaged]) == [["a.jpg", "b.jpg"]]
    assert groups([frame("c.jpg", 0, 9), damaged]) == []


def test_frames_of_other_marks_are_not_joined_by_their_likeness() -> None:
    marked = [frame(f"{m}{k}.jpg", 0.1 * k, burst=f"apple:{m}") for m in "AB" for k in (0, 1)]
    assert groups([*marked, frame("none.jpg", 0.05)]) == [
        ["A0.jpg", "A1.jpg"],
        ["B0.jpg", "B1.jpg"],
    ]


def test_a_mark_that_no_other_has_tells_nothing() -> None:
    assert groups([frame("a.jpg", 0, burst="apple:A"), frame("b.jpg", 0.5)]) == [["a.jpg", "b.jpg"]]


def test_two_people_with_one_camera_may_press_at_once() -> None:
    """In folders of their own; within one folder the clock stood still."""
    both = [
        frame(f"{folder}/{k}.jpg", 0.3 * k, thing)
        for folder, thing in (("a", 1), ("b", 2))
        for k in (0, 1)
    ]
    assert groups(both) == [["a/0.jpg", "a/1.jpg"], ["b/0.jpg", "b/1.jpg"]]
    together = [
        replace(each, shot=replace(each.shot, path=each.shot.root / f"{k}.jpg"))
        for k, each in enumerate(both)
    ]
    assert groups(together) == []


# --- by time and likeness ---


@pytest.mark.parametrize(
    ("gap", "exact", "joined"),
    [(0.2, True, True), (1.0, True, True), (1.1, True, False), (2, False, True), (3, False, False)],
)
def test_frames_follow_each_other_at_once(gap: float, exact: bool, joined: bool) -> None:
    found = groups([frame(f"{k}.jpg", k * gap, exact=exact) for k in range(4)])
    assert found == ([["0.jpg", "1.jpg", "2.jpg", "3.jpg"]] if joined else [])


def test_frames_of_another_thing_are_not_of_the_burst() -> None:
    roll = [frame("1.jpg", 0, 1), frame("2.jpg", 0.4, 1), frame("3.jpg", 0.8, 2)]
    assert groups(roll) == [["1.jpg", "2.jpg"]]


@pytest.mark.parametrize("change", [{"camera": "B"}, {"thing": None}, {"after": None}])
def test_what_is_not_known_to_follow_stays_alone(change: dict[str, object]) -> None:
    assert groups([frame("1.jpg", 0), frame("2.jpg", **({"after": 0.4} | change))]) == []  # type: ignore[arg-type]


def test_a_frame_between_that_cannot_be_read_does_not_cut_the_burst() -> None:
    roll = [frame("1.jpg", 0), frame("2.jpg", 0.4, None, score=None), frame("3.jpg", 0.8)]
    assert groups(roll) == [["1.jpg", "3.jpg"]]


def test_a_clock_that_is_set_back_in_a_burst() -> None:
    summer, winter = "2024-10-27T02:59:59.900+02:00", "2024-10-27T02:00:00.300+01:00"
    assert groups([frame("a.jpg", taken=summer), frame("b.jpg", taken=winter)]) == [
        ["a.jpg", "b.jpg"]
    ]
    # An hour lies between these two.
    later = [
        frame(f"{name}.jpg", thing=thing, taken=f"2024-10-27T02:30:00.{name}00+0{name}:00")
        for name, thing in ((2, 0), (1, 5))
    ]
    assert groups(later) == [] == scenes(later)
    # A time without a zone has that of the times near it.
    assert groups([frame("a.jpg", taken=summer), frame("b.jpg", taken=summer[:-6])]) != []
    # The instant counts between two cameras, too.
    two = [
        frame(f"{zone}.jpg", taken=f"{summer[:-5]}{zone}:00", camera=zone) for zone in ("02", "09")
    ]
    assert scenes(two) == []
    abroad = frame("09.jpg", taken="2024-10-27T09:59:59.100+09:00", camera="09")
    sent = frame("z.jpg", taken="2024-10-27T01:00:00Z", camera=None)
    assert scenes([two[0], abroad, sent]) == [["02.jpg", "09.jpg", "z.jpg"]]


def test_times_on_the_minute_make_no_burst() -> None:
    """Scans, and times that a person typed, all stand on the minute."""
    typed = [frame(f"{k}.jpg", taken="2024-05-01T12:00:00") for k in range(4)]
    assert groups(typed) == []
    ticking = frame("later.jpg", taken="2024-05-01T18:31:22")
    assert groups([*typed, ticking]) == [["0.jpg", "1.jpg", "2.jpg", "3.jpg"]]
    other = frame("later.jpg", taken="2024-05-01T18:31:22", camera="B")
    next_day = frame("next.jpg", taken="2024-05-02T18:31:22")
    assert groups([*typed, other, next_day]) == []


def test_a_copy_elsewhere_is_no_frame_of_a_burst() -> None:
    copies = [frame(f"{folder}/1.jpg", 0, sha256="same") for folder in "ab"]
    assert groups(copies) == []
    assert groups([frame(f"{k}.jpg", 0, sha256="same") for k in (1, 2)]) == [["1.jpg", "2.jpg"]]


@pytest.mark.parametrize("taken", ["", "yesterday", "2024-13-45T99:99:99", "2024", "٢٠٢٤-01-01"])
def test_a_time_beyond_understanding_is_no_time(taken: str) -> None:
    assert groups([frame(f"{k}.jpg", taken=taken) for k in range(3)]) == []


def test_looks_that_are_no_numbers_join_nothing() -> None:
    broken = frame("1.jpg", 0)
    assert broken.descriptor
    infinite = np.full(96, np.inf, np.float16)
    broken = replace(broken, descriptor=replace(broken.descriptor, embedding=infinite))
    assert groups([broken, frame("2.jpg", 0.3, 5)]) == []


# --- what holds of all ---


def test_nothing_gives_nothing() -> None:
    assert group([]) == []
    alone = frame("1.jpg")
    assert group([alone]) == [replace(alone, day="2024-05-01")]


def test_a_photo_that_the_camera_stitched_is_whole_and_in_no_burst() -> None:
    roll = [frame("1.jpg", 0), frame("2.jpg", 0.3, panorama=True), frame("3.jpg", 0.6)]
    found = group(roll)
    assert [each.frame_set for each in found] == [None, FrameSet.PANORAMA, None]
    assert [each.group for each in found] == ["b0001", None, "b0001"]


def test_groups_are_numbered_by_their_times_and_the_timeless_last() -> None:
    names = [f"20231207_101605_00{k}.jpg" for k in (1, 2)]
    roll = [*(frame(name, None) for name in names)]
    roll += [frame(f"a{k}.jpg", 500 + k / 4) for k in range(2)]
    roll += [frame(f"z{k}.jpg", k / 4) for k in range(2)]
    assert groups(roll) == [["z0.jpg", "z1.jpg"], ["a0.jpg", "a1.jpg"], names]


FRAMES = some.builds(
    frame,
    some.sampled_from([f"{folder}/{k}.jpg" for folder in "ab" for k in range(30)]),
    after=some.none() | some.integers(0, 40).map(lambda k: k / 2),
    thing=some.none() | some.integers(0, 2),
    camera=some.sampled_from([None, "A", "B"]),
    exact=some.booleans(),
    score=some.none() | some.sampled_from([3.0, 5.0, 5.05, 5.1, 8.0]),
    sharpness=some.none() | some.sampled_from([1.0, 2.0, 3.0]),
    brighter=some.sampled_from([0.4, 0.7, 1.0, 1.4]),
    bias=some.none() | some.sampled_from([-2.0, 0.0, 2.0]),
    exposure=some.none() | some.sampled_from([1.0, 2.0, 3.0]),
    burst=some.none() | some.sampled_from(["apple:A", "apple:B"]),
    panorama=some.booleans(),
)
ROLLS = some.lists(FRAMES, max_size=25, unique_by=lambda each: each.shot.path)


@pytest.mark.slow
@given(ROLLS, some.randoms())
def test_any_order_gives_the_same_groups(roll: list[Photo], chance) -> None:
    found = group(roll)
    shuffled = roll[:]
    chance.shuffle(shuffled)
    by_path = {each.shot.path: each for each in group(shuffled)}
    assert [by_path[each.shot.path] for each in found] == found
    untold = [replace(each, group=None, scene=None, day=None, frame_set=None) for each in found]
    assert untold == roll
    assert [each.descriptor for each in found] == [each.descriptor for each in roll]


@given(ROLLS)
def test_groups_hold_together(roll: list[Photo]) -> None:
    found = group(roll)
    for name in {each.group for each in found} - {None}:
        members = [each for each in found if each.group == name]
        assert len(members) > 1
        assert len({each.scene for each in members}) == 1
        assert len({each.frame_set for each in members}) == 1
        assert len({each.shot.path.parent for each in members}) == 1
        assert len({each.facts.camera for each in members if each.facts} - {None}) <= 1
    for name in {each.scene for each in found} - {None}:
        assert sum(each.scene == name for each in found) > 1


# --- the order within ---


def names(members: list[Photo]) -> list[str]:
    return [each.shot.path.name for each in members]


def test_the_sharper_of_two_near_scores_is_first() -> None:
    soft, sharp = frame("a", score=5.05, sharpness=2), frame("b", score=5.0, sharpness=9)
    better = frame("c", score=5.4, sharpness=1)
    assert names(order_within([soft, sharp, better])) == ["c", "b", "a"]


def test_an_unknown_sharpness_counts_as_the_middle_one() -> None:
    known = {"a": 1, "b": 2, "c": 3, "d": None}
    members = [frame(name, score=5, sharpness=known[name]) for name in known]
    assert names(order_within(members)) == ["c", "b", "d", "a"]
    unseen = [replace(each, descriptor=None) for each in members]
    assert names(order_within(unseen)) == ["a", "b", "c", "d"]


def test_frames_without_a_score_are_last_by_their_paths() -> None:
    members = [frame("b", score=None), frame("a", score=float("nan")), frame("c", score=2)]
    assert names(order_within(members)) == ["c", "a", "b"]


@given(ROLLS, some.randoms())
def test_the_order_is_one_whatever_it_was_before(roll: list[Photo], chance) -> None:
    found = order_within(roll)
    shuffled = roll[:]
    chance.shuffle(shuffled)
    assert order_within(shuffled) == found
    assert sorted(map(id, found)) == sorted(map(id, roll))
    scores = [each.rating.score for each in found if each.rating]
    assert all(later <= sooner + 0.1 + 1e-9 for sooner, later in pairwise(scores))


# --- what is compared with what ---


def test_the_key_tells_what_a_photo_is_compared_with() -> None:
    photo = replace(frame("day/1.jpg"), group="b0001", scene="s0002", day="2024-05-01")
    keys = {per: key_of(photo, per) for per in ("burst", "scene", "day", "folder", "all")}
    assert keys == {
        "burst": "b0001",
        "scene": "s0002",
        "day": "2024-05-01",
        "folder": str(Path("/photos/day")),
        "all": "all",
    }
    [sent] = with_days([frame("sent.jpg", taken="2024-05-01")])
    assert [key_of(sent, per) for per in ("burst", "scene", "day")] == [None, None, "2024-05-01"]
    timeless = Photo(Shot(Path("/p"), Path("/p/1.jpg")), group="b0003")
    assert [key_of(timeless, per) for per in ("burst", "scene", "day")] == ["b0003", "b0003", None]


def test_sections_stand_in_the_order_of_their_best_photos() -> None:
    roll = [
        replace(frame("a", score=5), group="b0001"),
        replace(frame("b", score=3), group="b0001"),
        frame("c", score=9, after=None),
        frame("d", score=4, after=None),
        frame("e", score=None),
    ]
    assert [names(part) for part in sections(roll, "burst")] == [["c"], ["a", "b"], ["d"]]
    assert [names(part) for part in sections(with_days(roll), "day")] == [["c", "d"], ["a", "b"]]
    assert [names(part) for part in sections(roll, "all")] == [["c", "a", "d", "b"]]
    assert sections([], "all") == []
