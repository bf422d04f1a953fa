"""A run of predictions in the audit log: start, every input, end, and nothing of a patient."""

import json

import pytest
import typer

from polypskd.commands.audit import keep_record
from polypskd.deployment.audit import AuditLog, verify
from polypskd.deployment.auditing.run import Input, list_inputs, record_run
from polypskd.errors import CohortError, ConfigError, Fault, OutputError

KEY = b"an audit key of 24 bytes"
ABOUT = {
    "bundle_name": "colitis-skd",
    "bundle_version": "1.0.0",
    "model_sha256": "cd" * 32,
    "config_sha256": "ef" * 32,
}
UID = "1.2.826.0.1.3680043.8.498.4711"


@pytest.fixture
def log(tmp_path):
    return AuditLog(tmp_path / "audit.jsonl", KEY)


def read(log: AuditLog) -> list:
    return [json.loads(line) for line in log.path.read_bytes().splitlines()]


def test_a_run_is_told_by_a_start_an_entry_for_each_input_and_an_end(log):
    with record_run(log, ABOUT) as run:
        run.note([Input("ab" * 32, "done", UID), Input("", "failed", frames=0)])
        run.note([])
        run.exit_code = 1
    _, start, first, second, end = read(log)
    assert ABOUT.items() <= start.items()
    assert [one["event"] for one in (start, first, second, end)] == [
        "start",
        "input",
        "input",
        "end",
    ]
    assert {one["run"] for one in (start, first, second, end)} == {run.run}
    assert "input_sha256" not in second
    assert (end["inputs"], end["faults"], end["exit_code"], end["outcome"]) == (2, 1, 1, "failed")
    assert verify(log.path, None, KEY) == []


def test_a_uid_and_a_host_stand_as_keyed_hashes_and_without_a_key_not_at_all(log, tmp_path):
    plain = AuditLog(tmp_path / "plain.jsonl")
    for one in (log, plain, AuditLog(tmp_path / "other.jsonl", b"another key of 24 bytes..")):
        with record_run(one, ABOUT) as run:
            run.note([Input("ab" * 32, "done", UID)])
    first, second = (read(AuditLog(tmp_path / f"{name}.jsonl")) for name in ("audit", "other"))
    assert UID not in log.path.read_text()
    assert first[2]["sop_uid_sealed"] != second[2]["sop_uid_sealed"]
    assert first[1]["host_sealed"] != second[1]["host_sealed"]
    assert not {"sop_uid_sealed", "host_sealed"} & {*read(plain)[1], *read(plain)[2]}


@pytest.mark.parametrize(
    ("error", "code", "outcome"),
    [
        (KeyboardInterrupt(), 130, "stopped"),
        (typer.Exit(130), 130, "stopped"),
        (typer.Exit(1), 1, "failed"),
        (SystemExit(2), 2, "failed"),
        (CohortError([Fault("Doe^John.dcm", "damaged")]), 1, "failed"),
        (ValueError("Doe^John"), 3, "failed"),
    ],
)
def test_a_run_that_breaks_off_has_an_end_with_its_exit_code(log, error, code, outcome):
    with pytest.raises(type(error)), record_run(log, ABOUT):
        raise error
    end = read(log)[-1]
    assert (end["event"], end["exit_code"], end["outcome"]) == ("end", code, outcome)
    assert "Doe" not in log.path.read_text()


def test_nothing_goes_on_where_the_log_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    done = []
    with (
        pytest.raises(OutputError, match="audit log cannot be written"),
        record_run(AuditLog(tmp_path / "file" / "audit.jsonl"), ABOUT),
    ):
        done.append(1)
    assert done == []


def test_runs_that_write_at_once_are_told_apart(log):
    with record_run(log, ABOUT) as one, record_run(log, ABOUT) as other:
        one.note([Input("ab" * 32, "done")])
        other.note([Input("cd" * 32, "abstained")])
    assert one.run != other.run
    assert verify(log.path, None, KEY) == []


def test_the_journal_of_a_prediction_gives_one_input_a_file():
    answer = [None, "", "low", [0.9, 0.1], [0.9, 0.1], 0.9, ""]
    withheld = [1, UID, "", [0.5, 0.5], [0.5, 0.5], 0.5, "unsure: risk 0.5"]
    entries = [
        {"source": "a.png", "sha256": "aa" * 32, "frames": [answer], "faults": []},
        {
            "source": "b.png",
            "sha256": "bb" * 32,
            "frames": [],
            "faults": [["b.png", "cut", "", ""]],
        },
        {"source": "c.mp4", "sha256": "cc" * 32, "frames": [withheld] * 64, "faults": []},
        {"source": "c.mp4", "sha256": "cc" * 32, "frames": [answer] * 6, "faults": []},
        {"source": "d.dcm", "sha256": "dd" * 32, "frames": [withheld], "faults": []},
    ]
    assert list(list_inputs(entries)) == [
        Input("aa" * 32, "done", "", 1),
        Input("bb" * 32, "failed", "", 0),
        Input("cc" * 32, "done", UID, 70),
        Input("dd" * 32, "abstained", UID, 1),
    ]


def test_a_verb_without_a_log_keeps_no_record_and_a_key_alone_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIT_KEY", KEY.decode())
    with keep_record(None, None, None, ABOUT) as record:
        assert record is None
    with (
        pytest.raises(ConfigError, match="without --audit"),
        keep_record(None, None, "AUDIT_KEY", ABOUT),
    ):
        pass
    with keep_record(tmp_path / "audit.jsonl", None, "AUDIT_KEY", ABOUT) as record:
        record.note([Input("ab" * 32, "done")])
    assert verify(tmp_path / "audit.jsonl", None, KEY) == []
