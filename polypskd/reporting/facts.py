"""What a run may hold that a guideline asks for: a table of facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from polypskd.reporting.cells import pick
from polypskd.reporting.holdings import (
    AGE,
    CENTERS,
    DEVICES,
    SEX,
    agreed,
    always,
    has_ensemble,
    has_intervals,
    has_subgroups,
    has_thresholds,
    is_disjoint,
    never,
    patients_known,
    shows,
    studied,
    tell_single,
)
from polypskd.reporting.record import Record

SPLITS = ("splits", "baseline")  # whichever table the report has


@dataclass(frozen=True)
class Fact:
    """Something that a run may hold.

    Args:
        shown: what the report shows, in words.
        places: keys of sections, tables or figures, the best first.
        lacking: what is said where the run does not hold it.
        held: whether a run holds it.
        idle: why it does not apply to a run; None where it does.
    """

    shown: str
    places: tuple[str, ...]
    lacking: str
    held: Callable[[Record], bool]
    idle: Callable[[Record], str | None] = lambda record: None


FACTS: dict[str, Fact] = {
    "eligibility": Fact(
        "frames given, left out and used",
        ("exclusions", "flow", "cohort"),
        "the frames left out",
        always,
    ),
    "missing": Fact(
        "frames left out, by reason", ("exclusions", "flow"), "the frames left out", always
    ),
    "flow": Fact("flow of frames and patients", ("flow",), "a flow of frames", always),
    "votes": Fact(
        "number of annotators and of votes",
        ("agreement", "annotators"),
        "who voted: the votes name no annotator",
        lambda record: bool(pick(record.agreement, "statistics", "n_annotators")),
    ),
    "agreement": Fact(
        "agreement between annotators",
        ("agreement",),
        "agreement between annotators: not measurable from these votes",
        agreed,
        tell_single,
    ),
    "ties": Fact(
        "frames with a tie, and the rule for them",
        ("annotator-agreement",),
        "frames with a tie",
        agreed,
        tell_single,
    ),
    "reference": Fact("the rule of the reference standard", ("methods",), "the rule", always),
    "blind_model": Fact(
        "the student sees the frame alone",
        ("methods",),
        "what the student sees",
        always,
    ),
    "preprocessing": Fact(
        "size and augmentation of the frames",
        ("config", "settings"),
        "size and augmentation of the frames",
        lambda record: bool(record.config.get("augment")),
    ),
    "settings": Fact("all settings", ("config", "settings"), "the settings", always),
    "network": Fact(
        "networks of student and teacher",
        ("student-teacher", "config"),
        "the network",
        lambda record: bool(record.evaluation.get("model")),
    ),
    "initialization": Fact("the seed of the networks", ("config", "settings"), "the seed", always),
    "training": Fact(
        "losses by epoch",
        ("training",),
        "the training history",
        lambda record: any(record.histories.values()),
    ),
    "selection": Fact(
        "the epoch with the best macro-F1 on the validation split",
        ("methods",),
        "how the final weights were chosen",
        lambda record: bool((record.examples.split == "val").any()),
    ),
    "ensemble": Fact(
        "an ensemble of teachers",
        ("config", "settings"),
        "the ensemble",
        has_ensemble,
        lambda record: None if has_ensemble(record) else "one student, no ensemble",
    ),
    "splits": Fact("frames by class and split", SPLITS, "the splits", always),
    "prevalence": Fact("classes in each split", SPLITS, "the classes", always),
    "imbalance": Fact("classes in each split", SPLITS, "the classes", always),
    "disjoint": Fact(
        "no patient stands in two splits",
        ("methods",),
        "that no patient stands in two splits: some do, or patients are unknown",
        is_disjoint,
    ),
    "clusters": Fact(
        "intervals that resample patients",
        ("methods",),
        "patients are unknown, so that intervals treat frames as independent",
        patients_known,
    ),
    "cluster_results": Fact(
        "results by center or device",
        ("subgroup-comparison",),
        "results by center or device: no such column was evaluated",
        shows("subgroups", CENTERS + DEVICES),
    ),
    "software": Fact(
        "versions of the software",
        ("hashes", "provenance"),
        "versions of the software",
        lambda record: bool(record.provenance.get("packages")),
    ),
    "hashes": Fact(
        "hashes of the files of the run",
        ("hashes", "provenance"),
        "hashes of the files of the run",
        lambda record: any(k.endswith("sha256") and v for k, v in record.provenance.items()),
    ),
    "outputs": Fact(
        "where each frame's probabilities are kept",
        ("methods",),
        "where each frame's probabilities are kept",
        lambda record: len(record.predictions.frame_id) > 0,
    ),
    "statistics": Fact(
        "how intervals were made",
        ("methods",),
        "intervals: too few frames or patients, or no resamples",
        has_intervals,
    ),
    "estimates": Fact(
        "results by class, with intervals",
        ("accuracy-by-class", "classes", "results"),
        "intervals: too few frames or patients, or no resamples",
        has_intervals,
    ),
    "confusion": Fact(
        "the confusion matrix",
        ("confusion",),
        "the confusion matrix",
        lambda record: bool(record.evaluation.get("confusion")),
    ),
    "calibration": Fact(
        "calibration",
        ("scalings", "calibration"),
        "calibration",
        lambda record: pick(record.evaluation, "calibration", "before") is not None,
    ),
    "scaling": Fact(
        "calibration before and after temperature scaling",
        ("scalings", "calibration"),
        "recalibration",
        lambda record: pick(record.evaluation, "calibration", "after") is not None,
    ),
    "subclasses": Fact(
        "frames by class and level of agreement",
        ("subclasses",),
        "levels",
        lambda record: bool(record.agreement.get("subclasses")),
    ),
    "levels": Fact(
        "results by level",
        ("levels",),
        "results by level",
        lambda record: bool(record.evaluation.get("by_level")),
    ),
    "errors": Fact("the worst errors, frame by frame", ("errors",), "the errors", always),
    "limits": Fact("what the numbers cannot bear", ("limitations",), "limits", always),
    "subgroups": Fact(
        "results by subgroup",
        ("subgroup-comparison",),
        "results by sex, age, size or device: no such column has levels with enough frames",
        has_subgroups,
    ),
    "demographics": Fact(
        "sex and age by split",
        ("baseline",),
        "sex and age of the patients: the baseline does not show both",
        shows("baseline", SEX, AGE),
    ),
    "devices": Fact(
        "endoscopes or other devices by split",
        ("baseline",),
        "makes and models of the endoscopes: the baseline shows no such column",
        shows("baseline", DEVICES),
    ),
    "thresholds": Fact(
        "operating points, chosen on the validation split",
        ("operating-points",),
        "an operating point: the class with the highest probability is taken",
        has_thresholds,
    ),
    "robustness": Fact(
        "results on disturbed frames",
        ("robustness",),
        "results on blurred, dark or compressed frames",
        studied("robustness"),
    ),
    "sample_size": Fact(
        "the sample-size calculation",
        ("sample-size",),
        "a sample-size calculation: `polypskd samplesize` makes one",
        never,
    ),
    "explanation": Fact(
        "class activation beside the worst errors",
        ("errors",),
        "maps of what a result rests on",
        lambda record: record.folder is not None and any(record.folder.glob("cams/*.png")),
    ),
    "external": Fact(
        "results on another cohort",
        ("external",),
        "an external test: one cohort only",
        never,
    ),
}
