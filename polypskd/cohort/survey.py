"""A look at the pixels of every frame: faults, measures, and rules that leave frames out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.address import order_address
from polypskd.cohort.agreed_fields import agree_on_fields
from polypskd.cohort.cropping import place_field
from polypskd.cohort.frames import check_frames
from polypskd.cohort.preparation import crop_frame
from polypskd.cohort.quality import find_exclusions, list_columns, measure_quality
from polypskd.config import BoxCrop, CohortConfig, FieldCrop
from polypskd.errors import Fault

Pixels = NDArray[np.uint8]


@dataclass
class Survey:
    """What the pixels tell.

    Args:
        faults: frames that cannot be read.
        measures: frame → column → value, where frames are measured.
        excluded: frame → why the rules of ``cohort.quality`` leave it out.
    """

    faults: list[Fault] = field(default_factory=list)
    measures: dict[str, dict[str, str]] = field(default_factory=dict)
    excluded: dict[str, str] = field(default_factory=dict)


def survey_frames(
    root: Path,
    frames: Sequence[str],
    config: CohortConfig,
    devices: Sequence[str] | None = None,
) -> Survey:
    """Decode every frame once, and measure it where the config asks for it.

    Args:
        root: folder of the frames.
        frames: names below it.
        config: the section ``cohort``.
        devices: of each frame, where they are known.
    """
    survey = Survey()
    fields, most = None, config.max_megapixels
    if isinstance(config.crop, FieldCrop) and config.quality is not None:
        fields = agree_on_fields(root, frames, devices, max_megapixels=most)

    def look(name: str, pixels: Pixels) -> None:
        if isinstance(config.crop, BoxCrop):
            crop_frame(pixels, config.crop)
        if config.quality is not None:
            field = place_field(name, pixels, config.crop, fields)
            quality = measure_quality(pixels, field)
            found = list_columns(quality).items()
            survey.measures[name] = {column: f"{value:.6g}" for column, value in found}
            reasons = find_exclusions(quality, config.quality)
            if reasons:
                survey.excluded[name] = "; ".join(reasons)

    # In the order of a file's frames, so that a video is decoded on and not sought in.
    survey.faults = check_frames(
        root,
        sorted(frames, key=order_address),
        min_side=config.min_side,
        max_megapixels=most,
        look=look,
    )
    return survey
