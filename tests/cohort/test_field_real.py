"""Frames of real endoscopes: octagons and circles, text, position finders, attachment caps."""

from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest

from polypskd.cohort.field import agree_on_field, cover_box, find_field, mask_field
from polypskd.cohort.frames import read_frame
from polypskd.cohort.quality import measure_quality

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

pytestmark = pytest.mark.realdata


def read_some(count):
    """Read every so many of the frames, which all have been cut to the octagon or circle."""
    paths = sorted((SHARED / "hyperkvasir" / "frames").rglob("*.jpg"))
    return [read_frame(path) for path in paths[:: len(paths) // count]]


def read_dicom(name):
    return pydicom.dcmread(SHARED / "dicom" / "endoscopy" / name).pixel_array


@pytest.mark.parametrize(
    ("name", "shape", "edges"),
    [("VL1_UNC", "octagon", (272, 61, 700, 439)), ("VL3_UNC", "circle", (155, 28, 644, 446))],
)
def test_the_field_of_a_dicom_frame_is_the_one_read_off_by_eye(name, shape, edges):
    pixels = read_dicom(name)
    field = find_field(pixels)
    assert field.shape == shape
    found = (field.left, field.top, field.right, field.bottom)
    np.testing.assert_allclose(found, edges, atol=2)
    # All that is written in the frame lies outside, and nothing else does.
    masked = mask_field(pixels, field)
    gone = (pixels.max(axis=2) > 40) & (masked.max(axis=2) == 0)
    assert gone.sum() > 1000
    pieces, _ = cv2.findContours(gone.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    assert max(cv2.contourArea(piece) for piece in pieces) < 0.006 * gone.size
    assert not masked[:25].any()


def test_frames_that_a_data_set_has_cut_already_lose_next_to_nothing():
    lost = []
    for pixels in read_some(200):
        field = find_field(pixels)
        kept = np.zeros(pixels.shape[:2], bool)
        kept[field.top : field.bottom, field.left : field.right] = cover_box(field)
        lit = cv2.medianBlur(pixels.max(axis=2), 7) > 40
        # The green box of a position finder is no mucosa.
        lit &= ~((pixels[:, :, 1] > pixels[:, :, 0] + 30.0) | (pixels[:, :, 2] > 200))
        lost.append((lit & ~kept).sum() / lit.sum())
    assert np.median(lost) < 0.002
    assert np.mean(np.array(lost) < 0.02) >= 0.98


def test_the_inside_of_a_picture_is_full():
    for pixels in read_some(100):
        inner = np.ascontiguousarray(pixels[50:180, 70:200])
        assert find_field(cv2.resize(inner, (640, 640))).shape == "full"


def test_a_real_picture_on_a_wide_frame_is_found_and_its_panel_dropped():
    off = []
    for pixels in read_some(100):
        own = find_field(pixels)
        frame = np.zeros((1024, 1280, 3), np.uint8)
        frame[120:888, 420:1248] = cv2.resize(pixels, (828, 768), interpolation=cv2.INTER_CUBIC)
        for row in range(60, 1000, 60):
            cv2.putText(frame, "NAME 0123456789", (10, row), 0, 1, (255, 255, 255), 2)
        field = find_field(frame)
        at = (own.left * 828 / 256, own.top * 3, own.right * 828 / 256, own.bottom * 3)
        found = np.array([field.left - 420, field.top - 120, field.right - 420, field.bottom - 120])
        off.append((found - at) * (1, 1, -1, -1))  # more than 0: cut into the picture
        assert not mask_field(frame, field)[:, :400].any()
    cut, left = np.max(off, axis=1), -np.min(off, axis=1)
    assert max(cut) <= 8
    # Letters beside the picture, enlarged with it to thick blocks, may stay with it.
    assert np.percentile(left, 90) <= 16


def test_dark_frames_of_one_camera_take_the_field_of_the_others():
    frame = read_dicom("VL1_UNC")
    dim = [np.round(frame * share).astype(np.uint8) for share in (1, 0.8, 0.5, 0)]
    field = agree_on_field([find_field(pixels) for pixels in dim])
    assert field == find_field(frame)


def test_no_real_frame_is_taken_for_one_outside_of_the_body():
    inside = [measure_quality(pixels).outside_body for pixels in read_some(150)]
    inside += [measure_quality(read_dicom(name)).outside_body for name in ("VL1_UNC", "VL3_UNC")]
    assert max(inside) < 0.3
    with np.load(SHARED / "mnist" / "mnist.npz") as digits:
        others = np.repeat(digits["x_train"][:150, :, :, None], 3, axis=3)
    outside = [measure_quality(pixels).outside_body for pixels in others]
    assert np.mean(np.array(outside) > 0.3) > 0.85


def test_blurred_real_frames_are_told_from_sharp_ones():
    frames = read_some(60)
    kernel = np.zeros((9, 9))
    kernel[4] = 1 / 9
    sharp = [measure_quality(pixels) for pixels in frames]
    soft = [measure_quality(cv2.GaussianBlur(pixels, (0, 0), 2)) for pixels in frames]
    moved = [measure_quality(cv2.filter2D(pixels, -1, kernel)) for pixels in frames]

    def rank(low, high):
        return np.mean(np.array(high)[:, None] > np.array(low))

    assert rank([q.sharpness for q in soft], [q.sharpness for q in sharp]) > 0.97
    assert rank([q.blur for q in sharp], [q.blur for q in soft]) > 0.97
    assert rank([q.motion for q in sharp], [q.motion for q in moved]) > 0.97
    assert rank([q.motion for q in soft], [q.motion for q in moved]) > 0.97
