"""`iq explain`: why a photo got its score."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.console import counted, say
from iqcli.cli.options import over_photos
from iqcli.cli.session import Run
from iqcli.errors import Exit, IqError, PhotoError
from iqcli.extractors.schema import LAYERS, maps
from iqcli.output.stdout import write
from iqcli.text import shown

if TYPE_CHECKING:
    from iqcli.evaluation.explain import Explanation
    from iqcli.records import Shot, Vector

FORMATS = ("text", "json")
# What the words are made of, whether the model reads it or not.
ALWAYS = ("photometry", "tiles")


@over_photos
def explain(
    run: Run,
    # Takes the place of the shared argument; the path is in `run`.
    paths: Annotated[
        list[str] | None, typer.Argument(help="The photo.", metavar="PHOTO", show_default=False)
    ] = None,
    among: Annotated[
        Path | None,
        typer.Option(
            "--among", help="Compare with this folder, not with its own.", metavar="FOLDER"
        ),
    ] = None,
    heatmap: Annotated[
        Path | None,
        typer.Option(
            "--heatmap", help="Draw sharpness, clipping and noise by tile.", metavar="FILE.png"
        ),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="text or json.",
            metavar="FORMAT",
            autocompletion=lambda: list(FORMATS),
        ),
    ] = "text",
) -> Exit:
    """Tell what moved the score of one photo.

    What each block of the model was worth is found by putting the median of the folder in its
    place, one at a time: blocks work together, so these changes need not add up. With fewer than
    five other photos it is the median of those that the model learnt from.
    """
    if format not in FORMATS:
        raise IqError(f"--format is {format!r}; give one of {', '.join(FORMATS)}")
    if heatmap is not None:
        _check(heatmap)
    shot = _shot(run)
    from iqcli.cli.commands import explained  # deferred: `iq --help` needs no tables

    found, tiles, unread = _explained(run, shot, among)
    folder = among or shot.path.parent
    if format == "json":
        write([json.dumps(explained.record(found, folder), ensure_ascii=False) + "\n"])
    else:
        write(f"{line}\n" for line in explained.in_words(found, folder))
    if unread and not run.quiet:
        say(f"{counted(unread, 'photo')} of {shown(folder)} could not be read and did not count")
    if heatmap is not None:
        _draw(run, shot.path, tiles, heatmap)
    return Exit.DONE


def _shot(run: Run) -> Shot:
    """The shot of the one photo that is named."""
    from iqcli.photos.find import find_shots

    if len(run.paths) != 1 or "-" in run.given:
        raise IqError("explain takes one photo; name it")
    (path,) = run.paths
    if path.is_dir():
        raise IqError(f"{shown(path)} is a folder; name one photo, or see `iq rank`")
    unlisted: list[str] = []
    shots = list(find_shots([path], on_problem=lambda _, why: unlisted.append(why)))
    if not shots:
        raise PhotoError(f"{shown(path)}: {unlisted[0]}")
    return shots[0]


def _others(run: Run, shot: Shot, among: Path | None) -> list[Shot]:
    """The shots to compare with: those of the folder given, else those right beside the photo."""
    from iqcli.photos.find import find_shots
    from iqcli.photos.folder import Rules, looks_like_photo, read_folder
    from iqcli.records import Shot

    if among is not None:
        if among.exists() and not among.is_dir():
            raise IqError(f"--among is {shown(among)}, which is a file; give a folder")
        found = list(
            find_shots(
                [among],
                follow_links=run.follow_links,
                default_excludes=run.default_excludes,
                on_problem=lambda path, why: say(f"iq: {shown(path)}: {why}"),
            )
        )
    else:
        folder = shot.path.parent
        beside = read_folder(
            folder, Rules(run.follow_links, run.default_excludes, looks_like_photo)
        )
        found = [
            Shot(folder, folder / first, tuple(folder / name for name in rest))
            for first, rest in beside.shots
            if beside.away.isdisjoint((first, *rest))
        ]
    return [each for each in found if not each.path.samefile(shot.path)]


def _explained(run: Run, shot: Shot, among: Path | None) -> tuple[Explanation, Vector, int]:
    """The explanation, the tiles of the photo, and how many of the others could not be read."""
    from iqcli.evaluation.explain import explain
    from iqcli.models.registry import BLOCKS, load
    from iqcli.models.scoring import judge

    model = load(run.settings.model)
    blocks = {block.name: block for block in (*model.blocks, *(BLOCKS[name] for name in ALWAYS))}
    others = _others(run, shot, among)
    measured = list(run.measured(list(blocks.values()), [shot, *others]))
    own, *peers = judge(measured, model)
    if own.error is not None:
        raise PhotoError(f"{shown(shot.path)}: {own.error}")
    whole = [each.blocks for each in measured if each.blocks is not None]
    found = explain(model, whole[0], whole[1:], own, peers)
    return found, whole[0]["tiles"], len(measured) - len(whole)


def _check(heatmap: Path) -> None:
    """Refuse before anything is measured what could not be written."""
    if heatmap.suffix.lower() != ".png":
        raise IqError(f"--heatmap is {shown(heatmap)}; give a name that ends in .png")
    if os.path.lexists(heatmap):
        raise IqError(f"{shown(heatmap)} exists and is not overwritten; give another name")
    if not heatmap.absolute().parent.is_dir():
        raise IqError(f"there is no folder {shown(heatmap.parent)}; make it first")


def _draw(run: Run, photo: Path, tiles: Vector, file: Path) -> None:
    from iqcli.fs.durable import create
    from iqcli.output.heatmap import drawn
    from iqcli.photos.read import read_photo
    from iqcli.pipeline.sidecars import read_bytes

    limit = run.settings.max_megapixels
    _, views = read_photo(read_bytes(photo)[0], max_megapixels=limit)
    try:
        create(file, drawn(views.head, maps(tiles[None])[0], LAYERS))
    except OSError as error:
        why = error.strerror or error
        raise IqError(f"cannot write {shown(file)}: {why}; give another name") from error
    say(f"drawn: {shown(file)}")
