"""UIDs in place of UIDs: consistent over files by the key, and telling nothing."""

from __future__ import annotations

import re

from polypskd.deployment.seals import seal


def replace_uid(uid: str, key: bytes) -> str:
    """Give the UID that stands for another one.

    UIDs that the standard itself registers (classes, transfer syntaxes, well-known frames of
    reference) name no patient and stay. Any other becomes a UUID made from its keyed hash.

    Args:
        uid: as found; padding is ignored, and text that is no UID is replaced as well.
        key: the secret.

    Returns:
        ``2.25.`` and the UUID as a decimal number, at most 44 characters; empty for an empty one.

    >>> replace_uid("1.2.840.10008.1.2.1", b"secret")
    '1.2.840.10008.1.2.1'
    >>> replace_uid("1.2.3.4", b"secret") == replace_uid("1.2.3.4 ", b"secret")
    True
    >>> replace_uid("1.2.3.4", b"secret")[:5], len(replace_uid("1.2.3.4", b"secret")) <= 44
    ('2.25.', True)
    """
    uid = uid.strip(" \0")
    if not uid or is_registered(uid):
        return uid
    number = int.from_bytes(seal(key, "uid", uid)[:16], "big")
    number = number & ~(0xF << 76) | 8 << 76  # version 8: a UUID of one's own making
    number = number & ~(0x3 << 62) | 2 << 62  # the variant of RFC 9562
    return f"2.25.{number}"


def is_registered(uid: str) -> bool:
    """Whether the standard itself lists a UID."""
    from pydicom.uid import UID

    if len(uid) > 64 or re.fullmatch(r"1\.2\.840\.10008(\.\d+)+", uid) is None:
        return False
    number = UID(uid)
    return number.name != number  # the dictionary's name, or the number where it has none
