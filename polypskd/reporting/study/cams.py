"""Heat maps of the worst errors in the report, told in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = Mapping[str, Any]


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
        "The second picture outlines the places with at least half of the highest heat, bluer the "
        "higher it is: their features spoke for the class that the student chose, each frame on a "
        f"scale of its own ({section['method']}, stage {section['layer']}). They are coarse, and "
        "tell where the network looked, not why, nor whether it was right to."
    ]
