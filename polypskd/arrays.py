"""Arrays on disk: an archive whose bytes depend on nothing but the arrays, read without pickle."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.artifacts import write_atomic
from polypskd.errors import ArtifactError


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an .npz atomically; without time stamps, so that equal arrays are equal bytes.

    Args:
        path: of the archive.
        arrays: by name, in the order in which they are written.
    """

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name, values in arrays.items():
                entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                with archive.open(entry, "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)

    write_atomic(path, write)


def read_arrays(path: Path, names: tuple[str, ...], *, verb: str) -> dict[str, NDArray[Any]]:
    """Read some arrays of an .npz.

    Args:
        path: of the archive.
        names: that must be in it.
        verb: that makes it, told if it is missing or damaged.

    Raises:
        ArtifactError: it is missing, damaged, or lacks a name.
    """
    if not path.exists():
        raise ArtifactError(f"{path}: missing; `polypskd {verb} CONFIG` makes it")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            _check_sizes(archive, path.stat().st_size)
            return {name: archive[name] for name in names}
    except (
        *(OSError, EOFError, ValueError, KeyError, TypeError, MemoryError, RuntimeError),
        *(NotImplementedError, SyntaxError, OverflowError, zipfile.BadZipFile, zlib.error),
    ):
        raise ArtifactError(f"{path}: damaged; `polypskd {verb} CONFIG` makes it anew") from None


def _check_sizes(archive: Any, size: int) -> None:
    """Refuse what unpacks to more than its file holds: nothing here is written compressed.

    Raises:
        ValueError: it does, or it is no archive.
    """
    if not isinstance(archive, np.lib.npyio.NpzFile) or archive.zip is None:
        raise ValueError("no archive")
    if sum(one.file_size for one in archive.zip.infolist()) > size:
        raise ValueError("compressed")
