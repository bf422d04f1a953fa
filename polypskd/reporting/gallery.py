"""The worst errors, as small pictures without names."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from polypskd.errors import ArtifactError
from polypskd.labels.examples import Examples
from polypskd.reporting.record import Predictions

SIDE = 144  # pixels
QUALITY = 82


@dataclass(frozen=True)
class Mistake:
    """A test frame with a wrong prediction.

    Args:
        row: row in examples.csv as a spreadsheet numbers it: the header is row 1.
        reference: class of the consensus.
        predicted: class predicted.
        p: probability given to the predicted class.
        agreement: share of votes for the consensus.
        source: JPEG as a data URI; empty where the frame cannot be read.
    """

    row: int
    reference: str
    predicted: str
    p: float
    agreement: float
    source: str


def find_mistakes(
    examples: Examples, predictions: Predictions, frames_root: Path | None, limit: int = 12
) -> tuple[Mistake, ...]:
    """Find the test frames to whose wrong class the student gave the highest probability.

    Args:
        examples: the examples table.
        predictions: the student's predictions.
        frames_root: folder of the frames; None draws no frame.
        limit: most frames to return.

    Raises:
        ArtifactError: a prediction has no example.
    """
    row_of = {frame: index for index, frame in enumerate(examples.frame_id.tolist())}
    column = {name: index for index, name in enumerate(predictions.classes)}
    wrong = (predictions.split == "test") & (predictions.predicted != predictions.consensus)
    found: list[tuple[float, int, int]] = []
    for index in np.flatnonzero(wrong).tolist():
        row = row_of.get(str(predictions.frame_id[index]))
        guess = column.get(str(predictions.predicted[index]))
        if row is None or guess is None:
            raise ArtifactError(
                f"predictions.csv row {index + 2}: does not fit examples.csv; "
                "`polypskd evaluate CONFIG` makes it anew"
            )
        found.append((-float(predictions.p[index, guess]), row, index))
    return tuple(
        Mistake(
            row=row + 2,
            reference=str(predictions.consensus[index]),
            predicted=str(predictions.predicted[index]),
            p=-negative,
            agreement=float(examples.agreement[row]),
            source=read_thumbnail(frames_root, str(examples.path[row])),
        )
        for negative, row, index in sorted(found)[:limit]
    )


def read_thumbnail(frames_root: Path | None, path: str) -> str:
    """Read a frame as a small JPEG in a data URI; empty where it cannot be read.

    Args:
        frames_root: folder of the frames, or None.
        path: the frame's path below it; empty if there is none.
    """
    import cv2

    if frames_root is None or not path:
        return ""
    try:
        encoded = np.fromfile(frames_root / path, dtype=np.uint8)
        frame = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    except (OSError, cv2.error):
        return ""
    if frame is None:
        return ""
    height, width = frame.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(frame, size, interpolation=way)
    done, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
