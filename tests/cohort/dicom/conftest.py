"""DICOM files made on the spot: one function writes any of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MakeDicom = Callable[..., Path]


def build_dataset(pixels: Any, syntax: str, **attributes: Any) -> Any:
    """Make a data set of an array (native) or of a list of codestreams (encapsulated)."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1"  # VL Endoscopic Image
    meta.MediaStorageSOPInstanceUID = "2.25.1"
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    if isinstance(pixels, np.ndarray):
        H, W = pixels.shape[:2]
        dataset.Rows, dataset.Columns = H, W
        dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
        dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.dtype.itemsize
        dataset.HighBit = dataset.BitsStored - 1
        data = pixels.tobytes()
        data += bytes(len(data) % 2)
    elif isinstance(pixels, list):
        data = encapsulate(pixels)
        dataset.SamplesPerPixel = 3
    else:
        data = pixels
        dataset.SamplesPerPixel = 3
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    if "PhotometricInterpretation" not in dataset:
        dataset.PhotometricInterpretation = "RGB" if dataset.SamplesPerPixel == 3 else "MONOCHROME2"
    if dataset.SamplesPerPixel == 3 and "PlanarConfiguration" not in dataset:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = data
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    if isinstance(pixels, list):
        dataset["PixelData"].is_undefined_length = True
    return dataset


@pytest.fixture
def make(tmp_path: Path) -> MakeDicom:
    """Write a DICOM file: `make(pixels, syntax, Keyword=value, ...)`."""
    count = 0

    def write(pixels: Any, syntax: str = "1.2.840.10008.1.2.1", **attributes: Any) -> Path:
        nonlocal count
        count += 1
        path = tmp_path / f"frame{count}.dcm"
        build_dataset(pixels, syntax, **attributes).save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture
def compress(tmp_path: Path) -> MakeDicom:
    """Write an array compressed by pydicom: `compress(pixels, syntax, plugin, Keyword=value)`."""

    def write(pixels: np.ndarray, syntax: str, plugin: str, **attributes: Any) -> Path:
        path = tmp_path / f"{syntax}.{len(attributes)}.dcm"
        dataset = build_dataset(pixels, "1.2.840.10008.1.2.1", **attributes)
        dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
        dataset.save_as(path, enforce_file_format=True)
        return path

    return write


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """(37, 53, 3) uint8: slopes of color with some noise, odd sides."""
    y, x = np.mgrid[:37, :53]
    noise = np.random.default_rng(3).integers(0, 12, (37, 53, 3))
    slopes = np.stack([x * 4, y * 6, 250 - x - 2 * y], axis=-1)
    return np.clip(slopes + noise, 0, 255).astype(np.uint8)
