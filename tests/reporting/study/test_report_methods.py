import pytest

from polypskd.reporting.study.methods import describe_study


@pytest.fixture
def study():
    joined = {"rule": "mean_probability"}
    clinical = {"unit": "lesions", "joined": joined}
    return {
        "positive": ["serrated", "adenoma"],
        "classes": ["hyperplastic", "serrated", "adenoma"],
        "accuracy": {"confidence": 0.9, "patients_known": True},
        "endpoints": clinical | {"confidence_rule": {"rule": {"fixed_on": "val"}}},
        "operating_points": clinical,
        "selective": clinical,
        "conformal": clinical | {"alpha": 0.1},
        "annotators": {"confidence": 0.9},
        "noninferiority": {"margin": 0.05},
        "subgroups": {"columns": {}},
    }


def test_the_methods_name_classes_unit_intervals_and_what_validation_fixed(study):
    text = " ".join(describe_study(study))
    assert "positive classes are serrated, adenoma; the sum of their probabilities" in text
    assert "count lesions, each by the mean of its frames' probabilities" in text
    assert "90% intervals of the study are by patient" in text
    assert (
        "The thresholds of operating points, the rule of confident calls, the cut-offs of unsure "
        "calls and the quantiles of conformal sets were chosen on the validation split"
    ) in text
    assert "in 90% of each class" in text
    assert "margin of non-inferiority of 0.05" in text
    assert "consensus of the others" in text
    assert "adjusted for the number of levels" in text


def test_what_is_not_assessable_is_not_described(study):
    every = describe_study(study)
    reason = {"not_assessable": "no reason"}
    for name in ("accuracy", "conformal", "annotators", "noninferiority", "subgroups"):
        assert describe_study(study | {name: reason}) != every
    names = ("endpoints", "operating_points", "selective", "conformal", "accuracy")
    bare = study | dict.fromkeys((*names, "annotators", "noninferiority", "subgroups"), reason)
    assert len(describe_study(bare)) == 1
    assert describe_study({}) == []


def test_a_rule_that_the_config_fixed_was_not_chosen_on_validation(study):
    study["endpoints"]["confidence_rule"] = {"rule": {"fixed_on": "config"}}
    assert "confident calls" not in " ".join(describe_study(study))
    study["endpoints"]["confidence_rule"] = {"rule": None, "reason": "none"}
    assert "confident calls" not in " ".join(describe_study(study))


def test_unknown_patients_and_single_frames_are_told(study):
    study["accuracy"] = {"confidence": 0.95, "patients_known": False}
    study["endpoints"] = {"unit": "frames"}
    text = " ".join(describe_study(study))
    assert "take frames as independent" in text
    assert "count each frame by itself" in text
    assert "most probable class" not in text
    for names, told in (("ab", False), ("abc", True)):
        study["accuracy"]["frames"] = {"classes": dict.fromkeys(names)}
        text = " ".join(describe_study(study))
        assert ("its most probable class; Clinical questions call positive" in text) is told
