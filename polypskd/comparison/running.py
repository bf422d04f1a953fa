"""Methods × seeds: every run of a comparison.

A run of a comparison is an ordinary run under ``<out>/<method>/seed-<seed>/``. The split, the views
and the cohort are those of the config's `seed`; a training seed changes initial weights and the
order of examples, and pairs the runs of all methods. Teachers, targets and pixels that several
runs need lie once, under ``<out>/shared/``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polypskd.artifacts import lock_run
from polypskd.cohort.load import load_cohort
from polypskd.cohort.location import locate_cohort
from polypskd.comparison.variants import build_variant
from polypskd.config import Config
from polypskd.errors import ConfigError, PolypskdError
from polypskd.labels.derivation import derive_labels
from polypskd.pipeline import derive, distill, evaluate, teach
from polypskd.runs import open_run


@dataclass(frozen=True)
class Outcome:
    """One run of a comparison.

    Args:
        method: its name.
        seed: training seed.
        folder: the run's folder.
        config: the run's page.
        error: why it failed, in one line; empty if it did not.
    """

    method: str
    seed: int
    folder: Path
    config: Config
    error: str = ""


def run_comparison(
    config: Config,
    methods: Sequence[str],
    seeds: int,
    folder: Path,
    listen: Callable[[dict[str, Any]], None] | None = None,
) -> list[Outcome]:
    """Do every run that is not fresh; one that fails does not stop the others.

    Args:
        config: the page.
        methods: names.
        seeds: R; the training seeds are `fit_seed`, `fit_seed` + 1, ...
        folder: of the comparison.
        listen: told of every event of every run.

    Raises:
        CohortError: the cohort is faulty.
        ConfigError: a method cannot use these labels; nothing was trained.
    """
    _try_labels(config, methods, folder / "shared" / "cohort")
    outcomes: list[Outcome] = []
    total = len(methods) * seeds
    for seed in range(config.fit_seed, config.fit_seed + seeds):
        for method in methods:
            page = build_variant(config, method, seed)
            place = folder / method / f"seed-{seed}"
            if listen is not None:
                done = len(outcomes)
                listen({"step": "compare", "event": "progress", "done": done, "total": total})
            outcomes.append(_do_run(page, method, seed, place, folder / "shared", listen))
    return outcomes


def _try_labels(config: Config, methods: Sequence[str], folder: Path) -> None:
    """Derive the labels of every method once, so that a misfit is told before hours of training."""
    located = locate_cohort(config.cohort, seed=config.seed, folder=folder)
    cohort = load_cohort(located, check_pixels=False)
    for method in methods:
        page = build_variant(config, method, config.fit_seed)
        labels = page.labels.model_copy(update={"resamples": 0})
        try:
            derive_labels(cohort, page.model_copy(update={"labels": labels}))
        except ConfigError as error:
            raise ConfigError(f"compare, {method}: {error}") from None


def _do_run(
    page: Config,
    method: str,
    seed: int,
    place: Path,
    shared: Path,
    listen: Callable[[dict[str, Any]], None] | None,
) -> Outcome:
    def tell(event: dict[str, Any]) -> None:
        if listen is not None:
            listen(event | {"method": method, "seed": seed})

    try:
        with lock_run(place):
            run = open_run(page, place, shared=shared, listen=tell)
            for step in (derive, teach, distill, evaluate):
                step(run)
    except PolypskdError as error:
        return Outcome(method, seed, place, page, " ".join(str(error).split()))
    return Outcome(method, seed, place, page)
