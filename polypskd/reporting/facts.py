"""What a run may hold that a guideline asks for: a table of facts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from polypskd.reporting.cells import pick
from polypskd.reporting.record import Record, get_study

SPLITS = ("splits", "baseline")  # whichever table the report has
LEVEL = "difficulty level"  # the column of subgroups that every run has
CENTERS = ("center", "centre", "site", "hospital")
DEVICES = ("device", "endoscope", "scope", "manufacturer", "maker", "model", "processor")
PEOPLE = ("sex", "gender", "age")


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


def _always(record: Record) -> bool:
    return True


def _patients_known(record: Record) -> bool:
    return bool(record.agreement.get("patients_known"))


def _has_intervals(record: Record) -> bool:
    return pick(record.evaluation, "macro_f1", "low") is not None


def _never(record: Record) -> bool:
    return False


def _studied(key: str) -> Callable[[Record], bool]:
    """Tell whether a section of the study could be assessed."""
    return lambda record: get_study(record, key) is not None


def _breaks_down(key: str, *words: str) -> Callable[[Record], bool]:
    """Tell whether a section of the study has levels of a column with such a word in its name."""

    def held(record: Record) -> bool:
        columns = pick(get_study(record, key), "columns") or {}
        return any(
            "levels" in column and (not words or set(re.findall("[a-z]+", name.lower())) & {*words})
            for name, column in columns.items()
        )

    return held


def _has_subgroups(record: Record) -> bool:
    """Tell whether a column beyond the levels of difficulty has been evaluated."""
    columns = pick(get_study(record, "subgroups"), "columns") or {}
    return any("levels" in column for name, column in columns.items() if name != LEVEL)


def _agreed(record: Record) -> bool:
    statistics = record.agreement.get("statistics") or {}
    keys = ("fleiss_kappa", "krippendorff_nominal", "gwet_ac1")
    return any(pick(statistics, key, "value") is not None for key in keys)


def _tell_single(record: Record) -> str | None:
    single = pick(record.agreement, "statistics", "votes_per_frame", "max") == 1
    return "each frame has one vote" if single else None


def _has_ensemble(record: Record) -> bool:
    return (pick(record.config, "teacher", "ensemble") or 1) > 1


FACTS: dict[str, Fact] = {
    "eligibility": Fact(
        "frames given, left out and used",
        ("exclusions", "flow", "cohort"),
        "the frames left out",
        _always,
    ),
    "missing": Fact(
        "frames left out, by reason", ("exclusions", "flow"), "the frames left out", _always
    ),
    "flow": Fact("flow of frames and patients", ("flow",), "a flow of frames", _always),
    "votes": Fact(
        "number of annotators and of votes",
        ("annotators", "agreement"),
        "who voted: the votes name no annotator",
        lambda record: bool(pick(record.agreement, "statistics", "n_annotators")),
    ),
    "agreement": Fact(
        "agreement between annotators",
        ("agreement",),
        "agreement between annotators: not measurable from these votes",
        _agreed,
        _tell_single,
    ),
    "ties": Fact(
        "frames with a tie, and the rule for them",
        ("agreement",),
        "frames with a tie",
        _agreed,
        _tell_single,
    ),
    "reference": Fact("the rule of the reference standard", ("methods",), "the rule", _always),
    "blind_model": Fact(
        "the student sees the frame alone, without votes or reference standard",
        ("methods",),
        "what the student sees",
        _always,
    ),
    "preprocessing": Fact(
        "size and augmentation of the frames", ("config", "settings"), "the settings", _always
    ),
    "settings": Fact("all settings", ("config", "settings"), "the settings", _always),
    "network": Fact(
        "networks of student and teacher",
        ("student-teacher", "config"),
        "the network",
        lambda record: bool(record.evaluation.get("model")),
    ),
    "initialization": Fact("the seed of the networks", ("config", "settings"), "the seed", _always),
    "training": Fact(
        "losses by epoch",
        ("training",),
        "the training history",
        lambda record: any(record.histories.values()),
    ),
    "selection": Fact(
        "the epoch with the best macro-F1 on the validation split",
        ("training", "methods"),
        "how the final weights were chosen",
        lambda record: bool((record.examples.split == "val").any()),
    ),
    "ensemble": Fact(
        "an ensemble of teachers",
        ("config", "settings"),
        "the ensemble",
        _has_ensemble,
        lambda record: None if _has_ensemble(record) else "one student, no ensemble",
    ),
    "splits": Fact("frames by class and split", SPLITS, "the splits", _always),
    "prevalence": Fact("classes in each split", SPLITS, "the classes", _always),
    "imbalance": Fact("classes in each split", SPLITS, "the classes", _always),
    "disjoint": Fact(
        "no patient stands in two splits",
        SPLITS,
        "patients are unknown, so that splits may share some",
        _patients_known,
    ),
    "clusters": Fact(
        "intervals that resample patients",
        ("methods",),
        "patients are unknown, so that intervals treat frames as independent",
        _patients_known,
    ),
    "cluster_results": Fact(
        "results by center or device",
        ("subgroup-comparison",),
        "results by center or device: no such column was evaluated",
        _breaks_down("subgroups", *CENTERS, *DEVICES),
    ),
    "software": Fact(
        "versions of the software",
        ("hashes", "provenance"),
        "versions of the software",
        lambda record: bool(record.provenance.get("packages")),
    ),
    "hashes": Fact(
        "hashes of weights, frames and labels",
        ("hashes", "provenance"),
        "hashes of weights, frames and labels",
        lambda record: any(key.endswith("sha256") for key in record.provenance),
    ),
    "outputs": Fact(
        "each frame's probabilities, kept in the run folder and tied to it by hashes",
        ("hashes", "provenance"),
        "the outputs",
        lambda record: len(record.predictions.frame_id) > 0,
    ),
    "statistics": Fact(
        "how intervals were made",
        ("methods",),
        "intervals: too few frames or patients, or no resamples",
        _has_intervals,
    ),
    "estimates": Fact(
        "results by class, with intervals",
        ("accuracy-by-class", "classes", "results"),
        "intervals: too few frames or patients, or no resamples",
        _has_intervals,
    ),
    "confusion": Fact(
        "the confusion matrix",
        ("confusion",),
        "the confusion matrix",
        lambda record: bool(record.evaluation.get("confusion")),
    ),
    "calibration": Fact(
        "calibration",
        ("calibration",),
        "calibration",
        lambda record: pick(record.evaluation, "calibration", "before") is not None,
    ),
    "scaling": Fact(
        "calibration before and after temperature scaling",
        ("calibration",),
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
    "errors": Fact("the worst errors, frame by frame", ("errors",), "the errors", _always),
    "limits": Fact("what the numbers cannot bear", ("limitations",), "limits", _always),
    "subgroups": Fact(
        "results by subgroup",
        ("subgroup-comparison",),
        "results by sex, age, size or device: no such column was evaluated",
        _has_subgroups,
    ),
    "demographics": Fact(
        "sex and age by split",
        ("baseline",),
        "sex and age of the patients: no such column was evaluated",
        _breaks_down("baseline", *PEOPLE),
    ),
    "devices": Fact(
        "makes and models of the devices",
        ("baseline",),
        "makes and models of the endoscopes: no such column was evaluated",
        _breaks_down("baseline", *DEVICES),
    ),
    "thresholds": Fact(
        "operating points, chosen on the validation split",
        ("operating-points",),
        "an operating point: the class with the highest probability is taken",
        _studied("operating_points"),
    ),
    "robustness": Fact(
        "results on disturbed frames",
        ("robustness",),
        "results on blurred, dark or compressed frames",
        _studied("robustness"),
    ),
    "sample_size": Fact(
        "the sample-size calculation",
        ("sample-size",),
        "a sample-size calculation: `polypskd samplesize` makes one",
        _never,
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
        _never,
    ),
}
