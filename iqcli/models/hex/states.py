"""Nodes that need and exclude one another, and the legal states of those that are joined.

Every rule has the form "if this node is on, that one is on (or off)". So a choice that has been
followed to its end never runs into a dead end, since all nodes left may be off, and the legal
states are listed in time proportional to their number: 2^n candidates are never built.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

MOST_STATES = 10_000


class TooManyStates(Exception):
    """A part of a graph has more legal states than can be summed; the text says which."""


@dataclass(frozen=True)
class Edges:
    """`needs` are (node, node it needs), `excluded` pairs that are never on together."""

    count: int
    needs: tuple[tuple[int, int], ...]
    excluded: tuple[tuple[int, int], ...]

    @cached_property
    def needed(self) -> tuple[frozenset[int], ...]:
        """For each node what is on where it is on, itself first of all."""
        return _closed(self.count, self.needs)

    @cached_property
    def needing(self) -> tuple[frozenset[int], ...]:
        """For each node what is off where it is off, itself first of all."""
        return _closed(self.count, [(upper, lower) for lower, upper in self.needs])

    @cached_property
    def banned(self) -> tuple[frozenset[int], ...]:
        """For each node what is off where it is on."""
        foes: list[set[int]] = [set() for _ in range(self.count)]
        for one, two in self.excluded:
            foes[one].add(two)
            foes[two].add(one)
        return tuple(
            frozenset(k for up in ups for foe in foes[up] for k in self.needing[foe])
            for ups in self.needed
        )


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """Nodes (k,) that edges join, in rising order, and their legal states (m, k) of 0 and 1.

    The first state is all off.
    """

    nodes: NDArray[np.int64]
    states: NDArray[np.float64]


def components(edges: Edges, titles: Sequence[str]) -> tuple[Component, ...]:
    """The connected parts, by their first nodes. Raises TooManyStates; `titles` name the nodes."""
    found = []
    for nodes in _joined(edges):
        states = []
        for state in _legal(edges, nodes):
            states.append([k in state for k in nodes])
            if len(states) > MOST_STATES:
                raise TooManyStates(
                    f"the part that begins with {titles[nodes[0]]} joins {len(nodes)} nodes in "
                    f"more than {MOST_STATES:,} legal states; bind fewer labels together, or "
                    "exclude more"
                )
        found.append(Component(np.array(nodes), np.array(states, np.float64)))
    return tuple(found)


def _legal(edges: Edges, nodes: Sequence[int]) -> Iterator[frozenset[int]]:
    """The sets of nodes that may be on together, the empty one first."""
    off: frozenset[int] = frozenset()
    left: list[tuple[frozenset[int], frozenset[int]]] = [(off, off)]
    while left:
        on, off = left.pop()
        open_ = next((k for k in nodes if k not in on and k not in off), None)
        if open_ is None:
            yield on
            continue
        left.append((on | edges.needed[open_], off | edges.banned[open_]))
        left.append((on, off | edges.needing[open_]))


def _joined(edges: Edges) -> list[list[int]]:
    """The nodes of each connected part."""
    near: list[set[int]] = [set() for _ in range(edges.count)]
    for one, two in (*edges.needs, *edges.excluded):
        near[one].add(two)
        near[two].add(one)
    parts, seen = [], set[int]()
    for start in range(edges.count):
        if start not in seen:
            part = _reached(start, near)
            seen |= part
            parts.append(sorted(part))
    return parts


def _closed(count: int, pairs: Iterable[tuple[int, int]]) -> tuple[frozenset[int], ...]:
    """For each node all that arrows lead to, itself included."""
    arrows: list[set[int]] = [set() for _ in range(count)]
    for start, end in pairs:
        arrows[start].add(end)
    return tuple(frozenset(_reached(k, arrows)) for k in range(count))


def _reached(start: int, arrows: Sequence[set[int]]) -> set[int]:
    found, left = {start}, [start]
    while left:
        fresh = arrows[left.pop()] - found
        found |= fresh
        left += fresh
    return found
