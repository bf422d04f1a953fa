"""The region that mattered as a Color Softcopy Presentation State: shown, and not burned in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from polypskd.deployment.dicom_objects.patients import clean_text
from polypskd.deployment.dicom_objects.result_objects import (
    MANUFACTURER,
    RESEARCH,
    Exam,
    Finding,
    describe_origin,
    finish_result,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from polypskd.deployment.dicom_objects.regions import Box

LABEL = "AI REGION"
BOXES, WORDS, NOTICE = "AI REGION", "AI TEXT", "AI NOTICE"
COLORS = {BOXES: (0, 255, 255), WORDS: (255, 255, 0), NOTICE: (255, 255, 255)}  # no tissue has them
LAB = {BOXES: (91.1, -48.1, -14.1), WORDS: (97.1, -21.6, 94.5), NOTICE: (100.0, 0.0, 0.0)}
ABOUT = {
    BOXES: "Region that mattered to the model",
    WORDS: "What the model said",
    NOTICE: RESEARCH,
}


def name_presentation(exam: Exam, findings: Sequence[Finding]) -> str:
    """Derive the UID of a presentation state.

    Args:
        exam: the study.
        findings: of frames of one image.
    """
    return exam.derive_instance("PR", findings)


def build_presentation(
    exam: Exam, findings: Sequence[Finding], boxes: Sequence[Box | None]
) -> Dataset:
    """Build a presentation state of one image.

    Args:
        exam: the study.
        findings: of frames of one image of three colors.
        boxes: as many; None for a frame in which nothing is shown.

    Returns:
        The object with file meta information, not yet written.
    """
    import highdicom as hd

    image = findings[0].image
    layers = {
        name: hd.pr.GraphicLayer(
            name, order, ABOUT[name], display_color=hd.color.CIELabColor(*LAB[name])
        )
        for order, name in enumerate(ABOUT, start=1)
    }
    annotations = [
        _annotate(finding, box, layer)
        for finding, box in zip(findings, boxes, strict=True)
        if box is not None
        for layer in layers.values()
    ]
    state: Dataset = hd.pr.ColorSoftcopyPresentationState(
        referenced_images=[image.refer()],
        sop_instance_uid=name_presentation(exam, findings),
        instance_number=findings[0].answer.frame or image.number,
        content_label=LABEL,
        content_description=RESEARCH,
        content_creator_name=f"{MANUFACTURER}^",
        graphic_annotations=annotations,
        graphic_layers=list(layers.values()),
        icc_profile=image.color_profile or make_profile(),
        **describe_origin(exam, "PR"),
    )
    state.Laterality = None  # of paired organs alone
    finish_result(state, exam, image)
    return state


def list_words(finding: Finding) -> list[str]:
    """List the lines that stand beside a frame: what was said, and that it is research.

    Args:
        finding: of the frame.
    """
    answer = finding.answer
    if answer.predicted:
        share = max(answer.class_probabilities)
        return [f"AI: {clean_text(answer.predicted, 48)} (p = {share:.2f})"]
    return [f"AI: {clean_text(answer.abstained, 160)}"]


@cache
def make_profile() -> bytes:
    """Make the sRGB profile for frames that bring none, always of the same bytes."""
    from PIL import ImageCms

    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[12:16] = b"spac"  # what presentation states may have; it comes as of a display
    data[24:36] = bytes.fromhex("07ea00010001000000000000")  # its day of making
    data[84:100] = bytes(16)  # the digest of what it was before
    return bytes(data) + b"\0" * (len(data) % 2)


def _annotate(finding: Finding, box: Box, layer: Any) -> Any:
    """Put one layer's part on one frame."""
    import highdicom as hd

    made = hd.pr.GraphicAnnotation([finding.image.refer()], layer, **_draw(finding, box, layer))
    # Set by hand: real files have more frames than their class allows.
    if finding.frame_numbers is not None:
        made.ReferencedImageSequence[0].ReferencedFrameNumber = finding.frame_numbers
    return made


def _draw(finding: Finding, box: Box, layer: Any) -> dict[str, Any]:
    import highdicom as hd

    tracking: dict[str, Any] = {
        "tracking_id": finding.tracking_name,
        "tracking_uid": finding.tracking_uid,
    }
    match str(layer.GraphicLayer):
        case "AI REGION":
            corners = [(box.left, box.top), (box.right, box.top)]
            corners += [(box.right, box.bottom), (box.left, box.bottom), (box.left, box.top)]
            line = hd.pr.GraphicObject("POLYLINE", np.array(corners, float), "PIXEL", **tracking)
            return {"graphic_objects": [line]}
        case "AI TEXT":
            corner = (float(box.left), float(box.top))
            words = "\r\n".join(list_words(finding))
            text = hd.pr.TextObject(words, "PIXEL", anchor_point=corner, **tracking)
            return {"text_objects": [text]}
        case _:
            foot = (0.02, 0.94, 0.98, 0.99)
            notice = hd.pr.TextObject(
                RESEARCH, "DISPLAY", bounding_box=foot, text_justification="LEFT"
            )
            return {"text_objects": [notice]}
