"""Figures for people and papers: scatter and reliability, as PNG and as SVG.

The same numbers give the same bytes: no date, no random ids, no setting of the machine's own
matplotlib, and its shipped font.
"""

from __future__ import annotations

import warnings
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from iqcli.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from iqcli.records import Doubles


# Okabe & Ito (2008): eight colours that colour-blind people tell apart; black is kept for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
REST, INK, PALE = "#999999", "#222222", "#dddddd"
ENDS = (1.0, 10.0)
SEEN = 0.6
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 12,
    "axes.titlesize": 12,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.handletextpad": 0.2,
    "savefig.dpi": 200,
    "svg.hashsalt": "iq",
    "text.parse_math": False,  # a model may be called $x$
}


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """(n,) scores and opinions of 1..10, and the part that each photo belongs to, if any."""

    scores: Doubles
    opinions: Doubles
    labels: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """Values over x, each with its interval from low to high."""

    x: Sequence[float]
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def scatter(title: str, points: Points) -> dict[str, bytes]:
    """Opinion over score, a dot a photo, with the line where they are equal."""
    with _style():
        parts = list(_parts(points.labels, len(points.scores)))
        figure = Figure(figsize=(6.4, 6.4 + 0.3 * (len(parts) // 3)), layout="constrained")
        axes = figure.add_subplot()
        _identity(axes, ENDS)
        area = float(np.clip(9000 / max(len(points.scores), 1), 10, 40))
        for _, colour, inside in parts:  # the largest first, so that it hides none
            dots = points.scores[inside], points.opinions[inside]
            axes.scatter(*dots, area, colour, alpha=SEEN, linewidths=0)
        _square(axes, "score", "opinion of people", ENDS)
        if points.labels is not None:
            dot: dict[str, Any] = {
                "marker": "o",
                "linestyle": "",
                "markeredgewidth": 0,
                "alpha": SEEN,
            }
            names = [Line2D([], [], color=colour, label=name, **dot) for name, colour, _ in parts]
            figure.legend(handles=names, loc="outside lower center", ncols=3, fontsize=10)
        figure.suptitle(escape(title), fontsize=13, wrap=True)
        return _files(figure, "scatter")


def reliability(title: str, means: Curve, held: Curve) -> dict[str, bytes]:
    """Mean opinion over mean score of groups; and what intervals hold over what they promise."""
    with _style():
        figure = Figure(figsize=(10.8, 5.7), layout=ConstrainedLayoutEngine(wspace=0.06))
        left, right = figure.subplots(1, 2)
        _identity(left, ENDS)
        values, low, high = (np.array(each) for each in (means.values, means.low, means.high))
        bars = np.stack([values - low, high - values])
        left.errorbar(means.x, values, bars, fmt="o", color=COLOURS[0], capsize=3, markersize=6)
        _square(left, "mean score of a group", "mean opinion, 95 % interval", ENDS)
        left.set_title("Scores")
        _identity(right, (0, 1))
        right.fill_between(held.x, held.low, held.high, color=COLOURS[0], alpha=0.2, linewidth=0)
        right.plot(held.x, held.values, "o-", color=COLOURS[0], markersize=4)
        _square(right, "promised share of opinions", "share inside, 95 % interval", (0, 1))
        right.set_title("Intervals of the uncertainty")
        figure.suptitle(escape(title), fontsize=13, wrap=True)
        return _files(figure, "reliability")


def learning(title: str, losses: Mapping[str, Sequence[float]]) -> dict[str, bytes]:
    """Losses over the epochs, a line each by name, a dot where a line is lowest."""
    with _style():
        figure = Figure(figsize=(6.4, 4.8), layout="constrained")
        axes = figure.add_subplot()
        for colour, (name, values) in zip(COLOURS, losses.items(), strict=False):
            epochs = np.arange(1, len(values) + 1)
            axes.plot(epochs, values, color=colour, label=escape(name))
            lowest = int(np.argmin(values))
            axes.plot(epochs[lowest], values[lowest], "o", color=colour, markersize=6)
        axes.set(xlabel="epoch", ylabel="loss")
        axes.grid(color=PALE, linewidth=0.7)
        axes.legend(fontsize=10)
        figure.suptitle(escape(title), fontsize=13, wrap=True)
        return _files(figure, "learning")


@contextmanager
def _style() -> Iterator[None]:
    with mpl.rc_context(), warnings.catch_warnings():
        # A name in a script that the font has not is drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph")
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def _parts(
    labels: Sequence[str] | None, count: int
) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """(name, colour, photos) of the largest parts, as many as there are colours; then the rest."""
    if labels is None:
        yield "photos", COLOURS[0], np.ones(count, bool)
        return
    sizes = sorted(Counter(labels).items(), key=lambda each: (-each[1], each[0]))
    values, named = np.array(labels), sizes[: len(COLOURS)]
    for colour, (name, size) in zip(COLOURS, named, strict=False):
        # A label that begins with an underscore would be left out of the legend.
        text = escape(name).lstrip("_") or "none"
        yield f"{text} ({size:,})", colour, values == name
    if rest := sizes[len(COLOURS) :]:
        inside = np.isin(values, [name for name, _ in rest])
        yield f"{len(rest)} others ({inside.sum():,})", REST, inside


def _identity(axes: Axes, ends: tuple[float, float]) -> None:
    axes.plot(ends, ends, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)


def _square(axes: Axes, x: str, y: str, ends: tuple[float, float]) -> None:
    margin = 0.02 * (ends[1] - ends[0])
    axes.set(xlabel=x, ylabel=y, aspect="equal")
    axes.set_xlim(ends[0] - margin, ends[1] + margin)
    axes.set_ylim(ends[0] - margin, ends[1] + margin)
    ticks = np.arange(1, 11) if ends == ENDS else np.linspace(0, 1, 6)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.grid(color=PALE, linewidth=0.7)


def _files(figure: Figure, name: str) -> dict[str, bytes]:
    found = {}
    for suffix, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
        file = BytesIO()
        figure.savefig(file, format=suffix, metadata=metadata, facecolor="white")
        found[f"{name}.{suffix}"] = file.getvalue()
    return found
