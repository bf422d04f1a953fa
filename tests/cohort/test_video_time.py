"""The frame shown at a time."""

import io
import random
from fractions import Fraction

import pytest
from video_clips import H264, av, make_clip

from polypskd.cohort.damage import DamageError
from polypskd.cohort.video import open_video

UNEVEN = [90 + 7 * i + i * i % 5 for i in range(30)]
CLIPS = {
    "mp4": make_clip("mp4", "libx264", 30, bf=3, options=H264),
    "mp4, uneven": make_clip("mp4", "libx264", 30, bf=2, times=UNEVEN, options=H264),
    "mkv, uneven": make_clip("matroska", "libx264", 30, bf=2, times=UNEVEN, options=H264),
    "transport stream": make_clip("mpegts", "libx264", 30, bf=2, options=H264),
}


def list_times(data):
    """Times at which frames come up, from a plain decode."""
    with av.open(io.BytesIO(data)) as container:
        return [Fraction(f.pts * f.time_base) for f in container.decode(video=0)]


@pytest.mark.parametrize("name", CLIPS)
def test_a_time_finds_the_last_frame_that_came_up_by_then(name):
    times = list_times(CLIPS[name])
    drawn = random.Random(1)  # noqa: S311
    with open_video(io.BytesIO(CLIPS[name])) as video:
        length = float(times[-1] - times[0])
        for _ in range(300):
            seconds = drawn.uniform(0, length)
            shown = [i for i, time in enumerate(times) if time - times[0] <= Fraction(seconds)]
            assert video.find(seconds) == shown[-1]
        for index in range(video.count):
            assert video.find(video.tell_time(index)) == index
            assert video.find(round(video.tell_time(index) + 1e-6, 6)) == index


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("seconds", [-0.01, 9.0, float("nan"), float("inf"), 1e300])
def test_a_time_outside_the_video_is_refused(name, seconds):
    with open_video(io.BytesIO(CLIPS[name])) as video:
        with pytest.raises(DamageError, match="not a time in the video") as caught:
            video.find(seconds)
        assert "give seconds from 0 to" in caught.value.todo


def test_the_last_frame_is_shown_until_its_end():
    with open_video(io.BytesIO(CLIPS["mp4"])) as video:
        assert video.find(1.19) == 29
        with pytest.raises(DamageError):
            video.find(1.2)


def test_an_avi_counts_by_its_frame_rate_though_its_packets_lie_in_disorder():
    data = make_clip("avi", "libx264", 25, bf=3, options=H264)
    with open_video(io.BytesIO(data)) as video:
        assert [video.find(i / 25) for i in range(25)] == list(range(25))


def test_a_bare_stream_of_h264_has_no_times():
    data = make_clip("h264", "libx264", 10, options=H264)
    with open_video(io.BytesIO(data)) as video:
        with pytest.raises(DamageError, match="carries no times"):
            video.find(0.1)
        assert video.read(9).shape == (48, 64, 3)
