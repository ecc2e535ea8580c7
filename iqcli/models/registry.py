"""Every model by name: its blocks, its weights and its licence. Known without torch."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from iqcli.errors import IqError
from iqcli.extractors.registry import EMBEDDED
from iqcli.fs.files import sha256
from iqcli.text import display_path
from iqcli.weights import store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iqcli.extractors.base import AnyBlock
    from iqcli.records import HoldoutSample, NoRating, Rating, Vector

# The module that loads every head of ours.
HEADS = "iqcli.models.base"


class Model(Protocol):
    """Turns the blocks of photos into ratings."""

    @property
    def blocks(self) -> Sequence[AnyBlock]:
        """What the pipeline must measure for it."""
        ...

    @property
    def holdout(self) -> HoldoutSample | None:
        """How it did on photos that it had not learnt from; None where it does not say."""
        ...

    def rate(self, photos: Sequence[Mapping[str, Vector]]) -> Sequence[Rating | NoRating]:
        """One rating a photo, from its blocks by name, or why there is none."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A model as `iq models` lists it.

    `weights` is a safetensors file of ours, `card` a Markdown one; `needs` are rows of
    `iqcli.weights.store`. `module` offers `make(entry) -> Model`.
    """

    name: str
    summary: str
    licence: str
    weights: Path | None = None
    card: Path | None = None
    needs: tuple[str, ...] = ()
    module: str = HEADS

    @property
    def called(self) -> str:
        """What a rating and a calibration name it by: what a person trained, by its content too.

        So no calibration of another meets it. Raises IqError for a file that cannot be read.
        """
        if self.weights is None or self.weights.parent == EMBEDDED:
            return self.name
        try:
            return f"{self.name}-{sha256(self.weights)[:8]}"
        except OSError as error:
            why = error.strerror or error
            raise IqError(f"cannot read the model {display_path(self.weights)}: {why}") from error

    @property
    def is_ready(self) -> bool:
        """Whether nothing has to be pulled or trained first."""
        own = self.weights is None or self.weights.is_file()
        return own and not store.wanting(self.needs)


def _entries() -> dict[str, Entry]:
    found = {}
    for name, told in tomllib.loads((EMBEDDED / "models.toml").read_text("utf-8")).items():
        files = {key: EMBEDDED / told[key] for key in ("weights", "card") if key in told}
        module = f"iqcli.models.{told.get('module', 'base')}"
        needs = tuple(told.get("needs", ()))
        found[name] = Entry(
            name, told["summary"], told["licence"], **files, needs=needs, module=module
        )
    return found


ENTRIES = _entries()
# What a taste stands on unless another is chosen, and the name of the taste itself.
STOCK = "fusion-mini"
TASTE = "taste"
HEX = "hex"
# What the model `fusion` is called where it was published.
HUB_ID = "matthewyuan/image-quality-fusion"
# Models that a person trains, kept in the data folder as NAME.safetensors: module, summary, and
# what is said where there is none yet.
OWN = {
    TASTE: (
        "iqcli.models.taste",
        "your own stars on top of a stock model; made by `iq train taste`",
        "you have no taste yet; rate photos with stars and give their folder to "
        "`iq train taste FOLDER`",
    ),
    HEX: (
        "iqcli.models.hex.head",
        "issues by label and level that cannot contradict each other; made by `iq train hex`",
        "you have no hex model yet, and none is published; make one of labelled photos with "
        "`iq train hex FILE.csv`",
    ),
}
# What a trained file says it is -> the module that loads it; heads are the rule.
FORMATS = {
    "iq-taste-1": "iqcli.models.taste",
    "iq-hex-1": "iqcli.models.hex.head",
    "iq-niqe-1": "iqcli.models.niqe",
    "iq-qualiclip-1": "iqcli.models.qualiclip",
}


def entry(name: str) -> Entry:
    """The model called `name`, or the trained file that `name` is the path of.

    Raises IqError with the names there are.
    """
    if name in ENTRIES:
        return ENTRIES[name]
    if name in OWN:
        return _own(name)
    if name == HUB_ID:
        return ENTRIES["fusion"]
    if Path(name, "config.json").is_file():
        return _network_in(Path(name))
    if name.endswith(".safetensors"):
        module = FORMATS.get(format_of(Path(name)) or "", HEADS)
        return Entry(Path(name).stem, "trained by you", "yours", Path(name), module=module)
    known = ", ".join([*ENTRIES, *OWN])
    raise IqError(f"there is no model {name!r}; give one of {known}, or a .safetensors file")


def load(name: str) -> Model:
    """The model ready to rate; raises IqError where its weights are missing or damaged."""
    found = entry(name)
    if name in OWN and not found.is_ready:
        raise IqError(OWN[name][-1])
    store.require(found.needs, found.name)
    model: Model = import_module(found.module).make(found)
    return model


def _network_in(folder: Path) -> Entry:
    """The published kind of fusion network, with weights of somebody's own."""
    summary = "a fusion network with weights of your own"
    return Entry(folder.resolve().name, summary, "yours", folder, module=ENTRIES["fusion"].module)


def format_of(file: Path) -> str | None:
    """What kind of model a safetensors file says it holds, None for a file that says nothing."""
    from iqcli.models import checkpoint

    try:
        info = checkpoint.account(file)
    except checkpoint.UNREADABLE:
        return None
    return str(info.get("format")) if isinstance(info, dict) else None


def _own(name: str) -> Entry:
    from iqcli import settings

    folder = settings.load({}, None).data_dir
    module, summary, _ = OWN[name]
    return Entry(name, summary, "yours", folder / f"{name}.safetensors", module=module)
