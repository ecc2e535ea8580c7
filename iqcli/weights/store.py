"""The weights that are fetched on request: which there are, where they lie, how they are read.

Their manifest (see `iqcli.weights.manifest`) is `data/weights.toml`. `iqcli.weights.install` places
the files in the data folder, each beside a record of what was checked then, so that nothing is
hashed again at every start. Only safetensors, and what torch reads as plain tensors, is ever
loaded.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqcli.errors import IqError
from iqcli.fs.files import remove, write_atomic
from iqcli.text import display_path, meant
from iqcli.weights import manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from iqcli.weights.manifest import Weight

    Tensors = dict[str, NDArray[np.generic]]

MANIFEST = Path(__file__).parent.parent / "data" / "weights.toml"
RECORD = "installed.json"


@cache
def shipped_rows() -> Mapping[str, Weight]:
    """The manifest that comes with iq."""
    return manifest.read(MANIFEST)


@dataclass(frozen=True)
class WeightStore:
    """The weights of a data folder: weights/NAME/FILE below it, each with its `RECORD`.

    `rows` is the manifest by name. With a `mirror`, https://HOST/PATH is pulled from
    MIRROR/HOST/PATH.
    """

    data_dir: Path
    mirror: str | None = None
    rows: Mapping[str, Weight] = field(default_factory=lambda: shipped_rows(), compare=False)

    def row(self, name: str) -> Weight:
        """The row of that name. Raises IqError with the names there are."""
        if name not in self.rows:
            near = meant(name, self.rows)
            raise IqError(
                f"there are no weights {name!r}{near}; give one of {', '.join(self.rows)}"
            )
        return self.rows[name]

    def folder(self, name: str) -> Path:
        """Where the files of these weights lie, or would."""
        return self.data_dir / "weights" / name

    def part_of(self, weight: Weight) -> Path:
        """Where a file grows until it is checked."""
        return self.folder(weight.name) / f"{weight.file}.part"

    def record(self, name: str) -> dict[str, Any] | None:
        """What was recorded when a file was placed, even if it changed since; None for none."""
        try:
            found = json.loads((self.folder(name) / RECORD).read_bytes())
        except (OSError, ValueError, RecursionError):
            return None
        kinds = {"file": str, "sha256": str, "size": int, "mtime_ns": int}
        is_valid = isinstance(found, dict) and all(
            isinstance(found.get(key), kind) for key, kind in kinds.items()
        )
        return found if is_valid and re.fullmatch("[0-9a-f]{64}", found["sha256"]) else None

    def verified(self, name: str) -> dict[str, Any] | None:
        """The record of weights that lie there unchanged; None for all others."""
        found, wanted = self.record(name), self.row(name)
        if not found or found["file"] != wanted.file:
            return None
        if wanted.sha256 not in (None, found["sha256"]):
            return None
        try:
            stat = (self.folder(name) / wanted.file).stat()
        except OSError:
            return None
        unchanged = (found["size"], found["mtime_ns"]) == (stat.st_size, stat.st_mtime_ns)
        return found if unchanged else None

    def is_installed(self, name: str) -> bool:
        """Whether the weights are there, as they were when they were checked."""
        return self.verified(name) is not None

    def accepted(self, weight: Weight) -> bool:
        """Whether a person has accepted this licence before, for these very weights."""
        return (self.record(weight.name) or {}).get("accepted") == weight.licence

    def digest(self, name: str) -> str:
        """The sha256 of the installed file. Raises IqError like `path_of`."""
        if (found := self.verified(name)) is None:
            raise _missing([self.row(name)], None)
        return str(found["sha256"])

    def path_of(self, name: str) -> Path:
        """The installed file. Raises IqError that says what to pull, its size and its licence."""
        if not self.is_installed(name):
            raise _missing([self.row(name)], None)
        return self.folder(name) / self.row(name).file

    def with_needs(self, names: Iterable[str]) -> list[Weight]:
        """The rows of these names and of all that they need, each once, what is needed first."""
        found: list[Weight] = []
        visited: set[str] = set()  # also ends where needs go in a circle

        def add(name: str) -> None:
            if name in visited:
                return
            visited.add(name)
            weight = self.row(name)
            for need in weight.needs:
                add(need)
            found.append(weight)

        for name in names:
            add(name)
        return found

    def missing(self, names: Iterable[str]) -> list[Weight]:
        """What of these weights, and of what they need, is not installed."""
        return [each for each in self.with_needs(names) if not self.is_installed(each.name)]

    def require(self, names: Iterable[str], model: str | None = None) -> None:
        """Raise IqError unless all of these are installed; `model` is what needs them, if any."""
        if rows := self.missing(names):
            raise _missing(rows, model)

    def converted(self, name: str, convert: Callable[[Path], Tensors]) -> Tensors:
        """The tensors of an installed file that is not safetensors.

        They are converted once, by `convert` of the installed path, and kept beside it. Raises
        IqError like `convert` and like `path_of`.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load, save

        source = self.path_of(name)
        kept = self.folder(name) / f"{self.digest(name)[:16]}.safetensors"
        try:
            return load(kept.read_bytes())
        except (OSError, SafetensorError):
            found = convert(source)
        with suppress(OSError):  # a read-only folder: converted again at the next start
            replace_file(kept, save(found))
        return found


def replace_file(path: Path, data: bytes) -> None:
    """Write a file of ours beside the weights; a link is replaced, its target stays as it is.

    Raises OSError.
    """
    if path.is_symlink():
        remove(path)
    write_atomic(path, data)


def _missing(rows: Sequence[Weight], model: str | None) -> IqError:
    listed = ", ".join(f"{each.name} ({each.megabytes}, {each.licence})" for each in rows)
    terms = "" if all(each.commercial for each in rows) else " --accept-licence"
    who = f"{model} needs weights that are not here: {listed}" if model else f"not here: {listed}"
    pull = model or " ".join(each.name for each in rows)
    return IqError(f"{who}; run `iq models pull {pull}{terms}`")


def read_metadata(path: Path) -> Any:
    """What iq wrote about a safetensors file into its header: any JSON value, {} without one.

    Raises OSError, and ValueError or RecursionError for a file that is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return json.loads((file.metadata() or {}).get("iq", "{}"))
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def read_torch(path: Path) -> Any:
    """What torch stored in a file, tensors and plain values only.

    Raises IqError for a file that holds anything else: nothing of it is run.
    """
    import torch  # deferred: seconds, and only for files that are not safetensors

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickles can fail in every way
        raise IqError(
            f"{display_path(path)} holds more than tensors or is damaged, and was not read; "
            "pull it again, or give a file with tensors alone"
        ) from error
