"""Encrypted connections to a real archive: DICOM TLS, and HTTPS as a gateway before it gives."""

import contextlib
import subprocess

import pytest
from authority import OPENSSL, Authority
from orthanc import (
    STUNNEL,
    TITLE,
    USER,
    Orthanc,
    bind_to_life,
    enter_own_network,
    find_port,
    listens,
    miss_server,
    wait_for,
)
from small_studies import build_instance, instance_uid, study_uid, write_bytes, write_instance

from polypskd.deployment.pacs.archive import Query
from polypskd.deployment.pacs.connections import DicomWeb, Dimse, Tls
from polypskd.deployment.pacs.settings import Settings, Transfer
from polypskd.deployment.pacs.study_run import open_archive
from polypskd.errors import ArchiveError

WHY = miss_server() or ("" if OPENSSL else "openssl is not installed")
pytestmark = pytest.mark.skipif(bool(WHY), reason=WHY or "there")
PATIENCE = Transfer(connect_s=5, read_s=10)


@pytest.fixture(scope="module")
def network():
    with enter_own_network():
        yield


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"), "hospital")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"), "stranger")


def show(authority, by=None):
    """Trust one authority, and show a certificate of another, or the same."""
    papers = (by or authority).sign("ours")
    return Tls(ca_file=authority.certificate, client_cert=papers.certificate, client_key=papers.key)


@pytest.fixture(scope="module")
def dicom_server(network, authority, tmp_path_factory):
    papers = authority.sign("archive")
    changes = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(papers.certificate),
        "DicomTlsPrivateKey": str(papers.key),
        # Without it Orthanc does not start, whether certificates are wanted or not.
        "DicomTlsTrustedCertificates": str(authority.certificate),
        "DicomTlsRemoteCertificateRequired": True,
    }
    with Orthanc(tmp_path_factory.mktemp("orthanc"), changes=changes) as server:
        server.upload(write_bytes(build_instance(1)))
        yield server


def by_dimse(server, tls, **changes):
    told = {"host": "127.0.0.1", "port": server.dicom_port, "called_ae": TITLE, "tls": tls}
    archive = Dimse(**{"kind": "dimse"} | told | changes)
    return open_archive(Settings(archive=archive, transfer=PATIENCE))


def test_dicom_tls_carries_all_that_is_asked_fetched_and_stored(dicom_server, authority, tmp_path):
    archive = by_dimse(dicom_server, show(authority))
    assert archive.echo().endswith("by TLS")
    assert [one.study_uid for one in archive.find(Query())] == [study_uid(1)]
    entries = archive.list_instances(study_uid(1))
    assert len(archive.fetch(study_uid(1), entries, tmp_path / "in")) == 1
    assert archive.store([write_instance(tmp_path, build_instance(2))]) == []
    assert archive.holds(study_uid(2), [instance_uid(2)])
    archive.close()


WRONG = {
    "its authority is not ours": lambda a, b: show(b),
    "our certificate is not known there": lambda a, b: show(a, by=b),
    "we show none": lambda a, b: Tls(ca_file=a.certificate),
    "we trust the public ones": lambda a, b: Tls(),
    "its name is another": lambda a, b: show(a).model_copy(update={"server_name": "pacs.example"}),
    "no TLS": lambda a, b: None,
}


@pytest.mark.parametrize("tls", WRONG.values(), ids=WRONG)
def test_dicom_tls_that_does_not_fit_is_refused_in_one_line(
    tls, dicom_server, authority, stranger, tmp_path
):
    archive = by_dimse(dicom_server, tls(authority, stranger))
    for ask in (archive.echo, lambda: archive.find(Query())):
        with pytest.raises(ArchiveError) as told:
            ask()
        assert len(str(told.value).splitlines()) == 1
    archive.close()


def test_what_is_wrong_with_a_certificate_is_no_error_that_passes(
    dicom_server, authority, stranger
):
    with pytest.raises(ArchiveError, match="certificate is not trusted") as told:
        by_dimse(dicom_server, show(stranger)).echo()
    assert not told.value.transient
    with pytest.raises(ArchiveError, match="client_cert") as told:
        by_dimse(dicom_server, Tls(ca_file=authority.certificate)).echo()
    assert not told.value.transient


@pytest.fixture(scope="module")
def gateway(network, authority, tmp_path_factory):
    """Orthanc behind stunnel: with SslEnabled this version of Orthanc crashes."""
    if STUNNEL is None:
        pytest.skip("stunnel is not installed (apt-get install stunnel4)")
    folder = tmp_path_factory.mktemp("stunnel")
    papers = authority.sign("gateway")
    port = find_port()
    address = {"Enable": True, "Root": "/dicom-web/", "Host": f"127.0.0.1:{port}", "Ssl": True}
    with Orthanc(folder / "orthanc", changes={"DicomWeb": address}) as server:
        server.upload(write_bytes(build_instance(1)))
        (folder / "stunnel.conf").write_text(
            f"foreground = yes\npid =\nsyslog = no\n[web]\naccept = 127.0.0.1:{port}\n"
            f"connect = 127.0.0.1:{server.http_port}\ncert = {papers.certificate}\n"
            f"key = {papers.key}\nsslVersionMin = TLSv1.2\n"
        )
        with run_aside(STUNNEL, folder / "stunnel.conf"):
            assert wait_for(port)
            yield server, f"https://127.0.0.1:{port}/dicom-web"


@contextlib.contextmanager
def run_aside(*command):
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(bind_to_life(*command), stdout=quiet, stderr=quiet, stdin=quiet)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def by_web(gateway, tls, folder):
    server, url = gateway
    secret = folder / "password"
    secret.write_text(server.password)
    secret.chmod(0o600)
    told = {"kind": "dicomweb", "url": url, "username": USER, "password_file": secret, "tls": tls}
    return open_archive(Settings(archive=DicomWeb(**told), transfer=PATIENCE))


def test_https_of_a_private_authority_carries_all(gateway, authority, tmp_path, monkeypatch):
    # As many hospitals' images have it; else it would win over what the settings say.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
    archive = by_web(gateway, Tls(ca_file=authority.certificate), tmp_path)
    assert archive.echo()
    assert [one.study_uid for one in archive.find(Query())] == [study_uid(1)]
    entries = archive.list_instances(study_uid(1))
    (tmp_path / "in").mkdir()
    assert len(archive.fetch(study_uid(1), entries, tmp_path / "in")) == 1
    assert archive.store([write_instance(tmp_path, build_instance(2))]) == []
    assert archive.holds(study_uid(2), [instance_uid(2)])
    archive.close()


@pytest.mark.parametrize("trusted", ["another authority", "the public ones"])
def test_https_of_an_authority_that_is_not_trusted_is_refused(trusted, gateway, stranger, tmp_path):
    tls = Tls() if trusted == "the public ones" else Tls(ca_file=stranger.certificate)
    archive = by_web(gateway, tls, tmp_path)
    with pytest.raises(ArchiveError, match="certificate is not trusted") as told:
        archive.echo()
    assert not told.value.transient
    archive.close()


def test_the_server_listens_to_this_machine_alone(network, tmp_path):
    with Orthanc(tmp_path / "o") as server:
        assert listens(server.http_port)
    assert not listens(server.http_port)
