from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from polypskd.cohort.load import load_cohort
from polypskd.cohort.recognition import recognize_votes, write_config
from polypskd.cohort.table import Cohort
from polypskd.config import Config, parse_config
from polypskd.errors import ConfigError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
EXAMPLES = Path(__file__).resolve().parents[2] / "annotations" / "example"


def recognize(frames: Path | None, votes: Path | None) -> tuple[Config, Cohort, str]:
    text = write_config(*recognize_votes(frames, votes), Path())
    config = parse_config(yaml.safe_load(text))
    return config, load_cohort(config.cohort), text


@pytest.mark.parametrize("name", ["long", "wide", "counts"])
def test_the_examples_are_recognized_by_their_form(name: str) -> None:
    config, cohort, text = recognize(None, EXAMPLES / f"{name}.csv")
    assert config.cohort.votes.kind == name
    assert config.cohort.classes == ("adenoma", "hyperplastic", "serrated")
    assert cohort.counts.sum() > 39
    assert "REORDER from lowest to highest clinical risk" in text
    assert cohort.patients_known == (name != "long")


def test_a_known_subclass_is_recognized() -> None:
    config, cohort, _ = recognize(None, EXAMPLES / "subclass.csv")
    assert config.cohort.votes.kind == "subclass"
    assert len(cohort) == 40


def test_counts_as_in_mhist_are_recognized_with_their_split(tmp_path: Path) -> None:
    column = "Number of Annotators who Selected SSA (Out of 7)"
    lines = [f"Image Name,Majority Vote Label,{column},Partition"]
    for i in range(40):
        label = "SSA" if i % 8 > 3 else "HP"
        lines.append(f"MHIST_{i}.png,{label},{i % 8},{'train' if i % 3 else 'test'}")
    (tmp_path / "annotations.csv").write_text("\n".join(lines))
    config, cohort, _ = recognize(None, tmp_path / "annotations.csv")
    assert config.cohort.classes == ("HP", "SSA")
    assert cohort.counts.sum(axis=0).tolist() == [140, 140]
    assert config.cohort.split.val == 0.15
    assert cohort.split is not None


def test_folders_are_recognized_where_there_is_no_table(tmp_path: Path) -> None:
    for name in ("b/1.png", "a/2.png"):
        (tmp_path / name).parent.mkdir()
        cv2.imwrite(str(tmp_path / name), np.full((20, 20, 3), 9, np.uint8))
    config, cohort, _ = recognize(tmp_path, None)
    assert config.cohort.votes.kind == "folders"
    assert cohort.classes == ("a", "b")


def test_the_column_of_frames_is_the_one_that_names_files(tmp_path: Path) -> None:
    for i in range(4):
        cv2.imwrite(str(tmp_path / f"s{i}.png"), np.full((20, 20, 3), 9, np.uint8))
    rows = [f"image {i},s{i},{'x' if i % 2 else 'y'},x" for i in range(4)]
    (tmp_path / "v.csv").write_text("image,study,A,B\n" + "\n".join(rows))
    config, cohort, _ = recognize(tmp_path, tmp_path / "v.csv")
    assert config.cohort.votes.frame == "study"
    assert len(cohort) == 4


def test_a_table_of_no_known_form_is_told_with_its_columns(tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_text("frame,age\na,1\nb,2\nc,3\nd,4\n")
    with pytest.raises(ConfigError, match="no known form of votes; its columns are: frame, age; "):
        recognize_votes(None, tmp_path / "v.csv")
    with pytest.raises(ConfigError, match="give --votes FILE"):
        recognize_votes(None, None)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("path", "kind", "votes"),
    [
        ("glrc/endoscopist_votes_trinary.csv", "wide", 7 * 76),
        ("glrc/endoscopist_votes_binary.csv", "wide", 7 * 76),
        ("gastrohun/image_classification.csv", "wide", 4 * 8834),
        ("cifar10/cifar10h_votes.csv", "counts", 255_467),
    ],
)
def test_real_tables_are_recognized(path: str, kind: str, votes: int) -> None:
    config, cohort, _ = recognize(None, SHARED / path)
    assert config.cohort.votes.kind == kind
    assert cohort.counts.sum() == votes


def test_paths_are_written_as_seen_from_the_config(tmp_path, monkeypatch):
    (tmp_path / "votes.csv").write_bytes((EXAMPLES / "long.csv").read_bytes())
    monkeypatch.chdir(tmp_path)
    text = write_config(*recognize_votes(None, Path("votes.csv")), Path("sub"))
    config = parse_config(yaml.safe_load(text), folder=tmp_path / "sub")
    assert config.cohort.votes.path == tmp_path / "votes.csv"
    assert len(load_cohort(config.cohort)) == 8
