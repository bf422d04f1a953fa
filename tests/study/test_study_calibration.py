import json
from dataclasses import replace

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax
from sklearn import metrics as oracle
from sklearn.isotonic import IsotonicRegression

from polypskd.config import EvaluationConfig
from polypskd.evaluation import Outputs, evaluate
from polypskd.metrics.calibration_errors import measure_errors
from polypskd.metrics.resampling import patient_weights
from polypskd.metrics.smooth_error import smooth_error
from polypskd.study.calibration import describe_calibration
from polypskd.study.data import NotAssessableError

KINDS = ("none", "temperature", "vector", "isotonic")


@pytest.fixture(scope="module")
def data(make_data):
    return make_data(400, positive=["serrated", "adenoma"], sharpness=3)


@pytest.fixture(scope="module")
def found(data):
    return describe_calibration(data)


def scale(data, kind):
    """Probabilities of the test frames, scaled by other libraries than ours where there is one."""
    validation, test = data.validation, data.test
    match kind:
        case "none":
            return softmax(test.student, axis=1)
        case "temperature":
            best = minimize_scalar(
                lambda t: oracle.log_loss(
                    validation.labels, softmax(validation.student / t, axis=1)
                ),
                bounds=(0.5, 10),
                method="bounded",
            ).x
            return softmax(test.student / best, axis=1)
        case "isotonic":
            fits = [
                IsotonicRegression(out_of_bounds="clip").fit(p, validation.labels == k)
                for k, p in enumerate(softmax(validation.student, axis=1).T)
            ]
            unscaled = scale(data, "none")
            p = np.stack([fit.predict(unscaled[:, k]) for k, fit in enumerate(fits)], axis=1)
            p = np.maximum(p / p.sum(axis=1, keepdims=True), 0.5 / len(validation))
            return p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("kind", ["none", "temperature", "isotonic"])
def test_proper_scores_after_each_scaling_are_those_of_scikit_learn(data, found, kind):
    p, y = scale(data, kind), data.test.labels
    told = found["scalings"][kind]
    assert told["nll"]["value"] == pytest.approx(oracle.log_loss(y, p), abs=1e-5)
    expected = oracle.brier_score_loss(y, p, scale_by_half=False)
    assert told["brier"]["overall"]["brier"]["value"] == pytest.approx(expected, abs=1e-5)


def test_vector_scaling_is_at_least_as_good_on_validation_as_any_other_start(data, found):
    fitted, y = found["scalings"]["vector"]["fitted"], data.validation.labels
    z = data.validation.student
    weights, biases = np.array(fitted["weights"]), np.array(fitted["biases"])
    least = oracle.log_loss(y, softmax(z * weights + biases, axis=1))
    generator = np.random.default_rng(0)
    for _ in range(50):
        away = softmax(
            z * (weights + generator.normal(scale=0.05, size=3))
            + biases
            + generator.normal(scale=0.05, size=3),
            axis=1,
        )
        assert oracle.log_loss(y, away) > least
    told = found["scalings"]["vector"]["nll"]["value"]
    p = softmax(data.test.student * weights + biases, axis=1)
    assert told == pytest.approx(oracle.log_loss(data.test.labels, p))


def plain_error(forecast, outcome, index):
    """Expected calibration error in the plainest way."""
    return sum(
        abs(forecast[index == b].sum() - outcome[index == b].sum()) for b in np.unique(index)
    ) / len(forecast)


@pytest.mark.parametrize("kind", ["none", "temperature", "isotonic"])
def test_errors_in_bins_are_those_of_a_plain_loop(data, found, kind):
    p, y = scale(data, kind), data.test.labels
    told = found["scalings"][kind]["errors"]
    for name, forecast, outcome in (
        ("top", p.max(axis=1), p.argmax(axis=1) == y),
        *((k, p[:, k], y == k) for k in range(3)),
    ):
        index = np.ceil(forecast * 10)
        values = told["top_label"] if name == "top" else told["per_class"][data.classes[name]]
        slack = 2e-3 if kind == "temperature" else 1e-9  # a grid of temperatures moves some bins
        if name == "top":
            assert plain_error(forecast, outcome, index) == pytest.approx(
                values["ece"]["value"], abs=slack
            )
        gaps = [
            abs((forecast - outcome)[index == b].mean()) for b in np.unique(index) if kind == "none"
        ]
        assert not gaps or values["mce"]["value"] == pytest.approx(max(gaps))
        assert values["ece"]["low"] <= values["ece"]["value"] <= values["ece"]["high"]


def test_slope_and_intercept_of_the_risk_are_those_of_statsmodels(data, found):
    z = data.test.student / data.test.temperature
    risk = logsumexp(z[:, 1:], axis=1) - z[:, 0]
    sick = (data.test.labels > 0).astype(float)
    family = sm.families.Binomial()
    slope = sm.GLM(sick, sm.add_constant(risk), family=family).fit().params[1]
    shift = sm.GLM(sick, np.ones((len(sick), 1)), family=family, offset=risk).fit().params[0]
    told = found["scalings"]["temperature"]
    assert told["slope"]["value"] == pytest.approx(slope)
    assert told["intercept"]["value"] == pytest.approx(shift)
    design = sm.add_constant(risk)
    fit = sm.GLM(sick, design, family=family).fit()
    index = np.unique(data.test.patients, return_inverse=True)[1]
    moved = []
    for row in patient_weights(data.test.patients, 200, data.seed):  # one Newton step each
        pull = design * row[index][:, None]
        information = (pull * (fit.mu * (1 - fit.mu))[:, None]).T @ design
        moved.append((fit.params + np.linalg.solve(information, pull.T @ (sick - fit.mu)))[1])
    bounds = tuple(np.quantile(moved, [0.025, 0.975]))
    assert (told["slope"]["low"], told["slope"]["high"]) == pytest.approx(bounds, abs=1e-6)


def test_scaling_mends_an_overconfident_network_each_in_its_way(found):
    before = found["scalings"]["none"]
    for kind in KINDS[1:]:
        after = found["scalings"][kind]
        assert after["nll"]["value"] < before["nll"]["value"]
        ece = [one["errors"]["top_label"]["ece"]["value"] for one in (before, after)]
        assert ece[1] < 0.7 * ece[0]
    assert before["slope"]["high"] < 1
    assert before["smooth_error"]["risk"]["low"] > 0
    assert found["scalings"]["temperature"]["fitted"]["temperature"] > 1.5


def test_curves_of_each_class_and_of_the_risk_stand_beside_bins_that_hold_all_frames(data, found):
    told = found["scalings"]["none"]
    assert list(told["curves"]) == list(data.classes)
    p = scale(data, "none")
    for k, name in enumerate(data.classes):
        curve = told["curves"][name]
        assert sum(curve["bins"]["n_frames"]) == 400
        shares = np.array(curve["bins"]["observed"]) * curve["bins"]["n_frames"]
        assert shares.sum() == pytest.approx((data.test.labels == k).sum())
        forecasts = np.array(curve["bins"]["predicted"]) * curve["bins"]["n_frames"]
        assert forecasts.sum() == pytest.approx(p[:, k].sum())
        low, observed, high = (np.array(curve[end]) for end in ("low", "observed", "high"))
        assert (low <= observed).all()
        assert (observed <= high).all()
    assert told["risk_curve"]["n_events"] == (data.test.labels > 0).sum()
    risk = smooth_error(p[:, 1:].sum(axis=1), (data.test.labels > 0).astype(float))
    assert told["smooth_error"]["risk"]["value"] == pytest.approx(risk)


def test_ici_is_the_mean_distance_from_a_spline_by_statsmodels(make_data):
    data = make_data(400, sharpness=3)
    told = describe_calibration(data)["scalings"]["none"]["risk_curve"]
    p = softmax(data.test.student, axis=1)[:, 2]
    x = np.log(p / (1 - p))
    knots = np.log(np.array(told["knots"]) / (1 - np.array(told["knots"])))

    def bent(j):  # Harrell's restricted cubic spline
        a, b, c = knots[j], knots[-2], knots[-1]
        cube = [np.maximum(x - t, 0) ** 3 for t in (a, b, c)]
        return cube[0] - cube[1] * (c - a) / (c - b) + cube[2] * (b - a) / (c - b)

    columns = [x, *(bent(j) for j in range(len(knots) - 2))]
    design = sm.add_constant(np.stack([c / np.abs(c).max() for c in columns], axis=1))
    fitted = sm.GLM(data.test.labels == 2, design, family=sm.families.Binomial()).fit().fittedvalues
    assert told["ici"]["value"] == pytest.approx(np.abs(p - fitted).mean(), abs=1e-6)
    assert told["e90"]["value"] == pytest.approx(np.quantile(np.abs(p - fitted), 0.9), abs=1e-6)


# --- levels ---------------------------------------------------------------------------------------


def test_levels_are_judged_on_their_own_frames(data, found):
    assert list(found["levels"]) == ["easy", "hard"]
    for level in ("easy", "hard"):
        here = data.test.levels == level
        told = found["levels"][level]
        assert told["n_frames"] == here.sum()
        assert told["n_patients"] == len(np.unique(data.test.patients[here]))
        for kind in ("none", "temperature"):
            p, y = scale(data, kind)[here], data.test.labels[here]
            expected = oracle.log_loss(y, p, labels=range(3))
            assert told[kind]["nll"]["value"] == pytest.approx(expected, abs=1e-4)
        p = scale(data, "none")[here]
        error = plain_error(p.max(axis=1), p.argmax(axis=1) == y, np.ceil(p.max(axis=1) * 10))
        assert told["none"]["ece"]["value"] == pytest.approx(error)
        sick = (y > 0).astype(float)
        risk = np.log(p[:, 1:].sum(axis=1) / p[:, 0])
        fit = sm.GLM(sick, sm.add_constant(risk), family=sm.families.Binomial()).fit()
        assert told["none"]["slope"]["value"] == pytest.approx(fit.params[1])


def test_levels_stand_in_their_order_of_difficulty(data):
    turned = replace(data, level_order=("hard", "unseen", "easy"))
    assert list(describe_calibration(turned)["levels"]) == ["hard", "easy"]


def test_a_level_of_few_frames_or_patients_has_no_numbers_but_a_reason(make_data):
    for settings in ({"least_frames": 500}, {"least_patients": 500}):
        told = describe_calibration(make_data(90, **settings))["levels"]["easy"]
        assert set(told) == {"n_frames", "n_patients", "not_assessable"}
        assert "500" in told["not_assessable"]


def test_a_level_of_one_class_has_errors_but_no_slope(make_data):
    data = make_data(200)
    levels = np.where(data.test.labels == 0, "low only", "others")
    told = describe_calibration(replace(data, test=replace(data.test, levels=levels)))
    assert told["levels"]["low only"]["none"]["slope"]["value"] is None
    assert told["levels"]["low only"]["none"]["ece"]["value"] > 0


# --- what is chosen on what -----------------------------------------------------------------------


def test_test_labels_never_change_what_is_fitted(data, found):
    turned = replace(data, test=replace(data.test, labels=2 - data.test.labels))
    again = describe_calibration(turned)
    for kind in KINDS[1:]:
        assert again["scalings"][kind]["fitted"] == found["scalings"][kind]["fitted"]
        assert again["scalings"][kind]["nll"] != found["scalings"][kind]["nll"]


def test_without_validation_nothing_is_scaled(make_data):
    told = describe_calibration(make_data(90, validation=0))
    for kind in KINDS[1:]:
        reason = {"not_assessable": "the validation split has no frames"}
        assert told["scalings"][kind] == reason
    assert set(told["levels"]["easy"]) - {"n_frames", "n_patients"} == {"none"}


def test_a_class_without_validation_frames_leaves_everything_unscaled(make_data):
    data = make_data(90)
    labels = np.minimum(data.validation.labels, 1)
    told = describe_calibration(replace(data, validation=replace(data.validation, labels=labels)))
    for kind in ("temperature", "vector", "isotonic"):
        reason = "the validation split has no frame of adenoma"
        assert told["scalings"][kind] == {"not_assessable": reason}


def test_the_temperature_is_that_of_the_evaluation(data, found):
    told = found["scalings"]["temperature"]["fitted"]["temperature"]
    assert told == pytest.approx(data.test.temperature)
    errors = measure_errors(data.test.calibrated, data.test.labels, data.sample, bins=10)
    expected = errors.to_dict()["classwise"]["ece_equal_mass"]
    classwise = found["scalings"]["temperature"]["errors"]["classwise"]
    assert classwise["ece_equal_mass"] == pytest.approx(expected)


def test_what_the_evaluation_tells_too_is_told_alike(make_data):
    data = make_data(200)
    sides = [
        Outputs(part.student, part.labels, part.patients, part.levels, part.split)
        for part in (data.test, data.validation)
    ]
    settings = EvaluationConfig(resamples=200, calibration_bins=10)
    judged = evaluate(
        sides[0], validation=sides[1], classes=data.classes, settings=settings, seed=data.seed
    ).to_dict()
    found = describe_calibration(data)
    for kind, when in (("none", "before"), ("temperature", "after")):
        told, expected = found["scalings"][kind], judged["calibration"][when]
        pairs = {
            "ece": told["errors"]["top_label"]["ece"],
            "ece_equal_mass": told["errors"]["top_label"]["ece_equal_mass"],
            "ece_classwise": told["errors"]["classwise"]["ece"],
            "brier": told["brier"]["overall"]["brier"],
            **{name: told[name] for name in ("nll", "slope", "intercept")},
        }
        for name, one in pairs.items():
            assert one == pytest.approx(expected[name], abs=1e-7), (kind, name)
    for level, expected in judged["by_level"].items():
        for name in ("ece", "brier", "nll"):
            assert found["levels"][level]["none"][name] == pytest.approx(expected[name])


def test_no_frames_are_a_reason(make_data):
    with pytest.raises(NotAssessableError, match="no frames"):
        describe_calibration(make_data(0))


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_handful_of_frames_gives_plain_values(make_data, frames):
    told = describe_calibration(make_data(frames, patients=2, resamples=20))
    json.dumps(told, allow_nan=False)


def test_where_every_class_is_positive_there_is_no_risk(make_data):
    classes = ["hyperplastic", "serrated", "adenoma"]
    told = describe_calibration(make_data(90, positive=classes, resamples=20))["scalings"]["none"]
    assert told["risk_curve"] is None
    assert "slope" not in told
    json.dumps(told, allow_nan=False)
