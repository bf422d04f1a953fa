import json
import re
from pathlib import Path
from random import Random

import cv2
import numpy as np
import polars as pl
import pytest
import yaml

from polypskd.cohort.load import load_cohort
from polypskd.cohort.votes import votes_schema
from polypskd.config import CohortConfig, parse_config

FOLDER = Path(__file__).resolve().parents[2] / "annotations"
CLASSES = ("hyperplastic", "serrated", "adenoma")


def read_sections() -> list[dict[str, object]]:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


def make_examples() -> dict[str, str]:
    rng = Random(17)  # noqa: S311
    frames = [f"patient-{p:03d}_{i}.png" for p in range(1, 14) for i in range(1, 4)]
    frames.append("patient-014_1.png")
    votes = {}
    for frame in frames:
        weights = [1, 1, 1]
        weights[rng.randrange(3)] = rng.choice([4, 20])
        votes[frame] = rng.choices(CLASSES, weights, k=5)
    people = [f"Dr {letter}" for letter in "ABCDE"]
    subclasses = ["hyperplastic", "inflammatory", "tubular", "tubulovillous", "villous"]
    files: dict[str, list[str]] = {
        "long": ["frame,annotator,vote"],
        "wide": [",".join(["frame", "patient", *people])],
        "counts": ["frame,patient," + ",".join(f"votes_{name}" for name in CLASSES)],
        "selected": ["frame;SSA of 7;Partition"],
        "subclass": ["frame,patient,subclass"],
    }
    for i, (frame, given) in enumerate(votes.items()):
        patient = frame.partition("_")[0]
        if i < 8:
            rows = zip(people, given, strict=True)
            files["long"] += [f"{frame},{who},{vote}" for who, vote in rows]
        cells = ["" if rng.random() < 0.05 else vote for vote in given]
        files["wide"].append(",".join([frame, patient, *cells]))
        counts = [str(given.count(name)) for name in CLASSES]
        files["counts"].append(",".join([frame, patient, *counts]))
        part = "test" if i % 4 == 0 else "train"
        files["selected"].append(f"frame_{i + 1:02d}.png;{rng.randrange(8)};{part}")
        known = "unreadable" if i == 20 else rng.choice(subclasses)
        files["subclass"].append(f"{frame},{patient},{known}")
    return {name: "\n".join(lines) + "\n" for name, lines in files.items()}


def write_images(root: Path, names: list[str]) -> None:
    pixels = np.full((20, 20, 3), 90, np.uint8)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), pixels)


@pytest.mark.parametrize("name", list(make_examples()))
def test_examples_are_the_seeded_ones_with_40_rows(name: str) -> None:
    text = (FOLDER / "example" / f"{name}.csv").read_text(encoding="utf-8")
    assert text == make_examples()[name]
    assert text.count("\n") == 41


@pytest.mark.parametrize("section", read_sections(), ids=lambda s: s["cohort"]["votes"]["kind"])
def test_every_yaml_of_the_readme_reads_its_example(section: dict, tmp_path: Path) -> None:
    folder = FOLDER
    if section["cohort"]["votes"]["kind"] == "folders":
        folder = tmp_path
        names = ["hyperplastic/patient-001_1.png", "adenoma/patient-002_1.png", "blurred/x_1.png"]
        write_images(tmp_path / "frames", names)
    cohort = load_cohort(parse_config({"name": "x", **section}, folder=folder).cohort)
    expected = {"long": 8, "subclass": 39, "folders": 2, "labelme": 3}
    expected |= dict.fromkeys(("label_studio", "cvat", "coco", "datumaro"), 8)
    assert len(cohort) == expected.get(section["cohort"]["votes"]["kind"], 40)
    assert (cohort.counts.sum(axis=0) > 0).all()


def test_long_wide_and_counts_of_one_reading_give_the_same_counts() -> None:
    by_kind = {}
    for section in read_sections()[:3]:
        cohort = load_cohort(parse_config({"name": "x", **section}, folder=FOLDER).cohort)
        by_kind[cohort.annotators[:1], len(cohort)] = cohort.counts
    long, wide, counts = by_kind.values()
    np.testing.assert_array_equal(long, counts[:8])
    assert (wide <= counts).all()
    blank = pl.read_csv(FOLDER / "example" / "wide.csv").null_count().sum_horizontal()[0]
    assert counts.sum() - wide.sum() == blank > 0


def test_the_schema_is_what_the_code_gives() -> None:
    written = json.loads((FOLDER / "votes.schema.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(votes_schema()))


def test_the_codebook_names_each_class_once_in_the_order_of_risk() -> None:
    book = yaml.safe_load((FOLDER / "codebook.yaml").read_text(encoding="utf-8"))
    classes = book["classes"]
    assert [entry["risk"] for entry in classes] == list(range(1, len(classes) + 1))
    names = [entry["name"] for entry in classes]
    assert tuple(names) == CLASSES
    config = {"frames": {"kind": "none"}, "votes": {"kind": "wide", "path": "x", "annotators": "A"}}
    config["votes"]["annotators"] = ["A"]
    assert CohortConfig.model_validate(config | {"classes": names}).classes == CLASSES
