import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, recall_score, roc_auc_score

from polypskd.metrics.leave_one_out import Votes
from polypskd.study.annotators import describe_annotators
from polypskd.study.data import NotAssessableError

GROUPS = {"annotator 0": "expert", "annotator 1": "expert", "annotator 3": "trainee"}
NAMES = ("Ann Smith", "Bo Jones", "Cy Young", "Di Brown", "Ed White")


@pytest.fixture(scope="module")
def data(make_data):
    return make_data(300, votes=5, groups=GROUPS)


@pytest.fixture(scope="module")
def found(data):
    return describe_annotators(data)


def leave_out(data, m):
    """Judge annotator m by the others, frame by frame: own class, label, student's class."""
    votes, rows = data.votes, []
    for frame in range(len(data.test)):
        here = votes.frame == frame
        mine = votes.choice[here & (votes.annotator == m)]
        others = votes.choice[here & (votes.annotator != m)]
        counts = np.bincount(others, minlength=len(data.classes))
        label = max(range(len(counts)), key=lambda k: (counts[k], k))
        rows.append((mine[0], label, data.test.predicted[frame]))
    return np.array(rows).T


@pytest.mark.parametrize("m", [0, 2, 4])
def test_each_annotator_is_judged_by_the_others_as_a_loop_does(data, found, m):
    own, label, student = leave_out(data, m)
    P = data.positive
    one = found["annotators"][m]
    assert one["name"] == f"annotator {m + 1}"
    assert one["own"]["sensitivity"]["value"] == pytest.approx(recall_score(P[label], P[own]))
    assert one["own"]["specificity"]["value"] == pytest.approx(recall_score(~P[label], ~P[own]))
    assert one["student"]["sensitivity"]["value"] == pytest.approx(
        recall_score(P[label], P[student])
    )
    assert one["kappa"]["value"] == pytest.approx(cohen_kappa_score(label, own))


def test_groups_are_the_means_of_those_whom_the_settings_put_there(found):
    people = {one["name"]: one for one in found["annotators"]}
    assert [one["group"] for one in people.values()] == [
        *("expert", "expert", None, "trainee", None)
    ]
    for group, members in {"expert": (1, 2), "trainee": (4,), "all": range(1, 6)}.items():
        mean = np.mean([people[f"annotator {m}"]["own"]["sensitivity"]["value"] for m in members])
        assert found["groups"][group]["own"]["sensitivity"]["value"] == pytest.approx(mean)


def test_curve_and_point_are_those_of_scikit_learn(data, found):
    test = data.test
    P, called = test.outcome, data.positive[test.predicted]
    risk = test.calibrated[:, data.positive].sum(axis=1)
    assert found["roc"]["auroc"]["value"] == pytest.approx(roc_auc_score(P, risk))
    assert found["student"]["sensitivity"]["value"] == pytest.approx(recall_score(P, called))
    assert found["student"]["specificity"]["value"] == pytest.approx(recall_score(~P, ~called))
    area = np.trapezoid(found["roc"]["tpr"], found["roc"]["fpr"])
    assert area == pytest.approx(roc_auc_score(P, risk), abs=0.01)


def test_the_multi_case_difference_is_that_of_the_means(found):
    one = found["multi_case"]["sensitivity"]
    assert one["n_annotators"] == 5
    values = [found["groups"]["all"][who]["sensitivity"]["value"] for who in ("student", "own")]
    assert one["difference"]["value"] == pytest.approx(values[0] - values[1])
    assert one["difference"]["low"] < one["difference"]["value"] < one["difference"]["high"]


def test_no_annotator_is_named(data):
    named = replace(
        data,
        annotators=NAMES,
        settings=data.settings.model_copy(update={"groups": {"Bo Jones": "expert"}}),
    )
    found = describe_annotators(named)
    text = json.dumps(found)
    assert not any(part in text for name in NAMES for part in name.split())
    assert [one["group"] for one in found["annotators"]] == [None, "expert", None, None, None]


def test_numbers_are_those_of_the_rest_of_the_report(data):
    found = describe_annotators(replace(data, annotator_numbers=(2, 3, 4, 7, 9)))
    names = [f"annotator {k}" for k in (2, 3, 4, 7, 9)]
    assert [one["name"] for one in found["annotators"]] == names
    assert [one["annotator"] for one in found["advantage"]["advantages"]] == names


def test_reasons_are_told(make_data, data):
    with pytest.raises(NotAssessableError, match="not known by name"):
        describe_annotators(make_data(votes=0))
    with pytest.raises(NotAssessableError, match="votes of two annotators"):
        describe_annotators(make_data(votes=1))
    nobody = np.zeros(0, np.int64)
    with pytest.raises(NotAssessableError):
        describe_annotators(replace(data, votes=Votes(nobody, nobody, nobody, (300, 5, 3))))
    loose = describe_annotators(replace(data, patients_known=False))
    assert "patients are unknown" in loose["multi_case"]["sensitivity"]["not_assessable"]


def test_the_same_data_give_the_same_bytes_without_nan(data, found):
    text = json.dumps(found, allow_nan=False)
    assert text == json.dumps(describe_annotators(data), allow_nan=False)


def test_one_class_alone_has_no_curve_and_breaks_nothing(make_data):
    data = make_data(60, votes=3)
    sure = replace(data.votes, choice=np.zeros_like(data.votes.choice))
    test = replace(data.test, labels=np.zeros_like(data.test.labels))
    found = describe_annotators(replace(data, votes=sure, test=test))
    assert found["roc"]["fpr"] == []
    assert found["student"]["sensitivity"]["value"] is None
    json.dumps(found, allow_nan=False)
