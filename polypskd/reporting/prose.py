"""The report's sentences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from polypskd.metrics.teaching import warn_of_run
from polypskd.reporting.cells import (
    DASH,
    count,
    format_confidence,
    format_estimate,
    format_number,
    pick,
    point,
)
from polypskd.reporting.naming import name_method, name_network
from polypskd.reporting.overlap import tell_overlap
from polypskd.reporting.record import (
    Json,
    Record,
    has_given_classes,
    has_single_votes,
)

SMALL_FRAMES, SMALL_PATIENTS = 400, 50  # a test split of fewer is called a small sample
FEW_FRAMES = 50  # of the validation split; a temperature fitted on fewer is mostly noise
WORDS = (
    (
        "ECE",
        "The expected calibration error is the mean gap between how sure the student is and how "
        "often it is right; 0 is best.",
    ),
    (
        "Temperature scaling",
        "All logits are divided by one number, fitted on the validation split, so that "
        "probabilities become less or more sure; the predicted classes stay.",
    ),
    (
        "Equal-mass bins",
        "The bins of this ECE hold equally many frames each, instead of covering equally wide "
        "ranges of confidence.",
    ),
    (
        "Label bits",
        "How many bits a network's answer tells about the subclass of a frame whose class is "
        "known: 0 means nothing beyond the class.",
    ),
)


def compare_sizes(evaluation: Json) -> float | None:
    """Divide the student's parameters by the teacher's; None without a teacher.

    >>> compare_sizes({"model": {"parameters": 1}, "teacher": {"model": {"parameters": 4}}})
    0.25
    """
    small = pick(evaluation, "model", "parameters")
    large = pick(evaluation, "teacher", "model", "parameters")
    return small / large if small and large else None


def _confidence(record: Record) -> str:
    return format_confidence(pick(record.config, "evaluation", "confidence"))


def describe_test(record: Record) -> str:
    """Say what was tested on whom, against what."""
    evaluation = record.evaluation
    network = name_network(pick(evaluation, "model", "network"))
    parameters = pick(evaluation, "model", "parameters")
    size = f", {format_number(parameters)} parameters" if parameters else ""
    known = record.agreement.get("patients_known")
    people = evaluation.get("n_patients") if known else None
    of = f" of {count(people, 'patient')}" if people else ""
    annotators = pick(record.agreement, "statistics", "n_annotators")
    by = count(annotators, "annotator") if annotators else "the annotators"
    standard = "one vote a frame" if has_single_votes(record) else f"the consensus of {by}"
    if has_given_classes(record):
        standard = "the class given with each frame"
    who = f"({network}{size})" if network or size else ""
    return (
        f"A student {who}, trained {name_method(record)}, was tested on "
        f"{count(evaluation.get('n_frames') or 0, 'frame')}{of} (the "
        f"{evaluation.get('split') or 'test'} split). The reference standard is {standard}."
    ).replace("student ,", "student,")


def list_findings(record: Record) -> list[str]:
    """Say what the headline figures do not: the teacher, and what the brackets hold."""
    evaluation, ratio = record.evaluation, compare_sizes(record.evaluation)
    lines = []
    if evaluation.get("teacher"):
        lines.append(
            f"The teacher's macro-F1 is {format_estimate(pick(evaluation, 'teacher', 'macro_f1'))}."
        )
    else:
        lines.append("No teacher was used.")
    if ratio is not None:
        lines.append(f"The student has {ratio:.1%} of the teacher's parameters.")
    lines.append(
        "The student's expected calibration error (ECE) is "
        f"{format_number(point(pick(evaluation, 'calibration', 'before', 'ece')))} before and "
        f"{format_number(point(pick(evaluation, 'calibration', 'after', 'ece')))} after "
        "temperature scaling."
    )
    lines.append(f"Brackets hold {_confidence(record)} intervals.")
    return lines


def list_limits(record: Record) -> str:
    """Say the limits in one line; `list_limitations` tells them all."""
    known = record.agreement.get("patients_known")
    limits = ["one cohort", "one seed", count(record.evaluation.get("n_frames") or 0, "test frame")]
    limits += [] if known else ["patients unknown"]
    limits.append(
        "a reference standard given with the frames"
        if has_given_classes(record)
        else "annotators' votes as the reference standard, not histology"
    )
    return f"Limits: {', '.join(limits)}; more under Limitations."


def describe_curriculum(config: Json) -> str:
    """Say when examples join the training.

    >>> describe_curriculum({})
    'No curriculum: all training examples are in use from the first epoch.'
    """
    rule = pick(config, "labels", "curriculum") or {}
    order = str(rule.get("order") or "easy_to_hard").replace("_", " ")
    match rule.get("kind"):
        case "staged":
            step = rule.get("epochs_per_stage")
            pause = "epoch" if step == 1 else f"{format_number(step)} epochs"
            return f"Staged curriculum, {order}: a further stage joins every {pause}."
        case "paced":
            return f"Paced curriculum, {order}, {rule.get('pace')} pace."
        case _:
            return "No curriculum: all training examples are in use from the first epoch."


def list_limitations(record: Record, classes: list[str]) -> list[str]:
    """List what the numbers cannot bear, then the notes of the agreement step."""
    evaluation = record.evaluation
    supports = {name: pick(evaluation, "per_class", name, "support") for name in classes}
    known = {name: size for name, size in supports.items() if size is not None}
    patients = evaluation.get("n_patients") if record.agreement.get("patients_known") else None
    frames = evaluation.get("n_frames") or 0
    of = f" of {count(patients, 'patient')}" if patients else ""
    rest = f"ll results rest on {count(frames, 'frame')}{of}."
    small = frames < SMALL_FRAMES or (patients is not None and patients < SMALL_PATIENTS)
    lines = [f"Small sample: a{rest}" if small else f"A{rest}"]
    if known:
        least = min(known, key=lambda name: known[name])
        lines.append(
            f"The smallest class, {least}, has {count(known[least], 'frame')} in this split."
        )
    lines += _doubt_numbers(record, classes)
    notes = [str(note) for note in record.agreement.get("notes") or ()]
    told = any(note.startswith("Patients are unknown") for note in notes)
    if not record.agreement.get("patients_known") and not told:
        lines.append(
            "Patients are unknown. Frames of one patient may stand in several splits, and the "
            "intervals treat frames as independent, so results and intervals are optimistic."
        )
    seed = evaluation.get("seed", record.config.get("seed"))
    lines += [
        f"One seed ({DASH if seed is None else seed}): another seed gives other numbers; "
        "a difference between methods needs several seeds.",
        "One cohort: nothing here says how the student does at another center or endoscope.",
        _doubt_reference(record),
    ]
    return lines + notes


def _doubt_reference(record: Record) -> str:
    """Say what the reference standard is not, by what this run used."""
    if has_given_classes(record):
        return (
            "The reference standard is the class given with each frame; the cohort's owner knows "
            "where it comes from."
        )
    what = "one vote a frame" if has_single_votes(record) else "the annotators' consensus"
    told = f"The reference standard is {what}, not histology"
    if pick(record.config, "study", "polyps", "histology") is None:
        return f"{told}: no column of histology was named."
    return f"{told}: the column of histology is used for surveillance intervals only."


def _doubt_numbers(record: Record, classes: list[str]) -> list[str]:
    """Say which of the numbers are weaker than they look."""
    evaluation = record.evaluation
    lines = [warning] if (warning := warn_of_run(evaluation)) else []
    before, after = (
        point(pick(evaluation, "calibration", when, "ece")) for when in ("before", "after")
    )
    if before is not None and after is not None and after > before:
        lines.append(
            "Temperature scaling made the calibration worse on this split: the ECE rose from "
            f"{format_number(before)} to {format_number(after)}."
        )
    fitted = int(np.sum(record.examples.split == "val"))
    if fitted < FEW_FRAMES:
        lines.append(
            f"The validation split has {count(fitted, 'frame')} only: the temperature and "
            "the choice of epoch rest on few."
        )
    areas = {"of all classes": pick(evaluation, "auroc", "low")}
    areas |= {f"of {name}": pick(evaluation, "per_class", name, "auroc", "low") for name in classes}
    chance = [name for name, low in areas.items() if low is not None and low <= 0.5]
    if chance:
        lines.append(
            f"The interval of the AUROC {', '.join(chance)} reaches 0.5: not shown to be better "
            "than chance; its calibration error then says little."
        )
    return lines


def describe_methods(record: Record) -> list[str]:
    """Say in plain sentences how the numbers were made."""
    resamples = pick(record.config, "evaluation", "resamples")
    known = record.agreement.get("patients_known")
    by = " of patients" if known else " of frames, which are taken as independent"
    return [
        f"The student was trained {name_method(record)}.",
        *_describe_networks(record),
        "The weights kept are those of the epoch with the highest macro-F1 on the validation "
        "split.",
        "The student sees the frame alone; its probabilities for each frame stand in "
        "predictions.csv of the run folder.",
        tell_overlap(record),
        "The reference standard is the class given with each frame."
        if has_given_classes(record)
        else "The reference standard is the consensus, the class with most votes; ties go to the "
        "class of higher risk.",
        f"Intervals are {_confidence(record)} bootstrap intervals with "
        f"{format_number(resamples)} resamples{by}.",
        "The temperature was fitted on the validation split.",
    ]


def _describe_networks(record: Record) -> list[str]:
    lines = []
    for who in ("student", "teacher"):
        part = record.config.get(who)
        if not isinstance(part, Mapping) or (who == "teacher" and not record.evaluation.get(who)):
            continue
        network, epochs = name_network(part.get("network")), pick(part, "fit", "epochs")
        size = part.get("ensemble") or 1
        several = f"an ensemble of {size} networks {network}" if size > 1 else network
        if network and epochs:
            lines.append(f"The {who} ({several}) was trained for {count(epochs, 'epoch')}.")
    size = pick(record.config, "augment", "size")
    if isinstance(size, int):
        lines.append(f"Frames were resized to {size} by {size} pixels.")
    return lines
