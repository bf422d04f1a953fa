import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.cohort.address import holds_many, join_address, split_address

PATHS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
SUFFIX = st.sampled_from([".dcm", ".MP4", ".mkv", "", ".113"])


@given(path=PATHS.filter(lambda text: "." not in text), suffix=SUFFIX, number=st.integers(0, 10**8))
def test_an_address_splits_into_what_it_was_joined_from(path, suffix, number):
    assert split_address(join_address(path + suffix, number)) == (path + suffix, number)


@given(name=PATHS)
def test_splitting_never_loses_a_part_of_the_name(name):
    path, number = split_address(name)
    assert name == path or (name.startswith(f"{path}#") and int(name[len(path) + 1 :]) == number)


@pytest.mark.parametrize("name", ["a.png#3", "a#3.png", "a.mp4#", "a.mp4#x", "#3", "a.mp4#٣"])
def test_a_number_counts_only_behind_a_file_that_may_hold_many(name):
    assert split_address(name) == (name, None)


def test_a_number_too_long_to_be_one_is_part_of_the_name():
    name = "a.mp4#" + "9" * 5000
    assert split_address(name) == (name, None)


def test_names_of_archives_may_hold_many():
    assert all(map(holds_many, ["IM0001", "exam/1.2.840.113619.2", "a.IMA"]))
    assert not any(map(holds_many, ["a.png", "a.csv", "notes.txt"]))
