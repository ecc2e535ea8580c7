"""What a contact sheet shows, as plain data: units side by side, under scenes, under days."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from math import inf
from typing import TYPE_CHECKING, Any

from iqcli.output.rows import issue_record
from iqcli.output.table import describe_issues
from iqcli.photos.times.capture_time import is_moment, timeline
from iqcli.records import FrameSet
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from iqcli.records import Decision, Facts, Photo

    Data = dict[str, Any]
    Order = Callable[[Sequence[Photo]], list[Photo]]
    # The picture of that name ("thumb" or "crop") of a photo, or None.
    Pictures = Callable[["SheetEntry", str], bytes | None]

# Photos a file: as many as a browser still shows at once.
PART = 2000
UNDATED = "Without a date"
KINDS = {
    None: "Burst",
    FrameSet.BRACKET: "Bracket",
    FrameSet.PANORAMA: "Panorama",
    FrameSet.TIMELAPSE: "Time-lapse",
}


@dataclass(frozen=True, slots=True)
class SheetEntry:
    """A decision, and its line of `decisions.jsonl`."""

    decision: Decision
    line: str

    @property
    def photo(self) -> Photo:
        return self.decision.photo


@dataclass(frozen=True, slots=True)
class Unit:
    """Photos side by side: the frames of a burst or set, best first, or one photo alone.

    `day` is that of the first frame, None where no frame has one; `moment` its time, ISO 8601, and
    `at` its place in the order of time.
    """

    entries: tuple[SheetEntry, ...]
    moment: str
    day: str | None
    at: float

    @property
    def first(self) -> Photo:
        return self.entries[0].photo

    @property
    def whole(self) -> bool:
        """Whether it is a set that is kept whole: no frame of it is the best."""
        return self.first.frame_set is not None


def units(entries: Iterable[SheetEntry], order: Order) -> list[Unit]:
    """All units by day, scene and time; those without a time come last, by path.

    `order` puts the frames of a burst best first; a set stays in the order of time. What has a day
    and no time comes last in its day.
    """
    several = list(entries)
    times = timeline(_taken(each.photo) for each in several)
    at = {id(e): inf if time is None else time for e, time in zip(several, times, strict=True)}
    groups: dict[str | int, list[SheetEntry]] = {}
    for entry in sorted(several, key=lambda each: (at[id(each)], str(each.photo.shot.path))):
        groups.setdefault(entry.photo.group or id(entry), []).append(entry)
    found = [_unit(members, order, at[id(members[0])]) for members in groups.values()]
    starts: dict[str, float] = {}  # of each scene: its photos stay together
    for unit in found:
        starts.setdefault(unit.first.scene or "", unit.at)

    def place(unit: Unit) -> tuple[bool, str, float, str, float, str]:
        scene = unit.first.scene or ""
        start = starts[scene] if scene else unit.at
        return unit.day is None, unit.day or "", start, scene, unit.at, unit.moment

    return sorted(found, key=place)


def _unit(members: list[SheetEntry], order: Order, at: float) -> Unit:
    moment = next((taken for each in members if (taken := _taken(each.photo))), "")
    first = members[0].photo
    if len(members) > 1 and first.frame_set is None:
        by_shot = {id(each.photo): each for each in members}
        members = [by_shot[id(each)] for each in order([each.photo for each in members])]
    day = next((each.photo.day for each in members if each.photo.day), None)
    return Unit(tuple(members), moment, day, at)


def _taken(photo: Photo) -> str:
    return (photo.facts and photo.facts.taken) or ""


def _date(taken: str) -> datetime | None:
    try:
        return datetime.fromisoformat(taken)
    except ValueError:
        return None


def parts(found: Iterable[Unit], limit: int = PART) -> list[list[Unit]]:
    """The units in files of at most `limit` photos; a unit is never cut."""
    made: list[list[Unit]] = [[]]
    count = 0
    for unit in found:
        if made[-1] and count + len(unit.entries) > limit:
            made.append([])
            count = 0
        made[-1].append(unit)
        count += len(unit.entries)
    return made


def entries_of(part: Iterable[Unit]) -> list[SheetEntry]:
    """The entries of a part in the order they are shown: a photo's number is its place here."""
    return [entry for unit in part for entry in unit.entries]


def sheet_data(part: Sequence[Unit], pictures: Pictures) -> Data:
    """Photos by number, and the sections that hold them."""
    photos = [_photo_data(unit, entry, pictures) for unit in part for entry in unit.entries]
    numbers = iter(range(len(photos)))
    sections = [
        {"title": _day_title(day), "flows": list(_flows(list(of_day), numbers))}
        for day, of_day in groupby(part, key=lambda unit: unit.day)
    ]
    return {"photos": photos, "sections": sections}


def _flows(of_day: Sequence[Unit], numbers: Iterator[int]) -> Iterator[Data]:
    """Scenes of several photos by themselves, the photos between them together."""
    sizes = Counter[str]()
    for unit in of_day:
        sizes[unit.first.scene or ""] += len(unit.entries)

    def scene(unit: Unit) -> str:
        name = unit.first.scene or ""
        return name if sizes[name] > 1 else ""

    for name, found in groupby(of_day, key=scene):
        within = list(found)
        head = (f"Scene of {sizes[name]}" if name and len(within) > 1 else "", _span(within))
        units = [_unit_data(unit, numbers) for unit in within]
        yield {"title": " · ".join(filter(None, head)), "units": units}


def _unit_data(unit: Unit, numbers: Iterator[int]) -> Data:
    own = [next(numbers) for _ in unit.entries]
    if len(own) == 1:
        return {"title": None, "photos": own}
    title = f"{KINDS[unit.first.frame_set]} of {len(own)}"
    return {"title": f"{title}, kept whole" if unit.whole else title, "photos": own}


def _span(within: Sequence[Unit]) -> str:
    clocks = [unit.moment[11:16] for unit in within if unit.day and is_moment(unit.moment)]
    clocks.sort()
    if not clocks:
        return ""
    return clocks[0] if clocks[0] == clocks[-1] else f"{clocks[0]}–{clocks[-1]}"


def _day_title(day: str | None) -> str:
    found = _date(day or "")
    return f"{found:%A}, {found.day} {found:%B} {found.year}" if found else UNDATED


def _photo_data(unit: Unit, entry: SheetEntry, pictures: Pictures) -> Data:
    decision, photo = entry.decision, entry.photo
    best = len(unit.entries) > 1 and not unit.whole and entry is unit.entries[0]
    return {
        "name": escape(photo.shot.path.name),
        "folder": display_path(photo.shot.path.parent),
        "files": [escape(path.name) for path in photo.shot.companions],
        "decision": decision.verdict.value,
        "reasons": [escape(reason) for reason in decision.reasons],
        "error": photo.error and escape(photo.error),
        "stars": photo.marks.stars,
        "pick": photo.marks.pick,
        "best": len(unit.entries) if best and photo.rating else 0,
        "thumb": pictures(entry, "thumb") is not None,
        "crop": pictures(entry, "crop") is not None,
        "day": unit.day,
        "held": photo.sha256 is not None,
        "line": entry.line,
        **_rating(photo),
        **_facts(photo.facts),
    }


def _rating(photo: Photo) -> Data:
    rating = photo.rating
    if rating is None or not math.isfinite(rating.score):
        return {"score": None, "doubt": None, "parts": [], "issues": []}
    named = {"technical": rating.technical, "aesthetic": rating.aesthetic}
    issues = [issue_record(each) for each in rating.issues]
    return {
        "score": round(rating.score, 3),
        "doubt": None if rating.uncertainty is None else round(rating.uncertainty, 3),
        "parts": [f"{name} {value:.1f}" for name, value in named.items() if value is not None],
        "issues": [{**each, "text": describe_issues([each])} for each in issues],
    }


def _facts(facts: Facts | None) -> Data:
    if facts is None:
        return {"width": 3, "height": 2, "size": None, "taken": None, "camera": None}
    found = _date(facts.taken or "")
    return {
        "width": facts.width,
        "height": facts.height,
        "size": f"{facts.width:,} × {facts.height:,}",
        "taken": found and f"{found:%Y-%m-%d %H:%M:%S}"[: None if is_moment(facts.taken) else 10],
        "camera": facts.camera and escape(facts.camera),
    }
