"""A job of several processes, as a user sees it: one line when it ends early, and no hang."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from polypskd.ranks import is_first_to_say, world_size

LOST = re.compile(r"connection (closed|reset|refused)|broken pipe|socket closed", re.IGNORECASE)
ENDED = "polypskd: another process of this job ended; the same command goes on from here\n"
STOPPED = (
    "polypskd: told to stop, as when another process of this job ended; the same command goes on "
    "from here\n"
)


@contextlib.contextmanager
def join_job() -> Iterator[None]:
    """Join the processes that `torchrun` started; alone, do nothing.

    Raises:
        ConfigError: they cannot be reached.
        SystemExit: one of them ended.
    """
    if world_size() == 1:
        yield
        return
    from polypskd.models.processes import joined

    signal.signal(signal.SIGTERM, _stop)  # torchrun's, when another process has died
    try:
        with joined():
            yield
    except RuntimeError as error:
        if LOST.search(str(error)):
            complain(ENDED)
            raise SystemExit(1) from None
        raise


def leave(code: int) -> NoReturn:
    """End a process at once, without what the interpreter does at its end.

    Threads of the communication library may outlive the interpreter, which they then abort.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def complain(text: str) -> None:
    """Write to standard error, once a job: all its processes meet the same fault."""
    if is_first_to_say():
        sys.stderr.write(text)
        sys.stderr.flush()


def _stop(number: int, frame: FrameType | None) -> None:
    complain(STOPPED)
    raise SystemExit(128 + number)
