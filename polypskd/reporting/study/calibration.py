"""Calibration in the report: before and after each scaling, each class, each difficulty level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from polypskd.reporting.cells import (
    DASH,
    Table,
    format_confidence,
    format_estimate,
    format_number,
    make_table,
    pick,
    point,
)
from polypskd.reporting.figures import (
    FAINT,
    STUDENT,
    Picture,
    make_picture,
    new_axes,
    place_legend,
    shorten,
)
from polypskd.reporting.study.clusters import knows_patients, name_intervals, name_least

Json = Mapping[str, Any]

SCALINGS = {
    "none": "As it is",
    "temperature": "Temperature",
    "vector": "Vector",
    "isotonic": "Isotonic",
}
ROWS = (
    (("errors", "top_label", "ece"), "ECE, top label"),
    (("errors", "top_label", "ece_equal_mass"), "ECE, equal-mass bins"),
    (("errors", "top_label", "ece_debiased"), "ECE, debiased"),
    (("errors", "top_label", "rmsce_debiased"), "RMS error, debiased"),
    (("errors", "top_label", "mce"), "Largest error of a bin (MCE)"),
    (("errors", "classwise", "ece"), "ECE, class-wise"),
    (("brier", "overall", "brier"), "Brier score"),
    (("brier", "overall", "reliability"), "of it reliability (less is better)"),
    (("brier", "overall", "resolution"), "of it resolution (more is better)"),
    (("brier", "overall", "uncertainty"), "of it uncertainty"),
    (("brier", "overall", "skill"), "Brier skill"),
    (("nll",), "Negative log-likelihood"),
    (("slope",), "Calibration slope of the risk (1 is best)"),
    (("intercept",), "Intercept of the risk (0 is best)"),
)
CURVE_ROWS = {"ici": "ICI", "e50": "E50", "e90": "E90"}
BEFORE, AFTER = "none", "temperature"
GRAY = "#777777"


def tell_calibration(section: Json) -> list[str]:
    """Say whether probabilities can be believed, which way they err, and what scaling does.

    Args:
        section: `calibration` of study.json.

    >>> tell_calibration({"not_assessable": "the test split has no frames"})
    ['Calibration is not assessable: the test split has no frames.']
    """
    if reason := section.get("not_assessable"):
        return [f"Calibration is not assessable: {reason}."]
    scalings = section["scalings"]
    errors = {
        kind: pick(one, "errors", "top_label", "ece_equal_mass") for kind, one in scalings.items()
    }
    told = [
        "The calibration error of the student (ECE, top label, equal-mass bins) is "
        f"{format_estimate(errors[BEFORE])} as it is"
        + (
            f" and {format_estimate(errors[AFTER])} after temperature scaling."
            if errors.get(AFTER)
            else f"; no scaling was fitted: {scalings[AFTER]['not_assessable']}."
        )
    ]
    losses = {
        SCALINGS[kind].lower(): point(one["nll"]) for kind, one in scalings.items() if "nll" in one
    }
    if len(losses) > 1:
        best, many = min(losses, key=lambda name: losses[name]), section["n_validation"]
        fitted = f"fitted on {format_number(many)} validation frames"
        told.append(
            f"No scaling {fitted} lowers the negative log-likelihood on test."
            if best == "as it is"
            else f"Of the scalings {fitted}, {best} scaling has the least negative log-likelihood "
            "on test; nothing was chosen by that."
        )
    kind = AFTER if "slope" in scalings[AFTER] else BEFORE
    slope = scalings[kind].get("slope") or {}
    if slope.get("low") is not None:
        when = "after temperature scaling" if kind == AFTER else "as they are"
        told.append(f"{_judge_slope(slope)} {when}: slope {format_estimate(slope, 2)}.")
    return told


def _judge_slope(slope: Json) -> str:
    if slope["low"] <= 0:
        return "Risks are not shown to rise with what is observed"
    if slope["high"] < 1:
        return "Risks are too extreme"
    if slope["low"] > 1:
        return "Risks are too cautious"
    return "Risks are not shown to be too extreme or too cautious"


def tabulate_calibration(section: Json) -> list[Table]:
    """Give all scalings side by side, each class before and after, and each difficulty level.

    Args:
        section: `calibration` of study.json.
    """
    if "not_assessable" in section:
        return []
    return [_tabulate_scalings(section), _tabulate_classes(section), _tabulate_levels(section)]


def _tabulate_scalings(section: Json) -> Table:
    scalings = {kind: one for kind, one in section["scalings"].items() if "nll" in one}
    rows = [(label, *(pick(one, *keys) for one in scalings.values())) for keys, label in ROWS]
    missing = {
        f"{SCALINGS[kind].lower()} scaling: {one['not_assessable']}"
        for kind, one in section["scalings"].items()
        if "not_assessable" in one
    }
    lacks = f" Not fitted: {'; '.join(sorted(missing))}." if missing else ""
    return make_table(
        "calibration-by-scaling",
        f"Calibration on {format_number(section['n_frames'])} test frames, as it is and after "
        f"scalings fitted on {format_number(section['n_validation'])} validation frames; "
        f"{format_confidence(section['confidence'])} {name_intervals(section)}, "
        f"{section['bins']} bins. "
        f"Risk is the probability of {_name_risk(section)}.{lacks}",
        ("", *(SCALINGS[kind] for kind in scalings)),
        rows,
    )


def _tabulate_classes(section: Json) -> Table:
    sides = _list_sides(section)
    rows = []
    for name in _list_classes(section):
        rows += [
            (f"{name}: {label}", *(pick(one, *keys) for one in sides.values()))
            for label, keys in (
                ("ECE", ("errors", "per_class", name, "ece")),
                ("Brier", ("brier", "per_class", name, "brier")),
                *((label, ("curves", name, key)) for key, label in CURVE_ROWS.items()),
            )
        ]
    if len(section["positive"]) > 1:
        rows += [
            (f"Risk: {label}", *(pick(one, "risk_curve", key) for one in sides.values()))
            for key, label in CURVE_ROWS.items()
        ]
    rows += [
        (label, *(pick(one, "smooth_error", key) for one in sides.values()))
        for key, label in (("top_label", "Smooth ECE, top label"), ("risk", "Smooth ECE, risk"))
    ]
    return make_table(
        "calibration-by-class",
        "Calibration of each class's probability: ICI, E50 and E90 are the mean, the median and "
        "the 90th percentile of the distance between predicted and observed risk by the smooth "
        "curve.",
        ("", *sides),
        rows,
        fold="Calibration of each class: ECE, Brier score, distance from the smooth curve",
    )


def _tabulate_levels(section: Json) -> Table:
    sides = _list_sides(section)
    kinds = [BEFORE, AFTER][: len(sides)]
    known, word = knows_patients(section), section.get("level_word", "difficulty level")
    scores, levels = {"ece": "ECE", "brier": "Brier", "slope": "Slope"}, section["levels"]
    if all(point(pick(one, kind, "slope")) is None for one in levels.values() for kind in kinds):
        del scores["slope"]  # no level has frames of both outcomes
    rows = [
        (
            *(name, level["n_frames"], *([level["n_patients"]] if known else [])),
            *(pick(level, kind, key) for key in scores for kind in kinds),
        )
        for name, level in levels.items()
    ]
    when = {BEFORE: "as it is", AFTER: "after"}
    return make_table(
        "calibration-by-level",
        f"Calibration by {word}, as it is and after temperature scaling. Levels of fewer than "
        f"{name_least(section, section)} have no numbers.",
        (
            *(word.capitalize(), "Frames", *(["Patients"] if known else [])),
            *(f"{label}, {when[kind]}" for label in scores.values() for kind in kinds),
        ),
        rows,
        fold=f"Calibration by {word}",
    )


def _list_sides(section: Json) -> dict[str, Json]:
    """Give what is judged before and, where there is one, after temperature scaling."""
    scalings = section["scalings"]
    sides = {"As it is": scalings[BEFORE]}
    if "nll" in scalings[AFTER]:
        sides["After temperature scaling"] = scalings[AFTER]
    return sides


def _list_classes(section: Json) -> list[str]:
    """Name the classes; of two the positive one, as the other is its mirror image."""
    names = list(section["scalings"][BEFORE]["curves"])
    return (section["positive"][:1] or names[-1:]) if len(names) == 2 else names


def _name_risk(section: Json) -> str:
    return " or ".join(section["positive"]) or DASH


def draw_calibration(section: Json) -> list[Picture]:
    """Draw the smooth curve of each class with its band, bins beside it; of two classes one.

    Args:
        section: `calibration` of study.json.
    """
    if "not_assessable" in section:
        return []
    sides = list(_list_sides(section).values())
    curves = {name: [one["curves"][name] for one in sides] for name in _list_classes(section)}
    if len(section["positive"]) > 1 and sides[0]["risk_curve"]:
        curves[_name_risk(section)] = [one["risk_curve"] for one in sides]
    pictures = (
        _draw_curve(f"calibration-curve-{at}", name, each)
        for at, (name, each) in enumerate(curves.items(), 1)
    )
    return [picture for picture in pictures if picture is not None]


def _draw_curve(key: str, name: str, curves: list[Json]) -> Picture | None:
    """Draw the last curve with its band and bins, and the one before it without."""
    last = curves[-1]
    drawn = [_read(curve, "observed") for curve in curves]
    if not len(last["predicted"]) or np.isnan(drawn[-1]).all():
        return None
    figure, axes = new_axes(3.6, 3.7)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    label = "as it is"
    if len(curves) > 1:
        axes.plot(
            _read(curves[0], "predicted"), drawn[0], "--", color=GRAY, linewidth=1.2, label=label
        )
        label = "after temperature scaling"
    x, low, high = (_read(last, key) for key in ("predicted", "low", "high"))
    if np.isfinite(low).any():
        axes.fill_between(x, low, high, color=STUDENT, alpha=0.18, linewidth=0)
    axes.plot(x, drawn[-1], color=STUDENT, label=label)
    bins = last["bins"]
    axes.plot(
        bins["predicted"],
        bins["observed"],
        "o",
        markersize=4,
        markerfacecolor="white",
        markeredgecolor=STUDENT,
        label="bins of equal numbers",
    )
    axes.set(
        xlabel="predicted probability",
        ylabel="observed share",
        title=shorten(name, 40),
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
    )
    place_legend(figure, axes)
    ici = "; ".join(
        f"{when} {format_estimate(curve['ici'])}"
        for when, curve in zip(("as it is", "after temperature scaling"), curves, strict=False)
    )
    listed = ", ".join(
        f"{format_number(a, 2)} {format_number(b, 2)}"
        for a, b in zip(bins["predicted"], bins["observed"], strict=True)
    )
    return make_picture(
        key,
        figure,
        f"Smooth calibration curve of {name}, {last['n_events']:,} of {last['n_frames']:,} frames. "
        f"Mean distance from the diagonal (ICI): {ici}. Predicted and observed in bins: {listed}.",
        f"{name}: below the gray diagonal the probability is too high, above it too low; the band "
        f"is pointwise. Mean distance (ICI): {ici}.",
    )


def _read(curve: Json, key: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([np.nan if value is None else value for value in curve[key]], dtype=float)
