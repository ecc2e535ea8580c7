"""Colours by code points (H.273): P3, BT.2020, PQ, HLG, … and how they look on an sRGB screen.

Code points stand in the `nclx` of HEIF and AVIF, else in their coded picture, in the `cICP` of PNG,
or in the `cicp` tag of an ICC profile. What is brighter than paper white is compressed, not cut
off.

Sources: ITU-T H.273 (code points), ITU-R BT.2100 (PQ, HLG, OOTF), BT.2408 (paper white is at 203
cd/m2, HLG at 1,000 cd/m2), BT.2390-11 5.4 (EETF), ISO 23008-12 and PNG 3rd edition (precedence).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from iqcli.photos.codecs import png
from iqcli.photos.codecs.boxes import coded_items, coded_properties, primary_properties
from iqcli.photos.codecs.coded_colours import MOST_BYTES, of_av1, of_hevc
from iqcli.photos.tiff import directory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from iqcli.records import Pixels

    Light = NDArray[np.float32]

# Chromaticities of red, green, blue and white.
D65, C, DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
# The white of all profiles, and how near their rounded colours come.
D50, NEAR = (0.3457, 0.3585), 0.004
P3 = (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)
SMPTE_C = (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)
PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65),
    4: ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), C),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), D65),
    6: (*SMPTE_C, D65),
    7: (*SMPTE_C, D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: (*P3, DCI),
    12: (*P3, D65),
}
BT709, UNSPECIFIED = 1, 2
# Primaries that no encoder writes without meaning them.
WIDE = frozenset({9, 11, 12})
PQ, HLG = 16, 18
LINEAR = 8
GAMMAS = {4: 2.2, 5: 2.8}
# cd/m2 of paper white, which an sRGB screen shows as 255, and of the screen that HLG is made for.
WHITE, HLG_PEAK = 203.0, 1000.0
HLG_GAMMA = 1.2
HLG_LUMA = np.array((0.2627, 0.6780, 0.0593), np.float32)
# Where paper white is coded in 8 bits: 58 % and 75 % (BT.2408, table 1).
PAPER = {PQ: 148, HLG: 191}
# The brightest of a picture, without sparks and noise.
PEAK = 99.9
SAMPLES = 1_000_000
# What the arithmetic alone adds to white.
ROUNDING = 1e-5
ROWS = 256
LEVELS = 65536
# No profile comes near it; a small chunk may inflate to gigabytes.
MOST_PROFILE = 4 * 2**20
# Bits and colours of a PNG; what a gamma of 1 is in one; tags of a TIFF.
DEEP_RGB, PNG_UNIT = b"\x10\2", 100_000
BITS, PROFILE = 258, 34675
PQ_PNG = b"ITUR_2100_PQ_FULL"


@dataclass(frozen=True, slots=True)
class CodePoints:
    """Primaries and transfer function by their numbers in H.273, other than those of sRGB."""

    primaries: int
    transfer: int
    full_range: bool = True

    @property
    def paper(self) -> int:
        """The value, 0..255, of white paper."""
        return PAPER.get(self.transfer, 255)

    def to_srgb(self, pixels: NDArray[Any], peak: float) -> Pixels:
        """Coded RGB (h, w, 3), of uint8 or uint16, to sRGB; `peak` is that of the whole picture."""
        done = np.empty(pixels.shape, np.uint8)
        for row in range(0, len(pixels), ROWS):
            light = self._light(pixels[row : row + ROWS])
            brightest = light.max(axis=2, keepdims=True)
            light *= shoulder(brightest, peak) / np.maximum(brightest, 1e-6)
            levels = np.rint(np.minimum(light, 1) * (LEVELS - 1)).astype(np.uint16)
            done[row : row + ROWS] = _encoding()[levels]
        return done

    def peak(self, pixels: NDArray[Any]) -> float:
        """The brightest of a picture, coded as for `to_srgb`; 1 is paper white."""
        step = max(1, int((pixels.shape[0] * pixels.shape[1] / SAMPLES) ** 0.5))
        return float(np.percentile(self._light(pixels[::step, ::step]).max(axis=2), PEAK))

    def _light(self, pixels: NDArray[Any]) -> Light:
        """Linear light in the primaries of sRGB, 1 is paper white, never negative."""
        light = _linear(self.transfer, self.full_range)[wide(pixels)]
        if self.transfer == HLG:
            luma = np.maximum(light @ HLG_LUMA, 1e-6)
            light *= HLG_PEAK / WHITE * luma[..., None] ** (HLG_GAMMA - 1)
        return np.maximum(light @ _matrix(self.primaries), 0)


def wide(pixels: NDArray[Any]) -> NDArray[np.uint16]:
    """The same in 16 bits."""
    return pixels if pixels.dtype == np.uint16 else np.multiply(pixels, 257, dtype=np.uint16)


def code_points(data: bytes, kind: str) -> CodePoints | None:
    """The code points of a HEIF, AVIF or PNG, None where it is shown as sRGB or by a profile."""
    if kind in ("heif", "avif"):
        return _of_boxes(data)
    return _of_chunks(data) if kind == "png" else None


def in_profile(profile: bytes) -> CodePoints | None:
    """The code points in an ICC profile, which then beat its curves. Source: ICC.1:2022, 9.2.17."""
    content = _tags(profile).get(b"cicp", b"")
    return _useful(content[8:12]) if content[:4] == b"cicp" else None


def linear_points(data: bytes, kind: str) -> CodePoints | None:
    """The code points of a PNG or TIFF of 16-bit RGB whose values are light itself, else None.

    Eight bits do not hold the shadows of such a picture. Its profile counts only where its
    primaries have a number.
    """
    if kind == "png" and data[24:26] == DEEP_RGB:
        found: dict[bytes, bytes] = {}
        for name, begin, end in png.chunks(data):
            if name == b"IDAT":
                break
            found.setdefault(name, data[begin:end])
        points = _useful(found.get(b"cICP", b""))
        if b"cICP" in found:
            return points if points and points.transfer == LINEAR else None
        if b"iCCP" in found:
            return _in_curves(_inflated(found[b"iCCP"].partition(b"\0")[2][1:]))
        gamma = int.from_bytes(found.get(b"gAMA", b""), "big")
        return CodePoints(BT709, LINEAR) if gamma == PNG_UNIT and b"sRGB" not in found else None
    if kind != "tiff":
        return None
    order = ">" if data[:2] == b"MM" else "<"
    start = int.from_bytes(data[4:8], "big" if order == ">" else "little")
    tags = directory(data, order, start, {BITS, PROFILE})
    is_deep = tags.get(BITS, b"") == (b"\0\x10" if order == ">" else b"\x10\0") * 3
    return _in_curves(tags.get(PROFILE, b"")) if is_deep else None


def _in_curves(profile: bytes) -> CodePoints | None:
    """The code points of a profile of three colours whose curves are none."""
    tags = _tags(profile)
    if not all(_is_straight(tags.get(name, b"")) for name in (b"rTRC", b"gTRC", b"bTRC")):
        return None
    colours = [tags.get(name, b"")[8:20] for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    if any(len(each) < 12 for each in colours):
        return None
    own = np.stack([np.frombuffer(each, ">i4") for each in colours], axis=1) / 65536
    for number in PRIMARIES:
        if np.abs(_adapted(number, D50) @ _to_xyz(number) - own).max() < NEAR:
            return CodePoints(number, LINEAR)
    return None


def _is_straight(curve: bytes) -> bool:
    """Whether a curve of a profile changes nothing. Source: ICC.1:2022, 10.6 and 10.18."""
    if curve[:4] == b"para":
        return curve[8:10] == b"\0\0" and curve[12:16] == b"\0\1\0\0"
    count = int.from_bytes(curve[8:12], "big")
    return curve[:4] == b"curv" and (count == 0 or (count == 1 and curve[12:14] == b"\1\0"))


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """The tags of an ICC profile, each from its first byte as far as it says."""
    count, found = min(int.from_bytes(profile[128:132], "big"), 100), dict[bytes, bytes]()
    for at in range(132, 132 + 12 * count, 12):
        start, size = (int.from_bytes(profile[at + k : at + k + 4], "big") for k in (4, 8))
        found.setdefault(profile[at : at + 4], profile[start : start + size])
    return found


def _of_boxes(data: bytes) -> CodePoints | None:
    shown, coded = primary_properties(data), coded_properties(data)
    colours = [content for name, content in (*shown, *coded) if name == b"colr"]
    profile = next((each[4:] for each in colours if each[:4] in (b"prof", b"rICC")), None)
    if profile:
        return in_profile(profile)
    nclx = next((each for each in colours if each[:4] == b"nclx"), b"")
    numbers = nclx[5:10:2] if len(nclx) >= 11 else b"" if colours else _in_codec(data, dict(coded))
    # The decoder has applied the range already.
    return _useful(numbers + b"\1") if numbers else None


def _in_codec(data: bytes, coded: dict[bytes, bytes]) -> bytes:
    """What the coded picture says, for a container that says nothing.

    Encoders of phones write primaries of television there, whatever the photo has.
    """
    numbers = of_hevc(coded.get(b"hvcC", b""))
    if b"av1C" in coded:
        numbers = of_av1(coded[b"av1C"][4:])
        for pieces in coded_items(data)[:1]:
            begin = pieces[-1][0] if pieces else len(data)
            numbers = numbers or of_av1(data[begin : begin + MOST_BYTES])
    return bytes((BT709, *numbers[1:])) if numbers and numbers[0] not in WIDE else numbers


def _of_chunks(data: bytes) -> CodePoints | None:
    profile = b""
    for name, begin, end in png.chunks(data):
        if name == b"cICP":
            return _useful(data[begin:end])
        if name == b"iCCP":
            profile = data[begin:end]
        if name == b"IDAT":
            break
    if profile.startswith(PQ_PNG + b"\0"):
        return CodePoints(9, PQ)
    return in_profile(_inflated(profile.partition(b"\0")[2][1:])) if profile else None


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MOST_PROFILE)
    except zlib.error:
        return b""


def _useful(content: bytes) -> CodePoints | None:
    """Code points that need a conversion, from primaries, transfer, matrix and range flag.

    Like BT.601 and BT.2020, BT.709 is shown with the curve of sRGB, as browsers do: people graded
    it on such screens. Unknown numbers count as those of sRGB.
    """
    if len(content) < 4:
        return None
    primaries, transfer, _, full = content[:4]
    primaries = primaries if primaries in PRIMARIES else BT709
    known = transfer in (PQ, HLG, LINEAR) or transfer in GAMMAS
    if primaries == BT709 and not known and full:
        return None
    return CodePoints(primaries, transfer if known else UNSPECIFIED, bool(full))


def shoulder(brightness: Light, peak: float) -> Light:
    """Brightness as an sRGB screen shows it; 1 is paper white, `peak` the brightest of a picture.

    Nothing changes where nothing is brighter than white. Otherwise a Hermite spline bends what is
    above a knee, in PQ, and brings the peak to 1 (BT.2390-11, 5.4.1).
    """
    if peak <= 1 + ROUNDING:
        return np.minimum(brightness, 1)
    top = float(_to_pq(np.float32(peak)))
    target = float(_to_pq(np.float32(1))) / top
    knee = 1.5 * target - 0.5
    coded = _to_pq(np.minimum(brightness, peak)) / top
    t = np.maximum(coded - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee
    spline += (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * target
    return np.where(coded < knee, np.minimum(brightness, peak), _from_pq(spline * top))


# BT.2100, table 4.
_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128
_PQ_PEAK = 10_000.0


def _from_pq(coded: Any) -> Any:
    power = np.maximum(coded, 0) ** (1 / _M2)
    return (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1) * (_PQ_PEAK / WHITE)


def _to_pq(light: Any) -> Any:
    power = (np.maximum(light, 0) * (WHITE / _PQ_PEAK)) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


@lru_cache(maxsize=8)
def _linear(transfer: int, full_range: bool) -> Light:
    """For each of `LEVELS` coded values the light; 1 is paper white, for HLG the light of scene."""
    coded = np.linspace(0, 1, LEVELS)
    if not full_range:
        coded = np.clip((coded * 255 - 16) / 219, 0, 1)
    if transfer == PQ:
        light = _from_pq(coded)
    elif transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073  # BT.2100, table 5
        light = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    elif transfer == LINEAR:
        light = coded
    elif transfer in GAMMAS:
        light = coded ** GAMMAS[transfer]
    else:
        light = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@lru_cache(maxsize=1)
def _encoding() -> Pixels:
    """For each of `LEVELS` linear values that of sRGB. Source: IEC 61966-2-1."""
    light = np.linspace(0, 1, LEVELS)
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(coded * 255).astype(np.uint8)


@lru_cache(maxsize=16)
def _matrix(primaries: int) -> Light:
    """From linear RGB of other primaries to that of sRGB, to be multiplied from the right."""
    change = np.linalg.solve(_to_xyz(BT709), _adapted(primaries) @ _to_xyz(primaries))
    return change.T.astype(np.float32)


def _to_xyz(primaries: int) -> NDArray[np.float64]:
    *colours, white = (_xyz(each) for each in PRIMARIES[primaries])
    matrix = np.stack(colours, axis=1)
    return matrix * np.linalg.solve(matrix, white)


def _xyz(place: tuple[float, float]) -> NDArray[np.float64]:
    x, y = place
    return np.array((x / y, 1, (1 - x - y) / y))


def _adapted(primaries: int, white: tuple[float, float] = D65) -> NDArray[np.float64]:
    """Their white to another one. Source: Lam 1985 (Bradford)."""
    bradford = np.array(
        ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
    )
    there, here = (bradford @ _xyz(each) for each in (PRIMARIES[primaries][3], white))
    return np.linalg.solve(bradford, (here / there)[:, None] * bradford)
