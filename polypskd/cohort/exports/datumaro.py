"""Datumaro: an annotation of type label is a vote, unless it is grouped with a region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polypskd.cohort.exports.sheet import Person, Sheet
from polypskd.cohort.exports.stream import stream_json
from polypskd.config import DatumaroVotes
from polypskd.errors import CohortError

NOT_PLACED = {"label", "caption", "hash_key", "feature_vector"}
Mark = tuple[str, Person, object, str, str]  # frame, person, vote or label's number, kind, place


def read_datumaro(path: Path, form: DatumaroVotes, sheet: Sheet) -> None:
    """Read the votes of one file into a sheet.

    Args:
        path: the JSON.
        form: the config's section.
        sheet: takes the votes.

    Raises:
        CohortError: the file cannot be read as such an export.
    """
    labels: list[str] = []
    marks: list[Mark] = []
    met: set[str] = set()
    for piece in stream_json(path, sheet.file):
        met.add(piece.key)
        place = f"line {piece.line}"
        if piece.key == "categories" and piece.listed:
            sheet.blame(place, "categories is a list", todo="is it COCO? then kind: coco")
            raise CohortError(sheet.faults)
        if piece.key == "categories":
            labels = _read_labels(piece.value, sheet, place)
        elif piece.key == "items" and piece.listed:
            item = sheet.expect(piece.value, dict, place, "an item")
            if item is not None:
                marks += _read_item(item, form, sheet, place)
    lacking = [key for key in ("categories", "items") if key not in met]
    if lacking:
        sheet.blame("", "no key", lacking[0], "export it as Datumaro JSON")
        return
    for frame, person, given, kind, place in marks:
        if isinstance(given, str):
            vote = given
        elif isinstance(given, int) and 0 <= given < len(labels):
            vote = labels[given]
        else:
            sheet.blame(place, "no label has the number", str(given), "export it anew", frame)
            continue
        if kind:
            sheet.add_region(kind, frame, person, vote, place)
        else:
            sheet.add(frame, person, vote, place)


def _read_labels(categories: object, sheet: Sheet, place: str) -> list[str]:
    value = sheet.expect(categories, dict, place, "categories")
    label = sheet.expect((value or {}).get("label"), dict, place, "categories.label")
    entries = sheet.expect((label or {}).get("labels"), list, place, "categories.label.labels")
    labels = []
    for entry in entries or []:
        named = sheet.expect(entry, dict, place, "a label")
        labels.append(sheet.word((named or {}).get("name"), place, "a label's name") or "")
    return labels


def _read_item(item: dict[str, Any], form: DatumaroVotes, sheet: Sheet, place: str) -> list[Mark]:
    frame = _find_frame(item, sheet, place)
    entries = sheet.expect(item.get("annotations"), list, place, "annotations")
    if frame is None or entries is None:
        return []
    if not entries:
        sheet.leave("item", "nobody has annotated it")
    found = [e for e in entries if sheet.expect(e, dict, place, "an annotation") is not None]
    groups = {
        str(entry.get("group") or "") for entry in found if str(entry.get("type")) not in NOT_PLACED
    } - {""}
    marks: list[Mark] = []
    for entry in found:
        marks += _read_annotation(entry, frame, form, sheet, (place, groups))
    return marks


def _read_annotation(
    entry: dict[str, Any],
    frame: str,
    form: DatumaroVotes,
    sheet: Sheet,
    of: tuple[str, set[str]],
) -> list[Mark]:
    place, groups = of
    kind = sheet.word(entry.get("type"), place, "an annotation's type")
    attributes = sheet.expect(entry.get("attributes", {}), dict, place, "attributes")
    if kind is None or attributes is None:
        return []
    if kind == "label" and str(entry.get("group") or "") in groups:
        sheet.leave("label in a group with a region", "it says nothing of the whole frame")
        return []
    if kind in NOT_PLACED - {"label"}:
        sheet.leave(kind, "only annotations of type label are votes")
        return []
    person = Person("")
    if sheet.person is None and form.annotator is not None:
        name = attributes.get(form.annotator)
        word = sheet.word(
            str(name) if isinstance(name, int) else name, place, f"attribute {form.annotator}"
        )
        if word is None:
            return []
        person = Person(word)
    given: object = entry.get("label_id")
    if form.attribute is not None:
        given = attributes.get(form.attribute)
        if given is None or given == "":
            sheet.leave(kind, f"it has no attribute {form.attribute}")
            return []
        given = sheet.word(given, place, f"attribute {form.attribute}")
    elif kind == "label" or given is not None:
        given = sheet.expect(given, int, place, "label_id")
    else:
        given = ""  # a region without a class
    return [] if given is None else [(frame, person, given, "" if kind == "label" else kind, place)]


def _find_frame(item: dict[str, Any], sheet: Sheet, place: str) -> str | None:
    for key in ("media", "image"):
        media = item.get(key)
        if isinstance(media, dict) and media.get("path"):
            return sheet.word(media["path"], place, f"{key}.path")
    return sheet.word(item.get("id"), place, "an item's id")
