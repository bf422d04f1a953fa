"""Every verb, as a user runs it: twice to equal bytes, and killed in the middle of each step."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import warm_verb
import yaml

SMALL = (
    "cohort.frames.patients=16",
    "cohort.frames.frames_per_patient=3",
    "cohort.frames.size=48",
    "augment.size=48",
    "augment.views=2",
    "labels.subclasses.min_size=2",
    "labels.curriculum.epochs_per_stage=1",
    "teacher.network.kind=resnet10",
    "teacher.network.width=16",
    "teacher.fit.epochs=4",
    "student.network.width=16",
    "student.fit.epochs=4",
    "evaluation.resamples=50",
)
RESULTS = (
    *("examples.csv", "agreement.json", "excluded.csv", "test_votes.csv"),
    *("teacher.safetensors", "teacher_history.json", "targets.npz"),
    *("student.safetensors", "student_history.json"),
    *("evaluation.json", "predictions.csv", "predictions_teacher.csv", "provenance.json"),
    *("answers.npz", "study.json", "report.html", "report.json"),
)


def command(*words: str, settings: tuple[str, ...] = SMALL) -> list[str]:
    extra = [part for setting in settings for part in ("--set", setting)]
    extra += ["--no-pdf"] if words[0] == "run" else []  # tests/reporting make it
    return [*words, *extra]


def call(*words: str, settings: tuple[str, ...] = SMALL, code: int = 0) -> str:
    return heard(warm_verb.call(*command(*words, settings=settings)), code)


def call_cold(*words: str, settings: tuple[str, ...] = SMALL, threads: int = 1) -> str:
    """Start it as a user does, with so many threads."""
    done = subprocess.run(
        [sys.executable, "-m", "polypskd", *command(*words, settings=settings)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
    )
    return heard(done, 0)


def heard(done: subprocess.CompletedProcess, code: int) -> str:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "demo.yaml"
    shutil.copy(Path(__file__).resolve().parents[1] / "configs" / "synthetic.yaml", path)
    return path


@pytest.fixture(scope="module")
def undisturbed(config, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    call_cold("run", str(config), "--out", str(folder), "--quiet")
    return folder


def test_a_run_leaves_every_promised_file(undisturbed):
    promised = {
        *("config.yaml", "examples.csv", "agreement.json", "excluded.csv", "targets.npz"),
        *("student.safetensors", "teacher.safetensors", "predictions.csv", "evaluation.json"),
        *("report.html", "report.json", "provenance.json", "log.jsonl"),
    }
    assert promised <= {path.name for path in undisturbed.iterdir()}
    assert not list(undisturbed.rglob(".*.tmp"))


def test_the_same_config_and_seed_give_the_same_bytes(undisturbed, config, tmp_path):
    call("run", str(config), "--out", str(tmp_path / "again"), "--quiet")
    assert results(tmp_path / "again") == results(undisturbed)


def test_two_threads_give_the_same_bytes_twice(config, tmp_path):
    settings = (*SMALL, "student.method.kind=none")
    call("derive", str(config), "--out", str(tmp_path / "a"), "--quiet", settings=settings)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    for folder in (tmp_path / "a", tmp_path / "b"):
        out = ("--out", str(folder), "--quiet")
        call_cold("distill", str(config), *out, settings=settings, threads=2)
    weights = [(tmp_path / name / "student.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


def test_another_seed_gives_other_weights(undisturbed, config, tmp_path):
    for verb in ("derive", "teach", "distill"):
        out = ("--out", str(tmp_path / "o"), "--quiet")
        call(verb, str(config), *out, settings=(*SMALL, "seed=5"))
    for name in ("teacher.safetensors", "student.safetensors"):
        assert (tmp_path / "o" / name).read_bytes() != (undisturbed / name).read_bytes()


def test_the_verbs_one_by_one_do_what_run_does(undisturbed, config, tmp_path):
    folder = tmp_path / "steps"
    for verb in ("derive", "teach", "distill", "evaluate"):
        call(verb, str(config), "--out", str(folder), "--quiet")
    call("report", str(folder), settings=())
    assert results(folder) == results(undisturbed)
    assert (folder / "report.html").read_bytes() == (undisturbed / "report.html").read_bytes()


def test_a_second_run_skips_everything(undisturbed, config):
    before = {name: (undisturbed / name).stat().st_mtime_ns for name in RESULTS}
    call("run", str(config), "--out", str(undisturbed))
    assert {name: (undisturbed / name).stat().st_mtime_ns for name in RESULTS} == before


@pytest.mark.parametrize("step", ["derive", "teacher", "targets", "student", "evaluate", "report"])
def test_a_run_killed_in_a_step_goes_on_to_the_same_bytes(undisturbed, config, tmp_path, step):
    folder = tmp_path / "run"
    words = command("run", str(config), "--out", str(folder), "--quiet")
    process = warm_verb.start(*words)
    log = folder / "log.jsonl"
    event = '"epoch"' if step in {"teacher", "student"} else '"start"'
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        lines = log.read_text().splitlines() if log.exists() else []
        if any(f'"step": "{step}", "event": {event}' in line for line in lines):
            break
        time.sleep(0.002)
    assert process.poll() is None, "it ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    assert process.finish().returncode == -signal.SIGKILL
    call("run", str(config), "--out", str(folder), "--quiet")
    assert results(folder) == results(undisturbed)
    assert not list(folder.rglob(".*.tmp"))
    assert not list(folder.glob(".*.drawing"))


def test_a_step_without_its_input_says_which_verb_makes_it(config, tmp_path):
    for verb, maker in (("teach", "derive"), ("distill", "derive"), ("evaluate", "derive")):
        told = call(verb, str(config), "--out", str(tmp_path / verb), code=1)
        assert f"`polypskd {maker} CONFIG` makes it" in told


def test_another_config_never_replaces_results_unasked(undisturbed, config, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    changed = (*SMALL, "student.method.temperature=2")
    told = call("run", str(config), "--out", str(folder), settings=changed, code=1)
    assert "student.method.temperature: 4.0 → 2.0" in told
    assert results(folder) == results(undisturbed)
    call("run", str(config), "--out", str(folder), "--overwrite", "--quiet", settings=changed)
    assert results(folder)["student.safetensors"] != results(undisturbed)["student.safetensors"]
    assert results(folder)["teacher.safetensors"] == results(undisturbed)["teacher.safetensors"]


def test_a_config_mended_after_a_fault_may_use_the_same_folder(config, tmp_path):
    out = ("--out", str(tmp_path / "run"), "--quiet")
    faulty = (*SMALL, "labels.curriculum.epochs_per_stage=50")
    assert "epochs" in call("derive", str(config), *out, settings=faulty, code=1)
    call("derive", str(config), *out)


def test_a_folder_of_other_files_is_left_alone(config, tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    told = call("derive", str(config), "--out", str(tmp_path), code=1)
    assert "not empty and not a run" in told
    assert (tmp_path / "thesis.txt").read_text() == "x"


def test_examples_corrected_by_hand_are_not_written_over(undisturbed, config, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    path = folder / "examples.csv"
    # One that lies beside new votes is no less somebody's work.
    votes = folder / "cohort" / "votes.csv"
    for change in (lambda: None, lambda: votes.write_text(votes.read_text() + "\n")):
        edited = edit(path, level="7")
        change()
        told = call("run", str(config), "--out", str(folder), code=1)
        assert "changed by hand" in told
        assert path.read_bytes() == edited
    call("derive", str(config), "--out", str(folder), "--overwrite", "--quiet")
    assert path.read_bytes() == (undisturbed / "examples.csv").read_bytes()


def test_changed_votes_never_go_beside_older_results_unasked(undisturbed, config, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    votes = folder / "cohort" / "votes.csv"
    votes.write_text("\n".join(votes.read_text().splitlines()[:-1]) + "\n")
    for verb in ("derive", "run"):
        told = call(verb, str(config), "--out", str(folder), code=1)
        assert "the votes or frames have changed since these results were made" in told
    assert results(folder) == results(undisturbed)
    call("derive", str(config), "--out", str(folder), "--overwrite", "--quiet")


def test_the_tables_of_a_run_stand_in_its_provenance(undisturbed, config, tmp_path):
    folder = tmp_path / "run"
    cohort = undisturbed / "cohort"
    page = yaml.safe_load(config.read_text())
    page["cohort"] |= {
        "frames": {"kind": "image_folder", "root": str(cohort / "frames")},
        "votes": {"kind": "long", "path": str(cohort / "votes.csv")},
        "metadata": {"path": str(cohort / "frames.csv")},
        "patients": {"kind": "column", "column": "patient"},
    }
    tables = tmp_path / "tables.yaml"
    tables.write_text(yaml.safe_dump(page, sort_keys=False))
    settings = tuple(part for part in SMALL if not part.startswith("cohort."))
    settings = (*settings, "student.method.kind=none")
    call("run", str(tables), "--out", str(folder), "--quiet", settings=settings)
    provenance = json.loads((folder / "provenance.json").read_text())
    for key, name in (("votes_sha256", "votes.csv"), ("metadata_sha256", "frames.csv")):
        digest = hashlib.sha256((cohort / name).read_bytes()).hexdigest()
        assert provenance[key] == digest
        assert digest in (folder / "report.html").read_text()
    assert "votes_sha256" not in json.loads((undisturbed / "provenance.json").read_text())


def edit(path: Path, row: int = 1, **cells: str) -> bytes:
    """Change cells of a row of examples.csv, as by hand."""
    head, *lines = [line.split(",") for line in path.read_text().splitlines()]
    for name, value in cells.items():
        lines[row - 1][head.index(name)] = value
    path.write_text("\n".join(",".join(line) for line in [head, *lines]) + "\n")
    return path.read_bytes()


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ({"consensus": "Adenoma"}, "row 2: consensus is none of"),
        ({"subclass": "polyp/easy"}, "row 2: subclass is not known"),
        ({"split": "training"}, "row 2: split is none of"),
        ({"stage": "-1"}, "row 2: stage is negative"),
        ({"split": None}, "patients in two splits"),
    ],
)
def test_a_broken_examples_table_is_refused(undisturbed, config, tmp_path, cells, told):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    path = folder / "examples.csv"
    if None in cells.values():
        was = path.read_text().splitlines()[1]
        cells = {"split": "train" if ",test," in was or ",val," in was else "test"}
    edit(path, **cells)
    for verb in ("teach", "distill", "evaluate"):
        assert told in call(verb, str(config), "--out", str(folder), code=1)


def test_a_network_made_from_other_labels_is_not_evaluated(undisturbed, config, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    swap = {"train": "test", "test": "train", "val": "val"}
    path = folder / "examples.csv"
    head, *rows = [line.split(",") for line in path.read_text().splitlines()]
    at = head.index("split")
    rows = [[*row[:at], swap[row[at]], *row[at + 1 :]] for row in rows]
    path.write_text("\n".join(",".join(row) for row in [head, *rows]) + "\n")
    told = call("evaluate", str(config), "--out", str(folder), code=1)
    assert "teacher.safetensors: stale" in told
    assert "`polypskd teach CONFIG` makes it anew" in told


def test_changed_frames_are_judged_anew(undisturbed, config, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    (folder / ".steps" / "evaluate.json").unlink()
    before = (folder / "evaluation.json").read_bytes()
    root = folder / "cohort" / "frames"
    for line in (folder / "examples.csv").read_text().splitlines()[1:]:
        frame, _, _, split = line.split(",")[:4]
        if split == "test":
            pixels = cv2.imread(str(root / frame))
            cv2.imwrite(str(root / frame), 255 - pixels)
    for verb in ("teach", "distill", "evaluate"):
        call(verb, str(config), "--out", str(folder), "--quiet")
    assert (folder / "evaluation.json").read_bytes() != before


def test_a_lost_provenance_is_made_again(undisturbed, config, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    (folder / "provenance.json").unlink()
    call("run", str(config), "--out", str(folder), "--quiet")
    assert results(folder) == results(undisturbed)


def test_too_few_epochs_for_the_stages_are_told_by_every_step(undisturbed, config, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    short = (*SMALL, "student.fit.epochs=1")
    out = ("--out", str(folder), "--overwrite")
    assert "epochs are too few" in call("distill", str(config), *out, settings=short, code=1)
    assert "epochs are too few" in call("check", str(config), settings=short, code=1)


def test_other_settings_of_the_evaluation_train_nothing(undisturbed, config, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    other = (*SMALL, "evaluation.resamples=20")
    stamps = {n: (folder / n).stat().st_mtime_ns for n in RESULTS if n.endswith(".safetensors")}
    call("run", str(config), "--out", str(folder), "--overwrite", "--quiet", settings=other)
    assert {name: (folder / name).stat().st_mtime_ns for name in stamps} == stamps


def test_a_device_that_is_not_there_is_told(undisturbed, config, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder)
    settings = (*SMALL, "device=mps")
    told = call(
        "teach", str(config), "--out", str(folder), "--overwrite", settings=settings, code=1
    )
    assert "device: 'mps' is not available" in told


@pytest.mark.parametrize("kind", ["none", "kd"])
def test_the_controls_run_on_the_same_page(config, tmp_path, kind):
    folder = tmp_path / kind
    settings = (*SMALL, f"student.method.kind={kind}")
    told = json.loads(
        call("run", str(config), "--out", str(folder), "--json", "--quiet", settings=settings)
    )
    assert 0 <= told["macro_f1"]["value"] <= 1
    assert (folder / "teacher.safetensors").exists() == (kind == "kd")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    assert (evaluation["teacher"] is None) == (kind == "none")


def test_predictions_agree_with_the_evaluation(undisturbed):
    from sklearn.metrics import f1_score

    rows = [line.split(",") for line in (undisturbed / "predictions.csv").read_text().splitlines()]
    head, *body = rows
    test = [dict(zip(head, row, strict=True)) for row in body]
    test = [row for row in test if row["split"] == "test"]
    expected = f1_score(
        [row["consensus"] for row in test], [row["predicted"] for row in test], average="macro"
    )
    evaluation = json.loads((undisturbed / "evaluation.json").read_text())
    assert evaluation["macro_f1"]["value"] == pytest.approx(expected)
    assert evaluation["n_frames"] == len(test)


def test_no_patient_and_no_frame_is_named_in_log_report_or_provenance(undisturbed):
    rows = [line.split(",") for line in (undisturbed / "examples.csv").read_text().splitlines()[1:]]
    names = {row[0] for row in rows} | {row[2] for row in rows}
    named = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in sorted(names)))
    for name in ("log.jsonl", "report.html", "report.json", "provenance.json", "evaluation.json"):
        text = re.sub(r"data:image/png;base64,[\w+/=]+", "", (undisturbed / name).read_text())
        assert not named.findall(text), name
