"""Derive labels from 1,000,000 votes in long form: seconds and peak memory."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from results import record

FRAMES, ANNOTATORS, CLASSES = 100_000, 10, 5


def main() -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = rng.integers(0, CLASSES, FRAMES)
        with (folder / "votes.csv").open("w") as file:
            file.write("frame,annotator,vote\n")
            for annotator in range(ANNOTATORS):
                wrong = rng.random(FRAMES) < 0.3
                votes = np.where(wrong, rng.integers(0, CLASSES, FRAMES), truth)
                file.writelines(
                    f"p{frame // 20:05d}/f{frame},a{annotator},class{vote}\n"
                    for frame, vote in enumerate(votes)
                )
        names = ", ".join(f"class{index}" for index in range(CLASSES))
        (folder / "c.yaml").write_text(
            "name: million\n"
            "cohort:\n"
            "  frames: {kind: none}\n"
            "  votes: {kind: long, path: votes.csv}\n"
            f"  classes: [{names}]\n"
            "  patients: {kind: pattern, pattern: '^(p[0-9]+)/'}\n"
            "labels:\n"
            "  subclasses: {kind: agreement_levels, levels: {easy: 0.9, medium: 0.7, hard: 0.0}}\n"
        )
        command = [sys.executable, "-m", "polypskd", "derive", str(folder / "c.yaml"), "--quiet"]
        start = time.perf_counter()
        subprocess.run([*command, "--out", str(folder / "run")], check=True)
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    record(
        "derive, 1,000,000 votes",
        {
            "frames": FRAMES,
            "annotators": ANNOTATORS,
            "seconds": f"{seconds:.1f}",
            "peak GiB": f"{peak:.2f}",
        },
    )


if __name__ == "__main__":
    main()
