"""What `iq explain` found out, as raw numbers for a program and in words for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iqcli.extractors.schema import GRID
from iqcli.output.table import in_words as issues_in_words
from iqcli.text import exact, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from iqcli.evaluation.explain import Explanation, Feature, Moved, Tile

SCHEMA = 1
# From which share of the folder a feature stands out, and how many are told.
TELLING, MOST = 80.0, 6
# From which probability an issue is told, though it may not be named; and what levels 2 to 4 are.
LIKELY = 0.05
LEVELS = ("slight or worse", "clear or worse", "severe")


def record(found: Explanation, folder: Path) -> dict[str, Any]:
    """Everything as raw numbers, for a program; None for what does not apply."""
    judged, rating = found.judged, found.judged.rating
    assert rating
    tile, levels = found.tile, {each.name: each.level for each in rating.issues}
    return {
        "schema": SCHEMA,
        "path": shown(judged.shot.path),
        "path_b64": exact(judged.shot.path),
        "sha256": judged.sha256,
        "model": rating.model,
        "score": rating.score,
        "uncertainty": rating.uncertainty,
        "technical": rating.technical,
        "aesthetic": rating.aesthetic,
        "among": shown(folder),
        "rank": found.rank,
        "of": found.of,
        "percentile": found.percentile,
        "against": found.against,
        "blocks": [
            {
                "name": each.block,
                "score": each.score,
                "technical": each.technical,
                "aesthetic": each.aesthetic,
                "defined": each.defined,
            }
            for each in found.moved
        ],
        "features": [
            {
                "name": each.name,
                "value": each.value,
                "median": each.median,
                "percentile": each.percentile,
            }
            for each in found.features
        ],
        "issues": [
            {
                "name": each.issue,
                "level": levels.get(each.issue, 1),
                "at_least": {str(level): p for level, p in enumerate(each.at_least, 2)},
            }
            for each in found.chances
        ],
        "sharpest": tile
        and {
            "row": tile.row,
            "column": tile.column,
            "place": tile.place,
            "sharpness": tile.sharpness,
            "percentile": tile.percentile,
        },
        "reasons": list(rating.reasons),
    }


def in_words(found: Explanation, folder: Path) -> Iterator[str]:
    """The same for a person, line by line."""
    rating = found.judged.rating
    assert rating
    doubt = "" if rating.uncertainty is None else f" ± {rating.uncertainty:.1f}"
    yield f"{shown(found.judged.shot.path)}: {rating.score:.1f}{doubt} of 10 by {rating.model}"
    yield f"number {found.rank:,} of {found.of:,} in {shown(folder)}"
    if rating.aesthetic is not None:
        yield f"its parts: technical {_one(rating.technical)}, aesthetic {_one(rating.aesthetic)}"
    yield from _blocks(found)
    yield from _standing_out(found)
    yield from _issues(found)
    if found.tile:
        yield _sharpest(found.tile)
    for reason in rating.reasons:
        yield f"note: {reason}"


def _blocks(found: Explanation) -> Iterator[str]:
    if found.against is None:
        yield "what moved the score cannot be told: too few photos beside it to compare with"
        return
    yield f"points by which each block moved the score, against {_median(found)}:"
    for each in found.moved:
        undefined = "" if each.defined else " (not defined for this picture: flat or tiny)"
        yield f"  {each.score:+z.2f}  {each.block}{undefined}{_parts(each)}"
    yield "  (one at a time, the others left as they are: they need not add up)"


def _median(found: Explanation) -> str:
    of = "the folder" if found.against == "folder" else "the photos that the model learnt from"
    return f"the median of {of}"


def _parts(moved: Moved) -> str:
    if moved.aesthetic is None:
        return ""
    technical = "" if moved.technical is None else f"technical {moved.technical:+z.2f}, "
    return f" ({technical}aesthetic {moved.aesthetic:+z.2f})"


def _standing_out(found: Explanation) -> Iterator[str]:
    if not found.features:
        return
    telling = [each for each in found.features if each.words[1] >= TELLING][:MOST]
    if not telling:
        yield "light, colour, sharpness and noise: nothing stands out"
        return
    yield "what stands out:"
    for each in telling:
        yield f"  {_compared(each, found)}"


def _compared(feature: Feature, found: Explanation) -> str:
    word, share = feature.words
    crowd = "the others" if found.against == "folder" else "the photos that the model learnt from"
    return f"{word} than {_share(share, crowd)}"


def _share(share: float, crowd: str) -> str:
    """Rounded down: all is said of all alone."""
    return f"all of {crowd}" if share == 100 else f"{int(share)} % of {crowd}"


def _issues(found: Explanation) -> Iterator[str]:
    rating = found.judged.rating
    assert rating
    seen = issues_in_words({"name": e.name, "level": e.level} for e in rating.issues)
    yield f"issues: {seen or 'none seen'}"
    for each in found.chances:
        if each.at_least[0] >= LIKELY:
            words = zip(LEVELS, each.at_least, strict=False)
            chances = ", ".join(f"{word} {_chance(p)}" for word, p in words)
            yield f"  {each.issue.replace('_', ' ')}: {chances}"


def _chance(p: float) -> str:
    """Never 0 % nor 100 %: nothing is that sure."""
    return "under 1 %" if p < 0.01 else "over 99 %" if p > 0.99 else f"{100 * p:.0f} %"


def _sharpest(tile: Tile) -> str:
    text = f"sharpest: {tile.place} (row {tile.row}, column {tile.column} of {GRID} x {GRID} tiles)"
    if tile.percentile is None:
        return text
    softer = tile.percentile < 50
    share = 100 - tile.percentile if softer else tile.percentile
    word = "softer" if softer else "sharper"
    return f"{text}, {word} than the sharpest of {_share(share, 'the others')}"


def _one(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
