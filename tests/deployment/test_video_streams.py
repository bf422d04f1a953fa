"""Videos lose metadata, sound and notes; the coded pictures stay, or are masked."""

from fractions import Fraction

import cv2
import numpy as np
import pytest

from polypskd.cohort.damage import DamageError
from polypskd.deployment.deidentification.panel import Plan, Trust, blank_rectangles
from polypskd.deployment.deidentification.rules import Rule, Rules
from polypskd.deployment.deidentification.video_streams import clean_video, measure_video
from polypskd.deployment.deidentify import Wish, deidentify

av = pytest.importorskip("av", reason="PyAV is not installed")
COUNT = 10


def write_video(path, codec="libx264", sound="aac"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as target:
        target.metadata.update(title="ZQ title", comment="ZQ comment", artist="ZQ artist")
        video = target.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.metadata.update(handler_name="ZQ handler", title="ZQ stream")
        if codec == "mjpeg":
            video.pix_fmt = "yuvj420p"
        audio = target.add_stream(sound, rate=44100, layout="mono")
        for number in range(COUNT):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8))
            frame.pts, frame.time_base = number, Fraction(1, 25)
            target.mux(video.encode(frame))
        target.mux(video.encode(None))
        noise = np.random.default_rng(0).normal(0, 0.1, (1, 8192)).astype(np.float32)
        heard = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
        heard.sample_rate, heard.pts = 44100, 0
        target.mux(audio.encode(heard))
        target.mux(audio.encode(None))
    return path


def read_frames(path):
    with av.open(str(path)) as source:
        return [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]


@pytest.mark.parametrize(
    ("suffix", "codec", "sound"),
    [
        (".mp4", "libx264", "aac"),
        (".mov", "libx264", "aac"),
        (".mkv", "libx264", "aac"),
        (".avi", "mpeg4", "mp3"),
        (".avi", "mjpeg", "mp3"),
        (".mkv", "mpeg2video", "aac"),
    ],
)
def test_the_coded_pictures_stay_and_all_else_goes(tmp_path, suffix, codec, sound):
    source = write_video(tmp_path / f"a{suffix}", codec, sound)
    made = [tmp_path / f"{name}{suffix}" for name in ("b", "c")]
    for path in made:
        clean_video(source, path, Plan("said clean"), suffix=suffix)
    data = made[0].read_bytes()
    assert b"ZQ" in source.read_bytes()
    assert b"ZQ" not in data
    assert b"x264 - core" not in data
    assert data == made[1].read_bytes()
    with av.open(str(made[0])) as opened:
        assert [stream.type for stream in opened.streams] == ["video"]
    before, after = read_frames(source), read_frames(made[0])
    assert len(before) == len(after) == COUNT
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_rule_masks_every_frame_of_a_video(tmp_path):
    source = write_video(tmp_path / "in" / "ZQ.mp4")
    rule = Rule({"kind": "video", "rows": 48, "columns": 64}, black=((0, 0, 16, 48),))
    wish = Wish(b"k" * 32, rules=Rules((rule,)))
    outcome = deidentify(tmp_path / "in", tmp_path / "out", wish)
    assert outcome.ways == {"rule: black": 1}
    (made,) = (tmp_path / "out").rglob("*.mp4")
    before, after = read_frames(source), read_frames(made)
    assert len(after) == COUNT
    for a, b in zip(before, after, strict=True):
        masked = blank_rectangles(a, [(0, 0, 16, 48)])
        assert np.abs(masked[:, :14].astype(int) - b[:, :14]).max() <= 3
        assert np.abs(masked[:, 20:].astype(int) - b[:, 20:]).max() <= 3


def test_sides_that_are_odd_and_sizes_that_change_are_not_masked_wrongly(tmp_path):
    def encode(path, sizes):
        with av.open(str(path), "w") as target:
            stream = target.add_stream("mjpeg", rate=25)
            stream.width, stream.height, stream.pix_fmt = *sizes[0], "yuvj444p"
            for number, (width, height) in enumerate(sizes):
                data = cv2.imencode(".jpg", np.full((height, width, 3), 90, np.uint8))[1]
                packet = av.Packet(data.tobytes())
                packet.pts = packet.dts = number
                packet.time_base, packet.stream = Fraction(1, 25), stream
                packet.is_keyframe = True
                target.mux(packet)
        return path

    plan = Plan("rule: black", lambda pixels: blank_rectangles(pixels, [(0, 0, 9, 9)]))
    odd = encode(tmp_path / "odd.avi", [(63, 47)] * 3)
    clean_video(odd, tmp_path / "a.avi", plan, suffix=".avi")
    assert [frame.shape for frame in read_frames(tmp_path / "a.avi")] == [(47, 63, 3)] * 3
    changing = encode(tmp_path / "changing.avi", [(64, 48), (32, 24)])
    with pytest.raises(DamageError, match="size changes"):
        clean_video(changing, tmp_path / "b.avi", plan, suffix=".avi")


def test_a_video_that_nobody_vouches_for_is_refused(tmp_path):
    write_video(tmp_path / "in" / "a.mp4")
    outcome = deidentify(
        tmp_path / "in", tmp_path / "out", Wish(b"k" * 32, trust=Trust(field=True, pixels=True))
    )
    assert "burned-in text" in str(outcome.refused[0])
    assert not list((tmp_path / "out").rglob("*.mp4"))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_a_cut_or_foreign_file_is_a_fault(tmp_path, share):
    whole = write_video(tmp_path / "a.mp4").read_bytes()
    cut = tmp_path / "b.mp4"
    cut.write_bytes(whole[: int(len(whole) * share)] or b"no video at all")
    with pytest.raises(DamageError, match="not a readable video"):
        measure_video(cut)


@pytest.mark.parametrize(
    ("suffix", "codec", "sound"), [(".mp4", "libx264", "aac"), (".avi", "mpeg4", "mp3")]
)
def test_no_title_comes_out_of_a_damaged_container(tmp_path, suffix, codec, sound):
    whole = write_video(tmp_path / f"whole{suffix}", codec, sound).read_bytes()
    rng = np.random.default_rng(4)
    path, made = tmp_path / f"damaged{suffix}", tmp_path / "made"
    cleaned = 0
    for _ in range(150):
        data = np.frombuffer(whole, np.uint8).copy()
        at = rng.integers(0, 1000, rng.choice([1, 2, 8, 40]))
        data[at] = rng.integers(0, 256, len(at))
        path.write_bytes(data.tobytes())
        try:
            measure_video(path)
            clean_video(path, made, Plan("said clean"), suffix=suffix)
        except DamageError:
            continue
        cleaned += 1
        found = made.read_bytes()
        assert not [word for word in (b"ZQ title", b"ZQ comment", b"ZQ artist") if word in found]
    assert cleaned > 10
