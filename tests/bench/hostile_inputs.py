"""Whether a hostile file costs little: `PYTHONPATH=.:tests python tests/bench/hostile_inputs.py`.

Runs `iq score` as a process over one file of each kind, and prints its CPU seconds and its peak
memory above that of a small photo. Names as arguments choose some of the kinds.
"""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from support.hostile_files import (
    animated,
    box,
    chained_tiff,
    chunk,
    entry,
    flat_png,
    gif_of,
    jpeg_with,
    one_strip_tiff,
    png_with,
    progressive,
    rle_bmp,
    segment,
    solid_webp,
    striped_tiff,
    tiff,
    tiff_shape,
)
from support.images import dng, encoded, lossy_dng, noise, scene

LIMIT_S, LIMIT_MB = 5.0, 1000.0
TIMEOUT_S = 60.0
# The size of a file that the default of `max_megapixels` allows.
BELOW = 999_000_000
# Not `ru_maxrss` alone: a process inherits that of the one that started it.
CHILD = """
import resource, sys
from iqcli.cli.app import run
code = run()
unit = 1 if sys.platform == "darwin" else 1024
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
try:
    lines = open("/proc/self/status").read().split("\\n")
    peak = next(int(each.split()[1]) * 1024 for each in lines if each.startswith("VmHWM"))
except OSError:
    pass
print(peak, file=sys.stderr)
"""
EXIF = segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + b"\0" * 60_000)
XMP = b"http://ns.adobe.com/xap/1.0/\0"
MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32
ICC = b"ICC_PROFILE\0"
PACKET = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + b"<a/>" * 2_000_000 + b"</x:xmpmeta>"


def sparse(head: bytes, size: int) -> Callable[[Path], None]:
    """A file that is nearly all hole."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.write(head)
            file.truncate(size)

    return make


def icc_chunks(count: int, body: bytes = b"x" * 100) -> bytes:
    """An ICC profile in more segments than it may have."""
    return b"".join(
        segment(0xE2, ICC + bytes([n % 255 + 1, min(count, 255)]) + body) for n in range(count)
    )


def mpo(frames: int) -> bytes:
    """A JPEG that says it holds so many others."""
    entries = b"\0" * 16 * frames
    ifd = [(0xB000, 7, 4, b"0100"), entry(0xB001, 4, frames), (0xB002, 7, len(entries), entries)]
    return jpeg_with(segment(0xE2, (b"MPF\0" + tiff(ifd))[:65_000]))


def heif_of_boxes(count: int) -> bytes:
    """A HEIF with so many properties."""
    data = encoded(noise(64, 48), "HEIF")
    return data + box(b"free", b"") * count


def heif_of_items(count: int) -> bytes:
    """A HEIF whose list of items is long."""
    items = b"".join(
        box(b"infe", b"\2\0\0\0" + n.to_bytes(2, "big") + b"\0\0hvc1\0") for n in range(count)
    )
    inside = b"\0\0\0\0" + box(b"hdlr", b"\0" * 8 + b"pict" + b"\0" * 13)
    inside += box(b"iinf", b"\0\0\0\0" + count.to_bytes(2, "big") + items)
    return box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", inside)


def many_tags(count: int, big: bool) -> bytes:
    """A TIFF with so many tags."""
    extra = [entry(40_000 + n % 20_000, 4, n) for n in range(count)]
    place = [entry(273, 4, 16), entry(279, 4, 48)]
    return tiff([*tiff_shape(4, 4), *place, *extra], b"\0" * 48, big)


def shared_tags(count: int, size: int) -> bytes:
    """A TIFF whose tags all have the same long value."""
    body = bytearray(many_tags(count, big=False))
    start = int.from_bytes(body[4:8], "little")
    for at in range(start + 2, start + 2 + 12 * (count + 8), 12):
        if body[at] + 256 * body[at + 1] >= 40_000:
            body[at + 2 : at + 12] = (
                (7).to_bytes(2, "little") + size.to_bytes(4, "little") + b"\0" * 4
            )
    return bytes(body) + b"\0" * size


def tiled_tiff(count: int) -> bytes:
    """A TIFF of so many tiles of 16 by 16."""
    places = [(324, 4, count, np.full(count, 16, "<u4").tobytes())]
    places += [(325, 4, count, np.full(count, 256, "<u4").tobytes())]
    shape = tiff_shape(16 * 1024, 16 * -(-count // 1024), (8,), 1, 1)
    return tiff([*shape, entry(322, 4, 16), entry(323, 4, 16), *places], b"\0" * 256)


def flat(kind: str, width: int, height: int, mode: str = "RGB", **options: object) -> bytes:
    return encoded(Image.new(mode, (width, height)), kind, **options)


FILES: dict[str, Callable[[], bytes]] = {
    "scans.jpg": lambda: progressive(1500, 16000, 15000),
    "scans90.jpg": lambda: progressive(90, 16000, 15000),
    "scans20.jpg": lambda: progressive(20, 16000, 15000),
    "scans3c.jpg": lambda: progressive(12, 16000, 15000, 3),
    "small-scans.jpg": lambda: progressive(100_000, 640, 480),
    "hidden-scans.jpg": lambda: progressive(1500, 16000, 15000, between=segment(0xFE, b"\xff\xd9")),
    "exif97.jpg": lambda: jpeg_with(EXIF * 1600),
    "xmp-extended.jpg": lambda: jpeg_with(
        segment(0xE1, XMP + b"<x/>")
        + b"".join(
            segment(
                0xE1,
                MORE_XMP
                + (1500 * 65_000).to_bytes(4, "big")
                + (n * 65_000).to_bytes(4, "big")
                + b"x" * 65_000,
            )
            for n in range(1500)
        )
    ),
    "app13.jpg": lambda: jpeg_with(
        segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * 5000) * 1500
    ),
    "padding20.jpg": lambda: jpeg_with(b"\xff" * 20_000_000),
    "padding-scan.jpg": lambda: (
        encoded(noise(64, 48), "JPEG")[:-2] + b"\xff" * 20_000_000 + b"\xff\xd9"
    ),
    "garbage20.jpg": lambda: jpeg_with(b"\0" * 20_000_000),
    "icc5000.jpg": lambda: jpeg_with(icc_chunks(5000)),
    "icc97.jpg": lambda: jpeg_with(icc_chunks(1500, b"x" * 65_000)),
    "dht.jpg": lambda: jpeg_with(segment(0xC4, b"\0" + b"\1" + b"\0" * 15 + b"\0") * 500_000),
    "dqt.jpg": lambda: jpeg_with(segment(0xDB, b"\0" + b"\1" * 64) * 500_000),
    "com.jpg": lambda: jpeg_with(segment(0xFE, b"") * 2_000_000),
    "dri.jpg": lambda: jpeg_with(segment(0xDD, b"\0\1") * 1_000_000),
    "mpo.jpg": lambda: mpo(4000),
    "chunks.png": lambda: png_with(chunk(b"tEXt", b"a\0b") * 1_000_000),
    "private.png": lambda: png_with(chunk(b"prVt", b"") * 1_000_000),
    "ztxt.png": lambda: png_with(chunk(b"zTXt", b"a\0\0" + flat_zip(2_000_000_000))),
    "ztxts.png": lambda: png_with(chunk(b"zTXt", b"a\0\0" + flat_zip(900_000)) * 5000),
    "iccp.png": lambda: png_with(chunk(b"iCCP", b"a\0\0" + flat_zip(2_000_000_000))),
    "itxt-xmp.png": lambda: png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + PACKET)),
    "idats.png": lambda: many_idats(),
    "large.png": lambda: flat_png(16000, 15600),
    "large16.png": lambda: flat_png(16000, 15600, 16, 6),
    "large-interlaced.png": lambda: flat_png(15800, 15800, 8, 6, 0),
    "large-palette.png": lambda: flat_png(15800, 15800, 8, 3),
    "large1.png": lambda: flat_png(15800, 15800, 1, 0),
    "frames.png": lambda: animated("PNG", 5000),
    "frames.gif": lambda: animated("GIF", 20_000),
    "canvas.gif": lambda: gif_of(16000, 15600),
    "canvas-frames.gif": lambda: gif_of(16000, 15600, 100_000),
    "comments.gif": lambda: b"GIF89a\x01\0\x01\0\0\0\0" + b"!\xfe\x01x\0" * 3_000_000,
    "frames.webp": lambda: animated("WEBP", 3000),
    "solid.webp": lambda: solid_webp(16000, 15600),
    "solid60.webp": lambda: solid_webp(8000, 7500),
    "webp-chunks.webp": lambda: webp_chunks(1_000_000),
    "frames.avif": lambda: animated("AVIF", 300, (64, 64)),
    "large.avif": lambda: flat("AVIF", 12000, 12000, speed=10),
    "large.heic": lambda: flat("HEIF", 8000, 7900),
    "boxes.heic": lambda: heif_of_boxes(2_000_000),
    "items.heic": lambda: heif_of_items(60_000),
    "strips.tif": lambda: striped_tiff(2_000_000),
    "strips-zip.tif": lambda: striped_tiff(2_000_000, 8),
    "strips30k.tif": lambda: striped_tiff(30_000, 8, 4000),
    "tiles.tif": lambda: tiled_tiff(900_000),
    "tags.tif": lambda: many_tags(65_000, big=False),
    "tags-big.tif": lambda: many_tags(2_000_000, big=True),
    "shared-tags.tif": lambda: shared_tags(4000, 20_000_000),
    "chain.tif": lambda: chained_tiff(1_000_000),
    "small-head.tif": lambda: tiff([*tiff_shape(16000, 15000), entry(273, 4, 8), entry(279, 4, 8)]),
    "float-strip.tif": lambda: one_strip_tiff(15000, 15000, (32,), 1, 3),
    "rgb16-strip.tif": lambda: one_strip_tiff(15000, 10000, (16, 16, 16)),
    "rgb-float.tif": lambda: one_strip_tiff(8000, 8000, (32, 32, 32), 2, 3),
    "cmyk-strip.tif": lambda: one_strip_tiff(15800, 15800, (8, 8, 8, 8), 5),
    "tiff1.tif": lambda: flat("TIFF", 15800, 15800, "1", compression="group4"),
    "rle.bmp": lambda: rle_bmp(16000, 15000, 15000),
    "rle60.bmp": lambda: rle_bmp(60000, 4000, 4000),
    "tall.png": lambda: flat_png(1, 2_000_000, 8, 0),
    "wide.png": lambda: flat_png(200_000_000, 1, 8, 0),
    "wide.jpg": lambda: flat("JPEG", 65_000, 1),
    "lossy.dng": lambda: lossy_dng(20_000, 12_000, encoded(noise(64, 48), "JPEG")),
}

SPARSE = {
    "zeros.jpg": sparse(b"", 1_900_000_000),
    "just-below.jpg": sparse(encoded(noise(64, 48), "JPEG")[:-2], BELOW),
    "just-below-whole.jpg": sparse(encoded(noise(64, 48), "JPEG"), BELOW),
    "just-below-progressive.jpg": sparse(
        encoded(noise(64, 48), "JPEG", progressive=True)[:-2], BELOW
    ),
    "just-below.heic": sparse(encoded(noise(64, 48), "HEIF"), BELOW),
    "just-below.png": sparse(encoded(noise(64, 48), "PNG")[:-12], BELOW),
    "just-below.tif": sparse(encoded(noise(64, 48), "TIFF"), BELOW),
    "just-below.gif": sparse(encoded(noise(64, 48), "GIF")[:-1], BELOW),
    "just-below.dng": sparse(dng(scene(200, 100), None), BELOW),
    "video-behind.jpg": sparse(encoded(noise(64, 48), "JPEG")[:-2], 130_000_000),
    "half.webp": sparse(encoded(noise(64, 48), "WEBP"), BELOW // 2),
    "half.heic": sparse(encoded(noise(64, 48), "HEIF"), BELOW // 2),
    "head.jpg": sparse(encoded(noise(64, 48), "JPEG")[:-2], 1_900_000_000),
    "whole.jpg": sparse(encoded(noise(64, 48), "JPEG"), 1_900_000_000),
    "zeros.heic": sparse(b"", 1_900_000_000),
    "zeros.nef": sparse(b"", 1_900_000_000),
    "zeros.tif": sparse(b"", 1_900_000_000),
    "head.png": sparse(encoded(noise(64, 48), "PNG")[:-12], 1_900_000_000),
    "head.webp": sparse(encoded(noise(64, 48), "WEBP"), 1_900_000_000),
    "head.gif": sparse(encoded(noise(64, 48), "GIF")[:-1], 1_900_000_000),
    "head.bmp": sparse(encoded(noise(64, 48), "BMP"), 1_900_000_000),
    "head.heic": sparse(encoded(noise(64, 48), "HEIF"), 1_900_000_000),
    "head.tif": sparse(encoded(noise(64, 48), "TIFF"), 1_900_000_000),
    "head.dng": sparse(dng(scene(200, 100), None), 1_900_000_000),
    "head.raf": sparse(b"FUJIFILMCCD-RAW 0201FF129502", 1_900_000_000),
}

SIDECARS = {
    "giant-xmp": (".xmp", sparse(b"<x:xmpmeta", 1_900_000_000)),
    "giant-json": (".jpg.json", sparse(b"{", 1_900_000_000)),
    "large-xmp": (".xmp", lambda path: path.write_bytes(PACKET)),
    "deep-json": (".jpg.json", lambda path: path.write_bytes(b"[" * 4_000_000)),
}


def flat_zip(size: int) -> bytes:
    packer = zlib.compressobj(9)
    step = 2**24
    data = b"".join(packer.compress(b"\0" * min(step, size - at)) for at in range(0, size, step))
    return data + packer.flush()


def many_idats() -> bytes:
    data = zlib.compress(b"\0" * 1000 * 1001, 0)
    header = struct.pack(">IIBBBBB", 1000, 1000, 8, 0, 0, 0, 0)
    body = b"".join(chunk(b"IDAT", data[at : at + 1]) for at in range(len(data)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def webp_chunks(count: int) -> bytes:
    inside = encoded(noise(64, 48), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")[12:]
    inside = b"WEBP" + inside + b"abcd\0\0\0\0" * count
    return b"RIFF" + struct.pack("<I", len(inside)) + inside


def run(path: Path, cache: Path) -> tuple[float, float, str]:
    """CPU seconds, peak memory in MB, and the first line of what it says."""
    environment = {**os.environ, "IQ_CACHE_DIR": str(cache), "IQ_STATE_DIR": str(cache)}
    command = [sys.executable, "-c", CHILD, "score", str(path)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, capture_output=True, timeout=TIMEOUT_S)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    words = done.stderr.decode(errors="replace").split("\n")
    peak = int(words[-2]) / 1e6 if words[-2:-1] and words[-2].isdigit() else float("nan")
    text = words[0].split(": ", 2)[-1] if words[0].startswith("iq: ") else "(scored) " + words[0]
    return spent, peak, text


def main() -> int:
    """Measure, print, and fail above the limits."""
    chosen = sys.argv[1:]
    worst = 0
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        root = Path(name)
        small = root / "small.jpg"
        small.write_bytes(encoded(noise(640, 480), "JPEG"))
        base_s, base_mb, _ = min(run(small, root / f"cache-{n}") for n in range(2))
        print(f"baseline: {base_s:.1f} s, {base_mb:.0f} MB", flush=True)
        for number, kind in enumerate([*FILES, *SPARSE, *SIDECARS]):
            if chosen and not any(each in kind for each in chosen):
                continue
            folder = root / str(number)
            folder.mkdir()
            path = folder / kind
            if kind in FILES:
                path.write_bytes(FILES[kind]())
            elif kind in SPARSE:
                SPARSE[kind](path)
            else:
                path = folder / "a.jpg"
                path.write_bytes(small.read_bytes())
                ending, make = SIDECARS[kind]
                make(path.with_name("a" + ending))
                path = folder
            try:
                spent, peak, text = run(path, root / f"cache{number}")
            except subprocess.TimeoutExpired:
                spent, peak, text = 999, 0, "timeout"
            bad = spent > LIMIT_S or not peak - base_mb <= LIMIT_MB
            worst += bad
            size = path.stat().st_size if path.is_file() else 0
            mark = "  <-- " if bad else ""
            figures = f"{size / 1e6:9.3f} MB  {spent:6.1f} s  {peak - base_mb:6.0f} MB"
            print(f"{kind:22} {figures}  {text[:90]}{mark}", flush=True)
            for each in folder.iterdir():
                each.unlink()
    return int(worst > 0)


if __name__ == "__main__":
    sys.exit(main())
