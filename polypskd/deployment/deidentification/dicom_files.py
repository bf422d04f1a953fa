"""One DICOM file without its patient: attributes and pixels cleaned, stored without loss."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polypskd.cohort.damage import DamageError
from polypskd.cohort.pseudonyms import pseudonymize
from polypskd.deployment.deidentification.attributes import (
    Cleaning,
    Patient,
    clean_attributes,
    read_text,
)
from polypskd.deployment.deidentification.dates import derive_shift
from polypskd.deployment.deidentification.dicom_pixels import plan_pixels
from polypskd.deployment.deidentification.panel import Plan, Trust
from polypskd.deployment.deidentification.profile import EDITION
from polypskd.deployment.deidentification.rules import Rules
from polypskd.deployment.deidentification.uids import is_registered, replace_uid
from polypskd.deployment.seals import name_sealed

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

IMPLEMENTATION = "2.25.216710388165123571515274916803309251067"  # a UUID of this program
METHOD = f"polypskd; PS3.15 {EDITION} Basic Profile"
DIRECTORY = "1.2.840.10008.1.3.10"
PIXELS = 0x7FE00010
DOCUMENT = 0x00420011  # encapsulated
REPORT = 0x0040A730  # the content of a structured report
OPTIONS = {"dates": "113107", "device": "113109", "patient": "113108"}


@dataclass(frozen=True)
class CleanFile:
    """A cleaned DICOM file, not yet written.

    Args:
        dataset: with file meta information, without pixels.
        folder: keyed names of patient and exam.
        plan: how its pixels are cleaned.
        stored: bytes of the pixels, in parts; they are decoded as they are written, once.
    """

    dataset: Dataset
    folder: str
    plan: Plan
    stored: Iterator[bytes]

    def write(self, path: Path) -> None:
        """Write it: an empty preamble, the meta information, the data set, and nothing after.

        Raises:
            DamageError: a frame is damaged, or an attribute cannot be written.
        """
        from pydicom import dcmwrite
        from pydicom.dataelem import DataElement

        # A file without a name, so that a long clip is never in memory as a whole.
        with tempfile.TemporaryFile() as pixels:
            pixels.writelines(self.stored)
            pixels.seek(0)
            self.dataset[PIXELS] = DataElement(PIXELS, "OB", pixels)
            try:
                dcmwrite(path, self.dataset, enforce_file_format=True)
            except (ValueError, TypeError, AttributeError, OverflowError, struct.error):
                # Its words quote values.
                raise DamageError(
                    "its attributes cannot be written", todo="leave the file out"
                ) from None
            finally:
                del self.dataset[PIXELS]


def clean_dicom(path: Path, cleaning: Cleaning, rules: Rules, trust: Trust) -> CleanFile:
    """Clean a DICOM file.

    Args:
        path: a DICOM file.
        cleaning: the options for attributes.
        rules: of the rule file.
        trust: what the user vouches for.

    Raises:
        DamageError: it is damaged, or its pixels cannot be cleaned.
        OSError: it cannot be opened.
    """
    try:
        return _clean_dicom(path, cleaning, rules, trust)
    except (DamageError, OSError, MemoryError):
        raise
    except Exception:  # pydicom raises what it meets; its words quote values
        raise DamageError(
            "damaged: its attributes cannot be read", todo="copy the file anew"
        ) from None


def _clean_dicom(path: Path, cleaning: Cleaning, rules: Rules, trust: Trust) -> CleanFile:
    from polypskd.cohort.dicom.header import read_header

    header = read_header(path)
    source = header.dataset
    identity = read_text(source, "SOPClassUID")
    if identity == DIRECTORY:
        raise DamageError("a DICOMDIR names patients and files", todo="leave it out")
    if not is_registered(identity):
        raise DamageError("its SOP class is not known", todo="leave it out")
    if header.pixels is None:
        check_content(identity, source)
    patient, folder = identify_patient(source, cleaning.key)
    clean = clean_attributes(source, cleaning, patient)
    instance = read_text(source, "SOPInstanceUID")
    clean.SOPInstanceUID = replace_uid(instance or str(path.name), cleaning.key)
    plan, stored = plan_pixels(path, source, clean, rules, trust)
    clean.BurnedInAnnotation = "NO"
    _sign(clean, cleaning, masked=plan.mask is not None)
    _add_meta(clean)
    return CleanFile(clean, folder, plan, stored)


def check_content(identity: str, source: Dataset) -> None:
    """Refuse what is no image: reports, documents, signals and lists name persons in their content.

    Args:
        identity: the SOP class of a file without pixels.
        source: the data set as it came.

    Raises:
        DamageError: always; it says what the file is.
    """
    from pydicom.uid import UID

    if "Image" in UID(identity).name:
        raise DamageError("has no pixels: it is cut short", todo="copy the file anew")
    what = "document" if DOCUMENT in source else "report" if REPORT in source else "file of data"
    raise DamageError(f"a {what} without an image, which is not cleaned", todo="leave it out")


def identify_patient(source: Dataset, key: bytes) -> tuple[Patient, str]:
    """Tell what stands for the patient of a file, and name the folder of patient and exam.

    Without an id, each exam is a patient of its own.

    Args:
        source: the data set as it came.
        key: the secret.
    """
    study = read_text(source, "StudyInstanceUID")
    told = read_text(source, "PatientID") or f"exam {study}"
    pseudonym = pseudonymize(told, key)
    exam = name_sealed(key, "exam", study, length=12)
    return Patient(pseudonym, derive_shift(told, key)), f"{pseudonym}/{exam}"


def _sign(clean: Dataset, cleaning: Cleaning, *, masked: bool) -> None:
    """Say in the file that, and how, it was de-identified."""
    from pydicom.dataset import Dataset as NewDataset

    codes = ["113100"]
    codes += ["113101"] if masked else []
    codes += [OPTIONS[name] for name in sorted(cleaning.retained)]
    codes += ["113111"] if cleaning.private else []
    items = []
    for value in sorted(codes):
        item = NewDataset()
        item.CodeValue, item.CodingSchemeDesignator = value, "DCM"
        item.CodeMeaning = MEANINGS[value]
        items.append(item)
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = METHOD
    clean.DeidentificationMethodCodeSequence = items
    moved = "MODIFIED" if "dates" in cleaning.retained else "REMOVED"
    clean.LongitudinalTemporalInformationModified = moved
    # Whatever letters came in, UTF-8 holds them; where none but ASCII is left, no set is named.
    if not all(_is_ascii(one.value) for one in clean.iterall() if one.VR not in {"SQ", "OB"}):
        clean.SpecificCharacterSet = "ISO_IR 192"


MEANINGS = {  # CID 7050
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
    "113109": "Retain Device Identity Option",
    "113111": "Retain Safe Private Option",
}


def _is_ascii(value: object) -> bool:
    return str(value).isascii()


def _add_meta(clean: Dataset) -> None:
    """Write the meta information anew: it names who sent the file to whom."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION)
    meta.ImplementationVersionName = "POLYPSKD"
    clean.file_meta = meta
