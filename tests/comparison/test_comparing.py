"""`compare`, as a user runs it: shared teachers, failures that stop nothing, the same twice."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import warm_verb
from safetensors.numpy import load_file

PAGE = Path(__file__).resolve().parents[2] / "configs" / "synthetic.yaml"
SMALL = (
    "cohort.frames.patients=18",
    "cohort.frames.frames_per_patient=3",
    "cohort.frames.size=48",
    "augment.size=48",
    "augment.views=2",
    "labels.subclasses.min_size=2",
    "labels.curriculum.epochs_per_stage=1",
    "labels.resamples=0",
    "teacher.network.kind=resnet10",
    "teacher.network.width=16",
    "teacher.fit.epochs=3",
    "student.network.width=16",
    "student.fit.epochs=3",
    "evaluation.resamples=100",
    "comparison.variants.no_effort=['student.method={kind: class_wise, gamma: 0}']",
    "comparison.variants.wild=['student.fit.lr=1.0e+30', 'student.fit.clip=1.0e+30']",
)
METHODS = "none,kd,no_effort,skd,random_subclasses,wild"


def compare(folder: Path, *, code: int = 0, seeds: int = 2, methods: str = METHODS) -> str:
    extra = [part for setting in SMALL for part in ("--set", setting)]
    words = ["compare", str(PAGE), "--methods", methods, "--seeds", str(seeds)]
    done = warm_verb.call(*words, "--out", str(folder), "--quiet", *extra)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("comparison") / "c"
    return folder, compare(folder)


@pytest.fixture(scope="module")
def record(compared) -> dict:
    return json.loads((compared[0] / "comparison.json").read_text())


def test_every_method_has_a_run_a_seed_or_says_why_not(record):
    for name, entry in record["methods"].items():
        assert len(entry["runs"]) == (0 if name == "wild" else 2)
    failed = record["methods"]["wild"]["failed"]
    assert [one["seed"] for one in failed] == record["seeds"]
    assert "lower student.fit.lr" in failed[0]["error"]


def test_the_terminal_says_what_failed_and_what_was_not_shown(compared):
    told = compared[1]
    assert "wild" in told
    assert "failed" in told
    assert "comparison.html" in told


def test_methods_of_one_teacher_share_its_file(compared):
    folder = compared[0]
    seed = min(path.name for path in (folder / "kd").iterdir())
    teachers = {m: folder / m / seed / "teacher.safetensors" for m in ("kd", "no_effort", "skd")}
    assert teachers["kd"].samefile(teachers["no_effort"])
    assert not teachers["kd"].samefile(teachers["skd"])
    assert not (folder / "none" / seed / "teacher.safetensors").exists()


def test_class_wise_without_effort_trains_the_very_student_of_kd(compared):
    folder = compared[0]
    for path in (folder / "kd").iterdir():
        ours = load_file(folder / "no_effort" / path.name / "student.safetensors")
        theirs = load_file(path / "student.safetensors")
        assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_all_runs_are_tested_on_the_same_frames(compared):
    tested = set()
    for path in compared[0].glob("*/seed-*/predictions.csv"):
        table = pl.read_csv(path, infer_schema=False).filter(pl.col("split") == "test")
        tested.add(tuple(sorted(table["frame_id"])))
    assert len(tested) == 1


def test_shuffled_subclasses_have_the_sizes_of_the_true_ones(compared):
    def sizes(method: str) -> list[int]:
        (path, *_) = sorted((compared[0] / method).iterdir())
        table = pl.read_csv(path / "examples.csv", infer_schema=False)
        train = table.filter(pl.col("split") == "train")
        return sorted(train.group_by("consensus", "subclass").len()["len"].to_list())

    assert sizes("random_subclasses") == sizes("skd")


def test_differences_are_those_of_the_predictions(compared, record):
    from sklearn.metrics import f1_score

    def score(method: str, seed: int) -> float:
        path = compared[0] / method / f"seed-{seed}" / "predictions.csv"
        test = pl.read_csv(path, infer_schema=False).filter(pl.col("split") == "test")
        return f1_score(test["consensus"], test["predicted"], average="macro")

    pairs = [(score("skd", seed), score("kd", seed)) for seed in record["seeds"]]
    found = record["methods"]["skd"]["differences"]["kd"]["macro_f1"]
    assert found["value"] == pytest.approx(np.mean([a - b for a, b in pairs]))
    assert found["low"] <= found["value"] <= found["high"]
    mean = record["methods"]["skd"]["macro_f1"]["mean"]
    assert mean == pytest.approx(np.mean([a for a, _ in pairs]))


def test_the_same_command_does_nothing_twice(compared, record):
    folder = compared[0]
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/seed-*/*.safetensors")}
    compare(folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    again = json.loads((folder / "comparison.json").read_text())
    assert again["methods"] == record["methods"]


def test_no_patient_and_no_frame_is_named(compared):
    (path, *_) = sorted((compared[0] / "kd").iterdir())
    table = pl.read_csv(path / "examples.csv", infer_schema=False)
    for name in ("comparison.html", "comparison.json", "comparison.csv"):
        text = (compared[0] / name).read_text()
        assert not any(frame in text for frame in table["frame_id"])


def test_a_method_that_cannot_use_the_labels_is_refused_before_training(tmp_path):
    told = compare(tmp_path / "c", code=1, methods="none,kd,dkd")
    assert "compare, dkd: student.method: dkd needs 3 outputs or more, not 2" in told
    assert not list((tmp_path / "c").glob("*/seed-*"))
