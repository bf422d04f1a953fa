"""Sections that carry a threshold: predictive values, operating points, decisions, unsure calls."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import auc, confusion_matrix, roc_curve

from polypskd.study.conformal import describe_conformal
from polypskd.study.data import NotAssessableError
from polypskd.study.decisions import describe_decisions
from polypskd.study.operating_points import describe_operating_points
from polypskd.study.predictive_values import describe_predictive_values
from polypskd.study.selective import describe_selective

CHOOSING = (describe_operating_points, describe_selective, describe_conformal)
ALL = (*CHOOSING, describe_predictive_values, describe_decisions)


def turn(data):
    """Give every test frame another label, and the answers of another."""
    test = replace(
        data.test, labels=(data.test.labels + 1) % 3, student=data.test.student[::-1].copy()
    )
    return replace(data, test=test)


@pytest.mark.parametrize("describe", ALL)
def test_a_section_is_plain_json_and_names_no_patient_or_frame(make_data, describe):
    text = json.dumps(describe(make_data()), allow_nan=False)
    assert "patient 0" not in text
    assert "test-0" not in text


@pytest.mark.parametrize("describe", CHOOSING)
def test_nothing_is_chosen_without_validation_frames(make_data, describe):
    with pytest.raises(NotAssessableError, match="the validation split has no frames, on which"):
        describe(make_data(validation=0))


@pytest.mark.parametrize("describe", ALL)
def test_an_empty_test_split_is_not_assessable(make_data, describe):
    with pytest.raises(NotAssessableError, match="the test split has no frames"):
        describe(make_data(n=0, validation=50))


@pytest.mark.parametrize("describe", ALL)
def test_lesions_are_judged_where_they_are_told(make_data, describe):
    def name(part):
        return np.array([f"{p}/{y}" for p, y in zip(part.patients, part.labels, strict=True)])

    data = make_data(columns={"lesion": name}, polyps={"lesion": "lesion"})
    section = describe(data)
    assert (section["unit"], section["n"]) == ("lesions", len(set(name(data.test).tolist())))


def test_predictive_values_follow_bayes_rule(make_data):
    band = {"kind": "band", "negative_to": 0.3, "positive_from": 0.7}
    data = make_data(confidence=band, prevalences=(0.1, 0.4))
    section = describe_predictive_values(data)
    risk, outcome = data.test.risk, data.test.outcome
    for name, kept in (("all", risk >= 0), ("high_confidence", (risk <= 0.3) | (risk >= 0.7))):
        tn, fp, fn, tp = confusion_matrix(outcome[kept], risk[kept] >= 0.5).ravel()
        told = section[name]["table"]
        assert [told[key] for key in ("tn", "fp", "fn", "tp")] == [tn, fp, fn, tp]
        sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
        for row, at in zip(section[name]["stated"], (0.1, 0.4), strict=True):
            assert row["prevalence"] == at
            ppv = sensitivity * at / (sensitivity * at + (1 - specificity) * (1 - at))
            npv = specificity * (1 - at) / (specificity * (1 - at) + (1 - sensitivity) * at)
            assert row["ppv"]["value"] == pytest.approx(ppv, abs=1e-12)
            assert row["npv"]["value"] == pytest.approx(npv, abs=1e-12)
            by_patient = row["npv_by_patient"]
            assert by_patient["low"] < npv < by_patient["high"]
    assert section["prevalence"] == outcome.mean()


def test_at_its_own_prevalence_a_sample_has_its_own_predictive_values(make_data):
    first = make_data()
    own = float(first.test.outcome.mean())
    section = describe_predictive_values(make_data(prevalences=(own,)))
    (row,) = section["all"]["stated"]
    assert row["ppv"]["value"] == pytest.approx(section["all"]["table"]["ppv"]["value"])
    assert row["npv"]["value"] == pytest.approx(section["all"]["table"]["npv"]["value"])


def test_without_a_rule_of_confidence_all_calls_alone_are_told(make_data):
    section = describe_predictive_values(make_data(confidence={"kind": "none"}))
    assert section["high_confidence"] is None
    assert section["all"]["stated"]


def test_an_operating_point_is_that_of_the_roc_curve_of_validation(make_data):
    data = make_data(
        operating_points=(
            {"target": "sensitivity", "least": 0.85},
            {"target": "specificity", "least": 0.8},
        )
    )
    fpr, tpr, cuts = roc_curve(
        data.validation.outcome, data.validation.risk, drop_intermediate=False
    )
    sensitive, specific = describe_operating_points(data)["points"]
    assert sensitive["chosen"]["threshold"] == cuts[tpr >= 0.85].max()
    assert specific["chosen"]["threshold"] == cuts[1 - fpr >= 0.8].min()
    for point in (sensitive, specific):
        cut = point["chosen"]["threshold"]
        tn, fp, fn, tp = confusion_matrix(data.test.outcome, data.test.risk >= cut).ravel()
        assert [point["applied"][key] for key in ("tn", "fp", "fn", "tp")] == [tn, fp, fn, tp]
        assert point["chosen"]["split"] == "val"
        assert point["reason"] == ""


def test_a_point_that_validation_cannot_give_says_why(make_data):
    data = make_data(operating_points=({"target": "sensitivity", "least": 0.9},))
    lacking = replace(data, validation=replace(data.validation, labels=data.validation.labels * 0))
    (point,) = describe_operating_points(lacking)["points"]
    assert point["chosen"]["threshold"] is None
    assert point["reason"] == "the validation split has no positive frames"


@pytest.mark.parametrize("describe", CHOOSING)
def test_other_test_data_leave_what_was_chosen_as_it_is(make_data, describe):
    def chosen(section):
        points = [
            point.get("chosen") or (point["wanted"], point["cutoff"])
            for point in section.get("points", ())
        ]
        classes = section.get("per_class", {})
        return points, {name: one["quantile"] for name, one in classes.items()}

    data = make_data()
    one, other = describe(data), describe(turn(data))
    assert chosen(one) == chosen(other)
    assert any(chosen(one))
    assert one != other


def test_net_benefit_equals_a_count_by_hand(make_data):
    data = make_data()
    section = describe_decisions(data)
    risk, outcome = data.test.risk, data.test.outcome
    n, prevalence = len(risk), outcome.mean()
    useful = set()
    for row in section["curve"]:
        at = row["threshold"]
        price = at / (1 - at)
        tp, fp = (outcome & (risk >= at)).sum(), (~outcome & (risk >= at)).sum()
        benefit = tp / n - fp / n * price
        assert row["model"]["value"] == pytest.approx(benefit, abs=1e-12)
        everyone = prevalence - (1 - prevalence) * price
        assert row["everyone"]["value"] == pytest.approx(everyone, abs=1e-12)
        assert row["gain"]["value"] == pytest.approx(benefit - max(everyone, 0), abs=1e-12)
        if row["gain"]["low"] > 0:
            useful.add(at)
    told = {
        at / 100
        for low, high in section["useful"]
        for at in range(round(100 * low), round(100 * high) + 1)
    }
    assert told == useful
    assert useful


def test_a_decision_needs_both_outcomes(make_data):
    data = make_data()
    none = replace(data, test=replace(data.test, labels=data.test.labels * 0))
    with pytest.raises(NotAssessableError, match="the test split has no positive frames"):
        describe_decisions(none)


def test_unsure_calls_are_scored_three_ways_as_a_loop_would(make_data):
    data = make_data(coverages=(0.6, 1.0))
    section = describe_selective(data)
    assert [point["wanted"] for point in section["points"]] == [1.0, 0.6]
    sure = np.abs(data.validation.risk - 0.5)
    least = np.sort(sure)[::-1][math.ceil(0.6 * len(sure)) - 1]
    every, some = section["points"]
    assert (every["cutoff"], every["coverage"]["value"]) == (0, 1)
    assert some["cutoff"] == pytest.approx(least)
    ways = ("excluded", "sent", "counted_wrong")
    cells = {way: {"tn": 0, "fp": 0, "fn": 0, "tp": 0} for way in ways}
    for risk, outcome in zip(data.test.risk.tolist(), data.test.outcome.tolist(), strict=True):
        if abs(risk - 0.5) >= least:
            cell = ("tp" if outcome else "fp") if risk >= 0.5 else ("fn" if outcome else "tn")
            for way in ways:
                cells[way][cell] += 1
        else:
            cells["sent"]["tp" if outcome else "fp"] += 1
            cells["counted_wrong"]["fn" if outcome else "fp"] += 1
    for way in ways:
        assert {key: some[way][key] for key in cells[way]} == cells[way]


def test_the_area_under_the_risk_coverage_curve_is_a_mean_of_risks(make_data):
    data = make_data()
    order = np.argsort(-np.abs(data.test.risk - 0.5))
    wrong = ((data.test.risk >= 0.5) != data.test.outcome)[order]
    n = len(wrong)
    risks = wrong.cumsum() / np.arange(1, n + 1)
    found = describe_selective(data)["aurc"]["value"]
    assert found == pytest.approx(risks.mean(), abs=1e-9)
    # The trapezoid of the same points differs by half a step at either end at most.
    assert found == pytest.approx(auc(np.arange(1, n + 1) / n, risks), abs=1 / n)


def test_conformal_sets_equal_a_count_by_hand(make_data):
    data = make_data(n=400, miscoverage=0.2)
    section = describe_conformal(data)
    val, test = data.validation, data.test
    held = np.zeros((len(test), 3), dtype=bool)
    for k, name in enumerate(data.classes):
        scores = sorted((1 - val.calibrated[val.labels == k, k]).tolist())
        rank = math.ceil(0.8 * (len(scores) + 1))
        assert section["per_class"][name]["quantile"] == pytest.approx(scores[rank - 1])
        assert section["per_class"][name]["fitted_on"] == len(scores)
        held[:, k] = 1 - test.calibrated[:, k] <= scores[rank - 1]
        own = test.labels == k
        assert section["per_class"][name]["value"] == pytest.approx(held[own, k].mean())
    assert section["size"]["value"] == pytest.approx(held.sum(axis=1).mean())
    sizes = [section["sizes"][str(size)]["successes"] for size in range(4)]
    assert sizes == np.bincount(held.sum(axis=1), minlength=4).tolist()
    assert section["coverage"]["value"] == pytest.approx(0.8, abs=0.1)


def test_classes_with_too_few_validation_polyps_are_named(make_data):
    section = describe_conformal(make_data(n=200, validation=30, miscoverage=0.1))
    few = [name for name, one in section["per_class"].items() if one["fitted_on"] < 9]
    assert (section["needed"], section["too_few"]) == (9, few)
    strict = describe_conformal(make_data(n=200, validation=30, miscoverage=0.01))
    assert strict["needed"] == 99
    assert strict["too_few"] == ["hyperplastic", "serrated", "adenoma"]
    assert strict["sizes"]["3"]["value"] == 1


def test_a_network_without_an_error_gets_no_interval_of_no_width(make_data):
    data = make_data(miscoverage=0.01)
    perfect = np.eye(3)[data.test.labels] * 9
    data = replace(data, test=replace(data.test, student=perfect))
    (row, *_) = describe_predictive_values(data)["all"]["stated"]
    assert row["npv_by_patient"] == {"value": 1, "low": None, "high": None}
    assert describe_selective(data)["aurc"] == {"value": 0, "low": None, "high": None}
