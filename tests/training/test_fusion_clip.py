"""`iq train fusion` on CLIP vectors: from a list as SPAQ has it to a model, and a taste on top."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from PIL import Image
from support.drawn_scenes import texture
from support.fake_clip import registry, use
from support.fake_fusion import install_fusion, network, svr

from iqcli import ImageQualityFusion
from iqcli.cli import app
from iqcli.distortions import ladders
from iqcli.errors import Exit, IqError
from iqcli.evaluation import mos_csv
from iqcli.extractors.clip import ClipBlock
from iqcli.photos.read import read_photo
from iqcli.training import fusion, recipes
from iqcli.training.dataset import TrainingSet, holdout_mask
from iqcli.training.fusion import FusionConfig

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.slow

COUNT, SCENES = 60, 20
SMALL = FusionConfig(epochs=12, ladder_photos=2, blank_frames=4)
CLIP = "clip:ViT-B-32"
WORDS = ("--blocks", f"brisque,{CLIP}", "--mos-range", "0:100", "--scene", "Scene")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty drawn photos, the more blurred the worse, in a list with SPAQ's columns; a tiny CLIP
    and all else that the model fusion needs."""
    root = tmp_path_factory.mktemp("home")
    install_fusion(root, svr(root), network(3))
    album = root / "album"
    album.mkdir()
    lines = ["Image name,MOS,Brightness,Scene,day,stars"]
    for k in np.random.default_rng(15).permutation(COUNT):
        picture = cv2.GaussianBlur(texture(int(k), 120, 160), (0, 0), k / COUNT * 6 + 0.01)
        Image.fromarray(picture).save(album / f"{k:05}.png")
        stars = 5 - 4 * k // COUNT
        # Some names are absolute, as the first fusion wrote them in one list and not in the other.
        name = album / f"{k:05}.png" if k % 7 == 0 else f"{k:05}.PNG"
        lines.append(f"{name},{95 - 90 * k / COUNT:.2f},47.43,scene {k % SCENES},{k % 10},{stars}")
    (album / "mos_scores.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(autouse=True)
def small(home: Path, one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process at `home`, with few epochs and few ladders."""
    for name in ("cache", "state"):
        monkeypatch.setenv(f"IQ_{name.upper()}_DIR", str(home / name))
    use(monkeypatch, home)
    monkeypatch.setenv("IQ_DEVICE", "cpu")
    monkeypatch.setattr(recipes, "FusionConfig", lambda: SMALL)
    monkeypatch.setattr(ladders, "NAMES", ("jpeg", "contrast"))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """How often CLIP looked at each picture."""
    counts: Counter[bytes] = Counter()
    forward = ClipBlock.forward

    def counted(self, batch, device):
        counts.update(each.tobytes() for each in batch)
        return forward(self, batch, device)

    monkeypatch.setattr(ClipBlock, "forward", counted)
    return counts


def iq(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["iq", *map(str, words)])
    return app.run()


def csv_of(home: Path) -> Path:
    return home / "album" / "mos_scores.csv"


@pytest.fixture
def mine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trained head, made once."""
    output = home / "mine.safetensors"
    if not output.exists():
        assert iq(monkeypatch, "train", "fusion", csv_of(home), "-o", output, *WORDS) == Exit.DONE
    return output


def test_a_list_of_spaq_becomes_a_model_on_clip(home, monkeypatch, capsys, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    code = iq(monkeypatch, "train", "fusion", csv_of(home), "-o", output, *WORDS)
    captured = capsys.readouterr()
    assert code == Exit.DONE, captured.err
    assert "photos held out: SRCC " in captured.err and "60 photos: 60 used" in captured.err
    model = registry(home).load(str(output))
    assert dict(model.predictor.sizes) == {"brisque": 36, CLIP: 512}
    assert model.predictor.info["known_by"][CLIP] == registry(home).blocks[CLIP].weights_fingerprint
    scenes = sorted(set(mos_csv.read(csv_of(home), None, "0:100", None).column("Scene")))
    assert len(model.holdout.scores) == holdout_mask(scenes).sum() > 0  # a photo a scene
    words = ("score", home / "album", "--model", output, "--format", "csv")
    assert iq(monkeypatch, *words) == Exit.DONE
    assert capsys.readouterr().out.count("mine") == COUNT


def test_the_python_door_agrees(home: Path, mine: Path) -> None:
    model = ImageQualityFusion.from_pretrained(str(mine))
    some = [home / "album" / f"{k:05}.png" for k in (0, 30, 59)]
    scores = model.predict_batch(some)
    assert all(1 <= each <= 10 for each in scores) and len(set(scores)) == 3
    info = model.get_model_info()
    assert info["version"] == "mine" and info["performance"][0]["count"] > 0


def test_each_photo_teaches_with_its_own_clip_vector(home: Path, monkeypatch, tmp_path) -> None:
    """Vectors were found by their place in a shuffled list: each photo had another's."""
    caught: list[TrainingSet] = []

    def stop(given: TrainingSet, *_: object) -> None:
        caught.append(given)
        raise IqError("enough")

    monkeypatch.setattr(fusion, "fit", stop)
    output = tmp_path / "x.safetensors"
    assert iq(monkeypatch, "train", "fusion", csv_of(home), "-o", output, *WORDS) == Exit.USAGE
    rows = mos_csv.read(csv_of(home), None, "0:100", None).rows
    for k, row in enumerate(rows[:12]):
        number = int(row.shot.path.stem)
        assert row.value == pytest.approx(1 + 9 * (95 - 90 * number / COUNT) / 100, abs=1e-3)
        block = registry(home).blocks[CLIP]
        pixels = block.prepare(read_photo(row.shot.path.read_bytes(), max_megapixels=9)[1])
        own = block.forward([pixels], "cpu")[0]
        learnt = caught[0].blocks[CLIP]
        nearest = int(np.linalg.norm(learnt - own, axis=1).argmin())
        assert nearest == k and caught[0].opinions[k] == pytest.approx(row.value)


def test_a_look_of_clip_serves_training_fusion_and_laion(home, mine, seen, monkeypatch) -> None:
    """Each model loaded a CLIP of its own and ran it again."""
    for model in (mine, "fusion", "laion-v1"):
        assert iq(monkeypatch, "score", home / "album", "--model", model) == Exit.DONE
    assert not seen
    monkeypatch.setenv("IQ_CACHE_DIR", str(home / "other cache"))
    for model in ("laion-v1", mine, "fusion"):
        assert iq(monkeypatch, "score", home / "album", "--model", model) == Exit.DONE
    assert len(seen) == COUNT and set(seen.values()) == {1}


def test_what_is_held_out_chooses_nothing(home: Path) -> None:
    """The figures were those of the photos by which the training was stopped."""
    random = np.random.default_rng(3)
    scenes = [f"scene {k % 30}" for k in range(90)]
    held = holdout_mask(scenes)
    clip = random.normal(0, 10 / 512**0.5, (90, 512)).astype(np.float32)
    opinion = random.uniform(1, 10, 90).astype(np.float32)

    def fitted(opinion: np.ndarray, clip: np.ndarray) -> dict[str, np.ndarray]:
        none = np.zeros((0, 1, 4, 512), np.float32)
        margins, frames = np.zeros((1, 3), np.float32), np.zeros((0, 512), np.float32)
        given = TrainingSet({CLIP: clip}, opinion, scenes, {CLIP: none}, margins, {CLIP: frames})
        return fusion.fit(given, "x", lambda _: None, SMALL).tensors

    others = clip.copy(), opinion.copy()
    others[0][held] = random.normal(0, 1, (held.sum(), 512))
    others[1][held] = 11 - others[1][held]
    one, other = fitted(opinion, clip), fitted(others[1], others[0])
    assert held.any()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name], err_msg=name)
    others[1][~held] = 11 - others[1][~held]
    third = fitted(others[1], clip)
    assert any(not np.array_equal(values, third[name]) for name, values in one.items())


def test_a_head_is_refused_with_another_clip(mine: Path, monkeypatch) -> None:
    monkeypatch.setattr(ClipBlock, "weights_fingerprint", "another")
    with pytest.raises(IqError, match="another block 'clip:ViT-B-32'"):
        ImageQualityFusion.from_pretrained(str(mine))


def test_without_clip_it_says_what_to_pull(home, monkeypatch, capsys, tmp_path: Path) -> None:
    monkeypatch.setenv("IQ_DATA_DIR", str(tmp_path))
    output = tmp_path / "x.safetensors"
    assert iq(monkeypatch, "train", "fusion", csv_of(home), "-o", output, *WORDS) == Exit.USAGE
    assert "iq models pull clip-vit-b-32" in capsys.readouterr().err
    assert not output.exists()


def test_a_taste_stands_on_what_was_trained(
    home, mine, seen, monkeypatch, capsys, tmp_path
) -> None:
    """Also once the file has been moved, and CLIP looks at no photo again."""
    lines = (home / "album" / "mos_scores.csv").read_text().splitlines()
    stars = [line.split(",") for line in lines[1:]]
    rated = home / "album" / "stars.csv"
    rows = [f"{row[0]},{1 + int(Path(row[0]).stem) * 5 // COUNT},{row[4]}" for row in stars]
    rated.write_text("image,stars,day\n" + "\n".join(rows))
    file, own = tmp_path / "head.safetensors", tmp_path / "own.safetensors"
    file.write_bytes(mine.read_bytes())
    code = iq(monkeypatch, "train", "taste", rated, "--model", file, "-o", own)
    captured = capsys.readouterr().err
    assert code == Exit.DONE and "adopted taste/" in captured, captured
    file.unlink()
    taste = registry(home).load(str(own)).predictor
    assert taste.stock.info["model"] == "mine"
    assert taste.head.info["stock"]["name"] == file.name
    assert iq(monkeypatch, "score", home / "album", "--model", own, "-f", "csv") == Exit.DONE
    assert capsys.readouterr().out.count("taste/") == COUNT
    assert not seen
    for each in (home / "data" / "heads").iterdir():
        each.write_bytes(each.read_bytes() + b" ")
    with pytest.raises(IqError, match=r"another head\.safetensors"):
        registry(home).load(str(own))
