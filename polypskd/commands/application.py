"""The verbs of the image: `app`, `show` and `extract` (MONAI Application Package 1.0.0)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from polypskd.commands.options import say
from polypskd.errors import ConfigError

# What `app` does not know is an option of `predict`.
PASS = {"ignore_unknown_options": True, "allow_extra_args": True}


def app(
    context: typer.Context,
    given_input: Annotated[
        Path | None, typer.Option("--input", help="Frames; a file or a folder.")
    ] = None,
    given_output: Annotated[Path | None, typer.Option("--output", help="Results.")] = None,
    given_model: Annotated[
        Path | None, typer.Option("--model", help="A bundle, or the folder that holds one.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check bundle and rights, and judge nothing.")
    ] = False,
) -> None:
    """Judge what is mounted, as the image does; takes the options of `predict` too."""
    from polypskd.deployment.application import (
        check_rights,
        find_bundle,
        find_places,
        read_options,
    )
    from polypskd.deployment.bundle import open_bundle

    places = find_places(os.environ, given_input, given_output, given_model)
    check_rights(places)
    bundle = find_bundle(places.models)
    options = read_options(places.settings)
    if check:
        opened = open_bundle(bundle)
        result = {"bundle": opened.manifest.name, "model_sha256": opened.model_hash, "ready": True}
        say(result, f"Ready: bundle {opened.manifest.name}", as_json="--json" in context.args)
        return
    parent = context.parent
    group = parent.command if parent else None
    if parent is None or not isinstance(group, typer.core.TyperGroup):
        raise ConfigError("app: runs as a verb of polypskd only")
    verb = group.commands["predict"]
    # In the image the standard's folders are links to the short ones.
    where = [str(bundle), str(places.input.resolve()), "--out", str(places.output.resolve())]
    verb.main([*where, *options, *context.args], prog_name="polypskd predict")


def show() -> None:
    """Print the manifests of the image: app.json and pkg.json."""
    import json

    from polypskd.deployment.application_package import read_manifests

    pages = read_manifests()
    say(pages, json.dumps(pages, indent=2), as_json=False)


def extract() -> None:
    """Copy app, config, models and docs of the image to /var/run/holoscan/export."""
    from polypskd.deployment.application_package import EXPORT, export_parts

    parts = export_parts()
    say({"parts": parts}, f"Copied to {EXPORT}: {', '.join(parts)}", as_json=False)
