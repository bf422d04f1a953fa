"""The receiver, and senders of every kind: honest, lying, half-way, too many, too large."""

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path

import pytest
from authority import OPENSSL, Authority
from small_studies import (
    ENDOSCOPIC,
    build_instance,
    compress_as_jpeg,
    instance_uid,
    study_uid,
    write_bytes,
    write_instance,
)

from polypskd.deployment.pacs.connections import Dimse, Receiver, Tls
from polypskd.deployment.pacs.dimse import DimseArchive
from polypskd.deployment.pacs.receiver import StoreReceiver
from polypskd.deployment.pacs.settings import Transfer
from polypskd.errors import ArchiveError, ConfigError

pytest.importorskip("pynetdicom")
# In a network of its own no other test takes a port between its choice and its use.
pytestmark = pytest.mark.usefixtures("network", "closed_lines")
PATIENCE = Transfer(connect_s=5, read_s=5)
SENDER = "MODALITY"


@contextlib.contextmanager
def receiving(folder: Path, most: int = 1000, **options):
    transfer = options.pop("transfer", PATIENCE)
    free = options.pop("free", 0)
    port = find_port()
    settings = Receiver(port=port, ae="OURS", callers=(SENDER,), **options)
    receiver = StoreReceiver(settings, folder, transfer, most)
    receiver.free = free
    with receiver:
        yield receiver


def find_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def call(receiver: StoreReceiver, **changes) -> DimseArchive:
    told = {"kind": "dimse", "host": "127.0.0.1", "port": receiver.port}
    told |= {"called_ae": "OURS", "calling_ae": SENDER} | changes
    return DimseArchive(Dimse(**told), PATIENCE)


def list_kept(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.dcm"))


def list_all(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def send_raw(receiver: StoreReceiver, dataset: bytes, **command):
    """Send a data set with whatever the command says of it; give the status, None for no answer."""
    from pydicom.dataset import Dataset
    from pynetdicom import AE, build_context

    unit = AE(ae_title=SENDER)
    unit.acse_timeout = unit.dimse_timeout = 5
    association = unit.associate(
        "127.0.0.1",
        receiver.port,
        contexts=[build_context(ENDOSCOPIC, "1.2.840.10008.1.2.1")],
        ae_title="OURS",
    )
    assert association.is_established
    from io import BytesIO

    from pynetdicom.dimse_primitives import C_STORE

    request = C_STORE()
    request.MessageID, request.Priority = 1, 2
    request.AffectedSOPClassUID = command.get("sop_class", ENDOSCOPIC)
    request._affected_sop_instance_uid = command["sop_uid"]
    request.DataSet = BytesIO(dataset)
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.001)
    association.dimse.send_msg(request, 1)
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association.abort()
    assert answer is None or isinstance(answer, C_STORE)
    assert Dataset
    return None if answer is None else answer.Status


def strip_meta(data: bytes) -> bytes:
    length = struct.unpack_from("<I", data, 140)[0]
    return data[144 + length :]


def test_what_is_sent_lies_there_as_it_was_and_is_given_out_once_quiet(tmp_path):
    files = [write_instance(tmp_path / "out", build_instance(1, turn)) for turn in range(3)]
    files.append(write_instance(tmp_path / "out", compress_as_jpeg(build_instance(2))))
    with receiving(tmp_path / "in") as receiver:
        archive = call(receiver)
        assert archive.echo().startswith("OURS at 127.0.0.1:")
        assert archive.store(files) == []
        archive.close()
        assert receiver.list_quiet(60) == []
        assert receiver.list_quiet(0) == [study_uid(1), study_uid(2)]
        received = receiver.give(study_uid(1))
        assert receiver.list_quiet(0) == [study_uid(2)]
    assert [path.name for path in received.files] == sorted(path.name for path in files[:3])
    for path in received.files:
        sent = tmp_path / "out" / path.name
        assert strip_meta(path.read_bytes()) == strip_meta(sent.read_bytes())
        assert path.stat().st_mode & 0o077 == 0


def test_the_same_instance_twice_is_one_and_another_of_its_name_is_refused(tmp_path):
    path = write_instance(tmp_path / "out", build_instance(1))
    other = write_instance(tmp_path / "other", build_instance(1, PatientID="PLANTED OTHER"))
    with receiving(tmp_path / "in") as receiver:
        archive = call(receiver)
        assert archive.store([path]) == archive.store([path]) == []
        (refusal,) = archive.store([other])
        archive.close()
    assert not refusal.transient
    assert "0xA900" in refusal.reason
    assert list_kept(tmp_path / "in") == [f"waiting/{study_uid(1)}/{instance_uid(1)}.dcm"]


@pytest.mark.parametrize("bad", [(1,), (0, 2), (0, 1, 2)])
def test_a_file_at_which_the_line_is_lost_stops_no_other_unless_many_do(bad, tmp_path, monkeypatch):
    files = [write_instance(tmp_path / "out", build_instance(1, turn)) for turn in range(5)]
    wrong = {instance_uid(1, turn) for turn in bad}
    take = StoreReceiver._take

    def drop(self, event):
        if str(event.request.AffectedSOPInstanceUID) in wrong:
            event.assoc.abort()
            return 0xC000
        return take(self, event)

    monkeypatch.setattr(StoreReceiver, "_take", drop)
    with receiving(tmp_path / "in") as receiver:
        archive = call(receiver)
        if len(bad) == 3:
            with pytest.raises(ArchiveError, match="closed the connection") as told:
                archive.store(files)
            assert told.value.transient
        else:
            refused = archive.store(files)
            assert {one.file.stem for one in refused} == wrong
            assert all("is the file whole?" in one.reason for one in refused)
            assert len(list_kept(tmp_path / "in")) == 5 - len(bad)
        archive.close()


def test_callers_that_are_not_known_or_call_another_are_told_so(tmp_path):
    with receiving(tmp_path / "in") as receiver:
        with pytest.raises(ArchiveError, match="is not called 'ELSE'"):
            call(receiver, called_ae="ELSE").echo()
        with pytest.raises(ArchiveError, match="does not know our AE title 'NOBODY'"):
            call(receiver, calling_ae="NOBODY").echo()


def test_what_is_finished_makes_room_and_what_is_not_survives_a_restart(tmp_path):
    files = [write_instance(tmp_path / "out", build_instance(number)) for number in range(4)]
    with receiving(tmp_path / "in", most=2) as receiver:
        archive = call(receiver)
        refused = archive.store(files[:3])
        assert [one.file for one in refused] == [files[2]]
        assert refused[0].transient
        assert "0xA700" in refused[0].reason
        receiver.finish(receiver.give(study_uid(0)))
        assert archive.store([files[2]]) == []
        archive.close()
        receiver.give(study_uid(1))  # and then a kill
    with receiving(tmp_path / "in", most=2) as receiver:
        assert sorted(receiver.list_quiet(0)) == sorted([study_uid(1), study_uid(2)])
        archive = call(receiver)
        assert [one.file for one in archive.store([files[3]])] == [files[3]]
        archive.close()
        received = receiver.give(study_uid(1))
        receiver.put_back(received)
        assert [path.read_bytes() for path in receiver.give(study_uid(1)).files]


def test_instances_that_come_after_a_study_was_given_out_are_a_study_again(tmp_path):
    first = write_instance(tmp_path / "out", build_instance(1, 0))
    later = write_instance(tmp_path / "out", build_instance(1, 1))
    with receiving(tmp_path / "in") as receiver:
        archive = call(receiver)
        archive.store([first])
        received = receiver.give(study_uid(1))
        archive.store([later])
        archive.close()
        assert receiver.list_quiet(0) == [study_uid(1)]
        receiver.put_back(received)
        assert len(receiver.give(study_uid(1)).files) == 2


def test_a_full_disk_is_answered_so_that_the_sender_tries_again(tmp_path):
    path = write_instance(tmp_path / "out", build_instance(1))
    with receiving(tmp_path / "in", free=1 << 62) as receiver:
        archive = call(receiver)
        (refusal,) = archive.store([path])
        archive.close()
    assert refusal.transient
    assert list_all(tmp_path / "in") == set()


LIES = {
    "the path leads out": {"sop_uid": "../../../../planted"},
    "another instance": {"sop_uid": "1.2.3"},
    "no instance": {"sop_uid": ""},
    "another class": {"sop_uid": instance_uid(1), "sop_class": "1.2.840.10008.5.1.4.1.1.7"},
    "too long": {"sop_uid": "1." + "2" * 200},
}


@pytest.mark.parametrize("command", LIES.values(), ids=LIES)
def test_a_command_that_lies_about_its_instance_is_refused(command, tmp_path):
    with receiving(tmp_path / "in") as receiver:
        status = send_raw(receiver, strip_meta(write_bytes(build_instance(1))), **command)
        assert status is None or status >= 0xA900
        assert call(receiver).echo()
    assert list_all(tmp_path) == set()


@pytest.mark.parametrize("uid", ["../../planted", "..", "/tmp/planted", "1.2/3", "", "1" * 65])  # noqa: S108
def test_a_study_of_no_uid_is_written_nowhere(uid, tmp_path):
    data = write_bytes(build_instance(1))
    padded = uid.encode().ljust(len(study_uid(1)) + len(study_uid(1)) % 2, b"\0")
    at = data.index(b"\x20\x00\x0d\x00UI")
    size = struct.unpack_from("<H", data, at + 6)[0]
    changed = data[:at] + b"\x20\x00\x0d\x00UI" + struct.pack("<H", len(padded)) + padded
    with receiving(tmp_path / "in") as receiver:
        told = strip_meta(changed + data[at + 8 + size :])
        assert send_raw(receiver, told, sop_uid=instance_uid(1)) in {0xA900, 0xC000}
    assert list_all(tmp_path) == set()


@pytest.mark.parametrize(
    "data",
    [b"\xff" * 5000, b"\0" * 5000, b"DICM", strip_meta(write_bytes(build_instance(1)))[:200]],
    ids=["ones", "zeros", "short", "cut"],
)
def test_what_is_no_data_set_is_refused(data, tmp_path):
    with receiving(tmp_path / "in") as receiver:
        assert send_raw(receiver, data, sop_uid=instance_uid(1)) in {0xA900, 0xC000}
        assert call(receiver).echo()
    assert list_all(tmp_path) == set()


def test_an_instance_beyond_the_limit_is_refused_for_good_and_takes_no_disk(tmp_path):
    large = build_instance(1)
    large.NumberOfFrames = 1
    large.Rows = large.Columns = 700  # 1.4 MB
    large.PixelData = bytes(700 * 700 * 3)
    path = write_instance(tmp_path / "out", large)
    small = Transfer(read_s=5, most_megabytes=1)
    with receiving(tmp_path / "in", transfer=small) as receiver:
        archive = call(receiver)
        (refusal,) = archive.store([path])
        archive.close()
    assert not refusal.transient
    assert list_all(tmp_path / "in") == set()


def open_line(receiver: StoreReceiver) -> socket.socket:
    return socket.create_connection(("127.0.0.1", receiver.port), timeout=10)


def is_ended(line: socket.socket) -> bool:
    """Whether the other side ends a connection, within the time-out, with few words."""
    try:
        while line.recv(1000):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def test_a_claim_of_gigabytes_ends_the_connection_at_once(tmp_path):
    with receiving(tmp_path / "in", transfer=Transfer(read_s=60)) as receiver:
        for kind in (1, 4):
            with open_line(receiver) as line:
                line.sendall(struct.pack(">BBL", kind, 0, 0xFFFFFFFF) + bytes(100))
                assert is_ended(line)
        assert call(receiver).echo()


def test_those_who_connect_and_say_nothing_do_not_keep_others_out_for_long(tmp_path):
    quick = Transfer(connect_s=2, read_s=0.5)
    with receiving(tmp_path / "in", transfer=quick) as receiver, contextlib.ExitStack() as lines:
        held = [lines.enter_context(open_line(receiver)) for _ in range(30)]
        held[0].sendall(struct.pack(">BBL", 1, 0, 200) + bytes(20))  # half a request
        assert all(map(is_ended, held))
        assert call(receiver).echo()
        assert threading.active_count() < 30


def test_a_sender_that_leaves_half_way_leaves_nothing(tmp_path):
    from pynetdicom import AE, build_context

    with receiving(tmp_path / "in") as receiver:
        unit = AE(ae_title=SENDER)
        association = unit.associate(
            "127.0.0.1", receiver.port, [build_context(ENDOSCOPIC)], ae_title="OURS"
        )
        from io import BytesIO

        from pynetdicom.dimse_messages import C_STORE_RQ
        from pynetdicom.dimse_primitives import C_STORE

        request = C_STORE()
        request.MessageID, request.Priority = 1, 2
        request.AffectedSOPClassUID = ENDOSCOPIC
        request.AffectedSOPInstanceUID = instance_uid(1)
        request.DataSet = BytesIO(bytes(100_000))
        message = C_STORE_RQ()
        message.primitive_to_message(request)
        for fragment in [*message.encode_msg(1, 16_000)][:4]:
            association.dul.send_pdu(fragment)
        assert wait_until(lambda: list_all(tmp_path / "in"))
        association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        assert wait_until(lambda: not list_all(tmp_path / "in"))
        association.kill()
        assert call(receiver).echo()


def test_parts_of_before_a_kill_are_removed(tmp_path):
    (tmp_path / "in" / "coming").mkdir(parents=True)
    (tmp_path / "in" / "coming" / ".0.part").write_bytes(b"half")
    with receiving(tmp_path / "in"):
        assert list_all(tmp_path / "in") == set()


def test_a_port_that_is_taken_is_told_in_one_line(tmp_path):
    with receiving(tmp_path / "in") as receiver:
        settings = Receiver(port=receiver.port, ae="OURS", callers=(SENDER,))
        with (
            pytest.raises(ConfigError, match="cannot be listened on"),
            StoreReceiver(settings, tmp_path / "b", PATIENCE, 10),
        ):
            pass


def wait_until(holds, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return False


def test_nothing_of_what_is_sent_is_said_aloud(tmp_path, capfd, caplog):
    caplog.set_level(0)
    path = write_instance(tmp_path / "out", build_instance(1))
    with receiving(tmp_path / "in", transfer=Transfer(read_s=0.5)) as receiver:
        archive = call(receiver)
        archive.store([path])
        archive.close()
        send_raw(receiver, b"\xffPLANTED" * 50, sop_uid=instance_uid(1))
        with open_line(receiver) as line:
            line.sendall(b"PLANTED" * 100)
            is_ended(line)
    told = capfd.readouterr()
    assert "PLANTED" not in told.out + told.err + caplog.text
    assert "Planted" not in told.out + told.err + caplog.text
    assert study_uid(1) not in told.out + told.err + caplog.text


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    if OPENSSL is None:
        pytest.skip("openssl is not installed")
    return Authority(tmp_path_factory.mktemp("ca"), "hospital")


def show(authority: Authority, name: str) -> Tls:
    papers = authority.sign(name)
    return Tls(ca_file=authority.certificate, client_cert=papers.certificate, client_key=papers.key)


def test_with_tls_both_sides_show_a_certificate_of_the_hospital(hospital, tmp_path):
    path = write_instance(tmp_path / "out", build_instance(1))
    stranger = Authority(tmp_path, "stranger")
    with receiving(tmp_path / "in", tls=show(hospital, "ours")) as receiver:
        archive = call(receiver, tls=show(hospital, "modality"))
        assert archive.echo().endswith("by TLS")
        assert archive.store([path]) == []
        archive.close()
        with pytest.raises(ArchiveError, match="certificate is not trusted") as told:
            call(receiver, tls=Tls(ca_file=stranger.certificate)).echo()
        assert not told.value.transient
        with pytest.raises(ArchiveError):
            call(receiver, tls=Tls(ca_file=hospital.certificate)).echo()
        papers = stranger.sign("modality")
        strange = Tls(
            ca_file=hospital.certificate, client_cert=papers.certificate, client_key=papers.key
        )
        with pytest.raises(ArchiveError):
            call(receiver, tls=strange).echo()
        with pytest.raises(ArchiveError):
            call(receiver).echo()  # without TLS
        with open_line(receiver) as quiet:  # shakes no hands, and stands in nobody's way
            assert call(receiver, tls=show(hospital, "modality")).echo()
            assert quiet.fileno() >= 0
    assert list_kept(tmp_path / "in") == [f"waiting/{study_uid(1)}/{instance_uid(1)}.dcm"]


def test_tls_older_than_1_2_is_refused(hospital, tmp_path):
    from polypskd.deployment.pacs.tls import OLDEST, build_client_context, build_server_context

    tls = show(hospital, "ours")
    for context in (build_client_context(tls), build_server_context(tls)):
        assert context.minimum_version == OLDEST == 0x0303
    assert build_client_context(tls).check_hostname


def test_a_key_that_is_open_to_others_or_no_key_is_refused_in_one_line(hospital, tmp_path):
    from polypskd.deployment.pacs.tls import build_client_context

    tls = show(hospital, "careless")
    tls.client_key.chmod(0o644)
    with pytest.raises(ConfigError, match="open to others"):
        build_client_context(tls)
    tls.client_key.write_text("no key")
    tls.client_key.chmod(0o600)
    with pytest.raises(ConfigError, match="is no certificate with its key"):
        build_client_context(tls)
    tls.ca_file.with_name("no.crt").write_text("nothing")
    with pytest.raises(ConfigError, match="holds no certificates"):
        build_client_context(Tls(ca_file=tls.ca_file.with_name("no.crt")))
    with pytest.raises(ConfigError, match="no such file"):
        build_client_context(Tls(ca_file=tmp_path / "missing.crt"))
