"""The tables of an imported cohort: frames.csv, votes.csv, faults.csv."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from polypskd.cohort.columns import Columns
from polypskd.cohort.given import COUNTS, Given
from polypskd.cohort.importing import Imported
from polypskd.cohort.journal import FRAMES
from polypskd.cohort.listing import Listing, tabulate_headers
from polypskd.config import PatientColumn
from polypskd.errors import Fault

FIRST = ("frame", "file", "patient", "width", "height")


def write_frames_table(imported: Imported, files: Listing, given: Given | None) -> str:
    """Write frames.csv: one row a frame, its source, patient, device and measures.

    Args:
        imported: the frames.
        files: what their headers say.
        given: what the table of votes says of them beside the votes.
    """
    names = [entry["from"] for entry in imported.entries]
    headers = tabulate_headers(files, names)
    columns: dict[str, Sequence[str]] = {
        "frame": [_short(entry["frame"]) for entry in imported.entries],
        "file": names,
    }
    if headers is not None:
        cells = headers.cells
        columns |= {name: list(map(_defuse, cells[name])) for name in headers.columns}
    if given is not None:
        columns = columns | _carry(given, names, taken=set(columns))
    columns |= {
        "width": [str(entry["width"]) for entry in imported.entries],
        "height": [str(entry["height"]) for entry in imported.entries],
    }
    if imported.entries:
        columns |= {
            name: [entry["measures"][name] for entry in imported.entries]
            for name in imported.entries[0]["measures"]
        }
    ordered = [name for name in FIRST if name in columns]
    ordered += [name for name in columns if name not in FIRST]
    rows = zip(*(columns[name] for name in ordered), strict=True)
    return _write(ordered, rows)


def write_votes_table(imported: Imported, given: Given) -> str:
    """Write votes.csv: one row a vote; or one row a frame and counts, where nobody is named."""
    ballots, fine = given.ballots, list(given.config.fine)
    target = {entry["from"]: _short(entry["frame"]) for entry in imported.entries}
    names = [target.get(name, "") for name in ballots.frames]
    votes = ballots.votes.rows()
    if ballots.annotators:
        rows = [
            (names[frame], ballots.annotators[person], fine[vote])
            for frame, person, vote in votes
            if names[frame]
        ]
        return _write(("frame", "annotator", "vote"), sorted(rows))
    counts = np.zeros((len(names), len(fine)), dtype=np.int64)
    np.add.at(counts, (ballots.votes["frame"].to_numpy(), ballots.votes["fine"].to_numpy()), 1)
    lines = [
        (name, *map(str, row)) for name, row in zip(names, counts.tolist(), strict=True) if name
    ]
    return _write(("frame", *(f"{COUNTS}{name}" for name in fine)), sorted(lines))


def write_faults_table(faults: Iterable[Fault]) -> str:
    """Write faults.csv: what could not be read, and why."""
    rows = ((fault.where, fault.what, fault.value, fault.todo) for fault in faults)
    return _write(("where", "what", "value", "todo"), rows)


def count_patients(table: str, given: Given | None = None) -> tuple[int, int] | None:
    r"""Count the frames whose patient is known, and all; None where nothing tells of patients.

    Args:
        table: frames.csv.
        given: the votes; only the patients of frames with votes need be known.

    >>> count_patients("frame,file,patient\na.png,a.dcm,4f2a\nb.png,b.png,\n")
    (1, 2)
    """
    reader = csv.DictReader(io.StringIO(table))
    voted = None if given is None else set(given.ballots.frames)
    rows = [row for row in reader if voted is None or row["file"] in voted]
    if not rows or "patient" not in rows[0]:
        return None
    return sum(bool(row["patient"]) for row in rows), len(rows)


def _carry(given: Given, names: Sequence[str], taken: set[str]) -> dict[str, list[str]]:
    """Carry what the table of votes says of frames; frames without votes have empty cells."""
    voted = set(given.ballots.frames)
    frames = pl.Series([name for name in names if name in voted], dtype=pl.String)
    columns = Columns(None, given.ballots)
    carried = {name: words.tolist() for name, words in columns.carry(frames, taken).items()}
    patients = given.config.patients
    if isinstance(patients, PatientColumn) and patients.column not in carried:
        found = columns.find(patients.column, frames, [])
        if found is not None and "patient" not in taken:
            carried["patient"] = found.cells["value"].fill_null("").to_list()
    elif isinstance(patients, PatientColumn) and "patient" not in taken:
        carried["patient"] = carried.pop(patients.column)
    rows = {name: index for index, name in enumerate(frames)}
    return {
        column: [values[rows[name]] if name in rows else "" for name in names]
        for column, values in carried.items()
    }


def _short(path: str) -> str:
    return path.removeprefix(f"{FRAMES}/")


def _write(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


def _defuse(cell: str) -> str:
    """Keep a spreadsheet from computing a cell that came from a file's header."""
    return f"'{cell}" if cell[:1] in {"=", "+", "@"} or cell[:2] in {"-=", "-+"} else cell
