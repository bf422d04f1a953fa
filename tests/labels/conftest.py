from collections.abc import Callable

import numpy as np
import pytest

from polypskd.cohort.table import Cohort


def cohort_of(
    table, classes, *, annotators=None, patients=None, fine=None, fine_class=None
) -> Cohort:
    """Build a cohort from a (N, M) table of fine votes, -1 where absent."""
    table = np.asarray(table, dtype=np.int64)
    frame, annotator = np.nonzero(table >= 0)
    named = annotators is not None
    ids = np.array([f"frame_{i:05d}" for i in range(len(table))])
    fine = tuple(classes) if fine is None else tuple(fine)
    return Cohort(
        frame_ids=ids,
        paths=np.full(len(table), ""),
        patient_ids=ids if patients is None else np.asarray(patients, dtype=np.str_),
        patients_known=patients is not None,
        classes=tuple(classes),
        fine=fine,
        fine_class=np.arange(len(fine)) if fine_class is None else np.asarray(fine_class),
        annotators=tuple(annotators or ()),
        vote_frame=frame,
        vote_annotator=annotator if named else np.full(len(frame), -1),
        vote_fine=table[frame, annotator],
    )


@pytest.fixture(scope="session")
def make_cohort() -> Callable[..., Cohort]:
    return cohort_of
