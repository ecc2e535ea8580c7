"""`iq eval` on levels of issues: those of a model, or those that a file predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.cli.console import counted, info
from iqcli.errors import Exit, IqError
from iqcli.text import display_path, escape, first_few

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.cli.session import Session
    from iqcli.evaluation.labels_csv import LabelledPhotos
    from iqcli.models.hex.config import Graph
    from iqcli.models.hex.graph import Levels
    from iqcli.models.hex.head import HexHead
    from iqcli.records import Doubles

LABELS = "hex6"


def labeller_for(session: Session, file: Path) -> HexHead | None:
    """The head of the model if its score is that of its issues, and the file has their labels."""
    from iqcli.evaluation import labels_csv
    from iqcli.models.hex.head import labeller

    head = labeller(session.model)
    return head if head and labels_csv.has_labels(file, head.graph) else None


def evaluate_model(
    session: Session, head: HexHead, file: Path, images: Path | None, where: str | None, form: str
) -> Exit:
    """Compare the levels that the model predicts for the photos of a file with those in it."""
    import numpy as np

    from iqcli.evaluation import labels_csv
    from iqcli.models.hex.graph import levels_of

    model = session.model
    labels = labels_csv.read(file, head.graph, images, where)
    measured = list(session.measure(model.blocks, labels.shots))
    read = [k for k, photo in enumerate(measured) if photo.blocks is not None]
    photos = [photo.blocks for photo in measured if photo.blocks is not None]
    if not photos:
        raise IqError("none of the photos could be read; give their folder with --images")
    blocks = {name: np.stack([each[name] for each in photos]) for name in head.reads}
    chances = head.marginals(blocks)
    defined = np.isfinite(chances).all(axis=1)
    true = labels.levels[read][defined]
    if not true.any():
        raise IqError(f"nothing is known of the photos that {model.name} has levels for")
    predicted = levels_of(head.graph, chances[defined])
    _show(form, head.graph, true, predicted, model.name, chances[defined])
    _report_shift(labels)
    if not defined.all():
        info(f"{counted(int((~defined).sum()), 'photo')} without a block that the model needs")
    return session.report("evaluated")


def evaluate_predictions(
    file: Path, predictions: Path, graph_name: str | None, where: str | None, form: str
) -> Exit:
    """Compare the levels of one file with those of another."""
    from iqcli.evaluation import labels_csv
    from iqcli.models.hex.config import named

    graph = named(graph_name or LABELS)
    labels = labels_csv.read(file, graph, None, where)
    predicted = labels_csv.read(predictions, graph, None, None, labels_csv.PREDICTED)
    if not labels.levels.any():
        raise IqError(
            f"{display_path(file)} says nothing of these photos; fill a column of a label"
        )
    _show(form, graph, labels.levels, _matched(labels, predicted), escape(predictions.stem))
    for each in (labels, predicted) if predicted.file != file else (labels,):
        _report_shift(each)
    return Exit.DONE


def _show(
    form: str,
    graph: Graph,
    true: Levels,
    predicted: Levels,
    name: str,
    chances: Doubles | None = None,
) -> None:
    from iqcli.cli.commands.evaluate import report, sections
    from iqcli.evaluation.issue_metrics import compare_levels

    found = report.issue_sections(compare_levels(graph, true, predicted, chances), name)
    sections.show(found, form)
    for note in report.interval_note(found):
        info(note)


def _matched(labels: LabelledPhotos, predicted: LabelledPhotos) -> Levels:
    """The predicted levels (n, labels) of each photo of `labels`, in its order.

    Raises IqError for a gap, and for two predictions of one photo that differ.
    """
    places: dict[str, int] = {}
    for k, name in enumerate(predicted.names):
        if (predicted.levels[places.setdefault(name, k)] != predicted.levels[k]).any():
            raise IqError(
                f"{display_path(predicted.file)} predicts two things of {escape(name)}; leave one "
                "out"
            )
    if missing := [name for name in labels.names if name not in places]:
        names = first_few([escape(name) for name in missing], 1)
        raise IqError(
            f"{display_path(predicted.file)} predicts nothing of {names}; add it, or choose rows "
            "with --where"
        )
    levels = predicted.levels[[places[name] for name in labels.names]]
    gaps = ((levels == 0) & (labels.levels > 0)).any(axis=0)
    if gaps.any():
        label = predicted.graph.labels[int(gaps.argmax())].name
        raise IqError(
            f"{display_path(predicted.file)} leaves {label} of some photos open; fill its column"
        )
    return levels


def _report_shift(labels: LabelledPhotos) -> None:
    from iqcli.models.hex.config import LEVELS

    if labels.shifted:
        info(f"{display_path(labels.file)} counts levels from 0: 0, 1, 2, 3 are {LEVELS}")
