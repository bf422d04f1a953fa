"""Frames: listed, read, and checked one by one.

A frame that cannot be trusted is a fault and never a grey picture: OpenCV fills the missing part of
a cut JPEG and says so on stderr alone, so the file's end is looked at first, and the size in the
header before a single pixel is decoded.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort import png
from polypskd.cohort.address import split_address
from polypskd.cohort.damage import SAVE, DamageError
from polypskd.cohort.image_header import measure_header
from polypskd.cohort.limits import Limits, check_sides
from polypskd.cohort.opened import read_of_many
from polypskd.cohort.regular import read_regular
from polypskd.errors import CohortError, Fault

__all__ = [
    "READERS",
    "DamageError",
    "Pixels",
    "Reader",
    "check_frames",
    "decode_image",
    "list_frames",
    "measure_header",
    "read_frame",
]

Pixels = NDArray[np.uint8]
Reader = Callable[[bytes], Pixels]
CANNOT = "not a readable image"
CORRUPT = (b"Corrupt JPEG data", b"Premature end of JPEG", b"Unsupported marker")
THREADS = 2
LARGEST = 2**29  # bytes of an image: 64 megapixels of 16 bits, without compression
RENAME = "rename the file, as tables are UTF-8"
MOST_SCANS = 100  # each scan of a progressive stream passes over the whole image again
BATCH = 256  # frames checked between two looks at what the decoders printed


def decode_image(data: bytes) -> Pixels:
    """Decode PNG, JPEG, TIFF or BMP.

    Grey becomes RGB, transparency is dropped, 16 bits become 8 by division by 257 (65535 → 255).
    EXIF orientation is ignored: endoscopes do not turn frames, and votes and lesion marks refer to
    the pixels as stored.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DamageError: the bytes are no image, or not the whole of one.
    """
    import cv2

    if measure_header(data) is None:
        raise DamageError(CANNOT)
    _check_end(data)
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MOST_SCANS:
        raise DamageError("too many JPEG scans:", str(data.count(b"\xff\xda")))
    if data.startswith(png.START):
        data = png.drop_notes(data)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    flags = cv2.IMREAD_UNCHANGED  # the one flag that keeps 16 bits, and ignores EXIF
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.size == 0:
        raise DamageError(CANNOT)
    if pixels.dtype == np.uint16:
        pixels = _halve_depth(pixels)
    if pixels.dtype != np.uint8:
        raise DamageError("pixels of type", str(pixels.dtype), "save the image with 8 bits a color")
    if pixels.ndim == 2:
        pixels = pixels[:, :, np.newaxis]
    color = pixels[:, :, :3] if pixels.shape[2] >= 3 else np.repeat(pixels[:, :, :1], 3, axis=2)
    return np.ascontiguousarray(color[:, :, ::-1])


def _halve_depth(pixels: NDArray[Any]) -> Pixels:
    """Divide by 257, to the nearest; row by row, as floats would take eight times the memory."""
    shallow = np.empty(pixels.shape, np.uint8)
    for row, deep in zip(shallow, pixels, strict=True):
        row[...] = (deep.astype(np.uint32) + 128) // 257
    return shallow


READERS: dict[str, Reader] = {
    ".png": decode_image,
    ".jpg": decode_image,
    ".jpeg": decode_image,
    ".tif": decode_image,
    ".tiff": decode_image,
    ".bmp": decode_image,
}


def list_frames(root: Path) -> tuple[list[str], int]:
    """List the image files below a folder; hidden files and folders are skipped.

    Returns:
        Sorted paths below `root`, with / between the parts, and the number of files of a suffix
        that is not in `READERS`.

    Raises:
        CohortError: the folder is missing.
    """
    return list_files(root, lambda name: Path(name).suffix.lower() in READERS)


def list_files(root: Path, wanted: Callable[[str], bool]) -> tuple[list[str], int]:
    """List files below a folder by their names; hidden files and folders are skipped.

    Returns:
        Sorted paths below `root`, with / between the parts, and the number of other files.

    Raises:
        CohortError: the folder is missing, or a name is not UTF-8.
    """
    if not root.is_dir():
        fault = Fault(str(root), "folder of frames not found", todo="check cohort.frames.root")
        raise CohortError([fault])
    found = []
    other = 0
    foreign: list[Fault] = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(folder).relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        for name in names:
            if name.startswith("."):
                continue
            if wanted(name):
                found.append(prefix + name)
                if not (name.isascii() and prefix.isascii()) and not _is_unicode(prefix + name):
                    foreign.append(Fault(prefix + name, "the name is not UTF-8", todo=RENAME))
            else:
                other += 1
    if foreign:
        raise CohortError(sorted(foreign))
    return sorted(found), other


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_within(root: Path, name: str) -> None:
    """Refuse a path that leads outside a folder, by its parts or by a link.

    Raises:
        DamageError: it does.
    """
    inside = os.path.realpath(root)
    if os.path.commonpath([inside, os.path.realpath(root / name)]) != inside:
        raise DamageError("leads outside the frames' folder", todo="copy the file into the folder")


def read_frame(path: Path, *, min_side: int = 1, max_megapixels: float = 64.0) -> Pixels:
    """Read one frame.

    Args:
        path: an image file, or a DICOM file or video with `#` and the frame's number.
        min_side: shortest side allowed, in pixels.
        max_megapixels: largest area allowed; a larger image is not decoded.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        CohortError: one line that says what is wrong with the file.
    """
    fault, pixels = _try_frame(path, path.name, min_side, max_megapixels)
    if fault is not None or pixels is None:
        raise CohortError([fault or Fault(path.name, CANNOT)])
    return pixels


def check_frames(
    root: Path,
    paths: Sequence[str],
    *,
    min_side: int,
    max_megapixels: float,
    look: Callable[[str, Pixels], object] | None = None,
) -> list[Fault]:
    """Decode every frame and tell what is wrong; one bad frame does not stop the others.

    Args:
        root: folder of the frames.
        paths: paths below `root`.
        min_side: shortest side allowed, in pixels.
        max_megapixels: largest area allowed; larger images are not decoded.
        look: called with the name and the (H, W, 3) pixels of each sound frame, from two threads;
            what it raises as DamageError is a fault of the frame.

    Returns:
        The faults, in the order of `paths`.
    """
    look = look or (lambda name, pixels: None)

    def check(name: str) -> Fault | None:
        try:
            check_within(root, name)
        except DamageError as damage:
            return Fault(name, damage.what, damage.value, damage.todo, frame=name)
        fault, pixels = _try_frame(root / name, name, min_side, max_megapixels)
        if fault is None and pixels is not None:
            try:
                look(name, pixels)
            except DamageError as damage:
                return Fault(name, damage.what, damage.value, damage.todo, frame=name)
        return fault

    def check_run(names: Sequence[str]) -> list[Fault | None]:
        return [check(name) for name in names]

    def check_alone(name: str) -> Fault | None:
        with _hear_decoders() as heard:
            fault = check(name)
        if fault is None and any(word in heard() for word in CORRUPT):
            return Fault(name, "damaged: parts of the image are missing", todo=SAVE, frame=name)
        return fault

    faults: list[Fault | None] = []
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        for start in range(0, len(paths), BATCH):
            batch = list(paths[start : start + BATCH])
            with _hear_decoders() as heard:
                runs = list_runs(batch, THREADS)
                found = [fault for faults in pool.map(check_run, runs) for fault in faults]
            if any(word in heard() for word in CORRUPT):
                found = [check_alone(name) for name in batch]
            faults += found
    return [fault for fault in faults if fault is not None]


def list_runs(names: Sequence[str], threads: int) -> list[list[str]]:
    """Cut names into runs of one file's frames: a video is decoded on, and not sought in.

    Args:
        names: in the order of files and their frames.
        threads: that share the work; no run is longer than one thread's part.

    >>> list_runs(["a.png", "v.mp4#1", "v.mp4#2", "v.mp4#3"], 2)
    [['a.png'], ['v.mp4#1', 'v.mp4#2'], ['v.mp4#3']]
    """
    most = -(-len(names) // threads)
    runs: list[list[str]] = []
    for _, group in groupby(names, key=lambda name: split_address(name)[0]):
        run = list(group)
        runs += [run[start : start + most] for start in range(0, len(run), most)]
    return runs


@contextmanager
def _hear_decoders() -> Iterator[Callable[[], bytes]]:
    """Keep what the C libraries print to stderr: it is the only place where they tell of damage."""
    with tempfile.TemporaryFile() as file:
        text = b""
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lambda: text
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            file.seek(0)
            text = file.read()


def _try_frame(
    path: Path, name: str, min_side: int, max_megapixels: float
) -> tuple[Fault | None, Pixels | None]:
    try:
        reader = READERS.get(path.suffix.lower())
        if reader is None:
            return None, read_of_many(path, Limits(min_side, max_megapixels))
        data = read_regular(path, LARGEST)
        if not data:
            raise DamageError("the file is empty (0 bytes)", todo="copy the image anew")
        size = measure_header(data)
        if size is not None:
            check_sides(*size, min_side=min_side, max_megapixels=max_megapixels)
        pixels = reader(data)
        height, width = pixels.shape[:2]
        check_sides(width, height, min_side=min_side, max_megapixels=max_megapixels)
    except DamageError as damage:
        return Fault(name, damage.what, damage.value, damage.todo, frame=name), None
    except FileNotFoundError:
        return Fault(name, "file not found", todo="check the path", frame=name), None
    except OSError as error:
        return Fault(name, f"cannot be read ({error.strerror})", frame=name), None
    return None, pixels


def _check_end(data: bytes) -> None:
    """Tell a whole JPEG or PNG from a cut one; padding after the end is allowed."""
    cut = DamageError("cut short: the image's end is missing", todo="copy the image anew")
    # Devices append padding or notes, so the end marker need not stand last, but it must come after
    # the last scan: one further up belongs to a thumbnail.
    if data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") <= data.rfind(b"\xff\xda"):
        raise cut
    if data.startswith(b"\x89PNG\r\n\x1a\n") and b"IEND\xaeB`\x82" not in data:
        raise cut
