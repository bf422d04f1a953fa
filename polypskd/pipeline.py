"""The story: votes → labels → teacher → targets → student → numbers.

One function a step; each reads the last file and writes the next, and none calls another. A step
whose inputs are unchanged is skipped; one that was killed goes on from the last of its epochs or
blocks that is on disk. What is told of the numbers, study and report, is in `account`.

In a job of several processes all do the steps that compute, and the first alone writes files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from polypskd.artifacts import (
    file_hash,
    fingerprint,
    is_fresh,
    read_json,
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
from polypskd.config import has_teacher
from polypskd.costs import read_costs
from polypskd.replacing import replace_examples
from polypskd.runs import LABELS, NUMBERS, STUDENT, TEACHER, Run
from polypskd.sharing import borrow, lend

if TYPE_CHECKING:
    from polypskd.training.material import Material

Made = TypeVar("Made")


def derive(run: Run) -> bool:
    """Votes → examples.csv, agreement.json, excluded.csv; return whether anything was done.

    Raises:
        ConfigError: the study asks for endpoints that are not known, or for columns or annotators
            that the cohort lacks.
        OutputError: the folder holds what was made of other votes or frames.
    """
    from polypskd.cohort.ballot_table import write_votes
    from polypskd.cohort.load import load_cohort
    from polypskd.labels.derivation import derive_labels
    from polypskd.study.columns import check_columns
    from polypskd.study.endpoints import check_endpoints

    config = run.config
    check_endpoints(config.study, config.cohort.classes)
    located = locate_cohort(config.cohort, seed=config.seed, folder=run.cohort)
    drawn = config.labels.subclasses.kind == "random"
    inputs = fingerprint(
        [
            [config.seed, config.fit_seed if drawn else None],
            config.cohort.model_dump(mode="json"),
            config.labels.model_dump(mode="json"),
            list_inputs(located),
        ]
    )
    if is_fresh(run.folder, "derive", inputs, LABELS):
        return False
    if not (run.folder / LABELS[0]).exists() and borrow(run, "derive", inputs, LABELS):
        return True
    run.log.tell("derive", "start")
    cohort = load_cohort(located)
    examples, described = derive_labels(cohort, config)
    check_columns(config.study, cohort.columns, cohort.annotators, cohort.patient_ids)
    replace_examples(run, examples, inputs)
    # Hashed here and not later: these are the tables that the labels come from.
    write_json(run.folder / LABELS[1], described | {"inputs": hash_tables(config.cohort)})
    write_exclusions(run.folder / LABELS[2], cohort.exclusions)
    write_votes(run.folder / LABELS[3], cohort, examples.split == "test")
    write_stamp(run.folder, "derive", inputs, LABELS)
    lend(run, "derive", inputs, LABELS)
    run.log.tell("derive", "done", frames=len(examples), subclasses=len(described["subclasses"]))
    return True


def teach(run: Run) -> bool:
    """Examples → teacher and its cached targets; return whether anything was done."""
    material = _open_material(run)
    from polypskd import freshness
    from polypskd.labels.plan import plan_method
    from polypskd.models.checkpoint import describe_network, read_network, write_network
    from polypskd.models.processes import agree, wait
    from polypskd.training.student import try_student
    from polypskd.training.targets import cache_targets, write_targets
    from polypskd.training.teacher import train_teacher

    taught = plan_method(run.config.student.method, material.scheme).teacher
    if taught is None:
        return False
    log, weights = run.log, run.folder / TEACHER[0]
    inputs = freshness.teacher_inputs(run, material)
    answers = freshness.targets_inputs(run, material)
    if agree(is_fresh(run.folder, "teach", answers, TEACHER)):
        _clear(run, "teacher")
        return False
    try_student(material)  # hours before it is needed
    ready = is_fresh(run.folder, "teacher", inputs, TEACHER[:2])
    if not agree(ready or borrow(run, "teacher", inputs, TEACHER[:2])):
        log.tell("teacher", "start", epochs=run.config.teacher.fit.epochs)
        network, history = train_teacher(material, taught, key=inputs, log=log)
        write_network(weights, network, describe_network(run.config, taught, "teacher"))
        write_json(run.folder / TEACHER[1], history)
        write_stamp(run.folder, "teacher", inputs, TEACHER[:2])
        lend(run, "teacher", inputs, TEACHER[:2], _paid(run, "teacher"))
        wait()  # the others read what the first has written
    if not agree(borrow(run, "teach", answers, TEACHER)):
        log.tell("targets", "start")
        key = freshness.targets_key(run, material)
        with log.timed("targets"):
            teacher = read_network(weights, "teach").network
            targets = cache_targets(teacher, material, taught, key=key, log=log)
        write_targets(run.folder / TEACHER[2], targets)
        write_stamp(run.folder, "teach", answers, TEACHER)
        lend(run, "teach", answers, TEACHER, _paid(run, "targets"))
        wait()
    _clear(run, "teacher")
    log.tell("targets", "done")
    return True


def distill(run: Run) -> bool:
    """Examples and targets → student; return whether anything was done."""
    material = _open_material(run)
    from polypskd import freshness
    from polypskd.labels.plan import plan_method
    from polypskd.models.checkpoint import describe_network, write_network
    from polypskd.models.processes import agree, wait
    from polypskd.training.student import train_student
    from polypskd.training.targets import read_targets

    config, log = run.config, run.log
    plan = plan_method(config.student.method, material.scheme)
    targets = None
    if plan.teacher is not None:
        key = freshness.targets_key(run, material)
        targets = read_targets(run.folder / TEACHER[2], key=key)
    inputs = freshness.student_inputs(run, material)
    if agree(is_fresh(run.folder, "distill", inputs, STUDENT)):
        _clear(run, "student")
        return False
    log.tell("student", "start", epochs=config.student.fit.epochs)
    network, history = train_student(material, targets, key=inputs, log=log)
    about = describe_network(config, plan.student, "student")
    write_network(run.folder / STUDENT[0], network, about)
    write_json(run.folder / STUDENT[1], history)
    write_stamp(run.folder, "distill", inputs, STUDENT)
    _clear(run, "student")
    wait()
    log.tell("student", "done")
    return True


def evaluate(run: Run) -> bool:
    """Networks → evaluation.json and predictions; return whether anything was done."""
    material = _open_material(run)
    from polypskd import freshness
    from polypskd.judgement import (
        describe_judgement,
        describe_provenance,
        judge_network,
        write_answers,
        write_predictions,
    )
    from polypskd.models.processes import agree, wait

    student = freshness.need(run, STUDENT[0], "distill")
    teacher = run.folder / TEACHER[0] if has_teacher(run.config.student.method) else None
    # Weights made from other labels may have seen what is the test split now.
    if teacher:
        freshness.need_fresh(run, "teach", freshness.targets_inputs(run, material), TEACHER)
    freshness.need_fresh(run, "distill", freshness.student_inputs(run, material), STUDENT)
    outputs = NUMBERS if teacher else NUMBERS[:-1]
    hashes = {
        "examples_sha256": file_hash(run.folder / LABELS[0]),
        "student_sha256": file_hash(student),
        "teacher_sha256": file_hash(teacher) if teacher else None,
    }
    settings = run.config.evaluation.model_dump(mode="json")
    tables = read_json(run.folder / LABELS[1]).get("inputs", {})
    inputs = fingerprint([settings, material.fingerprint(), hashes, tables])
    if agree(is_fresh(run.folder, "evaluate", inputs, outputs)):
        return False
    run.log.tell("evaluate", "start")
    judged = judge_network(material, student, "distill", run.log)
    other = judge_network(material, teacher, "teach", run.log) if teacher else None
    if judged is not None:
        record = describe_judgement(run.config, judged, other)
        write_json(run.folder / NUMBERS[0], record)
        write_predictions(run.folder / NUMBERS[1], material, judged)
        write_answers(run.folder / NUMBERS[3], judged, other)
        if other is not None:
            write_predictions(run.folder / NUMBERS[4], material, other)
        write_json(run.folder / NUMBERS[2], describe_provenance(material) | hashes | tables)
        write_stamp(run.folder, "evaluate", inputs, outputs)
        run.log.tell("evaluate", "done", macro_f1=record["macro_f1"])
    wait()
    return True


# --- what the steps share -----------------------------------------------------------------------


def _paid(run: Run, step: str) -> dict[str, float | None]:
    """Tell what a step cost, where other runs may borrow it."""
    return {} if run.shared is None else {step: read_costs(run.folder / "log.jsonl")[step]}


def _clear(run: Run, step: str) -> None:
    """Remove what only an unfinished step needs, also where a kill had left it."""
    from polypskd.training.savepoints import remove_savepoints
    from polypskd.training.targets import remove_blocks

    remove_savepoints(run.folder / ".steps", step)
    if step == "teacher":
        remove_blocks(run.folder)


def _open_material(run: Run) -> Material:
    """Join examples.csv and its scheme with the pixels."""
    from polypskd.labels.examples import check_examples, read_examples
    from polypskd.labels.scheme import parse_scheme

    # Read before torch is imported: a missing table is told at once.
    examples = read_examples(run.folder / LABELS[0])
    described = read_json(run.folder / LABELS[1])
    scheme = parse_scheme(described)
    check_examples(
        run.folder / LABELS[0], examples, scheme, patients_known=described["patients_known"]
    )
    from polypskd.training.material import Places, open_material

    places = Places(
        frames=locate_frames(run.config.cohort, run.cohort),
        run=run.folder,
        pixels=(run.shared or run.folder / ".steps") / "pixels",
    )
    return open_material(examples, scheme, places=places, config=run.config, log=run.log)
