"""The examples of exports, and the first configs that are written for them."""

import csv
from pathlib import Path

import pytest
import yaml
from export_writers import (
    Votes,
    annotation,
    choice,
    task,
    write_coco,
    write_cvat,
    write_datumaro,
    write_json,
    write_label_studio,
)
from typer.testing import CliRunner

from polypskd.cli import app
from polypskd.cohort.load import load_cohort
from polypskd.cohort.page import write_config
from polypskd.cohort.recognition import recognize_votes
from polypskd.config import parse_config, read_config
from polypskd.errors import ConfigError

EXAMPLES = Path(__file__).resolve().parents[3] / "annotations" / "example"


def read_votes() -> Votes:
    with (EXAMPLES / "long.csv").open(encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


def write_examples(folder: Path) -> None:
    votes = read_votes()
    write_label_studio(folder, votes)
    write_cvat(folder, votes)
    write_datumaro(folder, votes)
    write_coco(folder, [vote for vote in votes if vote[1] in {"Dr A", "Dr B"}])
    for who in ("Dr A", "Dr B"):
        for frame, _, vote in [one for one in votes if one[1] == who][:3]:
            flags = {name: name == vote for name in ("hyperplastic", "serrated", "adenoma")}
            page = {"version": "5.5.0", "flags": flags, "shapes": [], "imagePath": frame}
            write_json(folder / "labelme" / who / f"{Path(frame).stem}.json", page)


def list_exports(folder: Path) -> dict[str, bytes]:
    files = [*folder.glob("*.json"), *folder.glob("*.xml"), *folder.glob("labelme/*/*")]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_the_examples_are_the_votes_of_the_long_table(tmp_path):
    write_examples(tmp_path)
    assert list_exports(tmp_path) == list_exports(EXAMPLES)


def recognize(path: Path, **more):
    look = recognize_votes(None, path)
    text = write_config(look, Path())
    config = parse_config(yaml.safe_load(text) | more)
    return config.cohort, look, load_cohort(config.cohort)


@pytest.mark.parametrize(
    ("name", "kind", "votes"),
    [
        ("label_studio.json", "label_studio", 40),
        ("cvat.xml", "cvat", 40),
        ("datumaro.json", "datumaro", 40),
        ("coco-1.json", "coco", 8),
        ("labelme", "labelme", 6),
    ],
)
def test_an_export_is_recognized_by_what_it_begins_with(name, kind, votes):
    config, look, cohort = recognize(EXAMPLES / name)
    assert config.votes.kind == kind
    assert cohort.counts.sum() == votes
    assert config.classes == ("adenoma", "hyperplastic", "serrated")
    assert any(note.startswith("votes for each value: ") for note in look.notes)


def test_the_control_and_the_images_key_are_found(tmp_path):
    done = [choice("a"), choice("good", "quality")], [choice("b")]
    tasks = [task(i, "", annotation(1, *results)) for i, results in enumerate(done)]
    for i, one in enumerate(tasks):
        one["data"] = {"note": f"n{i}", "shot": f"/data/upload/1/0a1b2c3{i}-f{i}.png"}
    config, look, cohort = recognize(write_json(tmp_path / "x.json", tasks))
    assert (config.votes.control, config.votes.frame) == ("class", "shot")
    assert cohort.frame_ids.tolist() == ["f0.png", "f1.png"]
    assert any("1 × result of control quality" in note for note in look.notes)


def test_the_votes_key_of_json_min_is_found(tmp_path):
    entries = [
        {"id": i, "shot": f"f{i}.png", "note": f"n{i}", "grade": "ab"[i % 2], "annotator": 5}
        for i in range(6)
    ]
    config, _, cohort = recognize(write_json(tmp_path / "x.json", entries))
    assert (config.votes.control, config.votes.frame) == ("grade", "shot")
    assert cohort.annotators == ("annotator-1",)


def test_json_of_no_tool_is_told(tmp_path):
    path = write_json(tmp_path / "x.json", {"hello": 1})
    with pytest.raises(ConfigError, match="of no label tool known here; known are: label_studio"):
        recognize_votes(None, path)


def test_init_takes_an_export_and_check_tells_what_is_not_used(tmp_path, monkeypatch, capsys):
    from polypskd.cli import main

    page = [
        task(i, f"f{i}.png", annotation(7, choice("ab"[i % 2])), predictions=[{}])
        for i in range(12)
    ]
    write_json(tmp_path / "export.json", page)
    monkeypatch.chdir(tmp_path)
    for words in (["init", "export.json"], ["check", "polypskd.yaml"]):
        monkeypatch.setattr("sys.argv", ["polypskd", *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        told = capsys.readouterr().out
        assert "not used: 12 × prediction: it is not a person's vote" in " ".join(told.split())


def draw_box(label: str) -> dict:
    value = {"x": 1, "y": 1, "width": 5, "height": 5, "rectanglelabels": [label]}
    return {"type": "rectanglelabels", "from_name": "box", "value": value}


def test_regions_beside_votes_are_a_commented_line_that_reads_them(tmp_path):
    done = ([choice("a")], [choice("b")], [draw_box("b")])
    tasks = [task(i, f"f{i}.png", annotation(1, *results)) for i, results in enumerate(done)]
    path = write_json(tmp_path / "x.json", tasks)
    text = write_config(recognize_votes(None, path), Path())
    line = "    # regions: frame_label   # boxes and outlines become votes on their frames"
    assert line in text.splitlines()
    for page, votes in ((text, 2), (text.replace("# regions:", "regions:"), 3)):
        config = parse_config(yaml.safe_load(page)).cohort
        assert load_cohort(config).counts.sum() == votes


def test_an_export_of_regions_alone_points_to_the_option_that_takes_them(tmp_path):
    tasks = [task(i, f"f{i}.png", annotation(1, draw_box("ab"[i % 2]))) for i in range(4)]
    path = write_json(tmp_path / "x.json", tasks)
    with pytest.raises(ConfigError, match="--regions frame_label, init takes them"):
        recognize_votes(None, path)
    out = tmp_path / "polypskd.yaml"
    words = ["init", "--votes", str(path), "--out", str(out)]
    done = CliRunner().invoke(app, [*words, "--regions", "frame_label"])
    assert done.exit_code == 0
    assert load_cohort(read_config(out).cohort).counts.sum() == 4


def test_a_project_of_texts_is_told_in_one_line(tmp_path):
    tasks = [task(i, "", annotation(1, choice("ab"[i % 2]))) for i in range(30)]
    for one in tasks:
        one["data"] = {"text": "a report"}
    with pytest.raises(ConfigError, match="no task has an image") as told:
        recognize_votes(None, write_json(tmp_path / "x.json", tasks))
    assert len(told.value.lines) == 1


def test_an_export_of_one_class_is_told_by_its_name(tmp_path):
    tasks = [task(i, f"f{i}.png", annotation(1, choice("polyp"))) for i in range(3)]
    with pytest.raises(ConfigError, match="only one class, 'polyp' in this export; two are"):
        recognize_votes(None, write_json(tmp_path / "x.json", tasks))
    tasks.append(task(9, "f9.png", annotation(1, draw_box("none"))))
    with pytest.raises(ConfigError, match="--regions frame_label takes them"):
        recognize_votes(None, write_json(tmp_path / "x.json", tasks))
