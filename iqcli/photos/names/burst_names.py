"""Bursts and panoramas by the names of their frames.

    IMG_20231014_183246_BURST001_COVER.jpg            Huawei, Honor, Xiaomi, HTC, Motorola, …:
                                                      what stands before BURST is the same
    00015IMG_00015_BURST20171111030039_COVER.jpg      Nexus, Pixel
    DSC_0052_BURST20230709220904977_COVER.JPG         Sony Xperia: what stands behind it is
    20231207_101605_001.jpg                           Samsung
    PXL_20230330_184138390.PANO.jpg, PANO_20170505_120000.jpg

Equal burst keys mean one burst only inside one folder.
"""

from __future__ import annotations

import re

_DAY = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3])[0-5]\d[0-5]\d"
_FLAGS = re.ASCII | re.IGNORECASE
# "BURST" that is no part of a word, and the number behind it; what follows is of one frame.
BURST = re.compile(r"(?P<head>.*?(?<![a-z])BURST)(?P<number>\d+).*", _FLAGS)
# Behind a time the number may be set off.
SET_OFF = re.compile(r"(?P<head>(?:.*?\D)?\d{8}.*?(?<![a-z])BURST[-_])\d{1,4}(?!\d).*", _FLAGS)
# So many digits are a time that all frames of the burst have; fewer count them.
STAMP_DIGITS = 8
# A key with a day and a time, to the second at least, in front of BURST or behind it.
TIMED = re.compile(
    rf"name:(?:.*{_DAY}_?{_TIME}\d*.*burst[-_]?|burst{_DAY}{_TIME}\d*|burst1\d{{12}})", _FLAGS
)
NUMBERED = re.compile(rf"(?P<key>{_DAY}_{_TIME})_\d{{3}}", _FLAGS)
PANORAMA = re.compile(rf"PXL_{_DAY}_{_TIME}\d{{3}}\.PANO(\..+)?|PANO_{_DAY}_{_TIME}.*", _FLAGS)


def burst_of_name(name: str) -> str | None:
    """A key that the frames of a burst share, such as "name:burst20171111030039"; None for none."""
    stem = _stem_of(name)
    if numbered := NUMBERED.fullmatch(stem):
        return f"name:{numbered['key']}"
    if "BURST" not in stem.upper():
        return None
    burst = BURST.fullmatch(stem) or SET_OFF.fullmatch(stem)
    number = burst["number"] if burst and burst.re is BURST else ""
    if len(number) >= STAMP_DIGITS:
        return f"name:burst{number}"
    return f"name:{burst['head'].lower()}" if burst else None


def is_named(mark: str) -> bool:
    """Whether a key of a burst comes from names, and not from what the camera wrote in the file."""
    return mark.startswith("name:")


def is_weak(mark: str) -> bool:
    """Whether a key that comes from names may be that of several bursts, or of other photos.

    Counters begin anew, and programs and scanners put a number behind a time, too.
    """
    return not TIMED.fullmatch(mark)


def is_panorama_name(name: str) -> bool:
    """Whether the phone calls this file a panorama that it stitched."""
    return PANORAMA.fullmatch(_stem_of(name)) is not None


def _stem_of(name: str) -> str:
    return name.rpartition(".")[0] or name
