"""Five hundred studies in, each result exactly once: by a real archive, through every disturbance.

What is asked is the archive, not our journal: which reports it holds, of which studies, and whether
they say what `predict` says of the same file.
"""

import json
import signal
import subprocess
import time

import pytest
from orthanc import Orthanc, enter_own_network, find_port, listens, miss_server
from small_studies import build_instance, study_uid, write_instance
from ward import OwnDisk, Ward, may_mount, wait_until

from polypskd.deployment.pacs.connections import Dimse
from polypskd.deployment.pacs.dimse import DimseArchive
from polypskd.deployment.pacs.settings import Transfer

pytestmark = pytest.mark.skipif(bool(miss_server()), reason=miss_server() or "there")
STUDIES = 500
NEEDS_MOUNT = "a disk of its own needs root and mounts"


@pytest.fixture(scope="module", autouse=True)
def network():
    with enter_own_network():
        yield


@pytest.fixture
def ward(tmp_path):
    with Orthanc(tmp_path / "orthanc") as server:
        yield Ward(server, tmp_path / "ward")


def check_all(ward, count):
    """Check that each study has one report, which says what `predict` says, and nothing more."""
    reports = ward.list_reports()
    assert len(reports) == count
    assert [uid for uid, told in reports.items() if len(told) != 1] == []
    assert reports == ward.predict()
    statistics = ward.server.ask("/statistics")
    assert statistics["CountStudies"] == count
    assert statistics["CountInstances"] == 2 * count
    told = ward.server.ask("/dicom-web/studies", ModalitiesInStudy="SR", limit=2 * count)
    assert {one["0020000D"]["Value"][0] for one in told} == {*reports}


def finish(ward):
    """Let it run to the end."""
    done = ward.run()
    assert done.returncode == 0, done.stderr[-2000:]
    assert ward.list_kept() == []


def run_for_nothing(ward):
    """Let it run once more, to find nothing to do."""
    again = ward.run()
    assert again.returncode == 0, again.stderr[-2000:]
    told = json.loads(again.stdout)
    assert told["results_sent"] == 0
    assert told["known_before"] == told["studies"] == len(ward.sources)


@pytest.mark.slow
def test_five_hundred_studies_are_answered_once_each_with_both_sides_killed(ward):
    ward.fill(range(STUDIES))
    blows = iter([(60, "theirs"), (130, "ours"), (200, "theirs"), (290, "ours"), (370, "theirs")])
    struck = []
    blow = next(blows)
    while blow is not None:
        with ward.start() as process:
            while blow is not None:
                at, whom = blow
                assert wait_until(lambda at=at: ward.count_sent() >= at, process, 240), (
                    process.communicate()
                )
                time.sleep(0.007 * (len(struck) + 1))  # not always at the same place of a study
                assert process.poll() is None
                struck.append(whom)
                blow = next(blows, None)
                if whom == "ours":
                    process.kill()
                    break
                ward.server.kill()
                time.sleep(0.3)
                ward.server.start()
            else:
                _, said = process.communicate()
                assert process.returncode == 0, said[-2000:]
    assert struck.count("theirs") == 3
    assert struck.count("ours") == 2
    finish(ward)
    run_for_nothing(ward)
    check_all(ward, STUDIES)


@pytest.mark.parametrize("way", ["get", "move"])
def test_by_dimse_too_each_is_answered_once_with_both_sides_killed(way, ward):
    ward.write_settings(way)
    ward.fill(range(12))
    with ward.start() as process:
        assert wait_until(lambda: ward.count_sent() >= 3, process)
        ward.server.kill()
        time.sleep(0.2)
        ward.server.start()
        assert wait_until(lambda: ward.count_sent() >= 7, process)
        process.kill()
    finish(ward)
    run_for_nothing(ward)
    check_all(ward, 12)


def test_without_end_to_an_outage_it_gives_up_in_one_line_and_goes_on_later(ward):
    ward.write_settings("web", transfer={"tries": 2, "first_wait_s": 0.05, "connect_s": 1})
    ward.fill(range(6))
    with ward.start() as process:
        assert wait_until(lambda: ward.count_sent() >= 2, process)
        ward.server.kill()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert_one_line(said)
    ward.server.start()
    ward.write_settings("web")
    finish(ward)
    check_all(ward, 6)


def assert_one_line(said):
    """Check that what it ends with is one line; before it may stand what it was at."""
    before = ("Answering studies", "tried again in")
    lines = [line for line in said.splitlines() if not any(word in line for word in before)]
    assert len(lines) == 1, said
    assert lines[0].startswith("polypskd: ")
    assert "Traceback" not in said
    assert "Planted" not in said


def test_a_wrong_password_ends_it_in_one_line_that_does_not_show_it(ward):
    ward.fill(range(2))
    (ward.folder / "password").write_text("wr0ng-secret")
    done = ward.run()
    assert done.returncode == 1
    assert_one_line(done.stderr)
    assert "password" in done.stderr
    assert "wr0ng-secret" not in done.stderr + done.stdout
    assert ward.list_reports() == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"called_ae": "ELSE"}, "is not called 'ELSE'"),
        ({"calling_ae": "NOBODY"}, "does not know our AE title 'NOBODY'"),
    ],
)
def test_a_wrong_ae_title_ends_it_in_one_line(changes, words, ward):
    ward.fill(range(2))
    ward.write_settings("get", changes)
    done = ward.run()
    assert done.returncode == 1
    assert_one_line(done.stderr)
    assert words in done.stderr
    assert ward.list_reports() == {}


@pytest.mark.skipif(not may_mount(), reason=NEEDS_MOUNT)
@pytest.mark.parametrize("way", ["web", "get"])
def test_a_full_archive_is_told_and_with_room_again_each_is_answered_once(way, tmp_path):
    changes = {"MaximumStorageCacheSize": 0}
    with Orthanc(tmp_path / "orthanc", changes=changes, disk=3) as server:
        ward = Ward(server, tmp_path / "ward")
        ward.fill(range(8))
        patience = {"tries": 2, "first_wait_s": 0.05, "longest_wait_s": 0.1}
        ward.write_settings(way, transfer=patience)
        server.fill_disk(left=16 << 10)
        done = ward.run()
        assert done.returncode == 1, done.stdout
        assert_one_line(done.stderr)
        server.grow(64)
        finish(ward)
        check_all(ward, 8)


@pytest.mark.skipif(not may_mount(), reason=NEEDS_MOUNT)
@pytest.mark.parametrize("way", ["web", "get"])
def test_a_full_disk_of_ours_is_told_and_with_room_again_each_is_answered_once(way, ward):
    ward.write_settings(way)
    ward.fill(range(6))
    disk = OwnDisk(ward.folder / "disk", 1024)
    try:
        ward.out = ward.folder / "disk" / "out"
        (disk.folder / "ballast").write_bytes(bytes(1000 << 10))
        done = ward.run(within=disk.within)
        assert done.returncode == 1, done.stdout
        assert_one_line(done.stderr)
        assert "free some space" in done.stderr
        (disk.folder / "ballast").unlink()
        done = ward.run(within=disk.within)
        assert done.returncode == 0, done.stderr
    finally:
        disk.close()
    check_all(ward, 6)


def test_a_study_that_is_deleted_before_its_turn_or_half_way_is_not_brought_back(ward):
    ward.fill(range(24))
    waiting = sorted(study_uid(number) for number in range(24))[-6:]
    with ward.start() as process:
        assert wait_until(lambda: ward.count_sent() >= 3, process)
        half_way = stop_half_way(ward, process)
        lost = {half_way, *waiting}
        delete(ward, lost)
        process.send_signal(signal.SIGCONT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert not lost & {*ward.list_reports()}
    standings = {one["study_uid"]: one["state"] for one in ward.read_journal()}
    assert standings[half_way] == "gone"
    ward.sources = {n: data for n, data in ward.sources.items() if study_uid(n) not in lost}
    assert ward.run().returncode == 0
    check_all(ward, 24 - len(lost))


def stop_half_way(ward, process):
    """Stop our process while it judges a study that it has fetched; give the study."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        lines = ward.read_journal()
        if lines and lines[-1]["state"] == "fetched":
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.01)
            last = ward.read_journal()[-1]
            if last["state"] == "fetched":
                return last["study_uid"]
            process.send_signal(signal.SIGCONT)
    raise AssertionError("no study was met half-way")


def delete(ward, studies):
    with ward.server.rest() as rest:
        for uid in studies:
            wish = {"Level": "Study", "Query": {"StudyInstanceUID": uid}}
            url = f"{ward.server.address}/tools/find"
            for found in rest.post(url, json=wish, timeout=30).json():
                rest.delete(f"{ward.server.address}/studies/{found}", timeout=30).raise_for_status()


def test_watch_answers_what_comes_and_ends_when_told_to(ward):
    ward.write_settings("web", watch={"poll_s": 0.2, "settle_s": 0.3})
    ward.fill(range(2))
    with ward.start("watch") as process:
        assert wait_until(lambda: ward.count_sent() >= 2, process)
        ward.fill(range(2, 5))
        assert wait_until(lambda: ward.count_sent() >= 5, process)
        ward.server.restart()
        ward.fill(range(5, 7))
        assert wait_until(lambda: ward.count_sent() >= 7, process)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode in {0, 143}, said
    assert "Traceback" not in said
    assert "Planted" not in said
    check_all(ward, 7)


def test_watch_answers_what_is_sent_to_it_though_it_is_killed_meanwhile(ward):
    port = find_port()
    receiver = {"port": port, "ae": "OURS", "callers": ["MODALITY"]}
    ward.write_settings("web", watch={"poll_s": 0.2, "settle_s": 0.5, "receiver": receiver})
    ward.fill(range(4))  # a modality sends to the archive and to us
    files = [write_instance(ward.folder / "sent", build_instance(number)) for number in range(4)]
    settings = Dimse(
        kind="dimse", host="127.0.0.1", port=port, called_ae="OURS", calling_ae="MODALITY"
    )
    modality = DimseArchive(settings, Transfer(connect_s=5, read_s=10))
    with ward.start("watch") as process:
        assert wait_until(lambda: listens(port), process)
        assert modality.store(files[:3]) == []
        process.kill()  # what it has answered for is on its disk
    with ward.start("watch") as process:
        assert wait_until(lambda: listens(port), process)
        assert modality.store(files[2:]) == []
        assert wait_until(lambda: len(ward.list_reports()) == 4, process)
        # The third came twice: it is looked at again, and found to be answered.
        assert wait_until(lambda: not ward.list_kept(), process)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert "Traceback" not in said
    modality.close()
    check_all(ward, 4)


def test_pacs_verbs_say_what_is_there(ward):
    ward.fill(range(2))
    settings = str(ward.folder / "pacs.yaml")
    told = [
        subprocess.run(
            [*ward.command("pacs", verb)[:5], settings, *more],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout
        for verb, *more in (("echo",), ("find", "--json"))
    ]
    assert "127.0.0.1" in told[0]
    assert len(json.loads(told[1])["studies"]) == 2
    extra = write_instance(ward.folder / "extra", build_instance(50))
    command = [*ward.command("pacs", "send")[:5], settings, str(extra), "--json"]
    for sent in (1, 0):
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert json.loads(done.stdout)["sent"] == sent
    assert ward.server.ask("/statistics")["CountInstances"] == 3
