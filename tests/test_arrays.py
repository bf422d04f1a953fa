"""Arrays on disk."""

from pathlib import Path

import numpy as np
import pytest

from polypskd.arrays import read_arrays, write_arrays
from polypskd.errors import ArtifactError


def test_equal_arrays_are_equal_bytes_and_come_back_to_the_last_digit(tmp_path: Path) -> None:
    values = {"a": np.random.default_rng(0).normal(size=(3, 2)), "b": np.arange(4)}
    for name in ("one.npz", "two.npz"):
        write_arrays(tmp_path / name, values)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    found = read_arrays(tmp_path / "one.npz", ("a", "b"), verb="evaluate")
    assert all(np.array_equal(found[name], values[name]) for name in values)


@pytest.mark.parametrize("damage", ["missing", "cut", "lacking", "pickled"])
def test_what_cannot_be_read_is_told_in_one_line_with_the_verb(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "answers.npz"
    write_arrays(path, {"a": np.zeros(100)})
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:90])
    elif damage == "pickled":
        np.savez(path, a=np.array([{}], dtype=object))
    names = ("a", "b") if damage == "lacking" else ("a",)
    with pytest.raises(ArtifactError, match=r"^[^\n]*answers\.npz: (missing|damaged); [^\n]*eval"):
        read_arrays(path, names, verb="evaluate")
