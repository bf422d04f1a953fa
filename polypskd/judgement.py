"""One network of a run, judged: its probabilities, and all numbers on the test split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from polypskd.arrays import write_arrays
from polypskd.artifacts import RunLog, describe_machine, write_atomic
from polypskd.cohort.decoders import describe_decoders
from polypskd.config import Config
from polypskd.evaluation import Outputs, evaluate, score_information
from polypskd.labels.scheme import Scheme, name_levels
from polypskd.metrics.classification import confusion_matrix, macro_f1, predict_classes
from polypskd.metrics.information import score_invention
from polypskd.metrics.intervals import number
from polypskd.models.checkpoint import Stored, read_network
from polypskd.models.networks import count_macs, count_parameters
from polypskd.models.processes import predict_together
from polypskd.ranks import is_first, world_size
from polypskd.training.losses import class_logits
from polypskd.training.material import Material


@dataclass(frozen=True)
class Judged:
    """A network's answers and numbers.

    Args:
        rows: (N,) rows of examples.csv in the validation and test splits.
        logits: (N, K) class logits.
        probabilities: (N, K) class probabilities at temperature 1.
        record: the numbers, as in evaluation.json.
    """

    rows: NDArray[np.int64]
    logits: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    record: dict[str, Any]


def judge_network(material: Material, path: Path, verb: str, log: RunLog) -> Judged | None:
    """Evaluate a stored network on the test split, its temperature fitted on validation.

    Args:
        material: examples and pixels.
        path: its weights.
        verb: the verb that makes them.
        log: told how far it is.

    Returns:
        What is to be written; None in the processes of a job that only help to predict.
    """
    stored = read_network(path, verb)
    # Counted before the network moves: a counter on the CPU needs it there.
    macs = count_macs(stored.network, stored.size)
    stored.network.to(material.device)
    class_of = torch.tensor(stored.class_of)

    def answer(split: str) -> tuple[Outputs, NDArray[np.float64]]:
        rows = material.rows(split)
        logits = torch.from_numpy(
            predict_together(
                stored.network,
                material.pixels(rows),
                device=material.device,
                progress=lambda done, total: log.progress("evaluate", done, total),
            )
        ).double()
        outputs = Outputs(
            class_logits=class_logits(logits, class_of).numpy(),
            labels=material.classes(rows),
            patients=material.examples.patient_id[rows],
            levels=_level_names(material, rows),
            split=split,
        )
        return outputs, logits.softmax(1).numpy()

    validation, _ = answer("val")
    test, _ = answer("test")
    _, subclass_probabilities = answer("train")
    if not is_first():
        return None
    config = material.config
    result = evaluate(
        test,
        validation=validation,
        classes=stored.classes,
        settings=config.evaluation,
        seed=config.seed,
    )
    train = material.rows("train")
    numbers = result.to_dict()
    names = list(dict.fromkeys(_level_names(material, material.rows_by_level())))
    numbers["by_level"] = {
        name: numbers["by_level"][name] for name in names if name in numbers["by_level"]
    }
    record = numbers | {
        "validation": {
            "macro_f1": number(float(macro_f1(_confuse(validation, len(stored.classes)))))
        },
        "information": _inform(material, train, subclass_probabilities, stored),
        "model": {
            "network": stored.config.kind,
            "parameters": count_parameters(stored.network),
            "macs": macs,
            "size_bytes": path.stat().st_size,
        },
    }
    both = np.concatenate([validation.class_logits, test.class_logits])
    probabilities = torch.from_numpy(both).softmax(1).numpy()
    rows = np.concatenate([material.rows("val"), material.rows("test")])
    return Judged(rows, both, probabilities, record)


def describe_judgement(config: Config, student: Judged, teacher: Judged | None) -> dict[str, Any]:
    """Put the numbers of a run together, as in evaluation.json."""
    record = student.record | {
        "method": config.student.method.model_dump(mode="json"),
        "seed": config.fit_seed,
        "teacher": None,
    }
    if teacher is not None:
        # Label bits are what the teacher can transfer, so they are the teacher's, on training data.
        information = teacher.record["information"]
        record |= {"teacher": teacher.record, "information": information}
    return record


def describe_provenance(material: Material) -> dict[str, Any]:
    """Say where and from what the numbers of a run were made, but for the hashes of its files."""
    return describe_machine() | {
        "decoders": describe_decoders(material.examples.path.tolist()),
        "device": material.device.type,
        "processes": world_size(),
        "seed": material.config.seed,
        "training_seed": material.config.fit_seed,
        "frames": len(material.examples),
        "frames_sha256": material.store.key,
        "research_use_only": True,
    }


def _inform(
    material: Material, rows: NDArray[np.int64], probabilities: NDArray[np.float64], stored: Stored
) -> dict[str, float | None]:
    """Measure the label information of outputs that annotators named, or of invented ones."""
    class_of = np.array(stored.class_of, dtype=np.int64)
    scheme = Scheme(stored.classes, stored.subclasses, class_of, np.zeros_like(class_of))
    known = material.outputs(rows, scheme)
    if known is not None:
        return score_information(known, probabilities, class_of)
    return score_invention(
        material.subclasses(rows), material.classes(rows), probabilities, class_of
    )


def _confuse(outputs: Outputs, classes: int) -> NDArray[np.int64]:
    return confusion_matrix(outputs.labels, predict_classes(outputs.class_logits), classes)


def _level_names(material: Material, rows: NDArray[np.int64]) -> NDArray[np.str_]:
    return name_levels(material.scheme)[material.subclasses(rows)]


def write_answers(path: Path, student: Judged, teacher: Judged | None) -> None:
    """Write answers.npz: ``rows`` (N,) of examples.csv, and ``student``, ``teacher`` (N, K).

    They are class logits to the last digit, which predictions.csv rounds. Without a teacher its
    array has no rows.
    """
    nothing = np.zeros((0, student.logits.shape[1]))
    arrays = {
        "rows": student.rows,
        "student": student.logits,
        "teacher": nothing if teacher is None else teacher.logits,
    }
    write_arrays(path, arrays)


def write_predictions(path: Path, material: Material, judged: Judged) -> None:
    """Write frame_id, patient_id, split, consensus, p_<class>..., predicted; atomically."""
    examples, rows = material.examples, judged.rows
    classes = np.array(material.scheme.classes)
    columns: dict[str, Any] = {
        "frame_id": examples.frame_id[rows],
        "patient_id": examples.patient_id[rows],
        "split": examples.split[rows],
        "consensus": examples.consensus[rows],
    }
    columns |= {f"p_{name}": judged.probabilities[:, k] for k, name in enumerate(classes)}
    columns["predicted"] = classes[predict_classes(judged.probabilities)]
    frame = pl.DataFrame({name: pl.Series(name, values) for name, values in columns.items()})
    write_atomic(path, lambda temporary: frame.write_csv(temporary, float_precision=6))
