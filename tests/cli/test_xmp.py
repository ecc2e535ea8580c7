"""XMP from end to end: written beside photos and into them, and taken back to the last bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import ImageCms
from support.images import broken_dng, encoded, exif_block, noise, scene
from support.photo_trees import tree
from support.xmp_sidecars import DARKTABLE, LIGHTROOM, others

from iqcli.cli import app
from iqcli.errors import IqError
from iqcli.photos.decode import decode
from iqcli.photos.read import read_photo, read_whole
from iqcli.photos.reading import kind_of
from iqcli.photos.xmp import PICK_LABEL, RATING
from iqcli.photos.xmp_packet import read_packet
from iqcli.xmp.write import IQ, LABEL, SUBJECT, TAGS

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli_runner import Iq

pytestmark = pytest.mark.slow

RATED = LIGHTROOM.replace("<xap:Rating>0<", "<xap:Rating>1<")

# Kills who started it once a part lies beside the photos.
KILLER = """#!/bin/sh
parent=$PPID
(while kill -0 $parent && ! ls -A {folder} | grep -q iq-part; do sleep 0.01; done
kill -9 $parent) &
exec {real} "$@"
"""


def values(path: Path, name: str) -> list[str | None]:
    return read_packet(path.read_bytes()).values(name)


def stars(folder: Path) -> list[str | None]:
    """The ratings in all sidecars, the best first."""
    found = [values(each, RATING)[0] for each in folder.rglob("*.xmp")]
    return sorted(found, key=str, reverse=True)


def test_sidecars_and_no_trace_after_undo(iq: Iq, roll: Path) -> None:
    before = tree(iq.cwd)
    ran = iq("export", "photos", "--xmp")
    assert (ran.code, ran.out) == (0, b"")
    assert ran.lines[0].startswith("XMP of 6 photos: 6 files written, 0 unchanged; `iq undo` takes")
    assert stars(roll) == ["5", "4", "3", "3", "3", "2"]
    written = tree(iq.cwd)
    photos = {name: leaf for name, leaf in written.items() if not name.endswith(b".xmp")}
    assert photos.keys() == before.keys()
    assert all(photos[name] == before[name] for name in photos if name.endswith(b".jpg"))

    again = iq("export", "photos", "--xmp")
    assert again.lines[0] == "XMP of 6 photos: 0 files written, 6 unchanged"
    assert tree(iq.cwd) == written
    rows = iq("score", "photos", "-f", "jsonl").rows
    assert [row["stars"] for row in rows] == [None] * 6
    assert all(row["companions"] for row in rows)
    undone = iq("undo")
    assert (undone.code, len(undone.lines)) == (0, 1)
    assert undone.lines[0].startswith("6 files are as they were before run ")
    assert tree(iq.cwd) == before


def test_a_persons_rating_stays_and_what_is_broken_is_left_alone(iq: Iq, roll: Path) -> None:
    (roll / "IMG_1.jpg.xmp").write_text(RATED)
    (roll / "IMG_2.jpg.xmp").write_text(DARKTABLE)
    broken = {"IMG_3.jpg.xmp": DARKTABLE[:500], "day/IMG_4.jpg.xmp": "<!DOCTYPE a><a/>"}
    for name, text in broken.items():
        (roll / name).write_text(text)
    (roll / "day/IMG_5.jpg.xmp").mkdir()
    (roll / "day/IMG_6.jpg.xmp").symlink_to(roll / "IMG_1.jpg.xmp")
    ran = iq("export", "photos", "--xmp", "-o", "scores.csv")
    assert ran.code == 1
    assert ran.err.count("; it is left as it is") == 4
    assert "2 files written" in ran.err
    assert "1 rated by a person and kept so, 4 files left alone" in ran.err
    assert (iq.cwd / "scores.csv").read_text().count("\n") == 7

    assert values(roll / "IMG_1.jpg.xmp", RATING) == ["1"]
    assert len(values(roll / "IMG_1.jpg.xmp", f"{IQ}score")) == 1
    darktable = (roll / "IMG_2.jpg.xmp").read_bytes()
    assert others(darktable) == others(DARKTABLE.encode())
    assert len(values(roll / "IMG_2.jpg.xmp", RATING)) == 1
    for name, text in broken.items():
        assert (roll / name).read_text() == text
    rows = iq("score", "photos", "-f", "jsonl").rows
    assert [row["stars"] for row in rows[:2]] == [1, None]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write where nobody may")
def test_what_is_read_only_is_left_alone(iq: Iq, roll: Path) -> None:
    sidecar = roll / "IMG_1.jpg.xmp"
    sidecar.write_text(DARKTABLE)
    sidecar.chmod(0o444)
    before = sidecar.lstat()
    ran = iq("export", "photos", "--xmp")
    assert ran.code == 1
    assert "IMG_1.jpg.xmp: is read-only; it is left as it is" in ran.err
    assert sidecar.lstat() == before


def test_stars_by_thresholds(iq: Iq, roll: Path) -> None:
    assert iq("export", "photos", "--xmp", "--stars", "2,3,4,9").code == 0
    for row in iq("score", "photos", "-f", "jsonl").rows:
        least = sum(row["score"] >= each for each in (2, 3, 4, 9))
        assert values(iq.cwd / (row["path"] + ".xmp"), RATING) == [str(1 + least)]


@pytest.mark.parametrize(
    "words",
    [
        ("--xmp", "--stars", "7,6,5,4"),
        ("--xmp", "--stars", "1,2,3"),
        ("--xmp", "--xmp-profile", "picasa"),
        ("--xmp-profile", "digikam"),
        ("--embed",),
        ("--stars", "quantiles"),
    ],
)
def test_what_cannot_be_is_refused_at_once(iq: Iq, roll: Path, words: tuple[str, ...]) -> None:
    before = tree(iq.cwd)
    ran = iq("export", "photos", *words)
    assert (ran.code, len(ran.lines)) == (2, 1)
    assert words[-2 if len(words) > 1 else 0] in ran.err or words[0] in ran.err
    assert tree(iq.cwd) == before


def test_without_exiftool_nothing_is_written(iq: Iq, roll: Path) -> None:
    before = tree(iq.cwd)
    ran = iq("export", "photos", "--xmp", "--embed", PATH="")
    assert (ran.code, ran.lines[0][:44]) == (2, "iq: --embed needs ExifTool, which is not ins")
    assert tree(iq.cwd) == before


def test_a_cull_writes_its_decisions_and_undo_takes_all_back(iq: Iq, roll: Path) -> None:
    before = tree(iq.cwd)
    words = ("--worst", "34%", "--apply", "--xmp", "--xmp-profile", "digikam")
    ran = iq("cull", "photos", *words)
    assert ran.code == 0
    assert ran.err.count("(run ") == ran.err.count("puts them back and takes the XMP back") == 1
    rejects = list((roll / "_Rejected").rglob("*.xmp"))
    assert len(rejects) == 2
    for path in rejects:
        assert values(path, PICK_LABEL) == ["1"]
        assert values(path, LABEL) == ["Reject"]
        assert values(path, RATING) == []
        assert values(path, f"{IQ}decision") == ["reject"]
        packet = read_packet(path.read_bytes())
        assert packet.items(TAGS) == packet.items(SUBJECT) != []
    kept = [path for path in roll.rglob("*.xmp") if path not in rejects]
    assert [values(path, PICK_LABEL) for path in kept] == [["3"]] * 4
    assert iq("undo").code == 0
    assert tree(iq.cwd) == before


def test_a_cull_that_fails_rolls_its_sidecars_back(
    iq: Iq, roll: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise IqError("the disk refuses")

    before = tree(iq.cwd)
    monkeypatch.setattr("iqcli.transactions.reject_folder.write_entries", refuse)
    words = ("cull", "photos", "--worst", "34%", "--xmp", "--apply")
    monkeypatch.setattr("sys.argv", ["iq", *words])
    monkeypatch.chdir(iq.cwd)
    for name, value in iq.environ.items():
        monkeypatch.setenv(name, value)
    assert app.run() == 2
    why = capsys.readouterr().err.splitlines()[-1]
    assert why == "iq: the disk refuses; all files are where they were"
    assert tree(iq.cwd) == before


def read_by_exiftool(*paths: Path) -> list[dict[str, Any]]:
    """What ExifTool reads."""
    command = ("exiftool", "-j", "-struct", "-G1", *paths)
    return list(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


@pytest.mark.exiftool
def test_exiftool_reads_what_was_written(iq: Iq, roll: Path) -> None:
    assert iq("export", "photos", "--xmp", "--xmp-profile", "immich").code == 0
    for tags in read_by_exiftool(*roll.rglob("*.xmp")):
        assert 2 <= tags["XMP-xmp:Rating"] <= 5
        assert "ExifTool:Warning" not in tags
        assert tags.get("XMP-dc:Subject", []) == tags.get("XMP-digiKam:TagsList", [])
    checked = subprocess.run(
        ("exiftool", "-validate", "-warning", "-a", roll / "IMG_2.jpg.xmp"), capture_output=True
    )
    assert b"Validate                        : OK" in checked.stdout


def pictures(folder: Path) -> dict[Path, bytes]:
    """Photos of several formats under names that mean something to somebody else, with EXIF."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {"exif": exif_block({0x010F: "Maker", 0x0112: 6}), "icc_profile": profile}
    made = {
        "-delete_original.jpg": encoded(noise(320, 240), "JPEG", **options),
        "new\nline %d #[CSTR].jpg": encoded(scene(320, 240), "JPEG", **options) + b"a film" * 9,
        "$(touch x).heic": encoded(scene(320, 240), "HEIF", **options),
        "a.png": encoded(scene(256, 256), "PNG", **options),
        "b.tif": encoded(scene(256, 256), "TIFF", **options),
        "rated.jpg": encoded(
            scene(256, 256), "JPEG", **options, xmp=RATED.replace("SidecarFor", "X").encode()
        ),
    }
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return {folder / name: data for name, data in made.items()}


def profile_of(data: bytes) -> bytes | None:
    return decode(data, kind_of(data), 1).profile


@pytest.mark.exiftool
def test_embedding_changes_xmp_alone_and_undo_takes_it_back(iq: Iq) -> None:
    folder = iq.cwd / "photos"
    made = pictures(folder)
    before = tree(iq.cwd)
    ran = iq("export", "photos", "--xmp", "--embed")
    assert ran.code == 0
    assert "XMP of 6 photos: 6 files written, 0 unchanged, 1 rated by a person" in ran.err
    assert tree(iq.cwd).keys() == before.keys()
    for path, old in made.items():
        new = path.read_bytes()
        assert new != old
        one, two = (read_whole(each, max_megapixels=1) for each in (old, new))
        assert np.array_equal(one, two)
        facts = read_photo(new, max_megapixels=1)[0]
        assert facts == read_photo(old, max_megapixels=1)[0]
        assert facts.maker == "Maker"
        assert profile_of(new) == profile_of(old) is not None
    found = {tags["System:FileName"]: tags for tags in read_by_exiftool(*made)}
    assert found["rated.jpg"]["XMP-xmp:Rating"] == 1
    rest = [tags["XMP-xmp:Rating"] for name, tags in found.items() if name != "rated.jpg"]
    assert all(2 <= each <= 5 for each in rest)
    assert found["rated.jpg"]["XMP-dc:Subject"][:2] == ["Krak\u00f3w", "\u732b"]

    # Nothing changes, and nothing is decoded: what was measured is known of the new bytes, too.
    ran, _, loaded = iq.spied("export", "photos", "--xmp", "--embed")
    assert "0 files written, 6 unchanged" in ran.err
    ran, _, loaded = iq.spied("score", "photos")
    assert ran.code == 0
    assert loaded & {"cv2", "PIL", "torch"} == set()
    assert iq("undo").code == 0
    assert tree(iq.cwd) == before
    assert list((iq.state / "work").iterdir()) == []


@pytest.mark.exiftool
def test_what_a_killed_run_left_beside_photos_is_swept_away(iq: Iq, tmp_path: Path) -> None:
    """Killed before anything was written down: by a fake tool, once a part is there."""
    folder, fake = iq.cwd / "photos", tmp_path / "bin" / "exiftool"
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(encoded(noise(256, 240 + number), "JPEG"))
    fake.parent.mkdir()
    fake.write_text(KILLER.format(real=shutil.which("exiftool"), folder=folder))
    fake.chmod(0o755)
    before = tree(iq.cwd)
    path = f"{fake.parent}:{os.environ['PATH']}"
    assert iq("export", "photos", "--xmp", "--embed", PATH=path).code == -signal.SIGKILL
    assert set(tree(iq.cwd)) - set(before)
    assert len(list((iq.state / "work").iterdir())) == 2
    ran = iq("undo")
    assert "no run is left to undo" in ran.err
    assert tree(iq.cwd) == before
    assert list((iq.state / "work").iterdir()) == []
    assert iq("export", "photos", "--xmp", "--embed").code == 0


@pytest.mark.exiftool
def test_what_cannot_be_written_into_is_left_alone_and_all_else_is_written(iq: Iq) -> None:
    folder = iq.cwd / "photos"
    extended = LIGHTROOM.replace(
        'rdf:about=""', 'rdf:about="" xmlns:n="urn:n" n:HasExtendedXMP="A"'
    )
    made = {
        "a.jpg": encoded(scene(256, 256), "JPEG", xmp=extended.encode()),
        "b.jpg": encoded(scene(256, 256), "JPEG", xmp=b"<broken"),
        "c.bmp": encoded(scene(256, 256), "BMP"),
        # Scored by its preview, and no embedding could be shown to leave the sensor as it is.
        "d.dng": broken_dng(encoded(scene(512, 512), "JPEG"), (512, 512)),
        "e.jpg": encoded(scene(256, 256), "JPEG"),
    }
    for name, data in made.items():
        (folder / name).write_bytes(data)
    before = tree(iq.cwd)
    ran = iq("export", "photos", "--xmp", "--embed")
    assert ran.code == 1
    left = [line for line in ran.lines if "it is left as it is" in line]
    assert [line.split(":")[1].split("/")[-1] for line in left] == [*made][:4]
    assert "XMP of 5 photos: 1 file written, 0 unchanged, 4 files left alone" in ran.err
    assert [name for name, data in made.items() if (folder / name).read_bytes() != data] == [
        "e.jpg"
    ]
    assert iq("undo").code == 0
    assert tree(iq.cwd) == before


@pytest.mark.exiftool
def test_a_tool_that_lies_changes_no_photo(iq: Iq, tmp_path: Path) -> None:
    """Its copy has other pixels: the photo stays, and no part lies beside it."""
    folder, fake = iq.cwd / "photos", tmp_path / "bin" / "exiftool"
    (folder / "a.jpg").write_bytes(encoded(noise(256, 256), "JPEG", quality=95))
    (folder / "b.jpg").write_bytes(encoded(noise(256, 256), "JPEG", quality=20))
    fake.parent.mkdir()
    real = shutil.which("exiftool")
    # Whatever it is to write into becomes another picture first.
    changed = f"sed -u 's|^old.jpg$|{folder}/b.jpg|' | {real} \"$@\""
    fake.write_text(f"#!/bin/sh\n{changed}\n")
    fake.chmod(0o755)
    before = tree(iq.cwd)
    path = f"{fake.parent}:/usr/bin:/bin"
    ran = iq("export", "photos/a.jpg", "--xmp", "--embed", PATH=path)
    assert ran.code == 1
    assert "ExifTool would change more of it than its XMP" in ran.err
    assert tree(iq.cwd) == before
