"""Paragraphs and a table to paste into a paper, in Markdown and LaTeX.

Every sentence rests on the run's own settings and numbers. They are a start: what the authors know
of their patients, centers and annotators is theirs to add.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from polypskd.reporting.cells import (
    SPLITS,
    Table,
    count,
    format_confidence,
    format_estimate,
    format_number,
    make_table,
    pick,
)
from polypskd.reporting.markup import (
    escape_latex,
    escape_markdown,
    tabulate_latex,
    tabulate_markdown,
)
from polypskd.reporting.naming import name_method
from polypskd.reporting.overlap import tell_overlap
from polypskd.reporting.record import (
    Record,
    count_patients,
    get_study,
    has_given_classes,
    list_classes,
)
from polypskd.reporting.scores import get_class_score, get_score
from polypskd.reporting.study.accuracy import tell_main
from polypskd.reporting.study.methods import describe_study

SCORES = (
    ("precision", "Precision"),
    ("recall", "Recall"),
    ("specificity", "Specificity"),
    ("f1", "F1"),
    ("auroc", "AUROC"),
)
NOTICE = "Research use only: not a medical device, not for diagnosis."


@dataclass(frozen=True)
class Passage:
    """A heading and the sentences below it.

    Args:
        title: the heading.
        sentences: plain text.
    """

    title: str
    sentences: tuple[str, ...]


def write_paper(record: Record) -> dict[str, bytes]:
    """Write the files of the folder ``paper``.

    Args:
        record: the run's files.

    Returns:
        Name of each file → its bytes.
    """
    methods = list_methods(record)
    results = (Passage("Results", tuple(tell_results(record))),)
    table = tabulate_results(record)
    texts = {
        "methods.md": _to_markdown(methods),
        "methods.tex": _to_latex(methods),
        "results.md": f"{_to_markdown(results)}\n{tabulate_markdown(table)}",
        "results.tex": f"{_to_latex(results)}\n% needs \\usepackage{{booktabs}}\n"
        + tabulate_latex(table, "results"),
    }
    return {name: text.encode() for name, text in texts.items()}


def list_methods(record: Record) -> tuple[Passage, ...]:
    """Tell how the run was made, as a paper's methods section does."""
    return (
        Passage("Data", tuple(_tell_data(record))),
        Passage("Reference standard", tuple(_tell_reference(record))),
        Passage("Model", tuple(_tell_model(record))),
        Passage("Statistics", tuple(_tell_statistics(record))),
    )


def tell_results(record: Record) -> list[str]:
    """Tell the results in a few sentences."""
    evaluation = record.evaluation
    confidence = format_confidence(pick(record.config, "evaluation", "confidence"))
    lines = [
        f"On the {_count_test(record)} of the test split, the student reached a macro-F1 of "
        f"{format_estimate(get_score(record, 'macro_f1'))}, an accuracy of "
        f"{format_estimate(get_score(record, 'accuracy'))} and an AUROC of "
        f"{format_estimate(get_score(record, 'auroc'))}."
    ]
    teacher = evaluation.get("teacher")
    if teacher:
        lines.append(f"The teacher's macro-F1 was {format_estimate(teacher.get('macro_f1'))}.")
    before, after = (pick(evaluation, "calibration", when, "ece") for when in ("before", "after"))
    if before is not None:
        lines.append(f"The expected calibration error was {format_estimate(before)}.")
    if after is not None:
        lines.append(f"After temperature scaling it was {format_estimate(after)}.")
    lines.append(f"Brackets hold {confidence} intervals.")
    return lines


def tabulate_results(record: Record) -> Table:
    """Set the student's results for each class into one table."""
    rows: list[tuple[Any, ...]] = [
        (
            name,
            pick(record.evaluation, "per_class", name, "support"),
            *(get_class_score(record, name, key) for key, _ in SCORES),
        )
        for name in list_classes(record)
    ]
    confidence = format_confidence(pick(record.config, "evaluation", "confidence"))
    section = get_study(record, "accuracy")
    intervals = f"{confidence} intervals" if section is None else tell_main(section)
    # This table goes out alone, without the methods that say so.
    alone = not record.agreement.get("patients_known")
    intervals += "; frames count as independent, for patients are unknown" if alone else ""
    return make_table(
        "results",
        f"Results of the student for each class on the test split; {intervals}.",
        ("Class", "Frames", *(label for _, label in SCORES)),
        rows,
    )


def _tell_data(record: Record) -> list[str]:
    patients = count_patients(record)
    of = f" of {count(patients, 'patient')}" if patients else ""
    classes = list_classes(record)
    kind = pick(record.config, "cohort", "frames", "kind")
    lines = []
    if kind == "synthetic":
        lines.append("Frames and votes were drawn by a program; no patient was involved.")
    lines.append(
        f"The cohort holds {format_number(len(record.examples))} frames{of} in "
        f"{len(classes)} classes: {', '.join(classes)}."
    )
    excluded = sum(record.exclusions.values())
    if excluded:
        more = f"{count(excluded, 'further frame')} {'was' if excluded == 1 else 'were'}"
        lines.append(f"{more} left out before labeling.")
    split = record.examples.split
    sizes = [f"{format_number(int(np.sum(split == key)))} {name}" for key, name in SPLITS.items()]
    if pick(record.config, "cohort", "split", "kind") == "column":
        how = "follow a column of the data; where it names no validation split, one was drawn"
    else:
        how = "were drawn at random" + (", by patient" if patients else "")
    lines.append(f"The splits ({', '.join(sizes)} frames) {how}.")
    lines.append(tell_overlap(record))
    return lines


def _tell_reference(record: Record) -> list[str]:
    if has_given_classes(record):
        return ["The reference standard is the class given with each frame."]
    statistics = record.agreement.get("statistics") or {}
    people, votes = statistics.get("n_annotators"), statistics.get("n_votes")
    lines = []
    if votes:
        by = f" of {count(people, 'annotator')}" if people else ""
        lines.append(f"{count(votes, 'vote')}{by} {'was' if votes == 1 else 'were'} at hand.")
    lines.append(
        "The reference standard is the consensus: the class with most votes. Ties go to the class "
        "of higher risk."
    )
    if statistics.get("ties") is not None:
        lines.append(f"Frames with a tie: {format_number(statistics['ties'])}.")
    for key, name in (("fleiss_kappa", "Fleiss' kappa"), ("gwet_ac1", "Gwet's AC1")):
        if pick(statistics, key, "value") is not None:
            lines.append(f"{name} was {format_estimate(statistics[key])}.")
    return lines


def _tell_model(record: Record) -> list[str]:
    config, evaluation = record.config, record.evaluation
    method = evaluation.get("method") or {}
    lines = []
    teacher = evaluation.get("teacher")
    subclasses = record.agreement.get("subclasses") or ()
    if teacher:
        lines.append(f"The teacher is {_tell_network(teacher, config, 'teacher')}")
    lines.append(f"The student is {_tell_network(evaluation, config, 'student')}")
    lines.append(f"The student was trained {name_method(record)}.")
    if isinstance(method, dict) and method.get("temperature") is not None and teacher:
        weight = method.get("alpha")
        share = f" and a balance alpha of {weight:g}" if weight is not None else ""
        lines.append(f"Distillation used a temperature of {method['temperature']:g}{share}.")
    if subclasses:
        lines.append(f"The labels hold {len(subclasses)} subclasses.")
    lines.append(
        "The weights kept are those of the epoch with the highest macro-F1 on the validation split."
    )
    return lines


def _tell_network(side: dict[str, Any], config: dict[str, Any], who: str) -> str:
    network = pick(side, "model", "network")
    name = network.get("kind") if isinstance(network, dict) else network
    several = pick(config, who, "ensemble") or 1
    parts = [f"a {name or 'network'}"]
    if several > 1:
        parts = [f"an ensemble of {several} networks ({name})" if name else f"{several} networks"]
    if size := pick(side, "model", "parameters"):
        parts.append(f"of {format_number(size)} parameters" + (" in all" if several > 1 else ""))
    fit = pick(config, who, "fit") or {}
    told = f"{' '.join(parts)}"
    if fit.get("epochs"):
        told += (
            f", trained for {format_number(fit['epochs'])} epochs with {fit.get('optimizer')}, a "
            f"batch of {fit.get('batch_size')} frames and a learning rate of {fit.get('lr'):g}"
        )
    if (size := pick(config, "augment", "size")) is not None:
        told += f", on frames of {size} by {size} pixels"
    return f"{told}."


def _tell_statistics(record: Record) -> list[str]:
    settings = record.config.get("evaluation") or {}
    unit = "patients" if record.agreement.get("patients_known") else "frames"
    packages = record.provenance.get("packages") or {}
    seed = record.evaluation.get("seed", record.config.get("seed"))
    lines = [
        f"Intervals are {format_confidence(settings.get('confidence'))} bootstrap intervals from "
        f"{format_number(settings.get('resamples'))} resamples of {unit}: percentile intervals, "
        "and pivotal ones for calibration errors.",
        f"The expected calibration error uses {settings.get('calibration_bins')} bins of equal "
        "width; the temperature was fitted on the validation split.",
        *describe_study(record.study or {}),
        f"Everything was computed with polypskd {record.provenance.get('polypskd')}, seed {seed}"
        + (
            f" ({', '.join(f'{name} {version}' for name, version in packages.items())})."
            if packages
            else "."
        ),
        NOTICE,
    ]
    return lines


def _count_test(record: Record) -> str:
    evaluation = record.evaluation
    patients = evaluation.get("n_patients") if record.agreement.get("patients_known") else None
    of = f" of {count(patients, 'patient')}" if patients else ""
    return f"{count(evaluation.get('n_frames') or 0, 'frame')}{of}"


def _to_markdown(passages: tuple[Passage, ...]) -> str:
    parts = [
        f"## {escape_markdown(one.title)}\n\n{escape_markdown(' '.join(one.sentences))}\n"
        for one in passages
    ]
    return "\n".join(parts)


def _to_latex(passages: tuple[Passage, ...]) -> str:
    parts = [
        f"\\subsection*{{{escape_latex(one.title)}}}\n"
        + "\n".join(escape_latex(line) for line in one.sentences)
        + "\n"
        for one in passages
    ]
    return "\n".join(parts)
