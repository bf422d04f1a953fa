"""The comparison's tables, built from its record."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from polypskd.reporting.cells import (
    DASH,
    Table,
    count,
    flatten,
    format_confidence,
    format_number,
    pick,
)
from polypskd.reporting.comparison_prose import (
    GAP,
    format_difference,
    format_p,
    format_spread,
    list_seeds,
)

Json = dict[str, Any]
MEASURES = {
    "macro_f1": "Macro-F1",
    "accuracy": "Accuracy",
    "auroc": "AUROC",
    "ece_before": "ECE before",
    "ece_after": "ECE after",
    "nll": "NLL",
    "brier": "Brier score",
    "ece": "ECE",
}
HOLM = f"p{GAP}(Holm)"
STEPS = ("teacher", "targets", "student")


def summarize(values: Iterable[float | None]) -> dict[str, float | None]:
    """Give mean and standard deviation (n - 1) of the values that are defined.

    >>> summarize([0.5, 1.0, None])["mean"], summarize([0.5])
    (0.75, {'mean': 0.5, 'sd': None})
    """
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "sd": None}
    mean = sum(known) / len(known)
    if len(known) < 2:
        return {"mean": mean, "sd": None}
    return {
        "mean": mean,
        "sd": (sum((value - mean) ** 2 for value in known) / (len(known) - 1)) ** 0.5,
    }


def tabulate_comparison(record: Json) -> dict[str, Table]:
    """Build every table of the page that has rows, by its key."""
    made = {
        "methods": _tabulate_methods(record),
        "calibration": _tabulate_spreads(
            record,
            ("ece_before", "ece_after", "brier", "nll"),
            "Calibration before and after temperature scaling: mean ± SD over seeds.",
        ),
        "levels": _tabulate_levels(record),
        "teacher": _tabulate_teacher(record),
        "cost": _tabulate_cost(record),
        "failed": _tabulate_failed(record),
        "descriptions": Table(
            "What each method is.",
            ("Method", "Description"),
            tuple((name, _describe(name, method)) for name, method in record["methods"].items()),
        ),
        "provenance": Table(
            "Provenance.", ("Item", "Value"), tuple(flatten(record.get("provenance") or {}))
        ),
    }
    for index, reference in enumerate(record["reference"]):
        made[f"differences-{index + 1}"] = _tabulate_differences(record, reference)
        made[f"others-{index + 1}"] = _tabulate_others(record, reference)
    return {key: table for key, table in made.items() if table.rows}


def _tabulate_methods(record: Json) -> Table:
    keys = ("macro_f1", "accuracy", "auroc")
    rows = []
    for name, method in record["methods"].items():
        done = len(method.get("runs") or ())
        tried = done + len(method.get("failed") or ())
        spreads = (format_spread(method.get(key)) for key in keys)
        rows.append((name, *spreads, f"{done}{GAP}of{GAP}{tried}"))
    return Table(
        f"Mean ± SD over {count(len(record['seeds']), 'seed')}, test split.",
        ("Method", *(MEASURES[key] for key in keys), "Runs"),
        tuple(rows),
    )


def _describe(name: str, method: Json) -> str:
    kind, text = method.get("kind"), str(method.get("description") or DASH)
    return f"{kind}: {text}" if kind and kind != name else text


def _find_differences(record: Json, reference: str) -> dict[str, Json]:
    """Give method → its differences to one reference; empty where none was computed."""
    found = {
        name: pick(method, "differences", reference) or {}
        for name, method in record["methods"].items()
        if name != reference
    }
    return found if any(found.values()) else {}


def _confidence(record: Json) -> str:
    return format_confidence(record.get("confidence"))


def _tabulate_differences(record: Json, reference: str) -> Table:
    methods, rows = record["methods"], []
    for name, found in _find_differences(record, reference).items():
        sides = [pick(found, "mcnemar", side) for side in ("b", "c")]
        rows.append(
            (
                name,
                format_difference(found.get("macro_f1")),
                format_p(pick(found, "macro_f1", "p_holm")),
                DASH if None in sides else f"{sides[0]:,}{GAP}:{GAP}{sides[1]:,}",
                format_p(pick(found, "mcnemar", "p_holm")),
                str(len(list_seeds(methods[name]) & list_seeds(methods.get(reference)))),
            )
        )
    return Table(
        f"Differences in macro-F1 to {reference}, with {_confidence(record)} intervals. McNemar: "
        f"frames that only the method has right, then frames that only {reference} has right.",
        ("Method", "Macro-F1", HOLM, "McNemar", HOLM, "Seeds"),
        tuple(rows),
    )


def _tabulate_others(record: Json, reference: str) -> Table:
    found = _find_differences(record, reference)
    measures = [
        key
        for key in MEASURES
        if key != "macro_f1" and any(row.get(key) is not None for row in found.values())
    ]
    rows = []
    for name, differences in found.items():
        cells = [name]
        for key in measures:
            cells.append(format_difference(differences.get(key)))
            cells.append(format_p(pick(differences, key, "p_holm")))
        rows.append(tuple(cells))
    return Table(
        f"Differences to {reference} in the other measures, with {_confidence(record)} intervals.",
        ("Method", *(text for key in measures for text in (MEASURES[key], HOLM))),
        tuple(rows) if measures else (),
    )


def _tabulate_spreads(record: Json, keys: tuple[str, ...], caption: str) -> Table:
    rows = tuple(
        (name, *(format_spread(method.get(key)) for key in keys))
        for name, method in record["methods"].items()
    )
    return Table(caption, ("Method", *(MEASURES[key] for key in keys)), rows)


def choose_level_measure(record: Json) -> str:
    """Choose macro-F1 for the levels, or accuracy where some level holds one class alone."""
    seen = [
        pick(run, "by_level", str(level), "macro_f1")
        for method in record["methods"].values()
        for run in method.get("runs") or ()
        for level in record.get("levels") or ()
    ]
    return "accuracy" if any(value is None for value in seen) else "macro_f1"


def _tabulate_levels(record: Json) -> Table:
    levels = [str(level) for level in record.get("levels") or ()]
    key = choose_level_measure(record)
    rows = tuple(
        (
            name,
            *(
                format_spread(
                    summarize(pick(run, "by_level", level, key) for run in method.get("runs") or ())
                )
                for level in levels
            ),
        )
        for name, method in record["methods"].items()
    )
    return Table(
        f"{MEASURES[key]} on the test frames of each level: mean ± SD over seeds.",
        ("Method", *levels),
        rows if levels else (),
    )


def _mean(method: Json, *keys: str) -> float | None:
    return summarize(pick(run, *keys) for run in method.get("runs") or ())["mean"]


def _tabulate_teacher(record: Json) -> Table:
    keys = ("teacher_macro_f1_val", "student_macro_f1_val", "label_bits")
    rows = [
        (name, *(format_number(_mean(method, key)) for key in keys))
        for name, method in record["methods"].items()
        if method.get("runs")
    ]
    return Table(
        "Teacher and student on the validation split, means over seeds; a dash where a method has "
        "no teacher. Label bits: what the teacher's subclasses add to a label.",
        ("Method", "Teacher's macro-F1", "Student's macro-F1", "Label bits"),
        tuple(rows),
    )


def _tabulate_cost(record: Json) -> Table:
    rows = []
    for name, method in record["methods"].items():
        means = [_mean(method, "seconds", step) for step in STEPS]
        known = [mean for mean in means if mean is not None]
        rows.append(
            (
                name,
                *(format_number(mean, 1) for mean in (*means, sum(known) if known else None)),
                format_number(method.get("parameters")),
                format_number(method.get("macs")),
            )
        )
    return Table(
        "Cost. Seconds are means over seeds on the machine named below; methods that share a "
        "teacher or its targets share that time. Parameters and multiply-accumulates for a frame "
        "are the student's.",
        ("Method", "Teacher, s", "Targets, s", "Student, s", "Sum, s", "Parameters", "MACs"),
        tuple(rows),
    )


def _tabulate_failed(record: Json) -> Table:
    rows = tuple(
        (f"{name}, seed {run.get('seed')}", str(run.get("error") or DASH))
        for name, method in record["methods"].items()
        for run in method.get("failed") or ()
    )
    return Table("Runs that failed; they are in no number above.", ("Run", "Why"), rows)
