"""All studies that match now, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polypskd.artifacts import file_hash
from polypskd.deployment.bundle import EVIDENCE
from polypskd.deployment.pacs.archive import Archive
from polypskd.deployment.pacs.journal import open_journal
from polypskd.deployment.pacs.outcome import Outcome
from polypskd.deployment.pacs.settings import DicomWeb, Settings
from polypskd.deployment.pacs.stopping import Stop
from polypskd.deployment.pacs.study_judging import StudyJudge
from polypskd.deployment.pacs.worker import StudyWorker
from polypskd.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from polypskd.deployment.auditing.run import RunRecord
    from polypskd.deployment.bundle import Bundle

SHOWN = 20
PICTURES = ("presentation_state", "secondary_capture")  # results that show a region
Listen = Callable[[dict[str, Any]], None]


@dataclass
class Summary:
    """What came of studies, added up.

    Attributes:
        states: state → number of studies, as they stand in the end.
        known: of these, done before.
        frames: number of answers.
        unread: number of files or frames that cannot be read.
        stored: number of results that were sent.
        incomplete: number of studies with results of which something was left out.
        failures: name of a study and what is wrong with it, the first of them.
    """

    states: Counter[str] = field(default_factory=Counter)
    known: int = 0
    frames: int = 0
    unread: int = 0
    stored: int = 0
    incomplete: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)

    @property
    def has_faults(self) -> bool:
        """Whether something of the input was faulty."""
        return bool(self.states["failed"] or self.unread or self.incomplete)

    def add(self, outcome: Outcome) -> None:
        """Add what came of one study."""
        standing = outcome.standing
        self.states[standing.state] += 1
        self.known += outcome.known
        self.frames += outcome.frames
        self.unread += outcome.unread
        self.stored += outcome.stored
        self.incomplete += bool(outcome.left_out)
        why = standing.reason if standing.state == "failed" else outcome.left_out
        if why and len(self.failures) < SHOWN:
            self.failures.append((standing.name, why))


def open_archive(settings: Settings) -> Archive:
    """Open the connection to an archive; nothing is asked yet.

    Raises:
        ConfigError: the extra is not installed, or a secret or certificate cannot be read.
    """
    archive = settings.archive
    try:
        if isinstance(archive, DicomWeb):
            from polypskd.deployment.pacs.dicomweb import DicomWebArchive

            return DicomWebArchive(archive, settings.transfer)
        from polypskd.deployment.pacs.dimse import DimseArchive

        return DimseArchive(archive, settings.transfer)
    except ImportError:
        raise ConfigError("an archive needs more packages; pip install 'polypskd[pacs]'") from None


@contextmanager
def open_worker(
    settings: Settings, bundle: Bundle, out: Path, stop: Stop, threads: int = 1
) -> Iterator[StudyWorker]:
    """Open all that studies need: archive, network, journal; the archive is asked for an answer.

    Args:
        settings: as `read_settings` gives them.
        bundle: as `open_bundle` gives it.
        out: the folder of the journal.
        stop: whether the process was told to stop.
        threads: frames judged at a time, where the settings do not say.

    Raises:
        ArchiveError: the archive does not answer, or not to us.
        ConfigError: a package, secret or certificate is missing.
        ArtifactError: results are wished that the bundle cannot give.
        OutputError: another process works there, or the folder is of other settings.
    """
    check_wishes(settings, bundle)
    archive = open_archive(settings)
    try:
        archive.echo()
        with open_journal(out, name_options(settings, bundle)) as journal:
            judge = StudyJudge(bundle, settings.threads or threads, settings.stride, stop)
            try:
                yield StudyWorker(archive, judge, journal, out, settings, stop)
            finally:
                judge.close()
    finally:
        archive.close()


def check_wishes(settings: Settings, bundle: Bundle) -> None:
    """Check that all kinds of results can be made, before a study is fetched for them.

    Args:
        settings: what is to be sent.
        bundle: that it is made with.

    Raises:
        ArtifactError: the bundle cannot tell where it looked.
        ConfigError: the report is no PDF file, or highdicom is not installed.
    """
    from polypskd.deployment.dicom_objects.dicom_results import check_library
    from polypskd.deployment.dicom_objects.encapsulated_pdf import read_pdf

    check_library()
    pictures = [kind for kind in settings.send if kind in PICTURES]
    if pictures and EVIDENCE not in bundle.manifest.files:
        raise ArtifactError(
            f"{bundle.folder}: has no {EVIDENCE}, so that no region can be shown; export the run "
            f"again, or take {' and '.join(pictures)} out of send: in the settings"
        )
    if settings.report is not None:
        try:
            read_pdf(settings.report)
        except ConfigError as error:
            # What is wrong, without the option of another verb that mends it there.
            what = str(error).partition(";")[0]
            raise ConfigError(f"{what}; name a PDF file as report: in the settings") from None


def name_options(settings: Settings, bundle: Bundle) -> dict[str, Any]:
    """Name what the entries of a journal hang on: model, limits, kinds of results, archive."""
    archive = settings.archive
    # Not C-GET or C-MOVE: what is noted as answered over the one is so over the other.
    where = [archive.url] if isinstance(archive, DicomWeb) else [archive.host, archive.called_ae]
    return {
        "model": bundle.model_hash,
        "limits": bundle.limits.model_dump(mode="json"),
        "stride": settings.stride,
        "send": sorted(settings.send),
        "report": file_hash(settings.report) if settings.report else "",
        "archive": where,
    }


def answer_studies(
    worker: StudyWorker, listen: Listen = lambda event: None, record: RunRecord | None = None
) -> Summary:
    """Answer all studies that match now.

    Args:
        worker: as `open_worker` gives it.
        listen: told of the progress.
        record: of the run in the audit log.

    Raises:
        ArchiveError: the archive cannot be reached any longer; the same call goes on from there.
        OutputError: the disk is full.
        KeyboardInterrupt: told to stop.
    """
    worker.record, worker.listen = record, listen
    summary = Summary()
    listen({"step": "pacs", "event": "start"})
    studies = worker.find()
    for done, study in enumerate(studies):
        about = {"step": "pacs", "event": "progress", "counts": True}
        listen(about | {"done": done, "total": len(studies)})
        worker.stop.check()
        known = worker.journal.find(study.study_uid)
        if known is not None and worker.is_done(study):
            summary.add(Outcome(known, known=True))
        else:
            summary.add(worker.work(study.study_uid))
    listen({"step": "pacs", "event": "done"})
    return summary
