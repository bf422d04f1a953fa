"""examples.csv: the one table that crosses the torch line; a clinician can open and sort it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polypskd.artifacts import write_atomic
from polypskd.errors import ArtifactError

Ints = NDArray[np.int64]
Words = NDArray[np.str_]

TEXT = ("frame_id", "path", "patient_id", "split", "consensus", "subclass")
NUMBERS = {"level": pl.Int64, "stage": pl.Int64, "agreement": pl.Float64, "n_votes": pl.Int64}


@dataclass(frozen=True)
class Examples:
    """N labelled frames: arrays of length N, names as in examples.csv.

    Args:
        frame_id: unique.
        path: below the frames' root.
        patient_id: one patient never stands in two splits.
        split: "train", "val" or "test".
        consensus: class name.
        subclass: subclass name.
        level: difficulty, 0 = easiest.
        stage: when the example joins the training, 0 = at once; 0 outside the training split.
        agreement: share of votes for the consensus, in (0, 1].
        n_votes: number of votes.
        votes: class name → (N,) number of votes.
        carried: further columns as given.
    """

    frame_id: Words
    path: Words
    patient_id: Words
    split: Words
    consensus: Words
    subclass: Words
    level: Ints
    stage: Ints
    agreement: NDArray[np.float64]
    n_votes: Ints
    votes: dict[str, Ints]
    carried: dict[str, Words]

    def __len__(self) -> int:
        return len(self.frame_id)


def write_examples(path: Path, examples: Examples) -> None:
    """Write examples.csv atomically; a carried column that collides becomes ``given_<name>``."""
    own: dict[str, NDArray[np.generic]] = {
        name: getattr(examples, name) for name in (*TEXT, *NUMBERS)
    }
    own |= {f"votes_{name}": counts for name, counts in examples.votes.items()}
    carried = {
        (f"given_{name}" if name in own else name): values
        for name, values in examples.carried.items()
    }
    frame = pl.DataFrame(
        {name: pl.Series(name, values) for name, values in (own | carried).items()}
    )
    write_atomic(path, lambda temporary: frame.write_csv(temporary, float_precision=6))


def read_examples(path: Path) -> Examples:
    """Read examples.csv.

    Raises:
        ArtifactError: the file is missing or lacks a column.
    """
    if not path.exists():
        raise ArtifactError(f"{path}: missing; `polypskd derive CONFIG` makes it")
    try:
        frame = pl.read_csv(path, infer_schema=False)
        frame = frame.fill_null("")
        numbers: dict[str, Any] = {
            name: frame[name].cast(kind).to_numpy() for name, kind in NUMBERS.items()
        }
        texts: dict[str, Any] = {name: frame[name].to_numpy().astype(np.str_) for name in TEXT}
        votes = {
            name.removeprefix("votes_"): frame[name].cast(pl.Int64).to_numpy()
            for name in frame.columns
            if name.startswith("votes_")
        }
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{path}: not an examples table ({type(error).__name__}); "
            "`polypskd derive CONFIG` makes it anew"
        ) from None
    known = {*TEXT, *NUMBERS, *(f"votes_{name}" for name in votes)}
    carried = {
        name: frame[name].to_numpy().astype(np.str_) for name in frame.columns if name not in known
    }
    return Examples(**texts, **numbers, votes=votes, carried=carried)
