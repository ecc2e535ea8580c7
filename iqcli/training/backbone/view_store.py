"""Arrays on disk that a training reads again and again: made once, mapped, never read whole.

Each file is written atomically, so that a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from iqcli.errors import IqError, PhotoError
from iqcli.fs.files import make_folders, write_atomic, writing
from iqcli.photos.colour import to_srgb
from iqcli.photos.read import read_photo
from iqcli.pipeline.devices import one_line
from iqcli.pipeline.spec import reason
from iqcli.text import display_path, first_few
from iqcli.training.dataset import MAX_MEGAPIXELS
from iqcli.training.run_state import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from iqcli.records import Pixels

SECONDS_BETWEEN_REPORTS = 30
FACTS = "facts"


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], facts: Any) -> None:
    """Write arrays and a JSON value; the folder is made. Raises IqError where the disk refuses."""
    data = save(dict(arrays), metadata={FACTS: json.dumps(facts)})
    with writing(path, "make room, or give another --output"):
        make_folders(path.parent)
        write_atomic(path, data)


def read_facts(path: Path) -> Any:
    """The JSON value of a file of `write_arrays`. Raises IqError for a damaged one."""
    with _reading(path) as file:
        return json.loads(file.metadata()[FACTS])


def read_row(path: Path, name: str, row: int) -> NDArray[Any]:
    """One row of an array of a file of `write_arrays`. Raises IqError for a damaged one."""
    with _reading(path) as file:
        found: NDArray[Any] = file.get_slice(name)[row]
        return found


def read_array(path: Path, name: str) -> NDArray[Any]:
    """An array of a file of `write_arrays`. Raises IqError for a damaged one."""
    with _reading(path) as file:
        found: NDArray[Any] = file.get_tensor(name)
        return found


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="numpy") as file:
            yield file
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
        raise IqError(
            f"{display_path(path)} is damaged: {one_line(error)}; remove it, and the same command "
            "makes it again"
        ) from error


@dataclass(frozen=True)
class ViewStore:
    """The scoring views (h, w, 3) of photo files, decoded once into a folder.

    With `small`, a photo whose short side is below the view's keeps its size.
    """

    folder: Path
    photos: Sequence[Path]
    small: bool = False

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, k: int) -> Pixels:
        """One view."""
        return read_array(self._files[k], "view")

    def fill(self, say: Callable[[str], None]) -> None:
        """Decode what is missing. Raises IqError in the end where photos cannot be read."""
        bad, shown_at = [], time.monotonic()
        for k, (path, file) in enumerate(zip(self.photos, self._files, strict=True)):
            if not file.exists():
                try:
                    write_arrays(file, {"view": self._decoded(path)}, str(path))
                except (OSError, PhotoError) as error:
                    bad.append(f"{display_path(path)}: {reason(error)}")
            if time.monotonic() - shown_at > SECONDS_BETWEEN_REPORTS:
                shown_at = time.monotonic()
                say(f"decoded {k + 1:,} of {len(self.photos):,} photos")
        if bad:
            raise IqError(f"{first_few(bad, separator='; ')}; leave them out, or mend them")

    def _decoded(self, path: Path) -> Pixels:
        views = read_photo(path.read_bytes(), max_megapixels=MAX_MEGAPIXELS)[1]
        small = min(views.detail.shape[:2]) < min(views.scoring.shape[:2])
        return to_srgb(views.detail, views.profile) if self.small and small else views.scoring

    @cached_property
    def _files(self) -> list[Path]:
        """Named by what a photo file was when it was asked for first."""
        found = []
        for path in self.photos:
            status = path.stat()
            facts = (str(path.absolute()), status.st_size, status.st_mtime_ns, self.small)
            found.append(self.folder / f"{digest(facts)}.safetensors")
        return found
