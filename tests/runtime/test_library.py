"""The inference library: loaded alone, and silent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import ModuleType

import pytest

from iqcli.runtime import library

ROOT = Path(__file__).parent.parent.parent
# A network runs; then what the process has loaded, opened and written.
QUIET = """
import json, os, sys
events = []
def hook(event, args):
    if event.startswith("socket.") or event in ("subprocess.Popen", "os.system", "os.fork"):
        events.append(event)
    elif event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR):
        events.append(f"wrote {args[0]}")
sys.addaudithook(hook)
import numpy as np
from iqcli.extractors.registry import BLOCKS
block = BLOCKS["mini"]
assert not block.needs_torch("cpu")
block.forward([np.zeros((1, 2, 224, 224, 3), np.uint8)], "cpu")
links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
         if os.path.exists(f"/proc/self/fd/{fd}")] if sys.platform == "linux" else []
loaded = [name for name in sys.modules if "telemetry" in name or name.startswith("openvino.tools")]
loaded += [name for name in ("openvino", "torch", "ssl", "urllib.request", "requests")
           if name in sys.modules]
print(json.dumps({"events": events, "loaded": loaded,
                  "sockets": [each for each in links if each.startswith("socket:")]}))
"""


def test_it_calls_nobody_and_writes_nothing(tmp_path: Path) -> None:
    """The package around the extension would load what reports use to its makers."""
    home = tmp_path / "home"
    home.mkdir()
    environ = {**os.environ, "HOME": str(home), "USERPROFILE": str(home), "TMPDIR": str(home)}
    environ |= {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", QUIET],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"events": [], "loaded": [], "sockets": []}
    assert list(home.rglob("*")) == []


def test_the_package_can_still_be_imported_afterwards() -> None:
    code = (
        "from iqcli.runtime.library import core; core()\n"
        "import openvino; print(openvino.Core().available_devices)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert "'CPU'" in done.stdout, done.stderr


def test_threads_that_ask_at_once_get_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    asking, built = Barrier(4), []

    class Core:
        def __init__(self) -> None:
            built.append(self)
            time.sleep(0.05)  # the others ask meanwhile

    def ask(_: int) -> object:
        asking.wait()
        return library.core()

    module = ModuleType("openvino")
    monkeypatch.setattr(module, "Core", Core, raising=False)
    monkeypatch.setattr(library, "_load", lambda: module)
    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(ask, range(4)))
    assert found == set(built) and len(built) == 1


def test_a_system_without_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    library._load.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    try:
        assert not library.is_there()
        assert library.missing() == "OpenVINO is not installed"
        with pytest.raises(ImportError, match="not installed"):
            library.library()
    finally:
        monkeypatch.undo()
        library._load.cache_clear()
    assert library.is_there() and library.missing() == ""


def test_one_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    """As a wheel whose C library is newer than the system's."""
    package = tmp_path / "openvino"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('the package was run')")
    (package / "_pyopenvino.py").write_text("raise ImportError('GLIBC_9.9 not found\\nmore')")
    code = "from iqcli.runtime.library import missing; print(missing())"
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, timeout=60
    )
    assert done.stdout == "OpenVINO cannot be loaded: GLIBC_9.9 not found\n", done.stderr
