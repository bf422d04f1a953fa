"""Data sets on their way in: a C-STORE's goes to a file as it comes, all else stays small."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage

ENDING = ".part"
LARGEST_TALK = 1 << 20  # a command or an answer, which stay in memory


@dataclass
class Intake:
    """Where the data sets of one association go.

    Args:
        folder: on the disk that they will lie on; parts have names of their own in it. None where
            none is awaited: one that comes all the same ends the association.
        most: bytes of one data set.
        patience: seconds in which a PDU must come whole.
        free: bytes that are left free on the disk.
        sync: whether a file is on the disk itself before it is answered for.
        is_full: whether nothing more is taken at present.
    """

    folder: Path | None
    most: int
    patience: float
    free: int = 0
    sync: bool = True
    is_full: Callable[[], bool] = lambda: False


class Part(BytesIO):
    """A data set on its way: a C-STORE's goes to a file, any other stays in memory, if small.

    Args:
        intake: where files go.
        message: that it belongs to.
        write_head: writes what stands before the data set into the file.
    """

    def __init__(
        self, intake: Intake, message: DIMSEMessage, write_head: Callable[[Any, DIMSEMessage], None]
    ) -> None:
        super().__init__()
        self._intake = intake
        self._message = message
        self._write_head = write_head
        self._file: Any = None
        self.path: Path | None = None
        self.fault: OSError | None = None
        self.too_large = False

    def write(self, data: Any) -> int:
        """Take a fragment; once something is wrong, what follows is passed over."""
        if not isinstance(self._message, C_STORE_RQ):
            if self.tell() + len(data) > LARGEST_TALK:
                raise OSError("an answer is too large")
            return super().write(data)
        folder = self._intake.folder
        if folder is None:
            raise OSError("an instance that was not asked for")
        if self.fault is None and not self.too_large:
            try:
                self._write(folder, data)
            except OSError as error:
                self.fault = error
                self.discard()
        return len(data)

    def _write(self, folder: Path, data: bytes) -> None:
        if self._file is None:
            room = os.statvfs(folder)
            if room.f_bavail * room.f_frsize < self._intake.free or self._intake.is_full():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.path = folder / f".{secrets.token_hex(12)}{ENDING}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.fdopen(os.open(self.path, flags, 0o600), "wb")
            self._write_head(self._file, self._message)
        if self._file.tell() + len(data) > self._intake.most:
            self.too_large = True
            self.discard()
            return
        self._file.write(data)

    def finish(self) -> Path | None:
        """Bring the file to the disk.

        Returns:
            Where it lies; None where there is none, for one of `fault`, `too_large`, no data.
        """
        if self._file is None or self.path is None:
            return None
        try:
            self._file.flush()
            if self._intake.sync:
                os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            self.fault = error
            self.discard()
            return None
        self._file = None
        return self.path

    def discard(self) -> None:
        """Remove the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            self.path = None


class Talk(BytesIO):
    """A command on its way, which must be small."""

    def write(self, data: Any) -> int:
        """Take a fragment."""
        if self.tell() + len(data) > LARGEST_TALK:
            raise OSError("a command is too large")
        return super().write(data)
