"""The frames of a file, read one after the other, with what is wrong with each."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.deployment.dicom_objects.result_objects import RESEARCH
from polypskd.deployment.prediction.fast_jpeg import Room, decode

Pixels = NDArray[np.uint8]

LARGEST = 2**29  # bytes of one image file
STORAGE = "1.2.840.10008.5.1.4.1.1."
# Waveforms, presentation states, raw data, registrations, reports, documents; and directories.
PICTURELESS = tuple(f"{STORAGE}{part}" for part in ("9.", "11.", "66", "67", "88.", "104."))
PICTURELESS += ("1.2.840.10008.1.3.10",)


@dataclass(frozen=True)
class Shot:
    """One frame, read.

    Args:
        number: of the frame in its file; None for the only one.
        pixels: (H, W, 3) uint8 RGB; None where it cannot be read.
        sop_uid: SOP instance UID of its DICOM file, or "".
        damage: what is wrong with it.
    """

    number: int | None
    pixels: Pixels | None
    sop_uid: str = ""
    damage: DamageError | None = None


def hash_file(path: Path) -> str:
    """Hash a file's bytes by SHA-256, a piece at a time.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_image(path: Path) -> bytes:
    """Read the bytes of an image file.

    Raises:
        DamageError: it is empty or too large.
        OSError: it cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(handle).st_size
        if size > LARGEST:
            raise DamageError("the file is too large", f"over {LARGEST >> 20} MiB")
        data = os.read(handle, size + 1)
        if len(data) != size:  # a pipe, or written to right now
            with open(handle, "rb", buffering=0, closefd=False) as file:
                data += file.read()
    finally:
        os.close(handle)
    if not data:
        raise DamageError("the file is empty (0 bytes)", todo="copy the image anew")
    return data


def decode_shot(data: bytes, max_megapixels: float, room: Room) -> Shot:
    """Decode the one frame of an image file.

    Args:
        data: the file's bytes.
        max_megapixels: a larger frame is not decoded.
        room: where the pixels may lie until this thread decodes the next image.
    """
    try:
        return Shot(None, decode(data, max_megapixels, room))
    except DamageError as damage:
        return Shot(None, None, damage=damage)


def count_video(path: Path, max_megapixels: float) -> int:
    """Count the frames of a video.

    Raises:
        DamageError: what is wrong with it.
        OSError: it cannot be read.
    """
    from polypskd.cohort.video import count_frames

    return count_frames(path, max_megapixels=max_megapixels)


def read_video(path: Path, numbers: range, max_megapixels: float) -> Iterator[Shot]:
    """Read frames of a video, one after the other; one that is damaged does not stop the rest.

    Args:
        path: of the video.
        numbers: of the frames, from 0.
        max_megapixels: larger frames are not decoded.
    """
    from polypskd.cohort.video import read_video_frame

    for number in numbers:
        try:
            yield Shot(number, read_video_frame(path, number, max_megapixels=max_megapixels))
        except DamageError as damage:
            yield Shot(number, None, damage=damage)


def read_dicom(path: Path, stride: int, max_megapixels: float) -> Iterator[Shot]:
    """Read the frames of a DICOM file; of a video every n-th.

    A file without pictures has none, and a result of our own neither: a box and an answer are drawn
    into its frames.

    Args:
        path: of the file.
        stride: step between the frames taken of a video.
        max_megapixels: larger frames are not decoded.

    Raises:
        DamageError: nothing of the file can be read.
        OSError: it cannot be opened.
    """
    from polypskd.cohort.dicom import VideoError, open_dicom, read_attributes

    wanted = {"instance": "SOPInstanceUID", "class": "SOPClassUID", "series": "SeriesDescription"}
    about = read_attributes(path, wanted)
    if about.columns["class"].startswith(PICTURELESS):
        return
    if about.columns["series"].startswith(RESEARCH):
        return
    uid = about.columns["instance"]
    try:
        opened = open_dicom(path, max_megapixels=max_megapixels)
    except VideoError:
        yield from _read_dicom_video(path, uid, stride, max_megapixels)
        return
    for number in range(1, opened.count + 1):
        told = number if opened.count > 1 else None
        try:
            yield Shot(told, opened.read(number), uid)
        except DamageError as damage:
            yield Shot(told, None, uid, damage)


def _read_dicom_video(path: Path, uid: str, stride: int, max_megapixels: float) -> Iterator[Shot]:
    from polypskd.cohort.dicom import read_stream
    from polypskd.cohort.video import open_video

    stream = io.BytesIO(read_stream(path))
    with closing(open_video(stream, max_megapixels=max_megapixels)) as video:
        for index in range(0, video.count, stride):
            try:
                yield Shot(index + 1, video.read(index), uid)
            except DamageError as damage:
                yield Shot(index + 1, None, uid, damage)
