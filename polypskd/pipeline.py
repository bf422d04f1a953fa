"""The story: votes → labels → teacher → targets → student → numbers → report.

One function a step; each reads the last file and writes the next, and none calls another. A step
whose inputs are unchanged is skipped; one that was killed is simply done again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from polypskd.artifacts import (
    describe_machine,
    file_hash,
    fingerprint,
    is_fresh,
    read_json,
    stamped_hash,
    write_json,
    write_stamp,
)
from polypskd.cohort.location import (
    hash_tables,
    list_inputs,
    locate_cohort,
    locate_frames,
    write_exclusions,
)
from polypskd.config import Config
from polypskd.errors import ArtifactError, OutputError
from polypskd.runs import LABELS, NUMBERS, REPORT, STUDENT, TEACHER, Run

if TYPE_CHECKING:
    from polypskd.cohort.table import Cohort
    from polypskd.labels.examples import Examples
    from polypskd.training.material import Material


def check(config: Config, folder: Path) -> Cohort:
    """Read and check everything the config names, every pixel included.

    Args:
        config: the experiment.
        folder: where a synthetic cohort is drawn.

    Raises:
        CohortError: with every fault found.
        ConfigError: the labels' section does not fit the cohort.
    """
    from polypskd.cohort.load import load_cohort
    from polypskd.labels.derivation import derive_labels

    cohort = load_cohort(locate_cohort(config.cohort, seed=config.seed, folder=folder))
    # Split, subclasses and stages may fail on sound files: a check that said nothing would lie.
    labels = config.labels.model_copy(update={"resamples": 0})
    derive_labels(cohort, config.model_copy(update={"labels": labels}))
    return cohort


def derive(run: Run) -> bool:
    """Votes → examples.csv, agreement.json, excluded.csv; return whether anything was done.

    Raises:
        OutputError: the folder holds what was made of other votes or frames.
    """
    from polypskd.cohort.load import load_cohort
    from polypskd.labels.derivation import derive_labels

    config = run.config
    located = locate_cohort(config.cohort, seed=config.seed, folder=run.folder / "cohort")
    inputs = fingerprint(
        [
            config.seed,
            config.cohort.model_dump(mode="json"),
            config.labels.model_dump(mode="json"),
            list_inputs(located),
        ]
    )
    if is_fresh(run.folder, "derive", inputs, LABELS):
        return False
    run.log.tell("derive", "start")
    cohort = load_cohort(located)
    examples, described = derive_labels(cohort, config)
    _write_examples(run, examples, inputs)
    # Hashed here and not later: these are the tables that the labels come from.
    write_json(run.folder / LABELS[1], described | {"inputs": hash_tables(config.cohort)})
    write_exclusions(run.folder / LABELS[2], cohort.exclusions)
    write_stamp(run.folder, "derive", inputs, LABELS)
    run.log.tell("derive", "done", frames=len(examples), subclasses=len(described["subclasses"]))
    return True


def teach(run: Run) -> bool:
    """Examples → teacher and its cached targets; return whether anything was done."""
    if run.config.student.method.kind == "none":
        return False
    material = _open_material(run)
    from polypskd.models.checkpoint import describe_network, read_network, write_network
    from polypskd.training.student import student_scheme
    from polypskd.training.targets import cache_targets, write_targets
    from polypskd.training.teacher import train_teacher

    taught = student_scheme(run.config.student.method, material.scheme)
    inputs = _teacher_inputs(run, material)
    if is_fresh(run.folder, "teach", inputs, TEACHER):
        return False
    weights = run.folder / TEACHER[0]
    if not is_fresh(run.folder, "teacher", inputs, TEACHER[:2]):
        run.log.tell("teacher", "start", epochs=run.config.teacher.fit.epochs)
        network, history = train_teacher(material, taught, key=inputs, log=run.log)
        write_network(weights, network, describe_network(run.config, taught, "teacher"))
        write_json(run.folder / TEACHER[1], history)
        write_stamp(run.folder, "teacher", inputs, TEACHER[:2])
    run.log.tell("targets", "start")
    teacher = read_network(weights, "teach").network
    key = _targets_key(run, material)
    targets = cache_targets(teacher, material, key=key, log=run.log)
    write_targets(run.folder / TEACHER[2], targets)
    write_stamp(run.folder, "teach", inputs, TEACHER)
    (run.folder / ".steps" / "teacher.pt").unlink(missing_ok=True)
    run.log.tell("targets", "done")
    return True


def distill(run: Run) -> bool:
    """Examples and targets → student; return whether anything was done."""
    material = _open_material(run)
    from polypskd.models.checkpoint import describe_network, write_network
    from polypskd.training.student import student_scheme, train_student
    from polypskd.training.targets import read_targets

    config = run.config
    taught = student_scheme(config.student.method, material.scheme)
    targets = None
    if config.student.method.kind != "none":
        _need(run, TEACHER[0], "teach")
        targets = read_targets(run.folder / TEACHER[2], key=_targets_key(run, material))
    inputs = _student_inputs(run, material)
    if is_fresh(run.folder, "distill", inputs, STUDENT):
        return False
    run.log.tell("student", "start", epochs=config.student.fit.epochs)
    network, history = train_student(material, targets, key=inputs, log=run.log)
    write_network(run.folder / STUDENT[0], network, describe_network(config, taught, "student"))
    write_json(run.folder / STUDENT[1], history)
    write_stamp(run.folder, "distill", inputs, STUDENT)
    (run.folder / ".steps" / "student.pt").unlink(missing_ok=True)
    run.log.tell("student", "done")
    return True


def evaluate(run: Run) -> bool:
    """Networks → evaluation.json and predictions; return whether anything was done."""
    from polypskd.judgement import judge_network, write_predictions

    _need(run, LABELS[0], "derive")
    student = _need(run, STUDENT[0], "distill")
    teacher = run.folder / TEACHER[0]
    with_teacher = run.config.student.method.kind != "none"
    material = _open_material(run)
    # Weights made from other labels may have seen what is the test split now.
    if with_teacher:
        _need_fresh(run, "teach", _teacher_inputs(run, material), TEACHER)
    _need_fresh(run, "distill", _student_inputs(run, material), STUDENT)
    outputs = NUMBERS if with_teacher else NUMBERS[:-1]
    tables = read_json(run.folder / LABELS[1]).get("inputs", {})
    inputs = fingerprint(
        [
            run.config.evaluation.model_dump(mode="json"),
            material.fingerprint(),
            file_hash(run.folder / LABELS[0]),
            file_hash(student),
            file_hash(teacher) if with_teacher else None,
            tables,
        ]
    )
    if is_fresh(run.folder, "evaluate", inputs, outputs):
        return False
    run.log.tell("evaluate", "start")
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
        write_predictions(run.folder / NUMBERS[3], material, other)
    write_json(run.folder / NUMBERS[0], record)
    write_json(
        run.folder / NUMBERS[2],
        describe_machine()
        | {
            "device": material.device.type,
            "seed": run.config.seed,
            "frames": len(material.examples),
            "frames_sha256": material.store.key,
            "examples_sha256": file_hash(run.folder / LABELS[0]),
            "student_sha256": file_hash(student),
            "teacher_sha256": file_hash(teacher) if with_teacher else None,
            **tables,
            "research_use_only": True,
        },
    )
    write_stamp(run.folder, "evaluate", inputs, outputs)
    run.log.tell("evaluate", "done", macro_f1=record["macro_f1"])
    return True


def report(run: Run) -> bool:
    """Everything → report.html and report.json; return whether anything was done."""
    from polypskd.reporting.html import write_report

    read = ["config.yaml", *LABELS[:2], *NUMBERS[:3]]
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
    write_report(run.folder, locate_frames(run.config.cohort, run.folder / "cohort"))
    write_stamp(run.folder, "report", inputs, REPORT)
    run.log.tell("report", "done")
    return True


STEPS: tuple[Callable[[Run], bool], ...] = (derive, teach, distill, evaluate, report)


def run_all(run: Run) -> None:
    """Do every step that is not fresh."""
    for step in STEPS:
        if not step(run):
            run.log.tell(step.__name__, "fresh")


VERBS: dict[str, Callable[[Run], object]] = {
    **{step.__name__: step for step in STEPS},
    "run": run_all,
}


# --- what the steps share -----------------------------------------------------------------------


def _need(run: Run, name: str, verb: str) -> Path:
    """Give a file of the run, or say which verb makes it."""
    path = run.folder / name
    if not path.exists():
        raise ArtifactError(f"{path}: missing; `polypskd {verb} CONFIG` makes it")
    return path


def _need_fresh(run: Run, verb: str, inputs: str, outputs: tuple[str, ...]) -> None:
    """Refuse files that were made from other inputs than those that lie there now."""
    if not is_fresh(run.folder, verb, inputs, outputs):
        raise ArtifactError(
            f"{run.folder / outputs[0]}: stale, made from other labels, frames or settings; "
            f"`polypskd {verb} CONFIG` makes it anew"
        )


def _teacher_inputs(run: Run, material: Material) -> str:
    from polypskd.training.lesson import fingerprint_network
    from polypskd.training.student import student_scheme

    config = run.config
    scheme = student_scheme(config.student.method, material.scheme)
    return fingerprint(
        [material.fingerprint(), fingerprint_network(config.teacher), scheme.subclasses]
    )


def _targets_key(run: Run, material: Material) -> str:
    return fingerprint([_teacher_inputs(run, material), file_hash(run.folder / TEACHER[0])])


def _student_inputs(run: Run, material: Material) -> str:
    from polypskd.training.lesson import fingerprint_network

    taught = run.config.student.method.kind != "none"
    key = _targets_key(run, material) if taught else material.fingerprint()
    return fingerprint([key, fingerprint_network(run.config.student)])


def _write_examples(run: Run, examples: Examples, inputs: str) -> None:
    """Write examples.csv, but not over work by hand or beside older results, unless asked to."""
    from polypskd.labels.examples import write_examples

    path, new = run.folder / LABELS[0], run.folder / ".steps" / LABELS[0]
    write_examples(new, examples)
    ours = (file_hash(new), stamped_hash(run.folder, "derive", LABELS[0]))
    if path.exists() and not run.overwrite and file_hash(path) not in ours:
        new.unlink()
        raise ArtifactError(
            f"{path}: changed by hand since it was derived; move it away, give --overwrite, "
            "or go on from it with `polypskd teach CONFIG`"
        )
    made = any((run.folder / name).exists() for name in (*TEACHER, *STUDENT, *NUMBERS))
    changed = ours[1] is not None and not is_fresh(run.folder, "derive", inputs, ())
    if made and changed and not run.overwrite:
        new.unlink()
        raise OutputError(
            f"{run.folder}: the votes or frames have changed since these results were made; "
            "give --out another folder, or --overwrite"
        )
    new.replace(path)


def _open_material(run: Run) -> Material:
    """Join examples.csv and its scheme with the pixels."""
    from polypskd.labels.examples import check_examples, read_examples
    from polypskd.labels.scheme import parse_scheme

    # Read before torch is imported: a missing table is told at once.
    examples = read_examples(_need(run, LABELS[0], "derive"))
    described = read_json(run.folder / LABELS[1])
    scheme = parse_scheme(described)
    check_examples(
        run.folder / LABELS[0], examples, scheme, patients_known=described["patients_known"]
    )
    from polypskd.training.material import open_material

    return open_material(
        examples,
        scheme,
        frames=locate_frames(run.config.cohort, run.folder / "cohort"),
        config=run.config,
        run=run.folder,
        log=run.log,
    )
