"""The teacher's answers to every view of every training frame, computed once."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from polypskd.artifacts import RunLog, write_atomic
from polypskd.config import LELP
from polypskd.errors import ArtifactError, ConfigError
from polypskd.labels.scheme import Scheme
from polypskd.metrics.calibration import log_probabilities
from polypskd.metrics.classification import confusion_matrix, per_class
from polypskd.models.ensemble import Ensemble
from polypskd.models.networks import last_layer
from polypskd.models.predict import predict_logits, record_inputs, use_bf16
from polypskd.training.losses import embed_subclasses, pseudo_subclass_log_probabilities
from polypskd.training.material import Material

Pixels = NDArray[np.uint8]


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
    """Run the teacher over all views of the training frames.

    Args:
        network: the teacher.
        material: examples and pixels.
        scheme: what the teacher's outputs mean.
        key: fingerprint that the student will ask for.
        log: told how far it is.

    Raises:
        ConfigError: the method reads one network's last layer, and the teacher is an ensemble.
    """
    method = material.config.student.method
    network.to(material.device)
    try:
        parts = (
            _split_views(network, material, method, log)
            if isinstance(method, LELP)
            else [
                _answer(network, material, material.open_view(view), view, log)
                for view in _views(material)
            ]
        )
        recalls = _measure_recalls(network, material, scheme)
    finally:
        network.to("cpu")
    # float16 holds logits up to 65,504; a teacher beyond that has diverged.
    return Targets(np.stack(parts, axis=1).astype(np.float16), recalls, key)


def _views(material: Material) -> range:
    return range(material.config.augment.views)


def _answer(
    network: nn.Module, material: Material, pixels: Pixels, view: int, log: RunLog
) -> NDArray[np.float32]:
    views = len(_views(material))

    def progress(done: int, total: int) -> None:
        log.progress("targets", view * total + done, views * total)

    bf16 = use_bf16(material.config.teacher.fit.precision, material.device)
    return predict_logits(network, pixels, device=material.device, bf16=bf16, progress=progress)


def _split_views(
    network: nn.Module, material: Material, method: LELP, log: RunLog
) -> list[NDArray[np.float32]]:
    """Divide the teacher's class probabilities among pseudo-subclasses of its last layer."""
    if isinstance(network, Ensemble):
        raise ConfigError(
            "student.method: lelp reads the last layer of one teacher; set teacher.ensemble to 1"
        )
    head = last_layer(network)
    parts: list[NDArray[np.float32]] = []
    rule = None
    for view in _views(material):
        with record_inputs(head) as features:
            logits = _answer(network, material, material.open_view(view), view, log)
        embedded = np.concatenate(features)
        if rule is None:
            rule = embed_subclasses(
                embedded,
                head.weight.detach().cpu().numpy(),
                material.classes(material.rows("train")),
                subclasses=method.invented,
                sharpness=method.sharpness,
                seed=material.config.fit_seed,
            )
        log_p = log_probabilities(logits.astype(np.float64) / method.temperature)
        parts.append(
            pseudo_subclass_log_probabilities(log_p, rule.split(embedded)).astype(np.float32)
        )
    return parts


def _measure_recalls(network: nn.Module, material: Material, scheme: Scheme) -> NDArray[np.float64]:
    """Measure the recall of each output on the validation split, where outputs are known."""
    rows = material.rows("val")
    known = material.outputs(rows, scheme)
    if known is None:
        return np.full(len(scheme.subclasses), np.nan)
    bf16 = use_bf16(material.config.teacher.fit.precision, material.device)
    pixels = material.store.pixels[rows]
    answers = predict_logits(network, pixels, device=material.device, bf16=bf16)
    table = confusion_matrix(known, answers.argmax(1), len(scheme.subclasses))
    return per_class(table).recall


def write_targets(path: Path, targets: Targets) -> None:
    """Write targets.npz atomically; without time stamps, so that equal targets are equal bytes."""

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name in ("logits", "recalls", "fingerprint"):
                entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                with archive.open(entry, "w", force_zip64=True) as file:
                    np.lib.format.write_array(
                        file, np.asarray(getattr(targets, name)), allow_pickle=False
                    )

    write_atomic(path, write)


def read_targets(path: Path, *, key: str) -> Targets:
    """Read targets.npz.

    Raises:
        ArtifactError: it is missing, damaged, or belongs to another teacher, view set or cohort.
    """
    if not path.exists():
        raise ArtifactError(f"{path}: missing; `polypskd teach CONFIG` makes it")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            logits, recalls = archive["logits"], archive["recalls"]
            found = str(archive["fingerprint"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        raise ArtifactError(f"{path}: damaged; `polypskd teach CONFIG` makes it anew") from None
    if found != key:
        raise ArtifactError(
            f"{path}: stale, it belongs to another teacher or other views; "
            "`polypskd teach CONFIG` makes it anew"
        )
    return Targets(logits, recalls, found)
