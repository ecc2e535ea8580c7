"""Every model by name: its blocks, its weights and its licence. Known without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from iqcli.errors import IqError
from iqcli.features.extractor import PhotoBlock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iqcli.records import Rating, Vector

EMBEDDED = Path(__file__).parent.parent / "embedded"
BLOCKS = {
    block.name: block
    for block in (
        PhotoBlock("brisque", version=1, size=36, module="iqcli.features.brisque"),
        PhotoBlock("photometry", version=1, size=94, module="iqcli.features.photometry"),
        PhotoBlock("tiles", version=1, size=1008, module="iqcli.features.tiles"),
    )
}


class Model(Protocol):
    """Turns the blocks of photos into ratings."""

    @property
    def blocks(self) -> Sequence[PhotoBlock]:
        """What the pipeline must measure for it."""
        ...

    def rate(self, photos: Sequence[Mapping[str, Vector]]) -> list[Rating]:
        """One rating a photo, from its blocks by name."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A model as `iq models` lists it. `weights` is a safetensors file, `card` a Markdown one."""

    name: str
    summary: str
    licence: str
    weights: Path
    card: Path | None = None


ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            "fusion-mini",
            "the default: hand-made statistics fused by a small network, works offline",
            "MIT",
            EMBEDDED / "fusion-mini.safetensors",
            EMBEDDED / "fusion-mini.md",
        ),
        Entry(
            "brisque-refit",
            "a yardstick: the same network on the 36 BRISQUE features alone",
            "MIT",
            EMBEDDED / "brisque-refit.safetensors",
        ),
    )
}


def entry(name: str) -> Entry:
    """The model called `name`, or the trained file that `name` is the path of.

    Raises IqError with the names there are.
    """
    if name in ENTRIES:
        return ENTRIES[name]
    if name.endswith(".safetensors"):
        return Entry(Path(name).stem, "trained by you", "yours", Path(name))
    known = ", ".join(ENTRIES)
    raise IqError(f"there is no model {name!r}; give one of {known}, or a .safetensors file")


def load(name: str) -> Model:
    """The model ready to rate; raises IqError where its weights are missing or damaged."""
    from iqcli.models.rater import FusionModel

    return FusionModel(entry(name).weights)
