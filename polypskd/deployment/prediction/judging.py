"""From a frame's pixels to what is said of it: limits, preparation, network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.preparation import prepare_frame
from polypskd.deployment.bundle import Bundle
from polypskd.deployment.layouts import read_layouts
from polypskd.deployment.prediction.halving import Halver
from polypskd.deployment.predictor import Predictor
from polypskd.deployment.results import (
    Verdict,
    build_verdict,
    judge_quality,
    judge_size,
    list_limits,
)


class Judge:
    """A bundle's network with its limits; it may be shared between threads.

    Args:
        bundle: as `open_bundle` gives it.

    Raises:
        ConfigError: ONNX Runtime is not installed.
        ArtifactError: the network is no network of ours.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.limits = list_limits(bundle.limits.quality.model_dump(exclude_none=True))
        self._wanted = {limit.measure for limit in self.limits}
        self._halver = Halver()
        self._layouts = read_layouts(bundle.limits.layouts)
        self._predictor = Predictor(bundle)

    def judge(self, pixels: NDArray[np.uint8]) -> Verdict:
        """Judge one frame.

        Args:
            pixels: (H, W, 3) uint8 RGB, the whole frame.

        Raises:
            DamageError: the bundle's box does not lie within the frame.
        """
        prepared, refused = self.prepare(pixels)
        prediction = self._predictor.predict(prepared[np.newaxis])
        return build_verdict(self.bundle, prediction, refused)

    def prepare(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], str]:
        """Prepare a frame as in training, and hold it against the limits.

        Args:
            pixels: (H, W, 3) uint8 RGB, the whole frame.

        Returns:
            (size, size, 3) uint8 RGB, and why the frame is not assessable; "" where it is.

        Raises:
            DamageError: the bundle's box does not lie within the frame.
        """
        bundle = self.bundle
        refused = judge_size(pixels.shape[1], pixels.shape[0], bundle.limits.min_side)
        crop, field, halve = bundle.crop, None, self._halver
        halve.start(pixels)
        if self.limits or crop.kind == "field":
            from polypskd.cohort.field import crop_frame, find_field

            field = find_field(pixels, halve)
        if self.limits and field is not None and not refused:
            from polypskd.cohort.quality import measure_quality

            quality = measure_quality(pixels, field, halve, self._wanted)
            refused = judge_quality(quality, self.limits)
        if crop.kind == "field" and field is not None:
            # As `prepare_frame` would, with the field that is known by now.
            layouts = self._layouts.get((pixels.shape[1], pixels.shape[0]))
            field = field if layouts is None else layouts.choose(field)
            cropped = crop_frame(pixels, field, crop.margin, blank=crop.blank)
            return prepare_frame(cropped, bundle.size), refused
        return prepare_frame(pixels, bundle.size, crop, halve), refused
