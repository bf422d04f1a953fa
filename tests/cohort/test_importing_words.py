"""What an import says and refuses: other sources, lost frames, folders that are no classes."""

import io
import json
import shutil
from contextlib import redirect_stderr

import pytest
import yaml
from hospital_files import write_dicom, write_image, write_key, write_table, write_video
from test_importing import call, hash_all, read_rows

pytest.importorskip("av", reason="the extra polypskd[video] is not installed")

PEOPLE = ("Dr A", "Dr B")


@pytest.fixture
def export(tmp_path):
    """Four images, a clip of two DICOM frames, and a video of twelve."""
    source = tmp_path / "export"
    for number in range(4):
        write_image(source / "jpg" / f"{number}.png", number)
    write_dicom(source / "dicom" / "clip.dcm", [6, 7])
    write_video(source / "video" / "v.mkv", 12)
    write_key(tmp_path)
    return tmp_path


def give_votes(folder, header, names):
    """Write a table of which the odd frames are high."""
    rows = [
        f"{name},{who},{('low', 'high')[i % 2]}" for i, name in enumerate(names) for who in PEOPLE
    ]
    write_table(folder / "votes.csv", f"{header},annotator,vote", rows)


def bring(folder, *words, source="export", out="c"):
    return call(folder, "import", source, "--out", out, "--key-file", "key", *words)


def read_summary(folder, *words, **places):
    done = bring(folder, *words, "--json", "--quiet", **places)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "words",
    [
        {"source": "export/video"},
        {"stride": "4"},
        {"crop": "field"},
        {"votes": "other.csv"},
        {"key": "other"},
        {"number": "n"},
    ],
)
def test_another_import_into_the_same_folder_is_refused_and_touches_nothing(export, words):
    give_votes(export, "frame", ["0.png", "1.png"])
    shutil.copy(export / "votes.csv", export / "other.csv")
    (export / "other").write_text("f" * 32)
    (export / "other").chmod(0o600)
    first = ("--stride", "5", "--votes", "votes.csv")
    assert bring(export, *first).returncode == 0
    before = hash_all(export / "c")
    source = words.get("source", "export")
    options = {"--stride": words.get("stride", "5"), "--votes": words.get("votes", "votes.csv")}
    options |= {"--key-file": words.get("key", "key"), "--crop": words.get("crop", "none")}
    options |= {"--number": words["number"]} if "number" in words else {}
    flat = [word for option in options.items() for word in option]
    done = call(export, "import", source, "--out", "c", *flat, "--quiet")
    assert done.returncode == 1
    assert "was made from another source or with other options; use a new --out" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert hash_all(export / "c") == before
    assert read_summary(export, *first)["known_before"] == 9
    assert hash_all(export / "c") == before


@pytest.mark.parametrize(
    ("header", "cells", "told"),
    [
        ("frame,number", ("v.mkv,3", "v.mkv,9", "0.png,"), "column 'number'"),
        ("file,index", ("v.mkv,3", "v.mkv,9", "0.png,"), "column 'index'"),
        ("file,frame_number", ("v,3", "v,9", "jpg/0.png,"), "column 'frame_number'"),
        ("frame,time", ("v.mkv,0.12", "video/v.mkv,0:00.36", "0.png,"), "column 'time'"),
    ],
)
def test_numbers_and_times_in_a_column_are_recognized_and_told(export, header, cells, told):
    give_votes(export, header, cells)
    result = read_summary(export, "--votes", "votes.csv")
    assert told in result["notes"][0]
    assert result["voted"] == {"named": 3, "written": 3}
    files = {row["file"]: row["frame"] for row in read_rows(export / "c" / "frames.csv")}
    assert {name for name in files if "mkv" in name} == {"video/v.mkv#3", "video/v.mkv#9"}
    votes = {row["frame"]: row["vote"] for row in read_rows(export / "c" / "votes.csv")}
    assert votes[files["video/v.mkv#3"]] == "low"
    assert votes[files["video/v.mkv#9"]] == "high"
    page = yaml.safe_load((export / "c" / "config.yaml").read_text())
    assert page["cohort"]["votes"] == {"kind": "long", "path": "votes.csv"}
    assert page["cohort"]["classes"] == ["high", "low"]


def test_the_column_of_numbers_may_be_named(export):
    give_votes(export, "frame,bild", ["v.mkv,3", "v.mkv,9"])
    result = read_summary(export, "--votes", "votes.csv", "--number", "bild")
    assert result["voted"] == {"named": 2, "written": 2}
    done = bring(export, "--votes", "votes.csv", "--time", "wann", out="d")
    assert done.returncode == 1
    assert "no column 'wann'" in done.stderr
    assert not (export / "d").exists()


def test_a_running_number_beside_images_is_no_frames_number(export):
    give_votes(export, "index,frame", ["1,0.png", "2,1.png"])
    result = read_summary(export, "--votes", "votes.csv")
    assert result["voted"] == {"named": 2, "written": 2}


@pytest.mark.parametrize("names", [("x#3", "x#9"), ("v.mkv", "clip.dcm"), ("v.mkv#99", "v.mkv#98")])
def test_votes_without_any_frame_are_a_fault_and_leave_nothing_that_looks_finished(export, names):
    shutil.rmtree(export / "export" / "jpg")
    give_votes(export, "frame", names)
    done = bring(export, "--votes", "votes.csv", "--quiet")
    assert done.returncode == 1
    assert "clip.mp4#312" in done.stderr or "v.mkv#98" in done.stderr
    assert "drop_faulty" not in done.stderr
    assert done.stdout == ""
    for name in ("votes.csv", "frames.csv", "config.yaml"):
        assert not (export / "c" / name).exists()


def test_frames_of_votes_that_are_not_there_are_counted_with_examples(export):
    give_votes(export, "frame", ["0.png", "1.png", "gone.png", "v.mkv#99", "v.mkv"])
    done = bring(export, "--votes", "votes.csv")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[-2].startswith("WARNING  3 of 5 frames of the votes are not in the cohort, as ")
    assert "gone.png" in lines[-2]
    assert lines[-1].startswith("WARNING  1 of 7 frames or files were REFUSED; see c/faults.csv")
    wheres = [row["value"] for row in read_rows(export / "c" / "faults.csv")]
    assert {"gone.png", "video/v.mkv"} <= set(wheres)


def test_folders_of_dicom_files_are_no_classes(tmp_path):
    write_key(tmp_path)
    for number in range(6):
        path = tmp_path / "export" / ("monday", "tuesday")[number % 2] / f"{number}.dcm"
        write_dicom(path, [number])
    done = bring(tmp_path)
    assert "No config yet: no votes given, and folders of DICOM files are exams" in done.stdout


def test_folders_named_by_kinds_of_files_are_no_classes(export):
    shutil.rmtree(export / "export" / "dicom")
    done = bring(export, "--stride", "4")
    assert done.returncode == 0
    assert "No config yet: no votes given, and folders are named by kinds of files" in done.stdout
    assert "--votes FILE and a new --out" in done.stdout
    assert not (export / "c" / "config.yaml").exists()


def test_folders_taken_as_classes_are_told(tmp_path):
    for number in range(6):
        write_image(tmp_path / "s" / ("low", "high")[number % 2] / f"{number}.png", number)
    done = call(tmp_path, "import", "s", "--out", "c")
    told = "no votes given; folder names were taken as classes: check them"
    assert f"NOTE  {told}" in done.stdout
    assert told in (tmp_path / "c" / "config.yaml").read_text()
    (tmp_path / "s" / "low" / "0.png").unlink()
    done = call(tmp_path, "import", "s", "--out", "d")
    assert "so that they may be no classes" in done.stdout
    assert not (tmp_path / "d" / "config.yaml").exists()


def test_patients_known_for_some_frames_are_counted_with_what_to_do(export):
    give_votes(export, "frame", ["clip#1", "clip#2", "0.png"])
    told = "patient known for 2 of 3 frames"
    done = bring(export, "--votes", "votes.csv")
    page = (export / "c" / "config.yaml").read_text()
    for text in (done.stdout, page):
        assert told in text
        assert "patients: {kind: column, column: patient}" in text
    assert "patients" not in yaml.safe_load(page)["cohort"]


def test_files_of_other_kinds_are_told_by_suffix_and_never_by_name(export):
    for name in ("SENTINEL.txt", "a.TXT", "b.pdf", "report.meier", "README"):
        (export / "export" / name).write_text("text")
    done = bring(export)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("Of other kinds")]
    assert " ".join(line.split()) == "Of other kinds 5 .txt 2, others 2, .pdf 1"
    assert "SENTINEL" not in done.stdout
    assert read_summary(export)["other_files"] == {".txt": 2, "others": 2, ".pdf": 1}


def test_a_damaged_video_alone_is_told_without_words_of_configs(tmp_path):
    (tmp_path / "s").mkdir()
    write_video(tmp_path / "v.mkv", 12)
    (tmp_path / "s" / "v.mkv").write_bytes((tmp_path / "v.mkv").read_bytes()[:200])
    for words in (("--stride", "2"), ()):
        done = call(tmp_path, "import", "s", "--out", "c", *words)
        assert done.returncode == 1
        assert "drop_faulty" not in done.stderr
        assert "cohort." not in done.stderr


def test_a_missing_key_is_told_by_the_options_of_the_import(export):
    done = call(export, "import", "export", "--out", "c", "--quiet")
    assert done.returncode == 1
    assert "--key-file" in done.stderr
    assert "cohort.frames" not in done.stderr
    assert "key_file" not in done.stderr


def test_an_import_counts_its_frames_in_plain_lines(tmp_path, monkeypatch):
    monkeypatch.setattr("polypskd.cohort.importing.BLOCK", 2)
    for number in range(10):
        write_image(tmp_path / "s" / f"{number}.png", number)
    lines = call(tmp_path, "import", "s", "--out", "c").stderr.splitlines()
    assert lines[0] == "Importing frames"
    assert [line.split(",")[0] for line in lines[1:]] == [
        f"Importing frames: {done} of 10" for done in (2, 4, 6, 8)
    ]
    assert all(line.endswith("s left") for line in lines[1:])


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


def test_an_import_counts_its_frames_on_a_terminal(monkeypatch):
    from polypskd.commands.importing import _count_for
    from polypskd.terminal import show_progress

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    screen = Screen()
    with redirect_stderr(screen), show_progress(quiet=False) as listen:
        count = _count_for(listen)
        for done in (0, 6, 1234):
            count(done, 1234)
    assert "1,234 of 1,234" in screen.getvalue()
