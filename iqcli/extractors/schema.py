"""The names and shapes of the numbers in the blocks, known without OpenCV and torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BANDS = 10
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
SCALES = (1, 2, 4)

EXPOSURE = (
    *(f"luma_p{p}" for p in PERCENTILES),
    *("luma_mean", "luma_std", "luma_skew", "luma_kurtosis", "luma_entropy"),
    *("luma_black", "luma_white", "red_white", "green_white", "blue_white", "all_black"),
)
COLOUR = (
    *("a_mean", "a_std", "b_mean", "b_std", "ab_correlation"),
    *("chroma_mean", "chroma_std", "chroma_p95", "colourfulness", "cast_a", "cast_b", "grey_share"),
    *("a_mscn_std", "a_mscn_kurtosis", "b_mscn_std", "b_mscn_kurtosis"),
    *("a_fine", "b_fine"),
)
SHARPNESS = tuple(
    f"{name}_{scale}"
    for scale in SCALES
    for name in (
        *("laplacian_mean", "laplacian_std", "laplacian_kurtosis"),
        *("gradient_mean", "gradient_p50", "gradient_p90", "gradient_p99", "gradient_x_to_y"),
        *("sigma_mean", "sigma_std"),
    )
)
TILE = (
    *("tile_sharp_max", "tile_sharp_p90", "tile_sharp_p50", "tile_sharp_p10", "tile_sharp_centre"),
    *("tile_ratio_max", "tile_ratio_p50", "tile_std_p10", "tile_std_p50", "tile_std_p90"),
    *("tile_luma_std", "tile_noise_p10", "tile_noise_p50", "noise", "block_x", "block_y"),
)
SPECTRUM = (*(f"band_{i}" for i in range(BANDS)), "band_slope", "band_x_to_y")
PHOTOMETRY = (*EXPOSURE, *COLOUR, *SHARPNESS, *TILE, *SPECTRUM)

GRID = 12
# Tiles of a picture whose short side has fewer pixels hold too little to be measured.
LEAST_SHORT = 4 * GRID
# The side of the small grey picture of the block `grey`.
GREY = 32
LAYERS = ("fine", "coarse", "noise", "white", "black", "mean", "spread")
# The steps (x, y) between the pixels that are compared, round a half turn and a quarter turn from
# the one four places on; and how many times each is taken.
DIRECTIONS = ((1, 0), (2, 1), (1, 1), (1, 2), (0, 1), (-1, 2), (-1, 1), (-2, 1))
LAGS = (1, 2, 4, 8)


def layer(tiles: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    """One layer of (n, size) `tiles` blocks, as (n, GRID * GRID) values row by row."""
    return maps(tiles)[:, LAYERS.index(name)].reshape(len(tiles), GRID * GRID)


def maps(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """All layers of (n, size) `tiles` blocks, as (n, LAYERS, GRID, GRID) values."""
    count = len(LAYERS) * GRID * GRID
    return tiles[:, :count].reshape(len(tiles), len(LAYERS), GRID, GRID)


def steps(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """What follows the layers of (n, size) `tiles` blocks, as (n, LAGS, DIRECTIONS) values."""
    return tiles[:, len(LAYERS) * GRID * GRID :].reshape(len(tiles), len(LAGS), len(DIRECTIONS))


# The network of the block `mini`.
FORMAT = "iq-backbone-2"
KINDS = ("whole", "parts")
EMBEDDING = 96
# What is a logit of a score already: of each kind the number after the embedding.
LOGITS = {"mini": (EMBEDDING, 2 * EMBEDDING + 1)}
