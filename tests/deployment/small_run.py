"""A finished run, small enough to be made within a test."""

from pathlib import Path

from polypskd import verbs
from polypskd.artifacts import lock_run
from polypskd.config import parse_config
from polypskd.runs import Run, open_run

PAGE = {
    "name": "small",
    "seed": 3,
    "device": "cpu",
    "cohort": {
        "frames": {
            "kind": "synthetic",
            "patients": 16,
            "frames_per_patient": 3,
            "size": 48,
            "difficulty": 0.3,
            "annotators": 5,
        },
        "votes": {"kind": "synthetic"},
        "classes": ["hyperplastic", "adenoma"],
        "split": {"kind": "random", "val": 0.3, "test": 0.3},
        "min_side": 16,
    },
    "labels": {
        "subclasses": {
            "kind": "agreement_levels",
            "levels": {"easy": 0.9, "hard": 0.5},
            "min_size": 2,
        },
        "resamples": 20,
    },
    "augment": {"size": 48, "views": 1},
    "teacher": {"network": {"kind": "resnet10", "width": 16}, "fit": {"epochs": 1}},
    "student": {
        "network": {"kind": "resnet10", "width": 16},
        "method": {"kind": "skd"},
        "fit": {"epochs": 2},
    },
    "evaluation": {"resamples": 20},
    "study": {"corruptions": {"frames": 0}},
}


def make_run(folder: Path) -> Run:
    """Make a run of a drawn cohort, with all that `polypskd run` makes but the report."""
    config = parse_config(PAGE, where="small")
    folder.mkdir(parents=True)
    with lock_run(folder):
        run = open_run(config, folder)
        for step in verbs.STEPS[:-1]:
            step(run)
    (folder / "model_card.md").write_text("# Model card: the student of small\n")
    return run
