"""HyperKvasir's five official folds: every frame tested once, methods compared out of fold."""

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
from results import record, refuse_failed

from polypskd.metrics.paired import PairedSample, adjust_holm, paired_difference, score_runs

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "configs/hyperkvasir_colitis.yaml"
CLASSES = ("polyp", "mild_colitis", "active_colitis")
METHODS = "none,kd,skd,random_subclasses,class_wise,subclass_distillation"


def write_fold(data: Path, fold: int, path: Path) -> None:
    """Write the metadata of one fold: its frames are the test split."""
    with (data / "5_fold_split.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    # by file name: the table's class names are not all the folders' (polyp, polyps)
    frames = data / "frames"
    places = {one.name: f"{one.parent.name}/{one.name}" for one in frames.glob("*/*.jpg")}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["frame", "split"])
        for row in rows:
            name = places.get(row["file-name"])
            if name is None:
                continue  # the folds cover all 23 classes of the data set
            part = "test" if int(row["split-index"]) == fold else "train"
            writer.writerow([name, part])


def read_answers(folder: Path) -> pl.DataFrame:
    """Read the test predictions of one run."""
    table = pl.read_csv(folder / "predictions.csv", infer_schema=False)
    return table.filter(pl.col("split") == "test").sort("frame_id")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    data = ROOT / "../shared/data/hyperkvasir"
    parser.add_argument("--data", type=Path, default=data)
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    parser.add_argument("--out", type=Path, default=ROOT / "runs/benchmarks/folds")
    parser.add_argument(
        "--pool", action="store_true", help="train nothing; pool the seeds that all folds have done"
    )
    options = parser.parse_args()
    names = options.methods.split(",")
    seeds = [17 + index for index in range(options.seeds)]
    if options.pool:
        seeds = [seed for seed in seeds if all(is_done(options.out, names, seed))]
    else:
        train(options)
    pooled = {
        name: [
            pl.concat(
                read_answers(options.out / f"fold-{fold}" / name / f"seed-{seed}")
                for fold in range(5)
            )
            for seed in seeds
        ]
        for name in names
    }
    tell(pooled, seeds, " ".join(options.settings) or "as in the page")


def is_done(out: Path, names: list[str], seed: int) -> Iterator[bool]:
    """Say of each run of a seed whether it has been evaluated."""
    for fold, name in product(range(5), names):
        yield (out / f"fold-{fold}" / name / f"seed-{seed}/.steps/evaluate.json").exists()


def train(options: argparse.Namespace) -> None:
    """Compare the methods in each fold; what is done is left alone."""
    for fold in range(5):
        table = options.out / f"fold-{fold}.csv"
        write_fold(options.data, fold, table)
        settings = [
            f"cohort.frames.root={(options.data / 'frames').resolve()}",
            f"cohort.metadata={{path: {table.resolve()}}}",
            "cohort.split={kind: column, column: split, val: 0.15}",
            *options.settings,
        ]
        command = [sys.executable, "-m", "polypskd", "compare", str(PAGE)]
        command += ["--methods", options.methods, "--seeds", str(options.seeds)]
        command += [part for setting in settings for part in ("--set", setting)]
        subprocess.run([*command, "--out", str(options.out / f"fold-{fold}")], check=True)
        refuse_failed(options.out / f"fold-{fold}")


def tell(pooled: dict[str, list[pl.DataFrame]], seeds: list[int], settings: str) -> None:
    """Write a line a method: pooled macro-F1, and its difference to none and to kd."""
    first = next(iter(pooled.values()))[0]
    codes = {name: k for k, name in enumerate(CLASSES)}
    labels = np.array([codes[name] for name in first["consensus"]])
    sample = PairedSample.draw(None, (len(seeds), len(labels)), 2000, 0)
    scores = {}
    for name, tables in pooled.items():
        if not all(table["frame_id"].equals(first["frame_id"]) for table in tables):
            raise SystemExit(f"{name}: not every fold was tested on the same frames")
        predicted = np.array([[codes[one] for one in table["predicted"]] for table in tables])
        p = np.stack(
            [
                np.stack([table[f"p_{c}"].cast(pl.Float64).to_numpy() for c in CLASSES], axis=1)
                for table in tables
            ]
        )
        scores[name] = score_runs(sample, labels, predicted, p)
    pairs = [(name, to) for to in ("none", "kd") if to in scores for name in scores if name != to]
    found = {
        pair: paired_difference(sample, scores[pair[0]]["macro_f1"], scores[pair[1]]["macro_f1"])
        for pair in pairs
    }
    holm = dict(zip(pairs, adjust_holm([found[pair].p for pair in pairs]), strict=True))
    for name, score in scores.items():
        f1 = score["macro_f1"][0]
        line = {
            "method": name,
            "seeds": len(seeds),
            "frames": len(labels),
            "macro-F1": f"{f1.mean():.3f}" + (f" ± {f1.std(ddof=1):.3f}" if len(f1) > 1 else ""),
            "ECE": f"{score['ece'][0].mean():.3f}",
        }
        for to in ("none", "kd"):
            d = found.get((name, to))
            line[f"less {to}"] = (
                f"{d.value:+.3f} [{d.low:+.3f}, {d.high:+.3f}], p (Holm) {holm[name, to]:.3f}"
                if d
                else "–"
            )
        record("HyperKvasir, five folds", line | {"settings": settings})


if __name__ == "__main__":
    main()
