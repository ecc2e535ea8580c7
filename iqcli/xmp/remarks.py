"""What iq says of a judged photo, as the profile of a program lets it be said in XMP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.records import Verdict
from iqcli.xmp.starring import stars
from iqcli.xmp.write import Remark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iqcli.records import Decision
    from iqcli.xmp.profiles import Profile
    from iqcli.xmp.starring import Thresholds

# Words, not colours: Lightroom shows a colour only where the text is in its label set, in its own
# language. "Select" and "Review" are of Bridge's set, and no set of colours has any of them.
LABELS = {Verdict.KEEP: "Select", Verdict.REVIEW: "Review", Verdict.REJECT: "Reject"}
PICKS = {Verdict.KEEP: 1, Verdict.REJECT: -1}
KEYWORD = "iq/"


def remarks(
    decisions: Sequence[Decision], profile: Profile, thresholds: Thresholds
) -> Iterator[tuple[Decision, Remark]]:
    """The scored photos, each with what is to be said of it.

    Stars are given by the scores of all of them. A decision without codes is none: then there are
    stars alone. A reject has no stars but -1, what is to be reviewed has none, and neither has what
    a person rated or flagged.
    """
    scored = [each for each in decisions if each.judged.rating]
    given = stars([each.judged.rating.score for each in scored if each.judged.rating], thresholds)
    for each, count in zip(scored, given, strict=True):
        yield each, _remark(each, count, profile)


def _remark(decision: Decision, count: int, profile: Profile) -> Remark:
    judged, decided = decision.judged, bool(decision.codes)
    rating, verdict = judged.rating, decision.verdict
    assert rating
    free = not judged.stars and not judged.pick
    by_verdict = {Verdict.KEEP: count, Verdict.REJECT: -1 if profile.rejects else None}
    return Remark(
        stars=(by_verdict.get(verdict) if decided else count) if free else None,
        label=LABELS[verdict] if decided and free else None,
        pick=PICKS.get(verdict) if decided and free else None,
        flags=profile.flags,
        keywords=tuple(KEYWORD + issue.name for issue in rating.issues),
        lists=profile.lists,
        facts={
            "score": f"{rating.score:.2f}",
            "model": rating.model,
            "decision": verdict.value if decided else None,
        },
    )
