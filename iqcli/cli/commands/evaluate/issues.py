"""`iq eval` where people said which issues a photo has, and how badly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.cli.console import counted, info
from iqcli.errors import Exit, IqError
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.cli.session import Session
    from iqcli.evaluation.labels_csv import LabelledPhotos
    from iqcli.models.hex.graph import Levels
    from iqcli.models.hex.head import HexHead
LABELS = "hex6"


def labeller_for(session: Session, file: Path) -> HexHead | None:
    """The head of the model if its score is that of its issues, and the file has their labels."""
    from iqcli.evaluation import labels_csv
    from iqcli.models.hex.head import labeller

    head = labeller(session.model)
    return head if head and labels_csv.has_labels(file, head.graph) else None


def of_model(
    session: Session, head: HexHead, file: Path, images: Path | None, where: str | None
) -> Exit:
    """Let the model judge the photos of a file, and hold its levels against those in it."""
    import numpy as np

    from iqcli.cli.commands.evaluate import report
    from iqcli.evaluation import issue_metrics, labels_csv
    from iqcli.models.hex import graph as hexgraph

    graph, model = head.graph, session.model
    told = labels_csv.read(file, graph, images, where)
    found = list(session.measure(model.blocks, told.shots))
    kept = [k for k, each in enumerate(found) if each.blocks is not None]
    photos = [each.blocks for each in found if each.blocks is not None]
    if not photos:
        raise IqError("none of the photos could be read; give their folder with --images")
    names = head.reads
    blocks = {name: np.stack([each[name] for each in photos]) for name in names}
    chances = head.marginals(blocks)
    there = np.isfinite(chances).all(axis=1)
    true = told.levels[kept][there]
    if not true.any():
        raise IqError(f"nothing is known of the photos that {model.name} has levels for")
    said = hexgraph.levels_of(graph, chances[there])
    report.show_verdicts(
        issue_metrics.compare_levels(graph, true, said, chances[there]), model.name
    )
    _tell(told)
    if not there.all():
        info(f"{counted(int((~there).sum()), 'photo')} without a block that the model needs")
    return session.report("evaluated")


def of_predictions(file: Path, predictions: Path, labels: str | None, where: str | None) -> Exit:
    """Hold the levels of one file against those of another."""
    from iqcli.cli.commands.evaluate import report
    from iqcli.evaluation import issue_metrics, labels_csv
    from iqcli.models.hex import graph as hexgraph

    graph = hexgraph.named(labels or LABELS)
    told = labels_csv.read(file, graph, None, where)
    predicted = labels_csv.read(predictions, graph, None, None, labels_csv.PREDICTED)
    if not told.levels.any():
        raise IqError(
            f"{display_path(file)} says nothing of these photos; fill a column of a label"
        )
    said = _matched(told, predicted)
    report.show_verdicts(
        issue_metrics.compare_levels(graph, told.levels, said), escape(predictions.stem)
    )
    _tell(told)
    if predicted.file != told.file:
        _tell(predicted)
    return Exit.DONE


def _matched(told: LabelledPhotos, predicted: LabelledPhotos) -> Levels:
    """What was predicted of each photo of `told`, in its order.

    Raises IqError for a gap, and for two predictions of one photo that differ.
    """
    places: dict[str, int] = {}
    for k, name in enumerate(predicted.names):
        if (predicted.levels[places.setdefault(name, k)] != predicted.levels[k]).any():
            raise IqError(
                f"{display_path(predicted.file)} predicts two things of {escape(name)}; leave "
                "one out"
            )
    if missing := [name for name in told.names if name not in places]:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise IqError(
            f"{display_path(predicted.file)} predicts nothing of {escape(missing[0])}{more}; "
            "add it, or choose rows with --where"
        )
    said = predicted.levels[[places[name] for name in told.names]]
    gaps = ((said == 0) & (told.levels > 0)).any(axis=0)
    if gaps.any():
        label = predicted.graph.labels[int(gaps.argmax())].name
        raise IqError(
            f"{display_path(predicted.file)} leaves {label} of some photos open; fill its column"
        )
    return said


def _tell(told: LabelledPhotos) -> None:
    if told.shifted:
        info(f"{display_path(told.file)} counts levels from 0; read as 1 (none) and up")
