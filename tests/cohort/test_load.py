from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polypskd.cohort.load import load_cohort
from polypskd.cohort.table import Cohort
from polypskd.config import CohortConfig
from polypskd.errors import CohortError, ConfigError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
GOOD = "frame,annotator,vote\na,A,x\na,B,y\nb,A,y\n"


def load(votes: Any, **more: Any) -> Cohort:
    section = {"frames": {"kind": "none"}, "votes": votes, "classes": ["x", "y"], **more}
    return load_cohort(CohortConfig.model_validate(section))


def load_text(folder: Path, text: str | bytes, form: dict[str, Any], **more: Any) -> Cohort:
    path = folder / "votes.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load({"path": path, **form}, **more)


def fault_of(*args: Any, **more: Any) -> str:
    with pytest.raises(CohortError) as error:
        load_text(*args, **more)
    return str(error.value)


def write_images(root: Path, *names: str) -> None:
    pixels = np.full((20, 20, 3), 90, np.uint8)
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), pixels)


LONG = {"kind": "long"}
WIDE = {"kind": "wide", "annotators": ["A", "B"]}
COUNTS = {"kind": "counts", "prefix": "n_"}
OUT_OF = {"kind": "counts", "votes_for": "y", "column": "n", "out_of": 7}
SUBCLASS = {"kind": "subclass"}


# --- forms that work ----------------------------------------------------------------------------


def test_long_votes_keep_frame_annotator_and_vote(tmp_path: Path) -> None:
    cohort = load_text(tmp_path, "frame,annotator,vote\nb,B,y\na,B,y\na,A,x\nb,A,NA\n", LONG)
    assert cohort.frame_ids.tolist() == ["a", "b"]
    assert cohort.annotators == ("A", "B")
    votes = np.stack([cohort.vote_frame, cohort.vote_annotator, cohort.vote_fine], axis=1)
    assert votes.tolist() == [[0, 0, 0], [0, 1, 1], [1, 1, 1]]
    assert cohort.paths.tolist() == ["", ""]
    assert not cohort.patients_known


def test_wide_votes_keep_the_order_of_annotators_and_carry_other_columns(tmp_path: Path) -> None:
    text = "frame,B,A,size\na,x,y,3 mm\nb,,y,\n"
    cohort = load_text(tmp_path, text, {"kind": "wide", "annotators": ["B", "A"]})
    assert cohort.annotators == ("B", "A")
    assert cohort.counts.tolist() == [[1, 1], [0, 1]]
    assert {k: v.tolist() for k, v in cohort.columns.items()} == {"size": ["3 mm", ""]}


def test_counts_are_read_by_prefix_by_columns_and_out_of_a_total(tmp_path: Path) -> None:
    text = "frame,n_x,n_y\na,2,1\nb,0,3.0\n"
    by_prefix = load_text(tmp_path, text, COUNTS)
    columns = {"kind": "counts", "columns": {"x": "n_x", "y": "n_y"}}
    assert by_prefix.counts.tolist() == [[2, 1], [0, 3]]
    assert load_text(tmp_path, text, columns).counts.tolist() == [[2, 1], [0, 3]]
    assert load_text(tmp_path, "frame,n\na,0\nb,5\n", OUT_OF).counts.tolist() == [[7, 0], [2, 5]]
    assert set(by_prefix.vote_annotator) == {-1}


def test_known_subclasses_merge_into_classes(tmp_path: Path) -> None:
    merge = {"x": ["x1", "x2"], "y": ["y1"]}
    cohort = load_text(tmp_path, "frame,subclass\na,x2\nb,y1\nc,x1\n", SUBCLASS, merge=merge)
    assert cohort.fine == ("x1", "x2", "y1")
    assert cohort.fine_class.tolist() == [0, 0, 1]
    assert cohort.fine_counts.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert cohort.counts.tolist() == [[1, 0], [0, 1], [1, 0]]


def test_folders_are_votes_and_ignored_folders_are_listed(tmp_path: Path) -> None:
    write_images(tmp_path, "x/1.png", "y/2.png", "blur/3.png")
    frames = {"kind": "image_folder", "root": tmp_path}
    cohort = load({"kind": "folders"}, frames=frames, ignore=["blur"])
    assert cohort.paths.tolist() == ["x/1.png", "y/2.png"]
    assert cohort.counts.tolist() == [[1, 0], [0, 1]]
    listed = [(e.frame_id, e.reason) for e in cohort.exclusions]
    assert listed == [("blur/3.png", "vote 'blur' is ignored by the config")]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_bom_separators_and_line_ends_make_no_difference(
    tmp_path: Path, separator: str, bom: bytes, newline: str
) -> None:
    text = GOOD.replace(",", f" {separator} ").replace("\n", newline)
    cohort = load_text(tmp_path, bom + text.encode(), LONG)
    assert cohort.counts.tolist() == [[1, 1], [0, 1]]


def test_quoted_cells_and_blank_lines_are_read(tmp_path: Path) -> None:
    text = '\nframe,annotator,vote\n\n"a,1","Dr ""A""",x\n,,\nb,B,y\n'
    cohort = load_text(tmp_path, text, LONG)
    assert cohort.frame_ids.tolist() == ["a,1", "b"]
    assert cohort.annotators == ("B", 'Dr "A"')


def test_a_short_row_lacks_its_last_cells(tmp_path: Path) -> None:
    cohort = load_text(tmp_path, "frame,A,B\na\nb,x\nc,x,y\n", WIDE, drop_faulty=True)
    assert cohort.frame_ids.tolist() == ["b", "c"]
    assert cohort.counts.tolist() == [[1, 0], [1, 1]]


def test_a_frame_that_loses_all_votes_to_ignore_is_listed(tmp_path: Path) -> None:
    text = "frame,annotator,vote\na,A,x\na,B,bad\nb,A,bad\nc,A,y\n"
    cohort = load_text(tmp_path, text, LONG, ignore=["bad"])
    assert cohort.counts.tolist() == [[1, 0], [0, 1]]
    assert [(e.frame_id, e.reason) for e in cohort.exclusions] == [
        ("b", "vote 'bad' is ignored by the config")
    ]


@pytest.mark.parametrize("name", ["p/one.png", "p/one", "one.png", "one", "p\\one.png", "./p/one"])
def test_a_frame_may_be_named_by_anything_unique(tmp_path: Path, name: str) -> None:
    write_images(tmp_path, "p/one.png", "q/two.png", "q/three.png")
    frames = {"kind": "image_folder", "root": tmp_path}
    text = f"frame,subclass\n{name},x\ntwo,y\n"
    cohort = load_text(tmp_path, text, SUBCLASS, frames=frames)
    assert cohort.frame_ids.tolist() == ["p/one.png", "q/two.png"]
    assert [(e.frame_id, e.reason) for e in cohort.exclusions] == [("q/three.png", "no votes")]


def test_patients_come_from_columns_patterns_or_metadata(tmp_path: Path) -> None:
    (tmp_path / "meta.csv").write_text("id;who;age\nb;q;60\nzz;r;1\na;p;50\n")
    metadata = {"path": tmp_path / "meta.csv", "frame": "id"}
    column = {"kind": "column", "column": "who"}
    cohort = load_text(tmp_path, GOOD, LONG, metadata=metadata, patients=column)
    assert cohort.patient_ids.tolist() == ["p", "q"]
    assert cohort.patients_known
    assert cohort.columns["age"].tolist() == ["50", "60"]
    text = "frame,annotator,vote,who\na,A,x,p\na,B,y,p\nb,A,y,q\n"
    assert load_text(tmp_path, text, LONG, patients=column).patient_ids.tolist() == ["p", "q"]
    pattern = {"kind": "pattern", "pattern": "(P[0-9])_"}
    text = "frame,subclass\nP1_1,x\nP2_1,y\n"
    assert load_text(tmp_path, text, SUBCLASS, patients=pattern).patient_ids.tolist() == [
        "P1",
        "P2",
    ]


def test_a_given_split_is_mapped_to_its_three_names(tmp_path: Path) -> None:
    text = "frame,subclass,part\na,x,Train\nb,y,Validation\nc,x,Test\n"
    cohort = load_text(tmp_path, text, SUBCLASS, split={"kind": "column", "column": "part"})
    assert cohort.split is not None
    assert cohort.split.tolist() == ["train", "val", "test"]


cells = st.sampled_from(["x", "y", ""])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=8), st.randoms())
def test_long_wide_and_counts_agree_whatever_the_order_of_rows(
    tmp_path_factory: pytest.TempPathFactory, votes: list[tuple[str, str]], random: Any
) -> None:
    votes = [*[pair for pair in votes if any(pair)], ("x", "y")]
    folder = tmp_path_factory.getbasetemp()
    rows = [(f"f{i}", *pair) for i, pair in enumerate(votes)]
    random.shuffle(rows)
    wide = "frame,A,B\n" + "".join(",".join(row) + "\n" for row in rows)
    long = [f"{f},{who},{vote}\n" for f, a, b in rows for who, vote in (("A", a), ("B", b))]
    random.shuffle(long)
    counts = [f"{f},{(a, b).count('x')},{(a, b).count('y')}\n" for f, a, b in rows]
    cohorts = [
        load_text(folder, wide, WIDE),
        load_text(folder, "frame,annotator,vote\n" + "".join(long), LONG),
        load_text(folder, "frame,n_x,n_y\n" + "".join(counts), COUNTS),
    ]
    expected = [[pair.count("x"), pair.count("y")] for pair in votes]
    for cohort in cohorts:
        assert cohort.counts.tolist() == expected
    np.testing.assert_array_equal(cohorts[0].vote_fine, cohorts[1].vote_fine)


# --- faults -------------------------------------------------------------------------------------


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CohortError) as error:
        load({"kind": "long", "path": tmp_path / "no.csv"})
    assert str(error.value) == f"{tmp_path}/no.csv: file not found; check the path"


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "votes.csv: the file is empty; fill in the table"),
    "BOM alone": (b"\xef\xbb\xbf", "votes.csv: the file is empty; fill in the table"),
    "header only": (
        b"frame,annotator,vote\n",
        "votes.csv: no rows below the header; fill in the table",
    ),
    "latin-1": (
        "frame,annotator,vote\na,Dr Ä,x\n".encode("latin-1"),
        "votes.csv row 2: not UTF-8, byte '0xc4'; save the file as CSV UTF-8",
    ),
    "utf-16": (
        GOOD.encode("utf-16"),
        "votes.csv row 1: not UTF-8, byte '0xff'; save the file as CSV UTF-8",
    ),
    "twice": (
        b"frame,vote,vote \na,x,y\n",
        "votes.csv row 1: two columns have the name 'vote'; rename one",
    ),
    "no column": (
        b"Frame,annotator,vote\na,A,x\n",
        "votes.csv: no column 'frame'; did you mean 'Frame'? "
        "its columns are: Frame, annotator, vote",
    ),
    "a workbook": (b"PK\x03\x04\x14\0", "votes.csv: is an Excel workbook; save it as CSV UTF-8"),
    "ragged": (
        b"frame,annotator,vote\na,A,x\na,B,x,y\n",
        "votes.csv row 3: 4 cells, but the header has 3; put quotes around the separator",
    ),
}


@pytest.mark.parametrize("name", list(FILES))
def test_a_malformed_file_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    data, message = FILES[name]
    assert fault_of(tmp_path, data, LONG) == message


LONG_FAULTS = {
    "c,A,adenom": "unknown class 'adenom'; use one of: x, y",
    "c,A,X": "unknown class 'X'; did you mean 'x'? use one of: x, y",
    "a,A,x": "annotator votes twice on one frame: 'A'; the same vote stands in row 2; keep one",
    "a,A,y": "annotator votes twice on one frame: 'A'; another vote stands in row 2; keep one",
    ",A,x": "no frame; fill in 'frame'",
    "c,,x": "no annotator; fill in who voted",
    "c,A,": "no vote for frame 'c'; add votes or take the row out",
}


@pytest.mark.parametrize("row", list(LONG_FAULTS))
def test_a_faulty_long_vote_is_told_in_one_line(tmp_path: Path, row: str) -> None:
    assert fault_of(tmp_path, f"{GOOD}{row}\n", LONG) == f"votes.csv row 5: {LONG_FAULTS[row]}"


COUNT_FAULTS = {
    "c,NaN,1": "the count is NaN: 'NaN'; give a count of votes",
    "c,-1,1": "negative count '-1'; give a count of votes",
    "c,1.5,1": "the count is not a whole number: '1.5'; give a count of votes",
    "c,many,1": "the count is not a number: 'many'; give a count of votes",
    "c,10001,1": "the count is above 10000: '10001'; give a count of votes",
    "c,inf,1": "the count is above 10000: 'inf'; give a count of votes",
    "c,0,0": "no vote for frame 'c'; add votes or take the row out",
    "b,1,1": "the frame of row 3 a second time, 'b'; keep one row a frame",
}


@pytest.mark.parametrize("row", list(COUNT_FAULTS))
def test_a_faulty_count_is_told_in_one_line(tmp_path: Path, row: str) -> None:
    text = f"frame,n_x,n_y\na,1,2\nb,2,0\n{row}\n"
    assert fault_of(tmp_path, text, COUNTS) == f"votes.csv row 4: {COUNT_FAULTS[row]}"


def test_more_votes_than_the_total_are_told(tmp_path: Path) -> None:
    assert fault_of(tmp_path, "frame,n\na,8\nb,3\n", OUT_OF) == (
        "votes.csv row 2: the count is above 7: '8'; give a count of votes"
    )


def test_counts_of_a_class_that_is_not_in_the_config_are_told(tmp_path: Path) -> None:
    text = "frame,n_x,n_y,n_z\na,1,2,1\n"
    assert fault_of(tmp_path, text, COUNTS) == (
        "votes.csv row 2: unknown class 'z'; use one of: x, y"
    )
    assert load_text(tmp_path, text, COUNTS, ignore=["z"]).counts.tolist() == [[1, 2]]


def test_a_class_without_examples_is_told(tmp_path: Path) -> None:
    assert fault_of(tmp_path, GOOD, LONG, classes=["x", "y", "z"]) == (
        "votes: no votes for class 'z'; check the spelling, or take the class out of cohort.classes"
    )


def test_a_vote_without_image_and_an_ambiguous_name_are_told(tmp_path: Path) -> None:
    write_images(tmp_path, "p/1.png", "q/1.png", "q/2.png")
    frames = {"kind": "image_folder", "root": tmp_path}
    text = "frame,subclass\n1,x\nq/2.png,y\n3,x\n2.png,y\np/1,x\n"
    assert fault_of(tmp_path, text, SUBCLASS, frames=frames).splitlines() == [
        "votes.csv row 2: several images match '1'; give the path below the root",
        "votes.csv row 4: no image for frame '3'; add the image or take the row out",
        "votes.csv row 5: a second name for an image that has one already: '2.png'; "
        "use one name a frame",
    ]


def test_a_folder_that_is_no_class_is_told(tmp_path: Path) -> None:
    write_images(tmp_path, "x/1.png", "y/2.png", "yy/3.png", "4.png")
    with pytest.raises(CohortError) as error:
        load({"kind": "folders"}, frames={"kind": "image_folder", "root": tmp_path})
    assert str(error.value).splitlines() == [
        "4.png: no folder names its class; use one of: x, y; or add it to ignore",
        "yy/3.png: unknown class 'yy'; did you mean 'y'? use one of: x, y; or add it to ignore",
    ]


SPLIT = {"kind": "column", "column": "part"}


def test_a_patient_in_two_splits_is_told_by_row_and_not_by_name(tmp_path: Path) -> None:
    text = "frame,subclass,part,who\na,x,train,Smith\nb,y,test,Jones\nc,y,test,Smith\n"
    patients = {"kind": "column", "column": "who"}
    message = fault_of(tmp_path, text, SUBCLASS, split=SPLIT, patients=patients)
    assert message == (
        "votes.csv row 4: a patient stands in two splits, 'train' (row 2) and 'test'; "
        "put all frames of a patient in one split"
    )


def test_faulty_split_and_patient_cells_are_told(tmp_path: Path) -> None:
    text = "frame,subclass,part,who\na,x,Trian,p\nb,y,test,\n"
    patients = {"kind": "column", "column": "who"}
    lines = fault_of(tmp_path, text, SUBCLASS, split=SPLIT, patients=patients).splitlines()
    assert lines[0] == "votes.csv row 3: 'who' is empty; fill it in"
    assert lines[1].startswith("votes.csv row 2: unknown split 'Trian'; use one of: train, Train, ")


def test_a_patient_column_that_differs_within_a_frame_is_told(tmp_path: Path) -> None:
    text = "frame,annotator,vote,who\na,A,x,p\na,B,y,q\nb,A,y,q\n"
    patients = {"kind": "column", "column": "who"}
    assert fault_of(tmp_path, text, LONG, patients=patients) == (
        "votes.csv row 3: 'who' differs within a frame; give a frame one 'who'"
    )


def test_a_frame_without_metadata_and_one_with_two_rows_are_told(tmp_path: Path) -> None:
    (tmp_path / "meta.csv").write_text("frame,who\na,p\na,p\n")
    metadata = {"path": tmp_path / "meta.csv"}
    patients = {"kind": "column", "column": "who"}
    assert fault_of(tmp_path, GOOD, LONG, metadata=metadata, patients=patients).splitlines() == [
        "meta.csv row 3: a second row for frame 'a'; keep one row a frame",
        "meta.csv: no row for frame 'b'; add the row",
    ]


def test_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    write_images(tmp_path, "a.png", "b.png")
    (tmp_path / "b.png").write_bytes(b"")
    metadata = {"path": tmp_path / "no.csv"}
    frames = {"kind": "image_folder", "root": tmp_path}
    lines = fault_of(tmp_path, f"{GOOD}a,C,z\n", LONG, frames=frames).splitlines()
    assert lines == [
        "votes.csv row 5: unknown class 'z'; use one of: x, y",
        "b.png: the file is empty (0 bytes); copy the image anew",
    ]
    both = fault_of(tmp_path, f"{GOOD}a,C,z\n", LONG, frames=frames, metadata=metadata)
    assert both.splitlines()[1] == f"{tmp_path}/no.csv: file not found; check the path"


def test_names_of_our_own_are_not_told_as_columns_of_the_file(tmp_path: Path) -> None:
    patients = {"kind": "column", "column": "who"}
    told = fault_of(tmp_path, "frame,subclass,size\na,x,1\nb,y,2\n", SUBCLASS, patients=patients)
    assert told == "votes.csv: no column 'who'; its columns are: size"


def test_drop_faulty_leaves_faulty_frames_out_and_lists_them(tmp_path: Path) -> None:
    write_images(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "c.png").write_bytes(b"")
    frames = {"kind": "image_folder", "root": tmp_path}
    text = f"{GOOD}c,A,x\nd,A,x\n"
    cohort = load_text(tmp_path, text, LONG, frames=frames, drop_faulty=True)
    assert cohort.frame_ids.tolist() == ["a.png", "b.png"]
    assert [(e.frame_id, e.reason, e.detail) for e in cohort.exclusions] == [
        ("c.png", "the file is empty (0 bytes)", "c.png"),
        ("d", "no image for frame", "votes.csv row 6: d"),
    ]


def test_a_reason_names_nobody(tmp_path: Path) -> None:
    text = f"{GOOD}c,A,x\na,A,x\n"
    cohort = load_text(tmp_path, text, LONG, drop_faulty=True)
    assert [(e.reason, e.detail) for e in cohort.exclusions] == [
        ("annotator votes twice on one frame", "votes.csv row 6: A")
    ]


def test_drop_faulty_does_not_forgive_faults_of_a_whole_file(tmp_path: Path) -> None:
    text = "Frame,annotator,vote\na,A,x\n"
    assert "no column 'frame'" in fault_of(tmp_path, text, LONG, drop_faulty=True)


def test_a_config_that_does_not_fit_its_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs exactly two classes"):
        load_text(tmp_path, "frame,n\na,1\n", OUT_OF, classes=["x", "y", "z"])
    patients = {"kind": "pattern", "pattern": "P[0-9]"}
    with pytest.raises(ConfigError, match=r"needs a group"):
        load_text(tmp_path, GOOD, LONG, patients=patients)
    synthetic = {"frames": {"kind": "synthetic"}, "votes": {"kind": "synthetic"}}
    section = CohortConfig.model_validate({**synthetic, "classes": ["x", "y"]})
    with pytest.raises(ConfigError, match="synthetic"):
        load_cohort(section)


def test_a_million_votes_load_in_seconds(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = pl.Series([f"patient{i // 10:05d}/frame_{i:06d}.png" for i in range(100_000)])
    table = pl.DataFrame(
        {
            "frame": frames.gather(np.repeat(np.arange(100_000), 10)),
            "annotator": pl.Series([f"Dr {i}" for i in range(10)] * 100_000),
            "vote": pl.Series(["x", "y"]).gather(rng.integers(0, 2, 1_000_000)),
        }
    )
    table.write_csv(tmp_path / "votes.csv")
    start = perf_counter()
    cohort = load({"kind": "long", "path": tmp_path / "votes.csv"})
    assert perf_counter() - start < 12  # 2 s on an idle machine
    assert (len(cohort), len(cohort.vote_frame)) == (100_000, 1_000_000)


# --- real data ----------------------------------------------------------------------------------


@pytest.mark.realdata
def test_glrc_gives_the_votes_of_seven_endoscopists() -> None:
    people = [f"EXPERT {i}" for i in range(1, 5)] + [f"BEGINNER {i}" for i in range(1, 4)]
    path = SHARED / "glrc" / "endoscopist_votes_trinary.csv"
    votes = {"kind": "wide", "path": path, "frame": "LESION", "annotators": people}
    cohort = load(votes, classes=["hyperplasic", "serrated", "adenoma"])
    assert cohort.counts.sum(axis=1).tolist() == [7] * 76
    patterns = ["".join(map(str, sorted(row, reverse=True))) for row in cohort.counts]
    names, n = np.unique(patterns, return_counts=True)
    expected = {"700": 17, "610": 16, "520": 11, "511": 8, "430": 13, "421": 4, "331": 3, "322": 4}
    assert dict(zip(names.tolist(), n.tolist(), strict=True)) == expected
    truth = cohort.columns["GROUND TRUTH"]
    right = [
        np.mean(np.array(cohort.classes)[cohort.vote_fine[cohort.vote_annotator == m]] == truth)
        for m in range(7)
    ]
    np.testing.assert_allclose(right, [0.645, 0.697, 0.658, 0.592, 0.579, 0.684, 0.487], atol=6e-4)


@pytest.mark.realdata
def test_gastrohun_loads_with_its_patients_and_its_split_without_leaks() -> None:
    path = SHARED / "gastrohun" / "image_classification.csv"
    people = ["FG1 (Team A)", "FG2 (Team A)", "G1 (Team B)", "G2 (Team B)"]
    votes = {"kind": "wide", "path": path, "frame": "filename", "annotators": people}
    classes = sorted(set(pl.read_csv(path)["G1 (Team B)"]))
    split = {"kind": "column", "column": "set_type"}
    patients = {"kind": "column", "column": "num patient"}
    cohort = load(votes, classes=classes, patients=patients, split=split)
    assert (len(cohort), len(cohort.classes), len(set(cohort.patient_ids))) == (8834, 23, 387)
    assert cohort.split is not None
    names, n = np.unique(cohort.split, return_counts=True)
    assert dict(zip(names.tolist(), n.tolist(), strict=True)) == {
        "test": 1353,
        "train": 6165,
        "val": 1316,
    }
    top = np.sort(cohort.counts, axis=1)[:, ::-1]
    patterns, n = np.unique(top[:, :2], axis=0, return_counts=True)
    assert patterns.tolist() == [[1, 1], [2, 1], [2, 2], [3, 1], [4, 0]]
    assert n.tolist() == [75, 744, 539, 2158, 5318]


@pytest.mark.realdata
def test_cifar_10h_gives_every_vote() -> None:
    path = SHARED / "cifar10" / "cifar10h_votes.csv"
    table = pl.read_csv(path).select(pl.col("^votes_.*$"))
    classes = [name.removeprefix("votes_") for name in table.columns]
    cohort = load(
        {"kind": "counts", "path": path, "frame": "file", "prefix": "votes_"}, classes=classes
    )
    assert len(cohort) == 5000
    assert cohort.counts.sum(axis=0).tolist() == list(table.sum().row(0))
