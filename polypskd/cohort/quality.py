"""How good a frame is to look at: numbers of its pixels, without a reference.

Everything but the noise is measured within the endoscope's picture, shrunk or enlarged until its
longer side has 256 pixels: about what a network reads, and the same for all cameras. A blur too
fine to be seen at that size is not told. None of the numbers knows anatomy; each is a heuristic.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.field import Field, cover_box, find_field
from polypskd.cohort.outline import Halve, Pixels, halve_pixels, shrink_pixels

if TYPE_CHECKING:
    from polypskd.config.preparation import Quality as Rules

WORK = 256  # the longer side of the picture when it is measured
GLARE = 240  # T1 of Arnold et al.
DARK, BRIGHT = 25, 243  # of 255: a tenth, and nineteen twentieths
LIT = 64  # below, a lumen looks blue to many cameras
Mask = NDArray[np.bool_]
MEASURES = ("sharpness", "blur", "motion", "contrast", "colorfulness", "noise", "outside_body")


@dataclass(frozen=True)
class Quality:
    """Measures of one frame.

    Args:
        sharpness: standard deviation of the Laplacian of the luminance over the mean luminance,
            without glare; 0 (blurred) to about 0.5, no unit. Laplacian: Pech-Pacheco et al.,
            Diatom autofocusing in brightfield microscopy, ICPR 2000; division by the mean makes it
            independent of the exposure.
        blur: what blurring again leaves of the differences between neighbors, 0 (sharp) to 1
            (blurred); the larger of both directions. Crete et al., The blur effect, SPIE 6492,
            2007; here after a Gaussian of one pixel, which quiets noise.
        motion: how much more the frame is blurred along one direction than across it, 0 to 1: the
            difference of the same measure between rows and columns or between both diagonals,
            whichever is larger. A fold that fills the picture counts as well.
        brightness: mean luminance (ITU-R BT.601), 0 (black) to 1 (white).
        underexposed: share of the picture with a luminance of at most 0.1, 0 to 1.
        overexposed: share of the picture with a luminance of at least 0.95, 0 to 1.
        specular: share of the picture under glare, 0 to 1; bright and less colored than the
            tissue. First module, with T1 = 240, of Arnold et al., Automatic segmentation and
            inpainting of specular highlights for endoscopic imaging, EURASIP J. Image Video
            Process. 2010, 814319. White text over the picture counts as well.
        contrast: standard deviation of the luminance, 0 to 0.5 (RMS contrast; Peli, J. Opt. Soc.
            Am. A 7, 1990).
        colorfulness: 0 (gray) to about 150, of 8-bit colors. Hasler and Suesstrunk, Measuring
            colorfulness in natural images, SPIE 5007, 2003.
        noise: standard deviation of the noise in 8-bit levels, of the middle of the picture at the
            frame's own size; 0 and up. Operator of Immerkaer, Comput. Vis. Image Underst. 64, 1996,
            read from its smaller half, so that edges count little.
        field: share of the frame that the endoscope's picture fills, 0 to 1.
        outside_body: share of the picture that is lit and not of mucosa's color (red to yellow,
            and more red than blue), glare left out; 0 to 1. A heuristic of white light: frames in
            narrow band, dyed or covered with stool score high within the body, and skin low
            outside of it.
    """

    sharpness: float
    blur: float
    motion: float
    brightness: float
    underexposed: float
    overexposed: float
    specular: float
    contrast: float
    colorfulness: float
    noise: float
    field: float
    outside_body: float


class _Picture(NamedTuple):
    colors: tuple[Pixels, ...]  # red, green and blue, (h, w) each
    levels: NDArray[np.int64]  # (256,) pixels inside of each level of gray
    gray: NDArray[np.float32]  # (h, w)
    filled: float  # share of the box that the endoscope's picture fills
    inside: Mask  # of the endoscope's picture, and not drawn over it
    glare: Mask
    tissue: Mask  # inside, away from the mask's edge, from glare and from what is drawn over it


def measure_quality(
    pixels: Pixels,
    field: Field | None = None,
    halve: Halve = halve_pixels,
    wanted: Collection[str] = MEASURES,
) -> Quality:
    """Measure one frame.

    Args:
        pixels: (H, W, 3) uint8 RGB, the whole frame.
        field: where the endoscope's picture lies, found in the frame if not given.
        halve: as `halve_pixels`; another one may remember what it has halved.
        wanted: which of the measures that take time; the others are NaN.

    >>> quality = measure_quality(np.full((64, 64, 3), (200, 100, 80), np.uint8))
    >>> quality.sharpness, quality.field, quality.outside_body
    (0.0, 1.0, 0.0)
    """
    field = find_field(pixels) if field is None else field
    picture = _take_picture(pixels, field, halve)
    count = int(picture.levels.sum())
    blurs = [np.nan] * 4
    if "blur" in wanted or "motion" in wanted:
        blurs = _measure_blurs(picture)
    return Quality(
        sharpness=_measure_sharpness(picture) if "sharpness" in wanted else np.nan,
        blur=max(blurs[:2]),
        motion=max(abs(blurs[0] - blurs[1]), abs(blurs[2] - blurs[3])),
        brightness=_measure_brightness(picture.levels),
        underexposed=int(picture.levels[: DARK + 1].sum()) / count,
        overexposed=int(picture.levels[BRIGHT:].sum()) / count,
        specular=_count(picture.glare) / count,
        contrast=_measure_contrast(picture) if "contrast" in wanted else np.nan,
        colorfulness=_measure_colorfulness(picture) if "colorfulness" in wanted else np.nan,
        noise=_measure_noise(pixels, field) if "noise" in wanted else np.nan,
        field=picture.filled * field.share,
        outside_body=_measure_outside(picture) if "outside_body" in wanted else np.nan,
    )


def list_columns(quality: Quality) -> dict[str, float]:
    """Name the measures as columns of the cohort: `quality_sharpness` and so on."""
    return {f"quality_{name}": value for name, value in asdict(quality).items()}


def find_exclusions(quality: Quality, rules: Rules) -> list[str]:
    """Find the rules that a frame breaks.

    Args:
        quality: of the frame.
        rules: limits; those unset exclude nothing.

    Returns:
        One reason a broken rule, with the value and the limit; empty where the frame stays.

    >>> from polypskd.config.preparation import Quality as Rules
    >>> dark = measure_quality(np.zeros((64, 64, 3), np.uint8))
    >>> find_exclusions(dark, Rules(min_brightness=0.1, max_specular=0.2))
    ['brightness 0 is below 0.1 (min_brightness)']
    """
    reasons = []
    for rule, limit in rules.model_dump(exclude_none=True).items():
        side, _, measure = rule.partition("_")
        value = getattr(quality, measure)
        if (value < limit) if side == "min" else (value > limit):
            where = "below" if side == "min" else "above"
            reasons.append(f"{measure} {value:.3g} is {where} {limit:g} ({rule})")
    return reasons


def _take_picture(pixels: Pixels, field: Field, halve: Halve) -> _Picture:
    import cv2

    part, _ = halve(pixels[field.top : field.bottom, field.left : field.right], 2 * WORK + 1)
    scale = WORK / max(part.shape[:2])
    size = (max(8, round(part.shape[1] * scale)), max(8, round(part.shape[0] * scale)))
    small: Any
    if scale < 1:
        small = shrink_pixels(part, *size)
    else:
        small = cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_LINEAR)
    gray: Any = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    shaped = Field(0, 0, size[0], size[1], field.shape, 1.0, field.reach)
    covered = cover_box(shaped)
    colors: Any = cv2.split(small)
    drawn = covered & _find_drawn(*colors)
    # A position finder's box is small; a picture that is all green is no box.
    inside = covered & ~drawn if _count(drawn) / drawn.size < 0.25 else covered
    levels = _count_levels(gray, inside)
    glare = _find_glare(colors, gray, inside, levels) & inside
    # Text, boxes and the mask's edge are sharp whatever the camera saw. The border of zeros is for
    # the box's own edge.
    plain = cv2.copyMakeBorder((inside & ~glare).view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    tissue = cv2.erode(plain, np.ones((7, 7), np.uint8))[1:-1, 1:-1] > 0
    filled = _count(covered) / covered.size
    return _Picture(colors, levels, gray.astype(np.float32), filled, inside, glare, tissue)


def _find_drawn(red: Pixels, green: Pixels, blue: Pixels) -> Mask:
    """Find the box of a position finder: of a green that no mucosa has."""
    import cv2

    drawn: Mask = (cv2.subtract(green, red) > 50) & (green >= blue)
    return drawn


def _find_glare(
    colors: tuple[Pixels, ...], gray: Pixels, inside: Mask, levels: NDArray[np.int64]
) -> Mask:
    """Find glare by the first module of Arnold et al.: bright beside the picture's own color."""
    top = max(1, _find_percentile(levels, 95))
    glare = gray > GLARE
    for part in colors[1:]:
        balance = _find_percentile(_count_levels(part, inside), 95) / top
        # Dark or gray frames have no color of their own to compare with.
        glare |= part > int(max(balance * GLARE, GLARE / 2))
    found: Mask = glare
    return found


def _count(mask: Mask) -> int:
    return int(np.count_nonzero(mask))


def _count_levels(values: Pixels, inside: Mask) -> NDArray[np.int64]:
    """Count the pixels of each of the 256 levels."""
    import cv2

    counts: Any = cv2.calcHist([values], [0], inside.view(np.uint8), [256], [0, 256])
    return np.asarray(counts.ravel(), np.int64)


def _find_percentile(levels: NDArray[np.int64], percent: int) -> int:
    counts = np.cumsum(levels)
    return int(np.searchsorted(counts, counts[-1] * percent / 100))


def _measure_brightness(levels: NDArray[np.int64]) -> float:
    # The sum of 256 x 256 levels is exact in float32, so it is what a mean of floats divides.
    total, count = int(levels @ np.arange(256)), int(levels.sum())
    return float(np.float32(total / count)) / 255


def _measure_contrast(picture: _Picture) -> float:
    return float(picture.gray[picture.inside].std()) / 255


def _measure_sharpness(picture: _Picture) -> float:
    import cv2

    if _count(picture.tissue) < 64:
        return 0.0
    curved = cv2.Laplacian(picture.gray, cv2.CV_32F)[picture.tissue]
    # Half a level more, so that the noise of a black frame is not sharp.
    return float(curved.std() / (picture.gray[picture.tissue].mean() + 0.5 + 255 * 0.02))


def _measure_blurs(picture: _Picture) -> list[float]:
    """Measure the blur along rows, columns and both diagonals."""
    import cv2

    if _count(picture.tissue) < 64:
        return [1.0] * 4
    # The steps of 8 bits, and noise, would pass for edges.
    gray = cv2.GaussianBlur(picture.gray, (5, 5), 1.0)
    blurs = []
    eye = np.eye(9, dtype=np.float32) / np.float32(9)
    kernels = [
        np.full((1, 9), 1 / 9, np.float32),
        np.full((9, 1), 1 / 9, np.float32),
        eye,
        eye[::-1],
    ]
    width = gray.shape[1]
    # Right, down, and along both diagonals, in pixels of one long row.
    for kernel, step in zip(kernels, (1, width, width + 1, width - 1), strict=True):
        again = cv2.filter2D(gray, cv2.CV_32F, kernel)
        sharp = _differ(gray, step)[picture.tissue]
        lost = sharp - _differ(again, step)[picture.tissue]
        np.maximum(0, lost, out=lost)
        whole = float(sharp.sum(dtype=np.float64))
        blurs.append(1.0 if whole == 0 else 1 - float(lost.sum(dtype=np.float64)) / whole)
    return blurs


def _differ(gray: NDArray[Any], step: int) -> NDArray[np.float32]:
    """Differences between neighbors; those that the picture's edge lacks are never looked at."""
    row = gray.ravel()
    away = np.empty_like(row)
    np.subtract(row[step:], row[:-step], out=away[step:])
    np.abs(away[step:], out=away[step:])
    return away.reshape(gray.shape)


def _measure_colorfulness(picture: _Picture) -> float:
    red, green, blue = (color[picture.inside].astype(np.float32) for color in picture.colors)
    first, second = red - green, 0.5 * (red + green) - blue
    spread = np.hypot(first.std(), second.std())
    return float(spread + 0.3 * np.hypot(first.mean(), second.mean()))


def _measure_noise(pixels: Pixels, field: Field) -> float:
    import cv2

    middle_x, middle_y = field.left + field.width // 2, field.top + field.height // 2
    half = min(128, field.width // 3, field.height // 3)
    if half < 4:
        return 0.0
    part = pixels[middle_y - half : middle_y + half, middle_x - half : middle_x + half, 1]
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    curved: Any = cv2.filter2D(np.ascontiguousarray(part), cv2.CV_16S, kernel)
    # Whole numbers: they are sorted in a third of the time, and add up without rounding.
    size = np.abs(curved[1:-1, 1:-1]).ravel()
    low = np.partition(size, len(size) // 2)[: len(size) // 2]
    # The mean of a normal variable's smaller half is 0.3247 of its standard deviation.
    return float(low.mean(dtype=np.float64) / (6 * 0.3247))


def _measure_outside(picture: _Picture) -> float:
    import cv2

    looked = picture.inside & ~picture.glare
    count = _count(looked)
    if not count:
        return 0.0
    red, green, blue = picture.colors
    lit = cv2.max(cv2.max(red, green), blue) > LIT
    levels = np.arange(256, dtype=np.float32)
    # Red leads, and blue is clearly less than red: hues from red to yellow, and not gray. What a
    # level of red allows blue is looked up: at most 0.88 of it, and a quarter of it above green.
    most = cv2.LUT(red, np.floor(levels - 0.12 * levels).astype(np.uint8))
    above = cv2.LUT(red, np.floor(0.25 * levels).astype(np.uint8))
    mucosa = (red >= green) & (blue <= most) & (cv2.subtract(blue, green) <= above)
    return _count(lit & ~mucosa & looked) / count
