"""What `iq eval` reports: sections of figures, notes on them, and drawings in a folder."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from iqcli.cli.commands.evaluate.sections import (
    Field,
    Fitted,
    Section,
    better_in,
    lost,
    points,
    signed,
    without_interval,
)
from iqcli.cli.console import counted, info
from iqcli.errors import IqError
from iqcli.evaluation.curves import CURVES
from iqcli.evaluation.issue_metrics import MEASURES
from iqcli.fs.other_programs import refuse_to_write
from iqcli.text import display_path, escape, first_few

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from iqcli.cli.commands.evaluate.sections import Record
    from iqcli.culling.rules import Rule
    from iqcli.evaluation.exposure_series import ExposureContest
    from iqcli.evaluation.issue_metrics import IssueMetrics, LabelMetrics
    from iqcli.evaluation.robustness import Ladder
    from iqcli.evaluation.study import Study

    Records = Iterator[Record]

OF = Field("photos", "photos"), Field("of", "of")
SCORED = (*OF, Field("scored_by", "scored by"))
RANKS = (
    *SCORED,
    Field("srcc", "SRCC"),
    Field("krcc", "KRCC"),
    Field("rmse", "RMSE"),
    Field("mae", "MAE"),
)
LINES = (
    *SCORED,
    Field("plcc", "PLCC"),
    Field("plcc_logistic_4", "PLCC logistic 4"),
    Field("plcc_logistic_5", "PLCC logistic 5"),
)
DIFFERENCES = (
    *OF,
    Field("model", "model"),
    Field("minus", "minus"),
    Field("srcc", "SRCC", signed),
    Field("srcc", "better in", better_in),
    Field("rmse", "RMSE", signed),
    Field("rmse", "better in", better_in),
)
BURSTS = (
    Field("bursts", "bursts"),
    Field("scored_by", "scored by"),
    Field("top1", "best frame found"),
    Field("chance", "by chance"),
    Field("pairs", "clear pairs in order"),
)
BURST_DIFFERENCES = (
    Field("model", "model"),
    Field("minus", "minus"),
    Field("top1", "best frame found", signed),
    Field("top1", "better in", better_in),
    Field("pairs", "clear pairs", signed),
    Field("pairs", "better in", better_in),
)
UNCERTAINTY = (
    *SCORED,
    Field("third", "third by ±"),
    Field("sigma", "mean ±", points),
    Field("rmse", "RMSE"),
    Field("coverage", "90 % interval holds"),
    Field("srcc", "SRCC of ± with error"),
)
REJECTS = (
    *SCORED,
    Field("rejected", "rejected"),
    Field("regretted", "good rejected"),
    Field("false", "share good"),
    Field("bad", "bad photos"),
    Field("found", "share rejected"),
)
LEVELS = ("none", "slight", "clear", "severe")
ALWAYS_NONE = "always none"
LADDERS = (
    Field("distortion", "distortion"),
    Field("photos", "photos"),
    Field("order", "SRCC"),
    Field("in_order", "in order"),
    Field("won", "beats level 3", whole=True),
    *(Field(f"lost_{k}", f"lost {k}", lost, extra=k not in (3, 5)) for k in range(1, 6)),
)
NAMED = Field("named_from", "named at")
FAMILIES = (
    Field("family", "together"),
    Field("distortions", "kinds"),
    Field("photos", "photos"),
    Field("ladders", "ladders"),
    Field("order", "SRCC"),
    Field("won", "beats level 3", whole=True),
)
EXPOSURES = (
    Field("picture", "exposure"),
    Field("against", "against"),
    Field("photos", "photos"),
    Field("both", "beats both"),
    Field("darker", "the darker"),
    Field("brighter", "the brighter"),
    Field("lead", "ahead of middle", signed),
)


# --- scores against opinions ---


def study_sections(
    study: Study, by: str | None, groups: str | None, rule: Rule | None, good: float | None
) -> list[Section]:
    """Every section of a study that was asked for."""
    from iqcli.evaluation.agreement import GOOD

    parts = list(study.parts(by))
    several = len(study.models) > 1
    agreements = list(_agreements(parts))
    # One list of records, and too many columns for one table.
    sections = [Section("agreement", fields, agreements) for fields in (RANKS, LINES)]
    if several:
        sections.append(Section("differences", DIFFERENCES, list(_differences(parts))))
    if groups is not None:
        sections.append(Section("bursts", BURSTS, list(_bursts(study, groups))))
        if several:
            records = list(_burst_differences(study, groups))
            sections.append(Section("burst_differences", BURST_DIFFERENCES, records))
    if records := list(_uncertainties(parts)):
        sections.append(Section("uncertainty", UNCERTAINTY, records))
    if rule is not None:
        good = GOOD if good is None else good
        sections.append(Section("rejects", REJECTS, list(_rejects(parts, rule, good))))
    return sections


def study_notes(study: Study, sections: Sequence[Section]) -> Iterator[str]:
    """What the sections leave out, and why."""
    if study.left_out:
        yield f"{counted(study.left_out, 'photo')} left out: not every model has a score for them"
    for name in study.models:
        if not study.has_uncertainty(name):
            yield (
                f"{escape(name)} gives no uncertainty: none is checked, and errors in points mean "
                "nothing; `iq train scale` calibrates a method with a scale of its own"
            )
    yield from _curve_notes(sections)
    yield from interval_note(sections)


def interval_note(sections: Sequence[Section]) -> Iterator[str]:
    """What a figure without an interval means, if there is one."""
    if without_interval(sections):
        yield "[–]: no interval, since the photos are too few, or the values too much alike, for it"


def _curve_notes(sections: Sequence[Section]) -> Iterator[str]:
    """Which curves were not found, why, and what stands in their place."""
    whose: dict[tuple[str, str], list[str]] = {}
    for record in sections[0].records:
        for name in CURVES:
            given: Fitted = record[name]
            why = given.fit.failure or ("" if given.fit.rises else "falls")
            if why and math.isfinite(given.figure.value):
                scorer = f"{escape(record['scored_by'])} on {escape(record['of'])}"
                whose.setdefault((name, why), []).append(scorer)
    for (name, why), scorers in whose.items():
        of = first_few(scorers)
        title = name.replace("plcc_logistic_", "PLCC logistic ")
        if why == "falls":
            yield f"{title} of {of}: the curve falls for some scores, which may flatter them"
        else:
            yield f"{title} of {of}: no curve, {why}; it is the raw PLCC instead"


def _agreements(parts: Sequence[Study]) -> Records:
    for part in parts:
        for name, result in part.agreements():
            figures = result.figures
            in_points = part.in_points(name)
            yield {
                **{"photos": result.photos, "of": part.name, "scored_by": name},
                **{key: figures[key] for key in ("srcc", "krcc", "plcc")},
                **{key: Fitted(figures[key], fit) for key, fit in result.fits.items()},
                **{key: figures[key] if in_points else None for key in ("rmse", "mae")},
            }


def _differences(parts: Sequence[Study]) -> Records:
    for part in parts:
        for other, results in part.differences():
            model = part.models[0]
            both = part.in_points(model) and part.in_points(other)
            yield {
                **{"photos": len(part.kept), "of": part.name, "model": model, "minus": other},
                **{"srcc": results["srcc"], "rmse": results["rmse"] if both else None},
            }


def _bursts(study: Study, groups: str) -> Records:
    for name, result in study.bursts(groups):
        yield {
            **{"bursts": result.groups, "scored_by": name, "top1": result.top1},
            **{"chance": result.chance, "pairs": result.pairs},
        }


def _burst_differences(study: Study, groups: str) -> Records:
    for other, results in study.burst_differences(groups):
        yield {"model": study.models[0], "minus": other, **results}


def _uncertainties(parts: Sequence[Study]) -> Records:
    for part in parts:
        for name, result in part.uncertainties():
            for each in (result.whole, *result.thirds):
                yield {
                    **{"photos": each.photos, "of": part.name, "scored_by": name},
                    **{"third": each.name, "sigma": each.sigma, "rmse": each.rmse},
                    "coverage": each.coverage,
                    "srcc": result.srcc if each is result.whole else None,
                }


def _rejects(parts: Sequence[Study], rule: Rule, good: float) -> Records:
    for part in parts:
        for name, result in part.rejects(rule, good):
            yield {
                **{"photos": result.photos, "of": part.name, "scored_by": name},
                **{"rejected": result.rejected, "regretted": result.regretted},
                **{"false": result.false, "bad": result.bad, "found": result.found},
            }


# --- figures ---


def check_plots(folder: Path) -> None:
    """Raise IqError before anything is measured for what could not be drawn."""
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        raise IqError("--plots needs matplotlib; run `pip install 'iqcli[plots]'`")
    if folder.exists() and not folder.is_dir():
        raise IqError(f"--plots is {display_path(folder)}, which is a file; give a folder")
    refuse_to_write([folder.resolve()])


def draw(study: Study, name: str, by: str | None, folder: Path) -> None:
    """Write the figures into the folder, made if need be; old ones of these names are replaced."""
    from iqcli.evaluation.figures import draw_study
    from iqcli.fs.files import make_folders, write_atomic, writing

    figures = draw_study(study, name, by)
    with writing(folder, "give another folder"):
        make_folders(folder)
        for file, data in figures.items():
            write_atomic(folder / file, data)
    info(f"drawn: {', '.join(display_path(folder / file) for file in figures)}")


# --- levels of issues ---


def issue_sections(metrics: IssueMetrics, model: str) -> list[Section]:
    """How many photos have each level, how well it is predicted, and how often all is right."""
    label, levels = Field("label", "label"), [Field(level, level) for level in LEVELS]
    predicted = [Field(level, f"predicted {level}") for level in LEVELS]
    measures = [Field(measure, measure) for measure in MEASURES]
    by = Field("predicted_by", "predicted by")
    whole = (
        *(Field("photos", "photos"), by, Field("mean", "mean accuracy")),
        *(Field("exact", "all labels right"), Field("illegal", "contradictions")),
    )
    return [
        Section(
            "levels",
            (label, Field("photos", "photos"), *levels),
            list(map(_counts, metrics.labels)),
        ),
        Section("labels", (label, by, *measures), list(_label_records(metrics, model))),
        Section(
            "confusion", (label, Field("truly", "truly"), *predicted), list(_confusions(metrics))
        ),
        Section("photos", whole, list(_whole_photos(metrics, model))),
    ]


def _whole_photos(metrics: IssueMetrics, model: str) -> Records:
    for k, (name, illegal) in enumerate(((model, metrics.illegal), (ALWAYS_NONE, 0))):
        yield {
            **{"photos": metrics.photos, "predicted_by": name, "mean": metrics.mean[k]},
            **{"exact": metrics.exact[k], "illegal": illegal},
        }


def _counts(label: LabelMetrics) -> Record:
    true = label.confusion.sum(axis=1).tolist()
    return {"label": label.label, "photos": sum(true), **_padded(true)}


def _label_records(metrics: IssueMetrics, model: str) -> Records:
    for each in metrics.labels:
        for name, figures in ((model, each.figures), (ALWAYS_NONE, each.always_none)):
            yield {"label": each.label, "predicted_by": name, **figures}


def _confusions(metrics: IssueMetrics) -> Records:
    for each in metrics.labels:
        for level, row in zip(LEVELS, each.confusion.tolist(), strict=False):
            yield {"label": each.label, "truly": level, **_padded(row)}


def _padded(counts: Sequence[int]) -> Record:
    """A count a level; a label may have fewer levels than four."""
    return dict.fromkeys(LEVELS) | dict(zip(LEVELS, counts, strict=False))


# --- ladders ---


def ladder_sections(ladders: Sequence[Ladder], *, full_size: bool) -> list[Section]:
    """How well the scores follow each distortion, those that are alike, and all of them."""
    from iqcli.evaluation.robustness import summaries

    fields = (*LADDERS, NAMED) if full_size else LADDERS
    return [
        Section("ladders", fields, list(map(_ladder, ladders))),
        Section(
            "families",
            FAMILIES,
            [
                {
                    **{"family": each.name, "distortions": each.distortions},
                    **{"photos": each.photos, "ladders": each.ladders},
                    **{"order": each.order, "won": each.won},
                }
                for each in summaries(ladders)
            ],
        ),
    ]


def _ladder(ladder: Ladder) -> Record:
    return {
        **{"distortion": ladder.name, "photos": len(ladder.scores), "order": ladder.order},
        **{"in_order": ladder.whole, "won": ladder.won},
        **{f"lost_{level}": points for level, points in enumerate(ladder.lost, 1)},
        "named_from": ladder.named_from,
    }


def exposure_section(contests: Sequence[ExposureContest]) -> Section:
    """How often the well exposed picture of a series is the best."""
    records = [
        {
            **{"picture": each.picture, "against": f"±{each.stops} stops", "stops": each.stops},
            **{"photos": each.photos, "both": each.both},
            **{"darker": each.darker, "brighter": each.brighter, "lead": each.lead},
        }
        for each in contests
    ]
    return Section("exposure", EXPOSURES, records)
