"""Every model by name: its blocks, its weights and its licence. Known without torch."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.extractors.base import hash_of
from iqcli.extractors.registry import EMBEDDED, block_table, blocks_of
from iqcli.fs.files import sha256
from iqcli.models.base import Entry, RatedModel, Source
from iqcli.models.calibration import calibration_of
from iqcli.text import display_path, meant
from iqcli.weights.store import WeightStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iqcli.extractors.base import AnyBlock
    from iqcli.models.base import Predictor
    from iqcli.models.calibration import Calibration
    from iqcli.models.laion import Aesthetic
    from iqcli.settings import Settings


def _entries() -> dict[str, Entry]:
    found = {}
    for name, row in tomllib.loads((EMBEDDED / "models.toml").read_text("utf-8")).items():
        files = {key: EMBEDDED / row[key] for key in ("weights", "card") if key in row}
        others = {"module": row["module"]} if "module" in row else {}
        needs = tuple(row.get("needs", ()))
        found[name] = Entry(name, row["summary"], row["licence"], **files, needs=needs, **others)
    return found


def _installation() -> str:
    """What changes whenever iq is installed anew, or a file of it is edited."""
    files = sorted(each for each in EMBEDDED.parent.rglob("*") if each.suffix != ".pyc")
    stats = [(str(each), each.stat()) for each in files]
    return hash_of(*(f"{name} {each.st_size} {each.st_mtime_ns}" for name, each in stats))


ENTRIES = _entries()
# What a taste stands on unless another is chosen, and the name of the taste itself.
STOCK = "fusion-mini"
TASTE = "taste"
HEX = "hex"
# What the model `fusion` is called where it was published.
HUB_ID = "matthewyuan/image-quality-fusion"
# Models that a person trains, kept in the data folder as NAME.safetensors: module, summary, and
# the error where there is none yet.
OWN = {
    TASTE: (
        "taste",
        "your own stars on top of a stock model; made by `iq train taste`",
        "you have no taste yet; rate photos with stars and give their folder to "
        "`iq train taste FOLDER`",
    ),
    HEX: (
        "hex.head",
        "issues by label and level that cannot contradict each other; made by `iq train hex`",
        "you have no hex model yet, and none is published; make one of labelled photos with "
        "`iq train hex FILE.csv`",
    ),
}
# The format in a trained file -> the module that loads it; the fusion network is the rule.
FORMATS = {
    "iq-dkl-1": "gaussian_process",
    "iq-taste-1": "taste",
    "iq-hex-1": "hex.head",
    "iq-niqe-1": "niqe",
    "iq-qualiclip-1": "qualiclip",
}
NAMES = (*ENTRIES, *OWN)


@dataclass(frozen=True)
class Registry:
    """The models that can be loaded here: those of iq, and what a person trained.

    `data_dir` holds what was trained, `weights` what was pulled.
    """

    data_dir: Path
    weights: WeightStore

    @classmethod
    def of(cls, settings: Settings) -> Registry:
        """The models and weights that the settings point to."""
        return cls(settings.data_dir, WeightStore(settings.data_dir, settings.weights_mirror))

    @cached_property
    def blocks(self) -> Mapping[str, AnyBlock]:
        """Every extractor by name."""
        return block_table(self.weights)

    def blocks_of(self, names: str) -> tuple[AnyBlock, ...]:
        """The blocks of a list with commas, each once. Raises IqError for an unknown name."""
        return blocks_of(names, self.blocks)

    def entry(self, name: str) -> Entry:
        """The model called `name`, or the trained file that `name` is the path of.

        Raises IqError with the names there are.
        """
        if name in ENTRIES:
            return ENTRIES[name]
        if name in OWN:
            module, summary, _ = OWN[name]
            file = self.data_dir / f"{name}.safetensors"
            return Entry(name, summary, "yours", file, module=module)
        if name == HUB_ID:
            return ENTRIES["fusion"]
        path = Path(name)
        if Path(name, "config.json").is_file():
            summary, module = "a fusion network with weights of your own", ENTRIES["fusion"].module
            return Entry(path.resolve().name, summary, "yours", path, module=module)
        if name.endswith(".safetensors"):
            if not path.is_file():
                raise IqError(f"there is no file {display_path(path)}; check the name")
            from iqcli.models import checkpoint  # deferred: no safetensors for a completion

            module = FORMATS.get(checkpoint.format_of(path) or "", "fusion")
            return Entry(path.stem, "trained by you", "yours", path, module=module)
        known = ", ".join(NAMES)
        near = meant(name, NAMES)
        raise IqError(
            f"there is no model {name!r}{near}; give one of {known}, or a .safetensors file"
        )

    def is_ready(self, entry: Entry) -> bool:
        """Whether nothing has to be pulled or trained first."""
        own = entry.weights is None or entry.weights.is_file()
        return own and not self.weights.missing(entry.needs)

    def predictor(self, name: str) -> Predictor:
        """The arithmetic of a model. Raises IqError where its weights are missing or damaged."""
        entry = self.entry(name)
        if name in OWN and not self.is_ready(entry):
            raise IqError(OWN[name][-1])
        self.weights.require(entry.needs, entry.name)
        module = import_module(f"iqcli.models.{entry.module}")
        loaded: Predictor = module.predictor(Source(entry, self.weights, self.blocks))
        return loaded

    def load(self, name: str) -> RatedModel:
        """The model ready to rate; raises IqError where anything of it is missing or damaged."""
        from iqcli.models import issues

        predictor = self.predictor(name)
        called = predictor.name or self.entry(name).called
        aesthetic = self._aesthetic(predictor)
        labels = predictor.labels or issues.head()
        others = (*labels.reads, *([aesthetic.head.block] if aesthetic else ()))
        blocks = {each.name: each for each in predictor.own_blocks(self.blocks)}
        blocks |= {each: self.blocks[each] for each in others if each not in blocks}
        calibration = None if predictor.in_points else calibration_of(called, self.data_dir)
        return RatedModel(
            name=called,
            blocks=tuple(blocks.values()),
            predictor=predictor,
            labels=labels,
            calibration=calibration,
            aesthetic=aesthetic,
            fingerprint=self._fingerprint(
                self.entry(name), called, calibration, aesthetic.calibration if aesthetic else None
            ),
        )

    def _fingerprint(self, entry: Entry, called: str, *calibrations: Calibration | None) -> str:
        """Of all that ratings depend on besides blocks: files of iq, the model's, and those pulled.

        Any weights that are pulled or removed count: which ones a model reads is its own affair.
        """
        own = entry.weights and entry.weights.is_file() and sha256(entry.weights)
        pulled = {name: self.weights.verified(name) for name in self.weights.rows}
        digests = [f"{name}={found['sha256']}" for name, found in pulled.items() if found]
        return hash_of(_installation(), called, str(own), *map(repr, calibrations), *digests)

    def _aesthetic(self, predictor: Predictor) -> Aesthetic | None:
        """What gives the aesthetic part beside the score, if it is installed."""
        if not predictor.takes_aesthetic:
            return None
        from iqcli.models import laion

        ready = [name for name in laion.READS if self.is_ready(ENTRIES[name])]
        if (name := laion.preferred(ready, predictor.reads)) is None:
            return None
        return laion.Aesthetic(laion.load(name, self.weights), calibration_of(name, self.data_dir))
