"""A video that hides every frame of its own."""

import struct

import pytest
from video_clips import make_clip

from polypskd.cohort.damage import DamageError
from polypskd.cohort.video import open_video


def test_an_edit_list_that_starts_behind_the_last_frame_is_told(tmp_path):
    data = make_clip("mov", "mjpeg", 6, pix="yuvj420p")
    start = data.index(b"elst") + 16  # media time of the one edit
    (tmp_path / "a.mov").write_bytes(data[:start] + struct.pack(">i", 10**6) + data[start + 4 :])
    with pytest.raises(DamageError, match="shows no frames"):
        open_video(tmp_path / "a.mov")
