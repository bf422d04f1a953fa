"""What came of one study."""

from __future__ import annotations

from dataclasses import dataclass

from polypskd.deployment.pacs.journal import Standing


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
