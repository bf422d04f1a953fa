"""LabelMe: a flag that is set is a vote; one JSON a frame, one folder an annotator."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from polypskd.cohort.exports.sheet import Person, Sheet
from polypskd.cohort.exports.stream import stream_json
from polypskd.config import LabelMeVotes


def read_labelme(path: Path, form: LabelMeVotes, sheet: Sheet, folder: str = "") -> None:
    """Read the votes of one file into a sheet.

    Args:
        path: the JSON.
        form: the config's section.
        sheet: takes the votes.
        folder: of the file, below that of its annotator.

    Raises:
        CohortError: the file cannot be read as such an export.
    """
    found: dict[str, Any] = {"shapes": []}
    for piece in stream_json(path, sheet.file):
        if piece.key == "shapes" and piece.listed:
            found["shapes"].append(piece.value)
        elif not piece.listed and piece.key in {"flags", "imagePath"}:
            found[piece.key] = piece.value
    if "flags" not in found or "imagePath" not in found:
        key = "imagePath" if "flags" in found else "flags"
        sheet.blame("", "no key", key, "this is no file of LabelMe; take it out")
        return
    image = sheet.word(found["imagePath"], "", "imagePath")
    flags = sheet.expect(found["flags"] or {}, dict, "", "flags")
    if image is None or flags is None:
        return
    frame = str(PurePosixPath(folder) / image.replace("\\", "/"))
    person = Person("")
    raised = []
    for flag, value in flags.items():
        if sheet.expect(value, bool, "", f"flag {flag[:40]!r}") and value:
            word = sheet.word(flag, "", "a flag")
            raised += [] if word is None else [word]
    if len(raised) > 1:
        todo = "set one flag a frame"
        sheet.blame("", "several choices of one annotator:", ", ".join(raised), todo, frame)
        return
    for shape in found["shapes"]:
        entry = sheet.expect(shape, dict, "", "a shape")
        if entry is not None:
            kind, label = entry.get("shape_type"), entry.get("label")
            shown = kind[:40] if isinstance(kind, str) else "shape"
            sheet.add_region(shown, frame, person, label if isinstance(label, str) else "", "")
    if raised:
        sheet.add(frame, person, raised[0], "")
    elif not found["shapes"]:
        sheet.leave("file", "no flag is set")
