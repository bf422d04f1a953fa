"""What is to be judged: image files, DICOM files and videos, listed and read frame by frame."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.address import DICOM, VIDEO, holds_many
from polypskd.cohort.damage import DamageError
from polypskd.cohort.frames import READERS, check_within
from polypskd.deployment.fast_jpeg import Room, decode
from polypskd.errors import CohortError, ConfigError, Fault

Pixels = NDArray[np.uint8]
Kind = Literal["image", "dicom", "video"]

LARGEST = 2**29  # bytes of one image file
STORAGE = "1.2.840.10008.5.1.4.1.1."
# Waveforms, presentation states, raw data, registrations, reports, documents; and directories.
PICTURELESS = tuple(f"{STORAGE}{part}" for part in ("9.", "11.", "66", "67", "88.", "104."))
PICTURELESS += ("1.2.840.10008.1.3.10",)


@dataclass(frozen=True)
class Source:
    """One file.

    Args:
        path: where it lies.
        name: how results name it: below the folder that was given, with / between the parts.
        kind: image, dicom or video.
    """

    path: Path
    name: str
    kind: Kind


@dataclass(frozen=True)
class Sources:
    """What was found.

    Args:
        files: sorted by name.
        faults: files that are not followed.
        other: number of files that hold no frames.
    """

    files: tuple[Source, ...]
    faults: tuple[Fault, ...] = ()
    other: int = 0


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


def list_sources(inputs: Sequence[Path]) -> Sources:
    """List the files below folders, and files that are named one by one.

    Hidden files and folders are skipped, and links to folders are not followed; a link to a file is
    followed where the file lies within the folder, and is a fault elsewhere. Files of one folder
    are named by their path below it; where several inputs are given, by the input's name too.

    Args:
        inputs: at least one file or folder.

    Raises:
        ConfigError: one of them is neither, or two files would have one name.
        CohortError: there is nothing to be judged.
    """
    files: list[Source] = []
    faults: list[Fault] = []
    other = 0
    for given in inputs:
        if given.is_dir():
            prefix = f"{given.resolve().name}/" if len(inputs) > 1 else ""
            other += _list_folder(given, prefix, files, faults)
        elif given.is_file():
            kind = tell_kind(given)
            if kind is None:
                known = ", ".join([*READERS, *sorted(DICOM), *sorted(VIDEO)])
                raise ConfigError(f"{given}: unknown suffix; use one of: {known}")
            files.append(Source(given, show_name(given.name), kind))
        else:
            raise ConfigError(f"{given}: no such file or folder; check the path")
    files.sort(key=lambda source: source.name)
    for one, next_ in pairwise(files):
        if one.name == next_.name:
            raise ConfigError(
                f"{one.path} and {next_.path} would both be named {one.name}; give the folder that "
                "holds both, or one of them"
            )
    if not files and not faults:
        where = ", ".join(map(str, inputs))
        raise CohortError([Fault(where, f"no frames here ({other} other files)", todo="check it")])
    return Sources(tuple(files), tuple(faults), other)


def show_name(name: str) -> str:
    r"""Make a file's name fit for a table: bytes that are no UTF-8, and what ends a line, escaped.

    >>> show_name("a\nb.png")
    'a\\nb.png'
    """
    plain = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in plain)


def tell_kind(path: Path) -> Kind | None:
    """Tell by a file's name what it is, and by its first bytes if it may be a DICOM file; or None.

    Args:
        path: an existing file.
    """
    suffix = path.suffix.lower()
    if suffix in READERS:
        return "image"
    if suffix in VIDEO:
        return "video"
    if suffix in DICOM:
        return "dicom"
    if holds_many(path.name):
        from polypskd.cohort.dicom.recognition import looks_like_dicom

        return "dicom" if looks_like_dicom(path) else None
    return None


def _list_folder(root: Path, prefix: str, files: list[Source], faults: list[Fault]) -> int:
    other = 0
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = list(os.scandir(root / below))
        except OSError as error:
            name = prefix + show_name(below)
            faults.append(Fault(name or str(root), f"cannot be read ({error.strerror})"))
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                waiting.append(f"{name}/")
                continue
            path = Path(entry.path)
            try:
                if entry.is_symlink():
                    check_within(root, name)
                kind = tell_kind(path) if entry.is_file() else None
            except (DamageError, OSError):
                told = prefix + show_name(name)
                todo = "copy the file into the folder"
                faults.append(Fault(told, "leads outside of the folder", todo=todo))
                continue
            if kind is None:
                other += 1
                continue
            files.append(Source(path, prefix + show_name(name), kind))
    return other


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
    """Read the frames of a DICOM file; of a video every n-th. A file without pictures has none.

    Args:
        path: of the file.
        stride: step between the frames taken of a video.
        max_megapixels: larger frames are not decoded.

    Raises:
        DamageError: nothing of the file can be read.
        OSError: it cannot be opened.
    """
    from polypskd.cohort.dicom import VideoError, open_dicom, read_attributes

    about = read_attributes(path, {"instance": "SOPInstanceUID", "class": "SOPClassUID"})
    if about.columns["class"].startswith(PICTURELESS):
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
