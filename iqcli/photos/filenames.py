"""Bursts and panoramas by the names of their frames.

    IMG_20231014_183246_BURST001_COVER.jpg            Huawei, Honor, Xiaomi, …
    00015IMG_00015_BURST20171111030039_COVER.jpg      Nexus, Pixel
    DSC_0052_BURST20230709220904977_COVER.JPG         Sony Xperia
    20231207_101605_001.jpg                           Samsung
    PXL_20230330_184138390.PANO.jpg, PANO_20170505_120000.jpg

Equal burst keys mean one burst only inside one folder.
"""

from __future__ import annotations

import re

_DAY = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[01]\d|2[0-3])[0-5]\d[0-5]\d"
_FLAGS = re.ASCII | re.IGNORECASE
COUNTED = re.compile(
    rf"(?P<key>(?:[a-z]{{1,10}}_)?{_DAY}_{_TIME}\d{{0,3}}_BURST)\d{{1,4}}(?:_COVER)?", _FLAGS
)
STAMPED = re.compile(
    rf"(?:\d{{5}}[a-z]{{1,12}}_\d{{5}}|[a-z]{{1,10}}_\d{{4,5}})_"
    rf"(?P<key>BURST{_DAY}{_TIME}(?:\d{{3}})?)(?:_COVER)?",
    _FLAGS,
)
NUMBERED = re.compile(rf"(?P<key>{_DAY}_{_TIME})_\d{{3}}", _FLAGS)
PATTERNS = (COUNTED, STAMPED, NUMBERED)
PANORAMA = re.compile(rf"PXL_{_DAY}_{_TIME}\d{{3}}\.PANO(\..+)?|PANO_{_DAY}_{_TIME}.*", _FLAGS)


def burst_of_name(name: str) -> str | None:
    """A key that the frames of a burst share, such as "name:burst20171111030039"; None for none."""
    stem = _stem_of(name)
    found = next((match for pattern in PATTERNS if (match := pattern.fullmatch(stem))), None)
    return f"name:{found['key'].lower()}" if found else None


def is_panorama_name(name: str) -> bool:
    """Whether the phone calls this file a panorama that it stitched."""
    return PANORAMA.fullmatch(_stem_of(name)) is not None


def _stem_of(name: str) -> str:
    return name.rpartition(".")[0] or name
