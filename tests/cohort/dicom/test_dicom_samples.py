"""The real files: what several decoders agree on, and bad files that end in one line."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.pixels import pixel_array as read_by_pydicom

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom import looks_like_dicom, open_dicom, read_attributes

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "dicom"
SAMPLES = [f"VL{number}_{name}" for number in (1, 3) for name in ("UNC", "RLE", "J2KR", "J2KI")]
MULTIFRAME = {
    "SC_rgb_jpeg_dcmtk.dcm": (1, 100, 100),
    "SC_rgb_rle_2frame.dcm": (2, 100, 100),
    "SC_rgb_small_odd_jpeg.dcm": (1, 3, 3),
    "SC_rgb_jls_lossy_sample.dcm": (1, 100, 100),
    "examples_ybr_color.dcm": (30, 320, 240),
    "DIRW0007": (65, 576, 456),
    "SC_rgb_2frame.dcm": (2, 100, 100),
}
BROKEN = {
    "GH1376.dcm": "compressed pixels under a transfer syntax without compression",
    "JPEG2000-embedded-sequence-delimiter.dcm": "a frame has another size than its header says",
    "MR_truncated.dcm": "cut short: a part of the pixels is missing",
    "badVR.dcm": "bits allocated",
    "meta_missing_tsyntax.dcm": "photometric interpretation of a gray image",
    "no_meta.dcm": "not a readable DICOM file",
    "rtplan_truncated.dcm": "has no pixels",
}
pytestmark = pytest.mark.realdata


@pytest.mark.parametrize("number", [1, 3])
def test_four_encodings_of_one_endoscopy_give_the_same_picture(number):
    frames = {
        name: open_dicom(SHARED / "endoscopy" / f"VL{number}_{name}").read().astype(int)
        for name in ("UNC", "RLE", "J2KR", "J2KI")
    }
    assert frames["UNC"].shape == (486, 756, 3)
    np.testing.assert_array_equal(frames["RLE"], frames["UNC"])
    np.testing.assert_array_equal(frames["J2KR"], frames["UNC"])
    lossy = np.abs(frames["J2KI"] - frames["UNC"])
    assert 0 < lossy.mean() < 1.5


@pytest.mark.parametrize("name", SAMPLES)
def test_endoscopies_are_read_as_pydicom_reads_them(name):
    path = SHARED / "endoscopy" / name
    plugin = "pydicom" if "RLE" in name else "pillow"
    np.testing.assert_array_equal(
        open_dicom(path).read(), read_by_pydicom(path, decoding_plugin=plugin)
    )
    assert read_attributes(path).burned_in == "unknown"


@pytest.mark.parametrize("name", MULTIFRAME)
def test_each_frame_of_many_is_the_one_that_pydicom_gives(name):
    path = SHARED / "multiframe" / name
    opened = open_dicom(path)
    assert (opened.count, *opened.size) == MULTIFRAME[name]
    plugin = {"1.2.840.10008.1.2.4.50": "pillow", "1.2.840.10008.1.2.4.81": "pyjpegls"}
    for number in sorted({1, opened.count // 2 + 1, opened.count}):
        expected = read_by_pydicom(
            path, index=number - 1, decoding_plugin=plugin.get(opened.syntax, "pydicom")
        )
        np.testing.assert_array_equal(opened.read(number), expected)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_told_in_one_line(name):
    with pytest.raises(DamageError) as error:
        open_dicom(SHARED / "broken" / name).read()
    assert error.value.what == BROKEN[name]


@pytest.mark.parametrize("name", SAMPLES)
def test_an_endoscopy_cut_at_any_64th_is_told(name, tmp_path):
    whole = (SHARED / "endoscopy" / name).read_bytes()
    path = tmp_path / "cut.dcm"
    for part in range(64):
        path.write_bytes(whole[: len(whole) * part // 64])
        with pytest.raises(DamageError):
            open_dicom(path).read()
    assert looks_like_dicom(SHARED / "endoscopy" / name)
