"""The page for MHIST, on a table of its published form and vote histogram."""

import csv
from pathlib import Path

import numpy as np
import pytest

from polypskd.cohort.load import load_cohort
from polypskd.comparison.variants import build_variant
from polypskd.config import Config, read_config
from polypskd.labels.consensus import derive_consensus
from polypskd.labels.derivation import derive_labels
from polypskd.labels.subclasses import derive_subclasses

PAGE = Path(__file__).resolve().parents[2] / "configs" / "mhist_skd.yaml"
# Wei et al. 2021: frames by number of votes for SSA, 0 to 7.
HISTOGRAM = {
    "train": (537, 497, 302, 209, 151, 106, 154, 219),
    "test": (186, 208, 124, 99, 65, 62, 96, 137),
}
SIZES = {  # of the training frames, easiest first, by hand from the histogram
    None: (537, 497, 302, 209, 219, 154, 106, 151),
    "q2": (1034, 511, 373, 257),
    "q3": (537, 799, 209, 219, 260, 151),
}


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Config:
    path = tmp_path_factory.mktemp("mhist") / "annotations.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            [
                "Image Name",
                "Majority Vote Label",
                "Number of Annotators who Selected SSA (Out of 7)",
                "Partition",
            ]
        )
        for part, counts in HISTOGRAM.items():
            for votes, count in enumerate(counts):
                label = "SSA" if votes >= 4 else "HP"
                writer.writerows(
                    [f"MHIST_{part}_{votes}_{i}.png", label, votes, part] for i in range(count)
                )
    places = (f"cohort.votes.path={path}", "cohort.frames={kind: none}", "labels.resamples=0")
    return read_config(PAGE, places)


@pytest.mark.parametrize("scheme", SIZES, ids=str)
def test_the_pages_schemes_have_the_published_sizes(page, scheme):
    config = page if scheme is None else build_variant(page, scheme, 0)
    cohort = load_cohort(config.cohort)
    train = cohort.split == "train"
    labels = derive_subclasses(
        config.labels.subclasses, cohort, derive_consensus(cohort.counts), train
    )
    assert tuple(np.bincount(labels.subclass[train]).tolist()) == SIZES[scheme]


def test_the_page_carves_validation_out_of_train_and_leaves_test_alone(page):
    examples, described = derive_labels(load_cohort(page.cohort), page)
    assert (examples.split == "test").sum() == 977
    assert (examples.split == "val").sum() == pytest.approx(0.15 * 2175, abs=2)
    assert len(described["subclasses"]) == 8
