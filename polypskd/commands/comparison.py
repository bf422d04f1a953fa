"""The verb `compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from polypskd.commands.options import (
    ConfigArgument,
    JsonOption,
    OutOption,
    OverwriteOption,
    QuietOption,
    SetOption,
    let_stop,
    read_page,
    say,
)


def compare(
    config: ConfigArgument,
    methods: Annotated[
        str, typer.Option(help="Names, divided by commas; see the README for all.")
    ] = "none,kd,skd,random_subclasses",
    seeds: Annotated[int, typer.Option(help="Training seeds, two at least.")] = 3,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Do only part I of N of the runs, e.g. 2/4."),
    ] = None,
    settings: SetOption = None,
    out: OutOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Train methods over seeds and tell which differ."""
    from polypskd.artifacts import lock_run
    from polypskd.comparison.running import plan_comparison, run_comparison
    from polypskd.comparison.shards import close_shard, parse_shard, run_shard
    from polypskd.comparison.variants import check_comparison
    from polypskd.summary import describe_comparison, describe_shard
    from polypskd.terminal import show_progress

    part = None if shard is None else parse_shard(shard)
    page = read_page(config, settings)
    names = [name.strip() for name in methods.split(",") if name.strip()]
    check_comparison(page, names, seeds)
    folder = out or Path("runs") / f"{page.name}-comparison"
    if part is None:
        from polypskd.comparison.gathering import gather_comparison
        from polypskd.reporting.comparison import write_comparison

        with let_stop(), lock_run(folder), show_progress(quiet) as listen:
            outcomes = run_comparison(page, names, seeds, folder, listen, overwrite=overwrite)
            record = gather_comparison(page, outcomes)
            write_comparison(folder, record)
        say(*describe_comparison(record, folder), as_json)
    else:
        planned = plan_comparison(page, names, seeds, folder)
        with let_stop(), show_progress(quiet) as listen:
            outcomes = run_shard(page, planned, part, folder, listen, overwrite=overwrite)
        left, last = close_shard(page, planned, folder, overwrite=overwrite)
        say(*describe_shard(str(part), outcomes, folder, left=left, gathered=last), as_json)
    if ours := sorted({one.method for one in outcomes if one.ours}):
        sys.stderr.write(
            f"polypskd: internal error in runs of {', '.join(ours)}; this is our fault, please "
            "report it with the last lines of their log.jsonl; the other runs are done\n"
        )
        raise typer.Exit(3)
