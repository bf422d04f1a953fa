"""Frames and columns out of DICOM files.

Reading order: recognition (is it DICOM?), header (the data set, without pixels), layout (what the
header says about the pixels), encapsulation (where a frame's bytes lie), syntaxes (bytes to
samples, by a named decoder), photometric (samples to RGB), source (all of it: `open_dicom`).
"""

from polypskd.cohort.dicom.attributes import Attributes, read_attributes
from polypskd.cohort.dicom.recognition import is_dicom_video, looks_like_dicom
from polypskd.cohort.dicom.source import DicomFrames, open_dicom
from polypskd.cohort.dicom.stream import read_stream
from polypskd.cohort.dicom.syntaxes import VideoError, describe_decoders

__all__ = [
    "Attributes",
    "DicomFrames",
    "VideoError",
    "describe_decoders",
    "is_dicom_video",
    "looks_like_dicom",
    "open_dicom",
    "read_attributes",
    "read_stream",
]
