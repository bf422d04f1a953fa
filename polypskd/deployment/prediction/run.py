"""The work of `predict`: every frame judged once, in order, by as many threads as wished.

Each thread takes a few files at a time and does all with them: read, hash, decode, hold against the
limits, prepare, predict. OpenCV, the JPEG decoder and ONNX Runtime let other threads run meanwhile,
so one decodes while another predicts. What comes back is noted in the order of the files.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from polypskd.artifacts import fingerprint, lock_run
from polypskd.deployment.auditing.run import RunRecord, list_inputs
from polypskd.deployment.bundle import Bundle
from polypskd.deployment.prediction.inputs import Sources
from polypskd.deployment.prediction.journal import FOLDER, PredictionJournal, check_own
from polypskd.deployment.prediction.judging import Judge
from polypskd.deployment.prediction.leftovers import (
    count_other_frames,
    list_other_studies,
    refuse_leftovers,
)
from polypskd.deployment.prediction.parts import Part, PartJudge, list_parts
from polypskd.deployment.prediction.tables import (
    CSV,
    FAULTS,
    JSON,
    list_answers,
    list_faults,
    write_csv,
    write_faults,
    write_json,
)
from polypskd.errors import Fault

FORM = 1  # raised when the journal or the way of judging changes
AHEAD = 3  # parts a thread that wait for it or for those before them
Listen = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Wish:
    """How it is done; no answer hangs on `threads` or `batch`.

    Args:
        threads: at work at a time.
        batch: image files that a thread takes at a time.
        stride: every n-th frame of videos.
        overwrite: whether answers of files that are not among the inputs are dropped; else the
            folder that holds some is refused.
        dicom: whether DICOM results are made next, so that those of other studies count, too.
    """

    threads: int = 1
    batch: int = 8
    stride: int = 1
    overwrite: bool = False
    dicom: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Args:
        frames: number of answers.
        known: of these, found by a run before.
        predicted: class → number of frames.
        abstained: reason, without its numbers → number of frames.
        faults: number of files or frames that cannot be read.
        shown: the first of them.
        other: number of files that hold no frames.
        dropped: number of answers of other files that were dropped.
    """

    frames: int
    known: int
    predicted: dict[str, int]
    abstained: dict[str, int]
    faults: int
    shown: tuple[Fault, ...]
    other: int
    dropped: int = 0


def predict_sources(
    bundle: Bundle,
    sources: Sources,
    out: Path,
    wish: Wish,
    listen: Listen = lambda event: None,
    record: RunRecord | None = None,
) -> Outcome:
    """Judge every frame of files, and write predictions.csv, predictions.json and faults.csv.

    Args:
        bundle: as `open_bundle` gives it.
        sources: as `list_sources` gives them.
        out: where the results go; what a killed run has done there is not done again.
        wish: how.
        listen: told of the progress.
        record: of the run in the audit log; told of every file before a result is written.

    Raises:
        ArtifactError: the network cannot be loaded.
        OutputError: the folder or the audit log cannot be written to, or holds something else, or
            answers of other files that are not to be dropped.
    """
    judge = Judge(bundle)
    options = name_options(bundle, wish)
    check_own(out, options)
    with lock_run(out / FOLDER):
        dropped = _find_leftovers(out, sources, wish)
        journal = PredictionJournal(out, options)
        try:
            worker = PartJudge(judge, journal, wish.stride)
            known = _work(worker, sources, wish, listen)
            if record is not None:
                record.note(list_inputs(journal.read()))
            outcome = _write_tables(bundle, sources, journal, out, known)
            journal.finish()
        finally:
            journal.close()
    return replace(outcome, dropped=dropped)


def name_options(bundle: Bundle, wish: Wish) -> dict[str, Any]:
    """Name what the answers depend on beside the files."""
    options = {"form": FORM, "model": bundle.model_hash, "stride": wish.stride}
    if bundle.precision != "float32":
        options["precision"] = bundle.precision
    return options | {"limits": bundle.limits.to_page()}


def describe_run(bundle: Bundle, wish: Wish) -> dict[str, str]:
    """Describe a run for the audit log."""
    return {
        "bundle_name": bundle.manifest.name,
        "bundle_version": bundle.manifest.version,
        "model_sha256": bundle.model_hash,
        "config_sha256": fingerprint(name_options(bundle, wish)),
    }


def _find_leftovers(out: Path, sources: Sources, wish: Wish) -> int:
    """Count the answers that go, before anything is changed; refuse to drop them unasked."""
    others = count_other_frames(out, {source.name for source in sources.files})
    if not wish.overwrite:
        refuse_leftovers(out, others, 0)
        if wish.dicom:
            refuse_leftovers(out, 0, len(list_other_studies(out, sources)))
    return others


def _work(worker: PartJudge, sources: Sources, wish: Wish, listen: Listen) -> int:
    """Judge all parts, and note them in their order; tell how many frames were known."""
    import cv2

    cv2.setNumThreads(1)  # the threads are ours
    waiting: deque[tuple[Part, Future[list[bytes]]]] = deque()
    todo = len(sources.files)
    done = 0

    def take() -> None:
        nonlocal done
        part, future = waiting.popleft()
        for line in future.result():
            worker.journal.append(line)
        done += len(part.numbers) or len(part.sources)
        listen({"step": "predict", "event": "progress", "done": done, "total": max(todo, done)})

    listen({"step": "predict", "event": "start"})
    pool = ThreadPoolExecutor(wish.threads, thread_name_prefix="predict")
    try:
        for part in list_parts(sources.files, worker.bundle, batch=wish.batch, stride=wish.stride):
            if part.numbers:
                # A video counts as one until its frames are counted.
                todo += len(part.numbers) - (part.numbers[0] == 0)
            waiting.append((part, pool.submit(worker.judge, part)))
            if len(waiting) > AHEAD * wish.threads:
                take()
        while waiting:
            take()
    finally:
        pool.shutdown(cancel_futures=True)
    listen({"step": "predict", "event": "done"})
    return worker.known


def _write_tables(
    bundle: Bundle, sources: Sources, journal: PredictionJournal, out: Path, known: int
) -> Outcome:
    predicted: Counter[str] = Counter()
    abstained: Counter[str] = Counter()
    frames = 0
    faults = list(sources.faults)
    for entry in journal.read():
        faults += list_faults(entry)
        for answer in list_answers(entry):
            frames += 1
            if answer.abstained:
                abstained[answer.abstained.partition(" (")[0].partition(": risk")[0]] += 1
            else:
                predicted[answer.predicted] += 1
    faults.sort()
    write_csv(out / CSV, _read_answers(journal), bundle.classes)
    write_json(out / JSON, _read_answers(journal), bundle)
    write_faults(out / FAULTS, faults)
    return Outcome(
        frames=frames,
        known=known,
        predicted={name: predicted[name] for name in bundle.classes},
        abstained=dict(sorted(abstained.items())),
        faults=len(faults),
        shown=tuple(faults[:50]),
        other=sources.other,
    )


def _read_answers(journal: PredictionJournal) -> Iterator[Any]:
    for entry in journal.read():
        yield from list_answers(entry)
