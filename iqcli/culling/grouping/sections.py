"""The scored photos of a run in sections: what is compared with each other, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iqcli.culling.grouping.group import key_of, order_within
from iqcli.records import best_first

if TYPE_CHECKING:
    from collections.abc import Iterable

    from iqcli.records import Judged


def sections(judged: Iterable[Judged], per: str) -> list[list[Judged]]:
    """The scored shots by `per` (see `iqcli.culling.grouping.group.key_of`), the best section first.

    Within a section the best is first, and the section with the best photo of all comes first.
    Photos that nobody can compare are each for themselves, but those without a date are one
    section of the days.
    """
    found: dict[object, list[Judged]] = {}
    for each in judged:
        if each.rating:
            key = key_of(each, per)
            own = key if key is not None or per == "day" else each.shot.path
            found.setdefault(own, []).append(each)
    parts = sorted(found.values(), key=lambda members: min(map(best_first, members)))
    if per == "burst":
        return [order_within(members) for members in parts]
    return [sorted(members, key=best_first) for members in parts]
