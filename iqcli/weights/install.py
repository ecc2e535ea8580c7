"""Placing weights: fetched or given, checked, and only then under their name.

Order of a pull: lock, room, the part grows, its size and sum are checked, the part gets its name
in one step, and last the record `installed.json` says that it is there. A process that dies at any
instant leaves weights that are there or are not, never half of them.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from iqcli.errors import IqError
from iqcli.fs import durable, files
from iqcli.fs.durable import write_all
from iqcli.fs.locks import try_lock
from iqcli.fs.read import BINARY
from iqcli.text import display_path
from iqcli.weights import download
from iqcli.weights.download import OWN_FILE, HubMetadata, address
from iqcli.weights.manifest import megabytes
from iqcli.weights.store import RECORD, replace_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from iqcli.weights.download import Progress
    from iqcli.weights.manifest import Weight
    from iqcli.weights.store import WeightStore

BLOCK = 1 << 20
# What must stay free on the disk, in bytes.
SPARE = 1 << 24
# What is made of weights later and kept beside them: converted tensors, encoded texts.
MADE = re.compile(rf"(texts-)?[0-9a-f]{{16}}\.safetensors|{re.escape(files.PART)}[0-9a-f]{{16}}")


@dataclass(frozen=True)
class Installed:
    """Weights that were placed; `verified_by` is who knew their sum, None where nobody did."""

    weight: Weight
    sha256: str
    verified_by: str | None


def pull(
    store: WeightStore, weight: Weight, on_progress: Progress, given: Path | None = None
) -> Installed:
    """Place the file of a row, fetched or copied from `given`; `on_progress` gets the bytes so far.

    Weights that lie there already and are the right ones are only recorded anew; other ones that a
    pull placed are replaced. Whether their licence may be accepted is the caller's to ask. Raises
    IqError, and then nothing has got a name; what has come is kept where a later pull can go on
    with it.
    """
    part, target = store.part_of(weight), store.folder(weight.name) / weight.file
    with _lock(store, weight):
        if given is not None and weight.sha256:
            _sum_of_given(weight, given)
        if weight.sha256 and _sum(target) == weight.sha256:
            return _record(store, weight, weight.sha256, HubMetadata(), "what lay there")
        if files.lstat_or_none(target) and not _is_pulled(store, weight):
            raise IqError(
                f"{display_path(target)} is in the way, and no pull placed it; move it away, "
                f"and give it with `--from FILE` if it is the {weight.file} of {weight.name}"
            )
        _check_room(weight, part)
        if given is None:
            source = address(weight, store.mirror)
            metadata = download.fetch(weight, source, part, on_progress)
        else:
            source, metadata = display_path(given.absolute()), HubMetadata()
            _copy(weight, given, part, on_progress)
        sha256 = _checked(weight, part, metadata)
        try:
            files.rename_into_place(part, target)
        except OSError as error:
            raise IqError(
                f"cannot write {display_path(target)}: {error.strerror}; mend that"
            ) from error
        return _record(store, weight, sha256, metadata, source)


def check_same(store: WeightStore, weight: Weight, given: Path) -> None:
    """Raise IqError unless a person's file holds the very bytes that are installed."""
    there, found = store.digest(weight.name), _sum_of_given(weight, given)
    if found != there:
        raise IqError(
            f"{display_path(given)} (sha256 {found}) is not the {weight.name} that is here, "
            f"{display_path(store.path_of(weight.name))} (sha256 {there}); nothing was changed: "
            "replace it with `--force`, or leave --from out"
        )


def _record(
    store: WeightStore, weight: Weight, sha256: str, metadata: HubMetadata, source: str
) -> Installed:
    """Write the record, which makes the weights installed."""
    place = store.folder(weight.name)
    stat = (place / weight.file).stat()
    verified_by = "the table" if weight.sha256 else "the hub" if metadata.sha256 else None
    record = {
        "file": weight.file,
        "sha256": sha256,
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "source": source,
        "revision": metadata.revision or weight.revision,
        "vouched": verified_by,
        "licence": weight.licence,
        "accepted": None if weight.commercial else weight.licence,
        "placed": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        replace_file(place / RECORD, json.dumps(record, indent=1).encode())
        download.discard(store.part_of(weight))
    except OSError as error:
        raise IqError(
            f"cannot write in {display_path(place)}: {error.strerror}; mend that"
        ) from error
    return Installed(weight, sha256, verified_by)


@contextmanager
def _lock(store: WeightStore, weight: Weight) -> Iterator[None]:
    place = store.folder(weight.name)
    locks = store.data_dir / "locks"
    with ExitStack() as held:
        try:
            files.make_folders(locks, 0o700)
            fd = os.open(locks / f"weights-{weight.name}", os.O_RDWR | os.O_CREAT, 0o600)
            held.callback(os.close, fd)
            if not try_lock(fd, alone=True):
                raise IqError(f"another iq is pulling {weight.name}; wait until it has ended")
            files.make_folders(place)
        except OSError as error:
            raise IqError(
                f"cannot write in {display_path(place)}: {error.strerror}; mend that, or set "
                "IQ_DATA_DIR"
            ) from error
        try:
            yield
        finally:
            with suppress(OSError):  # a folder that may not be removed is no fault of the pull
                files.remove_folder(place)  # where nothing has come


def _check_room(weight: Weight, part: Path) -> None:
    wanted, free = weight.size - download.length(part), durable.free_bytes(part.parent)
    if wanted + SPARE > free:
        raise IqError(
            f"{weight.name} needs {megabytes(wanted)} and {megabytes(SPARE)} to spare, and "
            f"{display_path(part.parent)} has {megabytes(free)} left; make room there, or set "
            "IQ_DATA_DIR"
        )


def _sum_of_given(weight: Weight, given: Path) -> str:
    """The sha256 of a person's file. Raises IqError where the row knows that it is another file."""
    try:
        _check_size(weight, given)
        found = files.sha256(given)
    except OSError as error:
        raise IqError(
            f"cannot read {display_path(given)}: {error.strerror}; mend that and try again"
        ) from error
    if weight.sha256 not in (None, found):
        raise _not_it(weight, display_path(given), f"its sha256 is {found}, not {weight.sha256}")
    return found


def _check_size(weight: Weight, given: Path) -> None:
    """Raise IqError for what is no file or cannot be the file of the row, OSError where unread."""
    least, most = weight.sizes
    size = given.stat().st_size
    if not given.is_file():
        raise IqError(f"{display_path(given)} is no file; give the file {weight.file}")
    if not least <= size <= most:
        raise _not_it(weight, display_path(given), f"it has {size:,} bytes, not {weight.size:,}")


def _copy(weight: Weight, given: Path, part: Path, on_progress: Progress) -> None:
    """Copy a person's file to the part, if its size fits."""
    try:
        _check_size(weight, given)
        with given.open("rb") as file:
            download.discard(part)
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o666)
            try:
                while block := file.read(BLOCK):
                    write_all(fd, block)
                    on_progress(file.tell())
                os.fsync(fd)
            finally:
                os.close(fd)
    except OSError as error:
        what = f"cannot copy {display_path(given)} to {display_path(part)}: {error.strerror}"
        raise IqError(f"{what}; mend that and try again") from error


def _checked(weight: Weight, part: Path, metadata: HubMetadata) -> str:
    """The sum of a part that is as it should be; any other is removed, and IqError raised."""
    sha256, size = files.sha256(part), download.length(part)
    least, most = weight.sizes
    wanted = weight.sha256 or metadata.sha256
    fault = None
    if not least <= size <= most:
        fault = f"it has {size:,} bytes, not {weight.size:,}"
    elif wanted not in (None, sha256):
        fault = f"its sha256 is {sha256}, not {wanted}"
    elif weight.revision not in (None, "main", metadata.revision or weight.revision):
        fault = f"it is of revision {metadata.revision}, not {weight.revision}"
    if fault is None:
        return sha256
    download.discard(part)
    raise _not_it(weight, "what has come", fault)


def _not_it(weight: Weight, what: str, fault: str) -> IqError:
    return IqError(
        f"{what} is not the {weight.file} of {weight.name}: {fault}; nothing was placed: "
        f"pull again, {OWN_FILE}"
    )


def _sum(file: Path) -> str | None:
    try:
        return files.sha256(file) if file.is_file() else None
    except OSError:
        return None


def verify(store: WeightStore, weight: Weight) -> str | None:
    """What is wrong with installed weights, None where they are what was placed.

    Weights that only look changed, because a backup brought them back, are recorded anew.
    """
    record, file = store.record(weight.name), store.folder(weight.name) / weight.file
    again = f"run `iq models pull {weight.name}` again"
    if record is None:
        return f"{weight.name} is not here; run `iq models pull {weight.name}`"
    found = _sum(file)
    if found is None:
        return f"{weight.name}: {display_path(file)} is gone or cannot be read; {again}"
    if weight.sha256 not in (None, found):
        return f"{weight.name}: {display_path(file)} is not the file that this iq knows; {again}"
    if found != record["sha256"]:
        return f"{weight.name}: {display_path(file)} has changed since it was pulled; {again}"
    if not store.is_installed(weight.name):
        _refresh(record, file)
    return None


def _refresh(record: dict[str, Any], file: Path) -> None:
    stat = file.stat()
    record = record | {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "file": file.name}
    replace_file(file.parent / RECORD, json.dumps(record, indent=1).encode())


def remove(store: WeightStore, weight: Weight) -> int:
    """Remove what a pull placed and what was made of it; how many bytes that frees.

    The record goes last: what a cut leaves is still known to be ours. Files that no pull placed
    stay. Raises OSError, or IqError where a pull is under way.
    """
    with _lock(store, weight):
        mine = pulled_files(store, weight)
        freed = sum(each.lstat().st_size for each in mine)
        for file in sorted(mine, key=lambda each: each.name == RECORD):
            files.remove(file)
    return freed


def pulled_files(store: WeightStore, weight: Weight) -> list[Path]:
    """What pulls of these weights have left here, whole or not, and what was made of it."""
    place, part = store.folder(weight.name), store.part_of(weight)
    if not place.is_dir():
        return []
    names = {RECORD, part.name, download.resume_info(part).name}
    names |= {record["file"]} if (record := store.record(weight.name)) else set()
    if _is_pulled(store, weight) or (weight.sha256 and _sum(place / weight.file) == weight.sha256):
        names.add(weight.file)
    lying = [each for each in place.iterdir() if each.is_file() or each.is_symlink()]
    return [each for each in lying if each.name in names or MADE.fullmatch(each.name)]


def _is_pulled(store: WeightStore, weight: Weight) -> bool:
    """Whether a pull gave the file its name; one that was cut off then has left its note."""
    part = store.part_of(weight)
    cut_off = files.lstat_or_none(download.resume_info(part)) and not files.lstat_or_none(part)
    return bool(files.lstat_or_none(part.with_name(RECORD)) or cut_off)
