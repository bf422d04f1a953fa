"""bfloat16 against float32: macro-F1 over seeds; epochs.py tells the seconds, taken in turns."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import yaml
from results import record, refuse_failed

ROOT = Path(__file__).resolve().parent.parent
PAIRS = {"none": "none_fp32", "kd": "kd_fp32"}
FLOAT = ["teacher.fit.precision=fp32", "student.fit.precision=fp32"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--out", type=Path, default=ROOT / "runs/benchmarks/precision")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    page = yaml.safe_load((ROOT / "polypskd/demo.yaml").read_text())
    for role in ("teacher", "student"):
        page[role]["fit"]["precision"] = "bf16"
    page["comparison"] = {
        "variants": {
            name: [f"student.method={{kind: {method}}}", *FLOAT] for method, name in PAIRS.items()
        }
    }
    path = options.out.parent / "precision.yaml"
    path.write_text(yaml.safe_dump(page, sort_keys=False))
    methods = ",".join([*PAIRS, *PAIRS.values()])
    command = [sys.executable, "-m", "polypskd", "compare", str(path), "--methods", methods]
    command += ["--seeds", str(options.seeds), "--out", str(options.out)]
    command += [part for setting in options.settings for part in ("--set", setting)]
    subprocess.run(command, check=True)
    refuse_failed(options.out)
    found = json.loads((options.out / "comparison.json").read_text())["methods"]
    for method, name in PAIRS.items():
        difference = found[name]["differences"][method]["macro_f1"]
        row: dict[str, object] = {"method": method, "seeds": options.seeds}
        for precision, one in (("bf16", found[method]), ("fp32", found[name])):
            f1 = one["macro_f1"]
            row[f"{precision} macro-F1"] = f"{f1['mean']:.3f} ± {f1['sd']:.3f}"
        row["fp32 less bf16"] = (
            f"{difference['value']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"
        )
        record("bfloat16 against float32, the demo", row)


if __name__ == "__main__":
    main()
