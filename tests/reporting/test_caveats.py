"""What a report says of its own numbers: no more than they bear."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from run_folder import make_run
from study_record import CLASSES, make_study

from polypskd.reporting.cells import point
from polypskd.reporting.collecting import collect_report
from polypskd.reporting.comparison_prose import is_shown
from polypskd.reporting.content import Content, walk
from polypskd.reporting.exports import list_tables
from polypskd.reporting.paper import tabulate_results
from polypskd.reporting.prose import list_limitations, list_limits
from polypskd.reporting.record import Record, read_record
from polypskd.reporting.scores import get_class_score, get_score
from polypskd.reporting.study.conformal import tell_conformal
from polypskd.reporting.study.decisions import tell_decisions
from polypskd.reporting.study.endpoints import list_endpoints, tabulate_endpoints
from polypskd.reporting.study.robustness import tell_robustness
from polypskd.reporting.study.subgroups import tabulate_subgroups
from polypskd.reporting.study.surveillance import tell_surveillance
from polypskd.summary import _tell_differences, describe_scores

pytestmark = pytest.mark.usefixtures("quick")

WILSON = {"value": 1.0, "low": 0.7, "high": 1.0, "method": "Wilson", "successes": 9, "trials": 9}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    run = make_run(tmp_path_factory.mktemp("caveats"), classes=CLASSES, n=120)
    return replace(read_record(run), study=make_study())


def say(content: Content) -> str:
    lines: list[str] = []
    for section in walk(content.sections):
        lines += [*section.paragraphs, *section.points, *section.notes]
        for table in section.tables:
            lines += [table.caption, *(cell for row in table.rows for cell in row)]
        lines += [picture.caption for picture in section.pictures]
    return "\n".join(lines)


def forget_patients(study: dict[str, Any]) -> dict[str, Any]:
    """Make every section one of unknown patients, as `polypskd run` would write it."""
    told = {
        name: section | {"patients_known": False} if isinstance(section, dict) else section
        for name, section in study.items()
    }
    for section in told.values():
        if isinstance(section, dict):
            counts = [
                key for key in ("patients", "n_patients") if isinstance(section.get(key), int)
            ]
            section.update(dict.fromkeys(counts))
    told["subgroups"] |= {"rules": told["subgroups"]["rules"] | {"patients_known": False}}
    return told


def test_where_patients_are_unknown_no_interval_is_called_by_patient(record: Record) -> None:
    known = say(collect_report(record, None))
    assert "intervals by patient" in known
    bare = replace(
        record,
        study=forget_patients(record.study or {}),
        agreement=record.agreement | {"patients_known": False},
    )
    told = say(collect_report(bare, None))
    assert "intervals by patient" not in told
    assert "bounds by patient" not in told
    assert "these, too, take frames as independent" in told
    assert "patients are unknown" in told.lower()
    for table in (t for s in walk(collect_report(bare, None).sections) for t in s.tables):
        if {"Frames", "Patients"} <= set(table.head) and table.key != "accuracy-by-unit":
            at = table.head.index("Patients")
            assert {row[at] for row in table.rows} <= {"–", "too few"}, table.key


def test_the_largest_of_many_changes_is_not_called_beyond_chance(record: Record) -> None:
    section = deepcopy((record.study or {})["robustness"])
    sure = {"value": -0.1, "low": -0.2, "high": -0.05}
    for kind in section["kinds"].values():
        for one in kind["strengths"]:
            one["metrics"] = {name: {"change": sure} for name in one["metrics"]}
    told = " ".join(tell_robustness(section))
    assert "The largest loss of sensitivity among 4 changes is that of blur" in told
    assert told.count("its interval is not adjusted for being the largest") == 2
    assert "chance" not in told


def test_subgroups_say_which_p_is_adjusted(record: Record) -> None:
    for table in tabulate_subgroups((record.study or {})["subgroups"]):
        assert "each measure as a family of its own" in table.caption
        assert "p of heterogeneity is not adjusted" in table.caption


def test_the_decision_curve_says_that_it_is_pointwise(record: Record) -> None:
    section = (record.study or {})["decisions"]
    for useful in ([], [[0.1, 0.4]]):
        assert "pointwise, not adjusted" in tell_decisions(section | {"useful": useful})[0]


def test_coverage_is_judged_by_its_interval_and_classes_without_cases_are_named(
    record: Record,
) -> None:
    section = (record.study or {})["conformal"]
    one = section["per_class"]["adenoma"]
    cases = {
        "a": {"value": 0.5, "low": 0.4, "high": 0.6},
        "b": {"value": 0.89, "low": 0.8, "high": 0.95},
        "c": {"value": 0.97, "low": 0.95, "high": 0.99},
        "d": {"value": None, "low": None, "high": None},
        "e": {"value": 1.0, "low": None, "high": None},
    }
    told = tell_conformal(
        section | {"alpha": 0.1, "per_class": {k: one | v for k, v in cases.items()}}
    )[0]
    assert "Coverage is below the 90% aimed at: a 0.500" in told
    assert "Coverage is at least the 90% aimed at: c 0.970 (0.950 to 0.990)." in told
    assert "leaves open whether coverage reaches the 90% aimed at: b 0.890" in told
    assert "e 1.000." in told
    assert "Not to be judged, without a test case: d." in told


def test_contradictory_and_unreadable_sizes_are_counted(record: Record) -> None:
    section = (record.study or {})["endpoints"]
    sizes = section["sizes"] | {"contradictory": 3, "unreadable": 2, "unknown": 6}
    places = section["segments"] | {"contradictory": 0, "unknown": None}
    tables = tabulate_endpoints(section | {"sizes": sizes, "segments": places})
    rows = next(table for table in tables if table.key == "sizes-and-segments").rows
    assert ("Size", "unknown", "6") in rows
    assert ("Size", "of these, frames of one lesion contradict each other", "3") in rows
    assert ("Size", "of these, not readable", "2") in rows
    assert ("Segment", "unknown", "suppressed") in rows
    assert not [row for row in rows if row[0] == "Segment" and row[1].startswith("of these")]


def test_whatever_surveillance_leaves_out_is_told(record: Record) -> None:
    section = (record.study or {})["surveillance"]
    left_out = {"exams_of_unknown_piecemeal": 4, "polyps_of_unknown_exam": 0}
    told = tell_surveillance(section | {"left_out": left_out})
    assert told[-1] == "Left out: 4 exams of unknown piecemeal; 0 polyps of unknown exam."


def test_measures_in_reasons_are_written_as_clinicians_do() -> None:
    one = {"name": "leave_in_situ", "reason": "no npv: ppv alone"}
    assert list_endpoints({"endpoints": [one]})[0]["reason"] == "no NPV: PPV alone"


def test_a_number_has_one_interval_wherever_it_stands(record: Record) -> None:
    study = record.study or {}
    frames = study["accuracy"]["frames"]
    own = dict.fromkeys(("low", "high"), 0.123)
    same = {
        "macro_f1": frames["overall"]["macro_f1"]["percentile"],
        "accuracy": frames["overall"]["accuracy"]["clustered"],
        "auroc": frames["risk"]["auroc_delong"],
    }
    evaluation = record.evaluation | {
        name: {"value": point(one)} | own for name, one in same.items()
    }
    per_class = {
        name: {"support": 9, "auroc": {"value": point(frames["auroc_delong"][name])} | own}
        for name in CLASSES
    }
    told = replace(record, evaluation=evaluation | {"per_class": per_class})
    for name, one in same.items():
        assert get_score(told, name) == one
    for name in CLASSES:
        assert get_class_score(told, name, "auroc") == frames["auroc_delong"][name]
    summary = collect_report(told, None).sections[0].tables[0]
    assert "0.123" not in str(summary.rows)
    table = tabulate_results(told)
    assert "0.123" not in str(table.rows)
    assert "DeLong's for AUROC" in table.caption
    assert "DeLong" not in tabulate_results(replace(told, study=None)).caption
    other = {"value": 0.5} | own  # another number, as of three classes, keeps its own
    assert get_score(replace(record, evaluation={"auroc": other}), "auroc") == other
    assert get_score(replace(told, study=None), "auroc") == evaluation["auroc"]


def test_no_table_has_an_interval_without_width(record: Record) -> None:
    still = {"value": 1.0, "low": 1.0, "high": 1.0}
    per_class = {
        name: one | {"precision": still, "recall": still, "specificity": still}
        for name, one in record.evaluation["per_class"].items()
    }
    told = replace(
        record, evaluation=record.evaluation | {"per_class": per_class, "accuracy": still}
    )
    text = say(collect_report(replace(told, study=None), None))
    assert "1.000‡" in text
    assert "1.000 (1.000 to 1.000)" not in text
    assert "‡: no spread among resamples" in tabulate_results(replace(told, study=None)).caption
    for name, data in list_tables(collect_report(replace(told, study=None), None)):
        assert b"1.0,1.0,1.0,1.0,1.0,1.0,1.0" not in data, name


@pytest.mark.parametrize(
    ("frames", "patients", "small"), [(28, 7, True), (100_000, 3_000, False), (5_000, 12, True)]
)
def test_a_sample_is_called_small_where_it_is(
    record: Record, frames: int, patients: int, small: bool
) -> None:
    evaluation = record.evaluation | {"n_frames": frames, "n_patients": patients}
    first = list_limitations(replace(record, evaluation=evaluation), [])[0]
    assert first.startswith("Small sample: all" if small else "All results rest on")


def test_one_patient_is_one_patient(record: Record) -> None:
    evaluation = record.evaluation | {"n_frames": 1, "n_patients": 1}
    told = say(collect_report(replace(record, evaluation=evaluation, study=None), None))
    assert "rest on 1 frame of 1 patient." in told
    assert not re.search(r"(?<![\d,.])1 (patients|frames)\b", told)


def test_limits_name_the_reference_standard_of_the_run(record: Record) -> None:
    def limits(**changes: Any) -> str:
        config = record.config | changes
        told = replace(record, config=config)
        return " ".join([list_limits(told), *list_limitations(told, [])])

    assert "no column of histology was named" in limits()
    used = limits(study={"polyps": {"histology": "histology"}})
    assert "the column of histology is used for surveillance intervals only" in used
    assert "no column of histology" not in used
    given = limits(cohort={"votes": {"kind": "folders"}})
    assert "consensus" not in given
    assert "not histology" not in given
    assert "the class given with each frame" in given


def test_the_summary_names_every_method_in_words(record: Record) -> None:
    method = {"kind": "dkd"}
    told = replace(record, evaluation=record.evaluation | {"method": method})
    text = say(collect_report(told, None))
    assert "trained by decoupled knowledge distillation (Zhao et al. 2022)" in text
    assert "dkd" not in text.split("\n")[0]


@pytest.mark.parametrize(
    ("low", "holm", "told"),
    [
        (-0.1, 0.9, "no difference shown"),
        (0.01, 0.18, "p (Holm) 0.180: not shown once all comparisons are counted"),
        (0.01, 0.03, "p (Holm) 0.030"),
    ],
)
def test_the_terminal_calls_a_difference_shown_as_the_page_does(
    low: float, holm: float, told: str
) -> None:
    found = {"value": 0.1, "low": low, "high": 0.2, "p_holm": holm}
    line = _tell_differences({"differences": {"kd": {"macro_f1": found}}})
    assert line.endswith(f"to kd ({told})")
    assert is_shown(found) == (holm == 0.03)


def test_the_label_bits_are_left_to_evaluate_and_the_report(record: Record) -> None:
    numbers = record.evaluation | {
        "information": dict.fromkeys(
            ("label_bits", "mutual_information", "soft_information", "conditional_entropy"), 0.5
        )
    }
    assert "Label bits" in describe_scores(numbers, 0.95)
    assert "Label bits" not in describe_scores(numbers, 0.95, bits=False)


def test_zero_has_no_sign() -> None:
    from polypskd.reporting.cells import format_number

    for value in (-0.0, -0.0004, np.float64(-1e-9)):
        assert format_number(value) == "0.000"
    assert format_number(-0.0006) == "−0.001"
