"""What a model's card says, as data: the tables of its figures, its limits and biases.

What the file of a hex head says of itself, for `iq models info`.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.fs.files import sha256
from iqcli.text import escape
from iqcli.weights import store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from iqcli.models.hex.head import HexHead
    from iqcli.models.registry import Entry, Model

FIGURES = "How good it is"
LIMITS = ("Limits", "What it is bad at", "Never tested on")
BIASES = ("Biases",)
NUMBER = r"-?(?:\d[\d,]*)?\.?\d+"
WITH_INTERVAL = re.compile(rf"({NUMBER})(?: \[({NUMBER}), ({NUMBER})\])?")


def about(entry: Entry, model: Model) -> dict[str, Any]:
    """Version, figures, limits and biases of a loaded model; None for what its card leaves out.

    `performance` has a row for each line of the card's tables of figures, by column: text, a
    number, or a number with its interval as {value, low, high}; then one for the photos that the
    model's file itself was held against.
    """
    text = entry.card.read_text("utf-8") if entry.card else None
    parts = sections(text or "")
    return {
        "version": version_of(entry, model),
        "performance": [*rows_of(parts.get(FIGURES, "")), *_held(model)],
        "limits": _joined(parts, LIMITS),
        "biases": _joined(parts, BIASES),
        "card": text,
    }


def version_of(entry: Entry, model: Model) -> str:
    """The id that a trained file gives itself, else the name and what its weights are known by."""
    told = getattr(getattr(model, "head", None), "info", {}).get("model")
    if isinstance(told, str):
        return told
    if entry.weights and entry.weights.is_dir():
        return str(getattr(model, "name", entry.name))
    known_by = [store.digest(name) for name in entry.needs]
    known_by += [sha256(entry.weights)] if entry.weights else []
    return f"{entry.name}/{hashlib.sha256(''.join(known_by).encode()).hexdigest()[:12]}"


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


def _held(model: Model) -> Iterator[dict[str, Any]]:
    from scipy.stats import spearmanr

    if (held := model.holdout) is None:
        return
    error = held.scores.astype(np.float64) - held.opinions
    yield {
        "photos": f"scenes held out of {held.source or 'its opinions'}",
        "count": len(error),
        "SRCC": float(spearmanr(held.scores, held.opinions).statistic),
        "RMSE": float(np.sqrt((error**2).mean())),
    }


def account(head: HexHead) -> str:
    """Labels, blocks, and the figures on the scenes that were held out."""
    graph, info = head.graph, head.info
    names = ", ".join(label.name for label in graph.labels)
    blocks = ", ".join(f"{name} ({size})" for name, size in head.sizes.items())
    lines = [
        f"{info['model']}: {info['kind']} over {blocks}",
        f"graph {graph.name}: {names}",
        *_figures(head),
    ]
    return "".join(f"{escape(line)}\n" for line in lines)


def _figures(head: HexHead) -> Iterator[str]:
    """A line a label; what is no figure in a stranger's file is passed over."""
    for label, row in head.info["figures"].items():
        if isinstance(row, dict):
            told = [f"{name} {value:.3f}" for name, value in row.items() if type(value) is float]
            yield f"on scenes held out, {label}: {', '.join(told)}"
