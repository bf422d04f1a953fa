"""Passwords, tokens and keys: read from the environment or from closed files, and never shown."""

from __future__ import annotations

import os
import stat
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polypskd.errors import ConfigError

if TYPE_CHECKING:
    from polypskd.deployment.pacs.settings import DicomWeb, Tls

LONGEST = 16_384  # bytes
OTHERS = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP  # a group may read: secrets of containers


class Secret:
    """A text that is not shown by accident, as in a traceback with the values of variables."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(...)"

    def reveal(self) -> str:
        """Give the text itself, for the one place that sends it."""
        return self._text

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not written anywhere")


def read_secret(name: str, variable: str | None, file: Path | None) -> Secret | None:
    """Read a secret from an environment variable or a file; None where neither is named.

    Args:
        name: as in the settings, for messages: password or token.
        variable: of the environment.
        file: closed to others.

    Raises:
        ConfigError: it is missing, empty, of several lines, or its file is open to others. The
            message repeats neither the secret nor what was named as the variable, which may be
            the secret by mistake.
    """
    if variable is not None:
        where = f"archive.{name}_env"
        text = os.environ.get(variable)
        if text is None:
            raise ConfigError(
                f"{where}: the environment variable named there is not set; set and export it, or "
                "name the right one"
            )
    elif file is not None:
        where = f"archive.{name}_file"
        try:
            text = read_closed(file, where).decode("utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"{where}: is not UTF-8 text; write the {name} alone") from None
    else:
        return None
    text = text.strip("\r\n")
    if not text:
        raise ConfigError(f"{where}: is empty; write the {name} there")
    if not text.isprintable():
        raise ConfigError(f"{where}: has more than one line, or signs that no {name} has")
    return Secret(text)


def read_closed(path: Path, where: str) -> bytes:
    """Read a small file that others must not be able to read.

    Args:
        path: of the file.
        where: names it in messages.

    Raises:
        ConfigError: it is missing, no file, too large, or open to others.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(handle, "rb") as file:  # noqa: PTH123 - of a handle
            mode = os.fstat(handle).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError(f"{where}: is no file; check the path")
            if mode & OTHERS:
                raise ConfigError(
                    f"{where}: the file is open to others (mode {stat.S_IMODE(mode):o}); close it "
                    "by chmod 600"
                )
            data = file.read(LONGEST + 1)
    except FileNotFoundError:
        raise ConfigError(f"{where}: no such file; check the path") from None
    except OSError as error:
        raise ConfigError(f"{where}: the file cannot be read ({error.strerror})") from None
    if len(data) > LONGEST:
        raise ConfigError(f"{where}: the file has more than {LONGEST:,} bytes")
    return data


def check_certificates(tls: Tls, where: str = "archive.tls") -> None:
    """Check that the files of certificates are there, and the key closed to others.

    Raises:
        ConfigError: one is missing or open to others.
    """
    for name, path in (("ca_file", tls.ca_file), ("client_cert", tls.client_cert)):
        if path is not None and not path.is_file():
            raise ConfigError(f"{where}.{name}: no such file; check the path")
    if tls.client_key is not None:
        read_closed(tls.client_key, f"{where}.client_key")


def build_authorization(archive: DicomWeb) -> str:
    """Build the value of the header Authorization; "" where there are no credentials.

    Args:
        archive: its settings; a token's file is read anew each time.

    Raises:
        ConfigError: a secret cannot be read.
    """
    token = read_secret("token", archive.token_env, archive.token_file)
    if token is not None:
        return f"Bearer {token.reveal()}"
    password = read_secret("password", archive.password_env, archive.password_file)
    if password is None:
        return ""
    pair = f"{archive.username}:{password.reveal()}".encode()
    return f"Basic {b64encode(pair).decode('ascii')}"
