import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

VERBS = (
    "demo",
    "init",
    "check",
    "derive",
    "teach",
    "distill",
    "evaluate",
    "report",
    "run",
    "schema",
)


def call(*words, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "polypskd", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


def write_votes(folder: Path, rows=12) -> Path:
    lines = ["frame,annotator,vote"]
    for frame in range(rows):
        for annotator in range(3):
            vote = "high" if (frame + (annotator == 2 and frame % 5 == 0)) % 2 else "low"
            lines.append(f"f{frame:02d},a{annotator},{vote}")
    (folder / "votes.csv").write_text("\n".join(lines) + "\n")
    config = folder / "c.yaml"
    config.write_text(
        "name: x\ncohort:\n  frames: {kind: none}\n  votes: {kind: long, path: votes.csv}\n"
        "  classes: [low, high]\n"
        "student: {method: {kind: kd}}\n"
    )
    return config


def test_help_names_every_verb_and_says_research_only():
    told = call("--help")
    assert told.returncode == 0
    assert all(f"  {verb} " in told.stdout for verb in VERBS)
    assert "not a medical device" in " ".join(told.stdout.split())


def test_the_version_is_told_by_an_option_as_by_the_verb():
    told = call("--version")
    assert told.returncode == 0
    assert told.stdout == call("version").stdout
    assert "--version" in call("--help").stdout


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"name: caf\xe9\n", "is no UTF-8 text (byte 10); save it as UTF-8"),
        (None, "check its rights"),
    ],
)
def test_a_config_that_cannot_be_read_says_why_and_what_to_do(tmp_path, data, what):
    config = tmp_path / "c.yaml"
    if data is None:
        config.symlink_to(config)  # what the system itself refuses, also for root
    else:
        config.write_bytes(data)
    told = call("check", config)
    assert told.returncode == 1
    assert what in told.stderr
    assert told.stderr.count("\n") == 1
    assert "Error" not in told.stderr


def test_wrong_usage_exits_with_2():
    assert call("run").returncode == 2
    assert call("nonsense").returncode == 2
    assert call("run", "x.yaml", "--nonsense").returncode == 2


def test_a_missing_config_is_one_line_and_exit_1(tmp_path):
    told = call("check", tmp_path / "none.yaml")
    assert told.returncode == 1
    assert len(told.stderr.splitlines()) == 1
    assert "config file not found" in told.stderr


def test_check_tells_what_a_cohort_holds(tmp_path):
    told = call("check", write_votes(tmp_path), "--json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["frames"] == 12
    assert found["annotators"] == 3
    assert sum(found["votes"].values()) == 36


def test_a_faulty_cohort_leaves_nothing_half_written(tmp_path):
    config = write_votes(tmp_path)
    (tmp_path / "votes.csv").write_text("frame,annotator,vote\nf1,a1,hihg\n")
    told = call("derive", config, "--out", tmp_path / "run")
    assert told.returncode == 1
    assert "hihg" in told.stderr
    assert "Traceback" not in told.stderr
    assert not (tmp_path / "run" / "examples.csv").exists()


def test_derive_without_frames_works_and_training_says_what_is_missing(tmp_path):
    config = write_votes(tmp_path)
    told = call("derive", config, "--out", tmp_path / "run")
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "run" / "examples.csv").exists()
    told = call("teach", config, "--out", tmp_path / "run")
    assert told.returncode == 1
    assert "no frames to train on" in told.stderr


def test_changed_votes_never_go_beside_older_results_unasked(tmp_path):
    config, run = write_votes(tmp_path), tmp_path / "run"
    assert call("derive", config, "--out", run).returncode == 0
    before = (run / "examples.csv").read_bytes()
    (run / "student.safetensors").write_bytes(b"weights")
    assert call("derive", config, "--out", run).returncode == 0  # nothing has changed
    with (tmp_path / "votes.csv").open("a") as file:
        file.write("f99,a0,low\n")
    told = call("derive", config, "--out", run)
    assert told.returncode == 1
    assert told.stderr.splitlines()[-1] == (
        f"polypskd: {run}: the votes or frames have changed since these results were made; "
        "give --out another folder, or --overwrite"
    )
    assert (run / "examples.csv").read_bytes() == before
    assert call("derive", config, "--out", run, "--overwrite").returncode == 0
    assert b"f99" in (run / "examples.csv").read_bytes()


def test_changed_votes_without_results_are_derived_anew(tmp_path):
    config, run = write_votes(tmp_path), tmp_path / "run"
    assert call("derive", config, "--out", run).returncode == 0
    with (tmp_path / "votes.csv").open("a") as file:
        file.write("f99,a0,low\n")
    assert call("derive", config, "--out", run).returncode == 0
    assert b"f99" in (run / "examples.csv").read_bytes()


def test_the_tables_are_recorded_by_their_hashes(tmp_path):
    config, run = write_votes(tmp_path), tmp_path / "run"
    assert call("derive", config, "--out", run).returncode == 0
    votes = hashlib.sha256((tmp_path / "votes.csv").read_bytes()).hexdigest()
    assert json.loads((run / "agreement.json").read_text())["inputs"] == {"votes_sha256": votes}
    rows = "".join(f"f{i:02d},p{i}\n" for i in range(12))
    (tmp_path / "meta.csv").write_text(f"frame,patient\n{rows}")
    more = f"cohort.metadata={{path: {tmp_path / 'meta.csv'}}}"
    told = json.loads(
        call("derive", config, "--out", tmp_path / "b", "--set", more, "--json").stdout
    )
    assert set(told["inputs"]) == {"votes_sha256", "metadata_sha256"}


def test_the_readmes_way_to_freeze_a_split_holds_it_under_another_seed_and_vote(tmp_path):
    config, run = write_votes(tmp_path, rows=40), tmp_path / "run"
    readme = (Path(__file__).resolve().parents[1] / "README.md").read_text()
    frozen = readme.partition("## Freezing the split")[2].partition("```yaml\n")[2]
    page = yaml.safe_load(config.read_text())
    page["cohort"] |= {"patients": {"kind": "pattern", "pattern": "(f[0-9]+)"}}
    config.write_text(yaml.safe_dump(page))
    assert call("derive", config, "--out", run).returncode == 0
    with (run / "examples.csv").open() as file:
        rows = list(csv.DictReader(file))
    names = ["frame_id", "patient_id", "split"]
    lines = [",".join(names), *(",".join(row[name] for name in names) for row in rows)]
    (tmp_path / "split.csv").write_text("\n".join(lines) + "\n")
    page["cohort"] |= yaml.safe_load(frozen.partition("```")[0])["cohort"]
    config.write_text(yaml.safe_dump(page))
    votes = tmp_path / "votes.csv"
    votes.write_text(votes.read_text().replace("f00,a0,low", "f00,a0,high"))
    told = call("derive", config, "--out", tmp_path / "other", "--set", "seed=5")
    assert told.returncode == 0, told.stderr
    with (tmp_path / "other" / "examples.csv").open() as file:
        again = list(csv.DictReader(file))
    assert [row["split"] for row in again] == [row["split"] for row in rows]
    assert [row["votes_low"] for row in again] != [row["votes_low"] for row in rows]


def test_init_writes_a_config_that_check_accepts_and_destroys_none(tmp_path):
    write_votes(tmp_path)
    path = tmp_path / "new.yaml"
    told = call("init", "--votes", tmp_path / "votes.csv", "--out", path)
    assert told.returncode == 0, told.stderr
    assert call("check", path).returncode == 0
    before = path.read_bytes()
    again = call("init", "--votes", tmp_path / "votes.csv", "--out", path)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert path.read_bytes() == before


def test_unknown_patients_are_warned_of(tmp_path):
    config = write_votes(tmp_path)
    told = call("check", config)
    warning = "WARNING  patients unknown: frames of one patient may stand in several splits"
    assert [line for line in told.stdout.splitlines() if line.startswith(warning)]
    assert len(json.loads(call("check", config, "--json").stdout)["warnings"]) == 1
    words = ("init", "--votes", tmp_path / "votes.csv", "--out", tmp_path / "new.yaml")
    assert warning in call(*words).stdout
    told = json.loads(call(*words, "--overwrite", "--json").stdout)
    assert len(told["warnings"]) == 1
    known = "cohort.patients={kind: pattern, pattern: '(f[0-9]+)'}"
    told = call("check", config, "--set", known)
    assert "WARNING" not in told.stdout
    assert json.loads(call("check", config, "--set", known, "--json").stdout)["warnings"] == []


def test_several_faults_stand_below_their_number_and_go_to_json(tmp_path):
    config = write_votes(tmp_path)
    (tmp_path / "votes.csv").write_text("frame,annotator,vote\nf1,a1,hihg\nf2,a1,lwo\n")
    told = call("check", config, "--json")
    assert told.returncode == 1
    first, *lines = told.stderr.splitlines()
    assert first == "polypskd: 2 faults"
    assert lines[-1].endswith("cohort.drop_faulty: true")
    assert json.loads(told.stdout) == {"error": lines, "exit": 1}
    assert call("check", config).stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        ("init",),
        ("demo", "--set", "seed"),
        ("report", "none"),
        *((verb, "none.yaml") for verb in ("check", "derive", "run")),
    ],
)
def test_every_verb_tells_a_fault_as_json_too(tmp_path, words):
    told = call(*words, "--json", cwd=tmp_path)
    assert told.returncode == 1
    error = json.loads(told.stdout)
    assert error["exit"] == 1
    assert told.stderr == f"polypskd: {error['error'][0]}\n"


def test_report_of_a_folder_that_is_no_run_is_told(tmp_path):
    told = call("report", tmp_path)
    assert told.returncode == 1
    assert "not a run folder" in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_shipped_schema_is_the_one_that_the_verb_prints():
    shipped = Path(__file__).resolve().parents[1] / "configs" / "config.schema.json"
    assert call("schema").stdout == shipped.read_text()


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb):
    told = call(verb, "--help")
    assert told.returncode == 0
    assert len(told.stdout) > 100


def test_our_own_fault_is_told_by_its_place_and_without_what_it_quotes():
    code = (
        "import json, sys, polypskd.cli as cli\n"
        "def fail(*words, **more): raise KeyError('Jane Doe')\n"
        "json.dumps = fail; sys.argv = ['polypskd', 'schema']; cli.main()"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.returncode == 3
    assert told.stderr.startswith(
        "polypskd: internal error (KeyError in fail (<string>:2) < schema"
    )
    assert "Jane" not in told.stdout + told.stderr
