"""`iq train taste`: fit a model to one person's own stars."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.commands.evaluate.command import Images, MosRange, Where
from iqcli.cli.console import counted, info
from iqcli.cli.options import over_photos
from iqcli.cli.session import Session
from iqcli.errors import Exit, IqError
from iqcli.fs.files import make_folders, require_output, write_atomic
from iqcli.text import display_path

if TYPE_CHECKING:
    from iqcli.models.base import RatedModel
    from iqcli.models.fusion import TrainedHead
    from iqcli.training.taste import TasteComparison
    from iqcli.training.taste_data import RatedPhotos


@over_photos
def taste(
    session: Session,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where the taste goes [where --model taste looks]."),
    ] = None,
    images: Images = None,
    mos_range: MosRange = None,
    where: Where = None,
) -> Exit:
    """Learn your own taste from stars you gave: iq train taste FOLDER, or FILE.csv.

    Stars are read from XMP sidecars or the photos, or from a CSV file with the columns image and
    stars (-1 is rejected, 0 or nothing is unrated), and day if the photos have no dates. Days are
    held out in turn; the taste is adopted only where it beats the stock model on them. Use it with
    --model taste.
    """
    from iqcli.models import registry
    from iqcli.models.taste import FORMAT, keep_stock
    from iqcli.training.taste import compare_with_stock, fit, taste_samples, weight_file

    place = place_of(session, output, registry.TASTE, FORMAT, "taste")
    name, stock, head = _stock(session)
    try:
        rated = _rated(session, stock, images, mos_range, where)
    except IqError:
        if not session.counts.is_complete:  # they may be why there is too little
            session.report("read")
        raise
    known = taste_samples(rated, head)
    verdict = compare_with_stock(known)
    _tell(verdict, name)
    if not verdict.adopted:
        info(
            "not adopted: a taste must beat the stock model in both figures and in 80% of the "
            "resamples, and chance in 95%"
        )
        _say_what_stays(place)
        return _code(session)
    model, data = weight_file(fit(known), verdict, name, head.sizes)
    keep_stock(name, session.settings.data_dir)
    if output is None:
        make_folders(place.parent, 0o700)
    write_atomic(place, data)
    info(f"adopted {model}: wrote {display_path(place)}")
    info(f"use it with --model {registry.TASTE if output is None else display_path(place)}")
    return _code(session)


def place_of(session: Session, output: Path | None, name: str, form: str, what: str) -> Path:
    """Where a person's own model goes; refused before anything is measured if it cannot go there.

    `name` is the model in the registry, `form` the format of its file.
    """
    from iqcli.models.checkpoint import format_of

    if output is None:
        found = session.registry.entry(name).weights
        assert found
        return found
    require_output(
        output,
        suffixes=(".safetensors",),
        may_replace=lambda file: format_of(file) == form,
        kind=what,
    )
    return output


def _stock(session: Session) -> tuple[str, RatedModel, TrainedHead]:
    """The model that the taste will stand on: the one chosen, or the default under a taste."""
    from iqcli.models import registry
    from iqcli.models.fusion import TrainedHead

    chosen = session.settings.model
    name = registry.STOCK if chosen == registry.TASTE else chosen
    model = session.registry.load(name)
    if not isinstance(model.predictor, TrainedHead):
        raise IqError(
            f"a taste cannot stand on {chosen!r}; give --model {registry.STOCK}, or a file of "
            "`iq train fusion`"
        )
    return name, model, model.predictor


def _rated(
    session: Session,
    stock: RatedModel,
    images: Path | None,
    mos_range: str | None,
    where: str | None,
) -> RatedPhotos:
    from iqcli.evaluation import mos_csv
    from iqcli.training.taste_data import STARS, by_opinions, by_stars

    blocks = stock.blocks
    if len(session.given) == 1 and session.given[0].lower().endswith(".csv"):
        told = mos_csv.read(Path(session.given[0]), images, mos_range, where, usual=STARS)
        found = session.measure(blocks, [row.shot for row in told.rows])
        return by_opinions(told, found, stars=mos_range is None)
    for option, value in (("--images", images), ("--mos-range", mos_range), ("--where", where)):
        if value is not None:
            raise IqError(f"{option} goes with one CSV file; leave it out")
    return by_stars(session.measure(blocks, session.find()))


def _tell(verdict: TasteComparison, stock: str) -> None:
    one, two = verdict.stock, verdict.taste
    days = counted(verdict.days, "day")
    info(f"{counted(verdict.photos, 'photo')} with stars of {days}; each day was held out once")
    info(f"stock model ({stock}) on held-out days: SRCC {one.srcc:.3f}, pairs {one.pairs:.3f}")
    info(f"your taste on held-out days: SRCC {two.srcc:.3f}, pairs {two.pairs:.3f}")
    info(
        f"in {verdict.higher:.0%} of resamples of the days its SRCC is the higher one, in "
        f"{verdict.positive:.0%} it is above 0"
    )


def _say_what_stays(place: Path) -> None:
    from iqcli.models.taste import load

    if not place.exists():
        return
    try:
        info(f"{load(place).info['model']}, adopted earlier, stays in {display_path(place)}")
    except IqError as error:
        info(f"what was there stays: {error}")


def _code(session: Session) -> Exit:
    return session.report("read")
