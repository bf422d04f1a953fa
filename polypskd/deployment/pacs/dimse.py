"""An archive that is spoken with by DIMSE: C-ECHO, C-FIND, C-GET or C-MOVE, C-STORE."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polypskd.deployment.pacs.archive import (
    InstanceEntry,
    Query,
    Refusal,
    StudyEntry,
    is_uid,
    name_file,
)
from polypskd.deployment.pacs.association import TAKEN, Line, drop
from polypskd.deployment.pacs.connections import Dimse
from polypskd.deployment.pacs.contexts import (
    EXPLICIT,
    IMPLICIT,
    MOST,
    build_contexts,
    name_pair,
    read_pair,
)
from polypskd.deployment.pacs.dimse_answers import read_study, read_value
from polypskd.deployment.pacs.settings import Transfer
from polypskd.deployment.pacs.statuses import describe_status
from polypskd.errors import ArchiveError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

VERIFICATION = "1.2.840.10008.1.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # study root

PENDING = {0xFF00, 0xFF01}
WARNING = 0xB000
MOST_INSTANCES = 1_000_000  # of one answer
AT_ONCE = 100  # instances of one request
MOST_LOST = 3  # files at which the connection is lost


class DimseArchive:
    """An archive that speaks DIMSE; associations are kept for what follows. Used by one thread.

    Args:
        settings: where it is, and who we are.
        transfer: patience and limits.

    Raises:
        ConfigError: pynetdicom is not installed, or a certificate is not as it must be.
    """

    def __init__(self, settings: Dimse, transfer: Transfer) -> None:
        self._line = Line(settings, transfer)
        self._asking: Any = None

    def echo(self) -> str:
        """Ask whether it answers (C-ECHO); say what was reached.

        Raises:
            ArchiveError: it does not.
        """
        with self._open(build_contexts([(VERIFICATION, IMPLICIT)])) as association:
            status = association.send_c_echo()
        if status.get("Status") != 0:
            raise self._line.explain_status(status, "C-ECHO")
        settings = self._line.settings
        secured = "without TLS" if settings.tls is None else "by TLS"
        return f"{settings.called_ae} at {self._line} answers over DIMSE {secured}"

    def find(self, query: Query) -> list[StudyEntry]:
        """List the studies that match (C-FIND), the oldest first, each once.

        Raises:
            ArchiveError: it cannot be asked, or more match than are wanted.
        """
        found: dict[str, StudyEntry] = {}
        # Several values of a key that is no UID are beyond what an archive must understand.
        for modality in query.modalities or ("",):
            asked = {
                "StudyInstanceUID": query.study_uid,
                "StudyDate": query.days,
                "StudyTime": "",
                "StudyDescription": query.description,
                "ModalitiesInStudy": modality,
                "NumberOfStudyRelatedInstances": "",
            }
            for answer in self._find("STUDY", asked, query.most + 1):
                entry = read_study(answer)
                if entry is None or (
                    modality and {modality}.isdisjoint(entry.modalities or [modality])
                ):
                    continue
                found.setdefault(entry.study_uid, entry)
        if len(found) > query.most:
            raise ArchiveError(
                f"{self._line}: more than {query.most:,} match; narrow the query (dates, station), "
                "or raise query.most"
            )
        return sorted(found.values(), key=lambda entry: (entry.when, entry.study_uid))

    def list_instances(self, study_uid: str) -> list[InstanceEntry]:
        """List all instances of a study, sorted by UID; none where the study is gone.

        Raises:
            ArchiveError: it cannot be asked.
        """
        asked = dict.fromkeys(("Modality", "SeriesDescription", "StationName"), "")
        asked |= {"StudyInstanceUID": study_uid, "SeriesInstanceUID": ""}
        found: dict[str, InstanceEntry] = {}
        for series in list(self._find("SERIES", asked, MOST_INSTANCES)):
            series_uid = read_value(series, "SeriesInstanceUID")
            if not is_uid(series_uid):
                continue
            wanted = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
            wanted |= {"SOPInstanceUID": "", "SOPClassUID": ""}
            for answer in self._find("IMAGE", wanted, MOST_INSTANCES):
                sop_uid, sop_class = (
                    read_value(answer, "SOPInstanceUID"),
                    read_value(answer, "SOPClassUID"),
                )
                if not is_uid(sop_uid):
                    continue
                found[sop_uid] = InstanceEntry(
                    sop_uid=sop_uid,
                    sop_class=sop_class if is_uid(sop_class) else "",
                    series_uid=series_uid,
                    modality=read_value(series, "Modality"),
                    series_description=read_value(series, "SeriesDescription"),
                    station=read_value(series, "StationName"),
                )
        return [found[uid] for uid in sorted(found)]

    def fetch(self, study_uid: str, instances: Sequence[InstanceEntry], folder: Path) -> list[Path]:
        """Fetch instances into a folder (C-GET or C-MOVE), each in the syntax that it is stored in.

        Raises:
            ArchiveError: it cannot be asked, or does not send what it has; `gone` where it has
                none of them any longer.
            OutputError: the disk is full.
        """
        from polypskd.deployment.pacs.fetching import fetch_by_get, fetch_by_move

        by = fetch_by_get if self._line.settings.retrieve == "get" else fetch_by_move
        folder.mkdir(parents=True, exist_ok=True)
        paths = {one.sop_uid: name_file(folder, one.sop_uid) for one in instances}
        waiting = [one for one in instances if not paths[one.sop_uid].exists()]
        while waiting:
            fault = by(self._line, study_uid, waiting, folder)
            missing = {one.sop_uid for one in waiting if not paths[one.sop_uid].exists()}
            held = self.holds(study_uid, missing) if missing else set()
            # For one that is gone an archive may send none of the others, either.
            left = [one for one in waiting if one.sop_uid in held]
            if len(left) == len(waiting):
                raise fault or ArchiveError(
                    f"{self._line}: holds {len(left)} instances that it does not send; it may "
                    "have them in a class or transfer syntax that was not agreed on"
                )
            waiting = left
        there = [path for path in paths.values() if path.exists()]
        if not there and instances:
            raise ArchiveError(f"{self._line}: the study is no longer there", gone=True)
        return there

    def store(self, files: Sequence[Path]) -> list[Refusal]:
        """Store files (C-STORE), as they lie there; give those that were refused.

        Raises:
            ArchiveError: it cannot be reached, or was lost on the way.
        """
        refused: list[Refusal] = []
        turn = iter(files)
        while batch := list(islice(turn, AT_ONCE)):
            refused += self._store(batch)
        return refused

    def _store(self, files: Sequence[Path]) -> list[Refusal]:
        left = {path: read_pair(path) for path in files}
        refused: list[Refusal] = []
        suspect: Path | None = None
        lost = 0
        while left:
            path, error = self._store_until_lost(left, refused)
            if error is None:
                break
            if path != suspect:  # once may be the line; twice at its very beginning is the file
                suspect = path
                continue
            lost += 1
            if lost == MOST_LOST:  # it is not theirs
                raise error
            refused.append(Refusal(path, f"{error}; is the file whole?"))
            del left[path]
        return refused

    def _store_until_lost(
        self, left: dict[Path, tuple[str, str]], refused: list[Refusal]
    ) -> tuple[Path, ArchiveError | None]:
        """Store files over one association; give the last one, and how the line was lost with it.

        Args:
            left: files with class and transfer syntax; what is answered for is taken out.
            refused: where refusals go.
        """
        with self._open(build_contexts(sorted({*left.values()}))) as association:
            agreed = {
                (str(one.abstract_syntax), str(one.transfer_syntax[0]))
                for one in association.accepted_contexts
            }
            for path, pair in [*left.items()]:
                if pair in agreed:
                    status = association.send_c_store(path)
                    code = status.get("Status")
                    if code is None:
                        return path, self._line.explain_status(status, "C-STORE")
                    if code not in TAKEN:
                        words, passes = describe_status(code)
                        refused.append(Refusal(path, f"{self._line}: {words}", passes))
                else:
                    refused.append(Refusal(path, f"{self._line}: it takes no {name_pair(pair)}"))
                del left[path]
        return path, None

    def holds(self, study_uid: str, sop_uids: Collection[str]) -> set[str]:
        """Tell which of some instances the study has.

        Raises:
            ArchiveError: it cannot be asked.
        """
        return {*sop_uids} & {one.sop_uid for one in self.list_instances(study_uid)}

    def close(self) -> None:
        """Let go of the connection."""
        association, self._asking = self._asking, None
        if association is not None and association.is_established:
            association.release()
        drop(association)

    @contextmanager
    def _open(self, contexts: Sequence[Any]) -> Iterator[Any]:
        """Open an association for one purpose, and release it."""
        if len(contexts) > MOST:
            raise ArchiveError(f"{self._line}: too many kinds of objects at once")
        association = self._line.open(contexts)
        try:
            yield association
            if association.is_established:
                association.release()
        finally:
            drop(association)

    def _find(self, level: str, asked: dict[str, str], most: int) -> Iterator[Dataset]:
        """Ask by C-FIND, over the association that stands, or a new one."""
        reused = self._asking is not None and self._asking.is_established
        try:
            answers = self._ask(level, asked, most)
        except ArchiveError as error:
            # One that stood too long may have been closed by the other side meanwhile.
            if not (reused and error.transient):
                raise
            answers = self._ask(level, asked, most)
        yield from answers

    def _ask(self, level: str, asked: dict[str, str], most: int) -> list[Dataset]:
        from pydicom.dataset import Dataset

        if self._asking is None or not self._asking.is_established:
            drop(self._asking)
            self._asking = None
            contexts = build_contexts([(FIND, EXPLICIT), (FIND, IMPLICIT)])
            self._asking = self._line.open(contexts)
        question = Dataset()
        question.QueryRetrieveLevel = level
        for keyword, value in asked.items():
            setattr(question, keyword, value)
        association, self._asking = self._asking, None
        answers = []
        with closing(association.send_c_find(question, FIND)) as told:
            for status, answer in told:
                code = status.get("Status")
                if code == 0:
                    self._asking = association
                elif code not in PENDING:
                    drop(association)
                    raise self._line.explain_status(status, "C-FIND")
                elif answer is None:
                    drop(association)
                    raise ArchiveError(f"{self._line}: gives an answer that cannot be read")
                else:
                    answers.append(answer)
                    if len(answers) == most:
                        break
        if self._asking is None:  # there was more, which nobody waits for
            drop(association)
        return answers
