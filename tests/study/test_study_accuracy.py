import json

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import logsumexp, softmax
from sklearn import metrics as oracle
from statsmodels.stats.proportion import proportion_confint

from polypskd.metrics.resampling import patient_weights
from polypskd.study.accuracy import describe_accuracy
from polypskd.study.data import NotAssessableError

SHARES = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "prevalence")


def plain_scores(truth, called):
    """Scores of one question by scikit-learn and plain shares."""
    return {
        "sensitivity": oracle.recall_score(truth, called),
        "specificity": oracle.recall_score(truth, called, pos_label=0),
        "ppv": oracle.precision_score(truth, called),
        "npv": oracle.precision_score(truth, called, pos_label=0),
        "accuracy": oracle.accuracy_score(truth, called),
        "prevalence": np.mean(truth),
        "balanced_accuracy": oracle.balanced_accuracy_score(truth, called),
        "f1": oracle.f1_score(truth, called),
        "mcc": oracle.matthews_corrcoef(truth, called),
    }


@pytest.fixture(scope="module")
def data(make_data):
    return make_data(positive=["serrated", "adenoma"], teacher=True)


@pytest.fixture(scope="module")
def found(data):
    return describe_accuracy(data)


def test_every_score_of_every_question_is_that_of_scikit_learn(data, found):
    frames = found["frames"]
    called = softmax(data.test.student, axis=1).argmax(axis=1)
    questions = {name: [k] for k, name in enumerate(data.classes)} | {"positive": [1, 2]}
    told = frames["classes"] | {"positive": frames["positive"]}
    assert told.keys() == questions.keys()
    for name, inside in questions.items():
        plain = plain_scores(np.isin(data.test.labels, inside), np.isin(called, inside))
        for score, value in plain.items():
            for interval in ("percentile", "bca"):
                assert told[name][score][interval]["value"] == pytest.approx(value), (name, score)
    assert frames["confusion"] == oracle.confusion_matrix(data.test.labels, called).tolist()
    assert frames["n"] == len(data.test)


def test_overall_scores_are_those_of_scikit_learn(data, found):
    y, called = data.test.labels, data.test.student.argmax(axis=1)
    plain = {
        "accuracy": oracle.accuracy_score(y, called),
        "balanced_accuracy": oracle.balanced_accuracy_score(y, called),
        "macro_f1": oracle.f1_score(y, called, average="macro"),
        "weighted_f1": oracle.f1_score(y, called, average="weighted"),
        "mcc": oracle.matthews_corrcoef(y, called),
    }
    overall = found["frames"]["overall"]
    assert {k: v["percentile"]["value"] for k, v in overall.items()} == pytest.approx(plain)


def test_wilson_and_clopper_pearson_are_those_of_statsmodels(found):
    for share in SHARES:
        told = found["frames"]["positive"][share]
        for kind, method in (("wilson", "wilson"), ("clopper_pearson", "beta")):
            bounds = proportion_confint(told["successes"], told["trials"], 0.05, method)
            assert (told[kind]["low"], told[kind]["high"]) == pytest.approx(bounds, abs=1e-9)


def test_the_estimating_equation_is_that_of_statsmodels(data, found):
    sick = np.isin(data.test.labels, [1, 2])
    called = np.isin(data.test.student.argmax(axis=1), [1, 2]).astype(float)[sick]
    model = sm.GEE(
        called,
        np.ones((len(called), 1)),
        groups=np.unique(data.test.patients[sick], return_inverse=True)[1],
        family=sm.families.Binomial(),
        cov_struct=sm.cov_struct.Exchangeable(),
    ).fit()
    bounds = 1 / (1 + np.exp(-np.asarray(model.conf_int())[0]))
    told = found["frames"]["positive"]["sensitivity"]["gee"]
    assert (told["low"], told["high"]) == pytest.approx(tuple(bounds), abs=1e-6)


def test_intervals_by_patient_are_those_of_a_loop_over_the_same_draws(data, found):
    y, called = data.test.labels > 0, data.test.student.argmax(axis=1) > 0
    index = np.unique(data.test.patients, return_inverse=True)[1]
    calibrated = data.test.student / data.test.temperature
    risk = logsumexp(calibrated[:, 1:], axis=1) - calibrated[:, 0]
    drawn = {name: [] for name in ("f1", "mcc", "npv", "area")}
    for row in patient_weights(data.test.patients, 200, data.seed):
        frames = np.repeat(np.arange(len(y)), row[index])
        plain = plain_scores(y[frames], called[frames])
        plain["area"] = oracle.average_precision_score(y[frames], risk[frames])
        for name, samples in drawn.items():
            samples.append(plain[name])
    told = {n: found["frames"]["positive"][n]["percentile"] for n in ("f1", "mcc", "npv")}
    told["area"] = found["frames"]["risk"]["average_precision"]
    for name, samples in drawn.items():
        bounds = np.quantile(samples, [0.025, 0.975])
        assert (told[name]["low"], told[name]["high"]) == pytest.approx(tuple(bounds)), name


def test_areas_are_those_of_scikit_learn(data, found):
    p, y = softmax(data.test.student, axis=1), data.test.labels
    for k, name in enumerate(data.classes):
        area = found["frames"]["auroc_delong"][name]
        assert area["value"] == pytest.approx(oracle.roc_auc_score(y == k, p[:, k]))
        assert area["low"] < area["value"] < area["high"]
        precision = found["frames"]["average_precision"][name]["value"]
        assert precision == pytest.approx(oracle.average_precision_score(y == k, p[:, k]))
    risk = softmax(data.test.student / data.test.temperature, axis=1)[:, 1:].sum(axis=1)
    told = found["frames"]["risk"]
    assert told["auroc_delong"]["value"] == pytest.approx(oracle.roc_auc_score(y > 0, risk))
    expected = oracle.average_precision_score(y > 0, risk)
    assert told["average_precision"]["value"] == pytest.approx(expected)


def test_the_interval_of_an_area_has_the_spread_of_the_bootstrap_by_patient(make_data):
    data = make_data(600, patients=120)
    told = describe_accuracy(data)["frames"]["auroc_delong"]["adenoma"]
    index = np.unique(data.test.patients, return_inverse=True)[1]
    scores, drawn = softmax(data.test.student, axis=1)[:, 2], []
    for row in patient_weights(data.test.patients, 300, 1):
        frames = np.repeat(np.arange(600), row[index])
        drawn.append(oracle.roc_auc_score(data.test.labels[frames] == 2, scores[frames]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert told["high"] - told["low"] == pytest.approx(high - low, rel=0.15)


def test_the_teacher_is_judged_on_the_same_frames_where_there_is_one(data, found, make_data):
    called = data.test.teacher.argmax(axis=1)
    plain = plain_scores(data.test.labels > 0, called > 0)
    told = found["teacher"]
    assert told["n"] == len(data.test)
    for score, value in plain.items():
        assert told["positive"][score]["percentile"]["value"] == pytest.approx(value)
    risk = softmax(data.test.teacher, axis=1)[:, 1:].sum(axis=1)
    expected = oracle.roc_auc_score(data.test.labels > 0, risk)
    assert told["risk"]["auroc_delong"]["value"] == pytest.approx(expected)
    assert describe_accuracy(make_data(60))["teacher"] is None


# --- lesions and patients -------------------------------------------------------------------------


def name_lesions(part):
    """Three lesions a patient, each of one class; the same names in every patient."""
    return np.array([f"lesion {label}" for label in part.labels])


def join(p, labels, keys):
    """Mean probabilities and highest label of each unit, in a plain loop."""
    units = {}
    for row, key in enumerate(keys):
        units.setdefault(key, []).append(row)
    means = np.array([p[rows].mean(axis=0) for rows in units.values()])
    return means, np.array([labels[rows].max() for rows in units.values()])


def take_worst(called, labels, patients):
    """Highest predicted class and label of each patient."""
    worst = {}
    for name, *pair in zip(patients, called, labels, strict=True):
        worst[name] = np.maximum(worst.get(name, [0, 0]), pair)
    return np.array(list(worst.values())).T


def test_lesions_and_patients_are_joined_by_the_rule_that_is_told(make_data):
    data = make_data(columns={"polyp": name_lesions}, polyps={"lesion": "polyp"})
    found = describe_accuracy(data)
    lesions = list(zip(data.test.patients.tolist(), data.test.labels.tolist(), strict=True))
    p, labels = join(data.test.calibrated, data.test.labels, lesions)
    expected = oracle.confusion_matrix(labels, p.argmax(axis=1), labels=range(3)).tolist()
    assert found["lesions"]["confusion"] == expected
    owners = [patient for patient, _ in dict.fromkeys(lesions)]
    called, worst = take_worst(p.argmax(axis=1), labels, owners)
    expected = oracle.confusion_matrix(worst, called, labels=range(3)).tolist()
    assert found["patients"]["confusion"] == expected
    assert found["lesions"]["rule"] == {
        **{"rule": "mean_probability", "reference": "agree", "of": "frames", "mixed": 0},
        **{"units": len(set(lesions)), "members": 240},
        "most_members": max(lesions.count(key) for key in set(lesions)),
    }
    several = [owners.count(name) > 1 for name in set(owners)]
    assert found["patients"]["rule"] == {
        **{"rule": "max_risk", "reference": "max_risk", "of": "lesions", "mixed": sum(several)},
        **{"units": len(set(owners)), "members": len(set(lesions))},
        "most_members": max(owners.count(name) for name in owners),
    }


def test_without_lesions_a_patient_is_the_worst_frame(make_data):
    data = make_data()
    called, worst = take_worst(data.test.predicted, data.test.labels, data.test.patients)
    found = describe_accuracy(data)["patients"]
    expected = oracle.confusion_matrix(worst, called, labels=range(3)).tolist()
    assert found["confusion"] == expected
    assert found["rule"]["of"] == "frames"


def test_a_lesion_whose_frames_differ_is_of_the_class_of_most_risk_and_counted(make_data):
    halves = {"polyp": lambda part: (np.arange(len(part)) % 2).astype(str)}
    data = make_data(columns=halves, polyps={"lesion": "polyp"})
    found = describe_accuracy(data)["lesions"]
    keys = list(zip(data.test.patients.tolist(), np.arange(240) % 2, strict=True))
    p, labels = join(data.test.calibrated, data.test.labels, keys)
    assert found["confusion"] == oracle.confusion_matrix(labels, p.argmax(axis=1)).tolist()
    sizes = [
        len({data.test.labels[i] for i, one in enumerate(keys) if one == key}) for key in set(keys)
    ]
    assert found["rule"]["reference"] == "max_risk"
    assert found["rule"]["mixed"] == sum(size > 1 for size in sizes)


def test_a_frame_without_a_lesion_stands_for_itself(make_data):
    some = {"polyp": lambda part: np.where(np.arange(len(part)) < 100, "", name_lesions(part))}
    data = make_data(columns=some, polyps={"lesion": "polyp"})
    rule = describe_accuracy(data)["lesions"]["rule"]
    named = set(zip(data.test.patients[100:], data.test.labels[100:], strict=True))
    assert rule["units"] == 100 + len(named)
    assert rule["members"] == 240


def test_lesions_of_two_exams_are_two(make_data):
    columns = {
        "polyp": name_lesions,
        "visit": lambda part: (np.arange(len(part)) % 2).astype(str),
    }
    data = make_data(columns=columns, polyps={"lesion": "polyp", "exam": "visit"})
    keys = set(zip(data.test.patients, data.test.labels, np.arange(240) % 2, strict=True))
    assert describe_accuracy(data)["lesions"]["rule"]["units"] == len(keys)


def test_lesions_of_unknown_patients_are_found_by_their_names_alone(make_data):
    data = make_data(
        columns={"polyp": name_lesions}, polyps={"lesion": "polyp"}, patients_known=False
    )
    found = describe_accuracy(data)
    assert found["lesions"]["rule"]["units"] == 3
    assert found["patients"] == {"not_assessable": "patients are unknown; set cohort.patients"}


@pytest.mark.parametrize(
    ("columns", "lesion", "reason"),
    [
        (None, None, "no column tells lesions; set study.polyps.lesion"),
        (None, "polyp", "the cohort has no column 'polyp'"),
        ({"polyp": [" "]}, "polyp", "column 'polyp' is empty on the test split"),
    ],
)
def test_lesions_that_nobody_tells_are_a_reason(make_data, columns, lesion, reason):
    data = make_data(60, columns=columns, polyps={"lesion": lesion})
    assert describe_accuracy(data)["lesions"] == {"not_assessable": reason}


# --- edges ----------------------------------------------------------------------------------------


def test_no_name_of_a_patient_or_lesion_is_told(make_data):
    columns = {"polyp": lambda part: np.char.add("secret ", part.labels.astype(str))}
    told = json.dumps(
        describe_accuracy(make_data(columns=columns, polyps={"lesion": "polyp"})), allow_nan=False
    )
    assert "secret" not in told
    assert "test patient" not in told
    assert "test-0" not in told


def test_no_frames_are_a_reason(make_data):
    with pytest.raises(NotAssessableError, match="no frames"):
        describe_accuracy(make_data(0))


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_handful_of_frames_gives_plain_values(make_data, frames):
    told = describe_accuracy(make_data(frames, patients=2, teacher=True))
    json.dumps(told, allow_nan=False)
    assert told["frames"]["n"] == frames


@pytest.mark.parametrize("positive", [["hyperplastic", "serrated", "adenoma"], ["absent"]])
def test_a_question_that_all_or_no_classes_answer_has_no_area(make_data, positive):
    told = describe_accuracy(make_data(60, positive=positive))["frames"]["risk"]["auroc_delong"]
    assert told == {"value": None, "low": None, "high": None}


def test_validation_labels_change_nothing_but_the_temperature(make_data):
    first, other = (
        describe_accuracy(make_data(90, validation=validation)) for validation in (90, 0)
    )
    assert first["frames"]["positive"] == other["frames"]["positive"]
    assert first["frames"]["auroc_delong"] == other["frames"]["auroc_delong"]
