"""Files into the archive, each once: what it holds already is not sent again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from polypskd.cohort.damage import DamageError
from polypskd.deployment.pacs.archive import Archive, Refusal, is_uid
from polypskd.deployment.pacs.retry import call_again
from polypskd.errors import ArchiveError, ConfigError, Fault

if TYPE_CHECKING:
    from polypskd.deployment.pacs.settings import Transfer

Again = Callable[[Callable[[], list[Refusal]]], list[Refusal]]


def send_files(
    archive: Archive, study_uid: str, files: Mapping[str, Path], again: Again
) -> list[Refusal]:
    """Send files of one study that the archive does not hold.

    Args:
        archive: that takes them.
        study_uid: of all files.
        files: SOP instance UID → file; known not to be there, or not yet asked for.
        again: calls, and calls again where the archive fails in a way that passes.

    Returns:
        Those that it refuses for good.

    Raises:
        ArchiveError: it cannot be reached, or takes none for now, as where it is full.
    """
    left = dict(files)
    for_good: list[Refusal] = []
    begun = False

    def store() -> list[Refusal]:
        nonlocal begun
        if begun:
            # An answer may have been lost on its way, after all was stored.
            for uid in archive.holds(study_uid, [*left]):
                del left[uid]
        begun = True
        refusals = archive.store([*left.values()]) if left else []
        for_good.extend(one for one in refusals if not one.transient)
        given_up = {one.file for one in for_good}
        for uid in [uid for uid, path in left.items() if path in given_up]:
            del left[uid]
        passing = [one for one in refusals if one.transient]
        if passing:
            raise ArchiveError(passing[0].reason, transient=True)
        return for_good

    return again(store)


@dataclass(frozen=True)
class Sent:
    """What came of files that were to be sent.

    Args:
        sent: number of files stored now.
        held: number of files that the archive held before.
        faults: in one line each, what could not be sent.
        other: number of files below folders that are no DICOM files.
    """

    sent: int
    held: int
    faults: tuple[str, ...]
    other: int


def send_all(archive: Archive, inputs: Sequence[Path], transfer: Transfer) -> Sent:
    """Send files, and the DICOM files below folders, study by study.

    Args:
        archive: that takes them.
        inputs: files and folders.
        transfer: patience.

    Raises:
        ConfigError: an input is not there, or there is nothing to send.
        ArchiveError: the archive cannot be reached.
    """
    patience = transfer.patience
    files, faults, other = list_dicom_files(inputs)
    studies: dict[str, dict[str, Path]] = {}
    for path in files:
        try:
            study_uid, sop_uid = read_uids(path)
        except (DamageError, OSError) as error:
            what = error.what if isinstance(error, DamageError) else "cannot be read"
            faults.append(str(Fault(path.name, what, todo="leave it out")))
            continue
        studies.setdefault(study_uid, {}).setdefault(sop_uid, path)
    sent = held = 0
    for study_uid, of in studies.items():
        there = call_again(partial(archive.holds, study_uid, [*of]), patience)
        missing = {uid: path for uid, path in of.items() if uid not in there}
        refusals = send_files(archive, study_uid, missing, lambda call: call_again(call, patience))
        faults += [str(Fault(one.file.name, one.reason)) for one in refusals]
        held += len(there)
        sent += len(missing) - len(refusals)
    return Sent(sent, held, tuple(faults), other)


def list_dicom_files(inputs: Sequence[Path]) -> tuple[list[Path], list[str], int]:
    """List the DICOM files among and below inputs, what is wrong with some, and count the others.

    Raises:
        ConfigError: an input is not there, or there is nothing to send.
    """
    from polypskd.deployment.listing import list_files, recognize_kind

    found: list[Path] = []
    faults: list[str] = []
    other = 0
    for given in inputs:
        if not given.exists():
            raise ConfigError(f"{given}: no such file or folder; check the path")
        files, wrong = list_files(given)
        faults += map(str, wrong)
        for name, path in files:
            try:
                if recognize_kind(path) == "dicom":
                    found.append(path)
                elif path == given:
                    faults.append(str(Fault(name, "not a DICOM file", todo="leave it out")))
                else:
                    other += 1
            except (DamageError, OSError):
                faults.append(str(Fault(name, "not a readable DICOM file", todo="leave it out")))
    if not found and not faults:
        raise ConfigError(f"{', '.join(map(str, inputs))}: no DICOM files here; check the path")
    return found, faults, other


def read_uids(path: Path) -> tuple[str, str]:
    """Read the UIDs of study and instance.

    Raises:
        DamageError: it is no DICOM file, or lacks one.
        OSError: it cannot be opened.
    """
    from polypskd.cohort.dicom import read_attributes

    told = read_attributes(path, {"i": "SOPInstanceUID", "s": "StudyInstanceUID"}).columns
    if not (is_uid(told["i"]) and is_uid(told["s"])):
        raise DamageError("has no UID of a study or instance", todo="leave it out")
    return told["s"], told["i"]
