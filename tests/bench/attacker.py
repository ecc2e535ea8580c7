"""Applies and undos while another process swaps folders and files for links out of the root.

    PYTHONPATH=tests python tests/bench/attacker.py [--runs 1000] [--seed 1] [--stand-in]

Prints how often a swap met a run, how the runs ended, and what must be 0: files outside the root
that are others than before, and photos that are neither home nor where the journal says. With
`--stand-in` as on a system that makes no change relative to open folders, which is weaker.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from support.attacker import Arena

MEMORY = Path("/dev/shm")


def main() -> int:
    """Do so many runs, a new tree for each apply and its undo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stand-in", action="store_true")
    asked = parser.parse_args()
    if asked.stand_in:
        from iqcli.fs import anchors

        anchors.DESCRIPTORS = False
    began, seed, totals, faults = time.monotonic(), asked.seed, Counter[str](), []
    while totals["runs"] < asked.runs:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as top:
            arena = Arena(Path(top).resolve() / "arena", seed)
            try:
                arena.round()
            finally:
                arena.close()
            totals.update(arena.totals)
            faults += [f"seed {seed}: {each}" for each in arena.faults]
        seed += 1
    for each in faults:
        print(each)
    print(
        f"{totals['runs']:,} runs ({totals['applies']:,} applies, {totals['undos']:,} undos) under "
        f"attack in {time.monotonic() - began:.0f} s: {totals['done']:,} done, "
        f"{totals['refused']:,} taken back or refused; {totals['swaps']:,} swaps met a run"
    )
    print(
        f"outside the root: {totals['outside']:,}; lost: {totals['lost']:,}; "
        f"not as before after an undo in peace: {totals['stuck']:,}"
    )
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
