"""Studies that are sent to us (C-STORE): taken onto the disk, and given out once they are quiet.

An instance is answered for (0x0000) when it is on the disk under its name, and not before. Where no
more can be taken for now the answer is 0xA700, out of resources, and the sender tries again later.
What was taken and not yet `finish`ed is given out again after a kill.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polypskd.artifacts import describe_fault
from polypskd.cohort.damage import DamageError
from polypskd.deployment.pacs.archive import SUFFIX, is_uid, name_file
from polypskd.errors import OutputError

if TYPE_CHECKING:
    from polypskd.deployment.pacs.settings import Receiver, Transfer

TAKEN, FULL, UNFIT, UNREADABLE = 0x0000, 0xA700, 0xA900, 0xC000
LEFT_FREE = 64 << 20  # bytes of the disk: results and the journal need some
COMING, WAITING, GIVEN = "coming", "waiting", "given"


@dataclass(frozen=True)
class Received:
    """A study that was sent to us.

    Args:
        study_uid: checked by `is_uid`.
        folder: where it lies until it is finished.
        files: its instances, each under `name_file`, sorted.
    """

    study_uid: str
    folder: Path
    files: tuple[Path, ...]


class StoreReceiver:
    """Listens for instances while its context lasts, and gives out whole studies.

    Args:
        settings: where it listens, and to whom.
        folder: where instances lie; closed to others. What a killed process left there counts.
        transfer: patience, and the largest instance.
        most: so many instances wait at the most; further ones are refused for now.

    Raises:
        ConfigError: pynetdicom is not installed, the port cannot be listened on, or a certificate
            is not as it must be.
        OutputError: the folder cannot be used.

    Attributes:
        counts: status of an answer → number of instances.
        free: bytes that are left free on the disk.
    """

    def __init__(self, settings: Receiver, folder: Path, transfer: Transfer, most: int) -> None:
        self.counts: Counter[int] = Counter()
        self.free = LEFT_FREE
        self.port = settings.port
        self._settings, self._transfer, self._most = settings, transfer, most
        self._coming, self._waiting, self._given = (
            folder / name for name in (COMING, WAITING, GIVEN)
        )
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._open = contextlib.ExitStack()
        try:
            shutil.rmtree(self._coming, ignore_errors=True)
            for made in (folder, self._coming, self._waiting, self._given):
                made.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._recall()
        except OSError as error:
            raise OutputError(f"{folder}: {describe_fault(error)}") from None
        self._count = sum(1 for _ in self._waiting.glob(f"*/*{SUFFIX}"))

    def __enter__(self) -> StoreReceiver:
        """Begin to listen."""
        from polypskd.deployment.pacs.association import check_extra

        check_extra()
        from polypskd.deployment.pacs.incoming import Intake
        from polypskd.deployment.pacs.serving import Place, serve

        settings = self._settings
        place = Place(settings.host, settings.port, settings.ae, settings.callers, settings.tls)
        intake = Intake(
            self._coming,
            most=self._transfer.most_megabytes << 20,
            patience=self._transfer.read_s,
            free=self.free,
            is_full=lambda: self._count >= self._most,
        )
        server = self._open.enter_context(serve(place, intake, self._take))
        self.port = server.server_address[1]
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening; what was taken stays."""
        self._open.close()

    def list_quiet(self, quiet_s: float) -> list[str]:
        """List the studies to which nothing was added for so many seconds, the oldest first."""
        now = time.monotonic()
        with self._lock:
            return [uid for uid, last in self._last.items() if now - last >= quiet_s]

    def give(self, study_uid: str) -> Received:
        """Give out a study; what still comes of it is another one, later.

        Args:
            study_uid: one of `list_quiet`.

        Raises:
            OutputError: its folder cannot be moved.
        """
        folder = self._given / study_uid
        with self._lock:
            try:
                self._join(self._waiting / study_uid, folder)
            except OSError as error:
                raise OutputError(f"{folder}: {describe_fault(error)}") from None
            self._last.pop(study_uid, None)
        return Received(study_uid, folder, tuple(sorted(folder.glob(f"*{SUFFIX}"))))

    def finish(self, received: Received) -> None:
        """Remove a study that was given out and is done with.

        Raises:
            OutputError: it cannot be removed.
        """
        try:
            shutil.rmtree(received.folder)
        except OSError as error:
            raise OutputError(f"{received.folder}: cannot be removed ({error.strerror})") from None
        with self._lock:
            self._count -= len(received.files)

    def put_back(self, received: Received) -> None:
        """Let a study wait again that was given out and is not done with.

        Raises:
            OutputError: it cannot be moved.
        """
        with self._lock:
            try:
                self._join(received.folder, self._waiting / received.study_uid)
            except OSError as error:
                raise OutputError(f"{received.folder}: {describe_fault(error)}") from None
            self._last[received.study_uid] = time.monotonic()

    def _take(self, event: Any) -> int:
        """Take an instance; give the status of the answer."""
        part = event.request.DataSet
        try:
            status = UNREADABLE if part is None else self._keep(event.request, part)
        except OSError:
            status = FULL
        except DamageError:
            status = UNREADABLE
        finally:
            if part is not None:
                part.discard()
        with self._lock:
            self.counts[status] += 1
        return status

    def _keep(self, request: Any, part: Any) -> int:
        from polypskd.cohort.dicom import read_attributes

        if part.too_large:
            return UNREADABLE
        path = part.finish()
        if path is None:
            return UNREADABLE if part.fault is None else FULL
        wanted = {"i": "SOPInstanceUID", "c": "SOPClassUID", "s": "StudyInstanceUID"}
        told = read_attributes(path, wanted).columns
        # The command's UIDs are the sender's word; the data set's are those that are judged by.
        if told["i"] != str(request.AffectedSOPInstanceUID) or not is_uid(told["i"]):
            return UNFIT
        if told["c"] != str(request.AffectedSOPClassUID) or not is_uid(told["s"]):
            return UNFIT
        folder = self._waiting / told["s"]
        with self._lock:
            target = name_file(folder, told["i"])
            if target.exists():
                return TAKEN if _hash(target) == _hash(path) else UNFIT
            if self._count >= self._most:
                return FULL
            folder.mkdir(mode=0o700, exist_ok=True)
            path.replace(target)
            _sync(folder)
            _sync(self._waiting)
            self._count += 1
            self._last[told["s"]] = time.monotonic()
        return TAKEN

    def _recall(self) -> None:
        """Let what was given out, and never finished, wait again."""
        for folder in sorted(self._given.iterdir()):
            self._join(folder, self._waiting / folder.name)
        for folder in sorted(self._waiting.iterdir(), key=lambda one: one.stat().st_mtime_ns):
            if is_uid(folder.name):
                self._last[folder.name] = time.monotonic()

    @staticmethod
    def _join(folder: Path, into: Path) -> None:
        """Move a folder, or its files where the other is there already."""
        if not into.exists():
            folder.replace(into)
            return
        for path in folder.iterdir():
            path.replace(into / path.name)
        folder.rmdir()


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    """Make a rename durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
