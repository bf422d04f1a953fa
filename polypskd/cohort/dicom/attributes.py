"""Columns of a cohort out of DICOM attributes."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom.header import read_header
from polypskd.cohort.dicom.reader_import import import_pydicom
from polypskd.cohort.dicom.syntaxes import name_syntax
from polypskd.errors import ConfigError

LONGEST = 200
DEFAULTS: Mapping[str, str] = {
    "patient": "PatientID",
    "study": "StudyInstanceUID",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
    "modality": "Modality",
    "region": "AnatomicRegionSequence.CodeMeaning",
    "region_code": "AnatomicRegionSequence.CodeValue",
    "laterality": "ImageLaterality|Laterality|FrameLaterality",
    "manufacturer": "Manufacturer",
    "device": "ManufacturerModelName",
    "software": "SoftwareVersions",
    "illumination": "IlluminationTypeCodeSequence.CodeMeaning"
    "|OpticalPathSequence.IlluminationTypeCodeSequence.CodeMeaning",
}


@dataclass(frozen=True)
class Attributes:
    """Attributes of one file as plain strings; a missing one is empty.

    Args:
        columns: column to value, in the order of the map. `patient` is the hospital's own id
            until `pseudonymize` has replaced it, so none of it is shown when printed.
        frames: number of frames.
        width: in pixels; 0 where it is not told.
        height: in pixels; 0 where it is not told.
        syntax: name of the transfer syntax.
        photometric: photometric interpretation as tagged.
        burned_in: "YES", "NO" or "unknown": whether text is burned into the pixels.
    """

    columns: Mapping[str, str] = field(repr=False)
    frames: int
    width: int
    height: int
    syntax: str
    photometric: str
    burned_in: str

    @property
    def patient(self) -> str:
        """The column `patient`, or ""."""
        return self.columns.get("patient", "")

    @property
    def study(self) -> str:
        """The column `study`, or ""."""
        return self.columns.get("study", "")

    @property
    def series(self) -> str:
        """The column `series`, or ""."""
        return self.columns.get("series", "")

    @property
    def instance(self) -> str:
        """The column `instance`, or ""."""
        return self.columns.get("instance", "")


def check_map(columns: Mapping[str, str]) -> None:
    """Check that a map names attributes of DICOM's dictionary.

    Args:
        columns: column to keyword; keywords of items are joined by dots, and alternatives by |.

    Raises:
        ConfigError: a keyword is unknown.

    >>> check_map({"segment": "AnatomicRegionSequence.CodeMeaning"})
    """
    import_pydicom()
    from pydicom.datadict import tag_for_keyword

    for column, path in columns.items():
        for keyword in path.replace("|", ".").split("."):
            if not keyword or tag_for_keyword(keyword) is None:
                raise ConfigError(
                    f"attribute of column {column!r}: unknown DICOM keyword {keyword!r}; "
                    "use keywords as in PatientID, joined by dots for items, by | for alternatives"
                )


def read_attributes(path: Path, columns: Mapping[str, str] = DEFAULTS) -> Attributes:
    """Read the attributes of a file's header; no pixel is read.

    Args:
        path: a DICOM file, frames or video.
        columns: column to keyword, as `check_map` accepts. Dates are read only where they are
            named here, e.g. ``{"acquired": "AcquisitionDateTime"}``.

    Raises:
        DamageError: the bytes are no DICOM, or are damaged.
        OSError: the file cannot be opened.
    """
    check_map(columns)
    header = read_header(path)
    dataset = header.dataset
    try:
        values = {name: _find(dataset, where) for name, where in columns.items()}
        burned = _find(dataset, "BurnedInAnnotation").upper()
        return Attributes(
            columns=values,
            frames=_count(_find(dataset, "NumberOfFrames")) or 1,
            width=_count(_find(dataset, "Columns")),
            height=_count(_find(dataset, "Rows")),
            syntax=name_syntax(header.syntax),
            photometric=_find(dataset, "PhotometricInterpretation"),
            burned_in=burned if burned in ("YES", "NO") else "unknown",
        )
    except RecursionError:
        raise DamageError("damaged: the header is nested too deeply") from None


def _find(dataset: Any, where: str) -> str:
    for path in where.split("|"):
        value = dataset
        try:
            for keyword in path.split("."):
                value = value[0] if not hasattr(value, "get") else value
                value = value.get(keyword)
                if value is None:
                    break
            told = clean_value(value)
        except RecursionError:
            raise
        except Exception:  # bytes that are no value; an empty sequence
            told = ""
        if told:
            return told
    return ""


def clean_value(value: object) -> str:
    r"""Make a value a plain string of one line, of at most 200 characters.

    Args:
        value: as pydicom gives it; several values are joined by /.

    >>> clean_value("OLYMPUS\0 \n CV-190 ")
    'OLYMPUS CV-190'
    """
    if value is None or isinstance(value, bytes):
        return ""
    if isinstance(value, str):
        text = value
    elif hasattr(value, "__iter__"):
        # Items of a sequence are no values; a path names one of theirs.
        text = "/".join(str(one) for one in list(value)[:20] if not hasattr(one, "get"))
    else:
        text = str(value)
    text = text[: 4 * LONGEST]
    plain = "".join(" " if unicodedata.category(one)[0] == "C" else one for one in text)
    return " ".join(plain.split())[:LONGEST]


def _count(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) <= 9 else 0
