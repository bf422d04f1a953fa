"""Accuracy in the report: every class, all intervals side by side, frames beside lesions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.cells import (
    DASH,
    Table,
    format_confidence,
    format_estimate,
    format_number,
    pick,
)

Json = Mapping[str, Any]

NAMES = {
    "sensitivity": "Sensitivity (recall)",
    "specificity": "Specificity",
    "ppv": "PPV (precision)",
    "npv": "NPV",
    "accuracy": "Accuracy",
    "prevalence": "Prevalence",
    "f1": "F1",
    "mcc": "MCC",
    "balanced_accuracy": "Balanced accuracy",
}
SHARES = ("sensitivity", "specificity", "ppv", "npv")
OTHERS = ("f1", "mcc")
AREAS = {"auroc_delong": "AUROC", "average_precision": "AUPRC (average precision)"}
INTERVALS = {
    "wilson": "Wilson",
    "clopper_pearson": "Clopper–Pearson",
    "clustered": "Wilson, clustered",
    "gee": "GEE",
    "percentile": "Bootstrap, percentile",
    "bca": "Bootstrap, BCa",
}
RULES = {
    "mean_probability": "mean of the probabilities",
    "majority": "majority of the frames",
    "max_risk": "frame of highest risk",
}


def tell_accuracy(section: Json) -> list[str]:
    """Say how well the positive classes are told from the rest, and what the clusters cost.

    Args:
        section: `accuracy` of study.json.

    >>> tell_accuracy({"not_assessable": "the test split has no frames"})
    ['Accuracy is not assessable: the test split has no frames.']
    """
    if reason := section.get("not_assessable"):
        return [f"Accuracy is not assessable: {reason}."]
    frames, asked = section["frames"], name_positives(section)
    scores = frames["positive"]
    area = format_estimate(frames["risk"]["auroc_delong"])
    told = [
        f"On {format_number(frames['n'])} test frames the student finds {asked} with a sensitivity "
        f"of {_main(scores, 'sensitivity')} and a specificity of {_main(scores, 'specificity')}; "
        f"the area under its ROC curve is {area}.",
    ]
    if not section["patients_known"]:
        return [*told, "Patients are unknown: every interval counts frames as independent."]
    shares = [name for name in SHARES if scores[name]["clustered"]["design_effect"] is not None]
    if shares:
        worst = max(shares, key=lambda name: scores[name]["clustered"]["design_effect"])
        found = scores[worst]["clustered"]
        if found["design_effect"] > 1:
            told.append(
                f"Frames of one patient resemble one another: for the {_phrase(worst)} "
                f"{format_number(found['trials'])} frames of {format_number(found['patients'])} "
                f"patients tell as much as {found['effective_trials']:,.0f} independent ones."
            )
    return told


def name_positives(section: Json) -> str:
    """Name the positive classes in words.

    >>> name_positives({"positive": ["a", "b", "c"]})
    'a, b or c'
    """
    *first, last = section["positive"] or ["no class"]
    return f"{', '.join(first)} or {last}" if first else str(last)


def tabulate_accuracy(section: Json) -> list[Table]:
    """Give the scores of every class, the intervals of the positive ones, units and teacher.

    Args:
        section: `accuracy` of study.json.
    """
    if "not_assessable" in section:
        return []
    tables = [_tabulate_classes(section), _tabulate_intervals(section), _tabulate_units(section)]
    return [*tables, _tabulate_teacher(section)] if section["teacher"] else tables


def _tabulate_classes(section: Json) -> Table:
    frames, positive = section["frames"], section["positive"]
    columns = {
        f"{name} (positive)" if positive == [name] else name: (
            scores,
            {area: frames[area][name] for area in AREAS},
        )
        for name, scores in frames["classes"].items()
    }
    if len(positive) > 1:
        columns["All positive classes"] = frames["positive"], frames["risk"]
    rows = [
        ("Frames", *(format_number(one["sensitivity"]["trials"]) for one, _ in columns.values()))
    ]
    rows += [
        (NAMES[name], *(_main(scores, name) for scores, _ in columns.values()))
        for name in (*SHARES, *OTHERS)
    ]
    rows += [
        (name, *(format_estimate(areas[area]) for _, areas in columns.values()))
        for area, name in AREAS.items()
    ]
    return Table(
        f"Each class against the rest, {format_number(frames['n'])} test frames, with "
        f"{_tell_main(section)}.",
        ("", *columns),
        tuple(rows),
    )


def _tabulate_intervals(section: Json) -> Table:
    scores = section["frames"]["positive"]
    rows = []
    for name, label in NAMES.items():
        found = scores[name]
        counts = DASH
        if "trials" in found:
            counts = f"{format_number(found['successes'])}/{format_number(found['trials'])}"
        value = format_number(found["percentile"]["value"])
        bounds = (_bound(found.get(kind), gee=kind == "gee") for kind in INTERVALS)
        rows.append((label, counts, value, *bounds))
    return Table(
        f"{name_positives(section)} against the rest: {format_confidence(section['confidence'])} "
        "intervals side by side. Wilson's and Clopper–Pearson's count frames as independent, the "
        "others by patient; GEE weighs patients, so its estimate differs a little.",
        ("", "Frames", "Value", *INTERVALS.values()),
        tuple(rows),
    )


def _tabulate_units(section: Json) -> Table:
    rows = []
    for unit in ("frames", "lesions", "patients"):
        found = section[unit]
        if reason := found.get("not_assessable"):
            rows.append((unit.capitalize(), *[DASH] * 6, f"not assessable: {reason}"))
            continue
        cells = (_main(found["positive"], name) for name in SHARES)
        every = format_estimate(found["overall"]["accuracy"]["clustered"])
        rows.append(
            (unit.capitalize(), format_number(found["n"]), *cells, every, _tell_rule(found, unit))
        )
    return Table(
        f"Frames, lesions and patients: {name_positives(section)} against the rest, and accuracy "
        f"over all classes; intervals as above, of units by patient.",
        ("Unit", "Units", *(NAMES[name] for name in SHARES), "Accuracy, all classes", "Joined by"),
        tuple(rows),
    )


def _tabulate_teacher(section: Json) -> Table:
    sides = section["frames"], section["teacher"]
    rows = [
        (NAMES[name], *(_main(side["positive"], name) for side in sides))
        for name in (*SHARES, "accuracy", *OTHERS)
    ]
    rows.append(("AUROC", *(format_estimate(side["risk"]["auroc_delong"]) for side in sides)))
    rows.append(
        (
            "Macro-F1",
            *(format_estimate(side["overall"]["macro_f1"]["percentile"]) for side in sides),
        )
    )
    return Table(
        f"Student and teacher on the same frames: {name_positives(section)} against the rest, and "
        "macro-F1 over all classes; intervals as above.",
        ("", "Student", "Teacher"),
        tuple(rows),
    )


# --- cells ----------------------------------------------------------------------------------------


def _main(scores: Json, name: str) -> str:
    """Print a score with the interval that stands for it: Wilson's by patient, or percentile."""
    found = scores[name]
    return format_estimate(found.get("clustered") or found["percentile"])


def _tell_main(section: Json) -> str:
    by = "by patient" if section["patients_known"] else "of frames as if independent"
    return (
        f"{format_confidence(section['confidence'])} intervals {by}: Wilson's with the effective "
        "number of frames for shares, DeLong's for AUROC, percentile bootstrap for the rest"
    )


def _bound(interval: Json | None, *, gee: bool) -> str:
    low, high = pick(interval, "low"), pick(interval, "high")
    if low is None or high is None:
        return DASH
    if gee:
        return format_estimate(interval)
    return f"{format_number(low)} to {format_number(high)}"


def _phrase(name: str) -> str:
    return NAMES[name].split(" (")[0] if name in ("ppv", "npv") else name


def _tell_rule(found: Json, unit: str) -> str:
    if unit == "frames":
        return DASH
    rule = found["rule"]
    if rule["rule"] == "max_risk" and rule["reference"] == "max_risk":
        worst = "lesion" if rule["of"] == "lesions" else "frame"
        return f"{worst} of highest risk, in prediction and reference"
    told = f"prediction: {RULES[rule['rule']]}; reference: "
    if rule["reference"] == "agree":
        return f"{told}the class of all their frames"
    many = format_number(rule["mixed"])
    return f"{told}class of highest risk ({many} hold frames of several classes)"
