"""A run's files, read for the report."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polypskd.artifacts import read_json
from polypskd.config.yaml_text import PageError, parse_yaml
from polypskd.errors import ArtifactError
from polypskd.labels.examples import Examples, read_examples
from polypskd.reporting.comparison_shape import find_misfit, holds_run

Json = dict[str, Any]
# A path may name a user or a hospital, a pattern of file names a patient.
HIDDEN = frozenset({"root", "path", "weights", "pattern"})
SEED = re.compile(r"seed-(\d{1,10})")  # folder of a comparison's run
ABSOLUTE = re.compile(r"^(/|~|[A-Za-z]:[\\/]|\\\\)")


@dataclass(frozen=True)
class Predictions:
    """N predicted frames.

    Args:
        frame_id: (N,).
        split: (N,) "train", "val" or "test".
        consensus: (N,) class name.
        predicted: (N,) class name.
        classes: K names, in the order of the columns of `p`.
        p: (N, K) probabilities.
    """

    frame_id: NDArray[np.str_]
    split: NDArray[np.str_]
    consensus: NDArray[np.str_]
    predicted: NDArray[np.str_]
    classes: tuple[str, ...]
    p: NDArray[np.float64]


@dataclass(frozen=True)
class Record:
    """Everything the report is made from.

    Args:
        exclusions: frames left out, counted by reason.
        comparison: comparison.json of the comparison that the run belongs to, if it does.
        study: study.json, what a clinical study asks beyond the evaluation; None without one.
        folder: the run's own; nothing of its name goes into a report.
    """

    config: Json
    provenance: Json
    examples: Examples
    agreement: Json
    evaluation: Json
    predictions: Predictions
    histories: dict[str, list[Json]]
    exclusions: dict[str, int]
    comparison: Json | None = None
    study: Json | None = None
    folder: Path | None = None


def read_record(run: Path) -> Record:
    """Read a run folder.

    Args:
        run: the folder; histories, excluded.csv and study.json may be absent, no other file may.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    evaluation = _read_mapping(run / "evaluation.json")
    named = _read_mapping(run / "agreement.json")
    agreement = number_annotators(named)
    return Record(
        config=_number_groups(_read_config(run / "config.yaml"), find_numbers(named)),
        provenance=_without_paths(_read_mapping(run / "provenance.json")),
        examples=read_examples(run / "examples.csv"),
        agreement=agreement,
        evaluation=evaluation,
        predictions=_read_predictions(run / "predictions.csv"),
        histories={
            who: read_json(run / f"{who}_history.json")
            # A run that has changed its method may still hold an older teacher's history.
            for who in (("student", "teacher") if evaluation.get("teacher") else ("student",))
            if (run / f"{who}_history.json").exists()
        },
        exclusions=count_exclusions(run / "excluded.csv"),
        comparison=read_json(beside) if (beside := find_comparison(run)) else None,
        study=_read_mapping(study)  # names nobody and no path
        if (study := run / "study.json").exists()
        else None,
        folder=run,
    )


def has_given_classes(record: Record) -> bool:
    """Tell whether each frame came with one class, so that nobody is known to have voted."""
    votes: Any = (record.config.get("cohort") or {}).get("votes") or {}
    return votes.get("kind") in ("subclass", "folders")


def get_study(record: Record, name: str) -> Json | None:
    """Get a section of study.json; None where there is none, or it is not assessable."""
    section = (record.study or {}).get(name)
    return None if not section or section.get("not_assessable") else section


def find_comparison(run: Path) -> Path | None:
    """Find comparison.json of the comparison that a run is one of; None if it is one of none.

    It lies two folders above ``<method>/seed-<n>/`` and tells of that very run. Any other file of
    that name is somebody else's, and is left alone.

    Args:
        run: the run's folder.

    Raises:
        ArtifactError: it is damaged, or not as this version writes it.
    """
    folder = run.resolve()
    path = folder.parent.parent / "comparison.json"
    seed = SEED.fullmatch(folder.name)
    if seed is None or not path.is_file():
        return None
    remedy = "`polypskd compare CONFIG` writes it anew; if it is not yours, move it or the run"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise ArtifactError(f"{path}: damaged; {remedy}") from None
    if not holds_run(value, folder.parent.name, int(seed[1])):
        return None
    if misfit := find_misfit(value):
        raise ArtifactError(f"{path}: not as this version writes it ({misfit}); {remedy}")
    return path


def number_annotators(agreement: Json) -> Json:
    """Replace annotators' names by numbers, in the order of agreement.json.

    >>> number_annotators({"statistics": {"annotators": [{"name": "Ann"}]}})
    {'statistics': {'annotators': [{'name': 'annotator 1'}]}}
    """
    number = find_numbers(agreement)
    statistics = dict(agreement.get("statistics") or {})
    people = statistics.get("annotators") or []
    pairs = statistics.get("pairwise_cohen") or []
    if people:
        statistics["annotators"] = [
            person | {"name": number[person.get("name")]} for person in people
        ]
    if pairs:
        statistics["pairwise_cohen"] = [
            pair | {side: number[pair.get(side)] for side in ("a", "b")} for pair in pairs
        ]
    return agreement | {"statistics": statistics}


def find_numbers(agreement: Json) -> dict[Any, str]:
    """Number annotators in the order of agreement.json.

    >>> find_numbers({"statistics": {"annotators": [{"name": "Ann"}, {"name": "Bo"}]}})
    {'Ann': 'annotator 1', 'Bo': 'annotator 2'}
    """
    statistics = agreement.get("statistics") or {}
    names = [person.get("name") for person in statistics.get("annotators") or ()]
    pairs = statistics.get("pairwise_cohen") or ()
    names += [pair.get(side) for pair in pairs for side in ("a", "b")]
    return {name: f"annotator {i + 1}" for i, name in enumerate(dict.fromkeys(names))}


def _number_groups(config: Json, number: Mapping[Any, str]) -> Json:
    """Replace the annotators' names of study.groups by their numbers; drop whoever has none."""
    study = config.get("study")
    if not isinstance(study, dict) or not study.get("groups"):
        return config
    groups = {number[name]: group for name, group in study["groups"].items() if name in number}
    return config | {"study": study | {"groups": groups}}


def list_classes(record: Record) -> list[str]:
    """List the classes, in the order of agreement.json."""
    return [str(name) for name in record.agreement.get("classes") or ()]


def has_single_votes(record: Record) -> bool:
    """Tell whether no frame has more than one vote."""
    spread = (record.agreement.get("statistics") or {}).get("votes_per_frame") or {}
    return spread.get("max") == 1


def count_patients(record: Record) -> int | None:
    """Count the patients of the cohort; None where they are unknown."""
    known = record.agreement.get("patients_known")
    return len(np.unique(record.examples.patient_id)) if known else None


def _read_mapping(path: Path) -> Json:
    value = read_json(path)
    if not isinstance(value, dict):
        raise ArtifactError(f"{path}: damaged; delete it and run the same command again")
    return value


def _read_config(path: Path) -> Json:
    try:
        config = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing; run `polypskd run CONFIG` to make it") from None
    except (PageError, UnicodeDecodeError):
        config = None
    if not isinstance(config, dict):
        raise ArtifactError(f"{path}: damaged; delete it and run the same command again")
    kept: Json = _without_paths(config)
    return kept


def _without_paths(tree: Any) -> Any:
    if isinstance(tree, Mapping):
        return {
            key: _without_paths(value) for key, value in tree.items() if not _is_private(key, value)
        }
    if isinstance(tree, list):
        return [_without_paths(item) for item in tree]
    return tree


def _is_private(key: str, value: Any) -> bool:
    """Paths, patterns of file names and the names of annotators stay in the run folder."""
    if key in HIDDEN or (key == "annotators" and not isinstance(value, int)):
        return True
    return isinstance(value, str) and ABSOLUTE.match(value) is not None


def _read_table(path: Path) -> pl.DataFrame:
    try:
        table = pl.read_csv(path, infer_schema=False).fill_null("")
        # Polars leaves doubled quotes as they are in the header.
        return table.rename({name: name.replace('""', '"') for name in table.columns})
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing; run `polypskd run CONFIG` to make it") from None
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        raise ArtifactError(f"{path}: damaged; delete it and run the same command again") from None


def _read_predictions(path: Path) -> Predictions:
    table = _read_table(path)
    columns = [name for name in table.columns if name.startswith("p_")]
    try:
        words: dict[str, Any] = {
            name: table[name].to_numpy().astype(np.str_)
            for name in ("frame_id", "split", "consensus", "predicted")
        }
        p = np.column_stack([table[name].cast(pl.Float64).to_numpy() for name in columns])
    except (pl.exceptions.PolarsError, ValueError):
        raise ArtifactError(
            f"{path}: not a predictions table; `polypskd evaluate CONFIG` makes it anew"
        ) from None
    return Predictions(**words, classes=tuple(name.removeprefix("p_") for name in columns), p=p)


def count_exclusions(path: Path) -> dict[str, int]:
    """Count the frames left out by reason, the most frequent first.

    Args:
        path: of excluded.csv; where there is none, no frame was left out.

    Raises:
        ArtifactError: it is damaged.
    """
    if not path.exists() or not path.read_bytes().strip():
        return {}
    table = _read_table(path)
    if not {"frame_id", "reason"} <= set(table.columns):
        raise ArtifactError(f"{path}: needs the columns frame_id, reason; run the same command")
    reasons = Counter(table["reason"].to_list())
    return dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
