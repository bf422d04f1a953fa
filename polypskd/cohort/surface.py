"""Surfaces of drawn polyps: pits, gyri and mucus, after the NICE and WASP descriptions.

Reference:
    NICE: Hewett et al., Gastroenterology 143, 599 (2012). Type 1 (hyperplastic): as pale as its
    surroundings or paler, dark or white spots of one size, lacy vessels or none. Type 2 (adenoma):
    browner, brown vessels around white oval, tubular or branched structures.
    WASP: IJspeert et al., Gut 65, 963 (2016). Serrated: clouded surface, indistinct border,
    irregular shape, dark spots inside crypts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

HISTOLOGIES = ("hyperplastic", "serrated", "adenoma")  # lowest to highest risk
TINTS = {  # against the mucosa around it
    "hyperplastic": (1.06, 1.24, 1.30),
    "serrated": (1.04, 1.14, 1.00),
    "adenoma": (0.94, 0.76, 0.76),
}
DOMES = {"hyperplastic": 0.32, "serrated": 0.25, "adenoma": 0.62}  # height by half width


@dataclass(frozen=True)
class Plane:
    """Pixel coordinates: (H, W) each, -1..1, x to the right and y downwards."""

    x: Floats
    y: Floats


@dataclass(frozen=True)
class Surface:
    """A lesion ready to be laid on the wall; (H, W) unless told otherwise.

    Args:
        cover: how much of the wall it hides, 0..1.
        tint: (H, W, 3) reflectance against the mucosa.
        light: brightness of its relief.
        shadow: factor for the wall around it.
        gloss: readiness for wet highlights.
    """

    cover: Floats
    tint: Floats
    light: Floats
    shadow: Floats
    gloss: Floats


def make_plane(side: int) -> Plane:
    """Make the coordinates of a square of pixels.

    >>> make_plane(2).x.tolist()
    [[-0.5, 0.5], [-0.5, 0.5]]
    """
    axis = ((np.arange(side, dtype=np.float32) + 0.5) * 2 / side - 1).astype(np.float32)
    x, y = np.meshgrid(axis, axis)
    return Plane(x, y)


def smooth_step(value: Floats, low: float, high: float) -> Floats:
    """Rise smoothly from 0 at `low` to 1 at `high`.

    >>> smooth_step(np.array([-1, 0.5, 9], np.float32), 0, 1).tolist()
    [0.0, 0.5, 1.0]
    """
    share = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def smooth_noise(rng: np.random.Generator, side: int, cells: int) -> Floats:
    """Draw a smooth random field of mean about 0 and deviation below 1, `cells` bumps across."""
    import cv2

    coarse = rng.standard_normal((cells + 3, cells + 3), dtype=np.float32)
    fine = int(np.ceil(side * (cells + 3) / cells))
    field = cv2.resize(coarse, (fine, fine), interpolation=cv2.INTER_CUBIC)
    start = (fine - side) // 2
    return np.asarray(field[start : start + side, start : start + side], np.float32)


def blur(field: Floats, sigma: float, stretch: float = 1.0) -> Floats:
    """Blur with a Gaussian of `sigma` pixels, `stretch` times that in x."""
    import cv2

    blurred = cv2.GaussianBlur(field, (0, 0), sigmaX=sigma * stretch, sigmaY=sigma)
    return np.asarray(blurred, np.float32)


def draw_pits(rng: np.random.Generator, u: Floats, v: Floats, spacing: float) -> Floats:
    """Draw round pits on a jittered hexagonal lattice: (H, W), 1 in a pit, 0 between them.

    Args:
        rng: source of randomness.
        u: (H, W) coordinate on the surface, within [-2, 2].
        v: (H, W) coordinate across it.
        spacing: distance between pits.
    """
    import cv2

    grain = 10  # texels from pit to pit
    side = int(4.4 / spacing * grain)
    rows, columns = np.mgrid[: side // 8, : side // grain + 1]
    middles = np.stack([(columns + 0.5 * (rows % 2)) * grain, rows * grain * 0.87], -1)
    middles = middles + rng.uniform(-0.22, 0.22, middles.shape) * grain
    radii = rng.uniform(0.2, 0.31, middles.shape[:2]) * grain
    tile = np.zeros((side, side), np.uint8)
    for middle, radius in zip(middles.reshape(-1, 2), radii.ravel(), strict=True):
        place = (round(middle[0] * 16), round(middle[1] * 16))
        cv2.circle(tile, place, round(radius * 16), 255, -1, cv2.LINE_AA, shift=4)
    soft = blur(tile.astype(np.float32) / 255, 1.1)
    return _lay(soft, u, v, grain / spacing)


def draw_gyri(rng: np.random.Generator, u: Floats, v: Floats, spacing: float) -> Floats:
    """Draw branched tubes like the gyri of a brain: (H, W), 1 in a furrow, 0 on a tube.

    Noise of a single wavelength makes a labyrinth; its sign tells furrow from tube.

    Args:
        rng: source of randomness.
        u: (H, W) coordinate on the surface, within [-2, 2].
        v: (H, W) coordinate across it.
        spacing: distance from furrow to furrow.
    """
    grain = 6  # texels from furrow to furrow
    side = int(4.4 / spacing * grain)
    white = rng.standard_normal((side, side), dtype=np.float32)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    band = np.exp(-(((frequency * grain - 1) / 0.22) ** 2))
    ripple = np.fft.irfft2(np.fft.rfft2(white) * band, s=(side, side)).astype(np.float32)
    ripple /= ripple.std()
    return _lay(1 - smooth_step(ripple, -0.8, 0.5), u, v, grain / spacing)


def _lay(tile: Floats, u: Floats, v: Floats, scale: float) -> Floats:
    """Lay a square of texels on a surface, its middle at u = v = 0."""
    import cv2

    middle = len(tile) / 2
    x, y = ((part * scale + middle).astype(np.float32) for part in (u, v))
    laid = cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(laid, np.float32)


def draw_surface(
    rng: np.random.Generator,
    plane: Plane,
    *,
    histology: str,
    difficulty: float,
    center: tuple[float, float],
    lamp: tuple[float, float],
) -> Surface:
    """Draw a lesion of a histology, the less typical the more difficult.

    Args:
        rng: source of randomness.
        plane: the coordinates to draw on.
        histology: one of `HISTOLOGIES`.
        difficulty: 0..1; at 1 half of the surface is another histology's.
        center: (x, y) middle of the lesion.
        lamp: (x, y) that the light comes from.
    """
    side = len(plane.x)
    others = [name for name in HISTOLOGIES[::2] if name != histology]
    other = others[int(rng.integers(len(others)))]
    own = 1 - difficulty * rng.uniform(0.42, 0.5)

    dx, dy = plane.x - center[0], plane.y - center[1]
    reach = (0.58 - 0.2 * difficulty) * rng.uniform(0.82, 1.15)
    distance = np.hypot(dx, dy) / (reach * _outline(rng, np.arctan2(dy, dx)))
    distance = distance * (1 + 0.05 * smooth_noise(rng, side, 9))
    soft = {"hyperplastic": 0.16, "serrated": 0.32, "adenoma": 0.1}[histology] + 0.1 * difficulty
    cover = 1 - smooth_step(distance, 1 - soft, 1 + 0.5 * soft)

    height = (own * DOMES[histology] + (1 - own) * DOMES[other]) * rng.uniform(0.75, 1.25)
    bulge = 1 + 0.5 * height * distance**2  # the pattern is foreshortened towards the rim
    bend = 0.05 * smooth_noise(rng, side, 6), 0.05 * smooth_noise(rng, side, 6)
    u, v = (dx * bulge + bend[0]) / reach, (dy * bulge + bend[1]) / reach
    patches = np.clip(own + 0.22 * difficulty * smooth_noise(rng, side, 5), 0, 1)
    (tint, relief), (tint_too, relief_too) = (
        _paint(rng, u, v, name) for name in (histology, other)
    )
    relief = relief * patches + relief_too * (1 - patches)
    tint = tint * patches[..., None] + tint_too * (1 - patches[..., None])

    contrast = 1 - 0.55 * difficulty
    crisp = contrast * (0.75 + 0.3 * smooth_noise(rng, side, 4))  # worn away in places
    flat = np.asarray(tint[cover > 0.5].mean(axis=0))
    color = 1 + (flat - 1) * contrast * rng.uniform(0.2, 1.1)
    pallor, warmth = rng.normal(0, 0.06), rng.normal(0, 0.025)  # no two lesions have one color
    color = color * np.array([1, 1 + pallor, 1 + pallor + warmth])
    color = color * (1 + (tint / flat - 1) * np.clip(crisp, 0.1, 1.1)[..., None])

    lobes = 0.16 * smooth_noise(rng, side, 6)
    dome = np.sqrt(np.clip(1 - np.minimum(distance, 1) ** 2, 0, 1)) ** 1.2
    light, gloss = _relieve(plane, (dome * (1 + lobes)) * height * reach, lamp, height)
    light = light * (1 + 0.12 * crisp * relief)
    ring = np.exp(-np.maximum(distance - 1, 0) / 0.18)
    shadow = 1 - (0.06 + 0.4 * height) * ring * (0.5 + 0.5 * smooth_step(dy / reach, -0.6, 0.8))
    parts = cover, color, light, shadow, gloss
    return Surface(*(np.asarray(part, np.float32) for part in parts))


def _outline(rng: np.random.Generator, angle: Floats) -> Floats:
    """Half width of a lesion by direction, about 1."""
    turn = np.linspace(-np.pi, np.pi, 181)
    waves = np.arange(2, 7)[:, None]
    sizes = rng.normal(0, 0.16, (5, 1)) / (waves - 1) ** 1.1
    outline = 1 + (sizes * np.cos(waves * turn + rng.uniform(0, 2 * np.pi, (5, 1)))).sum(0)
    index = (angle + np.float32(np.pi)) * np.float32(180 / (2 * np.pi))
    return np.asarray(np.clip(outline, 0.6, 1.4)[np.round(index).astype(np.int64)], np.float32)


def _relieve(
    plane: Plane, lift: Floats, lamp: tuple[float, float], height: float
) -> tuple[Floats, Floats]:
    """Light and gloss (H, W) of a raised surface lit from beside the lens."""
    slope_y, slope_x = np.gradient(lift, 2 / len(lift))
    facing = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    tilt_x = -slope_x * facing - 0.45 * (lamp[0] - plane.x)
    tilt_y = -slope_y * facing - 0.45 * (lamp[1] - 0.25 - plane.y)
    square = tilt_x**2 + tilt_y**2
    light = 0.5 + 0.5 * facing + 0.2 * np.exp(-square / 0.25)
    return light, (0.15 + 1.1 * min(1.0, 2 * height)) * np.exp(-square / 0.045)


def _paint(rng: np.random.Generator, u: Floats, v: Floats, histology: str) -> tuple[Floats, Floats]:
    """Color (H, W, 3) against the mucosa and relief (H, W) of a typical surface."""
    base = np.asarray(TINTS[histology], np.float32)
    spacing = rng.uniform(0.24, 0.32)
    if histology == "adenoma":
        furrow = draw_gyri(rng, u, v, spacing * 1.1)
        brown = np.array([0.24, 0.42, 0.40], np.float32)
        return base * (1.1 - furrow[..., None] * brown), 1 - 2 * furrow
    pit = draw_pits(rng, u, v, spacing * (1.3 if histology == "serrated" else 1.0))
    if histology == "hyperplastic":
        depth = np.array([0.14, 0.27, 0.25], np.float32)
        if rng.random() < 0.35:  # white spots rather than dark ones
            depth = depth * np.float32(-0.8)
        return base * (1 - pit[..., None] * depth), -pit
    depth = np.array([0.34, 0.48, 0.44], np.float32)
    mucus = 0.7 * smooth_step(smooth_noise(rng, len(u), 5), -0.2, 0.7)
    cap = np.array([1.1, 1.24, 0.9], np.float32)
    color = base * (1 - pit[..., None] * depth)
    return color * (1 - mucus[..., None]) + cap * mucus[..., None], -pit * (1 - mucus)
