from pathlib import Path

import pytest
import yaml

from polypskd.cohort.load import load_cohort
from polypskd.config import Config, parse_config
from polypskd.labels.derivation import derive_labels
from polypskd.labels.suggestion import write_labels


def write_page(folder: Path, frames: int, votes: str = "long") -> str:
    """A cohort in which every other frame is disputed by one of three annotators."""
    lines = ["frame,subclass"] if votes == "subclass" else ["frame,annotator,vote"]
    for i in range(frames):
        own, other = ("low", "high") if i % 4 < 2 else ("high", "low")
        given = (own, own, other if i % 2 else own)
        if votes == "subclass":
            lines.append(f"f{i},{own}")
        else:
            lines += [f"f{i},a{m},{vote}" for m, vote in enumerate(given)]
    (folder / "v.csv").write_text("\n".join(lines) + "\n")
    return (
        f"name: x\ncohort:\n  frames: {{kind: none}}\n  votes: {{kind: {votes}, path: v.csv}}\n"
        "  classes: [low, high]\n"
    )


def suggest(folder: Path, page: str) -> Config:
    return parse_config(yaml.safe_load(page + write_labels(page, folder)), folder=folder)


def test_votes_of_several_annotators_get_agreement_levels_and_skd(tmp_path: Path) -> None:
    config = suggest(tmp_path, write_page(tmp_path, 120))
    rule = config.labels.subclasses
    assert rule.kind == "agreement_levels"
    assert (rule.levels, rule.min_size) == ({"easy": 0.9, "medium": 0.7, "hard": 0.0}, 10)
    assert config.labels.curriculum.kind == "none"
    assert config.student.method.kind == "skd"
    examples, _ = derive_labels(load_cohort(config.cohort), config)
    assert set(examples.subclass) == {"low/easy", "low/hard", "high/easy", "high/hard"}


@pytest.mark.parametrize(("votes", "frames"), [("long", 12), ("subclass", 60)])
def test_a_cohort_without_two_subclasses_of_a_class_gets_kd(
    tmp_path: Path, votes: str, frames: int
) -> None:
    config = suggest(tmp_path, write_page(tmp_path, frames, votes))
    assert config.student.method.kind == "kd"
    levels = {"long": "agreement_levels", "subclass": "none"}
    assert config.labels.subclasses.kind == levels[votes]
    derive_labels(load_cohort(config.cohort), config)


def test_the_staged_alternative_stands_as_a_comment(tmp_path: Path) -> None:
    page = write_page(tmp_path, 120)
    text = write_labels(page, tmp_path)
    comment = next(line for line in text.splitlines() if "kind: staged" in line)
    text = text.replace(comment, comment.replace("# ", "")).replace(
        "  curriculum: {kind: none}", ""
    )
    config = parse_config(yaml.safe_load(page + text), folder=tmp_path)
    assert config.labels.curriculum.kind == "staged"
    derive_labels(load_cohort(config.cohort), config)


def test_faulty_votes_do_not_stop_the_suggestion(tmp_path: Path) -> None:
    page = write_page(tmp_path, 120)
    (tmp_path / "v.csv").write_text("frame,annotator,vote\nf1,a,nonsense\n")
    assert "agreement_levels" in write_labels(page, tmp_path)
