"""The DICOM upper layer of pynetdicom, held within bounds.

pynetdicom believes the length that a PDU claims, waits without end for its rest, and keeps what
comes in memory. Here a claim is held against a limit, a PDU must come whole within its time, and
the data set of a C-STORE goes to a file as it comes.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from typing import Any, cast

from pydicom.uid import UID
from pynetdicom import AE, _config
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AddressInformation, AssociationSocket

from polypskd.cohort.dicom.silence import silence_pydicom
from polypskd.deployment.deidentification.dicom_files import IMPLEMENTATION
from polypskd.deployment.pacs.incoming import Intake, Part, Talk

PDU = 1 << 17  # bytes that are offered to be taken at once
LARGEST_PDU = 1 << 20  # an association request with 128 contexts has some 20 kB
AHEAD = 4  # messages that a sender may send before the first is answered
MOST_ANSWERS = 100_000  # that wait to be read
QUICK = getattr(socket, "TCP_QUICKACK", None)


def silence() -> None:
    """Let no log line of pynetdicom through: they quote values, and values may be a patient's."""
    silence_pydicom()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    # Files go out as they lie there, byte for byte, and in no other transfer syntax.
    _config.STORE_SEND_CHUNKED_DATASET = True


class BoundedProvider(DIMSEServiceProvider):
    """The messages of one association, whose data sets go to files.

    Args:
        assoc: the association.
        intake: where they go.
    """

    def __init__(self, assoc: Any, intake: Intake) -> None:
        super().__init__(assoc)
        self._intake = intake
        self._parts: list[Part] = []
        self._ended = False

    def get_msg(self, block: bool = False) -> Any:
        """Give the next message; for who asks, to nobody but the one who waits for an answer.

        The association's own loop looks for messages, too. It is told to pause before a question,
        but may just have passed that point, and would then take an answer and lose it.
        """
        if not block and self.assoc.is_requestor:
            return None, None
        return super().get_msg(block)

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take what came; what is not as it must be ends the association."""
        if self._ended:
            return
        try:
            if self.message is None:
                self._begin()
            super().receive_primitive(primitive)
        except Exception:  # pynetdicom's decoding of what others sent may raise anything
            self._ended = True
            self.discard()
            self.dul.event_queue.put("Evt19")  # as for a PDU that is not valid

    def _begin(self) -> None:
        self._parts = [one for one in self._parts if one.path is not None]
        # Who asks may get many answers to one question; who is asked waits for each answer.
        most = AHEAD if self.assoc.is_acceptor else MOST_ANSWERS
        if len(self._parts) > AHEAD or self.msg_queue.qsize() > most:
            raise OSError("too many messages before an answer")
        message = DIMSEMessage()
        message.encoded_command_set = Talk()
        message.data_set = part = Part(self._intake, message, self._write_head)
        self._parts.append(part)
        self.message = message

    def _write_head(self, file: Any, message: DIMSEMessage) -> None:
        """Write preamble and file meta information, as the sender and the negotiation tell them."""
        from pydicom.filebase import DicomBytesIO
        from pydicom.filewriter import write_file_meta_info
        from pynetdicom.dsutils import create_file_meta

        context = self.assoc._accepted_cx.get(cast(int, message.context_id))
        if context is None:
            raise OSError("a data set in a context that was not agreed on")
        told = message.command_set
        meta = create_file_meta(
            sop_class_uid=UID(str(told.get("AffectedSOPClassUID", ""))),
            sop_instance_uid=UID(str(told.get("AffectedSOPInstanceUID", ""))),
            transfer_syntax=context.transfer_syntax[0],
            implementation_uid=UID(IMPLEMENTATION),
            implementation_version="POLYPSKD",
        )
        head = DicomBytesIO()
        head.write(bytes(128) + b"DICM")
        write_file_meta_info(head, meta, enforce_standard=True)
        file.write(head.getvalue())

    def discard(self) -> None:
        """Remove what came in part and was not taken."""
        for part in self._parts:
            part.discard()


class BoundedSocket(AssociationSocket):
    """A connection that is given up where the other side sends too much or too slowly."""

    patience = 60.0
    failure: OSError | None = None

    def connect(self, primitive: Any) -> None:
        """Connect, and keep the reason where that fails."""
        try:
            line = cast(socket.socket, self.socket)
            line.settimeout(self.assoc.connection_timeout)
            # Else each answer waits 40 ms: a command and its data set are two small packets.
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line.connect(primitive.address_info.as_tuple)
            if self.tls_args:
                context, name = self.tls_args
                self.socket = line = context.wrap_socket(line, server_hostname=name)
            line.settimeout(self.patience)
            ours = AddressInformation.from_tuple(line.getsockname())
            self.assoc.requestor.address_info = ours
            self._is_connected = True
            primitive.result = "Evt2"
        except OSError as error:
            self.failure = error
            if self.socket is not None:
                self._shutdown_socket()
                self.socket = None
            primitive.result = "Evt17"
        finally:
            self.provider_queue.put(primitive)
            self._ready.set()

    def _shutdown_socket(self) -> None:
        # A line whose other end is gone cannot be shut down, and must be closed all the same.
        if self.socket is not None:
            close_socket(self.socket)

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, or what came of them before the other side left.

        Raises:
            OSError: too many are announced, or they do not come in time.
        """
        if nr_bytes > LARGEST_PDU:
            raise OSError("a PDU is too large")
        came = bytearray()
        line = cast(socket.socket, self.socket)
        end = time.monotonic() + self.patience
        try:
            while len(came) < nr_bytes:
                line.settimeout(max(0.001, end - time.monotonic()))
                piece = line.recv(nr_bytes - len(came))
                if not piece:
                    break
                came += piece
            if QUICK is not None:  # else the other side's second small packet waits 40 ms
                line.setsockopt(socket.IPPROTO_TCP, QUICK, 1)
            line.settimeout(self.patience)
        except OSError as error:
            self.failure = error
            raise
        return came


class Caller(AE):
    """Our side of associations that we ask for.

    Args:
        ae_title: ours.
        intake: where data sets go that come in them.
    """

    def __init__(self, ae_title: str, intake: Intake) -> None:
        super().__init__(ae_title=ae_title)
        self._intake = intake
        self.maximum_pdu_size = PDU
        self.implementation_class_uid = IMPLEMENTATION
        self.implementation_version_name = "POLYPSKD"

    def _create_socket(self, assoc: Any, address: Any, tls_args: Any) -> AssociationSocket:
        made = BoundedSocket(assoc, address=address)
        made.patience = self._intake.patience
        made.tls_args = tls_args
        assoc.dimse = BoundedProvider(assoc, self._intake)
        return made


def close_socket(one: socket.socket) -> None:
    """Close a connection, whatever state it is in."""
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        one.close()
