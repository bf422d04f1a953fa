"""DICOM files, videos and images such as a hospital has, drawn by the tests."""

from pathlib import Path

import cv2
import numpy as np

PATIENTS = ("SENTINEL^ANNA", "4711-SECRET")


def draw_frame(number: int, side: int = 48) -> np.ndarray:
    """A picture that no other number has."""
    y, x = np.mgrid[:side, :side]
    red = 150 + (x + 5 * number) % 60
    green = 60 + (y * 2 + 11 * number) % 50
    blue = 40 + (x + y + 7 * number) % 30
    return np.stack([red, green, blue], -1).astype(np.uint8)


def write_dicom(path: Path, numbers, *, patient: str = "4711-SECRET", uid: str = "") -> None:
    """Write an uncompressed secondary capture, of one frame or many."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    pixels = np.stack([draw_frame(number) for number in numbers])
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.4"
    dataset.SOPInstanceUID = uid or generate_uid(entropy_srcs=[path.name])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[patient])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[patient, "series"])
    dataset.PatientName, dataset.PatientID = "SENTINEL^ANNA", patient
    dataset.Manufacturer, dataset.ManufacturerModelName = "ACME", "SCOPE-1"
    dataset.Rows, dataset.Columns = pixels.shape[1:3]
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "RGB"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    if len(pixels) > 1:
        dataset.NumberOfFrames = len(pixels)
    dataset.PixelData = pixels.tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def write_video(path: Path, frames: int) -> None:
    """Write a lossless video with 25 frames a second."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width = stream.height = 48
        stream.pix_fmt = "bgr0"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(draw_frame(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_image(path: Path, number: int) -> None:
    """Write an image by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), draw_frame(number)[:, :, ::-1])


def write_key(folder: Path) -> Path:
    key = folder / "key"
    key.write_text("0123456789abcdef" * 4)
    key.chmod(0o600)
    return key


def write_table(path: Path, header: str, rows) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path
