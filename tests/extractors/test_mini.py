"""The block `mini`: what its network looks at, its numbers, and files that are not its weights."""

from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from support.drawn_scenes import PHOTOS, noisy, photo, plain, texture
from support.fake_heads import loaded
from support.small_backbone import drawn_network

from iqcli.distortions.bank import DISTORTIONS
from iqcli.errors import IqError
from iqcli.extractors import base, mini, mini_weights
from iqcli.extractors.backbone import Backbone, PaddedConvolution
from iqcli.extractors.mini import MiniBlock
from iqcli.extractors.mini_crops import GRID, MIDDLE, PIECE, SIDE, mosaic, pair, squares, whole
from iqcli.extractors.registry import BLOCKS, EMBEDDED
from iqcli.extractors.schema import EMBEDDING, FORMAT, KINDS
from iqcli.models.registry import ENTRIES
from iqcli.photos.views import limited, views_of
from iqcli.runtime import library
from iqcli.training.backbone.fold import weight_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iqcli.records import Pixels

WEIGHTS = EMBEDDED / "mini.safetensors"
ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.usefixtures("one_thread")


# --- pieces ---


def places_of(height: int, width: int) -> Pixels:
    """A picture whose colours tell the place of each pixel."""
    number = np.arange(height)[:, None] * 2048 + np.arange(width)
    return np.stack([number >> 16, number >> 8 & 255, number & 255], axis=2).astype(np.uint8)


def read_places(picture: Pixels) -> tuple[np.ndarray, np.ndarray]:
    """The rows and columns that the pixels came from."""
    red, green, blue = (picture[..., k].astype(int) for k in range(3))
    return np.divmod((red << 16) + (green << 8) + blue, 2048)


@pytest.mark.parametrize(
    ("height", "width"), [(512, 512), (512, 683), (910, 512), (256, 2048), (2048, 57), (225, 231)]
)
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0, None])
def test_a_mosaic_shows_every_cell_unscaled(height: int, width: int, place: float | None) -> None:
    random = np.random.default_rng(1).random((GRID, GRID, 2), np.float32)
    places = random if place is None else np.full((GRID, GRID, 2), place, np.float32)
    picture = mosaic(places_of(height, width), places)
    assert picture.shape == (SIDE, SIDE, 3) and picture.dtype == np.uint8
    for row, column in np.ndindex(GRID, GRID):
        piece = picture[row * PIECE :, column * PIECE :][:PIECE, :PIECE]
        down, across = read_places(piece)
        top, left = down[0, 0], across[0, 0]
        np.testing.assert_array_equal(down, top + np.arange(PIECE)[:, None] + 0 * across)
        np.testing.assert_array_equal(across, left + np.arange(PIECE)[None] + 0 * down)
        for start, side, cell, at in (
            (top, height, row, places[row, column, 0]),
            (left, width, column, places[row, column, 1]),
        ):
            size = side / GRID
            if size >= PIECE:
                assert cell * size - 0.5 <= start <= (cell + 1) * size - PIECE + 0.5
                assert start == pytest.approx(cell * size + at * (size - PIECE), abs=0.51)
            assert 0 <= start <= side - PIECE


def test_a_picture_just_as_large_as_a_mosaic_is_its_own() -> None:
    picture = texture(3, SIDE, SIDE)
    np.testing.assert_array_equal(mosaic(picture, MIDDLE), picture)
    np.testing.assert_array_equal(whole(picture), picture)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (8, 8), (20, 300), (2048, 30), (55, 56)])
def test_a_side_shorter_than_a_piece_is_enlarged(height: int, width: int) -> None:
    picture = np.full((height, width, 3), (200, 90, 10), np.uint8)
    found = mosaic(picture, MIDDLE)
    assert found.shape == (SIDE, SIDE, 3)
    assert (found == (200, 90, 10)).all()
    assert whole(picture).shape == (SIDE, SIDE, 3)


def test_only_the_short_side_of_a_strip_is_enlarged() -> None:
    strip = np.zeros((20, 400, 3), np.uint8)
    strip[:, :, 0] = np.arange(400) // 2
    columns = mosaic(strip, MIDDLE)[0, :, 0].astype(int)
    for column in range(GRID):
        start = round(column * 100 + 22)
        wanted = np.arange(start, start + PIECE) // 2
        np.testing.assert_allclose(columns[column * PIECE :][:PIECE], wanted, atol=1)


@pytest.mark.parametrize(
    ("height", "width", "count"),
    [
        *((8, 8, 1), (512, 512, 1), (1200, 1600, 1), (300, 451, 1), (40, 2000, 1), (3000, 90, 1)),
        *((500, 1000, 3), (500, 1001, 4), (900, 300, 4), (300, 2000, 8), (999, 500, 1)),
    ],
)
def test_what_is_prepared_are_pairs(height: int, width: int, count: int) -> None:
    views = views_of(limited(texture(1, height, width)))
    found = BLOCKS["mini"].prepare(views)
    assert found.shape == (count, 2, SIDE, SIDE, 3) and found.dtype == np.uint8
    np.testing.assert_array_equal(found[0], pair(views.scoring))


@pytest.mark.parametrize(
    ("height", "width"), [(512, 1024), (512, 1800), (256, 2048), (1300, 400), (224, 2048)]
)
def test_the_squares_of_a_panorama_cover_it_from_end_to_end(height: int, width: int) -> None:
    picture = places_of(height, width)
    seen = np.zeros((height, width), bool)
    short = min(height, width)
    for square in squares(picture):
        assert square.shape == (short, short, 3)
        down, across = read_places(square)
        assert down[-1, -1] - down[0, 0] == across[-1, -1] - across[0, 0] == short - 1
        seen[down, across] = True
    assert seen.all()


@pytest.mark.parametrize(("height", "width"), [(512, 1023), (223, 2048), (512, 512), (30, 2048)])
def test_other_pictures_are_seen_whole_alone(height: int, width: int) -> None:
    assert squares(places_of(height, width)) == []


# --- numbers ---


def pictures() -> list[Pixels]:
    """Photos, one of them distorted in single pixels, and what is no photo."""
    coffee = views_of(photo("coffee.png")).scoring
    distorted = [
        DISTORTIONS[name](coffee, level, 0)
        for name, level in (("white_noise", 1), ("sensor_noise", 0.5), ("gaussian_blur", 3))
    ]
    return [*map(photo, PHOTOS), *distorted, texture(1), noisy(3), plain(128)]


@pytest.fixture(scope="module")
def prepared() -> np.ndarray:
    """(n, 1, 2, SIDE, SIDE, 3): none of them is a panorama."""
    return np.stack([BLOCKS["mini"].prepare(views_of(each)) for each in pictures()])


def points(vectors: np.ndarray) -> np.ndarray:
    """(n, SIZE) to (n, kind) points of 1..10."""
    logits = vectors.reshape(len(vectors), len(KINDS), EMBEDDING + 1)[..., -1]
    return 1 + 9 / (1 + np.exp(-logits))


def test_a_vector_holds_an_embedding_and_a_logit_of_each_kind(prepared) -> None:
    found = BLOCKS["mini"].forward(prepared[:3], "cpu")
    assert found.shape == (3, mini.SIZE) == (3, BLOCKS["mini"].size)
    assert found.dtype == np.float32 and np.isfinite(found).all()
    parts = found.reshape(3, len(KINDS), EMBEDDING + 1)
    assert np.abs(parts[..., :-1]).max() <= 1
    assert np.ptp(found, axis=0).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [False, True])
def test_a_batch_of_one_and_of_64_give_the_same(prepared, single_precision, runtime) -> None:
    """To 1e-5: the order of the sums may differ with the size of a batch, nothing else."""
    run = BLOCKS["mini"].forward if runtime else in_torch
    alone = np.concatenate([run(prepared[k : k + 1], "cpu") for k in range(4)])
    many = run(prepared[np.arange(64) % 4], "cpu")
    np.testing.assert_allclose(many, alone[np.arange(64) % 4], atol=1e-5)


def test_a_photo_has_one_vector_whatever_is_measured_with_it(prepared) -> None:
    several = BLOCKS["mini"].forward(prepared[:5], "cpu")
    for k in range(5):
        alone = BLOCKS["mini"].forward(prepared[k : k + 1], "cpu")
        np.testing.assert_array_equal(several[k : k + 1], alone)


def in_torch(prepared: np.ndarray, device: str = "cpu") -> np.ndarray:
    return mini._with_torch(WEIGHTS, np.concatenate(prepared), device)


@pytest.mark.parametrize("runtime", [False, True])
def test_short_numbers_move_no_score_that_one_sees(prepared, monkeypatch, runtime) -> None:
    """Bfloat16 in every layer moved the score of a faintly noisy photo by a quarter of a point."""
    if runtime and not library.has_bfloat16():
        pytest.skip("this CPU has no bfloat16")
    found = {}
    for kind in (None, torch.bfloat16):
        monkeypatch.setattr(base, "autocast_type", lambda _, kind=kind: kind)
        monkeypatch.setattr(library, "has_bfloat16", lambda kind=kind: kind is not None)
        run = BLOCKS["mini"].forward if runtime else in_torch
        found[kind] = run(prepared, "cpu")
    long, short = (points(each) for each in found.values())
    assert not np.array_equal(long, short)
    natural = slice(0, len(PHOTOS) + 3)
    assert np.abs(long - short)[natural].max() < 0.05
    assert np.abs(long.mean(axis=1) - short.mean(axis=1)).max() < 0.05


def test_torch_and_the_runtime_give_the_same(prepared, monkeypatch) -> None:
    """One set of weights: in the precision that this CPU has within what nobody sees."""
    assert not BLOCKS["mini"].needs_torch("cpu") and BLOCKS["mini"].needs_torch("cuda")
    monkeypatch.setattr(base, "autocast_type", lambda _: None)
    wanted, found = in_torch(prepared), BLOCKS["mini"].forward(prepared, "cpu")
    natural = slice(0, len(PHOTOS) + 3)
    assert np.abs(points(found) - points(wanted))[natural].max() < 0.05
    assert np.abs(points(found).mean(axis=1) - points(wanted).mean(axis=1)).max() < 0.05
    monkeypatch.setattr(library, "has_bfloat16", lambda: False)
    np.testing.assert_allclose(BLOCKS["mini"].forward(prepared, "cpu"), wanted, atol=1e-4)


def test_torch_runs_it_where_the_runtime_is_not(prepared, monkeypatch) -> None:
    monkeypatch.setattr(library, "is_there", lambda: False)
    assert BLOCKS["mini"].needs_torch("cpu")
    found = BLOCKS["mini"].forward(prepared[:2], "cpu")
    np.testing.assert_array_equal(found, in_torch(prepared[:2]))


@pytest.mark.parametrize("side", [16, 17, 28, 223])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_padding_is_that_of_tensorflow(side: int, kernel: int, stride: int) -> None:
    """As its documentation of "SAME" has it: all that is needed, the odd one at the end."""
    layer, views = PaddedConvolution(2, 3, kernel, stride), torch.randn(1, 2, side, side)
    count = -(-side // stride)
    missing = max(0, (count - 1) * stride + kernel - side)
    around = (missing // 2, missing - missing // 2)
    padded = torch.nn.functional.pad(views, (*around, *around))
    wanted = torch.nn.functional.conv2d(padded, layer.weight, layer.bias, stride)
    assert wanted.shape[2:] == (count, count)
    torch.testing.assert_close(layer(views), wanted)


def test_a_mosaic_does_not_reach_the_last_stages(prepared, single_precision) -> None:
    """And the whole does not tell what the mosaic says."""
    changed = prepared[:1].copy()
    changed[:, :, 1] = prepared[1:2, :, 1]
    before, after = (BLOCKS["mini"].forward(each, "cpu")[0] for each in (prepared[:1], changed))
    parts = slice(EMBEDDING + 1, None)
    np.testing.assert_array_equal(before[: EMBEDDING + 1], after[: EMBEDDING + 1])
    assert np.abs(before[parts] - after[parts]).max() > 0.1


@pytest.mark.parametrize("runtime", [False, True])
def test_the_pairs_of_a_photo_are_averaged(
    prepared, single_precision, monkeypatch, runtime
) -> None:
    """Photos of different numbers of them are measured together."""
    monkeypatch.setattr(library, "is_there", lambda: runtime)
    ones = BLOCKS["mini"].forward(prepared[:4], "cpu")
    several = [prepared[0], np.concatenate(prepared[1:4]), prepared[0]]
    found = BLOCKS["mini"].forward(several, "cpu")
    np.testing.assert_allclose(found, [ones[0], ones[1:].mean(axis=0), ones[0]], atol=1e-5)


def test_a_blurred_half_of_a_panorama_counts(single_precision) -> None:
    """Squeezed into a square alone, its blur was hardly seen."""
    coffee = views_of(photo("coffee.png")).scoring
    sharp = np.concatenate([coffee, coffee[:, ::-1]], axis=1)
    blurred, half = DISTORTIONS["gaussian_blur"](sharp, 4, 0), sharp.copy()
    half[:, coffee.shape[1] :] = blurred[:, coffee.shape[1] :]
    block = BLOCKS["mini"]
    prepared = [block.prepare(views_of(each)) for each in (sharp, half, blurred)]
    clear, middle, soft = points(block.forward(prepared, "cpu")).mean(axis=1)
    assert clear - 0.3 > middle > soft + 0.3
    whole = points(block.forward([each[:1] for each in prepared], "cpu")).mean(axis=1)
    assert clear - middle > whole[0] - whole[1]
    left, _, right = points(block.forward(list(prepared[1][1:, None]), "cpu")).mean(axis=1)
    assert left > right + 1


# --- weights ---


@pytest.fixture(scope="module")
def good() -> dict[str, torch.Tensor]:
    return load_file(WEIGHTS)


def refused(path: Path) -> str:
    """The sentence with which the file is refused, by torch and without."""
    pairs = np.zeros((1, 2, SIDE, SIDE, 3), np.uint8)
    with pytest.raises(IqError) as caught:
        MiniBlock(path).forward([pairs], "cpu")
    message = str(caught.value)
    with pytest.raises(IqError) as caught:
        mini._with_torch(path, pairs, "cpu")
    assert str(caught.value) == message
    assert str(path) in message and "\n" not in message and message.count("; ") == 1
    return message


@pytest.mark.slow
def test_what_training_writes_is_what_the_block_reads(tmp_path: Path, prepared) -> None:
    network, file = drawn_network(), tmp_path / "own.safetensors"
    file.write_bytes(weight_file(network, {"name": "own"}))
    with torch.inference_mode():
        logits, _ = network.eval()(torch.from_numpy(prepared[:3, 0]))
    wanted = 1 + 9 * torch.sigmoid(logits[:, 1:]).numpy()
    found = points(MiniBlock(file).forward(prepared[:3], "cpu"))
    np.testing.assert_allclose(found, wanted, atol=0.1)
    assert np.ptp(wanted, axis=0).max() > 0.2


def changed(good: dict[str, torch.Tensor], **values: torch.Tensor) -> dict[str, torch.Tensor]:
    names = {name.replace(".", "_"): name for name in good}
    return good | {names[name]: value for name, value in values.items()}


OURS = {"iq": json.dumps({"format": FORMAT})}


def hostile(good: dict[str, torch.Tensor]) -> Iterator[tuple[str, bytes]]:
    """Files that are not weights of this network."""
    whole = WEIGHTS.read_bytes()
    stem = good["stem.weight"]
    yield "empty", b""
    yield "short", whole[:7]
    yield "cut in the head", whole[:300]
    yield "cut in the numbers", whole[:-1]
    yield "longer", whole + b"x"
    yield "pickle", pickle.dumps({"stem.weight": [1, 2]})
    yield "text", b"\xff\xfe not a file of numbers" * 20
    yield "huge head", struct.pack("<Q", 2**63) + b"{}"
    yield "deep head", struct.pack("<Q", 100_000) + b"[" * 100_000
    yield "list", struct.pack("<Q", 2) + b"[]"
    yield "no account", save(good)
    yield "foreign account", save(good, metadata={"iq": json.dumps({"format": "iq-fusion-1"})})
    yield "account of a list", save(good, metadata={"iq": "[1]"})
    yield "account of nonsense", save(good, metadata={"iq": "{"})
    yield "account too deep", save(good, metadata={"iq": "[" * 100_000})
    yield "void account", struct.pack("<Q", 21) + b'{"__metadata__":null}'
    yield "odd account", struct.pack("<Q", 19) + b'{"__metadata__":[]}'
    yield "one less", save({n: v for n, v in good.items() if n != "stem.bias"}, metadata=OURS)
    yield "one more", save(good | {"more": torch.zeros(1)}, metadata=OURS)
    yield "no deviation", save(changed(good, parts_deviation=0 * good["parts_deviation"]), OURS)
    yield "other shape", save(changed(good, stem_weight=torch.zeros(32, 3, 5, 5)), metadata=OURS)
    yield "nan", save(changed(good, stem_weight=stem * float("nan")), metadata=OURS)
    yield "huge", save(changed(good, stem_bias=torch.full((32,), 1e5)), metadata=OURS)
    yield "whole numbers", save(changed(good, stem_weight=stem.int()), metadata=OURS)
    yield "complex", save(changed(good, stem_bias=torch.zeros(32, dtype=torch.complex64)), OURS)
    yield "tiny floats", save(changed(good, stem_weight=stem.to(torch.float8_e4m3fn)), OURS)


def test_files_that_are_no_weights_are_refused_in_one_sentence(tmp_path: Path, good) -> None:
    for k, (kind, data) in enumerate(hostile(good)):
        path = tmp_path / f"{k}.safetensors"
        path.write_bytes(data)
        message = refused(path)
        assert "install iq again" in message or "iq train backbone" in message, kind
    refused(tmp_path / "absent.safetensors")
    refused(tmp_path)


def test_no_code_in_a_weight_file_is_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.write_text, (tmp_path / "sprung", "x"))

    path = tmp_path / "trap.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    refused(path)
    torch.save({"stem.weight": Trap()}, path)
    refused(path)
    assert not (tmp_path / "sprung").exists()


def test_the_fingerprint_is_that_of_the_weights(tmp_path: Path, monkeypatch) -> None:
    data = bytearray(WEIGHTS.read_bytes())
    same, other = tmp_path / "same.safetensors", tmp_path / "other.safetensors"
    same.write_bytes(data)
    data[-1] ^= 1
    other.write_bytes(data)
    given = BLOCKS["mini"].fingerprint
    assert MiniBlock(same).fingerprint == given != MiniBlock(other).fingerprint
    monkeypatch.setattr(mini, "VERSION", mini.VERSION + 1)
    assert MiniBlock(same).fingerprint != given
    with pytest.raises(IqError, match="cannot read the backbone"):
        _ = MiniBlock(tmp_path / "absent.safetensors").fingerprint


def test_the_network_in_torch_has_the_tensors_of_the_file(good) -> None:
    wanted = {name: tuple(each.shape) for name, each in Backbone().state_dict().items()}
    assert wanted == mini_weights.shapes()
    found = mini_weights.read(WEIGHTS)
    assert set(found) == set(good)
    for name, each in good.items():
        np.testing.assert_array_equal(found[name], each.float().numpy())


def test_knowing_of_the_block_loads_no_network() -> None:
    code = (
        "import sys\n"
        "import iqcli.extractors.mini, iqcli.extractors.registry as registry\n"
        "registry.BLOCKS['mini'].fingerprint\n"
        "print({'torch', 'cv2', 'PIL', 'scipy', 'safetensors'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.strip() == "set()", done.stderr


def test_a_head_refuses_another_backbone_than_its_own(tmp_path: Path) -> None:
    """It would read the other's vectors, which are as long, and score by chance."""
    file = tmp_path / "head.safetensors"
    shipped = ENTRIES["fusion-mini"].weights
    with safe_open(shipped, framework="pt") as stream:
        info = json.loads(stream.metadata()["iq"])
    assert info["known_by"]["mini"] == BLOCKS["mini"].weights_fingerprint
    info["known_by"]["mini"] = "0" * 16
    file.write_bytes(save(load_file(shipped), metadata={"iq": json.dumps(info)}))
    with pytest.raises(IqError, match=r"trained on another block 'mini'.*train it again"):
        loaded(file)
