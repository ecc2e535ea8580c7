"""Rules by place, by group and together; what they never reject; and how they say so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.photo_rolls import burst, keep, photo

from iqcli.cli.commands.cull.report import summary
from iqcli.culling.decide import RejectShare, decide
from iqcli.culling.grouping.group import TIE
from iqcli.culling.rules import Protection, Quota, Rule
from iqcli.errors import IqError
from iqcli.records import BY_HAND, Decision, FrameSet, Marks, Photo, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

KEEP, REVIEW, REJECT = Verdict.KEEP, Verdict.REVIEW, Verdict.REJECT
HALF = Quota(share=0.5)
MOMENTS = Protection(moments=True)


def verdicts(decisions: list[Decision]) -> dict[str, str]:
    return {each.photo.shot.path.name: each.verdict.value for each in decisions}


def rejected(judged: list[Photo], rule: Rule, protect: Protection | None = None) -> list[str]:
    found = decide(judged, rule, protect or Protection())
    return [name for name, verdict in verdicts(found).items() if verdict == "reject"]


def codes(judged: list[Photo], rule: Rule) -> list[tuple[str, ...]]:
    return [each.codes for each in decide(judged, rule)]


def day_of(count: int) -> list[Photo]:
    """So many photos of one day, each alone in its moment, the worst first."""
    return [
        photo(f"{n:03}.jpg", 1 + 8 * n / count, taken=f"2024-05-01T{n // 60:02}:{n % 60:02}:00")
        for n in range(count)
    ]


def marked(roll: list[Photo], places: Iterable[int], **marks: int) -> list[Photo]:
    """The same photos, those at these places with a person's marks."""
    chosen = {*places}
    return [
        replace(each, marks=Marks(**marks)) if n in chosen else each for n, each in enumerate(roll)
    ]


def places(found: list[Decision]) -> list[int]:
    """Where the rejects are."""
    return [n for n, each in enumerate(found) if each.verdict is REJECT]


# --- keep ---


def test_the_best_of_each_burst_stay() -> None:
    roll = [*burst("b1", 4, 6, 5), *burst("b2", 3, 2), photo("alone.jpg", 1.0)]
    found = decide(roll, keep("1", "burst"))
    assert rejected(roll, keep("1", "burst")) == ["b1-0.jpg", "b1-2.jpg", "b2-1.jpg"]
    assert [(each.codes, each.reasons) for each in found[:2]] == [
        (("not_kept_of_burst",), ("rank 3 of 3 in its burst, 1 is kept",)),
        (("kept_of_burst",), ("rank 1 of 3 in its burst, 1 is kept",)),
    ]
    assert (found[-1].verdict, found[-1].codes) == (KEEP, ("kept_of_burst",))
    assert found[-1].reasons == ("in no burst that is known",)


def test_a_share_of_a_burst_is_rounded_up() -> None:
    assert len(rejected(burst("b", 1, 2, 3, 4, 5), keep("30%", "burst"))) == 3
    assert rejected(burst("b", 1, 2), keep("1%", "burst")) == ["b-0.jpg"]
    assert rejected(burst("b", 1, 2), keep("100%", "burst")) == []
    assert rejected(burst("b", 1, 2), keep("0.00000001%", "burst")) == ["b-0.jpg"]


def test_a_share_is_counted_exactly() -> None:
    """0.29 * 100 is 28.999999999999996 and 0.07 * 100 is 7.000000000000001."""
    for percent in range(1, 101):
        quota = Quota.parse(f"{percent}%")
        assert quota.rounded_up(100) == quota.rounded_down(100) == percent


@pytest.mark.parametrize("text", ["101%", "-1%", "1.5", "few", "", "%", "nan%", "20%%"])
def test_a_quota_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(IqError, match="give how many, as 3, or a share, as 20%"):
        Quota.parse(text)


@pytest.mark.parametrize(("text", "meant"), [("0.2", "20%"), ("1.0", "100%"), (".015", "1.5%")])
def test_a_share_without_its_sign_is_refused_and_named(text: str, meant: str) -> None:
    with pytest.raises(IqError, match=f'a share needs its %, give "{meant}"'):
        Quota.parse(text)


def test_a_bare_number_is_a_count() -> None:
    one, all_of_them = Quota.parse("1"), Quota.parse("100%")
    assert [one.rounded_down(9), all_of_them.rounded_down(9)] == [1, 9]
    assert [Quota.parse("7").rounded_down(5), Quota.parse("7").rounded_up(5)] == [5, 5]


@pytest.mark.parametrize("quota", [Quota(0), Quota(share=0.0), Quota(-1)], ids=str)
def test_to_keep_nothing_is_refused(quota: Quota) -> None:
    with pytest.raises(IqError, match=r"--keep is .*; give how many, as 3, or a share, as 20%"):
        Rule(keep=quota)


def test_in_a_burst_the_sharper_of_near_ties_is_best() -> None:
    soft, sharp = (
        photo(f"{name}.jpg", score, group="b1", sharpness=sharpness)
        for name, score, sharpness in (("soft", 5.0 + TIE / 2, 3.0), ("sharp", 5.0, 9.0))
    )
    assert rejected([soft, sharp], keep("1", "burst")) == ["soft.jpg"]
    # Sharpness tells nothing between photos of different things.
    assert rejected([soft, sharp], keep("1")) == ["sharp.jpg"]


@pytest.mark.parametrize(
    ("per", "stays"),
    [
        ("all", ["a.jpg"]),
        ("folder", ["a.jpg", "x/c.jpg"]),
        ("day", ["a.jpg", "b.jpg", "undated.jpg"]),
        ("scene", ["a.jpg", "b.jpg", "undated.jpg"]),
    ],
)
def test_what_the_best_are_counted_in(per: str, stays: list[str]) -> None:
    roll = [
        photo("a.jpg", 9, taken="2024-05-01T10:00:00", scene="s1"),
        photo("b.jpg", 4, taken="2024-05-02T10:00:00", scene="s2"),
        photo("x/c.jpg", 3, taken="2024-05-02T10:00:01", scene="s2"),
        photo("undated.jpg", 2),
    ]
    found = decide(roll, keep("1", per))
    kept = [str(e.photo.shot.path)[8:] for e in found if e.verdict is KEEP]
    assert kept == stays
    assert {e.codes[0] for e in found} <= {f"kept_of_{per}", f"not_kept_of_{per}"}


def test_near_the_last_that_is_kept_is_for_review() -> None:
    roll = burst("b", 7.0, 6.0, 5.75, 5.7, 3.0)
    found = decide(roll, keep("2", "burst", margin=0.25))
    assert [str(each.verdict) for each in found] == ["keep", "keep", "review", "reject", "reject"]
    assert found[2].codes == ("near_tie",)
    assert found[2].reasons == (
        "rank 3 of 5 in its burst, 2 are kept, but within 0.25 points of the last",
    )
    assert rejected(roll, keep("2", "burst")) == ["b-2.jpg", "b-3.jpg", "b-4.jpg"]


def test_equal_scores_are_no_near_ties_without_a_margin() -> None:
    assert rejected(burst("b", 5, 5, 5), keep("1", "burst")) == ["b-1.jpg", "b-2.jpg"]


def test_what_another_rule_rejects_is_no_near_tie() -> None:
    found = decide(burst("b", 3.0, 2.9), keep("1", "burst", margin=0.5, below=2.95))
    assert (found[1].verdict, found[1].codes) == (REJECT, ("below",))


# --- worst, in groups ---


def test_the_worst_of_each_group() -> None:
    roll = [*burst("b1", 1, 2, 3, 4), *burst("b2", 8, 9), photo("alone.jpg", 1.0)]
    found = decide(roll, Rule(worst=HALF, per="burst"))
    assert [n for n, each in enumerate(found) if each.verdict is REJECT] == [0, 1, 4]
    assert found[0].reasons == ("among the worst 50% of its burst (rank 4 of 4)",)
    assert (found[-1].codes, found[-1].verdict) == (("not_worst",), KEEP)


# --- together ---


def test_a_photo_that_any_rule_rejects_is_rejected() -> None:
    roll = [*burst("b", 9, 8), photo("low.jpg", 3.0), photo("fine.jpg", 7.0)]
    found = decide(roll, keep("1", "burst", below=4.0))
    assert verdicts(found) == {
        "b-0.jpg": "keep",
        "b-1.jpg": "reject",
        "low.jpg": "reject",
        "fine.jpg": "keep",
    }
    assert [each.codes for each in found] == [
        ("not_below", "kept_of_burst"),
        ("not_kept_of_burst",),
        ("below",),
        ("not_below", "kept_of_burst"),
    ]


def test_all_that_reject_are_named() -> None:
    rule = keep("1", worst=HALF, below=4.0)
    assert codes(burst("b", 9, 2), rule) == [
        ("not_below", "not_worst", "kept_of_all"),
        ("below", "worst", "not_kept_of_all"),
    ]


@pytest.mark.parametrize(
    "rule",
    [
        Rule(below=5.0, promise=0.01, limit=3.0),
        Rule(worst=Quota(share=0.8), promise=0.01, limit=3.0),
        keep("1", promise=0.01, limit=3.0),
    ],
    ids=["below", "worst", "keep"],
)
def test_a_promise_caps_the_others(rule: Rule) -> None:
    roll = [photo(f"{n}.jpg", score) for n, score in enumerate((2.0, 2.9, 3.0, 4.0, 9.0))]
    found = decide(roll, rule)
    assert [str(e.verdict) for e in found] == ["reject", "reject", "review", "review", "keep"]
    assert found[0].codes[-1] == "under_promise_limit"
    assert found[2].codes[0] == "over_promise_limit" and len(found[2].codes) == 2
    assert found[2].reasons[0] == "score 3.0 is not below 3.0, which the promise does not cover"


def test_a_promise_rejects_nothing_that_the_others_keep() -> None:
    assert rejected(burst("b", 1, 2), keep("1", promise=0.01, limit=9.0)) == ["b-0.jpg"]


# --- moments, where that is asked for ---


def test_a_moment_is_lost_where_nobody_asks_for_it() -> None:
    roll = day_of(8)
    assert places(decide(roll, Rule(worst=HALF))) == [0, 1, 2, 3]
    assert places(decide(roll, keep("7"))) == [0]
    assert places(decide(roll, Rule(worst=HALF), MOMENTS)) == []
    assert places(decide(roll, keep("7"), MOMENTS)) == []


def test_the_only_photo_of_a_moment_stays() -> None:
    roll = [photo("a.jpg", 9), photo("b.jpg", 2, taken="2024-05-01T10:00:00")]
    for rule in (Rule(worst=HALF), keep("1")):
        found = decide(roll, rule, MOMENTS)
        assert (found[1].verdict, found[1].codes[0]) == (KEEP, "only_of_moment")
        assert found[1].reasons[0] == "the only photo of its moment"
        assert len(found[1].reasons) == 2  # and why it would have gone
    # What it is by itself is another matter.
    assert rejected(roll, Rule(below=4.0), MOMENTS) == ["b.jpg"]
    assert rejected(roll, Rule(below=4.0, worst=HALF), MOMENTS) == ["b.jpg"]
    assert rejected(roll, Rule(promise=0.01, limit=4.0), MOMENTS) == ["b.jpg"]
    # A promise beside them rejects nothing by itself.
    assert rejected(roll, Rule(worst=HALF, promise=0.01, limit=4.0), MOMENTS) == []


def test_a_day_alone_is_no_moment() -> None:
    roll = [photo("a.jpg", 9), photo("b.jpg", 2, taken="2024-05-01")]
    assert rejected(roll, Rule(worst=HALF), MOMENTS) == ["b.jpg"]


def test_of_a_moment_that_would_be_lost_the_best_stays() -> None:
    lost = burst("b", 2.0, 3.0, 2.5, scene="s1")
    good = [photo(f"{n}.jpg", 9) for n in range(3)]
    found = decide([*good, *lost], Rule(worst=HALF), MOMENTS)
    assert [each.codes[0] for each in found[3:]] == ["worst", "best_of_moment", "worst"]
    # Nothing is rejected in its place.
    assert [str(each.verdict) for each in found[:3]] == ["keep"] * 3


def test_of_a_moment_that_is_one_burst_the_sharper_stays() -> None:
    lost = [
        photo("soft.jpg", 2.0 + TIE / 2, group="b1", scene="s1", sharpness=1.0),
        photo("sharp.jpg", 2.0, group="b1", scene="s1", sharpness=9.0),
    ]
    good = [photo(f"{n}.jpg", 9) for n in range(2)]
    assert rejected([*good, *lost], Rule(worst=HALF), MOMENTS) == ["soft.jpg"]


def test_what_scores_too_low_is_not_the_one_that_stays() -> None:
    lost = [photo("low.jpg", 2.0, scene="s1"), photo("high.jpg", 4.5, scene="s1")]
    good = [photo(f"{n}.jpg", 9) for n in range(2)]
    both = [*good, *lost]
    assert rejected(both, Rule(below=4.0, worst=HALF), MOMENTS) == ["low.jpg"]
    assert rejected(both, Rule(below=5.0, worst=HALF), MOMENTS) == ["low.jpg", "high.jpg"]


def test_a_moment_lives_on_in_a_protected_photo_or_one_for_review() -> None:
    good = [photo(f"{n}.jpg", 9) for n in range(2)]
    starred = photo("starred.jpg", 1.0, scene="s1", stars=2)
    low = photo("b.jpg", 3.0, scene="s1")
    assert rejected([*good, starred, low], Rule(worst=HALF), MOMENTS) == ["b.jpg"]
    near = [photo("a.jpg", 8.9, scene="s1"), low]
    assert rejected([*good, *near], keep("2", margin=0.2), MOMENTS) == ["b.jpg"]
    # One that nobody could judge is no reason to let the others go.
    blind = photo("blind.jpg", None, scene="s1")
    found = decide([*good, blind, low], Rule(worst=Quota(1)), MOMENTS)
    assert [each.codes[0] for each in found[2:]] == ["not_judged", "best_of_moment"]
    # Nor is one that a person rejected.
    out = photo("out.jpg", 3.5, scene="s1", pick=-1)
    found = decide([*good, out, low], Rule(worst=Quota(1)), MOMENTS)
    assert [each.codes[0] for each in found[2:]] == ["rejected_by_person", "best_of_moment"]


def test_one_point_is_one() -> None:
    found = decide([photo("a.jpg", 5), photo("b.jpg", 4)], keep("1", margin=1.0))
    assert found[1].reasons[0].endswith("but within 1 point of the last")


def test_a_burst_without_a_time_is_a_moment_too() -> None:
    found = decide([photo("good.jpg", 9), *burst("b", 2.0, 3.0)], Rule(worst=Quota(2)), MOMENTS)
    assert [each.codes[0] for each in found] == ["not_worst", "worst", "best_of_moment"]


# --- protection ---


def test_what_is_protected_and_what_lifts_it() -> None:
    roll = [
        photo("star.jpg", 1.0, stars=1),
        photo("flag.jpg", 1.0, pick=1),
        photo("both.jpg", 1.0, stars=5, pick=1),
        photo("out.jpg", 1.0, pick=-1, stars=-1),
        photo("bracket.jpg", 1.0, frame_set=FrameSet.BRACKET, group="b1"),
        photo("panorama.jpg", 1.0, frame_set=FrameSet.PANORAMA),
    ]
    found = decide(roll, Rule(below=5.0))
    assert {e.photo.shot.path.stem: e.codes for e in found} == {
        "star": ("rated", "below"),
        "flag": ("flagged", "below"),
        "both": ("rated", "flagged", "below"),
        "out": ("below",),
        "bracket": ("set_bracket", "below"),
        "panorama": ("set_panorama", "below"),
    }
    assert [each.reasons for each in found[4:]] == [
        ("one of a bracket, which is kept whole", "score 1.0 is below 5.0"),
        ("one of a panorama, which is kept whole", "score 1.0 is below 5.0"),
    ]
    # What the rule keeps is protected from nothing.
    assert codes(roll[:1], Rule(below=1.0)) == [("rated",)]
    marked = ["star.jpg", "flag.jpg", "both.jpg", "out.jpg"]
    sets = ["out.jpg", "bracket.jpg", "panorama.jpg"]
    assert rejected(roll, Rule(below=5.0), Protection(marked=False)) == marked
    assert rejected(roll, Rule(below=5.0), Protection(sets=False)) == sets
    assert len(rejected(roll, Rule(below=5.0), Protection(False, False))) == 6


def test_a_bracket_that_is_not_protected_is_as_any_burst() -> None:
    roll = [photo(f"{n}.jpg", n, frame_set=FrameSet.BRACKET, group="b1") for n in (3, 4, 5)]
    assert rejected(roll, keep("1", "burst")) == []
    assert rejected(roll, keep("1", "burst"), Protection(sets=False)) == ["3.jpg", "4.jpg"]


def test_a_protected_frame_takes_no_place_of_another() -> None:
    roll = [photo("star.jpg", 1.0, group="b", stars=1), *burst("b", 9, 8)]
    assert rejected(roll, keep("1", "burst")) == ["b-1.jpg"]


def test_what_cannot_be_judged_is_for_review_whatever_else_it_is() -> None:
    (found,) = decide([photo("a.jpg", None, stars=5, frame_set=FrameSet.BRACKET)], keep("1"))
    assert (found.verdict, found.codes) == (REVIEW, ("not_judged",))


# --- the guard ---


def test_the_guard_is_against_rules() -> None:
    """What a person rejects by hand is meant; what a rule rejects beside it still counts."""
    by_hand = [Decision(photo(f"{n}.jpg", 2.0), REJECT, ("chosen",), (BY_HAND,)) for n in range(3)]
    RejectShare.of(by_hand).check(0.0)
    ruled = [Decision(photo(f"r{n}.jpg", 2.0), REJECT, ("low",), ("below",)) for n in range(3)]
    RejectShare.of(by_hand + ruled).check(0.5)
    with pytest.raises(IqError, match=r"3 of 5 judged photos .* give --max-reject 60%"):
        RejectShare.of(by_hand[:2] + ruled).check(0.5)
    with pytest.raises(IqError, match=r"2 of 3 judged photos .* give --max-reject 67%"):
        RejectShare(2, 3).check(0.5)


# --- to the number ---


@pytest.mark.parametrize(
    ("text", "goes"), [("20%", 20), ("7", 7), ("1", 1), ("100%", 100), ("0", 0), ("0.5%", 0)]
)
def test_so_many_of_the_worst_go(text: str, goes: int) -> None:
    assert places(decide(day_of(100), Rule(worst=Quota.parse(text)))) == list(range(goes))


@pytest.mark.parametrize(("text", "stays"), [("30", 30), ("30%", 30), ("1", 1), ("100%", 100)])
def test_so_many_of_the_best_stay(text: str, stays: int) -> None:
    assert places(decide(day_of(100), keep(text))) == list(range(100 - stays))


def test_of_each_group_so_many_go() -> None:
    roll = [*day_of(9), *(photo(f"b{n}.jpg", n + 1, taken="2024-05-02T10:00:00") for n in range(3))]
    found = decide(roll, Rule(worst=Quota(4), per="day"))
    assert places(found) == [0, 1, 2, 3, 9, 10, 11]
    assert found[0].reasons == ("among the worst 4 of its day (rank 9 of 9)",)
    assert places(decide(roll, Rule(worst=HALF, per="day"))) == [0, 1, 2, 3, 9]


def test_nothing_goes_in_place_of_what_is_protected_and_the_summary_says_why() -> None:
    roll, rule = marked(day_of(100), (0, 5, 19, 50), stars=3), Rule(worst=Quota.parse("20%"))
    found = decide(roll, rule)
    assert places(found) == sorted({*range(20)} - {0, 5, 19})
    assert list(summary(found))[:2] == [
        "keep 83, review 0, reject 17",
        "20 were due, 17 are rejected: 3 have stars or a flag (--include-rated lifts that)",
    ]
    lifted = decide(roll, rule, Protection(marked=False))
    assert places(lifted) == list(range(20))
    assert "due" not in "".join(summary(lifted))


def test_a_protected_photo_outside_of_the_best_stays_too() -> None:
    found = decide(marked(day_of(100), (0, 99), pick=1), keep("30"))
    assert places(found) == list(range(1, 70))
    assert list(summary(found))[:2] == [
        "keep 31, review 0, reject 69",
        "70 were due, 69 are rejected: 1 has stars or a flag (--include-rated lifts that)",
    ]


def test_every_protection_is_named_with_what_lifts_it() -> None:
    roll, rule = marked(day_of(9), (0, 1, 2), stars=1), Rule(worst=Quota(6))
    roll[2:5] = [replace(each, frame_set=FrameSet.BRACKET) for each in roll[2:5]]
    found = decide(roll, rule, MOMENTS)
    assert list(summary(found))[1] == (
        "6 were due, 0 are rejected: 2 have stars or a flag (--include-rated lifts that), "
        "1 has stars or a flag and is in a bracket, panorama or time-lapse (--include-rated and "
        "--include-sets lift that), 2 are in a bracket, panorama or "
        "time-lapse (--include-sets lifts that), "
        "1 is the best of its moment (leave out --keep-moments to lift that)"
    )
    # Once a person has chosen by hand, the counts are theirs.
    by_hand = Decision(roll[8], KEEP, ("chosen by hand",), (BY_HAND,))
    assert "due" not in "".join(summary([*found[:8], by_hand]))


@pytest.mark.parametrize("marks", [{"pick": -1}, {"stars": -1}])
def test_what_a_person_rejected_is_not_counted(marks: dict[str, int]) -> None:
    roll = marked(day_of(110), range(10, 20), **marks)
    found = decide(roll, Rule(worst=Quota.parse("20%")))
    assert places(found) == [*range(10), *range(20, 30)]
    assert {each.codes for each in found[10:20]} == {("rejected_by_person",)}
    assert list(summary(found))[:2] == [
        "keep 80, review 10, reject 20",
        "10 that a person rejected already are left for review, not counted",
    ]
    # It takes no place among the best either, and 30 are left.
    best = marked(day_of(100), range(90, 100), **marks)
    assert places(decide(best, keep("30"))) == [*range(60), *range(90, 100)]
    # Its own score is another matter.
    assert places(decide(roll, Rule(below=2.0, worst=Quota(1)))) == list(range(14))


def test_what_a_person_rejected_but_rated_is_protected() -> None:
    assert codes(marked(day_of(9), (0,), stars=2, pick=-1), Rule(worst=Quota(1)))[0] == (
        "rated",
        "worst",
    )
