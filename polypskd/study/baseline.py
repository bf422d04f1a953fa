"""Who was studied: the frames and patients of each split, and how frames came there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.labels.examples import Examples
from polypskd.metrics.bands import UNKNOWN, Column
from polypskd.metrics.subgroup_levels import suppress_small
from polypskd.study.columns import join_hidden, read_levels
from polypskd.study.data import Json, NotAssessableError, StudyData

Flags = NDArray[np.bool_]

SPLITS = ("train", "val", "test")


def describe_baseline(data: StudyData) -> Json:
    """Count frames, patients, classes, levels and votes of each split, and the flow of frames.

    Levels of columns are counted by split only: with a total over the splits, a cell that is
    suppressed could be found by subtraction.

    Args:
        data: the run, with the examples of all splits.

    Returns:
        ``flow``; ``splits`` name → counts; ``level_word``, what levels are called; ``columns`` name
        → levels with a count for each split, None where suppressed; levels that no split tells are
        joined, without their names.
    """
    examples = data.examples
    if examples is None:
        raise NotAssessableError("the examples of all splits are not at hand")
    members = {split: examples.split == split for split in SPLITS}
    return {
        "flow": _follow(data, examples),
        "splits": {split: _count(data, examples, here) for split, here in members.items()},
        "level_word": data.level_word,
        "columns": {
            name: _count_column(data, examples, name, members) for name in data.settings.subgroups
        },
    }


def _follow(data: StudyData, examples: Examples) -> Json:
    left_out = dict(data.exclusions)
    return {
        "given": len(examples) + sum(left_out.values()),
        "left_out": left_out,
        "frames": len(examples),
        "patients": len(np.unique(examples.patient_id)) if data.patients_known else None,
    }


def _count(data: StudyData, examples: Examples, here: Flags) -> Json:
    patients, sizes = np.unique(examples.patient_id[here], return_counts=True)
    consensus, level = examples.consensus[here], _name_levels(examples, here)
    levels = [*data.level_order, *sorted(set(level.tolist()) - set(data.level_order))]
    return {
        "frames": int(here.sum()),
        "patients": len(patients) if data.patients_known else None,
        "frames_per_patient": _span(sizes) if data.patients_known else None,
        "classes": {name: int((consensus == name).sum()) for name in data.classes},
        "levels": {name: int((level == name).sum()) for name in levels},
        "votes_per_frame": _span(examples.n_votes[here]),
    }


def _name_levels(examples: Examples, here: Flags) -> NDArray[np.str_]:
    """Take the class off the name of each subclass."""
    pairs, place = np.unique(
        np.stack([examples.subclass[here], examples.consensus[here]]), axis=1, return_inverse=True
    )
    names = [str(sub).removeprefix(f"{owner}/") for sub, owner in pairs.T]
    return np.array(names, dtype=np.str_)[place]


def _span(counts: NDArray[np.integer[Any]]) -> list[float] | None:
    """Give the least, the median and the most."""
    if not len(counts):
        return None
    return [float(counts.min()), float(np.median(counts)), float(counts.max())]


def _count_column(
    data: StudyData, examples: Examples, name: str, members: dict[str, Flags]
) -> Json:
    asked = data.settings.subgroups[name]
    there = examples.carried
    known = [one for one in (asked.column, f"given_{asked.column}") if one in there]
    if not known:
        return {"not_assessable": f"the cohort has no column {asked.column!r}"}
    column = read_levels(there[known[0]], asked.edges, asked.column)
    names = [*column.levels, *([UNKNOWN] if (column.values == UNKNOWN).any() else [])]
    counts = {
        split: _count_levels(data, examples, column, names, here) for split, here in members.items()
    }
    levels: list[Json] = [
        {"name": level} | {split: counts[split][place] for split in SPLITS}
        for place, level in enumerate(names)
    ]
    # A level keeps its name where some split shows it: there, enough patients have it.
    hidden = [
        any(level[split] is None for split in SPLITS)
        and not any(level[split] and level[split]["frames"] for split in SPLITS)
        for level in levels
    ]
    secret = [level for level, yes in zip(levels, hidden, strict=True) if yes]
    joined = {
        split: None if any(level[split] is None for level in secret) else secret[0][split]
        for split in SPLITS
        if secret
    }
    return {"levels": join_hidden(levels, hidden, joined)}


def _count_levels(
    data: StudyData, examples: Examples, column: Column, names: list[str], here: Flags
) -> list[Json | None]:
    """Count frames and patients of each level in a split; None where suppressed."""
    people, index = np.unique(examples.patient_id[here], return_inverse=True)
    values = column.values[here]
    owned = np.zeros((len(names), len(people)), dtype=np.bool_)
    for row, level in zip(owned, names, strict=True):
        row[index[values == level]] = True
    hidden = suppress_small(owned, data.settings.hidden_patients)
    return [
        None
        if secret
        else {
            "frames": int((values == level).sum()),
            "patients": int(row.sum()) if data.patients_known else None,
        }
        for level, row, secret in zip(names, owned, hidden, strict=True)
    ]
