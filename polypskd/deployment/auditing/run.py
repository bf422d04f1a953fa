"""What a run of predictions tells the audit log: its start, every input, its end."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from polypskd.deployment.audit import AuditLog, own_version
from polypskd.errors import PolypskdError

STOPPED = 130
OURS = 3
AT_ONCE = 500


@dataclass(frozen=True)
class Input:
    """One file that was answered, refused or skipped.

    Args:
        sha256: of its bytes, hexadecimal; empty if it could not be read.
        outcome: one of `audit_fields.OUTCOMES`.
        sop_uid: of a DICOM file; it is logged as a keyed hash, and not at all without a key.
        frames: how many frames of it were looked at.
    """

    sha256: str
    outcome: str
    sop_uid: str = ""
    frames: int = 1


def list_inputs(entries: Iterable[Mapping[str, Any]]) -> Iterator[Input]:
    """List the files that the journal of a prediction tells of, one input a file.

    Args:
        entries: in the journal's order; a video may have several, one after the other.

    >>> entry = {"source": "a.png", "sha256": "", "frames": [], "faults": [["a.png", "cut"]]}
    >>> [one.outcome for one in list_inputs([entry])]
    ['failed']
    """
    for _, parts in groupby(entries, key=lambda entry: entry["source"]):
        frames, uid, sha256, said = 0, "", "", 0
        for entry in parts:
            for _, found, *_, withheld in entry["frames"]:
                frames += 1
                uid = uid or found
                said += not withheld
            sha256 = entry["sha256"]
        outcome = "failed" if not frames else "done" if said else "abstained"
        yield Input(sha256, outcome, uid, frames)


class RunRecord:
    """A run in the audit log.

    Args:
        log: where it is told.
        run: what ties its entries together, as other runs may write between them.

    Attributes:
        exit_code: that the run will end with, if nothing is raised.
    """

    def __init__(self, log: AuditLog, run: str) -> None:
        self._log = log
        self.run = run
        self.inputs = 0
        self.faults = 0
        self.exit_code = 0

    def note(self, inputs: Iterable[Input]) -> None:
        """Log inputs, before anything that was made of them is written.

        Some hundreds at once cost as much as one.

        Raises:
            OutputError: the log cannot be written; the run has to stop.
        """
        turn = iter(inputs)
        while events := [self._describe(one) for one in islice(turn, AT_ONCE)]:
            self._log.extend(events)
            self.inputs += len(events)
            self.faults += sum(event["outcome"] in {"refused", "failed"} for event in events)

    def _describe(self, one: Input) -> dict[str, Any]:
        uid = self._log.seal_name("sop uid", one.sop_uid) if one.sop_uid else None
        return {
            "event": "input",
            "run": self.run,
            "input_sha256": one.sha256 or None,
            "outcome": one.outcome,
            "sop_uid_sealed": uid,
            "frames": one.frames,
        }


@contextlib.contextmanager
def record_run(log: AuditLog, about: Mapping[str, str]) -> Iterator[RunRecord]:
    """Log a run's start and end, however it ends short of a kill.

    Args:
        log: where it is told.
        about: any of bundle_name, bundle_version, model_sha256, config_sha256.

    Raises:
        OutputError: the log cannot be written; nothing may be done unlogged.
    """
    run = secrets.token_hex(8)
    log.append(
        {
            **about,
            "event": "start",
            "run": run,
            "tool_version": own_version(),
            "user_id": os.getuid(),
            "host_sealed": log.seal_name("host", platform.node()),
        }
    )
    record = RunRecord(log, run)
    try:
        yield record
    except BaseException as error:
        _end(record, log, _find_code(error))
        raise
    _end(record, log, record.exit_code)


def _find_code(error: BaseException) -> int:
    """Give the code that the command will exit with."""
    match error:
        case KeyboardInterrupt():
            return STOPPED
        case PolypskdError():
            return 1
    code = getattr(error, "exit_code", getattr(error, "code", OURS))
    return code if type(code) is int and 0 <= code <= 255 else OURS


def _end(record: RunRecord, log: AuditLog, code: int) -> None:
    outcome = {0: "done", STOPPED: "stopped"}.get(code, "failed")
    log.append(
        {
            "event": "end",
            "run": record.run,
            "inputs": record.inputs,
            "faults": record.faults,
            "outcome": outcome,
            "exit_code": code,
        }
    )
