"""Drawn colonoscopy frames: a tube with folds, a lesion on its wall, a lamp and a camera.

Lengths are in half frames: the frame spans [-1, 1] in both directions. Small frames are
drawn larger and reduced at the end, so that fine vessels do not alias.
No number here is measured on patients; the frames are there to try the method, not to test it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.surface import (
    HISTOLOGIES,
    Floats,
    Plane,
    blur,
    draw_surface,
    make_plane,
    smooth_noise,
    smooth_step,
)

FINE = 224  # smaller frames are drawn at this side, then reduced
BLACK = 0.035  # what the camera records outside its field of view


@dataclass(frozen=True)
class Look:
    """What all frames of one patient share: mucosa, lamp and camera.

    Args:
        mucosa: red, green, blue reflectance of the mucosa, each in (0, 1).
        vessels: visibility of the vessel network, 0..1.
        gain: exposure, about 1.
        balance: camera's factor for red, green, blue, each about 1.
        lamp: (x, y) of the brightest point.
        falloff: how fast the light fades from there, about 0.3.
        border: shape of the field of view.
        aperture: its half width, about 1; beyond it the frame is black.
        grain: standard deviation of the sensor's noise, 0..0.03.
    """

    mucosa: tuple[float, float, float]
    vessels: float
    gain: float
    balance: tuple[float, float, float]
    lamp: tuple[float, float]
    falloff: float
    border: Literal["round", "octagonal"]
    aperture: float
    grain: float


def draw_look(rng: np.random.Generator) -> Look:
    """Draw a patient's look.

    Args:
        rng: source of randomness; equal states give equal looks.

    >>> draw_look(np.random.default_rng(3)) == draw_look(np.random.default_rng(3))
    True
    """
    red = rng.uniform(0.74, 0.9)
    green = red * rng.uniform(0.46, 0.66)
    blue = green * rng.uniform(0.66, 0.92)
    return Look(
        mucosa=(red, green, blue),
        vessels=rng.uniform(0.35, 1.0),
        gain=rng.uniform(0.88, 1.14),
        balance=(rng.uniform(0.95, 1.05), rng.uniform(0.94, 1.06), rng.uniform(0.9, 1.1)),
        lamp=(rng.uniform(-0.25, 0.25), rng.uniform(-0.25, 0.25)),
        falloff=rng.uniform(0.2, 0.42),
        border="round" if rng.random() < 0.4 else "octagonal",
        aperture=rng.uniform(0.93, 1.06),
        grain=rng.uniform(0.006, 0.02),
    )


def draw_frame(
    rng: np.random.Generator, *, histology: str, difficulty: float, size: int, look: Look
) -> NDArray[np.uint8]:
    """Draw one frame with one polyp.

    Difficulty mixes the other histology's surface in, lowers contrast, shrinks the lesion, and
    brings blur, glare and a fold in front of it.

    Args:
        rng: source of randomness; equal states and arguments give equal bytes.
        histology: one of `HISTOLOGIES`.
        difficulty: 0 (typical, in plain view) to 1 (not to be told from the other histology).
        size: side in pixels, at least 16.
        look: the patient's look.

    Returns:
        (size, size, 3) RGB.

    Raises:
        ValueError: `histology` is unknown, or `difficulty` or `size` out of range.

    >>> rng = np.random.default_rng(0)
    >>> look = draw_look(rng)
    >>> draw_frame(rng, histology="adenoma", difficulty=0.2, size=48, look=look).shape
    (48, 48, 3)
    """
    if histology not in HISTOLOGIES:
        raise ValueError(f"unknown histology {histology!r}; use one of {list(HISTOLOGIES)}")
    if not 0 <= difficulty <= 1 or size < 16:
        raise ValueError(f"difficulty {difficulty} or size {size} out of range")
    import cv2

    plane = make_plane(max(size, FINE))
    way = rng.uniform(0, 2 * np.pi)
    far = rng.uniform(0.55, 1.0)
    lumen = (far * math.cos(way), far * math.sin(way))
    albedo, shade, gloss = draw_wall(rng, plane, lumen=lumen, look=look)

    away = rng.uniform(0.05, 0.3)
    center = (
        rng.uniform(-0.1, 0.1) - away * math.cos(way),
        rng.uniform(-0.1, 0.1) - away * math.sin(way),
    )
    surface = draw_surface(
        rng, plane, histology=histology, difficulty=difficulty, center=center, lamp=look.lamp
    )
    cover = surface.cover[..., None]
    albedo = albedo * (1 - cover) + albedo.mean(axis=(0, 1)) * surface.tint * cover
    shade = shade * surface.shadow
    even = blur(shade, len(shade) / 10)  # it stands out of the wall's folds
    lifted = surface.light * (0.45 + 0.55 * even)
    shade = shade * (1 - surface.cover) + lifted * surface.cover
    gloss = gloss * (1 - surface.cover) + surface.gloss * surface.cover

    if rng.random() < 0.7 * difficulty**1.5:
        albedo, shade = _draw_fold_in_front(rng, plane, albedo, shade, center)
    frame: Floats = albedo * (shade * _light(plane, look))[..., None]
    frame = _add_highlights(rng, plane, frame, gloss, difficulty)
    frame = blur(  # focus and motion
        frame,
        len(frame) * (0.0022 + 0.0065 * difficulty * rng.uniform(0.3, 1.0)),
        rng.uniform(1, 1 + difficulty),
    )
    frame = np.asarray(cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA), np.float32)
    return _record(rng, frame, look)


def draw_wall(
    rng: np.random.Generator, plane: Plane, *, lumen: tuple[float, float], look: Look
) -> tuple[Floats, Floats, Floats]:
    """Draw the colon without a lesion: reflectance (H, W, 3), shade (H, W), gloss (H, W).

    Args:
        rng: source of randomness.
        plane: the coordinates to draw on.
        lumen: (x, y) where the tube leads to.
        look: the patient's look.
    """
    side = len(plane.x)
    dx, dy = plane.x - lumen[0], plane.y - lumen[1]
    angle = np.arctan2(dy, dx)
    corner = rng.uniform(0, 2 * np.pi)  # teniae pull the tube to a rounded triangle
    radius = np.hypot(dx, dy) * (1 + 0.13 * np.cos(3 * (angle - corner)))
    radius = radius * (1 + 0.07 * smooth_noise(rng, side, 5))

    shade = 0.05 + 0.95 * smooth_step(radius, -0.05, 0.8)
    gloss = np.full_like(shade, 0.1)
    edge = rng.uniform(0.16, 0.24)
    while edge < 2.2:
        facing = rng.uniform(0, 2 * np.pi)
        reach = smooth_step(np.cos(angle - facing), rng.uniform(-1.3, 0.1), 0.75)
        behind = edge - radius * (1 + 0.03 * smooth_noise(rng, side, 7))
        inside = smooth_step(behind, -0.012, 0.02)
        fade = np.exp(-np.maximum(behind, 0) / (0.3 * edge + 0.05))
        lip = np.exp(-np.abs(behind + 0.03) / (0.1 * edge + 0.02)) * (1 - inside)
        shade = shade * (1 - rng.uniform(0.3, 0.55) * reach * inside * fade)
        shade = shade * (1 + 0.22 * reach * lip)
        gloss = gloss + 0.65 * reach * lip * (radius > 0.3)
        edge *= rng.uniform(1.45, 1.9)

    mucosa = np.asarray(look.mucosa, np.float32)
    blush = 0.5 * smooth_noise(rng, side, 4) + 0.25 * smooth_noise(rng, side, 13)
    albedo = mucosa * (1 + blush[..., None] * np.array([0.03, 0.1, 0.1], np.float32))
    vessels = _draw_vessels(rng, side) * look.vessels * smooth_step(radius, 0.2, 0.6)
    albedo = albedo * (1 - vessels[..., None] * np.array([0.24, 0.56, 0.48], np.float32))
    return albedo, shade * (1 + 0.03 * smooth_noise(rng, side, 40)), gloss


def _draw_vessels(rng: np.random.Generator, side: int) -> Floats:
    """Branching vessels, 0..1: each twig is a random walk that splits and thins."""
    import cv2

    ink = np.zeros((side, side), np.uint8)
    twigs = [(rng.uniform(0, side, 2), rng.uniform(0, 2 * np.pi), side / 75, 0) for _ in range(7)]
    while twigs:
        point, heading, width, depth = twigs.pop()
        steps = int(rng.integers(6, 12))
        turns = heading + np.cumsum(rng.normal(0, 0.28, steps))
        walk = point + np.cumsum(np.stack([np.cos(turns), np.sin(turns)], 1), 0) * side / 32
        line = np.round(np.vstack([point, walk]) * 16).astype(np.int32)
        shade = int(230 * 0.8**depth)
        cv2.polylines(ink, [line], False, shade, max(1, round(width)), cv2.LINE_AA, shift=4)
        if depth < 3:
            for fork in (-0.55, 0.55):
                turn = turns[-1] + fork * rng.uniform(0.6, 1.5)
                twigs.append((walk[-1], turn, width * 0.7, depth + 1))
    soft = blur(ink.astype(np.float32) / 255, side / 300)
    return soft * (0.55 + 0.45 * smooth_step(smooth_noise(rng, side, 4), -0.6, 0.6))


def _draw_fold_in_front(
    rng: np.random.Generator,
    plane: Plane,
    albedo: Floats,
    shade: Floats,
    center: tuple[float, float],
) -> tuple[Floats, Floats]:
    """Let a fold cover an edge of the lesion, and cast a shadow on it."""
    way = rng.uniform(0, 2 * np.pi)
    along = (plane.x - center[0]) * math.cos(way) + (plane.y - center[1]) * math.sin(way)
    across = (plane.y - center[1]) * math.cos(way) - (plane.x - center[0]) * math.sin(way)
    crest = rng.uniform(0.1, 0.35) + rng.uniform(0.05, 0.25) * across**2
    depth = (along - crest + 0.03 * smooth_noise(rng, len(shade), 5)).astype(np.float32)
    cover = smooth_step(depth, -0.012, 0.012)
    cast = 1 - 0.45 * np.exp(-np.abs(np.minimum(depth, 0)) / 0.1)
    body = (
        0.72 + 0.35 * np.exp(-((depth - 0.05) ** 2) / 0.006) - 0.15 * smooth_step(depth, 0.1, 0.5)
    )
    tone = albedo.mean(axis=(0, 1)) * (1 + 0.04 * smooth_noise(rng, len(shade), 9)[..., None])
    albedo = albedo * (1 - cover[..., None]) + tone * cover[..., None]
    return albedo, shade * cast * (1 - cover) + body * cover


def _light(plane: Plane, look: Look) -> Floats:
    """(H, W) light of the lamp beside the lens, fading outwards."""
    square = (plane.x - look.lamp[0]) ** 2 + (plane.y - look.lamp[1]) ** 2
    return np.asarray(look.gain * 1.3 / (1 + look.falloff * square), np.float32)


def _add_highlights(
    rng: np.random.Generator, plane: Plane, frame: Floats, gloss: Floats, difficulty: float
) -> Floats:
    """Add wet highlights where the surface is glossy, and at times a broad glare."""
    side = len(plane.x)
    wet = 0.4 * smooth_noise(rng, side, 14) + 0.4 * smooth_noise(rng, side, 34)
    spots = smooth_step(wet + gloss, 1.25, 1.55)
    glare = np.zeros_like(spots)
    if rng.random() < 0.25 + 0.5 * difficulty:
        x, y = rng.uniform(-0.45, 0.45, 2)
        wide = rng.uniform(0.04, 0.07 + 0.1 * difficulty)
        blob = np.exp(-((plane.x - x) ** 2 + (plane.y - y) ** 2) / (2 * wide**2))
        glare = smooth_step(blob + 0.25 * smooth_noise(rng, side, 16) * blob, 0.35, 0.9)
    white = np.maximum(spots, glare)[..., None] * np.float32(0.92)
    shine = np.array([1.0, 0.98, 0.95], np.float32)
    return np.asarray(frame * (1 - white) + shine * white, np.float32)


def _record(rng: np.random.Generator, frame: Floats, look: Look) -> NDArray[np.uint8]:
    """Let the camera record: balance, soft saturation, border, noise."""
    plane = make_plane(len(frame))
    x, y = np.abs(plane.x), np.abs(plane.y)
    if look.border == "round":
        out = np.hypot(x, y) - look.aperture * 1.02
    else:
        out = np.maximum(np.maximum(x, y) - look.aperture, ((x + y) - 1.62 * look.aperture) * 0.7)
    seen = smooth_step(-out, -1.0 / len(frame), 1.5 / len(frame))
    dim = 1 - 0.3 * smooth_step(out, -0.45, 0.0)
    frame = frame * np.asarray(look.balance, np.float32) * dim[..., None]
    frame = np.where(frame > 0.75, 0.75 + 0.25 * np.tanh((frame - 0.75) / 0.25), frame)
    frame = frame + look.grain * rng.standard_normal(frame.shape, dtype=np.float32)
    frame = frame * seen[..., None] + BLACK * (1 - seen[..., None])
    return np.asarray(np.clip(frame * 255 + 0.5, 0, 255), np.uint8)
