"""Whether a signal ends every command within two seconds: `python tests/bench/interrupts.py [N]`.

Sends SIGINT and SIGTERM, N tries of each (50): first to runs that are inside a decoder which takes
minutes, then at random moments to score, rank, cull, cull --apply, undo, export and export --xmp
over photos some of which take long to decode. Prints the time to the exit. Fails above the limit,
and where the exit code, stderr, the photos, the next run or what is left on the disk are not as
they should be. No signal is sent at once: until Python runs iq, it has handlers of its own.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

LIMIT = 2.0
PHOTOS, SLOW = 24, 2
# Python's own start, in which it ends by the signal, or with a traceback.
START = 0.3
INSIDE = """
import hashlib, sys, threading
from iqcli.photos import decode
def slow(data, kind):
    threading.Timer(0.05, print, ("inside",), {"file": sys.stderr, "flush": True}).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
decode._opened = slow
from iqcli.__main__ import main
main()
"""
COMMANDS = {
    "score": ("score", "photos", "-f", "jsonl"),
    "score, no cache": ("score", "photos", "-f", "csv", "--no-cache"),
    "score, batches": ("score", "photos", "-f", "jsonl", "--batch-size", "32"),
    "rank": ("rank", "photos"),
    "cull": ("cull", "photos", "--worst", "20%"),
    "cull --apply": ("cull", "photos", "--worst", "20%", "--apply", "-q"),
    "undo": ("undo",),
    "export": ("export", "photos", "-o", "all.csv"),
    "export --xmp": ("export", "photos", "--xmp"),
}
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def draw(folder: Path) -> None:
    """Photos of 1600x1200, and large progressive ones, PNG and AVIF, that take long."""
    randoms = np.random.default_rng(1)
    folder.mkdir()
    for number in range(PHOTOS):
        small = randoms.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        picture = cv2.resize(small, (1600, 1200), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number:03}.jpg"), picture)
    large = cv2.resize(small, (7200, 4800), interpolation=cv2.INTER_CUBIC)
    large = Image.fromarray(large + randoms.integers(0, 8, large.shape, dtype=np.uint8))
    for number in range(SLOW):
        large.putpixel((0, 0), (number, 0, 0))
        at = folder / f"{(number + 1) * PHOTOS // (SLOW + 1):03}"
        large.save(f"{at}-large.jpg", quality=95, progressive=True)
    large.save(folder / "large.png", compress_level=1)
    large.save(folder / "large.avif", speed=10)


def contents(folder: Path) -> Counter[str]:
    """The hashes of all photos, wherever they lie."""
    files = (path for path in folder.rglob("*") if path.suffix in (".jpg", ".png", ".avif"))
    return Counter(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)


class Try:
    """One interrupted run in a folder of its own, and what is wrong after it."""

    def __init__(self, root: Path, drawn: Path) -> None:
        self.root = root / "try"
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(drawn, self.root / "photos", copy_function=os.link)
        self.before = contents(self.root / "photos")
        names = ("CACHE", "STATE", "DATA")
        self.env = {**os.environ, **{f"IQ_{name}_DIR": str(self.root / name) for name in names}}
        self.faults: list[str] = []

    def iq(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        """A run to its end."""
        command = (sys.executable, "-m", "iqcli", *words)
        return subprocess.run(command, cwd=self.root, env=self.env, capture_output=True)

    def interrupted(self, words: tuple[str, ...], number: int, after: float) -> float | None:
        """The seconds from the signal to the end; None if the run had ended before."""
        command = (sys.executable, "-m", "iqcli", *words)
        with tempfile.TemporaryFile() as err, (self.root / "out").open("wb") as out:
            process = subprocess.Popen(command, cwd=self.root, env=self.env, stdout=out, stderr=err)
            time.sleep(after)
            if process.poll() is not None:
                return None
            began = time.monotonic()
            process.send_signal(number)
            try:
                code = process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            seconds = time.monotonic() - began
            err.seek(0)
            shown = err.read().decode()
        if code not in (CODES[number], 0):  # 0: it was done when the signal came
            self.faults.append(f"exit code {code}")
        lines = [each for each in shown.splitlines() if "interrupted" in each or "ended by" in each]
        if len(lines) != (code != 0) or "Traceback" in shown:
            self.faults.append(f"stderr {shown!r}")
        return seconds

    def look_after(self) -> None:
        """All photos are there, no lock or unfinished file is left, and the next run is fine."""
        if contents(self.root) != self.before:
            self.faults.append("photos are lost")
        after = self.iq("cull", "photos", "--worst", "10%", "--apply", "-q", "-m", "brisque-refit")
        if after.returncode or b"cache" in after.stderr:
            self.faults.append(f"the next run: {after.returncode} {after.stderr.decode()!r}")
        if contents(self.root) != self.before:
            self.faults.append("photos are lost after the next run")
        left = [path.name for path in self.root.rglob(".iq-*")]
        left += [path.name for path in (self.root / "STATE").glob("work/*")]
        if left:
            self.faults.append(f"left: {left}")


def inside(root: Path, number: int) -> tuple[float, list[str]]:
    """The seconds from the signal to the end of a run inside a decoder, and what is wrong."""
    env = {**os.environ, **{f"IQ_{name}_DIR": str(root / name) for name in ("CACHE", "STATE")}}
    command = (sys.executable, "-c", INSIDE, "score", "photos", "-m", "brisque-refit")
    process = subprocess.Popen(
        command, cwd=root, env=env | {"IQ_MAX_SECONDS": "80000"}, stderr=subprocess.PIPE
    )
    assert process.stderr
    process.stderr.readline()
    time.sleep(random.random() / 2)
    began = time.monotonic()
    process.send_signal(number)
    code, shown = process.wait(60), process.stderr.read().decode()
    seconds = time.monotonic() - began
    process.stderr.close()
    lines = [each for each in shown.splitlines() if each != "inside"]
    fine = code == CODES[number] and len(lines) == 1
    return seconds, [] if fine else [f"exit code {code}, {shown!r}"]


def main() -> int:
    """Try, print, and fail above the limit or at any fault."""
    tries = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    # A shell lets a command in the background ignore it, and iq keeps what its parent ignores.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    chance = random.Random(1)
    taken: dict[str, list[float]] = {name: [] for name in ("inside a decoder", *COMMANDS)}
    faults = 0
    with tempfile.TemporaryDirectory() as name:
        drawn = Path(name) / "drawn"
        draw(drawn)
        (Path(name) / "inside").mkdir()
        shutil.copytree(drawn, Path(name) / "inside" / "photos")
        for number in CODES:
            for _ in range(tries):
                seconds, wrong = inside(Path(name) / "inside", number)
                taken["inside a decoder"].append(seconds)
                faults += len(wrong)
                print("\n".join(wrong) if wrong else f"inside: {seconds:.2f} s", flush=True)
        for number in (signal.SIGINT, signal.SIGTERM):
            done = 0
            while done < tries:
                title = [*COMMANDS][done % len(COMMANDS)]
                attempt = Try(Path(name), drawn)
                if title == "undo":
                    attempt.iq(*COMMANDS["cull --apply"], "-m", "brisque-refit")
                after = START + chance.expovariate(1 / (0.5 if title == "undo" else 3))
                seconds = attempt.interrupted(COMMANDS[title], number, after)
                if seconds is None:
                    continue
                done += 1
                attempt.look_after()
                taken[title].append(seconds)
                signal_name = signal.Signals(number).name
                print(f"{title}, {signal_name} after {after:.2f} s: {seconds:.2f} s", flush=True)
                for fault in attempt.faults:
                    print(f"  {fault}", flush=True)
                faults += len(attempt.faults)
    for title, seconds in taken.items():
        if seconds:
            print(
                f"{title:16} {len(seconds):3} tries, to the exit at most {max(seconds):.2f} s, "
                f"median {statistics.median(seconds):.2f} s"
            )
    longest = max(each for seconds in taken.values() for each in seconds)
    print(f"longest {longest:.2f} s, limit {LIMIT} s; {faults} faults")
    return int(longest > LIMIT or faults > 0)


if __name__ == "__main__":
    sys.exit(main())
