"""Videos kept open between reads of single frames."""

import builtins
import threading
from pathlib import Path

import numpy as np
import pytest
from video_clips import H264, decode_all, make_clip

from polypskd.cohort.damage import DamageError
from polypskd.cohort.video import (
    cached,
    count_frames,
    describe_decoder,
    list_indices,
    open_video,
    read_video_frame,
)


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(make_clip("mp4", "libx264", bf=2, options=H264))
    return path


def test_frames_read_one_by_one_are_decoded_on_without_a_seek(clip):
    want = decode_all(clip.read_bytes())
    assert count_frames(clip) == 40
    for index in range(40):
        assert np.array_equal(read_video_frame(clip, index), want[index])
    (video,) = [v for k, v in cached._list_kept().items() if k[0] == str(clip)]
    assert video.decoder.seeks == 1


def test_only_the_last_videos_stay_open(tmp_path):
    data = make_clip("mp4", "libx264", 3, options=H264)
    for number in range(5):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(data)
        read_video_frame(path, 1)
    assert len(cached._list_kept()) == cached.OPEN
    held = [link.resolve() for link in Path("/proc/self/fd").iterdir()]
    assert sum(path.parent == tmp_path.resolve() for path in held) == cached.OPEN


def test_a_file_that_changed_is_opened_anew(clip):
    before = read_video_frame(clip, 5)
    clip.write_bytes(make_clip("mp4", "libx264", 12, size=(96, 64), options=H264))
    assert count_frames(clip) == 12
    assert read_video_frame(clip, 5).shape == (64, 96, 3) != before.shape


def test_threads_read_the_same_video_at_once(clip):
    want = decode_all(clip.read_bytes())
    wrong = []

    def read(seed):
        for index in np.random.default_rng(seed).integers(0, 40, 60).tolist():
            if not np.array_equal(read_video_frame(clip, index), want[index]):
                wrong.append(index)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_limits_hold_for_kept_videos_too(clip):
    assert read_video_frame(clip, 0).shape == (48, 64, 3)
    with pytest.raises(DamageError, match="too large"):
        read_video_frame(clip, 0, max_megapixels=0.001)
    with pytest.raises(DamageError, match="too small"):
        count_frames(clip, min_side=49)


def test_indices_are_taken_by_range_and_stride():
    assert list(list_indices(7, start=1, stop=6, stride=2)) == [1, 3, 5]
    assert list(list_indices(0)) == []
    for wrong in ({"stride": 0}, {"start": -1}):
        with pytest.raises(ValueError, match="at least"):
            list_indices(5, **wrong)


def test_the_decoder_tells_its_versions():
    told = describe_decoder()
    assert set(told) == {"av", "ffmpeg", "libavformat", "libavcodec", "libswscale"}
    assert all(value[0].isdigit() for value in told.values())


def test_without_the_extra_the_fault_says_what_to_install(clip, monkeypatch):
    whole = builtins.__import__

    def lack(name, *args, **kwargs):
        if name == "av" or name.startswith("av."):
            raise ImportError(name)
        return whole(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", lack)
    with pytest.raises(DamageError) as caught:
        open_video(clip)
    assert caught.value.todo == (
        "pip install 'polypskd[video]' (in a clone: '.[video]'; in the serving image or the "
        "offline folder: build it with VIDEO=yes)"
    )
