from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from run_folder import make_run
from study_record import CLASSES, make_study, refuse

from polypskd.reporting import figures
from polypskd.reporting.collecting import collect_report
from polypskd.reporting.evidence import Evidence, find_evidence, locate
from polypskd.reporting.facts import FACTS
from polypskd.reporting.record import Record, read_record

STUDIED = {
    "thresholds": ("operating_points", "operating-points"),
    "robustness": ("robustness", "robustness"),
    "subgroups": ("subgroups", "subgroup-comparison"),
    "cluster_results": ("subgroups", "subgroup-comparison"),
}
UNWRITTEN = {"sample_size", "external"}  # what no run holds; the authors tell of it


@pytest.fixture(scope="module", autouse=True)
def quick() -> Any:
    """Make figures, but no SVG of them, which takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "encode", lambda figure: "data:image/svg+xml;base64,")
        yield


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    run = make_run(tmp_path_factory.mktemp("facts"), classes=CLASSES, n=120)
    return replace(read_record(run), study=make_study())


def look(record: Record) -> dict[str, Evidence]:
    return find_evidence(record, collect_report(record, None))


def test_every_fact_has_a_place_in_the_report_of_a_whole_study(record: Record) -> None:
    places = locate(collect_report(record, None))
    lost = {key for key, fact in FACTS.items() if not set(fact.places) & set(places)}
    assert lost == UNWRITTEN


def test_what_the_study_assessed_is_held_where_it_stands(record: Record) -> None:
    found = look(record)
    for key, (_, anchor) in STUDIED.items():
        assert found[key].place is not None, key
        assert found[key].place.key == anchor


def test_what_could_not_be_assessed_is_not_held(record: Record) -> None:
    names = tuple({name for name, _ in STUDIED.values()} | {"baseline", "accuracy"})
    found = look(replace(record, study=refuse(record.study or {}, names)))
    for key in (*STUDIED, "demographics", "devices"):
        assert found[key].place is None, key
        assert found[key].lacking, key
    assert found["splits"].place is not None  # told by the cohort's own table
    assert found["estimates"].place is not None


@pytest.mark.parametrize(
    ("name", "key"), [("sex", "demographics"), ("age band", "demographics"), ("scope", "devices")]
)
def test_people_and_devices_are_told_where_the_baseline_has_their_column(
    record: Record, name: str, key: str
) -> None:
    study = record.study or {}
    level = {"name": "x", "train": None, "val": None, "test": None}
    for columns, held in (
        ({}, False),
        ({name: {"not_assessable": "no column"}}, False),
        ({"stage": {"levels": [level]}}, False),  # "age" is in it, but is no word of it
        ({name: {"levels": [level]}}, True),
    ):
        told = replace(record, study=study | {"baseline": study["baseline"] | {"columns": columns}})
        assert FACTS[key].held(told) is held


def test_levels_of_difficulty_alone_are_no_subgroups(record: Record) -> None:
    study = record.study or {}
    assert FACTS["subgroups"].held(record)
    columns = {"difficulty level": study["subgroups"]["columns"]["difficulty level"]}
    bare = study | {"subgroups": study["subgroups"] | {"columns": columns}}
    assert not FACTS["subgroups"].held(replace(record, study=bare))


def test_no_run_holds_what_only_authors_can_tell(record: Record) -> None:
    found = look(record)
    assert all(found[key].lacking for key in UNWRITTEN)
    assert "`polypskd samplesize`" in found["sample_size"].lacking
