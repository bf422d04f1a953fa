"""Every frame by its index, against a decode from the beginning."""

import io
import random
import struct
from contextlib import suppress

import numpy as np
import pytest
from video_clips import FAST, H264, HEVC, OPEN, REFRESH, decode_all, list_packets, make_clip

from polypskd.cohort.damage import DamageError
from polypskd.cohort.video import open_video

CLIPS = {
    **{
        f"{form} of H.264 with B-frames": (form, "libx264", {"bf": 3, "options": H264})
        for form in ("mp4", "mov", "matroska", "avi", "mpegts", "mpeg", "h264")
    },
    **{
        f"{form} of H.264 in open groups": (form, "libx264", {"bf": 3, "options": OPEN})
        for form in ("mp4", "matroska", "avi", "mpegts", "h264")
    },
    **{
        f"{form} of MPEG-2": (form, "mpeg2video", {"bf": 2})
        for form in ("mpegts", "vob", "mpeg2video", "avi", "matroska")
    },
    **{
        f"{form} of HEVC in open groups": (form, "libx265", {"bf": 3, "options": HEVC})
        for form in ("mp4", "mpegts", "hevc")
    },
    "no key frames, only refresh": ("mp4", "libx264", {"options": REFRESH}),
    "refresh in a transport stream": ("mpegts", "libx264", {"options": REFRESH}),
    "one long group": ("mp4", "libx264", {"bf": 3, "gop": 500, "options": H264}),
    "avi of MPEG-4": ("avi", "mpeg4", {"bf": 2}),
    "avi of JPEG, odd size": ("avi", "mjpeg", {"pix": "yuvj420p", "size": (63, 47)}),
    "avi as HuffYUV": ("avi", "huffyuv", {"pix": "yuv422p"}),
    "avi without compression": ("avi", "rawvideo", {}),
    "webm of VP9": ("webm", "libvpx-vp9", {"options": {"deadline": "realtime", "cpu-used": "8"}}),
    "odd size": ("mp4", "mpeg4", {"size": (61, 45), "bf": 2}),
    "4:2:2": ("mp4", "libx264", {"pix": "yuv422p", "bf": 2, "options": H264}),
    "4:4:4, odd size": ("mp4", "libx264", {"pix": "yuv444p", "size": (61, 45), "options": H264}),
    "as recorders write": ("mp4", "libx264", {"size": (320, 256), "bf": 2, "options": FAST}),
    "ten bits": ("mp4", "libx264", {"pix": "yuv420p10le", "options": H264}),
    "full range": ("mp4", "libx264", {"pix": "yuvj420p", "bf": 2, "options": H264}),
}


def compare_everywhere(data, want):
    """Read all frames in turn, in disorder and backwards."""
    with open_video(io.BytesIO(data)) as video:
        assert video.count == len(want)
        assert video.size == want[0].shape[1::-1]
        turn = list(range(len(want)))
        for indices in (turn, random.Random(3).sample(turn, len(turn)), turn[::-1], turn[::5]):  # noqa: S311
            for index in indices:
                pixels = video.read(index)
                assert pixels.flags.c_contiguous
                assert pixels.dtype == np.uint8
                assert np.array_equal(pixels, want[index]), index
        return video.decoder


@pytest.mark.parametrize("name", CLIPS)
def test_every_index_gives_the_frame_of_a_full_decode(name):
    form, codec, how = CLIPS[name]
    data = make_clip(form, codec, **how)
    want = decode_all(data)
    assert len(want) == 40
    assert len({frame.tobytes() for frame in want}) == 40  # else a wrong one would pass
    decoder = compare_everywhere(data, want)
    if form != "mpeg":  # H.264 in a program stream has no times to seek by
        assert decoder.rewinds == 0


def test_frames_of_uneven_length_and_a_late_start_are_counted_from_zero():
    times = [90 + 7 * i + i * i % 5 for i in range(30)]
    for form in ("mp4", "matroska"):
        data = make_clip(form, "libx264", 30, times=times, bf=2, options=H264)
        compare_everywhere(data, decode_all(data))


def test_frames_that_an_edit_list_hides_are_not_counted():
    data = bytearray(make_clip("mp4", "libx264", bf=3, options=H264))
    at = data.index(b"elst")
    before = struct.unpack_from(">i", data, at + 16)[0]
    struct.pack_into(">i", data, at + 16, before + 512 * 5)
    want = decode_all(bytes(data))
    assert len(want) == 35
    compare_everywhere(bytes(data), want)


def test_rotation_is_not_applied():
    data = bytearray(make_clip("mp4", "libx264", 10, options=H264))
    want = decode_all(bytes(data))
    at = data.index(b"tkhd") + 4 + 40  # the matrix of a header of version 0
    quarter = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30)
    data[at : at + 36] = quarter
    compare_everywhere(bytes(data), want)


def test_a_stream_cut_in_the_middle_of_an_open_group_starts_at_its_first_whole_frame():
    whole = make_clip("mpeg2video", "mpeg2video", bf=2)
    packets = list_packets(whole)
    for cut in (5, 10):
        data = b"".join(packets[cut:])
        want = decode_all(data)
        assert len(want) < len(packets[cut:])
        compare_everywhere(data, want)


@pytest.mark.parametrize("form", ["h264", "mpeg2video", "mpegts", "vob", "mp4"])
def test_a_byte_of_padding_at_the_end_changes_nothing(form):
    codec = "mpeg2video" if form in ("mpeg2video", "vob") else "libx264"
    data = make_clip(form, codec, bf=2)
    compare_everywhere(data + b"\0", decode_all(data))


def test_stuffing_for_a_constant_rate_is_no_damage():
    rate = {"b": "900k", "minrate": "900k", "maxrate": "900k", "bufsize": "200k"}
    data = make_clip("mpeg2video", "mpeg2video", options=rate)
    assert bytes(64) in data
    compare_everywhere(data, decode_all(data))


@pytest.mark.parametrize(("codec", "how"), [("mpeg2video", {}), ("libx264", {"options": OPEN})])
def test_a_transport_stream_cut_anywhere_starts_at_its_first_whole_frame(codec, how):
    data = make_clip("mpegts", codec, bf=2, **how)
    tables, rest = data[: 3 * 188], data[3 * 188 :]
    fewer = 0
    for cut in range(10, len(rest) // 188 // 2, 3):
        cut_data = tables + rest[cut * 188 :]
        want = decode_all(cut_data)
        fewer += len(want) < len(list_packets(cut_data))
        with open_video(io.BytesIO(cut_data)) as video:
            assert video.count == len(want), cut
            for index in range(len(want)):
                if index < 12:  # a plain player conceals what is missing of the first group
                    with suppress(DamageError):
                        assert np.array_equal(video.read(index), want[index]), (cut, index)
                else:
                    assert np.array_equal(video.read(index), want[index]), (cut, index)
    assert fewer > 3


def test_reading_in_turn_seeks_once_and_a_far_frame_costs_no_more_than_a_near_one():
    data = make_clip("mp4", "libx264", 120, bf=2, options=H264)
    with open_video(io.BytesIO(data)) as video:
        for index in range(video.count):
            video.read(index)
        assert video.decoder.seeks == 1
        decoded = []
        step = video.decoder._step
        video.decoder._step = lambda: (decoded.append(1), step())
        for index in (11, 59, 119):
            video.read(0)
            decoded.clear()
            video.read(index)
            assert len(decoded) <= 12 + 4, index


def test_the_index_takes_bytes_a_frame_and_no_more():
    data = make_clip("avi", "mjpeg", 400, pix="yuvj420p", size=(16, 16))
    with open_video(io.BytesIO(data)) as video:
        index = video.index
        arrays = (index.order, index.rank, index.sizes, index.times, index.entries)
        assert sum(array.nbytes for array in arrays) == 400 * (4 * 8 + 5 * 8)
