"""The cache: entries that come back, entries that are refused, and disks that fail."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import sqlite3
import stat
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from support.cache_writer import write_many

from iqcli.pipeline import cache as cache_module
from iqcli.pipeline import cache_codec, cache_store
from iqcli.pipeline import cache_store as plaindisk
from iqcli.pipeline.cache import FOLDER, Cache
from iqcli.pipeline.cache_codec import Failure
from iqcli.records import Facts, Marks

SHA = "ab" * 32
LONG_AGO = 10**9
FACTS = Facts(
    *(4000, 3000, "jpeg", "2024-05-01T12:00:00.5+02:00", "X100V", "Fujifilm", -1), taken_from="exif"
)
TOLD = replace(
    FACTS, pick=1, burst="apple:1", bias=-0.5, exposure=-6.64, panorama=True, damage=0.25
)
VECTOR = np.array([1.5, -7, 1e5, 0], np.float32)
# No block has such a number beside others.
ODD = (np.nan, np.inf, -np.inf, 2e7, -2e7)


class Warned(list):
    """The warnings of the cache."""

    __call__ = list.append


@pytest.fixture
def warned() -> Warned:
    return Warned()


def table(root: Path) -> sqlite3.Connection:
    return sqlite3.connect(root / FOLDER / "cache.db")


def fill(root: Path, warned: Warned, count: int = 1) -> None:
    cache = Cache(root, warned)
    for number in range(count):
        cache.remember_block(f"{number:064x}", "b", VECTOR)
    cache.remember_facts(SHA, "d", FACTS)
    cache.remember_block(SHA, "b", VECTOR)
    cache.close()


def test_several_reads_of_a_worker_open_one_connection_and_close_it(
    tmp_path: Path, warned: Warned, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, warned)
    cache = Cache(tmp_path, warned)
    assert cache.block(SHA, "b", 4) is not None  # the thread that reads first may write
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def counted(*given: object, **options: object) -> sqlite3.Connection:
        opened.append(connect(*given, check_same_thread=False, **options))
        return opened[-1]

    monkeypatch.setattr(sqlite3, "connect", counted)

    def read(times: int) -> list[object]:
        return [cache.block(SHA, "b", 4) for _ in range(times)]

    def together(times: int) -> list[object]:
        with cache.several():
            return read(times)

    with ThreadPoolExecutor(1) as pool:
        assert all(each is not None for each in pool.submit(together, 3).result())
        assert len(opened) == 1
        assert all(each is not None for each in pool.submit(read, 2).result())
        assert len(opened) == 3
    for each in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            each.execute("SELECT 1")
    with cache.several():
        assert read(1)[0] is not None
    assert read(1)[0] is not None and len(opened) == 3  # the connection of the owner stays
    cache.close()
    assert warned == []


def old_stat(**changes: int) -> os.stat_result:
    values = {"st_ino": 7, "st_size": 5, "st_mtime_ns": LONG_AGO, "st_ctime_ns": LONG_AGO} | changes
    sequence = [0, values["st_ino"], 0, 0, 0, 0, values["st_size"], 0, 0, 0]
    return os.stat_result(sequence, values)


def test_what_is_kept_comes_back_in_another_run(tmp_path: Path, warned: Warned) -> None:
    first = Cache(tmp_path, warned)
    path, late = Path("a b\udcff.jpg"), 2 * 10**18
    first.remember_content(path, old_stat(), late, SHA)
    marks = [Marks(), Marks(-1), Marks(None, -1), Marks(5, 1), Marks(0, 0)]
    for number, each in enumerate(marks):
        first.remember_marks(Path(f"{number}.xmp"), old_stat(), late, "x", each)
    first.remember_facts(SHA, "d", FACTS)
    first.remember_facts(SHA, "e", Failure("is torn", 250.0))
    first.remember_facts(SHA, "h", Failure("takes too long", 250.0, 3.0))
    first.remember_facts(SHA, "f", TOLD)
    first.remember_block(SHA, "b", VECTOR)
    for cache in (first, Cache(tmp_path, warned)):
        assert cache.content(path.absolute(), old_stat()) == SHA
        names = [Path(f"{number}.xmp") for number in range(len(marks))]
        assert [cache.marks(name, old_stat(), "x") for name in names] == marks
        assert cache.marks(names[0], old_stat(), "y") is None
        assert cache.marks(names[0], old_stat(st_size=9), "x") is None
        assert cache.facts(SHA, "d") == FACTS
        assert cache.facts(SHA, "e") == Failure("is torn", 250.0)
        assert cache.facts(SHA, "h") == Failure("takes too long", 250.0, 3.0)
        assert cache.facts(SHA, "f") == TOLD
        np.testing.assert_array_equal(cache.block(SHA, "b", 4), VECTOR)
        assert cache.block(SHA, "c", 4) is None
        cache.close()
    assert warned == []


def test_a_file_of_unknown_kind_is_looked_at_once(tmp_path: Path, warned: Warned) -> None:
    asked: list[Path] = []

    def look(path: Path, _: os.stat_result) -> bool:
        asked.append(path)
        return path.name == "photo"

    for _ in range(2):
        cache = Cache(tmp_path, warned)
        assert cache.is_photo(Path("photo"), old_stat(), look)
        assert not cache.is_photo(Path("notes"), old_stat(), look)
        cache.close()
    assert asked == [Path("photo"), Path("notes")]


@pytest.mark.parametrize("field", ["st_size", "st_mtime_ns", "st_ctime_ns", "st_ino"])
def test_a_file_that_changed_is_unknown(tmp_path: Path, warned: Warned, field: str) -> None:
    cache = Cache(tmp_path, warned)
    cache.remember_content(tmp_path / "a", old_stat(), 2 * 10**18, SHA)
    assert cache.content(tmp_path / "a", old_stat(**{field: 8})) is None
    cache.close()


@pytest.mark.skipif(os.name != "posix", reason="a ctime is the time of change on Unix only")
@pytest.mark.parametrize(
    ("changed", "ages"),
    [
        (2 * 10**18 + 5, {0: None, 49_999_999: None, 50_000_001: SHA, -(10**9): None}),
        (2 * 10**18, {0: None, 1_000_000_000: None, 2_000_000_001: SHA, -(10**9): None}),
    ],
    ids=["fine clock", "whole seconds"],
)
def test_a_file_as_young_as_its_reading_is_not_trusted(
    tmp_path: Path, warned: Warned, changed: int, ages: dict[int, str | None]
) -> None:
    cache = Cache(tmp_path, warned)
    young = old_stat(st_ctime_ns=changed)
    for age, trusted in ages.items():
        path = tmp_path / str(age)
        cache.remember_content(path, young, changed + age, SHA)
        assert cache.content(path, young) == trusted
    cache.close()


@pytest.mark.skipif(os.name != "posix", reason="a ctime is the time of change on Unix only")
def test_a_photo_dated_in_the_future_is_trusted(tmp_path: Path, warned: Warned) -> None:
    cache, ahead = Cache(tmp_path, warned), old_stat(st_mtime_ns=4 * 10**18)
    cache.remember_content(tmp_path / "a", ahead, 2 * 10**18, SHA)
    assert cache.content(tmp_path / "a", ahead) == SHA
    cache.close()


def test_a_folder_that_holds_other_things_is_left_alone(tmp_path: Path, warned: Warned) -> None:
    theirs = tmp_path / FOLDER
    theirs.mkdir(mode=0o755)
    (theirs / "IMG_1.jpg").write_bytes(b"a photo")
    fill(tmp_path, warned)
    assert [path.name for path in theirs.iterdir()] == ["IMG_1.jpg"]
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o755
    assert len(warned) == 1 and "no cache of iq" in warned[0]


@pytest.mark.parametrize("inner", ["", FOLDER, f"{FOLDER}/cache.db", f"{FOLDER}/cache.db-wal"])
def test_a_link_is_not_followed(tmp_path: Path, warned: Warned, inner: str) -> None:
    """Neither in place of the folder of the cache nor in it; what it leads to stays as it is."""
    victim, link = tmp_path / "victim", tmp_path / "cache" / inner
    if link.suffix:
        victim.write_bytes(b"a database of mine")
    else:
        victim.mkdir(mode=0o755)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(victim)
    before = victim.stat(), list(tmp_path.rglob("*"))
    cache = Cache(tmp_path / "cache", warned)
    cache.remember_block(SHA, "b", VECTOR)
    assert cache.block(SHA, "b", 4) is None
    assert cache.info().entries == cache.clear() == 0
    assert cache.info().bytes < 1000
    cache.close()
    assert (victim.stat(), list(tmp_path.rglob("*"))) == before
    [why] = warned
    assert f"{str(link).rstrip('/')} is a link, and none is followed there" in why


@pytest.mark.parametrize("inner", ["", FOLDER])
def test_info_and_clear_say_that_a_link_is_not_followed(
    tmp_path: Path, warned: Warned, inner: str
) -> None:
    fill(tmp_path / "real", warned)
    link = tmp_path / "cache" / inner
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(tmp_path / "real" / inner)
    for work in (lambda cache: cache.info().entries, lambda cache: cache.clear()):
        warned.clear()
        assert work(Cache(tmp_path / "cache", warned)) == 0
        assert len(warned) == 1 and "is a link" in warned[0]
    warned.clear()
    cache = Cache(tmp_path / "real", warned)
    assert cache.info().entries == 3 and warned == []
    cache.close()


def test_a_link_above_the_folder_is_followed(tmp_path: Path, warned: Warned) -> None:
    """A person's caches may lie on another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / ".cache").symlink_to(tmp_path / "disk")
    fill(tmp_path / ".cache" / "iq", warned)
    assert (tmp_path / "disk" / "iq" / FOLDER / "cache.db").is_file()
    assert warned == []


def test_the_folder_is_for_its_owner_only(tmp_path: Path, warned: Warned) -> None:
    (tmp_path / FOLDER).mkdir(mode=0o755)
    fill(tmp_path, warned)
    assert stat.S_IMODE((tmp_path / FOLDER).stat().st_mode) == 0o700


class Marker:
    """Unpickling one makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("mode", [4, "4", 2, 3])
def test_a_planted_pickle_is_never_loaded(tmp_path: Path, warned: Warned, mode: object) -> None:
    fill(tmp_path, warned)
    evil = pickle.dumps(Marker(tmp_path / "marker"))
    with closing(table(tmp_path)) as db:
        db.execute("UPDATE Cache SET mode = ?, value = ?", (mode, evil))
        db.execute("INSERT INTO Cache (key, raw, mode, value) VALUES (?, 0, 4, ?)", (evil, evil))
        db.commit()
    cache = Cache(tmp_path, warned)
    assert cache.facts(SHA, "d") is None
    assert cache.block(SHA, "b", 4) is None
    cache.remember_block(SHA, "b", VECTOR)
    cache.close()
    cache = Cache(tmp_path, warned)
    np.testing.assert_array_equal(cache.block(SHA, "b", 4), VECTOR)
    assert cache.clear() == 4
    cache.close()
    assert not (tmp_path / "marker").exists()
    assert len(warned) == 1 and "damaged or foreign" in warned[0]


@pytest.mark.parametrize("mode", [1, 2, 3, 4])
def test_a_planted_file_name_is_neither_read_nor_removed(
    tmp_path: Path, warned: Warned, mode: int
) -> None:
    fill(tmp_path, warned)
    victim = tmp_path / "victim"
    victim.write_bytes(cache_codec.pack_vector(VECTOR))
    with closing(table(tmp_path)) as db:
        db.execute("UPDATE Cache SET mode = ?, filename = ?", (mode, "../victim"))
        db.commit()
    cache = Cache(tmp_path, warned)
    assert cache.block(SHA, "b", 4) is None
    cache.remember_block(SHA, "b", VECTOR)
    cache.flush()
    cache.clear()
    cache.close()
    assert victim.read_bytes() == cache_codec.pack_vector(VECTOR)
    assert len(warned) == 1


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        1.5,
        "text",
        b"",
        cache_codec.pack_vector(VECTOR)[:-1],
        cache_codec.pack_vector(VECTOR[:3]),
        cache_codec.pack_vector(VECTOR) + b"\0",
        cache_codec.pack_facts(FACTS),
        cache_codec.pack_vector(VECTOR)[:-1] + b"\1",
        *[cache_codec.pack_vector(np.array([1, 2, 3, each], np.float32)) for each in ODD],
    ],
)
def test_a_malformed_block_is_a_miss(tmp_path: Path, warned: Warned, value: object) -> None:
    fill(tmp_path, warned)
    with closing(table(tmp_path)) as db:
        db.execute("UPDATE Cache SET value = ?", (value,))
        db.commit()
    cache = Cache(tmp_path, warned)
    assert cache.block(SHA, "b", 4) is None
    assert cache.block(SHA, "b", 4) is None
    cache.close()
    assert len(warned) == 1


def test_only_a_block_that_may_be_undefined_is_nan(tmp_path: Path, warned: Warned) -> None:
    cache = Cache(tmp_path, warned)
    cache.remember_block(SHA, "b", np.full(4, np.nan, np.float32))
    assert np.isnan(cache.block(SHA, "b", 4, may_be_nan=True)).all()
    assert warned == []
    assert cache.block(SHA, "b", 4, may_be_nan=False) is None
    assert len(warned) == 1


def test_a_block_is_believed_within_its_range_alone(tmp_path: Path, warned: Warned) -> None:
    cache = Cache(tmp_path, warned)
    cache.remember_block(SHA, "b", VECTOR)
    assert cache.block(SHA, "b", 4, within=(-7, 1e5)) is not None
    for within in ((-6.9, 1e5), (-7, 9e4)):
        assert cache.block(SHA, "b", 4, within=within) is None


@pytest.mark.parametrize(
    "text",
    ["{}", "[1, 2]", '[1, 2, "jpeg", 3, null, null, null]', "[" * 100_000, "nonsense", "\xff"],
)
def test_malformed_facts_are_a_miss(tmp_path: Path, warned: Warned, text: str) -> None:
    fill(tmp_path, warned)
    body = text.encode("latin-1")
    forged = cache_codec.FACTS + zlib.crc32(body).to_bytes(4, "little") + body
    with closing(table(tmp_path)) as db:
        db.execute("UPDATE Cache SET value = ?", (forged,))
        db.commit()
    cache = Cache(tmp_path, warned)
    assert cache.facts(SHA, "d") is None
    cache.close()
    assert len(warned) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("width", value) for value in (0, -1, True, 4.0, None, 2**31, 2**70)],
        *[("format", value) for value in (None, 3, "x" * 1001, "exe", "JPEG")],
        *[("taken", value) for value in (3, ["x"], "x" * 1001, "2024-02-30T00:00:00", "2024")],
        *[("taken", value) for value in ("2024-02-03T00:00:00\n", "2024-02-03T00:00:00+99:99")],
        *[("camera", value) for value in ("", "x" * 101, "a\x1b[31m", "a\nb")],
        *[("stars", value) for value in (-2, 6, 3.0, "3", False)],
        *[("pick", value) for value in (2, -2, True)],
        *[("burst", value) for value in (1, {}, "x" * 1001, "x", "apple:", "apple:a b")],
        *[("exposure", value) for value in (float("nan"), float("inf"), 1, "1", True, 1e3)],
        *[("panorama", value) for value in (None, 0, 1, "true")],
        *[("damage", value) for value in (None, -0.1, 1.1, 1, True, float("nan"))],
        *[("taken_from", value) for value in ("", "Exif", 1, True, "exif ", "gps,name")],
    ],
)
def test_facts_of_a_wrong_sort_are_a_miss(name: str, value: object) -> None:
    assert cache_codec.unpack_facts(cache_codec.pack_facts(TOLD)) == TOLD
    fields = {**dict(zip(TOLD.__slots__, astuple(TOLD), strict=True)), name: value}
    forged = cache_codec.seal(cache_codec.FACTS, json.dumps(list(fields.values())).encode())
    with pytest.raises(ValueError, match="not the facts"):
        cache_codec.unpack_facts(forged)


@pytest.mark.parametrize(
    "values",
    [
        *(["", 250.0], ["x" * 1001, 250.0], ["x", -1.0], ["x", float("inf")], ["x", 3], [3, 3.0]),
        *(["", 250.0, None, True], ["x", None, None, True], ["x", 250.0, 3, True]),
    ],
)
def test_failures_of_a_wrong_sort_are_a_miss(values: list[object]) -> None:
    with pytest.raises(ValueError, match="not a failure"):
        cache_codec.unpack_facts(cache_codec.seal(cache_codec.FACTS, json.dumps(values).encode()))


def test_rows_of_version_0_2_are_read() -> None:
    """Facts without damage are as good as ever; what was refused is tried again, in parts."""

    def row(*values: object) -> bytes:
        return cache_codec.seal(cache_codec.FACTS, json.dumps(values).encode())

    whole = replace(TOLD, damage=0.0)
    assert cache_codec.pack_facts(whole) == row(*astuple(whole)[:-2])
    assert cache_codec.unpack_facts(cache_codec.pack_facts(whole)) == whole
    assert cache_codec.pack_facts(TOLD) == row(*astuple(TOLD)[:-1])
    assert cache_codec.unpack_facts(row("JPEG data ends early", 250.0)) is None


@pytest.mark.parametrize("damage", [0.0, 0.5])
def test_rows_of_version_0_3_asked_nothing_but_exif_for_the_time(damage: float) -> None:
    """What no version wrote says so for itself: other sources were asked, and had no time."""
    old = replace(TOLD, taken=None, taken_from=cache_codec.UNASKED, damage=damage)
    values = astuple(old)[:-1] if damage else astuple(old)[:-2]
    row = cache_codec.seal(cache_codec.FACTS, json.dumps(values).encode())
    assert cache_codec.unpack_facts(row) == old
    assert cache_codec.pack_facts(old) == row
    for when, source in ((None, None), ("2020-01-02", "iptc"), ("2020-01-02T03:04:05Z", "gps")):
        new = replace(old, taken=when, taken_from=source)
        assert cache_codec.unpack_facts(cache_codec.pack_facts(new)) == new


@pytest.mark.parametrize("payload", [b"\6\0", b"\0\2", b"\x80\0", b"\3", b"\3\1\1", b""])
def test_marks_of_a_wrong_sort_are_a_miss(payload: bytes) -> None:
    with pytest.raises(ValueError):
        cache_codec.unpack_marks(cache_codec.pack_stat(old_stat(), payload), old_stat())


def test_what_an_earlier_version_kept_is_unknown_and_no_damage(
    tmp_path: Path, warned: Warned
) -> None:
    """Its facts say less and its ratings have no flag; the blocks are as good as ever."""
    cache, late = Cache(tmp_path, warned), 2 * 10**18
    old = cache_codec.seal(b"iqF1", b'[8, 8, "jpeg", null, null, null, 3]')
    cache._keep(b"f" + bytes.fromhex(SHA) + b"d", old)
    cache._keep_stat(b"xx\0" + os.fsencode(Path("a.xmp").absolute()), old_stat(), late, b"\3")
    cache.remember_block(SHA, "b", VECTOR)
    cache.close()
    cache = Cache(tmp_path, warned)
    assert cache.facts(SHA, "d") is None
    assert cache.marks(Path("a.xmp"), old_stat(), "x") is None
    assert cache.block(SHA, "b", 4) is not None
    cache.close()
    assert warned == []


def test_text_that_is_no_utf8_is_a_miss(tmp_path: Path, warned: Warned) -> None:
    fill(tmp_path, warned)
    with closing(table(tmp_path)) as db:
        db.execute("UPDATE Cache SET value = CAST(x'ff00fe' AS TEXT)")
        db.commit()
    cache = Cache(tmp_path, warned)
    assert cache.block(SHA, "b", 4) is None
    cache.close()
    assert len(warned) == 1


@pytest.mark.parametrize("key", ["_directory", "_disk", "disk_evil", "get"])
def test_planted_settings_do_not_reach_diskcache(tmp_path: Path, warned: Warned, key: str) -> None:
    fill(tmp_path, warned)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with closing(table(tmp_path)) as db:
        db.execute("INSERT INTO Settings VALUES (?, ?)", (key, str(elsewhere)))
        db.commit()
    fill(tmp_path, warned)
    assert list(elsewhere.iterdir()) == []
    assert len(warned) == 1 and "damaged-1" in warned[0]


def not_a_database(path: Path) -> None:
    path.write_bytes(b"hello, world\n" * 1000)


def torn_header(path: Path) -> None:
    path.write_bytes(b"\0" * 100 + path.read_bytes()[100:])


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribbled(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))


def another_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE Cache")
        db.execute("CREATE TABLE Cache (rowid INTEGER PRIMARY KEY, key, raw, expire_time, tag)")
        db.commit()


@pytest.mark.parametrize("harm", [not_a_database, torn_header, cut_off, scribbled, another_schema])
def test_a_damaged_database_is_set_aside_and_begun_anew(
    tmp_path: Path, warned: Warned, harm: object
) -> None:
    fill(tmp_path, warned, count=500)
    harm(tmp_path / FOLDER / "cache.db")
    cache = Cache(tmp_path, warned)
    cache.block(SHA, "b", 4)
    for number in range(500):
        cache.block(f"{number:064x}", "b", 4)
    cache.remember_block(SHA, "b", VECTOR)
    cache.close()
    assert len(warned) == 1 and "damaged" in warned[0]
    assert (tmp_path / f"{FOLDER}.damaged-1" / "cache.db").exists()
    cache = Cache(tmp_path, warned)
    np.testing.assert_array_equal(cache.block(SHA, "b", 4), VECTOR)
    cache.close()
    assert len(warned) == 1


def test_damage_that_shows_at_the_first_write_loses_no_entry(
    tmp_path: Path, warned: Warned
) -> None:
    cache = Cache(tmp_path, warned)
    assert cache.block(SHA, "b", 4) is None
    with closing(table(tmp_path)) as db:
        db.execute("DROP TABLE Cache")
        db.commit()
    cache.remember_block(SHA, "b", VECTOR)
    cache.close()
    cache = Cache(tmp_path, warned)
    np.testing.assert_array_equal(cache.block(SHA, "b", 4), VECTOR)
    cache.close()
    assert len(warned) == 1


def test_another_run_has_set_it_aside_already(tmp_path: Path, warned: Warned) -> None:
    fill(tmp_path, warned)
    slow = Cache(tmp_path, warned)
    slow.block(SHA, "b", 4)
    with closing(table(tmp_path)) as db:
        db.execute("DROP TABLE Cache")
        db.commit()
    (tmp_path / FOLDER).rename(tmp_path / "aside")
    fill(tmp_path, warned)
    assert slow.block(SHA, "b", 4) is None
    np.testing.assert_array_equal(slow.block(SHA, "b", 4), VECTOR)
    slow.close()
    assert warned == []


def test_a_file_in_place_of_the_folder_turns_the_cache_off(tmp_path: Path, warned: Warned) -> None:
    (tmp_path / "cache").write_text("not a folder")
    cache = Cache(tmp_path / "cache", warned)
    cache.remember_facts(SHA, "d", FACTS)
    assert cache.facts(SHA, "d") is None
    cache.flush()
    assert cache.clear() == 0
    cache.close()
    assert len(warned) == 1 and "without the cache" in warned[0]


def test_a_dollar_in_the_folder_name_is_not_expanded(tmp_path: Path, warned: Warned) -> None:
    fill(tmp_path / "$HOME", warned)
    assert len(warned) == 1
    assert list((tmp_path / "$HOME" / FOLDER).iterdir()) == []


def sql_error(code: int, text: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "error",
    [
        sql_error(sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
        sql_error(sqlite3.SQLITE_CANTOPEN, "unable to open database file"),
        OSError(30, "Read-only file system"),
    ],
)
def test_a_disk_that_cannot_be_opened_turns_the_cache_off(
    tmp_path: Path, warned: Warned, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(plaindisk.diskcache, "Cache", fail)
    fill(tmp_path, warned)
    assert len(warned) == 1 and "without the cache" in warned[0]


def test_a_full_disk_stops_writing_and_not_reading(
    tmp_path: Path, warned: Warned, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, warned)
    cache = Cache(tmp_path, warned)
    assert cache.facts(SHA, "d") == FACTS

    def full(*_: object) -> None:
        # SQLite rolls back by itself, and diskcache's own ROLLBACK then fails.
        cache._store._db._sql("ROLLBACK")
        raise sql_error(sqlite3.SQLITE_FULL, "database or disk is full")

    monkeypatch.setattr(cache._store._db, "_row_insert", full)
    for number in range(3):
        cache.remember_block(SHA, f"c{number}", VECTOR)
        cache.flush()
    assert cache.facts(SHA, "d") == FACTS
    cache.close()
    assert len(warned) == 1 and "disk is full" in warned[0]


def test_a_lock_that_is_never_let_go_stops_writing(
    tmp_path: Path, warned: Warned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plaindisk, "PATIENCE", 0.1)
    fill(tmp_path, warned)
    cache = Cache(tmp_path, warned)
    assert cache.facts(SHA, "d") == FACTS
    with closing(table(tmp_path)) as other:
        other.execute("BEGIN IMMEDIATE")
        cache.remember_block(SHA, "c", VECTOR)
        cache.flush()
        assert cache.facts(SHA, "d") == FACTS
        other.rollback()
    cache.close()
    assert len(warned) == 1 and "locked" in warned[0]


def test_entries_are_committed_by_batches(
    tmp_path: Path, warned: Warned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_store, "BATCH", 10)
    cache = Cache(tmp_path, warned)
    for number in range(25):
        cache.remember_block(SHA, str(number), VECTOR)
    with closing(table(tmp_path)) as db:
        assert db.execute("SELECT COUNT(*) FROM Cache").fetchone() == (20,)
        cache.close()
        assert db.execute("SELECT COUNT(*) FROM Cache").fetchone() == (25,)


def test_two_processes_at_once(tmp_path: Path, warned: Warned) -> None:
    spawn = multiprocessing.get_context("spawn")
    several = [spawn.Process(target=write_many, args=(tmp_path, 200 * each)) for each in (0, 1)]
    for process in several:
        process.start()
    for process in several:
        process.join()
    assert [process.exitcode for process in several] == [0, 0]
    cache = Cache(tmp_path, warned)
    assert all(cache.block(f"{number:064x}", "b", 4) is not None for number in range(500))
    cache.close()


def test_no_cache_remembers_nothing_and_makes_nothing(tmp_path: Path, warned: Warned) -> None:
    cache = Cache(None, warned)
    cache.remember_facts(SHA, "d", FACTS)
    cache.flush()
    assert cache.facts(SHA, "d") is None
    assert cache.info() is None
    assert cache.clear() == 0
    cache.close()
    assert list(tmp_path.iterdir()) == []


def test_info_counts_and_clear_forgets(tmp_path: Path, warned: Warned) -> None:
    absent = Cache(tmp_path, warned)
    assert absent.info().entries == absent.clear() == 0
    assert not (tmp_path / FOLDER).exists()
    fill(tmp_path, warned, count=10)
    cache = Cache(tmp_path, warned)
    info = cache.info()
    assert (info.folder, info.entries) == (tmp_path / FOLDER, 12)
    assert info.bytes > 4096
    assert cache.clear() == 12
    assert cache.info().entries == 0
    cache.close()
    assert warned == []


def test_the_file_system_is_named_by_its_nearest_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda1 / ext4 rw 0 0\n"
        f"nas:/x {tmp_path!s}/my\\040disk nfs4 rw 0 0\n"
        f"tmpfs {tmp_path!s}/my tmpfs rw 0 0\n"
    )
    monkeypatch.setattr(cache_module, "MOUNTS", mounts)
    assert Cache(tmp_path / "my disk" / "cache", print).info().on_network
    assert not Cache(tmp_path / "my", print).info().on_network
    assert Cache(tmp_path / "mine", print).info().filesystem == "ext4"


def test_importing_and_making_a_cache_loads_no_diskcache(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from iqcli.pipeline.cache import Cache; import iqcli.pipeline.measure;"  # noqa: E501
        "Cache(pathlib.Path('x'), print); print('diskcache' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout == "False\n", done.stderr
