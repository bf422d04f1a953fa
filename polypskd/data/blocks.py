"""Large files of frames, drawn block by block by all cores, with little of them in memory.

A drawing that was killed goes on where it was: the partial file beside the final one ends with the
number of rows that are safely on disk. Processes that want the same file at once wait in line.
"""

from __future__ import annotations

import io
import os
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polypskd.artifacts import describe_fault
from polypskd.errors import OutputError

Pixels = NDArray[np.uint8]
Draw = Callable[[int, int], Pixels]
Progress = Callable[[int, int], None]

BLOCK = 4 << 20  # bytes that one thread draws at a time
SYNC = 64 << 20  # bytes after which they are made safe: what a power cut may cost
PAGE = 4096
ABANDONED = 7 * 24 * 3600  # seconds


def count_cores() -> int:
    """Count the cores that this process may use.

    >>> count_cores() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def draw_file(
    path: Path,
    shape: tuple[int, ...],
    draw: Draw,
    progress: Progress = lambda done, total: None,
    *,
    at_once: int = 1,
) -> None:
    """Draw an .npy file of frames unless it is there; it appears whole or not at all.

    Args:
        path: of the file. Its name must tell its content: a partial file of the same name is
            continued, and those of other names that nobody works on are removed.
        shape: (N, H, W, 3).
        draw: (start, stop) → these rows, (stop - start, H, W, 3); called from several threads.
        progress: called with (rows done, N).
        at_once: blocks of 4 MiB that one thread draws at a time.

    Raises:
        OutputError: the folder cannot be written to, or the disk is full.
    """
    if path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _claim(path)
    except OSError as error:
        raise _refuse(path, error) from None
    if file is None:
        return
    with file:
        partial = _Partial(file, shape)
        done = safe = partial.rows
        step = max(1, at_once * BLOCK // partial.stride)
        blocks = [(start, min(start + step, shape[0])) for start in range(done, shape[0], step)]
        # Closed at once on a fault, so that no thread goes on drawing what nobody will take.
        with closing(_draw_in_order(draw, blocks)) as drawn:
            for block in drawn:
                try:
                    partial.write(done, block)
                    done += len(block)
                    if (done - safe) * partial.stride >= SYNC:
                        partial.keep(done)
                        safe = done
                except OSError as error:
                    raise _refuse(path, error) from None
                progress(done, shape[0])
        try:
            partial.finish(path, done)
        except OSError as error:
            raise _refuse(path, error) from None


class _Partial:
    """A file in the making: header, pixels, and on a page of its own the rows that are safe."""

    def __init__(self, file: io.FileIO, shape: tuple[int, ...]) -> None:
        head = io.BytesIO()
        about = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(head, about)
        self.file, self.stride = file, int(np.prod(shape[1:]))
        self._head = head.getvalue()
        self._end = len(self._head) + shape[0] * self.stride
        self._mark = -(-self._end // PAGE) * PAGE
        found = file.read(len(self._head))
        file.seek(self._mark)
        rows = int.from_bytes(file.read(8), "little")
        self.rows = rows if found == self._head and rows <= shape[0] else 0

    def write(self, row: int, block: Pixels) -> None:
        self.file.seek(len(self._head) + row * self.stride)
        self._put(np.ascontiguousarray(block).data.cast("B"))

    def keep(self, rows: int) -> None:
        """Count rows only when they cannot be lost any more."""
        self.file.seek(0)
        self._put(memoryview(self._head))
        os.fsync(self.file.fileno())
        self.file.seek(self._mark)
        self._put(memoryview(rows.to_bytes(8, "little")))

    def _put(self, data: memoryview) -> None:
        while data:
            data = data[self.file.write(data) or 0 :]

    def finish(self, path: Path, rows: int) -> None:
        self.keep(rows)
        self.file.truncate(self._end)
        os.fsync(self.file.fileno())
        part = _beside(path)
        part.chmod(0o644)
        if os.name != "posix":  # where an open file cannot be renamed, nor locked as here
            self.file.close()
        part.replace(path)


def _draw_in_order(draw: Draw, blocks: list[tuple[int, int]]) -> Generator[Pixels]:
    """Draw blocks with all cores and give them in order; few wait in memory."""
    threads = count_cores()
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[Pixels]] = deque()
    try:
        for block in blocks:
            waiting.append(pool.submit(draw, *block))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _claim(path: Path) -> io.FileIO | None:
    """Open the partial file for this process alone; None if another has finished it meanwhile."""
    part = _beside(path)
    _remove_abandoned(part)
    while True:
        part.touch()
        try:
            file = part.open("r+b", buffering=0)  # a buffer would meet a full disk when closed
        except FileNotFoundError:  # finished or removed since
            continue
        _lock(file, wait=True)
        if path.exists():
            if _is_at(file, part):
                part.unlink()
            file.close()
            return None
        if _is_at(file, part):
            return file
        file.close()


def _remove_abandoned(part: Path) -> None:
    """Remove old partial files that no process works on: of other frames, views or settings.

    Young ones may be those that another process of a repeated job is about to continue.
    """
    for other in part.parent.glob(".*.part"):
        try:
            if other == part or time.time() - other.stat().st_mtime < ABANDONED:
                continue
            with other.open("r+b", buffering=0) as file:
                if _lock(file, wait=False):
                    other.unlink()
        except OSError:
            continue


def _lock(file: io.FileIO, *, wait: bool) -> bool:
    """Lock a file until it is closed; the system frees it when the process ends, however."""
    if os.name != "posix":
        return wait
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _is_at(file: io.FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _refuse(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: {describe_fault(error)}")
