from __future__ import annotations

import logging
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from support.images import LIMIT, dng, encoded, lossy_dng, noise, scene

from iqcli.errors import PhotoError
from iqcli.photos import limits, read
from iqcli.photos.reading import kind_of
from iqcli.photos.stderr import quiet_stderr


def reason(data: bytes, limit: float = LIMIT) -> str:
    with pytest.raises(PhotoError) as caught:
        read.read_photo(data, max_megapixels=limit)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 200
    return message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (b"just words\n" * 9, "not a picture iq can read (it looks like text)"),
        (b"\0" * 4096, "not a picture iq can read (it looks like nothing but zeros)"),
        (b"\0\0\0\x14ftypqt  ", "not a picture iq can read (it looks like a video)"),
        (bytes(range(1, 256)), "not a picture iq can read"),
    ],
)
def test_what_is_no_picture(data: bytes, message: str) -> None:
    assert reason(data) == message


@pytest.mark.parametrize("kind", ["HEIF", "WEBP", "AVIF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_what_no_part_is_decoded_of_is_refused(kind: str, share: float) -> None:
    data = encoded(noise(300, 200), kind)
    message = reason(data[: int(share * len(data))])
    name = {"WEBP": "WebP"}.get(kind, kind)
    assert message.startswith((f"{name} data ends early", f"broken {name} data"))


def test_a_truncated_jpeg_says_so_at_every_scale() -> None:
    for size in ((300, 200), (3200, 400)):
        data = encoded(noise(*size), "JPEG")
        assert reason(data[:900]) == "JPEG data ends early"
        facts, _ = read.read_photo(data[: len(data) // 2], max_megapixels=LIMIT)
        assert facts.damage == pytest.approx(0.5, abs=0.05)


def test_a_wrong_extension_does_not_matter_for_content_decides() -> None:
    assert kind_of(encoded(scene(), "PNG")) == "png"


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64))


def test_a_pixel_bomb_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("decoded"))
    begin = time.perf_counter()
    message = reason(png_header(60000, 60000))
    assert message == "needs 3600 megapixels, the limit is 250 (raise max_megapixels)"
    assert time.perf_counter() - begin < 0.5


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "HEIF", "WEBP", "AVIF", "GIF"])
def test_the_limit_holds_for_every_format_and_is_exact(kind: str) -> None:
    data = encoded(np.zeros((400, 500, 3), np.uint8), kind)
    read.read_photo(data, max_megapixels=0.2)
    assert reason(data, 0.19) == "needs 1 megapixels, the limit is 0.19 (raise max_megapixels)"


def test_the_limit_of_pillow_does_not_come_before_ours() -> None:
    data = encoded(Image.new("1", (20000, 10000)), "PNG")
    facts, _ = read.read_photo(data, max_megapixels=LIMIT)
    assert facts.width * facts.height == 200_000_000


@pytest.mark.parametrize(
    "error",
    [
        *[
            OSError("x"),
            SyntaxError("x"),
            ValueError("x"),
            struct.error("x"),
            EOFError(),
            KeyError(1),
        ],
        *[IndexError("x"), OverflowError("x"), zlib.error("x"), RecursionError(), SystemError("x")],
        *[
            ZeroDivisionError("x"),
            TypeError("x"),
            AssertionError(),
            RuntimeError(b"\xff\n\x1b[31m"),
        ],
    ],
)
def test_whatever_a_decoder_raises_becomes_a_reason(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> Any:
        raise error

    monkeypatch.setattr(read, "decode", fail)
    assert reason(encoded(scene(), "PNG")).startswith("broken PNG data (")


def test_no_memory_is_reported_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(read, "decode", fail)
    assert reason(encoded(scene(), "PNG")) == "needs more memory than there is"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_flipped_bytes_never_escape_as_anything_else() -> None:
    random = np.random.default_rng(3)
    whole = [
        encoded(scene(64, 48), kind) for kind in ("JPEG", "PNG", "TIFF", "HEIF", "GIF", "WEBP")
    ]
    whole.append(dng(scene(200, 100), encoded(scene(160, 80), "JPEG"), (160, 80)))
    for data in whole:
        for _ in range(25):
            broken = np.frombuffer(data, np.uint8).copy()
            at = random.integers(0, len(broken), 6)
            broken[at] = random.integers(0, 256, 6)
            try:
                _, views = read.read_photo(broken.tobytes(), max_megapixels=20)
            except PhotoError as error:
                assert str(error).isprintable()
            else:
                assert views.detail.size


SILENCE = """
import sys
from iqcli.errors import PhotoError
from iqcli.photos.read import read_photo
for name in sys.argv[1:]:
    try:
        read_photo(open(name, "rb").read(), max_megapixels=250)
        print("read")
    except PhotoError:
        print("failed")
print("still here", file=sys.stderr)
"""


@pytest.mark.slow
def test_nothing_is_printed_whatever_the_decoders_think(tmp_path: Path) -> None:
    tiff = BytesIO()
    Image.fromarray(noise(300, 200)).save(tiff, "TIFF", compression="tiff_deflate")
    jpeg = encoded(noise(800, 600), "JPEG")
    exif = b"Exif\0\0II*\0\xff\xff\xff\x7f"
    files = {
        "cut.tif": tiff.getvalue()[:-3000],
        "cut.dng": lossy_dng(800, 600, jpeg[: len(jpeg) // 2]),
        "exif.jpg": encoded(scene(), "JPEG", exif=exif),
        "odd.png": encoded(scene(), "PNG", exif=b"Exif\0\0garbage"),
        "large.png": encoded(Image.new("1", (20000, 10000)), "PNG"),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    names = [str(tmp_path / name) for name in files]
    done = subprocess.run(
        [sys.executable, "-c", SILENCE, *names], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["failed", *["read"] * 4]
    assert done.stderr == "still here\n"


def test_decoders_do_not_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        read.read_photo(
            encoded(scene(), "PNG", exif=b"Exif\0\0II*\0\0\0\0\1"), max_megapixels=LIMIT
        )
        reason(encoded(scene(), "TIFF")[:400])
    assert caplog.records == []


def test_stderr_comes_back_when_the_last_thread_leaves(capfd: pytest.CaptureFixture[str]) -> None:
    both = threading.Barrier(2)

    def work() -> None:
        with quiet_stderr():
            both.wait()
            print("hidden", file=sys.__stderr__, flush=True)
            both.wait()

    other = threading.Thread(target=work)
    other.start()
    with quiet_stderr():
        both.wait()
        both.wait()
    other.join()
    os.write(2, b"seen\n")
    assert capfd.readouterr().err == "seen\n"


def test_photos_are_read_in_many_threads_alike() -> None:
    data = [
        encoded(noise(700 + n, 600), kind) for n, kind in enumerate(("JPEG", "PNG", "TIFF") * 4)
    ]
    alone = [read.read_photo(each, max_megapixels=LIMIT)[1].scoring for each in data]
    seen: dict[int, Any] = {}

    def work(n: int) -> None:
        seen[n] = read.read_photo(data[n], max_megapixels=LIMIT)[1].scoring

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(data))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(seen[n], alone[n]) for n in range(len(data)))


def test_size_is_checked_before_anything_is_allocated() -> None:
    with pytest.raises(PhotoError, match="without pixels"):
        limits.require_size(0, 10, LIMIT)
