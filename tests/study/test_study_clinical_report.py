"""The clinical sections as the report tells them: from a study to sentences, tables, figures."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from polypskd.reporting.figures import style
from polypskd.reporting.study.conformal import draw_conformal, tabulate_conformal, tell_conformal
from polypskd.reporting.study.decisions import draw_decisions, tabulate_decisions, tell_decisions
from polypskd.reporting.study.endpoints import tabulate_endpoints, tell_endpoints
from polypskd.reporting.study.operating_points import (
    tabulate_operating_points,
    tell_operating_points,
)
from polypskd.reporting.study.predictive_values import (
    draw_predictive_values,
    tabulate_predictive_values,
    tell_predictive_values,
)
from polypskd.reporting.study.selective import draw_selective, tabulate_selective, tell_selective
from polypskd.reporting.study.surveillance import tabulate_surveillance, tell_surveillance
from polypskd.study.conformal import describe_conformal
from polypskd.study.decisions import describe_decisions
from polypskd.study.endpoints import describe_endpoints
from polypskd.study.operating_points import describe_operating_points
from polypskd.study.predictive_values import describe_predictive_values
from polypskd.study.selective import describe_selective
from polypskd.study.surveillance import describe_surveillance

CLASSES = ("hyper <b>", "serr $x$ ated", "adenoma & co")
SETTINGS = {
    "columns": {"mm": ["4", "5", "8", ""], "place": ["rectum", "cecum"], "path": ["tubular"]},
    "polyps": {
        "size_mm": "mm",
        "segment": "place",
        "histology": "path",
        "called": dict(zip(CLASSES, ("hyperplastic", "ssl", "tubular"), strict=True)),
    },
}
PARTS = {
    "endpoints": (describe_endpoints, tell_endpoints, tabulate_endpoints, None),
    "surveillance": (describe_surveillance, tell_surveillance, tabulate_surveillance, None),
    "predictive_values": (
        describe_predictive_values,
        tell_predictive_values,
        tabulate_predictive_values,
        draw_predictive_values,
    ),
    "operating_points": (
        describe_operating_points,
        tell_operating_points,
        tabulate_operating_points,
        None,
    ),
    "decisions": (describe_decisions, tell_decisions, tabulate_decisions, draw_decisions),
    "selective": (describe_selective, tell_selective, tabulate_selective, draw_selective),
    "conformal": (describe_conformal, tell_conformal, tabulate_conformal, draw_conformal),
}


@pytest.fixture(scope="module")
def sections(make_data):
    data = make_data(classes=CLASSES, **SETTINGS)
    return {name: json.loads(json.dumps(part[0](data))) for name, part in PARTS.items()}


def draw(section, name):
    with style():
        pictures = PARTS[name][3](section)
    for picture in pictures:
        head, data = picture.source.split(",", 1)
        assert head == "data:image/svg+xml;base64"
        assert base64.b64decode(data).startswith(b"<?xml")
    return pictures


@pytest.mark.parametrize("name", PARTS)
def test_sentences_and_tables_are_whole(sections, name):
    _, tell, tabulate, _ = PARTS[name]
    told, tables = tell(sections[name]), tabulate(sections[name])
    assert told
    assert tables
    for text in (*told, *(table.caption for table in tables)):
        assert text.endswith(".")
        assert not any(word in text for word in ("None", "nan", ".."))
    for table in tables:
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.head)}
        cells = [cell for row in table.rows for cell in row]
        assert not any(word in cell for cell in cells for word in ("None", "nan"))


@pytest.mark.parametrize("name", PARTS)
def test_what_is_not_assessable_is_told_with_its_reason_alone(name):
    _, tell, tabulate, drawing = PARTS[name]
    none = {"not_assessable": "no such column; set one"}
    (told,) = tell(none)
    assert told.endswith("not assessable: no such column; set one.")
    assert list(tabulate(none)) == []
    assert drawing is None or list(drawing(none)) == []


@pytest.mark.parametrize("name", [name for name, part in PARTS.items() if part[3]])
def test_figures_come_with_words_and_with_equal_bytes(sections, name):
    first, second = draw(sections[name], name), draw(sections[name], name)
    assert first
    assert [one.source for one in first] == [one.source for one in second]
    assert all(one.alt.endswith(".") and one.caption.endswith(".") for one in first)


def test_predictive_values_are_told_at_each_prevalence_and_drawn_twice(sections):
    section = sections["predictive_values"]
    table = tabulate_predictive_values(section)[0]
    assert [row[0] for row in table.rows[:-1]] == ["20%", "35%", "50%", "65%"]
    for row, stated in zip(table.rows, section["all"]["stated"], strict=False):
        assert row[3].startswith(f"{stated['npv']['value']:.3f} (")
    pictures = draw(section, "predictive_values")
    assert [
        f"{words}:" in one.alt
        for words, one in zip(("all calls", "calls of high confidence"), pictures, strict=True)
    ] == [True, True]


def test_the_decision_curve_is_listed_against_the_better_of_all_and_none(sections):
    section = sections["decisions"]
    (table,) = tabulate_decisions(section)
    assert [row[0] for row in table.rows] == [f"{at / 10:.2f}" for at in range(1, 10)]
    row = section["curve"][49]
    best = max(row["everyone"]["value"], 0)
    (picture,) = draw(section, "decisions")
    assert f"at 0.5 {row['model']['value']:.3f} against {best:.3f}" in picture.alt
    assert table.rows[4][3].startswith(f"{row['model']['value'] - best:.3f}")


def test_unsure_calls_are_told_once_a_way_of_counting(sections):
    section = sections["selective"]
    excluded, sent, wrong = tabulate_selective(section)
    assert [row[0] for row in excluded.rows] == ["100%", "90%", "80%", "70%", "50%"]
    # With every call kept the three are one; then they part.
    assert excluded.rows[0] == sent.rows[0] == wrong.rows[0]
    assert excluded.rows[-1][5] == sent.rows[-1][5] != wrong.rows[-1][5]
    assert [one.alt.split(" ")[0] for one in draw(section, "selective")] == [
        "Sensitivity",
        "Specificity",
        "NPV",
    ]


def test_a_score_that_becomes_undefined_is_told_as_such(sections):
    section = json.loads(json.dumps(sections["selective"]))
    section["points"][-1]["excluded"]["npv"]["value"] = None
    assert "to undefined among those kept" in tell_selective(section)[0]


def test_one_coverage_alone_is_no_curve(make_data):
    section = describe_selective(make_data(coverages=(1.0,)))
    assert draw(section, "selective") == []
    assert "Area under" in tell_selective(section)[0]


def test_classes_with_too_few_validation_polyps_are_marked(make_data):
    section = describe_conformal(make_data(n=120, validation=40, miscoverage=0.01))
    assert tell_conformal(section)[-1] == (
        "Too few on validation for this level (at least 99 are needed), so in every set: "
        "hyperplastic, serrated, adenoma."
    )
    assert {row[2] for row in tabulate_conformal(section)[0].rows[:-1]} == {"none: in every set"}
    assert draw(section, "conformal")[0].caption.endswith("too few on validation, in every set.")


def test_a_class_that_is_covered_too_rarely_is_named(sections):
    section = json.loads(json.dumps(sections["conformal"]))
    for one in section["per_class"].values():
        one |= {"value": 0.95, "low": 0.92, "high": 0.97}
    said = tell_conformal(section)[0]
    assert said.startswith("Coverage is at least the 90% aimed at: hyper <b> 0.950")
    assert "below" not in said
    section["per_class"]["adenoma & co"] |= {"value": 0.7, "low": 0.6, "high": 0.8}
    said = tell_conformal(section)[0]
    assert said.startswith(
        "Coverage is below the 90% aimed at: adenoma & co 0.700 (0.600 to 0.800)."
    )


def test_an_operating_point_without_a_threshold_says_why(sections):
    section = json.loads(json.dumps(sections["operating_points"]))
    section["points"][0]["chosen"]["threshold"] = None
    section["points"][0]["reason"] = "the validation split has no positive polyps"
    assert tell_operating_points(section)[0] == (
        "For sensitivity ≥ 0.9 there is no threshold: the validation split has no positive polyps."
    )
    assert tabulate_operating_points(section)[0].rows[0][1] == "–"


def test_a_rule_that_keeps_no_call_leaves_dashes(make_data):
    band = {"kind": "band", "negative_to": 0.0, "positive_from": 1.0}
    section = describe_predictive_values(make_data(confidence=band))
    table = tabulate_predictive_values(section)[1]
    assert {cell for row in table.rows for cell in row[1:]} == {"–"}
    assert table.rows[-1][0] == "here"
    assert len(draw(section, "predictive_values")) == 1
    assert describe_endpoints(make_data(confidence=band))["confidence_rule"]["kept"]["value"] == 0


def test_scores_that_are_undefined_break_no_figure(make_data):
    data = make_data()
    data = replace(data, test=replace(data.test, labels=np.full(len(data.test), 2)))
    for name in ("predictive_values", "selective", "conformal"):
        section = PARTS[name][0](data)
        draw(section, name)
        PARTS[name][1](section)
        PARTS[name][2](section)
