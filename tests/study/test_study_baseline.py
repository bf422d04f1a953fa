import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from polypskd.labels.examples import Examples
from polypskd.metrics.resampling import Resampling
from polypskd.study.baseline import describe_baseline
from polypskd.study.data import NotAssessableError
from polypskd.study.subgroups import describe_subgroups

N = 300


@pytest.fixture(scope="module")
def data(make_data):
    generator = np.random.default_rng(1)
    owner = np.sort(generator.integers(60, size=N))
    split = np.array(["train", "val", "test"])[np.searchsorted([30, 45], owner, side="right")]
    base = make_data(60, subgroups={"mode": {"column": "mode"}, "site": {"column": "site"}})
    consensus = generator.choice(base.classes, N)
    level = generator.choice(["easy", "hard"], N)
    rare = (split == "val") & np.isin(owner, np.unique(owner[split == "val"])[:2])
    mode = np.where(rare, "LCI", generator.choice(["NBI", "WLE", ""], N, p=[0.6, 0.3, 0.1]))
    examples = Examples(
        frame_id=np.array([f"frame {i}" for i in range(N)]),
        path=np.full(N, ""),
        patient_id=np.array([f"person {p}" for p in owner]),
        split=split,
        consensus=consensus,
        subclass=np.char.add(np.char.add(consensus, "/"), level),
        level=(level == "hard").astype(np.int64),
        stage=np.zeros(N, np.int64),
        agreement=np.ones(N),
        n_votes=generator.integers(3, 8, N),
        votes={},
        carried={"given_mode": mode},
    )
    return replace(
        base,
        examples=examples,
        level_order=("easy", "hard"),
        exclusions={"no votes": 7, "unreadable": 2},
    )


@pytest.fixture(scope="module")
def found(data):
    return describe_baseline(data)


def test_each_split_is_counted_as_a_loop_counts_it(data, found):
    examples = data.examples
    for split, told in found["splits"].items():
        rows = [i for i in range(N) if examples.split[i] == split]
        people = Counter(examples.patient_id[i] for i in rows)
        assert told["frames"] == len(rows)
        assert told["patients"] == len(people)
        assert told["frames_per_patient"][::2] == [min(people.values()), max(people.values())]
        assert told["classes"] == {
            name: sum(examples.consensus[i] == name for i in rows) for name in data.classes
        }
        assert list(told["levels"]) == ["easy", "hard"]
        assert told["levels"]["hard"] == sum(examples.level[i] == 1 for i in rows)
        votes = sorted(examples.n_votes[i] for i in rows)
        assert told["votes_per_frame"] == [votes[0], np.median(votes), votes[-1]]


def test_the_flow_adds_up(found):
    flow = found["flow"]
    assert flow["given"] == flow["frames"] + 9 == N + 9
    assert sum(one["frames"] for one in found["splits"].values()) == flow["frames"]
    assert sum(one["patients"] for one in found["splits"].values()) == flow["patients"]


def test_small_cells_are_suppressed_so_that_no_total_gives_them_away(data, found):
    levels = {one["name"]: one for one in found["columns"]["mode"]["levels"]}
    # Too few patients of any split have LCI: its name might tell who they are.
    assert list(levels) == ["NBI", "WLE", "unknown", "another level"]
    assert levels["another level"]["val"] is None
    assert levels["another level"]["test"] == {"frames": 0, "patients": 0}
    assert "LCI" not in json.dumps(found)
    assert sum(one["val"] is None for one in levels.values()) >= 2
    examples = data.examples
    here = (examples.split == "test") & (examples.carried["given_mode"] == "NBI")
    assert levels["NBI"]["test"] == {
        "frames": here.sum(),
        "patients": len(set(examples.patient_id[here])),
    }


def test_a_column_that_is_not_there_is_told(found):
    assert found["columns"]["site"] == {"not_assessable": "the cohort has no column 'site'"}


def test_patients_are_not_counted_where_they_are_unknown(data):
    found = describe_baseline(replace(data, patients_known=False))
    assert found["flow"]["patients"] is None
    assert {one["patients"] for one in found["splits"].values()} == {None}


def test_nobody_is_named_and_nothing_is_nan(found):
    text = json.dumps(found, allow_nan=False)
    assert "person" not in text
    assert "frame 1" not in text


def test_without_examples_there_is_no_baseline(make_data):
    with pytest.raises(NotAssessableError):
        describe_baseline(make_data(30))


def test_the_test_split_hides_the_levels_that_the_subgroups_hide(data):
    examples, test = data.examples, data.examples.split == "test"
    owner = examples.patient_id[test]
    mode = np.where(np.isin(owner, np.unique(owner)[:2]), "LCI", "NBI")
    mode[::3] = "WLE"
    carried = np.full(N, "", dtype="<U3")
    carried[test] = mode
    n = int(test.sum())
    part = replace(
        data.test,
        **{name: np.resize(getattr(data.test, name), n) for name in ("labels", "levels")},
        frame_ids=examples.frame_id[test],
        patients=owner,
        student=np.resize(data.test.student, (n, 3)),
        columns={"mode": mode},
    )
    both = replace(
        data,
        test=part,
        sample=Resampling.draw(owner, 20, 0),
        examples=replace(examples, carried={"mode": carried}),
    )
    told = describe_baseline(both)["columns"]["mode"]["levels"]
    judged = describe_subgroups(both)["columns"]["mode"]["levels"]
    hidden = {one["name"] for one in judged if one["status"] == "suppressed"}
    assert hidden == {"another level"}
    assert hidden == {one["name"] for one in told if one["test"] is None}
    assert {one["name"] for one in judged} == {
        one["name"] for one in told if one["name"] != "unknown"
    }
    assert "LCI" not in {one["name"] for one in told}
