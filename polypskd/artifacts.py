"""The run folder: atomic writes, fingerprints, provenance.

A file appears whole or not at all (temporary file, fsync, rename), and each step leaves a stamp
that says from which inputs it was made, so that a later run knows what is fresh.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from polypskd.errors import ArtifactError, OutputError, list_places
from polypskd.ranks import is_first, rank, world_size


def write_atomic(path: Path, write: Callable[[Path], object], *, everyone: bool = False) -> None:
    """Call `write` with a temporary path beside `path`, then rename it into place.

    Args:
        path: what appears whole or not at all.
        write: told where to write.
        everyone: whether each process of a job writes files of its own; else the first alone
            writes, and this does nothing in the others.

    Raises:
        OutputError: the folder cannot be written to, or the disk is full.
    """
    if not (everyone or is_first()):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}); check --out") from None
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{path}: {describe_fault(error)}") from None
    finally:
        temporary.unlink(missing_ok=True)


def describe_fault(error: OSError) -> str:
    """Say what the system said; a library's own OSError may have it in its text alone."""
    said = error.strerror or str(error).partition(" (os error")[0]
    full = error.errno in {errno.ENOSPC, errno.EDQUOT} or "No space left" in said
    remedy = "; free some space, then the same command goes on from here" if full else ""
    return f"cannot be written ({said}){remedy}"


def sync_folder(folder: Path) -> None:
    """Make the rename itself durable; not every platform lets a folder be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def clear_leftovers(run: Path) -> None:
    """Remove what a killed process left half-written in a run folder; call it under the lock."""
    for folder in (run, run / ".steps", run / ".steps" / "pixels"):
        for path in folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)
        for path in folder.glob(".*.drawing"):
            shutil.rmtree(path, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8", newline="\n"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: sorted by insertion, indented, no NaN."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing; run `polypskd run CONFIG` to make it") from None
    except ValueError:
        raise ArtifactError(f"{path}: damaged; delete it and run the same command again") from None


def fingerprint(value: Any) -> str:
    """SHA-256 of a JSON-like value, independent of the order of its keys.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, default=str, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_fresh(run: Path, step: str, inputs: str, outputs: Iterable[str]) -> bool:
    """Whether a step's outputs exist, are unchanged, and were made from these inputs."""
    stamp = run / ".steps" / f"{step}.json"
    if not stamp.exists():
        return False
    recorded = read_json(stamp)
    if recorded["inputs"] != inputs:
        return False
    return all(
        (run / name).exists() and file_hash(run / name) == recorded["outputs"].get(name)
        for name in outputs
    )


def stamped_hash(run: Path, step: str, name: str) -> str | None:
    """Give the hash that an output had when its step was done; None if it was not."""
    stamp = run / ".steps" / f"{step}.json"
    return read_json(stamp)["outputs"].get(name) if stamp.exists() else None


def write_stamp(run: Path, step: str, inputs: str, outputs: Iterable[str]) -> None:
    """Record that a step is done."""
    if not is_first():
        return
    hashes = {name: file_hash(run / name) for name in outputs}
    write_json(run / ".steps" / f"{step}.json", {"inputs": inputs, "outputs": hashes})


PACKAGES = ("torch", "monai", "albumentations", "scikit-learn", "numpy", "polars", "pydantic")


def describe_machine() -> dict[str, Any]:
    """Versions and machine for provenance; names no user, host or path."""
    return {
        "polypskd": metadata.version("polypskd"),
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
    }


class RunLog:
    """log.jsonl of a run, and whoever listens; the first process of a job tells, others do not.

    Args:
        path: the log file; events are appended.
        listen: called with every event, progress included; None for nobody.
    """

    def __init__(self, path: Path, listen: Callable[[dict[str, Any]], None] | None = None) -> None:
        self._path = path
        self._listen = listen

    def tell(self, step: str, event: str, **values: Any) -> None:
        """Record an event: a line in the log, and to the listener."""
        if not is_first():
            return
        record = {"step": step, "event": event, **values}
        self._append(record)
        if self._listen is not None:
            self._listen(record)

    def fail(self, error: BaseException) -> None:
        """Record where a fault of ours happened, in whichever process.

        Its message may quote a frame or a patient, and is left out.
        """
        where = {"process": rank()} if world_size() > 1 else {}
        name = type(error).__name__
        self._append(
            {"step": "run", "event": "failed", "error": name, **where}
            | {"places": list_places(error)}
        )

    def _append(self, record: dict[str, Any]) -> None:
        line = json.dumps({"time": round(time.time(), 3), **record}, default=str)
        try:
            with self._path.open("a+b") as file:
                # After a torn line, as of a full disk, on a line of its own.
                if file.tell() and file.seek(-1, os.SEEK_END) and file.read() != b"\n":
                    line = f"\n{line}"
                file.write(f"{line}\n".encode())
        except OSError as error:
            raise OutputError(f"{self._path}: {describe_fault(error)}") from None

    @contextlib.contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Record the seconds that a block took, as an event of its own."""
        start = time.perf_counter()
        yield
        self.tell(step, "timed", seconds=round(time.perf_counter() - start, 2))

    def progress(self, step: str, done: int, total: int) -> None:
        """Tell the listener how far a step is; not logged."""
        if self._listen is not None and is_first():
            self._listen({"step": step, "event": "progress", "done": done, "total": total})


@contextlib.contextmanager
def lock_run(run: Path) -> Iterator[None]:
    """Keep other processes out of a run folder while this one, or its job, works in it.

    Raises:
        OutputError: another process is at work there, or the folder cannot be written to.
    """
    if not is_first():
        yield
        return
    try:
        (run / ".steps").mkdir(parents=True, exist_ok=True)
        file = (run / ".steps" / "lock").open("w", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{run}: cannot be written ({error.strerror}); check --out") from None
    with file:
        try:
            if os.name == "posix":
                import fcntl

                # The system frees the lock when the process ends, however it ends.
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"{run}: another polypskd is at work here; wait, or use --out"
            ) from None
        except OSError as error:
            raise OutputError(
                f"{run}: cannot be locked ({error.strerror}); use --out on a file system with locks"
            ) from None
        yield
