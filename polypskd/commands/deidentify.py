"""The verb `deidentify`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polypskd.commands.options import JsonOption, QuietOption, let_stop, say

if TYPE_CHECKING:
    from polypskd.deployment.deidentification.rules import Rules
    from polypskd.deployment.deidentify import Outcome, Wish

SHOWN = 50


def deidentify(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Folder (or one file) to copy.")],
    out: Annotated[Path, typer.Option("--out", help="New, empty, or left by this command.")],
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", help="File with the secret key, e.g. of: openssl rand -hex 32."),
    ] = None,
    key_env: Annotated[
        str | None, typer.Option("--key-env", help="Environment variable with the secret key.")
    ] = None,
    retain: Annotated[
        list[str] | None,
        typer.Option("--retain", help="dates (shifted), device or patient. Repeatable."),
    ] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="YAML: which device writes text where.")
    ] = None,
    trust_field: Annotated[
        bool,
        typer.Option(
            "--trust-field",
            help="Make all black outside the endoscope's picture; I have seen that no text "
            "stands within it.",
        ),
    ] = False,
    pixels_are_clean: Annotated[
        bool,
        typer.Option(
            "--pixels-are-clean", help="I have seen that no text stands in images and DICOM files."
        ),
    ] = False,
    video_pixels_are_clean: Annotated[
        bool,
        typer.Option("--video-pixels-are-clean", help="I have seen that no text stands in videos."),
    ] = False,
    mapping: Annotated[
        Path | None,
        typer.Option("--mapping", help="Write which file became which; it leads back to patients."),
    ] = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Copy DICOM files, images and videos without their patients."""
    from polypskd.deployment.deidentification.mapping import check_mapping, write_mapping
    from polypskd.deployment.deidentification.panel import Trust
    from polypskd.deployment.deidentification.rules import Rules, read_rules
    from polypskd.deployment.deidentify import Wish, check_places
    from polypskd.deployment.deidentify import deidentify as copy
    from polypskd.job import complain
    from polypskd.terminal import show_progress

    kept = check_retained(retain or [])
    key = read_secret(key_file, key_env)
    wish = Wish(
        key,
        kept,
        Rules() if rules is None else read_rules(rules),
        Trust(field=trust_field, pixels=pixels_are_clean, video=video_pixels_are_clean),
    )
    check_places(source, out)
    if mapping is not None:
        check_mapping(mapping, out)
    for line in () if quiet else warn_before(wish):
        complain(f"NOTE  {line}\n")
    with let_stop(), show_progress(quiet) as listen:
        outcome = copy(source, out, wish, listen)
    if mapping is not None:
        write_mapping(mapping, outcome.names)
    say(*describe_outcome(outcome, out, wish), as_json)
    if outcome.refused or not outcome.ways:
        raise typer.Exit(1)


def check_retained(names: list[str]) -> frozenset[str]:
    """Check the options of the profile.

    Raises:
        ConfigError: one is not known.
    """
    from polypskd.deployment.deidentification.profile import RETAINED
    from polypskd.errors import ConfigError

    for name in names:
        if name not in RETAINED:
            raise ConfigError(f"--retain {name}: not known; use {', '.join(RETAINED)}")
    return frozenset(names)


def read_secret(file: Path | None, variable: str | None) -> bytes:
    """Read the key from a file or the environment.

    Raises:
        ConfigError: neither or both are given, or the key cannot be used.
    """
    from polypskd.cohort.pseudonyms import read_key
    from polypskd.errors import ConfigError

    if (file is None) == (variable is None):
        raise ConfigError(
            "give the secret key by --key-file FILE or --key-env NAME (one of them); "
            "a new one: openssl rand -hex 32 > key && chmod 600 key"
        )
    return read_key(file if file is not None else f"env:{variable}")


WARNED = {
    "field": "All outside the endoscope's picture is black. Text written over the picture itself "
    "is not found by any program here: you vouched for it (--trust-field). Open some results of "
    "each device and look.",
    "rule: black": "Your rules made rectangles black; text elsewhere in the picture stays. Open "
    "some results of each rule and look.",
    "rule: keep": "Your rules made all black but some rectangles; text within them stays. Open "
    "some results of each rule and look.",
    "rule: clean": "Your rules say that no text is burned in; no pixel was changed. Open some "
    "results of each rule and look.",
    "declared clean": "These files themselves say that no text is burned in; look at some.",
    "said clean": "You vouched that no text is burned in; no pixel was changed.",
}


def warn_before(wish: Wish) -> list[str]:
    """Warn of what the wish leaves in the pictures, before any work is done."""
    told = []
    if wish.trust.field:
        told.append(
            "--trust-field: text that a device writes over the endoscope's picture itself stays; "
            "if one of yours does that, stop (Ctrl-C) and give --rules"
        )
    return told + warn_of_rules(wish.rules)


def warn_of_rules(rules: Rules) -> list[str]:
    """Warn of rules that take files of any device."""
    return [
        f"rule {number} names neither manufacturer nor model: it takes the files of any device "
        "that fit the rest of its match"
        for number in rules.vague
    ]


def describe_outcome(outcome: Outcome, out: Path, wish: Wish) -> tuple[dict[str, Any], str]:
    """Describe what came of it, for machines and for people."""
    written = sum(outcome.ways.values())
    refused = [str(fault) for fault in outcome.refused]
    notes = [f"{way}: {WARNED[way]}" for way in outcome.ways if way in WARNED]
    notes += warn_of_rules(wish.rules)
    took = sorted(
        outcome.took.items(), key=lambda one: [int(n) for n in re.findall(r"\d+", one[0])]
    )
    result = {
        "out": str(out),
        "files": written,
        "unchanged": outcome.unchanged,
        "pixels": outcome.ways,
        "rules": dict(took),
        "refused": refused,
        "left_out": outcome.left_out,
        "others": outcome.others,
        "notes": notes,
    }
    lines = [
        f"De-identified {written:,} files into {out} ({outcome.unchanged:,} were there already)."
    ]
    if not written and not refused:
        lines = ["Nothing to de-identify: no DICOM file, image or video was found."]
    lines += [f"  {count:>7,}  pixels: {way}" for way, count in outcome.ways.items()]
    lines += [f"  {count:>7,}  {name} (rows x columns)" for name, count in took]
    if outcome.left_out:
        kinds = ", ".join(
            f"{count} {suffix or 'with no known suffix'}"
            for suffix, count in sorted(outcome.left_out.items())
        )
        lines.append(f"  Left out, of a kind that is not known: {kinds}")
    if outcome.others:
        lines.append(
            f"  {outcome.others} more are of earlier calls; their sources are gone, changed or "
            "elsewhere"
        )
    lines += [f"NOTE  {note}" for note in notes]
    if refused:
        lines.append(f"{len(refused)} files were refused and not written:")
        lines += [f"  {line}" for line in refused[:SHOWN]]
        if len(refused) > SHOWN:
            lines.append(f"  ... and {len(refused) - SHOWN} more (--json lists all)")
    return result, "\n".join(lines)
