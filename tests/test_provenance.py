"""What provenance.json says of the packages that turned files into pixels."""

import json
from importlib.metadata import version
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from polypskd.judgement import describe_provenance


def describe(*frames):
    """Describe the provenance of a run on these frames."""
    examples = type("Examples", (), {"path": np.array(frames), "__len__": lambda self: len(frames)})
    material = SimpleNamespace(
        examples=examples(),
        device=SimpleNamespace(type="cpu"),
        config=SimpleNamespace(seed=1, fit_seed=2),
        store=SimpleNamespace(key="0" * 64),
    )
    return json.loads(json.dumps(describe_provenance(material)))["decoders"]


def test_images_name_the_version_of_their_decoder_alone():
    assert describe("a.png", "b.jpg") == {"images": f"opencv {cv2.__version__}"}


def test_dicom_files_name_every_decoder_that_may_have_read_them():
    told = describe("exam/a.dcm#3", "exam/IM0001")
    packages = {"simplejpeg", "pylibjpeg-openjpeg", "pyjpegls"}
    named = " ".join(told.values())
    for package in packages:
        assert f"{package} {version(package)}" in named
    assert all(name == "images" or name.startswith(("DICOM ", "video")) for name in told)


def test_videos_name_pyav_and_the_ffmpeg_within():
    av = pytest.importorskip("av", reason="the extra polypskd[video] is not installed")
    told = describe("exam/clip.mp4#12")
    assert set(told) == {"images", "video"}
    assert f"av {av.__version__}" in told["video"]
    from av import library_versions as found

    codec = ".".join(map(str, found["libavcodec"]))
    assert f"libavcodec {codec}" in told["video"]


def test_no_name_of_a_frame_stands_there():
    assert "SECRET" not in json.dumps(describe("SECRET/SECRET.dcm#1", "SECRET.mp4#1"))
