"""`polypskd pacs` and `polypskd watch` against a real archive."""

import json
import resource
import traceback
from collections import Counter

import pytest
from answering import (
    call,
    count_modalities,
    delete_study,
    find_own,
    list_left,
    run,
    start,
    write_settings,
)
from orthanc import miss_server
from small_bundle import build_evidence, write_bundle
from small_studies import (
    SECONDARY,
    build_instance,
    series_uid,
    study_uid,
    write_bytes,
    write_instance,
)
from typer.testing import CliRunner

from polypskd.cli import app
from polypskd.deployment.bundle import open_bundle
from polypskd.deployment.dicom_objects.result_objects import RESEARCH
from polypskd.deployment.pacs.settings import read_settings
from polypskd.deployment.pacs.stopping import Stop
from polypskd.deployment.pacs.study_run import open_worker
from polypskd.errors import OutputError

PLANTED = "Planted"
pytestmark = pytest.mark.skipif(bool(miss_server()), reason=miss_server() or "there")


def test_each_study_is_answered_once_and_its_report_is_never_an_input(
    server, bundle, studies, tmp_path
):
    word, numbers = studies(4)
    settings = write_settings(tmp_path, server, word)
    code, told = run(settings, bundle, tmp_path / "out")
    assert (code, told["states"], told["results_sent"]) == (0, {"sent": 4}, 4)
    assert told["frames"] == 8
    answered = count_modalities(server, numbers)
    assert answered == [{"ES": 2, "SR": 1}] * 4
    assert list_left(tmp_path / "out") == []

    code, told = run(settings, bundle, tmp_path / "out")
    assert (code, told["known_before"], told["results_sent"]) == (0, 4, 0)
    # Without the journal all is judged anew, and nothing is doubled.
    code, told = run(settings, bundle, tmp_path / "other")
    assert (code, told["states"], told["results_sent"]) == (0, {"sent": 4}, 0)
    assert told["frames"] == 8
    assert count_modalities(server, numbers) == answered


def test_pictures_of_our_own_are_no_inputs_though_nothing_is_noted_of_them(
    server, bundle, studies, tmp_path
):
    word, (number,) = studies(1)
    own = build_instance(number, 5, SOPClassUID=SECONDARY, SeriesDescription=RESEARCH)
    own.SeriesInstanceUID = series_uid(number + 9)
    own.StudyDescription = word
    server.upload(write_bytes(own))
    settings = write_settings(tmp_path, server, word)
    assert run(settings, bundle, tmp_path / "out")[1]["frames"] == 2
    assert count_modalities(server, [number]) == [{"ES": 3, "SR": 1}]


def test_every_kind_of_result_is_sent_once_and_none_is_judged(server, studies, tmp_path):
    (tmp_path / "b").mkdir()
    bundle = write_bundle(tmp_path / "b", more={"evidence.onnx": build_evidence()})
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.7\n%%EOF\n")
    word, numbers = studies(2)
    more = {"send": ["sr", "presentation_state", "secondary_capture", "pdf"]}
    more |= {"report": "report.pdf", "query": {"description": word, "modalities": []}}
    settings = write_settings(tmp_path, server, word, **more)
    code, told = run(settings, bundle, tmp_path / "out")
    assert (code, told["states"], told["frames"]) == (0, {"sent": 2}, 4)
    before = count_modalities(server, numbers)
    assert all({"SR", "PR", "DOC"} < {*one} for one in before)
    assert all(sum(one.values()) >= 2 + 4 for one in before)
    code, told = run(settings, bundle, tmp_path / "other")
    assert (code, told["results_sent"], told["frames"]) == (0, 0, 4)
    assert count_modalities(server, numbers) == before


def test_a_study_that_grew_is_answered_again_and_one_that_shrank_is_not(
    server, bundle, studies, tmp_path
):
    word, (number,) = studies(1)
    settings = write_settings(tmp_path, server, word)
    run(settings, bundle, tmp_path / "out")
    more = build_instance(number, 7, StudyDescription=word)
    server.upload(write_bytes(more))
    assert run(settings, bundle, tmp_path / "out")[1]["results_sent"] == 1
    assert count_modalities(server, [number]) == [{"ES": 3, "SR": 2}]
    with server.rest() as rest:
        (own,) = find_own(server, more.SOPInstanceUID, "Instance")
        rest.delete(f"{server.address}/instances/{own}", timeout=30)
    assert run(settings, bundle, tmp_path / "out")[1]["results_sent"] == 0
    assert count_modalities(server, [number]) == [{"ES": 2, "SR": 2}]


def test_no_study_and_studies_without_frames_are_no_fault(server, bundle, studies, tmp_path):
    settings = write_settings(tmp_path, server, "nothing is called so")
    code, told = run(settings, bundle, tmp_path / "out")
    assert (code, told["studies"]) == (0, 0)
    word, _ = studies(1)
    asked = {"description": word, "station": "ELSEWHERE"}
    settings = write_settings(tmp_path, server, word, query=asked)
    for known in (1, 1):
        code, told = run(settings, bundle, tmp_path / "out")
        assert (code, told["states"], told["known_before"]) == (0, {"empty": 1}, known)


def test_a_damaged_instance_is_told_and_the_rest_goes_on(server, bundle, studies, tmp_path):
    word, numbers = studies(2)
    broken = build_instance(numbers[0], 9, StudyDescription=word, Rows=5000)
    server.upload(write_bytes(broken))
    code, told = run(write_settings(tmp_path, server, word), bundle, tmp_path / "out")
    assert code == 1
    assert told["unread"] == 1
    assert told["states"] == {"sent": 2}
    assert [one["SR"] for one in count_modalities(server, numbers)] == [1, 1]


@pytest.mark.parametrize("moment", ["before it is listed", "while it is judged"])
def test_a_study_deleted_half_way_is_noted_as_gone(moment, server, bundle, studies, tmp_path):
    word, _ = studies(2)
    settings = read_settings(write_settings(tmp_path, server, word))
    with open_worker(settings, open_bundle(bundle), tmp_path / "out", Stop()) as worker:
        first, second = worker.find()
        judge = worker._judge.judge

        def judge_late(*arguments):
            said = judge(*arguments)
            delete_study(server, first.study_uid)
            return said

        if moment == "while it is judged":
            worker._judge.judge = judge_late
        else:
            delete_study(server, first.study_uid)
        assert worker.work(first.study_uid).standing.state == "gone"
        worker._judge.judge = judge
        assert worker.work(second.study_uid).standing.state == "sent"
    # No report was sent into a study that is no longer there: it would be there again.
    assert find_own(server, first.study_uid) == []
    assert list_left(tmp_path / "out") == []


def test_a_full_disk_is_told_and_the_same_command_goes_on(server, bundle, studies, tmp_path):
    word, numbers = studies(2)
    settings = write_settings(tmp_path, server, word)
    page = read_settings(settings)
    with open_worker(page, open_bundle(bundle), tmp_path / "out", Stop()) as worker:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
        try:
            with pytest.raises(OutputError, match="cannot be written"):
                worker.work(study_uid(numbers[0]))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert list_left(tmp_path / "out") == []
    assert run(settings, bundle, tmp_path / "out")[1]["states"] == {"sent": 2}
    assert count_modalities(server, numbers) == [{"ES": 2, "SR": 1}] * 2


def test_the_audit_log_tells_of_every_input_and_of_no_patient(server, bundle, studies, tmp_path):
    word, numbers = studies(2)
    settings, log = write_settings(tmp_path, server, word), tmp_path / "audit.jsonl"
    assert run(settings, bundle, tmp_path / "out", "--audit", log)[0] == 0
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert Counter(event["event"] for event in events) == {
        **{"open": 1, "start": 1, "input": 4, "end": 1}
    }
    assert call("audit", "verify", log)[0] == 0
    assert not any(study_uid(number) in log.read_text() for number in numbers)


def test_no_password_and_no_patient_comes_out_anywhere(server, bundle, studies, tmp_path):
    word, numbers = studies(1)
    right = write_settings(tmp_path / "right", server, word)
    wrong = write_settings(tmp_path / "wrong", server, word, secret="hunter2-PLANTED")  # noqa: S106
    shown = ""
    for settings in (right, wrong):
        folder = settings.parent
        out = ["--out", folder / "out"]
        for arguments in (
            ["pacs", "echo", settings],
            ["pacs", "find", settings, "--json"],
            ["pacs", "run", settings, bundle, *out, "--audit", folder / "audit", "--json"],
            ["pacs", "send", settings, bundle],
        ):
            done = CliRunner().invoke(app, [*map(str, arguments)])
            shown += done.output + "".join(traceback.format_exception(done.exception))
        files = [path for path in folder.rglob("*") if path.is_file() and path.name != "password"]
        shown += "".join(path.read_text() for path in files)
    for verb in (["pacs", "run"], ["watch"]):
        process = start(*verb, wrong, bundle, "--out", tmp_path / "none")
        told = b"".join(process.communicate(timeout=60)).decode()
        assert process.returncode == 1
        assert "(401)" in told
        assert "Traceback" not in told
        assert len(told.splitlines()) == 1
        shown += told
    for secret in ("hunter2", server.password, "Planted^", "PLANTED", "19600101", "20240102"):
        assert secret not in shown
    assert count_modalities(server, numbers) == [{"ES": 2, "SR": 1}]


def test_found_studies_are_listed(server, studies, tmp_path):
    word, numbers = studies(2)
    settings = write_settings(tmp_path, server, word)
    assert "answers" in call("pacs", "echo", settings)[1]
    _, told = call("pacs", "find", settings, "--json")
    assert {one["study_uid"] for one in json.loads(told)["studies"]} == {*map(study_uid, numbers)}
    _, text = call("pacs", "find", settings)
    assert "2 studies match" in text
    assert PLANTED not in text


def test_files_are_sent_once_and_others_are_told(server, tmp_path):
    settings = write_settings(tmp_path, server, "")
    folder = tmp_path / "files"
    for turn in range(3):
        write_instance(folder, build_instance(700, turn))
    (folder / "notes.txt").write_text("no DICOM")
    (folder / "broken.dcm").write_bytes(b"\0" * 200)
    code, told = call("pacs", "send", settings, folder, "--json")
    assert code == 1
    assert json.loads(told)["sent"] == 3
    assert len(json.loads(told)["faults"]) == 1
    (folder / "broken.dcm").unlink()
    code, told = call("pacs", "send", settings, folder, "--json")
    assert (code, json.loads(told)["sent"], json.loads(told)["held_before"]) == (0, 0, 3)
    assert count_modalities(server, [700]) == [{"ES": 3}]
    delete_study(server, study_uid(700))
    assert call("pacs", "send", settings, tmp_path / "missing")[0] == 1


def test_one_file_that_the_archive_does_not_take_stops_no_other(server, tmp_path):
    settings, folder = write_settings(tmp_path, server, ""), tmp_path / "files"
    for turn in range(4):
        write_instance(folder, build_instance(701, turn))
    nameless = build_instance(701, 5)
    del nameless.SeriesInstanceUID
    write_instance(folder, nameless)
    code, told = call("pacs", "send", settings, folder, "--json")
    assert (code, json.loads(told)["sent"]) == (1, 4)
    (fault,) = json.loads(told)["faults"]
    assert study_uid(701) not in fault
    assert count_modalities(server, [701]) == [{"ES": 4}]
    delete_study(server, study_uid(701))


def test_wildcards_of_a_description_are_the_archives(server, studies, tmp_path):
    word, numbers = studies(2)
    settings = write_settings(tmp_path, server, f"{word[:20]}*{word[-3:-1]}?")
    _, told = call("pacs", "find", settings, "--json")
    assert {one["study_uid"] for one in json.loads(told)["studies"]} == {*map(study_uid, numbers)}


def test_a_second_process_and_another_bundle_are_kept_out(server, bundle, studies, tmp_path):
    word, _ = studies(1)
    settings, out = write_settings(tmp_path, server, word), tmp_path / "out"
    run(settings, bundle, out)
    (tmp_path / "b").mkdir()
    other = write_bundle(tmp_path / "b", min_side=17)
    code, told = run(settings, other, out)
    assert code == 1
    assert "of another bundle" in told
    page = read_settings(settings)
    with open_worker(page, open_bundle(bundle), out, Stop()):
        code, told = call("pacs", "run", settings, bundle, "--out", out)
    assert code == 1
    assert "another polypskd is at work here" in told
