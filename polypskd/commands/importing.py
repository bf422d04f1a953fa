"""The verb `import`."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from polypskd.commands.options import JsonOption, QuietOption, let_stop, say

if TYPE_CHECKING:
    from polypskd.cohort.given import Given
    from polypskd.cohort.importing import Imported
    from polypskd.cohort.journal import Journal
    from polypskd.cohort.mixed import Mixed
    from polypskd.cohort.recognition import Recognized
    from polypskd.errors import Fault

TENTHS = 10  # lines of progress where there is no terminal


def import_cohort(
    source: Annotated[Path, typer.Argument(help="Folder of images, DICOM files and videos.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the cohort; new or empty.")],
    votes: Annotated[
        Path | None, typer.Option(help="Table of votes, or a label tool's export.")
    ] = None,
    number: Annotated[
        str | None, typer.Option(help="Column of --votes with the frame's number in its file.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Column of --votes with the frame's time in its video.")
    ] = None,
    stride: Annotated[
        int | None, typer.Option(min=1, help="Take every n-th frame of each video.")
    ] = None,
    first: Annotated[
        int | None, typer.Option(min=0, help="First frame of each video, from 0.")
    ] = None,
    last: Annotated[int | None, typer.Option(min=0, help="Last frame of each video.")] = None,
    crop: Annotated[
        Literal["none", "field"], typer.Option(help="field: cut out the endoscope's picture.")
    ] = "none",
    key_file: Annotated[
        Path | None, typer.Option(help="Key of the pseudonyms of patients; DICOM needs one.")
    ] = None,
    key_env: Annotated[
        str | None, typer.Option(help="Variable of the environment that holds the key.")
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a tidy cohort from a folder of images, DICOM files and videos."""
    from polypskd.cohort.given import list_named, read_given
    from polypskd.cohort.importing import Wish, import_frames
    from polypskd.cohort.journal import Journal, check_own
    from polypskd.cohort.mixed import Choice, list_mixed
    from polypskd.cohort.tally import Tally, describe_import, list_warnings, sum_up
    from polypskd.cohort.tidy import write_faults_table, write_frames_table, write_votes_table
    from polypskd.config import FieldCrop, NoCrop
    from polypskd.errors import ConfigError
    from polypskd.terminal import show_progress

    if None not in (key_file, key_env):
        raise ConfigError("import: give --key-file or --key-env, not both")
    if None not in (number, time):
        raise ConfigError("import: give --number or --time, not both")
    if votes is None and (number or time):
        raise ConfigError("import: --number and --time name columns of --votes; give it")
    _check_places(source, out, key_file)
    wish = Wish(FieldCrop() if crop == "field" else NoCrop())
    options = {
        "form": 3,
        "crop": wish.crop.model_dump(),
        "source": str(source.resolve()),
        "videos": [stride, first, last],
        "votes": [None if votes is None else str(votes.resolve()), number, time],
        "key": _name_key(key_file, key_env),
    }
    check_own(out, options)
    with let_stop(), show_progress(quiet) as listen:
        listen({"step": "import", "event": "start"})
        mixed = list_mixed(source, Choice(stride, first, last, key_file, key_env))
        given = None if votes is None else read_given(votes, mixed, number, time)
        frames = sorted({*mixed.frames, *(list_named(given.ballots) if given else ())})
        if not frames and given is None and not mixed.faults:
            raise ConfigError(
                f"{source}: videos only, and nothing says which frames; give --stride N, or "
                "--votes with the frames' numbers"
            )
        lost = given.check_found(frames, votes.name) if given and votes else []
        journal = Journal(out, options)
        imported = import_frames(mixed, frames, journal, wish, _count_for(listen))
        faults = (*imported.faults, *(given.ballots.faults if given else ()), *lost)
        journal.write_table("faults.csv", write_faults_table(faults))
        _check_any(imported, given, faults)
        table = write_frames_table(imported, mixed.files, given)
        journal.write_table("frames.csv", table)
        if given is not None:
            journal.write_table("votes.csv", write_votes_table(imported, given))
        listen({"step": "import", "event": "done"})
    look, why = _look_first(out, (mixed, imported), table, given)
    page = _write_first(out, journal, look)
    notes = look.notes if look is not None else list(given.notes) if given else []
    told = Tally(mixed, imported, given, faults)
    result = sum_up(out, told) | {"config": None if page is None else str(page), "notes": notes}
    lines = [*describe_import(out, told), *(f"NOTE  {note}" for note in notes if not quiet)]
    if page is None:
        lines.append(f"No config yet: {why}")
    else:
        lines.append(f"Order the classes by risk in {page}, then: polypskd check {page}")
    say(result, "\n".join([*lines, *list_warnings(out, told)]), as_json)


def _check_places(source: Path, out: Path, key_file: Path | None) -> None:
    """Refuse folders and keys within one another."""
    from polypskd.cohort.pseudonyms import check_apart
    from polypskd.errors import OutputError

    if out.resolve().is_relative_to(source.resolve()):
        raise OutputError(f"{out}: lies within {source}; give --out a folder beside it")
    check_apart(key_file, out, "--out")
    check_apart(key_file, source, "SOURCE")


def _name_key(key_file: Path | None, key_env: str | None) -> str:
    """Name the key of pseudonyms, so that another one is told; it cannot be found by its name."""
    from polypskd.cohort.pseudonyms import pseudonymize, read_key

    if key_file is None and key_env is None:
        return ""
    return pseudonymize("the key of an import", read_key(key_file or f"env:{key_env}"), 32)


def _count_for(listen: Callable[[dict[str, Any]], None]) -> Callable[[int, int], None]:
    """Tell of frames done: always to a bar, and some ten times in plain lines."""
    start, told, before = clock.monotonic(), 0, -1

    def count(done: int, total: int) -> None:
        nonlocal told, before
        about = {"step": "import", "done": done, "total": total}
        listen(about | {"event": "progress", "counts": True})
        if before < 0:
            before = done
        tenth = done * TENTHS // total
        if tenth > told and done < total:
            told = tenth
            speed = (done - before) / max(clock.monotonic() - start, 1e-9)
            rest = f", {(total - done) / speed:,.0f} s left" if speed else ""
            listen(about | {"event": "counted", "rest": rest})

    return count


def _check_any(imported: Imported, given: Given | None, faults: tuple[Fault, ...]) -> None:
    """Stop where no frame was written, or none with votes.

    Raises:
        CohortError: so it is.
    """
    from dataclasses import replace

    from polypskd.errors import CohortError, Fault

    written = {entry["from"] for entry in imported.entries}
    bare = [replace(fault, frame="") for fault in faults]
    if not written:
        raise CohortError(bare or [Fault("import", "no frame was written")])
    if given is not None and written.isdisjoint(given.ballots.frames):
        what = "no frame with votes can be read"
        raise CohortError([*bare, Fault("import", what, todo="mend the faults; call it again")])


def _look_first(
    out: Path, done: tuple[Mixed, Imported], table: str, given: Given | None
) -> tuple[Recognized | None, str]:
    """Describe the cohort for its first config, or say why there can be none."""
    from polypskd.cohort.folders import doubt_folders
    from polypskd.cohort.recognition import recognize_votes
    from polypskd.cohort.tidy import count_patients
    from polypskd.errors import CohortError, ConfigError

    if given is None:
        mixed, imported = done
        why = doubt_folders([entry["frame"] for entry in imported.entries])
        why = "folders of DICOM files are exams" if mixed.files.headers else why
        if why:
            todo = "give the same command --votes FILE and a new --out"
            return None, f"no votes given, and {why}; {todo}"
    try:
        look = given.look_at(out) if given else recognize_votes(out / "frames", None)
    except (ConfigError, CohortError) as error:
        return None, "; ".join(error.lines)
    if given is None:
        look.notes.insert(0, "no votes given; folder names were taken as classes: check them")
    look.cohort["metadata"] = {"path": (out / "frames.csv").as_posix()}
    known, all_ = count_patients(table, given) or (0, 0)
    if known and known == all_:
        look.cohort["patients"] = {"kind": "column", "column": "patient"}
    elif all_:
        look.notes.append(
            f"patient known for {known:,} of {all_:,} frames; fill the column patient of "
            "frames.csv, and add to cohort in config.yaml: patients: {kind: column, column: "
            "patient}; until then, one patient may stand in two splits"
        )
    return look, ""


def _write_first(out: Path, journal: Journal, look: Recognized | None) -> Path | None:
    """Write config.yaml, if the cohort can be described."""
    from polypskd.cohort.page import write_config
    from polypskd.labels.suggestion import write_labels

    if look is None:
        return None
    page = write_config(look, folder=out, name="my-cohort")
    journal.write_table("config.yaml", page + write_labels(page, out))
    return out / "config.yaml"
