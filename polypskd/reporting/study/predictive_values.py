"""Predictive values in the report: at stated prevalences, as a table and as curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from polypskd.reporting.cells import (
    DASH,
    Cell,
    Table,
    format_estimate,
    format_number,
    is_still,
    make_table,
    pick,
)
from polypskd.reporting.figures import FAINT, INK, STUDENT, Picture, make_picture, new_axes, tint
from polypskd.reporting.study.accuracy import name_positives
from polypskd.reporting.study.bands import fill_band
from polypskd.reporting.study.clusters import name_intervals
from polypskd.reporting.study.polyps import tell_interval

Json = Mapping[str, Any]

SETS = {"all": "all calls", "high_confidence": "calls of high confidence"}
LOOKS = (("ppv", "PPV", "--", "s"), ("npv", "NPV", "-", "o"))


def tell_predictive_values(section: Json, accuracy: Json | None = None) -> list[str]:
    """Say what the NPV is in this sample, and at the lowest and highest stated prevalence.

    Args:
        section: `predictive_values` of study.json.
        accuracy: `accuracy` of it; where its sensitivity is another, it is said why.

    >>> tell_predictive_values({"not_assessable": "the test split has no frames"})
    ['Predictive values are not assessable: the test split has no frames.']
    """
    if reason := section.get("not_assessable"):
        return [f"Predictive values are not assessable: {reason}."]
    told = []
    rows = sorted(section["all"]["stated"], key=lambda row: float(row["prevalence"]))
    own = format_estimate(section["all"]["table"]["npv"])
    text = f"At this sample's prevalence of {section['prevalence']:.0%} the NPV is {own}"
    if rows:
        ends = [f"{_best(row, 'npv')} at {row['prevalence']:.0%}" for row in (rows[0], rows[-1])]
        text += f"; carried to other prevalences it is {' and '.join(dict.fromkeys(ends))}"
    told.append(f"{text} (all calls).")
    told += _tell_other_call(section, accuracy or {})
    if section["high_confidence"]:
        told.append("Which calls are of high confidence is told under Endpoints.")
    return told


def _tell_other_call(section: Json, accuracy: Json) -> Iterator[str]:
    """Say why the sensitivity of the calls is not that of the most probable class."""
    here = pick(section, "all", "table", "sensitivity", "value")
    there = pick(accuracy, "frames", "positive", "sensitivity", "percentile", "value")
    if section["unit"] != "frames" or here is None or there is None or here == there:
        return
    yield (
        f"The sensitivity of these calls is {format_number(here)}, not {format_number(there)} as "
        "under Diagnostic accuracy: here a call is positive at a risk of at least 0.5, there where "
        f"{name_positives(accuracy)} is the most probable class."
    )


def _best(row: Json, name: str) -> str:
    return format_estimate(_pick_best(row, name))


def _pick_best(row: Json, name: str) -> Json:
    """Take a value with its interval by patient, or the logit one where there is none."""
    by_patient: Json = row[f"{name}_by_patient"]
    logit: Json = row[name]
    return logit if by_patient["low"] is None else by_patient


def tabulate_predictive_values(section: Json) -> list[Table]:
    """List PPV and NPV at the stated prevalences.

    Args:
        section: `predictive_values` of study.json.
    """
    if "not_assessable" in section:
        return []
    made = []
    for name, words in SETS.items():
        part = section[name]
        if part is None or not part["stated"]:
            continue
        rows: list[tuple[Any, ...]] = [
            (
                f"{row['prevalence']:.0%}",
                *(
                    cell
                    for key in ("ppv", "npv")
                    for cell in (_pick_best(row, key), _bounds(row[key]))
                ),
            )
            for row in part["stated"]
        ]
        own = [part["table"][key] for key in ("ppv", "npv")]
        rows.append((_tell_here(part["table"]), own[0], DASH, own[1], DASH))
        shares = "; ".join(
            f"{key} {format_estimate(part['table'][key])}" for key in ("sensitivity", "specificity")
        )
        made.append(
            make_table(
                f"predictive-values-{name.replace('_', '-')}",
                f"Predictive values at stated prevalences, {words} ({shares}), which count as "
                f"known; {tell_interval(section)}.",
                ("Prevalence", "PPV", "PPV, logit interval", "NPV", "NPV, logit interval"),
                rows,
                fold="" if name == "all" else f"The same for {words}",
            )
        )
    return made


def _tell_here(table: Json) -> str:
    """Name this sample's own prevalence, among the calls that count."""
    total = sum(table[key] for key in ("tn", "fp", "fn", "tp"))
    return f"here ({(table['tp'] + table['fn']) / total:.0%})" if total else "here"


def _bounds(interval: Json) -> Cell:
    if interval["low"] is None or is_still(interval):
        return Cell(DASH)
    text = f"{format_number(interval['low'])} to {format_number(interval['high'])}"
    return Cell(text, interval)


def draw_predictive_values(section: Json) -> list[Picture]:
    """Draw PPV and NPV against prevalence: all calls, then those of high confidence.

    Args:
        section: `predictive_values` of study.json.
    """
    if "not_assessable" in section:
        return []
    drawn = (_draw(section, name, words) for name, words in SETS.items() if section[name])
    return [picture for picture in drawn if picture is not None]


def _draw(section: Json, name: str, words: str) -> Picture | None:
    curve, stated = section[name]["curve"], section[name]["stated"]
    figure, axes = new_axes(3.6, 3.2)
    shown = False
    axes.axvline(section["prevalence"], color=FAINT, linewidth=1, linestyle=":")
    for key, label, dash, marker in LOOKS:
        rows = [row for row in curve if row[key]["value"] is not None]
        if not rows:
            continue
        shown = True
        x = [row["prevalence"] for row in rows]
        shade = STUDENT if key == "npv" else tint(STUDENT, 0.35)
        axes.plot(x, [row[key]["value"] for row in rows], dash, color=shade)
        fill_band(axes, x, [row[f"{key}_by_patient"] for row in rows], shade)
        points = [row for row in stated if row[key]["value"] is not None]
        axes.plot(
            [row["prevalence"] for row in points],
            [row[key]["value"] for row in points],
            marker,
            color=shade,
            markersize=5,
        )
        # Beside its own end: NPV falls to the right, PPV to the left.
        at = rows[-1] if key == "npv" else rows[0]
        axes.annotate(
            label,
            (at["prevalence"], at[key]["value"]),
            xytext=(4, 0) if key == "npv" else (-4, 0),
            textcoords="offset points",
            ha="left" if key == "npv" else "right",
            va="center",
            color=INK,
        )
    if not shown:
        return None
    axes.set(xlabel="prevalence", ylabel="predictive value", xlim=(-0.14, 1.14), ylim=(-0.02, 1.03))
    axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.set_title(f"Predictive values, {words}")
    listed = "; ".join(
        f"at {row['prevalence']:.0%} PPV {_best(row, 'ppv')}, NPV {_best(row, 'npv')}"
        for row in stated
    )
    return make_picture(
        f"predictive-values-{name.replace('_', '-')}",
        figure,
        f"PPV and NPV against prevalence, {words}: {listed or 'no prevalence is stated'}.",
        f"Predictive values of {words}, were positive {section['unit']} rarer or more common than "
        "here (dotted line), by Bayes' rule; marks: the stated prevalences; bands: "
        f"{name_intervals(section)}.",
    )
