"""Files of formats that Pillow cannot write: PSD, boxes of JPEG 2000 and JPEG XL, HEIF of tiles."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import brotli
from PIL import Image
from pillow_jxl import Encoder
from support.images import encoded

from iqcli.photos.codecs.boxes import coded_items, primary_properties

if TYPE_CHECKING:
    from iqcli.records import Pixels

XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
EXIF_UUID = b"JpgTiffExif->JP2"
SIGNATURE = b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl "


def box(name: bytes, content: bytes) -> bytes:
    """A box of an ISO media file."""
    return struct.pack(">I", 8 + len(content)) + name + content


def jxl(image: Pixels | Image.Image) -> bytes:
    """A bare JPEG XL codestream, without loss."""
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    data = _encoder(image.mode)(image.tobytes(), *image.size, jpeg_encode=False)
    return bytes(data)


def jxl_of_jpeg(jpeg: bytes, width: int, height: int) -> bytes:
    """A JPEG packed without loss."""
    return bytes(_encoder("RGB")(jpeg, width, height, jpeg_encode=True))


def _encoder(mode: str) -> Encoder:
    return Encoder(
        mode=mode,
        lossless=True,
        quality=100,
        decoding_speed=0,
        effort=3,
        use_container=False,
        use_original_profile=False,
        num_threads=0,
    )


def jxl_container(
    codestream: bytes, exif: bytes = b"", xmp: bytes = b"", packed: bool = False
) -> bytes:
    """A JPEG XL container, its metadata `packed` by Brotli."""
    data = SIGNATURE
    for name, content in ((b"Exif", b"\0\0\0\0" + exif if exif else b""), (b"xml ", xmp)):
        if content and packed:
            data += box(b"brob", name + brotli.compress(content))
        elif content:
            data += box(name, content)
    return data + box(b"jxlc", codestream)


def jp2_with(data: bytes, exif: bytes = b"", xmp: bytes = b"", icc: bytes = b"") -> bytes:
    """A JP2 with metadata, and a profile in place of its enumerated colour space."""
    if icc:
        at, head = data.index(b"colr") - 4, data.index(b"jp2h") - 4
        length, size = (int.from_bytes(data[each : each + 4], "big") for each in (at, head))
        colour = box(b"colr", b"\2\0\0" + icc)
        whole = struct.pack(">I", size - length + len(colour))
        data = data[:head] + whole + data[head + 4 : at] + colour + data[at + length :]
    extra = box(b"uuid", EXIF_UUID + exif) if exif else b""
    extra += box(b"uuid", XMP_UUID + xmp) if xmp else b""
    at = data.index(b"jp2c") - 4
    return data[:at] + extra + data[at:]


# Photoshop's numbers of the modes.
PSD_MODES = {"L": 1, "RGB": 3, "RGBA": 3, "CMYK": 4, "LAB": 9}


def psd(
    picture: Pixels | Image.Image, resources: dict[int, bytes] | None = None, **header: int
) -> bytes:
    """A flattened Photoshop file, uncompressed. `header` may give `depth`, `mode` and `version`."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    bands = image.split()
    if image.mode == "CMYK":
        bands = tuple(band.point(lambda value: 255 - value) for band in bands)
    mode = header.get("mode", PSD_MODES[image.mode])
    head = b"8BPS" + struct.pack(">H6x", header.get("version", 1))
    head += struct.pack(
        ">HIIHH", len(bands), image.height, image.width, header.get("depth", 8), mode
    )
    blocks = b""
    for number, content in (resources or {}).items():
        blocks += b"8BIM" + struct.pack(">H2xI", number, len(content)) + content
        blocks += b"\0" * (len(content) % 2)
    parts = struct.pack(">I", 0) + struct.pack(">I", len(blocks)) + blocks + struct.pack(">I", 0)
    return head + parts + b"\0\0" + b"".join(band.tobytes() for band in bands)


def heif_grid(picture: Pixels) -> bytes:
    """A HEIF of four tiles, as phones write it; the sides of the picture are even numbers."""
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    tiles, codec = list[bytes](), b""
    for row in (0, height):
        for column in (0, width):
            file = encoded(picture[row : row + height, column : column + width], "HEIF")
            ((begin, end),) = coded_items(file)[0]
            tiles.append(file[begin:end])
            codec = dict(primary_properties(file))[b"hvcC"]
    layout = struct.pack(">BBBBHH", 0, 0, 1, 1, 2 * width, 2 * height)
    parts = [(5, layout), *enumerate(tiles, 1)]
    kinds = [b"hvc1"] * 4 + [b"grid"]
    infos = [
        box(b"infe", struct.pack(">IHH4sx", 2 << 24 | (kind == b"hvc1"), item, 0, kind))
        for item, kind in enumerate(kinds, 1)
    ]
    sizes = [
        box(b"ispe", struct.pack(">III", 0, across, down))
        for across, down in ((width, height), (2 * width, 2 * height))
    ]
    uses = [struct.pack(">HBBB", item, 2, 0x81, 2) for item in range(1, 5)]
    uses.append(struct.pack(">HBB", 5, 1, 3))
    head = box(b"ftyp", b"heic\0\0\0\0mif1heic")

    def meta(at: int) -> bytes:
        places = b""
        for item, part in parts:
            places += struct.pack(">HHHII", item, 0, 1, at, len(part))
            at += len(part)
        return box(
            b"meta",
            bytes(4)
            + box(b"hdlr", bytes(8) + b"pict" + bytes(13))
            + box(b"pitm", struct.pack(">IH", 0, 5))
            + box(b"iloc", struct.pack(">IBBH", 0, 0x44, 0, 5) + places)
            + box(b"iinf", struct.pack(">IH", 0, 5) + b"".join(infos))
            + box(b"iref", bytes(4) + box(b"dimg", struct.pack(">HH4H", 5, 4, 1, 2, 3, 4)))
            + box(
                b"iprp",
                box(b"ipco", box(b"hvcC", codec) + b"".join(sizes))
                + box(b"ipma", struct.pack(">II", 0, 5) + b"".join(uses)),
            ),
        )

    before = len(head) + len(meta(0)) + 8
    return head + meta(before) + box(b"mdat", b"".join(part for _, part in parts))
