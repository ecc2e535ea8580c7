"""Times that EXIF does not tell, clocks and series, as `cull` and `score` show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from skimage import data
from support.images import encoded, exif_block

if TYPE_CHECKING:
    from support.cli_runner import Iq

pytestmark = pytest.mark.slow

SIZE = (384, 256)
CAT, CUP, ROCKET, PERSON = (
    cv2.resize(picture[..., :3], SIZE, interpolation=cv2.INTER_AREA)
    for picture in (data.chelsea(), data.coffee(), data.rocket(), data.astronaut())
)


def jpeg(picture: np.ndarray, taken: str | None = None, *, moved: int = 0) -> bytes:
    """A JPEG that a camera took, or nobody, of a picture moved by so many pixels."""
    exif = exif_block({0x010F: "Maker", 0x0110: "Maker One"}, {0x9003: taken}) if taken else b""
    return encoded(np.roll(picture, moved, axis=1), "JPEG", quality=92, exif=exif)


DAY = "2024:05:04 "
# Mirrored pictures are others: no copies of those above.
FILES = {
    **{f"lapse/G00100{k}.JPG": jpeg(CAT, f"{DAY}10:11:{k}", moved=k) for k in range(10, 22)},
    **{f"named/IMAG0001_BURST00{k}.jpg": jpeg(PERSON, moved=3 * k) for k in (1, 2, 3)},
    **{f"minute/{k}.jpg": jpeg(CUP, f"{DAY}12:00:0{k}", moved=k) for k in range(4)},
    **{
        f"stopped/{k}.jpg": jpeg(each[::-1], "2000:01:01 00:00:17")
        for k, each in enumerate((CAT, CUP, ROCKET, PERSON))
    },
    "sent/IMG-20240101-WA0001.jpg": jpeg(CAT[:, ::-1]),
    "sent/IMG-20240101-WA0002.jpg": jpeg(CUP[:, ::-1]),
    "sent/IMG-20240102-WA0001.jpg": jpeg(ROCKET[:, ::-1]),
    "sent/Screenshot_20240105-120000.png": encoded(PERSON[:, ::-1].copy(), "PNG"),
}


def by_folder(rows: list[dict[str, Any]], key: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row in sorted(rows, key=lambda each: each["path"]):
        found.setdefault(row["path"].split("/")[-2], []).append(row[key])
    return found


def test_series_and_clocks(iq: Iq) -> None:
    for name, content in FILES.items():
        (iq.cwd / name).parent.mkdir(exist_ok=True)
        (iq.cwd / name).write_bytes(content)
    ran = iq("cull", ".", "--keep", "1", "--per", "burst", "-f", "jsonl")
    verdicts = by_folder(ran.rows, "decision")
    assert verdicts["lapse"] == ["keep"] * 12
    assert by_folder(ran.rows, "set")["lapse"] == ["timelapse"] * 12
    assert sorted(verdicts["named"]) == ["keep", "reject", "reject"]
    assert sorted(verdicts["minute"]) == ["keep", *["reject"] * 3]
    for folder in ("stopped", "sent"):
        assert set(verdicts[folder]) == {"keep"}
    moments = by_folder(
        iq("cull", ".", "--keep", "1", "--per", "scene", "-f", "jsonl").rows, "scene"
    )
    assert moments["stopped"] == moments["sent"] == [None] * 4
    ranked = iq("rank", "sent", "--per", "day", "--limit", "1", "-f", "jsonl").rows
    days = sorted(row["taken"][:10] for row in ranked)
    assert days == ["2024-01-01", "2024-01-02", "2024-01-05"]
    # A day is counted, also where it has no time.
    ran = iq("cull", "sent", "--keep", "1", "--per", "day", "-f", "jsonl", "--max-reject", "100%")
    assert sorted(row["decision"] for row in ran.rows) == ["keep", "keep", "keep", "reject"]
    assert [(row["taken"], row["taken_from"]) for row in ran.rows] == [
        ("2024-01-01", "name"),
        ("2024-01-01", "name"),
        ("2024-01-02", "name"),
        ("2024-01-05T12:00:00", "name"),
    ]
