"""Heat maps of the worst errors in the report: read as data URIs, told in words."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_cams(section: Json, folder: Path) -> dict[int, str]:
    """Read the heat maps that study.json tells of; those that are gone are left out.

    A map covers the square that the network sees: the frame in its middle, bars at both sides.

    Args:
        section: `cams` of study.json.
        folder: of the run.

    Returns:
        Row of examples.csv, the header being row 1, → PNG as a data URI.
    """
    found = {}
    for row in section.get("rows", ()):
        path = folder / "cams" / f"{int(row)}.png"
        content = path.read_bytes() if path.is_file() else b""
        if content.startswith(SIGNATURE):
            found[int(row)] = "data:image/png;base64," + base64.b64encode(content).decode()
    return found


def tell_cams(section: Json) -> list[str]:
    """Say what the heat maps show, and what they do not.

    Args:
        section: `cams` of study.json.

    >>> tell_cams({"rows": []})
    []
    >>> tell_cams({"not_assessable": "a frame has gone"})
    ['There are no heat maps: a frame has gone.']
    """
    if reason := section.get("not_assessable"):
        return [f"There are no heat maps: {reason}."]
    if not section["rows"]:
        return []
    return [
        "Colored places are those whose features spoke for the class that the student chose, each "
        f"frame on a scale of its own ({section['method']}, stage {section['layer']}). They are "
        "coarse, and tell where the network looked, not why, nor whether it was right to."
    ]
