"""A process that reads damaged files, one case a line of standard input, and tells what came of it.

Started by fuzz.py. A case is {"kind", "sample", "way", "seed"}; it is built first, then "begun" is
told, so that the time limit is that of reading alone.
"""

import json
import os
import random
import resource
import shutil
import sys
import time
import traceback
import warnings
from pathlib import Path

import fuzz_readers
import fuzz_samples

VIRTUAL = 3 << 30  # bytes that a process may allocate beyond what its libraries hold


def peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) << 10
    return 0


def build(case: dict, samples: Path) -> bytes:
    """Damage a sample; the same case gives the same bytes."""
    place = samples / case["kind"]
    data = (place / case["sample"]).read_bytes()
    way, _, number = case["way"].partition(" ")
    if way == "whole":
        return data
    if way == "cut":
        return data[: len(data) * int(number) // 64]
    name = f"{case['kind']} {case['sample']} {case['way']} {case['seed']}"
    rng = random.Random(name)  # noqa: S311
    if way == "flip":
        made = bytearray(data)
        made[rng.randrange(len(made))] ^= rng.randrange(1, 256)
        return bytes(made)
    if way == "head":
        made = bytearray(data)
        for _ in range(rng.choice((1, 2, 4))):
            made[rng.randrange(min(len(made), 768))] = rng.randrange(256)
        return bytes(made)
    text = case["kind"] in fuzz_readers.TEXT
    others = [path.read_bytes() for path in sorted(place.iterdir())]
    made = fuzz_samples.damage(data, rng, text=text, others=others)
    # Names that damage put among the pixels are no names any more.
    last = data.rfind(fuzz_samples.MARK.encode()) + 1
    return made[:last] + made[last:].replace(fuzz_samples.MARK.encode(), b"sentinel")


def read_whole(case: dict, samples: Path, folder: Path) -> str:
    """Give the digest of the sound file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / case["sample"]
    shutil.copyfile(samples / case["kind"] / case["sample"], path)
    return fuzz_readers.read_case(case["kind"], path)[1]


def tell(**values: object) -> None:
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def run(case: dict, data: bytes, folder: Path, whole: str) -> dict:
    # A folder of its own: what is kept by path, size and time must not be another case's.
    path = folder / str(case["seed"]) / case["sample"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_bytes()
    tell(event="begun")
    start, cpu = time.monotonic(), time.process_time()
    try:
        outcome, text = fuzz_readers.read_case(case["kind"], path)
        if outcome == "read":
            outcome = "same" if text == whole else "other"
    except MemoryError:
        outcome, text = "memory", "MemoryError escaped"
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-6:]
        places = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(at))
        outcome, text = "foreign", f"{type(error).__name__}: {str(error)[:200]} at {places}"
    return {"outcome": outcome, "text": text[:500], "seconds": time.monotonic() - start,
            "cpu": time.process_time() - cpu, "grown": (peak_bytes() - before) >> 20,
            "peak": peak_bytes() >> 20}  # fmt: skip


def main() -> None:
    samples, folder = Path(sys.argv[1]), Path(sys.argv[2])
    warnings.simplefilter("ignore")
    import cv2
    import polars

    cv2.setNumThreads(1)
    polars.Series([1])
    soft = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (VIRTUAL, soft))
    whole: dict[str, str] = {}
    for line in sys.stdin:
        case = json.loads(line)
        data = build(case, samples)
        key = f"{case['kind']}/{case['sample']}"
        if key not in whole:
            whole[key] = read_whole(case, samples, folder / "whole")
        tell(event="done", **run(case, data, folder, whole[key]))
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
