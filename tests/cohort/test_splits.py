from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from polypskd.cohort.splits import check_leaks, resolve_split, split_by_patient
from polypskd.cohort.table import Cohort
from polypskd.config import ColumnSplit, RandomSplit
from polypskd.errors import CohortError

NAMES = ("train", "val", "test")


def draw(seed: int, patients: int = 80) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 12, patients)
    ids = np.repeat([f"p{i:03d}" for i in range(patients)], sizes)
    return ids, rng.choice(3, len(ids), p=[0.6, 0.3, 0.1])


def cohort_of(ids: np.ndarray, split: np.ndarray | None = None) -> Cohort:
    frames = np.array([f"f{i:04d}" for i in range(len(ids))])
    empty = np.array([], np.int64)
    return Cohort(
        frame_ids=frames,
        paths=frames,
        patient_ids=ids,
        patients_known=True,
        classes=("a", "b", "c"),
        fine=("a", "b", "c"),
        fine_class=np.arange(3),
        annotators=(),
        vote_frame=empty,
        vote_annotator=empty,
        vote_fine=empty,
        split=split,
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(20, 120))
def test_no_patient_stands_in_two_splits_and_every_class_in_each(seed: int, patients: int) -> None:
    ids, strata = draw(seed, patients)
    carriers = [len(set(ids[strata == k])) for k in range(3)]
    assume(min(carriers) >= 3)
    split = split_by_patient(ids, strata, val=0.15, test=0.25, seed=seed)
    check_leaks(ids, split)
    for k in range(3):
        assert set(split[strata == k]) == set(NAMES)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_shares_come_within_one_patient_of_those_asked_for(seed: int) -> None:
    ids, strata = draw(seed)
    split = split_by_patient(ids, strata, val=0.15, test=0.25, seed=seed)
    for part in (strata >= 0, strata == 0, strata == 1, strata == 2):
        largest = np.unique(ids[part], return_counts=True)[1].max()
        for name, share in zip(NAMES, (0.6, 0.15, 0.25), strict=True):
            assert abs((split[part] == name).sum() - share * part.sum()) <= largest


def test_levels_are_balanced_too() -> None:
    ids, strata = draw(3, 200)
    levels = np.random.default_rng(4).integers(0, 4, len(ids))
    split = split_by_patient(ids, strata, val=0.15, test=0.25, seed=3, levels=levels)
    for level in range(4):
        assert abs((split[levels == level] == "test").mean() - 0.25) < 0.03


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_the_split_depends_on_the_seed_alone_and_not_on_the_order_of_frames(seed: int) -> None:
    ids, strata = draw(1)
    order = np.random.default_rng(seed).permutation(len(ids))
    split = split_by_patient(ids, strata, val=0.15, test=0.25, seed=9)
    again = split_by_patient(ids[order], strata[order], val=0.15, test=0.25, seed=9)
    np.testing.assert_array_equal(again, split[order])


def test_another_seed_gives_another_split() -> None:
    ids, strata = draw(1)
    one, two = (split_by_patient(ids, strata, val=0.15, test=0.25, seed=s) for s in (1, 2))
    assert (one != two).any()


def test_many_patients_of_one_frame_each_are_split_exactly() -> None:
    ids = np.array([f"f{i:05d}" for i in range(20_000)])
    strata = np.arange(20_000) % 4
    split = split_by_patient(ids, strata, val=0.15, test=0.25, seed=0)
    counts = [[int(np.sum(split[strata == k] == name)) for name in NAMES] for k in range(4)]
    assert counts == [[3000, 750, 1250]] * 4


def test_a_class_of_two_patients_is_refused_by_name() -> None:
    ids = np.array(["a", "b", "c", "d", "d", "e"])
    strata = np.array([0, 0, 0, 1, 1, 1])
    message = (
        "split: 2 patients in class 'b'; each class needs 3 patients for a random split: "
        "add patients, merge it, or give a split"
    )
    with pytest.raises(CohortError) as error:
        resolve_split(RandomSplit(), cohort_of(ids), strata, seed=1)
    assert str(error.value) == message


def test_classes_that_no_split_can_hold_are_refused() -> None:
    # Patients 1 and 2 share both classes, so 3 and 4 must go together, but the third class splits
    # 3, 4 and 5.
    carriers = [(1, 2, 3), (1, 2, 4), (3, 4, 5)]
    ids = np.array([str(p) for group in carriers for p in group])
    strata = np.repeat([0, 1, 2], 3)
    with pytest.raises(CohortError, match="no split by patient gives every class to every split"):
        split_by_patient(ids, strata, val=0.3, test=0.3, seed=1)


def test_a_given_split_is_kept_and_val_is_carved_out_of_train_by_patient() -> None:
    ids, strata = draw(5)
    test = np.isin(ids, np.unique(ids)[:20])
    given_split = np.where(test, "test", "train")
    split = resolve_split(
        ColumnSplit(column="s", val=0.2), cohort_of(ids, given_split), strata, seed=1
    )
    np.testing.assert_array_equal(split == "test", test)
    assert abs((split[~test] == "val").mean() - 0.2) < 0.04
    check_leaks(ids, split)


def test_a_given_split_without_val_or_test_is_refused() -> None:
    ids, strata = draw(5)
    cohort = cohort_of(ids, np.full(len(ids), "train"))
    with pytest.raises(CohortError, match=r"^split: the column has no validation frames; set "):
        resolve_split(ColumnSplit(column="s"), cohort, strata, seed=1)
    with pytest.raises(CohortError, match="split: no frames in 'test'"):
        resolve_split(ColumnSplit(column="s", val=0.2), cohort, strata, seed=1)


def test_a_given_split_that_leaks_or_lacks_a_class_in_train_is_refused() -> None:
    ids = np.array(["a", "b", "b", "c"])
    leaky = cohort_of(ids, np.array(["train", "train", "val", "test"]))
    with pytest.raises(CohortError) as error:
        resolve_split(ColumnSplit(column="s"), leaky, np.zeros(4, int), seed=1)
    assert str(error.value) == (
        "split: patients in two splits: '1'; put all frames of a patient in one split"
    )
    sound = replace(leaky, split=np.array(["train", "val", "val", "test"]))
    with pytest.raises(CohortError, match="no training frame of class 'c'"):
        resolve_split(ColumnSplit(column="s"), sound, np.array([0, 0, 2, 0]), seed=1)
