"""Every tool gives the votes that the long table gives."""

import csv
import tempfile
from pathlib import Path

import polars as pl
import pytest
from export_writers import (
    TOOLS,
    Votes,
    annotation,
    choice,
    task,
    write_export,
    write_json,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from polypskd.cohort.exports.reading import hash_export, read_export
from polypskd.cohort.load import load_cohort
from polypskd.cohort.location import hash_tables, list_inputs
from polypskd.config import CohortConfig, VotesExport, parse_config
from polypskd.errors import CohortError

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "label_exports"
CLASSES = ["low", "middle & <high>", "höchst"]


def load(votes: dict, **more):
    section = {"frames": {"kind": "none"}, "votes": votes, "classes": CLASSES, **more}
    return load_cohort(CohortConfig.model_validate(section))


def read(frames: list | None = None, **votes):
    section = {"frames": {"kind": "none"}, "votes": votes, "classes": ["a", "b"]}
    return read_export(CohortConfig.model_validate(section).votes, frames)


def rows(export) -> list:
    return export.table.cells.select("frame", "annotator", "vote").rows()


def told(**votes) -> str:
    try:
        return str(CohortError(read(**votes).faults))
    except CohortError as error:
        return str(error)


def studio(folder: Path, *tasks: dict) -> dict:
    return {"kind": "label_studio", "path": write_json(folder / "ls.json", list(tasks))}


def write_long(folder: Path, votes: Votes) -> dict:
    with (folder / "long.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("frame", "annotator", "vote"), *votes])
    return {"kind": "long", "path": folder / "long.csv"}


def votes_of(cohort) -> set:
    return {
        (str(cohort.frame_ids[f]), cohort.annotators[a], cohort.fine[v])
        for f, a, v in zip(cohort.vote_frame, cohort.vote_annotator, cohort.vote_fine, strict=True)
    }


NAMES = st.lists(
    st.text("ab%3 é&<", min_size=1, max_size=5).map(str.strip).filter(bool),
    unique=True,
    min_size=1,
    max_size=4,
).map(lambda names: [f"p{i % 2}/{name}{i}.png" for i, name in enumerate(names)])
PEOPLE = st.sampled_from(["Dr A", "Dr B & C", "dr-ü"])


@given(NAMES, st.lists(st.tuples(st.integers(0, 3), PEOPLE, st.sampled_from(CLASSES)), max_size=12))
@settings(max_examples=30)
def test_every_tool_gives_the_votes_of_the_long_table(names, drawn):
    # One frame with a vote for each class, as a class without any is a fault.
    votes = [("all.png", f"Dr {vote[0]}", vote) for vote in CLASSES]
    named = {(names[frame % len(names)], who): vote for frame, who, vote in drawn}
    votes += [(frame, who, vote) for (frame, who), vote in named.items()]
    with tempfile.TemporaryDirectory() as place:
        long = votes_of(load(write_long(Path(place), votes)))
        assert long == set(votes)
        for tool in TOOLS:
            assert votes_of(load(write_export(tool, Path(place), votes))) == long, tool


# --- frames -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "frame"),
    [
        ("/data/upload/3/0a1b2c3d-f1.png", "p1/f1.png"),
        ("/data/local-files/?d=shots/p1/f1.png", "p1/f1.png"),
        ("s3://bucket/shots/p2/twin.png", "p2/twin.png"),
        ("https://host:8080/p2/twin.png?X-Sign=1#x", "p2/twin.png"),
        ("p1%2Ff1.png", None),
        ("s3://bucket/p1%2Ff1.png", "p1/f1.png"),
        (r"C:\shots\p2\twin.png", "p2/twin.png"),
        ("f1", "p1/f1.png"),
        ("/elsewhere/twin.png", None),
        ("s3://bucket/clips/p1/clip.mp4#12", "p1/clip.mp4#12"),
    ],
)
def test_a_frame_is_found_by_the_end_of_its_path_else_by_its_name(tmp_path, given, frame):
    frames = ["p1/f1.png", "p1/twin.png", "p2/twin.png", "p1/clip.mp4#12"]
    for name in frames:
        (tmp_path / "frames" / name).parent.mkdir(parents=True, exist_ok=True)
    found = read(frames, **studio(tmp_path, task(1, given, annotation(1, choice("a")))))
    from polypskd.cohort.matching import Matcher

    cells = found.table.cells
    matched, faults = Matcher(frames).match(
        found.table, cells.select("\0row", pl.col("frame").alias("\0given"))
    )
    assert matched["frame"].to_list() == ([] if frame is None else [frame])
    assert bool(faults) == (frame is None)


def test_without_frames_the_name_of_an_upload_stands_for_itself(tmp_path):
    form = studio(tmp_path, task(1, "/data/upload/3/0a1b2c3d-f1.png", annotation(1, choice("a"))))
    assert rows(read(**form)) == [("f1.png", "annotator-1", "a")]
    kept = read(**form, upload_prefix="keep")
    assert rows(kept) == [("0a1b2c3d-f1.png", "annotator-1", "a")]


def test_two_uploads_of_one_frame_are_told(tmp_path):
    tasks = [
        task(i, f"/data/upload/3/0a1b2c3{i}-f.png", annotation(i, choice("a"))) for i in (1, 2)
    ]
    assert "task 2: a second name for a frame: '/data/upload/3/0a1b2c32-f.png'" in told(
        **studio(tmp_path, *tasks)
    )


# --- annotators ---------------------------------------------------------------------------------


def test_annotators_are_numbered_by_id_and_no_address_is_shown(tmp_path):
    people = [{"id": 10, "email": "ten@x.org", "first_name": "Ten"}, 9, {"email": "c@x.org"}]
    done = [annotation(person, choice("a")) for person in people]
    form = studio(tmp_path, task(1, "f.png", *done), task(2, "g.png", done[0]))
    found = read(**form)
    assert [row[1] for row in rows(found)] == [
        "annotator-2",
        "annotator-1",
        "annotator-3",
        "annotator-2",
    ]
    assert "@" not in str((found.table.cells.rows(), found.notes, found.faults))
    named = read(**form, annotators={"10": "Dr A", "annotator-3": "Dr C"})
    assert [row[1] for row in rows(named)] == ["Dr A", "annotator-1", "Dr C", "Dr A"]
    assert "nobody has the id '11'; the export has 3 people" in told(**form, annotators={"11": "x"})
    with pytest.raises(ValueError, match="give ids or annotator-1"):
        read(**form, annotators={"c@x.org": "Dr C"})


def test_an_annotation_without_a_person_is_told(tmp_path):
    form = studio(tmp_path, task(1, "f.png", annotation(None, choice("a"))))
    assert "task 1: an annotation does not say who made it" in told(**form)
    named = read(**form | {"path": {"Dr A": form["path"]}})
    assert rows(named) == [("f.png", "Dr A", "a")]


# --- what counts --------------------------------------------------------------------------------


def test_skipped_annotations_predictions_and_regions_are_told_and_do_not_count(tmp_path):
    box = {"x": 1, "y": 1, "width": 2, "height": 2, "rectanglelabels": ["b"]}
    region = {"from_name": "box", "type": "rectanglelabels", "value": box}
    inner = choice("b") | {"value": {"x": 1, "y": 1, "choices": ["b"]}}
    span = {"from_name": "t", "type": "timelinelabels", "value": {"ranges": [{"start": 1}]}}
    form = studio(
        tmp_path,
        task(
            1,
            "f.png",
            annotation(1, choice("a"), region, inner, span),
            annotation(2, choice("b"), was_cancelled=True),
            predictions=[{"result": [choice("b")]}],
        ),
        task(2, "g.png"),
    )
    found = read(**form)
    assert rows(found) == [("f.png", "annotator-1", "a")]
    notes = "\n".join(found.notes)
    for part in (
        "1 × prediction: it is not a person's vote",
        "1 × skipped annotation:",
        "1 × task: nobody has annotated it",
        "1 × choices of a region: it says nothing",
        "1 × region (rectanglelabels), 1 × region (timelinelabels): a region is no vote",
    ):
        assert part in notes
    disagreeing = read(**form, regions="frame_label")
    assert [row[2] for row in rows(disagreeing)] == ["a", "b"]


def test_regions_of_one_annotator_must_agree(tmp_path):
    regions = [
        {"from_name": "box", "type": "rectanglelabels", "value": {"x": 1, "rectanglelabels": [c]}}
        for c in ("a", "b")
    ]
    form = studio(tmp_path, task(1, "f.png", annotation(1, *regions), annotation(2, regions[1])))
    assert "no votes in this export; not used: 3 × region" in told(**form)
    text = told(**form, regions="frame_label")
    assert "task 1: regions of one annotator disagree: 'b'; task 1 says 'a'" in text


def test_several_choices_are_told_and_the_same_one_twice_is_one(tmp_path):
    two = choice("a") | {"value": {"choices": ["a", "b"]}}
    assert "task 1: several choices of one annotator: 'a, b'" in told(
        **studio(tmp_path, task(1, "f.png", annotation(1, two)))
    )
    same = [annotation(1, choice("a")), annotation(1, choice("a"))]
    assert len(rows(read(**studio(tmp_path, task(1, "f.png", *same))))) == 1
    form = studio(
        tmp_path,
        task(1, "f.png", annotation(1, choice("low")), annotation(2, choice("höchst"))),
        task(2, "f.png", annotation(1, choice("middle & <high>"))),
    )
    with pytest.raises(CohortError) as error:
        load(form)
    assert str(error.value).splitlines()[0] == (
        "ls.json task 2: annotator votes twice on one frame: 'annotator-1'; "
        "another vote stands in task 1; keep one"
    )


def test_a_control_is_named_where_there_are_several(tmp_path):
    results = [choice("a"), choice("good", "quality")]
    form = studio(tmp_path, task(1, "f.png", annotation(1, *results)))
    assert "several controls hold choices; name one in cohort.votes.control: class, quality" in (
        told(**form)
    )
    found = read(**form, control="quality")
    assert rows(found) == [("f.png", "annotator-1", "good")]
    assert found.notes == [
        "not used: 1 × result of control class: cohort.votes.control names another"
    ]
    assert "no control 'clas'; its controls are: class, quality" in told(**form, control="clas")


def test_the_leaf_of_a_taxonomy_is_the_vote(tmp_path):
    value = {"taxonomy": [["polyp", "serrated", "sessile"]]}
    result = {"from_name": "t", "type": "taxonomy", "value": value}
    form = studio(tmp_path, task(1, "f.png", annotation(1, result)))
    assert rows(read(**form)) == [("f.png", "annotator-1", "sessile")]


def test_an_unknown_class_is_told_by_task_with_a_suggestion(tmp_path):
    form = studio(tmp_path, task(17, "f.png", annotation(1, choice("lov"))))
    with pytest.raises(
        CohortError, match=r"ls.json task 17: unknown class 'lov'; did you mean 'lo"
    ):
        load(form)


def test_json_min_needs_the_name_of_its_vote(tmp_path):
    entry = {"image": "f.png", "id": 1, "annotator": 1, "grade": "a", "quality": "good"}
    path = write_json(tmp_path / "min.json", [entry])
    assert "one of: grade, quality" in told(kind="label_studio", path=path)
    write_json(path, [entry | {"grade": {"choices": ["a", "b"]}}])
    assert "several choices" in told(kind="label_studio", path=path, control="grade")


CVAT = """<annotations><version>1.1</version><meta><job><assignee><username>anna</username>
<email>anna@x.org</email></assignee></job></meta>
<image id="0" name="p1/f.png"><tag label="frame" source="manual">
<attribute name="grade">a</attribute></tag>
<tag label="view" source="manual"/><tag label="frame" source="auto"/>
<box label="a" xtl="1"/></image>
<image id="1" name="g.png"/><track id="0" label="a"><box frame="0"/></track></annotations>"""


def test_cvat_takes_a_label_or_an_attribute_and_leaves_what_a_machine_made(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text(CVAT)
    found = read(kind="cvat", path=path, label="frame", attribute="grade")
    assert rows(found) == [("p1/f.png", "annotator-1", "a")]
    notes = "\n".join(found.notes)
    for part in ("1 × box", "1 × track", "1 × image: nobody", "tag with source auto", "label view"):
        assert part in notes
    assert "anna" not in str((found.table.cells.rows(), notes))
    path.write_text(CVAT.replace("1.1", "1.0"))
    assert "is of version '1.0'" in told(kind="cvat", path=path, label="frame")


def test_coco_leaves_boxes_and_tells_lost_ids(tmp_path):
    page = {
        "images": [{"id": 1, "file_name": "f.png"}],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]},
            {"image_id": 1, "category_id": 1, "bbox": [], "segmentation": []},
            {"image_id": 1, "category_id": None},
        ],
        "categories": [{"id": 1, "name": "a"}],
    }
    path = write_json(tmp_path / "c.json", page)
    found = read(kind="coco", path=path)
    assert rows(found) == [("f.png", "annotator-1", "a")]
    assert "1 × annotation with bbox" in str(found.notes)
    page["annotations"] += [{"image_id": 2, "category_id": 1}, {"image_id": 1, "category_id": 9}]
    write_json(path, page)
    text = told(kind="coco", path=path)
    assert "no image has the id '2'" in text
    assert "no category has the id '9'" in text


def test_a_label_that_datumaro_groups_with_a_box_says_nothing_of_the_frame(tmp_path):
    labels = {"labels": [{"name": "a"}, {"name": "b"}]}
    marks = [
        {"type": "label", "label_id": 0, "group": 4, "attributes": {}},
        {"type": "bbox", "label_id": 0, "group": 4, "attributes": {}},
        {"type": "label", "label_id": 1, "group": 0, "attributes": {"grade": "low"}},
        {"type": "caption", "caption": "x"},
    ]
    item = {"id": "p1/f", "annotations": marks}
    path = write_json(tmp_path / "d.json", {"categories": {"label": labels}, "items": [item]})
    found = read(kind="datumaro", path=path)
    assert rows(found) == [("p1/f", "annotator-1", "b")]
    assert len(found.notes) == 3
    assert rows(read(kind="datumaro", path=path, attribute="grade"))[0][2] == "low"


def test_labelme_takes_the_folder_for_the_annotator_and_the_path_below_it(tmp_path):
    page = {"version": "5.5.0", "flags": {"a": True, "b": False}, "shapes": []}
    write_json(tmp_path / "reads/dr-a/p1/f.json", page | {"imagePath": "../../../frames/p1/f.png"})
    write_json(tmp_path / "reads/dr-b/p1/f.json", page | {"imagePath": "f.png"})
    form = {"kind": "labelme", "path": tmp_path / "reads"}
    assert rows(read(["p1/f.png", "p2/f.png"], **form)) == [
        ("p1/f.png", "dr-a", "a"),
        ("p1/f.png", "dr-b", "a"),
    ]
    page["flags"] = {"a": True, "b": True}
    write_json(tmp_path / "reads/dr-b/p1/f.json", page | {"imagePath": "f.png"})
    assert "dr-b/p1/f.json: several choices of one annotator: 'a, b'" in told(**form)


def test_the_fingerprint_changes_with_any_file(tmp_path):
    page = {"version": "5.5.0", "flags": {"a": True}, "shapes": [], "imagePath": "f.png"}
    path = write_json(tmp_path / "reads/dr-a/f.json", page)
    form = VotesExport(path=tmp_path / "reads")
    before = hash_export(form)
    write_json(path, page | {"flags": {"a": False}})
    assert None not in {before, hash_export(form)}
    assert hash_export(form) != before
    assert hash_export(VotesExport(path=tmp_path / "none")) is None


def test_a_run_is_made_anew_when_one_file_of_an_export_changes(tmp_path):
    votes = [("f.png", "Dr A", CLASSES[0]), ("f.png", "Dr B", CLASSES[1])]
    form = write_export("coco", tmp_path, votes)
    section = {"frames": {"kind": "none"}, "votes": form, "classes": CLASSES}
    config = CohortConfig.model_validate(section)
    before = list_inputs(config), hash_tables(config)
    path = form["path"]["Dr B"]
    path.write_text(path.read_text(encoding="utf-8").replace(CLASSES[1], "other"), encoding="utf-8")
    after = list_inputs(config), hash_tables(config)
    assert before[0] != after[0]
    assert before[1]["votes_sha256"] != after[1]["votes_sha256"]


def test_a_mapping_of_files_is_read_from_the_folder_of_the_config(tmp_path):
    votes = {"kind": "coco", "path": {"Dr A": "a.json"}}
    section = {"frames": {"kind": "none"}, "votes": votes, "classes": ["a", "b"]}
    config = parse_config({"name": "x", "cohort": section}, folder=tmp_path)
    assert config.cohort.votes.path == {"Dr A": tmp_path / "a.json"}


@pytest.mark.realdata
def test_real_exports_are_read_as_an_eye_reads_them():
    def real(kind, name, **more):
        return read(kind=kind, path=SHARED / name, **more)

    assert rows(real("coco", "coco/labels_train.json")) == [("a.jpg", "annotator-1", "b")]
    assert rows(real("cvat", "cvat/train.xml", regions="frame_label")) == [
        ("img0.jpg", "annotator-1", "label1"),
        ("img1.jpg", "annotator-1", "label2"),
    ]
    text = told(kind="label_studio", path=SHARED / "labelstudio/data.json")
    assert "no votes in this export; not used: 6 × region (rectanglelabels)" in text
    history = real("label_studio", "labelstudio/csv_test_history.json", frame="text")
    assert [row[1:] for row in rows(history)] == [("annotator-1", "Positive")]
    second = real("label_studio", "labelstudio/csv_test2.json", frame="uri")
    assert rows(second)[0][0] == "rawWork:spotify:publisher:WCPWW008648058000"
