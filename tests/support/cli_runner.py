"""`iq` as a person runs it: a real process, with a cache and journals of its own."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.forkserver import FORK_SERVER

from iqcli.pipeline.cache import FINE_NS

TIMEOUT = 120.0
KEPT = ("PATH", "HOME", "LANG", "SYSTEMROOT", "OMP_NUM_THREADS")
IQ = (sys.executable, "-m", "iqcli")
SOURCE = Path(__file__).parent.parent.parent
# Where `sitecustomize` lies, which lets tests change what a process finds.
SITE = Path(__file__).parent / "site"
# In `IQ_TEST_PATCH`: short bootstraps, for runs of `eval` whose intervals nobody looks at.
FEW_RESAMPLES = "from iqcli.evaluation import intervals; intervals.RESAMPLES = 50"
# Prints the files a process opened and the modules it loaded, on stderr when it ends.
SPY = """
import atexit, os, sys
opened = []
def hook(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        opened.append(os.fsdecode(args[0]))
sys.addaudithook(hook)
def report():
    import json
    print(json.dumps({"opened": opened, "loaded": sorted(sys.modules)}), file=sys.stderr)
atexit.register(report)
sys.argv[0] = "iq"
from iqcli.__main__ import main
main()
"""


@dataclass(frozen=True)
class Ran:
    """The output of a process, and its exit code."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of JSON lines."""
        return [json.loads(line) for line in self.out.decode().splitlines()]

    @property
    def cells(self) -> list[dict[str, str]]:
        """The rows of a CSV."""
        return list(csv.DictReader(io.StringIO(self.out.decode(), newline="")))


@dataclass
class Iq:
    """Runs `iq` in `cwd`; `home` holds its cache and journals."""

    home: Path
    cwd: Path
    changes: dict[str, str] = field(default_factory=dict)
    is_settled: bool = False

    @property
    def cache(self) -> Path:
        return self.home / "cache"

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def environ(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k in KEPT}
        ours = {"IQ_CACHE_DIR": str(self.cache), "IQ_STATE_DIR": str(self.state)}
        ours |= {"IQ_DATA_DIR": str(self.home / "data")}
        # Not the config of whoever runs the tests.
        ours |= {"XDG_CONFIG_HOME": str(self.home), "PYTHONPATH": f"{SITE}{os.pathsep}{SOURCE}"}
        # No network either: nothing listens there.
        ours |= dict.fromkeys(("HF_ENDPOINT", "IQ_WEIGHTS_MIRROR"), "http://127.0.0.1:9")
        return kept | ours | self.changes

    def __call__(self, *args: str | Path, stdin: bytes = b"", **environ: str) -> Ran:
        if not self.is_settled:  # files this young would be read again by the second run
            time.sleep(FINE_NS / 1e9)
            self.is_settled = True
        return self._run((*IQ, *args), stdin, environ)

    def spied(self, *args: str | Path, **environ: str) -> tuple[Ran, list[str], set[str]]:
        """The run, the files it opened and the modules it loaded."""
        ran = self._run((sys.executable, "-c", SPY, *args), b"", environ)
        *lines, report = ran.lines
        found = json.loads(report)
        return Ran(ran.code, ran.out, "\n".join(lines)), found["opened"], set(found["loaded"])

    def start(self, *args: str | Path, **options: Any) -> subprocess.Popen[bytes]:
        """The process, running."""
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen((*IQ, *args), cwd=self.cwd, env=self.environ, **streams)

    def _run(self, command: tuple[str | Path, ...], stdin: bytes, environ: dict[str, str]) -> Ran:
        env = self.environ | environ
        ours = [str(word) for word in command[len(IQ) :]] if command[: len(IQ)] == IQ else None
        done = FORK_SERVER.run(ours, self.cwd, env, stdin, TIMEOUT) if ours is not None else None
        done = done or subprocess.run(
            command, input=stdin, capture_output=True, cwd=self.cwd, env=env, timeout=TIMEOUT
        )
        return Ran(done.returncode, done.stdout, done.stderr.decode())
