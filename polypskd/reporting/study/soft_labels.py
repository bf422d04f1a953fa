"""The student against the annotators' distribution, in the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.cells import (
    Table,
    format_confidence,
    format_estimate,
    format_number,
    make_table,
    pick,
    point,
)
from polypskd.reporting.figures import (
    STUDENT,
    Picture,
    make_picture,
    name_ticks,
    new_axes,
    place_legend,
)
from polypskd.reporting.study.bands import plot_bounds
from polypskd.reporting.study.clusters import knows_patients, name_intervals, name_least

Json = Mapping[str, Any]

ROWS = {
    "cross_entropy": "Cross-entropy, nats",
    "kl": "KL divergence, nats",
    "brier": "Brier score against the shares",
    "brier_debiased": "Brier score, what few votes add taken off",
    "total_variation": "Total variation distance",
    "ece": "ECE of the top label against its share of votes",
    "ece_classwise": "ECE, class-wise, against shares of votes",
}
LEVEL_ROWS = {"kl": "KL", "total_variation": "Total variation", "ece": "ECE"}
WHEN = {"before": "As it is", "after": "After temperature scaling"}
GRAY = "#777777"


def tell_soft_labels(section: Json) -> list[str]:
    """Say how far the student's probabilities lie from the annotators' votes.

    Args:
        section: `soft_labels` of study.json.

    >>> tell_soft_labels({"not_assessable": "no test frame has two votes"})
    ["The annotators' distribution is not assessable: no test frame has two votes."]
    """
    if reason := section.get("not_assessable"):
        return [f"The annotators' distribution is not assessable: {reason}."]
    before, votes = section["before"], section["votes_per_frame"]
    ends = dict.fromkeys((votes["min"], votes["max"]))
    each = " to ".join(format_number(count) for count in ends)
    told = [
        f"On {format_number(before['n_frames'])} frames with {each} votes each, "
        f"{section['unanimous']:.0%} of them unanimous, the student's probabilities lie "
        f"{format_estimate(before['total_variation'])} from the shares of votes (total variation: "
        "0 is the same distribution, 1 shares nothing)."
    ]
    if after := section.get("after"):
        first, then = (point(side["kl"]) for side in (before, after))
        way = "nearer to" if then < first else "no nearer to"
        told.append(
            f"Temperature scaling brings them {way} the votes: KL divergence "
            f"{format_number(first)} before and {format_number(then)} after."
        )
    if left_out := section["left_out"]:
        told.append(f"{format_number(left_out)} frames of fewer than two votes are left out.")
    return told


def tabulate_soft_labels(section: Json) -> list[Table]:
    """Give the scores against the votes, over all frames and by difficulty level.

    Args:
        section: `soft_labels` of study.json.
    """
    if "not_assessable" in section:
        return []
    sides = [when for when in WHEN if when in section]
    rows = [(label, *(section[when][key] for when in sides)) for key, label in ROWS.items()]
    scores = make_table(
        "distance-from-votes",
        f"The student against the shares of votes, {format_number(section['before']['n_frames'])} "
        f"frames of at least two votes; {format_confidence(section['confidence'])} "
        f"{name_intervals(section)}. Less is better; cross-entropy is at least "
        f"{format_number(section['entropy'])}, the entropy of the votes, and few votes alone add "
        f"{format_number(section['vote_noise'])} to the Brier score.",
        ("", *(WHEN[when] for when in sides)),
        rows,
    )
    return [scores, _tabulate_levels(section, sides)]


def _tabulate_levels(section: Json, sides: list[str]) -> Table:
    rows = [
        (
            name,
            level["n_frames"],
            level["n_patients"] if knows_patients(section) else None,
            *(pick(level, when, key) for key in LEVEL_ROWS for when in sides),
        )
        for name, level in section["levels"].items()
    ]
    when = {"before": "as it is", "after": "after"}
    return make_table(
        "distance-from-votes-by-level",
        "The student against the shares of votes by difficulty level, as it is and after "
        f"temperature scaling. Levels of fewer than {name_least(section, section)} have no "
        "numbers.",
        (
            *("Level", "Frames", "Patients"),
            *(f"{label}, {when[side]}" for label in LEVEL_ROWS.values() for side in sides),
        ),
        rows,
        fold="Distance from the votes by difficulty level",
    )


def draw_soft_labels(section: Json) -> list[Picture]:
    """Draw the distance from the votes by difficulty level; nothing with fewer than two levels.

    Args:
        section: `soft_labels` of study.json.
    """
    if "not_assessable" in section:
        return []
    levels = {name: one for name, one in section["levels"].items() if "before" in one}
    if len(levels) < 2:
        return []
    figure, axes = new_axes(3.6, 2.9)
    looks = {
        "before": (GRAY, "o", -0.06, "as it is"),
        "after": (STUDENT, "s", 0.06, "after temperature scaling"),
    }
    listed = []
    for when, (shade, marker, shift, label) in looks.items():
        if when not in section:
            continue
        found = [one[when]["total_variation"] for one in levels.values()]
        x = [place + shift for place in range(len(found))]
        axes.plot(x, [point(one) for one in found], marker, color=shade, markersize=5, label=label)
        plot_bounds(axes, x, found, shade)
        each = zip(levels, found, strict=True)
        listed.append(f"{label} {', '.join(f'{n} {format_number(point(v))}' for n, v in each)}")
    counts = [f"{name}\n(n={format_number(one['n_frames'])})" for name, one in levels.items()]
    name_ticks(axes, counts)
    axes.set(ylabel="total variation", title="Distance from the votes")
    axes.set_ylim(bottom=0)
    axes.margins(x=0.15)
    place_legend(figure, axes)
    return [
        make_picture(
            "distance-from-votes",
            figure,
            f"Distance of the student from the votes by level: {'; '.join(listed)}.",
            "Distance of the student's probabilities from the shares of votes, by difficulty "
            "level, as it is and after temperature scaling; 0 is the same distribution.",
        )
    ]
