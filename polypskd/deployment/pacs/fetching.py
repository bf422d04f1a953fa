"""Instances that we asked for, as they come in; what was not asked for is not taken.

C-GET sends them over the association that asks, C-MOVE to a server of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polypskd.artifacts import describe_fault
from polypskd.deployment.pacs.archive import InstanceEntry, name_file
from polypskd.deployment.pacs.association import Line, drop
from polypskd.deployment.pacs.contexts import (
    EXPLICIT,
    IMPLICIT,
    JPEG,
    MOST,
    build_contexts,
    list_pairs,
)
from polypskd.errors import ArchiveError, OutputError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MOVE = "1.2.840.10008.5.1.4.1.2.2.2"  # study root
GET = "1.2.840.10008.5.1.4.1.2.2.3"
PENDING = {0xFF00, 0xFF01}
DONE = {0x0000, 0xB000}  # the second: some of it failed, which shows by what is missing
AT_ONCE = 100  # instances of one request: each UID has up to 64 letters
MOST_ANSWERS = 10_000  # to one request
NOT_ASKED_FOR, FULL = 0xA900, 0xA700


@dataclass
class Basket:
    """Takes the instances that were asked for into a folder.

    Args:
        folder: where they appear, each under its UID.
        wanted: their UIDs.
    """

    folder: Path
    wanted: set[str]
    fault: OSError | None = field(default=None)

    def take(self, event: Any) -> int:
        """Take one; give the status of the answer."""
        part = event.request.DataSet
        sop_uid = str(event.request.AffectedSOPInstanceUID)
        try:
            path = part.finish() if part is not None else None
            if part is None or part.too_large or path is None:
                self.fault = self.fault or (part.fault if part is not None else None)
                return FULL
            if sop_uid not in self.wanted:
                return NOT_ASKED_FOR
            path.replace(name_file(self.folder, sop_uid))
            return 0
        except OSError as error:
            self.fault = self.fault or error
            return FULL
        finally:
            if part is not None:
                part.discard()


def fetch_by_get(
    line: Line, study_uid: str, instances: Sequence[InstanceEntry], folder: Path
) -> ArchiveError | None:
    """Fetch instances over the association that asks for them (C-GET).

    Args:
        line: the way to the archive.
        study_uid: of their study.
        instances: that are wanted.
        folder: where they appear.

    Returns:
        The first refusal, where there was one; what came all the same is in the folder.

    Raises:
        ArchiveError: the archive cannot be asked, or is lost on the way.
        OutputError: the disk is full.
    """
    from pynetdicom import build_role, evt

    pairs = _list_pairs(instances)
    contexts = build_contexts([(GET, EXPLICIT), *pairs])
    roles = [build_role(one, scp_role=True) for one in dict.fromkeys(pair[0] for pair in pairs)]
    basket = Basket(folder, {one.sop_uid for one in instances})
    fault: ArchiveError | None = None
    association = line.open(contexts, folder, roles, [(evt.EVT_C_STORE, basket.take)])
    try:
        for question in _ask_for(study_uid, instances):
            with closing(association.send_c_get(question, GET)) as told:
                fault = _follow(line, basket, told, "C-GET") or fault
        association.release()
    finally:
        drop(association)
    return fault


def fetch_by_move(
    line: Line, study_uid: str, instances: Sequence[InstanceEntry], folder: Path
) -> ArchiveError | None:
    """Let instances be sent to a server of ours (C-MOVE).

    Args:
        line: the way to the archive, which knows our title, host and port.
        study_uid: of their study.
        instances: that are wanted.
        folder: where they appear.

    Returns:
        The first refusal, where there was one; what came all the same is in the folder.

    Raises:
        ArchiveError: the archive cannot be asked, or is lost on the way.
        OutputError: the disk is full.
    """
    from polypskd.deployment.pacs.incoming import Intake
    from polypskd.deployment.pacs.serving import Place, serve

    settings = line.settings
    basket = Basket(folder, {one.sop_uid for one in instances})
    fault: ArchiveError | None = None
    transfer = line.transfer
    place = Place(
        host=settings.listen_host,
        port=settings.listen_port or 0,
        title=settings.calling_ae,
        callers=(settings.called_ae,),
        tls=settings.tls,
    )
    intake = Intake(folder, transfer.most_megabytes << 20, transfer.read_s, sync=False)
    with serve(place, intake, basket.take, _list_pairs(instances)):
        association = line.open(build_contexts([(MOVE, EXPLICIT), (MOVE, IMPLICIT)]))
        try:
            for question in _ask_for(study_uid, instances):
                told = association.send_c_move(question, settings.calling_ae, MOVE)
                with closing(told):
                    fault = _follow(line, basket, told, "C-MOVE") or fault
            association.release()
        finally:
            drop(association)
    return fault


def _follow(line: Line, basket: Basket, told: Iterator[Any], doing: str) -> ArchiveError | None:
    """Follow the answers to one request until the last; give what is wrong with it, if anything.

    Raises:
        ArchiveError: the archive was lost on the way.
        OutputError: the disk is full.
    """
    for number, (status, _) in enumerate(told):
        code = status.get("Status")
        if number > MOST_ANSWERS:
            return ArchiveError(f"{line}: {doing} brings answers without end")
        if basket.fault is not None and code is not None:
            raise OutputError(f"{basket.folder}: {describe_fault(basket.fault)}")
        if code is None:
            raise line.explain_status(status, doing)
        if code not in PENDING and code not in DONE:
            return line.explain_status(status, doing)
    return None


def _list_pairs(instances: Sequence[InstanceEntry]) -> list[tuple[str, str]]:
    """List what is offered to be taken, within what fits into an association."""
    pairs = list_pairs()
    known = {sop_class for sop_class, _ in pairs}
    others = sorted({one.sop_class for one in instances if one.sop_class} - known)
    more = [(one, syntax) for one in others for syntax in (JPEG, EXPLICIT, IMPLICIT)]
    return [*pairs, *more][: MOST - 1]


def _ask_for(study_uid: str, instances: Sequence[InstanceEntry]) -> Iterator[Dataset]:
    """Build the questions: instances of one series each, not too many at once."""
    from pydicom.dataset import Dataset

    in_order = sorted(instances, key=lambda one: (one.series_uid, one.sop_uid))
    for series_uid, group in groupby(in_order, key=lambda one: one.series_uid):
        uids = [one.sop_uid for one in group]
        for start in range(0, len(uids), AT_ONCE):
            question = Dataset()
            question.QueryRetrieveLevel = "IMAGE"
            question.StudyInstanceUID = study_uid
            question.SeriesInstanceUID = series_uid
            question.SOPInstanceUID = uids[start : start + AT_ONCE]
            yield question
