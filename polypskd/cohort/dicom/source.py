"""Open a DICOM file and read the frames that are wanted, one by one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.encapsulation import Item, find_frames, read_frame
from polypskd.cohort.dicom.header import UNDEFINED, Header, PixelElement, read_header
from polypskd.cohort.dicom.layout import LIES, Layout, read_layout
from polypskd.cohort.dicom.native import measure_frame, read_native
from polypskd.cohort.dicom.photometric import convert_to_rgb
from polypskd.cohort.dicom.syntaxes import BIG_ENDIAN, NATIVE, check_syntax, decode_codestream
from polypskd.cohort.limits import check_sides

if TYPE_CHECKING:
    from pydicom import Dataset

SPARE = 2**20  # bytes that markers, profiles and notes may add to a frame's own


@dataclass(frozen=True)
class DicomFrames:
    """The frames of one DICOM file; none is in memory, and nothing is kept open.

    Args:
        layout: what the header says about the pixels.
        syntax: UID of the transfer syntax.
    """

    layout: Layout
    syntax: str
    _header: Header = field(repr=False)
    _pixels: PixelElement = field(repr=False)
    _items: list[list[Item]] = field(repr=False)
    _length: int = field(repr=False)

    @property
    def count(self) -> int:
        """Number of frames."""
        return self.layout.frames

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.layout.columns, self.layout.rows

    @property
    def header(self) -> Dataset:
        """Every element before the pixels; elements over 1 MiB are left out."""
        return self._header.dataset

    def read(self, number: int = 1) -> NDArray[np.uint8]:
        """Decode one frame.

        Args:
            number: the frame, from 1 as in DICOM.

        Returns:
            (H, W, 3) uint8 RGB, C-contiguous.

        Raises:
            DamageError: there is no such frame, or it is damaged.
            OSError: the file cannot be opened any more.
        """
        if not 1 <= number <= self.count:
            raise DamageError("there is no frame", str(number), f"frames go from 1 to {self.count}")
        with self._header.open() as file:
            if not self._items:
                samples = read_native(
                    file,
                    self.layout,
                    self._pixels,
                    number - 1,
                    big_endian=self.syntax == BIG_ENDIAN,
                    size=self._length,
                )
                photometric = self.layout.photometric
            else:
                data = read_frame(file, self._items[number - 1], self._length)
                samples, photometric = decode_codestream(data, self.syntax, self.layout)
        return convert_to_rgb(samples, photometric, self.layout, self.header)


def open_dicom(path: Path, *, min_side: int = 1, max_megapixels: float = 64.0) -> DicomFrames:
    """Open a DICOM file of one or many frames; no pixel is decoded yet.

    Args:
        path: a DICOM file, with or without preamble, whatever its suffix.
        min_side: shortest side allowed, in pixels.
        max_megapixels: largest area of a frame allowed.

    Raises:
        VideoError: it holds a video; `read_stream` takes it out.
        DamageError: it is no DICOM image, is damaged, or lies about itself.
        OSError: it cannot be opened.
    """
    header = read_header(path)
    check_syntax(header.syntax)
    pixels = header.pixels
    if pixels is None:
        raise DamageError("has no pixels", todo="give image files, and whole ones")
    if pixels.tag != 0x7FE00010:
        raise DamageError("pixels of floats are not read", todo="give frames of 8 or 16 bits")
    layout = read_layout(header.dataset)
    check_sides(layout.columns, layout.rows, min_side=min_side, max_megapixels=max_megapixels)
    if header.syntax in NATIVE:
        length, _ = measure_frame(layout, header, pixels)
        return DicomFrames(layout, header.syntax, header, pixels, [], length)
    if pixels.length != UNDEFINED:
        raise DamageError("compressed pixels are not encapsulated", todo=LIES)
    items = find_frames(header, pixels.start, layout.frames)
    most = 2 * layout.length + SPARE
    return DicomFrames(layout, header.syntax, header, pixels, items, most)
