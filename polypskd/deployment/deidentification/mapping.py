"""The list that leads back from de-identified files: written only where it is asked for."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from polypskd.artifacts import describe_fault
from polypskd.errors import OutputError

HEAD = b"file,deidentified\n"


def check_mapping(path: Path, out: Path) -> None:
    """Refuse to put the list where it would be given away.

    Raises:
        OutputError: it lies in the folder of de-identified files, or is no file of this kind.
    """
    if path.resolve().is_relative_to(out.resolve()):
        raise OutputError(f"{path}: lies in --out, which is given away; put the mapping elsewhere")
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; --mapping must be a file")
    try:
        with path.open("rb") as file:
            known = file.read(len(HEAD)) in {HEAD, b""}
    except FileNotFoundError:
        known = True
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror}); check --mapping") from None
    if not known:
        raise OutputError(f"{path}: is another file; use a new one as --mapping")


def write_mapping(path: Path, names: Mapping[str, str]) -> None:
    """Write which file became which; readable by its owner alone.

    Args:
        path: CSV with the columns file and deidentified.
        names: file of IN to file of OUT.

    Raises:
        OutputError: it cannot be written.
    """
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerows([HEAD.decode().strip().split(","), *sorted(names.items())])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Closed to others from its first byte, unlike the files that are given away.
        handle, made = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                # A name of a file may hold bytes that are no letters.
                file.write(text.getvalue().encode("utf-8", "surrogateescape"))
            Path(made).replace(path)
        finally:
            Path(made).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: {describe_fault(error)}") from None
