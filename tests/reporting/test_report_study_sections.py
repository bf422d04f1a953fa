from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from run_folder import make_run
from study_record import CLASSES, make_study, refuse

from polypskd.reporting.collecting import collect_report
from polypskd.reporting.content import Content, list_pictures, list_tables, walk
from polypskd.reporting.record import Record, read_record
from polypskd.reporting.sections.study import Part, build_parts

pytestmark = pytest.mark.usefixtures("quick")

ANCHORS = {
    "accuracy": "diagnostic-accuracy",
    "calibration": "scalings",
    "soft_labels": "soft-labels",
    "endpoints": "clinical-endpoints",
    "surveillance": "surveillance",
    "predictive_values": "predictive-values",
    "operating_points": "operating-points",
    "decisions": "decision-curve",
    "selective": "selective-prediction",
    "conformal": "conformal-sets",
    "annotators": "against-annotators",
    "subgroups": "subgroup-comparison",
    "noninferiority": "noninferiority",
    "baseline": "baseline",
    "robustness": "robustness",
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return read_record(make_run(tmp_path_factory.mktemp("studied"), classes=CLASSES, n=120))


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    return make_study()


@pytest.fixture(scope="module")
def content(plain: Record, study: dict[str, Any]) -> Content:
    return collect_report(replace(plain, study=study), None)


def say(content: Content) -> str:
    lines: list[str] = []
    for section in walk(content.sections):
        lines += [section.title, *section.paragraphs, *section.points, *section.notes]
        for table in section.tables:
            lines += [table.caption, *(cell for row in table.rows for cell in row)]
    return "\n".join(lines)


def test_every_section_that_can_be_assessed_has_a_place_with_sentences_and_numbers(
    study: dict[str, Any], content: Content
) -> None:
    assert not [name for name in ANCHORS if study[name].get("not_assessable")]
    found = {section.key: section for section in walk(content.sections)}
    for name, key in ANCHORS.items():
        section = found[key]
        assert section.paragraphs, name
        assert section.tables, name
        assert all(table.rows and table.raw for table in section.tables), name
    assert not [key for key in found if key.endswith("not-assessable")]


def test_keys_of_sections_tables_and_figures_are_unique(content: Content) -> None:
    for keys in (
        [section.key for section in walk(content.sections)],
        [table.key for section in walk(content.sections) for table in section.tables],
        [picture.key for picture in list_pictures(content)],
    ):
        assert "" not in keys
        assert [key for key, count in Counter(keys).items() if count > 1] == []


def test_columns_can_be_told_apart_by_their_heads(content: Content) -> None:
    for table in list_tables(content):
        assert len(set(table.head)) == len(table.head), table.key


def test_every_figure_can_be_drawn_again_for_a_paper(content: Content) -> None:
    assert len(list_pictures(content)) > 15
    assert all(picture.figure is not None for picture in list_pictures(content))


def test_every_estimate_keeps_its_bounds_for_a_program(content: Content) -> None:
    tables = {table.key: table for table in list_tables(content)}
    for key in (
        "accuracy-by-class",
        "endpoint-thresholds",
        "corruptions",
        "each-annotator",
        "conformal-coverage",
        "subgroups-1-difficulty-level",
    ):
        estimates = [cell for row in tables[key].raw for cell in row if isinstance(cell, dict)]
        assert estimates, key
        assert all({"value", "low", "high"} <= set(one) for one in estimates), key


@pytest.mark.parametrize("name", ["accuracy", "robustness", "surveillance"])
def test_what_cannot_be_assessed_is_told_once_with_its_reason(
    plain: Record, study: dict[str, Any], name: str
) -> None:
    content = collect_report(replace(plain, study=refuse(study, (name,))), None)
    keys = {section.key for section in walk(content.sections)}
    assert ANCHORS[name] not in keys
    # An endpoint that surveillance would judge has its reason in the tables of endpoints as well.
    expected = 1 if name != "surveillance" else 3
    assert say(content).count(f"no reason but {name}") == expected


def test_a_study_of_which_nothing_can_be_assessed_is_a_report_all_the_same(
    plain: Record, study: dict[str, Any]
) -> None:
    content = collect_report(replace(plain, study=refuse(study, tuple(ANCHORS))), None)
    text = say(content)
    for name in set(ANCHORS) - {"surveillance"}:
        assert text.count(f"no reason but {name}") == 1, name
    tables = {table.key for table in list_tables(content)}
    assert {"classes", "splits", "calibration-errors"} <= tables  # told elsewhere in a study


def test_what_a_study_tells_is_not_told_twice(content: Content) -> None:
    tables = {table.key for table in list_tables(content)}
    assert not {"classes", "splits", "calibration-errors"} & tables


def test_the_endpoints_stand_in_the_summary(study: dict[str, Any], content: Content) -> None:
    (table,) = (one for one in content.sections[0].tables if one.key == "endpoints")
    verdicts = {row[0]: row[1:3] for row in table.rows}
    for one in study["endpoints"]["endpoints"]:
        assert (one["by_value"], one["by_lower_bound"]) in verdicts.values()
    assert len(verdicts) == 3 + 2  # surveillance by two guidelines


def test_parts_are_built_in_their_order_and_reasons_come_last(plain: Record) -> None:
    def tell(section: Any) -> list[str]:
        return [section.get("not_assessable") or "told"]

    parts = [Part(name, name, name, tell, lambda section: []) for name in ("a", "b", "c", "d")]
    found = {"d": {"n": 1}, "b": {"not_assessable": "no b"}, "c": {"n": 2}}
    built = build_parts(replace(plain, study=found), parts, "here")
    assert [one.key for one in built] == ["c", "d", "here-not-assessable"]
    assert built[-1].points == ("no b",)
    assert build_parts(replace(plain, study=None), parts, "here") == ()


def test_the_words_on_heat_maps_stand_by_the_frames(plain: Record, study: dict[str, Any]) -> None:
    def errors(study: dict[str, Any]) -> str:
        content = collect_report(replace(plain, study=study), None)
        (section,) = (one for one in content.sections if one.key == "errors")
        return " ".join(section.paragraphs)

    assert "Colored places" not in errors(study)  # there is no map
    assert "no heat maps: no reason but cams" in errors(refuse(study, ("cams",)))


def test_subgroups_are_told_where_the_evaluation_has_no_levels(
    plain: Record, study: dict[str, Any]
) -> None:
    bare = replace(plain, study=study, evaluation=plain.evaluation | {"by_level": {}})
    keys = {section.key for section in walk(collect_report(bare, None).sections)}
    assert "subgroup-comparison" in keys
