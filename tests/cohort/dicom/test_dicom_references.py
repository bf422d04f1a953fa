"""The small files that pydicom brings for its own tests, written by dcmtk, GDCM and others."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import dcmread
from pydicom.pixels import apply_color_lut
from pydicom.pixels import pixel_array as read_by_pydicom

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom import open_dicom

FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
COLOR = [
    "ExplVR_BigEnd.dcm",
    "GDCMJ2K_TextGBR.dcm",
    "SC_jpeg_no_color_transform.dcm",
    "SC_jpeg_no_color_transform_2.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+n1.dcm",
    "SC_rgb_dcmtk_+eb+cy+n2.dcm",
    "SC_rgb_dcmtk_+eb+cy+np.dcm",
    "SC_rgb_dcmtk_+eb+cy+s2.dcm",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm",
    "SC_rgb_gdcm_KY.dcm",
    "SC_rgb_jls_lossy_line.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "SC_rgb_jpeg.dcm",
    "SC_rgb_jpeg_app14_dcmd.dcm",
    "SC_rgb_jpeg_dcmd.dcm",
    "SC_rgb_jpeg_lossy_gdcm.dcm",
    "SC_rgb_rle.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_small_odd.dcm",
    "SC_rgb_small_odd_big_endian.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_jpeg2k.dcm",
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
    "image_dfl.dcm",
    "JPEGLSNearLossless_08.dcm",
    "SC_rgb_rle_16bit_2frame.dcm",
]
REFUSED = {
    "JPGExtended.dcm": "JPEG of bits a value",
    "SC_rgb_rle_32bit.dcm": "bits allocated",
    "liver_1frame.dcm": "bits allocated",
    "rtdose.dcm": "bits allocated",
    "MR_small_padded.dcm": "more bytes of pixels than the header says",
    "MR_truncated.dcm": "cut short: a part of the pixels is missing",
    "rtplan.dcm": "has no pixels",
}


def find(name: str) -> Path:
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"pydicom comes without {name} here")
    return path


@pytest.mark.parametrize("name", COLOR)
def test_a_file_of_another_writer_is_read_as_pydicom_reads_it(name):
    opened = open_dicom(find(name))
    dataset = dcmread(FOLDER / name)
    expected = read_by_pydicom(dataset, index=opened.count - 1)
    if opened.layout.photometric == "PALETTE COLOR":
        expected = (apply_color_lut(expected, dataset) >> 8).astype(np.uint8)
    if expected.dtype == np.uint16:
        expected = np.rint(expected / 257).astype(np.uint8)
    if expected.ndim == 2:
        expected = np.repeat(expected[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(opened.read(opened.count), expected)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_told(name):
    with pytest.raises(DamageError) as error:
        open_dicom(find(name)).read()
    assert error.value.what == REFUSED[name]
