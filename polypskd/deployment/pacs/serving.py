"""A server of ours to which instances are sent (C-STORE SCP), held within bounds.

Whoever only connects, or starts and stops half-way, takes one of few places for a limited time, and
stands in nobody's way: a handshake of TLS is done beside the waiting for the next connection.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pynetdicom import AE, build_context, evt
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from polypskd.deployment.deidentification.dicom_files import IMPLEMENTATION
from polypskd.deployment.pacs.association import drop
from polypskd.deployment.pacs.connections import Tls
from polypskd.deployment.pacs.contexts import EXPLICIT, IMPLICIT, list_pairs
from polypskd.deployment.pacs.incoming import Intake
from polypskd.deployment.pacs.tls import build_server_context
from polypskd.deployment.pacs.wire import PDU, BoundedProvider, BoundedSocket, close_socket, silence
from polypskd.errors import ConfigError

VERIFICATION = "1.2.840.10008.1.1"
MOST_ASSOCIATIONS = 10
POLL_S = 0.1


@dataclass(frozen=True)
class Place:
    """Where we listen, and to whom.

    Args:
        host: address.
        port: 0 for any that is free.
        title: our AE title; who calls another one is refused.
        callers: AE titles that may call.
        tls: certificates; None for no TLS.
    """

    host: str
    port: int
    title: str
    callers: tuple[str, ...]
    tls: Tls | None = None


class _Handler(RequestHandler):
    """One connection: its bounds are set before a byte is read."""

    def _create_association(self) -> Any:
        server: Any = self.server
        made = super()._create_association()
        made.dul.event_queue.get_nowait()  # the first socket's; ours says it anew
        ours = BoundedSocket(made, client_socket=self.request)
        ours.patience = server.intake.patience
        made.dul.socket = ours
        made.dimse = BoundedProvider(made, server.intake)
        server.associations.append(made)
        return made


class BoundedServer(ThreadedAssociationServer):
    """Listens, with few places, and cleans up after those who leave."""

    daemon_threads = True
    request_queue_size = 64
    intake: Intake

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.associations: list[Any] = []
        self.rules = options.pop("rules")
        self.intake = options.pop("intake")
        super().__init__(*arguments, **options)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Take the next connection."""
        line, address = cast(socket.socket, self.socket).accept()
        line.settimeout(self.intake.patience)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.rules is not None:
            # Shaken hands with at the first byte read, in the connection's own thread.
            try:
                line = self.rules.wrap_socket(line, server_side=True, do_handshake_on_connect=False)
            except OSError:  # gone already
                close_socket(line)
                raise
        return line, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Let in so many, and no more."""
        self._sweep()
        return len(self.associations) < MOST_ASSOCIATIONS

    def service_actions(self) -> None:
        """Clean up, several times a second."""
        self._sweep()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: what went wrong there is told to the sender by the connection's end."""

    def _sweep(self) -> None:
        standing = []
        for one in self.associations:
            if one.is_alive() or one.dul.is_alive() or one.ident is None:
                standing.append(one)
            else:
                drop(one)
        self.associations = standing


@contextlib.contextmanager
def serve(
    place: Place,
    intake: Intake,
    take: Callable[[Any], int],
    pairs: Sequence[tuple[str, str]] = (),
) -> Iterator[BoundedServer]:
    """Listen while the context lasts.

    Args:
        place: where, and to whom.
        intake: where data sets go, and their bounds.
        take: gives the status of the answer to an EVT_C_STORE; called from several threads.
        pairs: class and transfer syntax of what is taken; what can be judged if not given.

    Raises:
        ConfigError: the port cannot be listened on, or a certificate is not as it must be.
    """
    silence()
    unit = AE(ae_title=place.title)
    unit.require_called_aet = True
    unit.require_calling_aet = list(place.callers)
    unit.maximum_associations = MOST_ASSOCIATIONS
    unit.maximum_pdu_size = PDU
    unit.acse_timeout = unit.dimse_timeout = unit.network_timeout = intake.patience
    unit.implementation_class_uid = IMPLEMENTATION
    unit.implementation_version_name = "POLYPSKD"
    syntaxes: dict[str, list[str]] = {VERIFICATION: [IMPLICIT, EXPLICIT]}
    for sop_class, syntax in pairs or list_pairs():
        syntaxes.setdefault(sop_class, []).append(syntax)
    try:
        server: Any = unit.make_server(
            (place.host, place.port),
            contexts=[build_context(one, offered) for one, offered in syntaxes.items()],
            evt_handlers=[(evt.EVT_C_STORE, take)],
            server_class=BoundedServer,
            request_handler=_Handler,
            rules=None if place.tls is None else build_server_context(place.tls),
            intake=intake,
        )
    except OSError as error:
        raise ConfigError(
            f"{place.host}:{place.port}: cannot be listened on ({error.strerror}); choose another "
            "host or port"
        ) from None
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        _stop(server)
        thread.join()


def _stop(server: BoundedServer) -> None:
    """Stop listening, and end the associations that stand."""
    socketserver.BaseServer.shutdown(server)
    server.server_close()
    for one in server.associations:
        drop(one)
