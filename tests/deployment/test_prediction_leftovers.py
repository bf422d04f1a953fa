"""A folder of results given again: what it holds of other frames is lost to nobody in silence."""

import json
import shutil

import cv2
import numpy as np
import pytest
from drawn_study import draw_file, make_bundle, results_of
from planting import ROOT
from predicting import predict, rows_of
from small_bundle import write_bundle

from polypskd.deployment.prediction.inputs import Sources, list_sources
from polypskd.deployment.prediction.leftovers import (
    count_other_frames,
    list_other_studies,
    refuse_leftovers,
)
from polypskd.errors import OutputError


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def frames(tmp_path):
    for day, number in (("monday", 3), ("tuesday", 2)):
        (tmp_path / "in" / day).mkdir(parents=True)
        for turn in range(number):
            path = tmp_path / "in" / day / f"{day}{turn}.png"
            cv2.imwrite(str(path), np.full((40, 40, 3), 40 * turn + 20, np.uint8))
    return tmp_path / "in"


def state_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_answers_of_other_frames_are_neither_replaced_nor_touched(bundle, frames, tmp_path):
    out = tmp_path / "out"
    predict(bundle, frames / "monday", "--out", out)
    before = state_of(out)
    code, said = predict(bundle, frames / "tuesday", "--out", out)
    assert code == 1
    assert said == (
        f"{out}: holds answers of 3 other frames; give --out a new folder, or --overwrite to drop "
        "them"
    )
    assert state_of(out) == before


def test_overwrite_drops_them_and_says_how_many(bundle, frames, tmp_path):
    out = tmp_path / "out"
    predict(bundle, frames / "monday", "--out", out)
    code, said = predict(bundle, frames / "tuesday", "--out", out, "--overwrite")
    assert code == 0
    assert f"Dropped from {out}: the answers of 3 other frames\n" in said
    assert [row["frame"] for row in rows_of(out)] == ["tuesday0.png", "tuesday1.png"]
    code, said = predict(bundle, frames / "tuesday", "--out", out)
    assert code == 0
    assert "Dropped" not in said


def test_a_folder_that_grows_goes_on(bundle, frames, tmp_path):
    shutil.move(frames / "tuesday", tmp_path / "later")
    predict(bundle, frames, "--out", tmp_path / "out")
    shutil.move(tmp_path / "later", frames / "tuesday")
    code, said = predict(bundle, frames, "--out", tmp_path / "out", "--json")
    assert (code, json.loads(said)["known_before"], json.loads(said)["dropped"]) == (0, 3, 0)
    assert len(rows_of(tmp_path / "out")) == 5


def test_a_fault_that_went_away_is_no_answer(bundle, frames, tmp_path):
    (frames / "monday" / "bad.png").write_bytes(b"none")
    assert predict(bundle, frames, "--out", tmp_path / "out")[0] == 1
    (frames / "monday" / "bad.png").unlink()
    assert predict(bundle, frames, "--out", tmp_path / "out")[0] == 0


@pytest.mark.parametrize("left", [0, 1, 200, 100_000])
def test_what_a_killed_run_left_of_other_frames_counts_once(bundle, frames, tmp_path, left):
    out = tmp_path / "out"
    predict(bundle, frames, "--out", out)
    journal = out / ".predict" / "frames.jsonl"
    whole = journal.read_bytes()
    (out / ".predict" / "earlier.jsonl").write_bytes(whole + whole[:50] + b"\n")
    journal.write_bytes(whole[:left])
    assert count_other_frames(out, {f"tuesday/tuesday{turn}.png" for turn in range(2)}) == 3
    assert predict(bundle, frames / "tuesday", "--out", out)[0] == 1
    assert predict(bundle, frames, "--out", out)[0] == 0


def test_nothing_is_other_where_nothing_lies(tmp_path):
    assert count_other_frames(tmp_path / "none", set()) == 0
    assert list_other_studies(tmp_path / "none", Sources(())) == set()
    refuse_leftovers(tmp_path, 0, 0)


def test_one_is_told_as_one(tmp_path):
    with pytest.raises(OutputError, match=r"of 1 other frame; .* to drop it$"):
        refuse_leftovers(tmp_path, 1, 0)
    with pytest.raises(OutputError, match=r"of 1 other study; .* to drop them$"):
        refuse_leftovers(tmp_path, 0, 1)


@pytest.fixture
def studies(tmp_path):
    for study in (1, 2):
        draw_file(tmp_path / "studies" / f"{study}.dcm", study=study)
    return tmp_path / "studies"


def test_dicom_results_of_other_studies_are_kept_unless_told_otherwise(studies, tmp_path):
    bundle, out = make_bundle(tmp_path / "bundle"), tmp_path / "out"
    predict(bundle, studies, "--out", out, "--dicom")
    (studies / "2.dcm").unlink()
    # Without DICOM results those of an earlier run stay, and the frames are gone from the tables.
    assert predict(bundle, studies, "--out", out, "--overwrite")[0] == 0
    before = state_of(out)
    code, said = predict(bundle, studies, "--out", out, "--dicom")
    assert (code, said.partition(" give ")[0]) == (
        1,
        f"{out}: holds DICOM results of 1 other study;",
    )
    assert state_of(out) == before
    code, said = predict(bundle, studies, "--out", out, "--dicom", "--overwrite")
    assert code == 0
    assert "the results of 1 other study" in said
    assert [name.split("/")[1] for name in results_of(out)] == [f"{ROOT}.1.1"]


def test_a_file_of_another_study_under_the_same_name_asks_before_results_go(studies, tmp_path):
    bundle, out = make_bundle(tmp_path / "bundle"), tmp_path / "out"
    predict(bundle, studies, "--out", out, "--dicom")
    draw_file(studies / "2.dcm", study=7)
    assert list_other_studies(out, list_sources([studies])) == {f"{ROOT}.1.2"}
    code, said = predict(bundle, studies, "--out", out, "--dicom")
    assert code == 1
    assert "DICOM results of 1 other study" in said
    assert len(results_of(out)) == 2
