"""How fast `iq --help` is: `python tests/bench/help.py`.

Prints its time as a ratio to the floor measured in the same run: the `--help` of an empty Typer app
with two commands.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

ROUNDS = 21
LIMIT = 1.3
EMPTY = """
import typer
app = typer.Typer()
@app.command()
def one() -> None: "One."
@app.command()
def two() -> None: "Two."
app()
"""


def seconds(*command: str) -> float:
    """Wall time of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *command, "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    """Measure in turns, print, and fail above the limit."""
    pairs = [(seconds("-c", EMPTY), seconds("-m", "iqcli")) for _ in range(ROUNDS)]
    floor, ours = (median(column) * 1000 for column in zip(*pairs, strict=True))
    print(f"empty Typer app {floor:.0f} ms, iq --help {ours:.0f} ms")
    print(f"ratio {ours / floor:.2f}, limit {LIMIT}")
    return int(ours / floor > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
