"""The audit log: what was done with which model, in lines that cannot be changed unnoticed.

A line is only ever added. What a killed writer left half-written stays where it is; the next line
tells how many bytes it has and their hash. What the chain shows and what it cannot show stands in
docs/audit.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from polypskd.artifacts import describe_fault
from polypskd.deployment.auditing.chain import START, TORN_MOST, Point, Walk, make_line, read_line
from polypskd.deployment.auditing.fields import Event, check_event
from polypskd.deployment.auditing.store import (
    holds_closed,
    holds_line,
    list_older,
    lock_log,
    name_older,
    open_regular,
    read_head,
    sync_folder,
    write_all,
    write_head,
)
from polypskd.deployment.auditing.verify import verify
from polypskd.deployment.seals import name_sealed
from polypskd.errors import OutputError

__all__ = ["AuditLog", "verify"]

FORMAT = 1
LARGEST = 100 * 2**20
BATCH = 500  # lines written at once; below TORN_MOST bytes
ASIDE = "look at it (polypskd audit verify), then move log and head file aside to begin a new one"


def own_version() -> str:
    """Give the version of this program."""
    return version("polypskd")


@dataclass(frozen=True)
class End:
    """Where the next line goes.

    Args:
        point: after the last whole entry.
        size: bytes of the file.
        gap: what ends a line that was left without its end.
        told: what the next line tells of that.
    """

    point: Point
    size: int
    gap: bytes = b""
    told: dict[str, Any] = field(default_factory=dict)


class AuditLog:
    """An audit log that several processes may write to.

    Args:
        path: the log; it and its folder are made if they are not there.
        key: seals each line, so that lines cannot be made without it; None for plain hashes.
        largest: a log of so many bytes is closed, and a new one goes on with the chain.
    """

    def __init__(self, path: Path, key: bytes | None = None, *, largest: int = LARGEST) -> None:
        self.path = path
        self._key = key
        self._largest = largest

    def append(self, event: Event) -> str:
        """Add an entry; it is on the disk when this returns.

        Args:
            event: `event` and fields of `audit_fields.FIELDS`.

        Returns:
            SHA-256 of its line: the head of the log, worth keeping elsewhere.

        Raises:
            OutputError: a field or value is not allowed, the log was changed or cut, or it cannot
                be written; nothing may then go on.
        """
        return self.extend([event])

    def extend(self, events: Iterable[Event]) -> str:
        """Add several entries and wait for the disk once.

        Raises:
            OutputError: as `append`; then none or some of the entries were written.
        """
        checked = [check_event(event) for event in events]
        with self._alone():
            return self._add(checked)

    def rotate(self) -> Path | None:
        """Close the log and begin another, whose first line holds the hash of the last one.

        Returns:
            The closed log; None if nothing was logged yet.

        Raises:
            OutputError: as `append`.
        """
        with self._alone():
            handle, end = self._open()
            os.close(handle)
            if end.told:
                self._add([{"event": "mended"}])
                handle, end = self._open()
                os.close(handle)
            if end.point.size == 0:
                return None
            older = self._close(end.point)
            self._add([])
            return older

    def seal_name(self, purpose: str, value: str) -> str | None:
        """Hash what may not be told under the key; None without one, since it could be guessed."""
        return None if self._key is None else name_sealed(self._key, purpose, value, length=32)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with lock_log(self.path):
            try:
                yield
            except OSError as error:
                raise OutputError(f"{self.path}: audit log {describe_fault(error)}") from None

    def _add(self, events: list[dict[str, Any]]) -> str:
        handle, end = self._open()
        try:
            if end.point.size >= self._largest and not end.told:
                self._close(end.point)
                os.close(handle)
                handle, end = self._open()
            if end.point.size == 0:
                opening = {"event": "open", "format": FORMAT, "tool_version": own_version()}
                end = self._write(handle, end, [opening])
            for start in range(0, len(events), BATCH):
                end = self._write(handle, end, events[start : start + BATCH])
        finally:
            os.close(handle)
        return end.point.digest

    def _write(self, handle: int, end: End, events: list[dict[str, Any]]) -> End:
        point = replace(end.point, size=end.size + len(end.gap))
        data = end.gap
        for number, event in enumerate(events):
            time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            told = event | end.told if number == 0 else event
            line, point = make_line(told, point, time, self._key)
            data += line
        write_all(handle, data)
        write_head(self.path, point, self._key)
        return End(point, point.size)

    def _close(self, point: Point) -> Path:
        older = name_older(self.path, point.seq)
        if os.path.lexists(older):
            raise OutputError(f"{older}: exists already; move it away")
        self.path.rename(older)
        sync_folder(self.path.parent)
        return older

    def _open(self) -> tuple[int, End]:
        handle = open_regular(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            return handle, self._find_end(handle)
        except BaseException:
            os.close(handle)
            raise

    def _find_end(self, handle: int) -> End:
        """Find where the chain ends, and what a killed writer left behind it."""
        head = read_head(self.path, self._key)
        size = os.fstat(handle).st_size
        if head is None:
            base = START
            if list_older(self.path):
                raise self._refuse("its head file is missing")
        elif holds_line(handle, head):
            base = head
        elif holds_closed(name_older(self.path, head.seq), head):
            base = replace(head, size=0, length=0)  # killed between closing a log and the next
        else:
            raise self._refuse("it was cut or changed: the last entry is not where it was")
        if size - base.size > TORN_MOST:
            raise self._refuse("more was added than the head file knows of")
        rest = os.pread(handle, size - base.size, base.size)
        *lines, tail = rest.split(b"\n")
        whole = read_line(tail) is not None  # all but its line end
        walk = Walk(self._key, base, name=self.path.name, number=int(base.size > 0))
        for line in [*lines, tail] if whole else lines:
            walk.take(line)
        if walk.findings:
            raise self._refuse(walk.findings[0])
        if head is None and walk.entries > 1:
            raise self._refuse("its head file is missing")
        point = walk.point or base
        left = rest[point.size - base.size :]
        told: dict[str, Any] = {"beyond_head": walk.entries} if walk.entries else {}
        if left:
            told |= {"torn_bytes": len(left), "torn_sha256": hashlib.sha256(left).hexdigest()}
        return End(point, size, b"\n" if left or whole else b"", told)

    def _refuse(self, why: str) -> OutputError:
        return OutputError(f"{self.path}: audit log: {why}; {ASIDE}")
