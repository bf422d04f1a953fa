"""The DICOM results of a prediction: each study among its inputs, one after the other."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from polypskd.artifacts import lock_run, read_json, write_json
from polypskd.cohort.damage import DamageError
from polypskd.deployment.bundle import Bundle
from polypskd.deployment.dicom_objects.dicom_results import check_library, write_study_results
from polypskd.deployment.dicom_objects.result_objects import ResultWish
from polypskd.deployment.dicom_objects.source_images import read_source_image
from polypskd.deployment.prediction.inputs import Sources
from polypskd.deployment.prediction.journal import FOLDER, FRAMES, Entry
from polypskd.deployment.prediction.leftovers import DICOM, list_other_studies
from polypskd.deployment.prediction.tables import list_answers, write_faults
from polypskd.errors import ConfigError, Fault, OutputError

FAULTS = "dicom_faults.csv"
MOMENT = "moment.json"
EPOCH = "SOURCE_DATE_EPOCH"
Listen = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class StudiesOutcome:
    """What came of it.

    Args:
        studies: number of studies with results.
        files: number of results.
        without_study: number of input files that are no DICOM files.
        faults: why a file, a result or a study was left out.
        dropped: number of other studies whose results were removed.
    """

    studies: int
    files: int
    without_study: int
    faults: tuple[Fault, ...]
    dropped: int = 0


@dataclass
class _Study:
    """Where a study's lines stand in the journal."""

    files: dict[str, Path] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)


def write_all_results(
    bundle: Bundle,
    sources: Sources,
    out: Path,
    wish: ResultWish,
    listen: Listen = lambda event: None,
    *,
    overwrite: bool = False,
) -> StudiesOutcome:
    """Write the DICOM results of each study below `out`/dicom, and remove what is no longer one.

    Args:
        bundle: whose predictions stand in `out`.
        sources: of these predictions.
        out: folder of the predictions, which are done.
        wish: which results.
        listen: told of the progress.
        overwrite: whether results of studies that no input is of are removed, too.

    Raises:
        ConfigError: highdicom is not installed.
        OutputError: a file cannot be written.
    """
    check_library()
    with lock_run(out / FOLDER):
        _refuse_links(out / DICOM)
        journal = out / FOLDER / FRAMES
        studies, faults = _find_studies(journal, sources)
        written: set[Path] = set()
        done = 0
        listen({"step": "dicom", "event": "start"})
        for turn, (study, where) in enumerate(sorted(studies.items())):
            entries = list(_read_lines(journal, where.places))
            answers = [answer for entry in entries for answer in list_answers(entry)]
            if answers:
                unread = sum(len(entry["faults"]) for entry in entries if entry["frames"])
                made = write_study_results(
                    bundle, answers, where.files, out / DICOM / study, wish, unread
                )
                written.update(made.files)
                faults += made.faults
                done += bool(made.files)
            total = len(studies)
            listen({"step": "dicom", "event": "progress", "done": turn + 1, "total": total})
        others = list_other_studies(out, sources, studies.keys())
        _remove_others(out / DICOM, written, set() if overwrite else others)
        write_faults(out / FAULTS, sorted(faults))
        listen({"step": "dicom", "event": "done"})
    dropped = len(others) if overwrite else 0
    without = sum(source.kind != "dicom" for source in sources.files)
    return StudiesOutcome(done, len(written), without, tuple(sorted(faults)), dropped)


def keep_moment(out: Path) -> datetime:
    """Tell the moment of the first run into a folder, which later runs repeat.

    Args:
        out: folder of the predictions.

    Raises:
        ConfigError: SOURCE_DATE_EPOCH is set to what is no number of seconds.
        ArtifactError: what was kept is damaged.
    """
    path = out / FOLDER / MOMENT
    if path.is_file():
        try:
            return datetime.fromisoformat(read_json(path)["moment"])
        except (KeyError, TypeError, ValueError):
            path.unlink()
    moment = tell_moment().replace(microsecond=0)
    write_json(path, {"moment": moment.isoformat()})
    return moment


def tell_moment() -> datetime:
    """Tell the time by the machine's clock and zone, or what SOURCE_DATE_EPOCH says.

    Raises:
        ConfigError: it is set to what is no number of seconds.
    """
    given = os.environ.get(EPOCH)
    if given is None:
        return datetime.now().astimezone()
    if re.fullmatch(r"\d{1,11}", given, re.ASCII) is None:
        raise ConfigError(f"{EPOCH}: must be seconds since 1970; unset it")
    return datetime.fromtimestamp(int(given), UTC)


def _find_studies(journal: Path, sources: Sources) -> tuple[dict[str, _Study], list[Fault]]:
    """Find the lines of each study; a file that names none is told of."""
    paths = {one.name: one.path for one in sources.files if one.kind == "dicom"}
    studies: dict[str, _Study] = {}
    faults: list[Fault] = []
    with journal.open("rb") as file:
        at = 0
        for line in file:
            entry = json.loads(line)
            path = paths.get(entry["source"])
            if path is not None and (entry["frames"] or entry["faults"]):
                try:
                    study = studies.setdefault(read_source_image(path).study, _Study())
                    study.places.append(at)
                    study.files[entry["source"]] = path
                except DamageError as damage:
                    # What could not be answered has been told of already.
                    if entry["frames"]:
                        what = f"no DICOM result: {damage.what}"
                        faults.append(Fault(entry["source"], what, damage.value, damage.todo))
                except OSError as error:
                    what = f"cannot be read ({error.strerror})"
                    faults.append(Fault(entry["source"], what, todo="check its rights"))
            at += len(line)
    return studies, faults


def _read_lines(journal: Path, places: list[int]) -> Iterator[Entry]:
    with journal.open("rb") as file:
        for place in places:
            file.seek(place)
            yield json.loads(file.readline())


def _refuse_links(folder: Path) -> None:
    """Refuse links, through which results would be written outside of --out."""
    for path in (folder, *(folder.iterdir() if folder.is_dir() else ())):
        if path.is_symlink():
            raise OutputError(f"{path}: is a link; remove it, or give --out another folder")


def _remove_others(folder: Path, written: set[Path], spared: set[str]) -> None:
    """Remove results of inputs that have changed since, and what a kill left half-written."""
    for study in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not study.is_dir():
            continue
        for path in sorted(study.iterdir()):
            ours = path.suffix == ".dcm" or (path.name[0] == "." and path.suffix == ".tmp")
            kept = path in written or (path.suffix == ".dcm" and study.name in spared)
            if ours and not kept and not path.is_dir():
                path.unlink()
        if not any(study.iterdir()):
            study.rmdir()
