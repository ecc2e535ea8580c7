"""Small files in every container whose metadata iq reads without decoding a pixel."""

from __future__ import annotations

import struct
from functools import cache

from support.drawn_scenes import texture
from support.hostile_files import jpeg_with, segment
from support.images import dng, encoded, exif_block
from support.more_formats import jxl_container
from support.phone_files import CAMERA, NOON, apple_note, box, film, jpeg

from iqcli.photos.codecs.quicktime import CREATED

ID = "8A5E0F27-1111-4222-8333-0123456789AB"
PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description xmlns:p="http://ns.adobe.com/xap/1.0/" p:Rating="4">'
    b"<p:CreateDate>2020-01-02T03:04:05.67+01:00</p:CreateDate></rdf:Description></rdf:RDF>"
    b"</x:xmpmeta>"
)
EXIF = exif_block(
    {271: "Apple", 272: CAMERA, 305: "16.1", 0x4746: 3},
    {36867: NOON, 37521: "123", 37500: apple_note(ID)},
)
TIFF = EXIF.removeprefix(b"Exif\0\0")


@cache
def photos() -> dict[str, bytes]:
    """By their names."""
    picture = texture(3, 96, 128)
    plain = encoded(picture, "JPEG")
    small = encoded(picture, "JPEG", exif=EXIF)
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + PACKET)
    raf = b"FUJIFILMCCD-RAW 0201FF119504X-T3".ljust(84, b"\0") + struct.pack(">II", 92, len(small))
    directories = box(b"CMT1", TIFF) + box(b"CMT2", TIFF)
    inside = box(b"uuid", bytes.fromhex("85c0b687820f11e08111f4ce462b6a48") + directories)
    return {
        "a.jpg": small,
        "b.jpg": jpeg_with(xmp, jpeg(2, content_id=ID, fraction="5", stars=2)),
        "c.heic": encoded(picture, "HEIF", exif=EXIF),
        "d.avif": encoded(picture, "AVIF", exif=EXIF, speed=10),
        "e.png": encoded(picture, "PNG", exif=EXIF),
        "f.webp": encoded(picture, "WEBP", exif=EXIF),
        "g.tif": encoded(picture, "TIFF", exif=EXIF),
        "h.dng": dng(picture, plain, (128, 96)),
        "i.cr2": exif_block({272: CAMERA}, {36867: NOON}, "<").removeprefix(b"Exif\0\0"),
        "j.raf": raf + small,
        "k.cr3": box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", inside) + bytes(2000),
        "m.jpg": plain,
        "n.webp": encoded(picture, "WEBP"),
        "o.heic": encoded(picture, "HEIF"),
        "l.jxl": jxl_container(b"\xff\x0a" + bytes(50), TIFF, PACKET),
    }


@cache
def films() -> dict[str, bytes]:
    """By their names."""
    avi = b"RIFF\0\0\1\0AVI LIST\xc0\0\0\0hdrlavih8\0\0\0" + struct.pack("<I", 33_333) + bytes(12)
    moov = moov_of(CREATED, b"2020-01-02T03:04:05+0100")
    return {
        "p.mov": film(2.5, ID, 1_700_000_000),
        "q.mp4": box(b"ftyp", b"isom") + moov + box(b"mdat", bytes(500)),
        "r.avi": avi + struct.pack("<I", 75) + bytes(400),
    }


def moov_of(key: bytes, text: bytes) -> bytes:
    """The index of a film with a long header, and a text among its metadata."""
    keys = box(b"keys", struct.pack(">II", 0, 1) + box(b"mdta", key))
    item = box(b"data", struct.pack(">II", 1, 0) + text)
    items = box(b"ilst", box(struct.pack(">I", 1), item))
    head = struct.pack(">BxxxQQIQ", 1, 3_600_000_000, 0, 600, 1500) + bytes(80)
    return box(b"moov", box(b"mvhd", head) + box(b"meta", bytes(4) + keys + items))


def heif_of_exif(text: bytes, place: bytes = b"") -> bytes:
    """A HEIF whose EXIF has this text for camera and time; where it lies, or `place` says so."""
    tags = (271, 272, 305, 36867, 36868, 37521, 37522)
    entries = b"".join(struct.pack("<HHII", tag, 2, len(text), 100) for tag in tags)
    exif = bytes(4) + (b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries).ljust(
        100, b"\0"
    )
    exif += text
    info = box(b"iinf", bytes(4) + b"\0\1" + box(b"infe", b"\2\0\0\0\0\2\0\0Exif\0"))

    def front(at: bytes) -> bytes:
        sizes = bytes([len(at) << 4 | 4, 0])
        extent = b"\0\2\0\0\0\1" + at + struct.pack(">I", len(exif))
        index = box(b"iloc", bytes(4) + sizes + b"\0\1" + extent)
        return box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(4) + info + index)

    return front(place or struct.pack(">I", len(front(bytes(4))))) + exif


def heif_of_places(entries: bytes) -> bytes:
    """A HEIF that says where as many items lie as there can be."""
    info = box(b"iinf", bytes(4) + b"\0\1" + box(b"infe", b"\2\0\0\0\0\2\0\0Exif\0"))
    index = box(b"iloc", b"\2\0\0\0\0\0" + b"\xff" * 4 + entries)
    return box(b"ftyp", b"heic\0\0\0\0mif1heic") + box(b"meta", bytes(4) + info + index)
