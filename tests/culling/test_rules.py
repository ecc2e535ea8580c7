"""Rules by place, by group and together; what they never reject; and how they say so."""

from __future__ import annotations

import pytest
from support.photo_rolls import burst, keep, photo

from iqcli.cli.commands.cull.report import summary
from iqcli.culling.decide import check_counts, check_share, decide
from iqcli.culling.grouping.group import TIE
from iqcli.culling.rules import Protection, Quota, Rule
from iqcli.errors import IqError
from iqcli.records import BY_HAND, Decision, FrameSet, Photo, Verdict

KEEP, REVIEW, REJECT = Verdict.KEEP, Verdict.REVIEW, Verdict.REJECT
HALF = Quota(share=0.5)


def verdicts(decisions: list[Decision]) -> dict[str, str]:
    return {each.photo.shot.path.name: each.verdict.value for each in decisions}


def rejected(judged: list[Photo], rule: Rule, protect: Protection | None = None) -> list[str]:
    found = decide(judged, rule, protect or Protection())
    return [name for name, verdict in verdicts(found).items() if verdict == "reject"]


def codes(judged: list[Photo], rule: Rule) -> list[tuple[str, ...]]:
    return [each.codes for each in decide(judged, rule)]


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
    if per in ("all", "folder"):  # then whole moments would go
        roll = [photo(str(e.shot.path)[8:], e.rating.score) for e in roll if e.rating]
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


# --- moments ---


def test_the_only_photo_of_a_moment_stays() -> None:
    roll = [photo("a.jpg", 9), photo("b.jpg", 2, taken="2024-05-01T10:00:00")]
    for rule in (Rule(worst=HALF), keep("1")):
        found = decide(roll, rule)
        assert (found[1].verdict, found[1].codes[0]) == (KEEP, "only_of_moment")
        assert found[1].reasons[0] == "the only photo of its moment"
        assert len(found[1].reasons) == 2  # and why it would have gone
    # What it is by itself is another matter.
    assert rejected(roll, Rule(below=4.0)) == ["b.jpg"]
    assert rejected(roll, Rule(below=4.0, worst=HALF)) == ["b.jpg"]
    assert rejected(roll, Rule(promise=0.01, limit=4.0)) == ["b.jpg"]
    # A promise beside them rejects nothing by itself.
    assert rejected(roll, Rule(worst=HALF, promise=0.01, limit=4.0)) == []


def test_of_a_moment_that_would_be_lost_the_best_stays() -> None:
    lost = burst("b", 2.0, 3.0, 2.5, scene="s1")
    good = [photo(f"{n}.jpg", 9) for n in range(3)]
    found = decide([*good, *lost], Rule(worst=HALF))
    assert [each.codes[0] for each in found[3:]] == ["worst", "best_of_moment", "worst"]
    # Nothing is rejected in its place.
    assert [str(each.verdict) for each in found[:3]] == ["keep"] * 3


def test_of_a_moment_that_is_one_burst_the_sharper_stays() -> None:
    lost = [
        photo("soft.jpg", 2.0 + TIE / 2, group="b1", scene="s1", sharpness=1.0),
        photo("sharp.jpg", 2.0, group="b1", scene="s1", sharpness=9.0),
    ]
    good = [photo(f"{n}.jpg", 9) for n in range(2)]
    assert rejected([*good, *lost], Rule(worst=HALF)) == ["soft.jpg"]


def test_what_scores_too_low_is_not_the_one_that_stays() -> None:
    lost = [photo("low.jpg", 2.0, scene="s1"), photo("high.jpg", 4.5, scene="s1")]
    good = [photo(f"{n}.jpg", 9) for n in range(2)]
    assert rejected([*good, *lost], Rule(below=4.0, worst=HALF)) == ["low.jpg"]
    assert rejected([*good, *lost], Rule(below=5.0, worst=HALF)) == [
        "low.jpg",
        "high.jpg",
    ]


def test_a_moment_lives_on_in_a_protected_photo_or_one_for_review() -> None:
    good = [photo(f"{n}.jpg", 9) for n in range(2)]
    starred = photo("starred.jpg", 1.0, scene="s1", stars=2)
    assert rejected([*good, starred, photo("b.jpg", 3.0, scene="s1")], Rule(worst=HALF)) == [
        "b.jpg"
    ]
    near = [photo("a.jpg", 8.9, scene="s1"), photo("b.jpg", 3.0, scene="s1")]
    assert rejected([*good, *near], keep("2", margin=0.2)) == ["b.jpg"]
    # One that nobody could judge is no reason to let the others go.
    blind = photo("blind.jpg", None, scene="s1")
    found = decide([*good, blind, photo("b.jpg", 3.0, scene="s1")], Rule(worst=Quota(share=0.34)))
    assert [each.codes[0] for each in found[2:]] == ["not_judged", "best_of_moment"]


def test_one_is_said_as_one() -> None:
    found = decide([photo("a.jpg", 5, stars=1), photo("b.jpg", 4)], keep("1", margin=1.0))
    assert found[1].reasons[0].endswith("but within 1 point of the last")
    assert list(summary(found))[1] == "of those kept, 1 is protected: rated 1"


def test_a_burst_without_a_time_is_a_moment_too() -> None:
    found = decide([photo("good.jpg", 9), *burst("b", 2.0, 3.0)], Rule(worst=Quota(share=0.7)))
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
        "star": ("rated",),
        "flag": ("flagged",),
        "both": ("rated", "flagged"),
        "out": ("below",),
        "bracket": ("set_bracket",),
        "panorama": ("set_panorama",),
    }
    assert [each.reasons for each in found[4:]] == [
        ("one of a bracket, which is kept whole",),
        ("one of a panorama, which is kept whole",),
    ]
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
    check_share(by_hand, 0.0)
    ruled = [Decision(photo(f"r{n}.jpg", 2.0), REJECT, ("low",), ("below",)) for n in range(3)]
    check_share(by_hand + ruled, 0.5)
    with pytest.raises(IqError, match=r"3 of 5 judged photos .* give --max-reject 60%"):
        check_share(by_hand[:2] + ruled, 0.5)
    with pytest.raises(IqError, match=r"2 of 3 judged photos .* give --max-reject 67%"):
        check_counts(2, 3, 0.5)
