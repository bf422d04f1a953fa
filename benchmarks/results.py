"""RESULTS.md: one line a measurement, with machine and date, written by the benchmarks."""

import datetime
import json
import os
import platform
from pathlib import Path

PATH = Path(__file__).resolve().parent / "RESULTS.md"


def machine() -> str:
    info = Path("/proc/cpuinfo")
    names = {
        line.partition(":")[2].strip()
        for line in (info.read_text().splitlines() if info.exists() else [])
        if line.startswith("model name")
    }
    return f"{' / '.join(sorted(names)) or platform.machine()}, {os.cpu_count()} cores"


def record(title: str, values: dict[str, object]) -> None:
    """Append a line to the table of this title, making the table if there is none."""
    row = {"date": datetime.date.today().isoformat(), **values, "machine": machine()}
    lines = PATH.read_text().splitlines() if PATH.exists() else ["# Results"]
    head = "| " + " | ".join(row) + " |"
    line = "| " + " | ".join(str(value) for value in row.values()) + " |"
    if f"## {title}" in lines and head in lines[lines.index(f"## {title}") :]:
        at = lines.index(head, lines.index(f"## {title}"))
        while at < len(lines) and lines[at].startswith("|"):
            at += 1
        lines.insert(at, line)
    else:
        lines += ["", f"## {title}", "", head, "|" + "---|" * len(row), line]
    PATH.write_text("\n".join(lines).rstrip() + "\n")
    print(line)


def refuse_failed(comparison: Path) -> None:
    """Stop where a run of a comparison failed: what lies in its folder is another's."""
    found = json.loads((comparison / "comparison.json").read_text())
    for name, method in found["methods"].items():
        for one in method["failed"]:
            raise SystemExit(f"{comparison}: {name}, seed {one['seed']}: {one['error']}")
