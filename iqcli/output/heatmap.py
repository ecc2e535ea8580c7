"""The tiles of a photo drawn beside it: sharpness, clipping and noise, each with its numbers.

Every tile carries its number and every panel its scale, dark to light, so that the picture reads
without colour, too.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from iqcli.records import Pixels

    Tiles = NDArray[np.float32]
    Colour = tuple[int, int, int]

# The long side of a panel, the space around it, and the heights of its title and scale.
LONG, MARGIN, TITLE, SCALE = 540, 18, 56, 58
# The least side of a panel whose numbers can be read: tiles of a panorama are drawn too high.
LEAST = 264
WHITE, INK, FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)
# From dark to light at an even pace (after matplotlib's "viridis", which is in the public domain).
SHADES = np.array(
    [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float64
)
# Lost black, all detail kept, lost white: far from the middle is bad.
ENDS = np.array([(25, 55, 130), (236, 236, 236), (190, 60, 0)], np.float64)
# What the mask of Immerkaer (1996) gives for noise of one level.
SIGMA = (np.pi / 2) ** 0.5 / 6


@dataclass(frozen=True, slots=True)
class Panel:
    """Values by tile (rows, columns), their scale from `low` to `high`, and how one is written.

    `colours` (n, 3) run along the scale.
    """

    title: str
    about: str
    values: Tiles
    low: float
    high: float
    write: Callable[[float], str]
    colours: NDArray[np.float64]


def draw_panels(photo: Pixels, layers: Tiles, names: Sequence[str]) -> bytes:
    """A PNG of the photo (h, w, 3) and three panels of its `layers` (n, rows, columns) by `names`.

    Needs the layers `fine`, `noise`, `white` and `black` of `extractors.tiles`.
    """
    by_name = dict(zip(names, layers, strict=True))
    panels = (_sharpness(by_name), _clipping(by_name), _noise(by_name))
    height, width = photo.shape[:2]
    scale = LONG / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    panel_size = (max(size[0], LEAST), max(size[1], LEAST))
    # A tall photo has narrow panels; their titles need some width.
    step = max(panel_size[0], 330) + MARGIN
    sheet = Image.new("RGB", (4 * step + MARGIN, TITLE + panel_size[1] + SCALE + 2 * MARGIN), WHITE)
    draw = ImageDraw.Draw(sheet)
    _title(draw, MARGIN, "the photo", "framed: its sharpest tile")
    sheet.paste(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS), (MARGIN, _top()))
    _frame(draw, MARGIN, size, by_name["fine"])
    for number, panel in enumerate(panels, 1):
        left = MARGIN + number * step
        _title(draw, left, panel.title, panel.about)
        _tiles(draw, left, panel_size, panel)
        _scale(draw, left, _top() + panel_size[1] + 10, panel_size[0], panel)
    _frame(draw, MARGIN + step, panel_size, by_name["fine"])
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _sharpness(layers: dict[str, Tiles]) -> Panel:
    fine = layers["fine"]
    about = "mean absolute Laplacian, in levels"
    return Panel("sharpness", about, fine, 0, _above(fine, 4), lambda value: f"{value:.0f}", SHADES)


def _noise(layers: dict[str, Tiles]) -> Panel:
    noise = (SIGMA * layers["noise"]).astype(np.float32)
    about = "in levels, at most: fine texture counts, too"
    return Panel("noise", about, noise, 0, _above(noise, 4), lambda value: f"{value:.1f}", SHADES)


def _clipping(layers: dict[str, Tiles]) -> Panel:
    """White counts upward and black downward; of a tile with both, what is more."""
    white, black = 100 * layers["white"], 100 * layers["black"]
    values = np.where(white >= black, white, -black).astype(np.float32)
    about = "% of pixels: w pure white, b pure black"
    return Panel("clipping", about, values, -100, 100, _as_clipped, ENDS)


def _as_clipped(value: float) -> str:
    if abs(value) < 0.5:
        return "·"
    return f"{abs(value):.0f}{'w' if value > 0 else 'b'}"


def _above(values: Tiles, least: float) -> float:
    """The top of a scale: the largest value, never so small that rounding errors shine."""
    known = values[np.isfinite(values)]
    return max(float(known.max()) if known.size else 0.0, least)


def _top() -> int:
    return MARGIN + TITLE


def _title(draw: ImageDraw.ImageDraw, left: int, title: str, about: str) -> None:
    draw.text((left, MARGIN - 2), title, INK, _font(22))
    draw.text((left, MARGIN + 28), about, FAINT, _font(15))


def _tiles(draw: ImageDraw.ImageDraw, left: int, size: tuple[int, int], panel: Panel) -> None:
    columns = panel.values.shape[1]
    font = _font(max(9, min(15, (size[0] // columns) // 3)))
    for at, value in np.ndenumerate(panel.values):
        known = bool(np.isfinite(value))
        shade = _shade(float(value), panel) if known else WHITE
        x0, y0, x1, y1 = _box(at, left, size, panel.values.shape)
        draw.rectangle((x0, y0, x1, y1), fill=shade)
        # The font that comes with Pillow has no longer dash.
        text = panel.write(float(value)) if known else "-"
        draw.text(((x0 + x1) / 2, (y0 + y1) / 2), text, _ink_on(shade), font, anchor="mm")


def _frame(draw: ImageDraw.ImageDraw, left: int, size: tuple[int, int], fine: Tiles) -> None:
    """Black on white around the sharpest tile, to be seen on any ground."""
    if np.isfinite(fine).all():
        at = divmod(int(fine.argmax()), fine.shape[1])
        x0, y0, x1, y1 = _box(at, left, size, fine.shape)
        draw.rectangle((x0 - 2, y0 - 2, x1 + 2, y1 + 2), outline=INK, width=2)
        draw.rectangle((x0, y0, x1, y1), outline=WHITE, width=2)


def _box(
    at: tuple[int, ...], left: int, size: tuple[int, int], shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """The corners of a tile (row, column) of a panel, both inside it."""
    x0, x1 = (left + size[0] * (at[1] + more) // shape[1] for more in (0, 1))
    y0, y1 = (_top() + size[1] * (at[0] + more) // shape[0] for more in (0, 1))
    return x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)


def _scale(draw: ImageDraw.ImageDraw, left: int, top: int, width: int, panel: Panel) -> None:
    for x in range(width):
        value = panel.low + (panel.high - panel.low) * x / max(width - 1, 1)
        draw.line([(left + x, top), (left + x, top + 14)], fill=_shade(value, panel))
    marks = ((panel.low, 0, "la"), ((panel.low + panel.high) / 2, width // 2, "ma"))
    for value, x, anchor in (*marks, (panel.high, width, "ra")):
        text = "0" if value == 0 else panel.write(value)
        draw.text((left + x, top + 20), text, INK, _font(15), anchor=anchor)


def _shade(value: float, panel: Panel) -> Colour:
    stops = np.linspace(panel.low, panel.high, len(panel.colours))
    red, green, blue = (round(float(np.interp(value, stops, band))) for band in panel.colours.T)
    return red, green, blue


def _ink_on(shade: Colour) -> Colour:
    light = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2]
    return INK if light > 120 else WHITE


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
