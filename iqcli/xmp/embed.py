"""XMP written into copies of photos, by ExifTool; a copy counts only if nothing else changed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from iqcli.errors import PhotoError
from iqcli.fs import durable
from iqcli.fs.files import require_writable
from iqcli.fs.read import PHOTO_BYTES, read_regular
from iqcli.xmp.profiles import is_raw
from iqcli.xmp.write import PendingEdit, edit_packet

if TYPE_CHECKING:
    from pathlib import Path

    from iqcli.fs.scratch import ScratchFolder
    from iqcli.photos.decode import Picture
    from iqcli.records import Facts
    from iqcli.xmp.exiftool import ExifTool
    from iqcli.xmp.write import XmpUpdate

# A packet may go on elsewhere in a JPEG, named by a digest that an edit would leave behind.
EXTENDED = b"HasExtendedXMP"
# Tags of where things lie in the file, and of the packet: a TIFF keeps both among its tags.
MOVED = ("Offset", "SubIFDs", "JPEGInterchangeFormat", "ApplicationNotes", "XMLPacket")


@dataclass(frozen=True, slots=True)
class RewrittenPhoto:
    """A photo with other bytes: the sha256 `before` and `after`, and its metadata now."""

    before: str
    after: str
    facts: Facts


@dataclass
class Embedder:
    """Makes copies of photos with an update in them, which are removed with the scratch folder.

    `rewritten` are those made so far.
    """

    scratch: ScratchFolder
    tool: ExifTool
    max_megapixels: float
    rewritten: list[RewrittenPhoto] = field(default_factory=list)

    def accepts(self, photo: Path) -> bool:
        """Whether a photo may be written into, by its name: of raw files only DNG."""
        return not is_raw(photo)

    def edit(self, path: Path, update: XmpUpdate, when: str) -> PendingEdit:
        """A copy beside the photo, with the update in it.

        Raises BrokenPacket, PhotoError and OSError; the photo is left alone.
        """
        from iqcli.photos.reading import kind_of

        require_writable(path)
        old = read_regular(path, PHOTO_BYTES)
        kept = False

        def change(packet: bytes | None) -> bytes:
            nonlocal kept
            if packet and EXTENDED in packet:
                raise PhotoError("has an XMP packet in several parts")
            edited = edit_packet(packet, update, when)
            kept = edited.kept
            return edited.packet

        kind = kind_of(old)
        new = self.tool.change_packet(old, kind, change)
        if new == old:
            return PendingEdit(None, None, kept)
        before, after = (hashlib.sha256(each).hexdigest() for each in (old, new))
        self.rewritten.append(RewrittenPhoto(before, after, self._checked(old, new, kind)))
        part = self.scratch.part_beside(path)
        durable.write_part(part, [new], path.lstat())
        return PendingEdit(before, part, kept)

    def _checked(self, old: bytes, new: bytes, kind: str) -> Facts:
        """The metadata of the new photo. Raises PhotoError where more than its XMP differs."""
        from iqcli.photos.read import photo_errors, read_photo

        with photo_errors(kind):  # a photo has a score already if its preview can be read
            one, two = (self._picture(each, kind) for each in (old, new))
            same = _same(one, two) and all(same(old, new) for same in CHECKS.get(kind, ()))
        if not same:
            raise PhotoError("ExifTool would change more of it than its XMP")
        return read_photo(new, max_megapixels=self.max_megapixels)[0]

    def _picture(self, data: bytes, kind: str) -> Picture:
        from iqcli.photos.decode import decode
        from iqcli.photos.raw import decode_raw

        if kind == "dng":
            return decode_raw(data, self.max_megapixels)
        return decode(data, kind, self.max_megapixels, whole=True)


def _same(one: Picture, two: Picture) -> bool:
    """Whether pixels, colour profile, turn and tags are the same."""
    import numpy as np

    tags = ({k: v for k, v in each.tags.items() if not _is_moved(k)} for each in (one, two))
    return (
        np.array_equal(one.pixels, two.pixels)
        and one.profile == two.profile
        and one.orientation == two.orientation
        and str(next(tags)) == str(next(tags))
    )


def _is_moved(tag: str) -> bool:
    return any(word in tag for word in MOVED)


def _same_scan(old: bytes, new: bytes) -> bool:
    """Whether a JPEG's compressed picture, and all that follows it, are byte for byte equal.

    Source: ITU-T T.81, B.1.1: the segments before the scan have a marker and a length.
    """
    at = 2
    while old[at : at + 1] == b"\xff" and old[at + 1] != 0xDA:
        at += 2 + int.from_bytes(old[at + 2 : at + 4], "big")
    return new.endswith(old[at:])


def _same_sensor(old: bytes, new: bytes) -> bool:
    """Whether a raw file holds the same values of the sensor."""
    import numpy as np

    from iqcli.photos.raw import sensor

    return np.array_equal(sensor(old), sensor(new))


# What else must be equal in files of some formats.
CHECKS = {"jpeg": [_same_scan], "dng": [_same_sensor]}
