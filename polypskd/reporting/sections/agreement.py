"""The annotators' votes, and the subclasses and curriculum made of them."""

from __future__ import annotations

from pathlib import Path

from polypskd.reporting import cohort_figures, tables
from polypskd.reporting.cells import pick
from polypskd.reporting.content import Section
from polypskd.reporting.record import Record, has_given_classes, has_single_votes, list_classes

MAX_PAIRS = 45  # ten annotators; more would fill pages


def build_agreement(record: Record, frames: Path | None) -> Section:
    """Tell how far the annotators agreed and what was learnt from it."""
    told = (_tell_annotators(record), _tell_subclasses(record), _tell_information(record))
    parts = tuple(part for part in told if part)
    title = "Agreement and curriculum"
    if has_single_votes(record):
        given = has_given_classes(record)
        what = "came with its class, without votes" if given else "has one vote"
        line = f"Each frame {what}: agreement between annotators is not assessable."
        return Section("agreement", title, paragraphs=(line,), parts=parts)
    statistics = record.agreement.get("statistics") or {}
    patterns = pick(statistics, "patterns") or {}
    pictures = (
        cohort_figures.draw_agreement(record.examples, list_classes(record)),
        cohort_figures.draw_patterns(patterns) if patterns else None,
    )
    return Section(
        "agreement",
        title,
        tables=(tables.tabulate_agreement(statistics),),
        pictures=tuple(one for one in pictures if one),
        parts=parts,
    )


def _tell_annotators(record: Record) -> Section | None:
    statistics = record.agreement.get("statistics") or {}
    pairs = tables.tabulate_pairs(statistics)
    found = [tables.tabulate_annotators(statistics, list_classes(record))]
    found += [pairs] if len(pairs.rows) <= MAX_PAIRS else []
    found = [table for table in found if table.rows]
    if not found:
        return None
    return Section(
        "annotators",
        "Annotators",
        paragraphs=(
            "Annotators are numbered in the order of agreement.json; their names stay in the run "
            "folder.",
        ),
        tables=tuple(found),
    )


def _tell_subclasses(record: Record) -> Section | None:
    subclasses = record.agreement.get("subclasses") or ()
    if not subclasses:
        return None
    staged = pick(record.config, "labels", "curriculum", "kind") in ("staged", "paced")
    classes = list_classes(record)
    picture = cohort_figures.draw_stages(record.examples, subclasses, classes) if staged else None
    return Section(
        "subclasses",
        "Subclasses",
        points=tuple(f"Merged: {line}" for line in record.agreement.get("merges") or ()),
        tables=(tables.tabulate_subclasses(subclasses),),
        pictures=(picture,) if picture else (),
    )


def _tell_information(record: Record) -> Section:
    found = tables.tabulate_information(record.evaluation)
    if not found.rows:
        return Section("label-information", "Label information", paragraphs=("Not measured.",))
    return Section(
        "label-information",
        "Label information",
        paragraphs=(
            "Sajedi & Plataniotis print 0.4656 label bits a sample; that figure depends on how "
            "well the teacher knows the subclasses of its own training frames, so another teacher "
            "gives another figure.",
        ),
        tables=(found,),
    )
