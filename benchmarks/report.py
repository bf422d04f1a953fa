"""Study and report of a run of 100,000 test frames: seconds, memory and size, stage by stage.

Votes, columns and the networks' answers are drawn; derive, study and report are the real steps,
each in a process of its own. There are no frames, so robustness and heat maps are not part of it.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import yaml
from results import record

from polypskd.artifacts import describe_machine, write_json
from polypskd.config import read_config
from polypskd.evaluation import Outputs, evaluate
from polypskd.judgement import write_answers, write_predictions
from polypskd.labels.examples import Examples, read_examples
from polypskd.labels.scheme import find_names

SEED, ANNOTATORS = 0, 5
CLASSES = ("hyperplastic", "serrated", "adenoma")
SEGMENTS = ("rectum", "sigmoid", "descending", "transverse", "ascending", "cecum")


def draw_tables(folder: Path, test: int, patients: int) -> None:
    """Draw votes and metadata: the test frames, a fifth as many to validate, a tenth to train."""
    rng = np.random.default_rng(SEED)
    count = test + test // 5 + test // 10
    parts = np.repeat(["test", "val", "train"], [test, test // 5, test // 10])
    share = {"test": patients, "val": patients // 5, "train": patients // 10}
    owner = np.concatenate(
        [
            np.char.add(f"{part}-", rng.integers(share[part], size=n).astype(str))
            for part, n in (("test", test), ("val", test // 5), ("train", test // 10))
        ]
    )
    truth = rng.integers(len(CLASSES), size=count)
    names = np.array([f"f{row:07}" for row in range(count)])
    lesion = np.char.add(np.char.add(owner, "-"), truth.astype(str))
    pl.DataFrame(
        {
            "frame": names,
            "patient": owner,
            "split": parts,
            "lesion": lesion,
            "size_mm": rng.integers(1, 15, size=count),
            "segment": np.array(SEGMENTS)[rng.integers(len(SEGMENTS), size=count)],
            "device": np.array(["A", "B", "C"])[rng.integers(3, size=count)],
        }
    ).write_csv(folder / "frames.csv")
    right = rng.random((count, ANNOTATORS)) < rng.uniform(0.5, 1, size=(count, 1))
    votes = np.where(right, truth[:, None], rng.integers(len(CLASSES), size=right.shape))
    pl.DataFrame(
        {
            "frame": np.repeat(names, ANNOTATORS),
            "annotator": np.tile([f"annotator {m}" for m in range(ANNOTATORS)], count),
            "vote": np.array(CLASSES)[votes.ravel()],
        }
    ).write_csv(folder / "votes.csv")


def write_page(folder: Path) -> Path:
    page = {
        "name": "report",
        "cohort": {
            "frames": {"kind": "none"},
            "votes": {"kind": "long", "path": str(folder / "votes.csv")},
            "metadata": {"path": str(folder / "frames.csv")},
            "patients": {"kind": "column", "column": "patient"},
            "split": {"kind": "column", "column": "split"},
            "classes": list(CLASSES),
        },
        "labels": {
            "subclasses": {"kind": "agreement_levels", "levels": {"easy": 0.8, "hard": 0.0}},
            "resamples": 0,
        },
        "study": {
            "polyps": {"lesion": "lesion", "size_mm": "size_mm", "segment": "segment"},
            "subgroups": {
                "size": {"column": "size_mm", "edges": [6, 10]},
                "segment": {"column": "segment"},
                "device": {"column": "device"},
            },
        },
    }
    path = folder / "page.yaml"
    path.write_text(yaml.safe_dump(page))
    return path


def answer(run: Path, page: Path) -> None:
    """Write what `evaluate` would, with drawn answers of a student and a teacher."""
    examples = read_examples(run / "examples.csv")
    rng = np.random.default_rng(SEED)
    rows = np.flatnonzero(np.isin(examples.split, ["val", "test"]))
    labels = find_names(examples.consensus, CLASSES)
    sides = {}
    for name, signal in (("student", 1.4), ("teacher", 1.6)):
        logits = rng.normal(size=(len(rows), len(CLASSES)))
        logits += signal * examples.agreement[rows, None] * np.eye(len(CLASSES))[labels[rows]]
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        sides[name] = SimpleNamespace(rows=rows, logits=logits, probabilities=p)
    config = read_config(page)
    told = {name: judge(examples, one, labels, config) for name, one in sides.items()}
    extra = {"method": config.student.method.model_dump(mode="json"), "seed": config.seed}
    write_json(run / "evaluation.json", told["student"] | extra | {"teacher": told["teacher"]})
    material = SimpleNamespace(examples=examples, scheme=SimpleNamespace(classes=CLASSES))
    write_predictions(run / "predictions.csv", material, sides["student"])
    write_answers(run / "answers.npz", sides["student"], sides["teacher"])
    write_json(run / "provenance.json", describe_machine() | {"research_use_only": True})
    (run / "student.safetensors").write_bytes(b"drawn")


def judge(examples: Examples, side: SimpleNamespace, labels: np.ndarray, config) -> dict:
    def outputs(split: str) -> Outputs:
        here = examples.split[side.rows] == split
        own = side.rows[here]
        levels = np.char.partition(examples.subclass[own], "/")[:, 2]
        return Outputs(side.logits[here], labels[own], examples.patient_id[own], levels, split)

    found = evaluate(
        outputs("test"),
        validation=outputs("val"),
        classes=CLASSES,
        settings=config.evaluation,
        seed=config.seed,
    ).to_dict()
    model = {"network": "drawn", "parameters": 1, "macs": 1, "size_bytes": 1}
    return found | {"validation": {"macro_f1": None}, "information": {}, "model": model}


def call(*words: str) -> tuple[float, float]:
    """Run a verb; give its seconds and the peak memory of all children so far, MiB."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "polypskd", *words, "--quiet"], check=True)
    seconds = time.perf_counter() - start
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000, help="in the test split")
    parser.add_argument("--patients", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        draw_tables(folder, options.frames, options.patients)
        page, run = write_page(folder), folder / "run"
        derived, _ = call("derive", str(page), "--out", str(run))
        answer(run, page)
        taken: dict[str, list[float]] = {"study and report": [], "with report.pdf": []}
        for _ in range(options.rounds):
            for name, words in (("study and report", ["--no-pdf"]), ("with report.pdf", ["--pdf"])):
                for made in ("study.json", "report.html", "report.pdf"):
                    (run / made).unlink(missing_ok=True)
                seconds, peak = call("report", str(run), *words)
                taken[name].append(seconds)
        size = (run / "report.html").stat().st_size / 2**20
    told = {
        name: f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"
        for name, values in taken.items()
    }
    record(
        "Study and report of drawn answers, seconds, median (range)",
        {
            "test frames": f"{options.frames:,}",
            "patients": f"{options.patients:,}",
            "derive": f"{derived:.1f}",
            **told,
            "bar": 60,
            "peak MiB (bar 2048)": f"{peak:.0f}",
            "report.html MiB (bar 5)": f"{size:.2f}",
            "rounds": options.rounds,
        },
    )


if __name__ == "__main__":
    main()
