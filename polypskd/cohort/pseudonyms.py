"""Patient ids as keyed hashes: the same patient gets the same name, and nobody can go back."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from pathlib import Path

from polypskd.errors import ConfigError

SHORTEST = 16
LONGEST = 4096
ENVIRONMENT = "env:"


def pseudonymize(value: str, key: bytes, length: int = 16) -> str:
    """Replace an id by a keyed hash (HMAC-SHA-256, hexadecimal).

    Args:
        value: the id; spaces around it do not count, since DICOM pads with them.
        key: the secret, as `read_key` gives; without it an id cannot be guessed by trying.
        length: digits kept, 8 to 64; 16 digits collide once in some 4 billion patients.

    Returns:
        Lower-case hexadecimal digits; "" for an empty id, so that missing ids stay missing.

    Raises:
        ValueError: the key is too short, or the length is out of range.

    >>> pseudonymize("P-0042", b"sixteen bytes ok")
    'e35e5a0230d2cc8b'
    """
    if len(key) < SHORTEST:
        raise ValueError(f"the key must have {SHORTEST} bytes or more")
    if not 8 <= length <= 64:
        raise ValueError("length must be from 8 to 64")
    value = value.strip()
    if not value:
        return ""
    return hmac.new(key, value.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[
        :length
    ]


def read_key(source: str | Path) -> bytes:
    """Read the secret key of pseudonyms.

    A file that anyone on the machine can read is refused: the key undoes every pseudonym. Give it
    to its owner alone (mode 600), or to owner and group (640, as container secrets may have).

    Args:
        source: a file, or ``env:NAME`` for an environment variable.

    Returns:
        The key, without line ends; 16 bytes or more. It is never logged, nor part of a message.

    Raises:
        ConfigError: it is missing, too short, too long, or open to others.
    """
    text = str(source)
    if text.startswith(ENVIRONMENT):
        name = text.removeprefix(ENVIRONMENT)
        where = f"environment variable {name}"
        if name not in os.environ:
            raise ConfigError(f"{where}: is not set; put the key of pseudonyms there")
        key = (
            os.environb[os.fsencode(name)]
            if os.supports_bytes_environ
            else os.environ[name].encode()
        )
    else:
        where = f"key file {Path(text).name}"
        key = _read_file(Path(text), where)
    key = key.strip(b" \t\r\n")
    if not SHORTEST <= len(key) <= LONGEST:
        raise ConfigError(
            f"{where}: the key has {len(key)} bytes; it must have {SHORTEST} to {LONGEST}, "
            "e.g. made by: openssl rand -hex 32"
        )
    return key


def check_apart(key_file: Path | None, folder: Path, what: str) -> None:
    """Refuse a key file within a folder that is handed on, links followed.

    Args:
        key_file: the key; None where it comes from the environment.
        folder: that it must not lie in.
        what: names the folder in the message.

    Raises:
        ConfigError: it does.
    """
    if key_file is not None and key_file.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            f"key file {key_file.name}: lies within {what}, and whoever gets that could undo every "
            "pseudonym; keep it outside"
        )


def _read_file(path: Path, where: str) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError(f"{where}: is no file")
            if os.name == "posix" and mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
                raise ConfigError(
                    f"{where}: is open to others (mode {stat.S_IMODE(mode):o}); "
                    f"close it: chmod 600 {path.name}"
                )
            return file.read(LONGEST + 64)
    except FileNotFoundError:
        raise ConfigError(f"{where}: not found; check the path") from None
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read ({error.strerror})") from None
