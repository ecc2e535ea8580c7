"""`iq compare`: how close copies are to their originals, pair by pair."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqcli.cli.console import counted, info, problem, progress
from iqcli.cli.options import (
    MaxMegapixels,
    Quiet,
    Reverse,
    choice_option,
    format_option,
    start_folder,
)
from iqcli.cli.output import choose, ordered
from iqcli.errors import Exit, IqError, NothingFound
from iqcli.output import rows
from iqcli.output.stdout import write
from iqcli.settings import load
from iqcli.text import display_path, exact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from iqcli.evaluation.pairs import PairResult
    from iqcli.settings import Settings

# The measures by name: their title in a table, and their digits there.
MEASURES = {
    "mse": ("MSE", 2),
    "psnr": ("PSNR", 2),
    "ssim": ("SSIM", 4),
    "ms_ssim": ("MS-SSIM", 4),
    "fsim": ("FSIM", 4),
    "vif": ("VIF", 4),
}
COLUMNS = (
    *("schema", "original", "copy", "width", "height", *MEASURES),
    *("notes", "error", "original_b64", "copy_b64"),
)
SORTABLE = ("original", "copy", "width", "height", *MEASURES)
FORMATS = ("table", *rows.WRITERS)
SCHEMA, DIGITS = 1, 6
INFINITE = "∞"


def compare(
    original: Annotated[
        str, typer.Argument(help="The original, or a folder of originals.", metavar="ORIGINAL")
    ],
    copy: Annotated[
        str, typer.Argument(help="Its edit or recompression, or their folder.", metavar="COPY")
    ],
    resize: Annotated[
        bool, typer.Option("--resize", help="Scale a copy of another size to the original's.")
    ] = False,
    format: Annotated[
        str | None,
        format_option(FORMATS),
    ] = None,
    sort: Annotated[
        str | None,
        choice_option("--sort", help="Sort by this column.", choices=SORTABLE, metavar="COLUMN"),
    ] = None,
    reverse: Reverse = False,
    max_megapixels: MaxMegapixels = None,
    quiet: Quiet = False,
) -> Exit:
    """Measure how close a copy is to its original.

    Both are read at full size, upright, as sRGB. Folders pair by name: DSC1.jpg with DSC1.webp.

    MSE is the mean squared error in levels of 0..255; 0 is identical. PSNR is the same in decibels:
    above 40 hardly anybody sees a difference, below 30 most do. Both over red, green and blue.

    SSIM and MS-SSIM (structure of the luma), FSIM (edges and colour, at a short side near 256) and
    VIF (information kept, of the luma) are 1 for an identical copy and fall with what is lost; VIF
    falls first, and may pass 1 where contrast was added.
    """
    if not original or not copy:  # not "here": a script's variable is not set
        raise IqError("a path is empty; name an original and its copy, or their folders")
    settings = load({"max_megapixels": max_megapixels}, start_folder([original]))
    form = _format(format, settings)
    if sort is not None:
        choose(sort, SORTABLE, "--sort")
    counts = PairCounts()
    results = _compared(Path(original), Path(copy), settings, resize, counts, quiet=quiet)
    _write(_arranged(map(to_row, results), sort, reverse), form)
    for sentence in (*counts.failed, *counts.unpaired):
        info(f"iq: {sentence}")
    if not quiet:
        info(counts.describe())
    return counts.exit_code


@dataclass
class PairCounts:
    """What became of the pairs; `failed` and `unpaired` are sentences."""

    done: int = 0
    failed: list[str] = field(default_factory=list)
    unpaired: list[str] = field(default_factory=list)
    unlisted: int = 0

    def add(self, result: PairResult) -> None:
        """Count a pair, or a photo without a partner."""
        paths = [path for path in (result.pair.original, result.pair.copy) if path is not None]
        sentence = f"{', '.join(map(display_path, paths))}: {result.error}"
        if len(paths) < 2:
            self.unpaired.append(sentence)
        elif result.error is not None:
            self.failed.append(sentence)
        else:
            self.done += 1

    def skip(self, path: Path, reason: str) -> None:
        """Show why a path is passed over, and count it."""
        self.unlisted += 1
        problem(path, reason)

    def describe(self) -> str:
        """The counts in one line."""
        total = counted(self.done + len(self.failed), "pair")
        failed = f", {len(self.failed):,} could not be compared" if self.failed else ""
        alone = f"; {counted(len(self.unpaired), 'photo')} unpaired" if self.unpaired else ""
        skipped = f"; {counted(self.unlisted, 'path')} passed over" if self.unlisted else ""
        return f"{total}: {self.done:,} compared{failed}{alone}{skipped}"

    @property
    def exit_code(self) -> Exit:
        """The exit code of the command."""
        return Exit.SOME_FAILED if self.failed or self.unpaired or self.unlisted else Exit.DONE


def _format(given: str | None, settings: Settings) -> str:
    if given is not None:
        return choose(given, FORMATS)
    return settings.format if settings.format in FORMATS else "table"


def _compared(
    original: Path, copy: Path, settings: Settings, resize: bool, counts: PairCounts, *, quiet: bool
) -> Iterator[PairResult]:
    """Every pair compared, and every photo without a partner, counted, under a progress bar."""
    from iqcli.evaluation.pairs import compare_pair, pairs
    from iqcli.photos.time_limit import at_most

    found = pairs(original, copy, counts.skip, settings.exclude)
    if not found:
        raise NothingFound(f"no photo in {display_path(original)} and {display_path(copy)}")
    limit = settings.max_megapixels
    results = (compare_pair(each, max_megapixels=limit, resize=resize) for each in found)
    with at_most(settings.max_seconds):
        for result in progress(results, len(found), quiet=quiet, things="pairs"):
            counts.add(result)
            yield result


# --- rows ---


def to_row(result: PairResult) -> rows.Row:
    """The record of a pair: every key of `COLUMNS`, None for what does not apply."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"schema": SCHEMA, "width": result.width, "height": result.height}
    row |= {"notes": list(result.notes), "error": result.error}
    for name, path in (("original", result.pair.original), ("copy", result.pair.copy)):
        if path is not None:
            row |= {name: display_path(path), f"{name}_b64": exact(path)}
    for name in MEASURES if result.fidelity else ():
        value = getattr(result.fidelity, name)
        # Rounded to nothing, a difference would read as identical.
        row[name] = value and (round(value, DIGITS) or value)
    return row


def _arranged(found: Iterable[rows.Row], sort: str | None, reverse: bool) -> Iterable[rows.Row]:
    """In the order asked for; a row without a value comes last."""
    if sort is None:
        return list(found)[::-1] if reverse else found
    return ordered(found, lambda row: _sort_key(row, sort), reverse=reverse)


def _sort_key(row: rows.Row, sort: str) -> Any:
    return math.inf if sort == "psnr" and row["mse"] == 0 else row[sort]


def _write(found: Iterable[rows.Row], form: str) -> None:
    """Write the rows to stdout. A table shows the pairs compared; the other formats show all."""
    if form in rows.WRITERS:
        write(rows.to_text(form, found, COLUMNS))
    elif compared := [row for row in found if row["error"] is None]:
        from iqcli.output import table

        lines = [_line(row) for row in compared]
        if len(compared) > 1:
            lines.append(_means(compared))
        titles = ["copy", *(title for title, _ in MEASURES.values()), "notes"]
        width = len(titles) if any(line[-1] for line in lines) else len(titles) - 1
        table.show(table.plain_table(titles[:width], [line[:width] for line in lines]))


def _line(row: rows.Row) -> tuple[str, ...]:
    cells = {name: _cell(name, row[name]) for name in MEASURES}
    if row["mse"] == 0:
        cells["psnr"] = INFINITE
    return row["copy"], *cells.values(), "; ".join(row["notes"])


def _means(compared: list[rows.Row]) -> tuple[str, ...]:
    """The mean of each measure over the pairs that have it; PSNR over those that differ."""
    columns = {name: [row[name] for row in compared if row[name] is not None] for name in MEASURES}
    cells = (
        _cell(name, sum(values) / len(values) if values else None)
        for name, values in columns.items()
    )
    differing = len(columns["psnr"])
    note = f"PSNR of {differing:,} of {len(compared):,}" if differing < len(compared) else ""
    return "mean", *cells, note


def _cell(name: str, value: float | None) -> str:
    return "–" if value is None else f"{value:.{MEASURES[name][1]}f}"
