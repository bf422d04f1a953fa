"""`compare --shard`: shares that are all of it, processes side by side, the same comparison."""

import json
import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import warm_verb
from hypothesis import given
from hypothesis import strategies as st

from polypskd.artifacts import lock_run
from polypskd.cli import app, main
from polypskd.comparison.running import Outcome, plan_comparison
from polypskd.comparison.shards import Shard, choose_share, close_shard, join_shards, parse_shard
from polypskd.config import read_config
from polypskd.errors import ConfigError, OutputError
from polypskd.labels.scheme import Scheme
from polypskd.sharing import hold, name_teacher
from polypskd.summary import describe_shard

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
    "teacher.fit.epochs=2",
    "student.network.width=16",
    "student.fit.epochs=2",
    "evaluation.resamples=50",
)
SCHEME = Scheme(("a", "b"), ("a/easy", "b/easy", "a/hard", "b/hard"), [0, 1, 0, 1], [0, 0, 1, 1])
METHODS = ("none", "kd", "skd", "class_wise", "ordinal_skd", "no_curriculum", "soft_votes")


def words(folder: Path, *extra: str, methods: str = "kd,class_wise") -> list[str]:
    settings = [part for setting in SMALL for part in ("--set", setting)]
    given = ["compare", str(PAGE), "--methods", methods, "--seeds", "2", "--json", "--quiet"]
    return [*given, "--out", str(folder), *settings, *extra]


def call(folder: Path, capsys, *extra: str) -> dict:
    """Run the verb in this process, which has loaded its packages already."""
    capsys.readouterr()
    app(words(folder, *extra), standalone_mode=False)
    return json.loads(capsys.readouterr().out)


def without_times(record: dict) -> dict:
    for entry in record["methods"].values():
        for run in entry["runs"]:
            run.pop("seconds")
    return record


def events(run: Path) -> list[tuple[str, str]]:
    lines = (run / "log.jsonl").read_text().splitlines()
    return [(event["step"], event["event"]) for event in map(json.loads, lines)]


def test_two_shards_at_once_and_two_after_them_give_the_comparison(tmp_path, capsys):
    folder = tmp_path / "shards"
    at_once = [warm_verb.start(*words(folder, "--shard", f"{index}/4")) for index in (1, 2)]
    ended = [process.finish() for process in at_once]
    assert [one.returncode for one in ended] == [0, 0]
    said = [json.loads(one.stdout) for one in ended]
    assert [one["done"] for one in said] == [1, 1]
    assert not any(one["failed"] or one["comparison"] for one in said)
    assert min(one["left"] for one in said) == 2
    assert not list(folder.glob("comparison.*"))
    # Both needed one teacher, and both drew the cohort: each was made once.
    (seed,) = {path.name for path in folder.glob("*/seed-*")}
    logs = [events(folder / method / seed) for method in ("kd", "class_wise")]
    assert sorted(("teacher", "epoch") in log for log in logs) == [False, True]
    assert sorted(("teacher", "borrowed") in log for log in logs) == [False, True]
    taught = [folder / method / seed / "teacher.safetensors" for method in ("kd", "class_wise")]
    assert taught[0].samefile(taught[1])

    assert call(folder, capsys, "--shard", "3/4")["left"] == 1
    last = call(folder, capsys, "--shard", "4/4")
    assert (last["left"], last["next"]) == (0, None)
    gathered = json.loads(Path(last["comparison"]).with_suffix(".json").read_text())

    trained = {path: path.stat().st_mtime_ns for path in folder.glob("*/seed-*/*.safetensors")}
    call(folder, capsys)  # without --shard: gathers, and trains nothing
    assert {path: path.stat().st_mtime_ns for path in trained} == trained
    assert json.loads((folder / "comparison.json").read_text()) == gathered

    call(tmp_path / "whole", capsys)
    whole = json.loads((tmp_path / "whole" / "comparison.json").read_text())
    assert without_times(gathered) == without_times(whole)
    for path in trained:
        same = tmp_path / "whole" / path.relative_to(folder)
        assert path.read_bytes() == same.read_bytes()


@cache
def plan(methods: tuple[str, ...], seeds: int) -> list[Outcome]:
    return plan_comparison(read_config(PAGE, SMALL), methods, seeds, Path("c"))


@given(st.integers(1, 12), st.integers(2, 4), st.permutations(METHODS))
def test_every_run_is_in_one_share_and_few_teachers_are_in_two(count, seeds, methods):
    planned = sorted(plan(METHODS, seeds), key=lambda one: (one.seed, methods.index(one.method)))
    schemes = dict.fromkeys(methods, SCHEME)
    shares = [choose_share(planned, schemes, Shard(i + 1, count)) for i in range(count)]
    done = [(one.method, one.seed) for share in shares for one in share]
    assert sorted(done) == sorted((one.method, one.seed) for one in planned)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    teachers = [
        {(one.seed, name_teacher(one.config, SCHEME)) for one in share if share} for share in shares
    ]
    assert sum(map(len, teachers)) - len(set().union(*teachers)) <= count - 1


def test_methods_of_one_teacher_and_seed_have_one_name_and_others_do_not():
    planned = plan(METHODS, 2)
    names = {(one.method, one.seed): name_teacher(one.config, SCHEME) for one in planned}
    assert names["none", 17] is names["soft_votes", 17] is None
    assert names["kd", 17] == names["class_wise", 17] != names["kd", 18]
    assert names["skd", 17] == names["ordinal_skd", 17] != names["kd", 17]
    assert names["no_curriculum", 17] not in {names["skd", 17], names["kd", 17]}


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "2", "a/b", "-1/2", "1/2/3", "", "1.0/2"])
def test_a_shard_that_is_none_is_refused_in_one_line(text, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["polypskd", *words(tmp_path / "c", f"--shard={text}")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"polypskd: --shard {text}:")
    assert not (tmp_path / "c").exists()


def test_a_shard_reads_as_it_is_written():
    assert str(parse_shard(" 2 / 4 ")) == "2/4"
    with pytest.raises(ConfigError, match="give 1/4 to 4/4"):
        parse_shard("9/4")


def test_torchrun_is_refused_with_what_to_use_instead(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="spread its runs by --shard"):
        plan_comparison(read_config(PAGE), ["none", "kd"], 2, Path("c"))


HOLD = """
import sys, time
from pathlib import Path
from polypskd.sharing import hold
with hold(Path(sys.argv[1]), lambda: print("waiting", flush=True)):
    print("held", flush=True)
    time.sleep(60)
"""


def hold_elsewhere(path: Path) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process


def end(process: subprocess.Popen) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_who_waits_says_so_and_goes_on_when_the_other_was_killed(tmp_path):
    place = tmp_path / "a" / "teacher.lock"
    first = hold_elsewhere(place)
    assert first.stdout.readline() == "held\n"
    second = hold_elsewhere(place)
    assert second.stdout.readline() == "waiting\n"
    end(first)
    assert second.stdout.readline() == "held\n"
    end(second)
    told = []
    with hold(place, lambda: told.append("waiting")):
        assert told == []


def join(folder: Path, shard: str, methods: str = "none,kd") -> AbstractContextManager:
    planned = plan_comparison(read_config(PAGE, SMALL), methods.split(","), 2, folder)
    return (
        lock_run(folder) if shard == "whole" else join_shards(planned, parse_shard(shard), folder)
    )


REFUSED = [
    ("1/2", "none,kd", "shard 1/2 is at work already"),
    ("whole", "none,kd", "another polypskd is at work here"),
    ("3/3", "none,kd", "number of shards are at work here"),
    ("1/2", "none,skd", "shards of another config, --methods"),
]


def test_shards_work_side_by_side_and_refuse_everybody_else(tmp_path):
    with join(tmp_path, "2/2"):
        with join(tmp_path, "1/2"):
            for shard, methods, message in REFUSED:
                with pytest.raises(OutputError, match=message), join(tmp_path, shard, methods):
                    pass
        with join(tmp_path, "1/2"):  # free again
            pass
    for shard in ("whole", "3/3"):
        with join(tmp_path, shard):
            pass


def test_a_comparison_without_shards_refuses_a_shard(tmp_path):
    refused = pytest.raises(OutputError, match="another polypskd is at work here")
    with join(tmp_path, "whole"), refused, join(tmp_path, "1/2"):
        pass
    with join(tmp_path, "1/2"):
        pass


def test_a_shard_at_work_keeps_another_from_gathering(tmp_path):
    config = read_config(PAGE, SMALL)
    with join(tmp_path, "2/2"):
        assert close_shard(config, [], tmp_path) == (0, False)
    planned = plan_comparison(config, ["none", "kd"], 2, tmp_path)
    assert close_shard(config, planned, tmp_path) == (4, False)
    assert close_shard(config, [], tmp_path, overwrite=True) == (0, False)
    assert not list(tmp_path.glob("comparison.*"))


@pytest.mark.parametrize(
    ("failed", "left", "gathered", "then"),
    [
        (0, 0, True, "Comparison  "),
        (0, 3, False, "3 runs are not done; when every shard has ended, the same command without"),
        (0, 1, False, "Of all shards, 1 run is not done; when every shard has ended, the same"),
        (1, 1, False, "without --shard writes the comparison and tries again what failed."),
        (0, 0, False, "The same command without --shard writes the comparison."),
    ],
)
def test_a_shard_says_what_it_did_and_what_to_call_next(failed, left, gathered, then, tmp_path):
    planned = plan_comparison(read_config(PAGE, SMALL), ["none", "kd"], 2, tmp_path)
    outcomes = [replace(one, error="out of memory") for one in planned[:failed]]
    outcomes += planned[failed:2]
    values, text = describe_shard("1/2", outcomes, tmp_path, left=left, gathered=gathered)
    done = "1 run" if failed else "2 runs"
    assert text.startswith(f"Shard 1/2: {done} done, {failed} failed\n")
    assert ("none, seed 17 failed: out of memory" in text) == bool(failed)
    assert then in text.splitlines()[-1]
    assert (values["done"], len(values["failed"]), values["left"]) == (2 - failed, failed, left)
    assert (values["comparison"] is None) != gathered
    assert (values["next"] is None) == gathered
