"""A private certificate authority, as a hospital has one, by the openssl command."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

OPENSSL = shutil.which("openssl")


@dataclass(frozen=True)
class Papers:
    """Where a certificate and its key lie."""

    certificate: Path
    key: Path


class Authority:
    """Signs for servers and clients of 127.0.0.1.

    Args:
        folder: of its files.
        name: its own.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.own = Papers(self.folder / "ca.crt", self.folder / "ca.key")
        ask(
            *(
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-noenc",
                "-days",
                "2",
                "-subj",
                f"/CN={name}",
            ),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-keyout", self.own.key, "-out", self.own.certificate),
        )

    @property
    def certificate(self) -> Path:
        return self.own.certificate

    def sign(self, name: str) -> Papers:
        """Sign a new key that is called 127.0.0.1."""
        papers = Papers(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        ask(
            *(
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-noenc",
                "-days",
                "2",
                "-subj",
                f"/CN={name}",
            ),
            *("-CA", self.own.certificate, "-CAkey", self.own.key),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-keyout", papers.key, "-out", papers.certificate),
        )
        papers.key.chmod(0o600)
        return papers


def ask(*arguments: object) -> None:
    assert OPENSSL is not None
    subprocess.run([OPENSSL, *map(str, arguments)], check=True, capture_output=True)
