"""Which kinds of photo a rule throws out: counted, and told where chance does not explain it."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact
from support.photo_rolls import photo

from iqcli.culling.disparity import FEW, LEVEL, Loss, classes_of, lopsided, losses
from iqcli.records import Decision, Verdict


def decided(name: str, rejected: bool, *classes: str, **more: object) -> Decision:
    verdict = Verdict.REJECT if rejected else Verdict.KEEP
    return Decision(photo(name, classes=classes, **more), verdict, ("why",), ("code",))


def test_what_a_photo_is_a_kind_of() -> None:
    assert classes_of(photo("a.jpg", classes=("night",), camera="Pixel 8", size=(30, 40))) == (
        "night",
        "Pixel 8",
        "upright",
        "JPEG",
    )
    assert classes_of(photo("a.jpg")) == ("no camera", "wide", "JPEG")
    assert classes_of(photo("a.jpg", size=(9, 9))) == ("no camera", "JPEG")


def test_each_kind_beside_the_rest() -> None:
    found = [
        decided("a.jpg", True, "night"),
        decided("b.jpg", False, "night"),
        decided("c.jpg", False, camera="Pixel 8"),
        Decision(photo("d.jpg", None, classes=("night",)), Verdict.REVIEW, ("why",)),
    ]
    assert losses(found) == [
        Loss("night", 2, 1, 1, 0),
        Loss("no camera", 2, 1, 1, 0),
        Loss("Pixel 8", 1, 0, 2, 1),
    ]
    assert losses([]) == []


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_the_chance_is_fishers(photos: int, others: int, data: st.DataObject) -> None:
    rejects = data.draw(st.integers(0, photos))
    rest = data.draw(st.integers(0, others))
    table = [[rejects, photos - rejects], [rest, others - rest]]
    wanted = fisher_exact(table, alternative="greater").pvalue
    assert Loss("x", photos, rejects, others, rest).chance == pytest.approx(wanted, rel=1e-6)


def test_the_chance_by_hand() -> None:
    """All 3 of 3 rejected, none of 7: one choice of the 3 rejects out of 10 photos."""
    assert Loss("x", 3, 3, 7, 0).chance == pytest.approx(1 / comb(10, 3))


def test_a_kind_that_loses_far_more_is_named() -> None:
    found = [decided(f"n{k}.jpg", k < 15, "night") for k in range(20)]
    found += [decided(f"d{k}.jpg", k < 10) for k in range(80)]
    far = lopsided(losses(found))
    assert far is not None
    assert str(far) == "of 20 photos of the kind 'night' 75% are rejected, of the others 12%"


@pytest.mark.parametrize(
    "loss",
    [
        Loss("too few of them", FEW - 1, FEW - 1, 90, 0),
        Loss("too few others", 90, 60, FEW - 1, 0),
        Loss("too near, however sure", 50_000, 20_000, 50_000, 11_000),
        Loss("far, but it may be chance", 10, 5, 10, 2),
        Loss("it loses less", 50, 0, 50, 30),
    ],
    ids=lambda loss: loss.name,
)
def test_what_is_no_reason_to_warn(loss: Loss) -> None:
    assert lopsided([loss]) is None


def test_the_more_kinds_are_asked_the_surer_one_must_be() -> None:
    loss = Loss("x", 12, 9, 20, 5)
    assert LEVEL / 4 < loss.chance <= LEVEL
    assert lopsided([loss]) == loss
    assert lopsided([loss, *(Loss(f"y{k}", 50, 5, 50, 5) for k in range(3))]) is None


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5, 0.9])
def test_where_all_kinds_lose_alike_it_hardly_ever_warns(rate: float) -> None:
    random = np.random.default_rng(5)
    warned = 0
    for _ in range(400):
        rejected = random.random(120) < rate
        marks = random.random((5, 120)) < np.array([0.1, 0.2, 0.3, 0.5, 0.5])[:, None]
        found = [
            Loss(str(k), int(m.sum()), int(rejected[m].sum()), int((~m).sum()), rejected[~m].sum())
            for k, m in enumerate(marks)
        ]
        warned += lopsided(found) is not None
    assert warned <= 400 * LEVEL + 3 * (400 * LEVEL) ** 0.5


def test_where_one_kind_loses_half_more_it_nearly_always_warns() -> None:
    random = np.random.default_rng(6)
    warned = 0
    for _ in range(200):
        night = random.binomial(40, 0.6)
        rest = random.binomial(160, 0.1)
        found = [Loss("night", 40, night, 160, rest), Loss("wide", 100, 20, 100, night + rest - 20)]
        told = lopsided(found)
        warned += told is not None and told.name == "night"
    assert warned >= 198


def test_ten_thousand_photos_are_counted_at_once() -> None:
    loss = Loss("x", 50_000, 25_000, 50_000, 25_000)
    assert loss.chance == pytest.approx(0.5, abs=0.01)
