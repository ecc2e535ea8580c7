"""The fusion head: equal to its torch twin, calm on what it never saw, deaf to hostile files."""

from __future__ import annotations

import json
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save
from safetensors.torch import save as save_torch
from support.fake_heads import (
    MEMBERS,
    SIZES,
    first_format,
    head,
    held,
    loaded,
    registry,
    write_head,
)

from iqcli.errors import IqError
from iqcli.models import fusion
from iqcli.models.checkpoint import HOLDOUT
from iqcli.models.fusion import FEATURES, KNOTS, LEAST, Doubt, FusionHead, normal_scores
from iqcli.training.fusion import FusionMember


def vectors(count: int, seed: int = 1, sizes: dict[str, int] = SIZES) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {b: random.normal(0, 2, (count, n)).astype(np.float32) for b, n in sizes.items()}


def twin(given: FusionHead, k: int) -> FusionMember:
    """Member `k` as the network that is trained."""
    network = FusionMember(given.sizes)
    state = {}
    for name in network.state_dict():
        _, layer, kind = name.split(".")
        state[name] = torch.from_numpy(given.tensors[f"{k}.{layer.replace('/', '.')}.{kind}"])
    network.load_state_dict(state)
    return network.eval()


def test_numpy_equals_the_torch_network_on_the_same_weights() -> None:
    given, blocks = head(), vectors(64)
    blocks["brisque"][::7] = np.nan
    inputs = [torch.from_numpy(given.normalise(name, blocks[name])) for name in SIZES]
    with torch.inference_mode():
        outputs = [twin(given, k)(inputs) for k in range(MEMBERS)]
    members = torch.stack([score for score, _ in outputs]).numpy()
    variance = np.exp(2 * torch.stack([log_sigma for _, log_sigma in outputs]).numpy())
    scores, found, spread = given.expect(blocks)
    np.testing.assert_allclose(scores, members.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found, variance.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(spread, members.var(axis=0), rtol=1e-3, atol=1e-5)
    assert np.ptp(scores) > 0.5
    scores, sigmas = first_format(given).predict(blocks)
    np.testing.assert_allclose(scores, members.mean(axis=0), atol=1e-5)
    wanted = np.minimum(1.3 * np.sqrt(found + spread), fusion.WIDEST)
    np.testing.assert_allclose(sigmas, wanted, rtol=1e-4)


def test_a_head_adds_to_the_logits_that_its_blocks_hold() -> None:
    given, blocks = head(), vectors(8)
    blocks["brisque"][3] = np.nan
    own = given.expect(blocks)[0]
    adding = FusionHead(SIZES, given.tensors, {**given.info, "logits": {"brisque": [2, 5]}})
    found = adding.expect(blocks)[0]
    logits = blocks["brisque"][:, [2, 5]].mean(axis=1)
    assert ((found > own) == (logits > 0))[np.arange(8) != 3].all()
    # A block that is undefined adds nothing.
    assert found[3] == own[3]


DOUBTED = np.linspace(1.2, 9.8, 50).astype(np.float32)


def test_the_doubt_goes_by_what_was_held_out() -> None:
    """By hand: a line of the features, then the curve between its points and flat beyond."""
    variance, spread = np.full(50, 0.5, np.float32), np.full(50, 0.1, np.float32)
    weights = np.array([0.3, 0.9, 0.2, 0.4, -0.7], np.float32)
    given = Doubt(weights, np.array([-0.5, 0.5], np.float32), np.array([0.2, 1.0], np.float32))
    expected = (
        0.3 * np.log(DOUBTED - 1)
        + 0.9 * np.log(10 - DOUBTED)
        + 0.1 * np.log(0.5 + 0.0004)
        + 0.2 * np.log(0.1 + 0.0004)
        - 0.7
    )
    wanted = 0.2 + 0.8 * np.clip(expected + 0.5, 0, 1)
    assert (expected < -0.5).any() and (expected > 0.5).any()
    np.testing.assert_allclose(given.deviations(DOUBTED, variance, spread), wanted, rtol=1e-3)


def test_at_the_ends_of_the_scale_there_is_little_doubt() -> None:
    """Opinions within 1..10 whose mean is 1.02 cannot deviate by more than .42."""
    scores = np.array([1, 1.002, 1.02, 5.5, 9.99, 10], np.float32)
    none = np.zeros(6, np.float32)
    wide = Doubt(np.zeros(FEATURES, np.float32), *np.array([[0], [9]], np.float32))
    found = wide.deviations(scores, none, none)
    np.testing.assert_allclose(found, [LEAST, 0.1342, 0.4239, 4.5, 0.2998, LEAST], rtol=1e-3)


def test_scores_lie_within_1_and_10_and_uncertainty_is_positive() -> None:
    wild = {name: values * 1e6 for name, values in vectors(200).items()}
    for seed in range(5):
        for blocks in (vectors(200, seed), wild):
            scores, sigmas = head(seed).predict(blocks)
            assert scores.min() >= 1 and scores.max() <= 10
            assert sigmas.min() > 0 and np.isfinite(sigmas).all()
            # No opinions on 1..10 deviate more than half of them at either end.
            assert sigmas.max() <= 4.5


def test_the_largest_weights_that_are_let_in_do_not_overflow(tmp_path: Path) -> None:
    given = head()
    huge = {
        name: value if name.startswith("knots.") else np.sign(value) * np.float32(9.9e3)
        for name, value in given.tensors.items()
    }
    loaded = fusion.load(write(tmp_path, tensors=huge))
    scores, sigmas = loaded.predict(vectors(50))
    assert scores.min() >= 1 and scores.max() <= 10 and np.isfinite(sigmas).all()


# --- masking, saturation, batches ---


def test_an_undefined_block_never_yields_an_undefined_score() -> None:
    given, blocks = head(), vectors(40)
    whole = given.predict(blocks)[0]
    blocks["brisque"][3] = np.nan
    blocks["photometry"][5] = np.nan
    for name in SIZES:
        blocks[name][7] = np.nan
    scores, sigmas = given.predict(blocks)
    assert np.isfinite(scores).all() and np.isfinite(sigmas).all()
    others = np.setdiff1d(np.arange(40), (3, 5, 7))
    np.testing.assert_allclose(scores[others], whole[others], atol=1e-5)


def test_one_undefined_number_masks_the_whole_block_and_says_so_by_the_flag() -> None:
    knots = head().tensors["knots.brisque"]
    block = vectors(3)["brisque"]
    block[1, 17], block[2, 0] = np.nan, np.inf
    found = normal_scores(block, knots)
    assert found.shape == (3, 37)
    assert found[:, -1].tolist() == [1, 0, 0]
    assert not found[1:].any() and found[0, :-1].any()


def test_a_batch_where_no_vector_is_defined() -> None:
    given = head()
    blocks = {name: np.full((4, size), np.nan, np.float32) for name, size in SIZES.items()}
    scores, _ = given.predict(blocks)
    assert np.isfinite(scores).all() and np.ptp(scores) < 1e-5


def test_a_value_never_seen_saturates() -> None:
    given = head()
    knots = given.tensors["knots.photometry"]
    low, high = knots[:, 0], knots[:, -1]
    for end, direction in ((low, -1), (high, 1)):
        far = np.stack([end, end + direction, end + 1e6 * direction, np.full(94, 3e38 * direction)])
        found = normal_scores(far.astype(np.float32), knots)
        np.testing.assert_allclose(found[:, :-1], 3 * direction)
        blocks = {"brisque": np.tile(vectors(1)["brisque"], (4, 1)), "photometry": far}
        assert np.ptp(given.predict(blocks)[0]) < 1e-4


def test_normal_scores_rise_with_the_value_and_hit_the_knots() -> None:
    knots = head().tensors["knots.brisque"]
    found = normal_scores(knots.T.copy(), knots)[:, :-1]
    np.testing.assert_allclose(found, np.tile(np.linspace(-3, 3, KNOTS), (36, 1)).T, atol=1e-5)


def test_normal_scores_are_interpolated_among_equal_knots_too() -> None:
    random = np.random.default_rng(4)
    knots = np.sort(random.integers(0, 9, (20, KNOTS)), axis=1).astype(np.float32)
    knots[0] = 5
    values = random.uniform(-1, 10, (300, 20)).astype(np.float32)
    values[:150] = np.rint(values[:150])
    found, grid = normal_scores(values, knots), fusion.normal_grid()
    expected = [np.interp(values[:, k], knots[k], grid) for k in range(20)]
    np.testing.assert_array_equal(found[:, :-1].T, np.array(expected, np.float32))


def test_a_photo_alone_scores_as_in_a_batch_of_64() -> None:
    given, blocks = head(), vectors(64)
    blocks["brisque"][5] = np.nan
    scores, sigmas = given.predict(blocks)
    for k in range(64):
        alone = given.predict({name: each[k : k + 1] for name, each in blocks.items()})
        assert alone[0][0] == pytest.approx(scores[k], abs=1e-4)
        assert alone[1][0] == pytest.approx(sigmas[k], rel=1e-4)


def test_scores_follow_their_photo_through_a_shuffle() -> None:
    """The first fusion model read the vector of another row: `embeddings[idx]` after a split."""
    given, blocks = head(), vectors(64)
    order = np.random.default_rng(3).permutation(64)
    scores, sigmas = given.predict(blocks)
    shuffled = given.predict({name: each[order] for name, each in blocks.items()})
    np.testing.assert_allclose(shuffled[0], scores[order], atol=1e-5)
    np.testing.assert_allclose(shuffled[1], sigmas[order], rtol=1e-5)


# --- weight files ---


def write(
    folder: Path,
    tensors: dict[str, np.ndarray] | None = None,
    info: object = None,
    *,
    text: str | None = None,
) -> Path:
    """A weight file with these tensors and this account (or its text as it stands)."""
    given = head()
    told = text if text is not None else json.dumps(given.info if info is None else info)
    path = folder / "given.safetensors"
    chosen = given.tensors if tensors is None else tensors
    path.write_bytes(save(dict(chosen), metadata={"iq": told}))
    return path


def test_a_file_survives_the_round_trip(tmp_path: Path) -> None:
    found = fusion.load(write(tmp_path))
    blocks = vectors(9)
    np.testing.assert_array_equal(found.predict(blocks)[0], head().predict(blocks)[0])
    assert found.sizes == SIZES and list(found.sizes) == list(SIZES)


@pytest.mark.parametrize("name", ["fusion-mini", "dkl", "brisque-refit"])
def test_the_embedded_models_load_and_fit_the_blocks_of_this_iq(name: str) -> None:
    model = loaded(name)
    sizes = {block.name: block.size for block in model.blocks}
    assert model.predictor.sizes.items() <= sizes.items()
    knots = [model.predictor.tensors[f"knots.{block}"] for block in model.predictor.sizes]
    assert all((np.diff(each) > 0).all() for each in knots)


def refused(path: Path) -> str:
    """The one sentence that a weight file is refused with."""
    with pytest.raises(IqError) as caught:
        loaded(path)
    text = str(caught.value)
    assert "\n" not in text and not text.endswith(".") and path.name in text
    return text


class Trap:
    """Unpickling it leaves a mark."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["TRAP"],)


def deep(count: int) -> str:
    return '{"a":' * count + "1" + "}" * count


def header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


FOREIGN = {
    "empty": b"",
    "text": b"not a model at all, just words that go on for a while",
    "zeros": bytes(4096),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "header longer than the file": header(b"{}", 10_000),
    "huge header": header(b"{}", 2**62),
    "header of nothing": header(b"null"),
    "tensor outside the file": header(
        b'{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4000000]}}'
    ),
    "tensors that overlap": header(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    )
    + bytes(4),
    "deep header": header(deep(5000).encode()),
    "safetensors of somebody else": save({"weight": np.zeros(3, np.float32)}),
    "cut off": None,
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path)
    path.write_bytes(FOREIGN[name] if FOREIGN[name] is not None else path.read_bytes()[:-100])
    refused(path)


@pytest.mark.parametrize("protocol", (0, 2, 5, "torch"))
def test_a_pickle_is_refused_and_not_executed(tmp_path: Path, monkeypatch, protocol) -> None:
    mark = tmp_path / "executed"
    monkeypatch.setenv("TRAP", str(mark))
    path = tmp_path / "model.safetensors"
    if protocol == "torch":
        torch.save({"weight": Trap()}, path)
    else:
        path.write_bytes(pickle.dumps(Trap(), protocol))
    refused(path)
    assert not mark.exists()
    pickle.loads(pickle.dumps(Trap()))  # the trap does work
    assert mark.exists()


def changed(**fields: object) -> dict[str, object]:
    return {**head().info, **fields}


def first(**fields: object) -> dict[str, object]:
    return {**first_format(head()).info, **fields}


ACCOUNTS = {
    "a list": [1, 2],
    "a word": "fusion",
    "null": "null",
    "another format": changed(format="iq-fusion-3"),
    "the first format without a calibration": changed(format="iq-fusion-1"),
    "no logits": changed(logits=None),
    "logits of no block": changed(logits={"mini": [96]}),
    "logits as a list": changed(logits=[96]),
    "logits beyond the block": changed(logits={"brisque": [36]}),
    "logits below zero": changed(logits={"brisque": [-1]}),
    "a logit that is a flag": changed(logits={"brisque": [True]}),
    "no place of a logit": changed(logits={"brisque": []}),
    "no format": {k: v for k, v in head().info.items() if k != "format"},
    "no members": {k: v for k, v in head().info.items() if k != "members"},
    "members as text": changed(members="3"),
    "members as fraction": changed(members=3.0),
    "no member": changed(members=0),
    "members below zero": changed(members=-1),
    "more members than there are": changed(members=4),
    "fewer members than there are": changed(members=2),
    "a billion members": changed(members=10**9),
    "members without end": '{"members": Infinity}',
    "members of 5000 digits": '{"members": ' + "9" * 5000 + "}",
    "no calibration": first(calibration=None),
    "calibration zero": first(calibration=0.0),
    "calibration NaN": first(calibration=float("nan")),
    "calibration infinite": first(calibration=float("inf")),
    "calibration as text": first(calibration="1.3"),
    "calibration below zero": first(calibration=-1.3),
    "model is a number": changed(model=3),
    "model that moves the cursor": changed(model="\x1b[2J"),
    "blocks as a list": changed(blocks=list(SIZES)),
    "no blocks": changed(blocks={}),
    "block size as text": changed(blocks={**SIZES, "brisque": "36"}),
    "block size as fraction": changed(blocks={**SIZES, "brisque": 36.0}),
    "block size below zero": changed(blocks={**SIZES, "brisque": -1}),
    "block size beyond memory": changed(blocks={**SIZES, "brisque": 10**18}),
    "a block too few": changed(blocks={"brisque": 36}),
    "a block too many": changed(blocks={**SIZES, "tiles": 1008}),
    "no JSON": "{",
    "deep JSON": deep(100_000),
    "deep list": "[" * 100_000,
}


@pytest.mark.parametrize("name", ACCOUNTS)
def test_a_file_with_a_wrong_account_is_refused(tmp_path: Path, name: str) -> None:
    account = ACCOUNTS[name]
    text = account if isinstance(account, str) else json.dumps(account)
    refused(write(tmp_path, text=text))


def test_a_file_without_an_account_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "given.safetensors"
    path.write_bytes(save(dict(head().tensors)))
    refused(path)


def with_tensor(name: str, value: np.ndarray | None) -> dict[str, np.ndarray]:
    given = dict(head().tensors)
    if value is None:
        del given[name]
    else:
        given[name] = value
    return given


BIAS = "0.trunk.1.bias"
TENSORS = {
    "missing": with_tensor(BIAS, None),
    "missing knots": with_tensor("knots.brisque", None),
    "one too many": with_tensor("0.trunk.9.bias", np.zeros(3, np.float32)),
    "wrong shape": with_tensor(BIAS, np.zeros(127, np.float32)),
    "transposed": with_tensor("0.trunk.0.weight", np.zeros((128, 256), np.float32)),
    "NaN": with_tensor(BIAS, np.full(128, np.nan, np.float32)),
    "infinite": with_tensor(BIAS, np.full(128, np.inf, np.float32)),
    "beyond any training": with_tensor(BIAS, np.full(128, 3e38, np.float32)),
    "double precision": with_tensor(BIAS, np.full(128, 1e300)),
    "whole numbers": with_tensor(BIAS, np.zeros(128, np.int64)),
    "half precision": with_tensor(BIAS, np.zeros(128, np.float16)),
    "NaN knots": with_tensor("knots.brisque", np.full((36, KNOTS), np.nan, np.float32)),
    "knots that fall": with_tensor(
        "knots.brisque", np.tile(np.arange(KNOTS, 0, -1, dtype=np.float32), (36, 1))
    ),
    "no doubt": {n: v for n, v in head().tensors.items() if n not in fusion.DOUBT},
    "half a doubt": with_tensor("doubt.errors", None),
    "a doubt of other features": with_tensor("doubt.weights", np.zeros(4, np.float32)),
    "a doubt without points": with_tensor("doubt.errors", np.zeros(0, np.float32)),
    "a doubt with more errors than sigmas": with_tensor("doubt.errors", np.arange(4.0, dtype="f4")),
    "a doubt whose errors fall": with_tensor("doubt.errors", -np.arange(3.0, dtype="f4")),
    "a doubt whose sigmas fall": with_tensor("doubt.sigmas", np.array([2, 1, 3], np.float32)),
    "a doubt of nothing": with_tensor("doubt.sigmas", np.array([0, 1, 3], np.float32)),
    "no tensor": {},
}


@pytest.mark.parametrize("name", TENSORS)
def test_a_file_with_a_wrong_tensor_is_refused(tmp_path: Path, name: str) -> None:
    refused(write(tmp_path, TENSORS[name]))


def test_a_file_may_tell_how_it_did_on_held_out_photos(tmp_path: Path) -> None:
    path = tmp_path / "given.safetensors"
    model = loaded(write_head(path, held([3, 4.5], [2, 10], sigma=0.7), held="BIQ2021"))
    assert model.holdout is not None
    assert model.holdout.scores.tolist() == [3, 4.5]
    assert model.holdout.opinions.tolist() == [2, 10]
    assert model.holdout.sigmas.tolist() == [np.float32(0.7)] * 2
    assert model.holdout.source == "BIQ2021"
    blocks = vectors(9)
    np.testing.assert_array_equal(model.predictor.predict(blocks)[0], head().predict(blocks)[0])
    unnamed = loaded(write_head(path, held([3], [2]))).holdout
    assert unnamed is not None and unnamed.source == ""
    assert loaded(write_head(path, {})).holdout is None


FAIR = held([3, 4], [3, 4])
EXPERIENCES = {
    "no opinions": {name: FAIR[name] for name in HOLDOUT[:2]},
    "opinions alone": {HOLDOUT[2]: FAIR[HOLDOUT[2]]},
    "none at all": held([], []),
    "an opinion too few": FAIR | {HOLDOUT[2]: np.ones(1, np.float32)},
    "a table": {name: values[None] for name, values in FAIR.items()},
    "numbers without length": {name: np.array(values[0]) for name, values in FAIR.items()},
    "a score of 11": held([3, 11], [3, 4]),
    "a score of NaN": held([3, np.nan], [3, 4]),
    "an opinion of 0": held([3, 4], [3, 0]),
    "no doubt": held([3, 4], [3, 4], sigma=0),
    "doubt NaN": held([3, 4], [3, 4], sigma=np.nan),
    "doubt infinite": held([3, 4], [3, 4], sigma=np.inf),
    "double precision": {name: values.astype(np.float64) for name, values in FAIR.items()},
    "another one": FAIR | {"held.names": np.ones(2, np.float32)},
}


@pytest.mark.parametrize("name", EXPERIENCES)
def test_a_file_with_a_wrong_experience_is_refused(tmp_path: Path, name: str) -> None:
    refused(write_head(tmp_path / "given.safetensors", EXPERIENCES[name]))


@pytest.mark.parametrize("source", (3, None, ["BIQ2021"], "\x1b[2J"))
def test_a_wrong_name_of_the_held_out_photos_is_refused(tmp_path: Path, source: object) -> None:
    refused(write_head(tmp_path / "given.safetensors", FAIR, held=source))


@pytest.mark.parametrize("kind", (torch.bfloat16, torch.float8_e4m3fn))
def test_a_file_in_a_kind_of_number_numpy_lacks_is_refused(tmp_path: Path, kind) -> None:
    given = {name: torch.from_numpy(value) for name, value in head().tensors.items()}
    given[BIAS] = given[BIAS].to(kind)
    path = tmp_path / "given.safetensors"
    path.write_bytes(save_torch(given, metadata={"iq": json.dumps(head().info)}))
    refused(path)


@pytest.mark.parametrize("sizes", ({"aesthetic": 8}, {"brisque": 35}, {"\x1b[2J": 3}))
def test_a_file_that_needs_blocks_this_iq_lacks_is_refused(tmp_path: Path, sizes) -> None:
    given = head(sizes=sizes)
    path = write(tmp_path, dict(given.tensors), given.info)
    assert repr(next(iter(sizes))) in refused(path)


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    refused(folder)
    refused(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("name", ("fusion2", "model.pth", "", ".", "../fusion-mini", "model.pkl"))
def test_an_unknown_model_is_told_with_the_names_there_are(name: str) -> None:
    with pytest.raises(IqError, match="fusion-mini"):
        registry().entry(name)


def test_a_rating_needs_neither_torch_nor_opencv_once_the_blocks_are_known() -> None:
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from iqcli.models.registry import Registry; from iqcli.weights.store import WeightStore\n"
        "root = Path('/nowhere')\n"
        "model = Registry(root, WeightStore(root)).load('fusion-mini')\n"
        "photo = {b.name: np.zeros(b.size, np.float32) for b in model.blocks}\n"
        "rating, = model.rate([photo])\n"
        "heavy = {'cv2', 'torch', 'scipy', 'PIL'} & set(sys.modules)\n"
        "print(1 <= rating.score <= 10, sorted(heavy))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "True []"


def test_a_rating_names_what_it_had_to_do_without(tmp_path: Path) -> None:
    model = loaded(write(tmp_path))
    photo = {b.name: np.zeros(b.size, np.float32) for b in model.blocks}
    assert model.rate([photo])[0].reasons == ()
    photo["brisque"] = np.full(36, np.nan, np.float32)
    rating = model.rate([photo])[0]
    assert len(rating.reasons) == 1 and "brisque" in rating.reasons[0]
    assert np.isfinite(rating.score) and rating.uncertainty > 0
    assert model.rate([]) == []
