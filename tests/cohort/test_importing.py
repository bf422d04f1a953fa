"""From a mixed folder to a tidy cohort that check and derive can read."""

import csv
import hashlib
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import yaml
from hospital_files import draw_frame, write_dicom, write_image, write_key, write_table, write_video
from hypothesis import given
from hypothesis import strategies as st

from polypskd.cohort.importing import is_plain_jpeg
from polypskd.cohort.mixed import name_targets

pytest.importorskip("av", reason="the extra polypskd[video] is not installed")


@pytest.fixture
def export(tmp_path):
    """Images, DICOM files of one patient, a video, and a file that lies."""
    source = tmp_path / "export"
    for number in range(4):
        write_image(source / "images" / f"{number}.png", number)
    write_image(source / "images" / "plain.jpg", 4)
    write_image(source / "images" / "plain.png", 5)
    write_dicom(source / "clip.dcm", [6, 7])
    write_video(source / "v.mkv", 12)
    (source / "broken.jpg").write_bytes((source / "images" / "plain.jpg").read_bytes()[:300])
    write_key(tmp_path)
    names = [*(f"images/{n}.png" for n in range(4)), "plain.jpg", "clip#1", "v#3", "v.mkv#9"]
    rows = [
        f"{name},{who},{('low', 'high')[(i + (who == 'Dr C' and i % 3 == 0)) % 2]}"
        for i, name in enumerate(names)
        for who in ("Dr A", "Dr B", "Dr C")
    ]
    write_table(tmp_path / "votes.csv", "frame,annotator,vote", rows)
    return tmp_path


CLASHING = [
    "a.png",
    "A.dcm",
    "a.dcm",
    "a.mp4#1",
    "a_000001.png",
    "A_000001.png",
    "a.mp4_1.png",
    "A.MP4#1",
    "a.mp4_1-2.png",
    "a.png.png",
    "a.dcm#1",
    "a.dcm_1.tif",
    "b/a.png",
]


class Done(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def call(folder, *words):
    """Call a verb within this process: it starts in a second, and there are many calls."""
    from polypskd import cli

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["polypskd", *words])
        patch.chdir(folder)
        code = cli._run_verb()
    return Done(code, out.getvalue(), err.getvalue())


IMPORT = ("import", "export", "--out", "cohort", "--votes", "votes.csv", "--key-file", "key")


def hash_all(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_rows(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_mixed_folder_becomes_a_cohort_that_check_and_derive_read(export):
    done = call(export, *IMPORT, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["frames"], told["copied"], sum(told["faults"].values())) == (10, 1, 1)
    cohort = export / "cohort"
    rows = {row["file"]: row for row in read_rows(cohort / "frames.csv")}
    # Lossless but for the JPEG, which is copied byte by byte.
    for name, number in (("images/2.png", 2), ("clip.dcm#2", 7), ("v.mkv#9", 9)):
        written = cv2.imread(str(cohort / "frames" / rows[name]["frame"]))[:, :, ::-1]
        np.testing.assert_array_equal(written, draw_frame(number))
    copied = cohort / "frames" / rows["images/plain.jpg"]["frame"]
    assert copied.read_bytes() == (export / "export" / "images" / "plain.jpg").read_bytes()
    assert rows["clip.dcm#1"]["device"] == "SCOPE-1"
    assert len(rows["clip.dcm#1"]["patient"]) == 16
    assert float(rows["v.mkv#3"]["quality_brightness"]) > 0
    assert len(read_rows(cohort / "votes.csv")) == 24
    (fault,) = read_rows(cohort / "faults.csv")
    assert fault["where"] == "broken.jpg"
    every_byte = b"".join(path.read_bytes() for path in cohort.rglob("*") if path.is_file())
    assert b"SENTINEL" not in every_byte
    assert b"SECRET" not in every_byte
    assert b"0123456789abcdef0123" not in every_byte
    page = yaml.safe_load((cohort / "config.yaml").read_text())
    assert page["cohort"]["classes"] == ["high", "low"]
    checked = call(cohort, "check", "config.yaml", "--json")
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["frames"] == 8
    derived = call(cohort, "derive", "config.yaml", "--quiet", "--out", str(export / "run"))
    assert derived.returncode == 0, derived.stderr


def test_a_killed_import_goes_on_to_the_same_bytes(export):
    assert call(export, *IMPORT, "--quiet").returncode == 0
    whole = hash_all(export / "cohort")
    cohort = export / "cohort"
    journal = cohort / ".import" / "frames.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    # As a kill leaves it: some frames noted, a line cut, a frame without its line, no tables.
    journal.write_text("".join(lines[:4]) + lines[4][:20])
    (cohort / "frames" / ".clip_000001.png.x7_2.tmp").write_bytes(b"half")
    for name in ("frames.csv", "votes.csv", "config.yaml", ".import/tables.json"):
        (cohort / name).unlink()
    for line in lines[6:]:
        entry = json.loads(line)
        if "frame" in entry:
            (cohort / entry["frame"]).unlink()
    done = call(export, *IMPORT, "--json", "--quiet")
    assert json.loads(done.stdout)["known_before"] == 4
    assert hash_all(cohort) == whole
    again = call(export, *IMPORT, "--json", "--quiet")
    assert json.loads(again.stdout)["known_before"] == 11
    assert hash_all(cohort) == whole


def test_what_others_wrote_is_not_overwritten(export):
    (export / "cohort").mkdir()
    (export / "cohort" / "mine.txt").write_text("mine")
    refused = call(export, *IMPORT)
    assert refused.returncode == 1
    assert "holds other files" in refused.stderr
    assert hash_all(export / "cohort").keys() == {"mine.txt"}
    (export / "cohort" / "mine.txt").unlink()
    assert call(export, *IMPORT, "--quiet").returncode == 0
    config = export / "cohort" / "config.yaml"
    config.write_text(config.read_text() + "# mine\n")
    refused = call(export, *IMPORT)
    assert refused.returncode == 1
    assert "was changed since it was written" in refused.stderr
    assert config.read_text().endswith("# mine\n")


def test_nothing_is_written_through_a_link_out_of_the_folder(export):
    assert call(export, *IMPORT, "--quiet").returncode == 0
    cohort, elsewhere = export / "cohort", export / "elsewhere"
    elsewhere.mkdir()
    for path in sorted((cohort / "frames").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (cohort / "frames").rmdir()
    (cohort / "frames").symlink_to(elsewhere)
    done = call(export, *IMPORT)
    assert done.returncode == 1
    assert "leads outside of --out by a link" in done.stderr
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("import", "export", "--out", "cohort"), "openssl rand -hex 32"),
        (("import", "export", "--out", "export/cohort", "--key-file", "key"), "lies within"),
        (("import", "nowhere", "--out", "cohort"), "not found"),
        (("import", "export", "--out", "votes.csv", "--key-file", "key"), "is no folder"),
    ],
)
def test_what_cannot_be_imported_is_told_in_one_line(export, words, told):
    done = call(export, *words, "--quiet")
    assert done.returncode == 1
    assert told in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_key_in_the_folder_of_the_cohort_is_refused(export):
    (export / "cohort").mkdir()
    (export / "key").rename(export / "cohort" / "key")
    told = call(export, *IMPORT[:-1], "cohort/key")
    assert told.returncode == 1
    assert "key file key: lies within --out" in told.stderr
    assert [path.name for path in (export / "cohort").iterdir()] == ["key"]


def test_a_run_with_the_key_in_it_is_not_begun(export):
    assert call(export, *IMPORT).returncode == 0
    run = export / "run"
    run.mkdir()
    (export / "key").rename(run / "key")
    page = yaml.safe_load((export / "cohort" / "config.yaml").read_text())
    page["cohort"]["frames"] = {"kind": "dicom", "root": "export", "key_file": "run/key"}
    (export / "page.yaml").write_text(yaml.safe_dump(page, sort_keys=False))
    told = call(export, "derive", "page.yaml", "--out", "run")
    assert told.returncode == 1
    assert "key file key: lies within the run folder" in told.stderr
    assert not (run / "config.yaml").exists()


def test_a_dark_frame_is_imported_without_its_panel(tmp_path):
    source = tmp_path / "s"
    source.mkdir()
    for number in range(8):
        pixels = np.zeros((96, 160, 3), np.uint8)
        if number != 3:
            pixels[8:88, 60:156] = np.resize(draw_frame(number, 96), (80, 96, 3))
        cv2.putText(pixels, "NAME", (6, 40), cv2.FONT_HERSHEY_PLAIN, 1, (255, 255, 255), 1)
        assert cv2.imwrite(str(source / f"{number}.png"), pixels[:, :, ::-1])
    assert call(tmp_path, "import", "s", "--out", "c", "--crop", "field").returncode == 0
    assert cv2.imread(str(tmp_path / "c" / "frames" / "3.png")).max() == 0
    first = hash_all(tmp_path / "c")
    assert call(tmp_path, "import", "s", "--out", "c", "--crop", "field").returncode == 0
    assert hash_all(tmp_path / "c") == first
    for number in range(4):  # now no field is agreed on, so that nothing of before may stay
        (source / f"{number + 4}.png").unlink()
    assert call(tmp_path, "import", "s", "--out", "c", "--crop", "field").returncode == 0
    assert call(tmp_path, "import", "s", "--out", "d", "--crop", "field").returncode == 0
    again, anew = hash_all(tmp_path / "c"), hash_all(tmp_path / "d")
    names = [f"frames/{number}.png" for number in range(4)]
    assert [again[name] for name in names] == [anew[name] for name in names]
    assert again["frames/3.png"] != first["frames/3.png"]


def test_what_an_export_held_beside_votes_is_told(export):
    image = {"id": 1, "file_name": "images/0.png", "width": 48, "height": 48}
    other = image | {"id": 2, "file_name": "images/1.png"}
    votes = [{"id": i, "image_id": i, "category_id": i} for i in (1, 2)]
    box = {"id": 3, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "area": 81}
    categories = [{"id": 1, "name": "low"}, {"id": 2, "name": "high"}]
    coco = {"images": [image, other], "annotations": [*votes, box], "categories": categories}
    (export / "coco.json").write_text(json.dumps(coco))
    words = ("--out", "c", "--votes", "coco.json", "--key-file", "key")
    told = call(export, "import", "export", *words)
    assert told.returncode == 0, told.stderr
    (note,) = [line for line in told.stdout.splitlines() if "not used" in line]
    assert note.startswith("NOTE  ")
    result = json.loads(call(export, "import", "export", *words, "--json").stdout)
    assert any("not used" in note for note in result["notes"])


def test_a_stride_takes_frames_that_no_vote_names(export, monkeypatch):
    words = ("--out", "c", "--key-env", "POLYPSKD_TEST_KEY", "--stride", "5", "--quiet", "--json")
    monkeypatch.setenv("POLYPSKD_TEST_KEY", "f" * 32)
    done = call(export, "import", "export", *words)
    assert done.returncode == 0, done.stderr
    files = [row["file"] for row in read_rows(export / "c" / "frames.csv")]
    assert [name for name in files if name.startswith("v.mkv")] == [
        "v.mkv#0",
        "v.mkv#10",
        "v.mkv#5",
    ]


def test_a_jpeg_with_notes_of_its_owner_is_not_copied():
    done, data = cv2.imencode(".jpg", draw_frame(1))
    plain = data.tobytes()
    assert done
    assert is_plain_jpeg(plain)
    exif = b"\xff\xe1\0\x10Exif\0\0SENTINEL"
    assert not is_plain_jpeg(plain[:2] + exif + plain[2:])
    assert not is_plain_jpeg(plain[:2] + b"\xff\xfe\0\x06ANNA" + plain[2:])
    assert not is_plain_jpeg(plain + b"SENTINEL")
    assert not is_plain_jpeg(plain[:-2])


def test_unlike_frames_get_unlike_files_also_where_capitals_do_not_count():
    names = ["a.png", "A.dcm", "a/1.mp4#2", "a/1_000002.png", "b.dcm#1"]
    targets = [target.lower() for target in name_targets(names).values()]
    assert len(set(targets)) == len(names)


@given(st.lists(st.sampled_from(CLASHING), unique=True))
def test_no_frame_takes_the_place_of_another(names):
    targets = name_targets(names)
    assert len({target.lower() for target in targets.values()}) == len(names)
    assert targets == name_targets(names[::-1])


def test_a_frame_taken_out_of_the_source_stays_nowhere(export):
    assert call(export, *IMPORT).returncode == 0
    mine = export / "cohort" / "frames" / "mine.png"
    mine.write_bytes(b"not of the import")
    (export / "export" / "images" / "plain.png").unlink()
    before = hash_all(export / "cohort").keys()
    assert call(export, *IMPORT).returncode == 0
    assert before - hash_all(export / "cohort").keys() == {"frames/images/plain.png.png"}
    assert "plain.png" not in (export / "cohort" / ".import" / "frames.jsonl").read_text()


def test_a_line_of_the_journal_leads_to_no_file_outside(export):
    assert call(export, *IMPORT).returncode == 0
    outside = export / "outside.png"
    outside.write_bytes(b"of somebody else")
    journal = export / "cohort" / ".import" / "frames.jsonl"
    lines = [
        {"from": "x", "source": [], "frame": path}
        for path in ("../outside.png", "frames/../../outside.png", str(outside))
    ]
    lines += [{"from": "y"}, {"from": "y", "source": [1]}, 5, None, ["from"]]
    with journal.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    assert call(export, *IMPORT).returncode == 0
    assert outside.exists()


def test_patients_of_headers_are_taken_where_all_voted_frames_have_one(export):
    rows = [f"clip#{n},{who},{('low', 'high')[n - 1]}" for n in (1, 2) for who in ("A", "B")]
    write_table(export / "votes.csv", "frame,annotator,vote", rows)
    assert call(export, *IMPORT, "--quiet").returncode == 0
    page = yaml.safe_load((export / "cohort" / "config.yaml").read_text())
    assert page["cohort"]["patients"] == {"kind": "column", "column": "patient"}


def test_the_contact_sheet_tells_faults_and_shows_what_is_left(export):
    assert call(export, *IMPORT, "--quiet").returncode == 0
    cohort = export / "cohort"
    done = call(cohort, "check", "config.yaml", "--html", "sheet.html", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["html"] == "sheet.html"
    assert (cohort / "sheet.html").read_text().count("<figure") == 8
    (cohort / "frames" / "clip_000001.png").write_bytes(b"")
    done = call(cohort, "check", "config.yaml", "--html", "sheet.html")
    assert done.returncode == 1
    page = (cohort / "sheet.html").read_text()
    assert page.count("<figure") == 7
    assert "1 fault to mend" in page
