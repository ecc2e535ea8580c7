"""The weights that are fetched on request: which there are, where they lie, how they are read.

The table (see `iqcli.weights.manifest`) is `data/weights.toml`; a person's own
(`IQ_WEIGHTS_TABLE`, or `weights_table` in the config) adds to it. `iqcli.weights.install` places
the files in the data folder, each `weights_table` in the config) adds to it.
`iqcli.weights.install` places the files in the data folder, each `weights_table` in the config)
adds to it. `iqcli.weights.install` places the files in the data folder, each beside an account of
what was checked then, so that nothing is hashed again at every start. Only safetensors, and what
torch reads as plain tensors, is ever loaded.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqcli import settings
from iqcli.errors import IqError
from iqcli.fs.files import remove, write_atomic
from iqcli.text import display_path
from iqcli.weights import manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from iqcli.weights.manifest import Weight

    Tensors = dict[str, NDArray[np.generic]]

TABLE = Path(__file__).parent.parent / "data" / "weights.toml"
ACCOUNT = "installed.json"


def table() -> dict[str, Weight]:
    """Every row by name. Raises IqError for a person's own table that cannot be used."""
    own = settings.load({}, None).weights_table
    return _embedded() | (manifest.read(own) if own else {})


@cache
def _embedded() -> dict[str, Weight]:
    return manifest.read(TABLE)


def row(name: str) -> Weight:
    """The row of that name. Raises IqError with the names there are."""
    rows = table()
    if name not in rows:
        raise IqError(f"there are no weights {name!r}; give one of {', '.join(rows)}")
    return rows[name]


def folder(name: str) -> Path:
    """Where the files of these weights lie, or would."""
    return settings.load({}, None).data_dir / "weights" / name


def told(name: str) -> dict[str, Any] | None:
    """The account of what was placed, whether or not it still holds; None where there is none."""
    try:
        found = json.loads((folder(name) / ACCOUNT).read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    kinds = {"file": str, "sha256": str, "size": int, "mtime_ns": int}
    sound = isinstance(found, dict) and all(
        isinstance(found.get(key), kind) for key, kind in kinds.items()
    )
    return found if sound and re.fullmatch("[0-9a-f]{64}", found["sha256"]) else None


def account(name: str) -> dict[str, Any] | None:
    """What was checked when the weights were placed; None where they are not there, or changed."""
    found, wanted = told(name), row(name)
    if not found or found["file"] != wanted.file or wanted.sha256 not in (None, found["sha256"]):
        return None
    try:
        stat = (folder(name) / wanted.file).stat()
    except OSError:
        return None
    return (
        found if found["size"] == stat.st_size and found["mtime_ns"] == stat.st_mtime_ns else None
    )


def accepted(weight: Weight) -> bool:
    """Whether a person has accepted this licence before, for these very weights."""
    return (told(weight.name) or {}).get("accepted") == weight.licence


def part_of(weight: Weight) -> Path:
    """Where a file grows until it is checked."""
    return folder(weight.name) / f"{weight.file}.part"


def keep(path: Path, data: bytes) -> None:
    """Write a file of ours beside the weights. Of a link, the link goes and its end stays as it is.

    Raises OSError.
    """
    if path.is_symlink():
        remove(path)
    write_atomic(path, data)


def is_there(name: str) -> bool:
    """Whether the weights are installed, as they were when they were checked."""
    return account(name) is not None


def digest(name: str) -> str:
    """The sha256 of the installed file. Raises IqError like `path_of`."""
    found = account(name)
    if found is None:
        raise _wanting([row(name)], None)
    return str(found["sha256"])


def path_of(name: str) -> Path:
    """The installed file. Raises IqError that says what to pull, its size and its licence."""
    if not is_there(name):
        raise _wanting([row(name)], None)
    return folder(name) / row(name).file


def with_needs(names: Iterable[str]) -> list[Weight]:
    """The rows of these names and all that they need, each once, what is needed first."""
    rows = table()
    found: list[Weight] = []
    looked: set[str] = set()  # also ends where needs go in a circle

    def add(name: str) -> None:
        if name in looked:
            return
        looked.add(name)
        if name not in rows:
            raise IqError(f"there are no weights {name!r}; give one of {', '.join(rows)}")
        for need in rows[name].needs:
            add(need)
        found.append(rows[name])

    for name in names:
        add(name)
    return found


def wanting(names: Iterable[str]) -> list[Weight]:
    """What of these weights, and of what they need, is not installed."""
    return [each for each in with_needs(names) if not is_there(each.name)]


def require(names: Iterable[str], model: str | None = None) -> None:
    """Raise IqError unless all of these are installed; `model` is what needs them, if one does."""
    if rows := wanting(names):
        raise _wanting(rows, model)


def _wanting(rows: list[Weight], model: str | None) -> IqError:
    said = ", ".join(f"{each.name} ({each.megabytes}, {each.licence})" for each in rows)
    terms = "" if all(each.commercial for each in rows) else " --accept-licence"
    who = f"{model} needs weights that are not here: {said}" if model else f"not here: {said}"
    pull = model or " ".join(each.name for each in rows)
    return IqError(f"{who}; run `iq models pull {pull}{terms}`")


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


def converted(name: str, convert: Callable[[Path], Tensors]) -> Tensors:
    """The tensors of an installed file that is not safetensors, converted once and kept beside it.

    `convert` takes the installed path. Raises IqError like it and like `path_of`.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load, save

    source, kept = path_of(name), folder(name) / f"{digest(name)[:16]}.safetensors"
    try:
        return load(kept.read_bytes())
    except (OSError, SafetensorError):
        found = convert(source)
    with suppress(OSError):  # a read-only folder: converted again at the next start
        keep(kept, save(found))
    return found
