"""The files of an audit log: the log, its head file, its lock, and older logs beside it.

audit.jsonl                 lines are added here and nowhere else
audit.jsonl.head            which line is the last: a cut end is found by it
audit.jsonl.lock            one writer at a time
audit-000001234.jsonl       an older log; the number is that of its last line
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import hmac
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from polypskd.artifacts import describe_fault, write_atomic
from polypskd.deployment.auditing.chain import Point, make_seal, write_canonical
from polypskd.deployment.auditing.fields import HASH
from polypskd.errors import OutputError

PATIENCE = 10.0  # seconds that a writer waits for another one
MODE = 0o640


def name_head(path: Path) -> Path:
    """Name the head file of a log."""
    return path.with_name(f"{path.name}.head")


def name_lock(path: Path) -> Path:
    """Name the lock file of a log."""
    return path.with_name(f"{path.name}.lock")


def name_older(path: Path, seq: int) -> Path:
    """Name a log that is closed, by the number of its last line.

    >>> name_older(Path("audit.jsonl"), 1234).name
    'audit-000001234.jsonl'
    """
    return path.with_name(f"{path.stem}-{seq:09d}{path.suffix}")


def list_older(path: Path) -> list[Path]:
    """List the closed logs beside a log, oldest first."""
    form = re.compile(rf"{re.escape(path.stem)}-(\d{{9,15}}){re.escape(path.suffix)}", re.ASCII)
    with contextlib.suppress(OSError):
        found = [(form.fullmatch(one.name), one) for one in path.parent.iterdir()]
        return [one for _, one in sorted((int(match[1]), one) for match, one in found if match)]
    return []


def open_regular(path: Path, flags: int) -> int:
    """Open a file that is a file, and no link, pipe or device.

    Raises:
        OSError: it is another thing, or cannot be opened.
    """
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, MODE)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "is no regular file")
    return handle


@contextlib.contextmanager
def lock_log(path: Path) -> Iterator[None]:
    """Keep other writers out; the system frees the lock when the process ends, however it ends.

    Raises:
        OutputError: another process holds it too long, or the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = open_regular(name_lock(path), os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise OutputError(f"{path}: audit log {describe_fault(error)}") from None
    try:
        _wait(path, handle, shared=False)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def hold_still(path: Path) -> Iterator[None]:
    """Keep writers out while files are opened; a copy without its lock file has no writers.

    Raises:
        OutputError: another process holds the lock too long.
    """
    handle = None
    with contextlib.suppress(OSError):
        handle = open_regular(name_lock(path), os.O_RDONLY)
    try:
        if handle is not None:
            _wait(path, handle, shared=True)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _wait(path: Path, handle: int, *, shared: bool) -> None:
    import fcntl

    end = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > end:
                raise OutputError(
                    f"{path}: audit log is held by another process for {PATIENCE:.0f} s; "
                    "end it, or give each its own log"
                ) from None
            time.sleep(0.005)
        except OSError as error:
            raise OutputError(
                f"{path}: audit log cannot be locked ({error.strerror}); "
                "put it on a file system with locks"
            ) from None


def write_head(path: Path, point: Point, key: bytes | None) -> None:
    """Write down which line is the last of a log, atomically.

    Raises:
        OutputError: it cannot be written.
    """
    head = asdict(point)
    data = write_canonical(head | {"seal": make_seal(head, key)}) + b"\n"
    write_atomic(name_head(path), lambda temporary: temporary.write_bytes(data), everyone=True)


def read_head(path: Path, key: bytes | None, *, strict: bool = True) -> Point | None:
    """Read which line is the last of a log.

    Args:
        path: the log.
        key: that the head file must be sealed with; None for a plain hash.
        strict: whether a seal under a key is a fault where no key is given.

    Returns:
        None if there is no head file.

    Raises:
        OutputError: it is damaged, changed, or sealed with another key.
    """
    try:
        handle = open_regular(name_head(path), os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(
            f"{name_head(path)}: head file cannot be read ({error.strerror})"
        ) from None
    with os.fdopen(handle, "rb") as file:
        data = file.read(1024)
    try:
        head = json.loads(data)
        seal = head.pop("seal")
        point = Point(**head)
        numbers = (point.seq, point.size, point.length)
        sound = (
            all(type(number) is int and 0 < number < 2**53 for number in numbers)
            and re.fullmatch(HASH, point.digest, re.ASCII)
            and data == write_canonical(head | {"seal": seal}) + b"\n"
        )
        other_key = seal.startswith("hmac") and key is None
        fits = hmac.compare_digest(seal, make_seal(head, key)) or (other_key and not strict)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        sound, fits = False, False
    if not sound:
        raise OutputError(f"{name_head(path)}: head file is damaged or was changed")
    if not fits:
        raise OutputError(
            f"{name_head(path)}: head file was changed, or sealed with another key or none"
        )
    return point


def holds_line(handle: int, point: Point) -> bool:
    """Whether a file holds a point's line where the point says."""
    line = os.pread(handle, point.length + 1, point.size - point.length - 1)
    return line[-1:] == b"\n" and hashlib.sha256(line[:-1]).hexdigest() == point.digest


def holds_closed(path: Path, point: Point) -> bool:
    """Whether a closed log is there and ends in a point's line."""
    try:
        handle = open_regular(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.fstat(handle).st_size == point.size and holds_line(handle, point)
    finally:
        os.close(handle)


def write_all(handle: int, data: bytes) -> None:
    """Add bytes to a file and wait until the disk has them.

    Raises:
        OSError: the disk is full, or fails.
    """
    while data:
        data = data[os.write(handle, data) :]
    os.fsync(handle)


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
