"""Methods × seeds: every run of a comparison.

A run of a comparison is an ordinary run under ``<out>/<method>/seed-<seed>/``. The split, the views
and the cohort are those of the config's `seed`; a training seed changes initial weights and the
order of examples, and pairs the runs of all methods. Teachers, targets and pixels that several
runs need lie once, under ``<out>/shared/``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from polypskd.artifacts import RunLog, is_fresh, lock_run, read_json
from polypskd.cohort.load import load_cohort
from polypskd.cohort.location import locate_cohort
from polypskd.comparison.variants import build_variant, name_methods
from polypskd.config import Config
from polypskd.errors import ConfigError, OutputError, PolypskdError
from polypskd.labels.derivation import derive_labels
from polypskd.labels.scheme import Scheme, parse_scheme
from polypskd.pipeline import derive, distill, evaluate, teach
from polypskd.ranks import world_size
from polypskd.runs import LABELS, open_run, refuse_other
from polypskd.sharing import hold, name_labels, name_teacher, take_turn
from polypskd.tracking.listener import check_tracking, track_run

COMPARISON = ("comparison.html", "comparison.json", "comparison.csv")


@dataclass(frozen=True)
class Outcome:
    """One run of a comparison, planned or done.

    Args:
        method: its name.
        seed: training seed.
        folder: the run's folder.
        config: the run's page.
        error: why it failed, in one line; empty if it did not.
        ours: whether it failed by a fault that is not the user's.
    """

    method: str
    seed: int
    folder: Path
    config: Config
    error: str = ""
    ours: bool = False


def plan_comparison(
    config: Config, methods: Sequence[str], seeds: int, folder: Path
) -> list[Outcome]:
    """List every run of a comparison, seed by seed.

    Args:
        config: the page.
        methods: names.
        seeds: R; the training seeds are `fit_seed`, `fit_seed` + 1, ...
        folder: of the comparison.

    Raises:
        ConfigError: a name is not known, its settings do not fit the page, or the packages of the
            tracker are missing; or `torchrun` started this.
    """
    if world_size() > 1:
        raise ConfigError("compare: not for torchrun; spread its runs by --shard, e.g. --shard 1/4")
    check_tracking(config.tracking)
    follow = {"tracking": config.tracking}  # not part of a run's record, so of no variant
    return [
        Outcome(
            method,
            seed,
            folder / method / f"seed-{seed}",
            build_variant(config, method, seed).model_copy(update=follow),
        )
        for seed in range(config.fit_seed, config.fit_seed + seeds)
        for method in dict.fromkeys(methods)
    ]


def run_comparison(
    config: Config,
    methods: Sequence[str],
    seeds: int,
    folder: Path,
    listen: Callable[[dict[str, Any]], None] | None = None,
    *,
    overwrite: bool = False,
) -> list[Outcome]:
    """Do every run that is not fresh; one that fails does not stop the others.

    Args:
        config: the page.
        methods: names.
        seeds: R; the training seeds are `fit_seed`, `fit_seed` + 1, ...
        folder: of the comparison.
        listen: told of every event of every run.
        overwrite: whether runs of another page may be replaced; what they said together goes.

    Raises:
        OutputError: the folder holds runs of another page; nothing was trained or replaced.
        CohortError: the cohort is faulty.
        ConfigError: a method cannot use these labels; nothing was trained.
    """
    planned = plan_comparison(config, methods, seeds, folder)
    try_runs(config, planned, folder, overwrite=overwrite)
    return do_runs(planned, folder, listen, overwrite=overwrite)


def try_runs(
    config: Config, planned: Sequence[Outcome], folder: Path, *, overwrite: bool = False
) -> dict[str, Scheme]:
    """Derive the labels of every method once, so that a misfit is told before hours of training.

    Args:
        config: the page.
        planned: every run.
        folder: of the comparison.
        overwrite: whether runs of another page may be replaced; what they said together goes.

    Returns:
        The subclasses of each method, at the first seed.

    Raises:
        OutputError: the folder holds runs of another page.
        CohortError: the cohort is faulty.
        ConfigError: a method cannot use these labels.
    """
    try:
        _refuse_others(config, folder)
        stale = False
    except OutputError:
        if not overwrite:
            raise
        stale = True
    first, shared = planned[0].config, folder / "shared"
    # A drawn cohort is replaced whole: no other process may read it meanwhile.
    with hold(shared / ".steps" / "cohort.lock", lambda: None):
        located = locate_cohort(first.cohort, seed=first.seed, folder=shared / "cohort")
    cohort = load_cohort(located, check_pixels=False)
    splits = []
    schemes = {}
    for one in planned:
        if one.seed != planned[0].seed:
            continue
        labels = one.config.labels.model_copy(update={"resamples": 0})
        try:
            page = one.config.model_copy(update={"labels": labels})
            examples, described = derive_labels(cohort, page)
        except ConfigError as error:
            raise ConfigError(f"compare, {one.method}: {error}") from None
        schemes[one.method] = parse_scheme(described)
        splits.append(examples.split)
        if not np.array_equal(splits[0], examples.split):
            raise ConfigError(
                f"compare, {one.method}: splits the frames otherwise than {planned[0].method}"
            )
    for name in COMPARISON if stale else ():
        (folder / name).unlink(missing_ok=True)
    return schemes


def do_runs(
    planned: Sequence[Outcome],
    folder: Path,
    listen: Callable[[dict[str, Any]], None] | None = None,
    *,
    overwrite: bool = False,
) -> list[Outcome]:
    """Do these runs, one after another; what failed says why.

    Args:
        planned: some runs or all, tried by `try_runs`.
        folder: of the comparison.
        listen: told of every event of every run.
        overwrite: whether runs of another page may be replaced.
    """
    outcomes: list[Outcome] = []
    for one in planned:
        if listen is not None:
            done, total = len(outcomes), len(planned)
            listen({"step": "compare", "event": "progress", "done": done, "total": total})
        outcomes.append(_do_run(one, folder / "shared", listen, overwrite=overwrite))
    return outcomes


def is_done(planned: Outcome) -> bool:
    """Whether a run has been evaluated, from this page, and its numbers are unchanged.

    Args:
        planned: the run.
    """
    stamp = planned.folder / ".steps" / "evaluate.json"
    try:
        refuse_other(planned.config, planned.folder)
        recorded = read_json(stamp)
    except PolypskdError:
        return False
    return is_fresh(planned.folder, "evaluate", recorded["inputs"], recorded["outputs"])


def _refuse_others(config: Config, folder: Path) -> None:
    """Refuse a folder that holds runs of another page, be they planned now or not.

    Other training seeds are another comparison: its runs would stay, but what they said together
    would go.

    Raises:
        OutputError: it does.
    """
    seeds = _read_seeds(folder / "comparison.json")
    if seeds and seeds[0] != config.fit_seed:
        raise OutputError(
            f"{folder / 'comparison.json'}: compares runs from training seed {seeds[0]} on, this "
            f"config begins at {config.fit_seed}; give --out another folder, or --overwrite"
        )
    names = name_methods(config)
    for path in sorted(folder.glob("*/seed-*")):
        method, seed = path.parent.name, path.name.removeprefix("seed-")
        if method not in names or not seed.isdecimal():
            continue  # a variant that the page had once, or no run at all
        try:
            expected = build_variant(config, method, int(seed))
        except ConfigError:
            raise OutputError(
                f"{path}: holds the results of another config (this one has no {method}); "
                "give --out another folder, or --overwrite"
            ) from None
        refuse_other(expected, path)


def _read_seeds(path: Path) -> list[int]:
    """Read the training seeds that a comparison tells of; none where there is no such file."""
    try:
        found = read_json(path) if path.exists() else {}
    except PolypskdError:
        return []  # a damaged one is written anew
    seeds = found.get("seeds") if isinstance(found, dict) else None
    return seeds if isinstance(seeds, list) else []


def _do_run(
    planned: Outcome,
    shared: Path,
    listen: Callable[[dict[str, Any]], None] | None,
    *,
    overwrite: bool,
) -> Outcome:
    def tell(event: dict[str, Any]) -> None:
        if listen is not None:
            listen(event | {"method": planned.method, "seed": planned.seed})

    place = planned.folder
    try:
        with lock_run(place):
            name = f"{planned.method}/seed-{planned.seed}"
            heard = track_run(planned.config, place, tell, name=name)
            run = open_run(planned.config, place, overwrite=overwrite, shared=shared, listen=heard)
            with take_turn(run, "derive", name_labels(run.config)):
                derive(run)
            scheme = parse_scheme(read_json(place / LABELS[1]))
            with take_turn(run, "teacher", name_teacher(run.config, scheme)):
                teach(run)
            distill(run)
            evaluate(run)
    except PolypskdError as error:
        return replace(planned, error=" ".join(str(error).split()))
    except Exception as error:  # out of memory, a bug: told, and the other runs go on
        name = type(error).__name__
        with contextlib.suppress(OutputError):
            RunLog(place / "log.jsonl").fail(error)
        told = " ".join(f"{name}: {error}".split()).removesuffix(":")
        return replace(planned, error=f"internal error, {told}", ours=True)
    return planned
