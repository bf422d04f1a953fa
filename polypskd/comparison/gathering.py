"""What the runs of a comparison say together: one record, with paired statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from polypskd.artifacts import describe_machine, read_json
from polypskd.comparison.answers import Answers, Levels, read_answers, read_levels, score_levels
from polypskd.comparison.running import Outcome
from polypskd.comparison.variants import list_references
from polypskd.config import Config
from polypskd.costs import read_costs
from polypskd.errors import ArtifactError, ConfigError
from polypskd.metrics.intervals import number
from polypskd.metrics.paired import (
    PairedSample,
    adjust_holm,
    majority_vote,
    mcnemar,
    paired_difference,
    score_runs,
)
from polypskd.metrics.teaching import warn_of_teacher
from polypskd.runs import LABELS, NUMBERS

SCORES = ("macro_f1", "accuracy", "ece", "brier", "nll")


def gather_comparison(config: Config, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Gather the record that `polypskd.reporting.comparison.write_comparison` writes.

    Differences are of a method less a reference, over the seeds that both have finished; p values
    of all methods against all references are one family for Holm, apart for each score.

    Args:
        config: the page.
        outcomes: of every run.

    Raises:
        ConfigError: the runs do not share their test frames.
        ArtifactError: no run succeeded.
    """
    done = [outcome for outcome in outcomes if not outcome.error]
    if not done:
        raise ArtifactError(f"compare: no run succeeded; the first said: {outcomes[0].error}")
    methods = list(dict.fromkeys(outcome.method for outcome in outcomes))
    answers = {(o.method, o.seed): read_answers(o.folder, config.cohort.classes) for o in done}
    first = next(iter(answers.values()))
    if any(not np.array_equal(first.frames, one.frames) for one in answers.values()):
        raise ConfigError("compare: the runs were not tested on the same frames; use another --out")
    described = read_json(done[0].folder / LABELS[1])
    levels = read_levels(config, done, first.frames)
    record: dict[str, Any] = {
        "name": config.name,
        "seeds": list(dict.fromkeys(outcome.seed for outcome in outcomes)),
        "reference": list_references(config, methods),
        "n_test_frames": len(first.frames),
        "n_test_patients": len(np.unique(first.patients)) if described["patients_known"] else None,
        "classes": list(config.cohort.classes),
        "levels": [] if levels is None else levels.order,
        "methods": {},
        "guards": [],
        "confidence": config.evaluation.confidence,
        "resamples": config.evaluation.resamples,
        "research_use_only": True,
        "provenance": describe_machine(),
    }
    for method in methods:
        mine = [outcome for outcome in outcomes if outcome.method == method]
        record["methods"][method] = _gather_method(mine, answers, levels)
    _compare(record, answers, config, known=described["patients_known"])
    record["guards"] = _guard(record)
    return record


def _gather_method(
    mine: Sequence[Outcome],
    answers: dict[tuple[str, int], Answers],
    levels: Levels | None,
) -> dict[str, Any]:
    runs = []
    model: dict[str, Any] = {}
    for outcome in mine:
        if outcome.error:
            continue
        numbers = read_json(outcome.folder / NUMBERS[0])
        model = numbers["model"]
        after = numbers["calibration"].get("after")
        teacher = numbers["teacher"]
        runs.append(
            {
                "seed": outcome.seed,
                "macro_f1": numbers["macro_f1"]["value"],
                "accuracy": numbers["accuracy"]["value"],
                "auroc": numbers["auroc"]["value"],
                "ece_before": numbers["calibration"]["before"]["ece"]["value"],
                "ece_after": after["ece"]["value"] if after else None,
                "nll": numbers["calibration"]["before"]["nll"]["value"],
                "brier": numbers["calibration"]["before"]["brier"]["value"],
                "by_level": score_levels(answers[outcome.method, outcome.seed], levels),
                "teacher_macro_f1_val": teacher["validation"]["macro_f1"] if teacher else None,
                "student_macro_f1_val": numbers["validation"]["macro_f1"],
                "label_bits": _label_bits(numbers) if teacher else None,
                "seconds": read_costs(outcome.folder / "log.jsonl"),
            }
        )
    values = np.array([run["macro_f1"] for run in runs], dtype=np.float64)
    return {
        "description": " ".join(
            f"{key} {value}" for key, value in mine[0].config.student.method.model_dump().items()
        ),
        "kind": mine[0].config.student.method.kind,
        "runs": runs,
        "failed": [{"seed": o.seed, "error": o.error} for o in mine if o.error],
        "parameters": model.get("parameters"),
        "macs": model.get("macs"),
        "macro_f1": {
            "mean": number(float(values.mean())) if len(values) else None,
            "sd": number(float(values.std(ddof=1))) if len(values) > 1 else None,
        },
        "differences": {},
    }


def _label_bits(numbers: dict[str, Any]) -> float | None:
    bits: float | None = numbers["information"].get("label_bits")
    return bits


def _compare(
    record: dict[str, Any],
    answers: dict[tuple[str, int], Answers],
    config: Config,
    *,
    known: bool,
) -> None:
    """Add each method's differences to each reference, and the adjusted p values."""
    first = next(iter(answers.values()))
    patients = first.patients if known else None
    tested: list[dict[str, Any]] = []
    # A method stands in several pairs: it is scored once for each set of seeds.
    samples: dict[int, PairedSample] = {}
    scored: dict[tuple[str, tuple[int, ...]], dict[str, Any]] = {}
    for reference in record["reference"]:
        for method, entry in record["methods"].items():
            seeds = [
                seed
                for seed in record["seeds"]
                if (method, seed) in answers and (reference, seed) in answers
            ]
            if method == reference or not seeds:
                continue
            other = record["methods"][reference]["differences"]
            if method in other:  # the same test, seen from the other side
                continue
            if len(seeds) not in samples:
                samples[len(seeds)] = PairedSample.draw(
                    patients,
                    (len(seeds), len(first.frames)),
                    config.evaluation.resamples,
                    config.seed,
                )
            sample = samples[len(seeds)]
            pair = [[answers[name, seed] for seed in seeds] for name in (method, reference)]
            for name, side in zip((method, reference), pair, strict=True):
                if (name, tuple(seeds)) not in scored:
                    scored[name, tuple(seeds)] = score_runs(
                        sample,
                        first.labels,
                        np.stack([one.predicted for one in side]),
                        np.stack([one.probabilities for one in side]),
                        config.evaluation.calibration_bins,
                    )
            ours, theirs = (scored[name, tuple(seeds)] for name in (method, reference))
            found: dict[str, Any] = {
                score: paired_difference(
                    sample, ours[score], theirs[score], config.evaluation.confidence
                ).to_dict()
                for score in SCORES
            }
            votes = [
                majority_vote(np.stack([one.predicted for one in side]), len(record["classes"]))
                for side in pair
            ]
            found["mcnemar"] = mcnemar(first.labels, *votes).to_dict()
            entry["differences"][reference] = found
            tested.append(found)
    for score in (*SCORES, "mcnemar"):
        raw = [np.nan if one[score]["p"] is None else one[score]["p"] for one in tested]
        for one, adjusted in zip(tested, adjust_holm(raw), strict=True):
            one[score]["p_holm"] = number(adjusted)
    for reference in record["reference"]:
        for method in record["reference"]:
            found = record["methods"][method]["differences"].get(reference)
            if found is not None:
                mirror = {score: _turn(one) for score, one in found.items()}
                record["methods"][reference]["differences"].setdefault(method, mirror)


def _turn(found: dict[str, Any]) -> dict[str, Any]:
    """See a difference from the other side."""
    if "b" in found:
        return found | {"b": found["c"], "c": found["b"]}
    signs = {"value": "value", "low": "high", "high": "low"}
    turned = {mine: None if found[its] is None else -found[its] for mine, its in signs.items()}
    return found | turned


def _guard(record: dict[str, Any]) -> list[str]:
    """Say which teachers do not beat the plain student on validation, and what to try."""
    plain = _mean(record["methods"].get("none"), "student_macro_f1_val")
    warnings = {
        method: warn_of_teacher(_mean(entry, "teacher_macro_f1_val"), plain, plain=True)
        for method, entry in record["methods"].items()
    }
    # Methods of one teacher would say the same.
    said: dict[str, list[str]] = {}
    for method, warning in warnings.items():
        if warning:
            said.setdefault(warning, []).append(method)
    return [f"{', '.join(methods)}: {warning}" for warning, methods in said.items()]


def _mean(entry: dict[str, Any] | None, key: str) -> float | None:
    values = [run[key] for run in (entry or {}).get("runs", ()) if run[key] is not None]
    return float(np.mean(values)) if values else None
