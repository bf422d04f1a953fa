"""What the runs of a comparison answered on the test split, and at which level each frame is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polypskd.comparison.running import Outcome
from polypskd.config import Config
from polypskd.labels.examples import read_examples
from polypskd.metrics.classification import confusion_matrix, macro_f1
from polypskd.metrics.intervals import number
from polypskd.runs import LABELS, NUMBERS

Words = NDArray[np.str_]


@dataclass(frozen=True)
class Answers:
    """Test predictions of one run; rows in the order of `frames`."""

    frames: Words
    patients: Words
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def read_answers(folder: Path, classes: Sequence[str]) -> Answers:
    """Read a run's predictions on the test split, in the order of the frames' ids."""
    table = pl.read_csv(folder / NUMBERS[1], infer_schema=False).filter(pl.col("split") == "test")
    table = table.sort("frame_id")
    index = {name: k for k, name in enumerate(classes)}

    def codes(column: str) -> NDArray[np.int64]:
        return np.array([index[name] for name in table[column]], dtype=np.int64)

    columns = [table[f"p_{name}"].cast(pl.Float64).to_numpy() for name in classes]
    return Answers(
        table["frame_id"].to_numpy().astype(np.str_),
        table["patient_id"].to_numpy().astype(np.str_),
        codes("consensus"),
        codes("predicted"),
        np.stack(columns, axis=1),
    )


@dataclass(frozen=True)
class Levels:
    """The level's name of each test frame, and the names from the easiest to the hardest."""

    names: Words
    order: list[str]


def read_levels(config: Config, done: Sequence[Outcome], frames: Words) -> Levels | None:
    """Name the level of each test frame by the page's own subclasses."""
    rule = config.labels.subclasses
    for outcome in done:
        if rule.kind != "none" and outcome.config.labels.subclasses == rule:
            examples = read_examples(outcome.folder / LABELS[0])
            names = {
                str(frame): str(subclass).removeprefix(f"{consensus}/")
                for frame, subclass, consensus in zip(
                    examples.frame_id, examples.subclass, examples.consensus, strict=True
                )
            }
            by_level = np.argsort(examples.level, kind="stable")
            order = dict.fromkeys(names[str(frame)] for frame in examples.frame_id[by_level])
            own = np.array([names[str(frame)] for frame in frames])
            return Levels(own, [name for name in order if name in own])
    return None


def score_levels(answers: Answers, levels: Levels | None) -> dict[str, dict[str, float | None]]:
    """Give macro-F1 and accuracy by level; a level of one class has no macro-F1."""
    if levels is None:
        return {}
    scores = {}
    count = answers.probabilities.shape[1]
    for level in levels.order:
        here = levels.names == level
        table = confusion_matrix(answers.labels[here], answers.predicted[here], count)
        mixed = len(np.unique(answers.labels[here])) > 1
        scores[str(level)] = {
            "macro_f1": number(float(macro_f1(table))) if mixed else None,
            "accuracy": number(float(np.mean(answers.labels[here] == answers.predicted[here]))),
        }
    return scores
