import pytest
from pydantic import ValidationError

from polypskd.config import Config, Study
from polypskd.reporting.study.operating_points import (
    tabulate_operating_points,
    tell_operating_points,
)
from polypskd.study.operating_points import describe_operating_points
from polypskd.study.selective import describe_selective

CLASSES = ["normal", "hyperplastic", "adenoma", "cancer"]


def make_page(positive, classes=CLASSES):
    return {
        "name": "x",
        "cohort": {
            "frames": {"kind": "synthetic", "patients": 9, "frames_per_patient": 3, "size": 48},
            "votes": {"kind": "synthetic"},
            "classes": classes,
        },
        "study": {"positive": positive},
    }


@pytest.mark.parametrize(
    ("positive", "told"),
    [
        (["adenoma"], "['cancer']"),
        (["hyperplastic", "cancer"], "['adenoma', 'cancer']"),
        (["normal"], "['cancer']"),
    ],
)
def test_positive_classes_must_be_those_of_highest_risk(positive, told):
    with pytest.raises(ValidationError) as caught:
        Config.model_validate(make_page(positive))
    (error,) = caught.value.errors()
    assert error["msg"] == (
        f"Value error, study.positive must be the classes of highest risk, e.g. {told}; "
        "order cohort.classes by risk"
    )


@pytest.mark.parametrize(
    "positive", [[], ["cancer"], ["cancer", "adenoma"], ["hyperplastic", "adenoma", "cancer"]]
)
def test_the_top_end_of_the_classes_may_be_positive_in_any_order(positive):
    assert list(Config.model_validate(make_page(positive)).study.positive) == positive


@pytest.mark.parametrize("name", ["coverages", "prevalences"])
def test_an_empty_list_that_no_section_could_bear_is_refused(name):
    with pytest.raises(ValidationError, match="at least 1 item"):
        Study.model_validate({name: []})


def test_one_coverage_is_enough(make_data):
    assert len(describe_selective(make_data(coverages=[0.5]))["points"]) == 1


def test_without_operating_points_none_is_told(make_data):
    section = describe_operating_points(make_data(operating_points=[]))
    assert section["points"] == []
    assert tell_operating_points(section) == []
    assert not tabulate_operating_points(section)
