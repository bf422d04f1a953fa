"""Where new studies come from: the archive is asked now and then, or they are sent to us."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from polypskd.deployment.pacs.journal import FOLDER
from polypskd.deployment.pacs.outcome import Outcome
from polypskd.deployment.pacs.settings import Settings, Watching
from polypskd.deployment.pacs.worker import StudyWorker

if TYPE_CHECKING:
    from polypskd.deployment.pacs.receiver import StoreReceiver

INBOX = "inbox"


class Arrivals(Protocol):
    """A source of studies."""

    def describe(self) -> str:
        """Describe where they come from, for people."""
        ...

    def list_ready(self) -> list[str]:
        """List the UIDs of studies that may be answered, the oldest first.

        Raises:
            ArchiveError: it cannot be asked.
        """
        ...

    def work(self, study_uid: str) -> Outcome:
        """Answer one of them; see `StudyWorker.work`."""
        ...


class PolledArrivals:
    """Studies of the archive that are not done and have stopped growing.

    Args:
        worker: does the asking and the work.
        watching: how often, and how long a study must not have grown.
    """

    def __init__(self, worker: StudyWorker, watching: Watching) -> None:
        self._worker, self._watching = worker, watching
        self._due = 0.0
        self._sizes: dict[str, tuple[int, float]] = {}

    def describe(self) -> str:
        """See `Arrivals.describe`."""
        return f"asking the archive every {self._watching.poll_s:g} s"

    def list_ready(self) -> list[str]:
        """See `Arrivals.list_ready`; between two polls there are none."""
        now = time.monotonic()
        if now < self._due:
            return []
        self._due = now + self._watching.poll_s
        ready, sizes = [], {}
        for study in self._worker.find():
            if self._worker.is_done(study):
                continue
            size, since = self._sizes.get(study.study_uid, (-1, now))
            if size != study.count:
                since = now
            sizes[study.study_uid] = (study.count, since)
            if now - since >= self._watching.settle_s:
                ready.append(study.study_uid)
        self._sizes = sizes
        return ready

    def work(self, study_uid: str) -> Outcome:
        """See `Arrivals.work`."""
        return self._worker.work(study_uid)


class SentArrivals:
    """Studies that are sent to us.

    Args:
        worker: does the work.
        receiver: takes what is sent, and listens already.
        settle_s: seconds for which nothing of a study has come.
    """

    def __init__(self, worker: StudyWorker, receiver: StoreReceiver, settle_s: float) -> None:
        self._worker, self._receiver, self._settle_s = worker, receiver, settle_s

    def describe(self) -> str:
        """See `Arrivals.describe`."""
        return f"studies are taken on port {self._receiver.port}"

    def list_ready(self) -> list[str]:
        """See `Arrivals.list_ready`."""
        return self._receiver.list_quiet(self._settle_s)

    def work(self, study_uid: str) -> Outcome:
        """See `Arrivals.work`; what is done with, or can never be done, is removed."""
        received = self._receiver.give(study_uid)
        try:
            outcome = self._worker.work_files(study_uid, received.files)
        except BaseException:
            self._receiver.put_back(received)
            raise
        if outcome.final:
            self._receiver.finish(received)
        else:
            self._receiver.put_back(received)
        return outcome


@contextmanager
def open_arrivals(worker: StudyWorker, settings: Settings, out: Path) -> Iterator[Arrivals]:
    """Open the source of studies that the settings name.

    Args:
        worker: does the work.
        settings: with a receiver or without.
        out: the folder of the journal; what is sent to us lies below it until it is answered.

    Raises:
        ConfigError: the port cannot be listened on, or a certificate is not as it must be.
        OutputError: the folder cannot be written to.
    """
    watching = settings.watch
    if watching.receiver is None:
        yield PolledArrivals(worker, watching)
        return
    from polypskd.deployment.pacs.receiver import StoreReceiver

    inbox = out / FOLDER / INBOX
    with StoreReceiver(watching.receiver, inbox, settings.transfer, watching.queue) as receiver:
        yield SentArrivals(worker, receiver, watching.settle_s)
