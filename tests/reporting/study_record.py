"""A study.json of small arrays, as `polypskd run` would write it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from polypskd.config import Study
from polypskd.metrics.leave_one_out import Votes
from polypskd.metrics.resampling import Resampling
from polypskd.study.data import Part, StudyData
from polypskd.study.sections import describe_study

CLASSES = ("hyperplastic", "adenoma")
KINDS = ("blur", "jpeg")
SETTINGS = {
    "polyps": {
        "lesion": "lesion",
        "size_mm": "size_mm",
        "segment": "segment",
        "histology": "histology",
        "called": {"hyperplastic": "hyperplastic", "adenoma": "tubular"},
    },
    "subgroups": {"endoscope": {"column": "endoscope"}},
}


def make_study(
    n: int = 240, patients: int = 60, classes: tuple[str, ...] = CLASSES, resamples: int = 30
) -> dict[str, Any]:
    """Give a study in which every section can be assessed.

    A frame's lesion is its patient's first or second.
    """
    generator = np.random.default_rng(3)
    test, choices = _draw_part("test", n, patients, classes, generator)
    validation, _ = _draw_part("val", n, patients, classes, generator)
    frame, annotator = (i.ravel() for i in np.indices(choices.shape))
    data = StudyData(
        classes=classes,
        test=test,
        validation=validation,
        sample=Resampling.draw(test.patients, resamples, 0).hold(),
        settings=Study.model_validate(SETTINGS),
        confidence=0.95,
        bins=10,
        votes=Votes(frame, annotator, choices.ravel(), (*choices.shape, len(classes))),
        annotators=tuple(f"annotator {m + 1}" for m in range(choices.shape[1])),
        patients_known=True,
        seed=0,
    )
    study = describe_study(data)
    study["baseline"] = _count_baseline(study, n, patients)
    return study | {"robustness": _corrupt(), "cams": _point_at(())}


def refuse(study: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Make sections not assessable, each for a reason of its own."""
    return study | {name: {"not_assessable": f"no reason but {name}"} for name in names}


def _draw_part(
    split: str, n: int, patients: int, classes: tuple[str, ...], generator: np.random.Generator
) -> tuple[Part, np.ndarray]:
    count = len(classes)
    owner = np.arange(n) % patients
    lesion = owner * 2 + (np.arange(n) // patients) % 2
    latent = generator.integers(count, size=2 * patients)[lesion]
    right = generator.random((n, 4)) < 0.85
    choices = np.where(right, latent[:, None], (latent[:, None] + 1) % count)
    counts = np.stack([(choices == k).sum(axis=1) for k in range(count)], axis=1)
    signal = 2.5 * np.eye(count)[latent]
    size = generator.integers(2, 14, size=2 * patients)[lesion]
    place = np.array(["rectum", "sigmoid", "cecum"])[lesion % 3]
    part = Part(
        split=split,
        frame_ids=np.array([f"{split}-{i:05d}" for i in range(n)]),
        patients=np.array([f"{split} patient {p:03d}" for p in owner]),
        labels=counts.argmax(axis=1),
        levels=np.where(counts.max(axis=1) == 4, "easy", "hard"),
        counts=counts,
        columns={
            "lesion": np.array([f"lesion {one}" for one in lesion]),
            "size_mm": size.astype(str),
            "segment": place,
            "histology": np.array(["hyperplastic", "tubular"])[np.minimum(latent, 1)],
            "endoscope": np.array(["A", "B"])[owner % 2],
        },
        student=signal + generator.normal(size=(n, count)),
        teacher=signal + generator.normal(size=(n, count)),
        temperature=1.0,
        positive=np.arange(count) == count - 1,
    )
    return replace(part, temperature=1.1), choices


def _count_baseline(study: dict[str, Any], n: int, patients: int) -> dict[str, Any]:
    one = {
        "frames": n,
        "patients": patients,
        "frames_per_patient": [1.0, 4.0, 4.0],
        "votes_per_frame": [4.0, 4.0, 4.0],
        "classes": {name: n // len(study["classes"]) for name in study["classes"]},
        "levels": {"easy": n, "hard": 0},
    }
    return {
        "flow": {"given": 3 * n, "left_out": {}, "frames": 3 * n, "patients": 3 * patients},
        "splits": dict.fromkeys(("train", "val", "test"), one),
        "columns": {},
    }


def _corrupt() -> dict[str, Any]:
    names = ("accuracy", "macro_f1", "sensitivity", "specificity")
    value = {"value": 0.8, "low": 0.7, "high": 0.9}
    change = {"change": {"value": -0.1, "low": -0.2, "high": 0.1}}
    strengths = [
        {"strength": at, "number": float(at), "metrics": dict.fromkeys(names, change)}
        for at in (1, 3)
    ]
    return {
        "n_frames": 240,
        "n_patients": 60,
        "confidence": 0.95,
        "clean": dict.fromkeys(names, value),
        "kinds": {kind: {"means": "a number", "strengths": strengths} for kind in KINDS},
    }


def _point_at(rows: tuple[int, ...]) -> dict[str, Any]:
    return {"method": "Grad-CAM", "layer": "layer4", "rows": list(rows)}
