"""What holds for every roll and every rule."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import assume, given
from hypothesis import strategies as st
from support.photo_rolls import photo

from iqcli.culling.decide import decide
from iqcli.culling.grouping.group import key_of
from iqcli.culling.rules import (
    BY_MARK,
    BY_MOMENT,
    BY_SET,
    CODES,
    Protection,
    Quota,
    Rule,
    is_rejected_by_person,
)
from iqcli.records import CopyKind, CopyOf, Decision, FrameSet, Marks, Photo, Verdict
from iqcli.settings import UNITS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Few different values, so that many photos are equal or lie on a limit.
SCORES = (None, 1.0, 2.0, 2.5, 3.0, 3.1, 5.0, 5.2, 8.0, 10.0)
MARKS = (None, None, None, -1, 0, 1)
TIMES = (None, "2024-05-01T10:00:00", "2024-05-02T10:00:00")
SCENES = (None, "s1", "s2")
WHOLES = (None, None, FrameSet.BRACKET, FrameSet.PANORAMA)
FOLDERS = ("", "x/", "y/")
SHARP = (None, 1.0, 2.0)
QUOTAS = st.integers(1, 5).map(Quota) | st.integers(1, 100).map(lambda n: Quota(share=n / 100))
WORST = st.integers(0, 5).map(Quota) | st.floats(0, 1).map(lambda share: Quota(share=share))
# Of a burst what its frames share, then each frame: numbers that `picked` takes apart.
BURSTS = st.tuples(st.integers(0, 999), st.lists(st.integers(0, 9999), min_size=1, max_size=5))


def picked(number: int, *choices: Sequence[Any]) -> Iterator[Any]:
    """One of each choice: the digits of a number in as many bases."""
    for each in choices:
        number, place = divmod(number, len(each))
        yield each[place]


def roll_of(bursts: list[tuple[int, list[int]]]) -> list[Photo]:
    """Photos in bursts that lie in scenes, in sets, alone, with a time and without."""
    found = []
    for number, (shared, frames) in enumerate(bursts):
        taken, scene, whole = picked(shared, TIMES, SCENES, WHOLES)
        many = len(frames) > 1
        scene = (scene or (f"own{number}" if many else None)) if taken else None
        for frame, own in enumerate(frames):
            score, folder, stars, pick, sharp = picked(own, SCORES, FOLDERS, MARKS, MARKS, SHARP)
            named = f"{folder}{number}-{frame}.jpg"
            group = f"b{number}" if many else None
            seen = photo(named, score, taken=taken, group=group, scene=scene, sharpness=sharp)
            found.append(replace(seen, frame_set=whole if many else None, marks=Marks(stars, pick)))
    return found


def rolls() -> st.SearchStrategy[list[Photo]]:
    return st.lists(BURSTS, min_size=1, max_size=6).map(roll_of)


@st.composite
def rules(draw: Callable[..., object]) -> Rule:
    """Every combination that is a rule; the bands are not among them."""
    below = draw(st.none() | st.sampled_from([2.5, 3.0, 5.1]))
    worst = draw(st.none() | WORST)
    keep = draw(st.none() | QUOTAS)
    limit = draw(st.none() | st.sampled_from([2.5, 3.05, 6.0]))
    if below is worst is keep is limit is None:
        limit = 3.0
    per = draw(st.none() | st.sampled_from(UNITS)) if worst is not None or keep else None
    margin = draw(st.sampled_from([0.0, 0.2, 3.0])) if keep else 0.0
    promise = None if limit is None else 0.01
    return Rule(below, worst, promise, keep, per, margin, limit)


PROTECTIONS = st.builds(Protection, st.booleans(), st.booleans(), st.booleans())


def is_rejected(decision: Decision) -> bool:
    return decision.verdict is Verdict.REJECT


def score(judged: Photo) -> float:
    assert judged.rating
    return judged.rating.score


def counts(judged: Photo) -> bool:
    """Whether numbers and shares are of this photo, too."""
    return judged.rating is not None and not is_rejected_by_person(judged)


def moment(judged: Photo) -> object:
    """What moment a photo is of, None where nobody knows."""
    if judged.scene or judged.group:
        return judged.scene or judged.group
    return judged.shot.path if judged.facts and judged.facts.taken else None


@given(rolls(), rules(), PROTECTIONS)
def test_every_photo_has_one_decision_and_reasons(
    roll: list[Photo], rule: Rule, protect: Protection
) -> None:
    found = decide(roll, rule, protect)
    assert [each.photo for each in found] == roll
    counts = Counter(each.verdict for each in found)
    assert sum(counts.values()) == len(roll)
    for each in found:
        assert len(each.codes) == len(each.reasons) >= 1
        assert (each.codes == ("not_judged",)) == (each.photo.rating is None)
        assert (each.verdict is Verdict.REVIEW) >= (each.photo.rating is None)


@given(rolls(), rules(), st.randoms(use_true_random=False))
def test_order_changes_nothing(roll: list[Photo], rule: Rule, order: random.Random) -> None:
    mixed = roll[:]
    order.shuffle(mixed)
    assert {e.photo.shot.path: e for e in decide(mixed, rule)} == {
        e.photo.shot.path: e for e in decide(roll, rule)
    }


@given(rolls(), rules())
def test_protection_always_holds(roll: list[Photo], rule: Rule) -> None:
    for each in decide(roll, rule):
        judged = each.photo
        marked = (
            (judged.marks.stars or 0) >= 1
            or (judged.marks.pick or 0) >= 1
            or judged.frame_set is not None
        )
        if judged.rating is not None and marked:
            assert each.verdict is Verdict.KEEP
            assert each.codes[0] in BY_MARK + BY_SET


@given(rolls(), rules(), st.builds(Protection, st.booleans(), st.booleans(), st.just(True)))
def test_no_moment_is_lost_by_comparison(
    roll: list[Photo], rule: Rule, protect: Protection
) -> None:
    found = decide(roll, rule, protect)
    low = rule.below or 0.0
    if not rule.chooses:
        assert rule.limit is not None
        low = rule.limit
    for name in {moment(each) for each in roll} - {None}:
        of = [e for e in found if moment(e.photo) == name and counts(e.photo)]
        if any(score(each.photo) >= low for each in of):
            assert not all(is_rejected(each) for each in of)
        spared = [each for each in of if each.codes[0] in BY_MOMENT]
        assert len(spared) <= 1
        # Who is spared stands for others that all went.
        assert not spared or all(is_rejected(each) for each in of if each not in spared)


@given(rolls(), QUOTAS, st.sampled_from(UNITS), st.sampled_from([0.0, 0.3]))
def test_keep_leaves_so_many_of_each_group(
    roll: list[Photo], quota: Quota, per: str, margin: float
) -> None:
    found = decide(roll, Rule(keep=quota, per=per, margin=margin), Protection(False, False))
    groups: dict[str, list[Decision]] = {}
    for each in found:
        if not counts(each.photo):
            out = each.photo.rating is not None and key_of(each.photo, per) is not None
            assert each.codes[0] in ("not_judged", "rejected_by_person", f"kept_of_{per}")
            assert is_rejected(each) == out
            continue
        if (key := key_of(each.photo, per)) is None:
            assert each.verdict is Verdict.KEEP
        else:
            groups.setdefault(key, []).append(each)
    for members in groups.values():
        stay = [each for each in members if each.verdict is Verdict.KEEP]
        assert len(stay) == quota.rounded_up(len(members)) >= 1
        if per != "burst":  # where the sharper of near ties is the better
            best = max(score(each.photo) for each in members)
            assert any(score(each.photo) == best for each in stay)
            gone = [score(each.photo) for each in members if is_rejected(each)]
            assert max(gone, default=0) <= min(score(each.photo) for each in stay)


@given(rolls(), WORST, st.sampled_from(UNITS), PROTECTIONS)
def test_worst_takes_so_many_of_each_group(
    roll: list[Photo], quota: Quota, per: str, protect: Protection
) -> None:
    found = decide(roll, Rule(worst=quota, per=per), protect)
    groups: dict[str, list[Decision]] = {}
    for each in found:
        if counts(each.photo) and (key := key_of(each.photo, per)) is not None:
            groups.setdefault(key, []).append(each)
        else:
            assert not is_rejected(each)
    for members in groups.values():
        due = [each for each in members if "worst" in each.codes]
        assert len(due) == quota.rounded_down(len(members))
        # Only what is protected stays of what is due.
        assert all(is_rejected(each) or each.codes[0] in CODES for each in due)
        assert all(each in due for each in members if is_rejected(each))


@given(rolls(), rules(), PROTECTIONS)
def test_a_promise_caps_and_never_adds(roll: list[Photo], rule: Rule, protect: Protection) -> None:
    found = [each for each in decide(roll, rule, protect) if is_rejected(each)]
    if rule.limit is not None:
        assert all(score(each.photo) < rule.limit for each in found)
    if rule.limit is not None and rule.chooses:
        free = Rule(rule.below, rule.worst, None, rule.keep, rule.per, rule.margin)
        freely = [each for each in decide(roll, free, protect) if is_rejected(each)]
        paths = {each.photo.shot.path for each in freely}
        spared = {e.photo.shot.path for e in decide(roll, free, protect) if e.codes[0] in BY_MOMENT}
        # Where the promise leaves something of a moment, nothing needs to be spared for it.
        assert {each.photo.shot.path for each in found} <= paths | spared


@given(rolls(), rules())
def test_marks_off_rejects_no_less(roll: list[Photo], rule: Rule) -> None:
    with_marks, without = (
        {e.photo.shot.path for e in decide(roll, rule, Protection(on, on)) if is_rejected(e)}
        for on in (True, False)
    )
    assert with_marks <= without


@given(rolls(), st.sampled_from([2.5, 3.0, 5.1]), WORST, QUOTAS)
def test_two_rules_reject_what_either_does(
    roll: list[Photo], below: float, worst: Quota, quota: Quota
) -> None:
    timeless = [photo(str(e.shot.path)[8:], score(e)) for e in roll if e.rating]

    def rejects(rule: Rule) -> set[object]:
        return {e.photo.shot.path for e in decide(timeless, rule) if is_rejected(e)}

    assert rejects(Rule(below, worst, None, quota)) == (
        rejects(Rule(below=below)) | rejects(Rule(worst=worst)) | rejects(Rule(keep=quota))
    )


def protected(judged: Photo) -> bool:
    """Whether a person's mark or a set keeps a photo."""
    marks = (judged.marks.stars or 0, judged.marks.pick or 0)
    return max(marks) >= 1 or judged.frame_set is not None


def with_copies(roll: list[Photo], seed: int) -> list[Photo]:
    """Some photos are copies of others; what is protected is an original."""
    chance = random.Random(seed)
    originals: list[Photo] = []
    found = []
    for each in roll:
        kind = chance.choice([None, None, *CopyKind])
        if kind is None or not originals or protected(each):
            originals.append(each)
            found.append(each)
            continue
        of = chance.choice(originals)
        link = of.shot.path if kind is CopyKind.LINK else None
        copy = CopyOf(of.shot.path, kind, has_more=chance.random() < 0.3, link=link)
        if kind is CopyKind.LINK:  # one file, which has one score
            found.append(replace(each, copy=copy, rating=of.rating, error=of.error))
        else:
            found.append(replace(each, copy=copy))
    return found


ROLLS_WITH_COPIES = st.builds(with_copies, rolls(), st.integers(0, 2**32))


@given(ROLLS_WITH_COPIES)
def test_duplicates_reject_copies_and_nothing_else(roll: list[Photo]) -> None:
    verdicts = {each.photo.shot.path: each.verdict for each in decide(roll, Rule(duplicates=True))}
    for each in roll:
        copy = each.copy
        if each.rating is None:
            wanted = Verdict.REVIEW
        elif copy is None or protected(each):
            wanted = Verdict.KEEP
        elif copy.kind is CopyKind.LINK:
            wanted = verdicts[copy.of]
        elif copy.kind in (CopyKind.EXACT, CopyKind.SAME) and not copy.has_more:
            wanted = Verdict.REJECT
        else:
            wanted = Verdict.REVIEW
        assert verdicts[each.shot.path] is wanted


@given(ROLLS_WITH_COPIES, rules())
def test_duplicates_reject_besides_what_another_rule_does(roll: list[Photo], rule: Rule) -> None:
    other = replace(rule, promise=None, limit=None)
    assume(other.chooses)

    def rejects(rule: Rule) -> set[object]:
        return {each.photo.shot.path for each in decide(roll, rule) if is_rejected(each)}

    both = rejects(replace(other, duplicates=True))
    assert both == rejects(other) | rejects(Rule(duplicates=True))
    links = {
        each.shot.path: each.copy.of for each in roll if each.copy and each.copy.kind == "link"
    }
    assert all((path in both) is (of in both) for path, of in links.items())
