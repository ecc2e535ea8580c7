"""What photos of related names hold, kept in the cache."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from support.phone_files import film, jpeg

from iqcli.photos.names import headers, looks, read_evidence
from iqcli.photos.names.evidence import Header, Look
from iqcli.photos.names.read_evidence import ReadEvidence
from iqcli.pipeline import cache_codec
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.cached_evidence import CachedEvidence

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def files(tmp_path: Path) -> Iterator[tuple[Path, Path, Path]]:
    folder = tmp_path / "p"
    folder.mkdir()
    named = {
        "a.jpg": jpeg(fraction="12"),
        "b.jpg": jpeg(edited=True, software="GIMP"),
        "c.mov": film(3, "11111111-AAAA", 1_714_810_272),
    }
    for name, data in named.items():
        (folder / name).write_bytes(data)
    time.sleep(0.1)  # a file as young as its row is read again
    yield tuple(folder / name for name in named)


def looked(cache: Cache, files: tuple[Path, ...]) -> tuple[object, ...]:
    evidence = CachedEvidence(cache)
    one, other, _ = files
    return (*map(evidence.header, files), evidence.likeness(other, one))


def test_unchanged_files_are_opened_once(
    tmp_path: Path, files: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def header(path: Path) -> Header:
        read.append(path.name)
        return headers.read_header(path)

    def likeness(edit: Path, original: Path) -> Look:
        read.extend([edit.name, original.name])
        return looks.likeness(edit, original)

    monkeypatch.setattr(ReadEvidence, "read_header", lambda _, path, __: header(path))
    monkeypatch.setattr(
        ReadEvidence, "read_likeness", lambda _, edit, __, original, ___: likeness(edit, original)
    )
    found = []
    for _ in range(2):  # each as a process of its own
        read_evidence._headers.clear()
        read_evidence._looks.clear()
        cache = Cache(tmp_path / "cache", pytest.fail)
        found.append(looked(cache, files))
        cache.close()
    assert found[0] == found[1]
    assert found[0][3] is Look.CROPPED
    assert found[0][0].fraction == "12" and found[0][2].seconds == 3
    assert read == ["a.jpg", "b.jpg", "c.mov", "b.jpg", "a.jpg"]


def test_a_change_of_either_is_seen(tmp_path: Path, files: tuple[Path, ...]) -> None:
    cache = Cache(tmp_path / "cache", pytest.fail)
    one, other, _ = files
    assert looked(cache, files)[3] is Look.CROPPED
    one.write_bytes(jpeg(2))
    assert looked(cache, files)[3] is Look.UNLIKE
    other.write_bytes(jpeg(2))
    assert looked(cache, files)[3] is Look.EQUAL
    cache.close()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"taken": 1}', b'{"taken": "yesterday"}', b'{"x": "y"}', b'{"made": "1"}'],
)
def test_a_row_that_is_no_header_is_refused(tmp_path: Path, body: bytes) -> None:
    stat = tmp_path.stat()
    row = cache_codec.seal(cache_codec.HEADER, cache_codec.stat_bytes(stat) + body)
    with pytest.raises(ValueError):
        cache_codec.unpack_header(row, stat)
