"""A first config for a folder of DICOM files or videos."""

from pathlib import Path

import pytest
import yaml
from hospital_files import write_dicom, write_image, write_key, write_table, write_video

from polypskd.cohort.load import load_cohort
from polypskd.cohort.page import write_config
from polypskd.cohort.recognition import recognize_votes
from polypskd.config import parse_config
from polypskd.errors import ConfigError


def begin(folder: Path, votes: Path):
    look = recognize_votes(folder / "frames", votes)
    page = write_config(look, folder)
    return look, parse_config(yaml.safe_load(page), folder=folder).cohort, page


def test_a_folder_of_dicom_files_gives_a_config_that_loads_with_its_patients(tmp_path):
    for number, suffix in enumerate(("", ".dcm", ".dcm", ".dcm")):
        patient = f"SECRET-{number // 2}"
        write_dicom(tmp_path / f"frames/e/{number}{suffix}", [number], patient=patient)
    write_dicom(tmp_path / "frames/e/clip.dcm", [5, 6, 7])
    frames = ("0", "1.dcm", "2.dcm", "3.dcm", "e/clip.dcm#2")
    rows = [f"{name},{who},{'xy'[i % 2]}" for i, name in enumerate(frames) for who in "AB"]
    votes = write_table(tmp_path / "votes.csv", "frame,annotator,vote", rows)
    look, config, page = begin(tmp_path, votes)
    assert config.frames.kind == "dicom"
    assert "Patients are unknown" not in page
    assert "frames: 5 of 5 frames found among 7 frames" in look.notes
    assert any("openssl rand" in note for note in look.notes)
    assert "SECRET" not in page
    write_key(tmp_path)
    cohort = load_cohort(config)
    assert len(cohort) == 5
    assert len(set(cohort.patient_ids)) == 3


def test_dicom_files_without_suffix_are_found(tmp_path):
    write_dicom(tmp_path / "frames/IM1", [1])
    write_dicom(tmp_path / "frames/IM2", [2])
    votes = write_table(tmp_path / "votes.csv", "frame,A,B", ["IM1,x,x", "IM2,y,y"])
    assert begin(tmp_path, votes)[1].frames.kind == "dicom"


@pytest.mark.parametrize(
    ("header", "rows", "key"),
    [
        ("frame,A,B", ["c.mp4#0,x,x", "c.mp4#3,y,y"], None),
        ("video,frame_number,A,B", ["c.mp4,0,x,x", "c.mp4,3,y,y"], "number"),
        ("video,seconds,A,B", ["c.mp4,0.0,x,x", "c.mp4,0.12,y,y"], "time"),
    ],
)
def test_a_folder_of_videos_gives_a_config_whose_votes_name_frames(tmp_path, header, rows, key):
    pytest.importorskip("av")
    write_video(tmp_path / "frames/c.mkv", 5)
    rows = [row.replace("mp4", "mkv") for row in rows]
    votes = write_table(tmp_path / "votes.csv", header, rows)
    _, config, _ = begin(tmp_path, votes)
    assert (config.frames.kind, config.frames.take) == ("video", "named")
    assert key is None or getattr(config.votes, key)
    assert load_cohort(config).frame_ids.tolist() == ["c.mkv#0", "c.mkv#3"]


def test_dicom_files_or_videos_without_votes_point_to_the_import_in_one_line(tmp_path):
    write_dicom(tmp_path / "a/1.dcm", [1])
    with pytest.raises(ConfigError, match=r"1 DICOM file; `polypskd import` .*kind: dicom") as one:
        recognize_votes(tmp_path, None)
    assert len(one.value.lines) == 1
    (tmp_path / "a/c.mp4").write_bytes(b"x")
    votes = write_table(tmp_path / "votes.csv", "frame,A,B", ["1,x,x", "2,y,y"])
    with pytest.raises(ConfigError, match="1 DICOM file and 1 video; `polypskd import` takes both"):
        recognize_votes(tmp_path, votes)


def test_dicom_files_beside_images_are_told(tmp_path):
    write_dicom(tmp_path / "x/1.dcm", [1])
    write_image(tmp_path / "x/1.png", 1)
    write_image(tmp_path / "y/1.png", 2)
    notes = recognize_votes(tmp_path, None).notes
    assert any("1 DICOM file beside the images are not read" in note for note in notes)
