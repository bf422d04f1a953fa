"""Every method trains from votes to numbers, and goes on after a kill to the same bytes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import warm_verb

PAGE = Path(__file__).resolve().parents[2] / "configs" / "synthetic.yaml"
SMALL = (
    "cohort.frames.patients=18",
    "cohort.frames.frames_per_patient=3",
    "cohort.frames.size=48",
    "augment.size=48",
    "augment.views=2",
    "labels.subclasses={kind: agreement_levels, levels: {easy: 0.8, hard: 0.0}}",
    "labels.curriculum.epochs_per_stage=1",
    "labels.resamples=0",
    "teacher.network.kind=resnet10",
    "teacher.network.width=16",
    "teacher.fit.epochs=3",
    "student.network.width=16",
    "student.fit.epochs=3",
    "evaluation.resamples=50",
)
METHODS = (
    *("none", "none_smoothing", "kd_subclass_teacher", "skd_subclass_term", "class_wise_subclass"),
    *("subclass_distillation", "soft_votes", "ordinal_skd", "lelp"),
    *("dkd_subclass", "dist_subclass", "nkd_subclass", "logit_std_subclass", "anti_curriculum"),
)


def start(*words: str, settings: tuple[str, ...]) -> warm_verb.Running:
    extra = [part for setting in settings for part in ("--set", setting)]
    return warm_verb.start(*words, "--quiet", *extra)


def call(*words: str, settings: tuple[str, ...]) -> None:
    done = start(*words, settings=settings).finish()
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("methods") / "c"
    words = ("--methods", ",".join(METHODS), "--seeds", "2", "--out", str(folder))
    settings = (*SMALL, "student.method={kind: skd, temperature: 3, alpha: 0.6}")
    call("compare", str(PAGE), *words, settings=settings)
    return json.loads((folder / "comparison.json").read_text())


@pytest.mark.parametrize("method", METHODS)
def test_it_trains_and_is_judged(record, method):
    entry = record["methods"][method]
    assert entry["failed"] == []
    for run in entry["runs"]:
        assert 0 <= run["macro_f1"] <= 1
        assert run["nll"] > 0
        assert run["seconds"]["student"] > 0
        assert (run["seconds"]["teacher"] is None) == (run["teacher_macro_f1_val"] is None)


STATEFUL = {
    "class_wise": ("student.method={kind: class_wise, gamma: 2, hardness: student}",),
    "dkd": ("student.method={kind: dkd, over: subclass, warmup_epochs: 3}",),
    "aids": (
        "student.method={kind: subclass_distillation, invented: 2}",
        "teacher.ensemble=2",
        "teacher.fit.ema=0.9",
        "teacher.fit.mixup=0.3",
        "student.fit.ema=0.9",
    ),
}
BYTES = (
    *("teacher.safetensors", "teacher_history.json", "targets.npz"),
    *("student.safetensors", "student_history.json", "evaluation.json"),
)


def kill_in(step: str, folder: Path, *words: str, settings: tuple[str, ...]) -> None:
    process = start(*words, settings=settings)
    log, deadline = folder / "log.jsonl", time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if f'"step": "{step}", "event": "epoch"' in log.read_text():
            break
        time.sleep(0.002)
    assert process.poll() is None, "it ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    assert process.finish().returncode == -signal.SIGKILL


@pytest.mark.parametrize("name", STATEFUL)
def test_what_remembers_epochs_goes_on_after_a_kill_to_the_same_bytes(tmp_path, name):
    settings = (*SMALL, *STATEFUL[name])
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    call("derive", str(PAGE), "--out", str(whole), settings=settings)
    shutil.copytree(whole, cut)
    steps = {"teach": "teacher-2" if name == "aids" else None, "distill": "student"}
    for verb in ("teach", "distill", "evaluate"):
        call(verb, str(PAGE), "--out", str(whole), settings=settings)
        words = (verb, str(PAGE), "--out", str(cut))
        if steps.get(verb):
            kill_in(steps[verb], cut, *words, settings=settings)
        call(*words, settings=settings)
    events = map(json.loads, (cut / "log.jsonl").read_text().splitlines())
    resumed = {event["step"] for event in events if event["event"] == "resumed"}
    assert resumed >= set(filter(None, steps.values()))
    for file in BYTES:
        assert (cut / file).read_bytes() == (whole / file).read_bytes(), file


def test_a_comparison_that_is_stopped_says_how_to_go_on(tmp_path):
    settings = [part for one in SMALL for part in ("--set", one)]
    words = ("--methods", "none,kd", "--seeds", "2", "--out", str(tmp_path / "c"), "--quiet")
    process = subprocess.Popen(
        [sys.executable, "-m", "polypskd", "compare", str(PAGE), *words, *settings],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while not (tmp_path / "c/none").exists() and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "polypskd: stopped; the same command goes on from here\n"
