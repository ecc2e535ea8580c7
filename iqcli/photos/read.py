"""One photo from its bytes to facts and views; every failure becomes a short reason."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from iqcli.errors import PhotoError
from iqcli.photos import exif
from iqcli.photos.colour import to_srgb
from iqcli.photos.decode import decode, metadata
from iqcli.photos.find import find_shots
from iqcli.photos.formats import RAW_KINDS, title
from iqcli.photos.raw import decode_raw, metadata_of_raw
from iqcli.photos.reading import kind_of
from iqcli.photos.time_limit import bounded
from iqcli.photos.views import upright, views_of
from iqcli.records import Facts, Views
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from iqcli.photos.decode import Picture
    from iqcli.photos.views import Part
    from iqcli.records import Pixels, Views

MAX_REASON = 120
# Words of decoders for a file that is cut off. Reading from memory has no other "I/O error".
CUT_OFF = (
    "truncated",
    "premature end",
    "end of file",
    "end-of-file",
    "unexpected eof",
    "input/output error",
)


class PhotoReader(Protocol):
    """A way to read photos: `read_photo` itself, or one that adds a distortion."""

    @property
    def fingerprint(self) -> str:
        """Changes whenever the same file could give other views."""
        ...

    def __call__(self, data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
        """Facts and views, like `read_photo`. Raises PhotoError."""
        ...


@bounded
def read_photo(data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
    """Decode a whole file once, upright, to its metadata and the two views.

    The format is known by content. Raises PhotoError with a reason that names no path.
    """
    kind = kind_of(data)
    with photo_errors(kind):
        raw = kind in RAW_KINDS
        picture = decode_raw(data, max_megapixels) if raw else decode(data, kind, max_megapixels)
        views = views_of(upright(picture.pixels, picture.orientation), picture.profile)
        return _facts(picture, kind), views


@bounded
def read_facts(data: bytes, known: Facts) -> Facts:
    """The facts `known` of a file whose metadata are read anew, without decoding a pixel.

    Raises PhotoError.
    """
    kind = kind_of(data)
    with photo_errors(kind):
        tags, packet = metadata_of_raw(data) if kind in RAW_KINDS else metadata(data, kind)
        found = exif.facts_of(tags, packet, kind, known.width, known.height)
    return replace(found, damage=known.damage)


@bounded
def read_whole(data: bytes, *, max_megapixels: float, part: Part | None = None) -> Pixels:
    """Every pixel of a file, or of a part of it, upright and sRGB: (height, width, 3) of uint8.

    `part` is rows and columns of the upright picture. Raises PhotoError like `read_photo`, and for
    a raw file, which is no picture until it is developed.
    """
    kind = kind_of(data)
    if kind in RAW_KINDS:
        raise PhotoError("a raw file has no pixels of its own; develop it, to TIFF say")
    with photo_errors(kind):
        picture = decode(data, kind, max_megapixels, whole=True, part=part)
        return to_srgb(upright(picture.pixels, picture.orientation), picture.profile)


@contextmanager
def photo_errors(kind: str) -> Iterator[None]:
    """Decode a file of this kind in here: whatever a decoder raises becomes a PhotoError."""
    try:
        yield
    except PhotoError:
        raise
    except Exception as error:  # decoders raise whatever they like on broken data
        raise PhotoError(_reason(error, kind)) from error


def _facts(picture: Picture, kind: str) -> Facts:
    width, height = picture.width, picture.height
    if picture.orientation >= 5:
        width, height = height, width
    facts = exif.facts_of(picture.tags, picture.xmp, kind, width, height)
    return replace(facts, damage=picture.damage)


def _reason(error: Exception, kind: str) -> str:
    name = title(kind)
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    first = error.args[0] if error.args else ""
    text = first.decode("utf-8", "replace") if isinstance(first, bytes) else str(first)
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:MAX_REASON]
    if any(words in plain.lower() for words in CUT_OFF):
        return f"{name} data ends early"
    return f"broken {name} data ({plain or type(error).__name__})"


def views_in(
    folders: Sequence[Path],
    max_megapixels: float,
    say: Callable[[str], None],
    exclude: Sequence[str] = (),
) -> Iterator[tuple[str, Views]]:
    """The name and the views of each photo of folders, in path order.

    One that cannot be read, or is damaged, is reported with `say` and left out.
    """

    def problem(path: Path, reason: str) -> None:
        say(f"iq: {display_path(path)}: {reason}")

    for shot in find_shots(folders, on_problem=problem, exclude=exclude):
        try:
            data = shot.path.read_bytes()
            facts, views = read_photo(data, max_megapixels=max_megapixels)
            if facts.damage:
                problem(shot.path, "a part of the picture is missing")
            else:
                yield shot.path.name, views
        except (OSError, PhotoError) as error:
            problem(shot.path, str(error))
