"""Where class_wise gets its weights from: recalls on validation, never labels of the test split."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from polypskd.config import Config, parse_config
from polypskd.data.store import PixelStore
from polypskd.labels.examples import Examples
from polypskd.labels.plan import plan_method
from polypskd.labels.scheme import Scheme
from polypskd.training.material import Material
from polypskd.training.student import _build_weigher
from polypskd.training.targets import Targets

SCHEME = Scheme(
    ("low", "high"), ("low/easy", "low/hard", "high"), np.array([0, 0, 1]), np.array([0, 1, 0])
)
SPLITS = np.array(["train"] * 8 + ["val"] * 4 + ["test"] * 4)


def page(**method: object) -> Config:
    votes = {"kind": "counts", "path": "v.csv", "prefix": "votes_"}
    cohort = {"frames": {"kind": "none"}, "votes": votes, "classes": ["low", "high"]}
    student = {"method": {"kind": "class_wise"} | method}
    return parse_config({"name": "x", "cohort": cohort, "student": student})


def material(config: Config, tmp_path, *, test_class: str = "low") -> Material:
    count = len(SPLITS)
    names = np.array([f"f{i:02d}" for i in range(count)])
    classes = np.array(["low", "low", "low", "high"] * 4)
    classes[SPLITS == "test"] = test_class
    subclasses = np.array(["low/easy" if c == "low" else "high" for c in classes])
    subclasses[1:8:4] = "low/hard"
    zeros = np.zeros(count, dtype=np.int64)
    examples = Examples(
        frame_id=names,
        path=names,
        patient_id=names,
        split=SPLITS,
        consensus=classes,
        subclass=subclasses,
        level=zeros,
        stage=zeros,
        agreement=np.ones(count),
        n_votes=zeros + 3,
        votes={"low": zeros, "high": zeros},
        carried={},
    )
    store = PixelStore(np.zeros((count, 8, 8, 3), np.uint8), "k", tmp_path)
    return Material(examples, SCHEME, store, config, tmp_path, torch.device("cpu"))


def weights(config: Config, tmp_path, recalls: list, taught: tuple, **more: str) -> list[float]:
    own = material(config, tmp_path, **more)
    scheme = plan_method(config.student.method, SCHEME).student
    targets = Targets(np.zeros((8, 1, len(taught)), np.float16), np.array(taught), "k")
    weigh = _build_weigher(own, scheme, targets)
    return weigh([{"val_recalls": one} for one in recalls]).tolist()


def test_the_first_epoch_knows_no_recall_and_weighs_all_alike(tmp_path):
    assert weights(page(), tmp_path, [], (0.9, 0.9)) == [1, 1]


def test_the_class_that_fell_behind_its_teacher_counts_for_more(tmp_path):
    low, high = weights(page(gamma=1), tmp_path, [[0.9, 0.3]], (0.9, 0.9))
    assert high > 1 > low
    # Weighted by the shares of the training frames (3/4, 1/4) they leave the rate as it is.
    assert 0.75 * low + 0.25 * high == pytest.approx(1)


def test_the_running_recall_remembers_nine_tenths(tmp_path):
    once = weights(page(hardness="student"), tmp_path, [[0.9 * 0.8 + 0.1 * 0.4, 0.5]], (1, 1))
    twice = weights(page(hardness="student"), tmp_path, [[0.8, 0.5], [0.4, 0.5]], (1, 1))
    assert twice == pytest.approx(once)


def test_labels_of_the_test_split_change_nothing(tmp_path):
    given = (page(gamma=2), tmp_path, [[0.9, 0.3], [0.8, 0.6]], (0.9, 0.9))
    assert weights(*given) == weights(*given, test_class="high")


def test_over_subclasses_each_output_has_its_weight(tmp_path):
    config = page(over="subclass", hardness="student", gamma=1)
    easy, hard, high = weights(config, tmp_path, [[1.0, 0.2, 0.6]], (1, 1, 1))
    assert hard > high > easy


def test_no_effort_is_exactly_one(tmp_path):
    assert weights(page(gamma=0), tmp_path, [[0.1, 0.9]], (0.9, 0.9)) == [1, 1]


def test_the_votes_of_a_frame_are_part_of_a_students_fingerprint(tmp_path):
    own = material(page(), tmp_path)
    other = replace(own, examples=replace(own.examples, n_votes=own.examples.n_votes + 1))
    assert own.fingerprint() == other.fingerprint()
    assert own.fingerprint_votes() != other.fingerprint_votes()
