"""The network over the files of one study after another; it is loaded once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from polypskd.deployment.pacs.stopping import Stop
from polypskd.deployment.prediction.inputs import Source, show_name
from polypskd.deployment.prediction.journal import Entry, PredictionJournal
from polypskd.deployment.prediction.judging import Judge
from polypskd.deployment.prediction.parts import PartJudge, list_parts
from polypskd.deployment.prediction.tables import list_answers
from polypskd.deployment.results import Verdict
from polypskd.errors import Fault

if TYPE_CHECKING:
    from polypskd.deployment.bundle import Bundle
    from polypskd.deployment.results import Answer


@dataclass(frozen=True)
class Judgement:
    """What is said of the files of one study.

    Args:
        entries: as the journal of `predict` has them, for the audit log.
        answers: of all frames.
        unread: number of files or frames that cannot be read.
        first_fault: what is wrong with the first of these, without its name.
    """

    entries: tuple[Entry, ...]
    answers: tuple[Answer, ...]
    unread: int
    first_fault: str


class _StoppableJudge(Judge):
    """Judges no further frame once told to stop: a video of an hour is one piece of work."""

    def __init__(self, bundle: Bundle, stop: Stop) -> None:
        super().__init__(bundle)
        self._stop = stop

    def judge(self, pixels: NDArray[np.uint8]) -> Verdict:
        self._stop.check()
        return super().judge(pixels)


class StudyJudge:
    """A bundle's network with threads of its own.

    Args:
        bundle: as `open_bundle` gives it.
        threads: frames judged at a time.
        stride: every n-th frame of videos.
        stop: whether the process was told to stop; asked before each frame.

    Raises:
        ConfigError: ONNX Runtime is not installed.
        ArtifactError: the network is no network of ours.
    """

    def __init__(self, bundle: Bundle, threads: int, stride: int, stop: Stop) -> None:
        import cv2

        cv2.setNumThreads(1)  # the threads are ours
        self.bundle = bundle
        self.stride = stride
        self._judge = _StoppableJudge(bundle, stop)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="study")

    def judge(self, files: Sequence[Path], folder: Path) -> Judgement:
        """Judge the files of one study.

        Args:
            files: DICOM files, with names of their own.
            folder: for what is noted on the way; it may be thrown away.

        Raises:
            OutputError: the folder cannot be written to.
            KeyboardInterrupt: told to stop.
        """
        sources = [Source(path, show_name(path.name), "dicom") for path in files]
        sources.sort(key=lambda source: source.name)
        journal = PredictionJournal(folder, {"stride": self.stride})
        try:
            judge = PartJudge(self._judge, journal, self.stride)
            parts = list_parts(sources, self.bundle, batch=1, stride=self.stride)
            lines = [line for told in self._pool.map(judge.judge, parts) for line in told]
        finally:
            journal.close()
        entries: tuple[dict[str, Any], ...] = tuple(json.loads(line) for line in lines)
        faults = [fault for entry in entries for fault in entry["faults"]]
        return Judgement(
            entries=entries,
            answers=tuple(answer for entry in entries for answer in list_answers(entry)),
            unread=len(faults),
            first_fault=_tell_fault(*faults[0]) if faults else "",
        )

    def close(self) -> None:
        """End the threads; what waits is not begun."""
        self._pool.shutdown(cancel_futures=True)


def _tell_fault(where: str, *fault: str) -> str:
    """Tell a fault without its place, which is a UID."""
    return str(Fault("", *fault)).removeprefix(": ")
