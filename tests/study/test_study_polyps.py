from dataclasses import replace

import numpy as np
import pytest

from polypskd.study.data import NotAssessableError
from polypskd.study.polyps import (
    gather_polyps,
    gather_test,
    gather_validation,
    join_sizes,
    join_words,
    sample_polyps,
)


def name_lesions(part):
    return np.array([f"{p}/{y}" for p, y in zip(part.patients, part.labels, strict=True)])


def with_lesions(make_data, **more):
    columns = {"lesion": name_lesions} | more.pop("columns", {})
    polyps = {"lesion": "lesion"} | more.pop("polyps", {})
    return make_data(columns=columns, polyps=polyps, **more)


def test_without_a_column_of_lesions_each_frame_is_a_polyp(make_data):
    data = make_data()
    polyps = gather_test(data)
    assert polyps.to_dict()["unit"] == "frames"
    assert polyps.joined is None
    np.testing.assert_allclose(polyps.risk, data.test.risk, atol=1e-12)
    np.testing.assert_array_equal(polyps.outcome, data.test.outcome)
    np.testing.assert_array_equal(polyps.predicted, data.test.predicted)
    assert sample_polyps(data, polyps) is data.sample


def test_the_risk_of_a_lesion_is_the_mean_over_its_frames(make_data):
    data = with_lesions(make_data)
    polyps = gather_test(data)
    lesions = data.column("lesion")
    names = sorted(set(lesions.tolist()))
    assert (polyps.unit, len(polyps)) == ("lesions", len(names))
    for at, name in enumerate(names):
        own = lesions == name
        assert polyps.risk[at] == pytest.approx(data.test.risk[own].mean())
        assert polyps.labels[at] == data.test.labels[own][0]
        assert polyps.patients[at] == data.test.patients[own][0]
        assert set(polyps.frames[own].tolist()) == {at}


def test_a_frame_without_a_lesion_stands_for_itself(make_data):
    data = make_data(
        n=60,
        columns={"lesion": lambda part: np.where(part.labels == 0, "", name_lesions(part))},
        polyps={"lesion": "lesion"},
    )
    polyps = gather_test(data)
    alone = data.test.labels == 0
    assert (np.bincount(polyps.frames)[polyps.frames[alone]] == 1).all()
    assert len(polyps) == alone.sum() + len(set(name_lesions(data.test)[~alone].tolist()))


def test_a_lesion_whose_frames_differ_is_of_the_class_of_highest_risk_and_counted(make_data):
    data = make_data(columns={"lesion": ["7"]}, polyps={"lesion": "lesion"})
    polyps = gather_test(data)
    patients = sorted(set(data.test.patients.tolist()))
    own = [data.test.labels[data.test.patients == name] for name in patients]
    assert polyps.labels.tolist() == [labels.max() for labels in own]
    assert polyps.joined["mixed"] == sum(labels.min() < labels.max() for labels in own)


def test_names_of_lesions_count_within_a_patient_and_an_exam(make_data):
    columns = {"lesion": ["1", "2"], "exam": ["a", "a", "b", "b"]}
    data = make_data(columns=columns, polyps={"lesion": "lesion", "exam": "exam"})
    rows = (data.test.patients.tolist(), data.column("lesion").tolist(), data.column("exam"))
    assert len(gather_test(data)) == len(set(zip(*rows, strict=True)))
    without = replace(data, patients_known=False)
    assert len(gather_test(without)) == 4


def test_an_empty_column_of_lesions_is_refused_with_the_reason(make_data):
    data = make_data(columns={"lesion": ["", "n/a"]}, polyps={"lesion": "lesion"})
    with pytest.raises(NotAssessableError, match="column 'lesion' is empty on the test split"):
        gather_test(data)


def test_empty_splits_are_refused_with_the_reason(make_data):
    data = make_data(validation=0)
    with pytest.raises(NotAssessableError, match=r"no frames, on which thresholds are chosen"):
        gather_validation(data, "thresholds are")


def test_lesions_are_resampled_with_the_draws_of_their_patients(make_data):
    data = with_lesions(make_data)
    polyps = gather_test(data)
    sample = sample_polyps(data, polyps)
    np.testing.assert_array_equal(sample.weights, data.sample.weights)
    owners = np.unique(data.test.patients)
    np.testing.assert_array_equal(owners[sample.index], polyps.patients)


def test_where_patients_are_unknown_lesions_are_resampled(make_data):
    data = with_lesions(make_data, patients_known=False)
    # As a cohort without patients has it: each frame is a patient of its own.
    data = replace(data, test=replace(data.test, patients=data.test.frame_ids))
    polyps = gather_test(data)
    sample = sample_polyps(data, polyps)
    assert sample.patients == len(polyps) == len(set(data.column("lesion").tolist()))


def test_a_lesion_has_the_word_of_its_frames_unless_they_contradict_each_other(make_data):
    def size(part):
        _, lesion = np.unique(name_lesions(part), return_inverse=True)
        words = np.array(["4", "4.0", "", "9", "5-6"], dtype="U9")[np.arange(len(lesion)) % 5]
        words[lesion == 0] = np.resize(["4", "4.0", "unknown"], (lesion == 0).sum())
        words[lesion == 1] = "5-6"
        words[lesion == 2] = np.resize(["4", "9"], (lesion == 2).sum())
        return words

    data = with_lesions(make_data, columns={"mm": size}, polyps={"size_mm": "mm"})
    polyps = gather_test(data)
    sizes, counts = join_sizes(data, polyps)
    for at in range(len(polyps)):
        told = {w for w in data.column("mm")[polyps.frames == at].tolist() if w not in ("", "5-6")}
        told = {float(w) for w in told - {"unknown"}}
        expected = told.pop() if len(told) == 1 else np.nan
        np.testing.assert_equal(sizes[at], expected)
    assert np.isfinite(sizes[0])
    assert np.isnan(sizes[1:3]).all()
    assert counts["known"] == np.isfinite(sizes).sum()
    assert counts["known"] + counts["unknown"] == len(polyps)
    assert counts["unreadable"] == (data.column("mm") == "5-6").sum()
    assert counts["contradictory"] >= 1


def test_sizes_are_refused_where_no_column_tells_them(make_data):
    data = make_data()
    with pytest.raises(NotAssessableError, match=r"set study\.polyps\.size_mm"):
        join_sizes(data, gather_test(data))


def test_a_column_of_unknowns_gives_unknowns(make_data):
    polyps = gather_test(make_data(n=12))
    words, counts = join_words(np.full(12, " n/a "), polyps, str)
    assert words.tolist() == [""] * 12
    assert counts == {"known": 0, "unknown": 12, "contradictory": 0, "unreadable": 0}


def test_validation_is_joined_by_the_same_rule(make_data):
    data = with_lesions(make_data, polyps={"rule": "max_risk"})
    polyps = gather_polyps(data, data.validation)
    assert (polyps.split, polyps.joined["rule"]) == ("val", "max_risk")
    assert len(polyps) == len(set(name_lesions(data.validation).tolist()))
