"""Private attributes: out, unless a rule file calls one safe, and then only numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from polypskd.deployment.deidentification.profile import NUMBERS

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class SafePrivate:
    """A private attribute that may stay.

    Args:
        creator: who reserved the block, as the creator's attribute says it.
        group: odd.
        element: low byte, 0x00 to 0xFF.
    """

    creator: str
    group: int
    element: int


def keep_private(dataset: Dataset, safe: tuple[SafePrivate, ...]) -> list[DataElement]:
    """Pick the private attributes of a data set that may stay, with the creators of their blocks.

    Args:
        dataset: one level of a file.
        safe: what may stay; an attribute that does not hold binary numbers never does.
    """
    from pydicom.dataelem import DataElement

    kept: list[DataElement] = []
    for one in safe:
        for block in range(0x10, 0x100):
            creator = read_element(dataset, one.group << 16 | block)
            found = read_element(dataset, one.group << 16 | block << 8 | one.element)
            if creator is None or found is None or found.VR not in NUMBERS or found.VM > 1:
                continue
            if str(creator.value).strip() == one.creator:
                # Written from the rule, not from the file.
                kept += [DataElement(creator.tag, "LO", one.creator), found]
    return kept


def read_element(dataset: Dataset, tag: int) -> DataElement | None:
    """Read an attribute; None where it is missing or its bytes are damaged."""
    try:
        return dataset.get(tag)
    except Exception:  # whatever pydicom makes of damaged bytes: it does not stay
        return None
