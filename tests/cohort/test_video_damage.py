"""Videos that lie, are cut or damaged: one line, soon, and never another frame."""

import io
import os
import random
import struct
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from video_clips import H264, HEVC, OPEN, decode_all, list_packets, make_clip

from polypskd.cohort.damage import DamageError
from polypskd.cohort.video import open_video

MP4 = make_clip("mp4", "libx264", bf=2, options=H264)
CLIPS = {
    "mp4": MP4,
    "mkv": make_clip("matroska", "libx264", bf=3, options=OPEN),
    "avi": make_clip("avi", "mpeg4", bf=2),
    "avi of JPEG": make_clip("avi", "mjpeg", pix="yuvj420p"),
    "transport stream": make_clip("mpegts", "mpeg2video", bf=2),
    "program stream": make_clip("vob", "mpeg2video", bf=2),
    "bare H.264": make_clip("h264", "libx264", bf=2, options=H264),
    "HEVC": make_clip("mp4", "libx265", bf=3, options=HEVC),
}


def read_all(data):
    """Read every frame: pixels, or what was wrong."""
    with open_video(io.BytesIO(data)) as video:
        return [read_one(video, index) for index in range(video.count)]


def read_one(video, index):
    try:
        return video.read(index)
    except DamageError as damage:
        return damage.what


@pytest.mark.parametrize("codec", ["libx264", "mpeg4", "mpeg2video", "mjpeg"])
def test_a_hole_in_a_packet_is_told_for_all_frames_built_on_it_and_for_no_others(codec):
    pix, options = ("yuvj420p", {}) if codec == "mjpeg" else ("yuv420p", {})
    if codec == "libx264":
        options = {"preset": "ultrafast", "x264-params": "keyint=12"}
    data = make_clip("avi" if codec == "mjpeg" else "matroska", codec, pix=pix, options=options)
    packets, want = list_packets(data), decode_all(data)
    packet = max(packets[14:20], key=len)
    number = packets.index(packet)
    at = data.index(packet)
    faults = 0
    for start in range(0, len(packet), 16):
        hole = bytearray(data)
        hole[at + start : at + len(packet)] = b"\xff" * (len(packet) - start)
        found = read_all(bytes(hole))
        last = number + 1 if codec == "mjpeg" else 24
        for index in (*range(number), *range(last, 40)):
            assert np.array_equal(found[index], want[index]), (start, index)
        if isinstance(found[number], str):
            faults += 1
            assert all(isinstance(told, str) for told in found[number:last])
    assert faults > 0


def test_what_is_read_does_not_depend_on_what_was_read_before():
    packets = list_packets(MP4)
    drawn = random.Random(2)  # noqa: S311
    for number in (5, 12, 13, 24, 30):
        at = MP4.index(packets[number])
        data = bytearray(MP4)
        data[at + 6 : at + 40] = drawn.randbytes(34)
        found = read_all(bytes(data))
        with open_video(io.BytesIO(bytes(data))) as video:
            for index in drawn.choices(range(40), k=80):
                assert np.array_equal(read_one(video, index), found[index])


@pytest.mark.parametrize("name", CLIPS)
def test_cut_and_flipped_files_end_in_faults_or_in_frames(name):
    data = CLIPS[name]
    drawn = random.Random(4)  # noqa: S311
    for trial in range(90):
        bad = bytearray(data)
        if trial % 3 == 0:
            bad = bad[: drawn.randrange(1, len(bad))]
        elif trial % 3 == 1:  # the head, where sizes and counts are claimed
            for _ in range(4):
                bad[drawn.randrange(min(1500, len(bad)))] = drawn.choice((0, 127, 128, 255))
        else:
            at = drawn.randrange(len(bad))
            bad[at : at + 64] = drawn.randbytes(len(bad[at : at + 64]))
        with suppress(DamageError):
            read_all(bytes(bad))


def test_an_mp4_cut_short_is_refused_as_a_whole():
    front = bytearray(MP4[: MP4.index(b"mdat") + 2000])
    front += MP4[MP4.index(b"moov") - 4 :]
    with pytest.raises(DamageError):
        open_video(io.BytesIO(MP4[: len(MP4) // 2]))
    quick = make_clip("mp4", "libx264", options={**H264, "movflags": "x"})
    moov, mdat = quick.index(b"moov") - 4, quick.index(b"mdat") - 4
    size = len(quick) - moov
    head = bytearray(quick[:mdat] + quick[moov:] + quick[mdat:moov])
    at = head.index(b"stco")
    (offset,) = struct.unpack_from(">I", head, at + 12)
    struct.pack_into(">I", head, at + 12, offset + size)
    assert len(read_all(bytes(head))) == 40
    with pytest.raises(DamageError, match=r"cut short: \d+ of 40 frames are there"):
        open_video(io.BytesIO(bytes(head[:-900])))


def write_claim(box, place, *numbers):
    data = bytearray(MP4)
    struct.pack_into(f">{len(numbers)}I", data, data.index(box) + place, *numbers)
    return bytes(data)


def test_claims_of_ten_million_frames_are_refused_before_tables_are_made():
    for claim in (10_000_000, 0xFFFFFFFF):
        with pytest.raises(DamageError, match=f"claims {claim} frames"):
            open_video(io.BytesIO(write_claim(b"stsz", 8, 1, claim)))
    with pytest.raises(DamageError, match="in 4000000 edits"):
        open_video(io.BytesIO(write_claim(b"elst", 8, 4_000_000)))
    for box in (b"stts", b"ctts", b"stsc", b"stco", b"stss"):
        with suppress(DamageError):
            read_all(write_claim(box, 8, 0x7FFFFFFF))


def test_a_picture_of_sixty_thousand_by_sixty_thousand_is_not_decoded():
    clip = bytearray(make_clip("avi", "mjpeg", 3, pix="yuvj420p"))
    struct.pack_into("<ii", clip, clip.index(b"strf") + 12, 60_000, 60_000)
    at = clip.find(b"\xff\xc0")
    while at >= 0:
        struct.pack_into(">HH", clip, at + 5, 60_000, 60_000)
        at = clip.find(b"\xff\xc0", at + 1)
    with pytest.raises(DamageError, match="no size, or one that cannot be"):
        open_video(io.BytesIO(bytes(clip)))


def test_sizes_outside_the_limits_are_refused():
    data = make_clip("mp4", "libx264", 3, size=(320, 240), options=H264)
    with pytest.raises(DamageError, match="too large") as large:
        open_video(io.BytesIO(data), max_megapixels=0.05)
    assert large.value.value == "320x240"
    with pytest.raises(DamageError, match="too small"):
        open_video(io.BytesIO(data), min_side=241)
    assert open_video(io.BytesIO(data), min_side=240, max_megapixels=0.1).count == 3


def test_a_size_that_changes_on_the_way_is_told_for_those_frames():
    small = make_clip("mpeg2video", "mpeg2video", 12)
    large = make_clip("mpeg2video", "mpeg2video", 12, size=(128, 96))
    found = read_all(small + large)  # the decoder loses the frame it holds when the size changes
    assert all(isinstance(pixels, np.ndarray) for pixels in found[:11])
    assert set(found[11:]) == {"the size changes within the video, here to"}


@pytest.mark.parametrize(
    "text",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.mp4\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile clip.mp4\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5 RTP/AVP 96\n",
        b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
        b"not a video\n" * 999,
        bytes(100_000),
    ],
)
def test_playlists_and_other_texts_open_nothing(tmp_path, text):
    (tmp_path / "clip.mp4").write_bytes(MP4)
    path = tmp_path / "list.mp4"
    path.write_bytes(text)
    with pytest.raises(DamageError, match="not a readable video"):
        open_video(path)


def test_a_data_reference_to_another_file_is_not_followed(tmp_path):
    other = tmp_path / "other.mp4"
    other.write_bytes(MP4)
    data = bytearray(MP4)
    at = data.index(b"url ") + 4
    assert data[at : at + 4] == b"\0\0\0\1"
    data[at + 3] = 0  # no longer "the frames are in this file"
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    with suppress(DamageError), open_video(path) as video:
        assert np.array_equal(video.read(0), decode_all(MP4)[0])


def test_pipes_folders_and_empty_files_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "empty.mp4").touch()
    for name, what in (("pipe.mp4", "not a file"), ("empty.mp4", "0 bytes")):
        with pytest.raises(DamageError, match=what):
            open_video(tmp_path / name)
    with pytest.raises(DamageError, match="not a file"):
        open_video(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_video(tmp_path / "absent.mp4")


def test_neither_ffmpeg_nor_the_file_says_a_word(tmp_path):
    path = tmp_path / "Doe^Jane.mp4"
    data = bytearray(MP4)
    data[3000:3200] = bytes(200)
    path.write_bytes(data)
    code = f"""
import pathlib
from polypskd.cohort.damage import DamageError
from polypskd.cohort.video import open_video
faults = 0
for path in ({str(path)!r}, {__file__!r}):
    try:
        video = open_video(pathlib.Path(path))
        for index in range(video.count):
            try:
                video.read(index)
            except DamageError as damage:
                faults += 1
                assert "Doe" not in damage.what + damage.value + damage.todo
    except DamageError as damage:
        faults += 1
        assert "Doe" not in damage.what + damage.value + damage.todo
assert faults > 1
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


def test_frames_beyond_the_last_are_refused():
    with open_video(io.BytesIO(MP4)) as video:
        for index in (-1, 40, 10**9):
            with pytest.raises(DamageError, match="no frame") as caught:
                video.read(index)
            assert caught.value.todo == "frames are 0 to 39"
