"""A run folder, read for its study."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from polypskd.artifacts import read_json
from polypskd.cohort.ballot_table import read_votes
from polypskd.config import Config
from polypskd.errors import ArtifactError
from polypskd.labels.examples import read_examples
from polypskd.labels.scheme import Scheme, find_names, name_levels, parse_scheme
from polypskd.metrics.leave_one_out import Votes
from polypskd.metrics.resampling import Resampling
from polypskd.reporting.record import count_exclusions
from polypskd.runs import LABELS, NUMBERS
from polypskd.study.answers import read_answers
from polypskd.study.columns import check_columns
from polypskd.study.data import LEVEL, SUBCLASS, Part, StudyData


def open_study(folder: Path, config: Config) -> StudyData:
    """Read what a study asks for from a run that has been evaluated.

    Args:
        folder: the run's.
        config: its page.

    Raises:
        ArtifactError: a file is missing or damaged, or they do not belong together.
        ConfigError: the study asks for columns or annotators that the cohort lacks.
    """
    examples = read_examples(folder / LABELS[0])
    agreement = read_json(folder / LABELS[1])
    scheme = parse_scheme(agreement)
    evaluation = read_json(folder / NUMBERS[0])
    answers = read_answers(folder, examples)
    rows = answers["rows"]
    everyone = [one["name"] for one in agreement["statistics"].get("annotators") or ()]
    given = {name.removeprefix("given_"): words for name, words in examples.carried.items()}
    # Checked before training too, but the page may have changed since.
    check_columns(config.study, given | examples.carried, everyone, examples.patient_id)
    positive = np.isin(scheme.classes, config.study.positive or scheme.classes[-1:])
    temperature = evaluation["calibration"]["temperature"] or 1.0

    def part(split: str) -> Part:
        here = examples.split[rows] == split
        own = rows[here]
        subclass = find_names(examples.subclass[own], scheme.subclasses)
        return Part(
            split=split,
            frame_ids=examples.frame_id[own],
            patients=examples.patient_id[own],
            labels=find_names(examples.consensus[own], scheme.classes),
            levels=name_levels(scheme)[subclass],
            counts=np.stack([examples.votes[name][own] for name in scheme.classes], axis=1),
            columns={name: values[own] for name, values in examples.carried.items()},
            student=answers["student"][here],
            teacher=answers["teacher"][here] if len(answers["teacher"]) else None,
            temperature=temperature,
            positive=positive,
        )

    test = part("test")
    votes, annotators = _votes(folder / LABELS[3], test, scheme)
    numbers = {name: number for number, name in enumerate(everyone, start=1)}
    known = config.labels.subclasses.kind == "known"
    names = name_levels(scheme)
    if not known:
        names = names[np.argsort(scheme.level_of, kind="stable")]
    settings = config.evaluation
    sample = Resampling.draw(test.patients, settings.resamples, config.seed)
    return StudyData(
        classes=scheme.classes,
        test=test,
        validation=part("val"),
        sample=sample.hold(),
        settings=config.study,
        confidence=settings.confidence,
        bins=settings.calibration_bins,
        votes=votes,
        annotators=annotators,
        patients_known=bool(agreement["patients_known"]),
        seed=config.seed,
        level_order=tuple(dict.fromkeys(names.tolist())),
        level_word=SUBCLASS if known else LEVEL,
        annotator_numbers=tuple(numbers[name] for name in annotators)
        if set(annotators) <= set(numbers)
        else (),
        examples=examples,
        exclusions=count_exclusions(folder / LABELS[2]),
    )


def _votes(path: Path, test: Part, scheme: Scheme) -> tuple[Votes | None, tuple[str, ...]]:
    """Read the votes on test frames; None where no annotator is known by name."""
    table = read_votes(path)
    if not len(table["annotator"]):
        return None, ()
    annotators, annotator = np.unique(table["annotator"], return_inverse=True)
    order = np.argsort(test.frame_ids)
    place = np.searchsorted(test.frame_ids, table["frame_id"], sorter=order)
    frame = order[np.minimum(place, len(order) - 1)]
    if not np.array_equal(test.frame_ids[frame], table["frame_id"]):
        raise ArtifactError(
            f"{path}: made of other examples; `polypskd derive CONFIG` makes it anew"
        )
    choice = find_names(table["vote"], scheme.classes)
    shape = (len(test), len(annotators), len(scheme.classes))
    names = tuple(str(name) for name in annotators)
    return Votes(frame, annotator.astype(np.int64), choice, shape), names
