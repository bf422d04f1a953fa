"""Stopping when told to: at once where that does no harm, and after a step where it would."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Stop:
    """Whether the process was told to stop (SIGTERM, SIGINT).

    Attributes:
        event: set once it was told.
        number: of the signal; 0 before.
    """

    def __init__(self) -> None:
        self.event = threading.Event()
        self.number = 0
        self._held = 0

    @contextlib.contextmanager
    def listen(self) -> Iterator[None]:
        """Take the signals while the block runs.

        Raises:
            KeyboardInterrupt: told to stop, in the block; a second signal always stops it.
        """
        if threading.current_thread() is not threading.main_thread():
            yield  # signals come to the main thread alone
            return
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self._take) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Finish a block before stopping: what was begun in it would else be left half-done.

        Raises:
            KeyboardInterrupt: after the block, told to stop meanwhile.
        """
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if self.event.is_set() and not self._held:
                raise KeyboardInterrupt

    def check(self) -> None:
        """Stop here, if told to.

        Raises:
            KeyboardInterrupt: told to stop.
        """
        if self.event.is_set():
            raise KeyboardInterrupt

    def _take(self, number: int, frame: FrameType | None) -> None:
        again = self.event.is_set()
        self.number = number
        self.event.set()
        if again or not self._held:
            raise KeyboardInterrupt
