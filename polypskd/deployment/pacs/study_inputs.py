"""Which instances of a study are judged, and whether they are those that were asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from polypskd.cohort.damage import DamageError
from polypskd.deployment.dicom_objects.result_objects import RESEARCH
from polypskd.deployment.pacs.archive import InstanceEntry, Query
from polypskd.deployment.prediction.shots import PICTURELESS


def select_inputs(
    instances: Sequence[InstanceEntry], query: Query, results: Collection[str]
) -> list[InstanceEntry]:
    """Select the instances that are judged: pictures of the series asked for, none of our own.

    Args:
        instances: of a study.
        query: modalities and station.
        results: SOP instance UIDs of what this program has sent.

    >>> picture = InstanceEntry("1.2", "1.2.840.10008.5.1.4.1.1.77.1.1", "1.1", "ES")
    >>> report = InstanceEntry("1.3", "1.2.840.10008.5.1.4.1.1.88.33", "1.4", "SR")
    >>> [one.sop_uid for one in select_inputs([picture, report], Query(), ())]
    ['1.2']
    """
    return [
        one
        for one in instances
        if one.sop_uid not in results
        and not one.sop_class.startswith(PICTURELESS)
        and not one.series_description.startswith(RESEARCH)
        and (not query.modalities or not one.modality or one.modality in query.modalities)
        and (not query.station or one.station == query.station)
    ]


def select_files(files: Sequence[Path], query: Query, results: Collection[str]) -> list[Path]:
    """Select files by the same rules, by what stands in them.

    Args:
        files: named by `archive.name_file`.
        query: modalities and station.
        results: SOP instance UIDs of what this program has sent.

    Returns:
        Those that are judged; what cannot be read is one of them, so that it is told.
    """
    from polypskd.cohort.dicom import read_attributes

    wanted = {"class": "SOPClassUID", "modality": "Modality", "station": "StationName"}
    wanted |= {"description": "SeriesDescription"}
    chosen = []
    for path in files:
        try:
            told = read_attributes(path, wanted).columns
        except (DamageError, OSError):
            chosen.append(path)
            continue
        one = InstanceEntry(
            path.stem, told["class"], "", told["modality"], told["description"], told["station"]
        )
        if select_inputs([one], query, results):
            chosen.append(path)
    return chosen


def find_stranger(files: Sequence[Path], study_uid: str) -> Path | None:
    """Find a file that is another instance than its name says, or of another study.

    Args:
        files: named by `archive.name_file`.
        study_uid: that all are of.

    Returns:
        The first such file; what cannot be read is no stranger, and is told when it is judged.
    """
    from polypskd.cohort.dicom import read_attributes

    for path in files:
        try:
            told = read_attributes(path, {"i": "SOPInstanceUID", "s": "StudyInstanceUID"}).columns
        except (DamageError, OSError):
            continue
        if told["i"] != path.stem or told["s"] != study_uid:
            return path
    return None
