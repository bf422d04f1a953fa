"""The worst errors, as small pictures without names."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from polypskd.cohort.agreed_fields import Fields, agree_on_fields
from polypskd.cohort.cropping import read_cropped
from polypskd.cohort.frames import READERS
from polypskd.config import Crop, FieldCrop, NoCrop
from polypskd.errors import ArtifactError, CohortError
from polypskd.labels.examples import Examples
from polypskd.reporting.heat import lay_heat
from polypskd.reporting.record import Predictions, Record, has_given_classes

Pixels = NDArray[np.uint8]

CROP: TypeAdapter[Crop] = TypeAdapter(Crop)
SIDE = 224  # pixels
QUALITY = 80
LIMIT = 24
MAX_CLASSES = 5  # in one card; the least likely ones without a vote are left out


@dataclass(frozen=True)
class Score:
    """What the student and the annotators say of one class of a frame.

    Args:
        name: the class.
        p: the student's probability.
        votes: annotators who chose it.
    """

    name: str
    p: float
    votes: int


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
        level: how hard its subclass is, in the scheme's own word.
        scores: the most likely classes, in the order of the classes.
        others: classes that are not among them.
        heatmap: JPEG of the frame with the class activation over it as a data URI; empty where
            there is none.
        given: whether the class came with the frame, so that nobody voted.
    """

    row: int
    reference: str
    predicted: str
    p: float
    agreement: float
    source: str
    level: str = ""
    scores: tuple[Score, ...] = ()
    others: int = 0
    heatmap: str = ""
    given: bool = False


def find_mistakes(
    record: Record, frames_root: Path | None, limit: int = LIMIT
) -> tuple[Mistake, ...]:
    """Find the test frames to whose wrong class the student gave the highest probability.

    Args:
        record: the run's files; a heat layer is taken from cams/<row>.png in its folder.
        frames_root: folder of the frames; None draws no frame.
        limit: most frames to return.

    Returns:
        The surest mistake first.

    Raises:
        ArtifactError: a prediction has no example.
    """
    seen = _find_seen(record, frames_root)
    return tuple(
        _describe(record, index, row, partial(read_thumbnail, frames_root, seen=seen))
        for _, row, index in _rank(record.examples, record.predictions)[:limit]
    )


def _rank(examples: Examples, predictions: Predictions) -> list[tuple[float, int, int]]:
    """Rank the mistakes as (−p, row of the example, row of the prediction)."""
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
    return sorted(found)


def _describe(
    record: Record, index: int, row: int, read: Callable[[str], Pixels | None]
) -> Mistake:
    examples, predictions = record.examples, record.predictions
    reference, predicted = str(predictions.consensus[index]), str(predictions.predicted[index])
    scores = [
        Score(name, float(p), int(examples.votes[name][row]) if name in examples.votes else 0)
        for name, p in zip(predictions.classes, predictions.p[index].tolist(), strict=True)
    ]
    ranked = sorted(
        scores, key=lambda one: (one.name not in (reference, predicted), -one.votes, -one.p)
    )
    shown = {one.name for one in ranked[:MAX_CLASSES]}
    frame = read(str(examples.path[row]))
    cams = record.folder / "cams" if record.folder else None
    layer = _read_pixels(cams, f"{row + 2}.png", -1)  # with its opacity: cv2.IMREAD_UNCHANGED
    return Mistake(
        row=row + 2,
        reference=reference,
        predicted=predicted,
        p=float(predictions.p[index, predictions.classes.index(predicted)]),
        agreement=float(examples.agreement[row]),
        source=_encode(frame),
        level=str(examples.subclass[row]).removeprefix(f"{examples.consensus[row]}/"),
        scores=tuple(one for one in scores if one.name in shown),
        others=len(scores) - len(shown),
        heatmap="" if frame is None or layer is None else _encode(lay_heat(frame, layer)),
        given=has_given_classes(record),
    )


@dataclass(frozen=True)
class Seen:
    """What of a frame the networks saw.

    Args:
        crop: the section ``cohort.crop``.
        fields: what the run's frames agree on, for a crop to the field.
    """

    crop: Crop = field(default_factory=NoCrop)
    fields: Fields | None = None


WHOLE = Seen()


def _find_seen(record: Record, frames_root: Path | None) -> Seen:
    """Find in the run's config what of a frame its networks saw."""
    cohort = record.config.get("cohort") or {}
    crop: Crop = CROP.validate_python(cohort["crop"]) if cohort.get("crop") else NoCrop()
    if not isinstance(crop, FieldCrop) or frames_root is None:
        return Seen(crop)
    devices = record.examples.carried.get("device")
    fields = agree_on_fields(
        frames_root,
        record.examples.path.tolist(),
        None if devices is None else devices.tolist(),
        max_megapixels=cohort.get("max_megapixels", 64.0),
    )
    return Seen(crop, fields)


def read_thumbnail(frames_root: Path | None, path: str, seen: Seen = WHOLE) -> Pixels | None:
    """Read a frame at the size of the gallery; None where it cannot be read.

    Args:
        frames_root: folder of the frames, or None.
        path: the frame's path below it; empty if there is none.
        seen: what of a frame the network sees.

    Returns:
        (H, W, 3) BGR, its longer side as long as the gallery shows it.
    """
    import cv2

    frame = _read_frame(frames_root, path, seen)
    if frame is None:
        return None
    height, width = frame.shape[:2]
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small: Any = cv2.resize(frame, size, interpolation=way)
    resized: Pixels = small
    return resized


def _read_frame(root: Path | None, path: str, seen: Seen) -> Pixels | None:
    import cv2

    whole = isinstance(seen.crop, NoCrop)
    if root is None or not path or (whole and Path(path).suffix.lower() in READERS):
        return _read_pixels(root, path, cv2.IMREAD_COLOR)
    try:
        pixels = read_cropped(root, path, seen.crop, fields=seen.fields)
    except CohortError:
        return None
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _read_pixels(root: Path | None, path: str, how: int) -> Pixels | None:
    import cv2

    if root is None or not path:
        return None
    try:
        encoded = np.fromfile(root / path, dtype=np.uint8)
        read: Any = cv2.imdecode(encoded, how) if encoded.size else None
    except (OSError, cv2.error):
        return None
    found: Pixels | None = read
    return found


def _encode(picture: Pixels | None) -> str:
    """Write a picture as a JPEG in a data URI; empty where there is none."""
    import cv2

    if picture is None:
        return ""
    done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode() if done else ""
