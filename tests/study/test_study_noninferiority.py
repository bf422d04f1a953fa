import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_auc_score

from polypskd.arrays import write_arrays
from polypskd.artifacts import write_json
from polypskd.errors import ArtifactError
from polypskd.labels.examples import Examples, write_examples
from polypskd.study.data import NotAssessableError
from polypskd.study.noninferiority import compare_folders, describe_noninferiority


@pytest.fixture(scope="module")
def data(make_data):
    return make_data(300, teacher=True, margin=0.04)


@pytest.fixture(scope="module")
def found(data):
    return describe_noninferiority(data)


def score(labels, predicted, positive):
    P, Q = positive[labels], positive[predicted]
    return {
        "macro_f1": f1_score(labels, predicted, average="macro"),
        "accuracy": accuracy_score(labels, predicted),
        "sensitivity": recall_score(P, Q),
        "specificity": recall_score(~P, ~Q),
    }


def test_both_sides_are_those_of_scikit_learn(data, found):
    test = data.test
    for side, logits in (("new", test.student), ("old", test.teacher)):
        for name, value in score(test.labels, logits.argmax(axis=1), data.positive).items():
            assert found["metrics"][name][side]["value"] == pytest.approx(value)
        risk = softmax(logits, axis=1)[:, data.positive].sum(axis=1)
        assert found["auroc"][side]["value"] == pytest.approx(roc_auc_score(test.outcome, risk))


def test_the_difference_is_resampled_by_patient_for_both_at_once(data, found):
    test, drawn = data.test, []
    right = (test.student.argmax(axis=1) == test.labels).astype(float)
    right -= test.teacher.argmax(axis=1) == test.labels
    for weights in data.sample.weights.astype(float):
        w = weights[data.sample.index]
        drawn.append((right * w).sum() / w.sum())
    one = found["metrics"]["accuracy"]["difference"]
    assert [one["low"], one["high"]] == pytest.approx(np.quantile(drawn, [0.025, 0.975]))


def test_the_margin_is_that_of_the_settings_and_the_conclusion_follows(found):
    assert found["margin"] == 0.04
    for one in [*found["metrics"].values(), found["auroc"]]:
        low, high = one["difference"]["low"], one["difference"]["high"]
        expected = (
            "superior"
            if low > 0
            else "non-inferior"
            if low > -0.04
            else "inferior"
            if high < -0.04
            else "inconclusive"
        )
        assert one["conclusion"] == expected


def test_without_a_teacher_there_is_nothing_to_compare(make_data):
    with pytest.raises(NotAssessableError, match="no teacher"):
        describe_noninferiority(make_data(30))


def test_the_teacher_as_its_own_student_differs_by_nothing(data):
    same = replace(data, test=replace(data.test, student=data.test.teacher))
    found = describe_noninferiority(same)
    assert {one["difference"]["value"] for one in found["metrics"].values()} == {0}
    json.dumps(found, allow_nan=False)


# --- two folders --------------------------------------------------------------------------------

CLASSES = ("low", "high")


def write_run(folder, order=None, labels=None, seed=0):
    folder.mkdir()
    generator, n = np.random.default_rng(0), 120
    truth = generator.integers(2, size=n)
    ids = np.array([f"f{i:03d}" for i in range(n)])
    split = np.array(["test", "test", "val"])[np.arange(n) % 3]
    order = np.arange(n) if order is None else order
    truth = truth if labels is None else labels(truth)
    consensus = np.array(CLASSES)[truth]
    examples = Examples(
        frame_id=ids,
        path=np.full(n, ""),
        patient_id=np.array([f"p{i // 3}" for i in range(n)]),
        split=split,
        consensus=consensus,
        subclass=consensus,
        level=np.zeros(n, np.int64),
        stage=np.zeros(n, np.int64),
        agreement=np.ones(n),
        n_votes=np.ones(n, np.int64),
        votes={name: (consensus == name).astype(np.int64) for name in CLASSES},
        carried={},
    )
    picked = Examples(
        **{k: v[order] for k, v in vars(examples).items() if isinstance(v, np.ndarray)},
        votes={k: v[order] for k, v in examples.votes.items()},
        carried={},
    )
    write_examples(folder / "examples.csv", picked)
    subclasses = [{"name": name, "class": name, "level": 0} for name in CLASSES]
    write_json(folder / "agreement.json", {"classes": list(CLASSES), "subclasses": subclasses})
    noise = np.random.default_rng(seed).normal(size=(n, 2))
    logits = (np.eye(2)[truth] + noise)[order]
    rows = np.flatnonzero(picked.split != "train")
    arrays = {"rows": rows, "student": logits[rows], "teacher": np.zeros((0, 2))}
    write_arrays(folder / "answers.npz", arrays)
    return folder


def test_two_runs_are_matched_by_frame_whatever_their_order(tmp_path):
    one = write_run(tmp_path / "one")
    turned = write_run(tmp_path / "turned", order=np.random.default_rng(5).permutation(120))
    other = write_run(tmp_path / "other", seed=1)
    same = compare_folders(one, turned, resamples=50)
    assert (same["n_frames"], same["n_patients"]) == (80, 40)
    assert same["metrics"]["accuracy"]["difference"]["value"] == 0
    assert same["auroc"]["difference"]["value"] == 0
    there = compare_folders(one, other, resamples=50)["metrics"]["accuracy"]
    back = compare_folders(other, one, resamples=50)["metrics"]["accuracy"]
    assert there["difference"]["value"] == pytest.approx(-back["difference"]["value"]) != 0


def test_runs_that_do_not_belong_together_are_refused(tmp_path):
    one = write_run(tmp_path / "one")
    flipped = write_run(tmp_path / "flipped", labels=lambda truth: 1 - truth)
    short = write_run(tmp_path / "short", order=np.arange(60))
    with pytest.raises(ArtifactError, match="reference standard differs on 80 test frames"):
        compare_folders(one, flipped)
    with pytest.raises(ArtifactError, match="40 test frames in common, of 80 and 40"):
        compare_folders(one, short)
    with pytest.raises(ArtifactError, match="'polyp' is none of its classes"):
        compare_folders(one, one, positive=("polyp",))
    (one / "answers.npz").unlink()
    with pytest.raises(ArtifactError, match="missing"):
        compare_folders(one, short)
