"""Damaged files of every kind, thousands of them: each is refused in one line or read.

    python benchmarks/fuzz.py --minutes 15

Every case is named by kind, sample, way and seed, and is read by a child process (`fuzz_child.py`)
that takes many of them; one that ends its child, takes more than 10 s, or more than 2 GiB, is a
finding, as is an exception that is not the project's own. Ways: every 64th of the length cut off
(``cut``), one byte changed (``flip``), the first bytes overwritten (``head``), and ``mix``: parts
dropped, doubled, moved, lengths made extreme, words put in. The real endoscopies get all 63 cuts
and 2,000 flips each, the shared data given.
"""

import argparse
import contextlib
import itertools
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

import fuzz_samples
import results

HERE = Path(__file__).resolve().parent
LIMIT = 10.0  # seconds of the processor for a file
WALL = 30.0  # seconds on the clock, beside other work
MOST = 2048  # MiB
FEW = 4  # samples of a kind: each has as many turns


class Child:
    """A child process and what is left of its patience."""

    def __init__(self, samples: Path, folder: Path) -> None:
        self.samples, self.folder = samples, folder
        self.process: subprocess.Popen[bytes] | None = None
        self.left = b""

    def _start(self) -> subprocess.Popen[bytes]:
        # The decoders of C libraries print what they meet; nobody reads it here.
        return subprocess.Popen(
            [sys.executable, str(HERE / "fuzz_child.py"), str(self.samples), str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"},
        )

    def run(self, case: dict) -> dict:
        if self.process is None or self.process.poll() is not None:
            self.close()
            self.process, self.left = self._start(), b""
        try:
            self.process.stdin.write(json.dumps(case).encode() + b"\n")
            self.process.stdin.flush()
            told = self._read(60)
            told = self._read(WALL) if told.get("event") == "begun" else told
        except BrokenPipeError:
            told = {}
        if told.get("event") == "done":
            return told
        alive = self.process.poll() is None and told.get("event") == "late"
        self.close()
        code, self.process = self.process.returncode, None
        if alive:
            return {"outcome": "hang", "text": f"over {WALL:g} s", "cpu": WALL, "peak": 0}
        return {"outcome": "crash", "text": f"the process ended ({code})", "cpu": 0.0, "peak": 0}

    def _read(self, seconds: float) -> dict:
        output = self.process.stdout.fileno()
        until = time.monotonic() + seconds
        while b"\n" not in self.left:
            wait = until - time.monotonic()
            if wait <= 0 or not select.select([output], [], [], wait)[0]:
                return {"event": "late"}
            more = os.read(output, 65536)
            if not more:
                self.process.wait()
                return {}
            self.left += more
        line, _, self.left = self.left.partition(b"\n")
        return json.loads(line)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            with contextlib.suppress(OSError):  # what it never read
                self.process.stdin.close()


def list_cases(samples: Path, seed: int, flips: int, kinds: list[str]) -> Iterator[dict]:
    """Give cases without end: cuts first, then flips and mixtures of every sample in turn."""
    files = {
        place.name: sorted(path.name for path in place.iterdir())
        for place in sorted(samples.iterdir())
        if not kinds or place.name in kinds
    }
    pairs = [(kind, name) for kind, names in files.items() for name in names]
    for kind, name in pairs:
        yield {"kind": kind, "sample": name, "way": "whole", "seed": seed}
    for (kind, name), part in itertools.product(pairs, range(64)):
        yield {"kind": kind, "sample": name, "way": f"cut {part}", "seed": seed + part}
    for number in itertools.count():
        for kind, name in pairs:
            ways = ["head", "mix", "mix"] if kind == "video" else ["mix"]
            if len(files[kind]) <= FEW:
                ways = [f"mix {turn}" for turn in range(FEW)]
            if kind.startswith("dicom") and number < flips:
                ways = ["flip", "mix"] if kind != "dicom_endoscopy" or number % 8 == 0 else ["flip"]
            for way in ways:
                yield {"kind": kind, "sample": name, "way": way, "seed": seed + 64 + number}


def judge(case: dict, told: dict) -> str:
    """Name what is wrong with what came of a case; "" if nothing is."""
    if told["outcome"] in ("crash", "hang", "foreign", "memory"):
        return str(told["outcome"])
    if told["peak"] > MOST:
        return "memory"
    if told["cpu"] > LIMIT:
        return "slow"
    if (
        case["way"] == "whole"
        and told["outcome"] == "refused"
        and case["kind"] != ("dicom_multiframe")
    ):
        return "refused whole"
    return ""


def run_cases(
    samples: Path, cases: Iterator[dict], *, workers: int, until: float, most: int
) -> list[tuple[dict, dict]]:
    """Run cases in child processes until the time is over."""
    turn = itertools.islice(cases, most)
    lock = Lock()

    def take() -> dict | None:
        with lock:
            return next(turn, None)

    done: list[tuple[dict, dict]] = []

    def work(number: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            child = Child(samples, Path(folder) / "case")
            try:
                while time.monotonic() < until and (case := take()) is not None:
                    told = child.run(case)
                    done.append((case, told))
                    if judge(case, told):
                        print(judge(case, told), json.dumps(case), told["text"], flush=True)
            finally:
                child.close()

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))
    return done


def tabulate(done: list[tuple[dict, dict]]) -> dict[str, dict[str, object]]:
    """Count the outcomes by kind."""
    table: dict[str, dict[str, object]] = {}
    by: dict[str, list[tuple[dict, dict]]] = defaultdict(list)
    for case, told in done:
        by[case["kind"]].append((case, told))
    for kind, rows in by.items():
        counts = Counter(judge(case, told) or told["outcome"] for case, told in rows)
        table[kind] = {
            "cases": len(rows),
            "refused in one line": counts["refused"],
            "read correctly": counts["same"],
            "read with other pixels": counts["other"],
            "slowest s": round(max(told["cpu"] for _, told in rows), 2),
            "peak MiB": max(told["peak"] for _, told in rows),
            "crashes": counts["crash"],
            "hangs": counts["hang"] + counts["slow"],
            "over 2 GiB": counts["memory"],
            "foreign exceptions": counts["foreign"],
        }
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--cases", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kinds", nargs="*", default=[])
    parser.add_argument("--record", action="store_true", help="add rows to RESULTS.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "samples"
        fuzz_samples.make_samples(samples)
        fuzz_samples.make_network(samples)
        cases = list_cases(samples, given.seed * 1_000_000, given.flips, given.kinds)
        until = time.monotonic() + 60 * given.minutes
        done = run_cases(samples, cases, workers=given.workers, until=until, most=given.cases)
    table = tabulate(done)
    for kind, row in table.items():
        print(kind, json.dumps(row))
        if given.record:
            results.record("Damaged files", {"kind": kind, "seed": given.seed, **row})
    found = sum(bool(judge(case, told)) for case, told in done)
    print(f"{len(done)} cases, {found} findings")
    raise SystemExit(found > 0)


if __name__ == "__main__":
    main()
