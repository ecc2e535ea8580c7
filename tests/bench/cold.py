"""What one photo costs in a fresh process: `python tests/bench/cold.py [PHOTO]`.

Prints the CPU time and the memory of `iq score PHOTO --no-cache`, as ratios to the floor that is
measured in the same run: a process that imports NumPy and OpenCV and ends. Without PHOTO one of 12
megapixels is drawn. The two take turns, and the medians count.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent.parent
# In a process of its own: a process counts what its parent held when it was started.
DRAW = "import decode, pathlib, sys; pathlib.Path(sys.argv[1]).write_bytes(decode.drawn())"
FLOOR = ("-c", "import numpy, cv2")
ROUNDS = 7
CPU_LIMIT = 7.0
MEGABYTES_LIMIT = 300


def cost(words: tuple[str, ...], environ: dict[str, str]) -> tuple[float, float]:
    """CPU seconds and megabytes of a Python with these arguments."""
    process = subprocess.Popen(
        (sys.executable, *words), env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr
    complaint = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(complaint.decode())
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> int:
    """Measure, print, and fail above the limits."""
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder, "photo.jpg")
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": folder}
        if len(sys.argv) > 1:
            photo.write_bytes(Path(sys.argv[1]).read_bytes())
        else:
            here = Path(__file__).parent
            subprocess.run([sys.executable, "-c", DRAW, photo], cwd=here, env=environ, check=True)
        environ |= {"IQ_CACHE_DIR": folder, "IQ_STATE_DIR": folder}
        environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed iq is compiled once
        scored = ("-m", "iqcli", "score", str(photo), "--no-cache", "--device", "cpu")
        rounds = [(cost(FLOOR, environ), cost(scored, environ)) for _ in range(ROUNDS + 1)]
    (floor, floor_mb), (whole, whole_mb) = (
        tuple(map(median, zip(*each, strict=True))) for each in zip(*rounds[1:], strict=True)
    )
    print(f"NumPy and OpenCV alone: {floor:.2f} s of CPU, {floor_mb:.0f} MB")
    print(f"iq score of one photo: {whole:.2f} s of CPU, {whole_mb:.0f} MB")
    print(f"ratio of CPU {whole / floor:.1f}, limit {CPU_LIMIT}; limit {MEGABYTES_LIMIT} MB")
    return int(whole > CPU_LIMIT * floor or whole_mb > MEGABYTES_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
