"""test_votes.csv: who voted what on the test frames, kept beside a run's labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polypskd.artifacts import write_atomic
from polypskd.cohort.table import Cohort
from polypskd.errors import ArtifactError

MOST_LETTERS = 2**30  # of a column, each cell taking the room of the longest
COLUMNS = ("frame_id", "annotator", "vote")


def write_votes(path: Path, cohort: Cohort, some: NDArray[np.bool_]) -> None:
    """Write frame_id, annotator, vote (a class) of the votes whose annotator is known; atomically.

    Args:
        path: of the table.
        cohort: N frames.
        some: (N,) frames whose votes are written.
    """
    here = some[cohort.vote_frame] & (cohort.vote_annotator >= 0)
    words = {
        "frame_id": cohort.frame_ids[cohort.vote_frame[here]],
        "annotator": np.array(cohort.annotators or ("",))[cohort.vote_annotator[here]],
        "vote": np.array(cohort.classes)[cohort.fine_class[cohort.vote_fine[here]]],
    }
    frame = pl.DataFrame({name: pl.Series(name, words[name], pl.String) for name in COLUMNS})
    write_atomic(path, frame.write_csv)


def read_votes(path: Path) -> dict[str, NDArray[np.str_]]:
    """Read frame_id, annotator and vote, (V,) each.

    Raises:
        ArtifactError: the table is missing or damaged.
    """
    try:
        table = pl.read_csv(path, infer_schema=False).fill_null("")
        longest = table.select(pl.col(COLUMNS).str.len_chars().max().fill_null(0))
        if max(longest.row(0)) * len(table) > MOST_LETTERS:
            raise OverflowError
        return {name: table[name].to_numpy().astype(np.str_) for name in COLUMNS}
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing; `polypskd derive CONFIG` makes it") from None
    except (pl.exceptions.PolarsError, UnicodeDecodeError, OverflowError):
        raise ArtifactError(f"{path}: damaged; delete it and run the same command again") from None
