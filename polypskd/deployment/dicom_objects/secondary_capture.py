"""A copy of a frame with the region drawn and the words burned in, for viewers that show no more.

The words stand below the picture, so that they cover nothing of it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polypskd.deployment.dicom_objects.presentation_state import BOXES, COLORS, list_words
from polypskd.deployment.dicom_objects.result_objects import (
    RESEARCH,
    Exam,
    Finding,
    describe_origin,
    finish_result,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from polypskd.deployment.dicom_objects.regions import Box

Pixels = NDArray[np.uint8]


def name_capture(exam: Exam, finding: Finding) -> str:
    """Derive the UID of a secondary capture.

    Args:
        exam: the study.
        finding: of the frame.
    """
    return exam.derive_instance("SC", [finding])


def build_capture(exam: Exam, finding: Finding, pixels: Pixels, box: Box | None) -> Dataset:
    """Build a secondary capture of one frame.

    Args:
        exam: the study.
        finding: of the frame.
        pixels: (H, W, 3) uint8 RGB, the whole frame.
        box: what is drawn; None for nothing.

    Returns:
        The object with file meta information, not yet written.
    """
    import highdicom as hd
    from pydicom.dataset import Dataset as NewDataset

    capture: Dataset = hd.sc.SCImage(
        pixel_array=draw_capture(pixels, box, [*list_words(finding), RESEARCH]),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=exam.study,
        sop_instance_uid=name_capture(exam, finding),
        instance_number=finding.answer.frame or finding.image.number,
        patient_orientation=("L", "F"),
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        **describe_origin(exam, "SC"),
    )
    capture.PatientOrientation = None  # asked for, and unknown of an endoscope
    capture.Laterality = None  # of paired organs alone
    capture.BurnedInAnnotation = "YES"
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.DerivationDescription = f"Region and answer of a model drawn in. {RESEARCH}"
    item = NewDataset()
    item.ReferencedSOPClassUID = finding.image.sop_class
    item.ReferencedSOPInstanceUID = finding.image.instance
    if finding.frame_numbers is not None:
        item.ReferencedFrameNumber = finding.frame_numbers
    capture.SourceImageSequence = [item]
    finish_result(capture, exam, finding.image)
    return capture


def draw_capture(pixels: Pixels, box: Box | None, lines: list[str]) -> Pixels:
    """Draw a box into a frame, and lines of text below it.

    Args:
        pixels: (H, W, 3) uint8 RGB; they are not changed.
        box: in pixels of the frame; None for none.
        lines: of text; what does not fit the width goes on in the next.

    Returns:
        (H + text, W, 3) uint8 RGB.
    """
    from PIL import Image, ImageDraw

    height, width = pixels.shape[:2]
    size = max(11, round(min(height, width) / 32))
    font = _open_font(size)
    wrapped = [part for line in lines for part in _wrap(line, font, width - size)]
    step = round(1.4 * size)
    canvas = Image.new("RGB", (width, height + step * len(wrapped) + size))
    canvas.paste(Image.fromarray(pixels), (0, 0))
    pen = ImageDraw.Draw(canvas)
    for row, line in enumerate(wrapped):
        pen.text((size // 2, height + size // 2 + row * step), line, (255, 255, 255), font)
    drawn = np.array(canvas, np.uint8)
    if box is not None:
        _outline(drawn[:height], box, max(1, round(min(height, width) / 256)))
    return drawn


def _outline(pixels: Pixels, box: Box, thick: int) -> None:
    """Draw a box's edges within it, in place."""
    inner = (
        slice(min(box.top + thick, box.bottom), max(box.bottom - thick, box.top)),
        slice(min(box.left + thick, box.right), max(box.right - thick, box.left)),
    )
    kept = pixels[inner].copy()
    pixels[box.top : box.bottom, box.left : box.right] = COLORS[BOXES]
    pixels[inner] = kept


@cache
def _open_font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _wrap(line: str, font: Any, width: int) -> list[str]:
    """Break a line where it would leave the picture."""
    lines: list[str] = []
    for word in line.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
