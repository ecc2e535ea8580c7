"""`iq compare`: how much of an original an edit or a recompression has kept."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqcli.cli.console import counted, info, progress
from iqcli.cli.options import format_option, start_folder
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

# The measures by their title in a table, and their digits there.
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
        typer.Option(
            "--sort",
            help="Order by this column.",
            metavar="COLUMN",
            autocompletion=lambda: list(SORTABLE),
        ),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Turn the order round.")] = False,
    max_megapixels: Annotated[
        float | None, typer.Option(help="Refuse larger pictures [250].", metavar="N")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")] = False,
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
    tally = Tally()
    found = _measured(Path(original), Path(copy), settings, resize, tally, quiet=quiet)
    _render(_arranged(map(row, found), sort, reverse), form)
    return tally.finish(quiet=quiet)


class Tally:
    """What became of each pair."""

    def __init__(self) -> None:
        self.done = 0
        self.failed: list[str] = []
        self.alone: list[str] = []
        self.unlisted = 0

    def add(self, likeness: PairResult) -> None:
        pair = likeness.pair
        if pair.original is None or pair.copy is None:
            path = pair.original or pair.copy
            assert path
            self.alone.append(f"{display_path(path)}: {likeness.error}")
        elif likeness.error is not None:
            self.failed.append(
                f"{display_path(pair.original)}, {display_path(pair.copy)}: {likeness.error}"
            )
        else:
            self.done += 1

    def unlist(self, path: Path, why: str) -> None:
        self.unlisted += 1
        info(f"iq: {display_path(path)}: {why}")

    def finish(self, *, quiet: bool) -> Exit:
        """Say what was not compared and the counts, which add up; the exit code."""
        for sentence in (*self.failed, *self.alone):
            info(f"iq: {sentence}")
        if not quiet:
            failed = f", {len(self.failed):,} could not be" if self.failed else ""
            alone = f"; {counted(len(self.alone), 'photo')} alone" if self.alone else ""
            over = f"; {counted(self.unlisted, 'path')} passed over" if self.unlisted else ""
            total = counted(self.done + len(self.failed), "pair")
            info(f"{total}: {self.done:,} compared{failed}{alone}{over}")
        return Exit.SOME_FAILED if self.failed or self.alone or self.unlisted else Exit.DONE


def row(likeness: PairResult) -> rows.Row:
    """The record of a pair: every key of `COLUMNS`, None for what does not apply."""
    found: dict[str, Any] = dict.fromkeys(COLUMNS)
    found |= {"schema": SCHEMA, "width": likeness.width, "height": likeness.height}
    found |= {"notes": list(likeness.notes), "error": likeness.error}
    pair = {"original": likeness.pair.original, "copy": likeness.pair.copy}
    for name, path in pair.items():
        if path is not None:
            found |= {name: display_path(path), f"{name}_b64": exact(path)}
    for name in MEASURES if likeness.fidelity else ():
        value = getattr(likeness.fidelity, name)
        # Rounded to nothing, a difference would read as identical.
        found[name] = value and (round(value, DIGITS) or value)
    return found


def _format(given: str | None, settings: Settings) -> str:
    if given is not None:
        return choose(given, FORMATS)
    return settings.format if settings.format in FORMATS else "table"


def _measured(
    original: Path, copy: Path, settings: Settings, resize: bool, tally: Tally, *, quiet: bool
) -> Iterator[PairResult]:
    from iqcli.evaluation.pairs import compare_pair, pairs

    wanted = pairs(original, copy, tally.unlist)
    if not wanted:
        raise NothingFound(f"no photo in {display_path(original)} and {display_path(copy)}")
    limit = settings.max_megapixels
    found = (compare_pair(each, max_megapixels=limit, resize=resize) for each in wanted)
    for each in progress(found, len(wanted), quiet=quiet, things="pairs"):
        tally.add(each)
        yield each


def _arranged(found: Iterable[rows.Row], sort: str | None, reverse: bool) -> Iterable[rows.Row]:
    """In the order asked for; a row without a value comes last."""
    if sort is None:
        return list(found)[::-1] if reverse else found
    return ordered(found, lambda each: _key(each, sort), reverse=reverse)


def _key(each: rows.Row, sort: str) -> Any:
    return math.inf if sort == "psnr" and each["mse"] == 0 else each[sort]


def _render(found: Iterable[rows.Row], form: str) -> None:
    if form in rows.WRITERS:
        write(rows.to_text(form, found, COLUMNS))
    elif whole := [each for each in found if each["error"] is None]:
        from iqcli.output import table

        lines = [_line(each) for each in whole]
        if len(whole) > 1:
            lines.append(_means(whole))
        noted = any(line[-1] for line in lines)
        titles = ("copy", *(title for title, _ in MEASURES.values()), "notes")
        lines = lines if noted else [line[:-1] for line in lines]
        table.show(table.plain_table(titles if noted else titles[:-1], lines))


def _line(each: rows.Row) -> tuple[str, ...]:
    cells = [_cell(name, each[name]) for name in MEASURES]
    if each["mse"] == 0:
        cells[1] = INFINITE
    return each["copy"], *cells, "; ".join(each["notes"])


def _means(whole: list[rows.Row]) -> tuple[str, ...]:
    """The mean of each measure over the pairs that have it; PSNR over those that differ."""
    columns = ([each[name] for each in whole if each[name] is not None] for name in MEASURES)
    means = [sum(values) / len(values) if values else None for values in columns]
    cells = (_cell(name, mean) for name, mean in zip(MEASURES, means, strict=True))
    differing = sum(each["psnr"] is not None for each in whole)
    note = f"PSNR of {differing:,} of {len(whole):,}" if differing < len(whole) else ""
    return "mean", *cells, note


def _cell(name: str, value: float | None) -> str:
    return "–" if value is None else f"{value:.{MEASURES[name][1]}f}"
