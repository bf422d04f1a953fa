"""Trying again: after errors that pass, with longer and longer waits."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Event
from typing import TypeVar

from polypskd.errors import ArchiveError

Result = TypeVar("Result")
FACTOR = 2.0
JITTER = 0.5  # of a wait, so that those whom one outage has stopped do not come back at once
Tell = Callable[[ArchiveError, float], None]


@dataclass(frozen=True)
class Patience:
    """How often and how long something is tried.

    Args:
        tries: in all, at least 1.
        first_wait_s: before the second try; each further wait is twice as long.
        longest_wait_s: no wait is longer.
        deadline_s: after so many seconds no further try is begun.
        seed: of the jitter.
    """

    tries: int = 6
    first_wait_s: float = 1
    longest_wait_s: float = 60
    deadline_s: float = 900
    seed: int = 0


def list_waits(patience: Patience) -> Iterator[float]:
    """List the waits between tries, in seconds: one less than there are tries.

    >>> [round(wait, 2) for wait in list_waits(Patience(tries=4, seed=1))]
    [0.93, 1.15, 2.47]
    """
    chance = random.Random(patience.seed)  # noqa: S311 - jitter, no secret
    wait = patience.first_wait_s
    for _ in range(patience.tries - 1):
        yield min(wait, patience.longest_wait_s) * (1 - JITTER * chance.random())
        wait = min(wait * FACTOR, patience.longest_wait_s)


def call_again(
    call: Callable[[], Result],
    patience: Patience,
    stop: Event | None = None,
    tell: Tell = lambda error, wait: None,
) -> Result:
    """Call, and call again while it fails with an error that passes.

    Args:
        call: raises `ArchiveError` where it fails.
        patience: how often and how long.
        stop: ends the waiting once it is set; the last error is then raised at once.
        tell: called with each error that is waited out, and the seconds.

    Returns:
        What the call gave.

    Raises:
        ArchiveError: the first that does not pass, or the last one.
    """
    stop = Event() if stop is None else stop
    end = time.monotonic() + patience.deadline_s
    waits = list_waits(patience)
    while True:
        try:
            return call()
        except ArchiveError as error:
            wait = next(waits, None)
            if not error.transient or wait is None or time.monotonic() + wait > end:
                raise
            tell(error, wait)
            if stop.wait(wait):
                raise
