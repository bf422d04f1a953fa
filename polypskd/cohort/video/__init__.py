"""Frames of videos, by index or by time: exact, in constant memory, at the same cost anywhere."""

from polypskd.cohort.video.cached import count_frames, list_indices, read_video_frame
from polypskd.cohort.video.container import describe_decoder
from polypskd.cohort.video.reading import Video, open_video

__all__ = [
    "Video",
    "count_frames",
    "describe_decoder",
    "list_indices",
    "open_video",
    "read_video_frame",
]
