"""examples.csv: the one table that crosses the torch line; a clinician can open and sort it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polypskd.artifacts import write_atomic
from polypskd.cohort.splits import check_leaks
from polypskd.errors import ArtifactError
from polypskd.labels.scheme import Scheme

Ints = NDArray[np.int64]
Words = NDArray[np.str_]

TEXT = ("frame_id", "path", "patient_id", "split", "consensus", "subclass")
NUMBERS = {"level": pl.Int64, "stage": pl.Int64, "agreement": pl.Float64, "n_votes": pl.Int64}

MOST_LETTERS = 2**29  # of a column, each cell taking the room of the longest
PART = 65_536  # cells turned into text at a time


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
    """Write examples.csv atomically.

    A carried column whose name is one of ours, or looks like votes, becomes ``given_<name>``.
    """
    own: dict[str, NDArray[np.generic]] = {
        name: getattr(examples, name) for name in (*TEXT, *NUMBERS)
    }
    own |= {f"votes_{name}": counts for name, counts in examples.votes.items()}
    carried: dict[str, NDArray[np.generic]] = {}
    for given, values in examples.carried.items():
        name = given
        while name in own or name in carried or name.startswith("votes_"):
            name = f"given_{name}"
        carried[name] = values
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
        texts: dict[str, Any] = {name: _to_words(frame[name]) for name in TEXT}
        votes = {
            name.removeprefix("votes_"): frame[name].cast(pl.Int64).to_numpy()
            for name in frame.columns
            if name.startswith("votes_")
        }
        known = {*TEXT, *NUMBERS, *(f"votes_{name}" for name in votes)}
        carried = {name: _to_words(frame[name]) for name in frame.columns if name not in known}
    except (pl.exceptions.PolarsError, UnicodeDecodeError, OverflowError) as error:
        raise ArtifactError(
            f"{path}: not an examples table ({type(error).__name__}); "
            "`polypskd derive CONFIG` makes it anew"
        ) from None
    return Examples(**texts, **numbers, votes=votes, carried=carried)


def _to_words(column: pl.Series) -> NDArray[np.str_]:
    """Turn text into an array, a part at a time.

    A Python string for each of a million cells would cost more than the rest of the table.
    """
    longest = int(column.str.len_chars().max() or 1)  # type: ignore[arg-type]
    if longest * len(column) > MOST_LETTERS:
        raise OverflowError(f"a cell of {longest} letters")
    words = np.empty(len(column), dtype=f"<U{max(1, longest)}")
    for start in range(0, len(column), PART):
        words[start : start + PART] = column[start : start + PART].to_numpy()
    return words


def check_examples(path: Path, examples: Examples, scheme: Scheme, *, patients_known: bool) -> None:
    """Refuse an examples table that a hand has broken.

    Args:
        path: for the message.
        examples: as read.
        scheme: what its names may be.
        patients_known: whether `patient_id` holds patients.

    Raises:
        ArtifactError: with the first row of each kind of fault.
    """
    names = np.array(scheme.classes)
    owner = dict(zip(scheme.subclasses, names[scheme.class_of], strict=True))
    belongs = np.array([owner.get(str(name), "") for name in examples.subclass])
    twice = np.ones(len(examples), dtype=bool)
    twice[np.unique(examples.frame_id, return_index=True)[1]] = False
    wrong = {
        "the frame stands twice": twice,
        "split is none of train, val, test": ~np.isin(examples.split, ("train", "val", "test")),
        f"consensus is none of {', '.join(names)}": ~np.isin(examples.consensus, names),
        "subclass is not known": belongs == "",
        "the subclass belongs to another class": (belongs != "") & (belongs != examples.consensus),
        "stage is negative": examples.stage < 0,
    }
    # Row 1 is the header.
    faults = [
        f"{path} row {int(np.argmax(rows)) + 2}: {what}"
        for what, rows in wrong.items()
        if rows.any()
    ]
    train = examples.split == "train"
    faults += [
        f"{path}: no row is in split {name}"
        for name in ("train", "val", "test")
        if not np.any(examples.split == name)
    ]
    if train.any() and examples.stage[train].min() > 0:
        faults.append(f"{path}: no training row has stage 0")
    if faults:
        raise ArtifactError("; mend it by hand, or derive it anew\n".join([*faults, ""]).rstrip())
    if patients_known:
        check_leaks(examples.patient_id, examples.split)
