"""What is done with a study: where it was left off, where it is gone, where one is told to stop."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from small_bundle import write_bundle
from small_studies import (
    ENDOSCOPIC,
    build_instance,
    instance_uid,
    series_uid,
    study_uid,
    write_instance,
)

from polypskd.deployment.bundle import open_bundle
from polypskd.deployment.pacs.archive import InstanceEntry, Refusal, name_file
from polypskd.deployment.pacs.instance_files import read_uid
from polypskd.deployment.pacs.journal import open_journal
from polypskd.deployment.pacs.retry import Patience, call_again
from polypskd.deployment.pacs.sending import send_files
from polypskd.deployment.pacs.settings import Settings
from polypskd.deployment.pacs.stopping import Stop
from polypskd.deployment.pacs.study_judging import StudyJudge
from polypskd.deployment.pacs.worker import StudyWorker
from polypskd.deployment.prediction import shots

STUDY = study_uid(1)


class Shelf:
    """An archive of one study, in memory; it gives other bytes each time, as archives may."""

    def __init__(self, frames=2):
        self.frames = [instance_uid(1, turn) for turn in range(frames)]
        self.results, self.fetched = [], 0

    def echo(self):
        return "shelf"

    def list_instances(self, uid):
        frames = [InstanceEntry(one, ENDOSCOPIC, series_uid(1), "ES") for one in self.frames]
        return frames + [InstanceEntry(one, "", "1.9", "SR") for one in self.results]

    def fetch(self, uid, instances, folder):
        self.fetched += 1
        paths = []
        for turn, one in enumerate(instances):
            write_instance(folder, build_instance(1, turn, Manufacturer=f"M{self.fetched}"))
            paths.append(name_file(folder, one.sop_uid))
        return paths

    def store(self, files):
        self.results += map(read_uid, files)
        return []

    def holds(self, uid, sop_uids):
        return {*sop_uids} & {*self.frames, *self.results}


@pytest.fixture
def bundle(tmp_path):
    return open_bundle(write_bundle(tmp_path))


def work(shelf, bundle, out, stop=None):
    settings = Settings(archive={"kind": "dicomweb", "url": "https://shelf"})
    stop = stop or Stop()
    judge = StudyJudge(bundle, 1, 1, stop)
    try:
        with open_journal(out, {}) as journal:
            return StudyWorker(shelf, judge, journal, out, settings, stop).work(STUDY)
    finally:
        judge.close()


def cut_last_line(out):
    path = out / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    return lines[-1]


def test_killed_between_store_and_journal_it_is_answered_though_it_comes_in_other_bytes(
    bundle, tmp_path
):
    shelf, out = Shelf(), tmp_path / "out"
    first = work(shelf, bundle, out)
    assert (first.standing.state, first.stored) == ("sent", 1)
    assert b'"state":"sent"' in cut_last_line(out)
    again = work(shelf, bundle, out)
    assert (again.standing.state, again.stored, again.standing.total) == ("sent", 0, 3)
    # A further kill, before all was noted anew, changes nothing.
    cut_last_line(out)
    assert work(shelf, bundle, out).standing == again.standing
    assert (len(shelf.results), shelf.fetched) == (1, 1)


def test_what_was_sent_is_known_after_a_second_kill_while_the_archive_did_not_yet_list_it(
    bundle, tmp_path, monkeypatch
):
    shelf, out = Shelf(), tmp_path / "out"
    work(shelf, bundle, out)
    cut_last_line(out)
    late, shelf.results = shelf.results, []

    def kill(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shelf, "fetch", kill)
        with pytest.raises(KeyboardInterrupt):
            work(shelf, bundle, out)
    shelf.results = late
    assert work(shelf, bundle, out).standing.state == "sent"
    assert (len(shelf.results), shelf.fetched) == (1, 1)


def test_killed_before_the_store_it_is_answered_anew(bundle, tmp_path):
    shelf, out = Shelf(), tmp_path / "out"
    work(shelf, bundle, out)
    cut_last_line(out)
    shelf.results.clear()
    assert work(shelf, bundle, out).stored == 1
    assert (len(shelf.results), shelf.fetched) == (1, 2)


def test_what_stays_gone_is_noted_once(bundle, tmp_path):
    shelf, out = Shelf(frames=0), tmp_path / "out"
    first = work(shelf, bundle, out)
    assert (first.standing.state, first.known) == ("gone", False)
    lines = (out / "journal.jsonl").read_bytes()
    again = work(shelf, bundle, out)
    assert again == replace(first, known=True)
    assert (out / "journal.jsonl").read_bytes() == lines


def test_a_study_without_any_answer_says_what_is_wrong_and_with_what(bundle, tmp_path):
    shelf = Shelf(frames=1)
    fetch = shelf.fetch

    def break_it(uid, instances, folder):
        paths = fetch(uid, instances, folder)
        write_instance(folder, build_instance(1, 0, BitsAllocated=32))
        return paths

    shelf.fetch = break_it
    failed = work(shelf, bundle, tmp_path / "out").standing
    assert failed.state == "failed"
    assert "32" in failed.reason
    assert instance_uid(1) not in failed.reason


def test_told_to_stop_no_video_is_judged_to_its_end(bundle, tmp_path, monkeypatch):
    stop, judged = Stop(), threading.Event()

    def read_without_end(*_):
        number = 0
        while not judged.wait(0.001):
            number += 1
            if number == 5:
                stop.event.set()
            yield shots.Shot(number, np.zeros((64, 64, 3), np.uint8))

    monkeypatch.setattr(shots, "read_dicom", read_without_end)
    safety = threading.Timer(20, judged.set)
    safety.start()
    with pytest.raises(KeyboardInterrupt):
        work(Shelf(), bundle, tmp_path / "out", stop)
    assert not judged.is_set()
    safety.cancel()
    assert not (tmp_path / "out" / ".pacs" / "desk").exists()


def test_files_refused_for_now_are_sent_again_though_another_is_refused_for_good(tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad"
    archive, turns = Shelf(), []

    def store(files):
        turns.append([path.name for path in files])
        full = len(turns) < 3
        told = [Refusal(path, "no such kind") for path in files if path == bad]
        return told + [Refusal(good, "full", transient=True)] * full

    archive.store = store
    patience = Patience(tries=5, first_wait_s=0)
    refused = send_files(
        archive, STUDY, {"1.8": bad, "1.9": good}, lambda call: call_again(call, patience)
    )
    assert [one.file for one in refused] == [bad]
    assert turns == [["bad", "good"], ["good"], ["good"]]
