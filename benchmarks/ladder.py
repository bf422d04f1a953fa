"""What was tried to make a distillation epoch cheap, and what each step gave, one by one.

The first rung decodes JPEGs of 1280 x 1024, augments them, asks the teacher (resnet18) in each
step and computes in float32; each further rung changes one thing and keeps the ones before, down
to the epoch that `fit` has. The rungs after that one were tried and are not in use. All rungs take
whole steps (reading, forward, loss, backward, optimizer) and are interleaved in every round.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import results
import torch
from rounds import divide, place, spread, take_rounds
from torch import nn

from polypskd.cohort.frames import read_frame
from polypskd.cohort.preparation import prepare_frame
from polypskd.config import Augment, ResNet
from polypskd.data.augment import build_transform, draw_view, view_seed
from polypskd.models.ahead import read_ahead
from polypskd.models.networks import build_network, train_mode
from polypskd.models.predict import to_input
from polypskd.training.losses.distillation import distillation_divergence

BATCH, OUTPUTS, CPU = 32, 6, torch.device("cpu")
TEMPERATURE = 4.0


@dataclass(frozen=True)
class Rung:
    """One way to run the epoch."""

    decoded: bool = False
    drawn: bool = False
    cached: bool = False
    channels_last: bool = False
    bf16: bool = False
    ahead: bool = False
    fused: bool = False
    compiled: bool = False


def build_rungs() -> dict[str, Rung]:
    """Give the rungs by what each changes."""
    rung, rungs = Rung(), {"decode, augment, ask the teacher, float32": Rung()}
    for name, change in (
        ("frames decoded once", {"decoded": True}),
        ("views drawn once", {"drawn": True}),
        ("teacher's logits cached", {"cached": True}),
        ("channels_last", {"channels_last": True}),
        ("bfloat16", {"bf16": True}),
        ("next batch read ahead: in use", {"ahead": True}),
    ):
        rung = replace(rung, **change)
        rungs[name] = rung
    rungs["tried: fused AdamW"] = replace(rung, fused=True)
    rungs["tried: torch.compile (fit.compile)"] = replace(rung, compiled=True)
    return rungs


@dataclass(frozen=True)
class Material:
    """JPEGs, the same frames prepared, one view of them, and logits."""

    paths: list[Path]
    prepared: np.ndarray
    views: np.ndarray
    logits: torch.Tensor
    augment: Augment


def draw_material(folder: Path, count: int, size: int) -> Material:
    rng, paths = np.random.default_rng(0), []
    for index in range(count):
        coarse = rng.integers(0, 256, (10, 13, 3), dtype=np.uint8)
        smooth = cv2.resize(coarse, (1280, 1024), interpolation=cv2.INTER_CUBIC)
        paths.append(folder / f"{index}.jpg")
        cv2.imwrite(str(paths[-1]), smooth, [cv2.IMWRITE_JPEG_QUALITY, 90])
    augment = Augment(size=size)
    prepared = np.stack([prepare_frame(read_frame(path), size) for path in paths])
    transform = build_transform(augment)
    views = np.stack(
        [draw_view(transform, one, view_seed(str(i), 0, 0)) for i, one in enumerate(prepared)]
    )
    logits = torch.from_numpy(rng.normal(size=(count, OUTPUTS)).astype(np.float32))
    return Material(paths, prepared, views, logits, augment)


def build_reader(material: Material, rung: Rung) -> Callable[[np.ndarray], np.ndarray]:
    """Build what gives a batch's pixels, (B, size, size, 3) uint8."""
    transform, size = build_transform(material.augment), material.augment.size

    def one(row: int) -> np.ndarray:
        if rung.decoded:
            pixels = material.prepared[row]
        else:
            pixels = prepare_frame(read_frame(material.paths[row]), size)
        return draw_view(transform, pixels, view_seed(str(row), 0, 0))

    def read(rows: np.ndarray) -> np.ndarray:
        if rung.drawn:
            return material.views[rows]
        return np.stack([one(int(row)) for row in rows])

    return read


def build_epoch(material: Material, rung: Rung) -> Callable[[], float]:
    """Build an epoch from the same weights each time: its seconds, without compilation."""
    torch.manual_seed(0)
    start = build_network(ResNet(kind="resnet10", width=16), OUTPUTS)
    teacher = build_network(ResNet(kind="resnet18"), OUTPUTS).eval()
    layout = torch.channels_last if rung.channels_last else torch.contiguous_format
    teacher.to(memory_format=layout)
    read = build_reader(material, rung)
    order = np.random.default_rng(17).permutation(len(material.paths))
    batches = [order[i : i + BATCH] for i in range(0, len(order) - BATCH + 1, BATCH)]

    @torch.no_grad()
    def ask(inputs: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        return material.logits[torch.from_numpy(rows)] if rung.cached else teacher(inputs).float()

    def epoch(network: nn.Module, forward: Callable, optimizer: torch.optim.Optimizer) -> None:
        frames = read_ahead(read, batches) if rung.ahead else map(read, batches)
        for rows, pixels in zip(batches, frames, strict=True):
            inputs = to_input(pixels, CPU)
            if not rung.channels_last:
                inputs = inputs.contiguous()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=rung.bf16):
                wanted = ask(inputs, rows)
                answers = forward(inputs).float()
            loss = distillation_divergence(answers, wanted, TEMPERATURE)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()

    def work() -> float:
        torch.compiler.reset()
        network = deepcopy(start).to(memory_format=layout)
        train_mode(network)
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=rung.fused)
        forward = torch.compile(network) if rung.compiled else network
        if rung.compiled:
            epoch(network, forward, optimizer)  # the first one compiles
        clock = time.perf_counter()
        epoch(network, forward, optimizer)
        return time.perf_counter() - clock

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--frames", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--into", type=Path, help="write the results here instead of RESULTS.md")
    given = parser.parse_args()
    results.PATH = given.into or results.PATH
    with tempfile.TemporaryDirectory() as name:
        material = draw_material(Path(name), given.frames, given.size)
        rungs = build_rungs()
        ways = {name: build_epoch(material, rung) for name, rung in rungs.items()}
        for work in ways.values():
            work()
        seconds = take_rounds(ways, given.rounds)
    first = seconds[next(iter(rungs))]
    used = seconds[next(name for name in rungs if name.endswith("in use"))]
    before = first
    for name in rungs:
        against = used if name.startswith("tried") else before
        results.record(
            "What was tried: a distillation epoch, median (range) of the rounds",
            {
                "change": name,
                "seconds": spread(seconds[name], 3),
                "times faster than the row before (tried: than in use)": spread(
                    divide(against, seconds[name]), 2
                ),
                "times faster than the first": spread(divide(first, seconds[name]), 1),
                "px": given.size,
                "frames": given.frames,
                "batch": BATCH,
                "rounds": given.rounds,
                **place(CPU),
            },
        )
        before = seconds[name]


if __name__ == "__main__":
    main()
