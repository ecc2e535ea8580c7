"""Whether memory grows with the number of photos: `python tests/bench/memory.py`.

Prints the peak memory of `iq score` over 500 and over 5,000 small JPEG photos, cold.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

FEW, MANY = 500, 5000
LIMIT_MB = 100


def draw(folder: Path, count: int) -> None:
    """`count` different photos of 1600x1200."""
    random = np.random.default_rng(count)
    folder.mkdir()
    for number in range(count):
        small = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        picture = cv2.resize(small, (1600, 1200), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number:05}.jpg"), picture)


def peak_mb(folder: Path, cache: Path) -> float:
    """Peak resident memory of one run, in MB."""
    environment = {**os.environ, "IQ_CACHE_DIR": str(cache)}
    code = "import resource, sys; from iqcli.cli.app import run; code = run(); "
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr); "
    command = [sys.executable, "-c", code, "score", "-q", "--format", "jsonl", str(folder)]
    done = subprocess.run(
        command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return int(done.stderr.split()[-1]) / unit


def main() -> int:
    """Measure, print, and fail above the limit."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        peaks = []
        for count in (FEW, MANY):
            draw(root / str(count), count)
            peaks.append(peak_mb(root / str(count), root / f"cache{count}"))
            print(f"{count} photos: peak {peaks[-1]:.0f} MB")
    growth = peaks[1] - peaks[0]
    print(f"growth {growth:.0f} MB, limit {LIMIT_MB} MB")
    return int(growth > LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
