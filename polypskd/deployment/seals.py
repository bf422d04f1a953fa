"""Keyed hashes: one value under one key gives one seal, and nobody can go back without the key."""

from __future__ import annotations

import hashlib
import hmac


def seal(key: bytes, purpose: str, value: bytes | str) -> bytes:
    """Hash a value under a key.

    Args:
        key: the secret.
        purpose: what the seal is for; seals of different purposes never agree.
        value: what is sealed.

    Returns:
        32 bytes.

    >>> seal(b"secret", "name", "a.jpg") == seal(b"secret", "name", "a.jpg")
    True
    >>> seal(b"secret", "name", "a.jpg") == seal(b"other", "name", "a.jpg")
    False
    """
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return hmac.new(key, purpose.encode() + b"\0" + data, hashlib.sha256).digest()


def name_sealed(key: bytes, purpose: str, value: bytes | str, *, length: int = 16) -> str:
    """Give a short name in place of a value.

    Args:
        key: the secret.
        purpose: what the name is for.
        value: what is sealed.
        length: letters of the name, 1 to 64.

    >>> len(name_sealed(b"secret", "folder", "exam of the third of May", length=12))
    12
    """
    return seal(key, purpose, value).hex()[:length]
