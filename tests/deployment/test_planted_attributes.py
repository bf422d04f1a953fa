"""Nothing planted comes out: the whole table, the whole dictionary, private blocks, all depths."""

import pydicom
import pytest
from planting import (
    DATE,
    MARKERS,
    ROOT,
    draw_dataset,
    list_dictionary_tags,
    list_table_tags,
    plant,
    plant_private,
    write_dicom,
)

from polypskd.deployment.deidentification.attributes import Cleaning, Patient, clean_attributes
from polypskd.deployment.deidentification.panel import Trust
from polypskd.deployment.deidentification.profile import NUMBERS, read_profile
from polypskd.deployment.deidentify import Wish, deidentify

KEY = b"k" * 32
PATIENT = Patient("0123456789abcdef", -100)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


def run(root, out, key=KEY, trust=None, **options):
    trust = Trust(field=True) if trust is None else trust
    return deidentify(root, out, Wish(key, trust=trust, **options))


def read_all(out):
    """All that is given away: the bytes and the names."""
    files = sorted(path for path in out.rglob("*") if path.is_file())
    names = "\n".join(path.relative_to(out).as_posix() for path in files)
    return b"\n".join(path.read_bytes() for path in files) + names.encode()


def find_markers(data):
    return [marker for marker in MARKERS if marker in data]


def test_the_table_has_every_row_of_its_edition():
    rows = read_profile()
    assert len(rows) == 655
    actions = [row.basic for row in rows.values()]
    known = {"X": 415, "D": 93, "U": 55, "Z": 42, "X/D": 23, "X/Z": 11, "X/Z/D": 8, "Z/D": 6}
    assert {action: actions.count(action) for action in known} == known
    assert all(row.name for row in rows.values())


def test_no_marker_of_the_table_is_in_any_byte(tmp_path):
    dataset = draw_dataset()
    plant(dataset, list_table_tags())
    plant_private(dataset)
    folder = tmp_path / "in" / "ZQ Patient" / DATE
    file = write_dicom(folder / "ZQname.dcm", dataset, after=b"ZQ after the end")
    for marker in (b"ZQ preamble", b"ZQSOURCE", b"ZQ after the end", b"ZQ nested private"):
        assert marker in file.read_bytes()
    assert set(find_markers(file.read_bytes())) == set(MARKERS)

    outcome = run(tmp_path / "in", tmp_path / "out")

    assert not outcome.refused
    assert find_markers(read_all(tmp_path / "out")) == []


def test_no_marker_of_the_whole_dictionary_is_in_any_byte(tmp_path):
    dataset = draw_dataset()
    tags = [
        tag
        for tag in list_dictionary_tags()
        if not {"IS", "DS", *NUMBERS} & set(pydicom.datadict.dictionary_VR(tag).split(" or "))
    ]
    assert len(tags) > 3000
    plant(dataset, tags, depth=0)
    dataset.SOPInstanceUID = f"{ROOT}.1.3"
    write_dicom(tmp_path / "in" / "a.dcm", dataset)
    assert not run(tmp_path / "in", tmp_path / "out").refused
    assert find_markers(read_all(tmp_path / "out")) == []


@pytest.mark.parametrize("retained", [{"dates"}, {"device"}, {"patient"}])
def test_an_option_keeps_its_own_attributes_alone(tmp_path, retained):
    dataset = draw_dataset()
    del dataset.Manufacturer, dataset.ManufacturerModelName
    column = {"dates": "dates", "device": "device", "patient": "patient"}[next(iter(retained))]
    own = {
        int(tag, 16)
        for tag, row in read_profile().items()
        if "X" not in tag and getattr(row, column) == "K"
    }
    plant(dataset, [tag for tag in list_table_tags() if tag not in own])
    plant_private(dataset)
    dataset.PatientSex, dataset.PatientAge = "F", "053Y"
    write_dicom(tmp_path / "in" / "a.dcm", dataset)
    run(tmp_path / "in", tmp_path / "out", retained=frozenset(retained))
    found = set(find_markers(read_all(tmp_path / "out")))
    # A time of the day alone stays where dates stay.
    assert found <= ({b"134759"} if retained == {"dates"} else set())


def test_attributes_below_the_picture_go_at_every_depth():
    dataset = draw_dataset()
    for tag in (0x00001000, 0x00020003, 0x00041511, 0x00060010):
        dataset[tag] = pydicom.DataElement(tag, "LO", "ZQ")
    clean = clean_attributes(dataset, Cleaning(KEY), PATIENT)
    assert all(one.tag.group >= 8 for one in clean)
    assert "PixelData" not in clean


def test_an_attribute_that_lies_about_its_type_goes():
    dataset = draw_dataset()
    dataset[0x00280303] = pydicom.DataElement(0x00280303, "LO", "ZQ")
    dataset[0x00180088] = pydicom.DataElement(0x00180088, "LO", "ZQ Doe")  # a decimal by right
    clean = clean_attributes(dataset, Cleaning(KEY), PATIENT)
    assert 0x00180088 not in clean
    assert 0x00280303 not in clean


def test_text_in_coded_concepts_is_the_schemes_own_wording():
    dataset = draw_dataset()
    item = pydicom.Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = (
        "71854001",
        "SCT",
        "ZQ colon",
    )
    ours = pydicom.Dataset()
    ours.CodeValue, ours.CodingSchemeDesignator, ours.CodeMeaning = "W7", "99WARD", "Ward of Dr. ZQ"
    dataset.AnatomicRegionSequence = [item, ours]
    clean = clean_attributes(dataset, Cleaning(KEY), PATIENT)
    (kept,) = clean.AnatomicRegionSequence
    assert (kept.CodeValue, kept.CodingSchemeDesignator) == ("71854001", "SCT")
    assert kept.CodeMeaning.lower().startswith("colon")


def test_sequences_without_end_are_refused():
    from polypskd.cohort.damage import DamageError

    dataset = inner = draw_dataset()
    for _ in range(30):
        item = pydicom.Dataset()
        inner.ReferencedSeriesSequence = [item]
        inner = item
    with pytest.raises(DamageError, match="too deep"):
        clean_attributes(dataset, Cleaning(KEY), PATIENT)
