"""COCO as classification: a category given to an image without box and outline is a vote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polypskd.cohort.exports.sheet import Person, Sheet
from polypskd.cohort.exports.stream import Piece, stream_json
from polypskd.config import CocoVotes

LISTS = ("images", "categories", "annotations")
SHAPES = ("segmentation", "keypoints", "bbox")
Mark = tuple[int | str, int | str, str, str]  # image, category, kind of region, place


def read_coco(path: Path, form: CocoVotes, sheet: Sheet) -> None:
    """Read the votes of one file into a sheet.

    Args:
        path: the JSON.
        form: the config's section.
        sheet: takes the votes.

    Raises:
        CohortError: the file cannot be read as such an export.
    """
    names: dict[str, dict[int | str, str]] = {"images": {}, "categories": {}}
    marks: list[Mark] = []
    met: set[str] = set()
    for piece in stream_json(path, sheet.file):
        met.add(piece.key)
        if piece.key not in LISTS:
            continue
        place = f"line {piece.line}"
        what = {"images": "an image", "categories": "a category"}.get(piece.key, "an annotation")
        if not piece.listed:
            sheet.blame(place, f"{piece.key} is not a list", todo="export it anew")
            continue
        entry = sheet.expect(piece.value, dict, place, what)
        if entry is None:
            continue
        if piece.key == "annotations":
            marks += _read_mark(entry, sheet, place)
        else:
            _read_name(entry, piece, sheet, names[piece.key])
    lacking = [key for key in ("images", "categories") if key not in met]
    if lacking:
        sheet.blame("", "no list", lacking[0], "export it as COCO")
        return
    for image, category, kind, place in marks:
        frame, label = names["images"].get(image), names["categories"].get(category)
        if frame is None:
            sheet.blame(place, "no image has the id", str(image), "export it anew")
        elif label is None:
            sheet.blame(place, "no category has the id", str(category), "export it anew", frame)
        elif kind:
            sheet.add_region(f"annotation with {kind}", frame, Person(""), label, place)
        else:
            sheet.add(frame, Person(""), label, place)


def _read_name(
    entry: dict[str, Any], piece: Piece, sheet: Sheet, names: dict[int | str, str]
) -> None:
    place = f"line {piece.line}"
    key = _find_id(entry, "id", sheet, place)
    field = "file_name" if piece.key == "images" else "name"
    word = sheet.word(entry.get(field), place, field)
    if key is None or word is None:
        return
    if names.setdefault(key, word) != word:
        sheet.blame(place, f"two {piece.key} have the id", str(key), "export it anew")


def _read_mark(entry: dict[str, Any], sheet: Sheet, place: str) -> list[Mark]:
    image = _find_id(entry, "image_id", sheet, place)
    if entry.get("category_id") is None:
        sheet.leave("annotation", "it has no category")
        return []
    category = _find_id(entry, "category_id", sheet, place)
    if image is None or category is None:
        return []
    kind = next((name for name in SHAPES if entry.get(name)), "")
    return [(image, category, kind, place)]


def _find_id(entry: dict[str, Any], key: str, sheet: Sheet, place: str) -> int | str | None:
    value = entry.get(key)
    if isinstance(value, str):
        return value
    return sheet.expect(value, int, place, key)
