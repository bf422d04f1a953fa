"""Watching: what comes, what waits, what fails, and how it stops."""

import signal
import socket
import threading
import time
from dataclasses import replace

import pytest
from answering import (
    call,
    count_modalities,
    delete_study,
    list_left,
    run,
    start,
    wait_for,
    write_settings,
)
from orthanc import OURS, TITLE, miss_server
from small_studies import build_instance, study_uid, write_bytes, write_instance

from polypskd.deployment.pacs.connections import Dimse
from polypskd.deployment.pacs.desk import Desk
from polypskd.deployment.pacs.dimse import DimseArchive
from polypskd.deployment.pacs.journal import Standing
from polypskd.deployment.pacs.outcome import Outcome
from polypskd.deployment.pacs.settings import Transfer, Watching
from polypskd.deployment.pacs.stopping import Stop
from polypskd.deployment.pacs.watch import Watch
from polypskd.errors import ArchiveError, OutputError

needs_server = pytest.mark.skipif(bool(miss_server()), reason=miss_server() or "there")
QUICK = Watching(poll_s=0.01, settle_s=0, heartbeat_s=0.05, queue=3)


class Plan:
    """Arrivals whose studies end as planned: a state, or an error to be raised."""

    def __init__(self, stop, **plan):
        self.stop, self.plan, self.worked, self.most = stop, plan, [], 0

    def describe(self):
        return "planned"

    def list_ready(self):
        if not any(self.plan.values()):
            self.stop.event.set()
        return [uid for uid, ends in self.plan.items() if ends]

    def work(self, study_uid):
        self.worked.append(study_uid)
        end = self.plan[study_uid].pop(0)
        if isinstance(end, Exception):
            raise end
        return Outcome(Standing(study_uid, end), final=end != "failed")


def watch(**plan):
    stop, lines = Stop(), []
    arrivals = Plan(stop, **plan)
    watching = Watch(arrivals, QUICK, stop, lines.append)
    with pytest.raises(KeyboardInterrupt):
        watching.run()
    return watching.summary, arrivals.worked, lines


def test_while_the_archive_is_away_the_study_keeps_its_place():
    away = ArchiveError("host: refuses the connection", transient=True)
    summary, worked, lines = watch(one=[away, away, "sent"], two=["sent"])
    assert worked == ["one", "one", "one", "two"]
    assert summary.states == {"sent": 2}
    assert sum("refuses the connection; waiting" in line for line in lines) == 2
    assert sum(line.startswith("goes on") for line in lines) == 1


def test_on_a_full_disk_it_waits_and_tells():
    full = OutputError("out: cannot be written (No space left); free some space, then ...")
    summary, worked, lines = watch(one=[full, "sent"])
    assert worked == ["one", "one"]
    assert any("free some space" in line for line in lines)
    assert summary.states == {"sent": 1}


def test_a_failed_study_lets_the_others_pass_and_is_tried_again():
    summary, worked, _ = watch(one=["failed", "sent"], two=["sent"], three=["gone"])
    assert worked[0] == "one"
    assert sorted(worked) == ["one", "one", "three", "two"]
    assert summary.states == {"failed": 1, "sent": 2, "gone": 1}


@pytest.mark.parametrize(
    "error", [ArchiveError("401"), OutputError("out: cannot be written (Read-only file system)")]
)
def test_what_does_not_pass_ends_it(error):
    stop = Stop()
    with pytest.raises(type(error), match=r"401|Read-only"):
        Watch(Plan(stop, one=[error]), QUICK, stop, print).run()


def test_no_more_wait_than_the_queue_holds():
    stop = Stop()
    arrivals = Plan(stop, **{f"s{turn}": ["sent"] for turn in range(20)})
    watching = Watch(arrivals, QUICK, stop, lambda line: None)
    work, lengths = arrivals.work, []

    def count(study_uid):
        lengths.append(len(watching._waiting))
        return work(study_uid)

    arrivals.work = count
    with pytest.raises(KeyboardInterrupt):
        watching.run()
    assert len(lengths) == 20
    assert max(lengths) == QUICK.queue


def test_it_says_that_it_is_at_work():
    stop, lines = Stop(), []
    threading.Timer(0.3, stop.event.set).start()
    watching = Watch(Plan(stop, one=["sent"]), QUICK, stop, lines.append)
    watching._arrivals.list_ready = lambda: []
    with pytest.raises(KeyboardInterrupt):
        watching.run()
    assert any(line.startswith("at work: 0 answered") for line in lines)


def test_told_to_stop_it_finishes_what_must_not_be_left_half_done():
    stop, done = Stop(), []

    def work():
        with stop.hold():
            signal.raise_signal(signal.SIGTERM)
            with stop.hold():
                done.append("inner")
            done.append("outer")
        done.append("never")

    with pytest.raises(KeyboardInterrupt), stop.listen():
        work()
    assert done == ["inner", "outer"]
    assert stop.number == signal.SIGTERM


def test_elsewhere_it_stops_at_once_and_a_second_signal_always():
    before = signal.getsignal(signal.SIGTERM)
    stop, done = Stop(), []

    def work():
        for word in ("once", "twice"):
            signal.raise_signal(signal.SIGTERM)
            done.append(word)

    with pytest.raises(KeyboardInterrupt), stop.listen():
        work()
    assert done == []
    stop = Stop()
    with pytest.raises(KeyboardInterrupt), stop.listen(), stop.hold():
        work()
    assert done == ["once"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_desk_is_closed_and_empty_and_gone_in_the_end(tmp_path):
    path = tmp_path / "desk"
    (path / "in").mkdir(parents=True)
    (path / "in" / "left.dcm").write_text("of a killed process")
    desk = Desk(path, Stop())
    assert not path.exists()

    def work():
        with desk.open() as folder:
            assert [one.name for one in folder.rglob("*")] == ["in"]
            assert folder.stat().st_mode & 0o077 == 0
            (folder / "in" / "one.dcm").write_text("patient")
            raise ValueError("any")

    with pytest.raises(ValueError, match="any"):
        work()
    assert not path.exists()
    path.symlink_to(tmp_path)
    with pytest.raises(OutputError, match="link"):
        Desk(path, Stop())


@needs_server
def test_studies_that_are_sent_to_us_are_answered_and_removed(server, bundle, tmp_path):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    receiver = {"port": port, "ae": "OURS", "callers": ["MODALITY"]}
    watching = {"poll_s": 0.2, "settle_s": 0.3, "heartbeat_s": 60, "receiver": receiver}
    settings, out = write_settings(tmp_path, server, "", watch=watching), tmp_path / "out"
    process = start("watch", settings, bundle, "--out", out)
    numbers = [801, 802]
    files = [
        write_instance(tmp_path / "files", build_instance(number, turn))
        for number in numbers
        for turn in range(2)
    ]
    told = {"kind": "dimse", "host": "127.0.0.1", "port": port, "called_ae": "OURS"}
    wait_for(out / "journal.jsonl", 1, process)
    sender = DimseArchive(Dimse(**told, calling_ae="MODALITY"), Transfer(connect_s=5, read_s=5))
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            assert sender.store(files) == []
            break
        except ArchiveError:
            time.sleep(0.05)
    wait_for(out / "journal.jsonl", 9, process)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    _, lines = process.communicate(timeout=20)
    assert process.returncode == 0, lines
    # The archive got the results; it never had the pictures.
    assert count_modalities(server, numbers) == [{"SR": 1}] * 2
    assert list_left(out) == []
    for number in numbers:
        assert study_uid(number) not in lines.decode()
        delete_study(server, study_uid(number))


@needs_server
@pytest.mark.parametrize("retrieve", ["get", "move"])
def test_the_same_verbs_speak_dimse(retrieve, server, bundle, studies, tmp_path):
    word, numbers = studies(2)
    archive = {"kind": "dimse", "host": "127.0.0.1", "port": server.dicom_port}
    archive |= {"called_ae": TITLE, "calling_ae": OURS, "retrieve": retrieve}
    archive |= {"listen_port": server.our_port}
    settings = write_settings(tmp_path, server, word, archive=archive)
    code, told = run(settings, bundle, tmp_path / "out")
    assert (code, told["states"]) == (0, {"sent": 2})
    assert count_modalities(server, numbers) == [{"ES": 2, "SR": 1}] * 2
    assert run(settings, bundle, tmp_path / "other")[1]["results_sent"] == 0
    web = write_settings(tmp_path, server, word)
    assert run(web, bundle, tmp_path / "third")[1]["results_sent"] == 0
    wrong = write_settings(tmp_path, server, word, archive=archive | {"called_ae": "NOBODY"})
    code, told = call("pacs", "echo", wrong)
    assert code == 1
    assert "called_ae" in told
    assert len(told.splitlines()) == 1


@needs_server
def test_a_study_that_still_grows_is_let_grow(server, bundle, studies, tmp_path):
    word, (number,) = studies(1)
    watching = {"poll_s": 0.1, "settle_s": 1, "heartbeat_s": 60}
    settings, out = write_settings(tmp_path, server, word, watch=watching), tmp_path / "out"
    process = start("watch", settings, bundle, "--out", out)
    wait_for(out / "journal.jsonl", 1, process)
    for turn in range(3, 8):
        time.sleep(0.3)
        server.upload(write_bytes(build_instance(number, turn, StudyDescription=word)))
    wait_for(out / "journal.jsonl", 6, process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert count_modalities(server, [number]) == [{"ES": 7, "SR": 1}]


def test_an_outcome_is_told_without_a_uid():
    from polypskd.deployment.pacs.watch import describe_outcome

    sent = Outcome(Standing("1.2.840.77", "sent"), frames=1234, stored=2, unread=1)
    assert "results 2, frames 1,234, 1 cannot be read" in describe_outcome(sent)
    part = replace(sent, left_out="is no color image")
    assert describe_outcome(part).endswith("cannot be read; left out: is no color image")
    failed = replace(sent, standing=Standing("1.2.840.77", "failed", reason="why"))
    assert describe_outcome(failed).endswith("failed: why")
    assert "1.2.840" not in describe_outcome(sent) + describe_outcome(failed)
