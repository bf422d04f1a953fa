"""Who voted what on the test frames."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from polypskd.cohort.ballot_table import read_votes, write_votes
from polypskd.cohort.table import Cohort
from polypskd.errors import ArtifactError

COHORT = Cohort(
    frame_ids=np.array(["a", "b", "c"]),
    paths=np.array(["", "", ""]),
    patient_ids=np.array(["p", "p", "q"]),
    patients_known=True,
    classes=("low", "high"),
    fine=("low", "mid", "high"),
    fine_class=np.array([0, 1, 1]),
    annotators=("Ann, MD", "Bo"),
    vote_frame=np.array([0, 1, 2, 2]),
    vote_annotator=np.array([0, 1, 0, 1]),
    vote_fine=np.array([0, 1, 2, 0]),
)


def test_votes_come_back_as_classes_by_annotator_on_the_chosen_frames(tmp_path: Path) -> None:
    write_votes(tmp_path / "votes.csv", COHORT, np.array([False, True, True]))
    found = read_votes(tmp_path / "votes.csv")
    assert found["frame_id"].tolist() == ["b", "c", "c"]
    assert found["annotator"].tolist() == ["Bo", "Ann, MD", "Bo"]
    assert found["vote"].tolist() == ["high", "high", "low"]


def test_votes_of_nobody_by_name_make_an_empty_table(tmp_path: Path) -> None:
    nameless = replace(COHORT, annotators=(), vote_annotator=np.full(4, -1))
    write_votes(tmp_path / "votes.csv", nameless, np.ones(3, dtype=bool))
    assert all(len(values) == 0 for values in read_votes(tmp_path / "votes.csv").values())


@pytest.mark.parametrize("text", [None, "frame_id,vote\na,low\n", "\x00\x01"])
def test_a_table_that_cannot_be_read_is_told_in_one_line(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "votes.csv").write_text(text)
    with pytest.raises(ArtifactError, match=r"^[^\n]*votes\.csv: (missing|damaged); "):
        read_votes(tmp_path / "votes.csv")
