"""The model card: what the student is and is for, how it did, and what it is not for."""

from __future__ import annotations

from typing import Any

from polypskd.reporting.answers import Answers
from polypskd.reporting.cells import Table, format_confidence, format_number, make_table, pick
from polypskd.reporting.levels import name_levels, order_levels
from polypskd.reporting.markup import escape_markdown, tabulate_markdown
from polypskd.reporting.paper import NOTICE, list_methods, tabulate_results
from polypskd.reporting.prose import list_limitations
from polypskd.reporting.record import Record, list_classes
from polypskd.reporting.scores import get_score

OUT_OF_SCOPE = (
    "Any decision about a patient: diagnosis, resection, leaving in situ, surveillance.",
    "Frames of other endoscopes, centers or imaging modes than those tested here.",
    "Lesions of other classes than those named here: the student always names one of its classes.",
    "Finding lesions: the student classifies a frame that shows one.",
)
INTENDED = (
    "Research on optical diagnosis and on knowledge distillation: comparing methods, and judging "
    "the student on other cohorts in a study of its own."
)
UNTOLD = "to be told by the authors, as study.{} in report.yaml."
OVERALL = (
    ("Macro-F1", ("macro_f1",)),
    ("Weighted F1", ("weighted_f1",)),
    ("Accuracy", ("accuracy",)),
    ("AUROC", ("auroc",)),
    ("ECE before temperature scaling", ("calibration", "before", "ece")),
    ("ECE after temperature scaling", ("calibration", "after", "ece")),
)


def write_model_card(record: Record, answers: Answers) -> str:
    """Write the model card in Markdown.

    Args:
        record: the run's files.
        answers: of the authors.
    """
    name = escape_markdown(str(record.config.get("name") or "run"))
    confidence = format_confidence(pick(record.config, "evaluation", "confidence"))
    parts = [
        f"# Model card: the student of {name}",
        f"**{NOTICE}**",
        "## Intended use",
        _tell(INTENDED),
        _ask(answers, "intended_use", "Intended users"),
        "## Out of scope",
        _list(OUT_OF_SCOPE),
        "## Model",
        tabulate_markdown(_tabulate_model(record)),
        *(_tell(" ".join(one.sentences)) for one in list_methods(record) if one.title == "Model"),
        "## Data",
        *(
            _tell(" ".join(one.sentences))
            for one in list_methods(record)
            if one.title in ("Data", "Reference standard")
        ),
        _ask(answers, "data_source", "Source of the data"),
        "## Results",
        tabulate_markdown(_tabulate_overall(record, confidence)),
        tabulate_markdown(tabulate_results(record)),
        *([tabulate_markdown(levels)] if (levels := _tabulate_levels(record)).rows else []),
        "## Limits",
        _list(list_limitations(record, list_classes(record))),
        *(
            [_ask(answers, "limitations", "The authors add")]
            if "limitations" in answers.study
            else []
        ),
        "## Fairness and ethics",
        _ask(answers, "fairness", "Fairness"),
        _ask(answers, "ethics", "Ethics approval"),
        "## Files",
        tabulate_markdown(_tabulate_hashes(record)),
        _ask(answers, "contact", "Contact"),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _tabulate_model(record: Record) -> Table:
    model = record.evaluation.get("model") or {}
    rows: list[tuple[Any, ...]] = [
        ("Classes", ", ".join(list_classes(record))),
        ("Parameters", model.get("parameters")),
        ("Multiply-accumulates for a frame", model.get("macs")),
        ("Size, bytes", model.get("size_bytes")),
        ("Seed", str(record.evaluation.get("seed", record.config.get("seed")))),
        ("Made with", f"polypskd {record.provenance.get('polypskd')}"),
        ("License of the weights", "to be told by the authors"),
    ]
    return make_table("", "", ("Item", "Value"), rows)


def _tabulate_overall(record: Record, confidence: str) -> Table:
    evaluation = record.evaluation
    count = format_number(evaluation.get("n_frames"))
    rows = [
        (label, get_score(record, keys[0]) if len(keys) == 1 else pick(evaluation, *keys))
        for label, keys in OVERALL
    ]
    caption = f"On the {count} frames of the test split; {confidence} intervals in brackets."
    return make_table("", caption, ("Measure", "Value"), rows)


def _tabulate_levels(record: Record) -> Table:
    level = name_levels(record)
    rows = [
        (str(name), row.get("n_frames"), row.get("macro_f1"), row.get("accuracy"))
        for name, row in order_levels(record, record.evaluation.get("by_level") or {}).items()
    ]
    head = (level.capitalize(), "Frames", "Macro-F1", "Accuracy")
    return make_table("", f"By {level}.", head, rows)


def _tabulate_hashes(record: Record) -> Table:
    rows = [
        (key.removesuffix("_sha256"), str(value))
        for key, value in record.provenance.items()
        if key.endswith("_sha256") and value
    ]
    return make_table("", "SHA-256 of the files of the run.", ("File", "SHA-256"), rows)


def _tell(text: str) -> str:
    return escape_markdown(text)


def _list(lines: Any) -> str:
    return "\n".join(f"- {escape_markdown(line)}" for line in lines)


def _ask(answers: Answers, key: str, title: str) -> str:
    told = answers.study.get(key, UNTOLD.format(key))
    return f"{title}: {escape_markdown(told)}"
