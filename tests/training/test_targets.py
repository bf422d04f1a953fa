import numpy as np
import pytest

from polypskd.errors import ArtifactError
from polypskd.training.targets import Targets, read_targets, write_targets

TARGETS = Targets(
    np.arange(24, dtype=np.float16).reshape(2, 3, 4), np.array([0.5, np.nan, 1.0, 0.0]), "key"
)


def test_targets_come_back_the_same_and_equal_targets_are_equal_bytes(tmp_path):
    write_targets(tmp_path / "a.npz", TARGETS)
    write_targets(tmp_path / "b.npz", TARGETS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    back = read_targets(tmp_path / "a.npz", key="key")
    np.testing.assert_array_equal(back.logits, TARGETS.logits)
    assert back.logits.dtype == np.float16
    np.testing.assert_array_equal(back.recalls, TARGETS.recalls)


def test_targets_of_another_teacher_are_an_error(tmp_path):
    write_targets(tmp_path / "a.npz", TARGETS)
    with pytest.raises(ArtifactError, match="stale"):
        read_targets(tmp_path / "a.npz", key="other")


@pytest.mark.parametrize("content", [b"", b"PK nonsense", None])
def test_damaged_and_missing_targets_say_which_verb_makes_them(tmp_path, content):
    path = tmp_path / "a.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtifactError, match="polypskd teach CONFIG"):
        read_targets(path, key="key")


def test_truncated_targets_are_told(tmp_path):
    path = tmp_path / "a.npz"
    write_targets(path, TARGETS)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ArtifactError, match="damaged"):
        read_targets(path, key="key")
