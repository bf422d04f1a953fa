"""The report of frames that came with their class: subclasses known, nobody voted, no columns."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from run_folder import make_run
from study_record import CLASSES, make_study

from polypskd.reporting import figures
from polypskd.reporting.collecting import collect_report
from polypskd.reporting.content import walk
from polypskd.reporting.levels import name_levels, order_levels
from polypskd.reporting.page import render_html
from polypskd.reporting.record import Json, Record, read_record
from polypskd.reporting.sections.summary import build_summary
from polypskd.reporting.study.baseline import tabulate_baseline
from polypskd.reporting.study.endpoints import tabulate_endpoints
from polypskd.reporting.study.predictive_values import tell_predictive_values

NOTHING = {"by_value": "not assessable", "by_lower_bound": "not assessable"}
HEAD = '<th scope="col">Student\'s p</th><th scope="col">'  # of a card's table
MISSING = "no column tells {0}; set study.polyps.{1}"


@pytest.fixture(scope="module", autouse=True)
def quick() -> Any:
    """Make figures, but no SVG of them, which takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "encode", lambda figure: "data:image/svg+xml;base64,")
        yield


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    run = make_run(tmp_path_factory.mktemp("given"), classes=CLASSES, n=120)
    found = read_record(run)
    config: Json = deepcopy(found.config)
    config["cohort"]["votes"] = {"kind": "folders"}
    config["labels"]["subclasses"] = {"kind": "known"}
    return replace(found, config=config, study=deny_endpoints(make_study()))


def deny_endpoints(study: Json) -> Json:
    """Let no endpoint be assessable, as without columns."""
    told = deepcopy(study)
    reason = f"{MISSING.format('sizes', 'size_mm')}; {MISSING.format('segments', 'segment')}"
    for one in told["endpoints"]["endpoints"]:
        one.update(NOTHING, reason=reason)
    told["surveillance"] = {"not_assessable": MISSING.format("histology", "histology")}
    return told


def test_endpoints_that_are_all_not_assessable_are_one_sentence_of_the_summary(
    record: Record,
) -> None:
    summary = build_summary(record, None)
    assert [table.key for table in summary.tables] == ["headline"]
    (line,) = [note for note in summary.notes if note.startswith("Not assessable: ")]
    assert line.endswith(
        "No column tells sizes, segments or histology; set study.polyps.size_mm, "
        "study.polyps.segment and study.polyps.histology."
    )
    (table, *_) = tabulate_endpoints(
        (record.study or {})["endpoints"], (record.study or {})["surveillance"]
    )
    assert table.head == ("Endpoint", "Required", "Not assessable because")
    assert {len(row) for row in table.rows} == {3}
    assert "set study.polyps.histology" in table.rows[-1][2]


def test_one_assessable_endpoint_keeps_the_table(record: Record) -> None:
    study = deepcopy(record.study or {})
    study["endpoints"]["endpoints"][0]["by_value"] = "met"
    summary = build_summary(replace(record, study=study), None)
    assert [table.key for table in summary.tables] == ["headline", "endpoints"]
    assert not [note for note in summary.notes if note.startswith("Not assessable: ")]


def test_the_card_of_three_classes_says_that_its_area_is_a_mean(tmp_path: Path) -> None:
    def label(record: Record) -> str:
        return build_summary(record, None).tables[0].rows[2][0]

    three = read_record(make_run(tmp_path / "three", n=120))
    two = read_record(make_run(tmp_path / "two", classes=("low", "high"), n=120))
    assert label(three) == "AUROC, class mean"
    assert label(two) == "AUROC"


def test_known_subclasses_stand_in_the_order_of_the_scheme(record: Record) -> None:
    named = [{"name": "polyp"}, {"name": "mild/a"}, {"name": "mild/b"}, {"name": "active/c"}]
    given = replace(record, agreement=record.agreement | {"subclasses": named})
    levels = dict.fromkeys(("polyp", "a", "active/c", "b", "new"), 1)
    assert name_levels(given) == "subclass"
    assert list(order_levels(given, levels)) == ["polyp", "a", "b", "active/c", "new"]
    voted = replace(given, config={"labels": {"subclasses": {"kind": "agreement_levels"}}})
    assert list(order_levels(voted, levels)) == list(levels)


def test_the_baseline_calls_known_subclasses_so(record: Record) -> None:
    section = (record.study or {})["baseline"]
    first = [row[0].partition(":")[0] for row in tabulate_baseline(section)[0].rows]
    assert "Difficulty level" in first
    known = tabulate_baseline(section | {"level_word": "subclass"})[0]
    assert "Subclass" in [row[0].partition(":")[0] for row in known.rows]
    assert "Difficulty level" not in "".join(row[0] for row in known.rows)


def test_a_card_of_a_given_class_counts_no_votes(record: Record, tmp_path: Path) -> None:
    content = collect_report(record, None)
    (gallery,) = [section.gallery for section in walk(content.sections) if section.gallery]
    assert all(one.given for one in gallery)
    page = render_html(content)
    assert f"{HEAD}Given</th>" in page
    assert f"{HEAD}Votes</th>" not in page
    voted = render_html(collect_report(read_record(make_run(tmp_path, n=120)), None))
    assert f"{HEAD}Votes</th>" in voted


def test_two_ways_to_call_are_told_where_their_sensitivities_differ(record: Record) -> None:
    study = record.study or {}
    section = deepcopy(study["predictive_values"]) | {"unit": "frames"}
    section["all"]["table"]["sensitivity"] = {"value": 0.636, "low": 0.5, "high": 0.7}

    def accuracy(value: float) -> Json:
        shares = {"sensitivity": {"percentile": {"value": value}}}
        return {"positive": ["active"], "frames": {"positive": shares}}

    told = " ".join(tell_predictive_values(section, accuracy(0.689)))
    assert "is 0.636, not 0.689 as under Diagnostic accuracy" in told
    assert "where active is the most probable class" in told
    same = " ".join(tell_predictive_values(section, accuracy(0.636)))
    assert "Diagnostic accuracy" not in same
    lesions = section | {"unit": "lesions"}
    assert "Diagnostic accuracy" not in " ".join(tell_predictive_values(lesions, accuracy(0.689)))
