"""One archive and one bundle for the tests of a file."""

import sys
from pathlib import Path

import pytest

# What makes a small bundle does so for these tests, too.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from answering import keep_studies
from orthanc import Orthanc, enter_own_network
from small_bundle import write_bundle


@pytest.fixture(scope="module")
def network():
    with enter_own_network():
        yield


@pytest.fixture(scope="module")
def server(network, tmp_path_factory):
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def studies(server, request):
    with keep_studies(server, request.node.name) as upload:
        yield upload


@pytest.fixture
def closed_lines(monkeypatch):
    """Close pynetdicom's own sockets, which it forgets where the other side was first to go."""
    transport = pytest.importorskip("pynetdicom.transport")
    from polypskd.deployment.pacs.wire import close_socket

    def close(line):
        if line.socket is not None:
            close_socket(line.socket)

    monkeypatch.setattr(transport.AssociationSocket, "_shutdown_socket", close)
