"""Groups of four versions of one picture, and what must hold between their scores.

Ladders of one distortion, exposure series in linear light, and brackets with their fusion. No
opinion is known of any, but which of two is the better one is, and about by how much at least;
`slacks` say how far apart two may be at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from iqcli.distortions.bank import DISTORTIONS, LEVELS
from iqcli.distortions.exposure import draw_response, expose, fuse, is_well_exposed
from iqcli.training.backbone.framing import draw_framing, views_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from iqcli.records import Array, Pixels

    Random = np.random.Generator

COUNT = 4
# Changes of tone are drawn more often, and they cost more: opinions alone hardly teach them.
TONE = ("brighten", "darken", "mean_shift", "contrast", "tone_curve", "haze")
# How often each is drawn, of all of them: people like bright photos, so brightening is hardest.
TONE_PARTS = (0.34, 0.12, 0.18, 0.18, 0.09, 0.09)
TONE_COST = 0.4
# Shares of the kinds of group; of the rest any distortion is drawn.
SHARE_TONE, SHARE_SERIES, SHARE_BRACKET = 0.38, 0.16, 0.14
# The kinds whose loss stands alone in the curve; the other distortions are `other` together.
SHOWN = (*TONE, "under", "over", "bracket")
# Points that a stop costs at least.
UNDER_COST, OVER_COST = 0.5, 0.7
# A fusion may be worse or better than the well exposed picture by this much.
FUSION_SLACK = 0.6
# Two versions may be this far apart, and further by so much a level or a stop.
SLACK, SLACK_EACH = 1.5, 1.6


@dataclass(frozen=True)
class Group:
    """Views (COUNT, 2, side, side, 3); `margins` (COUNT, COUNT): points by which the row must beat
    the column, NaN for no demand; `slacks` alike: points that they may be apart, NaN for any."""

    kind: str
    views: Pixels
    margins: Array
    slacks: Array


def draw_group(base: Callable[[], Pixels], random: Random) -> Group:
    """A group of a random kind; `base` draws a good picture."""
    picture, share = base(), random.random()
    if share < SHARE_SERIES + SHARE_BRACKET:
        for _ in range(8):
            if is_well_exposed(picture):
                break
            picture = base()
        else:
            share = 1.0
    if share < SHARE_SERIES:
        kind, versions, margins, slacks = _series(picture, random)
    elif share < SHARE_SERIES + SHARE_BRACKET:
        kind, versions, margins, slacks = _bracket(picture, random)
    else:
        if share < SHARE_SERIES + SHARE_BRACKET + SHARE_TONE:
            name = TONE[random.choice(len(TONE), p=TONE_PARTS)]
        else:
            name = tuple(DISTORTIONS)[random.integers(len(DISTORTIONS))]
        kind, versions, margins, slacks = _ladder(picture, name, random)
    versions = _finished(versions, random)
    framing = draw_framing(random)
    return Group(kind, np.stack([views_of(each, framing) for each in versions]), margins, slacks)


def shown_kind(kind: str) -> str:
    """The kind in the curve: of tones, series and brackets by name, else `other`."""
    return kind if kind in SHOWN else "other"


def ladder_cost(name: str) -> float:
    """Points that a level of a distortion costs at least."""
    return TONE_COST if name in TONE else DISTORTIONS[name].cost


def _ladder(picture: Pixels, name: str, random: Random) -> tuple[str, list[Pixels], Array, Array]:
    levels = (np.arange(COUNT) + random.random(COUNT)) * LEVELS / COUNT
    if random.random() < 0.7:
        levels[0] = 0
    seed = int(random.integers(2**31))
    versions = [DISTORTIONS[name](picture, float(level), seed) for level in levels]
    return name, versions, *_in_order(levels, ladder_cost(name))


def _series(picture: Pixels, random: Random) -> tuple[str, list[Pixels], Array, Array]:
    """From well exposed ever further to one side, up to three stops."""
    over, response = bool(random.random() < 0.5), draw_response(random)
    stops = np.concatenate([[0.0], (np.arange(3) + random.random(3)) * 1.0 + 0.15])
    sign = 1 if over else -1
    versions = [expose(picture, sign * float(each), response, random) for each in stops]
    kind = "over" if over else "under"
    return kind, versions, *_in_order(stops, OVER_COST if over else UNDER_COST)


def _bracket(picture: Pixels, random: Random) -> tuple[str, list[Pixels], Array, Array]:
    """The middle, a dark and a bright one, and a fusion as well exposed as the middle."""
    response = draw_response(random)
    under, over = random.uniform(0.7, 3.2), random.uniform(0.7, 3.2)
    dark, bright = (expose(picture, each, response, random) for each in (-under, over))
    outer = [
        expose(picture, each * random.uniform(1.2, 2.5), response, random) for each in (-1.0, 1.0)
    ]
    fused = fuse([outer[0], picture, outer[1]])
    margins = np.full((COUNT, COUNT), np.nan, np.float32)
    slacks = margins.copy()
    costs = min(under, 2.5) * UNDER_COST, min(over, 2.5) * OVER_COST
    for good, factor in ((0, 1.0), (3, 0.6)):
        margins[good, 1], margins[good, 2] = factor * costs[0], factor * costs[1]
    slacks[0, 3] = FUSION_SLACK
    slacks[0, 1], slacks[0, 2] = SLACK + under * SLACK_EACH, SLACK + over * SLACK_EACH
    return "bracket", [picture, dark, bright, fused], margins, slacks


def _in_order(doses: NDArray[np.floating], cost: float) -> tuple[Array, Array]:
    apart = (doses - doses[:, None]).astype(np.float32)
    margins = np.where(apart > 0, apart * cost, np.nan).astype(np.float32)
    slacks = np.where(apart > 0, SLACK + apart * SLACK_EACH, np.nan).astype(np.float32)
    return margins, slacks


def _finished(versions: list[Pixels], random: Random) -> list[Pixels]:
    """All through the same JPEG, half of the time: the last step must give no version away."""
    if random.random() < 0.5:
        return versions
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(72, 97))]
    found = []
    for each in versions:
        data = cv2.imencode(".jpg", each[..., ::-1], quality)[1]
        decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
        found.append(np.ascontiguousarray(decoded[..., ::-1]))
    return found
