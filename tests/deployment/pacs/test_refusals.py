"""An archive that refuses, is full, or whose answers are lost: a gateway before a real one."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from answering import count_modalities, delete_study, run, write_settings
from orthanc import miss_server
from small_studies import build_instance, study_uid, write_bytes

pytestmark = pytest.mark.skipif(bool(miss_server()), reason=miss_server() or "there")


class Gateway(BaseHTTPRequestHandler):
    """Stands before the archive, and may answer in its place."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        spoil = self.server.spoil(self.command)
        if spoil == "refuse":
            self.reply(403, b"", "text/plain")
            return
        if isinstance(spoil, int):
            uids = self.server.read_uids(body)
            failed = [
                {"00081155": {"Value": [uid]}, "00081197": {"Value": [spoil]}} for uid in uids
            ]
            page = json.dumps({"00081198": {"vr": "SQ", "Value": failed}}).encode()
            self.reply(409, page, "application/dicom+json")
            return
        names = ("Accept", "Content-Type", "Authorization")
        headers = {name: self.headers[name] for name in names if name in self.headers}
        with self.server.orthanc.rest() as rest:
            url = self.server.orthanc.address + self.path
            told = rest.request(self.command, url, data=body, headers=headers, timeout=30)
        if spoil == "lose":
            self.close_connection = True
            return
        self.reply(told.status_code, told.content, told.headers.get("Content-Type", ""))

    do_GET = do_POST = forward  # noqa: N815 - names of http.server

    def reply(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)
            self.wfile.flush()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def gateway(server):
    from io import BytesIO

    from pydicom import dcmread

    def read_uids(body):
        mark = body.partition(b"\r\n")[0]
        parts = [part.partition(b"\r\n\r\n")[2] for part in body.split(mark)[1:-1]]
        return [str(dcmread(BytesIO(part)).SOPInstanceUID) for part in parts]

    one = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    one.daemon_threads = True
    one.handle_error = lambda *_: None
    one.orthanc, one.read_uids, one.posts = server, read_uids, 0
    one.plan = []

    def spoil(command):
        if command != "POST":
            return None
        one.posts += 1
        return one.plan.pop(0) if one.plan else None

    one.spoil = spoil
    thread = threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    one.web = f"http://127.0.0.1:{one.server_port}/dicom-web"
    yield one
    one.shutdown()
    one.server_close()


def test_an_answer_lost_on_its_way_doubles_nothing(gateway, server, bundle, studies, tmp_path):
    word, numbers = studies(2)
    gateway.plan = ["lose"]
    settings = write_settings(tmp_path, server, word, gateway.web)
    code, told = run(settings, bundle, tmp_path / "out")
    assert (code, told["states"], gateway.posts) == (0, {"sent": 2}, 2)
    assert count_modalities(server, numbers) == [{"ES": 2, "SR": 1}] * 2


def test_a_full_archive_is_waited_for_then_told_and_nothing_is_lost(
    gateway, server, bundle, studies, tmp_path
):
    word, numbers = studies(2)
    settings = write_settings(tmp_path, server, word, gateway.web)
    gateway.plan = [0xA700] * 2
    code, told = run(settings, bundle, tmp_path / "out")
    assert (code, told["states"]) == (0, {"sent": 2})  # it had room at the third try
    gateway.plan = [0xA700] * 9
    code, told = run(settings, bundle, tmp_path / "second")
    assert told["results_sent"] == 0  # held already: nothing is stored, and nothing refused
    (number,) = [numbers[0] + 10]
    server.upload(write_bytes(build_instance(number, StudyDescription=word)))
    code, told = run(settings, bundle, tmp_path / "out")
    assert code == 1
    assert "out of space" in told
    gateway.plan = []
    code, told = run(settings, bundle, tmp_path / "out")
    assert (code, told["results_sent"]) == (0, 1)
    assert count_modalities(server, [number]) == [{"ES": 1, "SR": 1}]
    delete_study(server, study_uid(number))


def test_a_result_refused_for_good_fails_its_study_alone(
    gateway, server, bundle, studies, tmp_path
):
    word, numbers = studies(3)
    gateway.plan = [None, 0x0122]
    settings = write_settings(tmp_path, server, word, gateway.web)
    code, told = run(settings, bundle, tmp_path / "out")
    assert (code, told["states"]) == (1, {"failed": 1, "sent": 2})
    assert "does not take objects of this kind" in told["first_failures"][0]["why"]
    code, told = run(settings, bundle, tmp_path / "out")
    assert (code, told["states"]) == (0, {"sent": 3})
    assert count_modalities(server, numbers) == [{"ES": 2, "SR": 1}] * 3


def test_where_every_study_is_refused_the_run_stops(gateway, server, bundle, studies, tmp_path):
    word, numbers = studies(6, frames=1)
    gateway.plan = ["refuse"] * 99
    settings = write_settings(tmp_path, server, word, gateway.web)
    code, told = run(settings, bundle, tmp_path / "out")
    assert code == 1
    assert "5 studies in a row failed" in told
    assert "(403)" in told
    assert gateway.posts == 5
    gateway.plan = []
    code, told = run(settings, bundle, tmp_path / "out")
    assert (code, told["states"]) == (0, {"sent": 6})
    assert count_modalities(server, numbers) == [{"ES": 1, "SR": 1}] * 6
