"""The state of the models and weights: ready, not pulled, not trained; and on what terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.models.registry import ENTRIES, HUB_ID, OWN
from iqcli.text import escape, meant
from iqcli.weights.manifest import megabytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from iqcli.models.base import Entry
    from iqcli.models.registry import Registry
    from iqcli.weights.manifest import Weight
    from iqcli.weights.store import WeightStore

READY, ABSENT, LICENCE = "ready", "not pulled", "needs licence"
PARTLY, UNTRAINED, MISSING = "partly pulled", "not trained", "missing"


@dataclass(frozen=True, slots=True)
class Item:
    """A model, or weights, as a list shows them.

    `download` is in bytes, of all that it needs, whether or not it is here; `commercial` is whether
    what it makes may be sold; `needs` are rows of the table of weights.
    """

    name: str
    state: str
    download: int
    licence: str
    commercial: bool
    needs: tuple[str, ...]
    what: str

    @property
    def size(self) -> str:
        """The download as a person reads it."""
        return megabytes(self.download) if self.download else "–"


def models(registry: Registry) -> list[Item]:
    """Every model by name, those a person trains last."""
    entries = (*ENTRIES.values(), *map(registry.entry, OWN))
    return [model(each, registry.weights) for each in entries]


def model(entry: Entry, weights: WeightStore) -> Item:
    """One model. Its licence is its own, or that of the weights that forbid to sell."""
    needed = weights.with_needs(entry.needs)
    strict = dict.fromkeys(each.licence for each in needed if not each.commercial)
    return Item(
        entry.name,
        _state(entry, needed, weights),
        sum(each.size for each in needed),
        "; ".join(strict) or entry.licence,
        not strict,
        tuple(each.name for each in needed),
        entry.summary,
    )


def _state(entry: Entry, needed: list[Weight], weights: WeightStore) -> str:
    if entry.weights is not None and not entry.weights.exists():
        return UNTRAINED if entry.name in OWN else MISSING
    return state(needed, weights)


def state(rows: Iterable[Weight], weights: WeightStore) -> str:
    """Whether these weights are installed, and if not, what stands in the way."""
    missing = [each for each in rows if not weights.is_installed(each.name)]
    if not missing:
        return READY
    if any(weights.part_of(each).exists() for each in missing):
        return PARTLY
    strict = [each for each in missing if not each.commercial]
    return ABSENT if all(map(weights.accepted, strict)) else LICENCE


def rows(weights: WeightStore) -> list[Item]:
    """Every row of the manifest of weights; its needs are its own alone."""
    return [
        Item(
            each.name,
            state([each], weights),
            each.size,
            each.licence,
            each.commercial,
            each.needs,
            each.what,
        )
        for each in weights.rows.values()
    ]


def rows_of(names: Iterable[str], weights: WeightStore) -> list[Weight]:
    """The weights that these models and rows need, each once, what is needed first.

    Raises IqError for a name that is neither, and for a model that needs none.
    """
    found: list[str] = []
    for name in names:
        found += _needs(name, weights)
    return weights.with_needs(dict.fromkeys(found))


def row_of_file(names: Sequence[str], weights: WeightStore) -> Weight:
    """The weights that one file is given for: those of that name, or all that a model needs.

    Raises IqError for several names, for a model that needs several weights, and like `rows_of`.
    """
    if len(names) != 1:
        raise IqError(f"--from gives one file, and {len(names)} names are given; give one")
    rows = rows_of(names, weights)
    own = [each for each in rows if each.name == names[0]] or rows
    if len(own) > 1:
        listed = ", ".join(each.name for each in own)
        raise IqError(f"{names[0]} needs several weights; name the one in the file: {listed}")
    return own[0]


def _needs(name: str, weights: WeightStore) -> tuple[str, ...]:
    name = "fusion" if name == HUB_ID else name
    if name in ENTRIES and (needs := ENTRIES[name].needs):
        return (*needs, name) if name in weights.rows else needs
    if name in weights.rows:
        return (name,)
    if name in ENTRIES or name in OWN:
        raise IqError(f"{name} needs no weights that are pulled; see `iq models info {name}`")
    known = dict.fromkeys([*(k for k, v in ENTRIES.items() if v.needs), *weights.rows])
    raise IqError(
        f"there is no model {name!r} and no weights of that name{meant(name, known)}; "
        f"give one of {', '.join(known)}"
    )


def users(
    name: str, registry: Registry, but: Iterable[str], but_rows: Iterable[str] = ()
) -> list[str]:
    """What is ready and needs these weights: models, but for some, and rows, but for some."""
    ready = [each for each in models(registry) if each.name not in set(but)]
    ready += [
        each for each in rows(registry.weights) if each.name not in {*but, *but_rows, *ENTRIES}
    ]
    return sorted(each.name for each in ready if name in each.needs and each.state == READY)


def describe(rows: Iterable[Weight], weights: WeightStore) -> str:
    """Some lines on each of these weights, for a person."""
    return "\n".join(_described(each, weights) for each in rows)


def _described(each: Weight, weights: WeightStore) -> str:
    record = weights.verified(each.name) or {}
    placed = f", pulled {escape(str(record['placed']))}" if record.get("placed") else ""
    known = each.sha256 or record.get("sha256") or "not known before it is pulled"
    lines = [
        f"{each.name}: {each.what}",
        f"  state       {state([each], weights)}{placed}",
        f"  from        {escape(str(record.get('source') or each.source))}",
        f"  size        {each.megabytes}",
        f"  sha256      {known}",
        f"  licence     {each.licence}" + (f", {each.terms}" if each.terms else ""),
        f"  commercial  {'yes' if each.commercial else 'no'}",
        *([f"  needs       {', '.join(each.needs)}"] if each.needs else []),
    ]
    return "\n".join(lines) + "\n"
