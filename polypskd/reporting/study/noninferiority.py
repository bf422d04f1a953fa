"""The student against its teacher in the report: where the difference lies before the margin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.cells import (
    Cell,
    Table,
    format_confidence,
    format_estimate,
    make_table,
    pick,
)
from polypskd.reporting.figures import INK, STUDENT, Picture, make_picture, new_axes, tint
from polypskd.reporting.study.clusters import name_intervals

Json = Mapping[str, Any]

NAMES = {
    "macro_f1": "Macro-F1",
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "auroc": "AUROC",
}


def tell_noninferiority(section: Json) -> list[str]:
    """Say whether the student is no worse than its teacher by more than the margin.

    Args:
        section: `noninferiority` of study.json.

    >>> tell_noninferiority({"not_assessable": "the run has no teacher"})
    ['Student against teacher is not assessable: the run has no teacher.']
    """
    if reason := section.get("not_assessable"):
        return [f"Student against teacher is not assessable: {reason}."]
    primary = section["primary"]
    told = [f"Student against teacher in {name_within(primary)}. {_sentence(section)}"]
    others = {
        name: one["conclusion"] for name, one in _list_rows(section).items() if name != primary
    }
    listed = "; ".join(f"{name_within(name)} {word}" for name, word in others.items())
    told.append(
        f"By the same margin: {listed}. These are told beside it and not adjusted for their number."
    )
    return told


def name_within(name: str) -> str:
    """Name a metric within a sentence.

    >>> name_within("macro_f1"), name_within("auroc")
    ('macro-F1', 'AUROC')
    """
    label = NAMES[name]
    return label if label.isupper() else f"{label[0].lower()}{label[1:]}"


def _sentence(section: Json) -> str:
    return _mend_minus(section["metrics"][section["primary"]]["sentence"])


def _mend_minus(text: str) -> str:
    """Print minus signs before numbers as such, and leave hyphens.

    >>> _mend_minus("Non-inferior: the difference is -0.010")
    'Non-inferior: the difference is −0.010'
    """
    return " ".join(
        word.replace("-", "−") if word.lstrip("(").startswith("-") else word
        for word in text.split(" ")
    )


def _list_rows(section: Json) -> dict[str, Json]:
    return {**section["metrics"], "auroc": section["auroc"]}


def tabulate_noninferiority(section: Json) -> list[Table]:
    """List student, teacher, difference and conclusion of each metric.

    Args:
        section: `noninferiority` of study.json.
    """
    if "not_assessable" in section:
        return []
    rows = [
        (
            NAMES[name],
            *(one[side] for side in ("new", "old", "difference")),
            _print_p(one.get("p")),
            one["conclusion"],
        )
        for name, one in _list_rows(section).items()
    ]
    confidence = format_confidence(section["auroc"]["confidence"])
    return [
        make_table(
            "student-less-teacher",
            f"Student less teacher on the same test frames, margin {section['margin']:g}; "
            f"{confidence} {name_intervals(section)} in brackets (AUROC: DeLong's, before "
            "temperature scaling); p: one-sided, of a loss of the margin or more.",
            ("Metric", "Student", "Teacher", "Difference", "p", "Conclusion"),
            rows,
        )
    ]


def _print_p(p: float | None) -> Any:
    return Cell("< 0.001", p) if p is not None and p < 0.001 else p


def draw_noninferiority(section: Json) -> list[Picture]:
    """Draw the differences with the margin.

    Args:
        section: `noninferiority` of study.json.
    """
    if "not_assessable" in section:
        return []
    rows = {
        name: one
        for name, one in _list_rows(section).items()
        if pick(one, "difference", "value") is not None
    }
    if not rows:
        return []
    margin = section["margin"]
    figure, axes = new_axes(4.0, 0.3 * len(rows) + 1.1)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.axvline(-margin, color=INK, linewidth=0.8, linestyle="--")
    reach = margin * 1.4
    for place, one in enumerate(rows.values()):
        low, value, high = (one["difference"][key] for key in ("low", "value", "high"))
        if low is not None:
            axes.hlines(place, low, high, color=STUDENT, linewidth=1.6)
        axes.plot(value, place, "o", color=STUDENT, markersize=5.5)
        ends = (value, value if low is None else low, value if high is None else high)
        reach = max(reach, *(abs(end) * 1.08 for end in ends))
    axes.axvspan(-reach, -margin, color=tint("#666666", 0.88), zorder=0, linewidth=0)
    axes.text(-margin, -0.72, "margin ", ha="right", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [NAMES[name] for name in rows])
    axes.set_ylim(len(rows) - 0.5, -1.0)
    axes.set(xlim=(-reach, reach), xlabel="student less teacher", title="Student against teacher")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    listed = "; ".join(
        f"{NAMES[name]} {format_estimate(one['difference'])}, {one['conclusion']}"
        for name, one in rows.items()
    )
    return [
        make_picture(
            "student-less-teacher",
            figure,
            f"Student less teacher, margin {margin:g}: {listed}.",
            "An interval that lies right of the dashed margin shows non-inferiority, one right of "
            "0 superiority; one that reaches into the gray leaves it open.",
        )
    ]
