"""Accuracy in the report: every class, all intervals side by side, frames beside lesions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.cells import (
    DASH,
    Cell,
    Table,
    format_confidence,
    format_estimate,
    format_number,
    make_table,
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
UNITS = ("frames", "lesions", "patients")
ABREAST = 4  # classes that stand in columns; more stand in rows
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
        f"of {_print(scores, 'sensitivity')} and a specificity of {_print(scores, 'specificity')}; "
        f"the area under its ROC curve is {area}."
        + (f" A frame's call is its {section['call']}." if section.get("call") else ""),
    ]
    if not section["patients_known"]:
        return [*told, *_list_missing(section)]
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
    return [*told, *_list_missing(section)]


def _list_missing(section: Json) -> list[str]:
    """Say why lesions or patients are not judged."""
    reasons = {unit: section[unit].get("not_assessable") for unit in UNITS}
    told = [
        f"{unit.capitalize()} are not assessable: {why}." for unit, why in reasons.items() if why
    ]
    return [" ".join(told)] if told else []


def name_positives(section: Json) -> str:
    """Name the positive classes in words.

    >>> name_positives({"positive": ["a", "b", "c"]})
    'a, b or c'
    """
    *first, last = section["positive"] or ["no class"]
    return f"{', '.join(first)} or {last}" if first else str(last)


def tabulate_accuracy(section: Json) -> list[Table]:
    """Give the scores of every class and unit; folded: the teacher's, and all intervals.

    Args:
        section: `accuracy` of study.json.
    """
    if "not_assessable" in section:
        return []
    tables = [_tabulate_classes(section)]
    # Frames alone stand in the table above.
    tables += [_tabulate_units(section)] if len(_list_units(section)) > 1 else []
    tables += [_tabulate_teacher(section)] if section["teacher"] else []
    return [*tables, _tabulate_intervals(section)]


def _tabulate_classes(section: Json) -> Table:
    frames, positive = section["frames"], section["positive"]
    sides = {
        f"{name} (positive)" if positive == [name] else name: (
            scores,
            {area: frames[area][name] for area in AREAS},
        )
        for name, scores in frames["classes"].items()
    }
    if len(positive) > 1:
        sides["All positive classes"] = frames["positive"], frames["risk"]
    columns = [
        [
            ("Frames", scores["sensitivity"]["trials"]),
            *((NAMES[key], _main(scores, key)) for key in (*SHARES, *OTHERS)),
            *((label, areas[area]) for area, label in AREAS.items()),
        ]
        for scores, areas in sides.values()
    ]
    head: tuple[str, ...] = ("", *sides)
    rows = [
        (label, *(column[at][1] for column in columns)) for at, (label, _) in enumerate(columns[0])
    ]
    if len(sides) > ABREAST:
        head = ("Class", *(label for label, _ in columns[0]))
        rows = [
            (name, *(value for _, value in column))
            for name, column in zip(sides, columns, strict=True)
        ]
    return make_table(
        "accuracy-by-class",
        f"Each class against the rest, {format_number(frames['n'])} test frames, with "
        f"{tell_main(section)}.",
        head,
        rows,
    )


def _tabulate_intervals(section: Json) -> Table:
    scores = section["frames"]["positive"]
    rows = []
    for name, label in NAMES.items():
        found = scores[name]
        counts = Cell(DASH)
        if "trials" in found:
            of = (format_number(found[key]) for key in ("successes", "trials"))
            counts = Cell("/".join(of), f"{found['successes']} of {found['trials']}")
        value = found["percentile"]["value"]
        bounds = (_bound(found.get(kind), gee=kind == "gee") for kind in INTERVALS)
        rows.append((label, counts, value, *bounds))
    confidence = format_confidence(section["confidence"])
    how = (
        "Wilson's and Clopper–Pearson's count frames as independent, the others go by patient; "
        "GEE weighs patients, so its estimate differs a little."
        if section["patients_known"]
        else "All count frames as independent."
    )
    return make_table(
        "intervals-side-by-side",
        f"{name_positives(section)} against the rest: {confidence} intervals side by side. {how}",
        ("", "Frames", "Value", *INTERVALS.values()),
        rows,
        fold=f"Six kinds of {confidence} intervals of each score, side by side",
    )


def _tabulate_units(section: Json) -> Table:
    known = _list_units(section)
    rows: list[tuple[Any, ...]] = [("Number", *(found["n"] for found in known.values()))]
    rows += [
        (NAMES[name], *(_main(found["positive"], name) for found in known.values()))
        for name in SHARES
    ]
    overall = (found["overall"]["accuracy"]["clustered"] for found in known.values())
    rows.append(("Accuracy, all classes", *overall))
    told = [
        f"{unit.capitalize()} are called by {_tell_rule(found['rule'])}"
        for unit, found in known.items()
        if "rule" in found
    ]
    return make_table(
        "accuracy-by-unit",
        f"{_list_words(known)}: {name_positives(section)} against the rest; intervals as above. "
        f"{'. '.join(told)}{'.' if told else ''}",
        ("", *(unit.capitalize() for unit in known)),
        rows,
    )


def _list_units(section: Json) -> dict[str, Json]:
    """Give the units that are judged."""
    return {unit: section[unit] for unit in UNITS if "not_assessable" not in section[unit]}


def _list_words(units: Json) -> str:
    """Name units in words.

    >>> _list_words({"frames": 1, "lesions": 2, "patients": 3})
    'Frames beside lesions and patients'
    """
    first, *others = units
    return f"{first.capitalize()} beside {' and '.join(others)}" if others else first.capitalize()


def _tabulate_teacher(section: Json) -> Table:
    sides = section["frames"], section["teacher"]
    rows = [
        (NAMES[name], *(_main(side["positive"], name) for side in sides))
        for name in (*SHARES, "accuracy", *OTHERS)
    ]
    rows.append(("AUROC", *(side["risk"]["auroc_delong"] for side in sides)))
    rows.append(("Macro-F1", *(side["overall"]["macro_f1"]["percentile"] for side in sides)))
    return make_table(
        "accuracy-of-teacher",
        f"Student and teacher on the same frames: {name_positives(section)} against the rest, and "
        "macro-F1 over all classes; intervals as above.",
        ("", "Student", "Teacher"),
        rows,
        fold="Every score of the student beside the teacher's",
    )


# --- cells ----------------------------------------------------------------------------------------


def _main(scores: Json, name: str) -> Json:
    """Take the interval that stands for a score: Wilson's by patient, or percentile."""
    found = scores[name]
    taken: Json = found.get("clustered") or found["percentile"]
    return taken


def _print(scores: Json, name: str) -> str:
    return format_estimate(_main(scores, name))


def tell_main(section: Json) -> str:
    """Name the intervals that stand for the scores.

    Args:
        section: `accuracy` of study.json.

    >>> tell_main({"patients_known": False, "confidence": 0.9})
    "90% intervals: Wilson's for shares, DeLong's for AUROC, percentile bootstrap for the rest"
    """
    known = section["patients_known"]
    by, size = (" by patient", " with the effective number of frames") if known else ("", "")
    return (
        f"{format_confidence(section['confidence'])} intervals{by}: Wilson's{size} for shares, "
        "DeLong's for AUROC, percentile bootstrap for the rest"
    )


def _bound(interval: Json | None, *, gee: bool) -> Cell:
    low, high = pick(interval, "low"), pick(interval, "high")
    if low is None or high is None:
        return Cell(DASH)
    if gee:
        return Cell(format_estimate(interval), interval)
    return Cell(f"{format_number(low)} to {format_number(high)}", interval)


def _phrase(name: str) -> str:
    return NAMES[name].split(" (")[0] if name in ("ppv", "npv") else name


def _tell_rule(rule: Json) -> str:
    if rule["rule"] == "max_risk" and rule["reference"] == "max_risk":
        worst = "lesion" if rule["of"] == "lesions" else "frame"
        return f"the {worst} of highest risk, in prediction and reference"
    told = f"the {RULES[rule['rule']]}, their reference by "
    if rule["reference"] == "agree":
        return f"{told}the class of all their frames"
    many = format_number(rule["mixed"])
    return f"{told}the class of highest risk ({many} hold frames of several classes)"
