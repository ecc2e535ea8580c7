"""What is wrong with a photo, in five words: measures of the blocks against fitted thresholds.

A threshold is where synthetic faults of known strength part from good photos; see
`iqcli.training.issues`, which fits them. Levels: 2 slight, 3 clear, 4 severe.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iqcli.features.names import PHOTOMETRY, layer
from iqcli.records import Issue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

BLOCKS = ("photometry", "tiles")
# A picture whose busiest tile varies less, in levels, has nothing that could be sharp.
EVEN = 3.0
THRESHOLDS = Path(__file__).parent.parent / "embedded" / "issues.json"


def measures(blocks: Mapping[str, Array]) -> dict[str, Array]:
    """(n, size) blocks to an (n,) measure an issue, the higher the worse; NaN where undefined."""
    photometry, tiles = blocks["photometry"], blocks["tiles"]
    column = {name: photometry[:, i] for i, name in enumerate(PHOTOMETRY)}
    sharp = [
        np.sort(layer(tiles, name), axis=1)[:, -14:].mean(axis=1) for name in ("fine", "coarse")
    ]
    whites = sum(column[f"{name}_white"] for name in ("red", "green", "blue"))
    return {
        "too_dark": -column["luma_p95"],
        # The sharpest tenth of the tiles: a soft ground behind a sharp subject is no fault.
        "blurred": np.where(
            layer(tiles, "spread").max(axis=1) < EVEN,
            np.nan,
            0.5 * np.log(sharp[1] + 0.1) - np.log(sharp[0] + 0.1),
        ),
        "clipped": column["luma_white"] + 0.3 * whites,
        "noisy": _calm_tiles(tiles),
        "flat": column["luma_p1"] - column["luma_p99"],
    }


def _calm_tiles(tiles: Array) -> Array:
    """Noise where there is least texture, in tiles that still hold detail."""
    lost = (layer(tiles, "white") > 0.1) | (layer(tiles, "black") > 0.5)
    noise = np.sort(np.where(lost, np.inf, layer(tiles, "noise")), axis=1)
    rank = (0.1 * (~lost).sum(axis=1)).astype(int)
    calm = np.take_along_axis(noise, rank[:, None], axis=1)[:, 0]
    return np.where(np.isposinf(calm), 0.0, calm).astype(np.float32)


def see(blocks: Mapping[str, Array]) -> list[tuple[Issue, ...]]:
    """The issues of each of n photos, the worst first."""
    levels = {
        name: 1 + (values[:, None] > np.array(thresholds()[name])).sum(axis=1)
        for name, values in measures(blocks).items()
    }
    count = len(blocks["photometry"])
    found = [[Issue(n, int(v[i])) for n, v in levels.items() if v[i] > 1] for i in range(count)]
    return [tuple(sorted(each, key=lambda issue: -issue.level)) for each in found]


@cache
def thresholds() -> dict[str, tuple[float, float, float]]:
    """For each issue the measures from which levels 2, 3 and 4 begin."""
    found: dict[str, tuple[float, float, float]] = json.loads(THRESHOLDS.read_text())["thresholds"]
    return found
