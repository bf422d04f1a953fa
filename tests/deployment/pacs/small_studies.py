"""Studies of small endoscopic pictures, as a test makes them: the same bytes each time."""

import io
from pathlib import Path

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.1"
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"
SIDE = 64


def study_uid(number: int) -> str:
    return generate_uid("1.2.826.0.1.3680043.10.543.", ["study", str(number)])


def series_uid(number: int) -> str:
    return generate_uid("1.2.826.0.1.3680043.10.543.", ["series", str(number)])


def instance_uid(number: int, turn: int = 0) -> str:
    return generate_uid("1.2.826.0.1.3680043.10.543.", ["instance", str(number), str(turn)])


def draw_pixels(number: int, turn: int = 0, side: int = SIDE) -> np.ndarray:
    """Draw a frame of side x side x 3 bytes: one color, a little uneven."""
    draw = np.random.default_rng([number, turn])
    color = draw.integers(30, 225, 3)
    uneven = draw.integers(-20, 20, (side, side, 1))
    return (color + uneven).astype(np.uint8)


def build_instance(number: int, turn: int = 0, **changes: object) -> Dataset:
    """Build an instance of study `number`, not compressed."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    told = Dataset()
    told.file_meta = meta
    told.SOPClassUID = ENDOSCOPIC
    told.SOPInstanceUID = instance_uid(number, turn)
    told.StudyInstanceUID = study_uid(number)
    told.SeriesInstanceUID = series_uid(number)
    told.PatientName = f"Planted^Patient{number}"
    told.PatientID = f"PLANTED{number}"
    told.PatientBirthDate = "19600101"
    told.PatientSex = "O"
    told.StudyDate, told.StudyTime = "20240102", "101112"
    told.StudyID, told.SeriesNumber, told.InstanceNumber = "1", 1, turn + 1
    told.AccessionNumber = f"A{number}"
    told.ReferringPhysicianName = ""
    told.Manufacturer = "Test"
    told.Modality = "ES"
    told.ImageType = ["ORIGINAL", "PRIMARY"]
    told.AcquisitionContextSequence = []
    told.SamplesPerPixel, told.PlanarConfiguration = 3, 0
    told.PhotometricInterpretation = "RGB"
    told.Rows = told.Columns = SIDE
    told.BitsAllocated = told.BitsStored = 8
    told.HighBit, told.PixelRepresentation = 7, 0
    told.LossyImageCompression = "00"
    told.BurnedInAnnotation = "NO"
    told.PixelData = draw_pixels(number, turn).tobytes()
    for keyword, value in changes.items():
        setattr(told, keyword, value)
    meta.MediaStorageSOPClassUID = told.SOPClassUID
    meta.MediaStorageSOPInstanceUID = told.SOPInstanceUID
    return told


def compress_as_jpeg(told: Dataset) -> Dataset:
    """Store an instance's frame as JPEG."""
    import simplejpeg
    from pydicom.encaps import encapsulate

    pixels = np.frombuffer(told.PixelData, np.uint8).reshape(told.Rows, told.Columns, 3)
    told.PixelData = encapsulate([simplejpeg.encode_jpeg(pixels.copy(), 90)])
    told["PixelData"].VR = "OB"
    told.PhotometricInterpretation = "YBR_FULL_422"
    told.LossyImageCompression = "01"
    told.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return told


def write_bytes(told: Dataset) -> bytes:
    into = io.BytesIO()
    dcmwrite(into, told, enforce_file_format=True)
    return into.getvalue()


def write_instance(folder: Path, told: Dataset) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{told.SOPInstanceUID}.dcm"
    path.write_bytes(write_bytes(told))
    return path
