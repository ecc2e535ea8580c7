"""A training run on disk: its settings, its curve, and a state to resume from.

All are in one folder beside the weights that it will write. The state is a safetensors file that is
replaced atomically, so a run may be killed at any moment.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from iqcli.errors import IqError
from iqcli.fs.files import make_folders, write_atomic
from iqcli.pipeline.devices import one_line
from iqcli.text import display_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import nn

MOMENTS = ("exp_avg", "exp_avg_sq")
# How torch and the JSON reader refuse what is not a state.
_DAMAGED = (SafetensorError, RuntimeError, ValueError, KeyError, TypeError, AttributeError)


def digest(things: Sequence[object]) -> str:
    """A digest of their order and content, for the settings of a run."""
    lines = "\n".join(map(repr, things))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:16]


@dataclass
class RunningMeans:
    """The mean of each part of a loss over some steps; `sums` are its sum and its count by name."""

    sums: dict[str, tuple[float, int]] = field(default_factory=dict)

    def add(self, parts: Mapping[str, float]) -> None:
        """Count one step; NaN is a part that it does not have."""
        for name, value in parts.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total, count) if math.isnan(value) else (total + value, count + 1)

    def values(self) -> dict[str, float]:
        """The means by name; NaN of nothing."""
        return {name: s / count if count else math.nan for name, (s, count) in self.sums.items()}

    def clear(self) -> None:
        """Begin again."""
        self.sums.clear()


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run, with all that it needs to be resumed."""

    path: Path

    def check(self, settings: Mapping[str, object]) -> None:
        """Raise IqError where the folder holds a run with other settings."""
        file = self.path / "settings.json"
        if file.exists() and (before := file.read_text("utf-8", errors="replace")) != _text(
            settings
        ):
            raise IqError(
                f"{display_path(self.path)} holds a run with another "
                f"{_differing(before, settings)}; go on with the same, or give another --output"
            )

    def open(self, settings: Mapping[str, object]) -> None:
        """Make the folder, or raise IqError where it holds a run with other settings."""
        self.check(settings)
        if not (self.path / "settings.json").exists():
            make_folders(self.path)
            write_atomic(self.path / "settings.json", _text(settings).encode())

    @property
    def has_state(self) -> bool:
        """Whether there is something to resume from."""
        return (self.path / "state.safetensors").exists()

    def save(
        self,
        step: int,
        network: nn.Module,
        averaged: nn.Module,
        optimiser: torch.optim.Optimizer,
        means: RunningMeans,
    ) -> None:
        """Keep the state after `step` steps, and the `means` since the last line of the curve."""
        tensors = {f"network.{k}": v for k, v in network.state_dict().items()}
        tensors |= {f"smooth.{k}": v for k, v in averaged.state_dict().items()}
        for k, state in optimiser.state_dict()["state"].items():
            tensors |= {f"moment.{k}.{name}": state[name] for name in MOMENTS}
            tensors[f"moment.{k}.step"] = state["step"]
        plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        facts = {"step": str(step), "means": json.dumps(means.sums)}
        write_atomic(self.path / "state.safetensors", save(plain, metadata=facts))

    def load(
        self,
        network: nn.Module,
        averaged: nn.Module,
        optimiser: torch.optim.Optimizer,
        means: RunningMeans,
    ) -> int:
        """Load the saved state; the number of steps done, 0 where there is none.

        Raises IqError for a damaged one.
        """
        file = self.path / "state.safetensors"
        if not file.exists():
            return 0
        try:
            with safe_open(file, framework="pt") as stream:
                tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
                step = int(stream.metadata()["step"])
                sums = json.loads(stream.metadata().get("means", "{}"))  # none before 0.5
            means.sums = {name: (float(s), int(count)) for name, (s, count) in sums.items()}
            network.load_state_dict(_under("network.", tensors))
            averaged.load_state_dict(_under("smooth.", tensors))
            optimiser.load_state_dict(_with_moments(optimiser.state_dict(), tensors))
        except _DAMAGED as error:
            raise IqError(
                f"{display_path(file)} is damaged: {one_line(error)}; remove it to begin again"
            ) from error
        return step

    def note(self, line: Mapping[str, float]) -> None:
        """Add a line to the curve, a CSV file."""
        file = self.path / "curve.csv"
        before = file.read_text("utf-8", errors="replace") if file.exists() else ""
        steps = [(row.split(",")[0], row) for row in before.splitlines()]
        # A resumed run repeats the steps since its last state.
        kept = [row for step, row in steps if step.isdecimal() and int(step) < line["step"]]
        rows = [",".join(line), *kept, ",".join(_number(value) for value in line.values())]
        write_atomic(file, ("\n".join(rows) + "\n").encode())


def _text(settings: Mapping[str, object]) -> str:
    return json.dumps(settings, indent=1, sort_keys=True) + "\n"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _with_moments(state: dict[str, Any], tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    count = sum(len(group["params"]) for group in state["param_groups"])
    names = (*MOMENTS, "step")
    state["state"] = {
        k: {name: tensors[f"moment.{k}.{name}"] for name in names}
        for k in range(count)
        if f"moment.{k}.step" in tensors
    }
    return state


def _differing(before: str, now: Mapping[str, object]) -> str:
    try:
        old = json.loads(before)
        return next(name for name in now if old.get(name) != json.loads(json.dumps(now[name])))
    except (ValueError, AttributeError, StopIteration):
        return "configuration"
