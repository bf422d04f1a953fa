"""The region that mattered: from an evidence map to one box in the frame's own pixels.

The rule. The map of the class that was named is enlarged to the network's input by bilinear
interpolation. Where it reaches half of its maximum it is cut into pieces that touch by their sides;
the piece that holds the maximum is kept, and the box around it is carried back through the resizing
and the crop. It tells where the network looked, not how large a lesion is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, gcd
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.field import Field, find_field
from polypskd.cohort.preparation import crop_frame, prepare_frame
from polypskd.config.preparation import Crop
from polypskd.deployment.layouts import read_layouts
from polypskd.deployment.predictor import Predictor

if TYPE_CHECKING:
    from pathlib import Path

    from polypskd.deployment.bundle import Bundle
    from polypskd.deployment.results import Answer

Pixels = NDArray[np.uint8]
SHARE = 0.5  # of the map's maximum, from which on a place belongs to the region


@dataclass(frozen=True)
class Box:
    """A box; its edges lie between pixels, so that 0, 0, 1, 1 is the first pixel.

    Args:
        left: edge, in pixels.
        top: likewise.
        right: likewise, behind the last column.
        bottom: likewise, behind the last row.
    """

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True)
class Region:
    """A frame with what mattered in it.

    Args:
        answer: of the frame.
        pixels: (H, W, 3) uint8 RGB, the whole frame.
        box: where the network looked; None where no class was named, or nowhere.
    """

    answer: Answer
    pixels: Pixels
    box: Box | None


def find_piece(evidence: NDArray[np.float32], size: int) -> Box | None:
    """Find the box around the strongest piece of a map.

    Args:
        evidence: (h, w) in [0, 1], its places evenly over the prepared frame.
        size: side of the prepared frame in pixels.

    Returns:
        In pixels of the prepared frame; None where the map is 0.

    >>> find_piece(np.eye(4, dtype=np.float32)[:1] * np.ones((4, 1), np.float32), 8)
    Box(left=0, top=0, right=2, bottom=8)
    """
    import cv2

    if not evidence.size or not evidence.max() > 0:
        return None
    large = cv2.resize(evidence, (size, size), interpolation=cv2.INTER_LINEAR)
    strong = (large >= SHARE * large.max()).astype(np.uint8)
    _, pieces = cv2.connectedComponents(strong, connectivity=4)
    piece = pieces == pieces.flat[int(large.argmax())]
    columns, rows = np.flatnonzero(piece.any(axis=0)), np.flatnonzero(piece.any(axis=1))
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def place_crop(width: int, height: int, crop: Crop, field: Field | None = None) -> Box:
    """Tell which box of a frame is looked at, as `crop_frame` cuts it.

    Args:
        width: of the frame in pixels.
        height: likewise.
        crop: of the bundle.
        field: where the picture lies, for a crop to the field.

    >>> from polypskd.config.preparation import NoCrop
    >>> place_crop(200, 100, NoCrop())
    Box(left=0, top=0, right=200, bottom=100)
    """
    match crop.kind:
        case "box":
            return Box(crop.left, crop.top, crop.left + crop.width, crop.top + crop.height)
        case "field" if field is not None:
            across, down = round(field.width * crop.margin), round(field.height * crop.margin)
            return Box(
                field.left + across if field.left > 0 else 0,
                field.top + down if field.top > 0 else 0,
                field.right - across if field.right < width else width,
                field.bottom - down if field.bottom < height else height,
            )
        case _:
            return Box(0, 0, width, height)


def carry_back(piece: Box, cropped: Box, size: int) -> Box | None:
    """Carry a box of a prepared frame back to the frame, undoing bars, resizing and crop.

    Args:
        piece: in pixels of the prepared frame.
        cropped: what of the frame was prepared.
        size: side of the prepared frame.

    Returns:
        The least box of whole pixels that holds it; None where it lies in the bars alone.

    >>> carry_back(Box(2, 4, 4, 8), Box(10, 0, 30, 10), 10)
    Box(left=14, top=4, right=18, bottom=10)
    """
    width, height = cropped.right - cropped.left, cropped.bottom - cropped.top
    scale = size / max(width, height)
    inner_w, inner_h = max(1, round(width * scale)), max(1, round(height * scale))
    bar_x, bar_y = (size - inner_w) // 2, (size - inner_h) // 2
    left = max(0, floor((piece.left - bar_x) * width / inner_w))
    top = max(0, floor((piece.top - bar_y) * height / inner_h))
    right = min(width, ceil((piece.right - bar_x) * width / inner_w))
    bottom = min(height, ceil((piece.bottom - bar_y) * height / inner_h))
    if left >= right or top >= bottom:
        return None
    return Box(cropped.left + left, cropped.top + top, cropped.left + right, cropped.top + bottom)


class Finder:
    """Finds the regions of frames; its networks are loaded once.

    Args:
        bundle: as `open_bundle` gives it.

    Raises:
        ConfigError: ONNX Runtime is not installed.
        ArtifactError: the network is no network of ours.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._predictor = Predictor(bundle)
        self._layouts = read_layouts(bundle.limits.layouts)

    def prepare(self, pixels: Pixels) -> tuple[Pixels, Box]:
        """Prepare a frame as `Judge` does, and tell what of it was taken.

        Args:
            pixels: (H, W, 3) uint8 RGB, the whole frame.

        Returns:
            (size, size, 3) uint8 RGB, and the box of the frame that it shows.

        Raises:
            DamageError: the bundle's crop does not lie within the frame.
        """
        crop, field = self.bundle.crop, None
        height, width = pixels.shape[:2]
        if crop.kind == "field":
            field = find_field(pixels)
            layouts = self._layouts.get((width, height))
            field = field if layouts is None else layouts.choose(field)
        prepared = prepare_frame(crop_frame(pixels, crop, field), self.bundle.size)
        return prepared, place_crop(width, height, crop, field)

    def find(self, pixels: Pixels, predicted: str) -> Box | None:
        """Find the region of a frame that spoke for a class.

        Args:
            pixels: (H, W, 3) uint8 RGB, the whole frame.
            predicted: the class; "" for none.

        Returns:
            The box in the frame's pixels; None where no class was named, or nothing spoke for it.

        Raises:
            ArtifactError: the bundle has no evidence map.
            DamageError: the bundle's crop does not lie within the frame.
        """
        if not predicted:
            return None
        bundle = self.bundle
        prepared, place = self.prepare(pixels)
        wanted = [bundle.classes.index(predicted)]
        evidence = self._predictor.map_evidence(prepared[np.newaxis], wanted)[0]
        piece = find_piece(evidence, bundle.size)
        if piece is None:
            return None
        return carry_back(piece, place, bundle.size)


def read_regions(finder: Finder, path: Path, answers: Sequence[Answer]) -> Iterator[Region]:
    """Read the frames of a DICOM file once more, with their regions.

    Args:
        finder: of the bundle that gave the answers.
        path: of the file.
        answers: of its frames, at least one, in their order.

    Raises:
        DamageError: the file is damaged, or lacks one of the frames by now.
        OSError: it cannot be opened.
    """
    from polypskd.deployment.prediction.shots import read_dicom

    # The widest step from the first frame that comes by all of them.
    step = gcd(*((answer.frame or 1) - 1 for answer in answers))
    waiting = {answer.frame: answer for answer in answers}
    for shot in read_dicom(path, max(1, step), finder.bundle.limits.max_megapixels):
        if shot.number not in waiting or shot.pixels is None:
            continue
        answer = waiting.pop(shot.number)
        yield Region(answer, shot.pixels, finder.find(shot.pixels, answer.predicted))
        if not waiting:
            return
    raise DamageError(
        "a frame that was answered cannot be read again", todo="run the command again"
    )
