"""Shots whose primary is broken: the next file that is whole leads them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import fake_pipeline
from support.fake_pipeline import OnDevice, Reader, block, calls, settings
from support.images import encoded, noise
from support.xmp_sidecars import RATED

from iqcli.pipeline import cache as cache_module
from iqcli.pipeline import measure as measure_module
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.measure import measure
from iqcli.pipeline.spec import MeasureSpec
from iqcli.records import Shot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iqcli.fs.read import Stamp
    from iqcli.records import Facts, Photo, Views

BAD = "is no picture"
HALF = "50% of the picture is missing"


def read(data: bytes, *, max_megapixels: float) -> tuple[Facts, Views]:
    """A picture as of `fake_pipeline`; `half` before it stands for one that is cut off."""
    facts, views = fake_pipeline.decode(data.removeprefix(b"half "), max_megapixels=max_megapixels)
    return replace(facts, damage=0.5 if data.startswith(b"half") else 0.0), views


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    calls.clear()
    monkeypatch.setattr(cache_module, "FINE_NS", 0)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., list[Photo]]]:
    """Measures shots with one cache, or with none."""
    cache = Cache(tmp_path / "cache", pytest.fail)

    def measured(*shots: Shot, cached: bool = True, blocks=None, **changes) -> list[Photo]:
        used = cache if cached else Cache(None, pytest.fail)
        chosen = blocks or [block()]
        return list(
            measure(shots, chosen, used, settings(tmp_path, **changes), reader=Reader(read))
        )

    yield measured
    cache.close()


def shot(folder: Path, first: str, *, name: str = "IMG_1", **files: str | bytes) -> Shot:
    """A shot of files by their extensions; the first leads."""
    folder.mkdir(exist_ok=True)
    paths = {ext: folder / f"{name}.{ext}" for ext in files}
    for ext, path in paths.items():
        content = files[ext]
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    companions = sorted(path for ext, path in paths.items() if ext != first)
    return Shot(folder, paths[first], tuple(companions))


def seen(photo: Photo) -> tuple[str, int | None, str | None, list[str]]:
    """The file that leads, its number, its error, and what stands before it."""
    number = None if photo.blocks is None else int(photo.blocks["a"][0])
    return photo.shot.path.name, number, photo.error, [each.reason for each in photo.broken]


JPG_BAD, JPG_HALF = f"in place of IMG_1.jpg: {BAD}", f"in place of IMG_1.jpg: {HALF}"
CASES = [
    ({"jpg": "tiny 1", "dng": "bad"}, ("IMG_1.jpg", 1, None, [])),
    ({"jpg": "", "dng": "tiny 2"}, ("IMG_1.dng", 2, None, [JPG_BAD])),
    ({"jpg": "bad", "cr2": "tiny 2", "heic": "tiny 3"}, ("IMG_1.heic", 3, None, [JPG_BAD])),
    ({"jpg": "half tiny 1", "dng": "tiny 2"}, ("IMG_1.dng", 2, None, [JPG_HALF])),
    (
        {"jpg": "bad", "heic": "half tiny 3", "dng": "tiny 2"},
        ("IMG_1.dng", 2, None, [JPG_BAD, f"in place of IMG_1.heic: {HALF}"]),
    ),
    # What is damaged is better than nothing, and the first of equals leads.
    ({"jpg": "bad", "dng": "half tiny 2"}, ("IMG_1.dng", 2, None, [JPG_BAD])),
    ({"jpg": "half tiny 1", "dng": "half tiny 2"}, ("IMG_1.jpg", 1, None, [])),
    ({"jpg": "half tiny 1", "dng": "bad"}, ("IMG_1.jpg", 1, None, [])),
    ({"jpg": "bad", "dng": "worse"}, ("IMG_1.jpg", None, BAD, [])),
    ({"jpg": "bad", "xmp": RATED, "mov": "tiny 4"}, ("IMG_1.jpg", None, BAD, [])),
]


@pytest.mark.parametrize(("files", "expected"), CASES)
def test_the_first_whole_file_leads(
    tmp_path: Path, run: Callable[..., list[Photo]], files: dict[str, str], expected: tuple
) -> None:
    given = shot(tmp_path / "p", "jpg", **files)
    (cold,) = run(given)
    assert seen(cold) == expected
    assert {*cold.shot.files} == {*given.files}
    assert list(cold.shot.companions) == sorted(cold.shot.companions)
    calls.clear()
    (warm,) = run(given)
    assert (warm, seen(warm), calls) == (cold, expected, {})


def test_no_other_file_is_decoded_unless_the_first_is_broken(
    tmp_path: Path, run: Callable[..., list[Photo]]
) -> None:
    run(shot(tmp_path / "p", "jpg", jpg="tiny 1", heic="tiny 2", dng="tiny 3"))
    assert calls["decode"] == 1
    run(shot(tmp_path / "p", "jpg", name="IMG_2", jpg="bad", heic="tiny 4", dng="tiny 5"))
    assert calls["decode"] == 3


def test_a_warm_run_opens_no_file(
    tmp_path: Path, run: Callable[..., list[Photo]], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = shot(tmp_path / "p", "jpg", jpg="bad", heic="half tiny 3", dng="tiny 2")
    (cold,) = run(given)
    monkeypatch.setattr(measure_module._Run, "_submit", lambda *_: pytest.fail("read again"))
    assert run(given) == [cold]


@pytest.mark.parametrize("batch_size", [0, 4])
def test_many_are_measured_in_their_order(
    tmp_path: Path, run: Callable[..., list[Photo]], batch_size: int
) -> None:
    """Also where a network measures them in batches, and where some are equal."""
    first = ["bad", "half tiny 9", "tiny 1", "bad", ""] * 6
    shots = [
        shot(tmp_path / "p", "jpg", name=f"IMG_{at}", jpg=text, dng=f"tiny {at}")
        for at, text in enumerate(first)
    ]
    made = {"blocks": [block(), OnDevice()], "batch_size": batch_size, "jobs": 3}
    expected = [1 if text == "tiny 1" else at for at, text in enumerate(first)]
    for cached in (False, True, True):
        calls.clear()
        found = run(*shots, cached=cached, **made)
        assert [int(each.blocks["net"][0]) for each in found] == expected
        assert [each.shot.path.stem for each in found] == [each.path.stem for each in shots]
        assert [bool(each.broken) for each in found] == [text != "tiny 1" for text in first]
    assert not calls


def test_a_picture_that_no_block_can_be_made_of_is_passed_over_too(
    tmp_path: Path, run: Callable[..., list[Photo]]
) -> None:
    (found,) = run(shot(tmp_path / "p", "jpg", jpg="tiny 255", dng="tiny 2"))
    assert seen(found)[:3] == ("IMG_1.dng", 2, None)
    assert not found.broken[0].is_readable


def test_marks_in_any_file_count(tmp_path: Path, run: Callable[..., list[Photo]]) -> None:
    marked = encoded(noise(64, 64), "JPEG", xmp=RATED.encode())  # no picture to this reader
    given = shot(tmp_path / "p", "jpg", jpg=marked, dng="tiny 2")
    for _ in range(2):
        (found,) = run(given)
        assert (found.shot.path.name, found.marks.stars) == ("IMG_1.dng", 3)
    (found,) = run(shot(tmp_path / "p", "jpg", name="IMG_2", jpg="bad", dng="tiny 3", xmp=RATED))
    assert (found.shot.path.name, found.marks.stars) == ("IMG_2.dng", 3)


def test_what_cannot_be_opened_may_hold_a_mark(
    tmp_path: Path, run: Callable[..., list[Photo]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So no other file is judged in its place."""
    given = shot(tmp_path / "p", "jpg", jpg="tiny 1", dng="tiny 2")
    open_it = MeasureSpec.read

    def refuse(spec: MeasureSpec, path: Path) -> tuple[bytes, Stamp]:
        if path == given.path:
            raise PermissionError(13, "Permission denied")
        return open_it(spec, path)

    monkeypatch.setattr(MeasureSpec, "read", refuse)
    (found,) = run(given)
    assert (found.shot, found.error) == (given, "cannot be read: Permission denied")
