"""A roll with everything that lies in one: five phones, cameras, exports, messengers, backups.

About 220 files. Who builds it says what is in it: which files are one shot, which shots a person
marked, which are whole sets, and which are copies of which. Nothing is asked of iq for that.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from support.drawn_scenes import PHOTOS, photo, texture
from support.hostile_files import segment
from support.images import dng, encoded, exif_block
from support.phone_files import apple_note, edit, film

if TYPE_CHECKING:
    from iqcli.records import Pixels

WIDTH, HEIGHT = SIZE = 384, 256
REAL = (*PHOTOS, "rocket.jpg", "motorcycle_left.png", "hubble_deep_field.jpg")
IPHONE, PIXEL, GALAXY = ("Apple", "iPhone 12"), ("Google", "Pixel 7"), ("samsung", "SM-G991B")
MI, HUAWEI, CANON, GOPRO = (
    ("Xiaomi", "Mi 11"),
    ("HUAWEI", "ELE-L29"),
    ("Canon", "EOS R6"),
    ("GoPro", "HERO9"),
)
LATE = 1_700_000_000
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    'syntax-ns#"><rdf:Description xmlns:p="{space}" {attributes}>{elements}</rdf:Description>'
    "</rdf:RDF></x:xmpmeta>"
)
XAP, WINDOWS = "http://ns.adobe.com/xap/1.0/", "http://ns.microsoft.com/photo/1.0/"
MARKS = {
    "attribute": (XAP, 'p:Rating="4"', ""),
    "element": (XAP, "", "<p:Rating>1</p:Rating>"),
    "bag": (XAP, "", "<p:Rating><rdf:Bag><rdf:li>3</rdf:li></rdf:Bag></p:Rating>"),
    "windows": (WINDOWS, 'p:Rating="75"', ""),
    "percent": (WINDOWS, "", "<p:RatingPercent>99</p:RatingPercent>"),
    "acdsee": ("http://ns.acdsee.com/iptc/1.0/", 'p:rating="5"', ""),
    "digikam": ("http://www.digikam.org/ns/1.0/", 'p:PickLabel="3"', ""),
    "lightroom": ("http://ns.adobe.com/xmp/1.0/DynamicMedia/", 'p:pick="1"', ""),
    "premiere": ("http://ns.adobe.com/xmp/1.0/DynamicMedia/", "", "<p:good>True</p:good>"),
    "mechanic": ("http://ns.camerabits.com/photomechanic/1.0/", 'p:Tagged="True"', ""),
    "fstop": ("http://www.fstopapp.com/xmp/", 'p:favorite="1"', ""),
}
# Nobody's praise: no stars yet, a colour, settings of a converter, a person's own reject.
NO_MARKS = {
    "unrated": (XAP, 'p:Rating="0"', ""),
    "label": (XAP, 'p:Label="Red"', ""),
    "settings": ("http://ns.adobe.com/camera-raw-settings/1.0/", 'p:Exposure="+1.00"', ""),
}
REJECTED = (XAP, 'p:Rating="-1"', "")
TAKEOUT = '{{"title": "{}", "photoTakenTime": {{"timestamp": "{}"}}{}}}'


@dataclass
class Roll:
    """What lies in `root`, by names relative to it.

    `shots` are the files of each shot but the first. Of `copies` each names its original and how it
    differs from it: "copy", "link", "cropped", "recoloured". `strays` belong to no shot.
    """

    root: Path
    shots: dict[str, set[str]] = field(default_factory=dict)
    marked: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    sets: set[str] = field(default_factory=set)
    copies: dict[str, tuple[str, str]] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    strays: set[str] = field(default_factory=set)
    files: int = 0

    def put(self, name: str, data: bytes, age: int = 0) -> None:
        """Write a file that lies `age` days longer than others."""
        path = self.root / name
        assert not path.exists(), name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod((0o644, 0o600, 0o444)[self.files % 3])
        stamp = (LATE - 86_400 * age) * 10**9 + self.files
        os.utime(path, ns=(stamp, stamp))
        self.files += 1

    def stray(self, *names: str, data: bytes = b"not a part of any shot") -> None:
        for name in names:
            self.put(name, data)
            self.strays.add(name)

    def shot(
        self, first: str, data: bytes, beside: dict[str, bytes] | None = None, age: int = 0
    ) -> str:
        """A photo and the files that are its own, by their names in its folder or by whole ones."""
        self.put(first, data, age)
        folder = PurePosixPath(first).parent
        names = set()
        for name, content in (beside or {}).items():
            whole = name if "/" in name else str(folder / name)
            self.put(whole, content, age)
            names.add(whole)
        self.shots[first] = names
        return first

    def copy(
        self,
        first: str,
        data: bytes,
        original: str,
        how: str = "copy",
        beside: dict[str, bytes] | None = None,
    ) -> str:
        """A photo that holds the picture of another one, and came later."""
        self.copies[self.shot(first, data, beside, age=-1)] = (original, how)
        return first

    def data(self, name: str) -> bytes:
        """What was written there."""
        return (self.root / name).read_bytes()

    def link(self, first: str, original: str) -> None:
        """A second name of a file, which is another photo's first."""
        path = self.root / first
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(self.root / original)
        self.shots[first] = set()
        self.copies[first] = (original, "link")
        self.files += 1


class _Pictures:
    """Pictures that have nothing to do with each other, one after the other."""

    def __init__(self) -> None:
        self._good = self._poor = 0

    def good(self) -> Pixels:
        """A real photo, as it is or turned over, which makes it another one."""
        turn, place = divmod(self._good, len(REAL))
        assert turn < 4
        self._good += 1
        found = cv2.resize(photo(REAL[place]), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(found[:: 1 - 2 * (turn >> 1), :: 1 - 2 * (turn & 1)])

    def poor(self) -> Pixels:
        """Blurred clouds."""
        self._poor += 1
        return np.asarray(cv2.GaussianBlur(texture(self._poor, HEIGHT, WIDTH), (0, 0), 4), np.uint8)


def jpeg(
    picture: Pixels,
    camera: tuple[str, str] | None = None,
    taken: str | None = None,
    *,
    fraction: str | None = None,
    note: str | None = None,
    bias: int | None = None,
    tags: dict[int, Any] | None = None,
    kind: str = "JPEG",
    quality: int = 90,
) -> bytes:
    """A photo with what its camera writes into it."""
    if kind == "HEIF":  # which takes long to encode
        picture = half(picture)
    make, model = camera or (None, None)
    more = {36867: taken, 37521: fraction, 37500: note and apple_note(note)}
    if bias is not None:
        more[37380] = (bias, 1)
    known, inner = (
        {tag: value for tag, value in each.items() if value is not None}
        for each in ({271: make, 272: model} | (tags or {}), more)
    )
    exif = {"exif": exif_block(known, inner)} if known or inner else {}
    return encoded(picture, kind, quality=quality, **exif)


def raw(camera: tuple[str, str], taken: str) -> bytes:
    """A raw file as far as its header goes."""
    return exif_block({271: camera[0], 272: camera[1]}, {36867: taken}, "<").removeprefix(
        b"Exif\0\0"
    )


def half(picture: Pixels) -> Pixels:
    size = (picture.shape[1] // 2, picture.shape[0] // 2)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def xmp(space: str, attributes: str, elements: str) -> bytes:
    """A sidecar with one property."""
    return XMP.format(space=space, attributes=attributes, elements=elements).encode()


def with_xmp(data: bytes, packet: bytes) -> bytes:
    """A JPEG that holds this XMP."""
    return data[:2] + segment(0xE1, XAP.encode() + b"\0" + packet) + data[2:]


def takeout(title: str, second: int = 0, more: str = "") -> bytes:
    """What Google Takeout writes beside a photo."""
    return TAKEOUT.format(title, 1_672_567_200 + second, more).encode()


def build(root: Path) -> Roll:
    """The whole roll."""
    roll, pictures = Roll(root), _Pictures()
    for part in (
        _iphone, _pixel, _galaxy, _xiaomi_and_huawei, _cameras, _editors, _series, _takeout,
        _messengers, _marked, _copies, _places, _damaged,
    ):  # fmt: skip
        part(roll, pictures)
    return roll


def _iphone(roll: Roll, pictures: _Pictures) -> None:
    folder, day, live = "DCIM/100APPLE", "2024:05:04", "8A5E0F27-1111-4222-8333-0123456789AB"
    heic = {"camera": IPHONE, "kind": "HEIF"}
    first = jpeg(pictures.good(), taken=f"{day} 10:00:05", note=live, **heic)
    roll.shot(f"{folder}/IMG_1001.HEIC", first, {"IMG_1001.MOV": film(2.5, live)})
    picture, taken = pictures.poor(), f"{day} 10:10:05"
    roll.shot(
        f"{folder}/IMG_E1002.JPG",
        jpeg(edit(picture), IPHONE, taken),
        {
            "IMG_1002.HEIC": jpeg(picture, taken=taken, **heic),
            "IMG_1002.AAE": b"<plist/>",
            "IMG_O1002.AAE": b"<plist/>",
            "IMG_1002.MOV": film(1.5),
        },
    )
    roll.shot(
        f"{folder}/IMG_1003.HEIC",
        jpeg(pictures.poor(), taken=f"{day} 10:20:05", **heic),
        {"IMG_1003_HEVC.MOV": film()},
    )
    roll.shot(
        f"{folder}/FullSizeRender-2369959.jpg",
        jpeg(pictures.good(), IPHONE, f"{day} 10:30:05"),
        {"FullSizeRender_HEVC-4559592.MOV": film()},
    )
    live = live.replace("8A5E", "9B6F")
    roll.shot(
        f"{folder}/IMG_1004.JPG",
        jpeg(pictures.poor(), IPHONE, f"{day} 10:40:05", note=live),
        {"moving.mov": film(2, live)},
    )
    roll.shot(f"{folder}/IMG_1005.JPG", jpeg(pictures.poor(), IPHONE, f"{day} 10:50:05"))
    roll.stray(f"{folder}/IMG_1005.MOV", data=film(1200))
    roll.shot(f"{folder}/IMG_1006.PNG", encoded(pictures.good(), "PNG"))
    picture, taken = pictures.poor(), f"{day} 11:00:05"
    first = roll.shot(
        f"{folder}/IMG_E1007.JPG",
        jpeg(edit(picture), IPHONE, taken),
        {"IMG_1007.JPG": with_xmp(jpeg(picture, IPHONE, taken), xmp(*MARKS["attribute"]))},
    )
    roll.marked.add(first)
    picture = pictures.good()
    for n in range(4):
        data = jpeg(np.roll(picture, 7 * n, 1), IPHONE, f"{day} 11:10:05", fraction=f"{2 * n}00")
        roll.shot(f"{folder}/IMG_10{10 + n}.JPG", data)


def _pixel(roll: Roll, pictures: _Pictures) -> None:
    folder, day = "Pixel/Camera", "2024:05:05"
    picture, taken = pictures.good(), f"{day} 10:11:12"
    one = f"{folder}/PXL_20240505_101112123"
    roll.shot(
        f"{one}~3.jpg",
        jpeg(edit(picture)[:, ::-1], PIXEL, taken),
        {
            Path(f"{one}~2.jpg").name: jpeg(edit(picture), PIXEL, taken),
            Path(f"{one}.jpg").name: jpeg(picture, PIXEL, taken),
        },
    )
    motion = jpeg(pictures.poor(), PIXEL, f"{day} 11:11:12") + film()
    name = "PXL_20240505_111112123.MP"
    roll.shot(f"{folder}/{name}.jpg", motion, {name: film()})
    motion = jpeg(pictures.poor(), PIXEL, "2020:05:04 10:11:12") + film()
    roll.shot(f"{folder}/MVIMG_20200504_101112.jpg", motion)
    taken = f"{day} 12:11:12"
    roll.shot(
        f"{folder}/PXL_20240505_121112123.RAW-01.COVER.jpg",
        jpeg(pictures.good(), PIXEL, taken),
        {"PXL_20240505_121112123.RAW-02.ORIGINAL.dng": raw(PIXEL, taken)},
    )
    wide = roll.shot(
        f"{folder}/PXL_20240505_131112123.PANO.jpg",
        jpeg(pictures.poor()[:120], PIXEL, f"{day} 13:11:12"),
    )
    roll.sets.add(wide)
    picture = pictures.good()
    for n in (1, 2, 3):
        data = jpeg(np.roll(picture, 6 * n, 1), PIXEL, f"{day} 14:11:1{n}")
        roll.shot(f"{folder}/0000{n}IMG_0000{n}_BURST20240505141112.jpg", data)


def _galaxy(roll: Roll, pictures: _Pictures) -> None:
    folder, day = "Galaxy", "2024:05:06"
    for mark in ("", "(1)"):  # two frames of one second
        name = f"{folder}/20240506_101112{mark}.jpg"
        roll.shot(name, jpeg(pictures.good(), GALAXY, f"{day} 10:11:12"))
    picture = pictures.good()
    for n in (1, 2, 3):
        data = jpeg(np.roll(picture, 6 * n, 1), GALAXY, f"{day} 11:12:13")
        roll.shot(f"{folder}/20240506_111213_00{n}.jpg", data)
    picture, taken = pictures.poor(), f"{day} 12:13:14"
    roll.shot(
        f"{folder}/20240506_121314~2.jpg",
        jpeg(edit(picture), GALAXY, taken),
        {
            "20240506_121314.jpg": jpeg(picture, GALAXY, taken) + film(),
            "20240506_121314.mp4": film(3),
        },
    )


def _xiaomi_and_huawei(roll: Roll, pictures: _Pictures) -> None:
    picture, taken = pictures.poor(), "2024:05:07 10:11:12"
    roll.shot(
        "Xiaomi/IMG_20240507_101112_edit_1714817472123.jpg",
        jpeg(edit(picture), MI, taken),
        {"IMG_20240507_101112.jpg": jpeg(picture, MI, taken)},
    )
    for n, end in enumerate(("001_COVER", "002", "003")):
        data = jpeg(np.roll(picture, 9 * n, 0)[:, ::-1], MI, "2024:05:07 11:11:12")
        roll.shot(f"Xiaomi/IMG_20240507_111112_BURST{end}.jpg", data)
    for mark in ("", "_1"):  # the next frame of the same second, no edit
        data = jpeg(pictures.good(), HUAWEI, "2024:05:08 10:11:12")
        roll.shot(f"Huawei/IMG_20240508_101112{mark}.jpg", data)
    roll.shot(
        "Huawei/IMG_20240508_121112.jpg", jpeg(pictures.poor(), HUAWEI, "2024:05:08 12:11:12")
    )


def _cameras(roll: Roll, pictures: _Pictures) -> None:
    for n in (1, 2):
        taken = f"2024:05:09 10:{n}1:12"
        beside = {f"R6/RAW/IMG_200{n}.CR2": raw(CANON, taken), f"R6/RAW/IMG_200{n}.xmp": b" "}
        picture = pictures.poor() if n == 1 else pictures.good()
        beside |= {f"R6/JPG/IMG_200{n}.JPG.dop": b" "} if n == 1 else {}
        roll.shot(f"R6/JPG/IMG_200{n}.JPG", jpeg(picture, CANON, taken), beside)
    taken = "2024:05:09 11:11:12"
    first = roll.shot(
        "R6/IMG_2003.JPG",
        jpeg(pictures.poor(), CANON, taken),
        {"IMG_2003.CR2": raw(CANON, taken), "IMG_2003.xmp": xmp(*MARKS["attribute"])},
    )
    roll.marked.add(first)
    # Another camera counts alike: the same stem, another time.
    roll.shot("R6/IMG_2004.JPG", jpeg(pictures.poor(), CANON, "2024:05:09 12:11:12"))
    other = jpeg(pictures.good(), IPHONE, "2022:01:01 12:00:01", kind="HEIF")
    roll.shot("R6/IMG_2004.HEIC", other)


def _editors(roll: Roll, pictures: _Pictures) -> None:
    whole = (".xmp", ".pp3", ".dop", ".on1", ".cos", ".arp", ".anything", ".exif", "_original")
    stems = ("acr", "vrd", "dr4", "srt", "mie", "yml", "lrf", "wav", "thm", "AAE")
    camera = jpeg(pictures.poor(), CANON, "2024:05:10 10:11:12")
    beside = {f"DSC_0001.JPG{end}": camera if end == "_original" else b" " for end in whole}
    roll.shot("Edited/DSC_0001.JPG", camera, beside | {f"DSC_0001.{end}": b" " for end in stems})
    roll.shot(
        "Edited/DSC_0002.JPG",
        jpeg(pictures.good(), CANON, "2024:05:10 11:11:12"),
        {"DSC_0002_01.JPG.xmp": b" ", "DSC_0002.JPG.jpg.xmp": b" "},
    )
    picture, taken = pictures.poor(), "2024:05:10 12:11:12"
    roll.shot(
        "Edited/DSC_0003-Edit.tif",
        jpeg(edit(picture), CANON, taken, kind="TIFF"),
        {"DSC_0003.JPG": jpeg(picture, CANON, taken), "DSC_0003-Edit.xmp": b" "},
    )
    roll.stray("Edited/notes.txt", "Edited/DSC_00.xmp")


def _series(roll: Roll, pictures: _Pictures) -> None:
    picture = pictures.good()
    for n, bias in enumerate((-2, 0, 2)):
        data = np.clip(picture * 2.0**bias / 3, 0, 255).astype(np.uint8)
        taken = f"2024:05:11 10:11:1{n + 2}"
        roll.sets.add(roll.shot(f"Brackets/IMG_300{n}.JPG", jpeg(data, CANON, taken, bias=bias)))
    picture = pictures.poor()
    for n in range(10):
        data = jpeg(np.roll(picture, n, 1), GOPRO, f"2024:05:12 10:11:{10 + 4 * n}")
        roll.sets.add(roll.shot(f"Lapse/G00100{10 + n}.JPG", data))


def _takeout(roll: Roll, pictures: _Pictures) -> None:
    folder, word = "Takeout/Google Photos/Photos from 2023", ".supplemental-metadata.json"
    name = "IMG_20230101_101112.jpg"
    roll.shot(f"{folder}/{name}", jpeg(pictures.poor()), {name + word: takeout(name)})
    star, name = ', "favorited": true', "IMG_20230101_111112.jpg"
    favourite = roll.shot(
        f"{folder}/{name}", jpeg(pictures.poor()), {name + word: takeout(name, 3600, star)}
    )
    roll.marked.add(favourite)
    picture, name = pictures.poor(), "IMG_20230101_121112.jpg"
    edited = roll.shot(
        f"{folder}/IMG_20230101_121112-bearbeitet.jpg",
        jpeg(edit(picture)),
        {name: jpeg(picture), name + word: takeout(name, 7200, star)},
    )
    roll.marked.add(edited)
    # Names are cut at 46 characters, where numbers follow what they count.
    name = "A_very_long_name_that_some_app_gave_it_20230102.jpg"
    assert len(name) > 46
    roll.shot(f"{folder}/{name}", jpeg(pictures.poor()), {f"{name[:46]}.json": takeout(name)})
    name = "IMG_20230103_101112.jpg"
    cut = f"{name}.supplemental-me"
    roll.shot(f"{folder}/{name}", jpeg(pictures.good()), {f"{cut}.json": takeout(name, 200_000)})
    roll.shot(f"{folder}/IMG_7.jpg", jpeg(pictures.good()), {"IMG_7.jpg.json": takeout("IMG_7")})
    roll.shot(
        f"{folder}/IMG_7(1).jpg",
        jpeg(pictures.poor()),
        {"IMG_7.jpg(1).json": takeout("IMG_7", 300_000)},
    )
    live = "IMG_4001.HEIC"
    roll.shot(
        f"{folder}/{live}",
        jpeg(pictures.good(), IPHONE, "2023:02:01 10:11:12", kind="HEIF"),
        {"IMG_4001.MP4": film(3), live + word: takeout(live, 2_700_000)},
    )
    album = "Takeout/Google Photos/Summer"
    for name in ("IMG_20230101_101112.jpg", "IMG_4001.HEIC"):
        roll.copy(f"{album}/{name}", roll.data(f"{folder}/{name}"), f"{folder}/{name}")
    roll.stray(f"{album}/metadata.json", data=b'{"title": "Summer"}')


def _messengers(roll: Roll, pictures: _Pictures) -> None:
    names = (
        "WhatsApp Images/IMG-20240513-WA0001.jpg",
        "Signal/signal-2024-05-13-10-11-12-123.jpg",
        "Telegram/photo_2024-05-13_10-11-12.jpg",
        "Messenger/received_1234567890.jpeg",
    )
    for n, name in enumerate(names):
        picture = pictures.poor() if n % 2 else pictures.good()
        original = f"DCIM/101APPLE/IMG_110{n}.JPG"
        roll.shot(original, jpeg(picture, IPHONE, f"2024:05:13 09:{n}0:12"))
        roll.copy(name, jpeg(half(picture), quality=70), original)
    # What came from others has no original here.
    for n, name in enumerate(("IMG-20240513-WA0007.jpg", "IMG-20240513-WA0008.jpg")):
        picture = pictures.poor() if n else pictures.good()
        roll.shot(f"WhatsApp Images/{name}", jpeg(half(picture), quality=70))


def _marked(roll: Roll, pictures: _Pictures) -> None:
    for number, mark in enumerate(MARKS.values()):
        first = f"Rated/IMG_50{number:02}.JPG"
        data = jpeg(pictures.poor(), CANON, f"2024:05:14 10:{number * number // 2:02}:12")
        if number % 2:
            roll.shot(first, with_xmp(data, xmp(*mark)))
        else:
            beside = f"IMG_50{number:02}.xmp" if number % 4 else f"IMG_50{number:02}.JPG.xmp"
            roll.shot(first, data, {beside: xmp(*mark)})
        roll.marked.add(first)
    for number, tags in enumerate(({0x4746: 2}, {0x4749: 50})):
        data = jpeg(pictures.poor(), CANON, f"2024:05:14 11:1{number}:12", tags=tags)
        roll.marked.add(roll.shot(f"Rated/IMG_510{number}.JPG", data))
    for number, mark in enumerate(NO_MARKS.values()):
        data = jpeg(pictures.poor(), CANON, f"2024:05:14 12:1{number}:12")
        roll.shot(f"Rated/IMG_520{number}.JPG", data, {f"IMG_520{number}.JPG.xmp": xmp(*mark)})
    data = jpeg(pictures.poor(), CANON, "2024:05:14 13:10:12")
    rejected = roll.shot("Rated/IMG_5300.JPG", data, {"IMG_5300.JPG.xmp": xmp(*REJECTED)})
    roll.rejected.add(rejected)
    for number in range(2):
        data = jpeg(pictures.poor(), CANON, f"2024:05:14 14:1{number}:12")
        roll.shot(f"Picasa/IMG_540{number}.JPG", data)
    roll.marked.add("Picasa/IMG_5400.JPG")
    roll.stray("Picasa/.picasa.ini", data=b"[IMG_5400.JPG]\nstar=yes\n[IMG_5401.JPG]\nrotate=1\n")
    for form, mark in (("NFD", MARKS["bag"]), ("NFC", NO_MARKS["unrated"])):
        name = unicodedata.normalize(form, f"Café {form} ü.jpg")
        beside = unicodedata.normalize("NFC" if form == "NFD" else "NFD", name) + ".xmp"
        data = jpeg(pictures.poor(), CANON, f"2024:05:14 15:{10 + len(roll.shots) % 40}:12")
        first = roll.shot(f"Cafe\u0301s/{name}", data, {beside: xmp(*mark)})
        roll.marked |= {first} if form == "NFD" else set()


def _copies(roll: Roll, pictures: _Pictures) -> None:
    # A backup of a live photo; of one that a person marked; and one that a person marked itself.
    apple, apple_poor = "DCIM/100APPLE/IMG_1001.HEIC", "DCIM/100APPLE/IMG_1003.HEIC"
    roll.copy("Backup/2024/IMG_1001.HEIC", roll.data(apple), apple)
    rated = "Rated/IMG_5000.JPG"
    roll.copy("Backup/2024/rated.jpg", roll.data(rated), rated, beside={"rated.jpg.xmp": b" "})
    picture = pictures.poor()
    data = jpeg(picture, CANON, "2024:05:15 10:11:12")
    own = roll.shot("Backup/best.jpg", data, {"best.jpg.xmp": xmp(*MARKS["element"])}, age=-1)
    roll.marked.add(own)
    roll.copies[roll.shot("R6/IMG_2010.JPG", data)] = (own, "copy")
    # The size of the original, without its metadata; and smaller ones of that.
    original = roll.shot(
        "R6/IMG_2011.JPG", jpeg(pictures.good(), CANON, "2024:05:15 11:11:12", quality=95)
    )
    found = cv2.imdecode(np.frombuffer(roll.data(original), np.uint8), cv2.IMREAD_COLOR_RGB)
    roll.copy("Backup/again.jpg", jpeg(found, quality=60), original)
    roll.copy("Web/small.jpg", jpeg(half(found), quality=60), original)
    roll.copy("Web/cropped.jpg", jpeg(found[12:, :-20]), original, "cropped")
    grey = np.repeat(cv2.cvtColor(found, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    roll.copy("Web/grey.jpg", jpeg(grey), original, "recoloured")
    # Second names of files: of one that stays, and of some of which the worst go.
    roll.link("Linked/stays.jpg", original)
    several = "DCIM/100APPLE/IMG_1005.JPG", "DCIM/101APPLE/IMG_1103.JPG", "R6/IMG_2004.JPG"
    for n, poor in enumerate((*several, apple_poor)):
        roll.link(f"Linked/{n}.jpg", poor)


def _places(roll: Roll, pictures: _Pictures) -> None:
    """Folders of other programs hold photos that are nobody's to move, the same ones and others."""
    same = roll.data("R6/IMG_2011.JPG")
    other = jpeg(pictures.poor(), CANON, "2024:05:16 10:11:12")
    for name in (
        "Photos Library.photoslibrary/originals/0/0A.jpg",
        "Old.aplibrary/Masters/1.jpg",
        "Catalog Previews.lrdata/0/1.jpg",
        "#recycle/IMG_2011.JPG",
        "$RECYCLE.BIN/S-1-5/$R1.jpg",
        ".Trash-1000/files/x.jpg",
        "R6/JPG/@eaDir/IMG_2001.JPG/SYNOPHOTO_THUMB_XL.jpg",
        "Picasa/.picasaoriginals/IMG_5401.JPG",
        "Picasa/.thumbnails/1.png",
        "drafts/IMG_2011.JPG",
    ):
        roll.stray(name, data=same)
        roll.stray(f"{name.removesuffix('.jpg')}.2.jpg", data=other)
    roll.stray("drafts/.nomedia", data=b"")
    # A folder that a person called so is a folder as any other.
    roll.shot("_Rejected/IMG_6000.JPG", jpeg(pictures.poor(), CANON, "2024:05:16 11:11:12"))


def _damaged(roll: Roll, pictures: _Pictures) -> None:
    whole = jpeg(pictures.good(), CANON, "2024:05:17 10:11:12", quality=95)
    roll.shot("Card/IMG_7000.JPG", whole[: len(whole) // 2])
    whole = jpeg(pictures.poor(), CANON, "2024:05:17 11:11:12", quality=95)
    roll.shot("Card/IMG_7001.JPG", whole[: len(whole) * 2 // 3], {"IMG_7001.JPG.xmp": b" "})
    for name, data in (("IMG_7002.JPG", b""), ("IMG_7003.JPG", bytes(4096))):
        roll.unreadable.add(roll.shot(f"Card/{name}", data, {f"{name}.xmp": b" "}))
    # A JPEG that was never written whole is stood in for by its raw file.
    beside = {"IMG_7005.JPG": b"", "IMG_7005.xmp": b" "}
    roll.shot("Card/IMG_7005.DNG", dng(pictures.good(), jpeg(pictures.poor()), SIZE), beside)
    heic = jpeg(pictures.good(), IPHONE, "2024:05:17 12:11:12", kind="HEIF")
    roll.unreadable.add(roll.shot("Card/IMG_7004.HEIC", heic[:300]))
