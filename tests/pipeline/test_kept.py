"""Results that are kept in pages: used while nothing has changed, and never else."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sqlite3
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import fields, replace
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import diskcache
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image
from support.fake_heads import write_head
from support.fake_pipeline import settings
from support.fault_injection import in_child
from support.images import exif_block
from support.xmp_sidecars import RATED

from iqcli.models import registry, scoring
from iqcli.models.base import RatedModel
from iqcli.models.calibration import own_file
from iqcli.models.registry import Registry
from iqcli.output.rows import row
from iqcli.photos.find import find_shots
from iqcli.pipeline import cache as cache_module
from iqcli.pipeline import cache_store, kept_codec
from iqcli.pipeline import kept as kept_module
from iqcli.pipeline.cache import FOLDER, Cache
from iqcli.pipeline.cache_codec import seal
from iqcli.pipeline.kept_codec import KeptShot
from iqcli.pipeline.measure import measure
from iqcli.records import Facts, FrameDescriptor, Issue, Likeness, Marks, Photo, Rating, Shot

if TYPE_CHECKING:
    from collections.abc import Iterator

FORK = multiprocessing.get_context("fork")  # the children are as small as here, and as trusting
MODEL = "brisque-refit"
DATE = 0x9003
TIME = "2024:05:01 10:11:12"
SHOT = Shot(Path("/photos"), Path("/photos/1.jpg"))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of four shots in the mean, and files made just now that are trusted."""
    monkeypatch.setattr(cache_module, "FINE_NS", 0)
    monkeypatch.setattr(kept_module, "BITS", 2)
    monkeypatch.setattr(kept_module, "LEAST", 1)


@pytest.fixture
def rated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many photos were rated by each call."""
    found: list[int] = []
    rate = RatedModel.rate

    def counted(self: RatedModel, photos: Any) -> Any:
        found.append(len(photos))
        return rate(self, photos)

    monkeypatch.setattr(RatedModel, "rate", counted)
    return found


class Runs:
    """Runs over a folder, with a cache of their own."""

    def __init__(self, root: Path) -> None:
        self.photos, self.home = root / "photos", root
        self.warned: list[str] = []
        self.photos.mkdir()
        self.settings = settings(root, model=MODEL, data_dir=root / "data", jobs=1)

    def __call__(self, *, kept: bool = True, cached: bool = True) -> list[Any]:
        """The rows of a run, and what copies are known by."""
        with closing(Cache(self.home / "cache" if cached else None, self.warned.append)) as cache:
            model = Registry.of(self.settings).load(self.settings.model)
            shots = find_shots([self.photos], on_problem=lambda *_: None)
            pages = scoring.kept_for(model, cache, self.settings) if kept else None
            measured = measure(shots, model.blocks, cache, self.settings, kept=pages)
            return [described(each) for each in scoring.judge(measured, model, kept=pages)]

    def pages(self) -> dict[bytes, bytes]:
        """The pages in the cache, by their keys."""
        return {key: value for key, value in self.stored() if value[:4] == kept_codec.MAGIC}

    def stored(self) -> list[tuple[bytes, bytes]]:
        with closing(sqlite3.connect(self.home / "cache" / FOLDER / "cache.db")) as db:
            return list(db.execute("SELECT key, value FROM Cache"))

    def change(self, words: str, *values: object) -> None:
        """Change the table of the cache."""
        with closing(sqlite3.connect(self.home / "cache" / FOLDER / "cache.db", 60)) as db, db:
            db.execute(words, values)

    def draw(self, name: str, seed: int, when: str | None = None) -> None:
        """A small photo."""
        light = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        picture = Image.fromarray(light).resize((64, 48), Image.Resampling.BICUBIC)
        buffer = BytesIO()
        exif = exif_block(
            {0x010F: "Maker", 0x0110: f"Model {seed % 3}"}, {DATE: when} if when else {}
        )
        picture.save(buffer, "JPEG", exif=exif)
        path = self.photos / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(buffer.getvalue())


def described(photo: Photo) -> Any:
    likeness = photo.likeness
    parts = [] if likeness is None else [getattr(likeness, each.name) for each in fields(likeness)]
    return row(photo), photo.file, [None if each is None else each.tolist() for each in parts]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_an_unchanged_photo_is_neither_measured_nor_rated(runs: Runs, rated: list[int]) -> None:
    for seed in range(12):
        runs.draw(f"{seed % 2}/IMG_{seed:04}.JPG", seed, TIME if seed % 3 else None)
    (runs.photos / "0" / "IMG_0004.xmp").write_text(RATED)
    cold = runs()
    assert (sum(rated), len(cold)) == (12, 12)
    rated.clear()
    assert runs() == cold
    assert sum(rated) == 0
    assert runs(kept=False) == runs(cached=False) == cold
    assert [each[0]["stars"] for each in cold].count(3) == 1
    assert not runs.warned


@pytest.mark.slow
def test_whatever_changes_is_seen(runs: Runs, rated: list[int]) -> None:
    """Rounds of changes, each of them against the rows without any page."""
    chance = random.Random(14)
    names = [f"{folder}/IMG_{number:04}.JPG" for folder in "ab" for number in range(12)]
    for seed, name in enumerate(names[::2]):
        runs.draw(name, seed, TIME)
    runs()
    for seed in range(100, 125):
        name = chance.choice(names)
        path, change = runs.photos / name, chance.randrange(8)
        before = {each[0]["path"]: each for each in runs()}
        rated.clear()
        if change == 0:
            runs.draw(name, seed, TIME if seed % 2 else None)
        elif change == 1:
            path.unlink(missing_ok=True)
        elif change == 2:
            path.with_suffix(".xmp").write_text(RATED.replace('"3"', f'"{seed % 5 + 1}"'))
        elif change == 3:
            path.with_suffix(".xmp").unlink(missing_ok=True)
        elif change == 4 and path.exists():
            path.rename(path.with_name(f"DSC_{seed}.JPG"))
        elif change == 5:
            path.with_name(".picasa.ini").write_text(f"[{path.name}]\nstar=yes\n")
        elif change == 6:
            runs.change("DELETE FROM Cache WHERE rowid % 2 = ?", seed % 2)
        elif change == 7:
            data = b"\xff\xd8\xff half a photo" if seed % 2 else b""
            path.write_bytes(data)
        after = runs()
        if change != 6:
            assert sum(rated) < len(after) / 2
        wanted = runs(kept=False)
        assert after == wanted, (seed, change)
        assert runs() == wanted
        assert len(before) - 1 <= len(after) <= len(before) + 1
    assert runs(cached=False) == runs()
    # Half of a photo's entries were deleted in some of the rounds.
    assert all(each.startswith("some photos were measured without") for each in runs.warned)


def test_a_star_in_the_file_of_a_folder_counts_and_is_not_kept(runs: Runs) -> None:
    for seed in range(6):
        runs.draw(f"IMG_{seed:04}.JPG", seed)
    plain = runs()
    (runs.photos / ".picasa.ini").write_text("[IMG_0003.JPG]\nstar=yes\n")
    starred = runs()
    assert [row["pick"] for row, *_ in starred] == [None, None, None, 1, None, None]
    assert runs() == starred
    (runs.photos / ".picasa.ini").unlink()
    assert runs() == plain


@pytest.mark.parametrize("what", ["calibration", "model", "limit", "labels", "file of iq"])
def test_what_ratings_depend_on_gives_new_ones(
    runs: Runs, rated: list[int], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(6):
        runs.draw(f"IMG_{seed:04}.JPG", seed)
    runs.settings = replace(runs.settings, model="hex-mini")
    before = runs()
    if what == "calibration":
        rising = {"knots": [0.0, 1.0], "points": [2.0, 3.0], "sigma": 1.0, "source": "mine"}
        file = own_file("hex-mini", runs.settings.data_dir)
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"hex-mini": rising}))
    elif what == "file of iq":
        monkeypatch.setattr(registry, "_installation", lambda: "another")
    else:
        changes = {"model": {"model": MODEL}, "limit": {"max_megapixels": 1.0}}
        runs.settings = replace(runs.settings, **changes.get(what, {"protect_labels": True}))
    rated.clear()
    after = runs()
    assert sum(rated) == 6
    assert (after == before) == (what not in ("calibration", "model"))
    assert after == runs(kept=False)
    assert len(runs.warned) == (what == "model")


def test_a_model_of_the_same_name_with_other_content_gives_new_ratings(
    runs: Runs, rated: list[int]
) -> None:
    for seed in range(6):
        runs.draw(f"IMG_{seed:04}.JPG", seed)
    file = runs.home / "own.safetensors"
    runs.settings = replace(runs.settings, model=str(file))
    found = []
    for version in ("random/1", "random/2"):
        write_head(file, {}, model=version)
        rated.clear()
        found.append(runs())
        assert sum(rated) == 6
        assert runs() == found[-1]
        assert sum(rated) == 6
    assert found[0] != found[1]


def test_that_a_block_is_computed_is_named_once_a_run(runs: Runs) -> None:
    for seed in range(4):
        runs.draw(f"IMG_{seed:04}.JPG", seed)
    runs.settings = replace(runs.settings, model="hex-mini")
    runs()
    assert not runs.warned
    (runs.photos / "IMG_0001.JPG").rename(runs.photos / "DSC_0001.JPG")
    runs.settings = replace(runs.settings, model=MODEL)
    runs()
    (sentence,) = runs.warned
    assert "without brisque" in sentence
    runs()
    assert len(runs.warned) == 1


def test_a_page_of_one_model_is_replaced_by_the_next(runs: Runs) -> None:
    for seed in range(6):
        runs.draw(f"IMG_{seed:04}.JPG", seed)
    runs()
    pages = runs.pages()
    runs.settings = replace(runs.settings, max_megapixels=1.0)
    runs()
    assert runs.pages().keys() == pages.keys()
    assert all(value != pages[key] for key, value in runs.pages().items())


def test_a_photo_younger_than_its_reading_is_not_kept(
    runs: Runs, rated: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "FINE_NS", 10**12)
    runs.draw("IMG_0001.JPG", 1)
    first = runs()
    assert not runs.pages()
    assert runs() == first
    assert sum(rated) == 2


def test_a_time_that_has_not_come_yet_is_not_kept(runs: Runs) -> None:
    """When it has come it will be believed."""
    later = datetime.now() + timedelta(days=400)
    runs.draw("IMG_0001.JPG", 1, later.strftime("%Y:%m:%d %H:%M:%S"))
    assert runs() == runs(kept=False)
    assert not runs.pages()


def test_a_run_that_is_left_keeps_whole_pages_alone(runs: Runs, rated: list[int]) -> None:
    for seed in range(24):
        runs.draw(f"IMG_{seed:04}.JPG", seed)
    with closing(Cache(runs.home / "cache", runs.warned.append)) as cache:
        model = Registry.of(runs.settings).load(MODEL)
        pages = scoring.kept_for(model, cache, runs.settings)
        shots = find_shots([runs.photos], on_problem=lambda *_: None)
        measured = measure(shots, model.blocks, cache, runs.settings, kept=pages)
        rows = scoring.judge(measured, model, kept=pages)
        for _ in range(13):
            next(rows)
        rows.close()
        measured.close()
    assert runs.pages()
    assert runs() == runs(cached=False)
    assert not runs.warned


def test_a_page_written_over_a_newer_one_gives_nothing_old(runs: Runs) -> None:
    """Two runs: one has measured, then photos change and the other runs, then the first ends."""
    for seed in range(8):
        runs.draw(f"IMG_{seed:04}.JPG", seed)
    runs()
    runs.draw("IMG_0001.JPG", 101)
    with closing(Cache(runs.home / "cache", runs.warned.append)) as cache:
        model = Registry.of(runs.settings).load(MODEL)
        pages = scoring.kept_for(model, cache, runs.settings)
        shots = find_shots([runs.photos], on_problem=lambda *_: None)
        measured = list(measure(shots, model.blocks, cache, runs.settings, kept=pages))
        for seed in range(5):
            runs.draw(f"IMG_{seed:04}.JPG", 200 + seed)
        wanted, newer = runs(), runs.pages()
        list(scoring.judge(measured, model, kept=pages))
    assert runs.pages() != newer
    assert runs() == wanted == runs(cached=False)
    assert not runs.warned


@pytest.mark.parametrize("changed", [{}, {"max_megapixels": 1.0}], ids=["alike", "other limit"])
def test_two_processes_at_once_give_the_rows_of_one(
    runs: Runs, rated: list[int], changed: dict[str, float]
) -> None:
    for seed in range(12):
        runs.draw(f"{seed % 2}/IMG_{seed:04}.JPG", seed)
    wanted = runs(cached=False)
    start = FORK.Barrier(2)
    several = [
        FORK.Process(target=run_often, args=(runs, each, start, wanted)) for each in ({}, changed)
    ]
    for process in several:
        process.start()
    for process in several:
        process.join()
    assert [process.exitcode for process in several] == [0, 0]
    runs()
    rated.clear()
    assert runs() == wanted
    assert sum(rated) == 0 and not runs.warned


def run_often(runs: Runs, changed: dict[str, float], start: Any, wanted: list[Any]) -> None:
    """Several runs, without their pages in between; exits with 1 where one differs or warns."""
    runs.settings = replace(runs.settings, **changed)
    start.wait()
    for _ in range(3):
        if runs() != wanted or runs.warned:
            sys.exit(1)
        runs.change("DELETE FROM Cache WHERE substr(value, 1, 4) = ?", kept_codec.MAGIC)


@pytest.mark.slow
def test_a_kill_while_pages_are_written_costs_only_work(
    runs: Runs, rated: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each page of a transaction, before its commit, and behind it; there are two a run."""
    for seed in range(8):
        runs.draw(f"IMG_{seed:04}.JPG", seed)
    runs()
    put, transact = diskcache.Cache.set, diskcache.Cache.transact
    countdown = -1

    def step() -> None:
        nonlocal countdown
        if countdown == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        countdown -= 1

    def put_or_die(self: Any, key: bytes, value: bytes) -> Any:
        if value[:4] == kept_codec.MAGIC:
            step()
        return put(self, key, value)

    @contextmanager
    def transact_or_die(self: Any) -> Iterator[None]:
        with transact(self):
            yield
            step()
        step()

    monkeypatch.setattr(cache_store, "SECONDS", 1e9)
    monkeypatch.setattr(diskcache.Cache, "set", put_or_die)
    monkeypatch.setattr(diskcache.Cache, "transact", transact_or_die)
    several, anew = len(runs.pages()), []
    for at in range(several + 5):
        for seed in range(8):
            runs.draw(f"IMG_{seed:04}.JPG", 100 * at + seed + 100)
        countdown = at
        ended = in_child(runs).code
        assert ended == (-signal.SIGKILL if at < several + 4 else 0)
        countdown = -1
        wanted = runs(cached=False)
        rated.clear()
        assert runs() == wanted
        anew.append(sum(rated))
    assert anew == sorted(anew, reverse=True) and (anew[0], *anew[-2:]) == (8, 0, 0)
    assert len(set(anew)) > 1 < several
    assert not runs.warned


@pytest.mark.slow
def test_a_kill_at_any_moment_costs_only_work(runs: Runs, rated: list[int]) -> None:
    chance = random.Random(14)
    for seed in range(40):
        runs.draw(f"{seed % 3}/IMG_{seed:04}.JPG", seed)
    wanted = runs(cached=False)
    for _ in range(30):
        start = FORK.Barrier(2)
        victim = FORK.Process(target=run_often, args=(runs, {}, start, wanted))
        victim.start()
        start.wait()
        time.sleep(chance.uniform(0, 0.5))
        victim.kill()
        victim.join()
        assert victim.exitcode in (0, -signal.SIGKILL)
        assert runs() == wanted
    rated.clear()
    assert runs() == wanted
    assert sum(rated) == 0 and not runs.warned


@pytest.mark.parametrize("damage", ["flip", "cut", "foreign", "pickle"])
def test_a_damaged_page_is_a_miss_and_one_warning(runs: Runs, damage: str) -> None:
    for seed in range(8):
        runs.draw(f"IMG_{seed:04}.JPG", seed)
    before = runs()
    for key, value in runs.pages().items():
        changed = {
            "flip": value[:200] + bytes([value[200] ^ 1]) + value[201:],
            "cut": value[:300],
            "foreign": b"not a page of ours",
            "pickle": b"\x80\x04N.",
        }[damage]
        runs.change("UPDATE Cache SET value = ? WHERE key = ?", changed, key)
    assert runs() == before
    assert len(runs.warned) == 1
    assert runs() == before
    assert len(runs.warned) == 1


@given(some.integers(0, 2**32), some.integers(0, 5))
def test_a_page_gives_what_was_packed(seed: int, count: int) -> None:
    chance = random.Random(seed)
    entries = [entry(chance, number) for number in range(count)]
    page = kept_codec.unpack("f", kept_codec.pack("f", entries))
    assert page is not None
    for each in entries:
        place = page.place(each.name, each.seen)
        assert place is not None
        assert page.place(each.name, each.seen + b"x") is None
        found = page.photo(place, each.photo.shot, each.photo.file, grouped=True)
        assert found == each.photo
        assert plain(found.likeness) == plain(each.photo.likeness)
        assert plain(found.descriptor) == plain(each.photo.descriptor)
        assert page.photo(place, each.photo.shot, None, grouped=False).descriptor is None
    assert kept_codec.unpack("g", kept_codec.pack("f", entries)) is None


@given(some.integers(0, 2**32), some.data())
def test_a_page_of_other_values_is_refused(seed: int, data: some.DataObject) -> None:
    """Sealed as ours are: whoever can write to the cache can make us forget, and nothing more."""
    body = kept_codec.pack("f", [entry(random.Random(seed), k) for k in range(3)])[8:]
    at = data.draw(some.integers(0, len(body) - 1))
    changed = data.draw(
        some.sampled_from([body[:at], body[:at] + bytes([body[at] ^ 255]) + body[at + 1 :]])
    )
    try:
        page = kept_codec.unpack("f", seal(kept_codec.MAGIC, changed))
    except (ValueError, RecursionError):
        return
    if page is not None:
        for place in range(len(page)):
            photo = page.photo(place, SHOT, None, grouped=True)
            json.dumps(row(photo), ensure_ascii=False)
            assert np.isfinite(photo.rating.score)


def entry(chance: random.Random, number: int) -> KeptShot:
    """A shot with any values that there are."""

    def maybe(value: Any) -> Any:
        return chance.choice((None, value))

    numbers = np.random.default_rng(chance.randrange(2**32))
    light = numbers.integers(0, 2, 144, dtype=np.uint8) * numbers.integers(0, 256, dtype=np.uint8)
    grey, colour = numbers.integers(0, 256, 1024, dtype=np.uint8), numbers.normal(size=5)
    facts = Facts(
        *(chance.randint(1, 9000), chance.randint(1, 9000), chance.choice(("jpeg", "heif"))),
        *(maybe("2024-05-01T10:11:12.5+02:00"), maybe("Käm\u00e9ra 1"), maybe("Maker")),
        *(maybe(chance.randint(-1, 5)), maybe(chance.randint(-1, 1)), maybe("apple:12-ab")),
        *(maybe(-0.0), maybe(chance.uniform(-9, 9)), chance.choice((True, False))),
        *(chance.choice((0.0, 0.25)), chance.choice((None, "exif", "name"))),
    )
    issues = tuple(
        Issue(name, chance.randint(1, 4), maybe(chance.random()))
        for name in ("blurred", "too_dark")[: chance.randrange(3)]
    )
    rating = Rating(
        *(round(chance.uniform(1, 10), 3), maybe(1.25), "model/2", maybe(3.5), maybe(4.0), issues),
        ("judged without it",)[: chance.randrange(2)],
    )
    look = FrameDescriptor(
        numbers.normal(size=96).astype(np.float16), light, maybe(7.5), ("low key",)
    )
    photo = Photo(
        Shot(SHOT.root, SHOT.root / f"{number}.jpg"),
        numbers.bytes(32).hex(),
        facts,
        Marks(maybe(3), maybe(1)),
        rating,
        likeness=Likeness(light, grey, colour.astype(np.float32)),
        descriptor=maybe(look),
    )
    return KeptShot(f"{number}.jpg", numbers.bytes(chance.randrange(32, 90)), photo)


def plain(record: Any) -> Any:
    """The fields of a record, its arrays as lists and with their types."""
    if record is None:
        return None
    values = [getattr(record, each.name) for each in fields(record)]
    return [(each.dtype.str, each.tolist()) if hasattr(each, "dtype") else each for each in values]
