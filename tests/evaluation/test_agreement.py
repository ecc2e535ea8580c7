"""The measures of agreement: equal to SciPy's, honest at their edges, and bursts by hand.

And those of rejects, of uncertainty and of two scorers compared.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats
from support.drawn_scenes import texture
from support.fake_heads import registry

from iqcli.culling.rules import Quota, Rule
from iqcli.errors import IqError
from iqcli.evaluation import intervals, mos_csv
from iqcli.evaluation.agreement import agreement, bursts, rejects
from iqcli.evaluation.comparison import burst_difference, difference
from iqcli.evaluation.intervals import mean_share, share
from iqcli.evaluation.study import BASELINE, CONSTANT, SHARPNESS, Study, study
from iqcli.evaluation.uncertainty import covered, grouped, uncertainty_metrics
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.measure import measure
from iqcli.settings import Settings


@pytest.fixture(autouse=True)
def fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 100)


def sample(count: int, noise: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    opinions = random.uniform(1, 10, count)
    return np.clip(opinions + random.normal(0, noise, count), 1, 10), opinions


# --- correlations and errors ---


@pytest.mark.parametrize("seed", range(3))
def test_the_figures_equal_scipys(seed: int) -> None:
    scores, opinions = sample(80, 2.0, seed)
    scores = np.round(scores, 1)  # with ties
    found = agreement(scores, opinions)
    expected = {
        "srcc": stats.spearmanr(scores, opinions).statistic,
        "plcc": stats.pearsonr(scores, opinions).statistic,
        "krcc": stats.kendalltau(scores, opinions).statistic,
        "rmse": math.sqrt(((scores - opinions) ** 2).mean()),
        "mae": np.abs(scores - opinions).mean(),
    }
    assert found.photos == 80
    assert [*found.figures] == [
        *("srcc", "krcc", "plcc", "plcc_logistic_4", "plcc_logistic_5", "rmse", "mae")
    ]
    for name, value in expected.items():
        assert found.figures[name].value == pytest.approx(value, abs=1e-12), name


def test_an_interval_holds_its_value_and_is_the_same_again() -> None:
    scores, opinions = sample(120)
    first, second = (agreement(scores, opinions).figures for _ in range(2))
    assert first == second
    for name, figure in first.items():
        assert figure.low < figure.value < figure.high, name
        assert figure.high - figure.low < 0.5, name


def test_an_interval_narrows_with_more_photos() -> None:
    few, many = (agreement(*sample(count)).figures["srcc"] for count in (30, 480))
    assert many.high - many.low < 0.5 * (few.high - few.low)


@pytest.mark.parametrize("constant", ("scores", "opinions"))
def test_constant_numbers_have_errors_but_no_correlation(constant: str) -> None:
    scores, opinions = sample(30)
    if constant == "scores":
        scores = np.full(30, 5.0)
    else:
        opinions = np.full(30, 5.0)
    found = agreement(scores, opinions)
    for name in ("srcc", "krcc", "plcc", "plcc_logistic_4", "plcc_logistic_5"):
        assert math.isnan(found.figures[name].value), name
    assert found.figures["rmse"].low <= found.figures["rmse"].value <= found.figures["rmse"].high
    assert all(fit.failure for fit in found.fits.values())


@pytest.mark.parametrize("count", (1, 2))
def test_one_or_two_photos_have_no_correlation(count: int) -> None:
    found = agreement(np.arange(count) + 1.0, np.arange(count) + 2.0)
    assert math.isnan(found.figures["srcc"].value)
    assert found.figures["rmse"].value == 1


def test_few_photos_give_no_warnings_and_an_interval() -> None:
    """Among resamples of five photos are some of one photo alone: no correlation, no crash."""
    figure = agreement(np.arange(5.0), np.array([2.0, 1, 4, 2.5, 5])).figures["srcc"]
    assert figure.value == pytest.approx(0.8)
    assert -1 <= figure.low <= 0.8 <= figure.high <= 1


# --- bursts ---


def test_bursts_by_hand() -> None:
    """a: the best is found, 2 of 3 pairs in order. b: tied at the top, one of two is right."""
    groups = ["a", "a", "a", "b", "b", "b", "alone"]
    opinions = np.array([9.0, 5, 4, 8, 6, 2, 10])
    scores = np.array([7.0, 3, 4, 6, 6, 1, 1])
    found = bursts(scores, opinions, groups)
    assert found.groups == 2
    assert found.top1.value == pytest.approx((1 + 0.5) / 2)
    assert found.pairs.value == pytest.approx((2 + 2.5) / 6)
    assert found.chance == pytest.approx(1 / 3)
    assert found.top1 == mean_share(np.array([1, 0.5]))


def test_bursts_that_are_all_right_are_not_certain() -> None:
    opinions = np.tile([9.0, 6, 3], 12)
    found = bursts(opinions, opinions, [str(k // 3) for k in range(36)])
    assert found.top1.value == found.pairs.value == 1
    assert 0.7 < found.top1.low < 0.8 and not found.pairs.has_interval


def test_two_best_frames_are_both_right_and_their_pair_is_left_out() -> None:
    found = bursts(np.array([1.0, 9, 5]), np.array([7.0, 7, 2]), ["a"] * 3)
    assert found.top1.value == 1 and found.pairs.value == 0.5
    assert found.chance == pytest.approx(2 / 3)


def test_a_constant_scorer_does_no_better_than_chance() -> None:
    opinions = np.random.default_rng(2).permutation(60).astype(float)
    found = bursts(np.full(60, 5.0), opinions, [str(k // 5) for k in range(60)])
    assert found.groups == 12
    assert found.top1.value == pytest.approx(found.chance) == pytest.approx(0.2)
    assert found.pairs.value == 0.5


def test_a_pair_that_people_hardly_tell_apart_does_not_count() -> None:
    found = bursts(np.array([1.0, 2, 3]), np.array([5.0, 4.2, 4.1]), ["a"] * 3)
    assert found.pairs.value == 0 and found.top1.value == 0
    assert math.isnan(bursts(np.array([1.0, 2]), np.array([5.0, 4.2]), ["a"] * 2).pairs.value)


def test_bursts_do_not_depend_on_the_order_of_the_rows() -> None:
    random = np.random.default_rng(3)
    opinions, scores = random.normal(size=40), random.normal(size=40)
    groups = np.array([str(k // 4) for k in range(40)])
    order = random.permutation(40)
    one = bursts(scores, opinions, list(groups))
    other = bursts(scores[order], opinions[order], list(groups[order]))
    assert one.top1.value == other.top1.value
    assert one.pairs.value == pytest.approx(other.pairs.value)


def test_bursts_whose_frames_are_all_equal_have_no_pair_to_order() -> None:
    found = bursts(np.array([1.0, 2, 3, 4]), np.full(4, 5.0), ["a", "a", "b", "b"])
    assert found.top1.value == 1 and math.isnan(found.pairs.value)


# --- shares, rejects and uncertainty ---


def test_rejects_by_hand() -> None:
    """Of three rejects one was good and one bad; of two bad photos one is found."""
    rejected = np.array([True, True, True, False, False])
    opinions = np.array([7.3, 5.5, 5.49, 2.0, 9.0])
    found = rejects(rejected, opinions)
    assert (found.photos, found.rejected, found.regretted, found.bad) == (5, 3, 1, 2)
    assert found.false == share(1, 3) and found.found == share(1, 2)
    assert rejects(rejected, opinions, good=5.5).regretted == 2
    assert math.isnan(rejects(np.zeros(5, bool), opinions).false.value)


def test_a_right_uncertainty_covers_what_it_promises_everywhere() -> None:
    random = np.random.default_rng(4)
    sigmas = random.uniform(0.2, 2, 2000)
    opinions = random.uniform(1, 10, 2000)
    scores = opinions + random.normal(0, sigmas)
    honest = uncertainty_metrics(scores, sigmas, opinions)
    assert honest.whole.photos == 2000 and honest.srcc.low > 0.3
    for part in (honest.whole, *honest.thirds):
        assert part.coverage.low < 0.9 < part.coverage.high, part.name
        assert part.rmse.low < np.sqrt(np.mean(sigmas**2)) or part is not honest.whole
    for nominal in (0.2, 0.5, 0.95):
        held = covered(scores, sigmas, opinions, nominal)
        assert held.low < nominal < held.high
    half = uncertainty_metrics(scores, sigmas / 2, opinions)
    assert all(part.coverage.high < 0.75 for part in (half.whole, *half.thirds))


def test_the_thirds_tell_where_an_uncertainty_that_is_right_on_average_is_wrong() -> None:
    random = np.random.default_rng(6)
    real = random.uniform(0.2, 2, 3000)
    opinions = random.uniform(1, 10, 3000)
    scores = opinions + random.normal(0, real)
    found = uncertainty_metrics(scores, 0.9 + 0.2 * real, opinions)  # it hardly knows
    lowest, middle, highest = found.thirds
    assert [each.name for each in found.thirds] == ["lowest", "middle", "highest"]
    assert [each.photos for each in found.thirds] == [1000] * 3
    assert lowest.coverage.low > 0.96 and highest.coverage.high < 0.85
    assert lowest.rmse.high < lowest.sigma and highest.rmse.low > highest.sigma
    assert found.srcc.low > 0.3 and middle.sigma == pytest.approx(0.9 + 0.2 * 1.1, abs=0.02)


def test_the_thirds_by_hand() -> None:
    sigmas = np.array([3.0, 1, 2, 1, 3, 2])
    opinions = np.full(6, 5.0)
    scores = opinions + np.array([3.0, 1, 2, -2, -6, 0])
    found = uncertainty_metrics(scores, sigmas, opinions)
    assert [each.sigma for each in found.thirds] == [1, 2, 3]
    squares = [(1 + 4) / 2, (4 + 0) / 2, (9 + 36) / 2]
    assert [each.rmse.value for each in found.thirds] == pytest.approx(np.sqrt(squares))
    assert [each.coverage.value for each in found.thirds] == [0.5, 1, 0.5]
    expected = stats.spearmanr(sigmas, np.abs(scores - opinions))[0]
    assert found.srcc.value == pytest.approx(expected)


def test_equal_uncertainties_are_in_one_third() -> None:
    scores, opinions = sample(90)
    sigmas = np.where(np.arange(90) < 50, 0.5, 1.0)
    found = uncertainty_metrics(scores, sigmas, opinions)
    assert [(each.name, each.photos, each.sigma) for each in found.thirds] == [
        ("lowest", 50, 0.5),
        ("highest", 40, 1.0),
    ]


def test_a_constant_uncertainty_has_no_rank_and_no_thirds() -> None:
    scores, opinions = sample(40)
    found = uncertainty_metrics(scores, np.ones(40), opinions)
    assert math.isnan(found.srcc.value) and not found.thirds
    assert found.whole.coverage.value == np.mean(np.abs(scores - opinions) <= stats.norm.ppf(0.95))


def test_groups_hold_every_photo_in_the_order_of_scores() -> None:
    scores, opinions = sample(103)
    found = grouped(scores, opinions)
    assert len(found) == 10
    assert [each.score for each in found] == sorted(each.score for each in found)
    tenth = np.sort(scores)[:11]
    assert found[0].score == pytest.approx(tenth.mean())
    inside = opinions[np.argsort(scores)[:11]]
    ends = stats.t.interval(0.95, 10, inside.mean(), stats.sem(inside))
    assert (found[0].opinion.low, found[0].opinion.high) == pytest.approx(ends)
    assert (
        len(grouped(scores[:7], opinions[:7])) == 2 and len(grouped(scores[:1], opinions[:1])) == 1
    )


# --- two scorers ---


def test_a_better_scorer_is_better_beyond_chance() -> None:
    good, opinions = sample(150, 0.8)
    poor = sample(150, 3.0)[0]
    ahead, behind = difference(good, poor, opinions), difference(poor, good, opinions)
    srcc = stats.spearmanr(good, opinions)[0] - stats.spearmanr(poor, opinions)[0]
    assert ahead["srcc"].difference.value == pytest.approx(srcc)
    assert ahead["srcc"].difference.low > 0 and ahead["srcc"].better == 1
    assert ahead["rmse"].difference.high < 0 and ahead["rmse"].better == 1
    for name in ("srcc", "rmse"):
        mirrored = behind[name].difference
        assert mirrored.low == pytest.approx(-ahead[name].difference.high)
        assert behind[name].better == 0


def test_a_scorer_is_not_better_than_its_twin() -> None:
    scores, opinions = sample(60)
    for each in difference(scores, scores.copy(), opinions).values():
        assert each.difference.value == 0 and each.better == 0.5
        assert not each.difference.has_interval  # resamples that are all alike say nothing


def test_the_resamples_are_paired() -> None:
    """The two err alike: unpaired intervals would be many times as wide as their difference."""
    scores, opinions = sample(100, 2.0)
    close = scores + np.random.default_rng(5).normal(0, 0.05, 100)
    paired = difference(scores, close, opinions)["srcc"].difference
    alone = agreement(scores, opinions).figures["srcc"]
    assert paired.high - paired.low < 0.2 * (alone.high - alone.low)


def test_the_difference_from_a_constant_is_one_of_errors_alone() -> None:
    scores, opinions = sample(30)
    found = difference(scores, np.full(30, opinions.mean()), opinions)
    assert math.isnan(found["srcc"].better) and math.isnan(found["srcc"].difference.value)
    assert found["rmse"].better > 0.9
    assert math.isnan(difference(scores[:1], scores[:1], opinions[:1])["srcc"].better)


def test_the_difference_in_bursts() -> None:
    opinions = np.tile([9.0, 6, 3], 12)
    groups = [str(k // 3) for k in range(36)]
    turned = -opinions
    found = burst_difference(opinions, turned, opinions, groups)
    assert found["top1"].difference.value == 1 and found["pairs"].better == 1
    assert not found["top1"].difference.has_interval
    mixed = np.where(np.arange(36) < 18, opinions, turned)
    half = burst_difference(opinions, mixed, opinions, groups)["top1"]
    assert half.difference.value == 0.5 and half.difference.low < 0.5 < half.difference.high


# --- a study ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos in bursts of three, one that is broken, one that is absent; their opinions."""
    root = tmp_path_factory.mktemp("study")
    lines = ["image,mos,burst"]
    for k in range(12):
        picture = texture(k, 96, 128) // (1 + k % 3)
        Image.fromarray(picture).save(root / f"{'AB'[k % 2]}{k}_x.png")
        lines.append(f"{'AB'[k % 2]}{k}_x.png,{1 - 0.3 * (k % 3) - k / 100},{k // 3}")
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    lines[3:3] = ["broken.png,0.5,0", "absent.png,0.5,0"]
    (root / "opinions.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="module")
def found(folder: Path) -> Study:
    settings = Settings(folder, folder, device="cpu", jobs=2)
    opinions = mos_csv.read(folder / "opinions.csv", None, None, None)

    def measured(blocks, shots):
        return measure(shots, blocks, Cache(None, pytest.fail), settings)

    return study(opinions, "fusion-mini", registry(), measured, [BASELINE])


def test_a_study_sets_the_model_beside_its_baselines(found: Study) -> None:
    assert set(found.scores) == {"fusion-mini", BASELINE, SHARPNESS, CONSTANT}
    assert {each.shape for each in found.scores.values()} == {(12,)}
    points = [name for name in found.scores if found.in_points(name)]
    assert SHARPNESS not in points
    assert all(1 <= found.scores[name].min() <= found.scores[name].max() <= 10 for name in points)
    assert np.ptp(found.scores[CONSTANT]) == 0
    assert found.scores[CONSTANT][0] == pytest.approx(found.opinions.mean())


def test_photos_that_cannot_be_read_are_left_out_and_counted(found: Study) -> None:
    assert found.kept == [0, 1, *range(4, 14)]
    assert len(found.table.rows) - len(found.kept) == 2
    for _, result in found.agreements():
        assert result.photos == 12


def test_opinions_stay_with_their_photos(found: Study) -> None:
    expected = [found.table.rows[k].value for k in found.kept]
    assert found.opinions.tolist() == expected
    assert expected[:3] == pytest.approx([10, 1 + 9 * 0.69, 1 + 9 * 0.38])


def test_a_constant_has_no_rank_but_an_error(found: Study) -> None:
    figures = dict(found.agreements())[CONSTANT].figures
    assert math.isnan(figures["srcc"].value)
    assert figures["rmse"].value == pytest.approx(found.opinions.std())


def test_a_study_by_part(found: Study) -> None:
    whole, *parts = found.parts("prefix")
    assert whole is found and len(parts) == 12
    by_burst = list(found.parts("burst"))[1:]
    assert [part.name for part in by_burst] == ["0", "1", "2", "3"]
    assert [part.kept for part in by_burst] == [[0, 1, 4], [5, 6, 7], [8, 9, 10], [11, 12, 13]]
    for k, part in enumerate(by_burst):
        expected = found.scores["fusion-mini"][3 * k : 3 * k + 3]
        np.testing.assert_array_equal(part.scores["fusion-mini"], expected)
    assert list(found.parts(None)) == [found]


def test_a_study_of_bursts(found: Study) -> None:
    results = dict(found.bursts("burst"))
    assert {result.groups for result in results.values()} == {4}
    assert results[CONSTANT].top1.value == pytest.approx(1 / 3)
    with pytest.raises(IqError, match="image"):
        dict(found.bursts("image"))
    with pytest.raises(IqError, match="no column"):
        dict(found.bursts("scene"))


def test_a_study_compares_two_models_on_the_same_photos(found: Study) -> None:
    ((other, differences),) = found.differences()
    figures = {name: result.figures for name, result in found.agreements()}
    assert other == BASELINE
    for name in ("srcc", "rmse"):
        expected = figures["fusion-mini"][name].value - figures[BASELINE][name].value
        assert differences[name].difference.value == pytest.approx(expected)
    ((_, in_bursts),) = found.burst_differences("burst")
    top1 = {name: result.top1.value for name, result in found.bursts("burst")}
    expected = top1["fusion-mini"] - top1[BASELINE]
    assert in_bursts["top1"].difference.value == pytest.approx(expected)
    with pytest.raises(IqError, match="image"):
        dict(found.burst_differences("image"))


def test_a_study_keeps_the_uncertainty_beside_the_scores(found: Study) -> None:
    assert list(found.sigmas) == ["fusion-mini", BASELINE]
    for part in found.parts("burst"):
        for name, result in part.uncertainties():
            inside = np.abs(part.opinions - part.scores[name]) <= 1.645 * part.sigmas[name]
            assert result.whole.coverage.value == pytest.approx(inside.mean())
            assert result.whole.photos == len(part.kept)


@pytest.mark.parametrize("rule", [Rule(below=5.0), Rule(worst=Quota(share=0.25))], ids=str)
def test_a_study_rejects_as_culling_does(found: Study, rule: Rule) -> None:
    for part in found.parts("burst"):
        for name, result in part.rejects(rule, 7.3):
            scores = part.scores[name]
            worst = np.sort(scores)[: int(((rule.worst and rule.worst.share) or 0) * len(scores))]
            rejected = scores < rule.below if rule.below else np.isin(scores, worst)
            assert result.rejected == rejected.sum()
            assert result.regretted == (rejected & (part.opinions >= 7.3)).sum()
            assert result.bad == (part.opinions < 5.5).sum()


def test_a_model_is_not_compared_with_itself(folder: Path) -> None:
    opinions = mos_csv.read(folder / "opinions.csv", None, None, None)
    with pytest.raises(IqError, match="twice"):
        study(opinions, "fusion-mini", registry(), pytest.fail, ["fusion-mini"])


def test_a_study_of_nothing_readable_says_where_to_look(folder: Path) -> None:
    opinions = mos_csv.read(folder / "opinions.csv", folder / "elsewhere", None, None)
    settings = Settings(folder, folder, device="cpu", jobs=2)

    def measured(blocks, shots):
        return measure(shots, blocks, Cache(None, pytest.fail), settings)

    with pytest.raises(IqError, match="--images"):
        study(opinions, "fusion-mini", registry(), measured)
