"""Run the whole path on CIFAR-10H: real votes, ten classes merged into two, 32 px."""

import argparse
import csv
import json
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from results import record

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
    parser.add_argument("--out", type=Path, default=ROOT / "runs/cifar10h/run")
    options = parser.parse_args()
    unpack(options.data, ROOT / "runs/cifar10h/frames")
    command = [sys.executable, "-m", "polypskd", "run", str(HERE / "cifar10h_agreement.yaml")]
    command += [part for setting in options.settings for part in ("--set", setting)]
    start = time.perf_counter()
    done = subprocess.run(
        [*command, "--out", str(options.out), "--json"], check=True, stdout=subprocess.PIPE
    )
    result = json.loads(done.stdout)
    minutes = (time.perf_counter() - start) / 60
    evaluation = json.loads((options.out / "evaluation.json").read_text())
    after = evaluation["calibration"]["after"]["ece"]["value"]
    teacher = result["teacher_macro_f1"]
    record(
        "CIFAR-10H, agreement levels",
        {
            "settings": " ".join(options.settings) or "as in the page",
            "method": evaluation["method"]["kind"],
            "seed": evaluation["seed"],
            "student macro-F1": "{value:.3f} [{low:.3f}, {high:.3f}]".format(**result["macro_f1"]),
            "teacher macro-F1": f"{teacher['value']:.3f}" if teacher else "–",
            "ECE before → after": f"{result['calibration']['before']['value']:.3f} → {after:.3f}",
            "minutes": f"{minutes:.1f}",
        },
    )


if __name__ == "__main__":
    main()
