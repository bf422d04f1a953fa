"""The verb `predict`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from polypskd.commands.options import JsonOption, QuietOption, let_stop, say
from polypskd.reporting.cells import count

if TYPE_CHECKING:
    from polypskd.deployment.bundle import Bundle
    from polypskd.deployment.dicom_objects.study_results import StudiesOutcome
    from polypskd.deployment.prediction.run import Outcome

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
    precision: Annotated[
        Literal["float32", "int8", "bfloat16"],
        typer.Option("--precision", help="Form of the network, if the bundle holds it."),
    ] = "float32",
    dicom: Annotated[
        bool, typer.Option("--dicom", help="Write a structured report of each DICOM study.")
    ] = False,
    presentation_state: Annotated[
        bool,
        typer.Option("--presentation-state", help="And show the region that mattered (DICOM)."),
    ] = False,
    secondary_capture: Annotated[
        bool,
        typer.Option("--secondary-capture", help="And draw it into copies of frames (DICOM)."),
    ] = False,
    report: Annotated[
        Path | None, typer.Option("--report", help="And put this PDF into each DICOM study.")
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Drop what --out holds of frames that are not given."),
    ] = False,
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
    from polypskd.deployment.dicom_objects.result_objects import ResultWish
    from polypskd.deployment.dicom_objects.study_results import keep_moment, write_all_results
    from polypskd.deployment.forms import choose_form
    from polypskd.deployment.prediction.inputs import list_sources
    from polypskd.deployment.prediction.run import Wish, describe_run, predict_sources
    from polypskd.errors import OutputError
    from polypskd.terminal import show_progress

    for given in inputs:
        if given.is_dir() and out.resolve().is_relative_to(given.resolve()):
            raise OutputError(f"{out}: lies within {given}; give --out a folder beside it")
    wants_dicom = dicom or presentation_state or secondary_capture or report is not None
    opened = choose_form(open_bundle(bundle), precision)
    if wants_dicom:
        check_results(opened, presentation_state or secondary_capture, report)
    wish = Wish(
        count_cores() if threads is None else threads, batch, stride, overwrite, wants_dicom
    )
    about = describe_run(opened, wish)
    with (
        let_stop(),
        keep_record(audit, audit_key_file, audit_key_env, about) as record,
        show_progress(quiet) as listen,
    ):
        sources = list_sources(inputs)
        outcome = predict_sources(opened, sources, out, wish, listen, record)
        studies = None
        if wants_dicom:
            results = ResultWish(keep_moment(out), presentation_state, secondary_capture, report)
            studies = write_all_results(opened, sources, out, results, listen, overwrite=overwrite)
        failed = bool(outcome.faults or (studies is not None and studies.faults))
        if record is not None:
            record.exit_code = int(failed)
    result, text = describe_outcome(outcome, opened, out)
    if studies is not None:
        more, line = describe_studies(studies, out)
        result, text = result | more, f"{text}\n{line}"
    say(result, text, as_json)
    if failed:
        raise typer.Exit(1)


def check_results(bundle: Bundle, with_regions: bool, report: Path | None) -> None:
    """Check that DICOM results can be made, before hours are spent on what they tell of."""
    from polypskd.deployment.dicom_objects.dicom_results import check_library
    from polypskd.deployment.dicom_objects.encapsulated_pdf import read_pdf
    from polypskd.deployment.dicom_objects.region_results import check_evidence
    from polypskd.deployment.dicom_objects.study_results import tell_moment

    check_library()
    tell_moment()
    if with_regions:
        check_evidence(bundle)
    if report is not None:
        read_pdf(report)


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
        "dropped": outcome.dropped,
        "predicted": outcome.predicted,
        "abstained": outcome.abstained,
        "faults": outcome.faults,
        "first_faults": shown,
        "other_files": outcome.other,
        "research_use_only": True,
    }
    lines = [f"Frames judged {outcome.frames:>9,}  ({outcome.known:,} of them before)"]
    lines += [f"  {number:>11,}  {name}" for name, number in outcome.predicted.items()]
    lines += [f"  {number:>11,}  {reason}" for reason, number in outcome.abstained.items()]
    if outcome.dropped:
        lines.append(f"Dropped from {out}: the answers of {count(outcome.dropped, 'other frame')}")
    lines.append(f"Results: {out / 'predictions.csv'}. Research use only: not for diagnosis.")
    if outcome.faults:
        lines.append(f"{count(outcome.faults, 'fault')} of files or frames ({out / 'faults.csv'}):")
        lines += [f"  {line}" for line in shown[:SHOWN]]
        if outcome.faults > SHOWN:
            lines.append(f"  ... and {outcome.faults - SHOWN:,} more")
    return result, "\n".join(lines)


def describe_studies(studies: StudiesOutcome, out: Path) -> tuple[dict[str, Any], str]:
    """Describe the DICOM results, for machines and for people."""
    shown = [str(fault) for fault in studies.faults[:SHOWN]]
    result = {
        "dicom_studies": studies.studies,
        "dicom_files": studies.files,
        "dropped_studies": studies.dropped,
        "without_study": studies.without_study,
        "dicom_faults": len(studies.faults),
        "first_dicom_faults": shown,
    }
    of = count(studies.studies, "study", "studies")
    lines = [f"DICOM results: {count(studies.files, 'file')} for {of} ({out / 'dicom'})"]
    if studies.dropped:
        dropped = count(studies.dropped, "other study", "other studies")
        lines.append(f"Dropped from {out / 'dicom'}: the results of {dropped}")
    if studies.without_study:
        lines.append(f"  no DICOM, and so of no study: {count(studies.without_study, 'file')}")
    if studies.faults:
        where = out / "dicom_faults.csv"
        lines.append(f"{count(len(studies.faults), 'fault')} of DICOM results ({where}):")
        lines += [f"  {line}" for line in shown]
        if len(studies.faults) > SHOWN:
            lines.append(f"  ... and {len(studies.faults) - SHOWN:,} more")
    return result, "\n".join(lines)
