"""The story: votes → labels → teacher → targets → student → numbers → report.

One function a step; each reads the last file and writes the next, and none calls another. A step
whose inputs are unchanged is skipped; one that was killed is simply done again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polypskd.artifacts import (
    describe_machine,
    file_hash,
    fingerprint,
    is_fresh,
    read_json,
    write_json,
    write_stamp,
    write_text,
)
from polypskd.config import (
    CohortConfig,
    Config,
    ImageFolder,
    LongVotes,
    Metadata,
    PatientColumn,
    SyntheticFrames,
)
from polypskd.errors import ArtifactError, ConfigError
from polypskd.runs import LABELS, NUMBERS, REPORT, STUDENT, TEACHER, Run

if TYPE_CHECKING:
    from polypskd.cohort.table import Cohort
    from polypskd.labels.examples import Examples, Scheme
    from polypskd.training.material import Material


def locate_cohort(config: Config, folder: Path) -> CohortConfig:
    """Give the cohort's files: drawn into `folder` first if the cohort is synthetic."""
    frames = config.cohort.frames
    if not isinstance(frames, SyntheticFrames):
        return config.cohort
    from polypskd.cohort.synthetic import draw_cohort

    draw_cohort(frames, config.cohort.classes, seed=config.seed, folder=folder)
    return config.cohort.model_copy(
        update={
            "frames": ImageFolder(root=folder / "frames"),
            "votes": LongVotes(path=folder / "votes.csv"),
            "metadata": Metadata(path=folder / "frames.csv"),
            "patients": PatientColumn(column="patient"),
        }
    )


def check(config: Config, folder: Path) -> Cohort:
    """Read and check everything the config names, every pixel included.

    Args:
        config: the experiment.
        folder: where a synthetic cohort is drawn.

    Raises:
        CohortError: with every fault found.
    """
    from polypskd.cohort.load import load_cohort

    return load_cohort(locate_cohort(config, folder))


def _frames_root(run: Run) -> Path | None:
    cohort = run.config.cohort.frames
    if isinstance(cohort, ImageFolder):
        return cohort.root
    return run.folder / "cohort" / "frames" if isinstance(cohort, SyntheticFrames) else None


def _cohort_inputs(config: CohortConfig) -> list[Any]:
    """Fingerprint material of the cohort's files: tables by content, frames by name and size."""
    parts: list[Any] = []
    for section in (config.votes, config.metadata):
        path = getattr(section, "path", None)
        if path is not None:
            parts.append(file_hash(path) if path.is_file() else None)
    if isinstance(config.frames, ImageFolder):
        root = config.frames.root
        files = sorted(p for p in root.rglob("*") if p.is_file())
        parts.append([(p.relative_to(root).as_posix(), p.stat().st_size) for p in files])
    return parts


# --- the steps ----------------------------------------------------------------------------------


def derive(run: Run) -> bool:
    """Votes → examples.csv, agreement.json, excluded.csv; return whether anything was done."""
    from polypskd.cohort.load import load_cohort
    from polypskd.cohort.splits import resolve_split
    from polypskd.labels.agreement import measure_agreement
    from polypskd.labels.consensus import derive_consensus
    from polypskd.labels.curriculum import check_curriculum, derive_stages
    from polypskd.labels.examples import Examples, write_examples
    from polypskd.labels.subclasses import derive_subclasses

    config = run.config
    located = locate_cohort(config, run.folder / "cohort")
    inputs = fingerprint(
        [
            config.seed,
            config.cohort.model_dump(mode="json"),
            config.labels.model_dump(mode="json"),
            _cohort_inputs(located),
        ]
    )
    if is_fresh(run.folder, "derive", inputs, LABELS):
        return False
    _refuse_edited(run, inputs)
    run.log.tell("derive", "start")
    cohort = load_cohort(located)
    consensus = derive_consensus(cohort.counts)
    rule = config.labels.subclasses
    # Levels before the split serve only to spread them over the splits; the splits then fix them.
    everyone = np.ones(len(cohort), dtype=bool)
    levels = derive_subclasses(rule, cohort, consensus, everyone).level
    split = resolve_split(
        config.cohort.split, cohort, consensus.consensus, config.seed, levels=levels
    )
    train = split == "train"
    labels = derive_subclasses(rule, cohort, consensus, train)
    stage = np.zeros(len(cohort), dtype=np.int64)
    stage[train] = derive_stages(config.labels.curriculum, labels.level[train], config.seed)
    stages = int(stage.max()) + 1
    for fit in (config.teacher.fit, config.student.fit):
        check_curriculum(config.labels.curriculum, stages, fit.epochs)
    scheme = labels.scheme
    counts = cohort.counts
    examples = Examples(
        frame_id=cohort.frame_ids,
        path=cohort.paths,
        patient_id=cohort.patient_ids,
        split=split,
        consensus=np.array(scheme.classes)[consensus.consensus],
        subclass=np.array(scheme.subclasses)[labels.subclass],
        level=labels.level,
        stage=stage,
        agreement=consensus.agreement,
        n_votes=counts.sum(1),
        votes={name: counts[:, k] for k, name in enumerate(cohort.classes)},
        carried=cohort.columns,
    )
    statistics = measure_agreement(cohort, resamples=config.labels.resamples, seed=config.seed)
    write_examples(run.folder / "examples.csv", examples)
    write_json(
        run.folder / "agreement.json",
        {
            "classes": list(scheme.classes),
            "subclasses": _describe_scheme(examples, scheme),
            "merges": list(labels.merges),
            "patients_known": cohort.patients_known,
            "excluded": len(cohort.exclusions),
            "notes": _notes(cohort),
            "statistics": statistics.to_dict(),
        },
    )
    _write_exclusions(run.folder / "excluded.csv", cohort)
    write_stamp(run.folder, "derive", inputs, LABELS)
    run.log.tell("derive", "done", frames=len(examples), subclasses=len(scheme.subclasses))
    return True


def teach(run: Run) -> bool:
    """Examples → teacher and its cached targets; return whether anything was done."""
    if run.config.student.method.kind == "none":
        return False
    examples, scheme = _read_labels(run)
    from polypskd.models.checkpoint import read_network, write_network
    from polypskd.training.student import student_scheme
    from polypskd.training.targets import cache_targets, write_targets
    from polypskd.training.teacher import train_teacher

    material = _open_material(run, examples, scheme)
    taught = student_scheme(run.config.student.method, scheme)
    inputs = _teacher_key(material, taught)
    if is_fresh(run.folder, "teach", inputs, TEACHER):
        return False
    weights = run.folder / TEACHER[0]
    if not is_fresh(run.folder, "teacher", inputs, TEACHER[:2]):
        run.log.tell("teacher", "start", epochs=run.config.teacher.fit.epochs)
        network, history = train_teacher(material, taught, key=inputs, log=run.log)
        write_network(weights, network, _about(material, taught, "teacher"))
        write_json(run.folder / TEACHER[1], history)
        write_stamp(run.folder, "teacher", inputs, TEACHER[:2])
    run.log.tell("targets", "start")
    teacher = read_network(weights, "teach").network
    key = fingerprint([inputs, file_hash(weights)])
    targets = cache_targets(teacher, material, key=key, log=run.log)
    write_targets(run.folder / TEACHER[2], targets)
    write_stamp(run.folder, "teach", inputs, TEACHER)
    (run.folder / ".steps" / "teacher.pt").unlink(missing_ok=True)
    run.log.tell("targets", "done")
    return True


def distill(run: Run) -> bool:
    """Examples and targets → student; return whether anything was done."""
    examples, scheme = _read_labels(run)
    from polypskd.models.checkpoint import write_network
    from polypskd.training.student import student_scheme, train_student
    from polypskd.training.targets import read_targets

    config = run.config
    material = _open_material(run, examples, scheme)
    taught = student_scheme(config.student.method, scheme)
    targets = None
    key = _material_key(material)
    if config.student.method.kind != "none":
        weights = run.folder / TEACHER[0]
        if not weights.exists():
            raise ArtifactError(f"{weights}: missing; `polypskd teach CONFIG` makes it")
        key = fingerprint([_teacher_key(material, taught), file_hash(weights)])
        targets = read_targets(run.folder / TEACHER[2], key=key)
    inputs = fingerprint([key, config.student.model_dump(mode="json")])
    if is_fresh(run.folder, "distill", inputs, STUDENT):
        return False
    run.log.tell("student", "start", epochs=config.student.fit.epochs)
    network, history = train_student(material, targets, key=inputs, log=run.log)
    write_network(run.folder / STUDENT[0], network, _about(material, taught, "student"))
    write_json(run.folder / STUDENT[1], history)
    write_stamp(run.folder, "distill", inputs, STUDENT)
    (run.folder / ".steps" / "student.pt").unlink(missing_ok=True)
    run.log.tell("student", "done")
    return True


def evaluate(run: Run) -> bool:
    """Networks → evaluation.json and predictions; return whether anything was done."""
    examples, scheme = _read_labels(run)
    from polypskd.judgement import judge_network, write_predictions

    student = run.folder / STUDENT[0]
    if not student.exists():
        raise ArtifactError(f"{student}: missing; `polypskd distill CONFIG` makes it")
    teacher = run.folder / TEACHER[0]
    with_teacher = run.config.student.method.kind != "none"
    outputs = NUMBERS if with_teacher else NUMBERS[:2]
    inputs = fingerprint(
        [
            run.config.evaluation.model_dump(mode="json"),
            run.config.seed,
            file_hash(run.folder / LABELS[0]),
            file_hash(student),
            file_hash(teacher) if with_teacher else None,
        ]
    )
    if is_fresh(run.folder, "evaluate", inputs, outputs):
        return False
    run.log.tell("evaluate", "start")
    material = _open_material(run, examples, scheme)
    judged = judge_network(material, student, "distill", run.log)
    record = judged.record | {
        "method": run.config.student.method.model_dump(mode="json"),
        "seed": run.config.seed,
        "teacher": None,
    }
    write_predictions(run.folder / NUMBERS[1], material, judged)
    if with_teacher:
        other = judge_network(material, teacher, "teach", run.log)
        record["teacher"] = other.record
        # Label bits are what the teacher can transfer, so they are the teacher's, on training data.
        record["information"] = other.record["information"]
        write_predictions(run.folder / NUMBERS[2], material, other)
    write_json(run.folder / NUMBERS[0], record)
    write_json(
        run.folder / "provenance.json",
        describe_machine()
        | {
            "device": material.device.type,
            "seed": run.config.seed,
            "frames": len(examples),
            "frames_sha256": material.store.key,
            "examples_sha256": file_hash(run.folder / LABELS[0]),
            "student_sha256": file_hash(student),
            "teacher_sha256": file_hash(teacher) if with_teacher else None,
            "research_use_only": True,
        },
    )
    write_stamp(run.folder, "evaluate", inputs, outputs)
    run.log.tell("evaluate", "done", macro_f1=record["macro_f1"])
    return True


def report(run: Run) -> bool:
    """Everything → report.html and report.json; return whether anything was done."""
    from polypskd.reporting.html import write_report

    read = ["config.yaml", "provenance.json", *LABELS[:2], *NUMBERS[:2]]
    missing = [name for name in read if not (run.folder / name).exists()]
    if missing:
        raise ArtifactError(
            f"{run.folder / missing[0]}: missing; `polypskd run CONFIG` makes all of it"
        )
    optional = ["excluded.csv", STUDENT[1], *TEACHER[1:2]]
    read += [name for name in optional if (run.folder / name).exists()]
    inputs = fingerprint([(name, file_hash(run.folder / name)) for name in read])
    if is_fresh(run.folder, "report", inputs, REPORT):
        return False
    run.log.tell("report", "start")
    write_report(run.folder, _frames_root(run))
    write_stamp(run.folder, "report", inputs, REPORT)
    run.log.tell("report", "done")
    return True


STEPS: tuple[Callable[[Run], bool], ...] = (derive, teach, distill, evaluate, report)


def run_all(run: Run) -> None:
    """Do every step that is not fresh."""
    for step in STEPS:
        if not step(run):
            run.log.tell(step.__name__, "fresh")


# --- what the steps share -----------------------------------------------------------------------


def _refuse_edited(run: Run, inputs: str) -> None:
    """Never write over an examples.csv that somebody corrected by hand."""
    stamp = run.folder / ".steps" / "derive.json"
    examples = run.folder / "examples.csv"
    if not stamp.exists() or not examples.exists():
        return
    recorded = read_json(stamp)
    edited = recorded["outputs"].get("examples.csv") != file_hash(examples)
    if edited and recorded["inputs"] == inputs:
        raise ArtifactError(
            f"{examples}: changed by hand since it was derived; "
            "move it away to derive it anew, or go on with `polypskd teach CONFIG`"
        )


def _read_labels(run: Run) -> tuple[Examples, Scheme]:
    from polypskd.labels.examples import Scheme, read_examples

    examples = read_examples(run.folder / "examples.csv")
    described = read_json(run.folder / "agreement.json")
    classes = tuple(described["classes"])
    rows = described["subclasses"]
    scheme = Scheme(
        classes,
        tuple(row["name"] for row in rows),
        np.array([classes.index(row["class"]) for row in rows]),
        np.array([row["level"] for row in rows]),
    )
    return examples, scheme


def _open_material(run: Run, examples: Examples, scheme: Scheme) -> Material:
    root = _frames_root(run)
    if root is None:
        raise ConfigError("cohort.frames: kind none has no frames to train on; use image_folder")
    from polypskd.data.store import open_store
    from polypskd.models.predict import choose_device
    from polypskd.training.material import Material

    store = open_store(
        root,
        [str(path) for path in examples.path],
        size=run.config.augment.size,
        folder=run.folder / ".steps" / "pixels",
        progress=lambda done, total: run.log.progress("decode", done, total),
    )
    return Material(
        examples, scheme, store, run.config, run.folder, choose_device(run.config.device)
    )


def _material_key(material: Material) -> str:
    config = material.config
    examples = material.examples
    labels = [
        [str(value) for value in values]
        for values in (examples.frame_id, examples.split, examples.subclass, examples.stage)
    ]
    return fingerprint(
        [
            config.seed,
            config.augment.model_dump(mode="json"),
            config.labels.curriculum.model_dump(mode="json"),
            material.store.key,
            labels,
            [examples.consensus.tolist(), material.scheme.subclasses],
        ]
    )


def _teacher_key(material: Material, taught: Scheme) -> str:
    weights = material.config.teacher.network.weights
    return fingerprint(
        [
            _material_key(material),
            material.config.teacher.model_dump(mode="json"),
            taught.subclasses,
            file_hash(weights) if weights is not None and weights.is_file() else None,
        ]
    )


def _about(material: Material, scheme: Scheme, role: str) -> dict[str, Any]:
    config = material.config
    network = config.teacher.network if role == "teacher" else config.student.network
    # A teacher does not depend on the settings of the student that will ask it.
    method = {} if role == "teacher" else {"method": config.student.method.model_dump(mode="json")}
    return method | {
        "network": network.model_dump(mode="json", exclude={"weights"}),
        "classes": scheme.classes,
        "subclasses": scheme.subclasses,
        "class_of": scheme.class_of.tolist(),
        "size": config.augment.size,
        "role": role,
        "seed": config.seed,
        "research_use_only": True,
    }


def _describe_scheme(examples: Examples, scheme: Scheme) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "class": scheme.classes[scheme.class_of[index]],
            "level": int(scheme.level_of[index]),
            "size": {
                split: int(((examples.subclass == name) & (examples.split == split)).sum())
                for split in ("train", "val", "test")
            },
        }
        for index, name in enumerate(scheme.subclasses)
    ]


def _notes(cohort: Cohort) -> list[str]:
    notes = []
    if not cohort.patients_known:
        notes.append(
            "Patients are unknown: frames of one patient may stand in several splits, "
            "and intervals that treat frames as independent are too narrow."
        )
    if cohort.exclusions:
        notes.append(f"{len(cohort.exclusions)} frames were left out; excluded.csv says why.")
    return notes


def _write_exclusions(path: Path, cohort: Cohort) -> None:
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["frame_id", "reason"])
    writer.writerows((item.frame_id, item.reason) for item in cohort.exclusions)
    write_text(path, buffer.getvalue())
