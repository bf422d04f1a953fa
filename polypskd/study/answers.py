"""The answers of a run's networks to the frames of its examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from polypskd.arrays import read_arrays
from polypskd.errors import ArtifactError
from polypskd.labels.examples import Examples
from polypskd.runs import NUMBERS


def read_answers(folder: Path, examples: Examples) -> dict[str, NDArray[Any]]:
    """Read the class logits of student and teacher.

    Args:
        folder: the run's.
        examples: of the same run.

    Returns:
        ``rows`` (A,) of the examples that were judged; ``student`` (A, K); ``teacher`` (A, K), or
        (0, K) without one.

    Raises:
        ArtifactError: they are missing or damaged, or were made of other examples.
    """
    path = folder / NUMBERS[3]
    answers = read_arrays(path, ("rows", "student", "teacher"), verb="evaluate")
    rows = answers["rows"]
    if len(rows) and rows.max() >= len(examples):
        raise ArtifactError(
            f"{path}: made of other examples; `polypskd evaluate CONFIG` makes it anew"
        )
    return answers
