from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from polypskd.cohort.load import load_cohort
from polypskd.cohort.page import write_config
from polypskd.cohort.recognition import recognize_votes
from polypskd.cohort.remarks import find_pattern, remark_votes
from polypskd.cohort.table import Cohort
from polypskd.config import Config, parse_config
from polypskd.errors import ConfigError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
EXAMPLES = Path(__file__).resolve().parents[2] / "annotations" / "example"


def recognize(frames: Path | None, votes: Path | None) -> tuple[Config, Cohort, str]:
    text = write_config(recognize_votes(frames, votes), Path())
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
    told = r"no known form of votes; its columns are: frame, age; .* under votes_<class>, .*columns"
    with pytest.raises(ConfigError, match=told):
        recognize_votes(None, tmp_path / "v.csv")
    with pytest.raises(ConfigError, match="give --votes FILE"):
        recognize_votes(None, None)


def test_every_value_of_the_votes_is_counted_and_slips_are_told(tmp_path: Path) -> None:
    votes = ["Adenom"] * 60 + ["Hyperplastic"] * 59 + ["Adenomm"]
    rows = [f"f{i // 3},a{i % 3},{vote}" for i, vote in enumerate(votes)]
    (tmp_path / "v.csv").write_text("frame,annotator,vote\n" + "\n".join(rows))
    notes = recognize_votes(None, tmp_path / "v.csv").notes
    assert "votes for each value: Adenom 60, Hyperplastic 59, Adenomm 1" in notes
    assert "Adenomm (1 vote) looks like Adenom; mend it, or put it into cohort.ignore" in notes
    assert not any("Hyperplastic (" in note for note in notes)


@pytest.mark.parametrize(
    ("values", "flagged"),
    [
        ({"polyp": 90, "polpy": 3}, ["polpy (3 votes) looks like polyp"]),
        ({"Polyp": 50, "polyp": 49}, ["polyp (49 votes) looks like Polyp"]),
        ({"low": 500, "odd": 1}, ["odd (1 vote) has fewer than 1 % of the votes"]),
        ({"grade-1": 90, "grade-2": 9}, []),
        ({"neoplastic": 90, "non-neoplastic": 80}, []),
    ],
)
def test_only_what_looks_wrong_is_flagged(values: dict, flagged: list) -> None:
    remarks = remark_votes(values)[1:]
    assert [remark.partition(";")[0] for remark in remarks] == flagged


def test_the_values_of_counts_and_folders_are_counted(tmp_path: Path) -> None:
    look = recognize_votes(None, EXAMPLES / "counts.csv")
    total = load_cohort(parse_config({"name": "x", "cohort": look.cohort}).cohort).counts.sum(0)
    for name, count in zip(look.cohort["classes"], total, strict=True):
        assert any(f"{name} {count}" in note for note in look.notes)
    for name in ("b/1.png", "a/2.png", "a/3.png"):
        write_image(tmp_path / name)
    assert "votes for each value: a 2, b 1" in recognize_votes(tmp_path, None).notes


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((20, 20, 3), 9, np.uint8))


def test_frames_of_the_table_that_are_no_files_are_counted(tmp_path: Path) -> None:
    for i in range(4):
        write_image(tmp_path / "frames" / f"s{i}.png")
    rows = [f"s{i}.png,{'x' if i % 2 else 'y'},x" for i in range(5)]
    (tmp_path / "v.csv").write_text("frame,A,B\n" + "\n".join(rows))
    notes = recognize_votes(tmp_path / "frames", tmp_path / "v.csv").notes
    assert "frames: 4 of 5 frames found among 4 files" in notes


def test_a_folder_without_frames_is_told_in_the_words_of_the_verb(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--frames .*/none: no such folder"):
        recognize_votes(tmp_path / "none", EXAMPLES / "long.csv")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ConfigError, match=r"^--frames .*: no frames in this folder \(1 other"):
        recognize_votes(tmp_path, EXAMPLES / "long.csv")


@pytest.mark.parametrize(
    "name",
    [
        "p{p:03d}/f{f}.png",
        "center/p{p:03d}/f{f}.png",
        "p{p:03d}_{f}.png",
        "patient-{p:03d}_{f}.png",
        "{p:03d}-{f}.png",
        "patient_{p:03d}_{f}.png",
    ],
)
def test_the_suggested_pattern_finds_the_patients(tmp_path: Path, name: str) -> None:
    frames = {name.format(p=p, f=f): p for p in range(5) for f in range(3)}
    rows = [f"{frame},{'x' if i % 2 else 'y'},x" for i, frame in enumerate(frames)]
    (tmp_path / "v.csv").write_text("frame,A,B\n" + "\n".join(rows))
    look = recognize_votes(None, tmp_path / "v.csv")
    text = write_config(look, Path())
    assert "patients" not in yaml.safe_load(text)["cohort"]
    cohort = parse_config(yaml.safe_load(text.replace("# patients:", "patients:"))).cohort
    found = load_cohort(cohort).patient_ids.tolist()
    known = [frames[frame] for frame in sorted(frames)]
    assert len(set(found)) == 5
    assert len(set(zip(found, known, strict=True))) == 5


def test_names_that_tell_no_patient_give_no_pattern() -> None:
    assert find_pattern([f"MHIST_{i}.png" for i in range(30)], []) is None
    assert find_pattern([f"polyp/{i}.png" for i in range(30)], []) is None
    assert find_pattern([f"grade-{i % 4}/{i}.png" for i in range(30)], ["grade-1"]) is None


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
    text = write_config(recognize_votes(None, Path("votes.csv")), Path("sub"))
    config = parse_config(yaml.safe_load(text), folder=tmp_path / "sub")
    assert config.cohort.votes.path == tmp_path / "votes.csv"
    assert len(load_cohort(config.cohort)) == 8
