"""The header of a DICOM file: every element before the pixels, and where these lie.

Read by pydicom's parser under a budget of bytes and of reads, so that a file that lies about its
lengths, or that consists of a million empty elements, costs neither memory nor hours.
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.reader_import import import_pydicom
from polypskd.cohort.dicom.recognition import HEAD, LETTERS, starts_dicom
from polypskd.cohort.dicom.silence import silence_pydicom
from polypskd.cohort.regular import open_regular

if TYPE_CHECKING:
    from pydicom import Dataset

NONE = "not a readable DICOM file"
COPY = "copy the file anew"
PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # of floats, of doubles, of whole numbers
UNDEFINED = 0xFFFFFFFF
LARGEST = 2**20  # a longer element is left out of the header: thumbnails, private dumps
MOST_BYTES = 2**26
MOST_READS = 200_000
MOST_INFLATED = 2**28


@dataclass(frozen=True)
class PixelElement:
    """Where the pixel data lie.

    Args:
        tag: which of the three elements it is.
        vr: its value representation; empty where implicit.
        length: its length in bytes as stated; `UNDEFINED` where encapsulated.
        start: position of its value in the file, or in the inflated data set.
    """

    tag: int
    vr: str
    length: int
    start: int


@dataclass(frozen=True)
class Header:
    """A data set without its pixels.

    Args:
        path: the file.
        dataset: the elements; its values may be a patient's.
        syntax: UID of the transfer syntax.
        pixels: where the pixel data lie, or None.
        size: bytes of the file, or of the inflated data set.
        inflated: the data set's bytes where the file is deflated.
    """

    path: Path
    dataset: Dataset = field(repr=False)
    syntax: str
    pixels: PixelElement | None
    size: int
    inflated: bytes | None = field(default=None, repr=False)

    def open(self) -> BinaryIO:
        """Open the bytes that positions refer to."""
        return self.path.open("rb") if self.inflated is None else io.BytesIO(self.inflated)


class _Budget:
    """A file whose reads end at its end and are counted: a length of 4 GB allocates nothing."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.tell, self.seek = file.tell, file.seek
        self.bytes_left, self.reads_left = MOST_BYTES, MOST_READS

    def read(self, length: int) -> bytes:
        if length < 0:
            raise DamageError(NONE, todo=COPY)
        length = min(length, max(self.size - self.tell(), 0))
        self.bytes_left -= length
        self.reads_left -= 1
        if self.bytes_left < 0 or self.reads_left < 0:
            raise DamageError("the header is too large", todo="ask for the file anew")
        return self.file.read(length)


def read_header(path: Path) -> Header:
    """Read the elements before the pixels.

    Args:
        path: a DICOM file, with or without preamble.

    Raises:
        DamageError: it is no file, the bytes are no DICOM, or are damaged.
        OSError: the file cannot be opened.
    """
    silence_pydicom()
    import_pydicom()
    with open_regular(path) as file:
        head = file.read(HEAD)
        if not head:
            raise DamageError("the file is empty (0 bytes)", todo=COPY)
        if not starts_dicom(head):
            raise DamageError(NONE, todo="check that it is a DICOM file, and whole")
        size = file.seek(0, io.SEEK_END)
        file.seek(HEAD if head[128:] == b"DICM" else 0)
        try:
            return _read(path, file, size)
        except (DamageError, MemoryError):
            raise
        except Exception:  # the parser raises what it meets; its words quote values
            raise DamageError("damaged: the header cannot be read", todo=COPY) from None


def _read(path: Path, file: BinaryIO, size: int) -> Header:
    from polypskd.cohort.dicom.syntaxes import BIG_ENDIAN, DEFLATED, ROOT

    meta, _ = _parse(file, size, "explicit", lambda tag: tag >> 16 != 2)
    stated = meta.get("TransferSyntaxUID")
    syntax = str(stated).strip(" \0") if stated else ""
    inflated = None
    if syntax == DEFLATED:
        inflated = _inflate(file)
        file, size = io.BytesIO(inflated), len(inflated)
    if not syntax:
        syntax = _guess_syntax(file)
    order = {ROOT: "implicit", BIG_ENDIAN: "big"}.get(syntax, "explicit")
    dataset, pixels = _parse(file, size, order, lambda tag: tag in PIXELS)
    if not len(dataset):
        raise DamageError("cut short: the header is missing", todo=COPY)
    return Header(path, dataset, syntax, pixels, size, inflated)


def _parse(file: BinaryIO, size: int, order: str, stop: Any) -> tuple[Dataset, PixelElement | None]:
    from pydicom.filereader import read_dataset

    budget = _Budget(file, size)
    met: list[PixelElement] = []

    def stop_when(tag: int, vr: str | None, length: int) -> bool:
        if not stop(int(tag)):
            return False
        met.append(PixelElement(int(tag), vr or "", length, file.tell()))
        return True

    dataset = read_dataset(
        budget,  # type: ignore[arg-type]
        order == "implicit",
        order != "big",
        stop_when=stop_when,
        defer_size=LARGEST,
    )
    for tag in [tag for tag, element in dataset._dict.items() if element.value is None]:
        del dataset._dict[tag]  # deferred: there is no file behind the header to read it from
    return dataset, met[-1] if met else None


def _guess_syntax(file: BinaryIO) -> str:
    """Guess the syntax of a data set that does not tell, as pydicom does."""
    from polypskd.cohort.dicom.syntaxes import BIG_ENDIAN, ROOT

    head = file.read(6)
    file.seek(-len(head), io.SEEK_CUR)
    if not LETTERS.issuperset(head[4:6]):
        return ROOT
    return BIG_ENDIAN if head[:1] == b"\0" and head[1:2] != b"\0" else f"{ROOT}.1"


def _inflate(file: BinaryIO) -> bytes:
    """Inflate a data set up to a limit: a megabyte of zeros takes a kilobyte."""
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = engine.decompress(file.read(MOST_INFLATED), MOST_INFLATED)
    except zlib.error:
        raise DamageError("damaged: the deflated data set cannot be read", todo=COPY) from None
    if engine.unconsumed_tail:
        limit = f"at most {MOST_INFLATED >> 20} MiB; store it in another transfer syntax"
        raise DamageError("too large when inflated", todo=limit)
    if not engine.eof:
        raise DamageError("cut short: the deflated data set has no end", todo=COPY)
    return data
