"""Deep kernel learning: equal to the exact process, unsure of what it never saw; hostile files."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from scipy.stats import spearmanr
from skimage import data
from support.fake_heads import loaded

from iqcli.errors import IqError
from iqcli.models import gaussian_process
from iqcli.models.gaussian_process import GaussianProcess, observe, tensor_shapes
from iqcli.photos.views import views_of
from iqcli.pipeline.devices import measure_views
from iqcli.training import dataset, sparse_gp
from iqcli.training import gaussian_process as training
from iqcli.training.sparse_gp import Kernel

if TYPE_CHECKING:
    from pathlib import Path

SIGNAL, NOISE, LEVEL = 1.7, 0.3, 5.5


def world(count: int = 120, seed: int = 0, width: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """(count, width) inputs and opinions less their mean."""
    random = np.random.default_rng(seed)
    inputs = random.normal(0, 1, (count, width))
    return inputs, np.sin(2 * inputs[:, 0]) + inputs[:, 1] + random.normal(0, 0.5, count)


def kernel_at(inducing: np.ndarray) -> Kernel:
    lengths = np.linspace(0.8, 1.6, inducing.shape[1])
    return Kernel(inducing, lengths, SIGNAL, NOISE)


def stirred(kernel: Kernel) -> Kernel:
    """The same kernel behind a layer that does something."""
    random = np.random.default_rng(7)
    with torch.no_grad():
        kernel.skip += torch.from_numpy(random.normal(0, 0.3, kernel.skip.shape))
        kernel.hidden += torch.from_numpy(random.normal(0, 0.5, kernel.hidden.shape))
        kernel.bias += torch.from_numpy(random.normal(0, 0.5, kernel.bias.shape))
    return kernel


def covariance(kernel: Kernel, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(n, m) prior covariances, written out point by point."""
    layer = {name: value.numpy() for name, value in kernel.state_dict().items()}

    def point(w: np.ndarray) -> np.ndarray:
        curved = np.tanh(w @ layer["hidden"] + layer["bias"])
        return (w @ layer["skip"] + curved) / np.exp(layer["log_lengths"])

    r = np.array([[np.sqrt(5) * np.linalg.norm(point(x) - point(y)) for y in b] for x in a])
    return SIGNAL * (1 + r + r**2 / 3) * np.exp(-r)


def observed(
    kernel: Kernel, inputs: np.ndarray, rest: np.ndarray, asked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of an opinion at `asked` by what the sparse process knows."""
    tensors = training._process_tensors(kernel, torch.tensor(inputs), torch.tensor(rest), LEVEL)
    with torch.no_grad():
        points = kernel.points(torch.tensor(asked)).numpy()
    return observe(points, tensors)


def bounded(kernel: Kernel, inputs: np.ndarray, rest: np.ndarray) -> float:
    with torch.no_grad():
        return float(sparse_gp.bound(kernel, torch.tensor(inputs), torch.tensor(rest)))


# --- against the exact process ---


@pytest.mark.slow
@pytest.mark.parametrize("change", (lambda kernel: kernel, stirred), ids=("plain", "deep"))
def test_with_all_points_inducing_it_is_the_exact_process(change) -> None:
    inputs, rest = world()
    asked = np.concatenate([world(20, seed=5)[0], inputs[:5], np.full((1, 3), 30.0)])
    kernel = change(kernel_at(inputs))
    gram = covariance(kernel, inputs, inputs) + NOISE * np.eye(len(inputs))
    cross = covariance(kernel, asked, inputs)
    mean, variance = observed(kernel, inputs, rest, asked)
    np.testing.assert_allclose(mean, LEVEL + cross @ np.linalg.solve(gram, rest), atol=1e-6)
    explained = np.sum(cross.T * np.linalg.solve(gram, cross.T), axis=0)
    np.testing.assert_allclose(variance, SIGNAL + NOISE - explained, atol=1e-6)


@pytest.mark.parametrize("change", (lambda kernel: kernel, stirred), ids=("plain", "deep"))
def test_the_bound_is_below_the_likelihood_and_meets_it_with_all_points(change) -> None:
    inputs, rest = world()
    gram = covariance(change(kernel_at(inputs)), inputs, inputs) + NOISE * np.eye(len(inputs))
    likelihood = -(
        rest @ np.linalg.solve(gram, rest)
        + np.linalg.slogdet(gram)[1]
        + len(rest) * np.log(2 * np.pi)
    )
    found = [bounded(change(kernel_at(inputs[:m])), inputs, rest) for m in (5, 20, 60, 120)]
    assert found == sorted(found) and found[-2] < likelihood / 2 - 1e-3
    assert found[-1] == pytest.approx(likelihood / 2, abs=1e-3)
    assert found[-1] <= likelihood / 2 + 1e-6


def test_the_bound_with_few_points_is_that_of_the_paper() -> None:
    """Titsias 2009, equation 9."""
    inputs, rest = world()
    kernel = stirred(kernel_at(inputs[:5]))
    cross = covariance(kernel, inputs, inputs[:5])
    known = cross @ np.linalg.solve(covariance(kernel, inputs[:5], inputs[:5]), cross.T)
    gram = known + NOISE * np.eye(len(inputs))
    likelihood = rest @ np.linalg.solve(gram, rest) + np.linalg.slogdet(2 * np.pi * gram)[1]
    unknown = (SIGNAL * len(inputs) - np.trace(known)) / NOISE
    found = bounded(kernel, inputs, rest)
    assert found == pytest.approx(-(likelihood + unknown) / 2, abs=1e-3)


def test_the_slopes_of_the_bound_are_those_of_its_values() -> None:
    inputs, rest = (torch.tensor(each) for each in world(40))
    kernel = training._deepened(stirred(kernel_at(world(10, seed=3)[0])))
    free = [each for each in kernel.parameters() if each.requires_grad]
    assert len(free) == 7
    slopes = torch.autograd.grad(sparse_gp.bound(kernel, inputs, rest), free)
    for parameter, slope in zip(free, slopes, strict=True):
        first = parameter.detach().flatten()
        ends = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                first[0] += step
                ends.append(float(sparse_gp.bound(kernel, inputs, rest)))
                first[0] -= step
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(float(slope.flatten()[0]), rel=1e-4)


def test_the_kernel_of_the_file_is_the_kernel_of_the_training() -> None:
    a, b = world(30)[0], world(20, seed=1)[0]
    twin = sparse_gp.matern(torch.tensor(a), torch.tensor(b)).numpy()
    np.testing.assert_allclose(gaussian_process.matern(a, b), twin, atol=1e-12)
    np.testing.assert_allclose(np.diag(gaussian_process.matern(a, a)), 1, atol=1e-6)


def test_doubt_grows_away_from_the_data_up_to_that_of_the_prior() -> None:
    inputs, rest = world()
    asked = np.zeros((8, 3))
    asked[:, 2] = (0, 2, 4, 6, 8, 12, 50, 1e4)
    mean, variance = observed(kernel_at(inputs[:60]), inputs, rest, asked)
    assert (np.diff(variance) >= 0).all() and variance[0] < variance[3] / 2
    assert variance[0] > NOISE and variance[-1] == pytest.approx(SIGNAL + NOISE)
    assert abs(mean[-1] - LEVEL) < 1e-9 < abs(mean[0] - LEVEL)


# --- fitting ---


def draw(count: int = 700, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray, list[str]]:
    """Blocks, opinions from a known Gaussian process of three of their values, and scenes.

    A stretched and a shifted block, so that the scales have something to do.
    """
    random = np.random.default_rng(seed)
    hidden = random.normal(0, 1, (count, 6))
    points = hidden[:, [0, 1, 3]] / 1.5
    gram = 1.5 * gaussian_process.matern(points, points) + 1e-9 * np.eye(count)
    opinions = 5.5 + np.linalg.cholesky(gram) @ random.normal(0, 1, count)
    opinions += random.normal(0, 0.4, count)
    blocks = {"mini": np.tanh(hidden[:, :4]), "other": 100 * hidden[:, 4:] - 7}
    scenes = [str(k // 2) for k in range(count)]
    chosen = {name: each.astype(np.float32) for name, each in blocks.items()}
    return chosen, opinions.astype(np.float32), scenes


TRAIN, TEST = slice(0, 450), slice(450, None)


def part(blocks: dict[str, np.ndarray], rows: slice) -> dict[str, np.ndarray]:
    return {name: each[rows] for name, each in blocks.items()}


def process_of(fitted: training.ProcessFit) -> GaussianProcess:
    return GaussianProcess(fitted.info["blocks"], fitted.tensors, fitted.info)


@pytest.fixture(scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "COMPONENTS", (3, 6))
        patch.setattr(training, "INDUCING", 60)
        patch.setattr(training, "STEPS", 40)
        yield


@pytest.fixture(scope="module")
def learnt(quick) -> training.ProcessFit:
    blocks, opinions, scenes = draw()
    return training.fit(part(blocks, TRAIN), opinions[TRAIN], scenes[TRAIN], lambda _: None)


def test_nine_of_ten_opinions_of_a_known_process_lie_in_the_interval(learnt) -> None:
    blocks, opinions, _ = draw()
    scores, sigmas = process_of(learnt).predict(part(blocks, TEST))
    assert 0.85 <= (np.abs(scores - opinions[TEST]) < 1.645 * sigmas).mean() <= 0.95
    unseen = learnt.scores - opinions[TRAIN][learnt.unseen]
    assert 0.8 <= (np.abs(unseen) < 1.645 * learnt.sigmas).mean() <= 0.97
    # Scores that the process gave before it had seen their opinions: no better than on the rest.
    assert np.std(unseen) > 0.7 * np.std(scores - opinions[TEST])


def test_it_learns_what_a_line_cannot(learnt) -> None:
    blocks, opinions, _ = draw()
    process = process_of(learnt)
    inputs = gaussian_process.joined_scores(
        blocks, {b: learnt.tensors[f"knots.{b}"] for b in process.sizes}
    )
    inputs = np.c_[inputs, np.ones(len(inputs))].astype(float)
    normal = inputs[TRAIN].T @ inputs[TRAIN] + np.eye(inputs.shape[1])
    line = inputs[TEST] @ np.linalg.solve(normal, inputs[TRAIN].T @ opinions[TRAIN])
    scores, _ = process.predict(part(blocks, TEST))
    wrong = [np.sqrt(((each - opinions[TEST]) ** 2).mean()) for each in (scores, line)]
    assert wrong[0] < 0.8 * wrong[1]
    assert spearmanr(scores, opinions[TEST])[0] > spearmanr(line, opinions[TEST])[0] + 0.1


def test_opinions_that_chose_are_taken_in_afterwards(learnt) -> None:
    """The process of the file knows the unseen rows better than the one that chose."""
    blocks, opinions, _ = draw()
    after, _ = process_of(learnt).predict(part(blocks, learnt.unseen))
    known = opinions[learnt.unseen]
    assert np.std(after - known) < 0.97 * np.std(learnt.scores - known)


def test_the_unseen_are_whole_scenes(learnt) -> None:
    scenes = np.array(draw()[2][TRAIN])
    unseen = np.isin(np.arange(450), learnt.unseen)
    assert not set(scenes[unseen]) & set(scenes[~unseen])
    assert 0.1 < unseen.mean() < 0.3


def test_a_layer_is_kept_only_where_it_tells_more(quick, monkeypatch) -> None:
    blocks, opinions, scenes = (draw(150)[k] for k in range(3))
    heard: list[str] = []
    fitted = training.fit(blocks, opinions, scenes, heard.append)
    losses = [float(line.split(": ")[1].split()[0]) for line in heard]
    assert fitted.info["deep"] == (losses[-1] < min(losses[:-1]))

    def spoilt(kernel: Kernel) -> Kernel:
        """A start that no step of descent repairs."""
        with torch.no_grad():
            kernel.log_lengths += -6
            return kernel

    monkeypatch.setattr(training, "_deepened", spoilt)
    monkeypatch.setattr(training, "STEPS", 1)
    assert training.fit(blocks, opinions, scenes, heard.append).info["deep"] is False


def test_a_layer_finds_the_direction_that_matters() -> None:
    """A stripe across all inputs: no length scale a component can say it, a layer can."""
    random = np.random.default_rng(2)
    inputs = random.normal(0, 1, (300, 6))
    across = inputs @ np.ones(6) / np.sqrt(6)
    rest = torch.tensor(np.sin(3 * across) + random.normal(0, 0.2, 300))
    unseen = torch.arange(300) % 5 == 0
    plain = Kernel(inputs[:40], np.full(6, 3.0), 0.3, 0.3)
    learnt = training.Learner(plain, torch.tensor(inputs), rest, unseen).optimise()
    deep = training._deepened(learnt.best)
    assert training.Learner(deep, torch.tensor(inputs), rest, unseen).optimise().loss < (
        learnt.loss - 0.3
    )


def test_fitting_is_the_same_each_time(quick, monkeypatch) -> None:
    monkeypatch.setattr(training, "STEPS", 6)
    blocks, opinions, scenes = draw(150)
    one, two = (training.fit(blocks, opinions, scenes, lambda _: None) for _ in range(2))
    assert one.info == two.info
    for name, tensor in one.tensors.items():
        np.testing.assert_array_equal(tensor, two.tensors[name])


def test_fewer_distinct_photos_than_inducing_points(quick, monkeypatch) -> None:
    monkeypatch.setattr(training, "STEPS", 5)
    blocks, opinions, scenes = draw(60)
    twice = {name: np.repeat(each[:20], 3, axis=0) for name, each in blocks.items()}
    fitted = training.fit(twice, opinions, scenes, lambda _: None)
    assert fitted.info["inducing"] <= 20
    scores, sigmas = process_of(fitted).predict(twice)
    assert np.isfinite(scores).all() and (sigmas > 0).all()


def test_a_constant_value_and_undefined_vectors_do_no_harm(quick, monkeypatch) -> None:
    monkeypatch.setattr(training, "STEPS", 5)
    blocks, opinions, scenes = draw(150)
    blocks["mini"][:, 1] = 0.25
    blocks["other"][::9] = np.nan
    fitted = training.fit(blocks, opinions, scenes, lambda _: None)
    scores, sigmas = process_of(fitted).predict(blocks)
    assert np.isfinite(scores).all() and (sigmas > 0).all() and np.ptp(scores) > 0.3


def test_one_scene_is_too_few(quick) -> None:
    blocks, opinions, _ = draw(60)
    with pytest.raises(IqError, match="scene"):
        training.fit(blocks, opinions, ["a"] * 60, lambda _: None)


# --- predicting ---


def test_the_calibration_widens_the_deviations_alone(learnt) -> None:
    blocks = draw()[0]
    wide = GaussianProcess(
        learnt.info["blocks"], learnt.tensors, learnt.info | {"calibration": 2.0}
    )
    scores, sigmas = process_of(learnt).predict(blocks)
    np.testing.assert_array_equal(wide.predict(blocks)[0], scores)
    np.testing.assert_allclose(wide.predict(blocks)[1], 2 * sigmas, rtol=1e-6)


def test_scores_lie_within_1_and_10(learnt) -> None:
    wild = {name: each * 1e6 for name, each in draw()[0].items()}
    tall = dict(learnt.tensors) | {"weights": learnt.tensors["weights"] * 50}
    for tensors in (learnt.tensors, tall):
        scores, sigmas = GaussianProcess(learnt.info["blocks"], tensors, learnt.info).predict(wild)
        assert scores.min() >= 1 and scores.max() <= 10
        assert np.isfinite(sigmas).all() and sigmas.min() > 0
    assert scores.min() == 1 and scores.max() == 10


def test_a_photo_alone_scores_as_among_others_in_any_order(learnt) -> None:
    blocks = part(draw()[0], slice(0, 40))
    blocks["other"][3] = np.nan
    scores, sigmas = process_of(learnt).predict(blocks)
    order = np.random.default_rng(3).permutation(40)
    shuffled = process_of(learnt).predict({name: each[order] for name, each in blocks.items()})
    np.testing.assert_allclose(shuffled[0], scores[order], atol=1e-5)
    alone = process_of(learnt).predict(part(blocks, slice(3, 4)))
    assert alone[0][0] == pytest.approx(scores[3], abs=1e-5)
    assert alone[1][0] == pytest.approx(sigmas[3], abs=1e-5)


def test_an_undefined_vector_stands_for_a_middling_one(learnt) -> None:
    blocks = part(draw()[0], slice(0, 4))
    knots = learnt.tensors["knots.other"]
    middling = dict(blocks) | {"other": np.tile(knots[:, gaussian_process.KNOTS // 2], (4, 1))}
    blank = dict(blocks) | {"other": np.full((4, 2), np.nan, np.float32)}
    for found, wanted in zip(
        process_of(learnt).predict(blank), process_of(learnt).predict(middling), strict=True
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


# --- files ---


def write(folder: Path, fitted: training.ProcessFit, tensors=None, info: object = None) -> Path:
    path = folder / "given.safetensors"
    told = info if isinstance(info, str) else json.dumps(info or fitted.info)
    path.write_bytes(save(fitted.tensors if tensors is None else tensors, metadata={"iq": told}))
    return path


def test_a_file_survives_the_round_trip(learnt, tmp_path: Path) -> None:
    blocks = draw()[0]
    loaded = gaussian_process.load(write(tmp_path, learnt))
    assert loaded.sizes == {"mini": 4, "other": 2} and loaded.info == learnt.info
    for found, wanted in zip(
        loaded.predict(blocks), process_of(learnt).predict(blocks), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


def test_single_precision_in_the_file_costs_nothing_that_shows(quick, monkeypatch) -> None:
    exact = {}

    def remembered(*given: object) -> dict[str, np.ndarray]:
        exact.clear()
        exact.update(process(*given))
        return exact

    process = training._process_tensors
    monkeypatch.setattr(training, "_process_tensors", remembered)
    monkeypatch.setattr(training, "STEPS", 10)
    blocks, opinions, scenes = draw(300)
    fitted = training.fit(blocks, opinions, scenes, lambda _: None)
    points = process_of(fitted).points(blocks)
    for found, wanted in zip(observe(points, fitted.tensors), observe(points, exact), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-3)


def refused(path: Path) -> None:
    with pytest.raises(IqError) as caught:
        gaussian_process.load(path)
    text = str(caught.value)
    assert "\n" not in text and not text.endswith(".") and path.name in text


ACCOUNTS: dict[str, object] = {
    "a list": "[1]",
    "null": "null",
    "no JSON": "{",
    "deep JSON": '{"a":' * 100_000,
    "that of a fusion head": {"format": "iq-fusion-1"},
    "no calibration": {"calibration": None},
    "calibration NaN": {"calibration": float("nan")},
    "calibration zero": {"calibration": 0.0},
    "calibration infinite": {"calibration": float("inf")},
    "model that moves the cursor": {"model": "\x1b[2J"},
    "no blocks": {"blocks": {}},
    "a block too few": {"blocks": {"mini": 4}},
    "a block as text": {"blocks": {"mini": "4", "other": 2}},
    "a block beyond memory": {"blocks": {"mini": 10**18, "other": 2}},
    "a block below zero": {"blocks": {"mini": -4, "other": 2}},
    "sizes swapped": {"blocks": {"mini": 2, "other": 4}},
    "rank as fraction": {"rank": 3.0},
    "rank of another": {"rank": 3},
    "no width": {"width": 0},
    "inducing missing": {"inducing": None},
    "components beyond memory": {"components": 10**18},
}


@pytest.mark.parametrize("name", ACCOUNTS)
def test_a_file_with_a_wrong_account_is_refused(learnt, tmp_path: Path, name: str) -> None:
    account = ACCOUNTS[name]
    refused(
        write(
            tmp_path,
            learnt,
            info=account if isinstance(account, str) else {**learnt.info, **account},
        )
    )


def test_files_that_are_no_model_are_refused(learnt, tmp_path: Path) -> None:
    path = write(tmp_path, learnt)
    whole = path.read_bytes()
    for given in (b"", b"words that go on for a while", bytes(4096), whole[:-100], whole[:40]):
        path.write_bytes(given)
        refused(path)
    path.write_bytes(save(learnt.tensors))
    refused(path)
    refused(tmp_path)
    refused(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("name", ("centre", "axes", "skip", "inducing", "features", "knots.mini"))
@pytest.mark.parametrize("value", (np.nan, np.inf, 3e38))
def test_a_file_with_a_wild_number_is_refused(learnt, tmp_path: Path, name, value) -> None:
    spoilt = {key: each.copy() for key, each in learnt.tensors.items()}
    # Knots only need to rise.
    spoilt[name].flat[-1 if name != "knots.mini" or value != 3e38 else 0] = value
    refused(write(tmp_path, learnt, spoilt))


def test_a_file_with_a_wrong_tensor_is_refused(learnt, tmp_path: Path) -> None:
    given = learnt.tensors
    level, signal, noise = given["prior"]
    changes: list[dict[str, np.ndarray]] = [
        {"prior": np.array([level, -signal, noise], np.float32)},
        {"prior": np.array([level, signal, 0], np.float32)},
        {"prior": given["prior"][:2]},
        {"lengths": np.zeros_like(given["lengths"])},
        {"lengths": -given["lengths"]},
        {"weights": given["weights"].astype(np.float64)},
        {"weights": given["weights"].astype(np.float16)},
        {"axes": np.ascontiguousarray(given["axes"].T[:-1])},
        {"knots.mini": given["knots.mini"][:, ::-1].copy()},
        {"extra": np.zeros(3, np.float32)},
    ]
    for change in changes:
        refused(write(tmp_path, learnt, dict(given) | change))
    for name in given:
        refused(write(tmp_path, learnt, {k: v for k, v in given.items() if k != name}))


def test_the_largest_numbers_that_are_let_in_do_not_overflow(learnt, tmp_path: Path) -> None:
    huge = {
        name: each if name.startswith("knots.") else np.full_like(each, 9.9e5)
        for name, each in learnt.tensors.items()
    }
    huge["lengths"] = np.full_like(huge["lengths"], 2e-6)
    scores, sigmas = gaussian_process.load(write(tmp_path, learnt, huge)).predict(draw()[0])
    assert scores.min() >= 1 and scores.max() <= 10 and np.isfinite(sigmas).all()


def test_predicting_needs_no_torch(learnt, tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np, pathlib; from iqcli.models import gaussian_process\n"
        f"model = gaussian_process.load(pathlib.Path({str(write(tmp_path, learnt))!r}))\n"
        "photos = {b: np.zeros((2, n), np.float32) for b, n in model.sizes.items()}\n"
        "scores, sigmas = model.predict(photos)\n"
        "print(1 <= scores.min(), sorted({'torch', 'scipy', 'cv2'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "True []"


def test_account_and_tensors_agree(learnt) -> None:
    found = {name: each.shape for name, each in learnt.tensors.items()}
    assert found == tensor_shapes(learnt.info)
    assert (
        dataset.KNOTS == gaussian_process.KNOTS and learnt.info["format"] == gaussian_process.FORMAT
    )


def test_it_is_no_kullback_leibler_divergence_and_needs_no_reference() -> None:
    """The mistake of taking "DKL" for a divergence of pixel densities from a reference's.

    Shuffled pixels have the density of the picture itself, so that divergence is 0 between them.
    """
    picture = data.astronaut()
    pixels = np.random.default_rng(1).permutation(picture.reshape(-1, 3))
    shuffled = np.ascontiguousarray(pixels.reshape(picture.shape))
    counts = [np.bincount(each.ravel(), minlength=256) + 1.0 for each in (picture, shuffled)]
    p, q = (each / each.sum() for each in counts)
    assert float((p * np.log(p / q)).sum()) == 0
    model = loaded("dkl")
    # Nothing but the photo is asked for, alone or beside others.
    seen = measure_views([views_of(picture), views_of(shuffled)], model.blocks, "cpu")
    good, bad = model.rate(seen)
    assert good.score - bad.score > 1
    assert model.rate(seen[:1])[0].score == pytest.approx(good.score, abs=1e-4)
