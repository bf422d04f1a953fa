"""Why a class, or all of them, has no votes."""

import pytest
from hospital_files import write_image, write_table

from polypskd.cohort.load import load_cohort
from polypskd.config import CohortConfig
from polypskd.errors import CohortError


def fault_of(folder, rows, **more):
    votes = write_table(folder / "votes.csv", "frame,subclass", rows)
    section = {
        "frames": {"kind": "image_folder", "root": folder / "frames"},
        "votes": {"kind": "subclass", "path": votes},
        "classes": ["low", "high"],
        **more,
    }
    with pytest.raises(CohortError) as caught:
        load_cohort(CohortConfig.model_validate(section))
    return str(caught.value)


@pytest.fixture
def rows(tmp_path):
    for number in range(4):
        write_image(tmp_path / f"frames/{number}.png", number)
    return [f"{number}.png,{'low' if number % 2 else 'high'}" for number in range(4)]


def test_a_limit_of_quality_that_leaves_no_frame_is_named_as_the_cause(tmp_path, rows):
    told = fault_of(tmp_path, rows, quality={"min_brightness": 1.0})
    assert told.splitlines() == [
        "votes: 2 of 2 frames left out, 2 by quality.min_brightness: none is left of class "
        f"'{name}'; mend the frames, or the limit"
        for name in ("low", "high")
    ]


def test_damaged_frames_that_take_a_class_are_named_as_the_cause(tmp_path, rows):
    for number in (1, 3):
        (tmp_path / f"frames/{number}.png").write_bytes(b"no image")
    told = fault_of(tmp_path, rows, drop_faulty=True)
    assert told.startswith("votes: 2 of 2 frames left out, 2 by not a readable image: none is left")


@pytest.mark.parametrize("drop", [False, True])
def test_votes_that_name_no_frame_are_one_fault_with_an_example_of_both(tmp_path, rows, drop):
    del rows
    names = [f"exam1.mp4#{number},low" for number in (30, 31, 32)]
    assert fault_of(tmp_path, names, drop_faulty=drop) == (
        "votes.csv: no vote names any frame; votes name e.g. 'exam1.mp4#30', "
        "frames are e.g. '0.png'"
    )


def test_a_class_whose_names_match_no_image_tells_how_many_match_none(tmp_path, rows):
    rows[1], rows[3] = "8.png,low", "9.png,low"
    told = fault_of(tmp_path, rows, drop_faulty=True)
    assert told.startswith("votes: no votes for class 'low'; 2 names of the votes match no image")
