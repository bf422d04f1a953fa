"""What an archive means by the number with which it refuses an instance (PS3.4 B.2.3, PS3.18)."""

from __future__ import annotations

DUPLICATE = 0x0111

# Number, or the first of a range, → what to say and whether the same may succeed later.
WORDS = {
    0x0105: ("an attribute does not fit", False),
    0x0106: ("an attribute has a value that does not fit", False),
    0x0110: ("it cannot process the instance", True),
    DUPLICATE: ("it has another instance of the same UID", False),
    0x0112: ("it does not know the object", False),
    0x0117: ("the UID is not valid", False),
    0x0118: ("it does not know the kind of object", False),
    0x0122: ("it does not take objects of this kind; let its administrator allow them", False),
    0x0124: ("it does not allow this; let its administrator grant the right to store", False),
    0xA702: ("it cannot send to us; can it reach listen_host and listen_port?", True),
    0xA801: ("it does not know our AE title as a place to send to; have it entered there", False),
    0x0131: ("it takes no objects of this kind over this connection", False),
}
RANGES = (
    (0xA700, 0xA7FF, "it is out of space or over its quota; let its administrator look", True),
    (0xA900, 0xA9FF, "the object does not fit its kind", False),
    (0xB000, 0xBFFF, "it took the instance with a warning", False),
    (0xC000, 0xCFFF, "it cannot process this, or refuses it by a rule", False),
)


def describe_status(status: int) -> tuple[str, bool]:
    """Say why an instance was refused, and whether the same may succeed later.

    Args:
        status: of a C-STORE response, or the failure reason of a STOW response.

    >>> describe_status(0xA700)
    ('it is out of space or over its quota; let its administrator look (0xA700)', True)
    >>> describe_status(0x9999)
    ('it gives no reason that is known (0x9999)', False)
    """
    words, transient = WORDS.get(status, ("", False))
    for first, last, told, passes in RANGES:
        if not words and first <= status <= last:
            words, transient = told, passes
    return f"{words or 'it gives no reason that is known'} (0x{status:04X})", transient
