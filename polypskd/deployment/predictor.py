"""The student at work: ONNX Runtime over prepared frames, without torch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polypskd.deployment.bundle import EVIDENCE, INT8, MODEL, Bundle
from polypskd.deployment.forms import EXPORT, Session, open_network, open_onnx
from polypskd.deployment.results import DIGITS, choose_class
from polypskd.errors import ArtifactError

INPUT = "frames"
OUTPUTS = ("class_probabilities", "subclass_probabilities", "confidence")
MAP = "evidence_map"


@dataclass(frozen=True)
class Prediction:
    """What the network says of B frames.

    Args:
        class_probabilities: (B, K) float32, calibrated.
        subclass_probabilities: (B, S) float32, calibrated.
        confidence: (B,) float32.
    """

    class_probabilities: NDArray[np.float32]
    subclass_probabilities: NDArray[np.float32]
    confidence: NDArray[np.float32]


class Predictor:
    """A bundle's network, loaded; it may be shared between threads.

    Frames go through it one by one. On a CPU that is as fast as many at a time, and what is said of
    a frame does not hang on the frames beside it, to the last bit.

    Args:
        bundle: as `open_bundle` gives it; the network's bytes are hashed as they are read.
        threads: that one frame may use; several frames at a time are better asked from several
            threads.

    Raises:
        ConfigError: ONNX Runtime, or what else its form needs, is not installed.
        ArtifactError: the network's bytes are not the manifest's, or it is no network of ours.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.bundle = bundle
        self._threads = threads
        self._where = str(bundle.folder / (INT8 if bundle.precision == "int8" else MODEL))
        self._session = open_network(bundle, threads)
        _check_shapes(self._session, bundle, self._where)
        self._evidence: Session | None = None  # opened when first asked: few predictions need it
        self._turn = threading.Lock()

    def predict(self, frames: NDArray[np.uint8]) -> Prediction:
        """Predict.

        Args:
            frames: (B, size, size, 3) uint8 RGB, as `prepare_frame` gives them.

        Raises:
            ValueError: they have another shape or type.
            ArtifactError: the network gives what no probability is.
        """
        self._check_frames(frames)
        told = [self._run(frames[row : row + 1]) for row in range(len(frames))]
        if len(told) == 1:
            return Prediction(*told[0])
        widths = ((0, len(self.bundle.classes)), (0, len(self.bundle.subclasses)), (0,))
        empty = [np.empty(width, np.float32) for width in widths]
        return Prediction(*map(np.concatenate, zip(empty, *told, strict=True)))

    def map_evidence(
        self, frames: NDArray[np.uint8], classes: Sequence[int] | None = None
    ) -> NDArray[np.float32]:
        """Show which places of frames speak for a class: its class activation map.

        The gradient of log p(class) at the averaged features, times the features of each place; the
        positive part, divided by its maximum (all 0 where nothing speaks for the class).

        Args:
            frames: (B, size, size, 3) uint8 RGB, as `prepare_frame` gives them.
            classes: B indices of classes; those that are predicted, if not given.

        Returns:
            (B, h, w) float32 in [0, 1]; the places lie evenly over the prepared frame.

        Raises:
            ValueError: the frames have another shape or type, or are not as many as the classes.
            ArtifactError: the bundle has no map, or it is not its network's.
        """
        self._check_frames(frames)
        if classes is None:
            found = self.predict(frames).class_probabilities
            classes = [choose_class([round(one, DIGITS) for one in row]) for row in found.tolist()]
        session = self._open_evidence()
        # Frame by frame, as predictions are: what is said of one does not hang on the others.
        maps = [
            session.run([MAP], {INPUT: np.ascontiguousarray(frames[row : row + 1])})[0][:, k]
            for row, k in zip(range(len(frames)), classes, strict=True)
        ]
        empty = np.empty((0, *session.get_outputs()[0].shape[2:]), np.float32)
        return np.concatenate(maps) if maps else empty

    def _open_evidence(self) -> Session:
        with self._turn:
            if self._evidence is None:
                where = str(self.bundle.folder / EVIDENCE)
                if EVIDENCE not in self.bundle.manifest.files:
                    raise ArtifactError(
                        f"{where}: the bundle has no evidence map: it is of an earlier version, or "
                        "its network has none that is exact; export the run again to see"
                    )
                session = open_onnx(self.bundle.read(EVIDENCE), self._threads, where)
                _check_map(session, self.bundle, where)
                self._evidence = session
            return self._evidence

    def _check_frames(self, frames: NDArray[np.uint8]) -> None:
        size = self.bundle.size
        if frames.dtype != np.uint8 or frames.shape[1:] != (size, size, 3):
            raise ValueError(f"frames must be (B, {size}, {size}, 3) uint8")

    def _run(self, frame: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        inputs = {INPUT: np.ascontiguousarray(frame)}
        told = self._session.run(OUTPUTS, inputs)
        # A comparison with NaN is false, so that one test finds both.
        if not all(-1e-6 <= share <= 1 + 1e-6 for share in told[0][0].tolist()):
            raise ArtifactError(f"{self._where}: gave no probabilities for a frame; {EXPORT}")
        return told


def _check_shapes(session: Session, bundle: Bundle, where: str) -> None:
    """Hold the network against the bundle's pages.

    Raises:
        ArtifactError: they do not fit.
    """
    _check_input(session, bundle, where)
    outputs = {one.name: list(one.shape) for one in session.get_outputs()}
    widths = {OUTPUTS[0]: [len(bundle.classes)], OUTPUTS[1]: [len(bundle.subclasses)]}
    for name in OUTPUTS:
        if name not in outputs:
            raise ArtifactError(f"{where}: has no output {name}; {EXPORT}")
        width = outputs[name][1:]
        if any(isinstance(side, int) for side in width) and width != widths.get(name, []):
            raise ArtifactError(f"{where}: {name} does not fit the classes; {EXPORT}")


def _check_map(session: Session, bundle: Bundle, where: str) -> None:
    """Hold the graph of the evidence map against the bundle's pages.

    Raises:
        ArtifactError: they do not fit.
    """
    _check_input(session, bundle, where)
    shapes = [list(one.shape) for one in session.get_outputs() if one.name == MAP]
    if len(session.get_outputs()) != 1 or len(shapes) != 1 or len(shapes[0]) != 4:
        raise ArtifactError(f"{where}: has another output than {MAP}; {EXPORT}")
    if shapes[0][1] != len(bundle.classes) or not all(isinstance(n, int) for n in shapes[0][2:]):
        raise ArtifactError(f"{where}: {MAP} does not fit the classes; {EXPORT}")


def _check_input(session: Session, bundle: Bundle, where: str) -> None:
    inputs = {one.name: (one.type, list(one.shape[1:])) for one in session.get_inputs()}
    if inputs != {INPUT: ("tensor(uint8)", [bundle.size, bundle.size, 3])}:
        raise ArtifactError(
            f"{where}: its input is not {INPUT} of uint8, {bundle.size} x {bundle.size}; {EXPORT}"
        )
