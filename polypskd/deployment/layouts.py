"""Where the picture lies in frames of a size, as the bundle tells it.

A frame too dark to show its outline is cropped as the cohort's other frames were. A bundle does not
know which device a frame is from; it tells a layout where all devices of the cohort that give
frames of this size share it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from polypskd.cohort.agreed_fields import Layouts
from polypskd.cohort.field import Field as Place
from polypskd.config.section import Count, Section

Edge = Annotated[int, Field(ge=0)]
Reach = Annotated[float, Field(ge=1, le=2)]


class Picture(Section):
    """The endoscope's picture within a frame; see `polypskd.cohort.field.Field`."""

    left: Edge
    top: Edge
    width: Count
    height: Count
    shape: Literal["octagon", "circle", "rectangle", "full"]
    share: Annotated[float, Field(gt=0, le=1)]
    reach: tuple[Reach, Reach]


class FrameLayout(Section):
    """Where the picture lies in frames of one size.

    Args:
        width: of the frames in pixels.
        height: likewise.
        pictures: the first stands for frames that tell none of them.
    """

    width: Count
    height: Count
    pictures: Annotated[tuple[Picture, ...], Field(min_length=1, max_length=64)]

    @model_validator(mode="after")
    def _fits(self) -> FrameLayout:
        for one in self.pictures:
            if one.left + one.width > self.width or one.top + one.height > self.height:
                raise ValueError("a picture leaves its frame")
        return self


def write_layouts(found: Mapping[tuple[int, int], Layouts]) -> tuple[FrameLayout, ...]:
    """Write layouts as the bundle tells them.

    Args:
        found: width and height of frames → layouts that are sure.
    """
    return tuple(
        FrameLayout(
            width=width,
            height=height,
            pictures=tuple(
                Picture(**{name: getattr(one, name) for name in Picture.model_fields})
                for one in layouts.fields
            ),
        )
        for (width, height), layouts in sorted(found.items())
    )


def read_layouts(told: Sequence[FrameLayout]) -> dict[tuple[int, int], Layouts]:
    """Give layouts by width and height of the frame.

    Args:
        told: as the bundle tells them.
    """
    return {
        (one.width, one.height): Layouts(
            tuple(Place(**picture.model_dump()) for picture in one.pictures), sure=True
        )
        for one in told
    }
