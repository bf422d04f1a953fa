import json

import numpy as np
import pytest

from polypskd.arrays import write_arrays
from polypskd.artifacts import write_json
from polypskd.config import Config
from polypskd.errors import ArtifactError
from polypskd.labels.examples import Examples, write_examples
from polypskd.study.annotators import describe_annotators
from polypskd.study.opening import open_study

CLASSES = ("low", "high")
N = 60
PAGE = {
    "name": "x",
    "cohort": {
        "frames": {"kind": "none"},
        "votes": {"kind": "long", "path": "votes.csv"},
        "classes": list(CLASSES),
    },
    "evaluation": {"resamples": 20},
    "study": {"groups": {"Cy": "expert"}},
}


@pytest.fixture
def run(tmp_path):
    generator = np.random.default_rng(0)
    label, hard = generator.integers(2, size=(2, N))
    consensus = np.array(CLASSES)[label]
    split = np.array(["train", "val", "test"])[np.arange(N) % 3]
    ids = np.array([f"f{i:02d}" for i in range(N)])
    level = np.array(["plain", "a hard one"])[hard]
    write_examples(
        tmp_path / "examples.csv",
        Examples(
            *(ids, ids, np.array([f"p{i // 6}" for i in range(N)]), split, consensus),
            subclass=np.char.add(np.char.add(consensus, "/"), level),
            level=hard,
            stage=np.zeros(N, np.int64),
            agreement=np.ones(N),
            n_votes=np.full(N, 2),
            votes={name: 2 * (consensus == name).astype(np.int64) for name in CLASSES},
            carried={"mode": np.full(N, "NBI")},
        ),
    )
    subclasses = [
        {"name": f"{owner}/{name}", "class": owner, "level": place}
        for owner in CLASSES
        for place, name in enumerate(("plain", "a hard one"))
    ]
    people = [{"name": name} for name in ("Ann", "Bo", "Cy")]  # Bo voted on training frames alone
    write_json(
        tmp_path / "agreement.json",
        {
            "classes": list(CLASSES),
            "subclasses": subclasses,
            "patients_known": True,
            "statistics": {"annotators": people},
        },
    )
    (tmp_path / "excluded.csv").write_text(
        'frame_id,reason,detail\na,no votes,\nb,"unreadable, torn",x\nc,no votes,\n'
    )
    rows = [f"{ids[i]},{who},{consensus[i]}" for i in range(2, N, 3) for who in ("Ann", "Cy")]
    (tmp_path / "test_votes.csv").write_text("\n".join(["frame_id,annotator,vote", *rows]) + "\n")
    write_json(tmp_path / "evaluation.json", {"calibration": {"temperature": 2.0}})
    judged = np.flatnonzero(split != "train")
    logits = np.eye(2)[label][judged] + generator.normal(size=(len(judged), 2))
    arrays = {"rows": judged, "student": logits, "teacher": np.zeros((0, 2))}
    write_arrays(tmp_path / "answers.npz", arrays)
    return tmp_path


def test_what_the_sections_need_is_read(run):
    data = open_study(run, Config.model_validate(PAGE))
    assert data.level_order == ("plain", "a hard one")
    assert data.exclusions == {"no votes": 2, "unreadable, torn": 1}
    assert len(data.examples) == N
    assert len(data.test) == len(data.validation) == N // 3
    assert data.test.temperature == 2.0
    assert data.column("mode").tolist() == ["NBI"] * (N // 3)


def test_annotators_keep_the_numbers_of_the_whole_cohort(run):
    data = open_study(run, Config.model_validate(PAGE))
    assert data.annotators == ("Ann", "Cy")
    found = describe_annotators(data)
    assert [(one["name"], one["group"]) for one in found["annotators"]] == [
        ("annotator 1", None),
        ("annotator 3", "expert"),
    ]
    assert "Cy" not in json.dumps(found)


def test_no_exclusions_and_no_named_annotators_are_read_too(run):
    (run / "excluded.csv").unlink()
    (run / "test_votes.csv").write_text("frame_id,annotator,vote\n")
    data = open_study(run, Config.model_validate(PAGE))
    assert data.exclusions == {}
    assert data.votes is None


def test_answers_of_other_examples_are_refused(run):
    nothing = np.zeros((0, 2))
    arrays = {"rows": np.array([N + 4]), "student": np.zeros((1, 2)), "teacher": nothing}
    write_arrays(run / "answers.npz", arrays)
    with pytest.raises(ArtifactError, match="made of other examples"):
        open_study(run, Config.model_validate(PAGE))


@pytest.mark.parametrize("text", ["frame,why\na,b\n", 'frame_id,reason\n"a,b\n'])
def test_a_damaged_list_of_exclusions_is_told_in_a_line(run, text):
    (run / "excluded.csv").write_text(text)
    with pytest.raises(ArtifactError, match=r"excluded\.csv: ") as caught:
        open_study(run, Config.model_validate(PAGE))
    assert len(caught.value.lines) == 1
