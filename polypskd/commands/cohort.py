"""The verbs that look at a cohort: `init` and `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from polypskd.commands.options import (
    ConfigArgument,
    JsonOption,
    OverwriteOption,
    QuietOption,
    SetOption,
    read_page,
    say,
)


def init(
    source: Annotated[
        Path | None,
        typer.Argument(help="Table or export of votes, or a folder of image files."),
    ] = None,
    frames: Annotated[Path | None, typer.Option(help="Folder of image files.")] = None,
    votes: Annotated[Path | None, typer.Option(help="Table or export of votes.")] = None,
    regions: Annotated[
        Literal["tell", "frame_label"],
        typer.Option(help="Boxes and outlines of an export: told, or votes on their frames."),
    ] = "tell",
    out: Annotated[Path, typer.Option(help="The config to write.")] = Path("polypskd.yaml"),
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Look at your files and write a config for them."""
    from polypskd.artifacts import write_text
    from polypskd.cohort.page import write_config
    from polypskd.cohort.recognition import recognize_votes
    from polypskd.errors import ConfigError, OutputError
    from polypskd.labels.suggestion import write_labels
    from polypskd.summary import PATIENTS_UNKNOWN

    if source is not None and source.is_dir() and frames is None:
        frames = source
    elif source is not None and votes is None:
        votes = source
    elif source is not None:
        raise ConfigError(f"init: {source}: --frames and --votes are given already")
    if frames is None and votes is None:
        raise ConfigError("init: nothing to look at; give --frames DIR, --votes FILE, or both")
    if out.exists() and not overwrite:
        raise OutputError(f"{out}: exists already; give --out another name, or --overwrite")
    if regions != "tell" and votes is None:
        raise ConfigError("init: --regions is for the export of a label tool; give --votes FILE")
    look = recognize_votes(frames, votes, regions=regions)
    page = write_config(look, folder=out.parent)
    write_text(out, page + write_labels(page, out.parent))
    kind = look.cohort["votes"]["kind"]
    warnings = [] if "patients" in look.cohort else [PATIENTS_UNKNOWN]
    told = [*look.notes, *(f"WARNING  {warning}" for warning in warnings)]
    lines = [f"Wrote {out}: votes of kind {kind}.", *(() if quiet else told)]
    lines.append(f"Order the classes by risk, then: polypskd check {out}")
    result = {"config": str(out), "votes": kind, "notes": look.notes, "warnings": warnings}
    say(result, "\n".join(lines), as_json)


def check(
    config: ConfigArgument,
    settings: SetOption = None,
    html: Annotated[
        Path | None,
        typer.Option(help="Write a page with frames and their votes, for a clinician to look at."),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read all that a config names and tell every fault."""
    import tempfile

    from polypskd.errors import PolypskdError
    from polypskd.job import complain
    from polypskd.summary import describe_cohort
    from polypskd.verbs import check as check_cohort
    from polypskd.verbs import write_sheet

    try:
        parsed = read_page(config, settings)
    except PolypskdError:
        if html is not None:
            complain(f"{html}: no page was made, since the config cannot be read\n")
        raise
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "cohort"
        cohort = write_sheet(parsed, place, html, complain) if html else check_cohort(parsed, place)
    result, text = describe_cohort(cohort)
    if html is not None:
        result, text = result | {"html": str(html)}, f"{text}\nWrote {html}"
    say(result, "No faults found." if quiet else text, as_json)
