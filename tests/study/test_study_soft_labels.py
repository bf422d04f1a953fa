import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import rel_entr, softmax
from scipy.stats import entropy

from polypskd.metrics.resampling import patient_weights
from polypskd.study.data import NotAssessableError
from polypskd.study.soft_labels import describe_soft_labels


@pytest.fixture(scope="module")
def data(make_data):
    return make_data(300, sharpness=3)


@pytest.fixture(scope="module")
def found(data):
    return describe_soft_labels(data)


def plain_scores(data, temperature, rows=slice(None)):
    """Every score frame by frame."""
    p = softmax(data.test.student / temperature, axis=1)[rows]
    q = (data.test.counts / data.test.counts.sum(axis=1, keepdims=True))[rows]
    return {
        "cross_entropy": -(q * np.log(p)).sum(axis=1),
        "kl": rel_entr(q, p).sum(axis=1),
        "brier": ((p - q) ** 2).sum(axis=1),
        "total_variation": np.abs(p - q).sum(axis=1) / 2,
    }


def test_scores_and_their_intervals_are_those_of_plain_sums(data, found):
    index = np.unique(data.test.patients, return_inverse=True)[1]
    draws = patient_weights(data.test.patients, 200, data.seed)[:, index].astype(float)
    for when, temperature in (("before", 1.0), ("after", data.test.temperature)):
        for name, values in plain_scores(data, temperature).items():
            bounds = np.quantile(draws @ values / draws.sum(axis=1), [0.025, 0.975])
            told = found[when][name]
            assert told["value"] == pytest.approx(values.mean()), name
            assert (told["low"], told["high"]) == pytest.approx(tuple(bounds)), name
    assert found["after"]["kl"]["value"] < found["before"]["kl"]["value"]


def test_the_error_of_the_top_label_is_against_the_share_of_votes_for_it(data, found):
    p = softmax(data.test.student, axis=1)
    rows, top = np.arange(300), p.argmax(axis=1)
    shares = data.test.counts[rows, top] / data.test.counts.sum(axis=1)
    bins = np.ceil(p[rows, top] * 10)
    gaps = [(p[rows, top] - shares)[bins == b].sum() for b in np.unique(bins)]
    assert found["before"]["ece"]["value"] == pytest.approx(np.abs(gaps).sum() / 300)


def test_what_the_votes_allow_is_told(data, found):
    q = data.test.counts / 5
    assert found["entropy"] == pytest.approx(entropy(q, axis=1).mean())
    assert found["vote_noise"] == pytest.approx((q * (1 - q)).sum(axis=1).mean() / 4)
    assert found["unanimous"] == pytest.approx((q == 1).any(axis=1).mean())
    assert found["votes_per_frame"] == {"min": 5, "mean": 5.0, "max": 5}
    least = found["before"]["cross_entropy"]["value"] - found["before"]["kl"]["value"]
    assert least == pytest.approx(found["entropy"])


def test_levels_are_scored_on_their_own_frames(data, found):
    assert list(found["levels"]) == ["easy", "hard"]
    for level, told in found["levels"].items():
        here = data.test.levels == level
        assert told["n_frames"] == told["before"]["n_frames"] == here.sum()
        for name, values in plain_scores(data, 1.0, here).items():
            assert told["before"][name]["value"] == pytest.approx(values.mean())


def test_frames_of_one_vote_are_left_out_and_counted(data):
    counts = data.test.counts.copy()
    counts[:50] = np.eye(3, dtype=int)[data.test.labels[:50]]
    counts[50:60] = 0
    found = describe_soft_labels(replace(data, test=replace(data.test, counts=counts)))
    assert found["left_out"] == 60
    assert found["before"]["n_frames"] == 240
    for name, values in plain_scores(data, 1.0, slice(60, None)).items():
        assert found["before"][name]["value"] == pytest.approx(values.mean())


def test_one_vote_a_frame_is_a_reason(make_data):
    with pytest.raises(NotAssessableError, match="no test frame has two votes"):
        describe_soft_labels(make_data(60, votes=0))


def test_no_frames_are_a_reason(make_data):
    with pytest.raises(NotAssessableError, match="no test frame has two votes"):
        describe_soft_labels(make_data(0))


def test_a_level_of_few_frames_has_no_numbers_but_a_reason(make_data):
    told = describe_soft_labels(make_data(90, least_frames=80))["levels"]["easy"]
    assert set(told) == {"n_frames", "n_patients", "not_assessable"}


def test_without_validation_there_is_no_after(make_data):
    found = describe_soft_labels(make_data(90, validation=0))
    assert "after" not in found
    assert set(found["levels"]["easy"]) == {"n_frames", "n_patients", "before"}


@pytest.mark.parametrize("frames", [1, 3])
def test_a_handful_of_frames_gives_plain_values_without_names(make_data, frames):
    told = json.dumps(describe_soft_labels(make_data(frames, patients=2)), allow_nan=False)
    assert "annotator" not in told
    assert "patient 0" not in told
