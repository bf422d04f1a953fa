import json
import warnings

import numpy as np
import pytest
from scipy.special import logsumexp, softmax
from sklearn import metrics as oracle

from polypskd.config import EvaluationConfig
from polypskd.errors import ArtifactError
from polypskd.evaluation import Outputs, evaluate
from polypskd.metrics.calibration import ece, fit_temperature
from polypskd.metrics.classification import class_margins
from polypskd.metrics.recalibration import fit_intercept, fit_slope
from polypskd.metrics.resampling import patient_weights

CLASSES = ("hyperplastic", "serrated", "adenoma")
QUICK = EvaluationConfig(resamples=200)


def draw(seed=0, patients=60, frames=5, temperature=1.6):
    generator = np.random.default_rng(seed)
    N = patients * frames
    logits = generator.normal(size=(N, 3)) * 2
    p = softmax(logits / temperature, axis=1)
    labels = (generator.random((N, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=2)
    return Outputs(
        logits,
        labels,
        np.repeat([f"p{i}" for i in range(patients)], frames),
        np.array(["easy", "hard"])[generator.integers(2, size=N)],
        "test",
    )


def take(outputs, rows):
    return Outputs(
        outputs.class_logits[rows],
        outputs.labels[rows],
        outputs.patients[rows],
        outputs.levels[rows],
        outputs.split,
    )


def judge(outputs, validation=None, settings=QUICK, seed=1):
    return evaluate(outputs, validation=validation, classes=CLASSES, settings=settings, seed=seed)


def intervals(tree):
    """Every {value, low, high} below a JSON-like tree."""
    if isinstance(tree, dict):
        if set(tree) == {"value", "low", "high"}:
            yield tree
        else:
            for branch in tree.values():
                yield from intervals(branch)


def test_point_values_are_those_of_scikit_learn():
    test = draw()
    got = judge(test).to_dict()
    p, y = softmax(test.class_logits, axis=1), test.labels
    predicted = p.argmax(axis=1)
    assert got["confusion"] == oracle.confusion_matrix(y, predicted).tolist()
    for key, average in (("macro_f1", "macro"), ("weighted_f1", "weighted")):
        assert got[key]["value"] == pytest.approx(oracle.f1_score(y, predicted, average=average))
    assert got["accuracy"]["value"] == pytest.approx(oracle.accuracy_score(y, predicted))
    assert got["auroc"]["value"] == pytest.approx(oracle.roc_auc_score(y, p, multi_class="ovr"))
    before = got["calibration"]["before"]
    assert before["nll"]["value"] == pytest.approx(oracle.log_loss(y, p))
    assert before["brier"]["value"] == pytest.approx(
        oracle.brier_score_loss(y, p, scale_by_half=False)
    )
    assert before["ece"]["value"] == pytest.approx(ece(p, y))
    assert got["per_class"]["adenoma"]["auroc"]["value"] == pytest.approx(
        oracle.roc_auc_score(y == 2, p[:, 2])
    )
    hard = test.levels == "hard"
    assert got["by_level"]["hard"]["n_frames"] == hard.sum()
    assert got["by_level"]["hard"]["macro_f1"]["value"] == pytest.approx(
        oracle.f1_score(y[hard], predicted[hard], average="macro")
    )


def test_the_keys_are_the_contract_and_json_takes_them():
    got = judge(draw(), draw(9)).to_dict()
    assert json.loads(json.dumps(got, allow_nan=False)) == got
    assert list(got) == [
        *("split", "n_frames", "n_patients", "classes", "per_class"),
        *("macro_f1", "weighted_f1", "accuracy", "auroc", "confusion"),
        *("calibration", "reliability", "by_level", "curves"),
    ]
    assert (got["n_frames"], got["n_patients"]) == (300, 60)
    assert set(got["per_class"]["serrated"]) == {
        *("precision", "recall", "f1", "specificity", "auroc", "support")
    }
    keys = {"ece", "ece_classwise", "ece_equal_mass", "brier", "nll", "slope", "intercept"}
    assert set(got["calibration"]) == {"temperature", "bins", "before", "after"}
    assert set(got["calibration"]["before"]) == set(got["calibration"]["after"]) == keys
    assert len(got["reliability"]["after"]) == 15
    assert set(got["curves"]["roc"]["adenoma"]) == {"fpr", "tpr"}
    assert set(got["curves"]["pr"]["adenoma"]) == {"recall", "precision"}
    assert len(list(intervals(got))) == 15 + 4 + 14 + 12


def test_values_lie_within_their_intervals():
    for found in intervals(judge(draw(), draw(9)).to_dict()):
        assert found["low"] <= found["value"] <= found["high"]


def test_the_bootstrap_is_that_of_a_plain_loop():
    test = draw(patients=20, frames=4)
    got = judge(test, settings=EvaluationConfig(resamples=400), seed=5).to_dict()
    generator = np.random.default_rng(0)
    p = softmax(test.class_logits, axis=1)
    scores = {"macro_f1": [], "auroc": [], "nll": []}
    for _ in range(400):
        rows = (generator.integers(20, size=20)[:, None] * 4 + np.arange(4)).ravel()
        y = test.labels[rows]
        scores["macro_f1"].append(oracle.f1_score(y, p[rows].argmax(axis=1), average="macro"))
        scores["auroc"].append(oracle.roc_auc_score(y, p[rows], multi_class="ovr"))
        scores["nll"].append(oracle.log_loss(y, p[rows], labels=range(3)))
    found = {**got, "nll": got["calibration"]["before"]["nll"]}
    for name, drawn in scores.items():  # other draws, so equal up to the noise of 400
        low, high = np.quantile(drawn, [0.025, 0.975])
        slack = 0.15 * (high - low)
        assert found[name]["low"] == pytest.approx(low, abs=slack)
        assert found[name]["high"] == pytest.approx(high, abs=slack)


def bin_error(confidence, correct, edges):
    """Calibration error of one column, bins (low, high], in the plainest way."""
    error, low = 0.0, -np.inf
    for high in [*edges, np.inf]:
        inside = (confidence > low) & (confidence <= high)
        error += abs((confidence[inside] - correct[inside]).sum()) / len(confidence)
        low = high
    return error


def plain_scores(logits, y, edges):
    """Every score by scikit-learn and plain sums, but slope and intercept."""
    p = softmax(logits, axis=1)
    top, chosen = p.max(axis=1), p.argmax(axis=1)
    width = np.linspace(0, 1, 16)[1:-1]
    cells = oracle.multilabel_confusion_matrix(y, chosen, labels=range(3))
    scores = {
        "macro_f1": oracle.f1_score(y, chosen, average="macro"),
        "weighted_f1": oracle.f1_score(y, chosen, average="weighted"),
        "accuracy": oracle.accuracy_score(y, chosen),
        "auroc": oracle.roc_auc_score(y, p, multi_class="ovr"),
        "ece": bin_error(top, chosen == y, width),
        "ece_equal_mass": bin_error(top, chosen == y, edges),
        "ece_classwise": np.mean([bin_error(p[:, k], y == k, width) for k in range(3)]),
        "brier": oracle.brier_score_loss(y, p, scale_by_half=False, labels=range(3)),
        "nll": oracle.log_loss(y, p, labels=range(3)),
    }
    for k, name in enumerate(CLASSES):
        scores[name, "precision"] = oracle.precision_score(y == k, chosen == k)
        scores[name, "recall"] = oracle.recall_score(y == k, chosen == k)
        scores[name, "f1"] = oracle.f1_score(y == k, chosen == k)
        scores[name, "specificity"] = cells[k, 0, 0] / cells[k, 0].sum()
        scores[name, "auroc"] = oracle.roc_auc_score(y == k, p[:, k])
    return scores


def test_every_interval_is_that_of_scikit_learn_in_a_loop_over_the_same_draws():
    test = draw(patients=25, frames=6)
    got = judge(test, settings=EvaluationConfig(resamples=40), seed=5).to_dict()
    top = softmax(test.class_logits, axis=1).max(axis=1)
    edges = np.quantile(top, np.linspace(0, 1, 16)[1:-1])
    names, index = np.unique(test.patients, return_inverse=True)
    weights = np.vstack([np.ones(len(names), dtype=int), patient_weights(test.patients, 40, 5)])
    risk, outcome = class_margins(test.class_logits)[:, 2], (test.labels == 2).astype(float)
    fits = {"slope": fit_slope(risk, outcome), "intercept": fit_intercept(risk, outcome)}
    drawn, hard = [], []
    for row in weights:
        frames = np.repeat(np.arange(len(index)), row[index])
        drawn.append(plain_scores(test.class_logits[frames], test.labels[frames], edges))
        for name, fit in fits.items():  # one Newton step
            information, scores = (
                fit.information[frames].sum(axis=0),
                fit.scores[frames].sum(axis=0),
            )
            drawn[-1][name] = (fit.coefficients + np.linalg.solve(information, scores))[-1]
        frames = frames[test.levels[frames] == "hard"]
        hard.append(plain_scores(test.class_logits[frames], test.labels[frames], edges))
    flat = {**got, **got["calibration"]["before"]}
    flat |= {(k, n): v for k in CLASSES for n, v in got["per_class"][k].items() if n != "support"}
    of_level = {n: v for n, v in got["by_level"]["hard"].items() if not n.startswith("n_")}
    for found, made in ((flat, drawn), (of_level, hard)):
        for name in made[0].keys() & found.keys():
            value, *samples = (scores[name] for scores in made)
            low, high = np.quantile(samples, [0.025, 0.975])
            if str(name).startswith("ece"):  # reflected about the value, squares for errors
                least, most = np.quantile(np.square(samples), [0.025, 0.975])
                low = np.sqrt(max(0.0, min(2 * value**2 - most, value**2)))
                high = np.sqrt(max(2 * value**2 - least, value**2))
            expected = {"value": value, "low": low, "high": high}
            assert found[name] == pytest.approx(expected, abs=1e-9), name
    assert len(drawn[0].keys() & flat.keys()) == 11 + 15
    assert len(hard[0].keys() & of_level.keys()) == 6


def test_repeating_the_frames_of_every_patient_does_not_narrow_the_intervals():
    test = draw()
    twice = take(test, np.repeat(np.arange(300), 2))
    once, doubled = judge(test).to_dict(), judge(twice).to_dict()
    for a, b in zip(intervals(once), intervals(doubled), strict=True):
        for key in a:
            assert a[key] == pytest.approx(b[key], abs=1e-9)


def test_one_frame_a_patient_is_the_bootstrap_of_frames():
    test = draw(frames=1, patients=200)
    order = np.argsort(test.patients)
    frames = np.arange(1000, 1200)  # every frame stands for itself
    each = Outputs(test.class_logits[order], test.labels[order], frames, test.levels[order], "test")
    got, by_frame = judge(test).to_dict(), judge(each).to_dict()
    for one, other in zip(intervals(got), intervals(by_frame), strict=True):
        assert one == pytest.approx(other)
    share = got["accuracy"]["value"]
    normal = 2 * 1.96 * np.sqrt(share * (1 - share) / 200)
    assert got["accuracy"]["high"] - got["accuracy"]["low"] == pytest.approx(normal, rel=0.15)


def test_the_order_of_frames_does_not_matter():
    test = draw()
    mixed = take(test, np.random.default_rng(3).permutation(300))
    a, b = judge(test, draw(9)).to_dict(), judge(mixed, draw(9)).to_dict()
    for one, other in zip(intervals(a), intervals(b), strict=True):
        assert one == pytest.approx(other)


def test_same_seed_same_numbers_other_seed_other_intervals():
    first, second, other = (judge(draw(), seed=seed).to_dict() for seed in (1, 1, 2))
    assert first == second
    assert first["macro_f1"]["value"] == other["macro_f1"]["value"]
    assert first["macro_f1"] != other["macro_f1"]


def test_temperature_comes_from_validation_alone_and_changes_no_prediction():
    test, validation = draw(), draw(9, temperature=3)
    got = judge(test, validation)
    assert got.temperature == fit_temperature(validation.class_logits, validation.labels)
    scaled = take(test, slice(None))
    scaled = Outputs(
        test.class_logits / got.temperature, test.labels, test.patients, test.levels, "test"
    )
    again = judge(scaled)
    assert np.array_equal(got.confusion, again.confusion)
    assert got.after == again.before
    assert got.after.slope.value == pytest.approx(
        judge(
            Outputs(scaled.class_logits, test.labels, test.patients, test.levels, "x")
        ).before.slope.value
    )


def test_scaling_mends_an_overconfident_network():
    got = judge(draw(patients=1000), draw(9, patients=1000)).to_dict()
    calibration = got["calibration"]
    assert calibration["temperature"] == pytest.approx(1.6, rel=0.1)
    for key in ("ece", "ece_classwise", "ece_equal_mass", "nll", "brier"):
        assert calibration["after"][key]["value"] < calibration["before"][key]["value"]
    assert calibration["before"]["slope"]["high"] < 1
    assert calibration["after"]["slope"]["value"] == pytest.approx(1, abs=0.1)


def test_without_validation_there_is_no_temperature():
    for validation in (None, take(draw(), slice(0, 0))):
        got = judge(draw(), validation).to_dict()
        assert got["calibration"]["temperature"] is None
        assert got["calibration"]["after"] is None
        assert got["reliability"]["after"] is None


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_where_validation_lacks_a_class_there_is_no_temperature(lost):
    validation = draw(9)
    got = judge(draw(), take(validation, validation.labels != lost)).to_dict()
    assert got["calibration"]["temperature"] is None
    assert got["calibration"]["after"] is None


def test_a_class_without_frames_degrades_to_none():
    test = draw()
    got = judge(take(test, test.labels != 2), draw(9)).to_dict()
    adenoma = got["per_class"]["adenoma"]
    assert adenoma["support"] == 0
    assert adenoma["recall"]["value"] is None
    assert adenoma["auroc"]["value"] is None
    assert adenoma["precision"]["value"] == 0
    assert got["auroc"]["value"] is None
    assert got["macro_f1"]["value"] is not None
    assert got["calibration"]["before"]["slope"]["value"] is None
    assert got["curves"]["roc"]["adenoma"] == {"fpr": [], "tpr": []}


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_tiny_splits_never_crash(frames):
    test = take(draw(), slice(0, frames))
    got = judge(test, test).to_dict()
    json.dumps(got, allow_nan=False)
    assert got["n_frames"] == frames
    for found in intervals(got):  # one patient: no interval
        assert found["low"] is None
        assert found["high"] is None


def test_no_resamples_give_points_without_intervals():
    got = judge(draw(), settings=EvaluationConfig(resamples=0)).to_dict()
    assert got["macro_f1"]["value"] > 0
    assert {found["low"] for found in intervals(got)} == {None}


def test_levels_may_be_numbers():
    test = draw()
    numbered = Outputs(test.class_logits, test.labels, test.patients, np.arange(300) % 12, "test")
    assert list(judge(numbered).to_dict()["by_level"]) == [str(level) for level in range(12)]


def test_a_level_may_bear_any_name():
    test = draw()
    names = np.where(test.levels == "easy", "after", "before")  # in the same order as before
    renamed = judge(
        Outputs(test.class_logits, test.labels, test.patients, names, "test"), draw(9)
    ).to_dict()
    plain = judge(test, draw(9)).to_dict()
    assert renamed["by_level"]["after"] == plain["by_level"]["easy"]
    assert renamed["calibration"] == plain["calibration"]


def test_a_network_of_two_classes_has_one_auroc():
    test = draw()
    two = Outputs(
        np.stack([test.class_logits[:, 0], logsumexp(test.class_logits[:, 1:], axis=1)], axis=1),
        (test.labels > 0).astype(np.int64),
        test.patients,
        test.levels,
        "test",
    )
    got = evaluate(two, validation=None, classes=("a", "b"), settings=QUICK, seed=0).to_dict()
    areas = [got["per_class"][name]["auroc"] for name in ("a", "b")]
    assert areas[0] == pytest.approx(areas[1])
    assert got["auroc"] == pytest.approx(areas[0])


def test_logits_that_are_not_finite_are_told_in_one_line():
    test = draw()
    logits = test.class_logits.copy()
    logits[3, 1] = np.nan
    with pytest.raises(ArtifactError, match="not finite for 1 of 300 frames") as caught:
        Outputs(logits, test.labels, test.patients, test.levels, "test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range_are_refused(label):
    test = draw()
    with pytest.raises(ValueError, match="labels must lie"):
        Outputs(test.class_logits, test.labels * 0 + label, test.patients, test.levels, "test")


def test_extreme_logits_give_finite_numbers_and_no_warning():
    test = draw()
    far = Outputs(test.class_logits * 500, test.labels, test.patients, test.levels, "test")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = judge(far, far).to_dict()
    assert got["calibration"]["temperature"] == pytest.approx(20)
    assert got["calibration"]["before"]["nll"]["value"] > 100


def test_a_level_of_one_class_has_an_accuracy_but_no_macro_f1():
    test = draw(2)
    levels = np.where(test.labels == 0, "low only", "others")
    got = judge(Outputs(test.class_logits, test.labels, test.patients, levels, "test")).to_dict()
    only = got["by_level"]["low only"]
    assert only["macro_f1"]["value"] is None
    assert only["weighted_f1"]["value"] is None
    assert 0 < only["accuracy"]["value"] <= 1
