"""Run the whole path on CIFAR-10H: real votes, ten classes merged into two, 32 px."""

import argparse
import csv
import shutil
import tarfile
from pathlib import Path

from experiment import measure

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def unpack(data: Path, frames: Path) -> None:
    """Unpack the images that have votes; a finished folder is left as it is."""
    with (data / "cifar10h_votes.csv").open(newline="", encoding="utf-8") as file:
        wanted = {row["file"] for row in csv.DictReader(file)}
    if frames.is_dir() and sum(1 for _ in frames.rglob("*.jpg")) == len(wanted):
        return
    with tarfile.open(data / "cifar10-jpeg.tar.gz") as archive:
        members = [item for item in archive if item.name in wanted]
        archive.extractall(frames, members, filter="data")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data/cifar10")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--out", type=Path, default=ROOT / "runs/benchmarks/cifar10h")
    options = parser.parse_args()
    frames = ROOT / "runs/cifar10h/frames"
    unpack(options.data, frames)
    settings = [
        f"cohort.frames.root={frames}",
        f"cohort.votes.path={(options.data / 'cifar10h_votes.csv').resolve()}",
    ]
    shutil.rmtree(options.out, ignore_errors=True)  # minutes count for a run from nothing
    measure(
        HERE / "cifar10h_agreement.yaml",
        options.out,
        settings,
        options.settings,
        "CIFAR-10H, agreement levels",
    )


if __name__ == "__main__":
    main()
