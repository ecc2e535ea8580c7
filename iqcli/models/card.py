"""What is known of a model, from its card and its file: as text, and as data."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.errors import IqError
from iqcli.fs.files import sha256

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from iqcli.models.base import Entry, RatedModel
    from iqcli.weights.store import WeightStore

FIGURES = "How good it is"
LIMITS = ("Limits", "What it is bad at", "Never tested on")
BIASES = ("Biases",)
NUMBER = r"-?(?:\d[\d,]*)?\.?\d+"
WITH_INTERVAL = re.compile(rf"({NUMBER})(?: \[({NUMBER}), ({NUMBER})\])?")


def describe(entry: Entry, model: RatedModel) -> str:
    """The card of a model; without one what its file says of itself, or its blocks."""
    if entry.card:
        return card_of(entry)
    blocks = ", ".join(f"{block.name} ({block.size})" for block in model.blocks)
    return model.predictor.describe() or f"{entry.name}: {entry.summary}\nblocks: {blocks}\n"


def card_of(entry: Entry) -> str:
    """The text of an entry's card, "" where it has none. Raises IqError."""
    if entry.card is None:
        return ""
    try:
        return entry.card.read_text("utf-8")
    except OSError as error:
        raise IqError(f"cannot read {entry.card}: {error.strerror}; install iq again") from error


def about(entry: Entry, model: RatedModel, weights: WeightStore) -> dict[str, Any]:
    """Version, figures, limits and biases of a loaded model; None for what its card leaves out.

    `performance` has a row for each line of the card's tables of figures, by column: text, a
    number, or a number with its interval as {value, low, high}; then one for the photos that the
    model's file itself was held against.
    """
    text = card_of(entry)
    parts = sections(text)
    return {
        "version": version_of(entry, model, weights),
        "performance": [*rows_of(parts.get(FIGURES, "")), *_holdout(model)],
        "limits": _joined(parts, LIMITS),
        "biases": _joined(parts, BIASES),
        "card": text or None,
    }


def version_of(entry: Entry, model: RatedModel, weights: WeightStore) -> str:
    """The id that a trained file gives itself, else the name and a hash of its weights."""
    if model.predictor.version:
        return model.predictor.version
    if entry.weights and entry.weights.is_dir():
        return model.name
    digests = [weights.digest(name) for name in entry.needs]
    digests += [sha256(entry.weights)] if entry.weights else []
    return f"{entry.name}/{hashlib.sha256(''.join(digests).encode()).hexdigest()[:12]}"


def sections(card: str) -> dict[str, str]:
    """The text below each heading of the second level, by heading."""
    _, *parts = re.split(r"^## +", card, flags=re.MULTILINE)
    return {title.strip(): text.strip() for title, _, text in (p.partition("\n") for p in parts)}


def rows_of(text: str) -> Iterator[dict[str, Any]]:
    """The rows of all Markdown tables in a text, by the names of their columns."""
    for table in re.findall(r"(?:^\|.*\|\n?)+", text, flags=re.MULTILINE):
        names, _, *lines = (
            [c.strip() for c in row.strip("|").split("|")] for row in table.strip().splitlines()
        )
        yield from (dict(zip(names, map(_value, line), strict=True)) for line in lines)


def _value(cell: str) -> str | float | dict[str, float]:
    found = WITH_INTERVAL.fullmatch(cell)
    if not found:
        return cell
    value, *ends = (float(each.replace(",", "")) for each in found.groups() if each)
    return {"value": value, "low": ends[0], "high": ends[1]} if ends else value


def _joined(parts: Mapping[str, str], titles: tuple[str, ...]) -> str | None:
    return "\n\n".join(parts[each] for each in titles if each in parts) or None


def _holdout(model: RatedModel) -> Iterator[dict[str, Any]]:
    from scipy.stats import spearmanr

    if (sample := model.holdout) is None:
        return
    error = sample.scores.astype(np.float64) - sample.opinions
    yield {
        "photos": f"scenes held out of {sample.source or 'its opinions'}",
        "count": len(error),
        "SRCC": float(spearmanr(sample.scores, sample.opinions).statistic),
        "RMSE": float(np.sqrt((error**2).mean())),
    }
