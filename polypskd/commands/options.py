"""Options that several verbs have, and how a verb reads and speaks."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polypskd.job import complain
from polypskd.ranks import is_first

if TYPE_CHECKING:
    from polypskd.config import Config

ConfigArgument = Annotated[Path, typer.Argument(help="The experiment: a YAML file.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a value, e.g. seed=3. Repeatable."),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Run folder; runs/<name> if not given.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Say nothing but the result.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
PdfOption = Annotated[
    bool | None,
    typer.Option("--pdf/--no-pdf", help="Make report.pdf; made where it can be, if not given."),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace the results of another config.")
]


def say(result: dict[str, Any], text: str, as_json: bool) -> None:
    """Print a verb's result, as one JSON object or as text; in a job, once."""
    if is_first():
        sys.stdout.write((json.dumps(result, ensure_ascii=False) if as_json else text) + "\n")


@contextmanager
def let_stop() -> Iterator[None]:
    """Let the user stop a long verb by Ctrl-C, with a word on how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        complain("polypskd: stopped; the same command goes on from here\n")
        raise typer.Exit(130) from None


def read_page(path: Path, overrides: list[str] | None) -> Config:
    """Read a config with its overrides."""
    from polypskd.config import read_config

    return read_config(path, tuple(overrides or ()))
