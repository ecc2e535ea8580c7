"""A damaged photo loses to every whole frame of its burst, whatever its score."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.photo_rolls import burst, keep, photo

from iqcli.culling.decide import decide
from iqcli.culling.grouping.group import order_scored, order_within, sections
from iqcli.culling.rules import Protection, Quota, Rule
from iqcli.records import Photo, Verdict


def damaged(found: Photo, share: float = 0.4) -> Photo:
    assert found.facts
    return replace(found, facts=replace(found.facts, damage=share))


def first_damaged(name: str, *scores: float, scene: str | None = None) -> list[Photo]:
    first, *rest = burst(name, *scores, scene=scene)
    return [damaged(first), *rest]


def names(photos: list[Photo]) -> list[str]:
    return [each.shot.path.stem for each in photos]


def kept(photos: list[Photo], rule: Rule) -> list[str]:
    decisions = decide(photos, rule)
    return names([each.photo for each in decisions if each.verdict is not Verdict.REJECT])


def test_in_its_burst_it_comes_behind_all_that_are_whole() -> None:
    frames = first_damaged("b", 9, 5, 2)
    assert names(order_within(frames)) == ["b-1", "b-2", "b-0"]
    assert names(sections(frames, "burst")[0]) == ["b-1", "b-2", "b-0"]
    assert kept(frames, keep("1", "burst")) == ["b-1"]
    assert kept(frames, keep("2", "burst")) == ["b-1", "b-2"]
    assert kept(frames, Rule(worst=Quota(number=1), per="burst")) == ["b-1", "b-2"]


def test_a_near_tie_does_not_save_it() -> None:
    frames = first_damaged("b", 5.9, 6, 5.9)
    assert kept(frames, keep("1", "burst", margin=1)) == ["b-1", "b-2"]


def test_where_all_frames_are_damaged_the_score_decides() -> None:
    frames = [damaged(each) for each in burst("b", 5, 7, 6)]
    assert names(order_within(frames)) == ["b-1", "b-2", "b-0"]


@pytest.mark.parametrize("unit", [None, "scene", "folder"])
def test_among_others_it_comes_right_behind_the_frames_of_its_burst(unit: str | None) -> None:
    frames = [*first_damaged("b", 9, 5, scene="s"), photo("x", 6, scene="s")]
    frames.append(photo("y", 4, scene="s"))
    assert names(order_scored(frames)) == ["x", "b-1", "b-0", "y"]
    assert kept(frames, keep("2", unit)) == ["b-1", "x"]
    assert kept(frames, Rule(worst=Quota(number=2), per=unit)) == ["b-1", "x"]


def test_alone_it_is_judged_by_its_score() -> None:
    alone = damaged(photo("a", 9))
    assert names(order_scored([photo("x", 6), alone])) == ["a", "x"]


def test_the_reasons_say_how_much_is_missing() -> None:
    decisions = decide(first_damaged("b", 9, 5), keep("1", "burst"))
    assert decisions[0].reasons == (
        "rank 2 of 2 in its burst, 1 is kept",
        "damaged: 40% of the picture is missing",
    )
    assert decisions[0].codes == ("not_kept_of_burst", "damaged")
    assert decisions[1].codes == ("kept_of_burst",)
    (alone,) = decide([damaged(photo("a", 9), 0.004)], Rule(below=4))
    assert alone.verdict is Verdict.KEEP
    assert alone.reasons[-1] == "damaged: 1% of the picture is missing"


def test_of_a_moment_that_would_be_lost_the_whole_frame_stays() -> None:
    frames = [*first_damaged("b", 9, 5, scene="s"), photo("z", 10, scene="t")]
    decisions = decide(frames, keep("1"), Protection(moments=True))
    assert [each.verdict for each in decisions] == [Verdict.REJECT, Verdict.KEEP, Verdict.KEEP]
