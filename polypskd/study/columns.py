"""Columns of the cohort that a study asks for: checked before any training, read as levels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.tables import suggest
from polypskd.config import Study
from polypskd.errors import ConfigError
from polypskd.metrics.annotators import EVERYONE
from polypskd.metrics.bands import UNKNOWN, Band, Column

Floats = NDArray[np.float64]
Words = NDArray[np.str_]
Json = dict[str, Any]

ABSENT = frozenset({"", "?", "n/a", "na", "nan", "none", "null", "unknown"})  # in lower case
MOST = 50  # levels of a column; more are names or numbers, not groups
FEW = 10  # levels that a column may have however few patients there are
TOLD = 12  # names listed in a message
OTHER_LEVEL = "another level"  # all suppressed ones: a rare word may tell who is meant


def check_columns(
    study: Study,
    columns: Mapping[str, Words],
    annotators: Iterable[str],
    patients: Words | None = None,
) -> None:
    """Refuse columns and annotators that the cohort lacks, before anything is trained.

    Args:
        study: what is asked for.
        columns: the cohort's further columns, (N,) each.
        annotators: the cohort's.
        patients: (N,) patient of each frame, the frame itself where patients are unknown; None
            takes each frame for a patient.

    Raises:
        ConfigError: with every fault, one a line: a column is missing, holds words where numbers
            are needed, has too many levels, tells patients apart, or never says the word of a
            segment; or a group names an annotator that nobody is, or is called "all".

    >>> study = Study.model_validate({"subgroups": {"size": {"column": "mm", "edges": [6, 10]}}})
    >>> check_columns(study, {"mm": np.array(["4", "", "12.5"])}, [])
    >>> check_columns(study, {"size": np.array(["4"])}, [])
    Traceback (most recent call last):
    polypskd.errors.ConfigError: study.subgroups.size.column: the cohort has no column 'mm'; \
its columns are: size
    """
    faults = [
        f"{place}: the cohort has no column {name!r}; {_list_there(name, columns)}"
        for place, name in _list_columns(study)
        if name not in columns
    ]
    numbers = {
        f"study.subgroups.{key}": one.column for key, one in study.subgroups.items() if one.edges
    }
    if study.polyps.size_mm is not None:
        numbers["study.polyps.size_mm"] = study.polyps.size_mm
    for place, name in numbers.items():
        if name in columns:
            faults += _find_words(place, name, columns[name])
    for key, one in study.subgroups.items():
        if not one.edges and one.column in columns:
            place = f"study.subgroups.{key}"
            faults += _find_names(place, one.column, columns[one.column], patients)
    faults += _check_segments(study, columns)
    faults += _check_groups(study.groups, annotators)
    if faults:
        raise ConfigError("\n".join(faults))


def _list_columns(study: Study) -> list[tuple[str, str]]:
    """Give (place in the config, column) of every column that is asked for."""
    names = ("lesion", "exam", "size_mm", "segment", "histology", "dysplasia", "piecemeal")
    polyps = [(f"study.polyps.{name}", getattr(study.polyps, name)) for name in names]
    subgroups = [(f"study.subgroups.{k}.column", one.column) for k, one in study.subgroups.items()]
    return [(place, name) for place, name in polyps if name is not None] + subgroups


def _list_there(name: str, columns: Mapping[str, Words]) -> str:
    there = f"its columns are: {_list_names(columns)}" if columns else "it has none"
    return suggest(name, columns) + there


def _find_words(place: str, name: str, values: Words) -> list[str]:
    different = np.unique(values)
    wrong = [str(word) for word in different if not _is_absent(word) and np.isnan(_number(word))]
    return [
        f"{place}: column {name!r} holds {word!r}, which is no number; write numbers, and "
        "leave unknown ones empty"
        for word in wrong[:1]
    ]


def _find_names(place: str, name: str, values: Words, patients: Words | None) -> list[str]:
    """Find fault with a column whose levels are names or numbers; none of them is quoted."""
    column = read_levels(values, (), name)
    levels = len(column.levels)
    if levels > MOST:
        return [
            f"{place}: column {name!r} has {levels} different values, more than {MOST}; give edges "
            "to a column of numbers, or take another column"
        ]
    known = column.values != UNKNOWN
    owners = (np.arange(len(values)) if patients is None else patients)[known]
    people, owner = np.unique(owners, return_inverse=True)
    level = np.unique(column.values[known], return_inverse=True)[1]
    pairs = np.unique(np.stack([owner, level]), axis=1).shape[1]
    each = patients is not None and 2 < len(people) == levels == pairs
    if each or (levels > FEW and 2 * levels > len(people)):
        return [
            f"{place}: column {name!r} has {levels} different values for {len(people)} patients, "
            "and tells them apart; take a column of few levels"
        ]
    return []


def _check_segments(study: Study, columns: Mapping[str, Words]) -> list[str]:
    """Find the words of study.polyps.segments that the column never says: most are misspelled."""
    name, place = study.polyps.segment, "study.polyps.segments"
    if name is None or name not in columns:
        return []
    there = [str(word).strip() for word in np.unique(columns[name]) if not _is_absent(word)]
    said = {word.casefold() for word in there}
    return [
        f"{place}: column {name!r} never says {word!r}; {suggest(word, there)}"
        f"it says: {_list_names(there) if there else 'nothing'}"
        for word in study.polyps.segments
        if word.strip().casefold() not in said
    ]


def _check_groups(groups: Mapping[str, str], annotators: Iterable[str]) -> list[str]:
    known = sorted({str(name) for name in annotators} - {""})
    there = f"they are: {_list_names(known)}" if known else "it names none"
    faults = [
        f"study.groups: the cohort has no annotator {name!r}; {suggest(name, known)}{there}"
        for name in groups
        if name not in known
    ]
    if EVERYONE in groups.values():
        faults.append(
            f"study.groups: the group {EVERYONE!r} is that of all annotators; rename yours"
        )
    return faults


def _list_names(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - TOLD} more" if len(listed) > TOLD else ""
    return ", ".join(listed[:TOLD]) + more


def read_numbers(values: Words) -> Floats:
    """Read a column of numbers; what is none, or infinite, is unknown.

    Args:
        values: (N,).

    Returns:
        (N,) nan where unknown.

    >>> read_numbers(np.array(["4", " 12.5 ", "", "unknown"])).tolist()
    [4.0, 12.5, nan, nan]
    """
    different, place = np.unique(values, return_inverse=True)
    numbers: Floats = np.array([_number(word) for word in different], dtype=np.float64)
    return numbers[place]


def _number(word: str) -> float:
    try:
        found = float(word)
    except ValueError:
        return math.nan
    return found if math.isfinite(found) else math.nan


def _is_absent(word: str) -> bool:
    return str(word).strip().lower() in ABSENT


def read_levels(values: Words, edges: Sequence[float], name: str) -> Column:
    """Read a column as levels: bands of numbers where there are edges, else its words.

    Args:
        values: (N,).
        edges: rising; the bands are below the first, and from each on.
        name: of the column.

    >>> column = read_levels(np.array(["4", "6", "", "30"]), (6, 10), "size")
    >>> column.values.tolist(), column.levels
    (['< 6', '6 to < 10', 'unknown', '≥ 10'], ('< 6', '6 to < 10', '≥ 10'))
    """
    if edges:
        return Column.band(read_numbers(values), name_bands(edges), name)
    different, place = np.unique(values, return_inverse=True)
    words = np.array([UNKNOWN if _is_absent(w) else str(w).strip() for w in different], np.str_)
    return Column.of(words[place] if len(words) else values)


def join_hidden(levels: Sequence[Json], hidden: Sequence[bool], joined: Json) -> list[Json]:
    """Put one nameless entry in place of all suppressed levels.

    Args:
        levels: plain values of each level, its ``name`` among them.
        hidden: whether each is suppressed.
        joined: what is told of them together.

    >>> join_hidden([{"name": "NBI"}, {"name": "Dr. X"}], [False, True], {"frames": None})
    [{'name': 'NBI'}, {'name': 'another level', 'frames': None}]
    """
    kept = [level for level, secret in zip(levels, hidden, strict=True) if not secret]
    return [*kept, {"name": OTHER_LEVEL} | joined] if any(hidden) else kept


def name_bands(edges: Sequence[float]) -> tuple[Band, ...]:
    """Make the bands between edges.

    Args:
        edges: at least one, rising.

    >>> [band.name for band in name_bands([50])]
    ['< 50', '≥ 50']
    """
    told = [f"{edge:g}" if float(f"{edge:g}") == edge else repr(float(edge)) for edge in edges]
    middle = [f"{low} to < {high}" for low, high in pairwise(told)]
    names = [f"< {told[0]}", *middle, f"≥ {told[-1]}"]
    return tuple(Band(name, start) for name, start in zip(names, (-math.inf, *edges), strict=True))
