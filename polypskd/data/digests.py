"""SHA-256 of frames and arrays, computed without holding a Python object for each.

A frame file that has not changed since its bytes were hashed is not read again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.artifacts import write_atomic
from polypskd.cohort.address import split_address
from polypskd.data.blocks import count_cores
from polypskd.errors import ArtifactError

Names = Sequence[str] | NDArray[np.str_]
ENTRY = np.dtype([("size", "<i8"), ("mtime", "<i8"), ("ctime", "<i8"), ("digest", "u1", (32,))])
SETTLED = 2_000_000_000  # ns; a file changed since cannot be told by the clocks of some systems
BATCH = 1024  # files whose bytes are in flight at once


def hash_arrays(*arrays: NDArray[Any]) -> str:
    """Hash arrays by type, shape and bytes.

    >>> hash_arrays(np.arange(3)) == hash_arrays(np.arange(3)) != hash_arrays(np.arange(4))
    True
    """
    digest = hashlib.sha256()
    for array in arrays:
        whole = np.ascontiguousarray(array)
        digest.update(f"{whole.dtype.str}{whole.shape}".encode())
        digest.update(whole.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def hash_frames(
    root: Path,
    paths: Names,
    folder: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> NDArray[np.uint8]:
    """Hash frame files, reading those alone whose size or times differ from the last time.

    Args:
        root: folder of the frames.
        paths: N paths below the root.
        folder: where the table of sizes, times and hashes of these paths is kept.
        progress: called with (files read, files to read).

    Returns:
        (N, 32) SHA-256 of each file's bytes.

    Raises:
        ArtifactError: a frame has gone since it was listed.
    """
    named = np.asarray(paths, dtype=np.str_)
    if np.any(np.strings.find(named, "#") >= 0):
        split = [split_address(str(name)) for name in named]
        if any(number is not None for _, number in split):
            return _hash_numbered(root, split, folder, progress)
    names = hash_arrays(named)
    place = hashlib.sha256(f"{root.absolute()}|{names}".encode()).hexdigest()
    table = folder / f"{place[:24]}.digests"
    known = _read_table(table, len(paths))
    now = time.time_ns()
    found = np.zeros(len(paths), ENTRY)
    sizes, mtimes, ctimes = found["size"], found["mtime"], found["ctime"]
    for index, name in enumerate(paths):
        try:
            about = os.stat(f"{root}/{name}")  # noqa: PTH116 - a Path for each of millions is slow
        except OSError:
            raise _gone(root / str(name)) from None
        sizes[index], mtimes[index] = about.st_size, about.st_mtime_ns
        ctimes[index] = about.st_ctime_ns
    same = np.ones(len(paths), dtype=bool)
    for field in ("size", "mtime", "ctime"):
        same &= found[field] == known[field]
    found["digest"] = known["digest"]
    changed = np.flatnonzero(~same)
    for done, (index, digest) in enumerate(_hash_files(root, paths, changed)):
        found[index]["digest"] = np.frombuffer(digest, np.uint8)
        progress(done + 1, len(changed))
    digests: NDArray[np.uint8] = found["digest"].copy()
    # Changed again within one tick of the clock it would look unchanged: it is read again instead.
    found["mtime"][np.maximum(found["mtime"], found["ctime"]) > now - SETTLED] = -1
    if not np.array_equal(found, known):
        write_atomic(table, lambda temporary: _write_table(temporary, found))
    return digests


def _hash_numbered(
    root: Path,
    split: Sequence[tuple[str, int | None]],
    folder: Path,
    progress: Callable[[int, int], None],
) -> NDArray[np.uint8]:
    """Hash frames of files with many: the file's bytes, read once, and the frame's number."""
    files = sorted({name for name, _ in split})
    digests = dict(zip(files, hash_frames(root, files, folder, progress), strict=True))
    rows = [
        digests[name].tobytes() if number is None else _number(digests[name], number)
        for name, number in split
    ]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), 32)


def _number(digest: NDArray[np.uint8], number: int) -> bytes:
    return hashlib.sha256(digest.tobytes() + f"#{number}".encode()).digest()


def _hash_files(
    root: Path, paths: Names, indices: NDArray[np.int64]
) -> Iterator[tuple[int, bytes]]:
    def hash_one(index: int) -> bytes:
        path = root / str(paths[index])
        try:
            with path.open("rb", buffering=0) as file:
                return hashlib.file_digest(file, "sha256").digest()
        except OSError:
            raise _gone(path) from None

    if not len(indices):
        return
    with ThreadPoolExecutor(count_cores()) as pool:
        for start in range(0, len(indices), BATCH):
            batch = indices[start : start + BATCH].tolist()
            yield from zip(batch, pool.map(hash_one, batch), strict=True)


def _read_table(path: Path, count: int) -> NDArray[np.void]:
    """Read the table; without one, or with a damaged one, every file counts as changed."""
    try:
        with path.open("rb") as file:
            table: NDArray[np.void] = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        table = np.empty(0, ENTRY)
    if table.dtype != ENTRY or table.shape != (count,):
        table = np.zeros(count, ENTRY)
        table["mtime"] = -1
    return table


def _write_table(path: Path, table: NDArray[np.void]) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array(file, table, allow_pickle=False)


def _gone(path: Path) -> ArtifactError:
    return ArtifactError(f"{path}: frame has gone; run `polypskd check CONFIG`")
