"""Whether a patient stands in several splits."""

from __future__ import annotations

import numpy as np

from polypskd.reporting.cells import count
from polypskd.reporting.record import Record


def count_overlap(record: Record) -> int | None:
    """Count the patients who stand in more than one split; None where patients are unknown."""
    if not record.agreement.get("patients_known"):
        return None
    examples = record.examples
    pairs = np.unique(np.stack([examples.patient_id, examples.split]), axis=1)
    _, splits = np.unique(pairs[0], return_counts=True)
    return int(np.sum(splits > 1))


def tell_overlap(record: Record) -> str:
    """Say whether a patient stands in several splits."""
    found = count_overlap(record)
    if found is None:
        return "Patients are unknown, so that frames of one patient may stand in several splits."
    if not found:
        return "No patient stands in two splits."
    return f"{count(found, 'patient')} {'stands' if found == 1 else 'stand'} in several splits."
