import logging
import struct
import threading
import time
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom import open_dicom, read_attributes
from polypskd.cohort.dicom.header import read_header

ROOT = "1.2.840.10008.1.2"


def insert(path, element: bytes, before: bytes = b"\x28\0\x02\0US"):
    """Put bytes into the data set before SamplesPerPixel."""
    data = path.read_bytes()
    at = data.index(before)
    path.write_bytes(data[:at] + element + data[at:])
    return path


def test_the_header_is_that_of_pydicom_without_pixels(make, picture):
    path = make(picture, PatientID="P-1", ImageComments="none")
    header = open_dicom(path).header
    expected = dcmread(path, stop_before_pixels=True)
    assert {e.tag: e.value for e in header} == {e.tag: e.value for e in expected}
    assert "PixelData" not in header


def test_a_length_of_four_gigabytes_allocates_nothing(make, picture):
    huge = b"\x09\0\x10\x10OB\0\0" + struct.pack("<I", 0xFFFFFFF0)
    path = insert(make(picture), huge)
    tracemalloc.start()
    with pytest.raises(DamageError, match="has no pixels"):
        open_dicom(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_a_long_private_element_is_left_out_and_the_frame_read(make, picture):
    dump = b"\x09\0\x10\x10OB\0\0" + struct.pack("<I", 2_000_000) + bytes(2_000_000)
    opened = open_dicom(insert(make(picture), dump))
    assert 0x00091010 not in opened.header
    np.testing.assert_array_equal(opened.read(), picture)


@pytest.mark.parametrize("depth", [50, 5000])
def test_sequences_nested_deeply_end_in_one_line_or_are_read(make, picture, depth):
    start = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    path = insert(make(picture), start * depth + end * depth)
    if depth == 50:
        np.testing.assert_array_equal(open_dicom(path).read(), picture)
    else:
        with pytest.raises(DamageError, match="header cannot be read"):
            open_dicom(path)


def test_a_header_of_countless_elements_is_refused_in_time(make, picture):
    item = b"\xfe\xff\x00\xe0\0\0\0\0"
    many = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff" + item * 400_000
    path = insert(make(picture), many)
    start = time.process_time()
    with pytest.raises(DamageError, match=r"the header (is too large|cannot be read)"):
        open_dicom(path)
    assert time.process_time() - start < 60  # a bound against hanging, not a timing


def test_a_deflated_bomb_is_refused_before_it_goes_off(make, picture):
    path = make(picture, f"{ROOT}.1.99")
    data = path.read_bytes()
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(2**20)
    bomb = b"".join(engine.compress(block) for _ in range(300)) + engine.flush()
    length = struct.unpack_from("<I", data, 140)[0]
    path.write_bytes(data[: 144 + length] + bomb)
    assert path.stat().st_size < 1e6
    with pytest.raises(DamageError, match="too large when inflated"):
        open_dicom(path)


@pytest.mark.parametrize("syntax", [ROOT, f"{ROOT}.1", f"{ROOT}.2"])
def test_a_data_set_without_preamble_or_syntax_is_read_by_its_bytes(
    make, picture, syntax, tmp_path
):
    data = make(picture, syntax).read_bytes()
    start = {ROOT: b"\x08\0\x16\0\x1e", f"{ROOT}.1": b"\x08\0\x16\0UI"}.get(
        syntax, b"\0\x08\0\x16UI"
    )
    bare = tmp_path / "bare"
    bare.write_bytes(data[data.index(start) :])
    if syntax == ROOT:
        assert not data[data.index(start) :][4:6].isalpha()
    np.testing.assert_array_equal(open_dicom(bare).read(), picture)


def test_nothing_of_pydicom_reaches_warnings_or_the_log(make, picture, caplog, capfd):
    path = make(picture, PatientID="P-1", NumberOfFrames=1)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"UI\x02\x002.25.1", b"UI\x02\x00MUELLER"[:10]))
    insert(path, b"\x10\0\x30\0DA\x0e\0MUELLER^ANNA  ")
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        for columns in ({"born": "PatientBirthDate"}, {"id": "PatientID"}):
            read_attributes(path, columns)
        open_dicom(path).read()
    assert "MUELLER" not in caplog.text
    assert capfd.readouterr() == ("", "")


def test_a_message_and_a_printed_header_hold_no_value(make, picture):
    path = make(picture, PatientName="MUELLER^ANNA", PatientID="MUELLER-1", Rows=3)
    header = read_header(path)
    told = [repr(header), repr(read_attributes(path))]
    with pytest.raises(DamageError) as error:
        open_dicom(path)
    told += [str(error.value), error.value.value, error.value.todo]
    assert "MUELLER" not in " ".join(told)


def test_what_is_no_dicom_is_told(tmp_path, make, picture):
    for name, data, what in (
        ("empty", b"", "the file is empty"),
        ("text", b"frame,annotator\n" * 20, "not a readable DICOM file"),
        ("preamble", bytes(128) + b"DICM", "cut short: the header is missing"),
        ("noise", bytes(128) + b"DICM" + bytes(range(256)) * 4, "."),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(DamageError, match=what):
            open_dicom(path)
    path = make(picture)
    path.write_bytes(path.read_bytes()[: path.read_bytes().rindex(b"\xe0\x7f\x10\x00")])
    with pytest.raises(DamageError, match="has no pixels"):
        open_dicom(path)
    with pytest.raises(FileNotFoundError):
        open_dicom(tmp_path / "missing")


def test_pixels_of_floats_are_told(make, picture):
    path = make(picture)
    data = path.read_bytes()
    at = data.rindex(b"\xe0\x7f\x10\x00OB")
    path.write_bytes(data[:at] + b"\xe0\x7f\x08\x00OF" + data[at + 6 :])
    with pytest.raises(DamageError, match="pixels of floats"):
        open_dicom(path)


def test_threads_read_the_same_file_side_by_side(make, compress, picture):
    paths = [make(picture), compress(picture, f"{ROOT}.5", "pydicom")]
    opened = [open_dicom(path) for path in paths]
    wrong = []

    def work() -> None:
        for _ in range(20):
            for frames in opened:
                if not np.array_equal(frames.read(), picture):
                    wrong.append(frames)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_item_with_a_wrong_inner_value_is_an_empty_column(make, picture):
    region = Dataset()
    region.CodeMeaning = "Colon"
    path = make(picture, AnatomicRegionSequence=Sequence([region]))
    assert read_attributes(path).columns["region"] == "Colon"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"LO\x06\x00Colon ", b"ZZ\x06\x00Colon "))
    assert read_attributes(path).columns["region"] in ("", "Colon")


def test_silence_is_set_once_and_holds_against_stricter_filters(make, picture):
    path = make(picture)
    with warnings.catch_warnings():
        open_dicom(path)
        before = list(warnings.filters)
        open_dicom(path)
        assert warnings.filters == before
        warnings.simplefilter("error")
        open_dicom(path)
        assert warnings.filters[0][0] == "ignore"
        with pytest.raises(UserWarning, match="ours"):
            warnings.warn("ours", UserWarning, stacklevel=1)
