"""The photos of folders as pictures to learn from; one that cannot be read is told and left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.errors import PhotoError
from iqcli.photos.find import find_shots
from iqcli.photos.read import read_photo
from iqcli.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from iqcli.records import Views


def seen_in(
    folders: Sequence[Path], max_megapixels: float, say: Callable[[str], None]
) -> Iterator[tuple[str, Views]]:
    """The name and the views of each photo, in path order."""

    def problem(path: Path, reason: str) -> None:
        say(f"iq: {shown(path)}: {reason}")

    for shot in find_shots(folders, on_problem=problem):
        try:
            data = shot.path.read_bytes()
            yield shot.path.name, read_photo(data, max_megapixels=max_megapixels)[1]
        except (OSError, PhotoError) as error:
            problem(shot.path, str(error))
