"""Every fault at every change of the disk, and ten times the seeds: `python tests/bench/faults.py`.

The tests of a usual run take a part of them (`points` of tests/support/fault_injection.py). This
runs the same tests with all; words that follow go to pytest.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent

if __name__ == "__main__":
    sys.path.insert(0, str(TESTS))
    from support.fault_injection import EVERY

    os.environ[EVERY] = "1"
    words = [str(TESTS / "transactions"), "--rootdir", str(TESTS.parent), *sys.argv[1:]]
    sys.exit(pytest.main(words))
