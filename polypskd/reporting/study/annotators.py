"""The student beside the annotators in the report: one figure, tables, sentences; no names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.cells import (
    DASH,
    Cell,
    Table,
    format_change,
    format_confidence,
    format_estimate,
    format_number,
    make_table,
    pick,
    tell_p,
)
from polypskd.reporting.figures import (
    FAINT,
    STUDENT,
    Picture,
    make_picture,
    new_axes,
    place_legend,
    shorten,
    tint,
)
from polypskd.reporting.study.clusters import name_intervals

Json = Mapping[str, Any]

MARKERS = ("s", "^", "v", "P", "X", "p", "h")
EVERYONE, NONE = "all", "no group"
SHADE = "#444444"


def tell_annotators(section: Json) -> list[str]:
    """Say where the student stands among the annotators.

    Args:
        section: `annotators` of study.json.

    >>> tell_annotators({"not_assessable": "annotators are not known by name"})
    ['The comparison with the annotators is not assessable: annotators are not known by name.']
    """
    if reason := section.get("not_assessable"):
        return [f"The comparison with the annotators is not assessable: {reason}."]
    everyone = section["groups"][EVERYONE]
    told = [
        f"{_name_count(section)} on the test frames, each judged by the votes of the others; the "
        "student is judged by the same votes on the same frames. "
        + " ".join(
            f"{name.capitalize()}: annotators {_span(section, name)}, mean "
            f"{format_number(pick(everyone, 'own', name, 'value'))}; student "
            f"{format_number(pick(everyone, 'student', name, 'value'))}, difference "
            f"{format_change(pick(everyone, 'difference', name))}."
            for name in ("sensitivity", "specificity")
        )
    ]
    told += _tell_multi_case(section["multi_case"])
    passed = section["advantage"]["passed"]
    if passed is not None:
        rate, margin = section["advantage"]["winning_rate"], section["advantage"]["margin"]
        told.append(
            f"Alternative-annotator test, margin {margin:g}: the student could stand in for "
            f"{rate:.0%} of the annotators tested ({'at least' if passed else 'fewer than'} half). "
            "Agreement is not accuracy: a student that repeats a common error passes."
        )
    return told


def _name_count(section: Json) -> str:
    count = len(section["annotators"])
    return f"{count} annotator{'' if count == 1 else 's'} voted"


def _span(section: Json, name: str) -> str:
    values = [pick(one, "own", name, "value") for one in section["annotators"]]
    known = [value for value in values if value is not None]
    return f"{min(known):.3f} to {max(known):.3f}" if known else DASH


def _tell_multi_case(found: Json) -> list[str]:
    told = [
        f"in {name} {format_change(one['difference'])}, {tell_p(one['difference']['p'])}"
        for name, one in found.items()
        if "difference" in one
    ]
    if not told:
        return []
    return [
        "Beyond these annotators and patients, to all such (Obuchowski and Rockette's analysis), "
        f"the difference is {'; '.join(told)}."
    ]


def tabulate_annotators(section: Json) -> list[Table]:
    """List the groups, then the annotators, each beside the student on the same frames.

    Args:
        section: `annotators` of study.json.
    """
    if "not_assessable" in section:
        return []
    confidence = format_confidence(section["confidence"])
    told = f"{confidence} {name_intervals(section)} in brackets"
    head = (
        *("Sensitivity", "Student's sensitivity", "Difference in sensitivity"),
        *("Specificity", "Student's specificity", "Difference in specificity"),
        "Kappa with the others",
    )
    groups = [
        (
            shorten("All annotators" if name == EVERYONE else name),
            len(group["annotators"]),
            *_list_scores(group),
        )
        for name, group in section["groups"].items()
    ]
    people = [
        (
            one["name"].capitalize(),
            shorten(one["group"]) if one["group"] else None,
            one["n_judged"],
            *_list_scores(one),
        )
        for one in section["annotators"]
    ]
    return [
        make_table(
            "annotator-groups",
            f"Mean over the annotators of each group, and the student's; {told}.",
            ("Group", "Annotators", *head),
            groups,
        ),
        make_table(
            "each-annotator",
            f"Each annotator against the others' consensus, and the student on the same frames; "
            f"{told}.",
            ("Annotator", "Group", "Frames", *head),
            people,
            sortable=True,
            fold=f"Each of {len(people)} annotators, and the student on the same frames",
        ),
    ]


def _list_scores(one: Json) -> tuple[Any, ...]:
    return (
        *(
            _tell_gap(one, name) if who == "difference" else pick(one, who, name)
            for name in ("sensitivity", "specificity")
            for who in ("own", "student", "difference")
        ),
        one["kappa"],
    )


def _tell_gap(one: Json, name: str) -> Cell:
    gap = pick(one, "difference", name)
    return Cell(format_change(gap), gap)


def draw_annotators(section: Json) -> list[Picture]:
    """Draw the student's ROC curve with the point of each annotator, groups told by marker.

    Args:
        section: `annotators` of study.json.
    """
    if "not_assessable" in section or not pick(section, "roc", "fpr"):
        return []
    roc, student = section["roc"], section["student"]
    figure, axes = new_axes(3.9, 3.9)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8)
    area = format_number(roc["auroc"]["value"])
    axes.plot(roc["fpr"], roc["tpr"], color=STUDENT, label=f"student, area {area}")
    listed = []
    if None not in {student["sensitivity"]["value"], student["specificity"]["value"]}:
        at = (1 - student["specificity"]["value"], student["sensitivity"]["value"])
        axes.plot(*at, "o", color=STUDENT, markersize=8, zorder=4, label="student's calls")
        listed.append(_place("student", student))
    groups = [name for name in section["groups"] if name != EVERYONE]
    for place, group in enumerate([*groups, None]):
        points = [one for one in section["annotators"] if one["group"] == group]
        known = [one for one in points if _is_placed(one)]
        if not known:
            continue
        axes.plot(
            [1 - one["own"]["specificity"]["value"] for one in known],
            [one["own"]["sensitivity"]["value"] for one in known],
            MARKERS[place % len(MARKERS)] if group else "D",
            color=SHADE,
            markerfacecolor=tint(SHADE, 0.75) if place % 2 else "white",
            markersize=6,
            zorder=3,
            linestyle="none",
            label=shorten(group or (NONE if groups else "annotators")),
        )
        listed += [_place(one["name"], one["own"]) for one in known]
    axes.set(
        xlabel="1 − specificity",
        ylabel="sensitivity",
        title="Student and annotators",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.02),
    )
    place_legend(figure, axes)
    return [
        make_picture(
            "roc-and-annotators",
            figure,
            f"ROC curve of the student, area {format_estimate(roc['auroc'])}, and each annotator's "
            f"point (sensitivity, specificity): {'; '.join(listed)}.",
            "A point above the curve is an annotator whom the student reaches at no threshold. "
            "Each annotator is judged by the consensus of the others, the student's curve by that "
            "of all, so small distances say little; differences on equal terms are in the table.",
        )
    ]


def _is_placed(one: Json) -> bool:
    return all(one["own"][name]["value"] is not None for name in ("sensitivity", "specificity"))


def _place(name: str, scores: Json) -> str:
    values = (format_number(scores[key]["value"]) for key in ("sensitivity", "specificity"))
    return f"{name} {', '.join(values)}"
