"""What `iq eval` found, a section a question: as tables for people, or as one JSON document."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from iqcli.evaluation.comparison import Difference
from iqcli.evaluation.intervals import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from iqcli.evaluation.curves import CurveFit
    from iqcli.output.fit import Column

    Record = Mapping[str, Any]

FORMATS = ("table", "json")
SCHEMA, DIGITS = 1, 6
# The text of what is not defined, and of an interval that is not known.
NONE = "–"


@dataclass(frozen=True, slots=True)
class Fitted:
    """A figure that is measured after a curve, which may not have been found."""

    figure: Figure
    fit: CurveFit


def cell(value: Any) -> object:
    """A value as a table shows it: a number as it is, and a figure with its interval."""
    if isinstance(value, Fitted):
        mark = " raw" if value.fit.failure else "" if value.fit.rises else " falling"
        return f"{cell(value.figure)}{'' if math.isnan(value.figure.value) else mark}"
    if isinstance(value, Figure):
        return _with_interval(value, "")
    if isinstance(value, float):
        return NONE if math.isnan(value) else f"{value:.3f}"
    return NONE if value is None else value


def signed(value: Difference | Figure | None) -> object:
    """A difference with its sign."""
    figure = value.difference if isinstance(value, Difference) else value
    return NONE if figure is None else _with_interval(figure, "+")


def better_in(value: Difference | None) -> str:
    """The share of the resamples in which the first model is better."""
    return NONE if value is None or math.isnan(value.better) else f"{value.better:.1%}"


def points(value: float) -> str:
    """A number of points that is not compared to the third digit."""
    return NONE if math.isnan(value) else f"{value:.2f}"


def lost(value: float) -> str:
    """Points that were lost."""
    return NONE if math.isnan(value) else f"{value:+.2f}"


def _with_interval(figure: Figure, sign: str) -> str:
    if math.isnan(figure.value):
        return NONE
    value, low, high = (f"{each:{sign}.3f}" for each in (figure.value, figure.low, figure.high))
    return f"{value} [{low}, {high}]" if figure.has_interval else f"{value} [{NONE}]"


class Field(NamedTuple):
    """A column of a table: the key of a record, its title, and how its value is written.

    On a narrow terminal an `extra` one is left out, and one that is `whole` is not broken.
    """

    key: str
    title: str
    text: Callable[[Any], object] = cell
    extra: bool = False
    whole: bool = False


class Section(NamedTuple):
    """The records of one question; what a record has no field for is in JSON alone."""

    name: str
    fields: Sequence[Field]
    records: Sequence[Record]


def show(sections: Sequence[Section], form: str, **more: object) -> None:
    """Write the sections to stdout: tables, an empty line between them, or a JSON document.

    That holds what there is `more` as well.
    """
    from iqcli.output import table
    from iqcli.output.stdout import encoded, write

    if form == "json":
        document = {"schema": SCHEMA} | {each.name: each.records for each in sections} | more
        write([encoded(json.dumps(plain(document), ensure_ascii=False, indent=1) + "\n")])
        return
    for number, section in enumerate(sections):
        if number:
            write(["\n"])
        table.show(_columns(section))


def _columns(section: Section) -> list[Column]:
    from iqcli.output import table
    from iqcli.output.fit import Leeway

    rows = [[field.text(each[field.key]) for field in section.fields] for each in section.records]
    columns = table.plain_table([field.title for field in section.fields], rows)
    kinds = [
        Leeway.EXTRA if field.extra else Leeway.FIXED if field.whole else column.kind
        for field, column in zip(section.fields, columns, strict=True)
    ]
    return [replace(each, kind=kind) for each, kind in zip(columns, kinds, strict=True)]


def plain(value: Any) -> Any:
    """A value as JSON has it: records for figures, None for what is not defined."""
    if isinstance(value, Fitted):
        return plain(value.figure) | {"curve": value.fit.failure is None, "rises": value.fit.rises}
    if isinstance(value, Difference):
        return plain(value.difference) | {"better": plain(value.better)}
    if isinstance(value, Figure):
        return {name: plain(getattr(value, name)) for name in ("value", "low", "high")}
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def without_interval(sections: Sequence[Section]) -> bool:
    """Whether a figure is defined of which there is no interval."""
    return any(
        math.isfinite(figure.value) and not figure.has_interval
        for section in sections
        for record in section.records
        for figure in _figures(record)
    )


def _figures(record: Record) -> Iterator[Figure]:
    for value in record.values():
        inner = value.figure if isinstance(value, Fitted) else value
        inner = inner.difference if isinstance(inner, Difference) else inner
        if isinstance(inner, Figure):
            yield inner
