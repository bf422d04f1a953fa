"""Connections of HTTP that another thread can cut off.

The time limits of a socket begin anew with each byte: whoever sends one now and then, in a header
or in a body, would keep us waiting for ever.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import weakref
from collections.abc import Iterator
from typing import Any, cast

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection


class CutAdapter(HTTPAdapter):
    """Opens connections, and cuts them off where they take too long. It is used by one thread."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Let the pools make connections that we know of."""
        self._lines: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {
            "http": _follow(HTTPConnectionPool, self._lines),
            "https": _follow(HTTPSConnectionPool, self._lines),
        }

    @contextlib.contextmanager
    def limit(self, seconds: float) -> Iterator[threading.Event]:
        """Cut off what still runs after so many seconds.

        Args:
            seconds: for the whole block.

        Yields:
            What is set once that was done.
        """
        late = threading.Event()

        def cut() -> None:
            late.set()
            for line in [*self._lines]:
                if line.sock is not None:
                    with contextlib.suppress(OSError):
                        # Not that of TLS, which would take its state from under the reader.
                        socket.socket.shutdown(cast(socket.socket, line.sock), socket.SHUT_RDWR)

        timer = threading.Timer(seconds, cut)
        timer.daemon = True
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()


def _follow(pool: Any, lines: weakref.WeakSet[HTTPConnection]) -> Any:
    """Make a kind of pool whose connections are noted when they are opened."""

    class Line(pool.ConnectionCls):  # type: ignore[misc]
        def connect(self) -> None:
            lines.add(self)
            super().connect()

    return type(pool.__name__, (pool,), {"ConnectionCls": Line})
