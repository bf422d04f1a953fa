"""One page run as a user would, and what came of it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from results import record


def measure(
    page: Path, out: Path, places: Sequence[str], settings: Sequence[str], title: str
) -> None:
    """Run a page into `out` and write a line of results.

    Args:
        page: the config.
        out: the run folder.
        places: settings that say where the data are; not told in the results.
        settings: all others.
        title: of the table in RESULTS.md.
    """
    command = [sys.executable, "-m", "polypskd", "run", str(page), "--out", str(out), "--json"]
    command += [part for setting in (*places, *settings) for part in ("--set", setting)]
    load = os.getloadavg()[0]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    minutes = (time.perf_counter() - start) / 60
    evaluation = json.loads((out / "evaluation.json").read_text())
    provenance = json.loads((out / "provenance.json").read_text())
    record(
        title,
        {
            "settings": " ".join(settings) or "as in the page",
            "method": evaluation["method"]["kind"],
            "seed": evaluation["seed"],
            "test frames": evaluation["n_frames"],
            "student macro-F1": interval(evaluation["macro_f1"]),
            "teacher macro-F1": interval((evaluation["teacher"] or {}).get("macro_f1")),
            "student ECE before → after": change(evaluation["calibration"]),
            "teacher ECE before → after": change((evaluation["teacher"] or {}).get("calibration")),
            "minutes": f"{minutes:.1f}",
            "load at start": f"{load:.1f}",
            "polypskd, torch": f"{provenance['polypskd']}, {provenance['packages']['torch']}",
        },
    )


def interval(score: dict[str, float] | None) -> str:
    """Write a score with its interval."""
    return "{value:.3f} [{low:.3f}, {high:.3f}]".format(**score) if score else "–"


def change(calibration: dict[str, dict[str, dict[str, float]]] | None) -> str:
    """Write the calibration error before and after scaling."""
    if not calibration:
        return "–"
    before, after = (calibration[when]["ece"]["value"] for when in ("before", "after"))
    return f"{before:.3f} → {after:.3f}"
