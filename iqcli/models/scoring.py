"""From measured photos to rated and ranked ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from iqcli.extractors.schema import LEAST_SHORT
from iqcli.records import DAMAGED, HEAD_SHORT, TOO_SMALL, Issue, NoRating, best_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from iqcli.extractors.base import AnyBlock
    from iqcli.models.base import RatedModel
    from iqcli.pipeline.cache import Cache
    from iqcli.pipeline.kept import Kept
    from iqcli.records import Facts, Photo, Rating
    from iqcli.settings import Settings

# Photos rated at once, at most: enough to make the arithmetic cheap. They are so many only while
# they come fast, from the cache; one that has to be measured does not wait for others.
CHUNK = 128
# Seconds within which a chunk has come fast.
FAST = 0.02
# From which shares of the picture on damage is clear, and severe; below it is slight.
LEAST_LEVEL, WORSE_FROM = 2, (0.05, 0.2)
# How many times a picture is enlarged to the size at which photos are judged where it is slightly,
# clearly and severely too small. At twice a good photo has lost half a point, and blur is named
# wrongly from there on: of sharp photos on 1 % at twice, on 6 % at four times, on most at eight.
SMALL_ABOVE = (2, 3, 5)
# Issues that show in details alone; those of enlarged pixels are no fault of the photo.
OF_DETAILS = frozenset({"blurred", "noisy"})


def blocks_for(model: RatedModel, *, grouped: bool = False) -> list[AnyBlock]:
    """What must be measured for the ratings, each once; with `grouped` for descriptors as well."""
    from iqcli.extractors import descriptor
    from iqcli.extractors.registry import BLOCKS

    more = [BLOCKS[name] for name in descriptor.BLOCKS] if grouped else []
    return list({block.name: block for block in (*more, *model.blocks)}.values())


def kept_for(
    model: RatedModel, cache: Cache, settings: Settings, *, grouped: bool = False
) -> Kept | None:
    """The results of this model that earlier runs kept; None where it is not known by content."""
    if model.fingerprint is None:
        return None
    from iqcli.extractors.base import hash_of
    from iqcli.photos.formats import decoder_fingerprint
    from iqcli.pipeline.kept import Kept

    blocks = [each.fingerprint for each in blocks_for(model, grouped=True)]
    depends = (decoder_fingerprint(), settings.max_megapixels, settings.protect_labels, *blocks)
    fingerprint = hash_of(model.fingerprint, *map(str, depends))
    return Kept(cache, settings.model, fingerprint, grouped=grouped)


def judge(
    measured: Iterable[Photo],
    model: RatedModel,
    *,
    grouped: bool = False,
    kept: Kept | None = None,
) -> Iterator[Photo]:
    """Rate each measured shot, in order; one without blocks, or without a score, has an error.

    With `grouped` each that was measured has its descriptor: its blocks hold those of `blocks_for`.
    What is `kept` has its rating already; the rest is given to it.
    """
    from iqcli.extractors.descriptor import BLOCKS, descriptor_of

    for chunk in _chunks(measured):
        whole = [each.blocks for each in chunk if each.blocks is not None]
        ratings = iter(model.rate(whole))
        for each in chunk:
            rated, seen = each, None
            if each.rating is None:
                rated = replace(each, blocks=None, thumbnails=None)
            if each.blocks is not None:
                if grouped or (kept and each.blocks.keys() >= {*BLOCKS}):
                    seen = descriptor_of(each.blocks)
                rated = replace(rated, descriptor=seen if grouped else None)
                rated = _with(rated, next(ratings))
            if kept:
                kept.add(rated, seen)
            yield rated
    if kept:
        kept.finish()


def _chunks(photos: Iterable[Photo]) -> Iterator[list[Photo]]:
    source, size = iter(photos), 1
    began = time.monotonic()
    while chunk := list(islice(source, size)):
        fast = time.monotonic() - began < FAST
        yield chunk
        size = min(2 * size, CHUNK) if fast else 1
        began = time.monotonic()


def _with(photo: Photo, rating: Rating | NoRating) -> Photo:
    if isinstance(rating, NoRating):
        return replace(photo, error=rating.reason)
    return replace(photo, rating=with_facts(rating, photo.facts))


def with_facts(rating: Rating, facts: Facts | None) -> Rating:
    """The rating with what is wrong with the picture as such before what the model sees in it.

    That is `damaged` and `too_small`, without what cannot be seen at such a size.
    """
    if facts is None:
        return rating
    own = []
    if facts.damage:
        level = LEAST_LEVEL + sum(facts.damage >= share for share in WORSE_FROM)
        own.append(Issue(DAMAGED, level, round(facts.damage, 3)))
    if smallness := sum(_enlarged(facts) > times for times in SMALL_ABOVE):
        own.append(Issue(TOO_SMALL, LEAST_LEVEL - 1 + smallness))
    seen = (each for each in rating.issues if can_be_seen(each.name, facts))
    return replace(rating, issues=(*own, *seen))


def can_be_seen(issue: str, facts: Facts | None) -> bool:
    """Whether an issue can be seen in a picture of this size."""
    if facts is None or _enlarged(facts) <= SMALL_ABOVE[0]:
        return True
    return issue not in OF_DETAILS and min(facts.width, facts.height) >= LEAST_SHORT


def _enlarged(facts: Facts) -> float:
    """How many times a picture is enlarged before it is judged."""
    return HEAD_SHORT / max(1, min(facts.width, facts.height))


def percentile(rank: int, count: int) -> float:
    """The share (%) of the others that the photo of this rank (1 is best) beats."""
    return round(100 * (count - rank) / max(count - 1, 1), 1)


@dataclass(frozen=True, slots=True)
class Ranked:
    """A photo's place: `rank` 1 is best; `percentile` is the share (%) of the others it beats."""

    photo: Photo
    rank: int
    percentile: float


def rank(photos: Iterable[Photo]) -> list[Ranked]:
    """The scored photos, best first; ties in the order of their paths' bytes."""
    scored = sorted((each for each in photos if each.rating), key=best_first)
    return [
        Ranked(each, place, percentile(place, len(scored))) for place, each in enumerate(scored, 1)
    ]
