"""The labels of a HEX graph and what binds them, as a person writes them down in TOML.

A label has levels 1 (none) to 2, 3 or 4; its nodes say "this level or more", so a level switches
its node and those below it on. An exclusion forbids two nodes together, an implication demands one
node where another is on. Reading checks that every node can be on in some legal state.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iqcli.errors import IqError
from iqcli.extractors.registry import EMBEDDED
from iqcli.models.hex.states import Component, Edges, TooManyStates, components
from iqcli.text import display_path, meant, shorten

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


GRAPHS = ("hex6", "hex12")
MOST_LEVELS = 4
# What the levels are called; the published lists count them from 0.
LEVELS = "1 none, 2 slight, 3 clear, 4 severe"
MOST_LABELS = 100
KINDS = {
    "graph": "the graph",
    "label": "a label",
    "exclusion": "an exclusion",
    "implication": "an implication",
}
LEGAL_KEYS = {
    "graph": {"name", "labels", "exclusions", "implications"},
    "label": {"name", "title", "aliases", "levels"},
    "exclusion": {"a", "a_levels", "b", "b_levels"},
    "implication": {"label", "level", "needs", "needs_level"},
}


@dataclass(frozen=True, slots=True)
class Label:
    """What may be wrong: its name in results, its title in sentences, other names in files."""

    name: str
    title: str
    aliases: tuple[str, ...]
    levels: int

    @property
    def called(self) -> tuple[str, ...]:
        """Every name that a column may have."""
        return (self.name, self.title, *self.aliases)


@dataclass(frozen=True)
class Graph:
    """Labels and what binds them; see the module. `metadata` is the whole as JSON can hold it.

    `nodes` are (label, level) pairs, levels 2 and up, label after label.
    """

    name: str
    labels: tuple[Label, ...]
    edges: Edges
    metadata: Mapping[str, Any]

    @cached_property
    def nodes(self) -> tuple[tuple[int, int], ...]:
        """(label, level) of every node."""
        return nodes_of(self.labels)

    @cached_property
    def components(self) -> tuple[Component, ...]:
        """The parts that nothing joins, each with its legal states."""
        titles = [f"{self.labels[label].name} {level}" for label, level in self.nodes]
        return components(self.edges, titles)

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The node numbers of each label, lowest level first."""
        return tuple(
            tuple(k for k, (owner, _) in enumerate(self.nodes) if owner == label)
            for label in range(len(self.labels))
        )

    def index(self, called: str) -> int | None:
        """Which label has this name, title or alias; case and spaces at the ends do not count."""
        wanted = _folded(called)
        found = (k for k, each in enumerate(self.labels) if wanted in map(_folded, each.called))
        return next(found, None)


def nodes_of(labels: Iterable[Label]) -> tuple[tuple[int, int], ...]:
    """(label, level) of every node of these labels."""
    return tuple((k, v) for k, label in enumerate(labels) for v in range(2, label.levels + 1))


def named(name: str) -> Graph:
    """A shipped graph by name, or the graph of a TOML file. Raises IqError like `read_graph`."""
    if name in GRAPHS:
        return read_graph(EMBEDDED / f"{name}.toml")
    if not name.endswith(".toml"):
        near = meant(name, GRAPHS)
        raise IqError(f"there is no graph {name!r}{near}; give {', '.join(GRAPHS)} or a .toml file")
    return read_graph(Path(name))


def read_graph(path: Path) -> Graph:
    """The graph of a TOML file. Raises IqError for what is no graph, or contradicts itself."""
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise IqError(
            f"cannot read the graph {display_path(path)}: {error.strerror}; give another"
        ) from error
    except (ValueError, RecursionError) as error:
        raise IqError(f"cannot read the graph {display_path(path)}: {error}; correct it") from error
    return parsed(given, display_path(path), path.stem)


def parsed(given: object, source: str, name: str = "graph") -> Graph:
    """The graph that a table such as `Graph.metadata` describes.

    Raises IqError, which names the `source`.
    """
    try:
        graph = _graph(_keys(given, "graph"), name)
        _ = graph.components  # too many states are refused before anything is measured
    except _Wrong as error:
        raise IqError(f"the graph {source} is wrong: {error}; correct it") from error
    except TooManyStates as error:
        raise IqError(f"the graph {source} is too large: {error}") from error
    return graph


class _Wrong(Exception):
    """What is wrong with a graph."""


def _graph(given: Mapping[str, Any], name: str) -> Graph:
    name = _text(given.get("name", name), "the graph's name")
    labels = tuple(_label(each) for each in _rows(given, "labels"))
    if not 0 < len(labels) <= MOST_LABELS:
        raise _Wrong(f"it has {len(labels)} labels, and may have 1 to {MOST_LABELS}")
    _check_names(labels)
    places = {pair: k for k, pair in enumerate(nodes_of(labels))}
    numbers = {label.name: k for k, label in enumerate(labels)}

    def node(label: object, level: object) -> int:
        if not isinstance(label, str) or label not in numbers:
            raise _Wrong(f"there is no label {shorten(label)} among {', '.join(numbers)}")
        most = labels[numbers[label]].levels
        if type(level) is not int or not 2 <= level <= most:
            raise _Wrong(
                f"{label} has no level {shorten(level)} to bind; its levels are 2 to {most}"
            )
        return places[numbers[label], level]

    chain = [(k, k - 1) for (_, level), k in places.items() if level > 2]
    implied = [_keys(each, "implication") for each in _rows(given, "implications")]
    needs = [
        (node(each["label"], each["level"]), node(each["needs"], each["needs_level"]))
        for each in implied
    ]
    apart = [_keys(each, "exclusion") for each in _rows(given, "exclusions")]
    excluded = [
        (node(each["a"], one), node(each["b"], two))
        for each in apart
        for one in _levels(each["a_levels"])
        for two in _levels(each["b_levels"])
    ]
    titles = [f"{labels[label].name} at level {level}" for label, level in places]
    edges = Edges(len(places), (*chain, *needs), tuple(excluded))
    _check_edges(edges, titles)
    metadata = {
        "name": name,
        "labels": [
            {"name": x.name, "title": x.title, "aliases": [*x.aliases], "levels": x.levels}
            for x in labels
        ],
        "exclusions": apart,
        "implications": implied,
    }
    return Graph(name, labels, edges, metadata)


def _label(given: object) -> Label:
    row = _keys(given, "label", optional={"title", "aliases", "levels"})
    name = _text(row["name"], "a label's name")
    title = _text(row.get("title", name.replace("_", " ")), f"the title of {name}")
    aliases = row.get("aliases", [])
    if not isinstance(aliases, list):
        raise _Wrong(f"the aliases of {name} are no list")
    levels = row.get("levels", MOST_LEVELS)
    if type(levels) is not int or not 2 <= levels <= MOST_LEVELS:
        raise _Wrong(
            f"{name} has {shorten(levels)} levels, and may have 2 to {MOST_LEVELS}, 1 being none"
        )
    return Label(name, title, tuple(_text(x, f"an alias of {name}") for x in aliases), levels)


def _check_names(labels: Iterable[Label]) -> None:
    owners: dict[str, str] = {}
    for label in labels:
        # A label may repeat itself: its title is often its name.
        for called in {_folded(each) for each in label.called}:
            if called in owners:
                raise _Wrong(f"{owners[called]} and {label.name} are both called {called!r}")
            owners[called] = label.name


def _check_edges(edges: Edges, titles: list[str]) -> None:
    for one, two in edges.excluded:
        if one == two:
            raise _Wrong(f"{titles[one]} excludes itself")
    for k, title in enumerate(titles):
        if round_ := [n for n in edges.needed[k] if n != k and k in edges.needed[n]]:
            raise _Wrong(f"{title} and {titles[round_[0]]} need each other in a circle")
        if edges.needed[k] & edges.banned[k]:
            raise _Wrong(f"{title} can never be: what it needs is excluded by what it needs")


def _keys(given: object, kind: str, optional: Iterable[str] = ()) -> dict[str, Any]:
    """The table `given`, with all the keys of its kind and no other."""
    if not isinstance(given, dict):
        raise _Wrong(f"{KINDS[kind]} is {shorten(given)}, and must be a table")
    known = LEGAL_KEYS[kind]
    if strange := [key for key in given if key not in known]:
        raise _Wrong(f"{KINDS[kind]} has {shorten(strange[0])}, which no {kind} has")
    needed = {"labels"} if kind == "graph" else known.difference(optional)
    if missing := sorted(needed.difference(given)):
        raise _Wrong(f"{KINDS[kind]} has no {missing[0]!r}")
    return given


def _rows(given: Mapping[str, Any], key: str) -> Iterator[object]:
    rows = given.get(key, [])
    if not isinstance(rows, list):
        raise _Wrong(f"its {key} are no list of tables")
    yield from rows


def _levels(given: object) -> list[object]:
    if not isinstance(given, list) or not 0 < len(given) < MOST_LEVELS:
        raise _Wrong(
            f"the levels of an exclusion are {shorten(given)}; give a list, as in [2, 3, 4]"
        )
    return given


def _text(given: object, what: str) -> str:
    if not isinstance(given, str) or not given.strip() or not given.isprintable():
        raise _Wrong(f"{what} is {shorten(given)}, and must be printable text")
    return given


def _folded(called: str) -> str:
    return called.strip().casefold()
