"""Decide: a rule turns scored photos into decisions. Pure, and the same for every model.

A rule by rank compares a photo with those of its burst, moment, day or folder, or with all. It
counts the scored photos that no person rejected, the protected ones included, and rejects to the
number; what is protected stays, and nothing goes in its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from iqcli.culling.grouping.group import key_of, order_scored, order_within
from iqcli.culling.risk_control import IN_WORDS, band, describe_score
from iqcli.culling.rules import (
    UNCOUNTED,
    Protection,
    RuleResult,
    exact,
    is_rejected_by_person,
    is_scored,
    score_of,
)
from iqcli.errors import IqError
from iqcli.photos.formats import count_pictures
from iqcli.photos.times.capture_time import is_moment
from iqcli.records import BY_HAND, DAMAGED, CopyKind, Decision, Verdict, is_damaged
from iqcli.text import describe_loss, display_path, escape, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.culling.rules import Rule
    from iqcli.records import Photo

    Results = tuple[RuleResult, ...]
    ResultsByIndex = dict[int, RuleResult]
    from collections.abc import Iterator, Mapping

COPY = "copy"
# The code of a photo that is judged by another file of its shot.
STAND_IN = "stand_in"
# What becomes of copies, by how they differ from their original.
COPIES = {
    CopyKind.EXACT: (Verdict.REJECT, COPY, "copy of {}"),
    CopyKind.SAME: (Verdict.REJECT, COPY, "copy of {}"),
    CopyKind.CROPPED: (Verdict.REVIEW, "cropped_copy", "cropped copy of {}"),
    CopyKind.RECOLOURED: (Verdict.REVIEW, "recoloured_copy", "copy of {} in other colours"),
}
COPY_WITH_MORE = (Verdict.REVIEW, "copy_with_more", "copy of {} with more in its shot")
NAMES = {"burst": "burst", "scene": "moment", "day": "day", "folder": "folder"}
_PROTECTED = Protection()
ONLY = RuleResult(Verdict.KEEP, "only_of_moment", "the only photo of its moment")
BEST = RuleResult(Verdict.KEEP, "best_of_moment", "the best of its moment, which would all be lost")
# The results of photos that a person rejected already.
NOT_COUNTED = RuleResult(
    Verdict.REVIEW, UNCOUNTED, "rejected by a person already, so it is not counted"
)
NOT_KEPT = RuleResult(
    Verdict.REJECT, UNCOUNTED, "rejected by a person already, so it is not among those kept"
)


def _counted(scored: Sequence[Photo]) -> tuple[list[Photo], list[Photo]]:
    """The photos that numbers and shares are of, and the others."""
    rest = [each for each in scored if is_rejected_by_person(each)]
    return [each for each in scored if not is_rejected_by_person(each)], rest


def reject_worst(scored: Sequence[Photo], rule: Rule) -> ResultsByIndex:
    """The worst of each group are rejected, so many or a share rounded down."""
    assert rule.worst is not None
    counted, rest = _counted(scored)
    found = {id(each): NOT_COUNTED for each in rest}
    for members in groups(counted, rule.unit):
        first = len(members) - rule.worst.rounded_down(len(members))
        for rank, each in enumerate(members, start=1):
            found[id(each)] = _by_worst(rank, len(members), rank > first, rule)
    return _with_alone(found, scored, "not_worst", rule)


def describe_none_due(photos: Sequence[Photo], rule: Rule) -> str | None:
    """That a share of `worst`, rounded down, is no photo of any group; None where it is one."""
    quota = rule.worst
    if quota is None or not quota.share:
        return None
    counted, _ = _counted([each for each in photos if is_scored(each) and not _is_link(each)])
    largest = max(map(len, groups(counted, rule.unit)), default=0)
    if not largest or quota.rounded_down(largest):
        return None
    of = f"{largest:,} photo{'s' * (largest > 1)}"
    if rule.unit != "all":
        of = f"the largest {NAMES[rule.unit]}, {of},"
    return f"--worst {quota} of {of} is none"


def _by_worst(rank: int, count: int, rejected: bool, rule: Rule) -> RuleResult:
    assert rule.worst is not None
    of = "" if rule.unit == "all" else f" of its {NAMES[rule.unit]}"
    words = f"among the worst {rule.worst}{of} (rank {rank} of {count})"
    if rejected:
        return RuleResult(Verdict.REJECT, "worst", words, relative=True)
    return RuleResult(Verdict.KEEP, "not_worst", f"not {words}")


def keep_best(scored: Sequence[Photo], rule: Rule) -> ResultsByIndex:
    """The best of each group are kept; what comes near the last of them is for review."""
    assert rule.keep is not None
    alone: ResultsByIndex = {}
    if rule.unit == "burst":  # a copy is no frame: it goes where its original stays
        alone = {id(each): _duplicate(each) for each in scored if _is_mere_copy(each)}
    counted, rest = _counted([each for each in scored if id(each) not in alone])
    found = {id(each): NOT_KEPT for each in rest if key_of(each, rule.unit) is not None} | alone
    for members in groups(counted, rule.unit):
        stay = rule.keep.rounded_up(len(members))
        near = min(score_of(each) for each in members[:stay]) - rule.margin
        for rank, each in enumerate(members, start=1):
            beaten = is_damaged(each) and any(_is_whole_frame_of(each, one) for one in members)
            ties = rule.margin > 0 and rank > stay and score_of(each) >= near and not beaten
            found[id(each)] = _by_rank(rank, len(members), stay, ties, rule)
    return _with_alone(found, scored, f"kept_of_{rule.unit}", rule)


def _is_mere_copy(photo: Photo) -> bool:
    """Whether a copy is a single picture that is no frame of a burst of copies.

    An edit with its original, or a RAW with its JPEG, is more than a frame that is there twice.
    """
    return photo.copy is not None and photo.group is None and count_pictures(photo.shot) == 1


def _is_whole_frame_of(damaged: Photo, other: Photo) -> bool:
    return other.group == damaged.group is not None and not is_damaged(other)


def _by_rank(rank: int, count: int, stay: int, ties: bool, rule: Rule) -> RuleResult:
    of = " of all" if rule.unit == "all" else f" in its {NAMES[rule.unit]}"
    words = f"rank {rank} of {count}{of}, {stay} {'is' if stay == 1 else 'are'} kept"
    if rank <= stay:
        return RuleResult(Verdict.KEEP, f"kept_of_{rule.unit}", words)
    if ties:
        points = f"{rule.margin:g} point{'s' * (rule.margin != 1)}"
        near = f"{words}, but within {points} of the last"
        return RuleResult(Verdict.REVIEW, "near_tie", near, relative=True)
    return RuleResult(Verdict.REJECT, f"not_kept_of_{rule.unit}", words, relative=True)


def groups(scored: Sequence[Photo], unit: str) -> list[list[Photo]]:
    """The groups, each best first; a photo that is in none is in no list.

    Frames of a burst are ordered by `order_within`; sharpness compares no other photos.
    """
    if unit == "all":
        return [order_scored(scored)] if scored else []
    found: dict[str, list[Photo]] = {}
    for each in scored:
        if (key := key_of(each, unit)) is not None:
            found.setdefault(key, []).append(each)
    if unit == "burst":
        return [order_within(members) for members in found.values()]
    return [order_scored(members) for members in found.values()]


def _with_alone(
    found: ResultsByIndex, scored: Sequence[Photo], code: str, rule: Rule
) -> ResultsByIndex:
    """The same with the photos that are in no group: they are compared with none and stay."""
    if rule.unit == "all":
        return found
    alone = RuleResult(Verdict.KEEP, code, f"in no {NAMES[rule.unit]} that is known")
    return {id(each): found.get(id(each), alone) for each in scored}


def protect_moments(photos: Sequence[Photo], found: Mapping[int, Results]) -> dict[int, Results]:
    """New results for the photos that stay so that something of their moment does.

    `found` holds those of every scored shot by its identity. Where they reject all of a moment, the
    best of those stays that only a comparison rejects. A photo alone whose time is unknown is of no
    moment, and is not protected by that; what a person rejected stands for none.
    """
    saved = {}
    for members in _moments(photos):
        scored = [e for e in members if is_scored(e) and not is_rejected_by_person(e)]
        if any(not found[id(each)][0].rejects for each in scored):
            continue
        if losing := [each for each in scored if _compared(found[id(each)])]:
            best = _best(losing)
            saved[id(best)] = (BEST if len(members) > 1 else ONLY, *found[id(best)])
    return saved


def _moments(photos: Sequence[Photo]) -> Iterator[list[Photo]]:
    """The shots of each moment, without copies; one that is alone in its moment needs a time."""
    found: dict[str, list[Photo]] = {}
    for each in photos:
        if each.copy is not None:
            continue
        if (key := key_of(each, "scene")) is not None:
            found.setdefault(key, []).append(each)
        elif each.facts is not None and is_moment(each.facts.taken):
            yield [each]
    yield from found.values()


def _best(members: Sequence[Photo]) -> Photo:
    bursts = {each.group for each in members}
    if len(bursts) == 1 and None not in bursts:
        return order_within(members)[0]
    return order_scored(members)[0]


def _compared(found: Results) -> bool:
    """Whether whatever rejects is relative."""
    return all(each.relative for each in found if each.rejects)


def decide(photos: Sequence[Photo], rule: Rule, protect: Protection = _PROTECTED) -> list[Decision]:
    """One decision a shot, in the order given, which changes nothing.

    Shots without a score are left for review. Then comes what `protect` keeps; it has its rank
    among the others, and nothing is rejected in its place. Its codes and reasons go on with why the
    rule rejects it, if it does. Equal scores are ordered by the bytes of their paths, so that a run
    repeats. A promise must have its limit.
    """
    assert rule.promise is None or rule.limit is not None
    scored = [each for each in photos if is_scored(each) and not _is_link(each)]
    parts = _parts(scored, rule)
    found = {
        id(each): _joined(each, [part[id(each)] for part in parts if id(each) in part], rule)
        for each in scored
    }
    for each in scored:
        due = found[id(each)]
        # Of a set that is there twice one stays whole.
        is_copy = any(result.code == COPY for result in due)
        if why := (replace(protect, sets=False) if is_copy else protect).reasons(each):
            found[id(each)] = (*why, *due) if due[0].rejects else why
    if protect.moments:
        found |= protect_moments(photos, found)
    found |= _links(photos, found)
    return [_decision(each, found.get(id(each))) for each in photos]


def _is_link(photo: Photo) -> bool:
    """Whether a photo is a second name of a file, by a hard link."""
    return photo.copy is not None and photo.copy.kind is CopyKind.LINK


def _links(photos: Sequence[Photo], found: Mapping[int, Results]) -> dict[int, Results]:
    """The results of second names: those of the first, since they are one file."""
    first = {each.shot.path: id(each) for each in photos if not _is_link(each)}
    links: dict[int, Results] = {}
    for each in photos:
        if each.copy and each.copy.link and (results := found.get(first[each.copy.link])):
            verdict, words = results[0].verdict, f"another name of {display_path(each.copy.link)}"
            links[id(each)] = (*results, RuleResult(verdict, "hard_link", words))
    return links


def _parts(scored: Sequence[Photo], rule: Rule) -> list[dict[int, RuleResult]]:
    parts = []
    if rule.below is not None:
        parts.append({id(each): _below(each, rule.below) for each in scored})
    if rule.worst is not None:
        parts.append(reject_worst(scored, rule))
    if rule.keep is not None:
        parts.append(keep_best(scored, rule))
    if rule.duplicates:
        parts.append({id(each): _duplicate(each) for each in scored})
    if not parts and rule.limit is not None:
        parts.append({id(each): _promised(each, rule.limit) for each in scored})
    if not parts:
        parts.append({id(each): _duplicate(each) for each in scored if each.copy})
        parts.append({id(each): _by_band(each) for each in scored})
    return parts


def _duplicate(photo: Photo) -> RuleResult:
    """Whether a photo is a copy of another; one that a person may have edited is for review."""
    if photo.copy is None:
        return RuleResult(Verdict.KEEP, "no_copy", "no copy of another photo")
    verdict, code, words = COPIES[photo.copy.kind]
    if photo.copy.has_more and verdict is Verdict.REJECT:
        verdict, code, words = COPY_WITH_MORE
    return RuleResult(verdict, code, words.format(display_path(photo.copy.of)))


def _below(photo: Photo, limit: float) -> RuleResult:
    words = describe_score(score_of(photo), limit)
    if score_of(photo) < limit:
        return RuleResult(Verdict.REJECT, "below", words)
    return RuleResult(Verdict.KEEP, "not_below", words)


def _promised(photo: Photo, limit: float) -> RuleResult:
    words = describe_score(score_of(photo), limit)
    if score_of(photo) < limit:
        return RuleResult(Verdict.REJECT, "under_promise_limit", words)
    return RuleResult(Verdict.KEEP, "over_promise_limit", words)


def _by_band(photo: Photo) -> RuleResult:
    rating = photo.rating
    # A model with experience, which the bands need, has a doubt.
    assert rating and rating.uncertainty is not None
    verdict = band(rating.score, rating.uncertainty)
    if verdict is Verdict.KEEP and is_damaged(photo):
        return RuleResult(Verdict.REVIEW, "band_damaged", "what is left of it is good")
    code = {Verdict.KEEP: "band_high", Verdict.REJECT: "band_low", Verdict.REVIEW: "band_unsure"}
    words = f"score {rating.score:.1f} ± {rating.uncertainty:.1f}{IN_WORDS[verdict]}"
    return RuleResult(verdict, code[verdict], words)


def _joined(photo: Photo, parts: Sequence[RuleResult], rule: Rule) -> Results:
    """The results that decide; the first has the verdict. Any part rejects, within the promise."""
    rejecting = tuple(each for each in parts if each.rejects)
    if any(each.code == COPY for each in rejecting):
        return rejecting  # the picture itself stays, and no promise is about it
    if rejecting and rule.chooses and rule.limit is not None:
        if score_of(photo) < rule.limit:
            # The promise only permits what the others reject: it is no reason of its own.
            return (*rejecting, replace(_promised(photo, rule.limit), relative=True))
        why = f"{describe_score(score_of(photo), rule.limit)}, which the promise does not cover"
        return (RuleResult(Verdict.REVIEW, "over_promise_limit", why), *rejecting)
    doubting = tuple(each for each in parts if each.verdict is Verdict.REVIEW)
    return rejecting or doubting or tuple(parts)


def _decision(photo: Photo, found: Results | None) -> Decision:
    if found is None:
        why = f"not judged: {photo.error or 'it has no score'}"
        found = (RuleResult(Verdict.REVIEW, "not_judged", why),)
    if is_damaged(photo):
        assert photo.facts
        words = f"damaged: {describe_loss(photo.facts.damage)}"
        found = (*found, RuleResult(found[0].verdict, DAMAGED, words))
    for each in photo.broken:
        found = (*found, RuleResult(found[0].verdict, STAND_IN, escape(each.reason)))
    reasons, codes = tuple(each.words for each in found), tuple(each.code for each in found)
    return Decision(photo, found[0].verdict, reasons, codes)


@dataclass(frozen=True, slots=True)
class RejectShare:
    """So many of the judged photos a rule rejects; what a person rejected by hand is not in it."""

    rejects: int
    judged: int

    @classmethod
    def of(cls, decisions: Sequence[Decision]) -> RejectShare:
        """What these decisions come to."""
        ruled = [each for each in decisions if BY_HAND not in each.codes]
        rejects = sum(each.verdict is Verdict.REJECT for each in ruled)
        return cls(rejects, sum(is_scored(each.photo) for each in decisions))

    def is_over(self, max_reject: float) -> bool:
        """Whether that is more than this share (0..1)."""
        return self.rejects > 0 and self.rejects > exact(max_reject) * self.judged

    def words(self, max_reject: float) -> str:
        """The fact that it is over the share."""
        return (
            f"{self.rejects} of {self.judged} judged photos would be rejected, more than "
            f"{percent(max_reject)}"
        )

    @property
    def way_out(self) -> str:
        """The option that allows it."""
        return f"--max-reject {math.ceil(100 * self.rejects / max(self.judged, 1))}%"

    def check(self, max_reject: float) -> None:
        """Raise IqError if it is over this share (0..1)."""
        if self.is_over(max_reject):
            raise IqError(f"{self.words(max_reject)}; if that is meant, give {self.way_out}")
