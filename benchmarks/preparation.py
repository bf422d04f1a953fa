"""Frame preparation beside bare decoding: milliseconds a frame of 1280 x 1024, one thread.

A drawn frame with an octagon and a panel of text is decoded by OpenCV, its field is found, its
quality measured, and it is prepared for a network with and without the crop. All are interleaved in
every round; a ratio is taken within its round, and CPU time is counted, not the clock.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import results

from polypskd.cohort.field import find_field
from polypskd.cohort.preparation import prepare_frame
from polypskd.cohort.quality import measure_quality
from polypskd.config.preparation import FieldCrop


def draw_frame(width: int, height: int) -> np.ndarray:
    """Draw the smooth shading and the fine grain of mucosa in an octagon, and a panel."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0.4, 1, (6, 7)).astype(np.float32)
    light = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 5, (height, width, 1))
    mucosa = light[:, :, None] * np.array([205, 120, 100], np.float32) + grain
    left, right, top, bottom, cut = width // 3, width - 20, 20, height - 20, height // 6
    corners = [(left, top + cut), (left + cut, top), (right - cut, top), (right, top + cut)]
    corners += [(right, bottom - cut), (right - cut, bottom), (left + cut, bottom)]
    corners += [(left, bottom - cut)]
    mask = np.zeros((height, width, 1), np.uint8)
    cv2.fillPoly(mask, [np.array(corners, np.int32)], 1)
    pixels = np.clip(mucosa, 0, 255).astype(np.uint8) * mask
    for row in range(60, height, 60):
        cv2.putText(pixels, "12:34:56", (20, row), 0, 1, (255, 255, 255), 2)
    return pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--into", type=Path, help="write the results here instead of RESULTS.md")
    given = parser.parse_args()
    results.PATH = given.into or results.PATH
    cv2.setNumThreads(1)
    pixels = draw_frame(1280, 1024)
    _, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    field, crop = find_field(pixels), FieldCrop()
    ways: dict[str, Callable[[], object]] = {
        "decode": lambda: cv2.imdecode(data, cv2.IMREAD_COLOR),
        "find the field": lambda: find_field(pixels),
        "measure the quality": lambda: measure_quality(pixels, field),
        "prepare, no crop": lambda: prepare_frame(pixels, 224),
        "prepare, field": lambda: prepare_frame(pixels, 224, crop),
    }
    for way in ways.values():
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.rounds):
        for name, way in ways.items():
            start = time.process_time()
            way()
            times[name].append((time.process_time() - start) * 1000)
    ratios = {
        name: [own / bare for own, bare in zip(times[name], times["decode"], strict=True)]
        for name in ways
        if name != "decode"
    }
    values: dict[str, object] = {f"{name}, ms": spread(found) for name, found in times.items()}
    values |= {f"{name} / decode": spread(found) for name, found in ratios.items()}
    results.record("Frame preparation at 1280 x 1024, median (quartiles) a frame", values)


def spread(found: list[float]) -> str:
    low, middle, high = statistics.quantiles(found, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
