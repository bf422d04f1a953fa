"""Frames of a video: one at random by its place, and all in turn, beside bare PyAV and OpenCV.

    python benchmarks/video.py [--frames 3000] [--size 1280x1024] [--rounds 3]

A clip as an endoscopy recorder writes it is made first (H.264, B-frames, a key frame every 60).
CPU seconds, interleaved, median and spread; pixels are RGB in every way.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from results import record

from polypskd.cohort.video import Video, open_video
from polypskd.cohort.video.color import convert_frame

GROUP = 60


def make_clip(path: Path, frames: int, width: int, height: int) -> None:
    """Draw a lit, moving, noisy picture and encode it."""
    drawn = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    noise = [drawn.integers(0, 12, (height, width, 3), dtype=np.uint8) for _ in range(8)]
    with av.open(str(path), "w") as container:
        options = {"preset": "veryfast", "x264-params": "scenecut=0"}
        stream = container.add_stream("libx264", rate=50, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = GROUP, 2
        for i in range(frames):
            wave = 90 + 70 * np.sin(x / 60 + i / 9) * np.cos(y / 45 - i / 13)
            rgb = np.stack([wave + 60, wave, wave / 2], -1).astype(np.uint8) + noise[i % 8]
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 50)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def time_random(video: Video, low: int, high: int, seed: int) -> float:
    """Milliseconds of one frame drawn from a stretch of the video."""
    drawn = np.random.default_rng(seed).integers(low, high, 12).tolist()
    clock = time.process_time()
    for index in drawn:
        video.read(index)
    return (time.process_time() - clock) * 1e3 / len(drawn)


def read_ours(path: Path, frames: int) -> None:
    with open_video(path) as video:
        for index in range(frames):
            video.read(index)


def read_av(path: Path, frames: int) -> None:
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for _, frame in zip(range(frames), container.decode(video=0), strict=False):
            frame.to_ndarray(format="rgb24")


def read_av_exact(path: Path, frames: int) -> None:
    reformatter = VideoReformatter()
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for _, frame in zip(range(frames), container.decode(video=0), strict=False):
            convert_frame(reformatter, frame)


def read_cv2(path: Path, frames: int) -> None:
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    for _ in range(frames):
        cv2.cvtColor(video.read()[1], cv2.COLOR_BGR2RGB)


def rate(work: Callable[[Path, int], None], path: Path, frames: int) -> float:
    """Frames a CPU second."""
    clock = time.process_time()
    work(path, frames)
    return frames / (time.process_time() - clock)


def tell(values: list[float], digits: int = 1) -> str:
    middle, spread = statistics.median(values), max(values) - min(values)
    return f"{middle:.{digits}f} ± {spread / 2:.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=3000)
    parser.add_argument("--size", default="1280x1024")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    width, height = map(int, given.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        make_clip(path, given.frames, width, height)
        clock = time.process_time()
        video = open_video(path)
        opening = time.process_time() - clock
        stretch = min(2 * GROUP, given.frames // 3)
        middle = given.frames // 2
        places = {
            "beginning": (0, stretch),
            "middle": (middle, middle + stretch),
            "end": (given.frames - stretch, given.frames),
        }
        random = {name: [] for name in places}
        ways = {
            "ours": read_ours,
            "PyAV": read_av,
            "PyAV in our colors": read_av_exact,
            "cv2": read_cv2,
        }
        rates = {name: [] for name in ways}
        for turn in range(given.rounds):
            for name, (low, high) in places.items():
                random[name].append(time_random(video, low, high, turn))
            for name, way in ways.items():
                rates[name].append(rate(way, path, min(given.frames, 600)))
        record(
            f"Frames of a video, {given.size}, H.264, a key frame every {GROUP}",
            {
                "frames": given.frames,
                "open [ms]": f"{opening * 1e3:.0f}",
                **{f"one, {name} [ms]": tell(values) for name, values in random.items()},
                **{f"in turn, {name} [/s]": tell(values, 0) for name, values in rates.items()},
                "seeks": video.decoder.seeks,
                "rewinds": video.decoder.rewinds,
                "peak [MB]": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            },
        )
        video.close()


if __name__ == "__main__":
    main()
