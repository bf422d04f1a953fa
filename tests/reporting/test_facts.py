from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from run_folder import make_run
from study_record import CLASSES, make_study, refuse

from polypskd.reporting.collecting import collect_report
from polypskd.reporting.content import Section, walk
from polypskd.reporting.evidence import Evidence, find_evidence, locate
from polypskd.reporting.facts import FACTS
from polypskd.reporting.overlap import tell_overlap
from polypskd.reporting.record import Record, read_record

pytestmark = pytest.mark.usefixtures("quick")

STUDIED = {
    "thresholds": ("operating_points", "operating-points"),
    "robustness": ("robustness", "robustness"),
    "subgroups": ("subgroups", "subgroup-comparison"),
    "cluster_results": ("subgroups", "subgroup-comparison"),
}
UNWRITTEN = {"sample_size", "external"}  # what no run holds; the authors tell of it


WORDS: dict[str, tuple[str, ...]] = {  # what must be read where a fact is said to stand
    "eligibility": ("frames given", "in the cohort", "left out"),
    "missing": ("what was left out, and why",),
    "flow": ("frames given", "left out", "train"),
    "votes": ("annotators", "votes"),
    "agreement": ("kappa",),
    "ties": ("frames with a tie", "class of higher risk"),
    "reference": ("the reference standard is",),
    "blind_model": ("student sees the frame alone",),
    "preprocessing": ("augment.size", "augment.flips"),
    "settings": ("student.method.kind", "evaluation.resamples"),
    "network": ("network", "resnet10", "resnet18"),
    "initialization": ("seed",),
    "training": ("loss", "epoch"),
    "selection": ("epoch with the highest macro-f1 on the validation split",),
    "splits": ("frames", "train", "test", "hyperplastic"),
    "prevalence": ("hyperplastic", "adenoma", "%"),
    "imbalance": ("hyperplastic", "adenoma", "%"),
    "disjoint": ("no patient stands in two splits",),
    "clusters": ("resamples of patients",),
    "cluster_results": ("by endoscope",),
    "software": ("packages.torch",),
    "hashes": ("sha256",),
    "outputs": ("predictions.csv of the run folder",),
    "statistics": ("bootstrap intervals",),
    "estimates": ("sensitivity", "intervals", " to "),
    "confusion": ("confusion",),
    "calibration": ("ece",),
    "scaling": ("as it is", "temperature scaling"),
    "subclasses": ("subclass", "level", "adenoma/very_easy"),
    "levels": ("macro-f1", "very_easy"),
    "errors": (),  # the gallery; test_gallery looks at it
    "limits": ("one cohort",),
    "subgroups": ("by endoscope",),
    "demographics": ("sex: f", "age band: < 50", "training"),
    "devices": ("endoscope: a", "training"),
    "thresholds": ("threshold chosen on validation",),
    "robustness": ("blur", "strength"),
}


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


def test_what_is_said_to_be_told_is_read_where_it_is_said_to_stand(record: Record) -> None:
    study = record.study or {}
    cell = {"frames": 9, "patients": 9}
    columns = {
        name: {"levels": [{"name": level, "train": cell, "val": cell, "test": cell}]}
        for name, level in (("sex", "f"), ("age band", "< 50"), ("endoscope", "A"))
    }
    full = study | {"baseline": study["baseline"] | {"columns": columns}}
    config = record.config | {"augment": {"size": 64, "flips": True}}
    told = replace(record, study=full, config=config)
    content = collect_report(told, None)
    texts = {section.key: read_section(section) for section in walk(content.sections)}
    found = find_evidence(told, content)
    held = {key: one.place.key for key, one in found.items() if one.place}
    assert set(held) == set(WORDS)
    for key, words in WORDS.items():
        for word in words:
            assert word in texts[held[key]], (key, held[key], word)


def read_section(section: Section) -> str:
    """Give what is read in a section, but not in its parts."""
    lines = [section.title, *section.paragraphs, *section.points, *section.notes]
    for table in section.tables:
        lines += [table.caption, *table.head, *(cell for row in table.rows for cell in row)]
    for picture in section.pictures:
        lines += [picture.alt, picture.caption]
    return " ".join(lines).lower()


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


CELL = {"name": "x", "train": None, "val": None, "test": {"frames": 9, "patients": 9}}
HIDDEN = CELL | {"test": None}


@pytest.mark.parametrize(
    ("columns", "people", "devices"),
    [
        ({}, False, False),
        ({"sex": [CELL], "age band": [CELL]}, True, False),
        ({"sex": [CELL]}, False, False),  # age is lacking
        ({"sex": [CELL], "age": [HIDDEN]}, False, False),
        ({"sex": [CELL], "stage": [CELL]}, False, False),  # "age" is in it, but is no word of it
        ({"sex": [CELL], "age": None}, False, False),
        ({"scope": [CELL]}, False, True),
        ({"Endoscope": [HIDDEN]}, False, False),
        ({"processor": [HIDDEN, CELL]}, False, True),
    ],
)
def test_people_and_devices_are_told_where_the_baseline_shows_their_columns(
    record: Record, columns: dict[str, Any], people: bool, devices: bool
) -> None:
    study = record.study or {}
    given = {
        name: {"not_assessable": "no column"} if levels is None else {"levels": levels}
        for name, levels in columns.items()
    }
    told = replace(record, study=study | {"baseline": study["baseline"] | {"columns": given}})
    assert FACTS["demographics"].held(told) is people
    assert FACTS["devices"].held(told) is devices


def test_levels_of_difficulty_alone_are_no_subgroups(record: Record) -> None:
    study = record.study or {}
    assert FACTS["subgroups"].held(record)
    columns = {"difficulty level": study["subgroups"]["columns"]["difficulty level"]}
    bare = study | {"subgroups": study["subgroups"] | {"columns": columns}}
    assert not FACTS["subgroups"].held(replace(record, study=bare))


def test_levels_without_numbers_are_no_subgroups(record: Record) -> None:
    study = record.study or {}
    few = {"endoscope": {"levels": [{"name": "A", "status": "too few", "metrics": {}}]}}
    bare = replace(record, study=study | {"subgroups": study["subgroups"] | {"columns": few}})
    assert not FACTS["subgroups"].held(bare)
    assert not FACTS["cluster_results"].held(bare)


def test_a_patient_of_two_splits_takes_the_claim_away(record: Record) -> None:
    examples = record.examples
    assert FACTS["disjoint"].held(record)
    one = np.full(len(examples), examples.patient_id[0])
    shared = replace(record, examples=replace(examples, patient_id=one))
    assert not FACTS["disjoint"].held(shared)
    assert tell_overlap(shared) == "1 patient stands in several splits."


def test_no_run_holds_what_only_authors_can_tell(record: Record) -> None:
    found = look(record)
    assert all(found[key].lacking for key in UNWRITTEN)
    assert "`polypskd samplesize`" in found["sample_size"].lacking
