"""Transfer syntaxes: which are read, and by which decoder, by name.

The decoder is never "whatever is installed": two JPEG decoders differ by up to seven grey levels.
A new syntax is one row of `CODECS` and one `case` of `decode_codestream`.
"""

from __future__ import annotations

from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.codestream import (
    J2kHead,
    check_cost,
    check_end,
    check_size,
    read_j2k,
    read_jls,
)
from polypskd.cohort.dicom.jpeg import decode_jpeg
from polypskd.cohort.dicom.layout import Layout

ROOT = "1.2.840.10008.1.2"
DEFLATED = f"{ROOT}.1.99"
BIG_ENDIAN = f"{ROOT}.2"
NATIVE = {
    ROOT: "implicit VR little endian",
    f"{ROOT}.1": "explicit VR little endian",
    DEFLATED: "deflated explicit VR little endian",
    BIG_ENDIAN: "explicit VR big endian",
}


class Codec(Enum):
    """A compression, and the decoder that is pinned for it."""

    JPEG = "simplejpeg"
    RLE = "pydicom"
    JPEG_LS = "pyjpegls"
    J2K = "pylibjpeg"


CODECS = {
    f"{ROOT}.4.50": (Codec.JPEG, "JPEG baseline"),
    f"{ROOT}.4.51": (Codec.JPEG, "JPEG extended"),
    f"{ROOT}.4.57": (Codec.JPEG, "JPEG lossless"),
    f"{ROOT}.4.70": (Codec.JPEG, "JPEG lossless, first-order prediction"),
    f"{ROOT}.4.80": (Codec.JPEG_LS, "JPEG-LS lossless"),
    f"{ROOT}.4.81": (Codec.JPEG_LS, "JPEG-LS near-lossless"),
    f"{ROOT}.4.90": (Codec.J2K, "JPEG 2000 lossless"),
    f"{ROOT}.4.91": (Codec.J2K, "JPEG 2000"),
    f"{ROOT}.4.201": (Codec.J2K, "HTJ2K lossless"),
    f"{ROOT}.4.202": (Codec.J2K, "HTJ2K lossless RPCL"),
    f"{ROOT}.4.203": (Codec.J2K, "HTJ2K"),
    f"{ROOT}.5": (Codec.RLE, "RLE lossless"),
}
VIDEOS = {
    f"{ROOT}.4.{number}{ending}": name
    for number, name in {
        100: "MPEG-2 main profile, main level",
        101: "MPEG-2 main profile, high level",
        102: "H.264 high profile 4.1",
        103: "H.264 high profile 4.1, BD-compatible",
        104: "H.264 high profile 4.2, 2D",
        105: "H.264 high profile 4.2, 3D",
        106: "H.264 stereo high profile 4.2",
        107: "HEVC main profile 5.1",
        108: "HEVC main 10 profile 5.1",
    }.items()
    for ending in ("", ".1")
    if not (ending and number > 106)  # HEVC has no fragmentable twin
}
READ = "JPEG, JPEG-LS, JPEG 2000, HTJ2K, RLE, deflated or uncompressed"


class VideoError(DamageError):
    """The file holds a video stream, which `read_stream` takes out; no frame can be read alone."""


def check_syntax(uid: str) -> None:
    """Refuse a transfer syntax whose frames are not read here.

    Args:
        uid: the transfer syntax.

    Raises:
        VideoError: it is a video.
        DamageError: it is unknown.
    """
    if uid in VIDEOS:
        raise VideoError("is a video", VIDEOS[uid], "read it as a video, not as DICOM frames")
    if uid not in NATIVE and uid not in CODECS:
        raise DamageError("transfer syntax is not read", name_syntax(uid), f"store it anew: {READ}")


def name_syntax(uid: str) -> str:
    """Name a transfer syntax; an unknown one is given by its number.

    >>> name_syntax("1.2.840.10008.1.2.5")
    'RLE lossless'
    >>> name_syntax("1.2.3")
    '1.2.3'
    """
    if uid in CODECS:
        return CODECS[uid][1]
    known = NATIVE.get(uid) or VIDEOS.get(uid)
    plain = uid if set(uid) <= set("0123456789.") else ""
    return known or plain[:64] or "not a UID"


def describe_decoders() -> dict[str, str]:
    """Tell which package decodes what, with its version, for a run's provenance."""
    packages = {
        "JPEG": "simplejpeg",
        "JPEG-LS": "pyjpegls",
        "JPEG 2000, HTJ2K": "pylibjpeg-openjpeg",
        "RLE, header": "pydicom",
    }
    told = {}
    for name, package in packages.items():
        try:
            told[name] = f"{package} {version(package)}"
        except PackageNotFoundError:
            told[name] = f"{package} not installed"
    return told


def decode_codestream(data: bytes, uid: str, layout: Layout) -> tuple[NDArray[Any], str]:
    """Decode one compressed frame.

    Args:
        data: the frame's codestream, whole.
        uid: the transfer syntax, one of `CODECS`.
        layout: what the header says.

    Returns:
        Samples (H, W) or (H, W, 3), and the photometric interpretation that holds for them: the
        decoders of JPEG and JPEG 2000 undo the stream's own color transform.

    Raises:
        DamageError: the codestream is cut, damaged, or not what the header says.
    """
    codec, name = CODECS[uid]
    try:
        match codec:
            case Codec.JPEG:
                return decode_jpeg(data, layout)
            case Codec.RLE:
                samples = _decode_by(codec, data, uid, layout)
                full = layout.photometric.replace("YBR_FULL_422", "YBR_FULL")
                return samples, full  # RLE has a sample for every pixel, whatever the tag says
            case Codec.JPEG_LS:
                check_size(read_jls(data), layout)
                check_end(data)
                samples = _decode_by(codec, data, uid, layout)
                return samples, layout.photometric.replace("YBR_FULL_422", "YBR_FULL")
            case Codec.J2K:
                head = read_j2k(data)
                check_size(head, layout)
                check_cost(head)
                check_end(data)
                return _decode_by(codec, data, uid, layout), _tell_j2k(head, layout)
    except DamageError:
        raise
    except ImportError:
        todo = f"install the package of its decoder ({codec.value})"
        raise DamageError("cannot be decoded here", name, todo) from None
    except MemoryError:
        raise DamageError("needs more memory than there is", name) from None
    except Exception:  # decoders raise what they like; their words name no cure
        raise DamageError("damaged: a frame cannot be decoded", name, COPY) from None


COPY = "copy the file anew"


def _tell_j2k(head: J2kHead, layout: Layout) -> str:
    """Say what the samples are: a transform within the stream was undone by the decoder."""
    if layout.samples == 1:
        return layout.photometric
    if head.transformed or layout.photometric in ("YBR_RCT", "YBR_ICT"):
        return "RGB"
    return layout.photometric.replace("YBR_FULL_422", "YBR_FULL")


def _decode_by(codec: Codec, data: bytes, uid: str, layout: Layout) -> NDArray[Any]:
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    options: dict[str, Any] = {
        "rows": layout.rows,
        "columns": layout.columns,
        "samples_per_pixel": layout.samples,
        "bits_allocated": layout.allocated,
        "bits_stored": layout.stored,
        "pixel_representation": int(layout.signed),
        "planar_configuration": 0,
        # A neutral name: colors are this package's own matter.
        "photometric_interpretation": "RGB" if layout.samples == 3 else "MONOCHROME2",
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    samples, _ = get_decoder(uid).as_array(
        encapsulate([data]), index=0, raw=True, decoding_plugin=codec.value, **options
    )
    return np.asarray(samples)
