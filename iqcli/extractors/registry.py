"""The table of extractors: every block by name. Known without the libraries that do the work."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.extractors.base import AnyBlock, PhotoBlock
from iqcli.extractors.clip import ClipBlock
from iqcli.extractors.maclip import MaclipBlock
from iqcli.extractors.mini import MiniBlock
from iqcli.extractors.musiq import MusiqBlock
from iqcli.text import meant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iqcli.weights.store import WeightStore

# The folder of the files that come with iq.
EMBEDDED = Path(__file__).parent.parent / "data"
# Those that need no weights but what comes with iq.
BLOCKS: dict[str, AnyBlock] = {
    block.name: block
    for block in (
        PhotoBlock(
            "brisque", version=1, size=36, module="iqcli.extractors.brisque", within=(-100, 100)
        ),
        PhotoBlock(
            "photometry",
            version=1,
            size=94,
            module="iqcli.extractors.photometry",
            may_be_nan=False,
            edition=2,
        ),
        PhotoBlock(
            "tiles",
            version=2,
            size=1040,
            module="iqcli.extractors.tiles",
            within=(0, 510),
            edition=2,
        ),
        PhotoBlock(
            "grey",
            version=1,
            size=1024,
            module="iqcli.extractors.perceptual_hash",
            within=(0, 255),
            may_be_nan=False,
        ),
        PhotoBlock("niqe", version=1, size=702, module="iqcli.extractors.niqe"),
        MiniBlock(EMBEDDED / "mini.safetensors"),
    )
}


def block_table(store: WeightStore) -> dict[str, AnyBlock]:
    """Every block by name, with those that read the weights of this store."""
    clip = partial(ClipBlock, store=store)
    pulled = (
        clip("clip:ViT-B-32", "clip-vit-b-32", 512),
        clip("clip:ViT-L-14", "clip-vit-l-14", 768),
        clip("clip:RN50", "clip-rn50", 1024, whole=True),
        MaclipBlock("maclip", "clip-rn50", store=store),
        clip("qualiclip", "qualiclip", 1024, whole=True, edition=1),  # always float32
        MusiqBlock("musiq-koniq", store=store),
        MusiqBlock("musiq-spaq", store=store),
        MusiqBlock("musiq-paq2piq", store=store),
        MusiqBlock("musiq-ava", store=store),
    )
    return BLOCKS | {block.name: block for block in pulled}


def blocks_of(names: str, table: Mapping[str, AnyBlock]) -> tuple[AnyBlock, ...]:
    """The blocks of a list with commas, each once. Raises IqError for an unknown name."""
    wanted = dict.fromkeys(each.strip() for each in names.split(","))
    if unknown := [each for each in wanted if each not in table]:
        near = meant(unknown[0], table)
        raise IqError(f"there is no block {unknown[0]!r}{near}; give some of {', '.join(table)}")
    return tuple(table[each] for each in wanted)
