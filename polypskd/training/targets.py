"""The teacher's answers to every view of every training frame, computed once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from polypskd.arrays import read_arrays, write_arrays
from polypskd.artifacts import RunLog, write_atomic
from polypskd.config import LELP
from polypskd.errors import ArtifactError, ConfigError
from polypskd.labels.scheme import Scheme
from polypskd.metrics.calibration import log_probabilities
from polypskd.metrics.classification import confusion_matrix, per_class
from polypskd.models.ensemble import Ensemble
from polypskd.models.networks import last_layer
from polypskd.models.predict import Progress, predict_logits, record_inputs, use_bf16
from polypskd.models.processes import BATCH, gather_rows, predict_together, wait
from polypskd.ranks import is_first, rank, shares, world_size
from polypskd.training.losses import embed_subclasses, pseudo_subclass_log_probabilities
from polypskd.training.material import Material

BLOCK = 8192  # frames whose answers are written at once; a multiple of a batch


@dataclass(frozen=True)
class Targets:
    """Cached teacher logits.

    Args:
        logits: (N, V, S) float16 for the N training frames, V views, S outputs.
        recalls: (S',) of the teacher's outputs on the validation split; nan where it has none.
        fingerprint: of teacher weights, views, seed and frame ids.
    """

    logits: NDArray[np.float16]
    recalls: NDArray[np.float64]
    fingerprint: str


def cache_targets(
    network: nn.Module, material: Material, scheme: Scheme, *, key: str, log: RunLog
) -> Targets:
    """Run the teacher over all views of the training frames, a block at a time.

    Blocks lie on disk until all are done: a run that was killed goes on with those that are
    missing, and the processes of a job divide them.

    Args:
        network: the teacher.
        material: examples and pixels.
        scheme: what the teacher's outputs mean.
        key: fingerprint that the student will ask for.
        log: told how far it is.

    Raises:
        ConfigError: the method reads one network's last layer, and the teacher is an ensemble.
    """
    views, count = material.config.augment.views, len(material.rows("train"))
    folder = material.run / ".steps" / f"targets-{key[:24]}"
    network.to(material.device)
    material.draw_views()
    try:
        answer = _build_answer(network, material)
        units = list(product(range(views), range(0, count, BLOCK)))
        mine = units[rank() :: world_size()]
        for done, (view, start) in enumerate(mine):
            block = slice(start, min(start + BLOCK, count))
            path = folder / f"{view}-{start}.npy"
            if _read_block(path, len(range(count)[block])) is None:
                answers = answer(view, block, _within(log, done, len(mine)))
                # float16 holds logits up to 65,504; a teacher beyond that has diverged.
                _write_block(path, answers.astype(np.float16))
        recalls = _measure_recalls(network, material, scheme)
    finally:
        network.to("cpu")
    wait()
    logits = _join_blocks(folder, units, count)
    wait()  # or the first would remove what another still reads
    return Targets(logits, recalls, key)


def _join_blocks(folder: Path, units: list[tuple[int, int]], frames: int) -> NDArray[np.float16]:
    """Join blocks of (n, S) to (N, V, S)."""
    views = 1 + max(view for view, _ in units)
    logits: NDArray[np.float16] | None = None
    for view, start in units:
        block = _read_block(folder / f"{view}-{start}.npy", min(BLOCK, frames - start))
        if block is None:
            raise ArtifactError(f"{folder}: a block has gone; run the same command again")
        if logits is None:
            logits = np.empty((frames, views, block.shape[1]), np.float16)
        logits[start : start + len(block), view] = block
    if logits is None:
        raise ValueError("no training frames")
    return logits


def _write_block(path: Path, block: NDArray[np.float16]) -> None:
    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.lib.format.write_array(file, block, allow_pickle=False)

    write_atomic(path, write, everyone=True)


def _read_block(path: Path, frames: int) -> NDArray[np.float16] | None:
    """Read a block of so many frames; a missing or damaged one is none, and is made anew."""
    try:
        with path.open("rb") as file:
            block: NDArray[np.float16] = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return block if len(block) == frames else None


def remove_blocks(run: Path) -> None:
    """Remove the blocks of targets that are written."""
    if is_first():
        for folder in (run / ".steps").glob("targets-*"):
            shutil.rmtree(folder, ignore_errors=True)


def _within(log: RunLog, unit: int, units: int) -> Progress:
    def progress(done: int, total: int) -> None:
        log.progress("targets", unit * total + done, units * total)

    return progress


Answer = Callable[[int, slice, Progress], NDArray[np.float32]]


def _build_answer(network: nn.Module, material: Material) -> Answer:
    """Build the function (view, block of training frames) → what the student is to learn."""
    bf16 = use_bf16(material.config.teacher.fit.precision, material.device)

    opened = cache(material.open_view)  # its name is a hash of all frame ids

    def ask(view: int, block: slice, progress: Progress) -> NDArray[np.float32]:
        pixels = opened(view).take(np.arange(block.start, block.stop))
        return predict_logits(network, pixels, device=material.device, bf16=bf16, progress=progress)

    method = material.config.student.method
    if not isinstance(method, LELP):
        return ask
    if isinstance(network, Ensemble):
        raise ConfigError(
            "student.method: lelp reads the last layer of one teacher; set teacher.ensemble to 1"
        )
    head = last_layer(network)
    # The directions come from the first view of every training frame.
    with record_inputs(head) as features:
        predict_together(network, opened(0), device=material.device, bf16=bf16)
    own = np.concatenate([np.zeros((0, head.in_features), np.float32), *features])
    rule = embed_subclasses(
        gather_rows(own, shares(len(opened(0)), BATCH)),
        head.weight.detach().cpu().numpy(),
        material.classes(material.rows("train")),
        subclasses=method.invented,
        sharpness=method.sharpness,
        seed=material.config.fit_seed,
    )

    def divide(view: int, block: slice, progress: Progress) -> NDArray[np.float32]:
        """Divide the teacher's class probabilities among pseudo-subclasses of its last layer."""
        with record_inputs(head) as features:
            logits = ask(view, block, progress)
        log_p = log_probabilities(logits.astype(np.float64) / method.temperature)
        split = rule.split(np.concatenate(features))
        return pseudo_subclass_log_probabilities(log_p, split).astype(np.float32)

    return divide


def _measure_recalls(network: nn.Module, material: Material, scheme: Scheme) -> NDArray[np.float64]:
    """Measure the recall of each output on the validation split, where outputs are known."""
    rows = material.rows("val")
    known = material.outputs(rows, scheme)
    if known is None:
        return np.full(len(scheme.subclasses), np.nan)
    bf16 = use_bf16(material.config.teacher.fit.precision, material.device)
    pixels = material.pixels(rows)
    answers = predict_together(network, pixels, device=material.device, bf16=bf16)
    table = confusion_matrix(known, answers.argmax(1), len(scheme.subclasses))
    return per_class(table).recall


def write_targets(path: Path, targets: Targets) -> None:
    """Write targets.npz atomically; equal targets are equal bytes."""
    names = ("logits", "recalls", "fingerprint")
    write_arrays(path, {name: np.asarray(getattr(targets, name)) for name in names})


def read_targets(path: Path, *, key: str) -> Targets:
    """Read targets.npz.

    Raises:
        ArtifactError: it is missing, damaged, or belongs to another teacher, view set or cohort.
    """
    stored = read_arrays(path, ("logits", "recalls", "fingerprint"), verb="teach")
    found = str(stored["fingerprint"])
    if found != key:
        raise ArtifactError(
            f"{path}: stale, it belongs to another teacher or other views; "
            "`polypskd teach CONFIG` makes it anew"
        )
    return Targets(stored["logits"], stored["recalls"], found)
