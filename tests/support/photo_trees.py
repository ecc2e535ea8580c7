"""Real trees of photos, and a tree as a dict to compare before and after."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import unicodedata
from collections import Counter
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from support.phone_files import jpeg

from iqcli.culling import planner as plans
from iqcli.photos.find import find_shots
from iqcli.records import Decision, Marks, Photo, Rating, Shot, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from iqcli.transactions.plan import Plan

Tree = dict[bytes, tuple[object, ...]]

SHOTS = (
    ("IMG_0001.JPG", "IMG_0001.JPG.xmp"),
    ("2024/IMG_1234.HEIC", "2024/IMG_1234.MOV", "2024/IMG_O1234.AAE"),
    ("2024/deep/-x\n\x1b[31m caf\udce9.jpg",),
)
STAYS = ("2024/IMG_1235.HEIC", "notes.txt", "2024/deep/x.jpg")
# An edit with its original and all that programs put beside it; copies, and a file of two names.
FAMILY = (
    (
        *("DCIM/IMG_E0002.JPG", "DCIM/IMG_0002.HEIC", "DCIM/IMG_0002.JPG_original"),
        *("DCIM/IMG_0002.HEIC.cos", "DCIM/IMG_0002.acr", "DCIM/IMG_0002_HEVC.MOV"),
    ),
    ("Backup/IMG_0001.JPG", "Backup/IMG_0001.JPG.pp3"),
    ("DCIM/IMG_0003.JPG",),
    ("Linked/three.jpg",),
)
# What holds the same bytes and stays: an original, and what other programs keep.
SAME = ("DCIM/IMG_0001.JPG", "#recycle/IMG_0001.JPG", "a.photoslibrary/originals/1.jpg")


def grow(root: Path, names: Iterable[str]) -> None:
    """Write a small file of its own under each name, with a time and mode of its own."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(name) * (1 + number % 3))
        path.chmod((0o644, 0o600, 0o444)[number % 3])
        os.utime(path, ns=(1_500_000_000_000_000_007 + number, 1_600_000_000_123_456_789 + number))


def grow_shots(root: Path) -> None:
    """The tree of `SHOTS` and `STAYS`."""
    grow(root, [name for names in SHOTS for name in names] + list(STAYS))


def grow_family(root: Path) -> None:
    """The tree of `FAMILY` and `SAME`."""
    grow(root, [name for names in FAMILY[:-1] for name in names])
    for name in (*SAME, FAMILY[3][0]):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
    for name in SAME[:2]:
        shutil.copy2(root / FAMILY[1][0], root / name)
    (root / SAME[2]).hardlink_to(root / FAMILY[1][0])
    (root / FAMILY[3][0]).hardlink_to(root / FAMILY[2][0])


def tree(root: Path) -> Tree:
    """Each path under root, with kind, mode, and for files time and content."""
    found: Tree = {}
    for folder, folders, names in os.walk(os.fsencode(root)):
        for name in folders + names:
            path = os.path.join(folder, name)  # noqa: PTH118
            found[os.path.relpath(path, os.fsencode(root))] = _leaf(path)
    return found


def _leaf(path: bytes) -> tuple[object, ...]:
    status = os.lstat(path)
    if os.path.islink(path):  # noqa: PTH114
        return ("link", os.readlink(path))  # noqa: PTH115
    if os.path.isdir(path):  # noqa: PTH112
        return ("folder", status.st_mode)
    with open(path, "rb") as file:  # noqa: PTH123
        digest = hashlib.sha256(file.read()).hexdigest()
    return ("file", status.st_mode, status.st_mtime_ns, digest)


def contents(root: Path) -> set[object]:
    """The content of every file, wherever it lies."""
    return set(counts(root))


def counts(root: Path) -> Counter[object]:
    """Under how many names each content lies: where there are copies, none of them may be lost."""
    return Counter(leaf[-1] for leaf in tree(root).values() if leaf[0] == "file")


def judged(root: Path, names: Sequence[str], score: float | None = 2.0, stars: int = 0) -> Photo:
    """A shot of these files with that score; without one it could not be judged."""
    path, *companions = (root / name for name in names)
    shot = Shot(root, path, tuple(sorted(companions)))
    if score is None:
        return Photo(shot, marks=Marks(stars), error="cannot be decoded")
    return Photo(shot, marks=Marks(stars), rating=Rating(score, 0.5, "fusion-mini"))


def rejected(root: Path, shots: Iterable[Sequence[str]] = SHOTS) -> list[Decision]:
    """The decision to reject each of these shots."""
    why = ("score 2.0 is below 4.0",)
    return [Decision(judged(root, names), Verdict.REJECT, why, ("below",)) for names in shots]


def plan_for(root: Path, shots: Iterable[Sequence[str]] = SHOTS, action: str = "move") -> Plan:
    """The plan that rejects these shots."""
    return plans.make(rejected(root, shots), "below 4.0", "fusion-mini", action)


def grow_planned(root: Path, shots: Mapping[str, Sequence[str]]) -> Plan:
    """Write the files of these shots and plan to reject them all."""
    grow(root, [name for names in shots.values() for name in names])
    return plan_for(root, list(shots.values()))


STEMS = [
    "IMG_0001", "img_0001", "IMG_E0001", "-x", "=x", "+cmd|' /C calc'!A0", "a\nb", "\x1b[31mred",
    "caf\udce9", "caf\udcc3", "日本", "é", "e\u0301", " lead", "trail ", "[bold]", "a*b?", "..x",
    "~", "$HOME", "`id`", "%s", "\u202egpj", "x" * 200, "_Rejected", "again-2", ".hidden", "'\"\\",
]  # fmt: skip


FOLDERS = [*STEMS[:24], "2024", "2024/01", "deep/er/still", "_Rejected-x", "again-3"]


# Folders of other programs: what lies there is no shot, and stays.
OWNED = ["#recycle", "$RECYCLE.BIN", "@eaDir", "a.photoslibrary", "b.lrlibrary", "lost+found"]


COMPANIONS = [
    *(".xmp", ".JPG.xmp", ".MOV", ".AAE", "_HEVC.MOV", ".RAW-01.COVER.jpg", ".JPG_original"),
    *(".JPG.cos", ".acr", ".JPG.supplemental-me.json", "_1.mov", ".JPG.jpg.xmp", ".JPG~"),
    *(".JPG.pp3", ".JPG.dop", ".dop", ".on1", ".vrd", ".dr4", ".srt", ".mie", ".JPG.anything"),
]
BESIDE = [each for each in COMPANIONS if not each.endswith(".jpg")]
EDITS = ["-edited.JPG", "~2.JPG", "_edited.jpeg", "-Edit.tif", "(1).JPG", "-bearbeitet.heic"]


def random_names(chance: random.Random) -> list[str]:
    """Relative names of photos with some companions."""
    names: dict[str, None] = {}
    for _ in range(chance.randint(1, 40)):
        folder = chance.choice(["", *FOLDERS])
        base = f"{folder}/{chance.choice(STEMS)}".lstrip("/") + f"_{chance.randint(1, 9)}"
        kinds = chance.sample(COMPANIONS, chance.randint(0, 3))
        names |= dict.fromkeys([f"{base}.JPG", *(base + kind for kind in kinds)])
    return list(names)


def grow_copies(root: Path, chance: random.Random) -> list[str]:
    """Copies of some photos, exact ones and hard links, and what other programs keep of them.

    Returns the names of what other programs keep.
    """
    photos = sorted(path for path in root.rglob("*.JPG") if path.name != "theirs.jpg")
    owned = []
    for number, path in enumerate(chance.sample(photos, min(len(photos), 6))):
        is_owned = chance.random() < 0.3
        place = (
            f"{chance.choice(OWNED)}/originals" if is_owned else chance.choice(["Backup", "A/B"])
        )
        folder = root / chance.choice(["", "2024"]) / place
        folder.mkdir(parents=True, exist_ok=True)
        name = chance.choice([f"{number} {path.name}"[:240], f"IMG-20240504-WA{number:04}.jpg"])
        if chance.random() < 0.5:
            (folder / name).hardlink_to(path)
        else:
            shutil.copyfile(path, folder / name)
            os.utime(folder / name, ns=(1, 1_650_000_000_123_456_789 + number))
        if is_owned:
            owned.append(str((folder / name).relative_to(root)))
    return owned


def grow_known(root: Path, chance: random.Random) -> dict[str, set[str]]:
    """Real photos with edits, films and sidecars under hostile names; the files by their shot.

    Some names are composed where those beside them are not.
    """
    known: dict[str, set[str]] = {}
    for number in range(chance.randint(1, 12)):
        folder = chance.choice(["", *FOLDERS])
        stem = chance.choice(STEMS) + f"_{number}x"
        base, decomposed = (
            f"{folder}/{each}".lstrip("/") for each in (stem, unicodedata.normalize("NFD", stem))
        )
        day = {"taken": f"2024:05:{number + 1:02} 10:00:00"}
        files = {f"{base}.JPG": jpeg(number, **day)}
        for ending in chance.sample(EDITS, chance.randint(0, 2)):
            kind = {"tif": "TIFF", "heic": "HEIF"}.get(ending.rpartition(".")[2], "JPEG")
            files[base + ending] = jpeg(number, **day, edited=True, kind=kind)
        for ending in chance.sample(BESIDE, chance.randint(0, 6)):
            files.setdefault(chance.choice((base, decomposed)) + ending, b" ")
        for name, data in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)
        known[base] = set(files)
    return known


def shots_in(root: Path) -> list[list[str]]:
    """The shots as a walk finds them, by relative names."""
    found = find_shots([root], default_excludes=False, on_problem=lambda *_: None)
    shots = [[str(path.relative_to(root)) for path in shot.files] for shot in found]
    return [shot for shot in shots if not set(OWNED).intersection(PurePath(shot[0]).parts)]
