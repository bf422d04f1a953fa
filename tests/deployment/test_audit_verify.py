"""What was changed in an audit log is found: any byte, any line, any cut."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.deployment.audit import AuditLog, verify
from polypskd.deployment.auditing.chain import Point, Walk, make_line
from polypskd.deployment.auditing.verify import examine
from polypskd.errors import ArtifactError, ConfigError

KEY = b"an audit key of 24 bytes"
DONE = {"event": "input", "outcome": "done", "input_sha256": "ab" * 32}


def lay(path: Path, data: bytes) -> None:
    """Write over a file; to empty it first makes the disk wait, thousands of times."""
    path.touch()
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


class Sample:
    """A log of nine entries with a told torn line within, and a place to change a copy of it."""

    def __init__(self, folder: Path, key: bytes | None) -> None:
        self.key = key
        self.path = folder / "audit.jsonl"
        log = AuditLog(self.path, key)
        for number in range(4):
            log.append({**DONE, "frames": number})
        with self.path.open("ab") as file:
            file.write(b'{"event":"inp')
        for number in range(4):
            self.noted = log.append({**DONE, "frames": number})
        self.data = self.path.read_bytes()
        self.lines = self.data.splitlines(keepends=True)
        self.head = self.path.with_name("audit.jsonl.head")
        self.headed = self.head.read_bytes()

    def verify(self, data: bytes, head: bytes | None = None, noted: str | None = None) -> list:
        lay(self.path, data)
        lay(self.head, self.headed if head is None else head)
        return verify(self.path, noted, self.key)


@pytest.fixture(scope="module", params=[None, KEY], ids=["plain", "keyed"])
def sample(request, tmp_path_factory):
    made = Sample(tmp_path_factory.mktemp("audit"), request.param)
    assert made.verify(made.data) == []
    assert made.verify(made.data, noted=made.noted) == []
    return made


def test_a_flip_of_any_byte_is_found(sample):
    for place in range(len(sample.data)):
        changed = bytearray(sample.data)
        changed[place] ^= 1 << place % 8
        assert sample.verify(bytes(changed)), place


def test_a_flip_of_any_byte_of_the_head_file_is_found(sample):
    for place in range(len(sample.headed)):
        changed = bytearray(sample.headed)
        changed[place] ^= 1 << place % 8
        assert sample.verify(sample.data, bytes(changed)), place


@given(data=st.data())
def test_any_byte_changed_to_any_other_is_found(sample, data):
    place = data.draw(st.integers(0, len(sample.data) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != sample.data[place]))
    assert sample.verify(sample.data[:place] + bytes([byte]) + sample.data[place + 1 :])


@given(data=st.data())
def test_bytes_put_in_or_taken_out_anywhere_are_found(sample, data):
    start = data.draw(st.integers(0, len(sample.data)))
    end = data.draw(st.integers(start, len(sample.data)))
    new = data.draw(st.binary(max_size=20))
    changed = sample.data[:start] + new + sample.data[end:]
    if changed != sample.data:
        assert sample.verify(changed)


def test_a_removed_line_is_found(sample):
    for number in range(len(sample.lines)):
        lines = [*sample.lines]
        del lines[number]
        assert sample.verify(b"".join(lines)), number


def test_a_doubled_line_is_found(sample):
    for number, line in enumerate(sample.lines):
        lines = [*sample.lines]
        lines.insert(number, line)
        assert sample.verify(b"".join(lines)), number


def test_two_lines_that_changed_places_are_found(sample):
    for first in range(len(sample.lines)):
        for second in range(first):
            lines = [*sample.lines]
            lines[first], lines[second] = lines[second], lines[first]
            assert sample.verify(b"".join(lines)), (first, second)


def test_a_cut_anywhere_is_found(sample):
    for size in range(len(sample.data)):
        assert sample.verify(sample.data[:size]), size


def test_a_cut_is_found_by_a_noted_head_where_the_head_file_is_gone(sample):
    for count in range(1, len(sample.lines)):
        sample.path.write_bytes(b"".join(sample.lines[:count]))
        sample.head.unlink(missing_ok=True)
        assert verify(sample.path, sample.noted, sample.key), count


def test_a_cut_at_a_line_end_without_any_head_is_not_found_and_that_is_said(sample):
    sample.path.write_bytes(b"".join(sample.lines[:3]))
    sample.head.unlink(missing_ok=True)
    found = examine(sample.path, None, sample.key)
    assert found.findings == ()
    assert any("whether the end was cut" in note for note in found.notes)


def test_a_line_that_somebody_adds_with_the_right_hashes_is_found(sample):
    last = json.loads(sample.lines[-1])
    sample.verify(sample.data)
    end = Point(last["seq"], examine(sample.path, None, sample.key).head, len(sample.data))
    line, _ = make_line({"event": "end"}, end, "2026-01-01T00:00:00.000Z", None)
    assert sample.verify(sample.data + line)


def test_a_log_written_anew_is_found_by_its_key_or_by_a_noted_head(sample, tmp_path):
    forged = Sample(tmp_path, None)
    found = sample.verify(forged.data, forged.headed)
    assert bool(found) == (sample.key is not None)  # a plain chain cannot show it
    assert sample.verify(forged.data, forged.headed, sample.noted)


def test_the_entries_since_a_noted_head_are_counted(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    noted = log.append(DONE)
    log.extend([DONE, DONE])
    found = examine(log.path, noted)
    assert found.findings == ()
    assert any(note.startswith("2 entries were added") for note in found.notes)


def test_without_the_key_the_chain_is_checked_and_the_seals_are_said_to_be_unchecked(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl", KEY)
    log.append(DONE)
    found = examine(log.path)
    assert found.findings == ()
    assert any("not checked" in note for note in found.notes)
    assert verify(log.path, None, b"another key of 24 bytes..") != []


def test_lines_of_a_plain_log_do_not_pass_as_sealed(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    log.append(DONE)
    assert any("not sealed" in line for line in verify(log.path, None, KEY))


def series(folder: Path) -> tuple:
    log = AuditLog(folder / "audit.jsonl")
    older = []
    for _ in range(3):
        log.append(DONE)
        older.append(log.rotate())
    log.append(DONE)
    assert verify(log.path) == []
    return log.path, older


def test_a_file_missing_from_the_middle_of_a_series_is_found(tmp_path):
    path, older = series(tmp_path)
    older[1].unlink()
    assert verify(path)


def test_the_oldest_files_of_a_series_may_be_kept_elsewhere_and_that_is_said(tmp_path):
    path, older = series(tmp_path)
    older[0].unlink()
    found = examine(path)
    assert found.findings == ()
    assert any("files before it are not here" in note for note in found.notes)


def test_a_cut_at_the_end_of_an_older_file_is_found(tmp_path):
    path, older = series(tmp_path)
    lines = older[1].read_bytes().splitlines(keepends=True)
    older[1].write_bytes(b"".join(lines[:-1]))
    assert verify(path)


def test_the_first_line_of_a_file_cannot_be_taken_away_as_if_it_were_kept_elsewhere(tmp_path):
    path, older = series(tmp_path)
    older[0].unlink()
    lines = older[1].read_bytes().splitlines(keepends=True)
    older[1].write_bytes(b"".join(lines[1:]))
    assert any("no beginning" in line for line in verify(path))


def test_a_field_that_is_not_allowed_is_found_though_all_hashes_agree(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    log.append(DONE)
    size = log.path.stat().st_size
    end = Point(2, examine(log.path).head, size)
    line, _ = make_line({"event": "end", "name": "Doe"}, end, "2026-01-01T00:00:00.000Z", None)
    with log.path.open("ab") as file:
        file.write(line)
    assert any("allow-list" in line for line in verify(log.path))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n" * 100_000,
        b"x" * 3_000_000,
        (b"[" * 4000 + b"\n") * 20,
        b'{"seq":' + b"9" * 4000 + b"}\n",
        b"\0" * 100_000,
        bytes(range(256)) * 400,
        b'{"event":"open","previous":"","seal":"","seq":NaN,"time":""}\n',
        b'{"event":"\\ud800"}\n',
    ],
    ids=["empty", "ends", "long", "deep", "number", "zeros", "bytes", "nan", "surrogate"],
)
def test_what_is_no_log_ends_in_findings_without_a_crash(tmp_path, data):
    path = tmp_path / "audit.jsonl"
    path.write_bytes(data)
    AuditLog(tmp_path / "other.jsonl").append(DONE)
    shutil.copy(tmp_path / "other.jsonl.head", tmp_path / "audit.jsonl.head")
    found = verify(path)
    assert 0 < len(found) < 100
    assert all(line.isprintable() for line in found)


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_no_line_crashes_the_walk(lines):
    walk = Walk(None, None, name="audit.jsonl")
    for line in lines:
        assert walk.take(line.replace(b"\n", b"")) is None
    walk.finish()
    assert bool(walk.findings) == bool(lines)


def test_a_missing_log_and_a_head_that_is_none_are_told(tmp_path):
    with pytest.raises(ArtifactError, match="missing"):
        verify(tmp_path / "audit.jsonl")
    AuditLog(tmp_path / "audit.jsonl").append(DONE)
    with pytest.raises(ConfigError, match="64 digits"):
        verify(tmp_path / "audit.jsonl", "abc")


def call(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "polypskd", "audit", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_the_verb_verify_exits_with_0_and_prints_the_head(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl", KEY)
    head = log.append(DONE)
    told = call("verify", log.path, "--key-env", "AUDIT_KEY", AUDIT_KEY=KEY.decode())
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.endswith(f"head: {head}\n")


def test_the_verb_verify_exits_with_1_and_tells_each_finding_in_a_line(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    log.append(DONE)
    log.path.write_bytes(log.path.read_bytes().replace(b'"done"', b'"gone"'))
    told = call("verify", log.path, "--json")
    assert told.returncode == 1
    found = json.loads(told.stdout)
    assert not found["agrees"]
    assert found["findings"]
    assert "Traceback" not in told.stderr


def test_the_verb_show_prints_a_table_and_nothing_that_the_allow_list_does_not_know(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    log.extend([DONE] * 3)
    log.path.write_bytes(log.path.read_bytes().replace(b'"done"', b'"Doe^"'))
    told = call("show", log.path, "--last", "2")
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[0].split()[:3] == ["seq", "time", "event"]
    assert len(lines) == 5
    assert "Doe" not in told.stdout
    assert "finding" in lines[-1]


def test_the_table_fits_a_narrow_terminal_and_names_what_tells_all(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    log.append(
        {"event": "start", "run": "ab" * 8, "tool_version": "0.1.0", "bundle_name": "n" * 40}
    )
    log.append({**DONE, "run": "ab" * 8})
    told = call("show", log.path).stdout.splitlines()
    assert max(map(len, told)) <= 80
    assert "nnnnnnnnnn" in told[2]
    assert DONE["input_sha256"][:8] in told[3]
    assert "--json" in told[-1]
    assert "findings" not in told[-1]


def test_one_is_told_as_one(tmp_path):
    log = AuditLog(tmp_path / "audit.jsonl")
    log.append(DONE)
    assert "2 entries in 1 file, all agree" in call("verify", log.path).stdout
