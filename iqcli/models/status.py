"""What is on the shelf: the models and weights there are, what state they are in, on what terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.models.registry import ENTRIES, HUB_ID, OWN, entry
from iqcli.text import escape
from iqcli.weights import store
from iqcli.weights.manifest import megabytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iqcli.models.registry import Entry
    from iqcli.weights.manifest import Weight

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


def models() -> list[Item]:
    """Every model by name, those a person trains last."""
    return [model(each) for each in (*ENTRIES.values(), *map(entry, OWN))]


def model(found: Entry) -> Item:
    """One model. Its licence is its own, or that of the weights that forbid to sell."""
    rows = store.with_needs(found.needs)
    strict = dict.fromkeys(each.licence for each in rows if not each.commercial)
    return Item(
        found.name,
        _state(found, rows),
        sum(each.size for each in rows),
        "; ".join(strict) or found.licence,
        not strict,
        tuple(each.name for each in rows),
        found.summary,
    )


def _state(found: Entry, rows: list[Weight]) -> str:
    if found.weights is not None and not found.weights.exists():
        return UNTRAINED if found.name in OWN else MISSING
    return state(rows)


def state(rows: Iterable[Weight]) -> str:
    """Whether these weights are here, and if not, what stands in the way."""
    lacking = [each for each in rows if not store.is_there(each.name)]
    if not lacking:
        return READY
    if any(store.part_of(each).exists() for each in lacking):
        return PARTLY
    strict = [each for each in lacking if not each.commercial]
    return ABSENT if all(map(store.accepted, strict)) else LICENCE


def rows() -> list[Item]:
    """Every row of the table of weights."""
    return [row(each) for each in store.table().values()]


def row(each: Weight) -> Item:
    """One row; its needs are its own alone."""
    said = each.what, each.needs
    return Item(
        each.name, state([each]), each.size, each.licence, each.commercial, said[1], said[0]
    )


def rows_of(names: Iterable[str]) -> list[Weight]:
    """The weights that these models and rows need, each once, what is needed first.

    Raises IqError for a name that is neither, and for a model that needs none.
    """
    found: list[str] = []
    for name in names:
        found += _needs(name)
    return store.with_needs(dict.fromkeys(found))


def _needs(name: str) -> tuple[str, ...]:
    table = store.table()
    name = "fusion" if name == HUB_ID else name
    if name in ENTRIES and (needs := ENTRIES[name].needs):
        return (*needs, name) if name in table else needs
    if name in table:
        return (name,)
    if name in ENTRIES or name in OWN:
        raise IqError(f"{name} needs no weights that are pulled; see `iq models info {name}`")
    known = ", ".join(dict.fromkeys([*(k for k, v in ENTRIES.items() if v.needs), *table]))
    raise IqError(f"there is no model {name!r} and no weights of that name; give one of {known}")


def users(name: str, but: Iterable[str], but_rows: Iterable[str] = ()) -> list[str]:
    """What is ready and needs these weights: models, but for some, and rows, but for some."""
    ready = [each for each in models() if each.name not in set(but)]
    ready += [each for each in rows() if each.name not in {*but, *but_rows, *ENTRIES}]
    return sorted(each.name for each in ready if name in each.needs and each.state == READY)


def told(rows: Iterable[Weight]) -> str:
    """Some lines on each of these weights, for a person."""
    return "\n".join(map(_told, rows))


def _told(each: Weight) -> str:
    account = store.account(each.name) or {}
    placed = f", pulled {escape(str(account['placed']))}" if account.get("placed") else ""
    known = each.sha256 or account.get("sha256") or "not known before it is pulled"
    lines = [
        f"{each.name}: {each.what}",
        f"  state       {state([each])}{placed}",
        f"  from        {escape(str(account.get('source') or each.source))}",
        f"  size        {each.megabytes}",
        f"  sha256      {known}",
        f"  licence     {each.licence}" + (f", {each.terms}" if each.terms else ""),
        f"  commercial  {'yes' if each.commercial else 'no'}",
        *([f"  needs       {', '.join(each.needs)}"] if each.needs else []),
    ]
    return "\n".join(lines) + "\n"
