from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from polypskd.config import NoCurriculum, PacedCurriculum, StagedCurriculum
from polypskd.errors import ConfigError
from polypskd.labels.curriculum import check_curriculum, derive_stages, pace_share, select_active

LEVELS = hnp.arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 6))
ORDERS = st.sampled_from(["easy_to_hard", "hard_to_easy", "random"])
STAGED = st.builds(StagedCurriculum, order=ORDERS, epochs_per_stage=st.integers(1, 4))
PACED = st.builds(
    PacedCurriculum,
    order=ORDERS,
    pace=st.sampled_from(["linear", "root", "step"]),
    start=st.floats(0.05, 0.95),
    until=st.floats(0.05, 1),
    steps=st.integers(2, 6),
)
RULES = st.one_of(st.builds(NoCurriculum), STAGED, PACED)


def course(rule, stage, epochs, seed=0):
    return np.array(
        [select_active(rule, stage, epoch=e, epochs=epochs, seed=seed) for e in range(epochs)]
    )


def test_easy_to_hard_is_the_dense_rank_of_the_level():
    level = np.array([0, 5, 2, 0])
    assert derive_stages(StagedCurriculum(), level, 1).tolist() == [0, 2, 1, 0]
    reverse = StagedCurriculum(order="hard_to_easy")
    assert derive_stages(reverse, level, 1).tolist() == [2, 0, 1, 2]
    assert derive_stages(NoCurriculum(), level, 1).tolist() == [0, 0, 0, 0]


@given(LEVELS, st.integers(0, 99))
def test_a_random_order_keeps_the_sizes_of_the_stages(level, seed):
    shuffled = derive_stages(PacedCurriculum(order="random"), level, seed)
    ordered = derive_stages(PacedCurriculum(), level, seed)
    np.testing.assert_array_equal(np.sort(shuffled), np.sort(ordered))
    again = derive_stages(PacedCurriculum(order="random"), level, seed)
    np.testing.assert_array_equal(shuffled, again)


def test_a_random_order_forgets_the_level():
    level = np.repeat([0, 1], 500)
    stage = derive_stages(StagedCurriculum(order="random"), level, 0)
    assert 0.4 < stage[:500].mean() < 0.6


@given(RULES, LEVELS, st.integers(1, 30), st.integers(0, 99))
def test_who_has_joined_stays(rule, level, epochs, seed):
    active = course(rule, derive_stages(rule, level, seed), epochs, seed)
    assert (active[1:] >= active[:-1]).all()


@given(RULES, LEVELS, st.integers(2, 30), st.integers(0, 99))
def test_everyone_joins_in_the_end(rule, level, epochs, seed):
    stage = derive_stages(rule, level, seed)
    try:
        check_curriculum(rule, int(stage.max()) + 1, epochs)
    except ConfigError:
        assert not course(rule, stage, epochs, seed)[-1].all()
        return
    assert course(rule, stage, epochs, seed)[-1].all()


@given(RULES, LEVELS, st.integers(1, 30), st.integers(0, 99))
def test_nobody_joins_before_an_earlier_stage_is_in(rule, level, epochs, seed):
    stage = derive_stages(rule, level, seed)
    for active in course(rule, stage, epochs, seed):
        assert active.any()
        if not active.all():
            assert stage[active].max() <= stage[~active].min()


@given(PACED, st.integers(2, 60))
def test_the_pace_begins_with_start_and_ends_with_all(rule, epochs):
    shares = [pace_share(rule, epoch=epoch, epochs=epochs) for epoch in range(epochs)]
    assert shares[-1] == pytest.approx(1)
    assert shares[0] == pytest.approx(rule.start)
    assert all(share == pytest.approx(1) for share in shares[int(np.ceil(rule.until * epochs)) :])
    assert all(a <= b + 1e-12 for a, b in pairwise(shares))


@given(LEVELS, st.integers(3, 60), st.floats(0.1, 0.9))
def test_the_root_pace_is_ahead_of_the_linear_one(level, epochs, start):
    for epoch in range(epochs):
        linear = pace_share(PacedCurriculum(pace="linear", start=start), epoch=epoch, epochs=epochs)
        root = pace_share(PacedCurriculum(pace="root", start=start), epoch=epoch, epochs=epochs)
        assert root >= linear - 1e-12


def test_shares_are_those_worked_out_by_hand():
    def shares(pace):
        rule = PacedCurriculum(pace=pace, start=0.2, until=0.5, steps=2)
        return [pace_share(rule, epoch=e, epochs=16) for e in (0, 2, 4, 8, 15)]

    assert shares("linear") == pytest.approx([0.2, 0.4, 0.6, 1, 1])
    assert shares("step") == pytest.approx([0.2, 0.2, 0.6, 1, 1])
    assert shares("root") == pytest.approx([0.2, np.sqrt(0.28), np.sqrt(0.52), 1, 1])


def test_a_share_that_is_a_whole_number_of_examples_is_not_rounded_up():
    rule = PacedCurriculum(pace="linear", start=0.3)
    active = select_active(rule, np.zeros(10, dtype=int), epoch=0, epochs=10, seed=0)
    assert active.sum() == 3


def test_cumulative_stages_of_mhist_have_the_sizes_of_wei_et_al():
    level = np.repeat([0, 1, 2, 3], [537 + 219, 497 + 154, 302 + 106, 209 + 151])
    rule = StagedCurriculum(epochs_per_stage=4)
    active = course(rule, derive_stages(rule, level, 0), 16)
    assert active.sum(axis=1)[::4].tolist() == [756, 1407, 1815, 2175]


def test_too_few_epochs_are_refused_with_the_number_that_would_do():
    rule = StagedCurriculum(epochs_per_stage=4)
    check_curriculum(rule, 4, 13)
    with pytest.raises(ConfigError, match="set epochs to 13 or more or epochs_per_stage to 3"):
        check_curriculum(rule, 4, 12)
    with pytest.raises(ConfigError, match=r"set epochs to 13 or more$"):
        check_curriculum(rule, 4, 2)
    check_curriculum(PacedCurriculum(), 4, 1)
    check_curriculum(NoCurriculum(), 1, 1)
