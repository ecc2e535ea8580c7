"""What `iq eval` found, as tables and as JSON: the same values, and what is not known is said."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from iqcli.cli.commands.evaluate import report
from iqcli.cli.commands.evaluate.sections import (
    Field,
    Fitted,
    Section,
    better_in,
    cell,
    plain,
    show,
    signed,
    without_interval,
)
from iqcli.evaluation.comparison import Difference
from iqcli.evaluation.curves import CurveFit
from iqcli.evaluation.exposure_series import SERIES, contests
from iqcli.evaluation.intervals import UNDEFINED, Figure

NAN = float("nan")
WHOLE, ALONE = Figure(0.5, 0.25, 0.75), Figure(0.5, NAN, NAN)
MAPPED = np.zeros(3)


@pytest.mark.parametrize(
    ("value", "text", "record"),
    [
        (WHOLE, "0.500 [0.250, 0.750]", {"value": 0.5, "low": 0.25, "high": 0.75}),
        (ALONE, "0.500 [–]", {"value": 0.5, "low": None, "high": None}),
        (UNDEFINED, "–", {"value": None, "low": None, "high": None}),
        (0.12345678, "0.123", 0.123457),
        (NAN, "–", None),
        (None, "–", None),
        (7, 7, 7),
        ("ss01", "ss01", "ss01"),
    ],
    ids=str,
)
def test_a_value_in_a_table_and_in_json(value: object, text: object, record: object) -> None:
    assert cell(value) == text and plain(value) == record


def test_a_figure_after_a_curve_says_what_became_of_the_curve() -> None:
    risen, fallen = CurveFit(MAPPED), CurveFit(MAPPED, rises=False)
    none = CurveFit(MAPPED, "it needs 8 photos")
    assert [cell(Fitted(WHOLE, fit)) for fit in (risen, fallen, none)] == [
        "0.500 [0.250, 0.750]",
        "0.500 [0.250, 0.750] falling",
        "0.500 [0.250, 0.750] raw",
    ]
    assert cell(Fitted(UNDEFINED, none)) == "–"
    assert plain(Fitted(WHOLE, none)) == plain(WHOLE) | {"curve": False, "rises": True}
    assert plain(Fitted(WHOLE, fallen)) == plain(WHOLE) | {"curve": True, "rises": False}


def test_differences_have_signs() -> None:
    found = Difference(Figure(0.1, -0.2, 0.3), 0.75)
    assert signed(found) == "+0.100 [-0.200, +0.300]" and better_in(found) == "75.0%"
    assert signed(Difference(UNDEFINED, NAN)) == better_in(None) == "–"
    assert plain(found)["better"] == 0.75 and plain(Difference(UNDEFINED, NAN))["better"] is None


def test_sections_of_one_name_are_two_tables_and_one_list(capfdbinary) -> None:
    records = [{"of": "all", "one": WHOLE, "two": NAN, "unseen": [1, NAN]}]
    sections = [
        Section("found", (Field("of", "of"), Field(name, name)), records) for name in ("one", "two")
    ]
    show(sections, "table")
    shown = capfdbinary.readouterr().out.decode()
    assert shown == "of   one\nall  0.500 [0.250, 0.750]\n\nof   two\nall  –\n"
    show(sections, "json", weak=("jpeg",))
    assert json.loads(capfdbinary.readouterr().out) == {
        "schema": 1,
        "found": [{"of": "all", "one": plain(WHOLE), "two": None, "unseen": [1, None]}],
        "weak": ["jpeg"],
    }


@pytest.mark.parametrize("value", (ALONE, Fitted(ALONE, CurveFit(MAPPED)), Difference(ALONE, 1)))
def test_an_interval_that_is_not_known_is_explained(value: object) -> None:
    def section(value: object) -> Section:
        return Section("found", (), [{"a": WHOLE, "b": UNDEFINED}, {"a": value}])

    assert without_interval([section(value)]) and not without_interval([section(WHOLE)])
    (note,) = report.interval_note([section(value)])
    assert note.startswith("[–]: no interval") and not [*report.interval_note([section(7)])]


def test_curves_that_were_not_found_are_named_with_what_stands_instead() -> None:
    missing, falling = CurveFit(MAPPED, "it needs 8 photos"), CurveFit(MAPPED, rises=False)
    records = [
        {
            **{"of": f"part{k}", "scored_by": "m"},
            **{"plcc_logistic_4": Fitted(WHOLE, missing), "plcc_logistic_5": Fitted(figure, fit)},
        }
        for k, (figure, fit) in enumerate([(WHOLE, falling), *[(UNDEFINED, missing)] * 4])
    ]
    notes = [*report._curve_notes([Section("agreement", (), records)])]
    assert notes == [
        "PLCC logistic 4 of m on part0, m on part1, m on part2 and 2 more: no curve, it needs 8 "
        "photos; it is the raw PLCC instead",
        "PLCC logistic 5 of m on part0: the curve falls for some scores, which may flatter them",
    ]


def test_every_field_of_the_exposures_has_a_record() -> None:
    scores = np.random.default_rng(1).uniform(1, 10, (30, len(SERIES)))
    section = report.exposure_section(contests(scores))
    assert [each["against"] for each in section.records] == [f"±{k} stops" for k in (1, 2, 3, 2)]
    assert all(field.key in each for field in section.fields for each in section.records)
    assert math.isfinite(section.records[-1]["lead"].low)
