"""The list that leads back from de-identified files: written only where it is asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from polypskd.artifacts import write_text
from polypskd.errors import OutputError


def check_mapping(path: Path, out: Path) -> None:
    """Refuse to put the list where it would be given away.

    Raises:
        OutputError: it lies in the folder of de-identified files, or exists.
    """
    if path.resolve().is_relative_to(out.resolve()):
        raise OutputError(f"{path}: lies in --out, which is given away; put the mapping elsewhere")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; --mapping must be a file")


def write_mapping(path: Path, names: Mapping[str, str]) -> None:
    """Write which file became which; readable by its owner alone.

    Args:
        path: CSV with the columns file and deidentified.
        names: file of IN to file of OUT.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", "deidentified"])
    rows.writerows(sorted(names.items()))
    write_text(path, text.getvalue())
    path.chmod(0o600)
