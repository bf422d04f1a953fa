"""Keyed hashes that stand for patients and UIDs.

Without the key nobody can find the patient by hashing every number that a hospital gives; with it,
the same patient has the same pseudonym in every cohort. The key lies in a file or in the
environment, and nothing of it is written.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from polypskd.errors import ConfigError

LEAST = 16  # bytes; a shorter key can be tried out
DIGITS = 16  # of a pseudonym: 64 bits, so that two of a million patients do not meet
MAKE = "`openssl rand -hex 32 > key` makes one; keep it secret, outside the run folder"


def read_key(file: Path | None, variable: str | None) -> bytes:
    """Read the key of pseudonyms.

    Args:
        file: that holds it; None for none.
        variable: of the environment that holds it; None for none.

    Returns:
        The key, stripped of white space.

    Raises:
        ConfigError: there is none, it cannot be read, or it is too short.
    """
    if file is not None:
        try:
            key, where = file.read_bytes().strip(), f"key file {file}"
        except OSError as error:
            raise ConfigError(
                f"key file {file}: cannot be read ({error.strerror}); {MAKE}"
            ) from None
    elif variable is not None:
        key, where = os.environ.get(variable, "").strip().encode(), f"variable {variable}"
    else:
        raise ConfigError(
            f"key: none is given, and patients and UIDs become keyed hashes; {MAKE}, and name it "
            "as cohort.frames.key_file or --key-file"
        )
    if len(key) < LEAST:
        told = f"shorter than {LEAST} bytes" if key else "no key"
        raise ConfigError(f"{where}: {told}; {MAKE}")
    return key


def pseudonymize(key: bytes, what: str, value: str) -> str:
    """Give the pseudonym of a value.

    Args:
        key: as `read_key` gives it.
        what: what the value is, so that a patient and a study with one number are told apart.
        value: as it stands in the file, stripped of padding; empty stays empty.

    >>> pseudonymize(b"0123456789abcdef", "PatientID", "4711")
    'a99df1dbdac04be8'
    """
    if not value:
        return ""
    message = f"{what}\0{value}".encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:DIGITS]
