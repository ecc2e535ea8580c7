"""Folders that belong to other programs: what they are called, and that nothing is written there.

Libraries (Photos, Lightroom, Capture One, Immich, ...), recycle bins, snapshots, and what programs
keep for themselves: thumbnails, previews, caches. A folder is only listed here if no person calls
one of their own so, or if what lies in it or beside it proves whose it is: `thumbs`, `Thumbnails`
or `darktable_exported` alone prove nothing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

from iqcli.errors import IqError
from iqcli.text import display_path, escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Kind(Enum):
    """What a program keeps in a folder; see `OtherProgram.clause`."""

    LIBRARY = auto()
    BIN = auto()
    SNAPSHOTS = auto()
    CACHE = auto()
    SYSTEM = auto()


_CLAUSES = {
    Kind.BIN: "is the recycle bin of {}",
    Kind.SNAPSHOTS: "holds copies that {} made",
    Kind.CACHE: "holds pictures that {} made for itself",
}


@dataclass(frozen=True, slots=True)
class OtherProgram:
    """The program that a folder belongs to, and what it keeps there."""

    name: str
    kind: Kind

    @property
    def clause(self) -> str:
        """What it is, as in "belongs to Apple Photos"."""
        return _CLAUSES.get(self.kind, "belongs to {}").format(self.name)

    @property
    def short_name(self) -> str:
        """The name under which it is found on the person's machine."""
        return self.name.removeprefix("Apple ")

    @property
    def way_out(self) -> str:
        """What to do to change the photos in it."""
        if self.kind is Kind.LIBRARY:
            return f"export the originals from {self.short_name} first"
        if self.kind is Kind.CACHE:
            return "name the folder of the photos themselves"
        return "copy the photos out of it first"


def _rows(kind: Kind, **names: str) -> dict[str, OtherProgram]:
    """By each name (in lower case, parted by |) the program; `_` in a program is a blank."""
    return {
        each.strip().lower(): OtherProgram(program.replace("_", " "), kind)
        for program, text in names.items()
        for each in text.split("|")
    }


# All compare without case: Windows, macOS and what exports their disks change it.
NAMES = {
    **_rows(
        Kind.BIN,
        Synology="#recycle | @sharebin",
        QNAP="@recycle | network recycle bin",
        Windows="$recycle.bin | recycle.bin | recycle bin | recycler",
        macOS=".trash | .trashes | network trash folder",
        Samba=".recycle | .recycle.bin | .deleted",
        Western_Digital=".!@#$recycle",
        Buffalo="trashbox",
        Nextcloud="files_trashbin",
        Syncthing=".stversions",
        digiKam=".dtrash",
        the_file_system="lost+found | lost.dir",
    ),
    **_rows(
        Kind.SNAPSHOTS,
        Synology="#snapshot | @sharesnap",
        QNAP="@recently-snapshot",
        snapper=".snapshots | @snapshots",
        the_NAS=".snapshot | ~snapshot | .zfs | .btrfs",
        Timeshift="timeshift-btrfs",
        Apple_devices="mobilesync",
        Time_Machine="backups.backupdb | .mobilebackups | .timemachine",
        Windows="windowsimagebackup",
        Nextcloud="files_versions",
        Picasa=".picasaoriginals",
        ACDSee="[originals] | [developed]",
    ),
    **_rows(
        Kind.CACHE,
        Synology="@eadir | @synoeadir | .synologyworkingdirectory | @img_bkp_cache"
        " | @tmp | @synophoto | @synodrive | @synologydrive | @activebackup | @synoresource",
        QNAP="@__thumb | .@__thumb | @transcode | .@__comp | .@upload_cache | .@__qini",
        Asustor=".@metadata | .@thumb",
        Western_Digital=".wdmc | .wdphotos | .wdcache",
        Twonky=".twonkymedia",
        the_desktop=".thumbnails | .thumbs | .thumbcache | .cache | .xvpics",
        Android=".face | .gallery2 | .gallery3d | .thumbdata",
        iTunes="ipod photo cache",
        FrontPage="_vti_cnf",
        Dropbox=".dropbox.cache",
        OneDrive="onedrivetemp",
        Google_Drive=".tmp.drivedownload | .tmp.driveupload",
        PhotoPrism=".photoprism",
        Adobe="adobe bridge cache | media cache files | adobe premiere pro video previews",
        Mylio="generated images.bundle",
        Plex="plex media server | plex versions | phototranscoder",
        Kodi="extrathumbs | .actors",
        the_camera="thmbnl",
    ),
    **_rows(Kind.LIBRARY, Photo_Booth="photo booth library"),
    **_rows(
        Kind.SYSTEM,
        Synology="@appstore | @appdata | @apphome | @appconf | @apptemp | @appshare | @database",
        TrueNAS="ix-applications | .ix-apps | .ix-virt",
        Windows="system volume information | $windows.~bt | $windows.~ws | $winreagent | $sysreset"
        " | $getcurrent | windows.old | config.msi | msocache | windowsapps",
        macOS="temporary items | .temporaryitems | .spotlight-v100 | .fseventsd"
        " | .documentrevisions-v100 | .appledouble | .appledb | .appledesktop",
        Git=".git",
        Subversion=".svn",
        Mercurial=".hg",
        npm="node_modules | bower_components",
        Python="__pycache__",
        Syncthing=".stfolder",
        Resilio=".sync",
        Seafile="seafile-data | .seafile-data",
    ),
}

# By the ending of the folder's name.
ENDINGS = {
    **_rows(
        Kind.LIBRARY,
        Apple_Photos="photoslibrary",
        Apple_iPhoto="photolibrary | migratedphotolibrary",
        Apple_Aperture="aplibrary | migratedaplibrary | apvault",
        Lightroom="lrlibrary",
        Capture_One="cocatalog | cosessiondb",
        Final_Cut_Pro="fcpbundle",
        iMovie="imovielibrary",
        Apple_Music="musiclibrary",
        Apple_TV="tvlibrary",
        Apple_Contacts="abbu",
    ),
    **_rows(Kind.CACHE, Lightroom="lrdata | lrcat-data", Jellyfin="trickplay"),
    **_rows(Kind.SNAPSHOTS, Time_Machine="sparsebundle | backupbundle"),
}


def _patterns(*rows: tuple[str, str, Kind]) -> list[tuple[re.Pattern[str], OtherProgram]]:
    return [
        (re.compile(text, re.IGNORECASE), OtherProgram(name, kind)) for text, name, kind in rows
    ]


_PATTERNS = _patterns(
    (r"\.trash-.+", "Linux", Kind.BIN),
    (r"network recycle bin \d+", "QNAP", Kind.BIN),
    (r"recycle bin - volume_\d+", "Western Digital", Kind.BIN),
    (r"_nas_recycle_\w+", "Thecus", Kind.BIN),
    (r"found\.\d\d\d", "the file system", Kind.BIN),
    (r"@gmt-\d{4}\.\d\d\.\d\d-\d\d\.\d\d\.\d\d", "Windows", Kind.SNAPSHOTS),
    (r"appdata_oc[a-z0-9]+", "Nextcloud", Kind.CACHE),
    (r"mipmaps-[0-9a-f]+\.d", "darktable", Kind.CACHE),
)
_PATTERN_STARTS = tuple("._rnf@am")

_GOOGLE_BINS = (
    "trash|bin|papierkorb|corbeille|papelera|cestino|lixeira|prullenbak|papperskorg|papirkurv"
    "|roskakori|kosz|koš"
)
# By its own name and that of the folder above.
_PAIRS = _patterns(
    (r"capture ?one/(cache|settings\d*)", "Capture One", Kind.CACHE),
    (r"camera ?raw/cache", "Adobe Camera Raw", Kind.CACHE),
    (r"library/(caches|containers|group containers)", "macOS", Kind.CACHE),
    (r"android/(data|obb)", "Android", Kind.CACHE),
    (r"misc/thm", "the camera", Kind.CACHE),
    # As an export of Google Photos calls its bin in some languages.
    (rf"google (photos|fotos|foto)/({_GOOGLE_BINS})", "Google Photos", Kind.BIN),
)
_PAIR_NAMES = (
    *("cache", "settings", "containers", "group", "data", "obb", "thm"),
    *_GOOGLE_BINS.split("|"),
)

IMMICH = OtherProgram("Immich", Kind.LIBRARY)
_CAPTURE_ONE = OtherProgram("Capture One", Kind.LIBRARY)
_PHOTOPRISM = OtherProgram("PhotoPrism", Kind.CACHE)
# A file of this name proves whose folder it lies in.
MARKS = {
    ".immich": IMMICH,
    ".ppstorage": _PHOTOPRISM,
    "AlbumData.xml": OtherProgram("Apple iPhoto", Kind.LIBRARY),
    "Library.iPhoto": OtherProgram("Apple iPhoto", Kind.LIBRARY),
    "Library6.iPhoto": OtherProgram("Apple iPhoto", Kind.LIBRARY),
    "Photos.sqlite": OtherProgram("Apple Photos", Kind.LIBRARY),
}
MARK_ENDINGS = {".cocatalogdb": _CAPTURE_ONE}


def _has(folder: Path, *names: str) -> bool:
    return all(os.path.lexists(folder / name) for name in names)


def _session_beside(folder: Path) -> bool:
    return any(name.endswith(".cosessiondb") for name in _listed(folder.parent))


# Names that a person may have given, too: with what has to be true of the folder.
_PROVEN: dict[str, list[tuple[Callable[[Path], bool], OtherProgram]]] = {
    "recycled": [
        (lambda each: each.name.isupper(), OtherProgram("Windows", Kind.BIN)),
        (lambda each: _has(each, "INFO2"), OtherProgram("Windows", Kind.BIN)),
        (lambda each: _has(each, "desktop.ini"), OtherProgram("Windows", Kind.BIN)),
    ],
    "trash": [
        (lambda each: _has(each, "files", "info"), OtherProgram("Linux", Kind.BIN)),
        (_session_beside, OtherProgram("Capture One", Kind.BIN)),
    ],
    "thumbs": [(lambda each: _has(each.parent, "encoded-video"), IMMICH)],
    "upload": [(lambda each: _has(each.parent, "encoded-video", "thumbs"), IMMICH)],
    "library": [(lambda each: _has(each.parent, "encoded-video", "thumbs"), IMMICH)],
    "cache": [(lambda each: _has(each.parent, "sidecar", "config"), _PHOTOPRISM)],
    "sidecar": [(lambda each: _has(each.parent, "cache", "config"), _PHOTOPRISM)],
    "thumbnails": [
        (lambda each: _has(each.parent, "files_trashbin"), OtherProgram("Nextcloud", Kind.CACHE)),
        (lambda each: _has(each.parent, "addon_data"), OtherProgram("Kodi", Kind.CACHE)),
    ],
}


def owner_by_name(name: str, path: str) -> OtherProgram | None:
    """The program whose folder this is by its name; None if it may be a person's.

    `path` leads to the folder: for the few names that prove nothing alone, what lies around is
    looked at.
    """
    key = name.lower()
    if found := NAMES.get(key) or ENDINGS.get(key.rpartition(".")[2] if "." in key else ""):
        return found
    if key.startswith(_PATTERN_STARTS):
        for pattern, program in _PATTERNS:
            if pattern.fullmatch(name):
                return program
    if key.startswith(_PAIR_NAMES):
        pair = f"{Path(path).absolute().parent.name}/{name}"
        for pattern, program in _PAIRS:
            if pattern.fullmatch(pair):
                return program
    for proves, program in _PROVEN.get(key, ()):
        if proves(Path(path).absolute()):
            return program
    return None


def owner_by_mark(name: str) -> OtherProgram | None:
    """The program that a folder belongs to because a file of this name lies in it."""
    return MARKS.get(name) or MARK_ENDINGS.get("." + name.rpartition(".")[2].lower())


class Ownership:
    """Looks up whose folders are, each folder once."""

    def __init__(self) -> None:
        self._known: dict[Path, OtherProgram | None] = {}

    def of(self, folder: Path) -> tuple[Path, OtherProgram] | None:
        """The folder of another program that this folder is or lies in, links resolved.

        The outermost library; where there is none, the outermost of all.
        """
        real = folder.resolve()
        found = [
            (each, program)
            for each in (*reversed(real.parents), real)
            if (program := self._owner(each))
        ]
        libraries = (each for each in found if each[1].kind is Kind.LIBRARY)
        return next(libraries, found[0] if found else None)

    def _owner(self, folder: Path) -> OtherProgram | None:
        if folder not in self._known:
            by_name = owner_by_name(folder.name, str(folder)) if folder.name else None
            marks = (owner_by_mark(name) for name in _listed(folder))
            self._known[folder] = by_name or next((each for each in marks if each), None)
        return self._known[folder]


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def refusal(folders: Iterable[Path]) -> str | None:
    """Why nothing may be written in these folders, and the way out; None where it may."""
    ownership = Ownership()
    for folder in dict.fromkeys(folders):
        if found := ownership.of(folder):
            inside, program = found
            where = "" if inside == folder.resolve() else f"lies in {escape(inside.name)}, which "
            return f"{display_path(folder)} {where}{program.clause}; {program.way_out}"
    return None


def refuse_to_write(folders: Iterable[Path]) -> None:
    """Refuse to write in folders of other programs. Raises IqError with the way out."""
    if why := refusal(folders):
        raise IqError(why)
