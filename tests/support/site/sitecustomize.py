"""What tests change in processes of `iq` that they start.

`IQ_TEST_MANIFEST` names a file of rows for the manifest of weights, `IQ_TEST_PATCH` holds Python.

Python imports this at its start, for `Iq` puts its folder on the path. The product itself reads no
such variable.
"""

import os
from pathlib import Path


def add_rows() -> None:
    """Add the rows of the file that `IQ_TEST_MANIFEST` names to the manifest that iq ships."""
    if named := os.environ.get("IQ_TEST_MANIFEST"):
        from iqcli.weights import manifest, store

        rows = {**store.shipped_rows(), **manifest.read(Path(named))}
        store.shipped_rows = lambda: rows


def run_patch() -> None:
    """Run the Python in `IQ_TEST_PATCH`."""
    exec(os.environ.get("IQ_TEST_PATCH", ""), {})


add_rows()
run_patch()
