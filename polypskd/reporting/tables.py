"""The report's tables, built from a run's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from polypskd.labels.examples import Examples
from polypskd.reporting.cells import (
    DASH,
    SPLITS,
    Table,
    flatten,
    format_confidence,
    format_number,
    make_table,
    pick,
)
from polypskd.reporting.record import Record
from polypskd.reporting.scores import get_score

Json = dict[str, Any]
OVERALL = (
    ("Macro-F1", ("macro_f1",)),
    ("Weighted F1", ("weighted_f1",)),
    ("Accuracy", ("accuracy",)),
    ("AUROC, mean over classes", ("auroc",)),
)
SCORES = ("precision", "recall", "f1", "specificity", "auroc")
CALIBRATION = (
    ("ece", "ECE"),
    ("ece_classwise", "ECE, class-wise"),
    ("ece_equal_mass", "ECE, equal-mass bins"),
    ("brier", "Brier score"),
    ("nll", "Negative log-likelihood"),
    ("slope", "Calibration slope"),
    ("intercept", "Calibration intercept"),
)
KAPPAS = (
    ("fleiss_kappa", "Fleiss' kappa"),
    ("krippendorff_nominal", "Krippendorff's alpha, nominal"),
    ("krippendorff_ordinal", "Krippendorff's alpha, ordinal"),
    ("gwet_ac1", "Gwet's AC1"),
)
INFORMATION = {
    "label_bits": "Label bits (symmetric channel, Müller et al. 2020)",
    "mutual_information": "Mutual information I(S; Ŝ | C), bits",
    "soft_information": "Information of the soft predictions, bits",
    "subclass_accuracy": "Accuracy over all subclasses",
    "subclass_accuracy_within_class": "Accuracy among the subclasses of the true class",
    "conditional_entropy": "H(S | C), what there is to pass on, bits",
    "utilization_entropy": "Entropy of the subclasses in use, bits",
}


def tabulate_sides(evaluation: Json, *, scores: bool = True) -> Table:
    """Set the student beside the teacher; `scores` tells whether in accuracy, too."""
    sides: list[Json | None] = [evaluation, evaluation.get("teacher")]
    measures: tuple[tuple[str, tuple[str, ...]], ...] = (
        *(OVERALL if scores else ()),
        ("ECE, before temperature scaling", ("calibration", "before", "ece")),
        ("ECE, after temperature scaling", ("calibration", "after", "ece")),
        ("Parameters", ("model", "parameters")),
        ("Multiply-accumulates for a frame", ("model", "macs")),
        ("Size, bytes", ("model", "size_bytes")),
    )
    rows = [("Network", *(_text(pick(side, "model", "network")) for side in sides))]
    rows += [(label, *(pick(side, *keys) for side in sides)) for label, keys in measures]
    return make_table(
        "student-teacher",
        f"Student and teacher on the {evaluation.get('split') or 'test'} split; "
        "intervals in brackets.",
        ("Measure", "Student", "Teacher"),
        rows,
    )


def tabulate_splits(examples: Examples, classes: Sequence[str], known: bool) -> Table:
    """Count frames by class and split, and patients by split."""
    splits = [examples.split == name for name in SPLITS] + [np.ones(len(examples), dtype=bool)]
    rows: list[tuple[Any, ...]] = []
    for name in classes:
        member = examples.consensus == name
        rows.append((name, *(int(np.sum(member & split)) for split in splits)))
    rows.append(("All frames", *(int(np.sum(split)) for split in splits)))
    people = [len(np.unique(examples.patient_id[split])) if known else None for split in splits]
    rows.append(("Patients", *people))
    caption = "Frames by class and split, and patients by split."
    return make_table(
        "splits",
        caption,
        ("Class", *SPLITS.values(), "all"),
        rows,
        sortable=len(classes) > 2,
        fixed=2,
    )


def tabulate_exclusions(exclusions: Mapping[str, int]) -> Table:
    """Count excluded frames by reason."""
    caption = "What was left out, and why; excluded.csv of the run folder names each frame."
    return make_table(
        "exclusions",
        caption,
        ("Reason", "Frames"),
        exclusions.items(),
        layout="words",
        fold="Frames left out, by reason",
    )


def tabulate_agreement(statistics: Json) -> Table:
    """List the agreement coefficients and the votes behind them."""
    spread = statistics.get("votes_per_frame") or {}
    found = [spread.get(key) for key in ("min", "median", "max")]
    votes = [DASH if number is None else f"{number:g}" for number in found]
    rows = [(label, statistics.get(key)) for key, label in KAPPAS]
    rows += [
        (label, statistics.get(key))
        for key, label in (
            ("n_annotators", "Annotators"),
            ("n_votes", "Votes"),
            ("ties", "Frames with a tie, which go to the class of higher risk"),
        )
    ]
    rows.append(("Votes for a frame: least, median, most", ", ".join(votes)))
    caption = f"Agreement between annotators{_tell_intervals(statistics)}."
    return make_table("annotator-agreement", caption, ("Measure", "Value"), rows)


def tabulate_pairs(statistics: Json) -> Table:
    """List Cohen's kappa of each pair of annotators."""
    rows = [
        (f"{pair.get('a')} and {pair.get('b')}", pair.get("n"), _estimate(pair))
        for pair in statistics.get("pairwise_cohen") or ()
    ]
    caption = f"Cohen's kappa of each pair of annotators{_tell_intervals(statistics)}."
    return make_table(
        "pairs",
        caption,
        ("Pair", "Frames", "Cohen's kappa"),
        rows,
        sortable=True,
        fold=f"Cohen's kappa of each of {len(rows)} pairs of annotators",
    )


def _estimate(pair: Json) -> Json:
    return {key: pair.get(key) for key in ("value", "low", "high")}


def _tell_intervals(statistics: Json) -> str:
    """Tell the confidence of agreement's intervals, which the evaluation's does not set."""
    confidence = statistics.get("confidence") if statistics.get("resamples") else None
    return f"; {format_confidence(confidence)} intervals in brackets" if confidence else ""


def tabulate_annotators(statistics: Json, classes: Sequence[str]) -> Table:
    """List each annotator's votes; a clinician's name stays in the run folder."""
    rows = []
    for person in statistics.get("annotators") or ():
        shares = person.get("class_shares") or {}
        if not isinstance(shares, Mapping):
            shares = dict(zip(classes, shares, strict=False))
        kept = (str(person.get("name")), person.get("n_votes"), person.get("share_with_consensus"))
        rows.append((*kept, *(shares.get(name) for name in classes)))
    return make_table(
        "annotators",
        "Votes of each annotator: share with the consensus, and share of each class.",
        ("Annotator", "Votes", "With consensus", *classes),
        rows,
        sortable=True,
        fold=f"Votes of each of {len(rows)} annotators",
    )


def tabulate_subclasses(subclasses: Sequence[Mapping[str, Any]]) -> Table:
    """List the subclasses with their frames in each split."""
    rows = [
        (
            str(row.get("name")),
            str(row.get("class")),
            row.get("level"),
            *(pick(row, "size", split) for split in SPLITS),
        )
        for row in subclasses
    ]
    return make_table(
        "subclasses",
        "Subclasses, the easiest of each class first; frames in each split.",
        ("Subclass", "Class", "Level", *SPLITS.values()),
        rows,
        layout="pairs",
        sortable=True,
    )


def tabulate_classes(evaluation: Json, classes: Sequence[str]) -> Table:
    """List the student's scores for each class."""
    head = ("Class", "Precision", "Recall", "F1", "Specificity", "AUROC", "Frames")
    rows = [
        (
            name,
            *(pick(evaluation, "per_class", name, key) for key in SCORES),
            pick(evaluation, "per_class", name, "support"),
        )
        for name in classes
    ]
    caption = "The student's results for each class; intervals in brackets."
    return make_table("classes", caption, head, rows, sortable=len(classes) > 2)


def tabulate_overall(record: Record) -> Table:
    """List the student's scores over all classes."""
    rows = [(label, get_score(record, *keys)) for label, keys in OVERALL]
    caption = "The student's results over all classes; intervals in brackets."
    return make_table("overall", caption, ("Measure", "Value"), rows)


def tabulate_levels(evaluation: Json, level: str) -> Table:
    """List the student's scores for each level; `level` says what that is."""
    rows = [
        (
            str(name),
            pick(row, "n_frames"),
            *(pick(row, key) for key in ("macro_f1", "accuracy", "ece")),
        )
        for name, row in (evaluation.get("by_level") or {}).items()
    ]
    return make_table(
        "by-level",
        f"The student's results for each {level}. Where all frames are of one class, an F1 over "
        "classes is not defined.",
        (level.capitalize(), "Frames", "Macro-F1", "Accuracy", "ECE"),
        rows,
        sortable=True,
    )


def tabulate_calibration(evaluation: Json) -> Table:
    """Set the student's calibration before temperature scaling beside that after it."""
    calibration = evaluation.get("calibration") or {}
    rows = [
        (label, *(pick(calibration, when, key) for when in ("before", "after")))
        for key, label in CALIBRATION
    ]
    temperature = format_number(calibration.get("temperature"))
    return make_table(
        "calibration-errors",
        f"Calibration of the student; temperature {temperature}, "
        f"{format_number(calibration.get('bins'))} bins.",
        ("Measure", "Before scaling", "After scaling"),
        rows,
    )


def tabulate_information(evaluation: Json) -> Table:
    """List the label information: the teacher's where there is one."""
    who = "teacher" if evaluation.get("teacher") else "student"
    rows = [
        (INFORMATION.get(key, key.replace("_", " ")), value)
        for key, value in (evaluation.get("information") or {}).items()
    ]
    caption = (
        f"Label information of the {who} on the training split: what it tells about the subclass "
        "S of a frame whose class C is known."
    )
    return make_table("information", caption, ("Measure", "Value"), rows)


def tabulate_settings(record: Record) -> Table:
    """List the config, without paths."""
    rows = tuple(flatten(record.config))
    return make_table(
        "settings",
        "As config.yaml of the run folder holds them, without paths.",
        ("Setting", "Value"),
        rows,
        layout="words",
        fold=f"All {len(rows)} settings of the run",
    )


def tabulate_provenance(record: Record) -> Table:
    """List the provenance, whatever it holds."""
    rows = tuple(flatten(record.provenance))
    caption = "Provenance: software, machine, seeds and hashes."
    return make_table("provenance", caption, ("Item", "Value"), rows, layout="words")


def _text(value: Any) -> str:
    """A network's name, or its section of the config in one cell."""
    if isinstance(value, Mapping):
        return ", ".join(text for _, text in flatten(value) if text != DASH)
    return format_number(value)
