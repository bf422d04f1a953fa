"""What the files of teacher and student depend on, and whether they still hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polypskd.artifacts import file_hash, fingerprint, is_fresh
from polypskd.config import LELP
from polypskd.errors import ArtifactError
from polypskd.labels.plan import plan_method
from polypskd.runs import TEACHER, Run
from polypskd.training.lesson import fingerprint_network
from polypskd.training.material import Material
from polypskd.training.teacher import fingerprint_teacher


def need(run: Run, name: str, verb: str) -> Path:
    """Give a file of the run, or say which verb makes it."""
    path = run.folder / name
    if not path.exists():
        raise ArtifactError(f"{path}: missing; `polypskd {verb} CONFIG` makes it")
    return path


def need_fresh(run: Run, verb: str, inputs: str, outputs: Sequence[str]) -> None:
    """Refuse files that were made from other inputs than those that lie there now."""
    if not is_fresh(run.folder, verb, inputs, outputs):
        raise ArtifactError(
            f"{run.folder / outputs[0]}: stale, made from other labels, frames or settings; "
            f"`polypskd {verb} CONFIG` makes it anew"
        )


def teacher_inputs(run: Run, material: Material) -> str:
    """Fingerprint what the teacher's weights depend on.

    Raises:
        ValueError: the method has no teacher.
    """
    scheme = plan_method(run.config.student.method, material.scheme).teacher
    if scheme is None:
        raise ValueError(f"method {run.config.student.method.kind} has no teacher")
    return fingerprint_teacher(material, scheme)


def targets_inputs(run: Run, material: Material) -> str:
    """Fingerprint what the targets depend on, but for the teacher's weights."""
    method = run.config.student.method
    split = method.model_dump(mode="json") if isinstance(method, LELP) else None
    return fingerprint([teacher_inputs(run, material), split])


def targets_key(run: Run, material: Material) -> str:
    """Fingerprint the targets: what a student asks of them."""
    return fingerprint([targets_inputs(run, material), file_hash(need(run, TEACHER[0], "teach"))])


def student_inputs(run: Run, material: Material) -> str:
    """Fingerprint what the student's weights depend on."""
    taught = plan_method(run.config.student.method, material.scheme).teacher is not None
    key = targets_key(run, material) if taught else material.fingerprint()
    return fingerprint([key, fingerprint_network(run.config.student), material.fingerprint_votes()])
