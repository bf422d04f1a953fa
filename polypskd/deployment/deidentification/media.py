"""Images without what is told beside the picture: EXIF, XMP, comments, thumbnails, trailing bytes.

JPEG and PNG keep their coded pixels and lose every other part; TIFF and BMP become PNG. Either way
the result is decoded and compared with what came in.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.frames import decode_image, measure_header

if TYPE_CHECKING:
    from polypskd.deployment.deidentification.panel import Plan

Pixels = NDArray[np.uint8]
IMAGES = {".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"}
PNG = b"\x89PNG\r\n\x1a\n"
DRAWN = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
DAMAGED = DamageError("damaged: its parts do not follow each other", todo="save the image anew")
MEGAPIXELS = 64.0
# Heads of frames and scans, tables, restarts: what a decoder needs of a JPEG.
CODED = {*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDD} - {0xC8}
# Interlacing: where each pass begins, and how far apart its columns and rows are.
PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
PALETTE = 3  # the color type of a PNG whose pixels are numbers of colors


def read_image(data: bytes) -> Pixels:
    """Decode an image that is not too large.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DamageError: the bytes are no image, not the whole of one, or one too large.
    """
    size = measure_header(data)
    if size is not None and size[0] * size[1] > MEGAPIXELS * 1e6:
        raise DamageError("too large", f"{size[0]}x{size[1]}", f"at most {MEGAPIXELS:g} megapixels")
    return decode_image(data)


def clean_image(data: bytes, plan: Plan) -> tuple[bytes, str]:
    """Give an image without what is told beside the picture, and without text that a plan masks.

    Args:
        data: JPEG, PNG, TIFF or BMP.
        plan: how pixels are cleaned; masked frames become PNG, which loses nothing.

    Returns:
        (bytes, suffix).

    Raises:
        DamageError: the bytes cannot be trusted.
    """
    pixels = read_image(data)
    _check_opaque(data)
    if plan.mask is not None:
        masked = plan.mask(pixels)
        return write_png(masked), ".png"
    if data.startswith(b"\xff\xd8"):
        clean, suffix = strip_jpeg(data), ".jpg"
        if not _is_exact(clean):
            return write_png(pixels), ".png"
    elif data.startswith(PNG):
        clean, suffix = strip_png(data), ".png"
    else:
        if data[:4] in (b"II*\0", b"MM\0*"):
            _check_pages(data)
        return write_png(pixels), ".png"
    if not np.array_equal(decode_image(clean), pixels):
        raise DamageError("its pixels depend on what is told beside them", todo="save it as PNG")
    return clean, suffix


def _check_opaque(data: bytes) -> None:
    """Refuse what is hidden by transparency alone: whoever looked at the image did not see it."""
    import cv2

    if not data.startswith((PNG, b"II", b"MM")):
        return
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is not None and pixels.ndim == 3 and pixels.shape[2] == 4:
        whole = 255 if pixels.dtype == np.uint8 else 65535
        if int(pixels[:, :, 3].min()) < whole:
            raise DamageError(
                "parts of it are transparent, and may hide text",
                todo="save it without transparency",
            )


def _is_exact(data: bytes) -> bool:
    """Whether a JPEG's coded data end where its picture does: what follows may be text."""
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(data, strict=True)
    except ValueError:
        return False
    return True


def strip_jpeg(data: bytes) -> bytes:
    r"""Give a JPEG's coded picture and nothing else.

    JFIF and Adobe segments say how colors are coded and are written anew from that alone.

    Raises:
        DamageError: the segments do not follow each other to the end of the image.

    >>> strip_jpeg(b"\xff\xd8\xff\xfe\0\x06note\xff\xda\0\x02\x01\xff\xd9trailing")
    b'\xff\xd8\xff\xda\x00\x02\x01\xff\xd9'
    """
    kept = [b"\xff\xd8"]
    at = 2
    while True:
        if data[at : at + 1] != b"\xff" or at + 1 >= len(data):
            raise DAMAGED
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == 0xD9:
            return b"".join(kept) + b"\xff\xd9"
        if marker == 0x01 or 0xD0 <= marker <= 0xD8 or marker == 0x00 or at + 4 > len(data):
            raise DAMAGED
        (size,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + size
        if size < 2 or end > len(data):
            raise DAMAGED
        body = data[at + 4 : end]
        if marker == 0xE0 and body.startswith(b"JFIF\0") and len(body) >= 14:
            kept.append(b"\xff\xe0\0\x10JFIF\0" + body[5:7] + body[7:12] + b"\0\0")
        elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            kept.append(b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + body[11:12])
        elif marker in CODED:
            kept.append(data[at:end])
        at = end
        if marker == 0xDA:
            end = _find_scan_end(data, at)
            kept.append(data[at:end])
            at = end


def _find_scan_end(data: bytes, at: int) -> int:
    """Find the marker after the coded data of a scan; stuffing and restarts belong to the data."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            raise DAMAGED
        after = data[at + 1]
        if after == 0x00 or 0xD0 <= after <= 0xD7:
            at += 2
        elif after == 0xFF:
            at += 1
        else:
            return at


def strip_png(data: bytes) -> bytes:
    """Give a PNG's picture and nothing else; of an animation, the first frame.

    Raises:
        DamageError: a chunk is cut or its checksum wrong, or the picture is not whole.
    """
    kept: dict[bytes, list[bytes]] = {}
    at = len(PNG)
    while b"IEND" not in kept:
        if at + 12 > len(data):
            raise DAMAGED
        (size,) = struct.unpack_from(">I", data, at)
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        check = data[at + 8 + size : at + 12 + size]
        if len(check) < 4 or zlib.crc32(kind + body) != struct.unpack(">I", check)[0]:
            raise DAMAGED
        if kind in DRAWN:
            kept.setdefault(kind, []).append(body)
        at += 12 + size
    if not {b"IHDR", b"IDAT"} <= set(kept) or len(kept[b"IHDR"][0]) != 13:
        raise DAMAGED
    chunks = [(b"IHDR", kept[b"IHDR"][0])]
    if kept[b"IHDR"][0][9] == PALETTE:
        chunks += [(kind, kept[kind][0][:768]) for kind in (b"PLTE", b"tRNS") if kind in kept]
    chunks += [(b"IDAT", _trim_stream(b"".join(kept[b"IDAT"]), kept[b"IHDR"][0])), (b"IEND", b"")]
    return PNG + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _trim_stream(stream: bytes, header: bytes) -> bytes:
    """Drop what follows the end of the picture, behind the compressed data or within them."""
    size = _count_bytes(header)
    reader = zlib.decompressobj()
    try:
        picture = reader.decompress(stream, size + 1)
        while len(picture) <= size and not reader.eof:
            more = reader.decompress(reader.unconsumed_tail, size + 1 - len(picture))
            if not more and not reader.eof:
                raise DAMAGED
            picture += more
    except zlib.error:
        raise DAMAGED from None
    if len(picture) > size:
        return zlib.compress(picture[:size], 9)
    return stream[: len(stream) - len(reader.unused_data)]


def _count_bytes(header: bytes) -> int:
    """Count the bytes of a PNG's picture before compression, one more a row for its filter."""
    width, height, bits, color, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    bits *= {0: 1, 2: 3, PALETTE: 1, 4: 2, 6: 4}.get(color, 4)
    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    size = 0
    for left, top, right, down in passes:
        columns, rows = -(-(width - left) // right), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            size += rows * (1 + (columns * bits + 7) // 8)
    return size


def write_png(pixels: Pixels) -> bytes:
    """Encode a frame without loss.

    Args:
        pixels: (H, W, 3) uint8 RGB.
    """
    import cv2

    done, data = cv2.imencode(".png", np.ascontiguousarray(pixels[:, :, ::-1]))
    if not done:
        raise DamageError("cannot be written as PNG", todo="leave the image out")
    return bytes(data.tobytes())


def _check_pages(data: bytes) -> None:
    order = "<" if data[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (entries,) = struct.unpack_from(f"{order}H", data, at)
        (following,) = struct.unpack_from(f"{order}I", data, at + 2 + 12 * entries)
    except struct.error:
        raise DAMAGED from None
    if following:
        raise DamageError("a TIFF of several pages", todo="save each page as a PNG of its own")


def is_image(name: str) -> bool:
    """Whether a file's suffix is that of an image.

    >>> is_image("a/b.JPG"), is_image("a/b.dcm")
    (True, False)
    """
    return PurePath(name).suffix.lower() in IMAGES
