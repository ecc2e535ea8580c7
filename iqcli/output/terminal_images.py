"""Photos on a terminal: each thumbnail beside its score and what is known of the photo.

The terminal itself is asked what it can draw: pictures (Kitty, Sixel), else two coloured pixels a
character.
"""

from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from iqcli.errors import IqError
from iqcli.output.table import bar, colour, describe_issues, printable, stdout_console
from iqcli.text import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from PIL.Image import Image
    from textual_image.renderable import HalfcellImage, SixelImage, TGPImage, UnicodeImage

    Row = Mapping[str, Any]
    Renderer = type[HalfcellImage | SixelImage | TGPImage | UnicodeImage]

# The characters that a thumbnail takes, across and down: about 3:2, as a character is half a
# square; and where a character is only two pixels.
SMALL, LARGE = (24, 8), (40, 13)
# No thumbnail has so long a side; what claims to is not decoded.
LONGEST = 1024


def image_renderer(option: str) -> Renderer:
    """What draws pictures on this terminal, for `option`. Raises IqError where nothing can.

    Asks the terminal, so call it before anything else reads the keyboard.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise IqError(f"{option} needs a terminal as stdin and stdout; leave it out here")
    if stdout_console().color_system is None:
        raise IqError(
            f"{option} draws in colour, which NO_COLOR or TERM rules out; leave it out there"
        )
    try:
        from textual_image.renderable import HalfcellImage, Image, UnicodeImage
    except ImportError as error:
        raise missing_packages(option) from error
    return HalfcellImage if Image is UnicodeImage else Image


def missing_packages(option: str) -> IqError:
    """The packages that draw on terminals are not installed, and how to get them."""
    return IqError(f"{option} needs textual and textual-image: pip install 'iqcli[review]'")


def decode_thumbnail(thumb: bytes | None) -> Image | None:
    """A thumbnail (WebP) decoded, None where there is none or it is broken."""
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


def show(photos: Iterable[tuple[Row, bytes | None]], renderer: Renderer) -> None:
    """Draw photos, one below the other: each its row and its thumbnail (WebP), if it has one."""
    console = stdout_console()
    width, height = LARGE if renderer.__module__.endswith("halfcell") else SMALL
    width = min(width, console.width // 2)
    for row, thumb in photos:
        line = Table.grid(padding=(0, 2))
        line.add_column(width=width)
        line.add_column(overflow="fold")
        picture = decode_thumbnail(thumb)
        fitted = "" if picture is None else _fitted(picture, renderer, width, height)
        line.add_row(fitted, _caption(row))
        console.print(line)
        console.print()


def _fitted(picture: Image, renderer: Renderer, width: int, height: int) -> Any:
    wide = picture.width / picture.height >= width / (2 * height)
    across, down = (width, "auto") if wide else ("auto", height)
    return renderer(picture.convert("RGB"), across, down)


def _caption(row: Row) -> Text:
    """Rank and score, name, issues, then time, camera and size; plain text throughout."""
    score = row["score"]
    text = Text()
    text.append(f"{row['rank']}. ", style="bold")
    text.append(f"{score:.1f} {printable(bar(score))}\n", style=colour(score))
    text.append(f"{row['path']}\n", style="bold")
    if row["issues"]:
        text.append(f"{describe_issues(row['issues'])}\n", style="yellow")
    facts = [row["taken"], row["camera"], row["width"] and f"{row['width']} x {row['height']}"]
    text.append(escape(", ".join(each for each in facts if each)), style="dim")
    return text
