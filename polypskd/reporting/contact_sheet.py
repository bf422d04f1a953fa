"""A page on which a clinician sees what was understood: frames, and who voted what on them."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polypskd.cohort.agreed_fields import Fields, agree_on_fields
from polypskd.cohort.cropping import read_cropped
from polypskd.cohort.table import Cohort, number_words
from polypskd.config import Crop, FieldCrop, NoCrop
from polypskd.errors import CohortError, Fault
from polypskd.reporting.collecting import BANNER
from polypskd.reporting.page import fill_page

LIMIT = 200  # frames on one page
SIDE = 240  # pixels of a thumbnail's longer side
QUALITY = 78
FAULTS = 100  # told one by one
BANDS = (1.0, 0.75, 0.5, 0.0)  # least share that agrees; frames are chosen evenly over these


@dataclass(frozen=True)
class Vote:
    """A vote as the sheet shows it.

    Args:
        who: the annotator; the vote itself where nobody is named.
        what: the vote; the number of votes where nobody is named.
        agrees: whether its class is the consensus.
    """

    who: str
    what: str
    agrees: bool


@dataclass(frozen=True)
class Frame:
    """A frame on the sheet.

    Args:
        name: its id.
        source: JPEG as a data URI; empty where there is no picture.
        consensus: the class with most votes; a tie goes to the higher risk.
        agreement: how many agree, in words; empty where one vote is all there is.
        votes: one an annotator; or one a class, with its count, where nobody is named.
        split: as given by a column; empty if none is.
        patient: number of the patient on this page; 0 where patients are unknown.
    """

    name: str
    source: str
    consensus: str
    agreement: str
    votes: tuple[Vote, ...]
    split: str = ""
    patient: int = 0


def write_sheet(
    name: str,
    cohort: Cohort | None,
    root: Path | None,
    *,
    crop: Crop | None = None,
    faults: Sequence[Fault] = (),
    seed: int = 0,
) -> str:
    """Write the page.

    Args:
        name: of the experiment.
        cohort: what was understood; None where faults left nothing to show.
        root: folder of the frames; None for votes without frames.
        crop: what of a frame the network will see; all of it if not given.
        faults: what is wrong, told first.
        seed: of the choice among more than 200 frames.

    Returns:
        HTML that needs nothing but itself; every text in it is escaped.
    """
    rows = [] if cohort is None else choose_rows(cohort, seed=seed).tolist()
    frames = [] if cohort is None else _describe(cohort, rows, root, crop or NoCrop())
    groups: dict[str, list[Frame]] = {frame.consensus: [] for frame in frames}  # by class
    for frame in frames:
        groups[frame.consensus].append(frame)
    return fill_page(
        "contact_sheet.html.j2",
        banner=BANNER,
        name=name,
        faults=[str(fault) for fault in faults[:FAULTS]],
        more=max(len(faults) - FAULTS, 0),
        facts=[] if cohort is None else _count(cohort),
        excluded=_excluded(cohort),
        notes=[] if cohort is None else cohort.notes,
        left_out=0 if cohort is None else len(cohort.exclusions),
        groups=[
            (label, groups[label])
            for label in (cohort.classes if cohort else ())
            if label in groups
        ],
        shown=f"{len(frames):,}",
        total=f"{len(cohort):,}" if cohort else "",
        cropped=crop is not None and not isinstance(crop, NoCrop),
        named=bool(cohort and cohort.annotators),
    )


def choose_rows(cohort: Cohort, *, seed: int, limit: int = LIMIT) -> NDArray[np.int64]:
    """Choose frames evenly over classes and over how many agree.

    Args:
        cohort: N frames.
        seed: of the choice.
        limit: most frames to choose.

    Returns:
        Rows of the chosen frames, by class, then from most to least agreement.
    """
    consensus, agreement = _agree(cohort)
    band = np.array([_band(share) for share in agreement], dtype=np.int64)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(cohort))
    turn = np.zeros(len(cohort), dtype=np.int64)
    seen: Counter[tuple[int, int]] = Counter()
    for row in order.tolist():
        group = (int(consensus[row]), int(band[row]))
        turn[row] = seen[group]
        seen[group] += 1
    # The first of every group, then the second of every group, and so on.
    chosen = order[np.argsort(turn[order], kind="stable")][:limit]
    ranked = np.lexsort((chosen, band[chosen], consensus[chosen]))
    rows: NDArray[np.int64] = chosen[ranked]
    return rows


def _agree(cohort: Cohort) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give each frame's consensus, ties to the higher risk, and the share that agrees."""
    counts = cohort.counts
    consensus = counts.shape[1] - 1 - np.argmax(counts[:, ::-1], axis=1)
    share = counts.max(axis=1) / np.maximum(counts.sum(axis=1), 1)
    return consensus, share


def _band(share: float) -> int:
    return next(place for place, least in enumerate(BANDS) if share >= least)


def tell_agreement(most: int, total: int) -> str:
    """Tell how many annotators agree; nothing where one vote is all there is.

    >>> tell_agreement(2, 3), tell_agreement(3, 3), tell_agreement(1, 1)
    ('2 of 3 agree', 'all 3 agree', '')
    """
    if total < 2:
        return ""
    return f"all {total:,} agree" if most == total else f"{most:,} of {total:,} agree"


def _describe(cohort: Cohort, rows: list[int], root: Path | None, crop: Crop) -> list[Frame]:
    fields = None
    if root is not None and isinstance(crop, FieldCrop):
        devices = cohort.columns.get("device")
        fields = agree_on_fields(
            root, cohort.paths.tolist(), None if devices is None else devices.tolist()
        )
    consensus, _ = _agree(cohort)
    patient = number_words(cohort.patient_ids) + 1 if cohort.patients_known else None
    starts = np.searchsorted(cohort.vote_frame, rows)
    ends = np.searchsorted(cohort.vote_frame, rows, side="right")
    total, most = cohort.counts.sum(axis=1), cohort.counts.max(axis=1)
    return [
        Frame(
            name=str(cohort.frame_ids[row]),
            source=_draw(root, str(cohort.paths[row]), crop, fields),
            consensus=cohort.classes[consensus[row]],
            agreement=tell_agreement(int(most[row]), int(total[row])),
            votes=_list_votes(cohort, row, slice(start, end), int(consensus[row])),
            split="" if cohort.split is None else str(cohort.split[row]).replace("None", ""),
            patient=0 if patient is None else int(patient[row]),
        )
        for row, start, end in zip(rows, starts, ends, strict=True)
    ]


def _list_votes(cohort: Cohort, row: int, votes: slice, consensus: int) -> tuple[Vote, ...]:
    agrees = (cohort.fine_class == consensus).tolist()
    if cohort.annotators:
        people, fine = cohort.vote_annotator[votes], cohort.vote_fine[votes]
        return tuple(
            Vote(cohort.annotators[person], cohort.fine[vote], agrees[vote])
            for person, vote in zip(people.tolist(), fine.tolist(), strict=True)
        )
    counts = cohort.fine_counts[row].tolist()
    return tuple(
        Vote(cohort.fine[vote], str(count), agrees[vote])
        for vote, count in enumerate(counts)
        if count
    )


def _count(cohort: Cohort) -> list[tuple[str, str]]:
    patients = f"{len(np.unique(cohort.patient_ids)):,}" if cohort.patients_known else "unknown"
    people = f"{len(cohort.annotators):,}" if cohort.annotators else "not told"
    return [
        ("Frames", f"{len(cohort):,}"),
        ("Patients", patients),
        ("Annotators", people),
        ("Votes", f"{len(cohort.vote_frame):,}"),
    ]


def _excluded(cohort: Cohort | None) -> list[tuple[str, int]]:
    reasons = Counter(item.reason for item in cohort.exclusions) if cohort else Counter()
    return reasons.most_common(20)


def _draw(root: Path | None, path: str, crop: Crop, fields: Fields | None) -> str:
    """Draw a thumbnail as a JPEG in a data URI; empty where the frame cannot be read."""
    import cv2

    if root is None or not path:
        return ""
    try:
        pixels: Any = read_cropped(root, path, crop, fields=fields)
    except CohortError:
        return ""
    height, width = pixels.shape[:2]
    scale = SIDE / max(height, width)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    done, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(pixels[:, :, ::-1]), quality)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode() if done else ""
