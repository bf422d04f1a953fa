"""Damaged files end in a fault or in a clean file: a wrong length must not carry a name out."""

import random
from pathlib import Path

import pytest
from planting import MARKERS, draw_dataset, plant, write_dicom

from polypskd.cohort.damage import DamageError
from polypskd.deployment.deidentification.attributes import Cleaning
from polypskd.deployment.deidentification.dicom_files import clean_dicom
from polypskd.deployment.deidentification.panel import Trust
from polypskd.deployment.deidentification.rules import Rules

TAGS = (
    0x00080080,
    0x00080050,
    0x00081030,
    0x00101010,
    0x00104000,
    0x00180010,
    0x00204000,
    0x00321060,
)
WORDS = [marker for marker in MARKERS if len(marker) > 4]
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def clean(path: Path, out: Path, retained: frozenset[str]) -> bytes | None:
    try:
        clean_dicom(path, Cleaning(b"k" * 32, retained), Rules(), Trust(pixels=True)).write(out)
    except DamageError as told:
        words = f"{told.what} {told.value} {told.todo}"
    else:
        return out.read_bytes()
    assert "ZQ" not in words
    return None


@pytest.mark.parametrize("retained", [frozenset(), frozenset({"device", "patient"})])
def test_no_name_comes_out_of_a_damaged_header(tmp_path, retained):
    dataset = draw_dataset(Manufacturer="Optics", ManufacturerModelName="190")
    plant(dataset, TAGS, depth=1)
    dataset.PatientAge = "053Y"
    whole = write_dicom(tmp_path / "whole.dcm", dataset).read_bytes()
    header = whole.index(b"\xe0\x7f\x10\x00")
    rng = random.Random(12)  # noqa: S311
    cleaned = 0
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 2, 6, 30])):
            data[rng.randrange(132, header)] = rng.choice([0, 1, 8, 0x20, 0xFF, rng.randrange(256)])
        path = tmp_path / "damaged.dcm"
        path.write_bytes(data)
        made = clean(path, tmp_path / "clean.dcm", retained)
        if made is not None:
            cleaned += 1
            assert not [word for word in (*WORDS, b"ZQNAME", b"ZQ4711", b"Zqfirst") if word in made]
    assert 20 < cleaned < 200


def test_a_text_that_swallowed_its_neighbors_does_not_stay(tmp_path):
    dataset = draw_dataset(Manufacturer="Optics", StationName="ZQ station of a patient")
    data = bytearray(write_dicom(tmp_path / "a.dcm", dataset).read_bytes())
    at = data.index(b"\x08\x00\x70\x00LO")
    rest = data.index(b"\x18\x00\x00\x00") if b"\x18\x00\x00\x00" in data else at + 60
    data[at + 6 : at + 8] = (max(rest - at - 8, 60) // 2 * 2 & 0xFFFF).to_bytes(2, "little")
    (tmp_path / "a.dcm").write_bytes(data)
    made = clean(tmp_path / "a.dcm", tmp_path / "b.dcm", frozenset({"device"}))
    assert made is None or b"ZQ station" not in made


def test_a_cut_file_is_a_fault_at_every_length(tmp_path):
    whole = write_dicom(tmp_path / "whole.dcm", draw_dataset()).read_bytes()
    for part in range(64):
        path = tmp_path / "cut.dcm"
        path.write_bytes(whole[: len(whole) * part // 64])
        if path.stat().st_size:
            assert clean(path, tmp_path / "b.dcm", frozenset()) is None
