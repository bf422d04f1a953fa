import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
os.environ["MPLBACKEND"] = "Agg"

# The same cases every time, so that a failure is of the change; `explore` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# What writes files for the tests of a folder does so for those above it, too.
ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / name) for name in ("tests/cohort", "tests/cohort/exports", "benchmarks")]

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SHARED.is_dir():
        return
    skip = pytest.mark.skip(reason=f"real data not found at {SHARED}")
    for item in items:
        if "realdata" in item.keywords:
            item.add_marker(skip)
