"""The comparison of methods: comparison.html, comparison.json and comparison.csv.

All three are made from one record, whatever made that::

    name, seeds: [int], reference: [method], classes: [str], levels: [str],
    n_test_frames: int, n_test_patients: int | None,
    methods: {name: {
        description, kind, parameters, macs,
        runs: [{seed, macro_f1, accuracy, auroc, ece_before, ece_after, nll, brier,
                by_level: {level: {macro_f1, accuracy}},
                teacher_macro_f1_val, student_macro_f1_val, label_bits,
                seconds: {teacher, targets, student}}],
        failed: [{seed, error}],
        <measure>: {mean, sd},                                    # computed here where absent
        differences: {reference: {
            <measure>: {value, low, high, p, p_holm}, mcnemar: {b, c, p, p_holm}}}}},
    guards: [sentence], provenance: {...}, confidence: 0.95, resamples: int

A number may be None or nan where it is not defined; a key of a run that is absent is None. The
order of `methods` is the order on the page.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from polypskd.artifacts import write_atomic, write_json, write_text
from polypskd.reporting.cells import DASH
from polypskd.reporting.collecting import BANNER
from polypskd.reporting.comparison_prose import (
    describe_comparison,
    explain_reading,
    join_names,
    list_findings,
    list_limitations,
)
from polypskd.reporting.comparison_tables import STEPS, summarize, tabulate_comparison
from polypskd.reporting.figures import Picture, style
from polypskd.reporting.page import fill_page
from polypskd.reporting.record import ABSOLUTE, HIDDEN

Json = dict[str, Any]
SCORES = ("macro_f1", "accuracy", "auroc", "ece_before", "ece_after", "nll", "brier")
OTHERS = ("teacher_macro_f1_val", "student_macro_f1_val", "label_bits")
LEVEL_SCORES = ("macro_f1", "accuracy")
# In a message anything with a slash may be a path, and a file's name may name a patient.
PLACE = re.compile(r"\S*[\\/]\S*|\S+\.(?:png|jpe?g|tiff?|bmp|webp|dcm|csv|ya?ml|json)\b\S*", re.I)
REPEATED = re.compile(r"\[file\](?: \[file\])+")  # a path with spaces


def write_comparison(folder: Path, record: Json) -> None:
    """Write comparison.json, comparison.csv and comparison.html.

    They name no patient, frame or path.

    Args:
        folder: where to write; made if absent.
        record: the comparison, as the module describes it.

    Raises:
        OutputError: the folder cannot be written to.
    """
    whole = complete(record)
    page = render(whole)
    write_json(folder / "comparison.json", whole)
    rows = list_runs(whole)
    write_atomic(folder / "comparison.csv", rows.write_csv)
    write_text(folder / "comparison.html", page)


def complete(record: Json) -> Json:
    """Give the record as it is published: without nan and paths, with mean and SD of each score.

    >>> run = {"seed": 1, "macro_f1": 0.5, "accuracy": float("nan")}
    >>> whole = complete({"seeds": [1], "reference": [], "methods": {"kd": {"runs": [run]}}})
    >>> whole["methods"]["kd"]["macro_f1"], whole["methods"]["kd"]["runs"][0]["accuracy"]
    ({'mean': 0.5, 'sd': None}, None)
    """
    whole: Json = {
        "name": "comparison",
        "research_use_only": True,
        "notice": BANNER,
        **_plain(record),
        "provenance": _drop_paths(_plain(record.get("provenance") or {})),
    }
    for method in whole["methods"].values():
        for run in method.get("failed") or ():
            run["error"] = hide_paths(str(run.get("error") or ""))
        for key in SCORES:
            if not method.get(key):
                method[key] = summarize(run.get(key) for run in method.get("runs") or ())
    return whole


def hide_paths(message: str) -> str:
    """Replace what may be a path or a file's name in a message, and keep its first line.

    >>> hide_paths("/home/ann/x.csv: missing; run it again")
    '[file] missing; run it again'
    """
    line = (message.strip().splitlines() or [""])[0]
    return REPEATED.sub("[file]", PLACE.sub("[file]", line))


def list_runs(record: Json) -> pl.DataFrame:
    """Give one row for each method and seed, failed runs among them.

    Args:
        record: from `complete`.
    """
    levels = [str(level) for level in record.get("levels") or ()]
    rows = []
    for name, method in record["methods"].items():
        fixed = {"method": name, "kind": method.get("kind")}
        for run in method.get("runs") or ():
            row: Json = {**fixed, "seed": run.get("seed"), "status": "done"}
            row |= {key: run.get(key) for key in (*SCORES, *OTHERS)}
            seconds, by_level = run.get("seconds") or {}, run.get("by_level") or {}
            row |= {f"seconds_{step}": seconds.get(step) for step in STEPS}
            row |= {
                f"{key}_level_{level}": (by_level.get(level) or {}).get(key)
                for level in levels
                for key in LEVEL_SCORES
            }
            row |= {key: method.get(key) for key in ("parameters", "macs")}
            rows.append(row)
        for run in method.get("failed") or ():
            rows.append({**fixed, "seed": run.get("seed"), "status": "failed", **_why(run)})
    numbers = [*SCORES, *OTHERS, *(f"seconds_{step}" for step in STEPS)]
    numbers += [f"{key}_level_{level}" for level in levels for key in LEVEL_SCORES]
    schema = {
        "method": pl.String,
        "kind": pl.String,
        "seed": pl.Int64,
        "status": pl.String,
        **dict.fromkeys(numbers, pl.Float64),
        "parameters": pl.Int64,
        "macs": pl.Int64,
        "error": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, strict=False)


def render(record: Json) -> str:
    """Render the page.

    Args:
        record: from `complete`.
    """
    return fill_page(
        "comparison.html.j2",
        dash=DASH,
        banner=BANNER,
        name=str(record.get("name") or "comparison"),
        about=describe_comparison(record),
        classes=join_names([str(name) for name in record.get("classes") or ()]),
        findings=list_findings(record),
        guards=[str(line) for line in record.get("guards") or ()],
        reading=explain_reading(record),
        limitations=list_limitations(record),
        references=[str(name) for name in record["reference"]],
        tables=tabulate_comparison(record),
        pictures=_pictures(record),
    )


def _pictures(record: Json) -> dict[str, list[Picture]]:
    from polypskd.reporting import comparison_figures as figures

    with style():
        drawn = {
            "forest": [figures.draw_forest(record, name) for name in record["reference"]],
            "runs": [figures.draw_runs(record)],
        }
    return {section: [one for one in found if one] for section, found in drawn.items()}


def _why(run: Json) -> Json:
    return {"error": run.get("error")}


def _plain(value: Any) -> Any:
    """A JSON-like tree as JSON takes it: plain numbers, None for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # a number of numpy
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _drop_paths(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {
            key: _drop_paths(item)
            for key, item in tree.items()
            if key not in HIDDEN and not (isinstance(item, str) and ABSOLUTE.match(item))
        }
    if isinstance(tree, list):
        return [_drop_paths(item) for item in tree]
    return tree
