"""Notes, user data and units of nobody's within the coded pictures of a video do not come out."""

import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.cohort.damage import DamageError
from polypskd.deployment.deidentification.coded_pictures import CODINGS, strip_head, strip_pictures
from polypskd.deployment.deidentification.panel import Plan
from polypskd.deployment.deidentification.video_streams import choose_suffix, clean_video

av = pytest.importorskip("av", reason="PyAV is not installed")
COUNT = 6
USER = b"\0\0\1\xb2ZQ user data of the recorder"


def add_units(data):
    """Add units of H.264 that belong to no picture: users' own, a filler, a second picture's."""
    return data + b"".join(
        b"\0\0\0\1" + bytes([kind]) + b"ZQ unit\x80"
        for kind in (0x1E, 0x18, 0x0C, 0x0F, 0x13, 0x06)
    )


def add_user_data(data):
    return USER + data + USER


def write_video(path, codec, change=bytes, pixels="yuv420p", **options):
    with av.open(str(path), "w") as target:
        target.metadata["title"] = "ZQ title"
        target.set_chapters(
            [
                {
                    "id": 1,
                    "start": 0,
                    "end": 2,
                    "time_base": Fraction(1, 25),
                    "metadata": {"title": "ZQ chapter"},
                }
            ]
        )
        stream = target.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.options = 64, 48, pixels, options
        frames = [
            av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8))
            for number in range(COUNT)
        ]
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, 25)
        for frame in [*frames, None]:
            for packet in stream.encode(frame):
                made = av.Packet(change(bytes(packet)))
                made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
                made.is_keyframe, made.stream = packet.is_keyframe, stream
                target.mux(made)
    return path


def read_frames(path):
    with av.open(str(path)) as source:
        return [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]


@pytest.mark.parametrize(
    ("name", "codec", "change"),
    [
        ("a.mp4", "libx264", add_units),
        ("a.mkv", "libx264", add_units),
        ("a.avi", "libx264", add_units),
        ("a.ts", "libx264", bytes),
        ("a.mp4", "libx265", bytes),
        ("a.mkv", "libx265", bytes),
        ("a.avi", "mpeg4", add_user_data),
        ("a.mp4", "mpeg4", add_user_data),
        ("a.mkv", "mpeg2video", add_user_data),
        ("a.mpg", "mpeg2video", add_user_data),
        ("a.mpg", "mpeg1video", add_user_data),
        ("a.ts", "mpeg2video", add_user_data),
    ],
)
def test_what_stands_between_pictures_goes(tmp_path, name, codec, change):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    source = write_video(tmp_path / name, codec, change, **options)
    suffix = choose_suffix(name)
    made = tmp_path / f"made{suffix}"
    clean_video(source, made, Plan("said clean"), suffix=suffix)
    data = made.read_bytes()
    assert b"ZQ" in source.read_bytes()
    for word in (b"ZQ", b"x264 - core", b"x265 (build", b"chapter"):
        assert word not in data
    before, after = read_frames(source), read_frames(made)
    assert len(before) == len(after) == COUNT
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_boxes_and_chunks_of_a_container_go(tmp_path):
    def box(kind, body):
        return struct.pack(">I", 8 + len(body)) + kind + body

    mp4 = write_video(tmp_path / "a.mp4", "libx264")
    avi = write_video(tmp_path / "a.avi", "mjpeg", pixels="yuvj420p")
    with mp4.open("ab") as file:
        for kind in (b"free", b"skip", b"uuid", b"udta", b"meta", b"mdat", b"XMP_"):
            file.write(box(kind, b"ZQ box".ljust(24, b" ")))
    with avi.open("ab") as file:
        file.write(b"JUNK" + struct.pack("<I", 8) + b"ZQ junk.")
    data = avi.read_bytes()
    at = data.index(b"JUNK")
    avi.write_bytes(data[: at + 8] + b"ZQ" + data[at + 10 :])
    for source in (mp4, avi):
        made = tmp_path / f"made{source.suffix}"
        clean_video(source, made, Plan("said clean"), suffix=source.suffix)
        assert b"ZQ" not in made.read_bytes()
        assert len(read_frames(made)) == COUNT


def test_a_head_keeps_parameters_alone():
    sets = b"\x67\x64SPS", b"\x68PPS"
    sized = [struct.pack(">H", len(one)) + one for one in sets]
    note = struct.pack(">H", 4) + b"\x06ZQn"
    head = b"\1\x64\0\x1e\xff\xe2" + sized[0] + note + b"\1" + sized[1] + b"\xfd\xf8\xf8\0ZQ more"
    clean = b"\1\x64\0\x1e\xff\xe1" + sized[0] + b"\1" + sized[1] + b"\xfd\xf8\xf8\0"
    assert strip_head(head, "h264") == clean
    assert strip_head(clean, "h264") == clean
    assert strip_head(b"ZQ", "mjpeg") == strip_head(b"ZQ", "vp9") == b""


def test_an_encoders_name_stays_where_decoders_go_by_it_and_no_other():
    known, other = b"\0\0\1\xb2XviD0064", b"\0\0\1\xb2Lavc of Mr ZQ"
    picture = b"\0\0\1\xb6picture"
    assert strip_pictures(known + other + picture, "mpeg4") == known + picture


@given(st.binary(max_size=200), st.sampled_from(sorted(CODINGS)), st.booleans())
def test_bytes_of_any_kind_end_in_a_fault_or_in_fewer_bytes(data, coding, sized):
    head = b"\1" + b"\x64\0\x1e\xff\xe0" + b"\0" * 20 if sized else b""
    for strip in (
        lambda: strip_pictures(data, coding, head),
        lambda: strip_head(b"\1" + data, coding),
    ):
        try:
            made = strip()
        except DamageError:
            continue
        assert len(made) <= len(data) * 4 // 3 + 24


def test_frames_hidden_by_a_cut_are_refused(tmp_path):
    source = write_video(tmp_path / "a.mp4", "libx264", **{"x264-params": "keyint=30:bframes=0"})
    data = bytearray(source.read_bytes())
    at = data.index(b"elst") + 4
    # One edit: its duration, and the time at which the shown part begins.
    _, count, _, _ = struct.unpack_from(">IIII", data, at)
    assert count == 1
    with av.open(str(source)) as opened:
        time_base = opened.streams.video[0].time_base
    struct.pack_into(">I", data, at + 12, int(Fraction(3, 25) / time_base))
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data)
    assert len(read_frames(cut)) < COUNT
    with pytest.raises(DamageError, match="not shown"):
        clean_video(cut, tmp_path / "made.mp4", Plan("said clean"), suffix=".mp4")
