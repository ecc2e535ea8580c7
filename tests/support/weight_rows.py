"""Rows of a table of weights for tests, and what lies where after a pull."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from support.cli_runner import Iq
from support.http_hub import REVISION, Hub

from iqcli.models import status
from iqcli.weights import manifest
from iqcli.weights.store import WeightStore

DATA = np.random.default_rng(7).bytes(700_000)
SUM = hashlib.sha256(DATA).hexdigest()
MODEL = "someone/net"
ROW = {
    "kind": "head",
    "what": "a test",
    "file": "net.pth",
    "size": len(DATA),
    "licence": "MIT",
    "commercial": True,
}
ON_HUB = ROW | {"hub": MODEL, "revision": REVISION, "sha256": SUM}
STRICT = {"commercial": False, "licence": "CC BY-NC 4.0", "terms": "https://example.org/by-nc"}


def tabled(iq: Iq, hub: Hub | None = None, **rows: dict[str, Any]) -> Path:
    """Give `iq` rows besides the shipped ones; where the files of the first will lie."""
    path = iq.home / "weights.toml"
    lines = []
    for name, columns in rows.items():
        lines += [f"[{name}]", *(f"{k} = {json.dumps(v)}" for k, v in columns.items())]
    path.write_text("\n".join(lines))
    iq.changes["IQ_TEST_MANIFEST"] = str(path)
    if hub:
        iq.changes |= {"HF_ENDPOINT": hub.endpoint, "IQ_WEIGHTS_MIRROR": f"{hub.endpoint}/mirror"}
    return iq.home / "data" / "weights" / next(iter(rows))


def ended(process: subprocess.Popen[bytes]) -> int:
    process.communicate(timeout=60)
    return process.returncode


def nothing_is_placed(place: Path) -> bool:
    lying = {each.name for each in place.iterdir()} if place.exists() else set()
    return not lying - {"net.pth.part", "net.pth.part.json"}


def account(place: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place / "installed.json").read_text())
    return found


def store(iq: Iq) -> WeightStore:
    """The weights of `iq` for this process, by the rows of `tabled` alone."""
    rows = manifest.read(iq.home / "weights.toml")
    return WeightStore(iq.home / "data", iq.changes.get("IQ_WEIGHTS_MIRROR"), rows)


def states(iq: Iq) -> dict[str, str]:
    """The state of every row of the table of one's own, as the list gives it."""
    return {row.name: row.state for row in status.rows(store(iq))}
