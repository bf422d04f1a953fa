"""The verbs `pacs echo`, `pacs find`, `pacs run`, `pacs send` and `watch`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polypskd.commands.options import JsonOption, QuietOption, let_stop, say
from polypskd.job import complain
from polypskd.reporting.cells import count
from polypskd.terminal import describe_event

if TYPE_CHECKING:
    from polypskd.deployment.auditing.run import RunRecord
    from polypskd.deployment.bundle import Bundle
    from polypskd.deployment.pacs.settings import Settings
    from polypskd.deployment.pacs.study_run import Summary

SettingsArgument = Annotated[
    Path, typer.Argument(metavar="SETTINGS", help="YAML file; docs/pacs.md shows one.")
]
BundleArgument = Annotated[Path, typer.Argument(help="Folder that `polypskd export` wrote.")]
OutOption = Annotated[
    Path, typer.Option("--out", help="Folder of the journal; new, or left by this command.")
]
AuditOption = Annotated[
    Path | None, typer.Option("--audit", help="Log of what was done; see `polypskd audit`.")
]
KeyFileOption = Annotated[
    Path | None, typer.Option("--audit-key-file", help="File with the key that seals that log.")
]
KeyEnvOption = Annotated[
    str | None, typer.Option("--audit-key-env", help="Environment variable with that key.")
]

pacs = typer.Typer(
    help="Answer the archive (PACS): studies in, results out. Research use only.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@pacs.command()
def echo(settings: SettingsArgument, as_json: JsonOption = False) -> None:
    """Ask whether the archive answers, and to us."""
    from polypskd.deployment.pacs.settings import read_settings
    from polypskd.deployment.pacs.study_run import open_archive

    archive = open_archive(read_settings(settings))
    try:
        told = archive.echo()
    finally:
        archive.close()
    say({"answers": True, "archive": told}, told, as_json)


@pacs.command()
def find(settings: SettingsArgument, as_json: JsonOption = False) -> None:
    """List the studies that match the query; nothing is fetched."""
    from polypskd.deployment.pacs.settings import read_settings
    from polypskd.deployment.pacs.study_run import open_archive

    page = read_settings(settings)
    archive = open_archive(page)
    try:
        studies = archive.find(page.query.build_query())
    finally:
        archive.close()
    told = [
        {"study_uid": one.study_uid, "modalities": list(one.modalities), "instances": one.count}
        for one in studies
    ]
    rows = [f"{one.study_uid:<58} {one.count:>9} {' '.join(one.modalities)}" for one in studies]
    head = [f"{'study UID':<58} {'instances':>9} modalities"] if rows else []
    say(
        {"studies": told},
        "\n".join([*head, *rows, f"{count(len(rows), 'study matches', 'studies match')}."]),
        as_json,
    )


@pacs.command()
def run(
    settings: SettingsArgument,
    bundle: BundleArgument,
    out: OutOption,
    audit: AuditOption = None,
    audit_key_file: KeyFileOption = None,
    audit_key_env: KeyEnvOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Judge all studies that match now, and store the results, each once."""
    from polypskd.commands.predict import count_cores
    from polypskd.deployment.bundle import open_bundle
    from polypskd.deployment.pacs.settings import read_settings
    from polypskd.deployment.pacs.stopping import Stop
    from polypskd.deployment.pacs.study_run import answer_studies, open_worker
    from polypskd.terminal import show_progress

    page, opened, stop = read_settings(settings), open_bundle(bundle), Stop()
    with (
        let_stop(),
        stop.listen(),
        open_worker(page, opened, out, stop, count_cores()) as worker,
        keep_pacs_record(audit, audit_key_file, audit_key_env, opened, page) as record,
        show_progress(quiet) as listen,
    ):
        summary = answer_studies(worker, listen, record)
        if record is not None:
            record.exit_code = 1 if summary.has_faults else 0
    say(*describe_summary(summary, opened, out), as_json)
    if summary.has_faults:
        raise typer.Exit(1)


@pacs.command()
def send(
    settings: SettingsArgument,
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="DICOM files, and folders of them.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Store DICOM files in the archive; what it holds already is not sent again."""
    from polypskd.deployment.pacs.sending import send_all
    from polypskd.deployment.pacs.settings import read_settings
    from polypskd.deployment.pacs.study_run import open_archive

    page = read_settings(settings)
    archive = open_archive(page)
    with let_stop():
        try:
            archive.echo()
            done = send_all(archive, files, page.transfer)
        finally:
            archive.close()
    told = {"sent": done.sent, "held_before": done.held, "faults": list(done.faults)}
    told["other_files"] = done.other
    lines = [f"Sent {count(done.sent, 'file')}; {done.held:,} were there before."]
    if done.other:
        lines.append(f"{count(done.other, 'other file')} left that hold no DICOM.")
    say(told, "\n".join([*lines, *done.faults]), as_json)
    if done.faults:
        raise typer.Exit(1)


def watch(
    settings: SettingsArgument,
    bundle: BundleArgument,
    out: OutOption,
    audit: AuditOption = None,
    audit_key_file: KeyFileOption = None,
    audit_key_env: KeyEnvOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Answer studies of the archive as they come, until stopped. Research use only."""
    from polypskd.commands.predict import count_cores
    from polypskd.deployment.bundle import open_bundle
    from polypskd.deployment.pacs.arrivals import open_arrivals
    from polypskd.deployment.pacs.settings import read_settings
    from polypskd.deployment.pacs.stopping import Stop
    from polypskd.deployment.pacs.study_run import open_worker
    from polypskd.deployment.pacs.watch import Watch

    def tell(line: str) -> None:
        if not quiet:
            complain(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line}\n")

    page, opened, stop = read_settings(settings), open_bundle(bundle), Stop()
    with (
        let_stop(),
        stop.listen(),
        open_worker(page, opened, out, stop, count_cores()) as worker,
        keep_pacs_record(audit, audit_key_file, audit_key_env, opened, page) as record,
        open_arrivals(worker, page, out) as arrivals,
    ):
        worker.record = record
        worker.listen = lambda event: tell(describe_event(event) or "")
        watching = Watch(arrivals, page.watch, stop, tell)
        tell(f"watching; {arrivals.describe()}")
        try:
            watching.run()
        except KeyboardInterrupt:
            say(*describe_summary(watching.summary, opened, out), as_json)
            if stop.number != signal.SIGTERM:
                raise
        tell("stopped; the same command goes on from here")


@contextmanager
def keep_pacs_record(
    audit: Path | None,
    key_file: Path | None,
    key_env: str | None,
    bundle: Bundle,
    settings: Settings,
) -> Iterator[RunRecord | None]:
    """Log the start and end in the audit log, where one is given; None where not."""
    from polypskd.commands.audit import keep_record
    from polypskd.deployment.prediction.run import Wish, describe_run

    about = describe_run(bundle, Wish(stride=settings.stride))
    with keep_record(audit, key_file, key_env, about) as record:
        yield record


def describe_summary(summary: Summary, bundle: Bundle, out: Path) -> tuple[dict[str, Any], str]:
    """Describe what came of it, for machines and for people."""
    states = summary.states
    result = {
        "out": str(out),
        "bundle": bundle.manifest.name,
        "model_sha256": bundle.model_hash,
        "studies": states.total(),
        "known_before": summary.known,
        "states": dict(sorted(states.items())),
        "frames": summary.frames,
        "unread": summary.unread,
        "incomplete": summary.incomplete,
        "results_sent": summary.stored,
        "first_failures": [{"study": name, "why": why} for name, why in summary.failures],
        "research_use_only": True,
    }
    lines = [
        f"Studies {states.total():>8,}  ({summary.known:,} of them done before)",
        f"  {states['sent']:>11,}  answered; {summary.stored:,} results sent now",
    ]
    words = {"empty": "hold no frames", "gone": "no longer there", "failed": "failed"}
    lines += [f"  {states[state]:>11,}  {word}" for state, word in words.items() if states[state]]
    if summary.unread:
        lines.append(f"{count(summary.unread, 'file or frame', 'files or frames')} cannot be read.")
    if summary.incomplete:
        studies = count(summary.incomplete, "study", "studies")
        lines.append(f"Of {studies} a result, or a part of it, was left out.")
    lines += [f"  study {name}: {why}" for name, why in summary.failures]
    if states["failed"]:
        lines.append(f"The same command tries the failed ones again. Journal: {out}/journal.jsonl")
    lines.append("Research use only: not for diagnosis.")
    return result, "\n".join(lines)
