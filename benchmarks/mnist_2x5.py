"""MNIST, 0-4 against 5-9: the published order none > kd > subclass distillation (errors)."""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from results import record
from torch import nn
from two_by_five import Data, Trial, compare

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
    options.out.mkdir(parents=True, exist_ok=True)
    data = read_data(options.data)
    labels = data.subclass[data.split == "test"] // 5
    names = options.methods.split(",")
    answers: dict[str, list] = {name: [] for name in names}
    teachers: dict[str, list[float]] = {}
    start = time.perf_counter()
    for seed in range(options.seeds):
        sections = {"augment": PLAIN, "teacher": FIT, "student": FIT, "views": 1}
        trial = Trial(data, (build_teacher, build_student), sections, options.out, "mnist")
        for name in names:
            done = options.out / f"{name}-{seed}.npy"
            if not done.exists():
                torch.manual_seed(seed)
                np.save(done, trial.run(METHODS[name], seed))
            answers[name].append(np.load(done))
            wrong = 100 * np.mean(answers[name][-1] != labels)
            print(f"seed {seed} {name}: {wrong:.2f} % after {time.perf_counter() - start:.0f} s")
        for name, error in trial.errors.items():
            teachers.setdefault(name, []).append(100 * error)
    tell("MNIST-2x5", answers, labels, teachers, PUBLISHED, time.perf_counter() - start)


def tell(title, answers, labels, teachers, published, seconds) -> None:
    """Write one line a method, and one a teacher."""
    found = compare(answers, labels)
    for name, one in answers.items():
        errors = np.array([100 * np.mean(said != labels) for said in one])
        difference = "–"
        if name in found:
            d, test = found[name]
            difference = (
                f"{100 * d.value:+.2f} [{100 * d.low:+.2f}, {100 * d.high:+.2f}], "
                f"McNemar p {test.p:.1e}"
            )
        record(
            title,
            {
                "network": "student",
                "method": name,
                "seeds": len(one),
                "error %": spread(errors),
                "less none, points": difference,
                "published %": published.get(name, "–"),
                "minutes, all methods": f"{seconds / 60:.1f}",
            },
        )
    for name, errors in teachers.items():
        line = {"network": "teacher", "method": name.removeprefix("teacher of ")}
        line |= {"seeds": len(errors), "error %": spread(np.array(errors))}
        empty = {"less none, points": "–", "published %": "–", "minutes, all methods": "–"}
        record(title, line | empty)


def spread(errors: np.ndarray) -> str:
    """Mean and standard deviation."""
    deviation = f" ± {errors.std(ddof=1):.2f}" if len(errors) > 1 else ""
    return f"{errors.mean():.2f}{deviation}"


if __name__ == "__main__":
    main()
