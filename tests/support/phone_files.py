"""Photos and films as phones write them: with a time, a camera, identifiers; and edits of them."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from support.drawn_scenes import texture
from support.images import encoded, exif_block

if TYPE_CHECKING:
    from iqcli.records import Pixels

NOON, CAMERA = "2024:05:04 10:11:12", "Pixel 7"


def shown(seed: int) -> Pixels:
    """A picture of its own for each seed."""
    base = cv2.resize(texture(seed, 24, 36), (360, 240), interpolation=cv2.INTER_CUBIC)
    return np.asarray(base, np.uint8)


def edit(picture: Pixels) -> Pixels:
    """Cropped, lighter, with more contrast."""
    height, width = picture.shape[:2]
    part = picture[height // 20 : -height // 16, width // 18 : -width // 24]
    return np.clip(part * 1.25 - 10, 0, 255).astype(np.uint8)


@cache
def jpeg(
    seed: int = 1,
    taken: str | None = NOON,
    camera: str | None = CAMERA,
    *,
    edited: bool = False,
    brighter: bool = False,
    software: str | None = None,
    fraction: str | None = None,
    content_id: str | None = None,
    stars: int | None = None,
    kind: str = "JPEG",
) -> bytes:
    """A photo; the same seed is the same picture."""
    tags = {272: camera, 305: software, 0x4746: stars}
    more = {36867: taken, 37521: fraction, 37500: content_id and apple_note(content_id)}
    known = [
        {tag: value for tag, value in each.items() if value is not None} for each in (tags, more)
    ]
    block = exif_block(known[0], known[1])
    picture = edit(shown(seed)) if edited else shown(seed)
    if brighter:
        picture = np.clip(picture * 1.2, 0, 255).astype(np.uint8)
    return encoded(picture, kind, quality=88, exif=block)


def apple_note(content_id: str) -> bytes:
    """Apple's maker note with the identifier of a live photo."""
    text = content_id.encode() + b"\0"
    directory = struct.pack(">HHHII", 1, 0x11, 2, len(text), 32)
    return (b"Apple iOS\0\0\1MM" + directory).ljust(32, b"\0") + text


def film(
    seconds: float | None = 2.5, content_id: str | None = None, made: int = 0, **apple: str
) -> bytes:
    """A film of no picture: its index at the end, as cameras write it. None: without an index.

    `apple` is what else Apple's keys say: model, creationdate.
    """
    front = box(b"ftyp", b"qt  \0\0\0\0qt  ") + box(b"mdat", bytes(2000))
    if seconds is None:
        return front
    header = struct.pack(
        ">IIIII", 0, made + 2_082_844_800 if made else 0, 0, 600, int(600 * seconds)
    )
    inside = box(b"mvhd", header + bytes(80))
    texts = {"content.identifier": content_id, **apple} if content_id else apple
    if texts:
        names = [f"com.apple.quicktime.{name}".encode() for name in texts]
        keys = struct.pack(">II", 0, len(names)) + b"".join(box(b"mdta", name) for name in names)
        items = [
            box(struct.pack(">I", 1 + n), box(b"data", struct.pack(">II", 1, 0) + text.encode()))
            for n, text in enumerate(texts.values())
        ]
        inside += box(b"meta", box(b"keys", keys) + box(b"ilst", b"".join(items)))
    return front + box(b"moov", inside)


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content
