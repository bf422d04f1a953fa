"""Trackers hold what the log holds, once; they never end a run, and tell nothing of patients."""

import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from polypskd.artifacts import RunLog
from polypskd.comparison.running import plan_comparison
from polypskd.config import parse_config
from polypskd.errors import ConfigError, OutputError
from polypskd.runs import open_run, refuse_other
from polypskd.tracking import listener
from polypskd.tracking.listener import check_tracking, track_run
from polypskd.tracking.mlflow_run import MLflowRun
from polypskd.tracking.points import Point, describe_evaluation, describe_settings, read_epochs

ROOT = Path(__file__).resolve().parents[1]
CURVES = ("train_loss", "val_loss", "val_macro_f1", "lr", "seconds")
PAGE = {
    "name": "colon",
    "cohort": {
        "frames": {"kind": "image_folder", "root": "/clinic/frames"},
        "votes": {"kind": "long", "path": "/clinic/votes.csv"},
        "classes": ["benign-zebra", "malign-zebra"],
    },
    "teacher": {"network": {"kind": "resnet18", "weights": "/clinic/weights.safetensors"}},
    "student": {"method": {"kind": "kd"}},
}
INTERVAL = {"value": 0.5, "low": 0.25, "high": 0.75}
NUMBERS = {
    "split": "test",
    **dict.fromkeys(("macro_f1", "weighted_f1", "accuracy"), INTERVAL),
    "auroc": {"value": None, "low": None, "high": None},
    "calibration": {"before": dict.fromkeys(("ece", "brier", "nll"), INTERVAL)},
}
EVALUATION = NUMBERS | {"teacher": NUMBERS | {"accuracy": INTERVAL | {"value": 0.625}}}


def installed(kind: str) -> bool:
    return all(find_spec(package) for package in listener.NEEDED[kind])


KINDS = [
    pytest.param(
        kind,
        marks=[
            pytest.mark.skipif(not installed(kind), reason=f"needs polypskd[{kind}]"),
            pytest.mark.filterwarnings("ignore::DeprecationWarning"),
        ],
    )
    for kind in ("tensorboard", "mlflow")
]


def page(folder: Path, kind: str, *settings: str):
    return parse_config(PAGE, (f"tracking.kind={kind}", *settings), folder=folder)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory) -> Path:
    """Make the tables of MLflow once: it takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    config = page(folder, "mlflow")
    MLflowRun(config, folder, "x")._client.search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def tracked(request, tmp_path) -> str:
    """Give the kind of a tracker whose store is ready."""
    if request.param == "mlflow":
        shutil.copy(request.getfixturevalue("empty_store"), tmp_path / "mlflow.db")
    return request.param


class Process:
    """What one command tells a run folder, heard by a tracker of its own."""

    def __init__(self, config, run: Path):
        (run / ".steps").mkdir(parents=True, exist_ok=True)
        self.run, self.heard = run, []
        self.log = RunLog(run / "log.jsonl", track_run(config, run, self.heard.append))

    def train(self, step: str, epochs, loss: float = 1.0):
        for epoch in epochs:
            record = {"train_loss": loss / epoch, "val_loss": loss, "val_macro_f1": 0.5}
            record |= {"val_recalls": [0.5, 0.5], "n_examples": 9, "lr": 1e-3, "seconds": 0.1}
            self.log.tell(step, "epoch", epochs=9, epoch=epoch, **record)

    def evaluate(self, event: str = "done"):
        (self.run / "evaluation.json").write_text(json.dumps(EVALUATION))
        self.log.tell("evaluate", event, macro_f1=INTERVAL)


def read_tensorboard(run: Path) -> list:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    points = []
    for folder in sorted((run / "tensorboard").glob("*")):
        events = EventAccumulator(str(folder), purge_orphaned_data=False).Reload()
        for tag in events.Tags()["scalars"]:
            points += [(f"{folder.name}/{tag}", at.step, at.value) for at in events.Scalars(tag)]
    return points


def read_sqlite(store: Path) -> list:
    """Give the points of all runs that were not replaced, by SQL alone."""
    query = (
        "select key, step, value from metrics where run_uuid not in "
        "(select run_uuid from tags where key = 'replaced')"
    )
    connection = sqlite3.connect(store)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def read_points(kind: str, run: Path) -> list:
    return read_tensorboard(run) if kind == "tensorboard" else read_sqlite(run.parent / "mlflow.db")


def curve(kind: str, run: Path, name: str) -> list:
    return sorted((at, value) for key, at, value in read_points(kind, run) if key == name)


@pytest.mark.parametrize("tracked", KINDS, indirect=True)
def test_every_epoch_arrives_once_under_its_step_however_often_the_run_was_stopped(
    tracked, tmp_path
):
    config, run = page(tmp_path, tracked), tmp_path / "run"
    Process(config, run).train("teacher", [1, 2])
    second = Process(config, run)
    second.train("teacher", [2, 3])  # a savepoint was damaged: an epoch is done again
    second.train("student", [1, 2, 3])
    Process(config, run).evaluate()
    Process(config, run).evaluate("fresh")
    expected = [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    for step in ("teacher", "student"):
        found = curve(tracked, run, f"{step}/train_loss")
        assert [at for at, _ in found] == [1, 2, 3]
        assert [value for _, value in found] == pytest.approx([value for _, value in expected])
    names = {f"{step}/{name}" for step in ("teacher", "student") for name in CURVES}
    final = {name for name, _, _ in read_points(tracked, run)} - names
    scores = ("macro_f1", "macro_f1_low", "macro_f1_high", "weighted_f1", "accuracy")
    told = (*scores, "ece", "brier", "nll")
    assert final == {f"{step}/test_{name}" for step in ("teacher", "student") for name in told}
    assert curve(tracked, run, "teacher/test_accuracy") == [(0, 0.625)]
    assert curve(tracked, run, "student/test_macro_f1_low") == [(0, 0.25)]


@pytest.mark.parametrize("tracked", KINDS, indirect=True)
def test_tracking_switched_on_when_all_is_done_copies_the_whole_run(tracked, tmp_path):
    run = tmp_path / "run"
    untracked = Process(page(tmp_path, "none"), run)
    untracked.train("teacher", [1, 2])
    untracked.train("student", [1, 2, 3])
    Process(page(tmp_path, tracked), run).evaluate("fresh")
    assert [at for at, _ in curve(tracked, run, "student/val_loss")] == [1, 2, 3]
    assert [at for at, _ in curve(tracked, run, "teacher/val_loss")] == [1, 2]


@pytest.mark.parametrize("tracked", KINDS, indirect=True)
def test_a_student_trained_anew_replaces_the_old_one_and_the_teacher_stays(tracked, tmp_path):
    config, run = page(tmp_path, tracked), tmp_path / "run"
    first = Process(config, run)
    first.train("teacher", [1, 2])
    first.train("student", [1, 2, 3])
    first.evaluate()
    Process(config, run).train("student", [1, 2], loss=5.0)
    assert curve(tracked, run, "student/val_loss") == [(1, 5.0), (2, 5.0)]
    assert curve(tracked, run, "teacher/val_loss") == [(1, 1.0), (2, 1.0)]
    assert curve(tracked, run, "student/test_accuracy") == []


@pytest.mark.parametrize("tracked", KINDS, indirect=True)
def test_nothing_of_frames_classes_or_folders_goes_out(tracked, tmp_path):
    config, run = page(tmp_path, tracked), tmp_path / "run"
    process = Process(config, run)
    process.log.tell("derive", "done", frames=9, subclasses=2)
    process.train("teacher", [1])
    process.train("student", [1])
    process.evaluate()
    places = [tmp_path / "mlflow.db", *(run / "tensorboard").rglob("*.polypskd")]
    written = b"".join(path.read_bytes() for path in places if path.is_file())
    assert written
    for word in ("clinic", "zebra", str(tmp_path), str(Path.cwd())):
        assert word.encode() not in written
    assert not [path for path in places if os.uname().nodename in path.name]


def test_the_settings_that_go_out_have_no_path_and_belong_to_the_method(tmp_path):
    told = describe_settings(page(tmp_path, "none", "training_seed=3"))
    assert told["method.kind"] == "kd"
    assert (told["seed"], told["training_seed"]) == ("17", "3")
    assert (told["teacher.network.kind"], told["student.fit.epochs"]) == ("resnet18", "30")
    assert not [value for value in told.values() if "/" in value or "zebra" in value]
    plain = describe_settings(page(tmp_path, "none", "student.method={kind: none}"))
    assert not [key for key in plain if key.startswith("teacher")]


@pytest.mark.parametrize("tracked", KINDS[:1], indirect=True)
def test_a_record_cut_off_at_a_kill_is_written_again(tracked, tmp_path):
    config, run = page(tmp_path, tracked), tmp_path / "run"
    Process(config, run).train("student", [1, 2])
    (path,) = (run / "tensorboard" / "student").iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    assert [at for at, _ in curve(tracked, run, "student/seconds")] == [1]
    Process(config, run).train("student", [3])
    assert [at for at, _ in curve(tracked, run, "student/seconds")] == [1, 2, 3]


@pytest.mark.parametrize("tracked", KINDS[1:], indirect=True)
def test_a_run_of_another_config_is_another_run_of_the_experiment(tracked, tmp_path):
    run = tmp_path / "run"
    Process(page(tmp_path, tracked), run).train("student", [1])
    Process(page(tmp_path, tracked, "student.method.alpha=0.9"), run).train("student", [1])
    connection = sqlite3.connect(tmp_path / "mlflow.db")
    runs = connection.execute("select run_uuid, name, status from runs").fetchall()
    alphas = connection.execute("select value from params where key = 'method.alpha'").fetchall()
    (experiment,) = connection.execute("select name from experiments where name != 'Default'")
    connection.close()
    assert [(name, status) for _, name, status in runs] == [
        ("colon", "KILLED"),
        ("colon", "RUNNING"),
    ]
    assert sorted(alphas) == [("0.5",), ("0.9",)]
    assert experiment == ("colon",)
    assert [at for at, _ in curve(tracked, run, "student/lr")] == [1]


@pytest.mark.parametrize("tracked", KINDS[1:], indirect=True)
def test_a_run_removed_from_the_store_is_made_again(tracked, tmp_path):
    config, run = page(tmp_path, tracked), tmp_path / "run"
    Process(config, run).train("student", [1])
    place = run / ".steps" / "mlflow.json"
    place.write_text(json.dumps({"run": "0" * 32}))
    Process(config, run).train("student", [2])
    assert json.loads(place.read_text())["run"] != "0" * 32
    assert [at for at, _ in curve(tracked, run, "student/lr")] == [1, 1, 2]


@pytest.mark.parametrize("tracked", KINDS[1:], indirect=True)
def test_mlflow_counts_nobody(tracked, tmp_path):
    code = (
        "import sys; from pathlib import Path; from polypskd.config import read_config\n"
        "import socket; socket.socket.connect = None\n"
        "from polypskd.tracking.mlflow_run import MLflowRun\n"
        "folder = Path(sys.argv[1]); config = read_config(folder / 'c.yaml')\n"
        "MLflowRun(config, folder, 'x').read()\n"
        "from mlflow.telemetry.utils import is_telemetry_disabled; print(is_telemetry_disabled())"
    )
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(PAGE | {"tracking": {"kind": "mlflow"}}))
    clean = {key: value for key, value in os.environ.items() if key not in {"CI", "DO_NOT_TRACK"}}
    clean.pop("MLFLOW_DISABLE_TELEMETRY", None)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env=clean | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == "True\n", done.stderr
    assert done.stderr == ""


class Memory:
    """A store that refuses to hold a point twice, and fails when it is told to."""

    points: dict
    fails = False

    def __init__(self, run):
        pass

    def read(self):
        return dict(Memory.points)

    def add(self, points):
        if Memory.fails:
            raise OSError(28, "No space left on device", "/clinic")
        assert not points.keys() & Memory.points.keys()
        Memory.points |= points

    def restart(self):
        Memory.points = {}

    def finish(self):
        pass


@pytest.fixture
def memory(monkeypatch):
    monkeypatch.setattr(listener, "EventFiles", Memory)
    monkeypatch.setattr(listener, "check_tracking", lambda settings: None)
    Memory.points, Memory.fails = {}, False
    return Memory


def test_a_failing_tracker_ends_nothing_and_is_told_once_in_the_log(memory, tmp_path):
    config, run = page(tmp_path, "tensorboard"), tmp_path / "run"
    memory.fails = True
    process = Process(config, run)
    process.train("student", [1, 2, 3])
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    told = [event for event in events if event["step"] == "tracking"]
    assert [(event["event"], event["kind"], event["error"]) for event in told] == [
        ("failed", "tensorboard", "OSError")
    ]
    assert "clinic" not in (run / "log.jsonl").read_text()
    heard = [event.get("epoch", event["event"]) for event in process.heard]
    assert heard == [1, "failed", 2, 3]  # the terminal says it once
    memory.fails = False
    Process(config, run).train("student", [4])
    assert sorted({at.epoch for at in memory.points}) == [1, 2, 3, 4]


@pytest.mark.parametrize("tracked", KINDS, indirect=True)
def test_a_store_that_cannot_be_opened_ends_nothing(tracked, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "tensorboard").write_text("a file, not a folder")
    (tmp_path / "taken").write_text("a file, not a folder")
    settings = ["tracking.store=taken/mlflow.db"] if tracked == "mlflow" else []
    Process(page(tmp_path, tracked, *settings), run).train("student", [1, 2])
    lines = (run / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == ["student", "tracking", "student"]


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["teacher", "student"]),
        st.integers(0, 3),  # epochs that a stop puts back
        st.integers(1, 3),  # epochs done
        st.booleans(),  # whether the disk is full
        st.booleans(),  # whether it is another training
    ),
    max_size=8,
)


@given(moves=MOVES)
def test_whatever_happens_the_store_ends_with_what_the_log_holds(moves):
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as name:
        patch.setattr(listener, "EventFiles", Memory)
        patch.setattr(listener, "check_tracking", lambda settings: None)
        Memory.points, Memory.fails = {}, False
        run = Path(name) / "run"
        config = page(run, "tensorboard")
        done, loss = {"teacher": 0, "student": 0}, {"teacher": 1.0, "student": 1.0}
        for step, back, epochs, Memory.fails, anew in moves:
            loss[step] += anew
            first = 1 if anew else max(done[step] - back, 0) + 1
            done[step] = first + epochs - 1
            Process(config, run).train(step, range(first, done[step] + 1), loss[step])
        Memory.fails = False
        Process(config, run).evaluate()
        log = read_epochs(run / "log.jsonl")
        wanted = {
            Point(step, epoch, key): value
            for step, epochs in log.items()
            for epoch, values in epochs.items()
            for key, value in values.items()
        } | describe_evaluation(EVALUATION)
        assert wanted.items() <= Memory.points.items()


def test_a_borrowed_teacher_has_no_epochs_of_its_own(tmp_path):
    process = Process(page(tmp_path, "none"), tmp_path)
    process.train("teacher", [1])
    process.train("teacher-2", [1])
    process.log.tell("teacher", "borrowed", seconds=3.0)
    process.train("student", [1])
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": "stud')  # a kill in the middle of a line
    assert list(read_epochs(tmp_path / "log.jsonl")) == ["student"]


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow"])
def test_a_missing_package_is_told_in_one_line_before_anything_is_done(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    config = page(tmp_path, kind)
    with pytest.raises(ConfigError, match=rf"pip install 'polypskd\[{kind}\]'") as told:
        check_tracking(config.tracking)
    assert told.value.count == 1
    with pytest.raises(ConfigError):
        track_run(config, tmp_path)
    with pytest.raises(ConfigError):
        plan_comparison(config, ["none", "kd"], 2, tmp_path)
    assert not list(tmp_path.iterdir())


def test_without_tracking_the_listener_is_the_one_given(tmp_path):
    def listen(event):
        pass

    assert track_run(page(tmp_path, "none"), tmp_path, listen) is listen
    assert track_run(page(tmp_path, "none"), tmp_path) is None


def test_the_store_is_a_file_beside_the_config_and_never_a_server(tmp_path):
    for given_, path in {
        "sqlite:///runs/m.db": tmp_path / "runs/m.db",
        "runs/m.db": tmp_path / "runs/m.db",
        "sqlite:////abs/m.db": Path("/abs/m.db"),
    }.items():
        assert page(tmp_path, "mlflow", f"tracking.store={given_}").tracking.store == path
    assert page(tmp_path, "mlflow").tracking.store == tmp_path / "mlflow.db"
    for server in ("http://host:5000", "postgresql://host/db", "sqlite://", "''"):
        with pytest.raises(ConfigError, match="an SQLite file on this machine"):
            page(tmp_path, "mlflow", f"tracking.store={server}")


def test_a_run_of_which_only_the_tracking_changed_is_the_same_run(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    open_run(page(tmp_path, "none"), run)
    before = (run / "config.yaml").read_bytes()
    (run / "examples.csv").write_text("made")
    for kind in ("tensorboard", "mlflow"):
        opened = open_run(page(tmp_path, kind), run)
        assert opened.config.tracking.kind == kind
        assert (run / "config.yaml").read_bytes() == before
    with pytest.raises(OutputError, match="seed: 17 → 18"):
        refuse_other(page(tmp_path, "none", "seed=18"), run)


def test_each_run_of_a_comparison_tracks_as_the_page_says(tmp_path):
    if not installed("tensorboard"):
        pytest.skip("needs polypskd[tensorboard]")
    planned = plan_comparison(page(tmp_path, "tensorboard"), ["none", "kd"], 2, tmp_path)
    assert {one.config.tracking.kind for one in planned} == {"tensorboard"}


@pytest.mark.parametrize("tracked", KINDS[:1], indirect=True)
def test_a_tracked_run_gives_the_curves_of_its_histories(tracked, tmp_path):
    shutil.copy(ROOT / "configs" / "synthetic.yaml", tmp_path / "demo.yaml")
    settings = (
        *("cohort.frames.patients=12", "cohort.frames.frames_per_patient=3", "augment.views=1"),
        *("cohort.frames.size=48", "augment.size=48", "labels.subclasses.min_size=2"),
        *(
            "labels.curriculum={kind: none}",
            "student.method={kind: none}",
            "student.fit.epochs=2",
        ),
        *("evaluation.resamples=0", "student.network.width=16", f"tracking.kind={tracked}"),
    )
    extra = [part for setting in settings for part in ("--set", setting)]
    run = tmp_path / "run"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "polypskd", "run", "--no-pdf", str(tmp_path / "demo.yaml")),
            *("--out", str(run), "--quiet", *extra),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    history = json.loads((run / "student_history.json").read_text())
    for name in ("train_loss", "val_loss", "val_macro_f1", "lr"):
        expected = [(record["epoch"], record[name]) for record in history]
        found = curve(tracked, run, f"student/{name}")
        assert len(found) == len(expected) == 2
        for (at, value), (epoch, truth) in zip(found, expected, strict=True):
            assert at == epoch
            assert math.isclose(value, truth, rel_tol=1e-6, abs_tol=1e-9)
    final = json.loads((run / "evaluation.json").read_text())["accuracy"]["value"]
    assert curve(tracked, run, "student/test_accuracy") == [(0, pytest.approx(final))]
