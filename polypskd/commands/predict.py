"""The verb `predict`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polypskd.commands.options import JsonOption, QuietOption, let_stop, say

if TYPE_CHECKING:
    from polypskd.deployment.bundle import Bundle
    from polypskd.deployment.prediction_run import Outcome

SHOWN = 20


def predict(
    bundle: Annotated[Path, typer.Argument(help="Folder that `polypskd export` wrote.")],
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="Images, DICOM files, videos, and folders."),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the results; new, or left by this command.")
    ],
    stride: Annotated[int, typer.Option(min=1, help="Take every n-th frame of videos.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, max=256, help="One a core, if not given.")
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=4096, help="Image files that a thread takes at a time.")
    ] = 8,
    audit: Annotated[
        Path | None, typer.Option("--audit", help="Log of what was done; see `polypskd audit`.")
    ] = None,
    audit_key_file: Annotated[
        Path | None, typer.Option("--audit-key-file", help="File with the key that seals that log.")
    ] = None,
    audit_key_env: Annotated[
        str | None, typer.Option("--audit-key-env", help="Environment variable with that key.")
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what a bundle sees in frames. Research use only: not for diagnosis."""
    from polypskd.commands.audit import keep_record
    from polypskd.deployment.bundle import open_bundle
    from polypskd.deployment.inputs import list_sources
    from polypskd.deployment.prediction_run import Wish, describe_run, predict_sources
    from polypskd.errors import OutputError
    from polypskd.terminal import show_progress

    for given in inputs:
        if given.is_dir() and out.resolve().is_relative_to(given.resolve()):
            raise OutputError(f"{out}: lies within {given}; give --out a folder beside it")
    opened = open_bundle(bundle)
    wish = Wish(count_cores() if threads is None else threads, batch, stride)
    about = describe_run(opened, wish)
    with (
        let_stop(),
        keep_record(audit, audit_key_file, audit_key_env, about) as record,
        show_progress(quiet) as listen,
    ):
        outcome = predict_sources(opened, list_sources(inputs), out, wish, listen, record)
        if record is not None:
            record.exit_code = 1 if outcome.faults else 0
    say(*describe_outcome(outcome, opened, out), as_json)
    if outcome.faults:
        raise typer.Exit(1)


def count_cores() -> int:
    """Count the cores that this process may use, which in a container are fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def describe_outcome(outcome: Outcome, bundle: Bundle, out: Path) -> tuple[dict[str, Any], str]:
    """Describe what came of it, for machines and for people."""
    shown = [str(fault) for fault in outcome.shown]
    result = {
        "out": str(out),
        "bundle": bundle.manifest.name,
        "model_sha256": bundle.model_hash,
        "frames": outcome.frames,
        "known_before": outcome.known,
        "predicted": outcome.predicted,
        "abstained": outcome.abstained,
        "faults": outcome.faults,
        "first_faults": shown,
        "other_files": outcome.other,
        "research_use_only": True,
    }
    lines = [f"Frames judged {outcome.frames:>9,}  ({outcome.known:,} of them before)"]
    lines += [f"  {count:>11,}  {name}" for name, count in outcome.predicted.items()]
    lines += [f"  {count:>11,}  {reason}" for reason, count in outcome.abstained.items()]
    lines.append(f"Results: {out / 'predictions.csv'}. Research use only: not for diagnosis.")
    if outcome.faults:
        lines.append(f"{outcome.faults:,} files or frames cannot be read ({out / 'faults.csv'}):")
        lines += [f"  {line}" for line in shown[:SHOWN]]
        if outcome.faults > SHOWN:
            lines.append(f"  ... and {outcome.faults - SHOWN:,} more")
    return result, "\n".join(lines)
