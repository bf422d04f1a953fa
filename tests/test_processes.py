"""Two processes, started as a user would start them, against one."""

import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import warm_verb
from safetensors.numpy import load_file

from polypskd.artifacts import RunLog, write_text
from polypskd.errors import ConfigError
from polypskd.job import ENDED, STOPPED
from polypskd.models.predict import choose_device
from polypskd.ranks import is_first_to_say, shares

SCRIPT = Path(__file__).parent / "training" / "fit_a_network.py"
PAGE = """
name: pair
cohort:
  frames: {kind: synthetic, patients: 20, frames_per_patient: 5, size: 48, difficulty: 0.8,
           annotators: 5}
  votes: {kind: synthetic}
  classes: [hyperplastic, adenoma]
  split: {kind: random, val: 0.2, test: 0.3}
labels:
  subclasses: {kind: agreement_levels, levels: {easy: 0.95, hard: 0.5}, min_size: 5}
augment: {size: 32, views: 3}
teacher:
  network: {kind: resnet10, width: 16}
  fit: {epochs: 3, batch_size: 17, lr: 5.0e-4, precision: fp32}
student:
  network: {kind: resnet10, width: 16}
  fit: {epochs: 3, batch_size: 17, lr: 1.0e-3, precision: fp32}
evaluation: {resamples: 50, calibration_bins: 5}
"""


def start(command, **kwargs):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [str(part) for part in command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **kwargs,
    )


def start_two(*command):
    """Start a job of two, which meets at a port of its own: another job may be at work here."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ("--nproc_per_node=2", f"--master_port={port}")
    return start([sys.executable, "-m", "torch.distributed.run", *words, *command])


def finish(process, seconds=240):
    try:
        said, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, said


def largest_difference(one, two):
    a, b = load_file(one), load_file(two)
    assert a.keys() == b.keys()
    return max(float(np.abs(a[name].astype(float) - b[name]).max()) for name in a)


def test_shares_hold_everything_once_and_in_order(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    for processes in (1, 2, 3, 7):
        monkeypatch.setenv("WORLD_SIZE", str(processes))
        for count in (0, 1, 2, 63, 64, 65, 1000):
            for size in (1, 64):
                parts = shares(count, size)
                assert len(parts) == processes
                assert [i for part in parts for i in range(count)[part]] == list(range(count))
                assert all(part.start % size == 0 or part.start == count for part in parts)


def test_two_processes_train_what_one_does_even_where_examples_are_coupled(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(tmp_path / "one")])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    pair = finish(start_two(SCRIPT, tmp_path / "two"))
    assert pair[0] == 0, pair[1]
    weights = [tmp_path / name / "network.safetensors" for name in ("one", "two")]
    # Float32 sums in another order, over 15 steps.
    assert largest_difference(*weights) < 1e-5
    for count in (1, 43, 64, 65, 130):
        a, b = (np.load(tmp_path / name / f"answers-{count}.npy") for name in ("one", "two"))
        assert a.shape == b.shape == (count, 4)
        np.testing.assert_allclose(a, b, atol=1e-3)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One process; two; and two of which one was killed in the middle and the job repeated."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "c.yaml").write_text(PAGE)
    command = ["-m", "polypskd", "run", "--no-pdf", folder / "c.yaml", "--out"]
    alone = warm_verb.call(*command[2:], folder / "one")
    assert alone.returncode == 0, alone.stderr
    pair = finish(start_two(*command, folder / "two"))
    assert pair[0] == 0, pair[1]
    job = start_two(*command, folder / "killed")
    log = folder / "killed" / "log.jsonl"
    deadline = time.monotonic() + 120
    while '"event": "epoch"' not in (log.read_text() if log.exists() else ""):
        assert time.monotonic() < deadline
        assert job.poll() is None
        time.sleep(0.05)
    os.kill(find_rank(job.pid, 1), signal.SIGKILL)
    killed = finish(job, seconds=60)
    again = finish(start_two(*command, folder / "killed"))
    assert again[0] == 0, again[1]
    return folder, killed, again


def find_rank(parent, rank):
    """Find a process that torchrun started by its environment."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"\nPPid:\t{parent}\n" not in (entry / "status").read_text():
                continue
            if f"RANK={rank}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError("the process was not found")


linux = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds ranks in /proc")


@linux
@pytest.mark.parametrize("other", ["two", "killed"])
def test_teacher_targets_and_student_of_two_processes_are_those_of_one(runs, other):
    folder, _, _ = runs
    for name in ("teacher", "student"):
        weights = [folder / run / f"{name}.safetensors" for run in ("one", other)]
        assert largest_difference(*weights) < 1e-3
    targets = [np.load(folder / run / "targets.npz")["logits"] for run in ("one", other)]
    assert targets[0].shape == targets[1].shape
    np.testing.assert_allclose(targets[0], targets[1], atol=1e-2)


@linux
@pytest.mark.parametrize("name", ["predictions.csv", "predictions_teacher.csv"])
def test_evaluation_neither_drops_nor_doubles_a_frame(runs, name):
    folder, _, _ = runs
    one, two = (pl.read_csv(folder / run / name) for run in ("one", "two"))
    assert one["frame_id"].to_list() == two["frame_id"].to_list()
    p = [table["p_adenoma"].to_numpy() for table in (one, two)]
    np.testing.assert_allclose(*p, atol=1e-3)
    numbers = [json.loads((folder / run / "evaluation.json").read_text()) for run in ("one", "two")]
    assert numbers[0]["n_frames"] == numbers[1]["n_frames"]
    assert numbers[0]["macro_f1"]["value"] == pytest.approx(numbers[1]["macro_f1"]["value"])


@linux
def test_a_process_that_dies_ends_the_job_with_one_line_and_the_same_command_goes_on(runs):
    _, (code, said), (_, again) = runs
    assert code != 0
    ours = [line for line in said.splitlines() if line.startswith("polypskd:")]
    # Which one is a race: the survivor meets the lost connection, or torchrun's SIGTERM before it.
    assert ours in ([ENDED.strip()], [STOPPED.strip()])
    assert re.search(r"continued after epoch \d", again)


@linux
def test_a_users_fault_is_told_once_by_a_job(tmp_path):
    (tmp_path / "c.yaml").write_text(PAGE.replace("batch_size: 17", "batch_size: 0"))
    command = ["-m", "polypskd", "run", "--no-pdf", tmp_path / "c.yaml"]
    code, said = finish(start_two(*command, "--out", tmp_path / "run"))
    assert code != 0
    assert len(re.findall(r"batch_size", said)) >= 1
    assert said.count("polypskd: ") == 1


@linux
def test_a_fault_that_the_first_process_alone_meets_is_told_and_not_its_echo(tmp_path):
    (tmp_path / "c.yaml").write_text(PAGE)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    command = ["-m", "polypskd", "run", "--no-pdf", tmp_path / "c.yaml", "--out", tmp_path / "full"]
    code, said = finish(start_two(*command))
    assert code != 0
    ours = [line for line in said.splitlines() if line.startswith("polypskd:")]
    assert len(ours) == 1
    assert "not empty and not a run" in ours[0]


@pytest.fixture
def one_of_two(monkeypatch, tmp_path):
    """A process that believes to be the first of two that torchrun started."""
    values = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_PORT": "1"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_job_says_one_thing_once_and_the_next_job_of_the_same_numbers_says_its_own(one_of_two):
    assert is_first_to_say()
    assert not is_first_to_say()
    (marker,) = one_of_two.glob("*.said")
    os.utime(marker, (0, 0))  # as an earlier job would have left it
    assert is_first_to_say()
    assert not is_first_to_say()


def test_compare_sends_a_job_to_its_shards(one_of_two):
    (one_of_two / "c.yaml").write_text(PAGE)
    # In a process of its own: one of several ends at once, without unwinding.
    command = [sys.executable, "-m", "polypskd", "compare", one_of_two / "c.yaml"]
    code, said = finish(start(command, cwd=one_of_two))
    assert code == 1
    assert "--shard" in said


def test_the_other_processes_write_nothing_and_log_only_their_own_faults(one_of_two, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    log = RunLog(one_of_two / "log.jsonl")
    log.tell("student", "epoch", epoch=1)
    write_text(one_of_two / "a.txt", "x")
    assert not list(one_of_two.iterdir())
    log.fail(MemoryError("frame p7/f3"))
    (event,) = [json.loads(line) for line in (one_of_two / "log.jsonl").read_text().splitlines()]
    assert (event["error"], event["process"]) == ("MemoryError", 1)
    assert "p7" not in (one_of_two / "log.jsonl").read_text()


def test_more_processes_than_gpus_are_refused(one_of_two, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="cuda can serve 1 processes here, not 2"):
        choose_device("cuda")
    assert choose_device("cpu").type == "cpu"
