"""What the work needs of an archive, whichever way it is spoken with (DICOMweb or DIMSE).

Everything an archive says is checked before it is believed: a UID becomes the name of a file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Protocol

UID = re.compile(r"[0-9]+(\.[0-9]+)+", re.ASCII)
LONGEST_UID = 64
SUFFIX = ".dcm"


@dataclass(frozen=True)
class Query:
    """Which studies are asked for; empty values ask for any.

    Args:
        modalities: of at least one series, as ``ES``.
        since: first day of the study, inclusive.
        until: last day of the study, inclusive.
        station: station name of a series, exactly.
        description: of the study; ``*`` and ``?`` stand for letters.
        study_uid: of the one study wanted.
        most: so many studies at the most; more are an error, and none is left out in silence.
    """

    modalities: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    station: str = ""
    description: str = ""
    study_uid: str = ""
    most: int = 10_000

    @property
    def days(self) -> str:
        """The days as a DICOM range; "" for any.

        >>> Query(since=date(2026, 1, 31)).days
        '20260131-'
        """
        if self.since is None and self.until is None:
            return ""
        first, last = (
            "" if day is None else day.strftime("%Y%m%d") for day in (self.since, self.until)
        )
        return f"{first}-{last}"


@dataclass(frozen=True)
class StudyEntry:
    """A study of the archive.

    Args:
        study_uid: checked by `is_uid`.
        modalities: of its series, sorted; empty where the archive does not say.
        count: number of its instances, results included; 0 where the archive does not say.
        when: date and time, to put the oldest first; "" where unknown. It is never shown.
    """

    study_uid: str
    modalities: tuple[str, ...] = ()
    count: int = 0
    when: str = field(default="", repr=False)


@dataclass(frozen=True)
class InstanceEntry:
    """An instance of a study.

    Args:
        sop_uid: checked by `is_uid`.
        sop_class: SOP class UID; "" where the archive does not say.
        series_uid: checked by `is_uid`.
        modality: of its series.
        series_description: of its series; it tells the results of this program. It is never shown.
        station: station name of its series. It is never shown.
    """

    sop_uid: str
    sop_class: str
    series_uid: str
    modality: str = ""
    series_description: str = field(default="", repr=False)
    station: str = field(default="", repr=False)


@dataclass(frozen=True)
class Refusal:
    """A file that the archive did not take.

    Args:
        file: as given to `store`.
        reason: in words, without anything of a patient.
        transient: whether the same may well succeed later (the archive is full or busy).
    """

    file: Path
    reason: str
    transient: bool = False


class Archive(Protocol):
    """An archive. It is used by one thread; every method may raise `ArchiveError`.

    A transient error is retried by the caller (`retry.call_again`); methods do not retry.
    """

    def echo(self) -> str:
        """Ask whether it answers; give in a few words what was reached, for people."""
        ...

    def find(self, query: Query) -> list[StudyEntry]:
        """List the studies that match, the oldest first, each once.

        `station` may be left to `list_instances` where it cannot be asked for.
        """
        ...

    def list_instances(self, study_uid: str) -> list[InstanceEntry]:
        """List all instances of a study, sorted by UID; none where the study is gone."""
        ...

    def fetch(self, study_uid: str, instances: Sequence[InstanceEntry], folder: Path) -> list[Path]:
        """Fetch instances into `folder`, each under `name_file`, in the order that was given.

        A file appears whole or not at all (written aside, renamed). One that lies there already is
        not fetched again. An instance that is no longer there is left out of what is given back.

        Raises:
            ArchiveError: transient, or `gone` where none is there any longer.
            OutputError: the disk is full.
        """
        ...

    def store(self, files: Sequence[Path]) -> list[Refusal]:
        """Store files; give those that were refused. A file that it holds already is no refusal."""
        ...

    def holds(self, study_uid: str, sop_uids: Collection[str]) -> set[str]:
        """Tell which of some instances the study has."""
        ...

    def close(self) -> None:
        """Let go of the connection; calling it twice does no harm."""
        ...


def fits(study: StudyEntry, query: Query) -> bool:
    """Whether a study has one of the modalities asked for, or its archive does not say.

    >>> fits(StudyEntry("1.2", ("CT", "ES")), Query(modalities=("ES",)))
    True
    >>> fits(StudyEntry("1.2", ("CT",)), Query(modalities=("ES",)))
    False
    """
    wanted, has = {*query.modalities}, {*study.modalities}
    return not wanted or not has or bool(wanted & has)


def is_uid(text: object) -> bool:
    r"""Whether something is a UID; leading zeros, which some devices write, are let pass.

    >>> is_uid("1.2.840.10008.1.1"), is_uid("../../etc"), is_uid("1.2\n"), is_uid("1" * 65)
    (True, False, False, False)
    """
    return isinstance(text, str) and len(text) <= LONGEST_UID and UID.fullmatch(text) is not None


def name_file(folder: Path, sop_uid: str) -> Path:
    """Name the file of an instance.

    Args:
        folder: where it lies.
        sop_uid: of the instance.

    Raises:
        ValueError: it is no UID, so that it might lead elsewhere.

    >>> name_file(Path("in"), "1.2.3").as_posix()
    'in/1.2.3.dcm'
    """
    if not is_uid(sop_uid):
        raise ValueError("not a UID")
    return folder / f"{sop_uid}{SUFFIX}"
