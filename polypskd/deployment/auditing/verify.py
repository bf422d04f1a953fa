"""Whether an audit log is as it was written, as far as a chain of hashes can tell."""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from polypskd.deployment.auditing.chain import LONGEST, Entry, Point, Walk
from polypskd.deployment.auditing.fields import HASH
from polypskd.deployment.auditing.store import (
    hold_still,
    list_older,
    name_head,
    open_regular,
    read_head,
)
from polypskd.errors import ArtifactError, ConfigError, OutputError

MOST = 50  # findings after which nobody reads on


@dataclass(frozen=True)
class Examination:
    """What an audit log shows.

    Args:
        findings: what is wrong; empty if all agrees.
        notes: what was not, or cannot be, checked.
        entries: how many lines were read.
        files: how many files they stand in.
        head: SHA-256 of the last line, hexadecimal; empty without one.
        last: the last entries, oldest first, as many as were asked for.
    """

    findings: tuple[str, ...]
    notes: tuple[str, ...]
    entries: int
    files: int
    head: str
    last: tuple[Entry, ...]


def verify(path: Path, head: str | None = None, key: bytes | None = None) -> list[str]:
    """List what is wrong with an audit log.

    Args:
        path: the log; older ones beside it are read first.
        head: SHA-256 of a line that was noted elsewhere, hexadecimal.
        key: that the log is sealed with.

    Returns:
        One line each; empty if all that can be checked agrees.

    Raises:
        ArtifactError: the log cannot be read.
        ConfigError: the head is no SHA-256.
    """
    return list(examine(path, head, key).findings)


def examine(
    path: Path, head: str | None = None, key: bytes | None = None, *, keep: int = 0
) -> Examination:
    """Read an audit log and all that stands beside it.

    Args:
        path: the log, or an older one of a series by itself.
        head: SHA-256 of a line that was noted elsewhere, hexadecimal.
        key: that the log is sealed with.
        keep: how many of the last entries to give.

    Raises:
        ArtifactError: the log cannot be read.
        ConfigError: the head is no SHA-256.
    """
    if head is not None and not re.fullmatch(HASH, head, re.ASCII):
        raise ConfigError("--head: is no SHA-256; give the 64 digits that `audit verify` printed")
    walk = Walk(key, None)
    last: deque[Entry] = deque(maxlen=keep)
    seen = 0  # of how many entries the noted head is the last
    with contextlib.ExitStack() as opened:
        there = _look(path, key, opened)
        for name, handle, size in there.files:
            walk.start_file(name)
            for line in _read_lines(handle, size, walk):
                entry = walk.take(line)
                if entry is not None:
                    last.append(entry)
                    seen = walk.entries if walk.point and walk.point.digest == head else seen
                if len(walk.findings) >= MOST:
                    break
            walk.finish()
    if len(walk.findings) >= MOST:
        walk.findings.append("... and perhaps more; not all lines were read")
    _check_end(path, there.head, walk)
    if head is not None:
        _check_noted(walk, seen)
    if walk.unchecked:
        walk.notes.append(
            f"the seals of {walk.unchecked} entries were not checked: they need the key "
            "(--key-file or --key-env)"
        )
    digest = walk.point.digest if walk.point and walk.entries else ""
    return Examination(
        tuple(walk.findings), tuple(walk.notes), walk.entries, len(there.files), digest, tuple(last)
    )


@dataclass(frozen=True)
class _There:
    """The files as they were at one moment; what is added later is not looked at.

    Args:
        files: name, open file and bytes, oldest first.
        head: what the head file says, or what is wrong with it.
    """

    files: list[tuple[str, int, int]]
    head: Point | OutputError | None


def _look(path: Path, key: bytes | None, opened: contextlib.ExitStack) -> _There:
    """Open the files while no writer is at work, if that can be told."""
    with hold_still(path):
        files = []
        for file in [*list_older(path), path]:
            try:
                handle = open_regular(file, os.O_RDONLY)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise ArtifactError(
                    f"{file}: audit log cannot be read ({error.strerror})"
                ) from None
            opened.callback(os.close, handle)
            files.append((file.name, handle, os.fstat(handle).st_size))
        if not files:
            raise ArtifactError(f"{path}: audit log is missing; check the path")
        try:
            return _There(files, read_head(path, key, strict=False))
        except OutputError as error:
            return _There(files, error)


def _read_lines(handle: int, size: int, walk: Walk) -> Iterator[bytes]:
    with os.fdopen(handle, "rb", closefd=False) as file:
        while size > 0 and (line := file.readline(min(size, LONGEST + 2))):
            size -= len(line)
            if line.endswith(b"\n"):
                yield line[:-1]
            elif len(line) > LONGEST:
                walk.findings.append(f"{walk.name} line {walk.number + 1}: is too long to be ours")
                return
            else:
                walk.findings.append(
                    f"{walk.name}: ends in the middle of a line ({len(line)} bytes): a writer was "
                    "killed, or the end was cut; the next entry will tell of it"
                )


def _check_end(path: Path, head: Point | OutputError | None, walk: Walk) -> None:
    """Compare the end with the head file."""
    if isinstance(head, OutputError):
        walk.findings.append(str(head))
        return
    if head is None:
        walk.notes.append(
            f"{name_head(path).name} is not here: whether the end was cut can be told only by a "
            "head that was noted elsewhere (--head)"
        )
        return
    point = walk.point or Point(0, "")
    if (point.seq, point.digest) == (head.seq, head.digest):
        return
    if point.seq > head.seq:
        walk.findings.append(
            f"{path.name}: goes on for {point.seq - head.seq} entries after the one that its head "
            "file calls the last: a writer was killed, or entries were added; the next entry of "
            "a writer will tell of it"
        )
    else:
        walk.findings.append(
            f"{path.name}: ends with entry {point.seq}, its head file calls entry {head.seq} the "
            "last: the end was cut or changed"
        )


def _check_noted(walk: Walk, seen: int) -> None:
    """Look for a head that was noted elsewhere."""
    if seen == 0:
        walk.findings.append(
            "the line with the given --head is not in the log: its end was cut, or it was "
            "written anew"
        )
    elif seen < walk.entries:
        walk.notes.append(f"{walk.entries - seen} entries were added since the given --head")
