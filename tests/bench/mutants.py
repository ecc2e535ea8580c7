"""Broken files by the thousand.

    PYTHONPATH=.:tests python tests/bench/mutants.py [FOLDER] [--count N] [--seed S]

Takes sixty files of all formats, the small ones of FOLDER and drawn ones for what it lacks, breaks
each in some way (bytes flipped, cut, zeroed, doubled, moved, spliced, sizes and counts in headers
made huge), and culls the mutants with `--duplicates` in processes of a few hundred. Two of three
have names by which they may belong to another: edits, films, copies, backups. It counts processes
that end by a signal or with a traceback, photos that have no row and are in no shot, and lines on
stderr that are not of `iq`; each is named. The exit code is 1 if there is any.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from support.metadata_files import films, photos
from support.mutations import mutated

from iqcli.photos.formats import VIDEO, extension

FILES = 60
BATCH = 252
LARGEST = 400_000
PHOTO_NAMES = {
    "jpg", "jpeg", "jpe", "jfif", "mpo", "png", "tif", "tiff", "webp", "gif", "bmp",
    "heic", "heif", "hif", "avif", "dng", "jp2", "j2k", "psd", "jxl"
}  # fmt: skip
# One line of the report of a batch, of a file, or of a warning.
OURS = re.compile(
    r"iq: |\d[\d,]* (photo|video|picture|file|folder|live|raw|of|were due|without)|\s|Usage"
    r"|cannot judge|keep \d|rejected by kind|$"
)
# What stands behind the stem of two files that may belong to another, or behind its whole name.
MARKS = (("-edited", "~2", "(1)", "_1"), (" copy", "_HEVC", "_warm", "_edit_1714817472123"))
BEHIND = ("_original", ".xmp", ".json")
# What is no photo, and has a row only with one that it belongs to.
LEFT_ALONE = VIDEO | {"xmp", "json"}


def drawn() -> Iterator[tuple[str, bytes]]:
    """Small pictures in every format and mode that can be written here."""
    rows, columns = np.mgrid[0:96, 0:128]
    wave = np.sin(rows / 5) * np.cos(columns / 7) * 60 + 120
    pixels = np.stack([wave, wave[::-1], wave[:, ::-1]], axis=2).astype(np.uint8)
    image = Image.fromarray(pixels)
    deep = Image.fromarray((wave * 200).astype(np.uint16))
    wanted: list[tuple[str, Image.Image, str, dict[str, object]]] = [
        ("baseline.jpg", image, "JPEG", {}),
        ("progressive.jpg", image, "JPEG", {"progressive": True}),
        ("grey.jpg", image.convert("L"), "JPEG", {}),
        ("cmyk.jpg", image.convert("CMYK"), "JPEG", {}),
        ("plain.png", image, "PNG", {}),
        ("alpha.png", image.convert("RGBA"), "PNG", {}),
        ("palette.png", image.convert("P"), "PNG", {}),
        ("deep.png", deep, "PNG", {}),
        ("raw.tif", image, "TIFF", {}),
        ("lzw.tif", image, "TIFF", {"compression": "tiff_lzw"}),
        ("deflate.tif", image, "TIFF", {"compression": "tiff_adobe_deflate"}),
        ("jpeg.tif", image, "TIFF", {"compression": "jpeg"}),
        ("deep.tif", deep, "TIFF", {"compression": "packbits"}),
        ("float.tif", Image.fromarray(wave.astype(np.float32)), "TIFF", {}),
        ("lossy.webp", image, "WEBP", {}),
        ("lossless.webp", image.convert("RGBA"), "WEBP", {"lossless": True}),
        ("moving.webp", image, "WEBP", {"save_all": True, "append_images": [image.rotate(5)]}),
        ("plain.gif", image, "GIF", {}),
        ("moving.gif", image, "GIF", {"save_all": True, "append_images": [image.rotate(5)]}),
        ("plain.bmp", image, "BMP", {}),
        ("plain.avif", image, "AVIF", {"speed": 10}),
        ("plain.jp2", image, "JPEG2000", {}),
        ("plain.j2k", image, "JPEG2000", {"irreversible": True}),
    ]
    for name, picture, kind, options in wanted:
        yield name, _encoded(picture, kind, options)
    try:
        import pillow_heif
    except ImportError:
        print("no pillow_heif: HEIC is not tried")
    else:
        pillow_heif.register_heif_opener()
        yield "plain.heic", _encoded(image, "HEIF", {})
    try:
        import pillow_jxl  # noqa: F401
    except ImportError:
        print("no JPEG XL library: it is not tried")
    else:
        yield "plain.jxl", _encoded(image, "JXL", {})


def _encoded(image: Image.Image, kind: str, options: dict[str, object]) -> bytes:
    buffer = io.BytesIO()
    tags = Image.Exif()
    tags[0x0112], tags[0x0110] = 6, "Camera"
    if kind in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF"):
        options = {**options, "exif": tags.tobytes()}
    image.save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def sources(folder: Path | None, chance: random.Random) -> list[tuple[str, bytes]]:
    """Sixty files: what is drawn, and small real ones, as many of each format as there are."""
    files = [*drawn(), *photos().items(), *films().items()]
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")) if folder else ():
        kind = path.suffix.lower().lstrip(".")
        if kind in PHOTO_NAMES and path.is_file() and 0 < path.stat().st_size <= LARGEST:
            found.setdefault(kind, []).append(path)
    for paths in found.values():
        chance.shuffle(paths)
    while len(files) < FILES and any(found.values()):
        for paths in found.values():
            if paths and len(files) < FILES:
                path = paths.pop()
                files.append((path.name, path.read_bytes()))
    return files


def mutants(files: list[tuple[str, bytes]], count: int, chance: random.Random) -> Iterator[bytes]:
    for number in range(count):
        _, data = files[number % len(files)]
        yield mutated(data, chance, chance.choice(files)[1])


def names(files: list[tuple[str, bytes]], count: int, chance: random.Random) -> Iterator[str]:
    """Names for the mutants; after each first one two that may belong to it."""
    first = ""
    for number in range(count):
        suffix = Path(files[number % len(files)][0]).suffix
        if number % 3 == 0:
            first = f"IMG_{number:06d}{suffix}"
            yield first
        elif number % 3 == 2 and chance.random() < 0.3:
            yield first + chance.choice(BEHIND[extension(first) in VIDEO :])
        else:
            yield f"{Path(first).stem}{chance.choice(MARKS[number % 3 - 1])}{suffix}"


def culled(folder: Path, cache: Path) -> tuple[subprocess.CompletedProcess[bytes], float]:
    """The finished process and the most MiB that it held."""
    env = {**os.environ, "COLUMNS": "200", "XDG_STATE_HOME": str(cache / "state")}
    rule = ("--duplicates", "--worst", "10%", "--format", "jsonl")
    command = [sys.executable, "-m", "iqcli", "cull", folder, *rule]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [*map(str, command), "--cache-dir", str(cache / "cache")],
            stdout=out,
            stderr=err,
            env=env,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read())
    done = subprocess.CompletedProcess(command, process.returncode, *texts)
    return done, usage.ru_maxrss / 1024


def faults_of(done: subprocess.CompletedProcess[bytes], names: list[str]) -> list[str]:
    """What is wrong with one run over these files."""
    wrong = []
    if done.returncode not in (0, 1):
        wrong.append(f"exit code {done.returncode}")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    listed = {Path(path).name for row in rows for path in (row["path"], *row["companions"])}
    lost = [name for name in names if name not in listed and extension(name) not in LEFT_ALONE]
    wrong += [f"{name} has no row" for name in lost]
    wrong += [f"{row['path']} has neither a score nor an error" for row in rows if not
              (row.get("error") or isinstance(row.get("score"), float))]  # fmt: skip
    for line in done.stderr.decode("utf-8", "replace").splitlines():
        if not OURS.match(line) or "Traceback" in line or "fault of iq" in line:
            wrong.append(f"on stderr: {line[:200]}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--keep", type=Path, help="where mutants that show a fault are kept")
    args = parser.parse_args()
    chance = random.Random(args.seed)
    files = sources(args.folder, chance)
    print(f"{len(files)} files: {dict(Counter(Path(name).suffix.lower() for name, _ in files))}")
    made, called = mutants(files, args.count, chance), names(files, args.count, chance)
    start, bad, most, ended, tried = time.monotonic(), 0, 0.0, Counter[str](), 0
    while tried < args.count:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "photos"
            folder.mkdir()
            several = list(islice(called, BATCH))
            for name in several:
                (folder / name).write_bytes(next(made))
            done, memory = culled(folder, Path(temporary))
            most, tried = max(most, memory), tried + len(several)
            for line in done.stdout.splitlines():
                row = json.loads(line)
                ended[(row.get("error") or "scored").split("(")[0][:60].strip()] += 1
            wrong = faults_of(done, several)
            bad += len(wrong)
            for what in wrong[:20]:
                print(f"  {several[0]}…: {what}", flush=True)
            if wrong and args.keep:
                kept = args.keep / several[0]
                kept.parent.mkdir(parents=True, exist_ok=True)
                folder.rename(kept)
                folder.mkdir()
        print(f"{tried:,} in {time.monotonic() - start:.0f} s, {bad} faults", flush=True)
    for what, count in ended.most_common(40):
        print(f"{count:7,}  {what}")
    print(f"{tried:,} mutants of {len(files)} files: {bad} faults; at most {most:.0f} MiB")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
