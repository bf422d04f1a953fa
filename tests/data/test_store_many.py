"""The pixel store of frames that share files."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "cohort"))

from hospital_files import draw_frame, write_dicom, write_image, write_video

from polypskd.cohort.preparation import prepare_frame
from polypskd.config import BoxCrop
from polypskd.data.digests import hash_frames
from polypskd.data.store import VERSION, Reading, open_store


def test_frames_of_one_file_are_stored_in_the_order_asked_for(tmp_path):
    pytest.importorskip("av", reason="the extra polypskd[video] is not installed")
    write_dicom(tmp_path / "f" / "a.dcm", [1, 2, 3])
    write_video(tmp_path / "f" / "v.mkv", 12)
    names = ["a.dcm#2", "v.mkv#11", "a.dcm#1", "v.mkv#2", "v.mkv#10"]
    store = open_store(tmp_path / "f", names, size=32, folder=tmp_path / "s")
    expected = [prepare_frame(draw_frame(number), 32) for number in (2, 11, 1, 2, 10)]
    np.testing.assert_array_equal(store.pixels[:], np.stack(expected))


def test_frames_of_one_file_have_unlike_hashes_and_the_file_is_read_once(tmp_path):
    write_dicom(tmp_path / "f" / "a.dcm", [1, 2, 3])
    write_image(tmp_path / "f" / "b.png", 4)
    read = []
    names = ["a.dcm#1", "a.dcm#2", "b.png", "a.dcm#3"]
    hashes = hash_frames(
        tmp_path / "f", names, tmp_path / "s", lambda done, all_: read.append(all_)
    )
    assert read == [2, 2]
    assert len({row.tobytes() for row in hashes}) == 4
    assert hashes[2].tobytes() == hashlib.sha256((tmp_path / "f" / "b.png").read_bytes()).digest()


def test_the_key_covers_the_crop_and_the_decoders_of_what_is_no_image(tmp_path, monkeypatch):
    write_image(tmp_path / "f" / "b.png", 4)
    write_dicom(tmp_path / "f" / "a.dcm", [1])
    reading = Reading(crop=BoxCrop(left=0, top=0, width=20, height=20))

    def key(name, reading=None):
        root, folder = tmp_path / "f", tmp_path / "s"
        return open_store(root, [name], size=32, folder=folder, reading=reading).key

    image, dicom = key("b.png"), key("a.dcm")
    assert key("b.png", reading) != image
    monkeypatch.setattr("polypskd.cohort.dicom.describe_decoders", lambda: {"RLE": "other 9"})
    assert key("b.png") == image
    assert key("a.dcm") != dicom


def test_the_key_of_whole_images_is_that_of_former_versions(tmp_path):
    write_image(tmp_path / "f" / "b.png", 4)
    digest = hashlib.sha256(f"{VERSION}|32|1".encode())
    digest.update(hashlib.sha256((tmp_path / "f" / "b.png").read_bytes()).digest())
    store = open_store(tmp_path / "f", ["b.png"], size=32, folder=tmp_path / "s")
    assert store.key == digest.hexdigest()
