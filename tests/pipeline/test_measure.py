"""The pipeline: what is opened, decoded and computed, in which order, and what goes wrong."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from support import fake_pipeline
from support.fake_pipeline import OnDevice, Reader, block, calls, photos, run, settings
from support.hostile_files import solid_webp
from support.images import encoded, noise

from iqcli.errors import IqError, PhotoError, TooSlow
from iqcli.photos import xmp
from iqcli.pipeline import cache as cache_module
from iqcli.pipeline import spec
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.measure import measure
from iqcli.records import Photo, Shot

TESTS = str(Path(__file__).parent.parent)
OPEN_FILES = Path("/proc/self/fd")
has_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters at zero, and files made just now that are old enough to be trusted."""
    calls.clear()
    monkeypatch.setattr(cache_module, "FINE_NS", 0)


@pytest.fixture
def caches(tmp_path: Path):
    """Makes caches as several runs would, all of them silent."""
    made: list[Cache] = []

    def another() -> Cache:
        for cache in made:
            cache.close()
        made.append(Cache(tmp_path / "cache", pytest.fail))
        return made[-1]

    yield another
    for cache in made:
        cache.close()


def values(done: list[Photo], name: str = "a") -> list[float]:
    return [float(each.blocks[name][0]) for each in done]


def test_blocks_come_in_the_order_of_the_shots(tmp_path: Path, caches) -> None:
    delays = random.Random(3)
    lines = [f"tiny {number} {delays.choice([0, 0.002, 0.02])}" for number in range(60)]
    shots = photos(tmp_path / "p", lines)
    done = run(shots, caches(), settings(tmp_path, jobs=4), block(), OnDevice())
    assert [each.shot for each in done] == shots
    assert values(done) == values(done, "net") == list(range(60))
    assert all(each.error is None and each.facts.width == 8 for each in done)
    assert done[0].blocks["a"].tolist() == [0, 0, 1, 2]


def test_a_second_run_computes_nothing_and_gives_the_same(tmp_path: Path, caches) -> None:
    shots = photos(tmp_path / "p", [*(f"tiny {number}" for number in range(20)), "bad"])
    first = run(shots, caches(), settings(tmp_path), block(), OnDevice())
    calls.clear()
    second = run(shots, caches(), settings(tmp_path), block(), OnDevice())
    assert not calls
    assert values(first[:-1], "net") == values(second[:-1], "net")
    assert [(each.facts, each.sha256, each.error) for each in first] == [
        (each.facts, each.sha256, each.error) for each in second
    ]


def test_no_cache_gives_the_same(tmp_path: Path) -> None:
    shots = photos(tmp_path / "p", ["tiny 1", "tiny 2", "tiny 1"])
    off = Cache(None, pytest.fail)
    assert values(run(shots, off, settings(tmp_path))) == [1, 2, 1]
    assert values(run(shots, off, settings(tmp_path))) == [1, 2, 1]


def test_a_warm_run_opens_no_photo_and_loads_no_decoder(tmp_path: Path, caches) -> None:
    shots = photos(tmp_path / "photos", [f"tiny {number}" for number in range(5)])
    run(shots, caches(), settings(tmp_path))
    caches()
    code = (
        "import sys; seen = []\n"
        "sys.addaudithook(lambda name, args: seen.append(str(args[0])) if name == 'open' else 0)\n"
        "from support import fake_pipeline; fake_pipeline.main()\n"
        "print([name for name in seen if name.endswith('.tiny')])\n"
        "print({'PIL', 'cv2', 'torch'} & set(sys.modules))"
    )
    done = in_process(tmp_path, "-c", code)
    *names, extracted, opened, loaded = done.stdout.splitlines()
    assert names == [shot.path.name for shot in shots], done.stderr
    assert (extracted, opened, loaded) == ("extracted 0", "[]", "set()")


def in_process(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"TINY_ROOT": str(root), "PYTHONPATH": TESTS}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=60
    )


def test_a_rename_costs_no_decode(tmp_path: Path, caches) -> None:
    shots = photos(tmp_path / "p", ["tiny 1", "tiny 2"])
    run(shots, caches(), settings(tmp_path))
    calls.clear()
    renamed = shots[0].path.rename(tmp_path / "p" / "other.tiny")
    done = run([Shot(tmp_path, renamed), shots[1]], caches(), settings(tmp_path))
    assert values(done) == [1, 2]
    assert not calls


def test_equal_pictures_on_their_way_at_once_are_decoded_once(tmp_path: Path) -> None:
    shots = photos(tmp_path / "p", ["tiny 5 0.05"] * 6)
    done = run(shots, Cache(None, pytest.fail), settings(tmp_path, jobs=4), block(), OnDevice())
    assert values(done) == values(done, "net") == [5] * 6
    assert calls == {"decode": 1, "extract": 1, "prepare": 1}


def test_a_further_block_computes_only_itself(tmp_path: Path, caches) -> None:
    shots = photos(tmp_path / "p", ["tiny 1", "tiny 2"])
    run(shots, caches(), settings(tmp_path), block("a"))
    calls.clear()
    done = run(shots, caches(), settings(tmp_path), block("a"), OnDevice())
    assert values(done, "a") == values(done, "net") == [1, 2]
    assert calls == {"decode": 2, "prepare": 2}


def test_a_new_version_of_a_block_is_computed_anew(tmp_path: Path, caches) -> None:
    shots = photos(tmp_path / "p", ["tiny 1"])
    for version in (1, 2, 2):
        run(shots, caches(), settings(tmp_path), block("a", version))
    assert calls["extract"] == 2


def test_another_decoder_decodes_anew(tmp_path: Path, caches) -> None:
    shots = photos(tmp_path / "p", ["tiny 1"])
    for decoder in ("one", "two", "two"):
        given = settings(tmp_path)
        list(measure(shots, [block()], caches(), given, reader=Reader(fingerprint=decoder)))
    assert calls["decode"] == 2


def test_a_swap_inside_the_racy_window_is_noticed(
    tmp_path: Path, caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    shots = photos(tmp_path / "p", ["tiny 1"])
    path = shots[0].path
    # A file system whose clock steps by seconds: the swap leaves the very same stat.
    times = {"st_ctime_ns": int(time.time()) * 10**9, "st_mtime_ns": 10**18}
    coarse = os.stat_result(tuple(path.stat()), times)
    stat, fstat = Path.stat, os.fstat
    monkeypatch.setattr(
        Path, "stat", lambda each, **how: coarse if each == path else stat(each, **how)
    )
    monkeypatch.setattr(
        os, "fstat", lambda fd: coarse if os.path.samestat(fstat(fd), coarse) else fstat(fd)
    )
    assert values(run(shots, caches(), settings(tmp_path))) == [1]
    path.write_text("tiny 2")
    assert values(run(shots, caches(), settings(tmp_path))) == [2]


def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    shots = photos(tmp_path / "p", ["tiny 1"])
    fstat, seen = os.fstat, []

    def growing(fd: int) -> os.stat_result:
        seen.append(fd)
        if len(seen) == 2:
            os.utime(shots[0].path)
        return fstat(fd)

    monkeypatch.setattr(os, "fstat", growing)
    assert values(run(shots, caches(), settings(tmp_path))) == [1]
    seen.append(0)
    run(shots, caches(), settings(tmp_path))
    assert len(seen) == 5
    run(shots, caches(), settings(tmp_path))
    assert len(seen) == 5


@has_pipes
def test_what_cannot_be_read_is_a_value(tmp_path: Path, caches) -> None:
    folder = tmp_path / "p"
    shots = photos(folder, ["tiny 1", "bad", "tiny 255", "tiny 3"])
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("link")
    odd = [Shot(folder, folder / name) for name in ("gone", "pipe", "link", "p\0q")]
    done = run([*odd, Shot(folder, folder), *shots], caches(), settings(tmp_path))
    assert [each.error for each in done] == [
        "cannot be read: No such file or directory",
        "is not a regular file",
        "cannot be read: Too many levels of symbolic links",
        "ValueError: embedded null byte",
        "cannot be read: Is a directory",
        None,
        "is no picture",
        "a: ZeroDivisionError: white",
        None,
    ]
    assert all((each.blocks is None) == (each.error is not None) for each in done)


def test_only_a_picture_that_is_bad_is_remembered_as_bad(
    tmp_path: Path, caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    shots = photos(tmp_path / "p", ["bad", "tiny 1"])
    monkeypatch.setattr(fake_pipeline, "extract", lambda _: 1 / 0)
    assert all(each.error for each in run(shots, caches(), settings(tmp_path), block("z")))
    monkeypatch.undo()
    calls.clear()
    done = run(shots, caches(), settings(tmp_path), block("z"))
    assert [each.error for each in done] == ["is no picture", None]
    assert calls == {"decode": 1, "extract": 1}
    calls.clear()
    run(shots, caches(), settings(tmp_path, max_megapixels=10), block("z"))
    assert calls == {"decode": 1}, "under another limit it is tried again"


@pytest.mark.parametrize("cause", [MemoryError(), ImportError("no decoder"), OSError("truncated")])
def test_a_lack_of_the_machine_is_not_remembered_as_the_photo_s(
    tmp_path: Path, caches, cause: Exception
) -> None:
    def decode(data: bytes, *, max_megapixels: float) -> NoReturn:
        raise PhotoError("cannot be decoded") from cause

    shots = photos(tmp_path / "p", ["tiny 1"])
    given = settings(tmp_path)
    list(measure(shots, [block()], caches(), given, reader=Reader(decode)))
    (done,) = run(shots, caches(), given)
    assert (done.error is None) == (not isinstance(cause, OSError))


def test_a_file_without_permission_is_a_value(
    tmp_path: Path, caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    shots = photos(tmp_path / "p", ["tiny 1", "tiny 2"])
    real = os.open

    def refusing(path: Path, flags: int, **place: int | None) -> int:
        if path == shots[0].path:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, **place)

    monkeypatch.setattr(os, "open", refusing)
    done = run(shots, caches(), settings(tmp_path))
    assert [each.error for each in done] == ["cannot be read: Permission denied", None]
    monkeypatch.undo()
    assert values(run(shots, caches(), settings(tmp_path))) == [1, 2]


def test_too_large_a_file_and_too_little_memory_are_values(
    tmp_path: Path, caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    shots = photos(tmp_path / "p", ["tiny 1", "tiny 2"])
    with shots[0].path.open("wb") as file:
        file.write(encoded(noise(8, 8), "JPEG"))
        file.truncate(1_300_000_000)
    monkeypatch.setattr(fake_pipeline, "extract", lambda _: bytearray(2**62))
    done = run(shots, caches(), settings(tmp_path), block("m"))
    assert [each.error for each in done] == [
        "is larger than 953 MiB (raise max_megapixels)",
        "m: there is not enough memory for it",
    ]


@pytest.mark.parametrize("where", ["decode", "extract"])
def test_what_concerns_the_whole_run_ends_it(
    tmp_path: Path, caches, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise IqError("no weights")

    monkeypatch.setattr(fake_pipeline, where, fail)
    with pytest.raises(IqError, match="no weights"):
        run(photos(tmp_path / "p", ["tiny 1"]), caches(), settings(tmp_path), block("w"))


def test_a_device_that_is_not_there_ends_the_run_and_not_a_warm_one(
    tmp_path: Path, caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    shots = photos(tmp_path / "p", ["tiny 1"])
    with pytest.raises(IqError, match="no cuda"):
        run(shots, caches(), settings(tmp_path, device="cuda"), OnDevice())
    run(shots, caches(), settings(tmp_path), OnDevice())
    assert values(run(shots, caches(), settings(tmp_path, device="cuda"), OnDevice()), "net") == [1]


def test_a_full_device_is_survived(tmp_path: Path, caches) -> None:
    net = OnDevice(room=3)
    shots = photos(tmp_path / "p", [f"tiny {number}" for number in range(30)])
    done = run(shots, caches(), settings(tmp_path, batch_size=8), net)
    assert values(done, "net") == list(range(30))
    assert net.batches[:3] == [8, 4, 2] and set(net.batches[2:]) <= {1, 2}


def test_batches_do_not_depend_on_how_fast_photos_decode(tmp_path: Path) -> None:
    delays = random.Random(5)
    lines = [f"tiny {number} {delays.random() / 100}" for number in range(30)]
    shots = photos(tmp_path / "p", lines)
    net = OnDevice()
    run(shots, Cache(None, pytest.fail), settings(tmp_path, jobs=4, batch_size=8), net)
    assert net.batches == [8, 8, 8, 6]


class Watched(OnDevice):
    """Remembers which threads ran it; a white picture (255) is one that it cannot do."""

    def __init__(self, fault: Exception | None = None) -> None:
        super().__init__()
        self.fault = fault
        self.threads: list[str] = []

    def forward(self, batch, device):
        self.threads.append(threading.current_thread().name)
        if self.fault and (np.stack(batch) == 255).any():
            raise self.fault
        return super().forward(batch, device)


def test_on_a_cpu_every_worker_runs_its_own_pictures(tmp_path: Path) -> None:
    """A batch is no faster there, and one thread that runs it leaves the other cores idle."""
    shots = photos(tmp_path / "p", [f"tiny {number} 0.005" for number in range(24)])
    cache = Cache(None, pytest.fail)
    alone, batched = Watched(), Watched()
    one = run(shots, cache, settings(tmp_path, jobs=3), block(), alone)
    other = run(shots, cache, settings(tmp_path, jobs=3, batch_size=8), block(), batched)
    assert alone.batches == [1] * 24 and batched.batches == [8] * 3
    assert all(name.startswith("iq-decode") for name in alone.threads)
    assert len(set(alone.threads)) > 1
    assert set(batched.threads) == {threading.current_thread().name}
    assert values(one, "net") == values(other, "net") == list(range(24))
    assert values(one) == values(other)


def test_what_a_worker_ran_is_kept(tmp_path: Path, caches) -> None:
    shots = photos(tmp_path / "p", [f"tiny {number}" for number in range(6)])
    run(shots, caches(), settings(tmp_path), Watched())
    calls.clear()
    again = Watched()
    assert values(run(shots, caches(), settings(tmp_path), again), "net") == list(range(6))
    assert again.batches == [] and not calls


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (ZeroDivisionError("white\npaper"), "net failed: ZeroDivisionError: white"),
        (MemoryError(), "net needs more memory than cpu has"),
    ],
)
def test_a_fault_of_the_network_is_that_photos_error(
    tmp_path: Path, size: int, fault: Exception, expected: str
) -> None:
    shots = photos(tmp_path / "p", ["tiny 1", "tiny 255", "tiny 3"])
    given = settings(tmp_path, batch_size=size)
    done = run(shots, Cache(None, pytest.fail), given, Watched(fault))
    assert done[0].error is None is done[2].error and done[1].error.startswith(expected)
    assert "\n" not in done[1].error
    assert [each.blocks["net"][0] for each in (done[0], done[2])] == [1, 3]


@pytest.mark.parametrize("size", [0, 2])
def test_missing_weights_end_the_run(tmp_path: Path, size: int) -> None:
    shots = photos(tmp_path / "p", ["tiny 1", "tiny 255", "tiny 3"])
    given = settings(tmp_path, batch_size=size)
    with pytest.raises(IqError, match="no weights here"):
        run(shots, Cache(None, pytest.fail), given, Watched(IqError("no weights here")))


def test_stars_of_a_sidecar_win_and_a_change_is_seen(
    tmp_path: Path, caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "p"
    (shot,) = photos(folder, ["tiny 1"])
    stem, full, film = (folder / name for name in ("0000.xmp", "0000.tiny.XMP", "0000.mov"))
    shot = Shot(folder, shot.path, (film, full, stem))
    asked: list[bytes] = []

    def properties_of(packet: bytes) -> xmp.Properties:
        asked.append(packet)
        return {xmp.RATING: [packet.decode()]}

    monkeypatch.setattr(xmp, "properties_of", properties_of)
    film.write_bytes(b"film")
    for in_stem, in_full, wanted, reads in (
        (b"2", b"4", 4, 2),
        (b"2", b"4", 4, 0),
        (b"2", b"", 2, 2),
        (b"-1", b"", -1, 2),
        (b"", b"", None, 2),
        (b"", b"", None, 0),
    ):
        for path, text in ((stem, in_stem), (full, in_full)):
            if not path.exists() or path.read_bytes() != text:
                path.write_bytes(text)
        asked.clear()
        (done,) = run([shot], caches(), settings(tmp_path))
        assert (done.marks.stars, len(asked)) == (wanted, reads)
    assert calls["decode"] == 1
    stem.unlink()
    (done,) = run([shot], caches(), settings(tmp_path))
    assert done.error == "cannot be read: No such file or directory"


def test_facts_of_an_earlier_version_cost_one_decode_and_no_block(
    tmp_path: Path, caches, monkeypatch: pytest.MonkeyPatch
) -> None:
    shots = photos(tmp_path / "p", ["tiny 1", "tiny 2"])
    with monkeypatch.context() as earlier:
        earlier.setattr(Cache, "remember_facts", lambda *_: None)
        run(shots, caches(), settings(tmp_path))
    calls.clear()
    for _ in range(2):
        assert values(run(shots, caches(), settings(tmp_path))) == [1, 2]
        assert calls == {"decode": 2}


def flagged(pick: int) -> str:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        f'xmlns:dm="http://ns.adobe.com/xmp/1.0/DynamicMedia/" dm:pick="{pick}"/>'
        "</rdf:RDF></x:xmpmeta>"
    )


@pytest.mark.parametrize(
    ("embedded", "xmp", "takeout", "marks"),
    [
        ((None, None), None, None, (None, None)),
        ((3, -1), None, None, (3, -1)),
        ((3, None), -1, "{}", (3, -1)),
        ((None, 0), -1, "{}", (None, 0)),
        ((None, -1), -1, '{"favorited": true}', (None, 1)),
        ((-1, None), 1, None, (-1, 1)),
    ],
)
def test_the_highest_flag_counts_wherever_it_stands(
    tmp_path: Path, caches, embedded: tuple, xmp: int | None, takeout: str | None, marks: tuple
) -> None:
    folder = tmp_path / "p"
    (shot,) = photos(folder, ["tiny 1"])
    beside = []
    for name, text in (("0000.xmp", xmp and flagged(xmp)), ("0000.tiny.json", takeout)):
        if text is not None:
            (folder / name).write_text(text)
            beside.append(folder / name)
    stars, pick = embedded

    def decode(data: bytes, *, max_megapixels: float):
        facts, views = fake_pipeline.decode(data, max_megapixels=max_megapixels)
        return replace(facts, stars=stars, pick=pick), views

    for _ in range(2):
        found = measure(
            [Shot(folder, shot.path, tuple(beside))],
            [block()],
            caches(),
            settings(tmp_path),
            reader=Reader(decode),
        )
        assert [(*each.marks, each.error) for each in found] == [(*marks, None)]
    assert calls["decode"] == 1


@pytest.mark.parametrize("data", [b"", b'{"title": "0000.ti'])
def test_half_a_takeout_file_is_no_missing_favourite(tmp_path: Path, caches, data: bytes) -> None:
    (shot,) = photos(tmp_path / "p", ["tiny 1"])
    beside = tmp_path / "p" / "0000.tiny.json"
    beside.write_bytes(data)
    for _ in range(2):
        (done,) = run([Shot(shot.root, shot.path, (beside,))], caches(), settings(tmp_path))
        assert done.error == f"its sidecar {beside} cannot be read: it is no JSON"
    beside.write_text("{}")
    (done,) = run([Shot(shot.root, shot.path, (beside,))], caches(), settings(tmp_path))
    assert done.error is None and done.marks.pick is None


def test_a_photo_that_is_called_a_panorama_is_one(tmp_path: Path, caches) -> None:
    shots = photos(tmp_path / "p", ["tiny 1"] * 2)
    called = shots[0].path.with_name("PXL_20230330_184138390.PANO.jpg")
    shots[0].path.rename(called)
    for _ in range(2):
        done = run([Shot(shots[0].root, called), shots[1]], caches(), settings(tmp_path))
        assert [each.facts.panorama for each in done] == [True, False]


@has_pipes
def test_a_sidecar_that_cannot_be_read_is_no_missing_rating(tmp_path: Path, caches) -> None:
    (shot,) = photos(tmp_path / "p", ["tiny 1"])
    sidecar = tmp_path / "p" / "0000.xmp"
    os.mkfifo(sidecar)
    (done,) = run([Shot(shot.root, shot.path, (sidecar,))], caches(), settings(tmp_path))
    assert done.error == f"its sidecar {sidecar} cannot be read: is not a regular file"


def test_the_look_ahead_is_bounded(tmp_path: Path) -> None:
    taken, shots = [], photos(tmp_path / "p", [f"tiny {number}" for number in range(60)])

    def counting():
        for shot in shots:
            taken.append(shot)
            yield shot

    given = settings(tmp_path, jobs=2, batch_size=8)
    cache = Cache(None, pytest.fail)
    for net, ahead in ((block(), 4), (OnDevice(), 12)):
        taken.clear()
        results = measure(counting(), [net], cache, given, reader=Reader())
        for number, _ in enumerate(results):
            assert len(taken) <= number + ahead


@pytest.mark.parametrize(("side", "together"), [(7000, 1), (4000, 4)])
def test_decodes_take_together_what_there_is_room_for(
    tmp_path: Path, side: int, together: int
) -> None:
    inside, most = [], []

    def decode(data: bytes, *, max_megapixels: float):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        return fake_pipeline.decode(b"tiny 1", max_megapixels=max_megapixels)

    given = settings(tmp_path, jobs=6)
    (tmp_path / "p").mkdir()
    for number in range(12):
        (tmp_path / "p" / f"{number}.webp").write_bytes(solid_webp(side, side) + bytes([number]))
    shots = [Shot(tmp_path / "p", path) for path in sorted((tmp_path / "p").iterdir())]
    cache = Cache(None, pytest.fail)
    done = list(measure(shots, [block()], cache, given, reader=Reader(decode)))
    assert values(done) == [1] * 12
    # 16 bytes a pixel, of 1.19 GB.
    assert max(most) == together


def test_a_file_larger_than_a_decode_may_take_is_not_read(tmp_path: Path) -> None:
    (shot,) = photos(tmp_path / "p", ["x"])
    with shot.path.open("wb") as file:
        file.write(encoded(noise(64, 48), "JPEG"))
        file.truncate(1_900_000_000)
    (done,) = run([shot], Cache(None, pytest.fail), settings(tmp_path))
    assert done.error == "is larger than 953 MiB (raise max_megapixels)"


def test_of_a_large_file_that_is_no_picture_only_the_head_is_read(tmp_path: Path) -> None:
    (shot,) = photos(tmp_path / "p", ["x"])
    with shot.path.open("wb") as file:
        file.truncate(1_900_000_000)
    tracemalloc.start()
    (done,) = run([shot], Cache(None, pytest.fail), settings(tmp_path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.error == "not a picture iq can read (it looks like nothing but zeros)"
    assert peak < 50e6


def test_what_cannot_be_decoded_is_tried_once(tmp_path: Path) -> None:
    tries = []

    def broken(data: bytes, *, max_megapixels: float):
        tries.append(max_megapixels)
        raise PhotoError("is torn")

    shots = photos(tmp_path / "p", ["x"])
    cache = Cache(None, pytest.fail)
    (done,) = measure(shots, [], cache, settings(tmp_path), reader=Reader(broken))
    assert done.error == "is torn" and tries == [250.0]


def open_files() -> int:
    return len(list(OPEN_FILES.iterdir()))


def test_under_a_low_limit_decodes_run_side_by_side(tmp_path: Path) -> None:
    together = threading.Barrier(2, timeout=5)

    def decode(data: bytes, *, max_megapixels: float):
        together.wait()
        return fake_pipeline.decode(data, max_megapixels=max_megapixels)

    shots = photos(tmp_path / "p", ["tiny 1", "tiny 2"])
    given = settings(tmp_path, max_megapixels=20.0)
    cache = Cache(None, pytest.fail)
    assert values(list(measure(shots, [block()], cache, given, reader=Reader(decode)))) == [1, 2]


def test_a_fault_at_one_of_two_equal_pictures_is_named_at_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> NoReturn:
        time.sleep(0.05)
        raise MemoryError

    monkeypatch.setattr(spec.MeasureSpec, "load", failing)
    done = run(photos(tmp_path / "p", ["tiny 1"] * 2), Cache(None, pytest.fail), settings(tmp_path))
    assert [each.error for each in done] == ["there is not enough memory for it"] * 2


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="nothing here lists the open files")
def test_files_and_threads_are_let_go(tmp_path: Path, caches) -> None:
    shots = photos(tmp_path / "p", [f"tiny {number} 0.001" for number in range(200)])
    cache = caches()
    run(shots[:4], cache, settings(tmp_path, jobs=4))
    files, threads = open_files(), threading.active_count()
    run(shots, cache, settings(tmp_path, jobs=4))
    # SQLite keeps, for the next connection, what others of the same process have let go of.
    assert open_files() <= files + 4
    assert threading.active_count() == threads


def test_ctrl_c_stops_soon_and_keeps_what_is_done(tmp_path: Path, caches) -> None:
    shots = photos(tmp_path / "p", [f"tiny {number} 0.02" for number in range(200)])
    given = settings(tmp_path)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    done: list[Photo] = []
    with pytest.raises(KeyboardInterrupt):
        done.extend(measure(shots, [block()], caches(), given, reader=Reader()))
    stopped = calls["decode"]
    assert 0 < stopped < 100
    calls.clear()
    list(
        measure(
            shots[: stopped // 2],
            [block()],
            caches(),
            given,
            reader=Reader(),
        )
    )
    assert not calls


def test_what_is_measured_is_kept_though_another_takes_long(tmp_path: Path, caches) -> None:
    shots = photos(tmp_path / "p", ["tiny 0", "tiny 1 3", "tiny 2"])
    results = measure(shots, [block()], caches(), settings(tmp_path, jobs=3), reader=Reader())
    assert next(results).error is None
    for _ in range(500):
        time.sleep(0.01)
        if calls["extract"] == 2:
            break
    began = time.monotonic()
    results.close()  # as an interrupt does
    assert time.monotonic() - began < 2.5
    calls.clear()
    cache = caches()
    again = [
        measure([shots[n]], [block()], cache, settings(tmp_path), reader=Reader()) for n in (0, 2)
    ]
    assert values([photo for each in again for photo in each]) == [0, 2]
    assert not calls


def test_what_takes_too_long_is_remembered_until_more_is_allowed(tmp_path: Path, caches) -> None:
    def slow(data: bytes, *, max_megapixels: float):
        calls["slow"] += 1
        raise TooSlow("takes too long")

    shots = photos(tmp_path / "p", ["tiny 1"])
    for seconds, tries in ((3.0, 1), (3.0, 1), (9.0, 2), (3.0, 2)):
        given = settings(tmp_path, max_seconds=seconds)
        (done,) = measure(shots, [block()], caches(), given, reader=Reader(slow))
        assert (done.error, calls["slow"]) == ("takes too long", tries)


def test_a_consumer_that_leaves_stops_the_work(tmp_path: Path, caches) -> None:
    shots = photos(tmp_path / "p", [f"tiny {number} 0.01" for number in range(50)])
    results = measure(shots, [block()], caches(), settings(tmp_path), reader=Reader())
    next(results)
    results.close()
    assert calls["decode"] < 10


@pytest.mark.slow
def test_kill_9_loses_at_most_a_batch(tmp_path: Path) -> None:
    photos(tmp_path / "photos", [f"tiny {number} 0.005" for number in range(120)])
    code = "from support import fake_pipeline; from iqcli.pipeline import cache_store; cache_store.BATCH = 30; fake_pipeline.main()"  # noqa: E501
    environment = os.environ | {"TINY_ROOT": str(tmp_path), "PYTHONPATH": TESTS}
    victim = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    )
    for _ in range(60):
        victim.stdout.readline()
    victim.kill()
    victim.stdout.close()
    victim.wait()
    done = in_process(tmp_path, "-c", code)
    *names, extracted = done.stdout.splitlines()
    assert names == [f"{number:04}.tiny" for number in range(120)], done.stderr
    # 60 photos make at least 120 entries, all but the last 30 of which were committed.
    assert int(extracted.split()[1]) <= 120 - 60 + 30


def test_two_runs_at_once(tmp_path: Path) -> None:
    photos(tmp_path / "photos", [f"tiny {number} 0.002" for number in range(60)])
    environment = os.environ | {"TINY_ROOT": str(tmp_path), "PYTHONPATH": TESTS}
    command = [sys.executable, "-c", "from support import fake_pipeline; fake_pipeline.main()"]
    pair = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=60)[0].splitlines()[:-1] for process in pair]
    assert outputs == [[f"{number:04}.tiny" for number in range(60)]] * 2
    assert in_process(
        tmp_path, "-c", "from support import fake_pipeline; fake_pipeline.main()"
    ).stdout.endswith("extracted 0\n")


def test_real_pictures_are_read_by_the_real_decoder(tmp_path: Path, caches) -> None:
    from PIL import Image

    folder = tmp_path / "p"
    folder.mkdir()
    Image.new("RGB", (900, 600), (40, 40, 40)).save(folder / "a.jpg")
    (folder / "b.jpg").write_bytes((folder / "a.jpg").read_bytes()[:400])
    (folder / "a.xmp").write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
    )
    shots = [Shot(folder, folder / "a.jpg", (folder / "a.xmp",)), Shot(folder, folder / "b.jpg")]
    for _ in range(2):
        good, bad = measure(shots, [block()], caches(), settings(tmp_path))
        assert good.error is None and good.marks.stars == 4
        assert good.facts.width == 900
        assert good.blocks["a"][0] == pytest.approx(40, abs=1)
        assert bad.error and bad.blocks is None
    assert calls == {"extract": 1}
