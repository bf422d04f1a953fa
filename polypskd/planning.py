"""How many frames and patients a validation needs, and how a cohort's own patients cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polypskd.errors import ArtifactError, ConfigError
from polypskd.labels.examples import read_examples
from polypskd.metrics.area_size import size_for_area
from polypskd.metrics.clustering import (
    Clustering,
    design_effect,
    measure_clustering,
    plan_collection,
)
from polypskd.metrics.resampling import Resampling
from polypskd.metrics.sample_size import half_width, power_at, size_for_power, size_for_precision

Of = Literal["agreement", "class", "correct"]
RESAMPLES = 2000


@dataclass(frozen=True)
class Question:
    """What is to be planned: exactly one of a width, a goal, or a goal at a given number of frames.

    Args:
        expected: the proportion, or with `area` the area under the ROC curve, that is expected.
        half: half the width of the interval that is wanted.
        goal: what the proportion is to be shown to exceed.
        frames: independent frames that there are; the power is then told, not the number.
        area: whether `expected` is an area.
        power: wanted.
        alpha: one-sided.
        confidence: of the interval.
        share: of all frames that are eligible; with `area`, the share of the class.
    """

    expected: float
    half: float | None = None
    goal: float | None = None
    frames: int | None = None
    area: bool = False
    power: float = 0.8
    alpha: float = 0.025
    confidence: float = 0.95
    share: float = 1.0


@dataclass(frozen=True)
class Patients:
    """How frames stand in patients.

    Args:
        frames: mean number of eligible frames a patient, at least 1.
        icc: correlation of two frames of one patient.
        measured: on which cohort, if it was.
    """

    frames: float = 1.0
    icc: float = 0.0
    measured: Clustering | None = None

    @property
    def effect(self) -> float:
        """Give the design effect."""
        if self.measured is not None:
            return self.measured.design_effect
        return design_effect(self.frames, self.icc)


def read_clustering(run: Path, of: Of, name: str | None = None) -> Patients:
    """Measure how the patients of a run's test split cluster.

    Args:
        run: folder.
        of: "agreement" of the annotators, membership of a "class", or the student's "correct"
            answers.
        name: the class; with `correct`, only its frames count, as for a sensitivity.

    Raises:
        ArtifactError: a file of the run is missing.
        ConfigError: the class is not known, or the clustering cannot be told.
    """
    examples = read_examples(run / "examples.csv")
    here = examples.split == "test"
    classes = sorted(set(examples.consensus.tolist()))
    if name is not None and name not in classes:
        raise ConfigError(f"--class {name}: not a class of this run; use {', '.join(classes)}")
    if of == "class" and name is None:
        raise ConfigError(f"--of class: say which by --class, one of {', '.join(classes)}")
    values: NDArray[np.float64]
    if of == "agreement":
        values = examples.agreement.astype(np.float64)
    elif of == "class":
        values = (examples.consensus == name).astype(np.float64)
    else:
        values = _read_hits(run, examples.frame_id)
        here &= np.isfinite(values)
        if name is not None:
            here &= examples.consensus == name
    if not here.any():
        raise ConfigError(f"{run}: no frame of the test split is left to measure; give --icc")
    sample = Resampling.draw(examples.patient_id[here], RESAMPLES, 0)
    found = measure_clustering(values[here], sample)
    if not np.isfinite(found.design_effect):
        raise ConfigError(
            f"{run}: the correlation within patients cannot be told (one frame a patient, one "
            "patient, or equal values); give --patient-frames and --icc"
        )
    return Patients(max(1.0, found.mean_size), found.icc.value, found)


def _read_hits(run: Path, frames: NDArray[np.str_]) -> NDArray[np.float64]:
    path = run / "predictions.csv"
    if not path.exists():
        raise ArtifactError(f"{path}: missing; `polypskd evaluate CONFIG` makes it")
    table = pl.read_csv(path, infer_schema=False)
    hits = (table["predicted"] == table["consensus"]).to_numpy().astype(np.float64)
    order = {name: row for row, name in enumerate(table["frame_id"].to_list())}
    rows = np.array([order.get(str(name), -1) for name in frames])
    return np.where(rows >= 0, hits[rows], np.nan)


def plan_study(question: Question, patients: Patients) -> dict[str, Any]:
    """Answer a question of size.

    Returns:
        "mode", "inputs", "test" (the numbers of the independent frames), "clustering" and "plan".

    Raises:
        ConfigError: the question asks for nothing, for two things, or is out of range.
    """
    q = question
    if (q.half is None) == (q.goal is None):
        raise ConfigError("samplesize: give either --half-width or --goal")
    if q.area and q.half is None:
        raise ConfigError("samplesize: an AUROC is planned by its --half-width")
    if q.frames is not None and q.goal is None:
        raise ConfigError("samplesize: --frames asks for the power at a --goal; give one")
    share = q.share
    test: dict[str, Any]
    if q.area and q.half is not None:
        test = size_for_area(q.expected, q.half, q.share, q.confidence).to_dict()
        mode, share = "area", 1.0  # both kinds of frames are eligible
    elif q.half is not None:
        n = size_for_precision(q.expected, q.half, q.confidence)
        test = {"n": n, "half_width": half_width(q.expected, n, q.confidence)}
        mode = "precision"
    elif q.frames is not None and q.goal is not None:
        test = power_at(q.frames, q.goal, q.expected, q.alpha).to_dict()
        mode = "power at a size"
    else:
        test = size_for_power(float(q.goal or 0), q.expected, q.power, q.alpha).to_dict()
        mode = "power"
    plan = plan_collection(
        int(test["n"]), effect=patients.effect, size=patients.frames, share=share
    )
    return {
        "mode": mode,
        "inputs": {name: getattr(q, name) for name in q.__dataclass_fields__},
        "patients": {"frames": patients.frames, "icc": patients.icc},
        "test": test,
        "clustering": patients.measured.to_dict() if patients.measured else None,
        "plan": plan.to_dict(),
        "research_use_only": True,
    }


def describe_plan(found: dict[str, Any]) -> str:
    """Put a plan in lines for people."""
    asked, test, plan = found["inputs"], found["test"], found["plan"]
    percent = f"{100 * asked['confidence']:g} %"
    match found["mode"]:
        case "area":
            head = (
                f"An AUROC of {asked['expected']:g}, {percent} interval ± {test['half_width']:.3f} "
                f"(Hanley & McNeil):\n  of the class         {test['positives']}"
            )
        case "precision":
            head = (
                f"A proportion of {asked['expected']:g}, {percent} interval "
                f"± {test['half_width']:.3f} (Wilson):"
            )
        case _:
            head = (
                f"To show that a proportion exceeds {asked['goal']:g} if it is "
                f"{asked['expected']:g} (exact binomial):\n"
                f"  power                {100 * test['power']:.0f} %   "
                f"(from {test['least']} hits on; one-sided error {100 * test['alpha']:.1f} %)"
            )
    lines = [
        head,
        f"  independent frames   {plan['independent']}",
        f"  design effect        {plan['design_effect']:.2f}   "
        f"({found['patients']['frames']:.2g} frames a patient, ICC {found['patients']['icc']:.2f})",
        f"  eligible frames      {plan['eligible']}",
        f"  all frames           {plan['frames']}",
        f"  patients             {plan['patients']}",
        "A plan, not a promise. Research use only.",
    ]
    if measured := found["clustering"]:
        icc = measured["icc"]
        sure = "" if icc["low"] is None else f"; interval {icc['low']:.2f} to {icc['high']:.2f}"
        lines[3:3] = [f"  ICC measured on      {measured['n_patients']} patients{sure}"]
    return "\n".join(lines)
