"""Where one study lies while it is judged: a folder closed to others, gone in the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polypskd.artifacts import describe_fault
from polypskd.deployment.pacs.stopping import Stop
from polypskd.errors import OutputError


class Desk:
    """A folder for one study at a time.

    Args:
        path: of the folder; what a killed process has left there is removed at once.
        stop: is held back while it is cleared.

    Raises:
        OutputError: it cannot be removed.
    """

    def __init__(self, path: Path, stop: Stop) -> None:
        self.path = path
        self._stop = stop
        self._clear()

    @contextmanager
    def open(self) -> Iterator[Path]:
        """Give the folder, empty; it is gone after the block, whatever happens in it.

        Raises:
            OutputError: it cannot be made or removed.
        """
        self._clear()
        try:
            self.path.mkdir(mode=0o700)
            (self.path / "in").mkdir(mode=0o700)
        except OSError as error:
            raise OutputError(f"{self.path}: {describe_fault(error)}") from None
        try:
            yield self.path
        finally:
            with self._stop.hold():
                self._clear()

    def _clear(self) -> None:
        if self.path.is_symlink():
            raise OutputError(f"{self.path}: is a link; remove it")
        try:
            if self.path.exists():
                shutil.rmtree(self.path)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be removed ({error.strerror})") from None
