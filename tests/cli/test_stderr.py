"""Nothing but our own words on stderr, and all of them, whatever decoders and libraries write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import hostile_files as hostile
from support.cli_runner import Iq
from support.images import cut_dng, encoded, lossy_dng, noise, scene

from iqcli.photos.read import read_photo

TALK = """
import os, sys, threading, warnings
from iqcli.cli.app import _open_streams
_open_streams()
from iqcli.cli.console import info
from iqcli.photos.stderr import quiet_stderr
inside, seen = threading.Event(), threading.Event()
def decode():
    with quiet_stderr():
        os.write(2, b"a decoder\\n")
        inside.set()
        seen.wait()
worker = threading.Thread(target=decode)
worker.start()
inside.wait()
info("ours, while it decodes")
warnings.warn("a library")
print("ours, by print", file=sys.stderr)
seen.set()
worker.join()
os.write(2, b"afterwards\\n")
"""


def test_our_lines_are_seen_while_a_decoder_is_silenced() -> None:
    done = subprocess.run([sys.executable, "-c", TALK], capture_output=True, text=True, check=True)
    assert done.stderr == "ours, while it decodes\nours, by print\nafterwards\n"


def test_a_process_without_stderr_still_ends_well() -> None:
    code = "import os; os.close(2)\nimport iqcli.cli.app as app; app._open_streams()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def broken_files() -> dict[str, bytes]:
    """One of each decoder that has words for it."""
    tiff = encoded(noise(300, 200), "TIFF", compression="tiff_lzw")
    jpeg = encoded(noise(300, 200), "JPEG")
    wide = np.tile(np.array([3e38, -3e38, 0, np.nan], np.float32), (32, 8))
    heif, avif = encoded(noise(96, 64), "HEIF"), encoded(noise(96, 64), "AVIF")
    return {
        "a.tif": tiff[:20_000] + b"\0" * 900 + tiff[20_900:],
        "b.tif": encoded(Image.fromarray(wide), "TIFF"),
        "c.tif": hostile.tiff([*hostile.tiff_shape(9, 9), (4000, 3, 99, b"")]),
        "d.dng": cut_dng(scene(200, 100)),
        "e.dng": lossy_dng(300, 200, jpeg[: len(jpeg) // 2]),
        "f.jpg": jpeg[:6000] + bytes(500) + jpeg[6500:],
        "g.heic": heif[: len(heif) // 2] + bytes(len(heif) // 2),
        "h.avif": avif[: len(avif) // 2] + bytes(len(avif) // 2),
        "i.jpg": encoded(noise(1, 1), "JPEG"),
    }


@pytest.mark.slow
def test_only_our_words_are_on_stderr(tmp_path: Path, iq: Iq) -> None:
    (tmp_path / "p").mkdir()
    for name, data in broken_files().items():
        (tmp_path / "p" / name).write_bytes(data)
    done = iq("score", "--format", "jsonl", tmp_path / "p")
    assert done.lines[-1].startswith("9 photos: ")
    assert all(each.startswith("iq: ") for each in done.lines[:-1])


def test_a_value_beyond_its_type_warns_of_nothing() -> None:
    for values in ([3e38, -3e38, 0, 1], [1e38, 0, 0, 0], [np.inf, -np.inf, np.nan, 2]):
        picture = Image.fromarray(np.tile(np.array(values, np.float32), (32, 8)))
        read_photo(encoded(picture, "TIFF"), max_megapixels=1)  # a warning is an error here


@pytest.mark.slow
def test_mutants_of_every_format_write_nothing(tmp_path: Path, iq: Iq) -> None:
    (tmp_path / "p").mkdir()
    random = np.random.default_rng(11)
    whole = {kind: encoded(noise(48, 32), kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP")}
    whole |= {kind: encoded(noise(64, 64), kind) for kind in ("AVIF", "HEIF")}
    for packing in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        whole[packing] = encoded(noise(48, 32), "TIFF", compression=packing)
    for number in range(10 * len(whole)):
        kind = list(whole)[number % len(whole)]
        data = np.frombuffer(whole[kind], np.uint8).copy()
        at = random.integers(0, len(data), 4)
        data[at] = random.integers(0, 256, 4)
        (tmp_path / "p" / f"{number:03}.jpg").write_bytes(data.tobytes())
    done = iq("score", "--format", "jsonl", tmp_path / "p")
    assert all(each.startswith("iq: ") for each in done.lines[:-1])
    assert done.lines[-1].startswith(f"{10 * len(whole)} photos: ")
