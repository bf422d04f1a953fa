from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

import polypskd
from polypskd.config import (
    AgreementLevels,
    AnnotatorConfusion,
    KnownColumn,
    NoSubclasses,
    RandomSubclasses,
    VoteClusters,
    VoteCount,
    VotePattern,
    read_config,
)
from polypskd.errors import CohortError
from polypskd.labels.clusters import choose_number
from polypskd.labels.consensus import derive_consensus
from polypskd.labels.dawid_skene import estimate_dawid_skene
from polypskd.labels.derivation import derive_labels
from polypskd.labels.mixture import fit_vote_mixture, log_sum, measure_bic, score_clusters
from polypskd.labels.subclasses import derive_subclasses

CLASSES = ("hyperplastic", "serrated", "adenoma")
TEAM = tuple("abcdefg")


def derive(rule, cohort, train=None, **more):
    train = np.ones(len(cohort), dtype=bool) if train is None else train
    return derive_subclasses(rule, cohort, derive_consensus(cohort.counts), train, **more)


def names_of(labels):
    return [labels.scheme.subclasses[index] for index in labels.subclass]


def sizes(labels, rows):
    return np.bincount(labels.subclass[rows], minlength=len(labels.scheme.subclasses)).tolist()


def draw_table(seed, frames=200, annotators=7, classes=3):
    """Draw votes of a team that grows worse from the first annotator to the last."""
    rng = np.random.default_rng(seed)
    truth = np.r_[np.arange(classes), rng.integers(classes, size=frames - classes)]
    right = rng.random((frames, annotators)) < np.linspace(0.95, 0.45, annotators)
    return np.where(right, truth[:, None], rng.integers(classes, size=(frames, annotators)))


# --- vote_pattern


def test_the_dissenters_class_divides_the_consensus_class(make_cohort):
    table = [
        [2, 2, 2, 2, 2],  # unanimous
        [2, 2, 2, 2, 1],  # 0.8
        [2, 2, 2, 0, 0],  # 0.6
        [2, 2, 2, 0, 1],  # a tie of dissenters: the higher risk
        [1, 1, 1, 2, 2],
        [0, 0, 0, 0, 0],
        [1, 1, 1, 1, 0],
    ]
    labels = derive(VotePattern(), make_cohort(table, CLASSES))
    assert names_of(labels) == [
        "adenoma/unanimous",
        "adenoma/vs_serrated",
        "adenoma/vs_hyperplastic",
        "adenoma/vs_serrated",
        "serrated/vs_adenoma",
        "hyperplastic/unanimous",
        "serrated/vs_hyperplastic",
    ]
    # Easiest first within the class: agreement 0.8 of one, 0.6 of the other; 1, 0.7, 0.6.
    assert labels.scheme.subclasses == (
        "hyperplastic/unanimous",
        "serrated/vs_hyperplastic",
        "serrated/vs_adenoma",
        "adenoma/unanimous",
        "adenoma/vs_serrated",
        "adenoma/vs_hyperplastic",
    )
    assert labels.scheme.level_of.tolist() == [0, 0, 1, 0, 1, 2]


def test_a_pattern_is_divided_further_by_agreement_where_asked_for(make_cohort):
    table = [[2] * 5, [2] * 4 + [1], [2] * 3 + [1] * 2, [2] * 3 + [0] * 2, [0] * 5, [1] * 5]
    rule = VotePattern(levels={"easy": 0.8, "hard": 0.3})
    labels = derive(rule, make_cohort(table, CLASSES))
    assert names_of(labels)[:4] == [
        "adenoma/unanimous",
        "adenoma/vs_serrated/easy",
        "adenoma/vs_serrated/hard",
        "adenoma/vs_hyperplastic/hard",
    ]
    with pytest.raises(CohortError, match=r"^labels\.subclasses\.levels\.hard: the agreement of 2"):
        derive(VotePattern(levels={"hard": 0.7}), make_cohort(table, CLASSES))


def test_with_two_classes_a_pattern_says_only_whether_anybody_dissents(make_cohort):
    labels = derive(VotePattern(), make_cohort([[0, 0, 0], [0, 0, 1], [1, 1, 0]], ("low", "high")))
    assert names_of(labels) == ["low/unanimous", "low/vs_high", "high/vs_low"]


def test_patterns_are_ordered_by_training_frames_alone(make_cohort):
    table = [[2] * 4 + [1], [2] * 3 + [0] * 2, [0] * 5, [1] * 5] + [[2] * 4 + [0]] * 9
    train = np.arange(len(table)) < 4
    labels = derive(VotePattern(), make_cohort(table, CLASSES), train)
    assert labels.scheme.subclasses[-2:] == ("adenoma/vs_serrated", "adenoma/vs_hyperplastic")


# --- vote_clusters


def draw_clusters(seed, frames, votes=40):
    """Draw class 2 from two populations of equal agreement and class 0 from one."""
    rng = np.random.default_rng(seed)
    chance = np.array([[0.0, 0.2, 0.8], [0.2, 0.0, 0.8], [0.9, 0.05, 0.05], [0.1, 0.8, 0.1]])
    source = rng.integers(4, size=frames)
    table = (rng.random((frames, votes, 1)) > np.cumsum(chance, axis=1)[source][:, None]).sum(2)
    return source, table


def test_clusters_find_populations_that_agreement_cannot_tell_apart(make_cohort):
    source, table = draw_clusters(1, 600)
    cohort = make_cohort(table, CLASSES)
    labels = derive(VoteClusters(clusters=2), cohort)
    found, consensus = labels.subclass, derive_consensus(cohort.counts)
    here = (consensus.consensus == 2) & (source < 2)
    own = found[here] == found[here][source[here] == 0][0]
    assert (own == (source[here] == 0)).mean() > 0.98
    agreement = consensus.agreement[here]
    assert abs(agreement[own].mean() - agreement[~own].mean()) < 0.02


def test_the_number_of_clusters_is_chosen_on_validation_frames(make_cohort):
    _, table = draw_clusters(2, 1500)
    train = np.arange(1500) < 800
    labels = derive(VoteClusters(), make_cohort(table, CLASSES), train, val=~train)
    assert np.bincount(labels.scheme.class_of).tolist() == [1, 1, 2]


def test_validation_frames_of_the_mean_distribution_speak_against_clusters(make_cohort):
    _, table = draw_clusters(2, 800)
    mean = [0] * 4 + [1] * 4 + [2] * 32
    train = np.arange(900) < 800
    cohort = make_cohort(np.vstack([table, [mean] * 100]), CLASSES)
    with pytest.raises(CohortError, match="every class is left whole"):
        derive(VoteClusters(), cohort, train, val=~train)
    assert len(derive(VoteClusters(), cohort, train).scheme.subclasses) == 4


def test_a_larger_mixture_must_gain_more_than_one_standard_error():
    one, noise = np.random.default_rng(0).normal(size=(2, 400))
    noise = (noise - noise.mean()) / noise.std(ddof=1)  # standard error of the mean 1/20
    for gain, chosen in ((0.04, 0), (0.06, 1), (-0.01, 0)):
        assert choose_number(np.stack([one, one + noise + gain], axis=1)) == chosen
    assert choose_number(np.stack([one - 1, one, one], axis=1)) == 1


def test_without_validation_frames_the_number_is_chosen_by_bic(make_cohort):
    _, table = draw_clusters(3, 1500)
    cohort = make_cohort(table, CLASSES)
    labels = derive(VoteClusters(), cohort)
    assert np.bincount(labels.scheme.class_of).tolist() == [1, 1, 2]
    counts = cohort.counts[derive_consensus(cohort.counts).consensus == 2]
    bic = [measure_bic(fit_vote_mixture(counts, n, seed=0), len(counts)) for n in range(1, 6)]
    assert int(np.argmin(bic)) == 1


def test_clusters_stand_in_the_order_of_their_agreement(make_cohort):
    cohort = make_cohort(draw_table(4), CLASSES)
    labels = derive(VoteClusters(clusters=3, min_size=3), cohort)
    agreement = derive_consensus(cohort.counts).agreement
    for index, name in enumerate(CLASSES):
        own = np.flatnonzero(labels.scheme.class_of == index)
        means = [agreement[labels.subclass == s].mean() for s in own]
        assert means == sorted(means, reverse=True)
        assert all(labels.scheme.subclasses[s].startswith(f"{name}/cluster_") for s in own)


def test_clusters_see_the_fine_votes_where_votes_were_merged(make_cohort):
    table = [[1] * 9 + [0]] * 20 + [[2] * 9 + [0]] * 20 + [[0] * 10] * 20
    fine = {"fine": ("benign", "adenoma", "carcinoma"), "fine_class": [0, 1, 1]}
    labels = derive(VoteClusters(clusters=2), make_cohort(table, ("low", "high"), **fine))
    assert len({*labels.subclass[:20]}) == len({*labels.subclass[20:40]}) == 1
    assert labels.subclass[0] != labels.subclass[20]


def test_no_more_clusters_are_made_than_there_are_different_votes(make_cohort):
    table = [[0] * 9] * 5 + [[1] * 9] * 5 + [[1] * 5 + [0] * 4] * 5
    labels = derive(VoteClusters(clusters=10), make_cohort(table, ("low", "high")))
    assert np.bincount(labels.scheme.class_of).tolist() == [1, 2]


def test_votes_as_alike_as_those_of_one_distribution_are_not_clustered(make_cohort):
    # 0 and 1 dissenters of 3, half and half, vary less than draws from one distribution do.
    table = [[0, 0, 0]] * 5 + [[0, 0, 1]] * 5 + [[1, 1, 1]] * 5
    with pytest.raises(CohortError, match="the votes of a class look drawn from one distribution"):
        derive(VoteClusters(clusters=2), make_cohort(table, ("low", "high")))


def test_the_likelihood_of_a_mixture_is_that_of_scipy():
    counts = np.random.default_rng(5).multinomial(12, [0.2, 0.3, 0.5], size=50)
    mixture = fit_vote_mixture(counts, 3, seed=0)
    each = np.stack(
        [
            np.log(share) + stats.multinomial.logpmf(counts, 12, chance / chance.sum())
            for share, chance in zip(mixture.share, mixture.chance, strict=True)
        ],
        axis=1,
    )
    constant = stats.multinomial.logpmf(counts, 12, [1 / 3] * 3) + 12 * np.log(3)
    np.testing.assert_allclose(score_clusters(mixture, counts), each - constant[:, None], atol=1e-9)
    total = np.logaddexp.reduce(each, axis=1) - constant
    np.testing.assert_allclose(log_sum(score_clusters(mixture, counts)), total, atol=1e-9)
    assert mixture.log_likelihood == pytest.approx(total.sum(), abs=1e-6)


def test_a_mixture_recovers_what_the_votes_were_drawn_from():
    rng = np.random.default_rng(6)
    share, chance = [0.3, 0.7], np.array([[0.7, 0.2, 0.1], [0.2, 0.2, 0.6]])
    source = rng.choice(2, 5000, p=share)
    counts = np.stack([rng.multinomial(15, chance[s]) for s in source])
    found = fit_vote_mixture(counts, 2, seed=1)
    order = np.argsort(-found.chance[:, 0])
    np.testing.assert_allclose(found.share[order], share, atol=0.02)
    np.testing.assert_allclose(found.chance[order], chance, atol=0.02)
    assert found.share.sum() == pytest.approx(1)
    np.testing.assert_allclose(found.chance.sum(axis=1), 1)
    one = fit_vote_mixture(counts, 1, seed=1)
    np.testing.assert_allclose(one.chance[0], counts.sum(0) / counts.sum(), atol=1e-4)
    assert found.log_likelihood > one.log_likelihood + 1000


# --- annotator_confusion


def test_the_axis_is_the_posterior_of_the_consensus(make_cohort):
    table = draw_table(7)
    cohort = make_cohort(table, CLASSES, annotators=TEAM)
    consensus = derive_consensus(cohort.counts).consensus
    rule = AnnotatorConfusion(levels={"sure": 0.99, "likely": 0.6, "doubtful": 0.0})
    labels = derive(rule, cohort)
    found = estimate_dawid_skene(
        cohort.vote_frame,
        cohort.vote_annotator,
        cohort.vote_fine,
        frames=len(table),
        annotators=7,
        classes=3,
    )
    posterior = found.posterior[np.arange(len(table)), consensus]
    expected = np.where(posterior >= 0.99, "sure", np.where(posterior >= 0.6, "likely", "doubtful"))
    assert [name.partition("/")[2] for name in names_of(labels)] == expected.tolist()


def test_dissent_of_the_experts_is_harder_than_as_much_dissent_of_beginners(make_cohort):
    table = draw_table(8, frames=600)
    # Two frames of the same agreement: 5 of 7; the best two or the worst two dissent.
    table[-2], table[-1] = [0, 0, 2, 2, 2, 2, 2], [2, 2, 2, 2, 2, 0, 0]
    cohort = make_cohort(table, CLASSES, annotators=TEAM)
    level = derive(AnnotatorConfusion(quantiles=5), cohort).level
    assert level[-2] > level[-1]
    assert len(set(derive(AgreementLevels(quantiles=5), cohort).level[-2:])) == 1


def test_quantiles_of_the_posterior_are_about_equal_though_it_is_close_to_one(make_cohort):
    cohort = make_cohort(draw_table(9, frames=900), CLASSES, annotators=TEAM)
    labels = derive(AnnotatorConfusion(quantiles=3), cohort)
    by_level = np.bincount(labels.level)
    assert len(by_level) == 3
    assert by_level.min() > 250


def test_an_annotator_without_training_votes_counts_as_the_others_do(make_cohort):
    table = draw_table(10, frames=400)
    table[:300, 6] = -1
    table[300:] = -1
    table[300:, 6] = np.arange(100) % 3
    train = np.arange(400) < 300
    cohort = make_cohort(table, CLASSES, annotators=TEAM)
    rule = AnnotatorConfusion(levels={"sure": 0.999, "likely": 0.5, "doubtful": 0.0})
    found = names_of(derive(rule, cohort, train))[300:]
    # One vote of an average annotator: neither nothing (the prior, about 1/3) nor certainty.
    assert {name.partition("/")[2] for name in found} == {"likely"}


def test_counts_without_annotators_are_refused(make_cohort):
    with pytest.raises(CohortError) as caught:
        derive(AnnotatorConfusion(quantiles=2), make_cohort(draw_table(11), CLASSES))
    assert str(caught.value) == (
        "labels.subclasses.kind: annotators are not told apart, which is needed by "
        "'annotator_confusion'; give one vote a row or a column an annotator (cohort.votes kind "
        "long or wide), or set the kind to agreement_levels"
    )


# --- random


def test_random_subclasses_have_the_same_sizes_in_every_part_of_the_split(make_cohort):
    cohort = make_cohort(draw_table(12), CLASSES)
    part = np.random.default_rng(0).integers(3, size=len(cohort))
    train, val = part == 0, part == 1
    train[:3] = True
    val &= ~train
    of = AgreementLevels(quantiles=3)
    real = derive(of, cohort, train)
    random = derive(RandomSubclasses(of=of), cohort, train, val=val, seed=5)
    consensus = derive_consensus(cohort.counts)
    np.testing.assert_array_equal(random.scheme.class_of[random.subclass], consensus.consensus)
    np.testing.assert_array_equal(random.scheme.level_of[random.subclass], random.level)
    for rows in (train, val, ~train & ~val):
        assert sizes(random, rows) == sizes(real, rows)
    assert (random.subclass != real.subclass).mean() > 0.3
    assert random.scheme.level_of.tolist() == real.scheme.level_of.tolist()
    assert random.scheme.subclasses == tuple(
        f"{name}/random_{place + 1}"
        for index, name in enumerate(CLASSES)
        for place in range(np.count_nonzero(real.scheme.class_of == index))
    )


def test_random_subclasses_say_nothing_about_agreement(make_cohort):
    cohort = make_cohort(draw_table(13, frames=3000), CLASSES)
    of = AgreementLevels(quantiles=2)
    agreement = derive_consensus(cohort.counts).agreement
    real, random = derive(of, cohort), derive(RandomSubclasses(of=of), cohort, seed=1)
    assert stats.spearmanr(real.level, agreement).statistic < -0.7
    within = [
        stats.mannwhitneyu(agreement[random.subclass == s], agreement[random.subclass == s + 1])
        for s in range(0, 6, 2)
    ]
    assert all(test.pvalue > 0.01 for test in within)


def test_the_seed_and_nothing_else_decides_the_shuffling(make_cohort):
    table = draw_table(14)
    of = RandomSubclasses(of=VoteCount())
    train = np.arange(len(table)) < 150
    first = derive(of, make_cohort(table, CLASSES), train, seed=3)
    again = derive(of, make_cohort(table, CLASSES), train, val=~train, seed=3)
    np.testing.assert_array_equal(first.subclass[train], again.subclass[train])
    other = derive(of, make_cohort(table, CLASSES), train, seed=4)
    assert (first.subclass != other.subclass).any()


def test_the_control_has_the_split_of_the_rule_that_it_controls(make_cohort):
    cohort = make_cohort(draw_table(15, classes=2), ("hyperplastic", "adenoma"))
    demo = Path(polypskd.__file__).with_name("demo.yaml")
    of = "{kind: agreement_levels, quantiles: 3}"
    real, random = (
        derive_labels(
            cohort, read_config(demo, (f"labels.subclasses={rule}", "labels.resamples=0"))
        )
        for rule in (of, f"{{kind: random, of: {of}}}")
    )
    np.testing.assert_array_equal(random[0].split, real[0].split)
    np.testing.assert_array_equal(random[0].consensus, real[0].consensus)
    assert (random[0].level != real[0].level).any()
    parts = [
        [(row["level"], row["size"]) for row in found[1]["subclasses"]] for found in (real, random)
    ]
    assert parts[0] == parts[1]


def test_any_rule_that_divides_may_be_shuffled_and_no_other():
    nested = {"kind": "random", "of": {"kind": "vote_clusters", "clusters": 3}}
    assert RandomSubclasses.model_validate(nested).of == VoteClusters(clusters=3)
    with pytest.raises(ValidationError, match="none has nothing to shuffle"):
        RandomSubclasses(of=NoSubclasses())
    with pytest.raises(ValidationError, match="random"):
        RandomSubclasses.model_validate({"kind": "random", "of": nested})


# --- all of them

RULES = {
    "vote_pattern": VotePattern(),
    "vote_clusters": VoteClusters(clusters=2),
    "annotator_confusion": AnnotatorConfusion(quantiles=2),
}


@pytest.mark.parametrize("kind", RULES)
def test_frames_of_one_vote_each_are_refused_with_the_remedy(kind, make_cohort):
    cohort = make_cohort([[0], [1], [0], [1]], ("low", "high"), annotators=("a",))
    for rule in (RULES[kind], RandomSubclasses(of=RULES[kind])):
        with pytest.raises(CohortError) as caught:
            derive(rule, cohort)
        assert str(caught.value) == (
            f"labels.subclasses.kind: no frame has two votes, which is needed by '{kind}'; give "
            "the votes of several annotators, or set the kind to known or none"
        )


@pytest.mark.parametrize("kind", RULES)
def test_a_rule_that_leaves_every_class_whole_is_refused(kind, make_cohort):
    table = [[0, 0, 0]] * 4 + [[1, 1, 1]] * 4
    cohort = make_cohort(table, ("low", "high"), annotators=("a", "b", "c"))
    with pytest.raises(CohortError, match=rf"every class is left whole by '{kind}'; .*none$"):
        derive(RULES[kind], cohort)


def test_a_control_of_whole_classes_is_refused(make_cohort):
    cohort = make_cohort([[0, 0], [1, 1]], ("low", "high"))
    with pytest.raises(CohortError, match=r"whole by 'random'; give a rule in `of` that divides"):
        derive(RandomSubclasses(of=KnownColumn()), cohort)


def test_when_all_merged_for_lack_of_frames_min_size_is_the_remedy(make_cohort):
    cohort = make_cohort([[0, 0, 0], [0, 0, 1], [1, 1, 1], [1, 1, 0]], ("low", "high"))
    with pytest.raises(CohortError, match=r"lower min_size or give more training frames"):
        derive(VotePattern(min_size=2), cohort)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (VotePattern, {"levels": {"a": 0.5, "b": 0.7}}, "thresholds must fall"),
        (VotePattern, {"levels": {}}, "thresholds must fall"),
        (AnnotatorConfusion, {}, "exactly one of: levels, quantiles"),
        (AnnotatorConfusion, {"levels": {"a": 0.5}, "quantiles": 2}, "exactly one of"),
        (VoteClusters, {"clusters": 1}, "greater than or equal to 2"),
        (VoteClusters, {"most": 11}, "less than or equal to 10"),
    ],
)
def test_sections_refuse_what_makes_no_sense(section, values, message):
    with pytest.raises(ValidationError, match=message):
        section(**values)


NEW = st.one_of(
    st.builds(VotePattern, min_size=st.integers(1, 6)),
    st.builds(VotePattern, levels=st.just({"easy": 0.7, "hard": 0.0}), min_size=st.integers(1, 6)),
    st.builds(VoteClusters, clusters=st.integers(2, 4), min_size=st.integers(1, 6)),
    st.builds(VoteClusters, most=st.integers(2, 3)),
    st.builds(AnnotatorConfusion, quantiles=st.integers(2, 5), min_size=st.integers(1, 6)),
)


@given(NEW, st.booleans(), st.integers(0, 10**6))
def test_the_scheme_fits_and_frames_outside_training_change_no_training_frame(
    make_cohort, rule, shuffled, seed
):
    rng = np.random.default_rng(seed)
    table = rng.integers(-1, 3, (40, 5))
    table[:3] = np.arange(3)[:, None]
    table[3:6] = np.arange(3)[:, None]
    table[3:6, 0] = [1, 2, 0]
    table[~(table >= 0).any(axis=1)] = 0
    train = np.arange(40) < 28
    rule = RandomSubclasses(of=rule) if shuffled else rule
    cohort = make_cohort(table, CLASSES, annotators=TEAM[:5])
    try:
        labels = derive(rule, cohort, train, seed=seed)
    except CohortError as error:
        assert "left whole" in str(error)  # noqa: PT017
        return
    scheme, consensus = labels.scheme, derive_consensus(cohort.counts).consensus
    np.testing.assert_array_equal(scheme.class_of[labels.subclass], consensus)
    np.testing.assert_array_equal(scheme.level_of[labels.subclass], labels.level)
    order = list(zip(scheme.class_of, scheme.level_of, strict=True))
    assert order == sorted(set(order))
    assert len(set(scheme.subclasses)) == len(scheme.subclasses)
    least = getattr(rule.of if shuffled else rule, "min_size", 1)
    for index in range(3):
        of_class = np.array(sizes(labels, train))[scheme.class_of == index]
        assert len(of_class) == 1 or of_class.min() >= least
    fewer = derive(
        rule, make_cohort(table[:28], CLASSES, annotators=TEAM[:5]), train[:28], seed=seed
    )
    assert names_of(fewer) == names_of(labels)[:28]
