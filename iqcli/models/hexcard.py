"""What the file of a hex head says of itself, for `iq models info`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.text import readable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iqcli.models.hex.head import HexHead


def account(head: HexHead) -> str:
    """Labels, blocks, and the figures on the scenes that were held out."""
    graph, info = head.graph, head.info
    names = ", ".join(label.name for label in graph.labels)
    blocks = ", ".join(f"{name} ({size})" for name, size in head.sizes.items())
    lines = [
        f"{info['model']}: {info['kind']} over {blocks}",
        f"graph {graph.name}: {names}",
        *_figures(head),
    ]
    return "".join(f"{readable(line)}\n" for line in lines)


def _figures(head: HexHead) -> Iterator[str]:
    """A line a label; what is no figure in a stranger's file is passed over."""
    for label, row in head.info["figures"].items():
        if isinstance(row, dict):
            told = [f"{name} {value:.3f}" for name, value in row.items() if type(value) is float]
            yield f"on scenes held out, {label}: {', '.join(told)}"
