"""Encrypted connections: a hospital's own authority, and a certificate that this side shows.

TLS 1.2 at the least, the other side's name always checked. Nothing here turns the checks off.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from polypskd.deployment.pacs.connections import Tls
from polypskd.deployment.pacs.credentials import check_certificates
from polypskd.errors import ConfigError

OLDEST = ssl.TLSVersion.TLSv1_2


def build_client_context(tls: Tls) -> ssl.SSLContext:
    """Build the rules for connections that this side opens.

    Args:
        tls: certificates; without `ca_file` the system's authorities are trusted.

    Raises:
        ConfigError: a file is missing, is no certificate or key, or the key is open to others.
    """
    check_certificates(tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = OLDEST
    if tls.ca_file is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, tls.ca_file)
    if tls.client_cert is not None and tls.client_key is not None:
        _show(context, tls.client_cert, tls.client_key)
    return context


def build_server_context(tls: Tls) -> ssl.SSLContext:
    """Build the rules for connections that others open.

    Args:
        tls: `client_cert` and `client_key` are shown to them; with `ca_file` they must show a
            certificate of that authority.

    Raises:
        ConfigError: as above, or there is no certificate to show.
    """
    if tls.client_cert is None or tls.client_key is None:
        raise ConfigError("a receiver with TLS shows a certificate; give client_cert, client_key")
    check_certificates(tls, "watch.receiver.tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = OLDEST
    _show(context, tls.client_cert, tls.client_key)
    if tls.ca_file is not None:
        _trust(context, tls.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _trust(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError):
        raise ConfigError(f"{path}: holds no certificates (PEM); check ca_file") from None


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # A key with a password would wait for somebody to type it.
        context.load_cert_chain(certificate, key, password=_refuse_to_ask)
    except (ssl.SSLError, OSError, ValueError):
        raise ConfigError(
            f"{certificate}: with {key.name} is no certificate with its key (PEM, not encrypted); "
            "check client_cert and client_key"
        ) from None


def _refuse_to_ask() -> str:
    raise ValueError("the key is encrypted")


def describe_refusal(error: OSError) -> tuple[str, bool]:
    """Say why a connection did not come about, in the system's words alone.

    Args:
        error: as the socket raised it.

    Returns:
        The reason, and whether it may pass by itself.

    >>> describe_refusal(ConnectionRefusedError(111, "Connection refused"))
    ('Connection refused', True)
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}; check ca_file", False
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        reason = (error.reason or "no TLS").replace("_", " ").lower()
        if "wrong version" in reason or "record layer" in reason:
            return f"it speaks no TLS at this port ({reason})", False
        return f"TLS refused ({reason}); check tls, client_cert above all", False
    if isinstance(error, TimeoutError):
        return "no answer in time", True
    return error.strerror or type(error).__name__, True
