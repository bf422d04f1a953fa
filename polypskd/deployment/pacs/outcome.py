"""What came of one study."""

from __future__ import annotations

from dataclasses import dataclass

from polypskd.deployment.pacs.journal import Standing
from polypskd.errors import ArchiveError

ALIKE = 5  # studies in a row that fail for one reason: it is not theirs


@dataclass(frozen=True)
class Outcome:
    """What came of one study.

    Args:
        standing: as noted.
        known: whether it was done before, and nothing was done now.
        frames: number of answers.
        unread: number of files or frames that cannot be read.
        stored: number of results that were sent now.
        left_out: why a result, or a file in it, was left out; "" where none was.
        final: whether trying again would end the same: the study itself is at fault, or done.
    """

    standing: Standing
    known: bool = False
    frames: int = 0
    unread: int = 0
    stored: int = 0
    left_out: str = ""
    final: bool = True


class Alike:
    """Tells a fault of the archive from faults of studies: these do not fail alike in a row."""

    def __init__(self) -> None:
        self._reason, self._times = "", 0

    def check(self, outcome: Outcome) -> None:
        """Stop where one study after another fails for the same reason.

        Raises:
            ArchiveError: it does.
        """
        reason = "" if outcome.final else outcome.standing.reason
        self._times = self._times + 1 if reason and reason == self._reason else int(bool(reason))
        self._reason = reason
        if self._times >= ALIKE:
            self._reason, self._times = "", 0
            raise ArchiveError(f"{ALIKE} studies in a row failed: {reason}")
