"""Rules into decisions: bounds, ties, protection, and the guard."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from support.photo_trees import judged

from iqcli.culling.decide import RejectShare, decide, describe_none_due
from iqcli.culling.risk_control import band
from iqcli.culling.rules import Protection, Quota, Rule
from iqcli.errors import Exit, IqError
from iqcli.records import Photo, Rating, Verdict

ROOT = Path("/photos")


def shots(*scores: float | None) -> list[Photo]:
    return [judged(ROOT, [f"{n:03}.jpg"], score) for n, score in enumerate(scores)]


def rejects(found: list[Photo], rule: Rule) -> list[int]:
    decisions = decide(found, rule)
    return [n for n, each in enumerate(decisions) if each.verdict is Verdict.REJECT]


def test_below_rejects_what_is_strictly_below_and_says_so() -> None:
    decisions = decide(shots(3.1, 4.0, 6.25), Rule(below=4.0))
    assert [str(each.verdict) for each in decisions] == ["reject", "keep", "keep"]
    assert decisions[0].reasons == ("score 3.1 is below 4.0",)
    assert decisions[1].reasons == ("score 4.0 is not below 4.0",)


def test_a_reason_never_says_that_a_number_is_below_itself() -> None:
    (decision,) = decide(shots(3.9996), Rule(below=4.0))
    assert decision.reasons == ("score 3.9996 is below 4.0000",)


def test_a_reason_says_the_limit_as_it_was_given() -> None:
    decisions = decide(shots(4.2, 4.256, 6.9), Rule(below=4.25))
    assert [each.reasons[0] for each in decisions] == [
        "score 4.20 is below 4.25",
        "score 4.26 is not below 4.25",
        "score 6.90 is not below 4.25",
    ]


def test_worst_is_a_share_of_the_judged_shots_rounded_down() -> None:
    found = shots(*[9 - n / 100 for n in range(100)], None, None)
    decisions = decide(found, Rule(worst=Quota(share=0.2)))
    assert rejects(found, Rule(worst=Quota(share=0.2))) == list(range(80, 100))
    assert decisions[90].reasons == ("among the worst 20% (rank 91 of 100)",)
    assert decisions[0].reasons == ("not among the worst 20% (rank 1 of 100)",)


@pytest.mark.parametrize(
    ("quota", "photos", "per", "says"),
    [
        (Quota(share=0.01), 73, None, "--worst 1% of 73 photos is none"),
        (Quota(share=0.5), 1, None, "--worst 50% of 1 photo is none"),
        (Quota(share=0.01), 73, "folder", "--worst 1% of the largest folder, 73 photos, is none"),
        (Quota(share=0.01), 73, "burst", None),  # there is none
        (Quota(share=0.01), 100, None, None),
        (Quota(share=0.0), 73, None, None),
        (Quota(number=0), 73, None, None),
        (None, 73, None, None),
    ],
)
def test_a_share_that_is_no_photo_is_named(
    quota: Quota | None, photos: int, per: str | None, says: str | None
) -> None:
    rule = Rule(worst=quota, per=per) if quota else Rule(below=1)
    found = shots(*range(1, photos + 1), None)
    assert describe_none_due(found, rule) == says


def test_worst_counts_exactly() -> None:
    """0.29 * 100 is 28.999999999999996, and 29 of 100 are meant."""
    found = shots(*range(100))
    for percent in range(101):
        assert len(rejects(found, Rule(worst=Quota(share=percent / 100)))) == percent


def test_ties_are_broken_by_the_bytes_of_the_path() -> None:
    found = shots(5.0, 5.0, 5.0, 5.0)
    assert rejects(found, Rule(worst=Quota(share=0.5))) == [2, 3]
    assert rejects(found[::-1], Rule(worst=Quota(share=0.5))) == [0, 1]


@given(st.permutations(list(range(12))), st.floats(0, 1))
def test_the_order_of_the_input_changes_nothing(order: list[int], share: float) -> None:
    found = shots(1, 2, 2, 2, 3, None, 5, 5, 8, 9, 1, 2)
    one = {found[n].shot.path for n in rejects(found, Rule(worst=Quota(share=share)))}
    mixed = [found[n] for n in order]
    assert {mixed[n].shot.path for n in rejects(mixed, Rule(worst=Quota(share=share)))} == one


@pytest.mark.parametrize("rule", [Rule(below=10), Rule(worst=Quota(share=1))])
def test_a_shot_without_a_score_is_left_for_review(rule: Rule) -> None:
    decisions = decide(shots(None, float("nan")), rule)
    assert {each.verdict for each in decisions} == {Verdict.REVIEW}
    assert decisions[0].reasons == ("not judged: cannot be decoded",)
    assert decisions[1].reasons == ("not judged: it has no score",)


def test_a_persons_stars_protect() -> None:
    found = [judged(ROOT, ["a.jpg"], 1.5, stars) for stars in (-1, 0, 1, 4)]
    decisions = decide(found, Rule(below=4))
    assert [str(each.verdict) for each in decisions] == ["reject", "reject", "keep", "keep"]
    assert [each.reasons for each in decisions[2:]] == [
        ("rated 1 star", "score 1.5 is below 4.0"),
        ("rated 4 stars", "score 1.5 is below 4.0"),
    ]
    taken = decide(found, Rule(below=4), Protection(marked=False))
    assert {each.verdict for each in taken} == {Verdict.REJECT}


def test_a_protected_shot_is_not_replaced_by_the_next_worst() -> None:
    found = [*shots(9, 8, 7), judged(ROOT, ["x.jpg"], 1.0, 5)]
    assert rejects(found, Rule(worst=Quota(share=0.25))) == []


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"per": "burst"}, "--per says of what --keep or --worst is meant; give one of them"),
        ({"below": 4.0, "per": "all"}, "--per says of what"),
        (
            {"worst": Quota(share=0.1), "per": "week"},
            "--per is 'week'; give one of burst, scene, day, folder, all",
        ),
        ({"worst": Quota(share=0.1), "margin": 0.2}, "--margin is for what --keep just leaves out"),
        ({"keep": Quota(2), "margin": -0.1}, "--margin is -0.1; give points from 0 to 9"),
        ({"keep": Quota(2), "margin": float("nan")}, "--margin is nan"),
        ({"promise": 0.0}, "--promise is 0%; give a share above 0% and under 100%"),
        ({"promise": 1.0}, "--promise is 100%"),
        ({"promise": float("nan")}, "--promise is nan%"),
        ({"below": 0.9}, "--below is 0.9"),
        ({"below": float("nan")}, "--below is nan"),
        ({"worst": Quota(share=1.2)}, "--worst is 120%"),
        ({"worst": Quota(share=-0.1)}, "--worst is -10%"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(rule: dict[str, Any], says: str) -> None:
    with pytest.raises(IqError, match=says) as caught:
        Rule(**rule)
    assert caught.value.exit_code is Exit.USAGE


def test_rules_read_as_a_person_would_write_them() -> None:
    told = {
        "bands": Rule(),
        "below 4.0": Rule(below=4.0),
        "worst 20%": Rule(worst=Quota(share=0.2)),
        "worst 20% per day": Rule(worst=Quota(share=0.2), per="day"),
        "keep 3": Rule(keep=Quota(3)),
        "keep 30% per burst with margin 0.25": Rule(
            keep=Quota(share=0.3), per="burst", margin=0.25
        ),
        "promise 1.5%": Rule(promise=0.015),
        "promise 1.5% (scores under 3.07)": Rule(promise=0.015, limit=3.07),
        "below 4.0 or worst 5% per scene or keep 2 per scene, within promise 1%": Rule(
            below=4.0, worst=Quota(share=0.05), keep=Quota(2), per="scene", promise=0.01
        ),
    }
    assert {str(rule): rule for rule in told.values()} == told


def doubted(score: float, sigma: float, stars: int = 0) -> Photo:
    shot = judged(ROOT, ["x.jpg"], score, stars)
    return replace(shot, rating=Rating(score, sigma, "fusion-mini"))


def test_without_a_rule_the_bands_decide() -> None:
    found = [doubted(3.1, 0.8), doubted(5.9, 1.1), doubted(8.2, 0.9), doubted(2.0, 3.0)]
    decisions = decide([*found, judged(ROOT, ["y.jpg"], None)], Rule())
    assert [str(each.verdict) for each in decisions] == [
        "reject",
        "review",
        "keep",
        "review",
        "review",
    ]
    assert [each.reasons for each in decisions] == [
        ("score 3.1 ± 0.8: nine in ten like it are rated under 5.5",),
        ("score 5.9 ± 1.1 may lie on either side of 5.5",),
        ("score 8.2 ± 0.9: nine in ten like it are rated 5.5 or more",),
        ("score 2.0 ± 3.0 may lie on either side of 5.5",),
        ("not judged: cannot be decoded",),
    ]


@given(st.floats(1, 10), st.floats(0.01, 9))
def test_a_band_is_where_nine_in_ten_opinions_lie(score: float, sigma: float) -> None:
    under = norm.cdf(5.5, score, sigma)
    sides = {Verdict.REJECT: under, Verdict.KEEP: 1 - under}
    verdict = band(score, sigma)
    if verdict is Verdict.REVIEW:
        assert max(sides.values()) < 0.9 + 1e-9
    else:
        assert sides[verdict] > 0.9 - 1e-9


def test_a_band_without_doubt_is_a_side_and_one_of_unknown_doubt_is_for_review() -> None:
    assert [band(score, 0) for score in (5.4, 5.5)] == [Verdict.REJECT, Verdict.KEEP]
    assert band(1.0, float("nan")) is Verdict.REVIEW


def test_stars_protect_from_the_bands() -> None:
    (decision,) = decide([doubted(1.5, 0.2, stars=2)], Rule())
    assert (decision.verdict, decision.codes) == (Verdict.KEEP, ("rated", "band_low"))
    (decision,) = decide([doubted(1.5, 0.2, stars=2)], Rule(), Protection(marked=False))
    assert decision.verdict is Verdict.REJECT


def test_a_promise_rejects_what_is_strictly_below_its_limit() -> None:
    decisions = decide(shots(3.06, 3.07, 8), Rule(promise=0.01, limit=3.07))
    assert [str(each.verdict) for each in decisions] == ["reject", "keep", "keep"]
    assert decisions[0].reasons == ("score 3.06 is below 3.07",)


def test_the_guard_counts_judged_shots_and_names_the_way_out() -> None:
    decisions = decide(shots(1, 1, 1, 9, None), Rule(below=4))
    with pytest.raises(IqError, match=r"3 of 4 judged photos .* than 50%; .*--max-reject 75%"):
        RejectShare.of(decisions).check(0.5)
    RejectShare.of(decisions).check(0.75)
    RejectShare.of(decide(shots(None), Rule(below=4))).check(0.0)
    RejectShare.of(decide([], Rule(below=4))).check(0.0)


def test_the_guard_lets_half_of_the_shots_through() -> None:
    RejectShare.of(decide(shots(1, 9), Rule(below=4))).check(0.5)
