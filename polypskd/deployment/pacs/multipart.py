"""Bodies of several parts (multipart/related), read and written a piece at a time."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

MOST_HEAD = 16_384  # bytes of a part's head, and of what stands before the first part
PIECE = 1 << 16
LINE = b"\r\n"


class TornError(ValueError):
    """The body ended early, or is not made of parts."""


def find_boundary(content_type: str) -> bytes:
    """Find the boundary in the value of the header Content-Type.

    Raises:
        TornError: there is none.

    >>> find_boundary('multipart/related; type="application/dicom"; boundary="a;b"')
    b'a;b'
    """
    rest = content_type.partition(";")[2]
    while rest:
        name, _, rest = rest.partition("=")
        rest = rest.lstrip()
        if rest.startswith('"'):
            value, _, rest = rest[1:].partition('"')
            rest = rest.partition(";")[2]
        else:
            value, _, rest = rest.partition(";")
            value = value.strip()
        if name.strip().lower() == "boundary" and 0 < len(value) <= 200 and value.isascii():
            return value.encode("ascii")
    raise TornError("names no boundary")


def read_only_part(
    pieces: Iterable[bytes], boundary: bytes, write: Callable[[bytes], object]
) -> None:
    """Hand on the bytes of the one part of a body as they come.

    Args:
        pieces: of the body, of any size.
        boundary: as in its Content-Type.
        write: called with the next bytes of the part.

    Raises:
        TornError: the body ends before the part does, or has another number of parts.
    """
    turn = iter(pieces)
    mark = LINE + b"--" + boundary
    # The first mark may stand at the very start, without a line's end before it.
    rest = _skip_to(turn, LINE, mark)
    rest = _skip_to(turn, _fill(turn, rest, 2), LINE + LINE, first=rest[:2])
    while True:
        at = rest.find(mark)
        if at >= 0:
            write(rest[:at])
            rest = _fill(turn, rest[at + len(mark) :], 2)
            if rest[:2] != b"--":
                raise TornError("has more than one part")
            return
        keep = len(mark) - 1
        if len(rest) > keep:
            write(rest[: len(rest) - keep])
            rest = rest[len(rest) - keep :]
        piece = next(turn, None)
        if piece is None:
            raise TornError("ended early")
        rest += piece


def _skip_to(turn: Iterator[bytes], rest: bytes, sign: bytes, first: bytes = b"") -> bytes:
    """Pass over what stands before a sign; give what stands behind it."""
    if first == b"--":
        raise TornError("has no part")
    while sign not in rest:
        if len(rest) > MOST_HEAD:
            raise TornError("is not made of parts")
        piece = next(turn, None)
        if piece is None:
            raise TornError("ended early")
        rest += piece
    return rest.partition(sign)[2]


def _fill(turn: Iterator[bytes], rest: bytes, least: int) -> bytes:
    while len(rest) < least:
        piece = next(turn, None)
        if piece is None:
            raise TornError("ended early")
        rest += piece
    return rest


class FilesBody:
    """Files as the parts of one body, read as they are sent.

    Args:
        files: DICOM files.

    Raises:
        OSError: one cannot be looked at.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.boundary = secrets.token_hex(16)  # no file can have been made to hold it
        self._files = tuple(files)
        self._head = f"--{self.boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode("ascii")
        self._end = f"--{self.boundary}--\r\n".encode("ascii")
        sizes = [path.stat().st_size for path in self._files]
        self._size = sum(sizes) + len(sizes) * (len(self._head) + len(LINE)) + len(self._end)
        self._turn = self._list_pieces()
        self._rest = b""

    @property
    def content_type(self) -> str:
        """The value of the header Content-Type."""
        return f'multipart/related; type="application/dicom"; boundary="{self.boundary}"'

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(PIECE), b"")

    def read(self, most: int = -1) -> bytes:
        """Read the next bytes; b"" at the end."""
        if most < 0:
            return self._rest + b"".join(self._turn)
        while len(self._rest) < most:
            piece = next(self._turn, None)
            if piece is None:
                break
            self._rest += piece
        given, self._rest = self._rest[:most], self._rest[most:]
        return given

    def _list_pieces(self) -> Iterator[bytes]:
        for path in self._files:
            yield self._head
            with path.open("rb") as file:
                yield from _list_chunks(file)
            yield LINE
        yield self._end


def _list_chunks(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece
