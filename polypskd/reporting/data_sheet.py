"""The data sheet: what the cohort holds, who voted, what was left out."""

from __future__ import annotations

from typing import Any

import numpy as np

from polypskd.reporting.answers import Answers
from polypskd.reporting.cells import SPLITS, Table, make_table, pick
from polypskd.reporting.markup import escape_markdown, tabulate_markdown
from polypskd.reporting.paper import NOTICE, list_methods
from polypskd.reporting.record import Record, list_classes
from polypskd.reporting.tables import (
    tabulate_agreement,
    tabulate_annotators,
    tabulate_exclusions,
    tabulate_subclasses,
)

QUESTIONS = (
    ("data_source", "Where do the data come from, and under which terms?"),
    ("setting", "In which centers, and when, were they collected?"),
    ("eligibility", "Which patients were eligible?"),
    ("acquisition", "With which devices and imaging modes were the frames acquired?"),
    ("ethics", "Who approved the collection?"),
    ("deidentification", "How were identities removed before the data came here?"),
    ("annotators", "How experienced were the annotators, and how were they instructed?"),
    ("annotation_tool", "With which tool did they vote?"),
    ("reference_standard", "Was histology at hand?"),
    ("data_availability", "Where are the data to be had?"),
)
UNTOLD = "To be told by the authors."


def write_data_sheet(record: Record, answers: Answers) -> str:
    """Write the data sheet in Markdown.

    Args:
        record: the run's files.
        answers: of the authors.
    """
    statistics = record.agreement.get("statistics") or {}
    tables = [
        _count_frames(record),
        _count_patients(record),
        tabulate_subclasses(record.agreement.get("subclasses") or ()),
    ]
    voted = []
    if pick(statistics, "votes_per_frame", "max") != 1:
        voted = [
            tabulate_agreement(statistics),
            tabulate_annotators(statistics, list_classes(record)),
        ]
    left_out = tabulate_exclusions(record.exclusions)
    told = {one.title: " ".join(one.sentences) for one in list_methods(record)}
    parts = [
        f"# Data sheet: the cohort of {escape_markdown(str(record.config.get('name') or 'run'))}",
        f"**{NOTICE}**",
        "## Composition",
        escape_markdown(told["Data"]),
        *(tabulate_markdown(table) for table in tables if table.rows),
        "## Annotators and agreement",
        escape_markdown(told["Reference standard"]),
        "Annotators are numbered; their names stay in the run folder."
        if voted
        else "Each frame has one vote: agreement cannot be measured.",
        *(tabulate_markdown(table) for table in voted if table.rows),
        "## Left out",
        tabulate_markdown(left_out) if left_out.rows else "No frame was left out.",
        "## What the authors tell",
        *(
            f"**{question}** ({key})\n\n{escape_markdown(answers.study.get(key, UNTOLD))}"
            for key, question in QUESTIONS
        ),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _count_frames(record: Record) -> Table:
    examples = record.examples
    rows: list[tuple[Any, ...]] = []
    for name in list_classes(record):
        member = examples.consensus == name
        sizes = [int(np.sum(member & (examples.split == key))) for key in SPLITS]
        rows.append((name, *sizes, sum(sizes)))
    sizes = [int(np.sum(examples.split == key)) for key in SPLITS]
    rows.append(("All", *sizes, sum(sizes)))
    head = ("Class", *(name.capitalize() for name in SPLITS.values()), "All")
    return make_table("", "Frames by class and split.", head, rows)


def _count_patients(record: Record) -> Table:
    """Count patients by class and split; one with frames of two classes counts for both."""
    head = ("Class", *(name.capitalize() for name in SPLITS.values()), "All")
    if not pick(record.agreement, "patients_known"):
        return make_table("", "", head, [])
    examples = record.examples
    rows: list[tuple[Any, ...]] = []
    for name in (*list_classes(record), None):
        member = np.ones(len(examples), bool) if name is None else examples.consensus == name
        parts = [member & (examples.split == key) for key in SPLITS]
        counts = [len(np.unique(examples.patient_id[part])) for part in (*parts, member)]
        rows.append((name or "All", *counts))
    caption = "Patients by class and split. A patient with frames of two classes counts for each."
    return make_table("", caption, head, rows)
