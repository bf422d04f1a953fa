"""The files of a prediction: predictions.csv, predictions.json, faults.csv.

They are written line by line from the journal, so that a hundred thousand frames take no more
memory than one.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from polypskd.artifacts import write_atomic
from polypskd.cohort.address import join_address
from polypskd.deployment.prediction.journal import Entry
from polypskd.deployment.results import DIGITS, Answer
from polypskd.errors import Fault
from polypskd.spreadsheets import escape_cell

if TYPE_CHECKING:
    from polypskd.deployment.bundle import Bundle

FORM = 1
CSV, JSON, FAULTS = "predictions.csv", "predictions.json", "faults.csv"


def list_answers(entry: Entry) -> Iterator[Answer]:
    """List the answers of a line of the journal."""
    for number, uid, predicted, classes, subclasses, confidence, abstained in entry["frames"]:
        yield Answer(
            source=entry["source"],
            address=join_address(entry["source"], number),
            frame=number,
            sop_uid=uid,
            input_sha256=entry["sha256"],
            predicted=predicted,
            class_probabilities=tuple(classes),
            subclass_probabilities=tuple(subclasses),
            confidence=confidence,
            abstained=abstained,
        )


def list_faults(entry: Entry) -> Iterator[Fault]:
    """List the faults of a line of the journal."""
    for where, what, value, todo in entry["faults"]:
        yield Fault(where, what, value, todo)


def write_csv(path: Path, answers: Iterable[Answer], classes: Sequence[str]) -> None:
    """Write predictions.csv, one row a frame.

    Args:
        path: of the table.
        answers: in the order of the rows.
        classes: K names.
    """
    head = ["frame", "sha256", *(f"p_{name}" for name in classes)]
    head += ["predicted", "confidence", "abstained", "reason"]

    def write(file: TextIO) -> None:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow([escape_cell(name) for name in head])
        for answer in answers:
            shares = [f"{share:.{DIGITS}f}" for share in answer.class_probabilities]
            confidence = f"{answer.confidence:.{DIGITS}f}"
            abstained = "true" if answer.abstained else "false"
            last = (answer.predicted, confidence, abstained, answer.abstained)
            row = (answer.address, answer.input_sha256, *shares, *last)
            rows.writerow([escape_cell(cell) for cell in row])

    _write(path, write)


def write_json(path: Path, answers: Iterable[Answer], bundle: Bundle) -> None:
    """Write predictions.json: the bundle, and one object a frame on a line of its own.

    Args:
        path: of the file.
        answers: in the order of the lines.
        bundle: whose answers they are.
    """
    head = _describe_bundle(bundle)

    def write(file: TextIO) -> None:
        text = json.dumps(head, indent=1, ensure_ascii=False)
        file.write(text.removesuffix("\n}") + ',\n "frames": [')
        for turn, answer in enumerate(answers):
            line = json.dumps(_describe_answer(answer, bundle), ensure_ascii=False)
            file.write(f"{',' if turn else ''}\n  {line}")
        file.write("\n ]\n}\n")

    _write(path, write)


def write_faults(path: Path, faults: Iterable[Fault]) -> None:
    """Write faults.csv: what could not be read, and why."""

    def write(file: TextIO) -> None:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("where", "what", "value", "todo"))
        for fault in faults:
            row = (fault.where, fault.what, fault.value, fault.todo)
            rows.writerow([escape_cell(str(cell)) for cell in row])

    _write(path, write)


def _describe_bundle(bundle: Bundle) -> dict[str, Any]:
    return {
        "form": FORM,
        "research_use_only": True,
        "notice": "Research use only: not a medical device, not for diagnosis.",
        "bundle": {
            "name": bundle.manifest.name,
            "version": bundle.manifest.version,
            "model_sha256": bundle.model_hash,
            "precision": bundle.precision,
        },
        "classes": list(bundle.classes),
        "subclasses": list(bundle.subclasses),
        "positive": list(bundle.limits.positive),
    }


def _describe_answer(answer: Answer, bundle: Bundle) -> dict[str, Any]:
    uid = {"sop_instance_uid": answer.sop_uid} if answer.sop_uid else {}
    return {
        "frame": answer.address,
        "file": answer.source,
        "number": answer.frame,
        "sha256": answer.input_sha256,
        **uid,
        "predicted": answer.predicted or None,
        "classes": dict(zip(bundle.classes, answer.class_probabilities, strict=True)),
        "subclasses": dict(zip(bundle.subclasses, answer.subclass_probabilities, strict=True)),
        "confidence": answer.confidence,
        "abstained": answer.abstained or None,
    }


def _write(path: Path, write: Any) -> None:
    def write_file(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            write(file)

    write_atomic(path, write_file)
