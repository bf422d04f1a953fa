"""The verbs `audit verify` and `audit show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polypskd.commands.options import JsonOption, say
from polypskd.reporting.cells import count

if TYPE_CHECKING:
    from polypskd.deployment.auditing.run import RunRecord
    from polypskd.deployment.auditing.verify import Examination

COLUMNS = {"seq": 15, "time": 19, "event": 6, "run": 8, "outcome": 9, "exit_code": 4}  # letters
SUBJECT = "input or bundle"  # of an entry
WIDTH = 80  # of the table

LogArgument = Annotated[Path, typer.Argument(metavar="LOG", help="The audit log.")]
KeyFileOption = Annotated[
    Path | None, typer.Option("--key-file", help="File with the key that the log is sealed with.")
]
KeyEnvOption = Annotated[
    str | None, typer.Option("--key-env", help="Environment variable with that key.")
]

audit = typer.Typer(
    help="Check and show an audit log.", no_args_is_help=True, rich_markup_mode=None
)


@audit.command()
def verify(
    log: LogArgument,
    head: Annotated[
        str | None, typer.Option("--head", help="SHA-256 that was noted at an earlier time.")
    ] = None,
    key_file: KeyFileOption = None,
    key_env: KeyEnvOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find what was changed, removed, moved, doubled or cut in an audit log."""
    from polypskd.deployment.auditing.verify import examine

    found = examine(log, head, read_audit_key(key_file, key_env))
    say(*describe(found, log), as_json)
    if found.findings:
        raise typer.Exit(1)


@audit.command()
def show(
    log: LogArgument,
    last: Annotated[int, typer.Option("--last", min=1, help="How many entries.")] = 50,
    key_file: KeyFileOption = None,
    key_env: KeyEnvOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the last entries of an audit log as a table."""
    from polypskd.deployment.auditing.verify import examine

    found = examine(log, None, read_audit_key(key_file, key_env), keep=last)
    lines = draw_table(found.last)
    lines.append("Times are UTC; runs and hashes are cut, and --json shows them whole.")
    if found.findings:
        lines.append(f"{count(len(found.findings), 'finding')}: polypskd audit verify {log}")
    say({"entries": list(found.last), "findings": len(found.findings)}, "\n".join(lines), as_json)


def read_audit_key(file: Path | None, variable: str | None) -> bytes | None:
    """Read the key of an audit log from a file or the environment; None if neither is given.

    Raises:
        ConfigError: both are given, or the key cannot be used.
    """
    from polypskd.cohort.pseudonyms import read_key
    from polypskd.errors import ConfigError

    if file is not None and variable is not None:
        raise ConfigError("give the key by --key-file or by --key-env, not by both")
    if file is None and variable is None:
        return None
    return read_key(file if file is not None else f"env:{variable}")


@contextmanager
def keep_record(
    log: Path | None, key_file: Path | None, key_env: str | None, about: Mapping[str, str]
) -> Iterator[RunRecord | None]:
    """Log a run's start and end, where a log is given; None where not.

    Args:
        log: the audit log.
        key_file: file with its key.
        key_env: environment variable with its key.
        about: as `record_run` takes it.

    Raises:
        ConfigError: a key is given without a log, or cannot be used.
        OutputError: the log cannot be written.
    """
    from polypskd.deployment.audit import AuditLog
    from polypskd.deployment.auditing.run import record_run
    from polypskd.errors import ConfigError

    key = read_audit_key(key_file, key_env)
    if log is None:
        if key is not None:
            raise ConfigError("a key of the audit log is given without --audit LOG")
        yield None
        return
    with record_run(AuditLog(log, key), about) as record:
        yield record


def draw_table(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Draw entries as lines that a narrow terminal holds.

    Args:
        entries: of an audit log.
    """
    head = [name.removesuffix("_code") for name in (*COLUMNS, SUBJECT)]
    rows = []
    for entry in entries:
        subject = show_field(entry, "input_sha256") or show_field(entry, "bundle_name")
        cells = [show_field(entry, name)[:most] for name, most in COLUMNS.items()]
        rows.append([*cells, subject])
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in [head, *rows]]
    return [line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in lines]


def show_field(entry: Mapping[str, Any], name: str) -> str:
    """Give a field as the table shows it; what the allow-list does not know is not shown."""
    from polypskd.deployment.auditing.fields import is_allowed

    if entry.get(name) is None:
        return ""
    if name not in {"seq", "time"} and not is_allowed(name, entry[name]):
        return "?"
    text = str(entry[name])
    return text if text.isprintable() else "?"


def describe(found: Examination, log: Path) -> tuple[dict[str, Any], str]:
    """Describe what came of it, for machines and for people."""
    told = {
        "log": str(log),
        "agrees": not found.findings,
        "entries": found.entries,
        "files": found.files,
        "head": found.head,
        "findings": list(found.findings),
        "notes": list(found.notes),
    }
    faults = count(len(found.findings), "finding") if found.findings else "all agree"
    entries = count(found.entries, "entry", "entries")
    lines = [f"{log}: {entries} in {count(found.files, 'file')}, {faults}"]
    lines += [*found.findings, *(f"note: {note}" for note in found.notes)]
    if found.head:
        lines.append(f"head: {found.head}")
    return told, "\n".join(lines)
