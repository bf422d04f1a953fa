"""What an earlier prediction left in a folder of results that the given inputs do not speak of.

Such answers are not lost in silence: a folder that holds some is refused, or they are dropped on
purpose and counted.
"""

from __future__ import annotations

import json
from collections.abc import Container
from collections.abc import Set as AbstractSet
from pathlib import Path

from polypskd.cohort.damage import DamageError
from polypskd.deployment.prediction.inputs import Sources
from polypskd.deployment.prediction.journal import FOLDER, JOURNALS
from polypskd.errors import OutputError

DICOM = "dicom"  # folder of the DICOM results
WAY_OUT = "give --out a new folder, or --overwrite to drop"


def count_other_frames(out: Path, names: Container[str]) -> int:
    """Count the frames that were answered and are of files that are not among the inputs.

    A file of the same name counts as the same, though its bytes may have changed since.

    Args:
        out: folder of the results; it may be missing.
        names: of the inputs, as in `Source`.
    """
    others: dict[str, int] = {}  # part → frames: a kill may have left a line in both journals
    for name in JOURNALS:
        path = out / FOLDER / name
        if not path.is_file():
            continue
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"}\n"):  # cut by a kill
                    continue
                try:
                    entry = json.loads(line)
                    if entry["source"] not in names:
                        others[entry["part"]] = len(entry["frames"])
                except (ValueError, KeyError, TypeError):
                    continue
    return sum(others.values())


def list_other_studies(
    out: Path, sources: Sources, known: AbstractSet[str] = frozenset()
) -> set[str]:
    """List the studies that DICOM results lie of and no input is of.

    Headers of inputs are read only where results lie, and only until each study is found.

    Args:
        out: folder of the results; it may be missing.
        sources: the inputs.
        known: studies that are known to be among the inputs.
    """
    others = _list_result_studies(out) - known
    for source in sources.files:
        if not others:
            break
        if source.kind == "dicom":
            others.discard(_read_study(source.path))
    return others


def refuse_leftovers(out: Path, frames: int, studies: int) -> None:
    """Refuse a folder of results that would lose some of them.

    Args:
        out: the folder.
        frames: number of other frames that are answered there.
        studies: number of other studies that DICOM results lie of.

    Raises:
        OutputError: there are any.
    """
    if frames:
        several, them = ("s", "them") if frames > 1 else ("", "it")
        raise OutputError(
            f"{out}: holds answers of {frames:,} other frame{several}; {WAY_OUT} {them}"
        )
    if studies:
        several = "studies" if studies > 1 else "study"
        raise OutputError(
            f"{out}: holds DICOM results of {studies:,} other {several}; {WAY_OUT} them"
        )


def _list_result_studies(out: Path) -> set[str]:
    folder = out / DICOM
    if folder.is_symlink() or not folder.is_dir():
        return set()
    return {path.name for path in folder.iterdir() if path.is_dir() and any(path.glob("*.dcm"))}


def _read_study(path: Path) -> str:
    from polypskd.cohort.dicom.header import read_header

    try:
        return str(read_header(path).dataset.get("StudyInstanceUID", ""))
    except (DamageError, OSError):
        return ""
    except Exception:  # pydicom raises what it meets; the file is told of when it is judged
        return ""
