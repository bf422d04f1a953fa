"""From a decoded frame to RGB: FFmpeg's scaler with everything it would guess told to it.

The matrix is the one the stream names; where it names none, BT.601 as FFmpeg and OpenCV take it, so
that frames cut out with those tools and frames read here look the same. The range is limited
unless the stream says full. Chroma is interpolated linearly, sums are rounded and the paths that
differ between processors are left aside (FULL_CHR_H_INT, ACCURATE_RND, BITEXACT).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Pixels = NDArray[np.uint8]
FULL = 2  # AVCOL_RANGE_JPEG
UNNAMED = 2
# Of H.273, as streams write them → of swscale. 0 is RGB, whose planes need no matrix.
MATRICES = {0: 5, 1: 1, UNNAMED: 5, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9}


def convert_frame(reformatter: Any, frame: VideoFrame) -> Pixels:
    """Convert a decoded frame to RGB as stored: no rotation, no stretching, no deinterlacing.

    Args:
        reformatter: a `VideoReformatter`, kept from frame to frame.
        frame: as decoded, of any pixel format.

    Returns:
        (H, W, 3) uint8 RGB, contiguous.

    Raises:
        DamageError: the stream names a color matrix that is not supported.
    """
    import cv2
    from av.video.reformatter import ColorRange, Interpolation

    matrix = MATRICES.get(int(frame.colorspace))
    if matrix is None:
        raise DamageError(
            "color matrix not supported",
            str(int(frame.colorspace)),
            "encode the video anew in BT.709",
        )
    full = int(frame.color_range) == FULL or frame.format.name.startswith("yuvj")
    planar = reformatter.reformat(
        frame,
        format="gbrp",  # the accurate path to packed RGB is five times slower
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG if full or frame.format.is_rgb else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.BILINEAR
        | Interpolation.FULL_CHR_H_INT
        | Interpolation.ACCURATE_RND
        | Interpolation.BITEXACT,
        threads=1,
    )
    green, blue, red = (
        np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in planar.planes
    )
    return np.asarray(cv2.merge([red, green, blue]), np.uint8)
