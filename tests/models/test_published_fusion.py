"""The published fusion: its files, its arithmetic, and each fault of its own code as a test."""

from __future__ import annotations

import importlib
import inspect
import json
import pickle
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file
from support.cli_runner import SOURCE
from support.drawn_scenes import FOLDER, PHOTOS, photo, plain, texture
from support.fake_clip import TINY, install, registry, store, tensors, use
from support.fake_fusion import (
    checkpoint,
    features,
    install_fusion,
    install_readers,
    network,
    stored,
    svr,
)
from torch import nn

import iqcli
from iqcli import ImageQualityFusion
from iqcli.errors import IqError, PhotoError
from iqcli.evaluation import mos_csv
from iqcli.extractors import brisque, clip_model
from iqcli.extractors.clip import ClipBlock
from iqcli.hub import FusionNetwork
from iqcli.models.brisque import load as load_brisque
from iqcli.models.published_fusion import Network, inputs_of, network_of, pulled
from iqcli.models.registry import ENTRIES, HUB_ID
from iqcli.records import Rating
from iqcli.weights import manifest
from iqcli.weights.store import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.cli_runner import Iq

pytestmark = pytest.mark.slow

ABSENT = "no model.safetensors"
FUSION = ("brisque", "clip:ViT-B-32")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return svr(tmp_path_factory.mktemp("svr"))


@pytest.fixture(scope="module")
def made() -> FusionNetwork:
    return network(3)


@pytest.fixture(scope="module")
def home(tmp_path_factory, files, made) -> Path:
    """A data folder with all that the model needs."""
    root = tmp_path_factory.mktemp("home")
    install_fusion(root, files, made)
    return root


@pytest.fixture
def at_home(home: Path) -> Iterator[Path]:
    with own(home):
        yield home


@contextmanager
def own(home: Path) -> Iterator[None]:
    """This process with the data folder and the rows of `home`, and as it was after it."""
    with pytest.MonkeyPatch.context() as patch:
        use(patch, home)
        yield


@pytest.fixture
def model(at_home: Path) -> ImageQualityFusion:
    return ImageQualityFusion.from_pretrained("fusion")


def inputs(count: int = 40, seed: int = 0) -> tuple[np.ndarray, ...]:
    """b, a and CLIP vectors about 10 long."""
    random = np.random.default_rng(seed)
    clip = random.normal(0, 10 / 512**0.5, (count, 512))
    drawn = random.random(count), random.random(count), clip
    return tuple(each.astype(np.float32) for each in drawn)


def by_torch(net: FusionNetwork, given: tuple[np.ndarray, ...]) -> np.ndarray:
    names = ("brisque", "laion", "clip")
    told = {name: torch.from_numpy(each) for name, each in zip(names, given, strict=True)}
    with torch.no_grad():
        return net(told).numpy()


def scores_of(network: Network, given: tuple[np.ndarray, ...]) -> np.ndarray:
    low, high = network.output_range
    return low + (high - low) * network.share(*given)


def put(folder: Path, told: object, name: str = "pytorch_model.bin") -> Path:
    path = folder / name
    path.write_bytes(stored(told))
    return path


# --- the network and its files ---


def test_numpy_and_torch_give_the_same_score(made, tmp_path: Path) -> None:
    found = network_of(put(tmp_path, checkpoint(made)))
    ours, theirs = scores_of(found, inputs()), by_torch(made, inputs())
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.ptp(theirs) > 1 and found.output_range == (1, 10)


def test_the_keys_are_those_that_were_published(made) -> None:
    layers = {"brisque_net": (0, 3), "laion_net": (0, 3), "clip_net": (0, 3)}
    wanted = {
        f"{net}.{layer}.{kind}"
        for net, places in (layers | {"fusion_net": (0, 3, 6)}).items()
        for layer in places
        for kind in ("weight", "bias")
    }
    assert set(made.state_dict()) == wanted
    assert 200_000 < sum(each.numel() for each in made.parameters()) < 300_000


@pytest.mark.parametrize("kind", ("checkpoint", "prefixed", "plain", "half", "folder"))
def test_every_published_kind_of_file_is_read(made, tmp_path: Path, kind: str) -> None:
    if kind == "folder":
        made.save_pretrained(tmp_path)
        place = tmp_path
    else:
        half = {name: each.half() for name, each in made.state_dict().items()}
        told = {
            "checkpoint": checkpoint(made),
            "prefixed": checkpoint(made, "fusion_model."),
            "plain": made.state_dict(),
            "half": half,
        }
        place = put(tmp_path, told[kind])
    scores = scores_of(network_of(place), inputs())
    np.testing.assert_allclose(
        scores, by_torch(made, inputs()), atol=0.05 if kind == "half" else 1e-5
    )


def test_config_is_honoured(tmp_path: Path) -> None:
    wide = network(4, hidden_dim=512, output_range=(0, 100), clip_embed_dim=96)
    told = checkpoint(wide, clip_embed_dim=96, hidden_dim=512)
    b, a, clip = inputs()
    found = network_of(put(tmp_path, told))
    assert (found.hidden, found.embedding, found.output_range) == (512, 96, (0, 100))
    given = b, a, np.ascontiguousarray(clip[:, :96])
    np.testing.assert_allclose(scores_of(found, given), by_torch(wide, given), atol=1e-3)


def bad(made: FusionNetwork) -> dict[str, dict[str, Any]]:
    """Checkpoints that are none, by what must be said of them."""
    state = made.state_dict()
    less = {name: each for name, each in state.items() if name != "laion_net.3.bias"}
    nan = state | {"clip_net.3.bias": torch.full((128,), torch.nan)}
    huge = state | {"clip_net.3.bias": torch.full((128,), 1e30)}
    scalars = {f"{each}_weight": torch.ones(()) for each in ("brisque", "laion", "clip")}
    both = {f"deep_fusion.{name}": each for name, each in state.items()}
    bias = "fusion_net.0.bias"
    mere, flat = state[bias].to("meta"), torch.ones(())
    return {
        "are no plain numbers": checkpoint(made) | {"model_state_dict": state | {bias: mere}},
        "no fusion_net and": checkpoint(made) | {"model_state_dict": state | {bias: flat}},
        "no number as hidden_dim": checkpoint(made, hidden_dim=torch.ones(3)),
        "lacks laion_net.3.bias": checkpoint(made) | {"model_state_dict": less},
        "has extra": checkpoint(made) | {"model_state_dict": state | {"extra": torch.ones(1)}},
        "clip_net.3.bias holds numbers": checkpoint(made) | {"model_state_dict": nan},
        "3.bias holds numbers": checkpoint(made) | {"model_state_dict": huge},
        "is an WeightedFusionModel": {"model_state_dict": scalars, "model_config": {}},
        "is an EnsembleFusionModel": {"model_state_dict": both, "model_config": {}},
        "config says hidden_dim 512": checkpoint(made, hidden_dim=512),
        "config says clip_embed_dim 10000000000": checkpoint(made, clip_embed_dim=10**10),
        "the lower first": checkpoint(made, output_range=(10, 1)),
        "not two numbers": checkpoint(made, output_range="wide"),
        "is not two numbers": checkpoint(made, output_range=(1, 10**400)),
        "range is not two": checkpoint(made, output_range=torch.nn.Parameter(torch.ones(2))),
        "has no fusion_net": {"state": torch.ones(3)},
        "more than named tensors": {"epoch": 3},
    }


KINDS = tuple(bad(network()))


@pytest.mark.parametrize("said", KINDS)
def test_what_is_no_such_network_is_refused(made, tmp_path: Path, said: str) -> None:
    """Missing and left-over tensors were passed over: the scores came from random weights."""
    with pytest.raises(IqError, match=said.replace("is an", "is an?")):
        network_of(put(tmp_path, bad(made)[said]))


def test_a_network_of_absurd_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IqError, match="6 wide"):
        network_of(
            put(
                tmp_path,
                {"fusion_net.0.bias": torch.zeros(6), "clip_net.0.weight": torch.zeros(6, 512)},
            )
        )
    for config in ({"hidden_dim": 6}, {"clip_embed_dim": 0}, {"output_range": (10, 1)}):
        with pytest.raises(IqError, match="no network is"):
            FusionNetwork(**config)


def test_nothing_in_a_file_is_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return Path.touch, (mark,)

    for name in ("pytorch_model.bin", "model.safetensors"):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(IqError):
            network_of(path)
        path.write_bytes(stored({"model_state_dict": {}, "model_config": {}, "metadata": Bomb()}))
        with pytest.raises(IqError):
            network_of(path)
    assert not mark.exists()


def test_a_file_that_cannot_be_read_is_told_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"none")
    with pytest.raises(IqError, match=r"cannot read the network .*; give another file"):
        network_of(tmp_path)


def test_a_folder_without_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IqError, match=ABSENT):
        network_of(tmp_path)
    with pytest.raises(IqError, match="there is no"):
        network_of(tmp_path / "absent")


# --- for torch and the hub ---


def test_save_and_load_gives_the_same_score(tmp_path: Path) -> None:
    """The wrapper wrote no weights, and its output range was not passed on."""
    wide = network(5, output_range=(0.0, 100.0), hidden_dim=128)
    wide.save_pretrained(tmp_path)
    again = FusionNetwork.from_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["output_range"] == [0, 100]
    assert again.output_range == (0, 100)
    np.testing.assert_array_equal(by_torch(again, inputs()), by_torch(wide, inputs()))
    again.save_pretrained(tmp_path / "second")
    third = FusionNetwork.from_pretrained(str(tmp_path / "second"))
    np.testing.assert_array_equal(by_torch(third, inputs()), by_torch(wide, inputs()))


def test_dropout_is_off(tmp_path: Path) -> None:
    """It stayed on: every call gave another score."""
    network().train().save_pretrained(tmp_path)
    again = FusionNetwork.from_pretrained(tmp_path)
    assert not any(each.training for each in again.modules())
    assert sum(isinstance(each, nn.Dropout) for each in again.modules()) == 6
    np.testing.assert_array_equal(by_torch(again, inputs()), by_torch(again, inputs()))
    again.train()
    assert not np.array_equal(by_torch(again, inputs()), by_torch(again, inputs()))


def test_a_folder_with_tensors_missing_does_not_load_as_a_random_network(tmp_path: Path) -> None:
    """The mixin's own loading is not strict."""
    made = network()
    made.save_pretrained(tmp_path)
    kept = {n: t.numpy() for n, t in made.state_dict().items() if not n.startswith("clip_net")}
    save_file(kept, tmp_path / "model.safetensors")
    with pytest.raises(IqError):
        FusionNetwork.from_pretrained(tmp_path)


def test_nothing_is_downloaded(made, home, monkeypatch, tmp_path, files) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("went to the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    with own(tmp_path):
        install_readers(tmp_path, files)
        for call in (FusionNetwork.from_pretrained, ImageQualityFusion.from_pretrained):
            with pytest.raises(IqError, match=r"iq models pull fusion"):
                call(HUB_ID)
    with own(home):
        found = FusionNetwork.from_pretrained(HUB_ID)
    np.testing.assert_array_equal(by_torch(found, inputs()), by_torch(made, inputs()))


def test_the_hub_id_is_the_model_fusion(at_home: Path) -> None:
    one, other = (ImageQualityFusion.from_pretrained(each) for each in (HUB_ID, "fusion"))
    assert one.predict_quality(photo("coffee.png")) == other.predict_quality(photo("coffee.png"))


def test_a_saved_folder_scores_photos(made, model, at_home: Path, tmp_path: Path) -> None:
    """The documented `from_pretrained` could not work at all."""
    made.save_pretrained(tmp_path / "mine")
    mine = ImageQualityFusion.from_pretrained(tmp_path / "mine")
    given = [photo(name) for name in PHOTOS]
    np.testing.assert_allclose(mine.predict_batch(given), model.predict_batch(given), atol=1e-5)
    version = mine.rate(given[:1])[0].model
    assert version.startswith("mine/") and mine.get_model_info()["version"] == version
    network(9).save_pretrained(tmp_path / "mine")
    other = ImageQualityFusion.from_pretrained(tmp_path / "mine")
    assert other.rate(given[:1])[0].model != mine.rate(given[:1])[0].model
    network(9, clip_embed_dim=768).save_pretrained(tmp_path / "large")
    with pytest.raises(IqError, match="768"):
        ImageQualityFusion.from_pretrained(tmp_path / "large")


# --- the faults of its own code ---


def blocks_of(home: Path, given: np.ndarray) -> dict[str, np.ndarray]:
    from iqcli.photos.views import limited, views_of
    from iqcli.pipeline.devices import measure_views

    wanted = [registry(home).blocks[name] for name in FUSION]
    return measure_views([views_of(limited(given))], wanted, "cpu")[0]


def test_every_photo_gets_its_own_clip_row(model: ImageQualityFusion) -> None:
    """Each photo was given another's CLIP vector, found by its place in a shuffled list."""
    given = [photo(name) for name in PHOTOS]
    order = [3, 0, 4, 2, 1]
    straight, shuffled = model.rate(given), model.rate([given[k] for k in order])
    for place, k in enumerate(order):
        # Short numbers on the device differ a little with the place in the batch.
        assert shuffled[place].score == pytest.approx(straight[k].score, abs=0.02)
        assert shuffled[place].aesthetic == pytest.approx(straight[k].aesthetic, abs=0.02)
        assert shuffled[place].technical == pytest.approx(straight[k].technical, abs=1e-6)
    assert len({round(each.score, 3) for each in straight}) == len(given)


def test_training_and_scoring_normalise_alike(made, model, at_home: Path) -> None:
    """CLIP vectors were learnt from at their length of 10 and scored at a length of 1."""
    method = inputs_of(pulled(store(at_home)), store(at_home))
    for name in PHOTOS:
        found = {block: vector[None] for block, vector in blocks_of(at_home, photo(name)).items()}
        given = method.technical(found), method.aesthetic(found), found["clip:ViT-B-32"]
        (learnt,) = by_torch(made, given)
        assert model.predict_quality(photo(name)) == pytest.approx(learnt, abs=6e-4)
        unit = given[2] / np.linalg.norm(given[2])
        assert abs(by_torch(made, (*given[:2], unit))[0] - learnt) > 1e-3


def test_absolute_and_relative_paths_meet(iq: Iq, roll: Path) -> None:
    """The features were listed under absolute names, the opinions under relative ones."""
    lines = ["image_path,human_score", "IMG_1.jpg,0.9", f"{roll.resolve() / 'IMG_2.jpg'},0.2"]
    lines += ["./day/../IMG_3.jpg,0.5"]
    (roll / "told.csv").write_text("\n".join(lines))
    told = mos_csv.read(roll / "told.csv", None, None, None)
    assert [row.shot.path.resolve().name for row in told.rows] == [
        f"IMG_{k}.jpg" for k in (1, 2, 3)
    ]
    assert all(row.shot.path.is_file() for row in told.rows)
    by_relative = iq("score", "photos/IMG_1.jpg", "--model", "brisque-refit", "-f", "jsonl").rows
    absolute = str((roll / "IMG_1.jpg").resolve())
    by_absolute = iq("score", absolute, "--model", "brisque-refit", "-f", "jsonl").rows
    assert by_relative[0]["score"] == by_absolute[0]["score"]


def test_clip_has_its_quickgelu(model, at_home: Path) -> None:
    """With GELU in its place CLIP gives other vectors, and LAION other scores, without a word."""
    clip = clip_model.tower(store(at_home), "clip-vit-b-32", "cpu")
    acts = [each for each in clip.visual.modules() if isinstance(each, nn.GELU)]
    quick = [each for each in clip.visual.modules() if type(each).__name__ == "QuickGELU"]
    assert quick and not acts
    assert manifest.read(MANIFEST)["clip-vit-b-32"].arch == "ViT-B-32-quickgelu"
    wrong = open_clip.CLIP(**TINY["clip-vit-b-32"], quick_gelu=False).eval()
    wrong.load_state_dict(tensors(TINY["clip-vit-b-32"]))
    picture = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        assert not torch.allclose(
            clip.encode_image(picture), wrong.encode_image(picture), atol=1e-3
        )


def test_pil_array_path_and_bytes_score_alike(model: ImageQualityFusion) -> None:
    """PIL pictures and arrays failed; a Path scored BRISQUE 50 without a word."""
    path = FOLDER / "coffee.png"
    wanted = model.predict_quality(str(path))
    for given in (path, path.read_bytes(), Image.open(path), np.array(photo("coffee.png"))):
        assert model.predict_quality(given) == pytest.approx(wanted, abs=1e-6)


def test_nothing_is_scored_by_default(model, monkeypatch, tmp_path: Path) -> None:
    """Any exception was a BRISQUE of 50, an aesthetic score of 5 or a vector of zeros."""
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(b"\xff\xd8\xff\xe0" + bytes(64))
    for given in (torn, tmp_path / "absent.jpg", plain(128), plain(0, 3, 3)):
        with pytest.raises(PhotoError):
            model.predict_quality(given)

    def fail(*_: object) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(ClipBlock, "forward", fail)
    with pytest.raises(PhotoError, match="broken"):
        model.predict_quality(photo("coffee.png"))
    monkeypatch.setattr(brisque, "_fit", fail)
    with pytest.raises(ValueError, match="broken"):
        model.predict_quality(photo("coffee.png"))


def test_what_has_no_score_in_a_batch_is_named(model: ImageQualityFusion, tmp_path: Path) -> None:
    Image.fromarray(plain(128)).save(tmp_path / "flat.png")
    with pytest.raises(PhotoError, match=r"flat\.png: too even or too small for fusion"):
        model.predict_batch([FOLDER / "coffee.png", tmp_path / "flat.png"])
    with pytest.raises(PhotoError, match="photo 2: too even or too small for fusion"):
        model.predict_batch([FOLDER / "coffee.png", plain(128)])


def test_a_batch_is_one_forward_and_one_decode_a_photo(model, monkeypatch, tmp_path) -> None:
    """A batch was a loop; a photo was decoded four times and CLIP ran twice for it."""
    counts: dict[str, list[int]] = {"clip": [], "network": [], "decode": []}
    forward, share = ClipBlock.forward, Network.share
    read = iqcli.api.read_photo

    def seen(self, batch, device):
        counts["clip"].append(len(batch))
        return forward(self, batch, device)

    def shared(self, b, a, clip):
        counts["network"].append(len(b))
        return share(self, b, a, clip)

    def decoded(data, **options):
        counts["decode"].append(1)
        return read(data, **options)

    monkeypatch.setattr(ClipBlock, "forward", seen)
    monkeypatch.setattr(Network, "share", shared)
    monkeypatch.setattr(iqcli.api, "read_photo", decoded)
    given = [FOLDER / name for name in PHOTOS]
    together = model.predict_batch(given)
    assert counts == {"clip": [5], "network": [5], "decode": [1] * 5}
    np.testing.assert_allclose(together, [model.predict_quality(each) for each in given], atol=0.02)


def test_the_aesthetic_part_is_a_line_on_the_clip_vector(at_home: Path) -> None:
    """It is no third opinion: all of it stands in the vector already. The card says so."""
    method = inputs_of(pulled(store(at_home)), store(at_home))
    random = np.random.default_rng(1)
    one, other = (each / np.linalg.norm(each) for each in random.normal(0, 1, (2, 512)))
    half = (one + other) / np.linalg.norm(one + other)
    scores = method.laion.score(np.stack([one, other, half]).astype(np.float32))
    bias, share = method.laion.bias, 1 / np.linalg.norm(one + other)
    wanted = bias + share * (scores[0] - bias + scores[1] - bias)
    assert scores[2] == pytest.approx(wanted, abs=1e-4)
    card = ENTRIES["fusion"].card
    assert card and "linear reading of the CLIP vector" in card.read_text("utf-8")


def test_brisque_is_not_read_at_the_size_of_the_file(model: ImageQualityFusion, home: Path) -> None:
    """At 12 megapixels it told next to nothing of quality, and less the smaller the photo."""
    large = cv2.resize(photo("astronaut.png"), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    one, other = model.rate([photo("astronaut.png"), large])
    as_it_is = 10 - 9 * load_brisque(store(home)).score(features(large)[None])[0] / 100
    assert abs(one.technical - other.technical) < abs(one.technical - as_it_is) / 2


def test_the_entry_point_exists_and_nothing_of_spaq_is_shipped() -> None:
    """Its command named a module that was not there; opinions for research only came with it."""
    told = tomllib.loads((SOURCE / "pyproject.toml").read_text("utf-8"))
    module, _, name = told["project"]["scripts"]["iq"].partition(":")
    assert inspect.isfunction(getattr(importlib.import_module(module), name))
    package = Path(iqcli.__file__).parent
    kinds = {path.suffix for path in package.rglob("*") if path.is_file()}
    assert kinds.isdisjoint({".csv", ".xlsx", ".jpg", ".bin", ".pth", ".npy"})


# --- the model ---


def test_a_rating_has_both_parts_and_no_false_certainty(model: ImageQualityFusion) -> None:
    (rating,) = model.rate([photo("chelsea.png")])
    assert isinstance(rating, Rating) and rating.model == "fusion"
    assert all(1 <= each <= 10 for each in (rating.score, rating.technical, rating.aesthetic))
    assert len({rating.score, rating.technical, rating.aesthetic}) == 3
    assert rating.uncertainty is None and "not calibrated" in rating.reasons[0]


def test_the_model_tells_its_poor_figures_and_its_faults(model: ImageQualityFusion) -> None:
    info = model.get_model_info()
    assert info["name"] == "fusion" and info["licence"] == "MIT"
    assert {name: info["blocks"][name] for name in FUSION} == {"brisque": 36, "clip:ViT-B-32": 512}
    (row,) = info["performance"]
    assert (row["correlation"], row["R2"], row["MAE"], row["MSE"]) == (0.52, 0.25, 1.41, 2.86)
    assert "validation" in row["photos"] and "wrong rows" in info["limits"]
    assert "phones" in info["biases"] and info["version"].startswith("fusion/")


def test_iq_scores_and_a_second_run_needs_no_torch(iq: Iq, roll: Path, files, made) -> None:
    iq.changes |= install_fusion(iq.home, files, made)
    words = ("score", "photos", "--model", "fusion", "--format", "jsonl")
    first = iq(*words)
    rated = [row for row in first.rows if row.get("score") is not None]
    assert len(rated) == 5 and "too even or too small for fusion" in first.err + str(first.rows)
    second, opened, loaded = iq.spied(*words)
    assert second.rows == first.rows
    assert loaded & {"torch", "cv2", "PIL", "open_clip"} == set()
    assert not [name for name in opened if name.endswith((".bin", ".pth", ".yml", ".jpg"))]


def test_without_its_weights_it_says_what_to_pull(iq: Iq, roll: Path) -> None:
    ran = iq("score", "photos", "--model", "fusion")
    assert ran.code == 2 and "iq models pull fusion" in ran.err


def test_a_folder_that_is_no_model_and_one_whose_readers_are_missing(iq: Iq, roll: Path) -> None:
    """The advice must not be to pull a folder."""
    ran = iq("score", "photos", "--model", "photos")
    assert ran.code == 2 and "there is no model 'photos'" in ran.err
    (roll / "config.json").write_text("{}")
    assert ABSENT in iq("score", "photos", "--model", "photos").err
    network().save_pretrained(iq.cwd / "mine")
    ran = iq("score", "photos", "--model", "mine")
    assert ran.code == 2 and "iq models pull " in ran.err and "clip-vit-b-32" in ran.err
    assert "pull mine" not in ran.err and "pytorch_model.bin" not in ran.err


def test_one_forward_serves_fusion_and_laion(iq: Iq, roll: Path, files, made) -> None:
    """The vector is cached: the second model does not look at the photos again."""
    iq.changes |= install_fusion(iq.home, files, made)
    assert iq("score", "photos", "--model", "fusion").code in (0, 1)
    ran, opened, loaded = iq.spied("score", "photos", "--model", "laion-v1", "-f", "jsonl")
    assert len(ran.rows) == 6 and "torch" not in loaded
    assert not [name for name in opened if name.endswith(".jpg")]


def test_a_photo_seen_twice_has_one_score(model: ImageQualityFusion) -> None:
    picture = texture(3, 300, 400)
    assert len({model.predict_quality(picture) for _ in range(3)}) == 1


def test_installing_other_weights_changes_the_version(
    at_home, files, monkeypatch, tmp_path
) -> None:
    before = ImageQualityFusion.from_pretrained("fusion").get_model_info()["version"]
    install_fusion(tmp_path, files, network(8))
    install(tmp_path, "clip-vit-b-32")
    with own(tmp_path):
        after = ImageQualityFusion.from_pretrained("fusion").get_model_info()["version"]
    assert before != after
