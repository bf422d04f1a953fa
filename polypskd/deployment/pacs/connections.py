"""How the other side is reached: addresses, AE titles, credentials by name, certificates."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from polypskd.config.section import Section

Port = Annotated[int, Field(ge=1, le=65_535)]
Title = Annotated[
    str, Field(min_length=1, max_length=16, pattern=r"^[!-\[\]-~]([ -\[\]-~]*[!-\[\]-~])?$")
]
Host = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:-]+$")]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class Tls(Section):
    """Which certificates are trusted and shown.

    Args:
        ca_file: certificates (PEM) of a private authority; they replace the public ones.
        client_cert: certificate (PEM) that this side shows.
        client_key: its key (PEM, not encrypted), a file of mode 600.
        server_name: name in the other side's certificate, where it is not the host's (DIMSE).
    """

    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    server_name: str = ""

    @model_validator(mode="after")
    def _come_together(self) -> Tls:
        if (self.client_cert is None) != (self.client_key is None):
            raise ValueError("client_cert and client_key come together")
        return self


class DicomWeb(Section):
    """An archive that speaks DICOMweb.

    Args:
        url: of the service, as ``https://pacs.example.org/dicom-web``.
        username: for a password (Basic); a token (Bearer) needs none.
        password_env: environment variable with the password.
        password_file: file with it.
        token_env: environment variable with a token.
        token_file: file with it; read anew for each connection, as tokens change.
        tls: certificates.
        allow_plain: whether http is let pass to another machine, unencrypted.
    """

    kind: Literal["dicomweb"]
    url: Annotated[str, Field(max_length=1000)]
    username: Annotated[str, Field(max_length=255)] = ""
    password_env: Variable | None = None
    password_file: Path | None = None
    token_env: Variable | None = None
    token_file: Path | None = None
    tls: Tls = Tls()
    allow_plain: bool = False

    @field_validator("url")
    @classmethod
    def _is_plain_address(cls, url: str) -> str:
        scheme, mark, rest = url.partition("://")
        if not mark or scheme not in {"http", "https"}:
            raise ValueError("must begin with https:// (or http:// on this machine)")
        if "@" in rest or "?" in rest or "#" in rest or not rest.isprintable() or " " in rest:
            raise ValueError("must be an address alone: no user, password, ? or #")
        if not rest.split("/")[0]:
            raise ValueError("names no host")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _fits(self) -> DicomWeb:
        given = [self.password_env, self.password_file, self.token_env, self.token_file]
        ways = sum(one is not None for one in given)
        if ways > 1:
            raise ValueError("give one of password_env, password_file, token_env, token_file")
        has_password = self.password_env is not None or self.password_file is not None
        if has_password != bool(self.username):
            raise ValueError("username and password_env or password_file come together")
        if self.url.startswith("http://") and not (self.allow_plain or is_loopback(self.host)):
            raise ValueError(
                "http would send patients' data and the password unencrypted; use https, or set "
                "allow_plain: true where the network itself is encrypted"
            )
        return self

    @property
    def host(self) -> str:
        """The host's name or number, without the port."""
        place = self.url.partition("://")[2].split("/")[0]
        if place.startswith("["):
            return place[1:].partition("]")[0]
        return place.partition(":")[0]


class Dimse(Section):
    """An archive that speaks DIMSE, the classic DICOM network protocol.

    Args:
        host: its name or number.
        port: its port.
        called_ae: its AE title.
        calling_ae: ours, as the archive knows it.
        retrieve: ``get`` over the same connection, or ``move`` to `listen_port` of this machine.
        listen_host: address on which moved instances are awaited.
        listen_port: port on which moved instances are awaited; the archive must know it.
        tls: certificates; None for a connection without TLS.
        allow_plain: whether a connection without TLS to another machine is let pass.
    """

    kind: Literal["dimse"]
    host: Host
    port: Port
    called_ae: Title
    calling_ae: Title = "POLYPSKD"
    retrieve: Literal["get", "move"] = "get"
    listen_host: Host = "127.0.0.1"
    listen_port: Port | None = None
    tls: Tls | None = None
    allow_plain: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Dimse:
        if self.retrieve == "move" and self.listen_port is None:
            raise ValueError("retrieve: move needs listen_port, which the archive sends to")
        listens = self.retrieve == "move"
        if listens and self.tls is not None and self.tls.client_cert is None:
            raise ValueError("retrieve: move with tls: needs client_cert and client_key to show")
        open_to = [self.host, *([self.listen_host] if listens else [])]
        if self.tls is None and not (self.allow_plain or all(map(is_loopback, open_to))):
            raise ValueError(
                "a connection without TLS would send patients' data unencrypted; give tls: with "
                "ca_file, or set allow_plain: true where the network itself is encrypted"
            )
        return self


class Receiver(Section):
    """That studies are sent to us (C-STORE), instead of being asked for.

    Args:
        host: address on which they are awaited.
        port: port.
        ae: our AE title.
        callers: AE titles that may send; an empty list lets nobody.
        tls: certificates; None for no TLS.
        allow_plain: whether other machines may send without TLS.
    """

    host: Host = "127.0.0.1"
    port: Port
    ae: Title = "POLYPSKD"
    callers: Annotated[tuple[Title, ...], Field(min_length=1, max_length=100)]
    tls: Tls | None = None
    allow_plain: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Receiver:
        if self.tls is None and not (self.allow_plain or is_loopback(self.host)):
            raise ValueError(
                "a receiver without TLS would take patients' data unencrypted; give tls: with "
                "client_cert and client_key, or set allow_plain: true"
            )
        if self.tls is not None and self.tls.client_cert is None:
            raise ValueError("tls: needs client_cert and client_key, which are shown to senders")
        return self


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("pacs.example.org")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
