"""Files that end: a pipe, a socket or a device in a folder would be read for ever."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from polypskd.cohort.damage import DamageError


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, if it is one.

    Args:
        path: links are followed.

    Raises:
        DamageError: it is a pipe, a socket or a device.
        OSError: it is missing, a folder, or cannot be read.
    """
    # Without O_NONBLOCK, opening a pipe waits until someone writes to it.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode) and not stat.S_ISDIR(
            os.fstat(handle).st_mode
        ):
            raise DamageError("is no file: a pipe or a device", todo="take it out of the folder")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_regular(path: Path, most: int) -> bytes:
    """Read a file whole.

    Args:
        path: links are followed.
        most: bytes that it may have.

    Raises:
        DamageError: it is a pipe, a socket or a device, or has more bytes.
        OSError: it is missing, a folder, or cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise DamageError("too large:", f"{size:,} bytes", f"at most {most:,}")
        return file.read()
