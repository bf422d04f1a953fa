"""DICOM files with a marker in every attribute, drawn for the tests."""

import copy

import numpy as np
import pydicom
from pydicom.datadict import DicomDictionary, dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from polypskd.deployment.deidentification.profile import read_profile

WORD = "ZQ"
PREAMBLE = b"ZQ preamble".ljust(128, b"\0")
DATE, TIME = "19470813", "134759"
ROOT = "1.2.826.0.1.9999"
ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.1"
MARKERS = (
    b"ZQ",
    b"Zq",
    b"zq",
    DATE.encode(),
    TIME.encode(),
    ROOT.encode(),
    b"474747",
    b"47.4747",
    b"093Y",
)


TEXTS = {"AE", "CS", "LO", "LT", "SH", "ST", "UC", "UT"}
VALUES = {
    "DA": DATE,
    "TM": TIME,
    "DT": DATE + TIME,
    "AS": "093Y",
    "IS": "474747",
    "DS": "47.4747",
    **dict.fromkeys(("US", "UL", "UV", "SS", "SL", "SV"), 0x515A),  # ZQ in bytes
}


def mark(tag, vr):
    """Give a value of a VR that must not be found again; None where a VR has no such value."""
    word = f"{WORD}{tag:08X}"
    made = {
        "PN": f"{word}^Zqerty",
        "UI": f"{ROOT}.{tag}",
        "UR": f"http://zqhost/{word}",
        "OB": word.encode(),
        "UN": word.encode(),
        "OW": f"{word}ZQ".encode(),
    }
    return word if vr in TEXTS else VALUES.get(vr, made.get(vr))


def fill_item(depth):
    """Make an item with names, private blocks, codes, and items below it."""
    item = Dataset()
    item.PatientName = "ZQITEM^Zqerty"
    item.PatientID = "ZQITEM"
    item.OperatorsName = "ZQITEM^Zqop"
    item.TextValue = "ZQ text value"
    item.StudyDate = DATE
    item.ReferencedSOPInstanceUID = f"{ROOT}.77"
    item.CodeValue = "ZQCODE"
    item.CodingSchemeDesignator = "99ZQ"
    item.CodeMeaning = "ZQ meaning"
    block = item.private_block(0x0019, "ZQ NESTED", create=True)
    block.add_new(0x10, "LO", "ZQ nested private")
    if depth:
        item.ContentSequence = Sequence([fill_item(depth - 1)])
        plain = fill_item(depth - 1)
        for name in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"):
            delattr(plain, name)
        item.ReferencedSeriesSequence = Sequence([plain])
    return item


def list_table_tags():
    """List the tags of the table that stand in a data set, ranges by examples."""
    tags = []
    for text in read_profile():
        if "X" in text:
            tags += [
                int(text.replace("XX", at, 1).replace("XXXX", "3000"), 16) for at in ("00", "1E")
            ]
        elif int(text[:4], 16) >= 8:
            tags.append(int(text, 16))
    return sorted(tags)


def find_vr(tag):
    try:
        return dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        return "LO"  # newer than the dictionary: unknown, and text


def plant(dataset, tags, depth=2):
    for tag in tags:
        vr = find_vr(tag)
        if vr == "SQ":
            dataset[tag] = DataElement(tag, "SQ", Sequence([fill_item(depth)]))
        elif (value := mark(tag, vr)) is not None:
            dataset[tag] = DataElement(tag, vr, value)


def plant_private(dataset):
    for group in (0x0009, 0x0019, 0x0029, 0x2001, 0x7FE1):
        for number, creator in enumerate(("ZQ CREATOR A", "ZQ CREATOR B")):
            block = dataset.private_block(group, creator, create=True)
            block.add_new(0x01, "LO", f"ZQ private {group:04X} {number}")
            block.add_new(0x02, "UN", b"ZQ bytes")
            block.add_new(0x03, "SQ", Sequence([fill_item(1)]))
            block.add_new(0x04, "US", 0x515A)


def draw_frame(height=96, width=128):
    """Draw a picture on a black mask, with text-like strokes in the panel beside it."""
    rng = np.random.default_rng(3)
    frame = np.zeros((height, width, 3), np.uint8)
    frame[10:86, 44:120] = rng.integers(120, 200, (76, 76, 3))
    for row in range(12, 60, 8):
        frame[row : row + 2, 4:30] = 255
    return frame


def draw_dataset(frame=None, **values):
    """Make a VL Endoscopic Image with what its modules need."""
    frame = draw_frame() if frame is None else frame
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.SourceApplicationEntityTitle = "ZQSOURCE"
    dataset.file_meta.PrivateInformationCreatorUID = f"{ROOT}.5"
    dataset.file_meta.PrivateInformation = b"ZQ private information"
    dataset.SOPClassUID, dataset.SOPInstanceUID = ENDOSCOPIC, f"{ROOT}.1.3"
    dataset.file_meta.MediaStorageSOPClassUID = ENDOSCOPIC
    dataset.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.1.3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}.1.1", f"{ROOT}.1.2"
    dataset.PatientName, dataset.PatientID = "ZQNAME^Zqfirst", "ZQ4711"
    dataset.PatientBirthDate, dataset.PatientSex = DATE, "F"
    dataset.StudyDate, dataset.StudyTime = DATE, TIME
    dataset.ContentDate, dataset.ContentTime = DATE, TIME
    dataset.ReferringPhysicianName, dataset.StudyID, dataset.AccessionNumber = (
        "ZQ^Zqref",
        "ZQ1",
        "ZQ2",
    )
    dataset.Modality, dataset.Manufacturer = "ES", "ZQ Optics"
    dataset.ManufacturerModelName = "ZQ-190"
    dataset.SeriesNumber, dataset.InstanceNumber = "1", "1"
    dataset.PatientOrientation, dataset.Laterality = "", ""
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "ZQVENDOR"]
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.LossyImageCompression = "00"
    dataset.Rows, dataset.Columns = frame.shape[:2]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = frame.tobytes()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


PICTURE = {int(one.tag) for one in draw_dataset().group_dataset(0x0028)} | {
    0x00280008,
    0x7FE00008,
    0x7FE00009,
    0x7FE00010,
    0x7FE00001,
    0x7FE00002,
    0x00080016,
}


def list_dictionary_tags():
    """List every tag of pydicom's dictionary that may stand in a data set beside a picture."""
    return [tag for tag in sorted(DicomDictionary) if tag >> 16 >= 8 and tag not in PICTURE]


def write_dicom(path, dataset, preamble=PREAMBLE, after=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = copy.deepcopy(dataset)
    dataset.preamble = preamble
    pydicom.dcmwrite(path, dataset, enforce_file_format=False)
    with path.open("ab") as file:
        file.write(after)
    return path
