"""A prediction in the audit log: every file, before any result."""

import hashlib
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from small_bundle import write_bundle

from polypskd.deployment.audit import verify
from polypskd.deployment.bundle import open_bundle

KEY = "an audit key of 24 bytes"


@pytest.fixture
def frames(tmp_path):
    folder = tmp_path / "Doe^John"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((64, 64, 3), 60 * number, np.uint8))
    (folder / "3.png").write_bytes(b"no picture")
    return folder


def predict(tmp_path, frames, *words):
    command = ["predict", tmp_path / "bundle", frames, "--out", tmp_path / "out", *words]
    return subprocess.run(
        [sys.executable, "-m", "polypskd", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "AUDIT_KEY": KEY},
    )


def test_every_file_is_logged_with_its_hash_and_no_name(tmp_path, frames):
    bundle = open_bundle(write_bundle(tmp_path / "bundle"))
    log = tmp_path / "audit.jsonl"
    done = predict(tmp_path, frames, "--audit", log, "--audit-key-env", "AUDIT_KEY")
    assert done.returncode == 1, done.stderr
    assert verify(log, None, KEY.encode()) == []
    _, start, *inputs, end = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert (start["event"], start["model_sha256"]) == ("start", bundle.model_hash)
    files = sorted(frames.iterdir())
    hashes = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    assert [one["input_sha256"] for one in inputs] == hashes
    assert inputs[-1]["outcome"] == "failed"
    assert (end["inputs"], end["faults"], end["exit_code"]) == (4, 1, 1)
    assert "Doe" not in log.read_text()


def test_where_the_log_cannot_be_written_there_are_no_results(tmp_path, frames):
    write_bundle(tmp_path / "bundle")
    log = tmp_path / "audit.jsonl"
    log.mkdir()
    done = predict(tmp_path, frames, "--audit", log)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_where_the_disk_fills_up_on_the_way_there_are_no_results(tmp_path, frames):
    write_bundle(tmp_path / "bundle")
    log = tmp_path / "audit.jsonl"
    words = ["predict", tmp_path / "bundle", frames, "--out", tmp_path / "out", "--audit", log]
    code = f"""
import os, errno, sys
write = os.write
def full(handle, data):
    if b'"input"' in data:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return write(handle, data)
os.write = full
from polypskd.cli import main
sys.argv = ['polypskd', *{list(map(str, words))!r}]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "predictions.csv").exists()
    assert verify(log) == []
    assert json.loads(log.read_bytes().splitlines()[-1])["exit_code"] == 1
