"""Text burned into frames: where it may stand is black; a frame nobody vouches for is refused.

There is no reading of letters here: text beside the endoscope's picture goes with all that lies
outside the picture; text written over the picture cannot be found and needs a rule of the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.deployment.deidentification.rules import Picture, Rectangle, Rule, Rules

Pixels = NDArray[np.uint8]
Way = Literal["rule: black", "rule: keep", "rule: clean", "field", "declared clean", "said clean"]
LOOKS = 9  # frames of a clip looked at to find its field
REFUSED = "the picture may hold burned-in text, and no rule fits it"
TODO = "give --rules with a rule of its device, or see --trust-field and --pixels-are-clean"
TODO_VIDEO = (
    "give --rules with a rule of its size, or look through it and use --video-pixels-are-clean "
    "(--trust-field and --pixels-are-clean do not apply to videos)"
)


class FieldError(DamageError):
    """The endoscope's picture is not found."""


@dataclass(frozen=True)
class Trust:
    """What the user vouches for.

    Args:
        field: no text stands within the endoscope's picture; all outside is made black.
        pixels: no text stands anywhere in images and DICOM files.
        video: the same for video files.
    """

    field: bool = False
    pixels: bool = False
    video: bool = False


@dataclass(frozen=True)
class Plan:
    """How the frames of one file are cleaned.

    Args:
        way: told in the summary.
        mask: from a frame to the same frame with black areas; None where pixels stay as they are.
        took: the rule that took the file and the file's size, as ``rule 2: 1080 x 1920``; else
            empty.
    """

    way: Way
    mask: Callable[[Pixels], Pixels] | None = None
    took: str = ""


def plan_cleaning(
    picture: Picture, rules: Rules, trust: Trust, look: Callable[[], Sequence[Pixels]]
) -> Plan:
    """Decide how the frames of a file are cleaned.

    A rule comes first; then the field, where it may be trusted; then the user's word; then the
    file's own: only NO counts, while an absent or unknown BurnedInAnnotation means YES.

    Args:
        picture: what is known about the file.
        rules: of the rule file.
        trust: what the user vouches for.
        look: gives some frames, (H, W, 3) uint8 RGB; called only where the field is looked for.

    Raises:
        DamageError: nobody vouches for the frames, or a rule does not suit them.
    """
    rule = rules.find(picture)
    if rule is not None:
        took = f"rule {rules.rules.index(rule) + 1}: {picture.rows} x {picture.columns}"
        return replace(plan_rule(rule, picture), took=took)
    vouched = trust.video if picture.kind == "video" else trust.pixels
    if trust.field and picture.kind != "video":
        try:
            return plan_field(look())
        except FieldError:
            if not vouched:
                raise
    if vouched:
        return Plan("said clean")
    if picture.burned == "NO":
        return Plan("declared clean")
    raise DamageError(REFUSED, todo=TODO_VIDEO if picture.kind == "video" else TODO)


def plan_rule(rule: Rule, picture: Picture) -> Plan:
    """Turn a rule into a plan.

    Raises:
        DamageError: a rectangle reaches beyond the frame: the rule is of another device.
    """
    if rule.clean:
        return Plan("rule: clean")
    for left, top, width, height in rule.black + rule.keep:
        if left + width > picture.columns or top + height > picture.rows:
            raise DamageError(
                "a rectangle of its rule reaches beyond the picture",
                f"{picture.columns}x{picture.rows}",
                "add rows and columns to the rule's match",
            )
    if rule.black:
        return Plan("rule: black", lambda pixels: blank_rectangles(pixels, rule.black))
    return Plan("rule: keep", lambda pixels: keep_rectangles(pixels, rule.keep))


def plan_field(frames: Sequence[Pixels]) -> Plan:
    """Find the endoscope's picture in some frames; all outside of it is to be black.

    Args:
        frames: at least one, of one size.

    Raises:
        FieldError: no mask is seen, so that text may stand anywhere.
    """
    from polypskd.cohort.field import agree_on_field, find_field, mask_field

    field = agree_on_field([find_field(frame) for frame in frames])
    if field.shape == "full":
        raise FieldError(
            "the endoscope's picture is not found within the frame",
            todo="give --rules with a rule of its device, or look at it and use --pixels-are-clean",
        )
    return Plan("field", lambda pixels: mask_field(pixels, field))


def blank_rectangles(pixels: Pixels, areas: Sequence[Rectangle]) -> Pixels:
    """Make rectangles black.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        areas: (left, top, width, height) in pixels.

    Returns:
        A copy.

    >>> blank_rectangles(np.full((2, 2, 3), 9, np.uint8), [(0, 0, 1, 2)])[:, :, 0].tolist()
    [[0, 9], [0, 9]]
    """
    masked = pixels.copy()
    for left, top, width, height in areas:
        masked[top : top + height, left : left + width] = 0
    return masked


def keep_rectangles(pixels: Pixels, areas: Sequence[Rectangle]) -> Pixels:
    """Make all but some rectangles black.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        areas: (left, top, width, height) in pixels.

    Returns:
        A copy.

    >>> keep_rectangles(np.full((2, 2, 3), 9, np.uint8), [(0, 0, 1, 2)])[:, :, 0].tolist()
    [[9, 0], [9, 0]]
    """
    masked = np.zeros_like(pixels)
    for left, top, width, height in areas:
        part = (slice(top, top + height), slice(left, left + width))
        masked[part] = pixels[part]
    return masked


def choose_looks(count: int) -> list[int]:
    """Choose which frames of a clip are looked at, from 0.

    >>> choose_looks(3), choose_looks(101)[-2:]
    ([0, 1, 2], [88, 100])
    """
    return sorted({round(at) for at in np.linspace(0, count - 1, min(count, LOOKS))})
