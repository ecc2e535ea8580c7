"""The weights that are fetched on request: which there are, where they lie, how they are read.

The table is `embedded/weights.toml`; a person's own table (`IQ_WEIGHTS_TABLE`, or `weights_table`
in the config) adds to it. What is installed lies in the data folder, each file beside an account
of what was checked when it was placed, so that nothing is hashed again at every start. Only
safetensors, and what torch reads as plain tensors, is ever loaded.
"""

from __future__ import annotations

import json
import tomllib
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqcli import settings
from iqcli.errors import IqError
from iqcli.files import shown, write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    Tensors = dict[str, NDArray[np.generic]]

TABLE = Path(__file__).parent / "embedded" / "weights.toml"
ACCOUNT = "installed.json"


@dataclass(frozen=True, slots=True)
class Weight:
    """A row of the table: what a file is, where it comes from and on what terms.

    It lies on a model hub (`hub`, `revision`) or at a `url`. `sha256` is None where only the hub
    knows it; the revision then stands for the content. `size` is in bytes, about if `sha256` is
    None. `needs` are other rows. `config` is an open_clip model config where it is no standard one.
    """

    name: str
    kind: str
    what: str
    file: str
    size: int
    licence: str
    commercial: bool
    url: str | None = None
    hub: str | None = None
    revision: str | None = None
    sha256: str | None = None
    needs: tuple[str, ...] = ()
    arch: str | None = None
    config: Mapping[str, Any] | None = None

    @property
    def megabytes(self) -> str:
        """The size as a person reads it."""
        digits = 1 if self.size < 1e7 else 0
        return f"{max(self.size / 1e6, 0.1):,.{digits}f} MB"


def table() -> dict[str, Weight]:
    """Every row by name. Raises IqError for a person's own table that cannot be used."""
    found = _rows(TABLE)
    if own := settings.load({}, None).weights_table:
        found |= _rows(own)
    return found


def row(name: str) -> Weight:
    """The row of that name. Raises IqError with the names there are."""
    rows = table()
    if name not in rows:
        raise IqError(f"there are no weights {name!r}; give one of {', '.join(rows)}")
    return rows[name]


def _rows(path: Path) -> dict[str, Weight]:
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise IqError(f"cannot read the table of weights {shown(path)}: {error}") from error
    known = {each.name for each in fields(Weight)} - {"name"}
    found = {}
    for name, values in raw.items():
        if not isinstance(values, dict) or (strange := set(values) - known):
            strange = strange if isinstance(values, dict) else {name}
            raise IqError(f"{shown(path)}: {name}: {min(strange)!r} is no column of the table")
        try:
            found[name] = Weight(name, **{**values, "needs": tuple(values.get("needs", ()))})
        except TypeError as error:
            raise IqError(f"{shown(path)}: {name} lacks a column: {error}") from error
    return found


def folder(name: str) -> Path:
    """Where the files of these weights lie, or would."""
    return settings.load({}, None).data_dir / "weights" / name


def account(name: str) -> dict[str, Any] | None:
    """What was checked when the weights were placed; None where they are not there, or changed."""
    place = folder(name)
    try:
        told = json.loads((place / ACCOUNT).read_bytes())
        stat = (place / told["file"]).stat()
        sound = [told["size"], told["mtime_ns"]] == [stat.st_size, stat.st_mtime_ns]
        known = isinstance(told["sha256"], str) and told["file"] == row(name).file
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return told if sound and known else None


def is_there(name: str) -> bool:
    """Whether the weights are installed, as they were when they were checked."""
    return account(name) is not None


def digest(name: str) -> str:
    """The sha256 of the installed file. Raises IqError like `path_of`."""
    path_of(name)
    told = account(name)
    assert told
    return str(told["sha256"])


def path_of(name: str) -> Path:
    """The installed file. Raises IqError that says what to pull, its size and its licence."""
    require([name])
    return folder(name) / row(name).file


def require(names: Iterable[str], model: str | None = None) -> None:
    """Raise IqError unless all of these are installed; `model` is what needs them, if one does."""
    wanting = [each for each in map(row, names) if not is_there(each.name)]
    if not wanting:
        return
    told = ", ".join(f"{each.name} ({each.megabytes}, {each.licence})" for each in wanting)
    terms = "" if all(each.commercial for each in wanting) else " --accept-licence"
    who = f"{model} needs weights that are not here: {told}" if model else f"not here: {told}"
    pull = model or " ".join(each.name for each in wanting)
    raise IqError(f"{who}; run `iq models pull {pull}{terms}`")


def read_torch(path: Path) -> Any:
    """What torch stored in a file, tensors and plain values only.

    Raises IqError for a file that holds anything else: nothing of it is run.
    """
    import torch  # deferred: seconds, and only for files that are not safetensors

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # pickles can fail in every way
        raise IqError(
            f"{shown(path)} holds more than tensors or is damaged, and was not read; "
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
        write_atomic(kept, save(found))
    return found
