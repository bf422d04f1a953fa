"""What a web server may answer that is no archive, or a sick one; it is a real server each time."""

import contextlib
import json
import logging
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from authority import OPENSSL, Authority
from small_studies import build_instance, instance_uid, study_uid, write_bytes, write_instance

from polypskd.deployment.pacs.archive import InstanceEntry, Query
from polypskd.deployment.pacs.connections import DicomWeb
from polypskd.deployment.pacs.dicomweb import DicomWebArchive
from polypskd.deployment.pacs.instance_files import list_batches
from polypskd.deployment.pacs.settings import Transfer
from polypskd.errors import ArchiveError, OutputError

PLANTED = "hunter2-PLANTED"
PATIENCE = Transfer(connect_s=2, read_s=2, most_megabytes=1, deadline_s=5)
JSON = "application/dicom+json"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        with contextlib.suppress(OSError):
            self.server.play(self)

    do_GET = do_POST = answer  # noqa: N815 - names of http.server

    def give(self, status, body=b"", kind=JSON, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(headers.pop("size", len(body))))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serving(play, papers=None):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.play, server.asked = play, []
    server.handle_error = lambda *_: None
    if papers is not None:
        rules = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        rules.load_cert_chain(papers.certificate, papers.key)
        server.socket = rules.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def connected(play, monkeypatch, papers=None, **changes):
    monkeypatch.setenv("PLANTED_PASSWORD", PLANTED)
    with serving(play, papers) as server:
        told = {"kind": "dicomweb", "url": f"http://127.0.0.1:{server.server_port}/dicom-web"}
        if papers is not None:
            told["url"] = told["url"].replace("http:", "https:")
        told |= {"username": "u", "password_env": "PLANTED_PASSWORD"} | changes
        archive = DicomWebArchive(DicomWeb(**told), PATIENCE)
        try:
            yield archive, server
        finally:
            archive.close()


def refuse(call, server=None):
    """Give the one line of an error that holds no secret and no UID."""
    with pytest.raises(ArchiveError) as told:
        call()
    line = str(told.value)
    assert len(line.splitlines()) == 1
    for secret in (PLANTED, study_uid(1), instance_uid(1), "Basic", "dicom-web"):
        assert secret not in line
    return told.value


ONE = InstanceEntry(instance_uid(1), "", f"{study_uid(1)[:60]}.1", "ES")


@pytest.mark.parametrize(
    ("status", "words", "transient"),
    [
        (400, "does not understand", False),
        (401, "user or password", False),
        (403, "does not allow", False),
        (404, "nothing at this address", False),
        (408, "busy", True),
        (418, "error", False),
        (429, "busy", True),
        (500, "busy or out of order", True),
        (502, "busy", True),
        (503, "busy", True),
        (507, "is full", True),
        (304, "redirects", False),
    ],
)
def test_each_status_is_told_with_what_to_do(status, words, transient, monkeypatch):
    def play(request):
        request.give(status, f"<html>{PLANTED} {study_uid(1)}</html>".encode(), "text/html")

    with connected(play, monkeypatch) as (archive, _):
        error = refuse(archive.echo)
        assert words in str(error)
        assert error.transient is transient
        assert refuse(lambda: archive.find(Query(study_uid=study_uid(1)))).transient is transient


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>please log in</html>", "text/html"),
        (b'{"0020000D": ', JSON),
        (b"[1, 2]", JSON),
        (b'"text"', JSON),
        (b"[" * 100_000, JSON),
        (b"\xff\xfe", JSON),
        (json.dumps([{"0020000D": {"vr": "UI", "Value": ["../../etc/passwd"]}}]).encode(), JSON),
        (json.dumps([{"0020000D": {"vr": "UI", "Value": [7]}}]).encode(), JSON),
        (json.dumps([{"0020000D": 7}]).encode(), JSON),
    ],
)
def test_what_is_no_dicomweb_is_told_in_one_line(body, kind, monkeypatch):
    with connected(lambda request: request.give(200, body, kind), monkeypatch) as (archive, _):
        assert not refuse(lambda: archive.find(Query())).transient


@pytest.mark.parametrize("answer", [(200, b"[]"), (204, b"")])
def test_no_study_is_no_fault(answer, monkeypatch):
    with connected(lambda request: request.give(*answer), monkeypatch) as (archive, _):
        assert archive.find(Query()) == []
        assert archive.list_instances(study_uid(1)) == []


def test_blanks_and_signs_of_a_description_are_asked_for_as_they_are(monkeypatch):
    with connected(lambda request: request.give(200, b"[]"), monkeypatch) as (archive, server):
        archive.find(Query(description="Colon + C&A*?"))
        assert "StudyDescription=Colon%20%2B%20C%26A*?&" in server.asked[0][1]


def test_pages_are_asked_for_until_one_brings_nothing_new(monkeypatch):
    entries = [{"0020000D": {"vr": "UI", "Value": [f"1.2.{turn}"]}} for turn in range(7)]

    def play(request):
        offset = int(request.path.partition("offset=")[2].partition("&")[0] or 0)
        request.give(200, json.dumps(entries[offset : offset + 3]).encode())

    with connected(play, monkeypatch) as (archive, server):
        assert [one.study_uid for one in archive.find(Query())] == [f"1.2.{at}" for at in range(7)]
        assert len(server.asked) == 4
        assert "more than 5 match" in str(refuse(lambda: archive.find(Query(most=5))))


def test_an_archive_that_passes_over_the_offset_ends_all_the_same(monkeypatch):
    body = json.dumps([{"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}]).encode()
    with connected(lambda request: request.give(200, body), monkeypatch) as (archive, server):
        assert len(archive.find(Query())) == 1
        assert len(server.asked) == 2


def test_an_endless_answer_is_cut(monkeypatch):
    def play(request):
        request.send_response(200)
        request.send_header("Content-Type", JSON)
        request.end_headers()
        request.close_connection = True
        while True:
            request.wfile.write(b" " * (1 << 20))

    with connected(play, monkeypatch) as (archive, _):
        assert "MiB at once" in str(refuse(archive.echo))


def test_a_bomb_is_cut_by_its_size_unpacked(monkeypatch, tmp_path):
    import gzip

    bomb = gzip.compress(b"0" * (8 << 20))
    kind = "application/dicom"

    def play(request):
        request.give(200, bomb, kind, **{"Content-Encoding": "gzip"})

    with connected(play, monkeypatch) as (archive, _):
        told = refuse(lambda: archive.fetch(study_uid(1), [ONE], tmp_path))
        assert "more than 1 MiB" in str(told)
        assert list(tmp_path.iterdir()) == []


def part(data, boundary=b"xx"):
    head = b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n"
    return head + data + b"\r\n--" + boundary + b"--"


RELATED = 'multipart/related; type="application/dicom"; boundary=xx'


def test_an_instance_comes_as_a_part_or_bare(monkeypatch, tmp_path):
    data = write_bytes(build_instance(1))
    for turn, (body, kind) in enumerate([(part(data), RELATED), (data, "application/dicom")]):
        folder = tmp_path / str(turn)
        folder.mkdir()
        play = lambda request, body=body, kind=kind: request.give(200, body, kind)  # noqa: E731
        with connected(play, monkeypatch) as (archive, server):
            files = archive.fetch(study_uid(1), [ONE], folder)
            assert [path.read_bytes() for path in files] == [data]
            assert files[0].stat().st_mode & 0o077 == 0
            assert archive.fetch(study_uid(1), [ONE], folder) == files
            assert len(server.asked) == 1  # what is there is not fetched again


@pytest.mark.parametrize(
    ("body", "kind", "size", "transient"),
    [
        (part(b"x" * 100)[:60], RELATED, None, True),
        (part(b"x" * 100)[:60], RELATED, 200, True),
        (b"x" * 50, "application/dicom", 100, True),
        (b"<html>", "text/html", None, False),
        (part(b"x"), "multipart/related", None, True),
        (b"", RELATED, None, True),
        (part(b"x" * (2 << 20)), RELATED, None, False),
    ],
)
def test_of_a_torn_or_odd_answer_no_file_stays(body, kind, size, transient, monkeypatch, tmp_path):
    def play(request):
        request.close_connection = True
        request.give(200, body, kind, **({"size": size} if size else {}))

    with connected(play, monkeypatch) as (archive, _):
        error = refuse(lambda: archive.fetch(study_uid(1), [ONE], tmp_path))
        assert error.transient is transient
    assert list(tmp_path.iterdir()) == []


def test_what_is_gone_is_told_apart(monkeypatch, tmp_path):
    with connected(lambda request: request.give(404), monkeypatch) as (archive, _):
        assert refuse(lambda: archive.fetch(study_uid(1), [ONE], tmp_path)).gone
        assert archive.list_instances(study_uid(1)) == []


def test_a_full_disk_is_told_with_what_to_do(monkeypatch, tmp_path):
    import resource

    body = part(b"x" * 200_000)
    with connected(lambda request: request.give(200, body, RELATED), monkeypatch) as (archive, _):
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            with pytest.raises(OutputError, match="cannot be written"):
                archive.fetch(study_uid(1), [ONE], tmp_path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_a_slow_server_is_given_up_in_time(monkeypatch, tmp_path):
    pause = threading.Event()

    def play(request):
        request.send_response(200)
        request.send_header("Content-Type", "application/dicom")
        request.send_header("Content-Length", "1000000")
        request.end_headers()
        while not pause.wait(0.2):
            request.wfile.write(b"x" * 10)

    with connected(play, monkeypatch) as (archive, _):
        archive._session._deadline_s = 1
        error = refuse(lambda: archive.fetch(study_uid(1), [ONE], tmp_path))
        pause.set()
        assert error.transient
    assert list(tmp_path.iterdir()) == []


def test_headers_that_never_end_are_given_up_in_time(monkeypatch, tmp_path):
    pause = threading.Event()

    def play(request):
        request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not pause.wait(0.1):
            request.wfile.write(b"x")

    with connected(play, monkeypatch) as (archive, _):
        archive._session._deadline_s = 0.6
        begun = time.monotonic()
        for ask in (archive.echo, lambda: archive.fetch(study_uid(1), [ONE], tmp_path)):
            error = refuse(ask)
            assert error.transient
            assert "too slowly" in str(error)
        assert time.monotonic() - begun < PATIENCE.deadline_s * 2
        pause.set()


def test_an_answer_that_ends_within_its_headers_is_no_empty_one(monkeypatch):
    def play(request):
        request.close_connection = True
        request.wfile.write(b"HTTP/1.1 200 OK\r\nServer: any\r\nContent-Le")

    with connected(play, monkeypatch) as (archive, _):
        for ask in (archive.echo, lambda: archive.find(Query())):
            error = refuse(ask)
            assert error.transient
            assert "connection was lost" in str(error)


def test_silence_is_given_up_in_time(monkeypatch):
    pause = threading.Event()
    with connected(lambda request: pause.wait(30), monkeypatch) as (archive, _):
        archive._session._timeout = (1, 0.3)
        error = refuse(archive.echo)
        pause.set()
        assert "in time" in str(error)
        assert error.transient


def test_patients_go_to_no_other_host(monkeypatch, tmp_path):
    with serving(lambda request: request.give(200, b"[]")) as other:
        place = f"http://localhost:{other.server_port}/dicom-web/studies"

        def play(request):
            request.give(307, **{"Location": place})

        with connected(play, monkeypatch) as (archive, server):
            assert "another host" in str(refuse(archive.echo))
            path = write_instance(tmp_path, build_instance(1))
            assert "redirects" in str(refuse(lambda: archive.store([path])))
            assert len(server.asked) == 2
        assert other.asked == []


def test_a_redirect_within_the_host_is_followed_with_the_password(monkeypatch):
    def play(request):
        if "/new/" in request.path:
            request.give(200, b"[]")
        else:
            request.give(302, **{"Location": f"/new{request.path}"})

    with connected(play, monkeypatch) as (archive, server):
        assert archive.find(Query()) == []
        assert all("Authorization" in headers for _, _, headers, _ in server.asked)


def test_redirects_without_end_end(monkeypatch):
    play = lambda request: request.give(302, **{"Location": request.path})  # noqa: E731
    with connected(play, monkeypatch) as (archive, server):
        assert not refuse(archive.echo).transient
        assert len(server.asked) < 10


def tell(stored=(), failed=()):
    def items(uids, more):
        return {
            "vr": "SQ",
            "Value": [{"00081155": {"vr": "UI", "Value": [uid]}} | more(uid) for uid in uids],
        }

    reasons = dict(failed)
    page = {"00081199": items(stored, lambda uid: {})}
    page["00081198"] = items(
        reasons, lambda uid: {"00081197": {"vr": "US", "Value": [reasons[uid]]}}
    )
    return json.dumps(page).encode()


@pytest.mark.parametrize(
    ("status", "body", "refused", "transient"),
    [
        (200, tell([instance_uid(1)]), "", None),
        (200, tell(failed=[(instance_uid(1), 0x0111)]), "", None),
        (409, tell(failed=[(instance_uid(1), 0x0111)]), "", None),
        (409, tell(failed=[(instance_uid(1), 0xA700)]), "out of space", True),
        (202, tell(failed=[(instance_uid(1), 0x0122)]), "does not take objects", False),
        (400, tell(failed=[(instance_uid(1), 0xC000)]), "cannot process", False),
        (400, tell(), "does not take the object", False),
        (200, b"", "did not say", True),
        (200, b"<xml/>", "did not say", True),
        (200, tell([instance_uid(2)]), "did not say", True),
    ],
)
def test_each_file_is_stored_or_refused_as_the_archive_says(
    status, body, refused, transient, monkeypatch, tmp_path
):
    path = write_instance(tmp_path, build_instance(1))
    with connected(lambda request: request.give(status, body), monkeypatch) as (archive, server):
        refusals = archive.store([path])
        sent = server.asked[0][3]
        assert sent.count(path.read_bytes()) == 1
    assert bool(refusals) is bool(refused)
    if refused:
        assert refused in refusals[0].reason
        assert refusals[0].transient is transient
        assert instance_uid(1) not in refusals[0].reason


@pytest.mark.parametrize(
    ("status", "transient"), [(401, False), (413, False), (500, True), (507, True), (409, False)]
)
def test_a_store_that_fails_as_a_whole_is_told(status, transient, monkeypatch, tmp_path):
    path = write_instance(tmp_path, build_instance(1))
    with connected(lambda request: request.give(status), monkeypatch) as (archive, _):
        assert refuse(lambda: archive.store([path])).transient is transient


def test_files_go_in_batches_of_a_bound(tmp_path):
    files = []
    for turn, size in enumerate([300_000, 300_000, 600_000, 2_000_000, 10, 10, 10]):
        files.append(tmp_path / f"{turn}")
        files[-1].write_bytes(b"x" * size)
    transfer = Transfer(batch_files=2, batch_megabytes=1)
    told = [[int(path.name) for path in batch] for batch in list_batches(files, transfer)]
    assert told == [[0, 1], [2], [3], [4, 5], [6]]


def test_who_cannot_be_reached_is_told_why(monkeypatch):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
        archive = DicomWebArchive(
            DicomWeb(kind="dicomweb", url=f"http://127.0.0.1:{port}/x"), PATIENCE
        )
        assert "refuses the connection" in str(refuse(archive.echo))
    nowhere = DicomWeb(kind="dicomweb", url="https://no-such-host.invalid/x")
    error = refuse(DicomWebArchive(nowhere, PATIENCE).echo)
    assert "no such host" in str(error)
    assert error.transient


@pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")
def test_a_private_authority_is_trusted_where_it_is_named_and_only_there(monkeypatch, tmp_path):
    ours, other = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    papers = ours.sign("server")
    # Whatever the environment says, the settings decide.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.certificate))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    play = lambda request: request.give(200, b"[]")  # noqa: E731
    with connected(play, monkeypatch, papers, tls={"ca_file": ours.certificate}) as (archive, _):
        assert archive.find(Query()) == []
    for tls in ({}, {"ca_file": other.certificate}):
        with connected(play, monkeypatch, papers, tls=tls) as (archive, server):
            error = refuse(archive.echo)
            assert "archive.tls.ca_file" in str(error)
            assert not error.transient
            assert server.asked == []  # the password was not sent


def test_http_where_tls_is_spoken_is_told(monkeypatch):
    play = lambda request: request.give(200, b"[]")  # noqa: E731
    with serving(play) as server:
        url = f"https://127.0.0.1:{server.server_port}/x"
        archive = DicomWebArchive(DicomWeb(kind="dicomweb", url=url), PATIENCE)
        assert "TLS" in str(refuse(archive.echo))


def test_nothing_is_logged_of_addresses_and_passwords(monkeypatch, caplog, capfd, tmp_path):
    caplog.set_level(logging.DEBUG)

    def play(request):
        if "/series/" in request.path:
            request.give(200, part(write_bytes(build_instance(1))), RELATED)
        else:
            request.give(200, b"[]", **{"Warning": f"299 {PLANTED}"})

    with connected(play, monkeypatch) as (archive, _):
        archive.find(Query(study_uid=study_uid(1)))
        archive.list_instances(study_uid(1))
        archive.fetch(study_uid(1), [ONE], tmp_path)
    shown = caplog.text + "".join(capfd.readouterr())
    for secret in (PLANTED, study_uid(1), instance_uid(1), "Basic"):
        assert secret not in shown
