"""The journal: what a kill, a full disk or a flipped bit does to it."""

import os
import resource
import stat
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polypskd.deployment.pacs.journal import (
    NAME,
    STATES,
    Standing,
    digest_inputs,
    name_study,
    open_journal,
    read_line,
    write_line,
)
from polypskd.errors import ArtifactError, OutputError

OPTIONS = {"model": "a"}
STANDINGS = st.builds(
    Standing,
    study_uid=st.sampled_from(["1.2.3", "1.2.4", "2.25.99"]),
    state=st.sampled_from(sorted(STATES)),
    inputs=st.sampled_from(["", "abcd"]),
    count=st.integers(0, 9),
    moment=st.just("2026-01-02T03:04:05+00:00"),
    results=st.lists(st.sampled_from(["2.25.1", "2.25.2"]), max_size=2).map(tuple),
    total=st.integers(0, 9),
    reason=st.text(max_size=20),
)


def fill(out, standings):
    with open_journal(out, OPTIONS) as journal:
        for one in standings:
            journal.note(one)
    return (out / NAME).read_bytes()


def read(out, options=OPTIONS):
    with open_journal(out, options) as journal:
        return {one.study_uid: one for one in journal.list_standings()}


@settings(max_examples=30)  # each waits for the disk several times
@given(st.lists(STANDINGS, max_size=8))
def test_what_was_noted_last_of_each_study_is_read_again(tmp_path_factory, standings):
    out = tmp_path_factory.mktemp("journal")
    fill(out, standings)
    assert read(out) == {one.study_uid: one for one in standings}


@settings(max_examples=30)  # each waits for the disk several times
@given(st.lists(STANDINGS, min_size=1, max_size=5), st.data())
def test_cut_at_any_byte_it_holds_what_was_whole_and_goes_on(tmp_path_factory, standings, data):
    out = tmp_path_factory.mktemp("journal")
    whole = fill(out, standings)
    at = data.draw(st.integers(0, 10_000)) % (len(whole) + 1)
    (out / NAME).write_bytes(whole[:at])
    kept = standings[: max(0, whole[:at].count(b"\n") - 1)]
    assert read(out) == {one.study_uid: one for one in kept}
    more = Standing("1.9", "sent")
    with open_journal(out, OPTIONS) as journal:
        journal.note(more)
    assert read(out) == {one.study_uid: one for one in [*kept, more]}


@settings(max_examples=30)  # each waits for the disk several times
@given(st.lists(STANDINGS, min_size=2, max_size=5), st.data())
def test_a_flipped_bit_before_the_last_line_is_told(tmp_path_factory, standings, data):
    out = tmp_path_factory.mktemp("journal")
    whole = bytearray(fill(out, standings))
    last = whole[:-1].rindex(b"\n")
    at = data.draw(st.integers(0, 10_000)) % last
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    (out / NAME).write_bytes(whole)
    with pytest.raises(ArtifactError, match=r"damaged|no journal"):
        read(out)


def test_garbage_that_a_power_loss_left_at_the_end_is_taken_off(tmp_path):
    fill(tmp_path, [Standing("1.2", "sent")])
    with (tmp_path / NAME).open("ab") as file:
        file.write(b"\0" * 4096)
    assert read(tmp_path) == {"1.2": Standing("1.2", "sent")}
    assert b"\0" not in (tmp_path / NAME).read_bytes()


def test_it_is_closed_to_others_even_if_it_was_opened_to_them(tmp_path):
    out = tmp_path / "new"
    fill(out, [])
    (out / NAME).chmod(0o666)
    fill(out, [])
    assert stat.S_IMODE((out / NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(out.stat().st_mode) == 0o700


def test_a_second_process_is_kept_out(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from polypskd.deployment.pacs.journal import open_journal\n"
        "from polypskd.errors import OutputError\n"
        "try:\n"
        "    with open_journal(Path(sys.argv[1]), {'model': 'a'}): pass\n"
        "except OutputError as error: print(error)\n"
    )
    with open_journal(tmp_path, OPTIONS):
        command = [sys.executable, "-c", code, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "another polypskd is at work here" in done.stdout


def test_another_model_needs_another_folder(tmp_path):
    fill(tmp_path, [])
    with pytest.raises(OutputError, match="give --out another folder"):
        read(tmp_path, {"model": "b"})


def test_a_folder_of_others_is_left_alone(tmp_path):
    (tmp_path / "thesis.doc").write_text("mine")
    with pytest.raises(OutputError, match="holds other files"):
        read(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["thesis.doc"]


def test_a_link_in_its_place_is_not_followed(tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()
    other.write_text("keep")
    (out / NAME).symlink_to(other)
    with pytest.raises(OutputError):
        read(out)
    assert other.read_text() == "keep"


def test_on_a_full_disk_no_torn_line_stays(tmp_path):
    with open_journal(tmp_path, OPTIONS) as journal:
        journal.note(Standing("1.2", "found"))
        before = (tmp_path / NAME).read_bytes()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        # A limit on the file's size writes what fits and refuses the rest, as a full disk does.
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
        try:
            with pytest.raises(OutputError, match="cannot be written"):
                journal.note(Standing("1.2", "fetched"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert (tmp_path / NAME).read_bytes() == before
        journal.note(Standing("1.2", "failed", reason="later"))
    assert read(tmp_path)["1.2"].reason == "later"


def test_results_ever_sent_are_known_though_the_study_has_moved_on(tmp_path):
    first = Standing("1.2", "sending", results=("2.25.7",))
    fill(tmp_path, [first, replace(first, state="found", results=())])
    with open_journal(tmp_path, OPTIONS) as journal:
        assert journal.results == {"2.25.7"}
        assert journal.find("1.2").results == ()


def test_a_line_is_on_the_disk_when_it_is_noted(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(handle) or real(handle))
    with open_journal(tmp_path, OPTIONS) as journal:
        before = len(synced)
        journal.note(Standing("1.2", "found"))
        assert len(synced) == before + 1


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=4))
def test_any_text_fits_one_line(entry):
    line = write_line(entry)
    assert line.count(b"\n") == 1
    assert read_line(line) == entry


@given(st.binary(max_size=80))
def test_any_bytes_are_read_as_a_line_or_as_none(data):
    assert read_line(data) is None or isinstance(read_line(data), dict)


def test_a_study_is_named_without_its_uid():
    assert name_study("1.2.840.1") != name_study("1.2.840.2")
    assert "840" not in name_study("1.2.840.1")
    assert digest_inputs(["1.2", "1.3"]) != digest_inputs(["1.2"])
