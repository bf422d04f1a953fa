import copy
from dataclasses import replace

import pytest
from run_folder import make_run

from polypskd.reporting.answers import Answers
from polypskd.reporting.data_sheet import write_data_sheet
from polypskd.reporting.model_card import write_model_card
from polypskd.reporting.naming import METHODS
from polypskd.reporting.paper import list_methods, tabulate_results, tell_results
from polypskd.reporting.record import Record, read_record


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return read_record(make_run(tmp_path_factory.mktemp("paper")))


def tell(record: Record) -> dict[str, str]:
    return {one.title: " ".join(one.sentences) for one in list_methods(record)}


def change(record: Record, **places) -> Record:
    """Give a record with other values in its config, by dotted key with __ for the dots."""
    config = copy.deepcopy(record.config)
    for key, value in places.items():
        *parents, last = key.split("__")
        below = config
        for parent in parents:
            below = below.setdefault(parent, {})
        below[last] = value
    return replace(record, config=config)


def test_the_methods_hold_the_counts_of_the_cohort(record):
    told = tell(record)["Data"]
    examples = record.examples
    assert f"{len(examples)} frames of {len(set(examples.patient_id.tolist()))} patients" in told
    for split, name in (("train", "training"), ("val", "validation"), ("test", "test")):
        assert f"{int((examples.split == split).sum())} {name}" in told
    assert "No patient stands in two splits" in told


def test_unknown_patients_are_told_and_never_resampled(tmp_path):
    told = tell(read_record(make_run(tmp_path, patients_known=False)))
    assert "Patients are unknown" in told["Data"]
    assert "resamples of frames" in told["Statistics"]


def test_an_ensemble_is_told_with_all_its_parameters(record):
    told = tell(change(record, teacher__ensemble=3))["Model"]
    assert "an ensemble of 3 networks (resnet18) of 11,177,538 parameters in all" in told
    assert "The student is a resnet10 of 311,234 parameters" in told


def test_classes_that_came_with_the_frames_are_no_consensus(record):
    told = tell(change(record, cohort__votes__kind="folders"))["Reference standard"]
    assert told == "The reference standard is the class given with each frame."


def test_a_drawn_cohort_is_told_as_such(record):
    told = tell(change(record, cohort__frames__kind="synthetic"))["Data"]
    assert "no patient was involved" in told


def test_a_run_without_a_teacher_tells_of_none(tmp_path):
    record = read_record(make_run(tmp_path, teacher=False))
    assert "teacher" not in tell(record)["Model"]
    assert "teacher" not in " ".join(tell_results(record))


def test_every_method_of_the_config_has_words():
    from typing import get_args

    from polypskd.config import methods

    kinds = {
        kind
        for one in vars(methods).values()
        if isinstance(one, type) and "kind" in getattr(one, "model_fields", {})
        for kind in get_args(one.model_fields["kind"].annotation)
    }
    assert kinds == set(METHODS)


def test_the_results_table_has_a_row_a_class_with_its_frames(record):
    table = tabulate_results(record)
    supports = {
        name: str(scores["support"]) for name, scores in record.evaluation["per_class"].items()
    }
    assert {row[0]: row[1] for row in table.rows} == supports


def test_the_data_sheet_counts_patients_of_each_class_and_split(record):
    examples = record.examples
    sheet = write_data_sheet(record, Answers())
    name = "adenoma"
    member = examples.consensus == name
    parts = [member & (examples.split == split) for split in ("train", "val", "test")]
    counts = [len(set(examples.patient_id[part].tolist())) for part in (*parts, member)]
    assert f"| {name} | {' | '.join(map(str, counts))} |" in sheet


def test_the_model_card_takes_the_authors_words_and_escapes_them(record):
    card = write_model_card(record, Answers(study={"ethics": "<b>Approved</b> as a_1"}))
    assert "Ethics approval: &lt;b&gt;Approved&lt;/b&gt; as a\\_1" in card
    assert "to be told by the authors, as study.fairness in report.yaml." in card.replace("\\", "")
