"""Files of instances, on their way in and out."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from polypskd.artifacts import describe_fault
from polypskd.errors import OutputError

if TYPE_CHECKING:
    from polypskd.deployment.pacs.settings import Transfer


@contextlib.contextmanager
def write_aside(path: Path) -> Iterator[Callable[[bytes], object]]:
    """Write a file that appears whole or not at all, closed to others.

    Args:
        path: where it appears.

    Yields:
        What takes the next bytes.

    Raises:
        OutputError: it cannot be written; the disk may be full.
    """
    try:
        handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise OutputError(f"{path.parent}: {describe_fault(error)}") from None
    temporary = Path(name)

    def write(piece: bytes) -> None:
        left = memoryview(piece)
        try:
            while left:  # a disk that is nearly full takes a part, and refuses the next
                left = left[file.write(left) :]
        except OSError as error:
            raise OutputError(f"{path.parent}: {describe_fault(error)}") from None

    try:
        with os.fdopen(handle, "wb", buffering=0) as file:
            yield write
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_uid(path: Path) -> str:
    """Read the SOP Instance UID of a DICOM file.

    Raises:
        DamageError: it is no DICOM file.
        OSError: it cannot be opened.
    """
    from polypskd.cohort.dicom import read_attributes

    return read_attributes(path, {"uid": "SOPInstanceUID"}).columns["uid"]


def list_batches(files: Sequence[Path], transfer: Transfer) -> Iterator[list[Path]]:
    """Put files together that are stored at once, in their order.

    Args:
        files: to be stored.
        transfer: how many files and bytes at once; one larger file goes alone.
    """
    batch: list[Path] = []
    size = 0
    for path in files:
        more = path.stat().st_size
        full = len(batch) >= transfer.batch_files or size + more > transfer.batch_megabytes << 20
        if batch and full:
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += more
    if batch:
        yield batch
