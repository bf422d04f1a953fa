"""Associations that we ask for; where one does not come about, the reason in one line."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from polypskd.deployment.pacs.connections import Dimse
from polypskd.deployment.pacs.settings import Transfer
from polypskd.deployment.pacs.statuses import describe_status
from polypskd.deployment.pacs.tls import build_client_context, describe_refusal
from polypskd.errors import ArchiveError, ConfigError

PERMANENT = 1
CALLED, CALLING = 7, 3
EXTRA = "pip install 'polypskd[pacs]'"
CHECK = "check archive.host and archive.port, and whether it runs"
LOST = "closed the connection in the middle of an answer"
TAKEN = {0x0000, 0x0111, 0xB000, 0xB006, 0xB007}  # it is there: before, or with a remark


def check_extra() -> None:
    """Check that pynetdicom is installed.

    Raises:
        ConfigError: it is not.
    """
    if find_spec("pynetdicom") is None:
        raise ConfigError(f"DIMSE needs pynetdicom; {EXTRA}")


class Line:
    """The way to one archive.

    Args:
        settings: of the archive.
        transfer: patience and limits.

    Raises:
        ConfigError: pynetdicom is not installed, or a certificate is not as it must be.
    """

    def __init__(self, settings: Dimse, transfer: Transfer) -> None:
        check_extra()
        from polypskd.deployment.pacs.wire import silence

        silence()
        self.settings = settings
        self.transfer = transfer
        self._tls: ssl.SSLContext | None = None
        if settings.tls is not None:
            self._tls = build_client_context(settings.tls)

    def __str__(self) -> str:
        """Say where it leads, for messages."""
        return f"{self.settings.host}:{self.settings.port}"

    def open(
        self,
        contexts: Sequence[Any],
        folder: Path | None = None,
        roles: Sequence[Any] = (),
        handlers: Sequence[Any] = (),
    ) -> Any:
        """Open an association.

        Args:
            contexts: that are offered, at most 128.
            folder: where data sets go that come in it; None where none is awaited.
            roles: of classes that are sent to us over it.
            handlers: of pynetdicom's events.

        Raises:
            ArchiveError: it does not come about.
        """
        from polypskd.deployment.pacs.incoming import Intake
        from polypskd.deployment.pacs.wire import Caller

        settings, transfer = self.settings, self.transfer
        intake = Intake(folder, transfer.most_megabytes << 20, transfer.read_s, sync=False)
        caller = Caller(settings.calling_ae, intake)
        caller.connection_timeout = transfer.connect_s
        caller.acse_timeout = caller.dimse_timeout = transfer.read_s
        caller.network_timeout = transfer.read_s
        tls = None
        if self._tls is not None and settings.tls is not None:
            tls = (self._tls, settings.tls.server_name or settings.host)
        try:
            made = caller.associate(
                settings.host,
                settings.port,
                contexts=list(contexts),
                ae_title=settings.called_ae,
                ext_neg=list(roles),
                evt_handlers=list(handlers),
                tls_args=tls,
            )
        except OSError as error:  # the name is not found
            reason, _ = describe_refusal(error)
            raise ArchiveError(
                f"{self}: cannot be reached ({reason}); {CHECK}", transient=True
            ) from None
        if not made.is_established:
            why = self._explain(made)
            drop(made)
            raise why
        return made

    def _explain(self, made: Any) -> ArchiveError:
        """Say why an association did not come about."""
        settings = self.settings
        told = _find_rejection(made)
        if told is not None:
            if told.result_source == 1 and told.diagnostic == CALLED:
                return ArchiveError(
                    f"{self}: is not called {settings.called_ae!r}; check archive.called_ae"
                )
            if told.result_source == 1 and told.diagnostic == CALLING:
                return ArchiveError(
                    f"{self}: does not know our AE title {settings.calling_ae!r}; have it "
                    "entered there, or check archive.calling_ae"
                )
            return ArchiveError(
                f"{self}: refused the association ({told.reason_str})",
                transient=told.result != PERMANENT,
            )
        failure = made.dul.socket.failure if made.dul.socket is not None else None
        if failure is not None:
            reason, transient = describe_refusal(failure)
            return ArchiveError(
                f"{self}: cannot be reached ({reason}); {CHECK}", transient=transient
            )
        if made.rejected_contexts:
            return ArchiveError(
                f"{self}: takes none of the services asked for; its AE list may not allow "
                f"{settings.calling_ae!r} to ask, fetch or store"
            )
        return ArchiveError(f"{self}: ended the association before it began", transient=True)

    def explain_status(self, status: Any, doing: str) -> ArchiveError:
        """Say what a status means that is no success.

        Args:
            status: as pynetdicom gives it; empty where the connection was lost.
            doing: what was asked for, in words.
        """
        code = status.get("Status")
        if code is None:
            return ArchiveError(f"{self}: {LOST} ({doing})", transient=True)
        words, transient = describe_status(code)
        return ArchiveError(f"{self}: {doing} failed: {words}", transient=transient)


def _find_rejection(made: Any) -> Any:
    """Find what the other side said when it rejected an association; None where it did not.

    Where that comes and the line is closed before pynetdicom looks, it takes the line for one that
    never stood, and leaves what was said unread.
    """
    if made.is_rejected:
        return made.acceptor.primitive
    unread = list(made.dul.to_user_queue.queue)
    return next((one for one in unread if getattr(one, "result", None) in (1, 2)), None)


def drop(association: Any) -> None:
    """End an association, whatever state it is in, without waiting for the other side."""
    if association is None:
        return
    if association.is_established:
        association.abort()
    if association.dul.socket is not None and association.dul.socket.socket is not None:
        from polypskd.deployment.pacs.wire import close_socket

        close_socket(association.dul.socket.socket)
    association.dimse.discard()
