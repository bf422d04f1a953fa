"""`predict` as a user runs it: files in, tables out, whatever lies among them."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from predicting import predict, rows_of
from small_bundle import CLASSES, SIZE, SLOPES, write_bundle

from polypskd.cohort.frames import read_frame
from polypskd.cohort.preparation import prepare_frame


def draw(path: Path, seed: int, size: tuple[int, int] = (60, 80)) -> Path:
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(30, 220, (6, 8, 3)).astype(np.float32)
    pixels = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.clip(pixels, 0, 255).astype(np.uint8))
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def frames(tmp_path):
    for seed in range(23):
        draw(
            tmp_path
            / "in"
            / ("deep/er" if seed % 3 else "")
            / f"{seed:02d}.{'jpg' if seed % 2 else 'png'}",
            seed,
        )
    return tmp_path / "in"


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def bytes_of(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in names_in(out) if name[0] != "."}


def expect(path: Path) -> np.ndarray:
    """What the small network must say: by numpy alone."""
    colors = prepare_frame(read_frame(path), SIZE).reshape(-1, 3).mean(axis=0)
    logits = colors @ SLOPES
    shares = np.exp(logits - logits.max())
    return (shares / shares.sum()).reshape(2, 2).sum(axis=1)


def test_every_frame_below_a_folder_gets_the_networks_own_probabilities(bundle, frames, tmp_path):
    code, said = predict(bundle, frames, "--out", tmp_path / "out")
    rows = rows_of(tmp_path / "out")
    assert code == 0
    assert "23" in said
    names = sorted(path.relative_to(frames).as_posix() for path in frames.rglob("*.*g"))
    assert [row["frame"] for row in rows] == names
    for row in rows:
        wanted = expect(frames / row["frame"])
        given = [float(row[f"p_{name}"]) for name in CLASSES]
        assert given == pytest.approx(wanted, abs=2e-6)
        assert row["predicted"] == CLASSES[int(np.argmax(wanted))]
        assert float(row["confidence"]) == pytest.approx(max(wanted), abs=2e-6)
        assert row["sha256"] == hashlib.sha256((frames / row["frame"]).read_bytes()).hexdigest()
        assert (row["abstained"], row["reason"]) == ("false", "")


def test_the_json_says_whose_answers_they_are_and_agrees_with_the_table(bundle, frames, tmp_path):
    predict(bundle, frames, "--out", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "predictions.json").read_text())
    network = (bundle / "student.onnx").read_bytes()
    assert found["research_use_only"] is True
    assert found["bundle"]["model_sha256"] == hashlib.sha256(network).hexdigest()
    assert found["bundle"]["name"] == "small"
    for row, one in zip(rows_of(tmp_path / "out"), found["frames"], strict=True):
        assert (row["frame"], row["sha256"]) == (one["frame"], one["sha256"])
        assert row["predicted"] == one["predicted"]
        assert {name: float(row[f"p_{name}"]) for name in CLASSES} == one["classes"]
        assert sum(one["subclasses"].values()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("threads", "batch"), [(1, 1), (2, 3), (5, 64)])
def test_bytes_hang_neither_on_threads_nor_on_the_batch(bundle, frames, tmp_path, threads, batch):
    predict(bundle, frames, "--out", tmp_path / "one")
    predict(bundle, frames, "--out", tmp_path / "two", "--threads", threads, "--batch", batch)
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")


def test_one_bad_file_does_not_stop_the_rest(bundle, frames, tmp_path):
    whole = (frames / "deep/er/01.jpg").read_bytes()
    (frames / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (frames / "empty.png").write_bytes(b"")
    (frames / "lie.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 200)
    (frames / "no.mp4").write_bytes(b"\0\0\0\x18ftypmp42 nothing")
    draw(frames / "large.png", 1, (2100, 2100))
    code, said = predict(bundle, frames, "--out", tmp_path / "out", "--json")
    faults = rows_of(tmp_path / "out", "faults.csv")
    bad = ["cut.jpg", "empty.png", "large.png", "lie.dcm", "no.mp4"]
    assert [fault["where"] for fault in faults] == bad
    assert code == 1
    assert len(rows_of(tmp_path / "out")) == 23
    assert json.loads(said)["faults"] == 5
    assert all(fault["what"] for fault in faults)
    assert "Traceback" not in said


def test_a_mended_file_is_read_when_the_same_command_runs_again(bundle, frames, tmp_path):
    good = (frames / "00.png").read_bytes()
    (frames / "00.png").write_bytes(good[:200])
    assert predict(bundle, frames, "--out", tmp_path / "out")[0] == 1
    (frames / "00.png").write_bytes(good)
    code, said = predict(bundle, frames, "--out", tmp_path / "out", "--json")
    assert (code, json.loads(said)["known_before"]) == (0, 22)
    predict(bundle, frames, "--out", tmp_path / "whole")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_a_file_that_changed_is_judged_anew_and_one_that_went_is_dropped_if_asked(
    bundle, frames, tmp_path
):
    predict(bundle, frames, "--out", tmp_path / "out")
    draw(frames / "00.png", 999)
    (frames / "06.png").unlink()
    _, said = predict(bundle, frames, "--out", tmp_path / "out", "--json", "--overwrite")
    assert json.loads(said)["known_before"] == 21
    assert json.loads(said)["dropped"] == 1
    predict(bundle, frames, "--out", tmp_path / "whole")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


@pytest.mark.parametrize("left", [0, 1, 400, 3000, 100_000])
def test_a_journal_cut_anywhere_ends_in_the_same_bytes(bundle, frames, tmp_path, left):
    predict(bundle, frames, "--out", tmp_path / "whole")
    predict(bundle, frames, "--out", tmp_path / "out")
    for name in ("predictions.csv", "predictions.json", "faults.csv"):
        (tmp_path / "out" / name).unlink()
    journal = tmp_path / "out" / ".predict" / "frames.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:left])
    # Killed while what was there is put behind what was there before.
    (journal.parent / "earlier.jsonl").write_bytes(whole[: left // 2])
    predict(bundle, frames, "--out", tmp_path / "out")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")
    assert journal.read_bytes() == whole


def test_killed_at_any_moment_the_same_command_ends_in_the_same_bytes(bundle, tmp_path):
    for seed in range(6):
        draw(tmp_path / "in" / f"{seed}.png", seed, (400, 500))
    for copy in range(120):
        (tmp_path / "in" / f"copy{copy}.png").hardlink_to(tmp_path / "in" / f"{copy % 6}.png")
    command = [sys.executable, "-m", "polypskd", "predict", str(bundle), str(tmp_path / "in")]
    command += ["--quiet", "--out", str(tmp_path / "out")]
    journal = tmp_path / "out" / ".predict" / "frames.jsonl"
    cut = 0
    for least in (1, 9000):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while process.poll() is None:
                if journal.exists() and journal.stat().st_size > least:
                    process.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.002)
        cut += process.returncode == -signal.SIGKILL
    assert cut
    done = subprocess.run(command, capture_output=True, check=True)
    assert b"Frames judged" in done.stdout
    predict(bundle, tmp_path / "in", "--out", tmp_path / "whole")
    assert bytes_of(tmp_path / "out") == bytes_of(tmp_path / "whole")


def test_the_summary_counts_in_words_that_fit_one(tmp_path):
    band = {"fixed_on": "val", "unit": "frames", "negative_to": 0.0, "positive_from": 1.0}
    bundle = write_bundle(tmp_path / "bundle", confidence=band)
    draw(tmp_path / "in" / "a.png", 1)
    (tmp_path / "in" / "b.png").write_bytes(b"none")
    _, said = predict(bundle, tmp_path / "in", "--out", tmp_path / "out")
    assert "1  unsure\n" in said
    assert "1 fault of files or frames (" in said


def test_a_folder_that_cannot_be_listed_says_what_to_do(bundle, frames, tmp_path, monkeypatch):
    whole = os.scandir

    def refuse(path):
        if str(path).rstrip("/").endswith("deep"):
            raise PermissionError(13, "Permission denied")
        return whole(path)

    monkeypatch.setattr("polypskd.deployment.prediction.inputs.os.scandir", refuse)
    code, said = predict(bundle, frames, "--out", tmp_path / "out")
    assert code == 1
    assert "deep/: cannot be read (Permission denied); let it be read (chmod -R a+rX)" in said


def test_hidden_files_are_skipped_and_links_lead_nowhere_outside(bundle, frames, tmp_path):
    draw(tmp_path / "elsewhere" / "secret.png", 5)
    draw(frames / ".hidden" / "a.png", 5)
    draw(frames / ".b.png", 5)
    (frames / "notes.txt").write_text("no frame")
    (frames / "IM001").write_text("no DICOM")
    (frames / "out.png").symlink_to(tmp_path / "elsewhere" / "secret.png")
    (frames / "outer").symlink_to(tmp_path / "elsewhere")
    (frames / "round").symlink_to(frames)
    (frames / "same.png").symlink_to(frames / "00.png")
    (frames / "gone.png").symlink_to(frames / "nothing.png")
    os.mkfifo(frames / "pipe.png")
    code, _ = predict(bundle, frames, "--out", tmp_path / "out")
    names = [row["frame"] for row in rows_of(tmp_path / "out")]
    assert code == 1
    assert len(names) == 24
    assert "same.png" in names
    faults = rows_of(tmp_path / "out", "faults.csv")
    assert [fault["where"] for fault in faults] == ["out.png", "outer"]
    assert b"secret" not in b"".join(bytes_of(tmp_path / "out").values())


def test_names_no_table_could_hold_are_shown_escaped(bundle, tmp_path):
    draw(tmp_path / "a.png", 1)
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "a.png").rename(folder / 'two\nlines, "quoted".png')
    draw(tmp_path / "b.png", 1)
    (tmp_path / "b.png").rename(folder / os.fsdecode(b"latin-\xe9.png"))
    assert predict(bundle, folder, "--out", tmp_path / "out")[0] == 0
    names = [row["frame"] for row in rows_of(tmp_path / "out")]
    assert names == ["latin-\\xe9.png", 'two\\nlines, "quoted".png']


def test_several_inputs_are_told_apart_or_refused(bundle, tmp_path):
    one, two = draw(tmp_path / "x" / "a.png", 1), draw(tmp_path / "y" / "a.png", 2)
    assert predict(bundle, tmp_path / "x", tmp_path / "y", "--out", tmp_path / "out")[0] == 0
    assert [row["frame"] for row in rows_of(tmp_path / "out")] == ["x/a.png", "y/a.png"]
    code, said = predict(bundle, one, two, "--out", tmp_path / "out2")
    assert code == 1
    assert "would both be named a.png" in said
    assert not (tmp_path / "out2").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nothing", "no such file"),
        ("a.txt", "unknown suffix"),
        ("void", "void: no frames here; give images"),
    ],
)
def test_an_input_without_frames_is_refused_in_one_line(bundle, tmp_path, given, said):
    (tmp_path / "void").mkdir()
    (tmp_path / "a.txt").write_text("text")
    code, told = predict(bundle, tmp_path / given, "--out", tmp_path / "out")
    assert code == 1
    assert said in told
    assert "\n" not in told


def test_results_go_neither_among_the_inputs_nor_over_others_files(bundle, frames, tmp_path):
    assert "lies within" in predict(bundle, frames, "--out", frames / "out")[1]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "thesis.txt").write_text("mine")
    assert "holds other files" in predict(bundle, frames, "--out", tmp_path / "own")[1]
    (tmp_path / "link").symlink_to(tmp_path / "own")
    assert "is no folder" in predict(bundle, frames, "--out", tmp_path / "link")[1]
    assert names_in(tmp_path / "own") == ["thesis.txt"]


@pytest.mark.parametrize("link", [".predict", ".predict/frames.jsonl", ".predict/.steps/lock"])
def test_nothing_is_written_through_a_link(bundle, frames, tmp_path, link):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").write_text("theirs")
    predict(bundle, frames, "--out", tmp_path / "out")
    place = tmp_path / "out" / link
    if place.is_dir():
        shutil.rmtree(place)
        place.symlink_to(tmp_path / "theirs")
    else:
        place.unlink()
        place.symlink_to(tmp_path / "theirs" / "file")
    code, said = predict(bundle, frames, "--out", tmp_path / "out")
    assert code == 1
    assert "is a link" in said
    assert names_in(tmp_path / "theirs") == ["file"]
    assert (tmp_path / "theirs" / "file").read_text() == "theirs"


def test_another_bundles_results_are_not_mixed_in(bundle, frames, tmp_path):
    predict(bundle, frames, "--out", tmp_path / "out")
    other = write_bundle(tmp_path / "other", min_side=20)
    code, said = predict(other, frames, "--out", tmp_path / "out")
    assert code == 1
    assert "another bundle" in said


def test_a_bundle_with_one_changed_byte_is_refused(frames, tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    network = bytearray((bundle / "student.onnx").read_bytes())
    network[-20] ^= 1
    (bundle / "student.onnx").write_bytes(network)
    code, said = predict(bundle, frames, "--out", tmp_path / "out")
    assert code == 1
    assert "SHA-256" in said
    assert "\n" not in said
    assert not (tmp_path / "out").exists()


FORBIDDEN = (
    "torch", "monai", "albumentations", "sklearn", "matplotlib", "polars", "scipy", "pandas",
    "statsmodels", "safetensors", "onnx",
)  # fmt: skip


def test_it_runs_where_no_training_library_is_installed(bundle, frames, tmp_path):
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {FORBIDDEN!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import socket
def refuse(*given): raise SystemExit('network')
socket.socket.connect = refuse
from polypskd.cli import main
sys.argv = ['polypskd', 'predict', *{[str(bundle), str(frames), "--out", str(tmp_path / "out")]!r}]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(rows_of(tmp_path / "out")) == 23
