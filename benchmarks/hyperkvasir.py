"""Run the whole path on HyperKvasir: real frames, known subclasses, three methods."""

import argparse
import shutil
from pathlib import Path

from experiment import measure

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=Path, default=ROOT / "../shared/data/hyperkvasir/frames")
    parser.add_argument("--methods", default="skd,kd,none")
    parser.add_argument("--out", type=Path, default=ROOT / "runs/benchmarks/hyperkvasir")
    options = parser.parse_args()
    for method in options.methods.split(","):
        out = options.out / method
        shutil.rmtree(out, ignore_errors=True)  # minutes count for a run from nothing
        measure(
            ROOT / "configs/hyperkvasir_colitis.yaml",
            out,
            [f"cohort.frames.root={options.frames.resolve()}"],
            [f"student.method.kind={method}"] if method != "skd" else [],
            "HyperKvasir, known subclasses",
        )


if __name__ == "__main__":
    main()
