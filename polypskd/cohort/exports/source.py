"""The bytes of an export: text in UTF-8, told where they are something else."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from polypskd.errors import CohortError, Fault

LARGEST = 1 << 29  # bytes; exports of votes have a hundredth of it
PIECE = 1 << 20
SAVE = "save the file as UTF-8"
STARTS = (
    (b"PK\x03\x04", "is a ZIP archive", "unpack it and name the file within"),
    (b"\x1f\x8b", "is packed with gzip", "unpack it"),
    (b"\xff\xfe", "is UTF-16", SAVE),
    (b"\xfe\xff", "is UTF-16", SAVE),
)


def fail(where: str, what: str, value: str = "", todo: str = "") -> CohortError:
    """Make the error of one fault of a file."""
    return CohortError([Fault(where, what, value, todo)])


def read_pieces(path: Path, name: str) -> Iterator[bytes]:
    """Read a file piece by piece, without a byte order mark.

    Args:
        path: the file.
        name: as faults show it.

    Raises:
        CohortError: the file is missing, empty, too large, packed or not UTF-8 by its first bytes,
            or holds a NUL byte.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise fail(str(path), "is no file", todo="name the file")  # a pipe would never end
        with path.open("rb") as file:
            size = path.stat().st_size
            if size > LARGEST:
                what = f"has {size:,} bytes, more than {LARGEST:,}"
                raise fail(name, what, todo="export it in parts, without masks")
            line, first = 1, True
            while piece := file.read(PIECE):
                if first:
                    _check_start(piece, name)
                    piece = piece.removeprefix(codecs.BOM_UTF8)
                    first = False
                if b"\0" in piece:
                    line += piece.count(b"\n", 0, piece.index(b"\0"))
                    raise fail(f"{name} line {line}", "not text, byte", "0x00", SAVE)
                line += piece.count(b"\n")
                yield piece
            if first:
                raise fail(name, "the file is empty", todo="export it anew")
    except FileNotFoundError:
        raise fail(str(path), "file not found", todo="check the path") from None
    except IsADirectoryError:
        raise fail(str(path), "is a folder", todo="name the file") from None
    except OSError as error:
        raise fail(str(path), f"cannot be read ({error.strerror})") from None


def _check_start(piece: bytes, name: str) -> None:
    for start, what, todo in STARTS:
        if piece.startswith(start):
            raise fail(name, what, todo=todo)
