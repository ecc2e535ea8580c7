"""From measured to judged to ranked: the order, the failures and the ties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from support.fake_heads import loaded, write_head

from iqcli.extractors.registry import BLOCKS
from iqcli.models import scoring
from iqcli.models.scoring import CHUNK, blocks_for, judge, rank, with_facts
from iqcli.records import Facts, Issue, Marks, Photo, Rating, Shot

ROOT = Path("/photos")


class Echo:
    """A model whose score is the first number of the block; it remembers its batches."""

    blocks = ()

    def __init__(self) -> None:
        self.batches: list[int] = []

    def rate(self, photos: Sequence[Mapping[str, np.ndarray]]) -> list[Rating]:
        self.batches.append(len(photos))
        return [Rating(float(each["a"][0]), 1.0, "echo") for each in photos]


def measured(number: int, error: str | None = None) -> Photo:
    shot = Shot(ROOT, ROOT / f"{number:05}.jpg")
    blocks = None if error else {"a": np.array([number], np.float32)}
    facts, pick = Facts(4, 3, "jpeg"), (None, -1, 0, 1)[number % 4]
    return Photo(shot, f"sha{number}", facts, Marks(number % 6, pick), None, error, blocks=blocks)


def judged(name: str | bytes, score: float | None) -> Photo:
    path = ROOT / (name if isinstance(name, str) else name.decode("utf-8", "surrogateescape"))
    rating = None if score is None else Rating(score, 1.0, "echo")
    return Photo(Shot(ROOT, path), rating=rating, error=None if rating else "broken")


def test_a_block_that_neither_score_nor_issues_read_is_not_measured(tmp_path: Path) -> None:
    sizes = {"mini": BLOCKS["mini"].size}
    path = write_head(tmp_path / "lean.safetensors", {}, sizes)
    for grouped in (False, True):
        names = [block.name for block in blocks_for(loaded(path), grouped=grouped)]
        assert sorted(names) == ["mini", "photometry", "tiles"]


@pytest.mark.parametrize("count", (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5))
def test_every_shot_is_judged_once_in_order_whatever_failed(count: int) -> None:
    given = [measured(k, "broken" if k % 7 == 3 else None) for k in range(count)]
    found = list(judge(iter(given), Echo()))
    assert [each.shot for each in found] == [each.shot for each in given]
    for k, (before, after) in enumerate(zip(given, found, strict=True)):
        assert (after.sha256, after.facts, after.marks) == (
            before.sha256,
            before.facts,
            before.marks,
        )
        assert (after.rating is None) == (after.error is not None) == (k % 7 == 3)
        if after.rating:
            assert after.rating.score == k
        else:
            assert after.error == "broken"


@pytest.mark.parametrize("fast", [True, False])
def test_photos_that_come_fast_are_rated_in_batches(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others one by one: a row that is known does not wait for a photo that takes its time."""
    monkeypatch.setattr(scoring, "FAST", 1e9 if fast else 0.0)
    model, taken = Echo(), 0

    def source():
        nonlocal taken
        for k in range(10 * CHUNK):
            taken += 1
            yield measured(k)

    rows = judge(source(), model)
    assert next(rows).rating.score == 0
    assert taken == 1
    assert next(rows).rating.score == 1
    assert taken == (3 if fast else 2)
    assert sum(1 for _ in rows) == 10 * CHUNK - 2
    growing = [1, 2, 4, 8, 16, 32, 64]
    expected = [*growing, *[CHUNK] * 9, 1] if fast else [1] * 10 * CHUNK
    assert model.batches == expected


def test_a_chunk_of_failures_alone() -> None:
    found = list(judge([measured(k, "broken") for k in range(5)], loaded("fusion-mini")))
    assert all(each.rating is None and each.error == "broken" for each in found)


def test_a_photo_scores_the_same_wherever_it_falls_in_a_chunk(monkeypatch) -> None:
    model = loaded("fusion-mini")
    random = np.random.default_rng(0)
    photos = [
        Photo(
            Shot(ROOT, ROOT / f"{k}.jpg"),
            blocks={b.name: random.normal(5, 3, b.size).astype("f4") for b in model.blocks},
        )
        for k in range(20)
    ]
    whole = [each.rating for each in judge(photos, model)]
    monkeypatch.setattr(scoring, "CHUNK", 3)
    parts = [each.rating for each in judge(photos, model)]
    for one, other in zip(whole, parts, strict=True):
        assert (one.score, one.uncertainty) == (other.score, other.uncertainty)
        assert one.issues == other.issues and one.reasons == other.reasons


SEEN = tuple(Issue(name, 3) for name in ("blurred", "too_dark", "noisy"))


def named(width: int, height: int, damage: float = 0.0) -> list[tuple[str, int]]:
    """What is named of a picture of this size of which a model sees `SEEN`."""
    rating = Rating(5.0, 1.0, "echo", issues=SEEN)
    found = with_facts(rating, Facts(width, height, "jpeg", damage=damage))
    return [(each.name, each.level) for each in found.issues]


@pytest.mark.parametrize(
    ("width", "height", "level"),
    [(255, 4000, 2), (320, 240, 2), (160, 120, 3), (120, 160, 3), (100, 75, 4), (48, 48, 4)],
)
def test_a_picture_of_few_pixels_is_too_small_instead_of_soft(
    width: int, height: int, level: int
) -> None:
    assert named(width, height) == [("too_small", level), ("too_dark", 3)]


@pytest.mark.parametrize("size", [(256, 256), (640, 480), (6000, 4000), (2000, 256)])
def test_a_picture_of_enough_pixels_is_judged_as_it_is(size: tuple[int, int]) -> None:
    assert named(*size) == [(each.name, each.level) for each in SEEN]


@pytest.mark.parametrize("size", [(47, 64), (64, 16), (1, 1)])
def test_of_an_icon_nothing_is_seen_but_its_size(size: tuple[int, int]) -> None:
    assert named(*size) == [("too_small", 4)]


def test_damage_is_named_before_size() -> None:
    assert named(160, 120, damage=0.3)[:2] == [("damaged", 4), ("too_small", 3)]


def test_the_best_is_first_and_failures_have_no_place() -> None:
    given = [judged("a", 3), judged("b", None), judged("c", 9), judged("d", 5)]
    found = rank(given)
    assert [each.photo.shot.path.name for each in found] == ["c", "d", "a"]
    assert [each.rank for each in found] == [1, 2, 3]
    assert [each.percentile for each in found] == [100, 50, 0]


def test_ties_stand_in_the_order_of_their_paths_bytes() -> None:
    names = [b"z.jpg", b"Z.jpg", b"\xff.jpg", "\uff21.jpg".encode(), b"10.jpg", b"9.jpg"]
    found = rank([judged(name, 5) for name in names])
    assert [bytes(each.photo.shot.path).split(b"/")[-1] for each in found] == sorted(names)
    assert rank([judged(name, 5) for name in reversed(names)]) == found


@pytest.mark.parametrize(("count", "expected"), ((0, []), (1, [0]), (2, [100, 0])))
def test_percentiles_of_few(count: int, expected: list[float]) -> None:
    assert [each.percentile for each in rank(judged(str(k), k) for k in range(count))] == expected
