import json
import sys

import numpy as np
import polars as pl
import pytest
from scipy import stats

from polypskd.cli import main
from polypskd.errors import ArtifactError, ConfigError
from polypskd.metrics.proportions import intraclass_correlation
from polypskd.planning import Patients, Question, describe_plan, plan_study, read_clustering

PATIENTS, FRAMES = 40, 5


@pytest.fixture
def run(tmp_path):
    """A run folder whose student is right in some patients and wrong in others."""
    rng = np.random.default_rng(0)
    patients = np.repeat([f"p{i:02d}" for i in range(PATIENTS)], FRAMES)
    chance = np.repeat(rng.beta(4, 1, PATIENTS), FRAMES)
    n = len(patients)
    consensus = np.where(rng.random(n) < 0.4, "b", "a")
    split = np.where(np.repeat(np.arange(PATIENTS) % 4 == 0, FRAMES), "train", "test")
    right = rng.random(n) < chance
    predicted = np.where(right, consensus, np.where(consensus == "a", "b", "a"))
    frame = pl.DataFrame(
        {
            "frame_id": [f"f{i}" for i in range(n)],
            "path": [f"f{i}" for i in range(n)],
            "patient_id": patients,
            "split": split,
            "consensus": consensus,
            "subclass": consensus,
            "level": np.zeros(n, int),
            "stage": np.zeros(n, int),
            "agreement": chance,
            "n_votes": np.full(n, 5),
            "votes_a": np.full(n, 3),
            "votes_b": np.full(n, 2),
        }
    )
    frame.write_csv(tmp_path / "examples.csv")
    answers = frame.with_columns(predicted=pl.Series(predicted)).filter(pl.col("split") == "test")
    columns = ["frame_id", "consensus", "predicted"]
    answers[::-1].select(columns).write_csv(tmp_path / "predictions.csv")  # in another order
    return tmp_path


def test_power_is_that_of_the_exact_binomial_test():
    found = plan_study(Question(expected=0.95, goal=0.9), Patients())
    test = found["test"]
    assert test["n"] == 255  # the figure of the literature
    assert test["power"] == pytest.approx(stats.binom.sf(test["least"] - 1, 255, 0.95))
    assert test["alpha"] == pytest.approx(stats.binom.sf(test["least"] - 1, 255, 0.9))


def test_patients_and_share_multiply_what_must_be_collected():
    found = plan_study(Question(expected=0.95, goal=0.9, share=0.5), Patients(3, 0.3))
    assert found["plan"] == {
        "independent": 255,
        "design_effect": pytest.approx(1.6),
        "eligible": 408,
        "frames": 816,
        "patients": 136,
    }


def test_an_area_counts_the_share_of_the_class_once():
    found = plan_study(Question(expected=0.9, half=0.05, area=True, share=0.4), Patients())
    assert found["plan"]["frames"] == found["test"]["n"]
    assert found["test"]["positives"] == pytest.approx(0.4 * found["test"]["n"], abs=1)


def test_the_clustering_of_a_run_is_measured_on_its_test_split(run):
    found = read_clustering(run, "correct")
    table = pl.read_csv(run / "predictions.csv").join(
        pl.read_csv(run / "examples.csv").select("frame_id", "patient_id"), on="frame_id"
    )
    sums = (
        table.with_columns(hit=(pl.col("predicted") == pl.col("consensus")).cast(pl.Float64))
        .group_by("patient_id", maintain_order=True)
        .agg(pl.col("hit").sum(), pl.len())
    )
    icc = intraclass_correlation(sums["hit"].to_numpy(), sums["len"].to_numpy().astype(float))
    assert found.icc == pytest.approx(icc)
    assert found.frames == FRAMES
    assert found.effect == pytest.approx(1 + (FRAMES - 1) * icc)
    only = read_clustering(run, "correct", "a")
    assert only.measured.n_frames == table.filter(pl.col("consensus") == "a").height


@pytest.mark.parametrize(
    ("of", "name", "says"),
    [
        ("class", None, "say which by --class, one of a, b"),
        ("class", "c", "--class c: not a class of this run; use a, b"),
        ("agreement", "c", "not a class"),
    ],
)
def test_a_class_that_is_missing_or_unknown_is_told(run, of, name, says):
    with pytest.raises(ConfigError, match=says):
        read_clustering(run, of, name)


def test_a_run_without_predictions_says_which_verb_makes_them(run):
    (run / "predictions.csv").unlink()
    with pytest.raises(ArtifactError, match="polypskd evaluate CONFIG"):
        read_clustering(run, "correct")


@pytest.mark.parametrize(
    ("question", "says"),
    [
        (Question(0.9), "either --half-width or --goal"),
        (Question(0.9, half=0.1, goal=0.8), "either --half-width or --goal"),
        (Question(0.9, goal=0.8, area=True), "planned by its --half-width"),
        (Question(0.9, half=0.1, frames=5), "give one"),
        (Question(1.9, goal=0.8), "expected: 1.9 is not in"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_in_one_line(question, says):
    with pytest.raises(ConfigError, match=says) as told:
        plan_study(question, Patients())
    assert len(str(told.value).splitlines()) == 1


@pytest.mark.parametrize(
    "question",
    [
        Question(0.95, goal=0.9),
        Question(0.95, goal=0.9, frames=200),
        Question(0.9, half=0.05),
        Question(0.9, half=0.05, area=True, share=0.3),
    ],
)
def test_a_plan_fits_a_terminal_and_says_what_it_is_for(question):
    text = describe_plan(plan_study(question, Patients(3, 0.3)))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.endswith("Research use only.")


def test_the_verb_prints_one_object(monkeypatch, capsys, run):
    words = ["--expected", "0.9", "--half-width", "0.05", "--run", str(run), "--json"]
    monkeypatch.setattr(sys, "argv", ["polypskd", "samplesize", *words])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert found["mode"] == "precision"
    assert found["clustering"]["n_patients"] == PATIENTS * 3 // 4


def test_what_a_run_measures_is_told_with_its_patients_and_its_interval(run):
    found = plan_study(Question(0.9, half=0.05), read_clustering(run, "correct"))
    (line,) = (one for one in describe_plan(found).splitlines() if "measured on" in one)
    assert f"{PATIENTS * 3 // 4} patients" in line
    icc = found["clustering"]["icc"]
    assert f"{icc['low']:.2f} to {icc['high']:.2f}" in line


def test_a_run_and_numbers_of_ones_own_are_not_mixed(monkeypatch, capsys, run):
    words = ["--expected", "0.9", "--half-width", "0.05", "--run", str(run), "--icc", "0.5"]
    monkeypatch.setattr(sys, "argv", ["polypskd", "samplesize", *words])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 1
    assert "--run measures what --patient-frames and --icc" in capsys.readouterr().err
