"""Contact sheets of photos that never were."""

from __future__ import annotations

import hashlib
import os
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from iqcli.fs.files import write_stream
from iqcli.output import contact_sheet, contact_sheet_data
from iqcli.records import Decision, Facts, Issue, Photo, Rating, Shot, Verdict
from iqcli.text import escape
from iqcli.transactions.jsonl import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from iqcli.output.contact_sheet_data import SheetEntry

HOSTILE = (
    "<script>alert(1).jpg",
    "<img src=x onerror=alert(1)>.jpg",
    "<!--.jpg",
    "a\"b'c&amp;`${x}`.jpg",
    "\u2028\u2029\u202egpj.jpg",
    "line\nbreak\x1b[2J.jpg",
    os.fsdecode(b"\xff\xfe.jpg"),
    "{{ 7 * 7 }}{% raw %}.jpg",
)
HEADER = '{"kind": "iq-decisions", "schema": 1}'


def webp(level: int, width: int = 48, height: int = 32) -> bytes:
    pixels = np.full((height, width, 3), level, np.uint8)
    pixels[: height // 2, : width // 2, 0] = 250
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP")
    return buffer.getvalue()


THUMB, CROP = webp(60), webp(120, 90, 90)


def photo(
    path: Path,
    score: float | None = 5.0,
    taken: str | None = None,
    *,
    group: str | None = None,
    scene: str | None = None,
    camera: str | None = "Canon EOS R6",
    issues: Iterable[Issue] = (),
    error: str | None = None,
) -> Photo:
    """A judged photo; without a score it is one that could not be read."""
    rating = None if score is None else Rating(score, 0.7, "drawn", score, None, tuple(issues))
    facts = Facts(48, 32, "JPEG", taken=taken, camera=camera)
    digest = None if error else hashlib.sha256(bytes(path)).hexdigest()
    return Photo(
        Shot(path.parent, path),
        digest,
        None if error else facts,
        rating=rating,
        error=error,
        group=group,
        scene=scene,
        day=taken and taken[:10],
    )


def decided(judged: Photo) -> Decision:
    """Keep from 6, reject under 4."""
    if judged.rating is None:
        return Decision(judged, Verdict.REVIEW, (f"not judged: {judged.error}",), ("not_judged",))
    score = judged.rating.score
    verdict = Verdict.KEEP if score >= 6 else Verdict.REVIEW if score >= 4 else Verdict.REJECT
    return Decision(judged, verdict, (f"score {score:.1f}",), ("below",))


def entry(decision: Decision) -> SheetEntry:
    """With a line like those of `decisions.jsonl`."""
    record = {
        "path": escape(decision.photo.shot.path.name),
        "sha256": decision.photo.sha256,
        "decision": decision.verdict.value,
        "score": decision.photo.rating and decision.photo.rating.score,
        "reasons": list(decision.reasons),
        "codes": list(decision.codes),
    }
    return contact_sheet_data.SheetEntry(decision, line(record).decode())


def best_first(members: Sequence[Photo]) -> list[Photo]:
    return sorted(members, key=lambda each: -(each.rating.score if each.rating else 0))


def picture(entry: SheetEntry, name: str) -> bytes | None:
    if entry.photo.error:
        return None
    return THUMB if name == "thumb" else CROP


def written(
    file: Path, judged: Iterable[Photo], limit: int = contact_sheet_data.PART
) -> list[Path]:
    """Write a sheet of them, in files of at most `limit` photos; returns its files."""
    entries = [entry(decided(each)) for each in judged]
    parts = contact_sheet_data.parts(contact_sheet_data.units(entries, best_first), limit)
    files = [file.with_stem(f"{file.stem}-{n + 1}" if n else file.stem) for n in range(len(parts))]
    names = tuple(each.name for each in files)
    title = contact_sheet.Title("A walk", HEADER, "drawn", names, len(entries))
    for number, (each, part) in enumerate(zip(files, parts, strict=True)):
        write_stream(each, contact_sheet.render(title, number, part, picture))
    return files


def walk(folder: Path) -> list[Photo]:
    """Two days, a burst of three within a scene of four, one file that cannot be read."""
    first, second = "2024-05-04T09:{:02d}:00", "2024-05-05T10:00:{:02d}"
    dark, soft = Issue("too_dark", 4), Issue("blurred", 2)
    return [
        photo(folder / "IMG_1.jpg", 7.2, first.format(1)),
        photo(folder / "IMG_2.jpg", 3.1, first.format(2), issues=[dark]),
        photo(folder / "sea" / "IMG_3.jpg", 4.4, second.format(1), group="b0001", scene="s0001"),
        photo(folder / "sea" / "IMG_4.jpg", 6.8, second.format(2), group="b0001", scene="s0001"),
        photo(
            folder / "sea" / "IMG_5.jpg",
            3.9,
            second.format(3),
            group="b0001",
            scene="s0001",
            issues=[soft],
        ),
        photo(folder / "sea" / "IMG_6.jpg", 5.5, second.format(40), scene="s0001"),
        photo(folder / "IMG_7.jpg", None, error="it is cut off"),
    ]
