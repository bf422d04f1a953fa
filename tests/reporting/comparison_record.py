"""A made-up comparison, its statistics computed from made-up predictions."""

from __future__ import annotations

from typing import Any

import numpy as np

from polypskd.metrics.paired import (
    PairedSample,
    adjust_holm,
    majority_vote,
    mcnemar,
    paired_difference,
    score_runs,
)

CLASSES = ("hyperplastic", "adenoma", "serrated")
SKILL = {
    "none": 1.3,
    "kd": 1.45,
    "skd": 1.75,
    "soft_votes": 1.5,
    "random_subclasses": 1.4,
    "subclass_distillation": 1.62,
}
LEVELS = ("unanimous", "4 of 5", "3 of 5")


def make_record(
    skill: dict[str, float] | None = None,
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5),
    frames: int = 320,
    patients: int | None = 60,
    failed: tuple[tuple[str, int], ...] = (("subclass_distillation", 4),),
) -> dict[str, Any]:
    skill = skill or SKILL
    generator = np.random.default_rng(0)
    labels = generator.integers(len(CLASSES), size=frames)
    people = generator.integers(patients, size=frames) if patients else None
    common = generator.normal(size=(frames, len(CLASSES)))
    chosen, p, done = {}, {}, {}
    for name, strength in skill.items():
        own = generator.normal(size=(len(seeds), *common.shape))
        logits = 0.9 * common + 0.5 * own + strength * np.eye(len(CLASSES))[labels]
        p[name] = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        chosen[name] = p[name].argmax(axis=-1)
        done[name] = [r for r, seed in enumerate(seeds) if (name, seed) not in failed]
    methods = {
        name: {
            "description": f"the method {name}, as its page in the documentation has it",
            "kind": name,
            "parameters": 172_430,
            "macs": 12_345_678,
            "runs": [_make_run(name, seeds[r], labels, p[name][r]) for r in done[name]],
            "failed": [
                {"seed": seed, "error": "/data/ann lee/run/x.csv: training diverged; lower fit.lr"}
                for r, seed in enumerate(seeds)
                if r not in done[name]
            ],
            "differences": {},
        }
        for name in skill
    }
    references = [name for name in ("none", "kd") if name in skill]
    for reference in references:
        for name in skill:
            both = [r for r in done[name] if r in done[reference]]
            if name == reference or not both:
                continue
            sample = PairedSample.draw(people, (len(both), frames), 400, seed=1)
            one, other = (
                score_runs(sample, labels, chosen[m][both], p[m][both]) for m in (name, reference)
            )
            row = {
                key: paired_difference(sample, one[key], other[key]).to_dict()
                for key in ("macro_f1", "accuracy", "ece")
            }
            votes = [majority_vote(chosen[m][both], len(CLASSES)) for m in (name, reference)]
            row["mcnemar"] = mcnemar(labels, *votes).to_dict()
            methods[name]["differences"][reference] = row
    for key in ("macro_f1", "accuracy", "ece", "mcnemar"):
        family = [d[key] for m in methods.values() for d in m["differences"].values()]
        adjusted = adjust_holm([np.nan if one["p"] is None else one["p"] for one in family])
        for one, value in zip(family, adjusted, strict=True):
            one["p_holm"] = value
    return {
        "name": "three classes, votes of five",
        "seeds": list(seeds),
        "reference": references,
        "n_test_frames": frames,
        "n_test_patients": patients,
        "classes": list(CLASSES),
        "levels": list(LEVELS),
        "methods": methods,
        "guards": [
            "The teacher does not beat the plain student on validation, 0.68 to 0.72: try weights."
        ],
        "resamples": 400,
        "provenance": {"polypskd": "0.1.0", "weights": "x.pt", "log": "/home/ann/log", "cores": 2},
    }


def _make_run(name: str, seed: int, labels: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    sample = PairedSample.draw(None, (1, len(labels)), 0)
    scores = score_runs(sample, labels, p.argmax(axis=-1)[None], p[None])
    teacher = name not in {"none", "soft_votes"}
    flat = {key: float(value[0, 0]) for key, value in scores.items()}
    return {
        "seed": seed,
        "macro_f1": flat["macro_f1"],
        "accuracy": flat["accuracy"],
        "auroc": float("nan") if name == "none" else 0.9,
        "ece_before": flat["ece"],
        "ece_after": flat["ece"] / 2,
        "nll": flat["nll"],
        "brier": flat["brier"],
        "by_level": {
            level: {"macro_f1": flat["macro_f1"] - 0.1 * i, "accuracy": flat["accuracy"] - 0.1 * i}
            for i, level in enumerate(LEVELS)
        },
        "teacher_macro_f1_val": 0.68 if teacher else None,
        "student_macro_f1_val": 0.72,
        "label_bits": 0.21 if teacher else None,
        "seconds": {
            "teacher": 812.5 if teacher else None,
            "targets": 11.25 if teacher else None,
            "student": 240.0 + seed,
        },
    }
