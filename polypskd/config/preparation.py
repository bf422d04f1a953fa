"""The sections `crop` and `quality`: what of a frame is kept, and which frames are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from polypskd.config.section import Count, Section

Edge = Annotated[int, Field(ge=0)]
Part = Annotated[float, Field(ge=0, le=1)]


class NoCrop(Section):
    """The whole frame, as it is."""

    kind: Literal["none"] = "none"


class FieldCrop(Section):
    """The endoscope's picture, found in each frame."""

    kind: Literal["field"] = "field"
    # Taken off at each edge of the mask, as a share of the picture's side.
    margin: Annotated[float, Field(ge=0, le=0.25)] = 0.01
    blank: bool = True  # black outside an octagon or a circle, where text may stand


class BoxCrop(Section):
    """One box for all frames of a device, in pixels of the frame."""

    kind: Literal["box"] = "box"
    left: Edge
    top: Edge
    width: Count
    height: Count


Crop = Annotated[NoCrop | FieldCrop | BoxCrop, Field(discriminator="kind")]


class Quality(Section):
    """Limits of the measures of `polypskd.cohort.quality`; a frame beyond one is excluded."""

    min_sharpness: Annotated[float, Field(ge=0)] | None = None
    max_blur: Part | None = None
    max_motion: Part | None = None
    min_brightness: Part | None = None
    max_brightness: Part | None = None
    max_underexposed: Part | None = None
    max_overexposed: Part | None = None
    max_specular: Part | None = None
    min_contrast: Part | None = None
    max_noise: Annotated[float, Field(ge=0)] | None = None
    min_field: Part | None = None
    max_outside_body: Part | None = None
