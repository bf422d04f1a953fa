import dataclasses

import numpy as np
import polars as pl
import pytest

from polypskd.errors import ArtifactError
from polypskd.labels.examples import Examples, read_examples, write_examples


@pytest.fixture
def examples():
    return Examples(
        frame_id=np.array(["a.jpg", "b,c.jpg", 'd"e".jpg', "é.jpg"]),
        path=np.array(["a.jpg", "b,c.jpg", 'd"e".jpg', ""]),
        patient_id=np.array(["007", "7", "NA", "1e3"]),
        split=np.array(["train", "train", "val", "test"]),
        consensus=np.array(["low", "high", "low", "high"]),
        subclass=np.array(["low/easy", "high/easy", "low/hard", "high/hard"]),
        level=np.array([0, 0, 1, 1]),
        stage=np.array([0, 0, 1, 1]),
        agreement=np.array([1.0, 6 / 7, 2 / 3, 0.5]),
        n_votes=np.array([7, 7, 3, 2]),
        votes={"low": np.array([7, 1, 2, 1]), "high": np.array([0, 6, 1, 1])},
        carried={"lesion": np.array(["01", "", "x\ny", "3"])},
    )


def test_what_is_written_is_read_back(examples, tmp_path):
    path = tmp_path / "run" / "examples.csv"
    write_examples(path, examples)
    found = read_examples(path)
    for field in dataclasses.fields(Examples):
        given, back = getattr(examples, field.name), getattr(found, field.name)
        if isinstance(given, dict):
            assert list(given) == list(back)
            for name in given:
                np.testing.assert_array_equal(back[name], given[name])
        elif given.dtype.kind == "f":
            np.testing.assert_allclose(back, given, atol=1e-6)
        else:
            np.testing.assert_array_equal(back, given)


def test_the_same_examples_give_the_same_bytes(examples, tmp_path):
    write_examples(tmp_path / "a.csv", examples)
    write_examples(tmp_path / "b.csv", read_examples(tmp_path / "a.csv"))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_a_carried_column_never_hides_one_of_ours(examples, tmp_path):
    carried = {"split": np.array(["A", "B", "C", "D"])}
    path = tmp_path / "examples.csv"
    write_examples(path, dataclasses.replace(examples, carried=carried))
    found = read_examples(path)
    np.testing.assert_array_equal(found.split, examples.split)
    np.testing.assert_array_equal(found.carried["given_split"], carried["split"])


def test_a_missing_table_says_which_verb_makes_it(tmp_path):
    with pytest.raises(ArtifactError, match="polypskd derive"):
        read_examples(tmp_path / "examples.csv")


@pytest.mark.parametrize("harm", ["column", "number", "text"])
def test_a_damaged_table_is_told_in_one_line(examples, tmp_path, harm):
    path = tmp_path / "examples.csv"
    write_examples(path, examples)
    table = pl.read_csv(path, infer_schema=False)
    if harm == "column":
        table.drop("level").write_csv(path)
    elif harm == "number":
        table.with_columns(level=pl.lit("easy")).write_csv(path)
    else:
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArtifactError) as caught:
        read_examples(path)
    assert "examples.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
