from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import polars as pl
import yaml
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from polypskd.artifacts import write_json, write_text
from polypskd.labels.examples import Examples, write_examples
from polypskd.reporting.collecting import collect_report, summarize
from polypskd.reporting.page import render_html
from polypskd.reporting.record import read_record

CLASSES = ("hyperplastic", "serrated", "adenoma")
LEVELS = ("very_easy", "easy", "hard", "very_hard")
BOUNDS = (1.0, 0.85, 0.7, 0.0)


def make_run(
    folder: Path,
    *,
    classes: tuple[str, ...] = CLASSES,
    n: int = 360,
    seed: int = 0,
    patients_known: bool = True,
    teacher: bool = True,
) -> Path:
    run, frames = folder / "run", folder / "frames"
    run.mkdir(parents=True)
    frames.mkdir()
    examples = _draw_examples(classes, n, seed)
    write_examples(run / "examples.csv", examples)
    for path in examples.path[examples.split == "test"]:
        cv2.imwrite(str(frames / path), _draw_frame(len(str(path)) + int(str(path)[6:10])))
    config = _config(folder, classes, "skd" if teacher else "none")
    (run / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    write_json(run / "agreement.json", _agreement(examples, classes, patients_known))
    student, p = _evaluate(examples, classes, seed + 1, 1.6)
    other, _ = _evaluate(examples, classes, seed + 2, 2.4)
    student["model"] = {
        "network": "resnet10",
        "parameters": 311_234,
        "macs": 41_234_567,
        "size_bytes": 1_254_321,
    }
    other["model"] = {
        "network": "resnet18",
        "parameters": 11_177_538,
        "macs": 594_823_168,
        "size_bytes": 44_783_210,
    }
    student |= {"method": config["student"]["method"], "seed": 17}
    student["teacher"] = other if teacher else None
    write_json(run / "evaluation.json", student)
    _write_predictions(run / "predictions.csv", examples, classes, p)
    write_json(run / "student_history.json", _history(30, 1.0, len(examples)))
    if teacher:
        write_json(run / "teacher_history.json", _history(20, 0.8, len(examples)))
    write_json(
        run / "provenance.json",
        {
            "polypskd": "0.1.0",
            "python": "3.11.9",
            "machine": "x86_64",
            "packages": {"torch": "2.9.1", "monai": "1.6.0"},
            "seed": 17,
            "frames": n,
            "device": "cpu",
            "examples_sha256": "0" * 64,
            "teacher_sha256": None,
        },
    )
    (run / "excluded.csv").write_text(
        "frame_id,reason,detail\nfrm-secret-1.png,unreadable frame,frm-secret-1.png\n"
        "frm-secret-2.png,unreadable frame,frm-secret-2.png\nfrm-secret-3.png,no votes,\n"
    )
    return run


def write_page(run: Path, frames: Path | None) -> Path:
    """Write report.html and the numbers of report.json; the other forms take most of the time."""
    record = read_record(run)
    page = run / "report.html"
    text = render_html(collect_report(record, frames))
    write_json(run / "report.json", summarize(record))
    write_text(page, text)
    return page


def _draw_examples(classes: tuple[str, ...], n: int, seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    latent = rng.integers(len(classes), size=n)
    skill = rng.beta(5, 1.6, size=n)
    votes = np.zeros((n, len(classes)), dtype=np.int64)
    for i in range(n):
        share = np.full(len(classes), (1 - skill[i]) / (len(classes) - 1))
        share[latent[i]] = skill[i]
        votes[i] = rng.multinomial(7, share)
    consensus = votes.argmax(1)
    agreement = votes.max(1) / 7
    level = np.array([next(j for j, b in enumerate(BOUNDS) if a >= b) for a in agreement])
    patient = rng.integers(n // 5, size=n)
    split = np.array(["train", "val", "test"])[np.digitize(patient % 20, [12, 15])]
    names = np.array(classes)
    frame = np.array([f"frame-{i:04d}.png" for i in range(n)])
    return Examples(
        frame_id=frame,
        path=frame,
        patient_id=np.array([f"PAT-{p:05d}" for p in patient]),
        split=split,
        consensus=names[consensus],
        subclass=np.array(
            [f"{names[c]}/{LEVELS[k]}" for c, k in zip(consensus, level, strict=True)]
        ),
        level=level.astype(np.int64),
        stage=level.astype(np.int64),
        agreement=agreement,
        n_votes=np.full(n, 7),
        votes={name: votes[:, k] for k, name in enumerate(classes)},
        carried={},
    )


def _draw_frame(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:240, 0:320]
    frame = np.zeros((240, 320, 3), dtype=np.float64)
    frame[:] = (70, 90, 190)
    frame *= (0.6 + 0.4 * np.cos((x - 160) / 120) * np.cos((y - 120) / 100))[..., None]
    blob = np.exp(-((x - rng.integers(80, 240)) ** 2 + (y - rng.integers(60, 180)) ** 2) / 1500)
    frame += blob[..., None] * (60, 70, 60)
    return np.clip(frame + rng.normal(0, 4, frame.shape), 0, 255).astype(np.uint8)


def _config(folder: Path, classes: tuple[str, ...], method: str) -> dict[str, Any]:
    return {
        "name": "colitis-skd",
        "seed": 17,
        "cohort": {
            "frames": {"kind": "image_folder", "root": str(folder / "frames")},
            "votes": {
                "kind": "wide",
                "path": str(folder / "votes.csv"),
                "annotators": ["Dr. Ada Secretname", "Dr. Bob Secretname"],
            },
            "classes": list(classes),
        },
        "labels": {
            "subclasses": {
                "kind": "agreement_levels",
                "levels": dict(zip(LEVELS, BOUNDS, strict=True)),
            },
            "curriculum": {"kind": "staged", "order": "easy_to_hard", "epochs_per_stage": 4},
        },
        "student": {
            "network": {"kind": "resnet10", "width": 16, "weights": None},
            "method": {"kind": method, "temperature": 4.0, "alpha": 0.5}
            if method != "none"
            else {"kind": "none"},
        },
        "evaluation": {"resamples": 2000, "calibration_bins": 15, "confidence": 0.95},
    }


def _agreement(examples: Examples, classes: tuple[str, ...], known: bool) -> dict[str, Any]:
    votes = np.column_stack([examples.votes[name] for name in classes])
    words = ["-".join(str(v) for v in sorted(row, reverse=True) if v) for row in votes]
    patterns = {word: words.count(word) for word in sorted(set(words), reverse=True)}
    people = ["Dr. Ada Secretname", "Dr. Bob Secretname", "Dr. Cy Secretname"]
    return {
        "classes": list(classes),
        "subclasses": [
            {
                "name": f"{name}/{level}",
                "class": name,
                "level": k,
                "size": {
                    split: int(
                        np.sum((examples.subclass == f"{name}/{level}") & (examples.split == split))
                    )
                    for split in ("train", "val", "test")
                },
            }
            for name in classes
            for k, level in enumerate(LEVELS)
        ],
        "merges": [f"{classes[0]}/extreme joined {classes[0]}/very_hard: 2 frames"],
        "patients_known": known,
        "excluded": 3,
        "notes": ["3 frames were left out; excluded.csv says why."],
        "statistics": {
            "n_frames": len(examples),
            "n_votes": int(votes.sum()),
            "n_annotators": 3,
            "votes_per_frame": {"min": 7, "median": 7.0, "max": 7},
            "patterns": patterns,
            "ties": 9,
            "fleiss_kappa": {"value": 0.5123, "low": 0.4711, "high": 0.5533},
            "krippendorff_nominal": {"value": 0.5127, "low": 0.4713, "high": 0.5537},
            "krippendorff_ordinal": {"value": None, "low": None, "high": None},
            "gwet_ac1": {"value": 0.5201, "low": 0.48, "high": 0.56},
            "pairwise_cohen": [
                {"a": people[0], "b": people[1], "n": 300, "value": 0.61, "low": 0.5, "high": 0.7},
                {
                    "a": people[0],
                    "b": people[2],
                    "n": 12,
                    "value": None,
                    "low": None,
                    "high": None,
                },
            ],
            "pairwise_note": None,
            "annotators": [
                {
                    "name": name,
                    "n_votes": 300 + k,
                    "share_with_consensus": 0.8 + k / 100,
                    "class_shares": {c: 1 / len(classes) for c in classes},
                }
                for k, name in enumerate(people)
            ],
            "resampled": "patient" if known else "frame",
            "resamples": 1000,
            "confidence": 0.95,
        },
    }


def _interval(value: float, half: float = 0.06) -> dict[str, float]:
    value = float(value)
    return {"value": value, "low": max(0.0, value - half), "high": min(1.0, value + half)}


def _evaluate(
    examples: Examples, classes: tuple[str, ...], seed: int, strength: float
) -> tuple[dict[str, Any], np.ndarray]:
    rng = np.random.default_rng(seed)
    y_all = np.array([classes.index(name) for name in examples.consensus])
    logits = rng.normal(size=(len(y_all), len(classes)))
    logits += strength * examples.agreement[:, None] * np.eye(len(classes))[y_all]
    p_all = np.exp(1.6 * logits)
    p_all /= p_all.sum(1, keepdims=True)
    test = examples.split == "test"
    y, p = y_all[test], p_all[test]
    guess = p.argmax(1)
    labels = range(len(classes))
    per_class, roc, pr = {}, {}, {}
    for k, name in enumerate(classes):
        t, g = y == k, guess == k
        per_class[name] = {
            "precision": _interval(precision_score(t, g)),
            "recall": _interval(recall_score(t, g)),
            "f1": _interval(f1_score(t, g)),
            "specificity": _interval(recall_score(~t, ~g)),
            "auroc": _interval(roc_auc_score(t, p[:, k])),
            "support": int(t.sum()),
        }
        fpr, tpr, _ = roc_curve(t, p[:, k])
        roc[name] = {"fpr": fpr.tolist(), "tpr": tpr.tolist()}
        precision, recall, _ = precision_recall_curve(t, p[:, k])
        pr[name] = {"recall": recall.tolist(), "precision": precision.tolist()}
    levels = np.array([name.rpartition("/")[2] for name in examples.subclass[test]])
    calibration = {
        "ece": _interval(0.131),
        "ece_classwise": _interval(0.092),
        "ece_equal_mass": _interval(0.127),
        "brier": _interval(0.41),
        "nll": _interval(0.83),
        "slope": {"value": 0.71, "low": 0.5, "high": 0.9},
        "intercept": {"value": -0.04, "low": -0.3, "high": 0.2},
    }
    record: dict[str, Any] = {
        "split": "test",
        "n_frames": len(y),
        "n_patients": len(np.unique(examples.patient_id[test])),
        "classes": list(classes),
        "per_class": per_class,
        "macro_f1": _interval(f1_score(y, guess, average="macro")),
        "weighted_f1": _interval(f1_score(y, guess, average="weighted")),
        "accuracy": _interval((y == guess).mean()),
        "auroc": _interval(0.86),
        "confusion": confusion_matrix(y, guess, labels=list(labels)).tolist(),
        "calibration": {
            "temperature": 1.72,
            "bins": 15,
            "before": calibration,
            "after": calibration | {"ece": _interval(0.047), "slope": None},
        },
        "reliability": {"before": _bins(p, y), "after": _bins(p**0.6, y)},
        "by_level": {
            level: {
                "n_frames": int(np.sum(levels == level)),
                "macro_f1": _interval(
                    f1_score(
                        y[levels == level],
                        guess[levels == level],
                        average="macro",
                        zero_division=0,
                    ),
                    0.1,
                ),
                "accuracy": _interval((y == guess)[levels == level].mean(), 0.1),
                "ece": _interval(0.1),
            }
            for level in LEVELS
            if np.any(levels == level)
        },
        "curves": {"roc": roc, "pr": pr},
        "information": {
            "label_bits": 0.4656,
            "mutual_information": 0.391,
            "soft_information": 0.288,
            "subclass_accuracy": 0.52,
            "subclass_accuracy_within_class": 0.63,
            "conditional_entropy": 1.87,
        },
    }
    return record, p_all


def _bins(p: np.ndarray, y: np.ndarray, bins: int = 15) -> list[dict[str, Any]]:
    p = p / p.sum(1, keepdims=True)
    top, right = p.max(1), p.argmax(1) == y
    place = np.minimum((top * bins).astype(int), bins - 1)
    rows = []
    for b in range(bins):
        member = place == b
        some = member.any()
        rows.append(
            {
                "confidence": float(top[member].mean()) if some else None,
                "accuracy": float(right[member].mean()) if some else None,
                "count": int(member.sum()),
            }
        )
    return rows


def _history(epochs: int, scale: float, n: int) -> list[dict[str, Any]]:
    t = np.arange(epochs)
    return [
        {
            "epoch": int(e),
            "lr": 1e-3,
            "train_loss": float(scale * np.exp(-e / 8) + 0.1),
            "val_loss": float(scale * np.exp(-e / 6) + 0.3 + 0.004 * e),
            "val_macro_f1": float(0.8 - 0.5 * np.exp(-e / 5)),
            "n_examples": int(n * min(4, 1 + e // 4) / 4),
        }
        for e in t
    ]


def _write_predictions(
    path: Path, examples: Examples, classes: tuple[str, ...], p: np.ndarray
) -> None:
    rows = np.flatnonzero(examples.split != "train")
    columns: dict[str, Any] = {
        "frame_id": examples.frame_id[rows],
        "patient_id": examples.patient_id[rows],
        "split": examples.split[rows],
        "consensus": examples.consensus[rows],
    }
    columns |= {f"p_{name}": p[rows, k] for k, name in enumerate(classes)}
    columns["predicted"] = np.array(classes)[p[rows].argmax(1)]
    pl.DataFrame(columns).write_csv(path, float_precision=6)
