"""The audit log: every entry is kept, whoever writes and however a writer ends."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.deployment.audit import AuditLog, verify
from polypskd.deployment.auditing import store as audit_store
from polypskd.deployment.auditing.fields import FIELDS, check_event, is_allowed
from polypskd.deployment.auditing.verify import examine
from polypskd.errors import OutputError

KEY = b"an audit key of 24 bytes"
KEYS = pytest.mark.parametrize("key", [None, KEY], ids=["plain", "keyed"])
DONE = {"event": "input", "outcome": "done", "input_sha256": "ab" * 32}
WRITER = """
import sys
from pathlib import Path
from polypskd.deployment.audit import AuditLog
log = AuditLog(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    log.append({"event": "input", "outcome": "done", "frames": number})
    print(number, flush=True)
"""


def sample(start: int, stop: int) -> list:
    """Give both ends and some between."""
    return [*range(start, stop - 3, 29), *range(stop - 3, stop)]


def read(path: Path) -> list:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "logs" / "audit.jsonl"


@KEYS
def test_each_line_holds_number_time_event_and_the_hash_of_the_line_before(path, key):
    log = AuditLog(path, key)
    heads = [log.append(DONE), log.append({"event": "end", "exit_code": 0})]
    lines = path.read_bytes().splitlines()
    digests = [hashlib.sha256(line).hexdigest() for line in lines]
    entries = read(path)
    assert [entry["seq"] for entry in entries] == [1, 2, 3]
    assert [entry["event"] for entry in entries] == ["open", "input", "end"]
    assert [entry["previous"] for entry in entries] == ["0" * 64, *digests[:2]]
    assert heads == digests[1:]
    assert all(entry["time"].endswith("Z") for entry in entries)
    assert verify(path, heads[-1], key) == []


@KEYS
def test_a_line_is_canonical_so_that_one_entry_has_one_form(path, key):
    AuditLog(path, key).append(DONE)
    for line in path.read_bytes().splitlines():
        same = json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"))
        assert same.encode() == line


def test_several_entries_at_once_are_as_good_as_one_by_one(path):
    log = AuditLog(path)
    log.extend(DONE for _ in range(1200))
    assert [entry["seq"] for entry in read(path)] == list(range(1, 1202))
    assert verify(path) == []


@pytest.mark.parametrize(
    "event",
    [
        {"event": "input", "patient": "Doe^John"},
        {"event": "input", "outcome": "Doe^John"},
        {"event": "Doe^John"},
        {"outcome": "done"},
        {"event": "start", "bundle_name": "Doe^John"},
        {"event": "start", "bundle_version": "Doe^John"},
        {"event": "start", "tool_version": "1.0+Doe^John"},
        {"event": "input", "input_sha256": "Doe^John"},
        {"event": "input", "sop_uid_sealed": "1.2.840.Doe^John"},
        {"event": "input", "frames": "Doe^John"},
        {"event": "input", "frames": -1},
        {"event": "input", "frames": True},
        {"event": "input", "frames": 1.5},
        {"event": "end", "exit_code": 256},
        {"event": "input", "Doe^John": 1},
        {"event": "input", "seq": 4},
        {"event": "input", "input_sha256": "ab" * 32 + "\n"},
        {"event": ["input"]},
    ],
)
def test_what_the_allow_list_does_not_know_is_refused_in_one_line_that_does_not_repeat_it(
    path, event
):
    with pytest.raises(OutputError) as told:
        AuditLog(path).append(event)
    assert "Doe" not in str(told.value)
    assert len(told.value.lines) == 1
    assert not path.exists()


@given(st.sampled_from(sorted(FIELDS)), st.text(max_size=80))
def test_no_text_in_free_words_fits_a_field(name, text):
    if " " in text or "^" in text or not text.isascii():
        assert not is_allowed(name, text)


def test_fields_that_are_none_are_left_out():
    assert check_event({"event": "end", "exit_code": None}) == {"event": "end"}


def test_the_log_is_not_open_to_everybody(path):
    AuditLog(path).append(DONE)
    assert path.stat().st_mode & 0o7 == 0


@pytest.mark.parametrize("cut", [1, 2, 40, 150])
@pytest.mark.parametrize("killed", [True, False], ids=["by a kill", "by a hand"])
def test_a_line_torn_by_a_kill_stays_and_is_told_of_and_one_cut_later_is_refused(path, cut, killed):
    log = AuditLog(path)
    log.append(DONE)
    head = audit_store.name_head(path).read_bytes()
    log.append(DONE)
    whole = path.read_bytes()
    if killed:  # before the head file was written
        audit_store.name_head(path).write_bytes(head)
    torn = whole[:-cut]
    path.write_bytes(torn)
    assert verify(path) != []
    if not killed:
        with pytest.raises(OutputError, match="cut or changed"):
            log.append(DONE)
        assert path.read_bytes() == torn
        return
    log.append({"event": "end"})
    after = path.read_bytes()
    assert after.startswith(torn + b"\n")
    entry = json.loads(after.splitlines()[-1])
    left = torn.splitlines()[-1]
    if cut == 1:  # all but the line end was there: the entry counts
        assert entry["beyond_head"] == 1
        assert "torn_bytes" not in entry
    else:
        assert entry["torn_bytes"] == len(left)
        assert entry["torn_sha256"] == hashlib.sha256(left).hexdigest()
    found = examine(path)
    assert found.findings == ()
    assert any("tells" in note for note in found.notes)


def test_a_kill_while_a_torn_line_is_told_of_is_told_of_too(path):
    log = AuditLog(path)
    log.append(DONE)
    head = audit_store.name_head(path).read_bytes()
    start = path.read_bytes()
    path.write_bytes(start + b'{"eve')
    log.append(DONE)
    second = path.read_bytes()
    for cut in sample(len(start) + 5, len(second)):
        path.write_bytes(second[:cut])
        audit_store.name_head(path).write_bytes(head)
        log.append(DONE)
        assert path.read_bytes().startswith(second[:cut])
        assert verify(path) == [], cut


def test_a_kill_at_any_byte_of_the_first_write_leaves_a_log_that_goes_on(path):
    AuditLog(path).append(DONE)
    first = path.read_bytes().splitlines(keepends=True)[0]
    for cut in sample(0, len(first) + 1):
        audit_store.name_head(path).unlink(missing_ok=True)
        path.write_bytes(first[:cut])
        AuditLog(path).append(DONE)
        assert verify(path) == [], cut
        assert path.read_bytes().startswith(first[:cut])


def test_writers_that_are_killed_lose_nothing_that_they_said_was_written(path):
    told = 0
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, path, "10000"], stdout=subprocess.PIPE, text=True
        ) as writer:
            for _ in range(8):
                assert writer.stdout.readline()
                told += 1
            writer.send_signal(signal.SIGKILL)
            told += len(writer.stdout.read().split())
    AuditLog(path).append({"event": "end"})
    assert verify(path) == []
    assert sum(b'"event":"input"' in line for line in path.read_bytes().splitlines()) >= told


def test_two_processes_never_interleave(path):
    command = [sys.executable, "-c", WRITER, path, "40"]
    writers = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert verify(path) == []
    frames = [entry["frames"] for entry in read(path)[1:]]
    assert sorted(frames) == sorted([*range(40)] * 3)


def test_a_log_held_by_another_process_ends_in_one_line(path, monkeypatch):
    monkeypatch.setattr(audit_store, "PATIENCE", 0.05)
    with audit_store.lock_log(path), pytest.raises(OutputError, match="held by another process"):
        AuditLog(path).append(DONE)


def test_on_a_full_disk_the_writer_stops_in_one_line_and_the_log_says_so_later(path):
    limited = (
        "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (1500, -1))\n{WRITER}"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, path, "100"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "OutputError" in done.stderr.splitlines()[-1]
    assert path.stat().st_size == 1500
    kept = len(done.stdout.split())
    AuditLog(path).append({"event": "end"})
    assert verify(path) == []
    last = json.loads(path.read_bytes().splitlines()[-1])
    assert last["seq"] == kept + 2
    assert last["torn_bytes"] > 0


def test_a_full_disk_says_what_to_do(path, monkeypatch):
    log = AuditLog(path)
    log.append(DONE)
    write = os.write

    def full(handle, data):
        if len(data) > 10:
            return write(handle, data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OutputError, match=r"No space left on device.*free some space"):
        log.append(DONE)


@KEYS
def test_a_new_file_begins_with_the_hash_of_the_last_line_of_the_old_one(path, key):
    log = AuditLog(path, key)
    head = log.append(DONE)
    older = log.rotate()
    log.append(DONE)
    assert older.name == "audit-000000002.jsonl"
    first = read(path)[0]
    assert (first["event"], first["seq"], first["previous"]) == ("open", 3, head)
    found = examine(path, head, key)
    assert (found.findings, found.files, found.entries) == ((), 2, 4)
    assert verify(older, head, key) == []


def test_a_large_log_is_closed_by_itself(path):
    log = AuditLog(path, largest=1000)
    for _ in range(12):
        log.append(DONE)
    found = examine(path)
    assert found.findings == ()
    assert found.files > 2
    assert all(one.stat().st_size < 1500 for one in path.parent.glob("*.jsonl"))


def test_a_log_killed_between_closing_one_file_and_the_next_goes_on(path):
    log = AuditLog(path)
    log.append(DONE)
    older = log.rotate()
    path.unlink()
    lines = older.read_bytes().splitlines()
    point = audit_store.Point(2, hashlib.sha256(lines[-1]).hexdigest())
    point = audit_store.Point(2, point.digest, older.stat().st_size, len(lines[-1]))
    audit_store.write_head(path, point, None)
    assert verify(path) == []
    log.append(DONE)
    assert verify(path) == []
    assert read(path)[0]["previous"] == point.digest


def test_rotation_tells_first_of_what_a_killed_writer_left(path):
    log = AuditLog(path)
    log.append(DONE)
    with path.open("ab") as file:
        file.write(b'{"event"')
    older = log.rotate()
    assert json.loads(older.read_bytes().splitlines()[-1])["torn_bytes"] == 8
    assert verify(path) == []


@pytest.mark.parametrize("key", [None, b"another key of 24 bytes.."], ids=["none", "another"])
def test_nobody_goes_on_with_a_sealed_log_without_its_key(path, key):
    AuditLog(path, KEY).append(DONE)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="another key"):
        AuditLog(path, key).append(DONE)
    assert path.read_bytes() == before


@pytest.mark.parametrize("change", ["cut", "edit", "head", "garbled head", "log"])
def test_nobody_goes_on_with_a_log_that_was_changed(path, change):
    log = AuditLog(path)
    log.append(DONE)
    log.append(DONE)
    data, head = path.read_bytes(), audit_store.name_head(path)
    match change:
        case "cut":
            path.write_bytes(b"".join(data.splitlines(keepends=True)[:-1]))
        case "edit":
            path.write_bytes(data[:-100] + bytes([data[-100] ^ 1]) + data[-99:])
        case "head":
            head.unlink()
        case "garbled head":
            head.write_bytes(b'{"seq":')
        case "log":
            path.unlink()
    before = path.read_bytes() if path.exists() else b""
    with pytest.raises(OutputError) as told:
        log.append(DONE)
    assert len(told.value.lines) == 1
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
@pytest.mark.parametrize("name", ["audit.jsonl", "audit.jsonl.lock", "audit.jsonl.head"])
def test_what_is_no_file_is_refused_at_once(path, tmp_path, kind, name):
    path.parent.mkdir()
    place = path.with_name(name)
    if kind == "link":
        (tmp_path / "target").write_bytes(b"")
        place.symlink_to(tmp_path / "target")
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.mkdir()
    with pytest.raises(OutputError):
        AuditLog(path).append(DONE)
    if kind == "link":
        assert (tmp_path / "target").read_bytes() == b""
