"""A process beside ours that lays out report.pdf while this one draws and writes.

It is started before there is a page, so that it loads its libraries meanwhile. It reads a line with
the document's identity and then the page; it answers with the PDF, or with the line of a fault.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from polypskd.errors import OutputError
from polypskd.reporting.pdf import OTHERWISE, find_obstacle, render_pdf

TOLD = 10  # exit code where the answer is the line of a user's fault


@dataclass(frozen=True)
class Press:
    """What lays out one page.

    Args:
        process: of its own; None where none can be started.
        hand: the thread that talks to it.
    """

    process: subprocess.Popen[bytes] | None
    hand: ThreadPoolExecutor

    def begin(self, page: str, identity: str) -> Future[bytes]:
        """Begin to lay out a page; ask the result for the PDF's bytes.

        Args:
            page: as of `render_pdf`, as is the other; one page only.
            identity: of the document.
        """
        if self.process is None:
            return self.hand.submit(render_pdf, page, identity)
        return self.hand.submit(_talk, self.process, f"{identity}\n{page}".encode())


@contextlib.contextmanager
def open_press() -> Iterator[Press]:
    """Start the process that lays out a page; where none may be started, this one does it."""
    process = None
    with contextlib.suppress(OSError):
        process = subprocess.Popen(  # noqa: S603 - our own module, no value of a user
            # -P and the path of this process: it finds what we found, whatever lies in the folder.
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)},
        )
    hand = ThreadPoolExecutor(1)
    try:
        yield Press(process, hand)
    finally:
        if process is not None:
            process.kill()  # where it has answered, nothing is there to end
        hand.shutdown()
        if process is not None:
            with process:  # closes its pipes and waits
                pass


def _talk(process: subprocess.Popen[bytes], asked: bytes) -> bytes:
    """Ask the process and take its answer.

    Raises:
        OutputError: it tells a fault, or was ended from without.
        RuntimeError: it has failed; its own trace is told.
    """
    answer, complaint = process.communicate(asked)
    code = process.returncode
    if code == TOLD:
        raise OutputError(answer.decode())
    if code < 0:
        raise OutputError(
            f"report.pdf: what lays it out was ended by signal {-code}, often for want of memory; "
            f"{OTHERWISE}"
        )
    if code or not answer:
        raise RuntimeError(complaint.decode(errors="replace"))
    return answer


def serve() -> int:
    """Lay out the page that comes on standard input; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # who asks tells of an interruption
    gc.disable()  # looking for garbage takes a quarter of a life as short as this one
    find_obstacle()  # loads what there is to load, before there is a page
    identity, _, page = sys.stdin.buffer.read().partition(b"\n")
    if not page:
        return 0
    try:
        answer, code = render_pdf(page.decode(), identity.decode()), 0
    except OutputError as error:
        answer, code = str(error).encode(), TOLD
    sys.stdout.buffer.write(answer)
    return code


if __name__ == "__main__":
    sys.exit(serve())
