"""The heads that were fitted to opinions here, by what their files say they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.models import checkpoint, fusion, gaussian_process
from iqcli.models.base import check_blocks

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from iqcli.extractors.base import AnyBlock
    from iqcli.models.base import Source
    from iqcli.models.fusion import TrainedHead


def predictor(source: Source) -> TrainedHead:
    """The head of an entry's own file. Raises IqError like `load`."""
    return load(source.file, source.blocks)


def load(path: Path, table: Mapping[str, AnyBlock]) -> TrainedHead:
    """The fusion network or Gaussian process of a file.

    Raises IqError for a file that is missing or holds neither, or needs other blocks than these.
    """
    is_process = checkpoint.format_of(path) == gaussian_process.FORMAT
    head = gaussian_process.load(path) if is_process else fusion.load(path)
    check_blocks(path, head.sizes, head.info.get("known_by", {}), table, "train it again")
    return head
