"""MNIST, 0-4 against 5-9: the published order none > kd > subclass distillation (errors)."""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn
from two_by_five import Data, Study

ROOT = Path(__file__).resolve().parent.parent
METHODS = {
    "none": {"kind": "none"},
    "kd": {"kind": "kd", "temperature": 4, "alpha": 0.5},
    "subclass_distillation": {
        "kind": "subclass_distillation",
        "temperature": 4,
        "alpha": 0.5,
        "invented": 5,
        "auxiliary_weight": 1.0,
        "auxiliary_temperature": 1.0,
    },
    "skd": {"kind": "skd", "temperature": 4, "alpha": 0.5},
    "none_subclass": {"kind": "none", "outputs": "subclass"},
}
PUBLISHED = {"none": 1.57, "kd": 1.23, "subclass_distillation": 0.93}
FIT = {
    "epochs": 12,
    "batch_size": 256,
    "optimizer": "adamw",
    "lr": 1e-3,
    "weight_decay": 0.0,
    "warmup_epochs": 0,
}
SCHEDULE = "12 epochs and Adam as published; cosine rate, 55,000 frames, best epoch on 5,000"
PLAIN = {"color": 0, "flip": "none", "rotate": 0, "scale": 0, "blur": 0, "cutout": 0}


class Gray(nn.Module):
    """The first of three equal channels."""

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return frames[:, :1]


def build_teacher(outputs: int) -> nn.Module:
    """Müller et al.: conv 32, pool, conv 64, pool, dropout, fc 128, dropout."""
    return nn.Sequential(
        Gray(),
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 128), nn.ReLU(), nn.Dropout(0.5)),
        nn.Linear(128, outputs),
    )


def build_student(outputs: int) -> nn.Module:
    """Müller et al.: two hidden layers of 784."""
    return nn.Sequential(
        Gray(),
        *(nn.Flatten(), nn.Linear(784, 784), nn.ReLU(), nn.Linear(784, 784), nn.ReLU()),
        nn.Linear(784, outputs),
    )


def read_data(path: Path, seed: int = 0) -> Data:
    with np.load(path) as file:
        x = np.concatenate([file["x_train"], file["x_test"]])
        y = np.concatenate([file["y_train"], file["y_test"]]).astype(np.int64)
    split = np.array(["train"] * 60_000 + ["test"] * 10_000)
    split[np.random.default_rng(seed).permutation(60_000)[:5_000]] = "val"
    return Data(np.repeat(x[..., None], 3, axis=3), y, split)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/mnist/mnist.npz")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--out", type=Path, default=ROOT / "runs/benchmarks/mnist")
    options = parser.parse_args()
    study = Study(
        "MNIST-2x5",
        read_data(options.data),
        (build_teacher, build_student),
        {"augment": PLAIN, "teacher": FIT, "student": FIT, "views": 1},
        options.out,
    )
    methods = {name: METHODS[name] for name in options.methods.split(",")}
    study.run(methods, options.seeds, PUBLISHED, schedule=SCHEDULE)


if __name__ == "__main__":
    main()
