import sys
from pathlib import Path

import pytest

# What makes bundles for the tests of the folder above does so for these, too.
sys.path.append(str(Path(__file__).resolve().parents[1]))


@pytest.fixture
def closed_lines(monkeypatch):
    """Close pynetdicom's own sockets, which it forgets where the other side was first to go."""
    transport = pytest.importorskip("pynetdicom.transport")
    from polypskd.deployment.pacs.wire import close_socket

    def close(line):
        if line.socket is not None:
            close_socket(line.socket)

    monkeypatch.setattr(transport.AssociationSocket, "_shutdown_socket", close)
