"""A run as its study sees it, made of small arrays."""

from dataclasses import replace

import numpy as np
import pytest

from polypskd.config import Study
from polypskd.metrics.calibration import fit_temperature
from polypskd.metrics.classification import predict_classes
from polypskd.metrics.leave_one_out import Votes
from polypskd.metrics.resampling import Resampling
from polypskd.study.data import Part, StudyData

CLASSES = ("hyperplastic", "serrated", "adenoma")
RIGHT = 0.8  # chance that an annotator votes for what the frame is


def build_data(
    n=240,
    seed=0,
    classes=CLASSES,
    columns=None,
    votes=5,
    *,
    patients=40,
    validation=None,
    resamples=200,
    teacher=False,
    patients_known=True,
    sharpness=1.6,
    **settings,
):
    """Give a StudyData of n test frames, drawn as an overconfident network would answer.

    `columns`: name -> (n,) words, or a function of a Part that gives them; the validation split
    has them too. `votes`: how many annotators vote on each frame; 0: nobody is known by name and
    each frame has one vote. `validation`: its frames, n unless told. `sharpness`: 1 would be
    nearly calibrated. `settings`: of the section `study`.
    """
    config = Study.model_validate(settings)
    positive = np.isin(classes, config.positive or classes[-1:])
    generator = np.random.default_rng(seed)
    given = (columns, patients, sharpness, positive, teacher)
    test, choices = _part("test", n, generator, len(classes), votes, given)
    val, _ = _part(
        "val", n if validation is None else validation, generator, len(classes), votes, given
    )
    temperature = fit_temperature(val.student, val.labels) if len(val) else 1.0
    named = None
    if votes:
        frame, annotator = (i.ravel() for i in np.indices((n, votes)))
        named = Votes(frame, annotator, choices.ravel(), (n, votes, len(classes)))
    return StudyData(
        classes=tuple(classes),
        test=replace(test, temperature=temperature),
        validation=replace(val, temperature=temperature),
        sample=Resampling.draw(test.patients, resamples, seed).hold(),
        settings=config,
        confidence=0.95,
        bins=10,
        votes=named,
        annotators=tuple(f"annotator {m}" for m in range(votes)),
        patients_known=patients_known,
        seed=seed,
    )


def _part(split, n, generator, K, votes, given):
    columns, patients, sharpness, positive, teacher = given
    owner = np.sort(generator.integers(patients, size=n))
    taste = generator.dirichlet(np.full(K, 2.0), size=patients)
    latent = (generator.random((n, 1)) > taste[owner].cumsum(axis=1)).sum(axis=1).clip(max=K - 1)
    right = generator.random((n, max(1, votes))) < (RIGHT if votes else 1)
    others = (latent[:, None] + generator.integers(1, K, size=right.shape)) % K
    choices = np.where(right, latent[:, None], others)
    counts = np.stack([(choices == k).sum(axis=1) for k in range(K)], axis=1)
    labels = predict_classes(counts.astype(float))
    signal = np.eye(K)[latent] * 2
    part = Part(
        split=split,
        frame_ids=np.array([f"{split}-{i:05d}" for i in range(n)], dtype=np.str_),
        patients=np.array([f"{split} patient {p:03d}" for p in owner], dtype=np.str_),
        labels=labels,
        levels=np.where(counts.max(axis=1) == counts.sum(axis=1), "easy", "hard"),
        counts=counts,
        columns={},
        student=sharpness * (signal + generator.normal(size=(n, K))),
        teacher=signal + generator.normal(scale=0.7, size=(n, K)) if teacher else None,
        temperature=1.0,
        positive=positive,
    )
    found = {
        name: values(part) if callable(values) else np.resize(np.asarray(values, dtype=np.str_), n)
        for name, values in (columns or {}).items()
    }
    return replace(part, columns=found), choices


@pytest.fixture(scope="session")
def make_data():
    return build_data
