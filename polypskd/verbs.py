"""What a verb does: one step of the story, all of them, or a look at the cohort."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from polypskd.account import report, study
from polypskd.cohort.location import locate_cohort
from polypskd.config import Config
from polypskd.errors import CohortError, Fault, OutputError, PolypskdError
from polypskd.pipeline import derive, distill, evaluate, teach
from polypskd.ranks import is_first, world_size
from polypskd.runs import Run

if TYPE_CHECKING:
    from polypskd.cohort.table import Cohort

Made = TypeVar("Made")

STEPS: tuple[Callable[[Run], bool], ...] = (derive, teach, distill, evaluate, study, report)
ALONE = (derive, study, report)  # steps that the first process of a job does while the others wait


def do_step(step: Callable[[Run], bool], run: Run) -> bool:
    """Do a step if it is not fresh, in every process or in the first; tell whether it was done."""
    if step in ALONE:
        return by_first(lambda: step(run), otherwise=lambda: False)
    return step(run)


def run_all(run: Run) -> None:
    """Do every step that is not fresh."""
    for step in STEPS:
        if not do_step(step, run):
            run.log.tell(step.__name__, "fresh")


def by_first(make: Callable[[], Made], otherwise: Callable[[], Made]) -> Made:
    """Let the first process of a job do something while the others wait for it."""
    made = make() if is_first() else otherwise()
    if world_size() > 1:
        from polypskd.models.processes import wait

        wait()
    return made


def write_report(run: Run) -> bool:
    """Judge what a study asks for, unless that is fresh, and report it; return whether it was."""
    do_step(study, run)
    return do_step(report, run)


VERBS: dict[str, Callable[[Run], object]] = {
    **{step.__name__: partial(do_step, step) for step in STEPS},
    "report": write_report,
    "run": run_all,
}


def check(config: Config, folder: Path) -> Cohort:
    """Read and check everything the config names, every pixel included.

    Args:
        config: the experiment.
        folder: where a synthetic cohort is drawn.

    Raises:
        CohortError: with every fault found.
        ConfigError: the labels' section does not fit the cohort, or the study asks for columns or
            annotators that it lacks.
    """
    from polypskd.cohort.load import load_cohort
    from polypskd.labels.derivation import derive_labels
    from polypskd.study.columns import check_columns
    from polypskd.study.endpoints import check_endpoints

    check_endpoints(config.study, config.cohort.classes)
    cohort = load_cohort(locate_cohort(config.cohort, seed=config.seed, folder=folder))
    # Split, subclasses and stages may fail on sound files: a check that said nothing would lie.
    labels = config.labels.model_copy(update={"resamples": 0})
    derive_labels(cohort, config.model_copy(update={"labels": labels}))
    check_columns(config.study, cohort.columns, cohort.annotators, cohort.patient_ids)
    return cohort


def write_sheet(
    config: Config, folder: Path, html: Path, tell: Callable[[str], None] = lambda line: None
) -> Cohort:
    """Check a cohort and write its contact sheet, also where there are faults to tell on it.

    Args:
        config: the experiment.
        folder: where a synthetic cohort is drawn.
        html: the page.
        tell: takes the line that says that the page was written though the check stopped.

    Raises:
        PolypskdError: as `check`, after the page was written.
        OutputError: a folder stands in the page's place, or it cannot be written.
    """
    from polypskd.artifacts import write_text
    from polypskd.cohort.load import load_cohort
    from polypskd.cohort.location import locate_frames
    from polypskd.reporting import contact_sheet

    if html.is_dir():
        raise OutputError(f"{html}: is a folder; give --html a file")
    failed: PolypskdError | None = None
    cohort: Cohort | None = None
    try:
        cohort = check(config, folder)
    except PolypskdError as error:
        failed = error
        rest = config.cohort.model_copy(update={"drop_faulty": True})
        with contextlib.suppress(PolypskdError):
            cohort = load_cohort(locate_cohort(rest, seed=config.seed, folder=folder))
    page = contact_sheet.write_sheet(
        config.name,
        cohort,
        locate_frames(config.cohort, folder),
        crop=config.cohort.crop,
        faults=_list_faults(failed),
        seed=config.seed,
    )
    write_text(html, page)
    if failed is not None:
        tell(f"Wrote {html}, with the faults on top\n")
        raise failed
    assert cohort is not None  # noqa: S101  (for the type checker)
    return cohort


def _list_faults(error: PolypskdError | None) -> tuple[Fault, ...]:
    """List what stopped a check; what is wrong with the config is of no file or frame."""
    if isinstance(error, CohortError):
        return error.faults
    return tuple(Fault("config", line) for line in error.lines) if error else ()
