"""Whose a folder is: by its name, by what lies in it or beside it; and that iq keeps out."""

from __future__ import annotations

from pathlib import Path

import pytest

from iqcli.errors import IqError
from iqcli.fs.other_programs import (
    ENDINGS,
    NAMES,
    Kind,
    Ownership,
    owner_by_name,
    refusal,
    refuse_to_write,
)


def words(text: str) -> list[str]:
    return text.split()


BINS = words("""
    #recycle @Recycle RECYCLER Recycler RECYCLED $RECYCLE.BIN $Recycle.Bin .Trash .Trashes
    .Trash-1000 .Trash-0 lost+found LOST+FOUND FOUND.000 found.012 .recycle .Recycle.Bin
    files_trashbin .stversions .dtrash _NAS_Recycle_RAID trashbox LOST.DIR
""")
SNAPSHOTS = words("""
    #snapshot #Snapshot @Recently-Snapshot .snapshot .snapshots ~snapshot .zfs
    files_versions @GMT-2024.01.31-12.00.00 Backups.backupdb .picasaoriginals
    Mac.sparsebundle timeshift-btrfs
""")
CACHES = words("""
    @eaDir @EADIR @__thumb .@__thumb @Transcode .thumbnails .cache .wdmc
    appdata_oc4k2j9qx0ab .dropbox.cache .photoprism Previews.lrdata x.LRDATA
    Catalog.lrcat-data Film.trickplay mipmaps-0123456789abcdef0123456789abcdef01234567.d
    CaptureOne/Cache captureone/cache CaptureOne/Settings131 Android/data Library/Caches
    PRIVATE/M4ROOT/THMBNL MISC/THM OneDriveTemp @SynoPhoto @tmp
""")
LIBRARIES = words("""
    Photos.photoslibrary Photos.PhotosLibrary i.photolibrary m.migratedphotolibrary
    Old.aplibrary old.APLIBRARY v.apvault L.lrlibrary S.cocatalog S.cosessiondb f.fcpbundle
    i.imovielibrary Contacts.abbu Fotos-Mediathek.photoslibrary t.tvlibrary
""")
SYSTEM = words("""
    .git .hg .svn node_modules __pycache__ .fseventsd .Spotlight-V100
    .DocumentRevisions-V100 .TemporaryItems .stfolder ix-applications $WINDOWS.~BT
    Windows.old .AppleDouble
""")
WITH_BLANKS = {
    "Temporary Items": Kind.SYSTEM,
    "System Volume Information": Kind.SYSTEM,
    "Network Trash Folder": Kind.BIN,
    "Network Recycle Bin 1": Kind.BIN,
    "Recycle Bin": Kind.BIN,
    "Takeout/Google Photos/Trash": Kind.BIN,
    "Takeout/Google Fotos/Papierkorb": Kind.BIN,
    "Recycle Bin - Volume_1": Kind.BIN,
    "Plex Media Server": Kind.CACHE,
    "iPod Photo Cache": Kind.CACHE,
    "Photo Booth Library": Kind.LIBRARY,
    "Photos Library.photoslibrary": Kind.LIBRARY,
    "Capture One/Cache": Kind.CACHE,
}
OF_PROGRAMS = {
    **dict.fromkeys(BINS, Kind.BIN),
    **dict.fromkeys(SNAPSHOTS, Kind.SNAPSHOTS),
    **dict.fromkeys(CACHES, Kind.CACHE),
    **dict.fromkeys(LIBRARIES, Kind.LIBRARY),
    **dict.fromkeys(SYSTEM, Kind.SYSTEM),
    **WITH_BLANKS,
}
# What a person may call a folder.
OF_PEOPLE = words("""
    thumbs Thumbnails thumbnails Trash trash Recycled recycled Cache cache Cache/Cache data
    darktable_exported CaptureOne CaptureOne/2024 Exports/Settings recycle Snapshot
    snapshots Originals originals upload library storage @home #1 $cash photoslibrary
    cocatalog my.photoslibrary.old Masters Lightroom photos.lr backup found.photos Library
    Android Android/media mipmaps previews git versions @Recycled-Paper
""")


def make(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", OF_PROGRAMS)
def test_a_folder_of_a_program_is_known_and_nothing_is_written_there(
    tmp_path: Path, name: str
) -> None:
    folder = make(tmp_path, name)
    found = owner_by_name(folder.name, str(folder))
    assert found is not None
    assert found.kind is OF_PROGRAMS[name]
    inside = make(folder, "2024/may")
    (tmp_path / "link").symlink_to(inside)
    for each in (folder, inside, tmp_path / "link"):
        why = refusal([tmp_path, each])
        assert why is not None
        assert str(each) in why
        assert found.clause in why
        assert why.endswith(found.way_out)
        with pytest.raises(IqError):
            refuse_to_write([each])
    assert f"lies in {folder.name}, which " in (refusal([inside]) or "")


@pytest.mark.parametrize("name", OF_PEOPLE)
def test_a_folder_that_may_be_a_persons_is_one(tmp_path: Path, name: str) -> None:
    folder = make(tmp_path, name)
    assert owner_by_name(folder.name, str(folder)) is None
    assert refusal([folder]) is None


@pytest.mark.parametrize(
    ("proof", "owned", "program"),
    [
        ("Trash/info/ | Trash/files/a.jpg", "Trash", "Linux"),
        ("Trash/a.jpg | Wedding.cosessiondb", "Trash", "Capture One"),
        ("recycled/INFO2", "recycled", "Windows"),
        ("Recycled/desktop.ini", "Recycled", "Windows"),
        ("thumbs/a.webp | encoded-video/", "thumbs", "Immich"),
        ("thumbs/.immich", "thumbs", "Immich"),
        ("library/.immich", "library", "Immich"),
        ("upload/a.jpg | thumbs/ | encoded-video/", "upload", "Immich"),
        ("library/a.jpg | thumbs/ | encoded-video/", "library", "Immich"),
        ("cache/thumbnails/1.jpg | sidecar/ | config/", "cache/thumbnails", "PhotoPrism"),
        ("sidecar/1.jpg | cache/ | config/", "sidecar", "PhotoPrism"),
        ("storage/.ppstorage", "storage", "PhotoPrism"),
        ("thumbnails/1.jpg | files_trashbin/", "thumbnails", "Nextcloud"),
        ("iPhoto Library/AlbumData.xml", "iPhoto Library", "Apple iPhoto"),
        ("Catalog/Catalog.cocatalogdb", "Catalog", "Capture One"),
        ("PhotoData/Photos.sqlite", "PhotoData", "Apple Photos"),
    ],
)
def test_what_lies_around_proves_whose_a_folder_is(
    tmp_path: Path, proof: str, owned: str, program: str
) -> None:
    for name in proof.split(" | "):
        path = tmp_path / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
    found = Ownership().of(tmp_path / owned)
    assert found is not None
    assert (found[0], found[1].name) == (tmp_path / owned.split("/")[0], program)
    assert refusal([tmp_path]) is None


def test_a_library_is_named_before_the_cache_in_it(tmp_path: Path) -> None:
    inner = make(tmp_path, "#recycle/P.photoslibrary/resources/@eaDir")
    assert refusal([inner]) == (
        f"{inner} lies in P.photoslibrary, which belongs to Apple Photos; "
        "export the originals from Photos first"
    )
    assert "#recycle" in (refusal([make(tmp_path, "#recycle/day")]) or "")


def test_each_name_stands_once_in_lower_case() -> None:
    for name in (*NAMES, *ENDINGS):
        assert name == name.lower().strip()
