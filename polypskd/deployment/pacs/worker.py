"""One study after another: fetch, judge, send, note; and nothing of a patient stays behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from polypskd.deployment.auditing.run import list_inputs
from polypskd.deployment.dicom_objects.result_objects import ResultWish
from polypskd.deployment.pacs.archive import Archive, InstanceEntry, StudyEntry
from polypskd.deployment.pacs.desk import Desk
from polypskd.deployment.pacs.instance_files import read_uid
from polypskd.deployment.pacs.journal import FOLDER, Standing, StudyJournal, digest_inputs
from polypskd.deployment.pacs.outcome import Alike, Outcome
from polypskd.deployment.pacs.retry import call_again
from polypskd.deployment.pacs.sending import send_files
from polypskd.deployment.pacs.stopping import Stop
from polypskd.deployment.pacs.study_inputs import find_stranger, select_files, select_inputs
from polypskd.deployment.pacs.study_judging import StudyJudge
from polypskd.errors import ArchiveError

if TYPE_CHECKING:
    from polypskd.deployment.auditing.run import RunRecord
    from polypskd.deployment.pacs.settings import Settings

Result = TypeVar("Result")
ROUNDS = 3  # so often a study may change while it is fetched
DESK = "desk"
DONE = frozenset({"sent", "empty"})
Listen = Callable[[dict[str, Any]], None]


class StudyWorker:
    """Does all that is to be done with a study.

    Args:
        archive: where studies come from and results go.
        judge: the network, loaded.
        journal: of the folder.
        out: the folder.
        settings: which results, which series, patience.
        stop: whether the process was told to stop.

    Attributes:
        record: of the run in the audit log; told of every file before a result is sent.
        listen: told of waits.
    """

    def __init__(
        self,
        archive: Archive,
        judge: StudyJudge,
        journal: StudyJournal,
        out: Path,
        settings: Settings,
        stop: Stop,
    ) -> None:
        self.archive, self.journal = archive, journal
        self.record: RunRecord | None = None
        self.listen: Listen = lambda event: None
        self.stop = stop
        self._judge = judge
        self._desk = Desk(out / FOLDER / DESK, self.stop)
        self._settings = settings
        self._query = settings.query.build_query()
        self._patience = settings.transfer.patience
        self._alike = Alike()

    def find(self) -> list[StudyEntry]:
        """Ask which studies match now, the oldest first.

        Raises:
            ArchiveError: it cannot be asked, or more match than are taken.
        """
        query = self._settings.query.build_query()
        return self.again(lambda: self.archive.find(query))

    def is_done(self, study: StudyEntry) -> bool:
        """Whether a study is known to be done, without asking for its instances."""
        known = self.journal.find(study.study_uid)
        return (
            known is not None
            and known.state in DONE
            and known.total > 0
            and known.total == study.count
        )

    def work(self, study_uid: str) -> Outcome:
        """Do all that is to be done with a study of the archive.

        Returns:
            What came of it, as it is noted; a fault of the study itself is no exception.

        Raises:
            ArchiveError: the archive cannot be reached or refuses us.
            OutputError: the disk is full, or the audit log cannot be written.
            KeyboardInterrupt: told to stop.
        """
        return self._guard(study_uid, lambda: self._work(study_uid))

    def work_files(self, study_uid: str, files: Sequence[Path]) -> Outcome:
        """Judge the files of a study that were sent to us, and send the results.

        Args:
            study_uid: of all of them.
            files: named by `archive.name_file`; they stay where they are.

        Raises:
            ArchiveError: as `work`.
            OutputError: as `work`.
            KeyboardInterrupt: told to stop.
        """
        return self._guard(study_uid, lambda: self._work_files(study_uid, files))

    def fail(self, study_uid: str, reason: str) -> Outcome:
        """Note that a study has failed."""
        known = self.journal.find(study_uid) or Standing(study_uid, "failed")
        standing = replace(known, state="failed", reason=reason, total=0)
        self.journal.note(standing)
        return Outcome(standing, final=False)

    def again(self, call: Callable[[], Result]) -> Result:
        """Call, and call again where the archive fails in a way that passes."""
        return call_again(call, self._patience, self.stop.event, self._tell_wait)

    def _guard(self, study_uid: str, work: Callable[[], Outcome]) -> Outcome:
        """Tell a fault of one study from a fault of the archive."""
        try:
            outcome = work()
        except ArchiveError as error:
            if error.transient:
                raise
            self.archive.echo()
            outcome = self.fail(study_uid, str(error))
        self._alike.check(outcome)
        return outcome

    def _work_files(self, study_uid: str, files: Sequence[Path]) -> Outcome:
        known = self.journal.find(study_uid)
        inputs = select_files(files, self._query, self.journal.results)
        begun = self._begin(study_uid, [path.stem for path in inputs], known, part=True)
        if begun is None:
            return Outcome(known or Standing(study_uid, "empty"), known=True)
        with self._desk.open() as desk:
            return self._answer(begun, inputs, desk)

    def _work(self, study_uid: str) -> Outcome:
        for _ in range(ROUNDS):
            known = self.journal.find(study_uid)
            instances = self.again(lambda: self.archive.list_instances(study_uid))
            inputs = select_inputs(instances, self._query, self.journal.results)
            if not instances:
                return self._note_gone(known or Standing(study_uid, "gone"))
            if known is not None and {*known.results}.issubset(one.sop_uid for one in instances):
                # Killed after the last was stored: judged anew, of files that the archive may give
                # in other bytes by now, they could come out under other UIDs.
                known = replace(known, state="sent") if known.results else known
            begun = self._begin(study_uid, [one.sop_uid for one in inputs], known)
            if begun is None:
                standing = known or Standing(study_uid, "empty")
                if not inputs:
                    standing = replace(standing, state="empty", inputs="", count=0)
                standing = replace(standing, total=len(instances), reason="")
                if standing != known:
                    self.journal.note(standing)
                return Outcome(standing, known=True)
            try:
                with self._desk.open() as desk:
                    files = self._fetch(begun, inputs, desk)
                    return self._answer(begun, files, desk, len(instances))
            except ArchiveError as error:
                if not error.gone:
                    raise
        return self.fail(study_uid, "it changes while it is fetched; the next run tries again")

    def _begin(
        self, study_uid: str, sop_uids: Sequence[str], known: Standing | None, *, part: bool = False
    ) -> Standing | None:
        """Note that a study is found; None where there is nothing to do.

        Args:
            study_uid: of the study.
            sop_uids: of what is judged.
            known: where the study stands.
            part: whether there may be more of the study elsewhere.
        """
        if not sop_uids:
            return None
        inputs, count = digest_inputs(sop_uids), len(sop_uids)
        same = known is not None and known.inputs == inputs
        # What was answered and has since lost an instance is not answered again.
        fewer = known is not None and count < known.count and not part
        if known is not None and known.state == "sent" and (same or fewer):
            return None
        moment = known.moment if known is not None and same else ""
        moment = moment or datetime.now(UTC).isoformat(timespec="seconds")
        results = known.results if known is not None and same else ()
        standing = Standing(study_uid, "found", inputs, count, moment, results)
        self.journal.note(standing)
        return standing

    def _fetch(self, begun: Standing, inputs: Sequence[InstanceEntry], desk: Path) -> list[Path]:
        files = self.again(lambda: self.archive.fetch(begun.study_uid, inputs, desk / "in"))
        if len(files) < len(inputs):
            raise ArchiveError("some instances are no longer there", gone=True)
        if find_stranger(files, begun.study_uid) is not None:
            raise ArchiveError("the archive gave other instances than were asked for")
        self.journal.note(replace(begun, state="fetched"))
        return files

    def _answer(
        self, begun: Standing, files: Sequence[Path], desk: Path, total: int = 0
    ) -> Outcome:
        """Judge files, send the results, note it.

        Args:
            begun: as noted.
            files: of the study.
            desk: for results.
            total: instances of the study in the archive; 0 where the files came another way, and
                need not be there.
        """
        from polypskd.deployment.dicom_objects.dicom_results import write_study_results

        said = self._judge.judge(files, desk / "judged")
        self.stop.check()
        if self.record is not None:
            self.record.note(list_inputs(said.entries))
        results = write_study_results(
            self._judge.bundle,
            said.answers,
            {path.name: path for path in files},
            desk / "results",
            self._build_wish(begun),
            said.unread,
        )
        judged = replace(begun, state="judged")
        self.journal.note(judged)
        left_out = results.faults[0].what if results.faults else ""
        if not results.files:
            return self._note_failed(judged, said.first_fault or left_out or "nothing to tell")
        uids = {read_uid(path): path for path in results.files}
        inputs = {path.stem for path in files}
        there = self.again(lambda: self.archive.holds(begun.study_uid, [*uids, *inputs]))
        if total and not there & inputs:
            return self._note_gone(judged)
        sending = replace(judged, state="sending", results=tuple(uids))
        with self.stop.hold():
            self.journal.note(sending)
            missing = {uid: path for uid, path in uids.items() if uid not in there}
            refused = send_files(self.archive, begun.study_uid, missing, self.again)
            if refused:
                return replace(self._note_failed(sending, refused[0].reason), final=False)
            sent = replace(sending, state="sent", total=total + len(missing) if total else 0)
            self.journal.note(sent)
        return Outcome(
            sent,
            frames=len(said.answers),
            unread=said.unread,
            stored=len(missing),
            left_out=left_out,
        )

    def _build_wish(self, begun: Standing) -> ResultWish:
        send = self._settings.send
        return ResultWish(
            moment=datetime.fromisoformat(begun.moment),
            presentation_state="presentation_state" in send,
            secondary_capture="secondary_capture" in send,
            report=self._settings.report if "pdf" in send else None,
        )

    def _note_gone(self, standing: Standing) -> Outcome:
        gone = replace(standing, state="gone", total=0)
        known = gone == self.journal.find(gone.study_uid)
        if not known:  # else the journal would grow with each poll
            self.journal.note(gone)
        return Outcome(gone, known=known)

    def _note_failed(self, standing: Standing, reason: str) -> Outcome:
        failed = replace(standing, state="failed", reason=reason, total=0)
        self.journal.note(failed)
        return Outcome(failed)

    def _tell_wait(self, error: ArchiveError, wait: float) -> None:
        self.listen({"step": "pacs", "event": "again", "why": str(error), "seconds": wait})
