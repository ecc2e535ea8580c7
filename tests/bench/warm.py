"""How fast a run over unchanged photos is: `python tests/bench/warm.py [COMMAND …]`.

50,000 small photos in folders of 1,000, most with a time, some with a sidecar, all of them known to
the cache. Each command runs three times after one that is not counted, and once over one photo;
the floor, measured in between, is a walk that looks at each file. CPU seconds.
"""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from iqcli.extractors.registry import BLOCKS
from iqcli.extractors.schema import LAYERS, PHOTOMETRY
from iqcli.photos.reading import Reading
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.spec import Measurement, MeasureSpec, PlainReader
from iqcli.records import UNMARKED, Facts
from iqcli.settings import Settings

SOURCE = Path(__file__).parents[2]
COUNT, IN_FOLDER, ROUNDS = int(os.environ.get("COUNT", "50000")), 1000, 3
# How many photos for one with a sidecar, and for one that tells no time.
WITH_SIDECAR, UNTIMED = 20, 10
COMMANDS = {
    "rank": ("rank", "-q", "--format", "jsonl"),
    "score": ("score", "-q", "--format", "jsonl"),
    "cull": ("cull", "-q", "--worst", "5%"),
}
# At most so many times the floor, start-up left out.
LIMITS = {"rank": 40.0, "score": 30.0}
SIDECAR = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="3"/></rdf:RDF></x:xmpmeta>"""


def build(root: Path) -> list[Path]:
    """The photos: one JPEG, with other bytes behind each."""
    buffer = BytesIO()
    Image.new("RGB", (32, 24), (90, 120, 60)).save(buffer, "JPEG")
    found = []
    for number in range(COUNT):
        folder = root / f"{number // IN_FOLDER:03}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"IMG_{number % 10_000:04}.JPG"
        path.write_bytes(buffer.getvalue() + number.to_bytes(4))
        if number % WITH_SIDECAR == 0:
            path.with_suffix(".xmp").write_bytes(SIDECAR)
        found.append(path)
    return found


def fill(folder: Path, photos: list[Path]) -> None:
    """Keep what a run would have measured of each."""
    cache, settings = Cache(folder, print), Settings(folder, folder)
    numbers = np.random.default_rng(14)
    spec = MeasureSpec([*BLOCKS.values()], PlainReader(), settings)
    at_ns, when = time.time_ns(), datetime(2024, 1, 1)
    for number, path in enumerate(photos):
        when += timedelta(seconds=float(numbers.choice((3, 20, 90, 4000))))
        stat = path.stat()
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        timed = number % UNTIMED > 0
        facts = Facts(
            *(4000, 3000, "jpeg"),
            taken=when.isoformat() if timed else None,
            camera="Maker Model" if timed else None,
            maker="Maker" if timed else None,
            bias=0.0 if timed else None,
            exposure=5.0 if timed else None,
            taken_from="exif" if timed else None,
        )
        known = Measurement(sha256, Reading.PLAIN, facts)
        for name, vector in vectors(numbers).items():
            known.add_block(name, vector)
        spec.save(cache, known)
        cache.remember_content(path, stat, at_ns, sha256)
        cache.remember_marks(path, stat, at_ns, spec.fingerprint, UNMARKED)
        cache.remember_time(path, stat, at_ns, None)
    cache.close()


def vectors(numbers: np.random.Generator) -> dict[str, np.ndarray]:
    """Blocks of a made-up picture, whose light is that of clouds."""
    waves = numbers.normal(0, 1, (8, 8)) / (1 + np.add.outer(np.arange(8), np.arange(8)))
    light = {}
    for side in (12, 32):
        at = np.cos(np.pi * np.outer(np.arange(8), np.arange(side) + 0.5) / side)
        light[side] = np.clip(128 + 40 * (at.T @ waves @ at), 0, 255).astype(np.float32)
    tiles = numbers.uniform(1, 30, BLOCKS["tiles"].size).astype(np.float32)
    size = 144
    start = LAYERS.index("mean") * size
    tiles[start : start + size] = light[12].ravel()
    found = {
        "tiles": tiles,
        "grey": light[32].ravel(),
        "photometry": numbers.uniform(0, 1, len(PHOTOMETRY)).astype(np.float32),
        "brisque": numbers.uniform(0, 2, 36).astype(np.float32),
    }
    found["mini"] = numbers.normal(0, 1, BLOCKS["mini"].size).astype(np.float32)
    return found


def run(command: tuple[str, ...], place: Path, home: Path) -> tuple[float, float, float]:
    """CPU and wall seconds, and the peak memory in MB, of a run."""
    names = ("IQ_CACHE_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    code = "import resource, sys; from iqcli.cli.app import run; code = run(); "
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); "
    code += "assert not {'torch', 'openvino', 'onnxruntime'} & {*sys.modules}; sys.exit(code)"
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *command, str(place)],
        env={**os.environ, "PYTHONPATH": str(SOURCE), **{n: str(home / n) for n in names}},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, wall, int(done.stderr.split()[-1]) / (1e6 if sys.platform == "darwin" else 1e3)


def floor(root: Path) -> float:
    """CPU seconds of a look at each file."""
    start = time.process_time()
    for folder, _, names in os.walk(root):
        for name in names:
            os.stat(f"{folder}/{name}")  # noqa: PTH116  the least there is
    return time.process_time() - start


def prepare(work: Path) -> tuple[Path, Path, Path]:
    """The photos, one of them alone, and the folder of cache and state, made unless there."""
    root, alone, home = work / "photos", work / "alone", work / "home"
    if not home.exists():
        photos = build(root)
        alone.mkdir()
        (alone / "one.jpg").write_bytes(photos[0].read_bytes())
        time.sleep(0.1)
        fill(home / "IQ_CACHE_DIR", [*photos, alone / "one.jpg"])
    return root, alone, home


def main(names: list[str]) -> int:
    """Measure in turns, print, and fail above the limits."""
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        root, alone, home = prepare(Path(os.environ.get("WORK", name)))
        for command in names or COMMANDS:
            words = COMMANDS[command]
            run(words, root, home)
            rounds = [
                (run(words, root, home), run(words, alone, home), floor(root))
                for _ in range(ROUNDS)
            ]
            cpu = median(each[0][0] - each[1][0] for each in rounds)
            wall = median(each[0][1] - each[1][1] for each in rounds)
            ratio = cpu / median(each[2] for each in rounds)
            peak = max(each[0][2] for each in rounds)
            print(
                f"{command}: {COUNT / cpu:,.0f} photos/s of CPU, {COUNT / wall:,.0f} of wall, "
                f"{ratio:.1f} floors, peak {peak:.0f} MB"
            )
            failed |= ratio > LIMITS.get(command, float("inf"))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
