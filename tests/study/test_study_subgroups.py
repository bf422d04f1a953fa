import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from polypskd.metrics.calibration import ece
from polypskd.study import subgroups
from polypskd.study.columns import OTHER_LEVEL
from polypskd.study.data import NotAssessableError
from polypskd.study.subgroups import LEVEL, describe_subgroups

SIZE = {"size": {"column": "mm", "edges": [6, 10]}, "mode": {"column": "mode"}}


@pytest.fixture(scope="module")
def data(make_data):
    generator = np.random.default_rng(3)
    n = 600
    columns = {
        "mm": np.where(generator.random(n) < 0.1, "", generator.integers(1, 20, n).astype(str)),
        "mode": generator.choice(["NBI", "WLE"], n),
    }
    return make_data(n, columns=columns, patients=80, subgroups=SIZE)


@pytest.fixture(scope="module")
def found(data):
    return describe_subgroups(data)


def by_name(found, column):
    return {level["name"]: level for level in found["columns"][column]["levels"]}


def test_each_level_has_the_values_that_scikit_learn_gives(data, found):
    test = data.test
    members = {
        ("mode", "NBI"): test.columns["mode"] == "NBI",
        ("size", "≥ 10"): np.array([w != "" and float(w) >= 10 for w in test.columns["mm"]]),
        ("size", "unknown"): test.columns["mm"] == "",
        (LEVEL, "hard"): test.levels == "hard",
    }
    for (column, level), here in members.items():
        one = by_name(found, column)[level]
        y, p = test.labels[here], test.predicted[here]
        Y, P = data.positive[y], data.positive[p]
        expected = {
            "sensitivity": recall_score(Y, P),
            "specificity": recall_score(~Y, ~P),
            "f1": f1_score(Y, P),
            "accuracy": accuracy_score(y, p),
            "macro_f1": f1_score(y, p, average="macro"),
            "ece": ece(test.calibrated[here], y, data.bins),
            "ece_uncalibrated": ece(test.probabilities[here], y, data.bins),
        }
        assert one["n_frames"] == here.sum()
        assert one["n_patients"] == len(np.unique(test.patients[here]))
        assert set(expected) == set(one["metrics"]) == set(found["metrics"])
        for name, value in expected.items():
            interval = one["metrics"][name]["value"]
            assert interval["value"] == pytest.approx(value, abs=1e-12)
            assert interval["low"] <= interval["value"] <= interval["high"]


def test_the_interval_is_that_of_a_loop_over_resampled_patients(data, found):
    here = data.test.columns["mode"] == "NBI"
    right = (data.test.labels == data.test.predicted)[here]
    owner = data.sample.index[here]
    drawn = [(right * w[owner]).sum() / w[owner].sum() for w in data.sample.weights.astype(float)]
    interval = by_name(found, "mode")["NBI"]["metrics"]["accuracy"]["value"]
    assert [interval["low"], interval["high"]] == pytest.approx(np.quantile(drawn, [0.025, 0.975]))


def test_all_frames_together_are_judged_too(data, found):
    test = data.test
    assert found["overall"]["accuracy"]["value"] == np.mean(test.labels == test.predicted)
    assert found["overall"]["ece"]["value"] == pytest.approx(
        ece(test.calibrated, test.labels, data.bins)
    )


def test_bands_stand_in_their_order_with_unknown_last(found):
    assert list(by_name(found, "size")) == ["< 6", "6 to < 10", "≥ 10", "unknown"]


def test_levels_of_difficulty_stand_in_the_order_of_the_scheme(data):
    turned = describe_subgroups(replace(data, level_order=("hard", "easy")))
    assert list(by_name(turned, LEVEL)) == ["hard", "easy"]


def test_small_levels_are_kept_back_by_the_rules_of_the_settings(make_data):
    def mode(part):
        rare = np.isin(part.patients, np.unique(part.patients)[:2])
        return np.where(rare, "rare", np.where(np.arange(len(part)) % 2, "one", "two"))

    section = {"mode": {"column": "mode"}}
    hidden = by_name(
        describe_subgroups(make_data(columns={"mode": mode}, subgroups=section)), "mode"
    )
    joined = hidden[OTHER_LEVEL]
    assert joined["status"] == "suppressed"
    assert joined["n_frames"] is None is joined["n_patients"]
    assert not joined["metrics"]
    # No rare word is told, and no second one that would give its numbers away.
    assert len(hidden) == 2
    assert "rare" not in hidden
    told = make_data(columns={"mode": mode}, subgroups=section, hidden_patients=1)
    assert by_name(describe_subgroups(told), "mode")["rare"]["status"] == "too few"
    rules = {"hidden_patients": 1, "least_patients": 2, "least_frames": 1}
    shown = make_data(columns={"mode": mode}, subgroups=section, **rules)
    assert by_name(describe_subgroups(shown), "mode")["rare"]["status"] == "shown"


def test_a_column_that_is_not_there_is_told_and_the_others_are_judged(make_data):
    found = describe_subgroups(make_data(subgroups={"site": {"column": "site"}}))
    assert found["columns"]["site"] == {"not_assessable": "the cohort has no column 'site'"}
    assert "levels" in found["columns"][LEVEL]


def test_levels_that_are_the_classes_are_no_subgroups(make_data):
    data = make_data()
    names = np.array(data.classes)[data.test.labels]
    found = describe_subgroups(replace(data, test=replace(data.test, levels=names)))
    assert found["columns"] == {}


def test_no_frames_no_subgroups(make_data):
    with pytest.raises(NotAssessableError):
        describe_subgroups(make_data(0))


def test_the_same_data_give_the_same_bytes_and_no_nan(data, found):
    text = json.dumps(found, allow_nan=False)
    assert text == json.dumps(describe_subgroups(data), allow_nan=False)
    assert not any(patient in text for patient in np.unique(data.test.patients))


def test_levels_judged_some_at_a_time_have_the_same_errors(data, found, monkeypatch):
    monkeypatch.setattr(subgroups, "CELLS", 1)
    again = describe_subgroups(data)
    for column, told in found["columns"].items():
        for one, other in zip(told["levels"], again["columns"][column]["levels"], strict=True):
            for name in ("ece", "ece_uncalibrated"):
                values = one["metrics"][name]["value"]
                assert other["metrics"][name]["value"] == pytest.approx(values, abs=1e-12)


def test_known_subclasses_lie_in_one_class_each_and_are_not_compared(make_data):
    data = make_data(
        columns={"mode": lambda part: np.resize(["NBI", "WLE"], len(part))},
        subgroups={"mode": {"column": "mode"}},
    )
    known = describe_subgroups(replace(data, level_word="subclass"))["columns"]
    assert list(known) == ["subclass", "mode"]
    assert "each lies in one class" in known["subclass"]["not_assessable"]
    # A test that is true by construction is none of the family that p is adjusted for.
    pooled = describe_subgroups(data)["columns"]
    assert list(pooled) == [LEVEL, "mode"]
    alone = [level["metrics"]["sensitivity"]["p_adjusted"] for level in known["mode"]["levels"]]
    among = [level["metrics"]["sensitivity"]["p_adjusted"] for level in pooled["mode"]["levels"]]
    assert all(a <= b for a, b in zip(alone, among, strict=True))
