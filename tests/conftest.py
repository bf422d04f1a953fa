import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["MPLBACKEND"] = "Agg"
# Before PyTorch and OpenBLAS: on arrays as small as these more threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same cases every time, so that a failure is of the change; `explore` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# What writes files for the tests of a folder does so for those above it, too.
ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / name) for name in ("tests/cohort", "tests/cohort/exports", "benchmarks")]

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


# Files of a minute: begun first, so that no worker is left with one at the end.
LONG = ("test_pipeline.py", "test_every_method.py", "test_processes.py", "test_fuzz.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))
    if SHARED.is_dir():
        return
    skip = pytest.mark.skip(reason=f"real data not found at {SHARED}")
    for item in items:
        if "realdata" in item.keywords:
            item.add_marker(skip)
