"""The verbs in processes of their own: killed, and told to stop."""

import json
import signal

import pytest
from answering import (
    count_modalities,
    delete_study,
    list_left,
    run,
    start,
    wait_for,
    write_settings,
)
from orthanc import miss_server
from small_studies import build_instance, study_uid, write_bytes

PLANTED = "Planted"
pytestmark = pytest.mark.skipif(bool(miss_server()), reason=miss_server() or "there")


def test_killed_at_any_step_each_study_is_answered_once_in_the_end(
    server, bundle, studies, tmp_path
):
    word, numbers = studies(4)
    settings = write_settings(tmp_path, server, word)
    out = tmp_path / "out"
    for lines in (3, 9, 14):
        process = start("pacs", "run", settings, bundle, "--out", out)
        wait_for(out / "journal.jsonl", lines, process)
        process.kill()
        process.communicate()
    code, told = run(settings, bundle, out)
    assert (code, told["states"]) == (0, {"sent": 4})
    assert count_modalities(server, numbers) == [{"ES": 2, "SR": 1}] * 4
    assert list_left(out) == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_watch_answers_what_comes_and_stops_when_told(
    number, code, server, bundle, studies, tmp_path
):
    word, numbers = studies(2)
    settings, out = write_settings(tmp_path, server, word), tmp_path / "out"
    process = start("watch", settings, bundle, "--out", out, "--json")
    wait_for(out / "journal.jsonl", 11, process)
    late = numbers[-1] + 1
    server.upload(write_bytes(build_instance(late, StudyDescription=word)))
    wait_for(out / "journal.jsonl", 16, process)
    process.send_signal(number)
    told, lines = process.communicate(timeout=20)
    delete = count_modalities(server, [*numbers, late])
    delete_study(server, study_uid(late))
    assert process.returncode == code, lines
    assert delete == [{"ES": 2, "SR": 1}] * 2 + [{"ES": 1, "SR": 1}]
    # Stopped right after the last one was noted, it is not yet counted.
    assert json.loads(told)["states"]["sent"] in {2, 3}
    assert b"Traceback" not in lines
    for secret in (server.password, PLANTED, study_uid(late), "2024"):
        assert secret not in lines.decode().replace("2026", "")
    assert list_left(out) == []
