"""Good photos with one random fault or several, and the level of every issue that they show.

A level is read off the distorted picture beside the good one, or off the dose, so combined faults
have true levels too: three faults in a row may brighten a picture that one of them darkened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from iqcli.distortions import camera_faults, filters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iqcli.distortions.camera_faults import Fault
    from iqcli.records import Pixels

    Random = np.random.Generator

# The amounts from which an issue is slight, clear, severe.
BOUNDS: dict[str, tuple[float, float, float]] = {
    # Stops of the mean, moved halfway towards what is usual: a dark photo can take more light.
    "too_bright": (0.8, 1.3, 1.9),
    "too_dark": (1.5, 2.5, 3.75),
    # Doublings of the contrast, and halvings.
    "high_contrast": (0.6, 1.1, 1.6),
    "low_contrast": (0.85, 1.45, 2.1),
    # Share of the picture that the fault made white.
    "overexposed": (0.05, 0.15, 0.35),
    # Share of the scale by which the brightest parts fell.
    "over_suppressed": (0.15, 0.25, 0.37),
    # Standard deviation in pixels, of a long side of 2048.
    "blurred": (1.5, 3.0, 6.0),
    # Standard deviation at mid-grey, 0..255.
    "noisy": (6.0, 13.0, 26.0),
}
# The same in pixels of a small picture: less blur is not visible there.
LEAST_BLUR = (0.6, 1.0, 1.8)
# Mean and contrast of the usual photo, 0..255; a change of light under half a stop is taste.
USUAL_MEAN, USUAL_CONTRAST, TASTE = 110.0, 55.0, 0.5
WHITE = 248
# A picture whose brightest hundredth is darker has no highlights to suppress.
HIGHLIGHT = 205

# The faults of each step, with the doses between which one is drawn.
LIGHT: dict[str, tuple[tuple[Fault, float, float], ...]] = {
    "dark": (
        (camera_faults.darken, 0.5, 6.0),
        (camera_faults.darken, 0.5, 6.0),
        (camera_faults.bend, 1.3, 5.0),
    ),
    "bright": ((camera_faults.bend, 0.2, 0.85), (camera_faults.lift, 0.5, 4.0)),
    "over": (
        (camera_faults.blow_out, 0.3, 3.5),
        (camera_faults.blow_out, 0.3, 3.5),
        (camera_faults.burn, 1.2, 4.0),
    ),
}
CONTRAST: dict[str, tuple[tuple[Fault, float, float], ...]] = {
    "high": ((camera_faults.steepen, 1.15, 5.0),),
    "low": (
        (camera_faults.fade, 0.1, 0.8),
        (camera_faults.veil, 0.1, 0.8),
        (camera_faults.wash, 0.1, 0.8),
    ),
}
# Motion blur is drawn as often as softness in all directions.
BLURS = (
    filters.gaussian_blur,
    camera_faults.defocus,
    camera_faults.shake,
    camera_faults.shake,
    camera_faults.enlarge,
)
NOISES = (camera_faults.add_noise, camera_faults.add_grain)
# Each step with its probability; blur is often slight, and not every photo has highlights.
STEPS = {
    **dict.fromkeys(("dark", "bright", "over", "high", "low", "noisy"), 0.1),
    **dict.fromkeys(("suppressed", "blurred"), 0.2),
}
SHARE_GOOD = 0.25
COUNTS = (0.65, 0.27, 0.08)


@dataclass(frozen=True, slots=True)
class Example:
    """A picture and the level (1..4) of each issue of `BOUNDS` that it shows."""

    picture: Pixels
    levels: Mapping[str, int]


def distort(picture: Pixels, random: Random) -> Example:
    """The picture at a random size with random faults, or with none; sometimes through JPEG."""
    start = _framed(picture, random)
    if random.random() < SHARE_GOOD:
        return Example(_encoded(_retouched(start, random), random, 80), dict.fromkeys(BOUNDS, 1))
    count = 1 + int(random.choice(3, p=COUNTS))
    wanted = random.choice([*STEPS], count, replace=False, p=[*STEPS.values()])
    example = distort_with(wanted.tolist(), start, random)
    return Example(_encoded(example.picture, random, 55), example.levels)


def distort_with(steps: list[str], start: Pixels, random: Random) -> Example:
    """The picture with faults of these `STEPS` at random doses, in the order a camera adds them.

    Of steps that undo each other, such as dark and bright, the first is taken.
    """
    amounts = dict.fromkeys(BOUNDS, 0.0)
    picture = start
    if "blurred" in steps:
        scale = max(start.shape) / 2048
        sigma = max(float(np.exp(random.uniform(np.log(0.7), np.log(20)))) * scale, 0.4)
        picture = _one_of(BLURS, random)(picture, sigma, random)
        amounts["blurred"] = _blur_amount(sigma, scale)
    before = picture
    if kind := next((each for each in steps if each in CONTRAST), None):
        picture, dose = _dosed(CONTRAST[kind], picture, random)
        amounts |= _contrast_amounts(kind, before, picture, dose)
    if kind := next((each for each in steps if each in LIGHT), None):
        picture, _ = _dosed(LIGHT[kind], picture, random)
    amounts |= _light_amounts(before, picture)
    if "suppressed" in steps and _highlight(picture) >= HIGHLIGHT:
        bright = picture
        picture = camera_faults.suppress(picture, random.uniform(0.45, 0.93), random)
        amounts["over_suppressed"] = (_highlight(bright) - _highlight(picture)) / 255
    amounts["overexposed"] = _lost(picture) - _lost(before)
    if "noisy" in steps:
        sigma = float(np.exp(random.uniform(np.log(2.5), np.log(60))))
        picture = _one_of(NOISES, random)(picture, sigma, random)
        amounts["noisy"] = sigma
    return Example(picture, {name: level_of(name, value) for name, value in amounts.items()})


def level_of(name: str, amount: float) -> int:
    """Level 1..4 of that amount of a fault, by `BOUNDS`."""
    return 1 + sum(amount >= bound for bound in BOUNDS[name])


def _dosed(
    kinds: tuple[tuple[Fault, float, float], ...], picture: Pixels, random: Random
) -> tuple[Pixels, float]:
    fault, least, most = kinds[random.integers(len(kinds))]
    dose = random.uniform(least, most)
    return fault(picture, dose, random), dose


def _one_of(kinds: tuple[Fault, ...], random: Random) -> Fault:
    return kinds[random.integers(len(kinds))]


def _blur_amount(sigma: float, scale: float) -> float:
    """`sigma` pixels on the scale of `BOUNDS`, where a small picture has bounds of its own."""
    bounds = [max(b * scale, least) for b, least in zip(BOUNDS["blurred"], LEAST_BLUR, strict=True)]
    passed = sum(sigma >= bound for bound in bounds)
    return BOUNDS["blurred"][passed - 1] if passed else 0.0


def _contrast_amounts(kind: str, before: Pixels, after: Pixels, dose: float) -> dict[str, float]:
    first, last = (max(float(_luma(each).std()), 1.0) for each in (before, after))
    own = 0.5 * float(np.clip(np.log2(first / USUAL_CONTRAST), -0.6, 0.6))
    if kind == "high":
        return {"high_contrast": float(np.log2(dose)) + own}
    return {"low_contrast": float(np.log2(first / last)) - own}


def _light_amounts(before: Pixels, after: Pixels) -> dict[str, float]:
    first, last = (max(float(_luma(each).mean()), 1.0) for each in (before, after))
    change = 2.2 * float(np.log2(last / first))
    own = 0.5 * float(np.clip(2.2 * np.log2(first / USUAL_MEAN), -1.2, 1.2))
    if abs(change) < TASTE:
        return {}
    return {"too_bright": change + own} if change > 0 else {"too_dark": -change - own}


def _lost(picture: Pixels) -> float:
    """The share of white pixels, and of single channels at their end for a third as much."""
    channels = float((picture >= WHITE).mean())
    return 0.75 * float((_luma(picture) >= WHITE).mean()) + 0.25 * channels


def _highlight(picture: Pixels) -> float:
    return float(np.quantile(_luma(picture)[::2, ::2], 0.99))


def _luma(picture: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def _framed(picture: Pixels, random: Random) -> Pixels:
    """Cropped a little and reduced, half of the time each."""
    height, width = picture.shape[:2]
    if random.random() < 0.5:
        top, left = (int(side * random.uniform(0, 0.2)) for side in (height, width))
        picture = picture[top : top + int(0.8 * height), left : left + int(0.8 * width)]
    if random.random() < 0.5 and max(picture.shape) > 400:
        scale = float(np.exp(random.uniform(np.log(400 / max(picture.shape)), 0)))
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture)


def _retouched(picture: Pixels, random: Random) -> Pixels:
    """A small edit such as people make to good photos, half of the time."""
    if random.random() < 0.5:
        return picture
    picture = camera_faults.bend(picture, float(np.exp(random.uniform(-0.15, 0.15))), random)
    pivot = picture.mean() / 255
    return filters.tone_curve(
        picture, pivot + (camera_faults.CODES - pivot) * random.uniform(0.92, 1.12)
    )


def _encoded(picture: Pixels, random: Random, least: int) -> Pixels:
    if random.random() < 0.4:
        return picture
    return filters.jpeg(picture, random.uniform(least, 98), random)
