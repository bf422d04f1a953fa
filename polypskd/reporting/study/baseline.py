"""Who was studied, in the report: the baseline table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from polypskd.reporting.cells import DASH, SPLITS, Cell, Table, format_number, make_table

Json = Mapping[str, Any]


def tell_baseline(section: Json) -> list[str]:
    """Say how many frames and patients there were, and how many are judged.

    Args:
        section: `baseline` of study.json.

    >>> tell_baseline({"not_assessable": "the examples of all splits are not at hand"})
    ['The baseline is not assessable: the examples of all splits are not at hand.']
    """
    if reason := section.get("not_assessable"):
        return [f"The baseline is not assessable: {reason}."]
    flow, test = section["flow"], section["splits"]["test"]
    out = flow["given"] - flow["frames"]
    kept = "all were kept" if not out else f"{format_number(out)} were left out"
    return [
        f"{format_number(flow['given'])} frames were given; {kept}. The student is judged on "
        f"{_tell_size(test)} that it was not trained on."
    ]


def _tell_size(one: Json) -> str:
    """Tell frames, and patients where they are known.

    >>> _tell_size({"frames": 1, "patients": 1}), _tell_size({"frames": 20, "patients": None})
    ('1 frame of 1 patient', '20 frames')
    """
    told = f"{format_number(one['frames'])} frame{'' if one['frames'] == 1 else 's'}"
    count = one["patients"]
    if count is None:
        return told
    return f"{told} of {format_number(count)} patient{'' if count == 1 else 's'}"


def tabulate_baseline(section: Json) -> list[Table]:
    """Set the splits side by side: sizes, classes, levels, votes and the columns asked for.

    Args:
        section: `baseline` of study.json.
    """
    if "not_assessable" in section:
        return []
    splits = [section["splits"][name] for name in SPLITS]
    rows: list[tuple[Any, ...]] = [("Frames", *(one["frames"] for one in splits))]
    if any(one["patients"] is not None for one in splits):
        spans = (_span(one["frames_per_patient"]) for one in splits)
        rows += [
            ("Patients", *(one["patients"] for one in splits)),
            ("Frames a patient, median (range)", *spans),
        ]
    rows += [
        ("Votes a frame, median (range)", *(_span(one["votes_per_frame"]) for one in splits)),
    ]
    word = str(section.get("level_word", "difficulty level"))
    for what, key in (("Class", "classes"), (word.capitalize(), "levels")):
        rows += [
            (f"{what}: {name}", *(_share(one[key][name], one["frames"]) for one in splits))
            for name in splits[-1][key]
        ]
    for name, column in section["columns"].items():
        for level in column.get("levels", ()):
            cells = (_tell_level(level[split], section["splits"][split]) for split in SPLITS)
            rows.append((f"{name}: {level['name']}", *cells))
    told = ""
    if any("levels" in column for column in section["columns"].values()):
        told = (
            "; for levels of columns, patients too. Levels of so few patients that they might be "
            "recognized, or whose counts would give such a level away, are suppressed"
        )
    return [
        make_table(
            "baseline-by-split",
            f"Baseline: frames (share of the split){told}.",
            ("", *(name.capitalize() for name in SPLITS.values())),
            rows,
        )
    ]


def _span(values: list[float] | None) -> str:
    """Tell the median and the range.

    >>> _span([1.0, 2.5, 4.0]), _span(None)
    ('2.5 (1 to 4)', '–')
    """
    return f"{values[1]:g} ({values[0]:g} to {values[2]:g})" if values else DASH


def _share(count: int, total: int) -> Cell:
    text = f"{format_number(count)} ({count / total:.0%})" if total else format_number(count)
    return Cell(text, count)


def _tell_level(cell: Json | None, split: Json) -> Cell:
    if cell is None:
        return Cell("suppressed", "suppressed")
    told = _share(cell["frames"], split["frames"])
    if cell["patients"] is None:
        return told
    return Cell(f"{told.text}, {format_number(cell['patients'])} pat.", cell["frames"])
