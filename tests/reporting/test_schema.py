import json

import pytest
from run_folder import make_run

from polypskd.reporting.answers import Answers
from polypskd.reporting.collecting import collect_report
from polypskd.reporting.guidelines import audit_report
from polypskd.reporting.record import read_record
from polypskd.reporting.schema import describe_report, make_schema, read_schema


@pytest.fixture(
    scope="module", params=[{}, {"teacher": False, "patients_known": False}], ids=["whole", "bare"]
)
def report(request, tmp_path_factory):
    record = read_record(make_run(tmp_path_factory.mktemp("schema"), **request.param))
    audit = audit_report(record, collect_report(record, None), Answers())
    return json.loads(json.dumps(describe_report(record, audit), allow_nan=False))


def test_the_schema_that_is_shipped_is_the_one_that_is_made():
    assert json.loads(read_schema()) == make_schema(), (
        "write it anew: json.dumps(make_schema(), indent=1) into reporting/report.schema.json"
    )


def test_a_report_holds_to_the_schema(report):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(read_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(report)


def test_the_schema_refuses_what_is_not_a_report(report):
    jsonschema = pytest.importorskip("jsonschema")
    check = jsonschema.Draft202012Validator(json.loads(read_schema()))
    for broken in (
        report | {"schema": "polypskd/report/0"},
        report | {"research_use_only": False},
        report | {"unheard_of": 1},
        report | {"cohort": report["cohort"] | {"n_frames": -1}},
        {key: value for key, value in report.items() if key != "evaluation"},
    ):
        assert not check.is_valid(broken)


def test_the_report_names_its_schema_and_its_use(report):
    assert report["schema"] == json.loads(read_schema())["$id"]
    assert report["research_use_only"] is True
