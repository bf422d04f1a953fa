"""The teacher's answers to every view of every training frame, computed once."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from polypskd.artifacts import RunLog, write_atomic
from polypskd.errors import ArtifactError
from polypskd.models.predict import predict_logits, use_bf16
from polypskd.training.material import Material


@dataclass(frozen=True)
class Targets:
    """Cached teacher logits.

    Args:
        logits: (N, V, S) float16 for the N training frames, V views, S subclasses.
        fingerprint: of teacher weights, views, seed and frame ids.
    """

    logits: NDArray[np.float16]
    fingerprint: str


def cache_targets(network: nn.Module, material: Material, *, key: str, log: RunLog) -> Targets:
    """Run the teacher over all views of the training frames.

    Args:
        network: the teacher.
        material: examples and pixels.
        key: fingerprint that the student will ask for.
        log: told how far it is.
    """
    network.to(material.device)
    views = material.config.augment.views
    bf16 = use_bf16(material.config.teacher.fit.precision, material.device)
    parts = []
    for view in range(views):
        pixels = material.open_view(view)

        def progress(done: int, total: int, view: int = view) -> None:
            log.progress("targets", view * total + done, views * total)

        parts.append(
            predict_logits(network, pixels, device=material.device, bf16=bf16, progress=progress)
        )
    network.to("cpu")
    # float16 holds logits up to 65,504; a teacher beyond that has diverged.
    return Targets(np.stack(parts, axis=1).astype(np.float16), key)


def write_targets(path: Path, targets: Targets) -> None:
    """Write targets.npz atomically; without time stamps, so that equal targets are equal bytes."""

    def write(temporary: Path) -> None:
        with zipfile.ZipFile(temporary, "w") as archive:
            for name in ("logits", "fingerprint"):
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
            logits, found = archive["logits"], str(archive["fingerprint"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        raise ArtifactError(f"{path}: damaged; `polypskd teach CONFIG` makes it anew") from None
    if found != key:
        raise ArtifactError(
            f"{path}: stale, it belongs to another teacher or other views; "
            "`polypskd teach CONFIG` makes it anew"
        )
    return Targets(logits, found)
