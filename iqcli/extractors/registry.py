"""The table of extractors: every block by name. Known without the libraries that do the work."""

from __future__ import annotations

from pathlib import Path

from iqcli.errors import IqError
from iqcli.extractors.base import AnyBlock, PhotoBlock
from iqcli.extractors.clip import ClipBlock
from iqcli.extractors.maclip import MaclipBlock
from iqcli.extractors.mini import MiniBlock
from iqcli.extractors.musiq import MusiqBlock

# The folder of the files that come with iq.
EMBEDDED = Path(__file__).parent.parent / "data"
BLOCKS: dict[str, AnyBlock] = {
    block.name: block
    for block in (
        PhotoBlock("brisque", version=1, size=36, module="iqcli.extractors.brisque"),
        PhotoBlock("photometry", version=1, size=94, module="iqcli.extractors.photometry"),
        PhotoBlock("tiles", version=2, size=1040, module="iqcli.extractors.tiles"),
        PhotoBlock("niqe", version=1, size=702, module="iqcli.extractors.niqe"),
        MiniBlock(EMBEDDED / "mini.safetensors"),
        ClipBlock("clip:ViT-B-32", "clip-vit-b-32", 512),
        ClipBlock("clip:ViT-L-14", "clip-vit-l-14", 768),
        ClipBlock("clip:RN50", "clip-rn50", 1024, whole=True),
        MaclipBlock("maclip", "clip-rn50"),
        ClipBlock("qualiclip", "qualiclip", 1024, whole=True, short=False),
        MusiqBlock("musiq-koniq"),
        MusiqBlock("musiq-spaq"),
        MusiqBlock("musiq-paq2piq"),
        MusiqBlock("musiq-ava"),
    )
}


def blocks_of(names: str) -> tuple[AnyBlock, ...]:
    """The blocks of a list with commas, each once. Raises IqError for an unknown name."""
    wanted = dict.fromkeys(each.strip() for each in names.split(","))
    if unknown := [each for each in wanted if each not in BLOCKS]:
        raise IqError(f"there is no block {unknown[0]!r}; give some of {', '.join(BLOCKS)}")
    return tuple(BLOCKS[each] for each in wanted)
