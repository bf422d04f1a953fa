"""The verbs that work in a run folder: each step, all of them, the demo, the report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from polypskd.commands.options import (
    ConfigArgument,
    JsonOption,
    OutOption,
    OverwriteOption,
    PdfOption,
    QuietOption,
    SetOption,
    let_stop,
    read_page,
    say,
)
from polypskd.errors import OutputError, PolypskdError
from polypskd.job import join_job
from polypskd.ranks import is_first

if TYPE_CHECKING:
    from polypskd.config import Config
    from polypskd.runs import Run

Made = TypeVar("Made")

STEPS = {
    "derive": "Derive agreement, subclasses and stages: writes examples.csv.",
    "teach": "Train the teacher and cache its answers.",
    "distill": "Train the student.",
    "evaluate": "Judge teacher and student on the test split.",
}


def demo(
    out: OutOption = None,
    settings: SetOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    overwrite: OverwriteOption = False,
    pdf: PdfOption = None,
) -> None:
    """Train and report on a drawn cohort; needs no data."""
    from importlib import resources

    import yaml

    from polypskd.config import parse_config

    text = resources.files("polypskd").joinpath("demo.yaml").read_text(encoding="utf-8")
    config = parse_config(yaml.safe_load(text), tuple(settings or ()), where="demo")
    _work("run", config, out, Wishes(quiet, as_json, overwrite, pdf))


def run(
    config: ConfigArgument,
    settings: SetOption = None,
    out: OutOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    overwrite: OverwriteOption = False,
    pdf: PdfOption = None,
) -> None:
    """Do everything; skip what is fresh, resume what was killed."""
    _work("run", read_page(config, settings), out, Wishes(quiet, as_json, overwrite, pdf))


def build_step(name: str) -> Callable[..., None]:
    """Build the verb that does one step of a config's run."""

    def step(
        config: ConfigArgument,
        settings: SetOption = None,
        out: OutOption = None,
        quiet: QuietOption = False,
        as_json: JsonOption = False,
        overwrite: OverwriteOption = False,
    ) -> None:
        _work(name, read_page(config, settings), out, Wishes(quiet, as_json, overwrite))

    return step


def report(
    run: Annotated[Path, typer.Argument(help="A run folder, e.g. runs/demo.")],
    answers: Annotated[
        Path | None,
        typer.Option(
            "--answers",
            metavar="FILE",
            help="What only the authors know; report.yaml of the run folder if not given.",
        ),
    ] = None,
    pdf: PdfOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the report of a run: page, PDF, tables, figures, texts for a paper."""
    from polypskd.artifacts import lock_run
    from polypskd.runs import reopen_run
    from polypskd.summary import describe_report
    from polypskd.terminal import show_progress
    from polypskd.verbs import write_report

    with show_progress(quiet) as listen:
        opened = replace(reopen_run(run, listen), pdf=pdf, answers=answers)
        with lock_run(run):
            page = run / "report.pdf"
            there = page.exists()
            done = _guarded(opened, write_report)
            removed = there and not page.exists()
    say(*describe_report(opened, done=done, removed=removed), as_json)


@dataclass(frozen=True)
class Wishes:
    """What was asked for beside the config.

    Args:
        quiet: no progress.
        as_json: one JSON object instead of text.
        overwrite: replace the results of another config.
        pdf: make report.pdf; None makes it where it can be made.
    """

    quiet: bool
    as_json: bool
    overwrite: bool
    pdf: bool | None = None


def _work(name: str, config: Config, out: Path | None, wishes: Wishes) -> None:
    """Open the run, lock it, do a step or all, and say what came of it."""
    from polypskd import verbs
    from polypskd.artifacts import lock_run
    from polypskd.runs import follow_run, open_run
    from polypskd.summary import describe_step
    from polypskd.terminal import show_progress
    from polypskd.tracking.listener import track_run

    folder = out or Path("runs") / config.name
    with join_job(), lock_run(folder), show_progress(wishes.quiet or not is_first()) as listen:
        tracked = track_run(config, folder, listen) if is_first() else listen
        opened = verbs.by_first(
            lambda: open_run(config, folder, overwrite=wishes.overwrite, listen=tracked),
            otherwise=lambda: follow_run(config, folder),
        )
        opened = replace(opened, pdf=wishes.pdf)
        _guarded(opened, verbs.VERBS[name])
    say(*describe_step(name, opened), wishes.as_json)


def _guarded(run: Run, steps: Callable[[Run], Made]) -> Made:
    try:
        with let_stop():
            return steps(run)
    except (PolypskdError, typer.Exit):
        raise
    except Exception as error:
        with suppress(OutputError):  # a full disk: the fault itself is told
            run.log.fail(error)
        raise
