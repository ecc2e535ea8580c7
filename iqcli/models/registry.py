"""Every model by name: its blocks, its weights and its licence. Known without torch."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from iqcli import weights
from iqcli.errors import IqError
from iqcli.features.extractor import AnyBlock, PhotoBlock
from iqcli.features.mini import MiniBlock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iqcli.records import Experience, Rating, Unrated, Vector

EMBEDDED = Path(__file__).parent.parent / "embedded"
BLOCKS: dict[str, AnyBlock] = {
    block.name: block
    for block in (
        PhotoBlock("brisque", version=1, size=36, module="iqcli.features.brisque"),
        PhotoBlock("photometry", version=1, size=94, module="iqcli.features.photometry"),
        PhotoBlock("tiles", version=1, size=1008, module="iqcli.features.tiles"),
        MiniBlock(EMBEDDED / "mini.safetensors"),
    )
}


# The module that loads every head of ours.
HEADS = "iqcli.models.rater"


class Model(Protocol):
    """Turns the blocks of photos into ratings."""

    @property
    def blocks(self) -> Sequence[AnyBlock]:
        """What the pipeline must measure for it."""
        ...

    @property
    def experience(self) -> Experience | None:
        """How it did on photos that it had not learnt from; None where it does not say."""
        ...

    def rate(self, photos: Sequence[Mapping[str, Vector]]) -> Sequence[Rating | Unrated]:
        """One rating a photo, from its blocks by name, or why there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A model as `iq models` lists it.

    `weights` is a safetensors file of ours, `card` a Markdown one; `needs` are rows of
    `iqcli.weights`. `module` offers `make(entry) -> Model`.
    """

    name: str
    summary: str
    licence: str
    weights: Path | None = None
    card: Path | None = None
    needs: tuple[str, ...] = ()
    module: str = HEADS

    @property
    def is_ready(self) -> bool:
        """Whether nothing has to be pulled or trained first."""
        own = self.weights is None or self.weights.is_file()
        return own and all(map(weights.is_there, self.needs))


ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            "fusion-mini",
            "the default: a small network of our own and hand-made statistics, works offline",
            "MIT",
            EMBEDDED / "fusion-mini.safetensors",
            EMBEDDED / "fusion-mini.md",
        ),
        Entry(
            "dkl",
            "a Gaussian process on the same network: as good a score, another doubt",
            "MIT",
            EMBEDDED / "dkl.safetensors",
        ),
        Entry(
            "brisque-refit",
            "a yardstick: the same network on the 36 BRISQUE features alone",
            "MIT",
            EMBEDDED / "brisque-refit.safetensors",
        ),
    )
}
# What a taste stands on unless another is chosen, and the name of the taste itself.
STOCK = "fusion-mini"
TASTE = "taste"
# What a trained file says it is -> the module that loads it; heads are the rule.
FORMATS = {"iq-taste-1": "iqcli.models.taste"}


def entry(name: str) -> Entry:
    """The model called `name`, or the trained file that `name` is the path of.

    Raises IqError with the names there are.
    """
    if name in ENTRIES:
        return ENTRIES[name]
    if name == TASTE:
        return _taste()
    if name.endswith(".safetensors"):
        module = FORMATS.get(format_of(Path(name)) or "", HEADS)
        return Entry(Path(name).stem, "trained by you", "yours", Path(name), module=module)
    known = ", ".join([*ENTRIES, TASTE])
    raise IqError(f"there is no model {name!r}; give one of {known}, or a .safetensors file")


def load(name: str) -> Model:
    """The model ready to rate; raises IqError where its weights are missing or damaged."""
    found = entry(name)
    if name == TASTE and not found.is_ready:
        raise IqError(
            "you have no taste yet; rate photos with stars and give their folder to "
            "`iq train taste FOLDER`"
        )
    weights.require(found.needs, found.name)
    model: Model = import_module(found.module).make(found)
    return model


def format_of(file: Path) -> str | None:
    """What kind of model a safetensors file says it holds, None for a file that says nothing."""
    from iqcli.models import weightfile

    try:
        info = weightfile.account(file)
    except weightfile.UNREADABLE:
        return None
    return str(info.get("format")) if isinstance(info, dict) else None


def _taste() -> Entry:
    from iqcli import settings

    folder = settings.load({}, None).data_dir
    summary = "your own stars on top of a stock model; made by `iq train taste`"
    module = "iqcli.models.taste"
    return Entry(TASTE, summary, "yours", folder / "taste.safetensors", module=module)
