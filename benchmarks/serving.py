"""Serving: files of 1280 x 1024 in, classes out, beside decoding and the bare network alone.

The default student with random weights is exported at the given size. Every way does some frames
in each round, so that each finds its own memory in the caches, as it would at work; a ratio is
taken within its round, and CPU time of one thread is counted, not the clock, but for start-up and
for the frames a second of two threads. Two bundles are judged: one without limits of quality, and
one with a limit of each measure, as an export derives them.

With `--endless N`, the verb judges N frames, the same files over and over under other names, and
its memory is read from the system all the while.

With `--limit S`, nothing new is begun after S seconds, and what was measured by then is told.
"""

import argparse
import hashlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import results
from preparation import draw_frame

QUALITY = {
    "min_sharpness": 0.0,
    "max_blur": 1.0,
    "max_motion": 1.0,
    "min_brightness": 0.0,
    "max_brightness": 1.0,
    "max_underexposed": 1.0,
    "max_overexposed": 1.0,
    "max_specular": 1.0,
    "min_contrast": 0.0,
    "max_noise": 255.0,
    "min_field": 0.0,
    "max_outside_body": 1.0,
}
FILES = 16  # unlike frames
FRAMES = 600  # judged by two threads
BLOCK = 8  # frames of a way in a round
EFFICIENT = "EfficientNet-B0, eager"


class Clock:
    """Tells whether there is time for more; there is for what was never done."""

    def __init__(self, limit: float) -> None:
        self.start, self.limit = time.monotonic(), limit

    def has_time(self, done: int) -> bool:
        return done < 2 or time.monotonic() - self.start < self.limit


def write_bundle(folder: Path, size: int, quality: dict[str, float]) -> Path:
    """Write the default student, untrained, as a bundle."""
    import torch

    from polypskd.config import ResNet
    from polypskd.deployment.export.graph import build_graph
    from polypskd.deployment.manifest import write_canonical
    from polypskd.models.checkpoint import Stored
    from polypskd.models.networks import build_network

    torch.manual_seed(0)
    config = ResNet(kind="resnet10", width=16)
    subclasses = [f"{name} {level}" for name in ("low", "high") for level in ("easy", "hard")]
    stored = Stored(
        network=build_network(config, 4).eval(),
        config=config,
        classes=("low", "high"),
        subclasses=tuple(subclasses),
        class_of=(0, 0, 1, 1),
        size=size,
        extra={},
    )

    def code(number: int) -> dict[str, str]:
        return {"value": f"B{number}", "scheme": "99POLYPSKD", "meaning": f"Benchmark {number}"}

    codebook = {
        "classes": [
            {"name": "low", "code": code(0), "positive": False},
            {"name": "high", "code": code(1), "positive": True},
        ],
        "subclasses": [
            {"name": name, "code": code(2 + turn), "of": name.split()[0]}
            for turn, name in enumerate(subclasses)
        ],
    }
    limits = {
        "size": size,
        "crop": {"kind": "none"},
        "min_side": 16,
        "max_megapixels": 64.0,
        "positive": ["high"],
        "confidence": None,
        "thresholds": [],
        "quality": quality,
        "quality_fixed_on": "nothing",
    }
    files = {
        "student.onnx": build_graph(stored, 1.0),
        "student.safetensors": b"none",
        "model_card.md": b"# Benchmark\n",
        "codebook.json": write_canonical(codebook),
        "limits.json": write_canonical(limits),
        "configs/metadata.json": b"{}\n",
        "configs/inference.json": b"{}\n",
    }
    entries = {
        name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        for name, data in files.items()
    }
    about = {"format": "polypskd-bundle", "format_version": 1, "name": "benchmark"}
    about |= {"version": "0", "research_use_only": True, "files": entries}
    about |= {name: {} for name in ("model", "parity", "precisions", "provenance")}
    for name, data in (files | {"manifest.json": write_canonical(about)}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_frames(folder: Path, width: int, height: int, count: int = FILES) -> list[Path]:
    """Write JPEG files of the same picture, each with other noise."""
    import cv2

    folder.mkdir(parents=True)
    whole = draw_frame(1280, 1024)
    pixels = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng(0)
    paths = []
    for turn in range(count):
        noisy = np.clip(pixels + rng.normal(0, 3, pixels.shape) * (pixels > 0), 0, 255)
        paths.append(folder / f"{turn:02d}.jpg")
        quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
        cv2.imwrite(str(paths[-1]), noisy.astype(np.uint8)[:, :, ::-1], quality)
    return paths


def link_frames(folder: Path, paths: list[Path], count: int) -> Path:
    """Give files more names, a thousand to a folder."""
    for turn in range(count):
        below = folder / f"{turn // 1000:04d}"
        if turn % 1000 == 0:
            below.mkdir(parents=True)
        (below / f"{turn:07d}.jpg").hardlink_to(paths[turn % len(paths)])
    return folder


def build_ways(
    folder: Path, paths: list[Path], size: int
) -> tuple[dict[str, Callable[[int], object]], dict[str, Path]]:
    """Build what is timed: called with the turn, it does one frame."""
    import onnxruntime
    import simplejpeg
    import torch
    from monai.networks.nets import EfficientNetBN

    from polypskd.cohort.preparation import prepare_frame
    from polypskd.deployment.bundle import open_bundle
    from polypskd.deployment.prediction.inputs import Source
    from polypskd.deployment.prediction.journal import PredictionJournal
    from polypskd.deployment.prediction.judging import Judge
    from polypskd.deployment.prediction.parts import Part, PartJudge

    torch.set_num_threads(1)
    bundles = {
        "no limits": write_bundle(folder / "bare", size, {}),
        "all limits": write_bundle(folder / "limits", size, QUALITY),
    }
    datas = [path.read_bytes() for path in paths]
    prepared = [prepare_frame(simplejpeg.decode_jpeg(data), size)[np.newaxis] for data in datas]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    network = (bundles["no limits"] / "student.onnx").read_bytes()
    session = onnxruntime.InferenceSession(network, options, ["CPUExecutionProvider"])
    efficient = EfficientNetBN("efficientnet-b0", pretrained=False, num_classes=4).eval()
    inputs = torch.zeros(1, 3, size, size)

    def run_bare(turn: int) -> object:
        pixels = simplejpeg.decode_jpeg(datas[turn % len(datas)])
        return pixels, session.run(None, {"frames": prepared[turn % len(datas)]})

    @torch.inference_mode()
    def run_efficient(turn: int) -> object:
        return efficient(inputs)

    ways: dict[str, Callable[[int], object]] = {
        "decode": lambda turn: simplejpeg.decode_jpeg(datas[turn % len(datas)]),
        "network": lambda turn: session.run(None, {"frames": prepared[turn % len(datas)]}),
        "decode + network": run_bare,
        EFFICIENT: run_efficient,
    }
    for name, bundle in bundles.items():
        journal = PredictionJournal(folder / f"out {name}", {})
        judge = PartJudge(Judge(open_bundle(bundle)), journal, 1)

        def run_whole(turn: int, judge: PartJudge = judge) -> object:
            path = paths[turn % len(paths)]
            lines = judge.judge(Part((Source(path, path.name, "image"),)))
            judge.journal.append(lines[0])
            return lines

        ways[f"file to class, {name}"] = run_whole
    return ways, bundles


def time_ways(
    ways: dict[str, Callable[[int], object]], rounds: int, clock: Clock
) -> dict[str, list[float]]:
    """Take the milliseconds of CPU that a frame takes each way in each round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way(0)
    for turn in range(rounds):
        if not clock.has_time(turn):
            break
        for name, way in ways.items():
            block = 1 if name == EFFICIENT else BLOCK
            way(turn)  # its memory comes back into the caches
            start = time.process_time()
            for frame in range(block):
                way(turn * block + frame)
            times[name].append((time.process_time() - start) * 1000 / block)
    return times


def time_verb(bundle: Path, source: Path, out: Path, threads: int) -> tuple[float, float]:
    """Run the verb in a process of its own: seconds by the clock and of CPU."""
    before = os.times()
    start = time.perf_counter()
    command = [sys.executable, "-m", "polypskd", "predict", str(bundle), str(source), "--quiet"]
    command += ["--out", str(out), "--threads", str(threads)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    clock = time.perf_counter() - start
    after = os.times()
    cpu = after.children_user + after.children_system
    return clock, cpu - before.children_user - before.children_system


def watch_memory(
    bundle: Path, source: Path, out: Path, threads: int, clock: Clock
) -> list[tuple[int, float]]:
    """Run the verb, and read its memory: (frames done, MB) twice a second."""
    command = [sys.executable, "-m", "polypskd", "predict", str(bundle), str(source), "--quiet"]
    command += ["--out", str(out), "--threads", str(threads)]
    seen, done, at, stopped = [], 0, 0, False
    journal = out / ".predict" / "frames.jsonl"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            time.sleep(0.5)
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                break
            used = [line for line in status.splitlines() if line.startswith("VmRSS")]
            if used and journal.exists():
                with journal.open("rb") as file:
                    file.seek(at)
                    fresh = file.read()
                done, at = done + fresh.count(b"\n"), at + len(fresh)
                seen.append((done, int(used[0].split()[1]) / 1024))
            if not stopped and not clock.has_time(len(seen)):
                process.send_signal(signal.SIGINT)
                stopped = True
    if process.returncode and not stopped:
        raise SystemExit("predict failed")
    return seen


def measure_speed(given: argparse.Namespace, folder: Path, clock: Clock) -> None:
    paths = write_frames(folder / "frames", 1280, 1024)
    ways, bundles = build_ways(folder, paths, given.size)
    times = time_ways(ways, given.rounds, clock)
    bare, network = times["decode + network"], times["network"]
    values: dict[str, object] = {"size": given.size, "rounds": len(bare)}
    values |= {f"{name}, ms": spread(found) for name, found in times.items()}
    for name in bundles:
        whole = times[f"file to class, {name}"]
        values[f"speed of the bare way, {name}, %"] = spread(
            [100 * alone / own for alone, own in zip(bare, whole, strict=True)]
        )
    values["EfficientNet-B0 / network"] = spread(
        [other / own for other, own in zip(times[EFFICIENT], network, strict=True)]
    )
    results.record("Serving at 1280 x 1024, one thread, median (quartiles) a frame", values)
    one = link_frames(folder / "one", paths, 1)
    many = link_frames(folder / "many", paths, FRAMES)
    starts, row = [], {}
    for turn in range(given.starts):
        if clock.has_time(turn):
            starts.append(time_verb(bundles["all limits"], one, folder / f"start {turn}", 1))
    row["start-up and one frame, s"] = spread([seconds for seconds, _ in starts])
    row["CPU of it, s"] = spread([cpu for _, cpu in starts])
    start = statistics.median(seconds for seconds, _ in starts)
    for name, bundle in bundles.items():
        speeds = []
        for turn in range(3):
            if not clock.has_time(turn + 1):
                break
            seconds, cpu = time_verb(bundle, many, folder / f"many {name} {turn}", 2)
            speeds.append((FRAMES / seconds, FRAMES / (seconds - start), 1000 * cpu / FRAMES))
        whole, running, cpu_each = (statistics.median(found) for found in zip(*speeds, strict=True))
        row[f"frames/s of 2 threads, {name}"] = f"{whole:.0f}"
        row[f"without start-up, {name}"] = f"{running:.0f}"
        row[f"CPU ms a frame, {name}"] = f"{cpu_each:.1f}"
    results.record(
        f"The verb predict on {FRAMES} frames of 1280 x 1024", {"size": given.size, **row}
    )


def measure_memory(given: argparse.Namespace, folder: Path, clock: Clock) -> None:
    paths = write_frames(folder / "frames", given.side, given.side)
    bundle = write_bundle(folder / "bundle", given.size, QUALITY)
    source = link_frames(folder / "many", paths, given.endless)
    seen = watch_memory(bundle, source, folder / "out", 2, clock)
    used = [megabytes for _, megabytes in seen]
    quarter = max(1, len(used) // 4)
    values = {
        "frames": f"{seen[-1][0]} of {given.endless}",
        "side": given.side,
        "peak, MB": f"{max(used):.0f}",
        "median of the second quarter, MB": f"{statistics.median(used[quarter : 2 * quarter]):.1f}",
        "median of the last quarter, MB": f"{statistics.median(used[-quarter:]):.1f}",
    }
    results.record("Memory of the verb predict, 2 threads", values)


def spread(found: list[float]) -> str:
    low, middle, high = statistics.quantiles(found, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=224, help="side of the network's input")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--endless", type=int, default=0, help="frames; measures memory alone")
    parser.add_argument("--side", type=int, default=256, help="of the frames of --endless")
    parser.add_argument("--limit", type=float, default=float("inf"), help="seconds")
    parser.add_argument("--into", type=Path, help="write the results here instead of RESULTS.md")
    given = parser.parse_args()
    results.PATH = given.into or results.PATH
    import cv2

    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        clock = Clock(given.limit)
        (measure_memory if given.endless else measure_speed)(given, Path(name), clock)


if __name__ == "__main__":
    main()
