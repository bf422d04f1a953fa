"""Which tool an export is of, and a first config for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polypskd.cohort.exports.markup import read_tags
from polypskd.cohort.exports.reading import AnyExport, Export, list_sources, read_export
from polypskd.cohort.exports.stream import stream_json
from polypskd.config import (
    CocoVotes,
    CvatVotes,
    DatumaroVotes,
    LabelMeVotes,
    LabelStudioVotes,
    VotesExport,
)
from polypskd.errors import CohortError, ConfigError

SUFFIXES = (".json", ".xml")
FORMS: dict[str, type[LabelStudioVotes | CvatVotes | CocoVotes | DatumaroVotes | LabelMeVotes]] = {
    "label_studio": LabelStudioVotes,
    "cvat": CvatVotes,
    "coco": CocoVotes,
    "datumaro": DatumaroVotes,
    "labelme": LabelMeVotes,
}
TOLD_BY = {
    "images": "coco",
    "annotations": "coco",
    "dm_format_version": "datumaro",
    "items": "datumaro",
    "imagePath": "labelme",
    "shapes": "labelme",
    "flags": "labelme",
}
FEWEST_TASKS = 1000  # looked at for keys
MOST_CLASSES = 50
ANNOTATOR = re.compile(r"annotator|rater|reader|expert|doctor|physician|endoscopist", re.I)
REGIONS = "regions: frame_label"
FLAT = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}


@dataclass(frozen=True)
class Guess:
    """A first look at an export.

    Args:
        votes: the section ``cohort.votes`` as in YAML.
        counts: how often each vote was given.
        frames: names of the frames, sorted.
        notes: what was guessed and what was not used.
    """

    votes: dict[str, Any]
    counts: dict[str, int]
    frames: list[str]
    notes: list[str]


def is_export(path: Path) -> bool:
    """Whether a path is to be looked at as an export: JSON, XML or a folder."""
    return path.is_dir() or path.suffix.lower() in SUFFIXES


def recognize_export(path: Path, frames: list[str] | None, regions: str = "tell") -> Guess:
    """Guess the section ``cohort.votes`` of an export.

    Args:
        path: the file, or the folder of LabelMe's files.
        frames: ids of the frames that exist, if there are any.
        regions: ``frame_label`` if the class of a box or outline is a vote on its frame.

    Raises:
        CohortError: the file cannot be read, or holds no votes.
        ConfigError: it is of no tool known here, or of other things than images.
    """
    kind = find_tool(path)
    more = {} if regions == "tell" else {"regions": regions}
    best: tuple[AnyExport, Export] | None = None
    failed: CohortError | None = None
    ways = _list_keys(path, kind)
    for keys in ways:
        form = FORMS[kind].model_validate({"path": path, **keys, **more})
        try:
            export = read_export(form, frames)
        except CohortError as error:
            failed = failed or error
            continue
        classes = export.table.cells["vote"].n_unique()
        if best is None or 2 <= classes <= MOST_CLASSES:
            best = (form, export)
        if 2 <= classes <= MOST_CLASSES:
            break
    read = best is not None and len(best[1].table.cells) > 0
    if not read and kind == "label_studio" and "frame" not in ways[0]:
        raise ConfigError(
            f"{path}: no task has an image: none of their data names a file or address of one; "
            "export the project in which frames were labeled"
        )
    if best is None:
        if failed is not None and REGIONS in str(failed):
            raise ConfigError(f"{failed}; with --regions frame_label, init takes them") from None
        raise failed or ConfigError(f"{path}: no votes in this export")
    chosen, export = best
    votes = chosen.model_dump(mode="json", exclude_defaults=True) | {"path": path.as_posix()}
    notes = [f"votes: an export of kind {kind}", *export.notes]
    if export.faults:
        notes.append(f"{len(export.faults):,} faults, the first: {export.faults[0]}")
    cells = export.table.cells
    return Guess(
        {"kind": kind} | votes,
        dict(Counter(cells["vote"].to_list())),
        cells["frame"].unique().sort().to_list(),
        notes,
    )


def find_tool(path: Path) -> str:
    """Tell the kind of ``cohort.votes`` by what a file begins with.

    Args:
        path: the file, or a folder of such files.

    Raises:
        CohortError: it cannot be read.
        ConfigError: it is of no tool known here.
    """
    if path.is_dir():
        path = list_sources(VotesExport(path=path))[0].path
    if path.suffix.lower() == ".xml":
        return "cvat"
    for piece in stream_json(path, path.name):
        if not piece.key:
            return "label_studio"
        if piece.key == "categories":
            return "coco" if piece.listed else "datumaro"
        if piece.key in TOLD_BY:
            return TOLD_BY[piece.key]
    tools = ", ".join(FORMS)
    raise ConfigError(f"{path}: of no label tool known here; known are: {tools}")


def _list_keys(path: Path, kind: str) -> list[dict[str, str]]:
    """List what may be set beside the path, the likeliest first."""
    if kind == "label_studio":
        return _list_controls(path)
    if kind not in {"cvat", "datumaro"}:
        return [{}]
    names = _count_attributes(path) if kind == "cvat" else _count_fields(path)
    who = next((name for name, _ in names.most_common() if ANNOTATOR.search(name)), None)
    people = {} if who is None else {"annotator": who}
    others = [name for name, _ in names.most_common(20) if name not in {"", who}]
    return [people, *(people | {"attribute": name} for name in others)]


def _count_attributes(path: Path) -> Counter[str]:
    names: Counter[str] = Counter()

    def count(tags: tuple[str, ...], attributes: Mapping[str, str], _: int) -> None:
        if tags[-2:] == ("tag", "attribute"):
            names[attributes.get("name", "")] += 1

    read_tags(path, path.name, count, lambda *_: None)
    return names


def _count_fields(path: Path) -> Counter[str]:
    names: Counter[str] = Counter()
    for piece in stream_json(path, path.name):
        item = piece.value if piece.key == "items" and isinstance(piece.value, dict) else {}
        marks = item.get("annotations")
        for mark in marks if isinstance(marks, list) else []:
            fields = mark.get("attributes") if isinstance(mark, dict) else None
            if isinstance(fields, dict) and mark.get("type") == "label":
                names.update(name for name, value in fields.items() if isinstance(value, str))
    return names


def _list_controls(path: Path) -> list[dict[str, str]]:
    """List keys of images and controls of choices, most often met first."""
    controls: Counter[str] = Counter()
    images: Counter[str] = Counter()
    values: dict[str, set[str]] = {}
    for number, piece in enumerate(stream_json(path, path.name)):
        if number == FEWEST_TASKS or not isinstance(piece.value, dict):
            break
        task = piece.value
        data = task.get("data", task)
        data = data if isinstance(data, dict) else {}
        texts = {key: value for key, value in data.items() if isinstance(value, str)}
        found = [key for key, value in texts.items() if _looks_like_image(value)]
        images.update(found)
        if "data" in task or "annotations" in task:
            controls.update(_find_controls(task))
            continue
        for key in texts.keys() - FLAT - set(found):
            controls[key] += 1
            values.setdefault(key, set()).add(texts[key])
    # A key with another value in each entry names something; it is no choice.
    chosen = [
        name
        for name, count in controls.most_common()
        if name not in values or len(values[name]) <= max(2, count // 2)
    ]
    image = {"frame": images.most_common(1)[0][0]} if images else {}
    return [image | {"control": name} for name in chosen] or [image]


def _find_controls(task: dict[str, Any]) -> list[str]:
    annotations = task.get("annotations")
    entries = (
        [e for e in annotations if isinstance(e, dict)] if isinstance(annotations, list) else []
    )
    results = [r for e in entries if isinstance(e.get("result"), list) for r in e["result"]]
    return [
        str(result.get("from_name"))
        for result in results
        if isinstance(result, dict) and result.get("type") in {"choices", "taxonomy"}
    ]


def _looks_like_image(value: str) -> bool:
    head = value.split("?", maxsplit=1)[0].lower() if "://" in value else value.lower()
    endings = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm")
    return head.endswith(endings) or value.startswith("/data/")
