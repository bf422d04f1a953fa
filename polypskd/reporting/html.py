"""The report: one page that needs nothing but itself, and its numbers as JSON."""

from __future__ import annotations

from pathlib import Path

from polypskd.artifacts import write_json, write_text
from polypskd.reporting import tables
from polypskd.reporting.cells import DASH, Table, pick
from polypskd.reporting.comparison_prose import list_findings as list_differences
from polypskd.reporting.comparison_tables import tabulate_comparison
from polypskd.reporting.figures import Picture, style
from polypskd.reporting.gallery import find_mistakes
from polypskd.reporting.page import fill_page
from polypskd.reporting.prose import (
    WORDS,
    compare_sizes,
    count_flow,
    describe_curriculum,
    describe_methods,
    list_findings,
    list_limitations,
)
from polypskd.reporting.record import Json, Record, count_patients, name_levels, read_record

BANNER = "Research use only. Not a medical device; not for diagnosis."
MAX_PAIRS = 45  # ten annotators; more would fill pages


def write_report(run: Path, frames_root: Path | None) -> Path:
    """Write report.html and report.json into a run folder.

    The report names no patient, frame, file or annotator.

    Args:
        run: the run folder.
        frames_root: folder of the frames for the gallery; None shows placeholders.

    Returns:
        The path of report.html.

    Raises:
        ArtifactError: a file of the run is missing or damaged.
        OutputError: the folder cannot be written to.
    """
    record = read_record(run)
    text = render(record, frames_root)
    page = run / "report.html"
    write_json(run / "report.json", summarize(record))
    write_text(page, text)
    return page


def summarize(record: Record) -> Json:
    """Gather the report's numbers in one JSON object without patients, frames or names."""
    return {
        "name": record.config.get("name"),
        "research_use_only": True,
        "notice": BANNER,
        "summary": {
            "student": _brief(record.evaluation),
            "teacher": _brief(record.evaluation.get("teacher")),
            "parameters_ratio": compare_sizes(record.evaluation),
        },
        "cohort": {
            "n_frames": len(record.examples),
            "n_patients": count_patients(record),
            "exclusions": record.exclusions,
        },
        "evaluation": record.evaluation,
        "agreement": record.agreement,
        "comparison": record.comparison,
        "provenance": record.provenance,
    }


def render(record: Record, frames_root: Path | None) -> str:
    """Render the page.

    Args:
        record: the run's files.
        frames_root: folder of the frames, or None.
    """
    classes = [str(name) for name in record.agreement.get("classes") or ()]
    mistakes = find_mistakes(record.examples, record.predictions, frames_root)
    return fill_page(
        "report.html.j2",
        dash=DASH,
        banner=BANNER,
        name=str(record.config.get("name") or "run"),
        lead=list_findings(record),
        flow=count_flow(record),
        curriculum=describe_curriculum(record.config),
        merges=[str(line) for line in record.agreement.get("merges") or ()],
        limitations=list_limitations(record, classes),
        methods=describe_methods(record),
        words=WORDS,
        level=name_levels(record),
        findings=list_differences(record.comparison) if record.comparison else [],
        tables=_tables(record, classes),
        pictures=_pictures(record, classes),
        mistakes=mistakes,
    )


def _tables(record: Record, classes: list[str]) -> dict[str, Table]:
    evaluation, agreement = record.evaluation, record.agreement
    statistics = agreement.get("statistics") or {}
    known = bool(agreement.get("patients_known"))
    made = {
        "summary": tables.tabulate_summary(evaluation),
        "splits": tables.tabulate_splits(record.examples, classes, known),
        "exclusions": tables.tabulate_exclusions(record.exclusions),
        "agreement": tables.tabulate_agreement(statistics),
        "pairs": tables.tabulate_pairs(statistics),
        "annotators": tables.tabulate_annotators(statistics, classes),
        "subclasses": tables.tabulate_subclasses(agreement.get("subclasses") or ()),
        "classes": tables.tabulate_classes(evaluation, classes),
        "overall": tables.tabulate_overall(evaluation),
        "levels": tables.tabulate_levels(evaluation, name_levels(record)),
        "calibration": tables.tabulate_calibration(evaluation),
        "information": tables.tabulate_information(evaluation),
        "settings": tables.tabulate_settings(record),
        "provenance": tables.tabulate_provenance(record),
    }
    if record.comparison is not None:
        compared = tabulate_comparison(record.comparison)
        made |= {
            f"comparison-{key}": table
            for key, table in compared.items()
            if key == "methods" or key.startswith("differences")
        }
    if len(made["pairs"].rows) > MAX_PAIRS:
        del made["pairs"]
    return {key: table for key, table in made.items() if table.rows}


def _pictures(record: Record, classes: list[str]) -> dict[str, list[Picture]]:
    """Draw every figure, by the section in which it stands; undefined ones are left out."""
    from polypskd.reporting import cohort_figures, curves, matrices

    evaluation = record.evaluation
    patterns = pick(record.agreement, "statistics", "patterns") or {}
    subclasses = record.agreement.get("subclasses") or ()
    reliability = evaluation.get("reliability") or {}
    staged = pick(record.config, "labels", "curriculum", "kind") in ("staged", "paced")
    with style():
        drawn: dict[str, list[Picture | None]] = {
            "agreement": [
                cohort_figures.draw_agreement(record.examples, classes),
                cohort_figures.draw_patterns(patterns) if patterns else None,
            ],
            "stages": [
                cohort_figures.draw_stages(record.examples, subclasses, classes)
                if subclasses and staged
                else None
            ],
            "training": [
                *(curves.draw_losses(rows, who) for who, rows in record.histories.items() if rows),
                curves.draw_progress(record.histories) if any(record.histories.values()) else None,
            ],
            "results": [
                matrices.draw_confusion(evaluation.get("confusion"), classes),
                curves.draw_roc(evaluation, classes),
                curves.draw_precision_recall(evaluation, classes),
            ],
            "levels": [
                matrices.draw_levels(
                    evaluation.get("by_level"),
                    pick(evaluation, "teacher", "by_level"),
                    name_levels(record),
                )
                if evaluation.get("by_level")
                else None
            ],
            "calibration": [
                curves.draw_reliability(reliability.get("before"), "Before scaling"),
                curves.draw_reliability(reliability.get("after"), "After scaling"),
            ],
        }
    return {section: [one for one in found if one] for section, found in drawn.items()}


def _brief(side: Json | None) -> Json | None:
    if side is None:
        return None
    return {
        "macro_f1": side.get("macro_f1"),
        "accuracy": side.get("accuracy"),
        "ece_before": pick(side, "calibration", "before", "ece"),
        "ece_after": pick(side, "calibration", "after", "ece"),
        "parameters": pick(side, "model", "parameters"),
    }
