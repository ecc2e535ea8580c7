"""Levels of issues from a CSV file: the photos, and the level of each label of a graph.

A column a label, by its name or an alias, holding 1 (none) to the label's highest level; an empty
cell means unknown. A file with a 0 (none) in any row counts all levels from 0, and is read so.
Published lists hold all labels in one column, `gt_label` or `pred_label`, in the order of the
graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from iqcli.errors import IqError
from iqcli.evaluation.mos_csv import IMAGE, column_of, filtered, lines_of, named, shots_of
from iqcli.models.hex.graph import is_legal
from iqcli.text import display_path, escape, meant

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from iqcli.models.hex.config import Graph
    from iqcli.models.hex.graph import Levels
    from iqcli.records import Shot

TRUTH, PREDICTED = "gt_label", "pred_label"


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPhotos:
    """Levels (n, labels) of n photos, 0 where unknown; `names` as the file calls the photos.

    `shifted` says that the file counts from 0. `source` is the file's name without its end.
    """

    file: Path
    graph: Graph
    names: Sequence[str]
    shots: Sequence[Shot]
    levels: Levels
    rows: Sequence[Mapping[str, str]]
    shifted: bool
    source: str

    def column(self, name: str) -> list[str]:
        """One value a photo. Raises IqError for a column that is not there."""
        if name not in self.rows[0]:
            near = meant(name, self.rows[0])
            raise IqError(f"there is no column {name!r}{near}; give one of {named(self.rows[0])}")
        return [row[name] for row in self.rows]

    def check(self) -> None:
        """Raise IqError for the first photo whose levels the graph excludes."""
        wrong = np.flatnonzero(~is_legal(self.graph, self.levels))
        if len(wrong):
            levels = self.levels[wrong[0]]
            pairs = zip(self.graph.labels, levels, strict=True)
            found = ", ".join(f"{label.name} {level}" for label, level in pairs if level > 1)
            raise IqError(
                f"{display_path(self.file)} says {found} of {escape(self.names[wrong[0]])}, "
                f"which the graph {self.graph.name} excludes; correct the file or the graph"
            )


def has_labels(file: Path, graph: Graph) -> bool:
    """Whether a CSV file has a column of a label of the graph. Raises IqError if it is none."""
    row = lines_of(file)[0]
    return TRUTH in row or any(graph.index(column) is not None for column in row)


def read(
    file: Path, graph: Graph, images: Path | None, where: str | None, listed: str = TRUTH
) -> LabelledPhotos:
    """The levels in `file`, its photos looked for in `images` (else beside it).

    `where` is "COLUMN=VALUE"; `listed` the column that may hold all labels. Raises IqError for what
    cannot be understood.
    """
    lines = lines_of(file, "image and one of each label")
    image = column_of(file, lines[0], IMAGE)
    columns = _columns(file, graph, lines[0], listed)
    shifted = _from_zero(lines, [*columns.values()] or [listed])
    if where is not None:
        lines = filtered(file, lines, where)
    if not lines:
        raise IqError(f"{display_path(file)} has no row for --where {where!r}; give another value")
    cells = np.array([_row(file, line, columns, graph, listed) for line in lines], np.int64)
    levels = _from_one(file, cells, graph, shifted)
    names = [line[image] for line in lines]
    shots = shots_of(file, images, names)
    return LabelledPhotos(file, graph, names, shots, levels, lines, shifted, escape(file.stem))


def _columns(file: Path, graph: Graph, row: Mapping[str, str], listed: str) -> dict[int, str]:
    """The column of each label that has one; none where they are all in the column `listed`."""
    found: dict[int, str] = {}
    for column in row:
        label = graph.index(column)
        if label is not None and label in found:
            name = graph.labels[label].name
            raise IqError(
                f"{display_path(file)} has two columns for {name}, {found[label]!r} and "
                f"{column!r}; leave one out"
            )
        if label is not None:
            found[label] = column
    if not found and listed not in row:
        labels = ", ".join(label.name for label in graph.labels)
        raise IqError(
            f"{display_path(file)} has no column of a label; name one {labels}, or {listed}"
        )
    return found


def _row(
    file: Path, line: Mapping[str, str], columns: Mapping[int, str], graph: Graph, listed: str
) -> list[int]:
    """The level of each label in a row, -1 where it is empty."""
    if columns:
        return [
            _level(file, line[columns[k]]) if k in columns else -1 for k in range(len(graph.labels))
        ]
    parts = line[listed].split(",")
    if len(parts) != len(graph.labels):
        raise IqError(
            f"{display_path(file)} has {len(parts)} levels in a cell of {listed}, and the graph "
            f"{graph.name} has {len(graph.labels)} labels; give its graph with --labels"
        )
    return [_level(file, each) for each in parts]


def _level(file: Path, text: str) -> int:
    text = text.strip().removesuffix(".0")  # as pandas writes whole numbers beside blanks
    if not text:
        return -1
    if len(text) > 1 or text not in "0123456789":
        raise IqError(f"{display_path(file)} has the level {escape(text)!r}; give 1 (none) to 4")
    return int(text)


def _from_zero(lines: Sequence[Mapping[str, str]], columns: Sequence[str]) -> bool:
    """Whether any row has a 0: those that --where keeps may have none."""
    cells = (line[column] for line in lines for column in columns)
    return any(part.strip() == "0" for cell in cells for part in cell.split(","))


def _from_one(file: Path, cells: Levels, graph: Graph, shifted: bool) -> Levels:
    """Levels as the file has them, -1 for unknown, to those that begin with 1, 0 for unknown."""
    levels = np.where(cells < 0, 0, cells + shifted)
    for label, column in zip(graph.labels, levels.T, strict=True):
        if column.max() > label.levels:
            beside = " beside a 0" if shifted else ""
            raise IqError(
                f"{display_path(file)} has the level {column.max() - shifted} of "
                f"{label.name}{beside}; "
                f"give 1 (none) to {label.levels}, or 0 (none) to {label.levels - 1}"
            )
    return levels
