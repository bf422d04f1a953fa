"""The verbs.

Exit 0: done. 1: a user's fault, told in one line. 2: wrong usage. 3: our fault, with a trace in
the run's log. 130: stopped by the user.
"""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from polypskd.commands.application import PASS, extract, show
from polypskd.commands.application import app as image_app
from polypskd.commands.audit import audit
from polypskd.commands.cohort import check, init
from polypskd.commands.comparison import compare
from polypskd.commands.deidentify import deidentify
from polypskd.commands.export import export
from polypskd.commands.importing import import_cohort
from polypskd.commands.options import say
from polypskd.commands.pacs import pacs, watch
from polypskd.commands.predict import predict
from polypskd.commands.runs import STEPS, build_step, demo, report, run
from polypskd.commands.sample_size import samplesize
from polypskd.errors import PolypskdError, list_places
from polypskd.job import complain, leave
from polypskd.ranks import world_size

STOPPED = 130

app = typer.Typer(
    name="polypskd",
    help="Small, calibrated polyp classifiers from clinicians' votes, by Subclass Knowledge "
    "Distillation. Research use only: not a medical device, not for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def take_options(
    shown: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take the options that stand before a verb."""


for _verb in (demo, init, check, compare):
    app.command()(_verb)
app.command("import")(import_cohort)
for _name, _text in STEPS.items():
    app.command(_name, help=_text)(build_step(_name))
app.command()(run)
app.command()(report)
app.command()(samplesize)
app.command()(deidentify)
app.command()(predict)
app.add_typer(audit, name="audit")
app.add_typer(pacs, name="pacs")
app.command()(watch)
app.command()(export)
app.command("app", hidden=True, context_settings=PASS)(image_app)
app.command(hidden=True)(show)
app.command(hidden=True)(extract)


@app.command()
def schema() -> None:
    """Print the config's JSON schema, for editors."""
    from polypskd.config import Config

    sys.stdout.write(json.dumps(Config.model_json_schema(), indent=1) + "\n")


@app.command(hidden=True)
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    sys.stdout.write(f"polypskd {installed('polypskd')}\n")


def main() -> None:
    """Run a verb and turn what it raises into an exit code."""
    code = _run_verb()
    # Stopped within an import, the interpreter would end by the signal and not by our code.
    if world_size() > 1 or code == STOPPED:
        leave(code)
    raise SystemExit(code)


def _run_verb() -> int:
    try:
        app(standalone_mode=True)
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 1
    except PolypskdError as error:
        lines = error.lines
        # One fault follows the name; several stand below their number.
        count = f"{error.count} faults\n" if error.count > 1 else ""
        complain(f"polypskd: {count}" + "\n".join(lines) + "\n")
        if "--json" in sys.argv[1:]:
            say({"error": list(lines), "exit": 1}, "", as_json=True)
        return 1
    except Exception as error:
        missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
        if missing and not missing.startswith("polypskd"):
            complain(
                f"polypskd: this verb needs the package {missing.partition('.')[0]}, which is not "
                "installed: an installation for serving alone has nothing for training; to train, "
                "install polypskd with all its dependencies\n"
            )
            return 1
        # Where it happened, not what it says: a message may quote a frame's or a patient's name.
        places = " < ".join(list_places(error)[:-4:-1])
        complain(
            f"polypskd: internal error ({type(error).__name__} in {places}); this is our fault, "
            "please report it with the last lines of the run's log.jsonl\n"
        )
        return 3
    return 0
