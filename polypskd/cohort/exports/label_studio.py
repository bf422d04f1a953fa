"""Label Studio: JSON (all annotations of a task) and JSON-MIN (one flat entry an annotation).

A vote is a result of type choices or taxonomy (its leaf) that stands for the whole image. Skipped
annotations and predictions are none.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polypskd.cohort.exports.addresses import is_inline
from polypskd.cohort.exports.sheet import Person, Sheet
from polypskd.cohort.exports.stream import stream_json
from polypskd.config import LabelStudioVotes

PLACED = {"x", "points", "start", "end", "rle", "ranges", "sequence"}  # keys of a part of an image


def read_label_studio(path: Path, form: LabelStudioVotes, sheet: Sheet) -> None:
    """Read the votes of one file into a sheet.

    Args:
        path: the JSON.
        form: the config's section.
        sheet: takes the votes.

    Raises:
        CohortError: the file cannot be read as such an export.
    """
    controls: dict[str, str] = {}
    before = len(sheet.faults)
    for piece in stream_json(path, sheet.file):
        place = f"line {piece.line}"
        if not piece.listed or piece.key:
            todo = "export it as JSON or JSON-MIN"
            sheet.blame(place, "not a list of tasks", todo=todo)
            return
        task = sheet.expect(piece.value, dict, place, "a task")
        if task is None:
            continue
        if isinstance(task.get("id"), int | str):
            place = f"task {str(task['id'])[:40]}"
        if "annotations" in task or "data" in task:
            _read_task(task, form, sheet, place, controls)
        else:
            _read_flat(task, form, sheet, place)
    if form.control is None and len(controls) > 1:
        names = ", ".join(sorted(controls))
        todo = f"name one in cohort.votes.control: {names}"
        sheet.blame("", "several controls hold choices", todo=todo)
    elif form.control is not None and controls and form.control not in controls:
        todo = f"its controls are: {', '.join(sorted(controls))}"
        if len(sheet.faults) == before:
            sheet.blame("", "no control", form.control, todo)


def _read_task(
    task: dict[str, Any], form: LabelStudioVotes, sheet: Sheet, place: str, controls: dict[str, str]
) -> None:
    data = sheet.expect(task.get("data"), dict, place, "the task's data")
    frame = None if data is None else _find_frame(data, form, sheet, place)
    done = sheet.expect(task.get("annotations"), list, place, "annotations")
    if frame is None or done is None:
        return
    predictions = task.get("predictions")
    if isinstance(predictions, list) and predictions:
        sheet.leave("prediction", "it is not a person's vote", len(predictions))
    drafts = task.get("drafts")
    if isinstance(drafts, list) and drafts:
        sheet.leave("draft", "nobody has submitted it", len(drafts))
    if not done:
        sheet.leave("task", "nobody has annotated it")
    for entry in done:
        annotation = sheet.expect(entry, dict, place, "an annotation")
        if annotation is None:
            continue
        if annotation.get("was_cancelled") is True:
            sheet.leave("skipped annotation", "whoever skips a task does not vote")
            continue
        person = _find_person(annotation.get("completed_by"), sheet, place)
        results = sheet.expect(annotation.get("result"), list, place, "an annotation's result")
        if person is None or results is None:
            continue
        for item in results:
            result = sheet.expect(item, dict, place, "a result")
            if result is not None:
                _read_result(result, (frame, person, place), form, sheet, controls)


def _read_result(
    result: dict[str, Any],
    of: tuple[str, Person, str],
    form: LabelStudioVotes,
    sheet: Sheet,
    controls: dict[str, str],
) -> None:
    frame, person, place = of
    kind = str(result.get("type", ""))[:40]
    if kind == "relation":
        sheet.leave("relation", "it is no vote")
        return
    value = sheet.expect(result.get("value"), dict, place, "a result's value")
    if value is None:
        return
    if PLACED & value.keys() or kind.endswith("labels"):
        labels = value.get(kind)
        # Choices for a region repeat the region's place; the region itself is counted already.
        if kind.endswith("labels"):
            for label in labels if isinstance(labels, list) and labels else [""]:
                word = label.strip() if isinstance(label, str) else ""
                sheet.add_region(f"region ({kind})", frame, person, word, place)
        else:
            sheet.leave(f"{kind} of a region", "it says nothing of the whole frame")
        return
    if kind not in {"choices", "taxonomy"}:
        sheet.leave(f"result of type {kind or 'unknown'}", "only choices and taxonomy are votes")
        return
    control = sheet.word(result.get("from_name"), place, "from_name")
    if control is None:
        return
    controls.setdefault(control, kind)
    if form.control is not None and control != form.control:
        sheet.leave(f"result of control {control}", "cohort.votes.control names another")
        return
    chosen = sheet.expect(value.get(kind), list, place, kind)
    if chosen is not None:
        _take_chosen(chosen, frame, person, sheet, place)


def _take_chosen(chosen: list[Any], frame: str, person: Person, sheet: Sheet, place: str) -> None:
    if not chosen:
        sheet.leave("empty choice", "nothing is chosen")
        return
    words = []
    for one in chosen:
        # A taxonomy gives the way from the root to the leaf.
        leaf = one[-1] if isinstance(one, list) and one else one
        word = sheet.word(leaf, place, "a choice")
        if word is None:
            return
        words.append(word)
    if len(set(words)) > 1:
        todo = "one vote a frame; let the tool allow a single choice"
        sheet.blame(place, "several choices of one annotator:", ", ".join(words), todo, frame)
        return
    sheet.add(frame, person, words[0], place)


def _read_flat(task: dict[str, Any], form: LabelStudioVotes, sheet: Sheet, place: str) -> None:
    """Read an entry of JSON-MIN."""
    if form.control is None:
        known = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}
        names = ", ".join(sorted(str(key)[:40] for key in task.keys() - known - {form.frame})[:20])
        todo = f"name the choices in cohort.votes.control, one of: {names}"
        sheet.blame(place, "this JSON-MIN does not say which key is the vote", todo=todo)
        return
    frame = _find_frame(task, form, sheet, place)
    if frame is None:
        return
    value = task.get(form.control)
    if value is None or value == "":
        sheet.leave("entry", f"it has no {form.control}")
        return
    person = _find_person(task.get("annotator"), sheet, place)
    if person is None:
        return
    if isinstance(value, dict):
        value = value.get("choices", value.get("taxonomy"))
    if isinstance(value, list) and value and isinstance(value[0], dict):
        for entry in value:
            region = entry if isinstance(entry, dict) else {}
            kind = next((str(key)[:40] for key in region if key.endswith("labels")), "region")
            labels = region.get(kind)
            label = labels[0] if isinstance(labels, list) and labels else ""
            word = label.strip() if isinstance(label, str) else ""
            sheet.add_region(f"region ({kind})", frame, person, word, place)
        return
    chosen = [value] if isinstance(value, str) else value
    checked = sheet.expect(chosen, list, place, form.control)
    if checked is not None:
        _take_chosen(checked, frame, person, sheet, place)


def _find_frame(
    data: dict[str, Any], form: LabelStudioVotes, sheet: Sheet, place: str
) -> str | None:
    if form.frame not in data:
        keys = ", ".join(sorted(str(key)[:40] for key in data)[:20])
        todo = f"name the image's key in cohort.votes.frame; its keys are: {keys}"
        sheet.blame(place, "the task's data have no key", form.frame, todo)
        return None
    value = data[form.frame]
    if isinstance(value, str) and is_inline(value):
        todo = "load the images by address or upload"
        sheet.blame(place, "the image itself stands in the task, not its name", todo=todo)
        return None
    return sheet.word(value, place, f"data.{form.frame}")


def _find_person(value: object, sheet: Sheet, place: str) -> Person | None:
    if sheet.person is not None:
        return sheet.person
    if isinstance(value, dict):
        value = value.get("id", value.get("email"))
    if isinstance(value, int) and not isinstance(value, bool):
        return Person(str(value))
    if isinstance(value, str) and value.strip():
        return Person(value.strip())
    sheet.blame(place, "an annotation does not say who made it", todo="export it with completed_by")
    return None
