"""Exports as the label tools write them, made of plain votes (frame, annotator, vote)."""

import json
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

Votes = list[tuple[str, str, str]]
TOOLS = ("label_studio", "label_studio_min", "cvat", "coco", "datumaro", "labelme")


def people_of(votes: Votes) -> list[str]:
    return sorted({annotator for _, annotator, _ in votes})


def classes_of(votes: Votes) -> list[str]:
    return sorted({vote for _, _, vote in votes})


def by_frame(votes: Votes) -> dict[str, list[tuple[str, str]]]:
    frames: dict[str, list[tuple[str, str]]] = {}
    for frame, annotator, vote in votes:
        frames.setdefault(frame, []).append((annotator, vote))
    return frames


def choice(vote: str, control: str = "class") -> dict:
    value = {"choices": [vote]}
    return {"from_name": control, "to_name": "image", "type": "choices", "value": value}


def annotation(person: object, *results: dict, **more: object) -> dict:
    return {"completed_by": person, "was_cancelled": False, "result": list(results), **more}


def task(number: int, image: str, *annotations: dict, **more: object) -> dict:
    return {"id": number, "data": {"image": image}, "annotations": list(annotations), **more}


def write_json(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
    return path


def write_label_studio(folder: Path, votes: Votes) -> dict:
    number = {name: i for i, name in enumerate(people_of(votes), 1)}
    tasks = [
        task(i, frame, *(annotation(number[who], choice(vote)) for who, vote in given))
        for i, (frame, given) in enumerate(by_frame(votes).items(), 1)
    ]
    path = write_json(folder / "label_studio.json", tasks)
    people = {str(i): name for name, i in number.items()}
    return {"kind": "label_studio", "path": path, "annotators": people}


def write_label_studio_min(folder: Path, votes: Votes) -> dict:
    number = {name: i for i, name in enumerate(people_of(votes), 1)}
    entries = [
        {"image": frame, "id": i, "class": vote, "annotator": number[who], "annotation_id": i}
        for i, (frame, who, vote) in enumerate(votes, 1)
    ]
    path = write_json(folder / "label_studio_min.json", entries)
    people = {str(i): name for name, i in number.items()}
    return {"kind": "label_studio", "path": path, "annotators": people, "control": "class"}


def write_cvat(folder: Path, votes: Votes) -> dict:
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>"]
    for i, (frame, given) in enumerate(by_frame(votes).items()):
        lines.append(f'  <image id="{i}" name={quoteattr(frame)} width="160" height="160">')
        for who, vote in given:
            lines.append(f'    <tag label={quoteattr(vote)} source="manual">')
            lines.append(f'      <attribute name="annotator">{escape(who)}</attribute>')
            lines.append("    </tag>")
        lines.append("  </image>")
    path = folder / "cvat.xml"
    path.write_text("\n".join([*lines, "</annotations>"]) + "\n", encoding="utf-8")
    people = {who: who for who in people_of(votes)}
    return {"kind": "cvat", "path": path, "annotator": "annotator", "annotators": people}


def write_coco(folder: Path, votes: Votes) -> dict:
    classes = classes_of(votes)
    paths = {}
    for who in people_of(votes):
        own = [(frame, vote) for frame, name, vote in votes if name == who]
        frames = [frame for frame, _ in own]
        paths[who] = write_json(
            folder / f"coco-{len(paths) + 1}.json",
            {
                "images": [{"id": i, "file_name": name} for i, name in enumerate(frames, 1)],
                "categories": [{"id": i, "name": name} for i, name in enumerate(classes, 1)],
                "annotations": [
                    {"id": i, "image_id": i, "category_id": classes.index(vote) + 1}
                    for i, (_, vote) in enumerate(own, 1)
                ],
            },
        )
    return {"kind": "coco", "path": paths}


def write_datumaro(folder: Path, votes: Votes) -> dict:
    classes = classes_of(votes)
    items = []
    for frame, given in by_frame(votes).items():
        labels = [
            {"type": "label", "group": 0, "label_id": classes.index(vote)}
            | {"attributes": {"annotator": who}}
            for who, vote in given
        ]
        entry = {"id": frame.rpartition(".")[0], "annotations": labels, "image": {"path": frame}}
        items.append(entry)
    label = {"labels": [{"name": name, "parent": ""} for name in classes]}
    page = {"info": {}, "categories": {"label": label}, "items": items}
    path = write_json(folder / "datumaro.json", page)
    people = {who: who for who in people_of(votes)}
    return {"kind": "datumaro", "path": path, "annotator": "annotator", "annotators": people}


def write_labelme(folder: Path, votes: Votes) -> dict:
    classes = classes_of(votes)
    paths = {}
    for who in people_of(votes):
        place = folder / "labelme" / f"{len(paths) + 1}"
        for i, (frame, name, vote) in enumerate(votes):
            if name == who:
                flags = {other: other == vote for other in classes}
                page = {"version": "5.5.0", "flags": flags, "shapes": [], "imagePath": frame}
                write_json(place / f"{i:03d}.json", page | {"imageData": None})
        paths[who] = place
    return {"kind": "labelme", "path": paths}


def write_export(tool: str, folder: Path, votes: Votes) -> dict:
    """Write the export of a tool and give the section `cohort.votes` that reads it."""
    writers = {
        "label_studio": write_label_studio,
        "label_studio_min": write_label_studio_min,
        "cvat": write_cvat,
        "coco": write_coco,
        "datumaro": write_datumaro,
        "labelme": write_labelme,
    }
    return writers[tool](folder, votes)
