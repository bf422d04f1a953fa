"""Conformal sets in the report: coverage by class, and how many classes a set holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from polypskd.reporting.cells import Cell, Table, format_estimate, make_table
from polypskd.reporting.figures import (
    FAINT,
    STUDENT,
    Picture,
    make_picture,
    new_axes,
    tint,
    wrap,
)
from polypskd.reporting.study.polyps import count_share, tell_interval

Json = Mapping[str, Any]


def tell_conformal(section: Json) -> list[str]:
    """Say whether each class is covered as often as aimed at, and how large the sets are.

    Args:
        section: `conformal` of study.json.

    >>> tell_conformal({"not_assessable": "no validation frames"})
    ['Conformal sets are not assessable: no validation frames.']
    """
    if reason := section.get("not_assessable"):
        return [f"Conformal sets are not assessable: {reason}."]
    aim = 1 - section["alpha"]
    classes = section["per_class"]
    covered = " ".join(_tell_coverage(classes, aim))
    told = [
        f"{covered} A set holds {format_estimate(section['size'], 2)} classes on average, and one "
        f"class alone in {format_estimate(section['sizes']['1'])}.",
    ]
    if section["too_few"]:
        told.append(
            f"Too few on validation for this level (at least {section['needed']} are needed), so "
            f"in every set: {', '.join(section['too_few'])}."
        )
    return told


def _tell_coverage(classes: Json, aim: float) -> Iterator[str]:
    """Say of each class whether its interval lies below the aim, above it, or on both sides."""
    groups: dict[str, list[str]] = {"below": [], "above": [], "open": [], "unknown": []}
    for name, one in classes.items():
        if one["value"] is None:
            groups["unknown"].append(name)
        elif one["low"] is None or one["low"] < aim <= one["high"]:
            groups["open"].append(f"{name} {format_estimate(one)}")
        else:
            side = "below" if one["high"] < aim else "above"
            groups[side].append(f"{name} {format_estimate(one)}")
    for key, words in (
        ("below", f"Coverage is below the {aim:.0%} aimed at"),
        ("above", f"Coverage is at least the {aim:.0%} aimed at"),
        ("open", f"The interval leaves open whether coverage reaches the {aim:.0%} aimed at"),
        ("unknown", "Not to be judged, without a test case"),
    ):
        if groups[key]:
            yield f"{words}: {', '.join(groups[key])}."


def tabulate_conformal(section: Json) -> list[Table]:
    """List coverage by class, and the sizes of the sets.

    Args:
        section: `conformal` of study.json.
    """
    if "not_assessable" in section:
        return []
    aim, unit = f"{1 - section['alpha']:.0%}", section["unit"]
    rows: list[tuple[Any, ...]] = [
        (
            name,
            one["fitted_on"],
            Cell("none: in every set") if one["quantile"] is None else one["quantile"],
            count_share(one),
        )
        for name, one in section["per_class"].items()
    ]
    fitted = sum(one["fitted_on"] for one in section["per_class"].values())
    rows.append(("All", fitted, Cell(""), count_share(section["coverage"])))
    coverage = make_table(
        "conformal-coverage",
        f"Conformal sets that aim to hold the reference class in {aim} of each class, with "
        f"quantiles of 1 − probability taken on validation; {tell_interval(section)}.",
        ("Class", f"{unit.capitalize()} on validation", "Quantile", "Coverage"),
        rows,
    )
    sizes = make_table(
        "conformal-sizes",
        f"How many classes a set holds; {tell_interval(section)}.",
        ("Classes in the set", f"Share of {unit}"),
        [(size, count_share(share)) for size, share in section["sizes"].items()],
        fold="How many classes a set holds",
    )
    return [coverage, sizes]


def draw_conformal(section: Json) -> list[Picture]:
    """Draw coverage by class, and the sizes of the sets.

    Args:
        section: `conformal` of study.json.
    """
    if "not_assessable" in section:
        return []
    return [_draw_coverage(section), _draw_sizes(section)]


def _draw_coverage(section: Json) -> Picture:
    classes, aim = section["per_class"], 1 - section["alpha"]
    figure, axes = new_axes(3.6, 1.1 + 0.3 * len(classes))
    axes.axvline(aim, color=FAINT, linewidth=1.2)
    lowest = aim
    for at, one in enumerate(classes.values()):
        if one["value"] is None:
            continue
        axes.plot(one["value"], at, "o", color=STUDENT, markersize=5)
        lowest = min(lowest, one["value"])
        if one["low"] is not None:
            axes.hlines(at, one["low"], one["high"], color=STUDENT, linewidth=1.4)
            lowest = min(lowest, one["low"])
    names = [wrap(name) + ("*" if name in section["too_few"] else "") for name in classes]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set(xlabel="coverage", title="Coverage by class")
    axes.set_xlim(max(0.0, int(10 * lowest) / 10) - 0.01, 1.01)
    listed = "; ".join(f"{name} {format_estimate(one)}" for name, one in classes.items())
    star = " *: too few on validation, in every set." if section["too_few"] else ""
    return make_picture(
        "conformal-coverage",
        figure,
        f"Coverage of the conformal sets by class, {aim:.0%} aimed at: {listed}.",
        f"How often a set holds the reference class; the gray line is the {aim:.0%} aimed "
        f"at.{star}",
    )


def _draw_sizes(section: Json) -> Picture:
    sizes = section["sizes"]
    figure, axes = new_axes(3.6, 2.6)
    for at, share in enumerate(sizes.values()):
        value = share["value"] or 0.0
        # One class alone decides; the others leave the question open.
        shade = STUDENT if at == 1 else tint(STUDENT, 0.6)
        axes.bar(at, value, 0.7, color=shade)
        axes.text(at, value + 0.015, f"{value:.0%}", ha="center", fontsize=8)
    axes.set_xticks(range(len(sizes)), list(sizes))
    axes.set(
        xlabel="classes in the set",
        ylabel=f"share of {section['unit']}",
        title="Size of the sets",
        ylim=(0, 1.08),
    )
    listed = "; ".join(f"{size}: {format_estimate(share)}" for size, share in sizes.items())
    return make_picture(
        "conformal-sizes",
        figure,
        f"Share of {section['unit']} by number of classes in the conformal set. {listed}.",
        "A set of one class decides (darker); of several leaves the choice open; of none fits no "
        "class.",
    )
