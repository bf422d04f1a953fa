"""The verb `samplesize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polypskd.commands.options import JsonOption, say


def samplesize(
    expected: Annotated[float, typer.Option(help="Proportion (or AUROC) that you expect.")],
    half_width: Annotated[float | None, typer.Option(help="Half the interval you want.")] = None,
    goal: Annotated[float | None, typer.Option(help="What it must be shown to exceed.")] = None,
    frames: Annotated[
        int | None, typer.Option(help="With --goal: power of so many frames.")
    ] = None,
    auroc: Annotated[bool, typer.Option("--auroc", help="EXPECTED is an AUROC.")] = False,
    power: Annotated[float, typer.Option(help="Chance of success wanted.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="One-sided error.")] = 0.025,
    confidence: Annotated[float, typer.Option(help="Of the interval.")] = 0.95,
    share: Annotated[
        float, typer.Option(help="Share of all frames that count; for AUROC, of the class.")
    ] = 1.0,
    patient_frames: Annotated[
        float | None, typer.Option(help="Frames that count, a patient; 1 if not given.")
    ] = None,
    icc: Annotated[
        float | None, typer.Option(help="Correlation within a patient; 0 if not given.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Measure both on the test split of a run.")
    ] = None,
    of: Annotated[str, typer.Option(help="On what: agreement, class or correct.")] = "correct",
    name: Annotated[str | None, typer.Option("--class", help="Class for --of.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how many frames and patients a validation needs."""
    from polypskd.errors import ConfigError
    from polypskd.planning import Patients, Question, describe_plan, plan_study, read_clustering

    patients = Patients(
        1.0 if patient_frames is None else patient_frames, 0.0 if icc is None else icc
    )
    if run is not None:
        if patient_frames is not None or icc is not None:
            raise ConfigError(
                "--run measures what --patient-frames and --icc would say; give either"
            )
        if of not in {"agreement", "class", "correct"}:
            raise ConfigError(f"--of {of}: not known; use agreement, class or correct")
        patients = read_clustering(run, of, name)  # type: ignore[arg-type]
    question = Question(
        expected=expected,
        half=half_width,
        goal=goal,
        frames=frames,
        area=auroc,
        power=power,
        alpha=alpha,
        confidence=confidence,
        share=share,
    )
    found = plan_study(question, patients)
    say(found, describe_plan(found), as_json)
