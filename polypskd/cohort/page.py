"""The first config, as a commented page."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import yaml

from polypskd.cohort.exports.recognition import REGIONS
from polypskd.cohort.recognition import Recognized, Section


def write_config(look: Recognized, folder: Path, name: str = "my-cohort") -> str:
    """Write a commented YAML config.

    Args:
        look: from `recognize_votes`.
        folder: where the config will lie; its paths are made relative to it.
        name: of the experiment; names the run's folder.
    """
    lines = ["# Guessed by `polypskd init`; check every line. `polypskd check` reads it.", "#"]
    lines += [f"# - {' '.join(note.split())}" for note in look.notes]
    text = yaml.safe_dump({"name": name, "seed": 17}, sort_keys=False, allow_unicode=True)
    lines += ["", *text.splitlines(), "cohort:"]
    body = yaml.safe_dump(
        _relative(look.cohort, folder), sort_keys=False, allow_unicode=True, width=90
    )
    comments = {
        "frames:": "what is looked at; paths are relative to this file",
        "votes:": "who saw what; annotations/README.md shows every form",
        "classes:": "alphabetical: REORDER from lowest to highest clinical risk (ties go up)",
        "patients:": "frames of one patient never stand in two splits",
        "split:": "train, val and test",
    }
    unused = any(REGIONS in note for note in look.notes)
    for line in body.splitlines():
        if unused and line.startswith("classes:"):
            lines.append(f"    # {REGIONS}   # boxes and outlines become votes on their frames")
        comment = comments.get(line.split(" ")[0])
        lines += [f"  # {comment}"] if comment else []
        lines.append(f"  {line}")
    if "patients" not in look.cohort:
        pattern = {"kind": "pattern", "pattern": look.pattern or "(patient[0-9]+)_"}
        line = yaml.safe_dump(pattern, default_flow_style=True, sort_keys=False, width=200)
        told = "These frames' names may tell" if look.pattern else "Where names tell"
        lines += [
            f"  # Patients are unknown, so one may stand in two splits. {told}:",
            f"  # patients: {line.strip()}   # the group in brackets is the patient",
        ]
    return "\n".join(lines) + "\n"


def _relative(cohort: Section, folder: Path) -> Section:
    """Write paths as seen from the config's folder; absolute ones stay as they are."""
    section = copy.deepcopy(cohort)
    for form, key in (("frames", "root"), ("votes", "path"), ("metadata", "path")):
        given = section.get(form, {}).get(key)
        if given is not None and not Path(given).is_absolute():
            section[form][key] = Path(os.path.relpath(given, folder)).as_posix()
    return section
