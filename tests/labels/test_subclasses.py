import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.config import AgreementLevels, KnownColumn, NoSubclasses, VoteCount
from polypskd.errors import CohortError
from polypskd.labels.consensus import derive_consensus
from polypskd.labels.subclasses import derive_subclasses

# Wei et al. 2021 (MHIST): frames by number of votes for SSA, 0 to 7.
TRAIN = (537, 497, 302, 209, 151, 106, 154, 219)
TEST = (186, 208, 124, 99, 65, 62, 96, 137)

# name: (thresholds, H(S|C) in bits on train, train and test sizes of HP, of SSA)
SCHEMES = {
    "7/7|6/7|5/7|4/7": (
        {"very_easy": 1.0, "easy": 0.85, "hard": 0.71, "very_hard": 0.57},
        1.9204,
        ([537, 497, 302, 209], [219, 154, 106, 151]),
        ([186, 208, 124, 99], [137, 96, 62, 65]),
    ),
    "easy|hard": (
        {"easy": 0.85, "hard": 0.57},
        0.9330,
        ([1034, 511], [373, 257]),
        ([394, 223], [233, 127]),
    ),
    "7/7|rest": (
        {"unanimous": 1.0, "rest": 0.5},
        0.9319,
        ([537, 1008], [219, 411]),
        ([186, 431], [137, 223]),
    ),
    "7-5/7|4/7": (
        {"clear": 0.7, "close": 0.5},
        0.6363,
        ([1336, 209], [479, 151]),
        ([518, 99], [295, 65]),
    ),
    "7/7|6-5/7|4/7": (
        {"easy": 1.0, "hard": 0.7, "very_hard": 0.5},
        1.4524,
        ([537, 799, 209], [219, 260, 151]),
        ([186, 332, 99], [137, 158, 65]),
    ),
    "7-6/7|5/7|4/7": (
        {"easy": 0.85, "hard": 0.7, "very_hard": 0.5},
        1.2778,
        ([1034, 302, 209], [373, 106, 151]),
        ([394, 124, 99], [233, 62, 65]),
    ),
}


@pytest.fixture(scope="module")
def mhist():
    votes = np.concatenate([np.repeat(np.arange(8), TRAIN), np.repeat(np.arange(8), TEST)])
    table = (np.arange(7) < votes[:, None]).astype(int)
    train = np.arange(len(votes)) < sum(TRAIN)
    return table, train


def derive(rule, cohort, train=None):
    train = np.ones(len(cohort), dtype=bool) if train is None else train
    return derive_subclasses(rule, cohort, derive_consensus(cohort.counts), train)


def sizes(labels, rows):
    scheme = labels.scheme
    found = np.bincount(labels.subclass[rows], minlength=len(scheme.subclasses))
    return tuple(found[scheme.class_of == k].tolist() for k in range(len(scheme.classes)))


def conditional_entropy(parts):
    """H(S|C) = H(S) - H(C) in bits."""

    def entropy(counts):
        p = np.array(counts) / np.sum(counts)
        return -(p * np.log2(p)).sum()

    return entropy(np.concatenate(parts)) - entropy([sum(part) for part in parts])


@pytest.mark.parametrize("name", SCHEMES)
def test_mhist_subclasses_have_the_sizes_of_the_published_votes(name, mhist, make_cohort):
    levels, bits, of_train, of_test = SCHEMES[name]
    table, train = mhist
    labels = derive(AgreementLevels(levels=levels), make_cohort(table, ("HP", "SSA")), train)
    assert sizes(labels, train) == of_train
    assert sizes(labels, ~train) == of_test
    assert conditional_entropy(sizes(labels, train)) == pytest.approx(bits, abs=5e-5)
    assert labels.scheme.subclasses == tuple(f"{c}/{n}" for c in ("HP", "SSA") for n in levels)
    assert labels.scheme.level_of.tolist() == list(range(len(levels))) * 2
    assert labels.merges == ()


def test_vote_count_divides_mhist_as_agreement_does(mhist, make_cohort):
    table, train = mhist
    labels = derive(VoteCount(), make_cohort(table, ("HP", "SSA")), train)
    assert sizes(labels, train) == SCHEMES["7/7|6/7|5/7|4/7"][2]
    assert labels.scheme.subclasses[:4] == ("HP/7_votes", "HP/6_votes", "HP/5_votes", "HP/4_votes")
    assert labels.scheme.level_of.tolist() == [0, 1, 2, 3] * 2


def test_vote_counts_that_do_not_occur_are_left_out(make_cohort):
    table = [[0, 0, 0, 0], [0, -1, -1, -1], [1, 1, -1, -1]]
    labels = derive(VoteCount(), make_cohort(table, ("low", "high")))
    assert labels.scheme.subclasses == ("low/4_votes", "low/1_votes", "high/2_votes")
    assert labels.scheme.level_of.tolist() == [0, 3, 2]
    assert labels.level.tolist() == [0, 3, 2]


def test_without_subclasses_there_is_one_a_class(make_cohort):
    labels = derive(NoSubclasses(), make_cohort([[1, 1], [0, 1], [0, 0]], ("low", "high")))
    assert labels.scheme.subclasses == labels.scheme.classes == ("low", "high")
    assert labels.subclass.tolist() == [1, 1, 0]
    assert labels.level.tolist() == [0, 0, 0]


def test_a_threshold_lets_an_agreement_pass_that_equals_it_but_for_rounding(make_cohort):
    rule = AgreementLevels(levels={"easy": 0.6666666667, "hard": 0.5})
    labels = derive(rule, make_cohort([[0, 0, 1], [0, 1, -1], [1, 1, 0]], ("low", "high")))
    assert [labels.scheme.subclasses[s] for s in labels.subclass] == [
        "low/easy",
        "high/hard",
        "high/easy",
    ]


def test_an_agreement_below_the_last_threshold_tells_how_far_to_lower_it(make_cohort):
    rule = AgreementLevels(levels={"easy": 1.0, "hard": 0.6})
    cohort = make_cohort([[0, 0, 0], [0, 1, 2], [2, 1, 1], [1, 0, 2]], ("a", "b", "c"))
    with pytest.raises(CohortError) as caught:
        derive(rule, cohort)
    assert str(caught.value) == (
        "labels.subclasses.levels.hard: the agreement of 2 of 4 frames is below this last "
        "threshold '0.6'; lower it to 0.333 or less, or add a level"
    )
    lowered = AgreementLevels(levels={"easy": 1.0, "hard": 0.333})
    assert derive(lowered, cohort).level.tolist() == [0, 1, 1, 1]


def test_a_class_without_training_frames_is_refused(make_cohort):
    cohort = make_cohort([[0, 0], [1, 1], [2, 2]], ("a", "b", "c"))
    with pytest.raises(CohortError, match=r"no training frame has the consensus 'b'") as caught:
        derive(NoSubclasses(), cohort, np.array([True, False, False]))
    assert len(caught.value.faults) == 2


def test_quantiles_are_cut_on_training_frames_and_never_split_equal_values(make_cohort):
    unanimous, five, four = [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 1]
    table = [unanimous] * 5 + [five] * 2 + [four] * 3 + [[1] * 6, [1, 1, 1, 1, 1, 0]]
    train = np.arange(12) < 11
    labels = derive(AgreementLevels(quantiles=3), make_cohort(table, ("low", "high")), train)
    # Of 11 training frames 6 are unanimous: the first third swallows them all.
    assert labels.scheme.subclasses == ("low/q1", "low/q2", "low/q3", "high/q1")
    assert sizes(labels, train) == ([5, 2, 3], [1])
    assert labels.merges == ("high/q2 (0 training frames) merged into high/q1",)
    assert labels.level.tolist() == [0] * 5 + [1] * 2 + [2] * 3 + [0, 0]


def test_quantiles_of_a_cohort_that_always_agrees_are_one_level(make_cohort):
    labels = derive(AgreementLevels(quantiles=4), make_cohort([[0, 0], [1, 1]], ("low", "high")))
    assert labels.scheme.subclasses == ("low/q1", "high/q1")


@given(st.lists(st.integers(0, 12), min_size=4, max_size=60), st.integers(2, 6))
def test_quantiles_keep_the_order_of_agreement(make_cohort, votes, quantiles):
    table = (np.arange(12) < np.array([0, 12, *votes])[:, None]).astype(int)
    cohort = make_cohort(table, ("low", "high"))
    labels = derive(AgreementLevels(quantiles=quantiles), cohort)
    found = derive_consensus(cohort.counts)
    for k in range(2):
        here = found.consensus == k
        agreement, level = found.agreement[here], labels.level[here]
        later = level[:, None] > level
        assert (agreement[:, None] < agreement)[later].all()
    assert len(set(labels.level)) <= quantiles


FINE = ("hyperplastic", "adenoma", "carcinoma_in_situ", "carcinoma")
MERGED = {
    "classes": ("benign", "premalignant", "malignant"),
    "fine": FINE,
    "fine_class": [0, 1, 1, 2],
}


def test_known_subclasses_are_the_plurality_of_fine_votes_within_the_class(make_cohort):
    table = [[0, 0, 1], [1, 1, 2], [1, 2, 2], [1, 2, 0], [3, 3, 1], [0, 0, 0]]
    labels = derive(KnownColumn(), make_cohort(table, **MERGED))
    assert labels.scheme.subclasses == FINE
    assert labels.scheme.class_of.tolist() == [0, 1, 1, 2]
    assert labels.scheme.level_of.tolist() == [0, 0, 1, 0]
    # Frame 3 is a tie between two fine votes of one class: the later, of higher risk.
    assert labels.subclass.tolist() == [0, 1, 2, 2, 3, 0]
    assert labels.level.tolist() == [0, 0, 1, 1, 0, 0]


def test_a_known_subclass_that_nobody_voted_for_is_not_kept(make_cohort):
    labels = derive(KnownColumn(), make_cohort([[0, 0], [1, 1], [3, 3]], **MERGED))
    assert labels.scheme.subclasses == ("hyperplastic", "adenoma", "carcinoma")
    assert labels.merges == ()


LEVELS = {"very_easy": 1.0, "easy": 0.85, "hard": 0.7, "very_hard": 0.5}


def leveled(make_cohort, low, high):
    """Draw seven votes a frame with the given numbers of frames a level."""
    against = np.concatenate([np.repeat(np.arange(4), low), np.repeat([7, 6, 5, 4], high)])
    return make_cohort((np.arange(7) < against[:, None]).astype(int), ("low", "high"))


def test_small_subclasses_merge_with_the_next_easier_level_and_tell(make_cohort):
    rule = AgreementLevels(levels=LEVELS, min_size=5)
    labels = derive(rule, leveled(make_cohort, [9, 8, 6, 1], [9, 4, 3, 2]))
    assert sizes(labels, slice(None)) == ([9, 8, 7], [13, 5])
    assert labels.scheme.subclasses[-2:] == ("high/very_easy", "high/hard")
    assert labels.merges == (
        "low/very_hard (1 training frame) merged into low/hard",
        "high/very_hard (2 training frames) merged into high/hard",
        # hard now has 5 training frames, enough; easy has 4.
        "high/easy (4 training frames) merged into high/very_easy",
    )


def test_the_easiest_level_merges_into_the_next_harder_one(make_cohort):
    rule = AgreementLevels(levels=LEVELS, min_size=3)
    labels = derive(rule, leveled(make_cohort, [1, 8, 6, 4], [1, 0, 0, 1]))
    assert labels.scheme.subclasses == ("low/easy", "low/hard", "low/very_hard", "high/very_easy")
    assert labels.scheme.level_of.tolist() == [1, 2, 3, 0]
    assert labels.merges == (
        "low/very_easy (1 training frame) merged into low/easy",
        "high/very_hard (1 training frame) merged into high/very_easy",
    )


RULES = st.one_of(
    st.builds(NoSubclasses),
    st.builds(VoteCount, min_size=st.integers(1, 6)),
    st.builds(KnownColumn, min_size=st.integers(1, 6)),
    st.builds(AgreementLevels, levels=st.just(LEVELS | {"any": 0.0}), min_size=st.integers(1, 6)),
    st.builds(AgreementLevels, quantiles=st.integers(2, 5), min_size=st.integers(1, 6)),
)


@given(RULES, st.integers(0, 10**6))
def test_whatever_the_rule_the_scheme_fits_the_classes_and_no_subclass_is_small(
    make_cohort, rule, seed
):
    rng = np.random.default_rng(seed)
    table = rng.integers(-1, 4, (30, 5))
    table[:4] = np.arange(4)[:, None]
    cohort = make_cohort(table[(table >= 0).any(axis=1)], **MERGED)
    train = rng.random(len(cohort)) < 0.7
    train[:4] = True
    labels = derive(rule, cohort, train)
    scheme, consensus = labels.scheme, derive_consensus(cohort.counts).consensus
    np.testing.assert_array_equal(scheme.class_of[labels.subclass], consensus)
    np.testing.assert_array_equal(scheme.level_of[labels.subclass], labels.level)
    assert len(set(scheme.subclasses)) == len(scheme.subclasses)
    order = list(zip(scheme.class_of, scheme.level_of, strict=True))
    assert order == sorted(set(order))
    least = getattr(rule, "min_size", 1)
    for of_class in sizes(labels, train):
        assert len(of_class) == 1 or min(of_class) >= least


def test_frames_outside_training_change_no_quantile(make_cohort):
    low, high = [9, 8, 6, 4], [5, 5, 5, 5]
    cohort = leveled(make_cohort, low, high)
    alone = derive(AgreementLevels(quantiles=3), cohort)
    more = leveled(make_cohort, low, [5, 5, 5, 25])
    train = np.arange(len(more)) < len(cohort)
    both = derive(AgreementLevels(quantiles=3), more, train)
    np.testing.assert_array_equal(both.subclass[train], alone.subclass)
