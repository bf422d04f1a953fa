import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from polypskd.metrics.information import score_invention
from polypskd.metrics.teaching import warn_of_run, warn_of_teacher


def test_information_of_invented_subclasses_is_the_mutual_information_within_classes():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 400)
    subclasses = classes * 2 + rng.integers(0, 2, 400)
    p = rng.dirichlet(np.ones(6), 400)
    class_of = np.array([0, 0, 0, 1, 1, 1])
    found = score_invention(subclasses, classes, p, class_of)
    expected = 0.0
    for c in (0, 1):
        rows = classes == c
        likeliest = p[rows][:, class_of == c].argmax(1)
        expected += rows.mean() * mutual_info_score(subclasses[rows], likeliest) / np.log(2)
    assert found["mutual_information"] == pytest.approx(expected)
    used = np.bincount(p.argmax(1), minlength=6) / 400
    assert found["utilization_entropy"] == pytest.approx(-(used * np.log2(used)).sum())


def test_without_frames_nothing_is_said():
    empty = np.zeros(0, dtype=np.int64)
    found = score_invention(empty, empty, np.zeros((0, 4)), np.array([0, 0, 1, 1]))
    assert set(found.values()) == {None}


@pytest.mark.parametrize(
    ("teacher", "student", "warned"),
    [(0.7, 0.6, False), (0.6, 0.6, True), (0.5, 0.6, True), (None, 0.6, False), (0.5, None, False)],
)
def test_a_teacher_no_better_than_the_plain_student_is_told_in_one_line(teacher, student, warned):
    told = warn_of_teacher(teacher, student, plain=True)
    assert bool(told) == warned
    assert "\n" not in told
    record = {"validation": {"macro_f1": student}, "teacher": {"validation": {"macro_f1": teacher}}}
    assert bool(warn_of_run(record)) == warned


def test_a_run_without_a_teacher_is_not_warned_of():
    assert warn_of_run({"validation": {"macro_f1": 0.5}, "teacher": None}) == ""
