import base64

import pytest

from polypskd.reporting.figures import style
from polypskd.reporting.study.annotators import (
    draw_annotators,
    tabulate_annotators,
    tell_annotators,
)


def interval(value, width=0.05):
    return {"value": value, "low": value - width, "high": value + width, "p": 0.2}


def scores(sensitivity, specificity):
    return {"sensitivity": interval(sensitivity), "specificity": interval(specificity)}


def judged(sensitivity, specificity, **more):
    return {
        "own": scores(sensitivity, specificity),
        "student": scores(0.9, 0.8),
        "difference": scores(0.9 - sensitivity, 0.8 - specificity),
        "kappa": interval(0.6),
        **more,
    }


@pytest.fixture
def section():
    people = [
        judged(0.7, 0.85, name="annotator 1", group="expert", n_judged=90),
        judged(0.8, 0.75, name="annotator 2", group=None, n_judged=80),
    ]
    return {
        "annotators": people,
        "groups": {
            "all": judged(0.75, 0.8, annotators=["annotator 1", "annotator 2"]),
            "expert": judged(0.7, 0.85, annotators=["annotator 1"]),
        },
        "confidence": 0.95,
        "student": scores(0.91, 0.81),
        "roc": {"fpr": [0, 0.2, 1], "tpr": [0, 0.9, 1], "auroc": interval(0.88)},
        "advantage": {"margin": 0.1, "winning_rate": 0.5, "passed": True},
        "multi_case": {
            "sensitivity": {"difference": interval(0.15) | {"p": 0.0002}},
            "specificity": {"not_assessable": "nothing varies"},
        },
    }


def test_the_sentences_hold_the_numbers(section):
    first, second, third = tell_annotators(section)
    assert "2 annotators voted" in first
    assert "annotators 0.700 to 0.800, mean 0.750; student 0.900, difference +0.150" in first
    assert second.endswith("the difference is in sensitivity +0.150 (0.100 to 0.200), p < 0.001.")
    assert "50% of the annotators" in third


def test_what_cannot_be_tested_is_not_told(section):
    section["advantage"]["passed"] = None
    section["multi_case"]["sensitivity"] = {"not_assessable": "nothing varies"}
    assert len(tell_annotators(section)) == 1


def test_tables_have_a_row_for_each_group_and_annotator(section):
    groups, people = tabulate_annotators(section)
    assert [row[0] for row in groups.rows] == ["All annotators", "expert"]
    assert people.rows[0][:4] == ("Annotator 1", "expert", "90", "0.700 (0.650 to 0.750)")
    assert people.rows[1][1] == "–"
    for table in (groups, people):
        assert {len(row) for row in table.rows} == {len(table.head)}


def test_the_figure_tells_each_point_in_words(section):
    with style():
        (picture,) = draw_annotators(section)
        assert [picture] == draw_annotators(section)
    assert "annotator 2 0.800, 0.750" in picture.alt
    assert "0.880 (0.830 to 0.930)" in picture.alt
    text = base64.b64decode(picture.source.split(",")[1]).decode()
    assert "expert" in text
    assert "no group" in text


def test_nothing_is_drawn_where_nothing_is_known(section):
    reason = {"not_assessable": "annotators are not known by name"}
    assert draw_annotators(reason) == tabulate_annotators(reason) == []
    section["roc"] = {"fpr": [], "tpr": [], "auroc": {"value": None}}
    assert draw_annotators(section) == []
    undefined = {"value": None, "low": None, "high": None}
    for one in section["annotators"]:
        one["own"]["sensitivity"] = undefined
    assert "annotators –" in tell_annotators(section)[0]
