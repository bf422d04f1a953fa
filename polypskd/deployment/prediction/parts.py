"""Some frames at a time: what one thread takes, and what it does with all of them."""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from polypskd.cohort.address import join_address
from polypskd.cohort.damage import DamageError
from polypskd.deployment.bundle import Bundle
from polypskd.deployment.prediction import shots
from polypskd.deployment.prediction.fast_jpeg import Room
from polypskd.deployment.prediction.inputs import Source
from polypskd.deployment.prediction.journal import Entry, PredictionJournal, write_line
from polypskd.deployment.prediction.judging import Judge
from polypskd.deployment.prediction.shots import Shot
from polypskd.errors import PolypskdError

PART = 64  # frames of a video that a thread takes at a time


@dataclass(frozen=True)
class Part:
    """What a thread takes at a time: some image files, a DICOM file, or some frames of a video.

    Args:
        sources: of the frames.
        numbers: of the frames of a video.
        sha256: of the video.
        damage: why the video cannot be opened.
    """

    sources: tuple[Source, ...]
    numbers: range = range(0)
    sha256: str = ""
    damage: DamageError | None = None


def list_parts(
    files: Sequence[Source], bundle: Bundle, *, batch: int, stride: int
) -> Iterator[Part]:
    """List the parts, in the order of the files; a video is opened when its turn comes.

    Args:
        files: sorted.
        bundle: for its limits.
        batch: image files of a part.
        stride: every n-th frame of a video.
    """
    images: list[Source] = []
    for source in files:
        if source.kind == "image":
            images.append(source)
            if len(images) < batch:
                continue
        if images:
            yield Part(tuple(images))
            images = []
        if source.kind == "dicom":
            yield Part((source,))
        elif source.kind == "video":
            yield from _list_video_parts(source, bundle.limits.max_megapixels, stride)
    if images:
        yield Part(tuple(images))


def _list_video_parts(source: Source, most: float, stride: int) -> Iterator[Part]:
    try:
        sha256 = shots.hash_file(source.path)
        numbers = range(0, shots.count_video(source.path, most), stride)
    except (DamageError, OSError) as error:
        yield Part((source,), damage=_tell(error))
        return
    for start in range(0, len(numbers), PART):
        yield Part((source,), numbers[start : start + PART], sha256)


class PartJudge:
    """Judges parts; shared by all threads.

    Args:
        judge: of the frames.
        journal: of the runs before.
        stride: every n-th frame of videos in DICOM files.
    """

    def __init__(self, judge: Judge, journal: PredictionJournal, stride: int) -> None:
        self.journal, self.bundle = journal, judge.bundle
        self._judge, self._stride = judge, stride
        self._most = judge.bundle.limits.max_megapixels
        self._room = Room()
        self._known: deque[int] = deque()  # appending is safe between threads

    @property
    def known(self) -> int:
        """How many frames were found in the journal."""
        return sum(self._known)

    def judge(self, part: Part) -> list[bytes]:
        """Judge the frames of a part; give the lines of the journal, one a file."""
        return [self._judge_source(source, part) for source in part.sources]

    def _judge_source(self, source: Source, part: Part) -> bytes:
        name = join_address(source.name, part.numbers[0] if part.numbers else None)
        entry: Entry = {"part": name, "source": source.name, "sha256": part.sha256}
        entry |= {"frames": [], "faults": []}
        try:
            if part.damage is not None:
                raise part.damage
            data = shots.read_image(source.path) if source.kind == "image" else b""
            if data:
                entry["sha256"] = hashlib.sha256(data).hexdigest()
            elif source.kind == "dicom":
                entry["sha256"] = shots.hash_file(source.path)
            line = self.journal.find(name, entry["sha256"])
            if line is not None:
                self._known.append(len(json.loads(line)["frames"]))
                return line
            for shot in self._read_shots(source, part, data):
                self._judge_shot(source, shot, entry)
        except PolypskdError:
            raise
        except Exception as error:  # one file, whatever it is, does not stop the rest
            _note(entry, source, None, _tell(error))
        return write_line(entry)

    def _read_shots(self, source: Source, part: Part, data: bytes) -> Iterator[Shot]:
        match source.kind:
            case "image":
                yield shots.decode_shot(data, self._most, self._room)
            case "dicom":
                yield from shots.read_dicom(source.path, self._stride, self._most)
            case "video":
                yield from shots.read_video(source.path, part.numbers, self._most)

    def _judge_shot(self, source: Source, shot: Shot, entry: Entry) -> None:
        if shot.damage is not None or shot.pixels is None:
            _note(entry, source, shot.number, shot.damage or DamageError("cannot be read"))
            return
        try:
            said = self._judge.judge(shot.pixels)
        except DamageError as damage:
            _note(entry, source, shot.number, damage)
            return
        numbers = (said.class_probabilities, said.subclass_probabilities, said.confidence)
        entry["frames"].append(
            [shot.number, shot.sop_uid, said.predicted, *numbers, said.abstained]
        )


def _note(entry: Entry, source: Source, number: int | None, damage: DamageError) -> None:
    where = join_address(source.name, number)
    entry["faults"].append([where, damage.what, damage.value, damage.todo])


def _tell(error: Exception) -> DamageError:
    match error:
        case DamageError():
            return error
        case FileNotFoundError():
            return DamageError("file not found", todo="check the path")
        case OSError():
            what = f"cannot be read ({error.strerror})"
            return DamageError(what, todo="check the file and its rights")
        case MemoryError():
            return DamageError("takes too much memory")
        case _:
            return DamageError(f"cannot be read ({type(error).__name__})", todo="please report it")
