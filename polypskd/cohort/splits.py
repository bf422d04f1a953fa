"""Train, validation and test, by patient: a patient's frames never stand on two sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.table import Cohort, Ints, Words, number_words
from polypskd.config import RandomSplit, Split
from polypskd.errors import CohortError, Fault

Floats = NDArray[np.float64]
TRIES = 200  # seeded restarts at most
WORK = 4000  # patients placed, over all restarts, once every class stands in every split


def split_by_patient(
    patients: Words,
    strata: Ints,
    *,
    val: float,
    test: float,
    seed: int,
    levels: Ints | None = None,
) -> Words:
    """Split frames by patient, stratified by class and if given by level.

    Patients are placed one by one, those of rare classes and with many frames first, each where
    the shares of frames, of each class and of each class × level come closest to what is asked
    for; the best of several seeded orders is kept. The order of the frames has no influence.

    Args:
        patients: (N,) patient of each frame.
        strata: (N,) class index of each frame; every split gets every class.
        val: share of frames for validation, in (0, 1).
        test: share of frames for the test, in [0, 1); 0 gives no test split.
        seed: of the orders tried.
        levels: (N,) level of each frame; balanced where possible.

    Returns:
        (N,) "train", "val" or "test".

    Raises:
        CohortError: a class has too few patients to stand in every split.

    >>> people = np.array(["a", "a", "b", "b", "c", "c"])
    >>> split = split_by_patient(people, np.zeros(6, int), val=0.3, test=0.3, seed=1)
    >>> sorted(split.tolist())
    ['test', 'test', 'train', 'train', 'val', 'val']
    """
    names = ["train", "val", "test"] if test > 0 else ["train", "val"]
    shares = np.array([1 - val - test, val, test][: len(names)])
    member = number_words(patients)
    counts = _count(member, strata)
    n_classes = counts.shape[1]
    _need_patients(counts, [str(k) for k in range(n_classes)], len(names))
    parts = [counts, counts.sum(1, keepdims=True)]
    if levels is not None:
        cells = _count(member, strata * (int(levels.max()) + 1) + levels)
        parts.append(cells[:, cells.any(0)])
    place = _place(np.hstack(parts).astype(np.float64), n_classes, shares, seed)
    if place is None:
        what = "no split by patient gives every class to every split"
        raise CohortError([Fault("split", what, todo="add patients or merge classes")])
    return np.array(names)[place[member]]


def _need_patients(counts: Ints, classes: Sequence[str], need: int) -> None:
    """Refuse classes with fewer patients than splits."""
    n = np.count_nonzero(counts, axis=0)
    few = [k for k in range(counts.shape[1]) if 0 < n[k] < need]
    kind = "a random split" if need == 3 else "a random split into two"
    todo = f"each class needs {need} patients for {kind}: add patients, merge it, or give a split"
    faults = [
        Fault("split", f"{n[k]} patient{'s' if n[k] > 1 else ''} in class", classes[k], todo)
        for k in few
    ]
    if faults:
        raise CohortError(faults)


def _count(member: Ints, strata: Ints) -> Ints:
    """(P, S) frames of each patient in each stratum."""
    width = int(strata.max()) + 1
    flat = np.bincount(member * width + strata, minlength=(int(member.max()) + 1) * width)
    return flat.reshape(-1, width).astype(np.int64)


def _count_patients(patients: Words, strata: Ints) -> Ints:
    return _count(number_words(patients), strata)


def _place(features: Floats, n_classes: int, shares: Floats, seed: int) -> Ints | None:
    """Give each patient a split; None if no order tried gave every class to every split.

    Patients with equal counts are interchangeable: the bulk of each such group is dealt out by
    the shares, and only the rest is placed one by one. So 100,000 patients of one frame each take
    no longer than a hundred.
    """
    rng = np.random.default_rng(seed)
    _, group = np.unique(features, axis=0, return_inverse=True)
    group = group.reshape(-1)
    target = np.maximum(np.outer(shares, features.sum(0)), 1e-9)
    best: tuple[float, Ints] | None = None
    placed = 0
    for _ in range(TRIES):
        place, rest = _deal(group, shares, rng)
        held = np.stack([features[place == s].sum(0) for s in range(len(shares))])
        _fill(features, n_classes, target, (place, rest, held), rng)
        placed += len(rest) + len(group) // 10 + 1
        if not ((held[:, :n_classes] > 0) | (features[:, :n_classes].sum(0) == 0)).all():
            continue
        cost = float(((held - target) ** 2 / target).sum())
        if best is None or cost < best[0] - 1e-12:
            best = (cost, place)
        if placed > WORK:
            break
    return None if best is None else best[1]


def _deal(group: Ints, shares: Floats, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Deal interchangeable patients by the shares, rounded down; the rest keeps place -1."""
    shuffled = rng.permutation(len(group))
    order = shuffled[np.argsort(group[shuffled], kind="stable")]
    sizes = np.bincount(group)
    start = np.repeat(np.cumsum(sizes) - sizes, sizes)
    rank = np.arange(len(group)) - start
    quota = np.floor(np.outer(sizes, shares) + 1e-9).cumsum(1)[group[order]]
    dealt = (rank[:, np.newaxis] >= quota).sum(1)
    place = np.full(len(group), -1)
    place[order] = np.where(dealt < len(shares), dealt, -1)
    return place, np.flatnonzero(place < 0)


def _fill(
    features: Floats,
    n_classes: int,
    target: Floats,
    state: tuple[Ints, Ints, Floats],
    rng: np.random.Generator,
) -> None:
    """Place the rest, one patient at a time, where it lowers Σ (held − target)² / target most."""
    place, rest, held = state
    has = features[:, :n_classes] > 0
    carriers = has[rest].sum(0)
    rarest = np.where(has[rest], carriers, len(place) + 1).min(1, initial=len(place) + 1)
    size = features[rest].sum(1) * rng.uniform(0.7, 1.3, len(rest))
    for patient in rest[np.lexsort((-size, rarest))]:
        row = features[patient]
        gain = ((row**2 + 2 * row * (held - target)) / target).sum(1)
        lacks = (held[:, :n_classes] == 0) & has[patient]
        # A class with no more patients than splits that lack it must use every one of them.
        urgent = lacks & (carriers <= (held[:, :n_classes] == 0).sum(0))
        gain -= 1e12 * urgent.sum(1)
        s = int(np.argmin(gain))
        place[patient] = s
        held[s] += row
        carriers = carriers - has[patient]


def resolve_split(
    config: Split, cohort: Cohort, strata: Ints, seed: int, levels: Ints | None = None
) -> Words:
    """Give each frame its split as the config asks.

    Args:
        config: the section ``cohort.split``.
        cohort: with its patients, and its split where a column gives it.
        strata: (N,) class index of each frame, in the order of ``cohort.classes``.
        seed: of random splits.
        levels: (N,) level of each frame, balanced where possible.

    Returns:
        (N,) "train", "val" or "test".

    Raises:
        CohortError: a split would be empty, lack a class, or share a patient with another.
    """
    if isinstance(config, RandomSplit):
        _need_patients(_count_patients(cohort.patient_ids, strata), cohort.classes, 3)
        shares = {"val": config.val, "test": config.test}
        split = split_by_patient(cohort.patient_ids, strata, **shares, seed=seed, levels=levels)
    else:
        if cohort.split is None:
            raise CohortError([Fault("split", "the cohort has no split column", config.column)])
        split = cohort.split.astype("<U5")
        if not np.any(split == "val") and np.any(split == "train"):
            split = _carve(config.val, cohort, strata, seed, levels)
    missing = [name for name in ("train", "val", "test") if not np.any(split == name)]
    if missing:
        todo = "name its values in cohort.split; val may be carved out of train with val: 0.15"
        raise CohortError([Fault("split", "no frames in", name, todo) for name in missing])
    absent = np.setdiff1d(strata, strata[split == "train"]).tolist()
    if absent:
        names = [cohort.classes[k] for k in absent]
        todo = "give training frames to every class"
        raise CohortError([Fault("split", "no training frame of class", n, todo) for n in names])
    if cohort.patients_known:
        check_leaks(cohort.patient_ids, split)
    return split


def _carve(
    share: float | None, cohort: Cohort, strata: Ints, seed: int, levels: Ints | None
) -> Words:
    assert cohort.split is not None  # noqa: S101  (for the type checker)
    if share is None:
        todo = "set cohort.split.val to the share of training frames to carve out, e.g. 0.15"
        raise CohortError([Fault("split", "the column has no validation frames", todo=todo)])
    split = cohort.split.astype("<U5")
    inside = split == "train"
    people = cohort.patient_ids[inside]
    _need_patients(_count_patients(people, strata[inside]), cohort.classes, 2)
    part = None if levels is None else levels[inside]
    split[inside] = split_by_patient(
        people, strata[inside], val=share, test=0.0, seed=seed, levels=part
    )
    return split


def check_leaks(patients: Words, split: Words) -> None:
    """Refuse a split that shares a patient between two parts; names no patient.

    Args:
        patients: (N,) patient of each frame.
        split: (N,) split of each frame.

    Raises:
        CohortError: with the number of such patients.

    >>> check_leaks(np.array(["a", "a"]), np.array(["train", "train"]))
    """
    places = _count(number_words(patients), number_words(split))
    shared = int(np.count_nonzero(np.count_nonzero(places, axis=1) > 1))
    if shared:
        todo = "put all frames of a patient in one split"
        raise CohortError([Fault("split", "patients in two splits:", str(shared), todo)])
