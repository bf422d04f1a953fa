"""A folder that appears whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from polypskd.artifacts import describe_fault, sync_folder
from polypskd.deployment.manifest import MANIFEST
from polypskd.errors import OutputError

Made = TypeVar("Made")
MOMENT = 60  # seconds


def place_folder(out: Path, write: Callable[[Path], Made], *, overwrite: bool) -> Made:
    """Write a folder beside its place, then rename it there.

    Args:
        out: where it appears; missing, empty, or a bundle if it may be overwritten.
        write: told in which empty folder to write.
        overwrite: whether a bundle that stands there is replaced.

    Returns:
        What `write` returned.

    Raises:
        OutputError: something else stands there, or the disk is full.
    """
    clear_killed(out)
    check_place(out, overwrite=overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Named so that the next `polypskd run` clears what a kill leaves in a run folder.
        name = tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".drawing", dir=out.parent)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); check --out") from None
    folder = Path(name) / out.name
    held = _hold(Path(name))
    try:
        folder.mkdir()
        made = write(folder)
        _sync(folder)
        check_place(out, overwrite=overwrite)  # minutes may have gone by
        _swap(folder, out, Path(name) / "before")
    except OSError as error:
        raise OutputError(f"{out}: {describe_fault(error)}") from None
    finally:
        shutil.rmtree(name, ignore_errors=True)
        if held is not None:
            os.close(held)
    return made


def clear_killed(out: Path) -> None:
    """Remove what killed processes left beside a place; a folder that they had moved comes back.

    Args:
        out: where the folder is to appear.
    """
    for path in sorted(out.parent.glob(f".{glob.escape(out.name)}.*.drawing")):
        if path.is_symlink() or not path.is_dir():
            continue
        held = _hold(path)
        if held is None:
            continue
        with contextlib.suppress(OSError):
            # One that is still empty may be another process's first moment.
            if any(path.iterdir()) or time.time() - path.stat().st_mtime > MOMENT:
                before = path / "before"
                if before.is_dir() and not out.exists() and not out.is_symlink():
                    before.replace(out)
                shutil.rmtree(path, ignore_errors=True)
        os.close(held)


def _hold(folder: Path) -> int | None:
    """Lock a folder for as long as this process lives; None where another one does."""
    if os.name != "posix":
        return None
    import fcntl

    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def check_place(out: Path, *, overwrite: bool) -> None:
    """Refuse a place where something stands that is not to be replaced.

    Raises:
        OutputError: it does.
    """
    if not (out.exists() or out.is_symlink()):
        return
    if out.is_symlink() or not out.is_dir():
        raise OutputError(f"{out}: in the way, and no folder; give --out another one")
    if not any(out.iterdir()):
        return
    if not (out / MANIFEST).is_file():
        raise OutputError(f"{out}: not empty and not a bundle; give --out another folder")
    if not overwrite:
        raise OutputError(f"{out}: holds a bundle; give --out another folder, or --overwrite")


def _swap(folder: Path, out: Path, before: Path) -> None:
    """Put a folder in the place of another, which comes back if that fails."""
    if out.exists():
        out.replace(before)
    try:
        folder.replace(out)
    except OSError:
        if before.exists():
            before.replace(out)
        raise
    sync_folder(out.parent)


def _sync(folder: Path) -> None:
    """Make what was written durable, and readable by whoever serves it."""
    for path in sorted(folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            sync_folder(path)
    folder.chmod(0o755)
    sync_folder(folder)
