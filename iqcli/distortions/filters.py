"""Image filters that lower the quality of a picture: the functions behind `iqcli.distortions.bank`.

Each takes an upright 8-bit RGB picture (h, w, 3), which it does not change, a strength and a random
generator, and returns a picture of the same shape. The parts they are made of (tone curves, kernels
and rounding to bytes) come last; `iqcli.distortions.camera_faults` is made of the same parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from iqcli.records import Pixels

    Numbers = NDArray[np.float64]
    Plane = NDArray[np.float32]
    Random = np.random.Generator


def gaussian_blur(picture: Pixels, sigma: float, _: Random) -> Pixels:
    """Gaussian blur of `sigma` pixels."""
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def lens_blur(picture: Pixels, radius: float, _: Random) -> Pixels:
    """Missed focus: an even disc of that radius in pixels."""
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return cv2.filter2D(picture, -1, disc / disc.sum())


def motion_blur(picture: Pixels, length: float, random: Random) -> Pixels:
    """Motion along a straight line of that length in pixels, at a random angle."""
    return cv2.filter2D(picture, -1, _arc_kernel(length, random.uniform(0, np.pi), bend=0.0))


def curved_motion_blur(picture: Pixels, length: float, random: Random) -> Pixels:
    """Camera shake: motion along an arc of that length in pixels, bent by up to 2 radians."""
    angle, bend = random.uniform(0, np.pi), random.uniform(-2, 2)
    return cv2.filter2D(picture, -1, _arc_kernel(length, angle, bend))


def color_diffusion(picture: Pixels, amount: float, _: Random) -> Pixels:
    """Colours run: the chroma planes of Lab are blurred by 1.5 amount + 2 and grow by `amount`."""
    lab = _to_lab(picture)
    chroma = cv2.GaussianBlur(lab[..., 1:], (0, 0), 1.5 * amount + 2)
    lab[..., 1:] = chroma * max(amount, 1.0)
    return _from_lab(lab)


def color_shift(picture: Pixels, pixels: float, random: Random) -> Pixels:
    """The green plane is displaced by that many pixels along edges."""
    angle = random.uniform(0, 2 * np.pi)
    move = np.array([[1, 0, pixels * np.cos(angle)], [0, 1, pixels * np.sin(angle)]], np.float32)
    green = picture[..., 1]
    moved = cv2.warpAffine(green, move, green.shape[::-1], borderMode=cv2.BORDER_REFLECT)
    mask = np.minimum(_edges(green) * 4, 1)
    out = picture.copy()
    out[..., 1] = to_bytes(green + (moved.astype(np.float32) - green) * mask)
    return out


def desaturate(picture: Pixels, kept: float, _: Random) -> Pixels:
    """HSV saturation times `kept`; below zero the colours turn into their opposites."""
    plane = picture.astype(np.float32)
    value = plane.max(axis=2, keepdims=True)
    return to_bytes(value - (value - plane) * kept)


def oversaturate(picture: Pixels, factor: float, _: Random) -> Pixels:
    """The chroma planes of Lab times `factor`."""
    lab = _to_lab(picture)
    lab[..., 1:] *= factor
    return _from_lab(lab)


def jpeg(picture: Pixels, quality: float, _: Random) -> Pixels:
    """JPEG at that quality and back, colours at half size."""
    return _recoded(picture, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, int(quality)])


def jpeg2000(picture: Pixels, ratio: float, _: Random) -> Pixels:
    """JPEG 2000 at that compression ratio and back."""
    thousandths = max(1, round(1000 / ratio))
    return _recoded(picture, ".jp2", [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, thousandths])


def jpeg_twice(picture: Pixels, quality: float, random: Random) -> Pixels:
    """JPEG, then a crop that moves the block grid, then JPEG again, as messengers do."""
    down, right = random.integers(1, 8, 2)
    once = jpeg(picture, min(quality * 1.3, 95), random)
    framed = cv2.copyMakeBorder(once, down, 0, right, 0, cv2.BORDER_REFLECT)
    return np.ascontiguousarray(jpeg(framed, quality, random)[down:, right:])


def white_noise(picture: Pixels, variance: float, random: Random) -> Pixels:
    """Gaussian noise on RGB, its variance on the scale 0..1."""
    noise = random.standard_normal(picture.shape, np.float32)
    return to_bytes(picture + noise * (255 * variance**0.5))


def color_noise(picture: Pixels, variance: float, random: Random) -> Pixels:
    """Gaussian noise on YCbCr, its variance on the scale 0..1."""
    noise = random.standard_normal(picture.shape, np.float32) * np.float32(255 * variance**0.5)
    luma, cb, cr = noise[..., 0], noise[..., 1], noise[..., 2]
    red, blue = luma + 1.402 * cr, luma + 1.772 * cb
    green = luma - 0.344 * cb - 0.714 * cr
    return to_bytes(picture + np.stack([red, green, blue], axis=2))


def impulse_noise(picture: Pixels, share: float, random: Random) -> Pixels:
    """Salt and pepper on that share of the values."""
    draw = random.random(picture.shape, np.float32)
    out = picture.copy()
    out[draw < share / 2] = 0
    out[(draw >= share / 2) & (draw < share)] = 255
    return out


def speckle(picture: Pixels, variance: float, random: Random) -> Pixels:
    """Noise that multiplies, its variance on the scale 0..1."""
    noise = random.standard_normal(picture.shape, np.float32)
    return to_bytes(picture * (1 + noise * np.float32(variance**0.5)))


def brighten(picture: Pixels, amount: float, _: Random) -> Pixels:
    """A tone curve that lifts middle grey by 0.42 amount of the range."""
    return _gamma(picture, 0.5 + 0.42 * amount)


def dim(picture: Pixels, amount: float, _: Random) -> Pixels:
    """A tone curve that lowers middle grey by half of `amount` of the range."""
    return _gamma(picture, 0.5 - 0.5 * amount)


def mean_shift(picture: Pixels, amount: float, random: Random) -> Pixels:
    """All values move up or down (drawn once a ladder) by that part of the range."""
    return to_bytes(picture.astype(np.float32) + _sign(random) * 255 * amount)


def jitter(picture: Pixels, amount: float, random: Random) -> Pixels:
    """Each pixel is taken from a random place near it, as if five times in a row."""
    height, width = picture.shape[:2]
    steps = random.standard_normal((2, height, width), np.float32) * np.float32(amount * 5**0.5)
    x = np.arange(width, dtype=np.float32) + steps[0]
    y = np.arange(height, dtype=np.float32)[:, None] + steps[1]
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def patches(picture: Pixels, count: float, random: Random) -> Pixels:
    """`count` patches of 16 pixels are replaced by what lies up to 16 pixels beside them."""
    out = picture.copy()
    rows, columns = (max(1, side - 48) for side in picture.shape[:2])
    for _ in range(round(count)):
        y, x = random.integers(16, rows + 16), random.integers(16, columns + 16)
        dy, dx = random.integers(-16, 17, 2)
        out[y : y + 16, x : x + 16] = picture[y + dy : y + dy + 16, x + dx : x + dx + 16]
    return out


def pixelate(picture: Pixels, amount: float, _: Random) -> Pixels:
    """Sampled at the scale 0.95 - amount^0.6 and back, by nearest neighbours."""
    height, width = picture.shape[:2]
    scale = 0.95 - amount**0.6
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    few = cv2.resize(picture, small, interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def quantize(picture: Pixels, steps: float, _: Random) -> Pixels:
    """`steps` values a channel."""
    levels = np.arange(256) / 255 * (steps - 1)
    return tone_curve(picture, np.rint(levels) / (steps - 1))


def color_blocks(picture: Pixels, count: float, random: Random) -> Pixels:
    """`count` squares of 32 pixels in random colours: lost data."""
    out = picture.copy()
    rows, columns = (max(1, side - 32) for side in picture.shape[:2])
    for _ in range(round(count)):
        y, x = random.integers(0, rows), random.integers(0, columns)
        out[y : y + 32, x : x + 32] = random.integers(0, 256, 3)
    return out


def sharpen(picture: Pixels, amount: float, _: Random) -> Pixels:
    """Unsharp mask of radius 1 on the luma of Lab."""
    return _unsharp(picture, amount, 1.0)


def over_sharpen(picture: Pixels, amount: float, _: Random) -> Pixels:
    """A phone's sharpening: unsharp mask of radius 2, whose halos are seen."""
    return _unsharp(picture, amount, 2.0)


def change_contrast(picture: Pixels, amount: float, random: Random) -> Pixels:
    """Contrast about the mean times 1 + or - `amount`, the sign drawn once a ladder."""
    return scale_contrast(picture, 1 + _sign(random) * amount)


def s_curve(picture: Pixels, steepness: float, _: Random) -> Pixels:
    """An S-shaped tone curve."""
    levels = np.linspace(-0.5, 0.5, 256)
    curve = 0.5 + 0.5 * np.tanh(steepness * levels) / np.tanh(steepness / 2)
    return tone_curve(picture, curve)


def color_cast(picture: Pixels, stops: float, random: Random) -> Pixels:
    """A wrong white balance: red and blue differ by `stops`, warm or cold."""
    tilt = _sign(random) * stops / 2
    gains = np.array([2.0**tilt, 1.0, 2.0**-tilt], np.float32)
    gains /= gains @ np.array([0.299, 0.587, 0.114], np.float32)
    return to_bytes(picture * gains)


def bilateral_smoothing(picture: Pixels, strength: float, _: Random) -> Pixels:
    """Noise reduction that takes texture for noise: an edge-keeping filter, three times."""
    out = picture
    for _pass in range(3):
        out = cv2.bilateralFilter(out, 7, strength, 4)
    return np.asarray(out, np.uint8)


def lens_haze(picture: Pixels, amount: float, _: Random) -> Pixels:
    """A greasy lens: lights glow over the picture and blacks are lifted."""
    plane = picture.astype(np.float32)
    few = cv2.resize(plane, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
    glow = cv2.resize(cv2.GaussianBlur(few, (0, 0), 6), plane.shape[1::-1])
    softened = cv2.GaussianBlur(plane, (0, 0), 1 + 2 * amount)
    return to_bytes((1 - amount) * softened + amount * (0.75 * glow + 50))


# --- the parts ---


def to_bytes(plane: NDArray[Any]) -> Pixels:
    """Rounded and clipped to 0..255."""
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)


def tone_curve(picture: Pixels, curve: Plane | Numbers) -> Pixels:
    """Every channel through a tone curve of 256 values, 0..1."""
    return cv2.LUT(picture, to_bytes(curve * 255))


def scale_contrast(picture: Pixels, factor: float) -> Pixels:
    """The distance of each value from the mean times `factor`."""
    plane = picture.astype(np.float32)
    return to_bytes(plane.mean() + (plane - plane.mean()) * factor)


def path_kernel(x: Numbers, y: Numbers, reach: int) -> Plane:
    """A motion-blur kernel (2 reach + 1, 2 reach + 1) that sums to 1.

    The points (n,) x, y of the path, within `reach` of 0, are each shared out among the four pixels
    around them, so that every angle is met.
    """
    kernel = np.zeros((2 * reach + 2, 2 * reach + 2), np.float32)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, low = x - left, y - top
    for dy, tall in ((0, 1 - low), (1, low)):
        for dx, wide in ((0, 1 - right), (1, right)):
            np.add.at(kernel, (top + dy + reach, left + dx + reach), tall * wide)
    kernel = kernel[: 2 * reach + 1, : 2 * reach + 1]
    return kernel / kernel.sum()


def _arc_kernel(length: float, angle: float, bend: float) -> Plane:
    """The kernel of a line or, with `bend` radians, an arc of `length` pixels."""
    turn = angle + bend * np.linspace(-0.5, 0.5, 64)
    x, y = (np.cumsum(part(turn)) * length / 64 for part in (np.cos, np.sin))
    x, y = x - x.mean(), y - y.mean()
    return path_kernel(x, y, int(np.ceil(max(np.abs(x).max(), np.abs(y).max(), 0.5))))


def _recoded(picture: Pixels, suffix: str, options: Sequence[int]) -> Pixels:
    """Encoded as a file of that kind and decoded again."""
    data = cv2.imencode(suffix, picture[..., ::-1], options)[1]
    decoded: Any = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(decoded[..., ::-1])


def _edges(plane: Pixels) -> Plane:
    """How much of an edge each place is, softened; 0..1."""
    smooth = cv2.GaussianBlur(plane, (0, 0), 1.5).astype(np.float32)
    slope = cv2.magnitude(cv2.Sobel(smooth, -1, 1, 0), cv2.Sobel(smooth, -1, 0, 1))
    return np.asarray(cv2.GaussianBlur(slope, (0, 0), 4) / 255, np.float32)


def _gamma(picture: Pixels, middle: float) -> Pixels:
    """The power curve that takes middle grey to `middle`."""
    power = np.log(min(max(middle, 0.02), 0.98)) / np.log(0.5)
    return tone_curve(picture, np.linspace(0, 1, 256) ** power)


def _unsharp(picture: Pixels, amount: float, radius: float) -> Pixels:
    lab = _to_lab(picture)
    luma = lab[..., 0]
    lab[..., 0] = np.clip(luma + amount * (luma - cv2.GaussianBlur(luma, (0, 0), radius)), 0, 100)
    return _from_lab(lab)


def _sign(random: Random) -> float:
    return 1.0 if random.random() < 0.5 else -1.0


def _to_lab(picture: Pixels) -> Plane:
    """L 0..100, a and b about -127..127."""
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float32)


def _from_lab(lab: Plane) -> Pixels:
    return to_bytes(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255)
