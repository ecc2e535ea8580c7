"""Stars of Picasa, which keeps them in a file of the folder: `.picasa.ini`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.errors import PhotoError
from iqcli.fs.read import read_regular
from iqcli.photos.names.keys import normal
from iqcli.records import UNMARKED, Marks
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iqcli.records import Shot

NAMES = (".picasa.ini", "Picasa.ini", "picasa.ini")
MAX_BYTES = 2**24
SECTION = re.compile(r"\s*\[(.+)\]\s*")
STAR = re.compile(r"\s*star\s*=\s*(?:yes|true|1)\s*", re.IGNORECASE)
# What old versions wrote names in, where they are not Unicode: the code page of their Windows. A
# name that is read in a wrong one is that of no photo.
CODE_PAGES = ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp932", "gbk", "cp949")


def starred(text: str) -> set[str]:
    """The names with a star in such a file, as names are compared."""
    found, name = set(), ""
    for line in text.splitlines():
        if section := SECTION.fullmatch(line):
            name = normal(section[1])
        elif name and STAR.fullmatch(line):
            found.add(name)
    return found


class PicasaStars:
    """The stars of the folders of one run, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {}

    def of(self, shot: Shot) -> Marks:
        """A flag where a file of the shot has a star.

        Raises PhotoError: stars that cannot be read must not count as none.
        """
        for path in shot.files:
            folder, name = os.path.split(path)  # twice as fast as `Path.parent`
            if folder not in self._known:
                self._known[folder] = _read(Path(folder))
            stars = self._known[folder]
            if stars and normal(name) in stars:
                return Marks(pick=1)
        return UNMARKED


def _read(folder: Path) -> set[str]:
    found: set[str] = set()
    for name in NAMES:
        path = folder / name
        try:
            data = read_regular(path, MAX_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, PhotoError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise PhotoError(f"its sidecar {display_path(path)} cannot be read: {why}") from error
        for text in _texts(data):
            found |= starred(text)
    return found


def _texts(data: bytes) -> Iterator[str]:
    """The file in each encoding that it may have."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        yield data.decode("utf-16", "replace")
        return
    try:
        yield data.decode("utf-8-sig")
    except UnicodeDecodeError:
        for encoding in ("utf-8-sig", *CODE_PAGES):
            yield data.decode(encoding, "replace")
