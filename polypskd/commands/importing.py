"""The verb `import`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from polypskd.commands.options import JsonOption, QuietOption, let_stop, say

if TYPE_CHECKING:
    from polypskd.cohort.importing import Imported
    from polypskd.cohort.journal import Journal
    from polypskd.cohort.tidy import Given


def import_cohort(
    source: Annotated[Path, typer.Argument(help="Folder of images, DICOM files and videos.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the cohort; new or empty.")],
    votes: Annotated[
        Path | None, typer.Option(help="Table of votes, or a label tool's export.")
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
    from polypskd.cohort.importing import Wish, import_frames
    from polypskd.cohort.journal import Journal
    from polypskd.cohort.mixed import Choice, list_mixed
    from polypskd.cohort.pseudonyms import check_apart
    from polypskd.cohort.tidy import (
        list_named,
        read_given,
        write_faults_table,
        write_frames_table,
        write_votes_table,
    )
    from polypskd.config import FieldCrop, NoCrop
    from polypskd.errors import ConfigError, OutputError
    from polypskd.terminal import show_progress

    if key_file is not None and key_env is not None:
        raise ConfigError("import: give --key-file or --key-env, not both")
    if out.resolve().is_relative_to(source.resolve()):
        raise OutputError(f"{out}: lies within {source}; give --out a folder beside it")
    check_apart(key_file, out, "--out")
    wish = Wish(FieldCrop() if crop == "field" else NoCrop())
    with let_stop(), show_progress(quiet) as listen:
        listen({"step": "import", "event": "start"})
        mixed = list_mixed(source, Choice(stride, first, last, key_file, key_env))
        given = None if votes is None else read_given(votes, mixed.files)
        frames = sorted({*mixed.frames, *(list_named(given.ballots) if given else ())})
        if not frames and not mixed.faults:
            raise ConfigError(
                f"{source}: videos only, and nothing says which frames; give --stride N, or "
                "--votes with the frames' numbers"
            )
        journal = Journal(out, {"crop": wish.crop.model_dump(), "form": 2})
        imported = import_frames(
            mixed,
            frames,
            journal,
            wish,
            lambda done, total: listen(
                {"step": "import", "event": "progress", "done": done, "total": total}
            ),
        )
        table = write_frames_table(imported, mixed.files, given)
        journal.write_table("frames.csv", table)
        if given is not None:
            journal.write_table("votes.csv", write_votes_table(imported, given))
        faults = (*imported.faults, *(given.ballots.faults if given else ()))
        journal.write_table("faults.csv", write_faults_table(faults))
        listen({"step": "import", "event": "done"})
    config = _write_first(out, journal, table, given)
    result, text = _describe(out, imported, faults, config, len(mixed.files.frames))
    notes = list(given.notes) if given else []
    lines = [text, *(f"NOTE  {note}" for note in notes if not quiet)]
    say(result | {"notes": notes}, "\n".join(lines), as_json)


def _write_first(
    out: Path, journal: Journal, table: str, given: Given | None
) -> tuple[Path | None, str]:
    """Write config.yaml, or say why there is none."""
    from polypskd.cohort.page import write_config
    from polypskd.cohort.recognition import recognize_votes
    from polypskd.cohort.tidy import choose_columns
    from polypskd.errors import CohortError, ConfigError
    from polypskd.labels.suggestion import write_labels

    try:
        look = given.look_at(out) if given else recognize_votes(out / "frames", None)
    except (ConfigError, CohortError) as error:
        return None, "; ".join(error.lines)
    look.cohort["metadata"] = {"path": (out / "frames.csv").as_posix()}
    look.cohort.update(choose_columns(table, given))
    page = write_config(look, folder=out, name="my-cohort")
    journal.write_table("config.yaml", page + write_labels(page, out))
    return out / "config.yaml", ""


def _describe(
    out: Path,
    imported: Imported,
    faults: tuple[Any, ...],
    config: tuple[Path | None, str],
    files: int,
) -> tuple[dict[str, Any], str]:
    kinds = Counter(fault.what.rstrip(":") for fault in faults)
    copied = sum(entry["copied"] for entry in imported.entries)
    page, why = config
    result = {
        "cohort": str(out),
        "files": files,
        "frames": len(imported.entries),
        "copied": copied,
        "converted": len(imported.entries) - copied,
        "known_before": imported.known,
        "faults": dict(sorted(kinds.items())),
        "config": None if page is None else str(page),
    }
    lines = [
        f"Files seen      {files:>9,}",
        f"Frames written  {len(imported.entries):>9,}",
        f"  JPEG, as it was {copied:>7,}",
        f"  as PNG        {len(imported.entries) - copied:>9,}",
        f"Faults          {len(faults):>9,}",
        *(f"  {count:>6,}  {what}" for what, count in kinds.most_common(10)),
        *([f"All of them: {out / 'faults.csv'}"] if faults else []),
        "File names stand in frames.csv as they were: they may tell who a patient is.",
    ]
    if page is None:
        lines.append(f"No config yet ({why}); with votes: polypskd init --frames {out / 'frames'}")
    else:
        lines.append(f"Order the classes by risk in {page}, then: polypskd check {page}")
    return result, "\n".join(lines)
