"""Are unrelated photos joined? `python tests/bench/unrelated.py FOLDER [SCENES] [ROUNDS]`.

The photos under FOLDER get names, times and cameras as messengers and two or three cameras that
count alike would give them, roll by roll, in each round (5) others. Joins of two that are not of
one scene are wrong and listed. SCENES is a CSV file with the columns `image` and `scene`; without
it no two photos are of one scene.

Scenes by times in the files are counted alone: photos that one camera takes within seconds are of
one scene whatever they show.
"""

from __future__ import annotations

import csv
import random
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.unrelated import Given, named

from iqcli import settings
from iqcli.culling.grouping.copies import with_copies
from iqcli.culling.grouping.group import group as grouped
from iqcli.models.registry import Registry
from iqcli.models.scoring import blocks_for, judge
from iqcli.photos.find import find_shots
from iqcli.photos.names import siblings
from iqcli.photos.names.shots import group
from iqcli.photos.times.capture_time import EXIF
from iqcli.photos.times.names import of_name
from iqcli.pipeline.cache import Cache
from iqcli.pipeline.measure import measure
from iqcli.records import Facts, Photo, Shot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from iqcli.photos.names.evidence import Header, Look
    from iqcli.photos.names.shots import Group

# Two photos of BIQ2021 that were looked at: the same knives in other light, in no scene of its own.
ONE_SUBJECT = {"ss01 (595).jpg", "ss01 (993).jpg"}
ROOT, LEAST, MOST = Path("/rolls"), 40, 400


def measured(folder: Path) -> dict[Path, Photo]:
    """The photos under a folder, by path."""
    chosen = settings.load({}, None)
    cache = Cache(chosen.cache_dir, print)
    model = Registry.of(chosen).load(chosen.model)
    shots = find_shots([folder], on_problem=lambda *_: None)
    single = [replace(shot, companions=()) for shot in shots]
    found = measure(single, blocks_for(model, grouped=True), cache, chosen)
    rated = {each.shot.path: each for each in judge(found, model, grouped=True)}
    cache.close()
    return {path: each for path, each in rated.items() if each.likeness and each.facts}


@dataclass
class Rolls:
    """All rolls of a round: by folder what is known of their photos, and the shots."""

    given: dict[Path, Given] = field(default_factory=dict)
    shots: dict[Path, list[Group]] = field(default_factory=dict)
    joined: dict[Path, Path] = field(default_factory=dict)

    def header(self, path: Path) -> Header:
        """The given one."""
        return self.given[path.parent].header(path)

    def likeness(self, edit: Path, original: Path) -> Look:
        """As the real photos look beside each other, at the size of the first."""
        both = Given()
        for path in (edit, original):
            given = self.given[path.parent]
            both.photos[path.name], both.sizes[path.name] = (
                self.source(path),
                given.sizes[path.name],
            )
        return both.likeness(edit, original)

    def add(self, folder: Path, photos: Sequence[Path], chance: random.Random) -> None:
        """One folder of these photos."""
        given = self.given[folder] = named(photos, chance)
        self.shots[folder] = group(given.photos, (), folder, given)

    def join(self, pictures: Path, raws: Path) -> None:
        """Raw files in a folder of their own beside the pictures."""
        both = ({each: self.shots[each]} for each in (pictures, raws))
        self.joined |= siblings.join(*both, self)

    def source(self, path: Path) -> Path:
        """The real photo that has got this path."""
        return self.given[path.parent].photos[path.name]

    def photos(self, real: Mapping[Path, Photo]) -> Iterator[Photo]:
        """The shots of all rolls, measured."""
        for folder, shots in self.shots.items():
            given = self.given[folder]
            for primary, companions in shots:
                known = real[given.photos[primary]]
                assert known.facts
                yield replace(
                    known,
                    shot=Shot(ROOT, folder / primary, tuple(folder / e for e in companions)),
                    facts=_facts(known.facts, primary, given),
                )


def _facts(facts: Facts, name: str, given: Given) -> Facts:
    header, by_name = given.headers[name], of_name(name)
    taken, source = (by_name.when, by_name.source) if by_name else (None, None)
    if header.taken:
        taken, source = header.taken, EXIF
        taken += f".{header.fraction}" if header.fraction else ""
    return replace(facts, taken=taken, taken_from=source, camera=header.camera)


def rolls(photos: Sequence[Path], chance: random.Random) -> Rolls:
    """All photos in folders; one roll in five lies in two folders by format."""
    left, found = list(photos), Rolls()
    chance.shuffle(left)
    while left:
        count, folder = chance.randint(LEAST, MOST), ROOT / f"{len(found.given):03}"
        if chance.random() < 0.2:
            state = chance.getrandbits(32)
            places = folder / "JPG", folder / "RAW"
            for place in places:  # counted alike
                found.add(place, left[:count], random.Random(state))
                left = left[count:]
            found.join(*places)
        else:
            found.add(folder, left[:count], chance)
            left = left[count:]
    return found


def joins(real: Mapping[Path, Photo], made: Rolls) -> Iterator[tuple[str, Path, Path]]:
    """What was joined, as what: two given paths each."""
    for folder, shots in made.shots.items():
        for primary, companions in shots:
            for other in companions:
                yield "shot", folder / primary, folder / other
    for raw, picture in made.joined.items():
        yield "shot", picture, raw
    found = grouped(with_copies(list(made.photos(real))))
    groups: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for each in found:
        path = each.shot.path
        if each.group:
            groups[each.frame_set or "burst", each.group].append(path)
        if each.copy:  # its scene is that of its original
            yield "copy", each.copy.of, path
        elif each.scene:
            groups["scene", each.scene].append(path)
    for (kind, _), paths in groups.items():
        for one, other in pairwise(paths):
            yield kind, one, other


def main(folder: Path, table: Path | None, rounds: int) -> int:
    """Try the names; the number of wrong joins."""
    rows = csv.DictReader(table.open()) if table else ()
    scene = {row["image"]: row["scene"] for row in rows}
    real, wrong = measured(folder), Counter[str]()
    tried = asked = 0
    begin = time.perf_counter()
    for number in range(rounds):
        made = rolls(list(real), random.Random(number))
        tried += sum(len(given.photos) for given in made.given.values())
        for kind, *pair in joins(real, made):
            sources = [made.source(path) for path in pair]
            one, other = (scene.get(each.name, each) for each in sources)
            if one == other or {each.name for each in sources} == ONE_SUBJECT:
                continue
            if kind == "scene" and all(made.header(path).taken for path in pair):
                kind = "scene by time"
            wrong[kind] += 1
            if kind != "scene by time":
                for path, source in zip(pair, sources, strict=True):
                    print(f"{kind:6} {source} as {path}, {made.header(path)}")
        asked += sum(given.asked for given in made.given.values())
    print(f"{tried} names of {len(real)} photos in {time.perf_counter() - begin:.0f} s")
    print(f"{asked} pairs looked at, joined wrongly: {dict(wrong) or 'none'}")
    return wrong.total() - wrong["scene by time"]


if __name__ == "__main__":
    arguments = sys.argv[1:]
    count = int(arguments.pop()) if arguments[-1].isdecimal() else 5
    sys.exit(bool(main(Path(arguments[0]), Path(arguments[1]) if arguments[1:] else None, count)))
