"""`iq explain`: why a photo got its score, as JSON for a program or in words for a person."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from iqcli.cli.console import counted, info
from iqcli.cli.options import format_option, over_photos
from iqcli.cli.output import choose
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError, PhotoError
from iqcli.fs.files import require_output, writing
from iqcli.output.stdout import write
from iqcli.text import display_path, escape, exact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iqcli.evaluation.explain import BlockEffect, Explanation, Tile
    from iqcli.records import Photo, Rating, Shot, Vector

FORMATS = ("text", "json")
SCHEMA = 1
# Blocks that the words are made of, whether the model reads them or not.
ALWAYS = ("photometry", "tiles")
# The share (%) of the folder from which a feature stands out, and how many are listed at most.
OUTSTANDING, MOST = 80.0, 6
# The probability from which an issue is listed, though it may not be named.
LIKELY = 0.05
TRAINING = "the photos that the model learnt from"
# Levels 2 to 4.
LEVELS = ("slight or worse", "clear or worse", "severe")


@over_photos
def explain(
    session: Session,
    # Takes the place of the shared argument; the path is in `session`.
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
    format: Annotated[str, format_option(FORMATS)] = "text",
) -> Exit:
    """Explain the score of one photo.

    The effect of each block of the model is found by putting the median of the folder in its place,
    one at a time: blocks work together, so the effects need not add up. With fewer than five other
    photos it is the median of those that the model learnt from.
    """
    choose(format, FORMATS)
    if heatmap is not None:
        require_output(heatmap, suffixes=(".png", ".PNG"))
    shot = _shot(session)
    explanation, tiles, unread = _explained(session, shot, among)
    folder = among or shot.path.parent
    if format == "json":
        write([json.dumps(to_record(explanation, folder), ensure_ascii=False) + "\n"])
    else:
        write(f"{line}\n" for line in to_text(explanation, folder))
    if unread and not session.quiet:
        info(
            f"{counted(unread, 'photo')} of {display_path(folder)} could not be read and did "
            "not count"
        )
    if heatmap is not None:
        _draw(session, explanation.photo.shot.path, tiles, heatmap)
    return Exit.DONE


def _shot(session: Session) -> Shot:
    """The shot of the one photo that is given."""
    if len(session.paths) != 1 or "-" in session.given:
        raise IqError("explain takes one photo; name it")
    (path,) = session.paths
    if path.is_dir():
        raise IqError(f"{display_path(path)} is a folder; name one photo, or see `iq rank`")
    unlisted: list[str] = []
    shots = list(session.walk([path], lambda _, why: unlisted.append(why)))
    if not shots and not unlisted:
        raise IqError(f"{display_path(path)} is excluded, by --exclude or your settings; lift that")
    if not shots:
        raise PhotoError(f"{display_path(path)}: {unlisted[0]}")
    return shots[0]


def _others(session: Session, shot: Shot, among: Path | None) -> list[Shot]:
    """The shots to compare with: those of the folder given, else those right beside the photo."""
    from iqcli.photos.folder import Rules, looks_like_photo, read_folder
    from iqcli.photos.ignore import Ignore
    from iqcli.records import Shot

    if among is not None:
        if among.exists() and not among.is_dir():
            raise IqError(f"--among is {display_path(among)}, which is a file; give a folder")
        shots = list(session.walk([among], session.skip, passed=session.passed))
    else:
        folder = shot.path.parent
        ignore = Ignore.of(folder, session.settings.exclude)
        beside = read_folder(
            folder, Rules(session.follow_links, session.default_excludes, looks_like_photo)
        )
        shots = [
            Shot(folder, folder / first, tuple(folder / name for name in rest))
            for first, rest in beside.shots
            if beside.in_cloud.isdisjoint((first, *rest)) and not ignore.source(first)
        ]
    return [each for each in shots if not each.path.samefile(shot.path)]


def _explained(session: Session, shot: Shot, among: Path | None) -> tuple[Explanation, Vector, int]:
    """The explanation, the tiles of the photo, and how many of the others could not be read."""
    from iqcli.evaluation.explain import explain
    from iqcli.extractors.registry import BLOCKS
    from iqcli.models.scoring import judge

    model = session.model
    blocks = {block.name: block for block in (*model.blocks, *(BLOCKS[name] for name in ALWAYS))}
    others = _others(session, shot, among)
    measured = list(session.measure(list(blocks.values()), [shot, *others]))
    own, *peers = judge(measured, model)
    if own.error is not None:
        raise PhotoError(f"{display_path(shot.path)}: {own.error}")
    whole = [each.blocks for each in measured if each.blocks is not None]
    explanation = explain(model, whole[0], whole[1:], own, peers)
    return explanation, whole[0]["tiles"], len(measured) - len(whole)


def _draw(session: Session, photo: Path, tiles: Vector, file: Path) -> None:
    from iqcli.extractors.schema import LAYERS, maps
    from iqcli.fs.durable import create
    from iqcli.fs.read import read_bytes
    from iqcli.output.heatmap import draw_panels
    from iqcli.photos.read import read_photo
    from iqcli.photos.time_limit import at_most

    limit = session.settings.max_megapixels
    with at_most(session.settings.max_seconds):
        _, views = read_photo(read_bytes(photo)[0], max_megapixels=limit)
    with writing(file, "give another name"):
        create(file, draw_panels(views.scoring, maps(tiles[None])[0], LAYERS))
    info(f"drawn: {display_path(file)}")


# --- as JSON ---


def to_record(explanation: Explanation, folder: Path) -> dict[str, Any]:
    """Everything as raw numbers, for a program; None for what does not apply."""
    from iqcli.output.rows import issue_record

    photo, rating, tile = explanation.photo, explanation.photo.rating, explanation.tile
    assert rating
    predicted = {each.issue for each in explanation.chances}
    own = [issue_record(each) for each in rating.issues if each.name not in predicted]
    levels = {each.name: each.level for each in rating.issues}
    return {
        "schema": SCHEMA,
        "path": display_path(photo.shot.path),
        "path_b64": exact(photo.shot.path),
        "sha256": photo.sha256,
        "model": rating.model,
        "score": rating.score,
        "uncertainty": rating.uncertainty,
        "technical": rating.technical,
        "aesthetic": rating.aesthetic,
        "among": display_path(folder),
        "rank": explanation.rank,
        "of": explanation.of,
        "percentile": explanation.percentile,
        "against": explanation.against,
        "blocks": [asdict(each) for each in explanation.effects],
        "features": [asdict(each) for each in explanation.features],
        "issues": [
            *({**each, "at_least": {}} for each in own),
            *(
                {
                    "name": each.issue,
                    "level": levels.get(each.issue, 1),
                    "at_least": {str(level): p for level, p in enumerate(each.at_least, 2)},
                }
                for each in explanation.chances
            ),
        ],
        "sharpest": tile
        and {
            "row": tile.row,
            "column": tile.column,
            "place": tile.place,
            "sharpness": tile.sharpness,
            "percentile": tile.percentile,
        },
        "reasons": _reasons(photo, rating),
    }


# --- as text ---


def to_text(explanation: Explanation, folder: Path) -> Iterator[str]:
    """The same for a person, line by line."""
    path, rating = explanation.photo.shot.path, explanation.photo.rating
    assert rating
    sigma = "" if rating.uncertainty is None else f" ± {rating.uncertainty:.1f}"
    yield f"{display_path(path)}: {rating.score:.1f}{sigma} of 10 by {rating.model}"
    yield f"number {explanation.rank:,} of {explanation.of:,} in {display_path(folder)}"
    if rating.aesthetic is not None:
        technical = "–" if rating.technical is None else f"{rating.technical:.1f}"
        yield f"its parts: technical {technical}, aesthetic {rating.aesthetic:.1f}"
    yield from _effect_lines(explanation)
    yield from _feature_lines(explanation)
    yield from _issue_lines(explanation, rating)
    if explanation.tile:
        yield _tile_line(explanation.tile)
    for reason in _reasons(explanation.photo, rating):
        yield f"note: {reason}"


def _reasons(photo: Photo, rating: Rating) -> list[str]:
    """Which files of the shot are broken, and what the model could not use."""
    return [*(escape(each.reason) for each in photo.broken), *rating.reasons]


def _effect_lines(explanation: Explanation) -> Iterator[str]:
    if explanation.against is None:
        yield "the effects of the blocks are unknown: too few photos to compare with"
        return
    of = "the folder" if explanation.against == "folder" else TRAINING
    yield f"points by which each block moved the score, against the median of {of}:"
    for each in explanation.effects:
        undefined = "" if each.defined else " (the picture is too even or too small for it)"
        yield f"  {each.score:+z.2f}  {each.name}{undefined}{_parts(each)}"
    yield "  (one at a time, the others left as they are: they need not add up)"


def _parts(effect: BlockEffect) -> str:
    if effect.aesthetic is None:
        return ""
    technical = "" if effect.technical is None else f"technical {effect.technical:+z.2f}, "
    return f" ({technical}aesthetic {effect.aesthetic:+z.2f})"


def _feature_lines(explanation: Explanation) -> Iterator[str]:
    if not explanation.features:
        return
    outstanding = [each for each in explanation.features if each.words[1] >= OUTSTANDING][:MOST]
    if not outstanding:
        yield "light, colour, sharpness and noise: nothing stands out"
        return
    yield "what stands out:"
    crowd = "the others" if explanation.against == "folder" else TRAINING
    for each in outstanding:
        word, share = each.words
        yield f"  {word} than {_share(share, crowd)}"


def _share(share: float, crowd: str) -> str:
    """Rounded down: "all" means all of them."""
    return f"all of {crowd}" if share == 100 else f"{int(share)} % of {crowd}"


def _issue_lines(explanation: Explanation, rating: Rating) -> Iterator[str]:
    from iqcli.output.rows import issue_record
    from iqcli.output.table import describe_issues, phrase_of

    seen = describe_issues(map(issue_record, rating.issues))
    yield f"issues: {seen or 'none seen'}"
    for each in explanation.chances:
        if each.at_least[0] >= LIKELY:
            levels = zip(LEVELS, each.at_least, strict=False)
            chances = ", ".join(f"{level} {_chance(p)}" for level, p in levels)
            yield f"  {phrase_of(each.issue)}: {chances}"


def _chance(p: float) -> str:
    """Never 0 % nor 100 %: nothing is that sure."""
    return "under 1 %" if p < 0.01 else "over 99 %" if p > 0.99 else f"{100 * p:.0f} %"


def _tile_line(tile: Tile) -> str:
    from iqcli.extractors.schema import GRID

    text = f"sharpest: {tile.place} (row {tile.row}, column {tile.column} of {GRID} x {GRID} tiles)"
    if tile.percentile is None:
        return text
    softer = tile.percentile < 50
    share = 100 - tile.percentile if softer else tile.percentile
    word = "softer" if softer else "sharper"
    return f"{text}, {word} than the sharpest of {_share(share, 'the others')}"
