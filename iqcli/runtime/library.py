"""The inference library: its extension module alone.

`import openvino` also loads the tools that convert models, and those load a package that reports
use to the makers of the library. iq needs neither and calls nobody, so the package around the
extension is never run; that saves a tenth of a second, too.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from threading import Lock
from typing import Any

_EXTENSION = "openvino._pyopenvino"
_LOADING = Lock()


def is_there() -> bool:
    """Whether networks can run here without torch."""
    return not isinstance(_loaded(), str)


def missing() -> str:
    """Why the library is not there, in one line; "" where it is."""
    found = _loaded()
    return found if isinstance(found, str) else ""


def library() -> Any:
    """The extension module of OpenVINO. Raises ImportError where there is none."""
    found = _loaded()
    if isinstance(found, str):
        raise ImportError(found)
    return found


def version() -> str:
    """The release of the library, as `pip` knows it."""
    return str(library().get_version()).partition("-")[0]


def core() -> Any:
    """What compiles models; of its plugins only that of the CPU is ever loaded.

    Built once, however many threads ask at once. Raises ImportError where there is none.
    """
    module = library()
    with _LOADING:
        return _core_of(module)


@cache
def _core_of(module: Any) -> Any:
    return module.Core()


@cache
def has_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16; emulated it is slower than float32."""
    return "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _loaded() -> Any:
    """The module, or why there is none; loaded once, however many threads ask at once."""
    with _LOADING:
        return _load()


@cache
def _load() -> Any:
    try:
        package = importlib.util.find_spec("openvino")
        places = package.submodule_search_locations if package else None
        spec = PathFinder.find_spec(_EXTENSION, places) if places else None
        if not places or spec is None or spec.loader is None:
            return "OpenVINO is not installed"
        if sys.platform == "win32":  # where its own package would have looked for libraries
            os.add_dll_directory(str(Path(places[0]) / "libs"))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except (ImportError, OSError) as error:
        return f"OpenVINO cannot be loaded: {(str(error).splitlines() or [''])[0]}"
    # Should another package import OpenVINO later: the extension cannot be loaded twice.
    sys.modules[_EXTENSION] = module
    return module
