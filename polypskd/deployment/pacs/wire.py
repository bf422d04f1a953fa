"""The DICOM upper layer of pynetdicom, held within bounds.

pynetdicom believes the length that a PDU claims, waits without end for its rest, and keeps what
comes in memory. Here a claim is held against a limit, a PDU must come whole within its time, and
the data set of a C-STORE goes to a file as it comes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pynetdicom import AE, _config
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AddressInformation, AssociationSocket

from polypskd.cohort.dicom.silence import silence_pydicom
from polypskd.deployment.dicom_files import IMPLEMENTATION

PART = ".part"
PDU = 1 << 17  # bytes that are offered to be taken at once
LARGEST_PDU = 1 << 20  # an association request with 128 contexts has some 20 kB
LARGEST_TALK = 1 << 20  # a command or an answer, which stay in memory
AHEAD = 4  # messages that a sender may send before the first is answered


def silence() -> None:
    """Let no log line of pynetdicom through: they quote values, and values may be a patient's."""
    silence_pydicom()
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    _config.LOG_HANDLER_LEVEL = "none"
    # Files go out as they lie there, byte for byte, and in no other transfer syntax.
    _config.STORE_SEND_CHUNKED_DATASET = True


@dataclass
class Intake:
    """Where the data sets of one association go.

    Args:
        folder: on the disk that they will lie on; parts have names of their own in it.
        most: bytes of one data set.
        patience: seconds in which a PDU must come whole.
        free: bytes that are left free on the disk.
    """

    folder: Path
    most: int
    patience: float
    free: int = 0


class Part(BytesIO):
    """A data set on its way: a C-STORE's goes to a file, any other stays in memory, if small.

    Args:
        intake: where files go.
        message: that it belongs to.
        write_head: writes what stands before the data set into the file.
    """

    def __init__(
        self, intake: Intake, message: DIMSEMessage, write_head: Callable[[Any, DIMSEMessage], None]
    ) -> None:
        super().__init__()
        self._intake = intake
        self._message = message
        self._write_head = write_head
        self._file: Any = None
        self.path: Path | None = None
        self.fault: OSError | None = None
        self.too_large = False

    def write(self, data: Any) -> int:
        """Take a fragment; once something is wrong, what follows is passed over."""
        if not isinstance(self._message, C_STORE_RQ):
            if self.tell() + len(data) > LARGEST_TALK:
                raise OSError("an answer is too large")
            return super().write(data)
        if self.fault is None and not self.too_large:
            try:
                self._write(data)
            except OSError as error:
                self.fault = error
                self.discard()
        return len(data)

    def _write(self, data: bytes) -> None:
        if self._file is None:
            room = os.statvfs(self._intake.folder)
            if room.f_bavail * room.f_frsize < self._intake.free:
                raise OSError(28, os.strerror(28))
            self.path = self._intake.folder / f".{secrets.token_hex(12)}{PART}"
            self._file = self.path.open("xb")
            self._write_head(self._file, self._message)
        if self._file.tell() + len(data) > self._intake.most:
            self.too_large = True
            self.discard()
            return
        self._file.write(data)

    def finish(self) -> Path | None:
        """Bring the file to the disk.

        Returns:
            Where it lies; None where there is none, for one of `fault`, `too_large`, no data.
        """
        if self._file is None or self.path is None:
            return None
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            self.fault = error
            self.discard()
            return None
        self._file = None
        return self.path

    def discard(self) -> None:
        """Remove the file."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            self.path = None


class Talk(BytesIO):
    """A command on its way, which must be small."""

    def write(self, data: Any) -> int:
        """Take a fragment."""
        if self.tell() + len(data) > LARGEST_TALK:
            raise OSError("a command is too large")
        return super().write(data)


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

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take what came; an exception ends the association."""
        if self.message is None:
            if self.msg_queue.qsize() > AHEAD:
                raise OSError("too many messages before an answer")
            message = DIMSEMessage()
            message.encoded_command_set = Talk()
            message.data_set = part = Part(self._intake, message, self._write_head)
            self._parts = [one for one in self._parts if one.path is not None] + [part]
            self.message = message
        super().receive_primitive(primitive)

    def _write_head(self, file: Any, message: DIMSEMessage) -> None:
        """Write preamble and file meta information, as the sender and the negotiation tell them."""
        from pydicom.dataset import FileMetaDataset
        from pydicom.filewriter import write_file_meta_info

        context = self.assoc._accepted_cx.get(message.context_id)
        if context is None:
            raise OSError("a data set in a context that was not agreed on")
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = str(message.command_set.get("AffectedSOPClassUID", ""))
        meta.MediaStorageSOPInstanceUID = str(message.command_set.get("AffectedSOPInstanceUID", ""))
        meta.TransferSyntaxUID = context.transfer_syntax[0]
        meta.ImplementationClassUID = IMPLEMENTATION
        head = BytesIO()
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
            self.socket.settimeout(self.assoc.connection_timeout)
            self.socket.connect(primitive.address_info.as_tuple)
            if self.tls_args:
                context, name = self.tls_args
                self.socket = context.wrap_socket(self.socket, server_hostname=name)
            self.socket.settimeout(self.patience)
            self.assoc.requestor.address_info = AddressInformation.from_tuple(
                self.socket.getsockname()
            )
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

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, or what came of them before the other side left.

        Raises:
            OSError: too many are announced, or they do not come in time.
        """
        if nr_bytes > LARGEST_PDU:
            raise OSError("a PDU is too large")
        came = bytearray()
        end = time.monotonic() + self.patience
        try:
            while len(came) < nr_bytes:
                self.socket.settimeout(max(0.001, end - time.monotonic()))
                piece = self.socket.recv(nr_bytes - len(came))
                if not piece:
                    break
                came += piece
            self.socket.settimeout(self.patience)
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
