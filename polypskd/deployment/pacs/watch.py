"""Studies as they come, until told to stop."""

from __future__ import annotations

import time
from collections.abc import Callable

from polypskd.deployment.pacs.arrivals import Arrivals
from polypskd.deployment.pacs.outcome import Outcome
from polypskd.deployment.pacs.settings import Watching
from polypskd.deployment.pacs.stopping import Stop
from polypskd.deployment.pacs.study_run import Summary
from polypskd.errors import ArchiveError, OutputError

IDLE_S = 0.5  # between two looks at what has come
MOST_PAUSES = 100_000
LONGEST_PAUSE_S = 6 * 3600.0
FULL = "free some space"  # what `describe_fault` says of a full disk
Tell = Callable[[str], None]


class Watch:
    """Answers studies as they come; what cannot be answered now is tried again later.

    Args:
        arrivals: where they come from.
        watching: pauses, and how many wait at the most.
        stop: whether the process was told to stop.
        tell: told what happens, in lines without anything of a patient.

    Attributes:
        summary: what came of all studies so far.
    """

    def __init__(self, arrivals: Arrivals, watching: Watching, stop: Stop, tell: Tell) -> None:
        self.summary = Summary()
        self._arrivals, self._watching, self._stop, self._tell = arrivals, watching, stop, tell
        self._waiting: dict[str, None] = {}
        self._pauses: dict[str, tuple[int, float]] = {}
        self._held_up = False
        self._beat = time.monotonic() + watching.heartbeat_s

    def run(self) -> None:
        """Answer studies until told to stop.

        Raises:
            KeyboardInterrupt: told to stop.
            ArchiveError: the archive refuses us.
            OutputError: the folder cannot be written to, for another reason than a full disk.
        """
        while True:
            self._stop.check()
            self._tell_beat()
            if not self._work_next():
                self._stop.event.wait(min(IDLE_S, self._watching.poll_s))

    def _work_next(self) -> bool:
        """Take the next study; tell whether there was one."""
        try:
            self._look()
            study_uid = next(iter(self._waiting), None)
            if study_uid is None:
                self._tell_free()
                return False
            outcome = self._arrivals.work(study_uid)
        except (ArchiveError, OutputError) as error:
            if not (isinstance(error, ArchiveError) and error.transient) and FULL not in str(error):
                raise
            # It is no study's fault, and they keep their places.
            self._tell(f"{error}; waiting {self._watching.poll_s:g} s")
            self._held_up = True
            self._pause()
            return False
        self._tell_free()
        del self._waiting[study_uid]
        self._add(study_uid, outcome)
        return True

    def _look(self) -> None:
        """Let those wait that are ready; where the queue is full, the others wait elsewhere."""
        if len(self._waiting) >= self._watching.queue:
            return
        now = time.monotonic()
        for study_uid in self._arrivals.list_ready():
            if len(self._waiting) >= self._watching.queue:
                return
            if self._pauses.get(study_uid, (0, 0.0))[1] <= now:
                self._waiting[study_uid] = None

    def _add(self, study_uid: str, outcome: Outcome) -> None:
        if not outcome.known:
            self.summary.add(outcome)
            self._tell(describe_outcome(outcome))
        if outcome.standing.state != "failed":
            self._pauses.pop(study_uid, None)
            return
        times = self._pauses.get(study_uid, (0, 0.0))[0]
        # What cannot come out otherwise is looked at again all the same, in case it was replaced.
        pause = LONGEST_PAUSE_S if outcome.final else self._watching.poll_s * 2.0 ** min(times, 20)
        if len(self._pauses) >= MOST_PAUSES:
            self._pauses.clear()  # they are tried again sooner, no more
        self._pauses[study_uid] = (times + 1, time.monotonic() + min(pause, LONGEST_PAUSE_S))

    def _pause(self) -> None:
        end = time.monotonic() + self._watching.poll_s
        while (left := end - time.monotonic()) > 0:
            self._tell_beat()
            self._stop.event.wait(min(left, self._watching.heartbeat_s))
            self._stop.check()

    def _tell_free(self) -> None:
        if self._held_up:
            self._held_up = False
            self._tell("goes on: what was in the way is over")

    def _tell_beat(self) -> None:
        now = time.monotonic()
        if now < self._beat:
            return
        self._beat = now + self._watching.heartbeat_s
        states = self.summary.states
        self._tell(
            f"at work: {states['sent']:,} answered, {states['failed']:,} failed, "
            f"{len(self._waiting):,} waiting"
        )


def describe_outcome(outcome: Outcome) -> str:
    """Describe what came of a study in one line, without its UID."""
    standing = outcome.standing
    told = f"study {standing.name}: {standing.state}"
    if standing.state == "failed":
        return f"{told}: {standing.reason}"
    if standing.state == "sent":
        unread = f", {outcome.unread:,} cannot be read" if outcome.unread else ""
        left_out = f"; left out: {outcome.left_out}" if outcome.left_out else ""
        return f"{told}, results {outcome.stored:,}, frames {outcome.frames:,}{unread}{left_out}"
    return told
