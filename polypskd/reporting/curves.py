"""Figures of lines: training, ROC, precision and recall, reliability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from polypskd.reporting.cells import format_number, pick, point
from polypskd.reporting.figures import (
    FAINT,
    STUDENT,
    TEACHER,
    Picture,
    color,
    dashes,
    make_picture,
    new_axes,
    place_legend,
    shorten,
)

MAX_LISTED = 6  # areas in a caption
Json = dict[str, Any]
History = Sequence[Mapping[str, Any]]


def draw_losses(history: History, who: str) -> Picture:
    """Draw the training and validation loss of one network."""
    figure, axes = new_axes()
    members = _split(history)
    _plot(axes, members, "train_loss", (STUDENT, "-", "training"))
    _plot(axes, members, "val_loss", (TEACHER, "--", "validation"))
    changes = _changes(members[0])
    for epoch in changes:
        axes.axvline(epoch, color=FAINT, linewidth=0.8, linestyle=":")
    axes.set(xlabel="epoch", ylabel="loss", title=who.capitalize())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    place_legend(figure, axes)
    epochs = max(len(member) for member in members)
    several = f" One line for each of the {len(members)} networks." if len(members) > 1 else ""
    dotted = " Dotted lines: more training examples join." if changes else ""
    return make_picture(
        f"losses-{who}",
        figure,
        f"Training and validation loss of the {who} over {epochs} "
        f"epoch{'' if epochs == 1 else 's'}.{several}",
        f"Loss of the {who}: a validation loss that rises while the training loss falls is "
        f"overfitting.{several}{dotted}",
    )


def draw_progress(histories: Mapping[str, History]) -> Picture:
    """Draw the validation macro-F1 of every network that has a history."""
    figure, axes = new_axes()
    looks = {"student": (STUDENT, "-", "student"), "teacher": (TEACHER, "--", "teacher")}
    for who, history in histories.items():
        _plot(axes, _split(history), "val_macro_f1", looks[who])
    axes.set(xlabel="epoch", ylabel="macro-F1 (validation)", ylim=(0, 1.02), title="Macro-F1")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    place_legend(figure, axes)
    return make_picture(
        "progress",
        figure,
        f"Validation macro-F1 by epoch of the {' and the '.join(histories)}.",
        "Macro-F1 on the validation split after each epoch; higher is better.",
    )


def draw_roc(evaluation: Json, classes: Sequence[str]) -> Picture | None:
    """Draw one ROC curve a class; None where no class has one."""
    curves = pick(evaluation, "curves", "roc") or {}
    figure, axes = _square("1 − specificity", "sensitivity", "ROC")
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    drawn = _plot_classes(axes, curves, classes, ("fpr", "tpr"))
    if not drawn:
        return None
    areas = {name: point(pick(evaluation, "per_class", name, "auroc")) for name in drawn}
    place_legend(figure, axes)
    listed = "; ".join(f"{name} {format_number(area)}" for name, area in areas.items())
    return make_picture(
        "roc",
        figure,
        f"ROC curves, one class against the others. Area under the curve: {listed}.",
        "Closer to the upper left corner is better; the gray line is chance. "
        + (
            f"Area under the curve: {listed}."
            if len(drawn) <= MAX_LISTED
            else "The areas stand in the table of classes."
        ),
    )


def draw_precision_recall(evaluation: Json, classes: Sequence[str]) -> Picture | None:
    """Draw one precision-recall curve a class; None where no class has one."""
    curves = pick(evaluation, "curves", "pr") or {}
    figure, axes = _square("recall (sensitivity)", "precision", "Precision and recall")
    drawn = _plot_classes(axes, curves, classes, ("recall", "precision"))
    if not drawn:
        return None
    place_legend(figure, axes)
    return make_picture(
        "precision-recall",
        figure,
        f"Precision against recall of the classes {', '.join(drawn)}.",
        "Closer to the upper right corner is better; what can be reached depends on how frequent "
        "the class is.",
    )


def draw_reliability(bins: Sequence[Mapping[str, Any]] | None, title: str) -> Picture | None:
    """Draw accuracy against confidence, with the frames in each bin below; None without bins."""
    filled = [row for row in bins or () if row.get("count") and row.get("accuracy") is not None]
    if not filled:
        return None
    figure = Figure(figsize=(3.6, 3.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    confidence = np.array([row["confidence"] for row in filled], dtype=float)
    accuracy = np.array([row["accuracy"] for row in filled], dtype=float)
    count = np.array([row["count"] for row in filled], dtype=int)
    upper.plot([0, 1], [0, 1], color=FAINT, linewidth=1)
    upper.vlines(confidence, confidence, accuracy, color=TEACHER, linewidth=1.2)
    upper.plot(confidence, accuracy, "o-", color=STUDENT, markersize=5, linewidth=1)
    upper.set(xlim=(0, 1.02), ylim=(-0.02, 1.02), ylabel="accuracy", title=title)
    lower.vlines(confidence, 0, count, color=STUDENT, linewidth=5)
    lower.set(xlabel="confidence (mean of the bin)", ylabel="frames", ylim=(0, count.max() * 1.15))
    lower.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=3))
    listed = "; ".join(
        f"confidence {format_number(a, 2)}, accuracy {format_number(b, 2)}, {n} frames"
        for a, b, n in zip(confidence.tolist(), accuracy.tolist(), count.tolist(), strict=True)
    )
    return make_picture(
        f"reliability-{title.split(maxsplit=1)[0].lower()}",
        figure,
        f"Reliability diagram, {title.lower()}: {listed}.",
        f"{title}: points below the gray line are overconfident, points above it underconfident; "
        "bins with few frames say little.",
    )


def _square(xlabel: str, ylabel: str, title: str) -> tuple[Figure, Axes]:
    figure, axes = new_axes(3.6, 3.6)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title, xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    return figure, axes


def _plot_classes(
    axes: Axes, curves: Mapping[str, Any], classes: Sequence[str], keys: tuple[str, str]
) -> list[str]:
    """Plot the curves that are defined, and name their classes."""
    drawn = []
    for index, name in enumerate(classes):
        x, y = (pick(curves, name, key) for key in keys)
        if not x or not y:
            continue
        axes.plot(x, y, color=color(index), linestyle=dashes(index), label=shorten(name, 34))
        drawn.append(name)
    return drawn


def _split(history: History) -> list[History]:
    """Split the history of an ensemble into those of its networks."""
    members = sorted({row.get("member") or 0 for row in history})
    return [[row for row in history if (row.get("member") or 0) == one] for one in members]


def _plot(axes: Axes, members: Sequence[History], key: str, look: tuple[str, str, str]) -> None:
    shade, line, label = look
    for index, history in enumerate(members):
        epochs = [row["epoch"] for row in history]
        values = [np.nan if row.get(key) is None else row[key] for row in history]
        axes.plot(
            epochs,
            values,
            color=shade,
            linestyle=line,
            linewidth=1.6 if len(members) == 1 else 1.0,
            label=label if index == 0 else "_",
            marker="o" if len(epochs) < 3 else "",
        )


def _changes(history: History) -> list[float]:
    """Epochs at which the number of examples grew; none if it grew nearly always."""
    sizes = [row.get("n_examples") for row in history]
    found = [
        float(row["epoch"]) - 0.5
        for row, size, before in zip(history[1:], sizes[1:], sizes, strict=False)
        if size != before
    ]
    return found if len(found) <= 10 else []
