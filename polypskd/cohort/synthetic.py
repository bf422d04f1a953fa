"""A drawn cohort: patients, lesions and frames of known difficulty, and simulated annotators.

The folder holds::

    frames/p001/f001.png   the frames
    votes.csv              frame, annotator, vote
    frames.csv             frame, patient, lesion, size_mm, segment, histology, endoscope,
                           true_class, true_difficulty
    settings.json          what it was drawn from

Every draw has a seed of its own, made of the cohort's seed and its place, so that the first
patients of a large cohort are those of a small one.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from polypskd.cohort.annotators import cast_votes, invite_annotators
from polypskd.cohort.drawing import draw_frame, draw_look
from polypskd.config import SyntheticFrames
from polypskd.errors import ConfigError, OutputError

DRAWING = 2  # counts up whenever the same settings give other bytes
SPREAD = 3.0  # concentration of the lesions' difficulty; smaller spreads wider
WITHIN = 0.08  # standard deviation of the frames' difficulty round their lesion's
LOOKS, PLAN, PIXELS, VOTES = range(4)  # first part of a draw's seed
SEGMENTS = ("rectum", "sigmoid", "descending", "transverse", "ascending", "cecum")
ENDOSCOPES = ("endoscope A", "endoscope B")
GUIDELINE_NAMES = {"hyperplastic": "hyperplastic", "serrated": "ssl", "adenoma": "tubular"}
SIZES = {"hyperplastic": 3.5, "serrated": 6.0, "adenoma": 5.0}  # median, millimeters


@dataclass(frozen=True)
class DrawnFrame:
    """A frame before it is drawn; the fields are the columns of frames.csv.

    Size, segment and endoscope are made up beside the pixels, which do not show them.
    """

    frame: str
    patient: str
    lesion: str
    size_mm: int
    segment: str
    histology: str
    endoscope: str
    true_class: str
    true_difficulty: float


def _rng(seed: int, *place: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place))


def name_histologies(classes: Sequence[str]) -> dict[str, str]:
    """Say which histology is drawn for each class.

    Args:
        classes: two or three names, lowest to highest risk.

    Raises:
        ConfigError: there are fewer or more classes.

    >>> name_histologies(["benign", "premalignant"])
    {'benign': 'hyperplastic', 'premalignant': 'adenoma'}
    """
    known = {2: ("hyperplastic", "adenoma"), 3: ("hyperplastic", "serrated", "adenoma")}
    if len(classes) not in known:
        raise ConfigError(
            f"cohort.classes: {len(classes)} classes with synthetic frames; give 2 "
            "(drawn as hyperplastic, adenoma) or 3 (hyperplastic, serrated, adenoma)"
        )
    return dict(zip(classes, known[len(classes)], strict=True))


def plan_frames(
    config: SyntheticFrames, classes: Sequence[str], *, seed: int
) -> tuple[DrawnFrame, ...]:
    """Lay out patients, lesions and frames without drawing them.

    A patient has one or two lesions. Within each run of K patients the first lesions are of K
    different classes, so that small cohorts have them all.

    Args:
        config: sizes and mean difficulty.
        classes: K names, lowest to highest risk.
        seed: 0 or more.

    >>> plan = plan_frames(SyntheticFrames(patients=6), ("benign", "premalignant"), seed=1)
    >>> len(plan), plan[0].frame, plan[-1].frame
    (36, 'p001/f001.png', 'p006/f006.png')
    """
    names = name_histologies(classes)
    mean = 0.08 + 0.84 * config.difficulty
    width = max(3, len(str(config.patients)))
    plan = []
    for patient in range(config.patients):
        turn, place = divmod(patient, len(classes))
        first = int(_rng(seed, PLAN, 0, turn).permutation(len(classes))[place])
        rng = _rng(seed, PLAN, 1, patient)
        kinds = first, int(rng.integers(len(classes)))
        bases = rng.beta(SPREAD * mean, SPREAD * (1 - mean), 2)
        two = config.frames_per_patient > 1 and rng.random() < 0.5
        name = f"p{patient + 1:0{width}}"
        shown = [names[classes[kind]] for kind in kinds]
        places = _rng(seed, PLAN, 2, patient)
        endoscope = ENDOSCOPES[places.integers(len(ENDOSCOPES))]
        sizes = [_draw_size(places, histology) for histology in shown]
        segments = [SEGMENTS[places.integers(len(SEGMENTS))] for _ in shown]
        for frame in range(config.frames_per_patient):
            lesion = int(two and frame >= (config.frames_per_patient + 1) // 2)
            difficulty = np.clip(bases[lesion] + WITHIN * rng.standard_normal(), 0, 1)
            plan.append(
                DrawnFrame(
                    frame=f"{name}/f{frame + 1:03}.png",
                    patient=name,
                    lesion=f"{name}_l{lesion + 1}",
                    size_mm=sizes[lesion],
                    segment=segments[lesion],
                    histology=GUIDELINE_NAMES[shown[lesion]],
                    endoscope=endoscope,
                    true_class=classes[kinds[lesion]],
                    true_difficulty=round(float(difficulty), 4),
                )
            )
    return tuple(plan)


def _draw_size(rng: np.random.Generator, histology: str) -> int:
    return int(np.clip(round(rng.lognormal(np.log(SIZES[histology]), 0.5)), 1, 40))


def draw_cohort(
    config: SyntheticFrames, classes: tuple[str, ...], *, seed: int, folder: Path
) -> None:
    """Draw a cohort into a folder, in one go: it is there complete, or not at all.

    A folder that was drawn with the same settings is left alone; one that was drawn with others,
    or has lost a file, is drawn anew.

    Args:
        config: sizes, mean difficulty and number of annotators.
        classes: two or three names, lowest to highest risk.
        seed: 0 or more; equal seeds and settings give equal bytes.
        folder: where to; its parents are made.

    Raises:
        ConfigError: there are more than three classes.
        OutputError: the folder holds something else, or cannot be written.
    """
    histologies = name_histologies(classes)
    settings = {
        "drawn_by": "polypskd",
        "drawing": DRAWING,
        "seed": seed,
        "classes": list(classes),
        **config.model_dump(mode="json"),
    }
    plan = plan_frames(config, classes, seed=seed)
    files = ["votes.csv", "frames.csv", *(f"frames/{row.frame}" for row in plan)]
    found = _read_settings(folder)
    if found == settings and all((folder / name).is_file() for name in files):
        return
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.drawing")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        _write_frames(temporary / "frames", plan, config, histologies, seed)
        _write_table(temporary / "frames.csv", [asdict(row) for row in plan])
        _write_table(temporary / "votes.csv", _vote(plan, config, classes, seed))
        text = json.dumps(settings, indent=1, ensure_ascii=False) + "\n"
        (temporary / "settings.json").write_text(text, encoding="utf-8", newline="\n")
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read_settings(folder: Path) -> Any:
    """What a folder was drawn from; None where there is none yet."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        found = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        ours = found["drawn_by"] == "polypskd"
    except (OSError, ValueError, KeyError, TypeError):
        ours = False
    if not ours:
        raise OutputError(
            f"{folder}: holds files that were not drawn by polypskd; choose another folder"
        )
    return found


def _write_frames(
    root: Path,
    plan: Sequence[DrawnFrame],
    config: SyntheticFrames,
    histologies: dict[str, str],
    seed: int,
) -> None:
    import cv2

    for index, row in enumerate(plan):
        patient, frame = divmod(index, config.frames_per_patient)
        pixels = draw_frame(
            _rng(seed, PIXELS, patient, frame),
            histology=histologies[row.true_class],
            difficulty=row.true_difficulty,
            size=config.size,
            look=draw_look(_rng(seed, LOOKS, patient)),
        )
        path = root / row.frame
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", pixels[..., ::-1])[1].tobytes())


def _vote(
    plan: Sequence[DrawnFrame], config: SyntheticFrames, classes: Sequence[str], seed: int
) -> list[dict[str, Any]]:
    """Rows of votes.csv."""
    annotators = invite_annotators(config.annotators, seed=seed)
    rows = []
    for index, row in enumerate(plan):
        votes = cast_votes(
            _rng(seed, VOTES, *divmod(index, config.frames_per_patient)),
            annotators,
            true_class=classes.index(row.true_class),
            n_classes=len(classes),
            difficulty=row.true_difficulty,
        )
        rows += [
            {"frame": row.frame, "annotator": person.name, "vote": classes[vote]}
            for person, vote in zip(annotators, votes, strict=True)
            if vote >= 0
        ]
    return rows


def _write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
