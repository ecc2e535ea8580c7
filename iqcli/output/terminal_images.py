"""Photos on a terminal: each thumbnail beside what there is to say of the photo.

What a terminal can draw is asked of the terminal itself: pictures (Kitty, Sixel), else two coloured
pixels a letter.
"""

from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from iqcli.errors import IqError
from iqcli.output.table import bar, colour, in_words, paper, printable
from iqcli.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from PIL.Image import Image
    from textual_image.renderable import HalfcellImage, SixelImage, TGPImage, UnicodeImage

    Row = Mapping[str, Any]
    Drawn = type[HalfcellImage | SixelImage | TGPImage | UnicodeImage]

# The letters that a thumbnail takes, across and down: about 3:2, as a letter is half a square; and
# where a letter is only two pixels.
SMALL, LARGE = (24, 8), (40, 13)
# No small picture of ours has so long a side; what claims to is not decoded.
LONGEST = 1024


def brush(asker: str) -> Drawn:
    """What draws pictures on this terminal. Raises IqError, in the name of `asker`, for no way.

    Asks the terminal, so that it must come before anything else reads the keyboard.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise IqError(f"{asker} needs a terminal, and stdin or stdout is none; leave it out there")
    if paper().color_system is None:
        raise IqError(
            f"{asker} draws in colour, which NO_COLOR or TERM rules out; leave it out there"
        )
    try:
        from textual_image.renderable import HalfcellImage, Image, UnicodeImage
    except ImportError as error:
        raise missing(asker) from error
    return HalfcellImage if Image is UnicodeImage else Image


def missing(asker: str) -> IqError:
    """That the packages are not there which draw on terminals, and how to get them."""
    return IqError(f"{asker} needs textual and textual-image: pip install 'iqcli[review]'")


def opened(thumb: bytes | None) -> Image | None:
    """A small picture (WebP) decoded, None where there is none or it is broken."""
    from PIL import Image

    if thumb is None:
        return None
    try:
        picture = Image.open(BytesIO(thumb), formats=["WEBP"])
        if max(picture.size) > LONGEST:
            return None
        picture.load()
    except (OSError, ValueError, SyntaxError):  # what Pillow raises for broken pictures
        return None
    return picture


def show(photos: Iterable[tuple[Row, bytes | None]], drawn: Drawn) -> None:
    """Draw photos, one below the other: each its record and its thumbnail (WebP), if it has one."""
    console = paper()
    width, height = LARGE if drawn.__module__.endswith("halfcell") else SMALL
    width = min(width, console.width // 2)
    for row, thumb in photos:
        line = Table.grid(padding=(0, 2))
        line.add_column(width=width)
        line.add_column(overflow="fold")
        picture = opened(thumb)
        fitted = "" if picture is None else _fitted(picture, drawn, width, height)
        line.add_row(fitted, _told(row))
        console.print(line)
        console.print()


def _fitted(picture: Image, drawn: Drawn, width: int, height: int) -> Any:
    wide = picture.width / picture.height >= width / (2 * height)
    across, down = (width, "auto") if wide else ("auto", height)
    return drawn(picture.convert("RGB"), across, down)


def _told(row: Row) -> Text:
    """Rank and score, name, faults, then when and by what it was taken; plain text throughout."""
    score = row["score"]
    text = Text()
    text.append(f"{row['rank']}. ", style="bold")
    text.append(f"{score:.1f} {printable(bar(score))}\n", style=colour(score))
    text.append(f"{row['path']}\n", style="bold")
    if row["issues"]:
        text.append(f"{in_words(row['issues'])}\n", style="yellow")
    told = [row["taken"], row["camera"], row["width"] and f"{row['width']} x {row['height']}"]
    text.append(escape(", ".join(each for each in told if each)), style="dim")
    return text
