"""Both ways of speaking with an archive, against a real one."""

import hashlib
import threading
import time

import pytest
from orthanc import (
    OURS,
    TITLE,
    USER,
    Orthanc,
    enter_own_network,
    miss_server,
)
from small_studies import (
    ENDOSCOPIC,
    SECONDARY,
    build_instance,
    compress_as_jpeg,
    instance_uid,
    series_uid,
    study_uid,
    write_bytes,
    write_instance,
)

from polypskd.cohort.frames import read_frame
from polypskd.deployment.pacs.archive import InstanceEntry, Query
from polypskd.deployment.pacs.connections import DicomWeb, Dimse
from polypskd.deployment.pacs.settings import Settings, Transfer
from polypskd.deployment.pacs.study_run import open_archive
from polypskd.errors import ArchiveError, OutputError

pytestmark = pytest.mark.skipif(bool(miss_server()), reason=miss_server() or "there")
PATIENCE = Transfer(connect_s=5, read_s=10)
WAYS = ("web", "get", "move")
MISSING = "1.2.3.4.5.6"


def strip_meta(data):
    """Take away what each carrier writes anew: preamble and file meta information."""
    return data[144 + int.from_bytes(data[140:144], "little") :]


@pytest.fixture(scope="module")
def network():
    with enter_own_network():
        yield


@pytest.fixture(scope="module")
def server(network, tmp_path_factory):
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        server.upload(*(write_bytes(build_instance(1, turn)) for turn in range(3)))
        jpeg = compress_as_jpeg(build_instance(2, SeriesDescription="Planted description"))
        server.upload(write_bytes(jpeg))
        capture = build_instance(2, 1, SOPClassUID=SECONDARY, Modality="OT")
        capture.SeriesInstanceUID = series_uid(22)
        server.upload(write_bytes(capture))
        yield server


def make(folder):
    folder.mkdir()
    return folder


def connect(server, way, folder, **changes):
    if way == "web":
        secret = folder / "password"
        secret.write_text(changes.pop("password", server.password))
        secret.chmod(0o600)
        told = {"kind": "dicomweb", "url": server.web, "username": USER, "password_file": secret}
        return open_archive(Settings(archive=DicomWeb(**told | changes), transfer=PATIENCE))
    told = {"kind": "dimse", "host": "127.0.0.1", "port": server.dicom_port, "called_ae": TITLE}
    told |= {"calling_ae": OURS, "retrieve": way, "listen_port": server.our_port}
    return open_archive(Settings(archive=Dimse(**told | changes), transfer=PATIENCE))


@pytest.fixture(params=WAYS)
def archive(request, server, tmp_path):
    opened = connect(server, request.param, tmp_path)
    yield opened
    opened.close()
    opened.close()


def test_it_answers(archive):
    assert "127.0.0.1" in archive.echo()
    assert "127.0.0.1" in archive.echo()


def test_studies_are_found_by_what_is_asked_for(archive):
    def found(**asked):
        return {one.study_uid: one for one in archive.find(Query(**asked))}

    assert {study_uid(1), study_uid(2)} <= {*found()}
    two = found(study_uid=study_uid(2))
    assert {*two} == {study_uid(2)}
    assert two[study_uid(2)].modalities == ("ES", "OT")
    assert two[study_uid(2)].count == 2
    assert {study_uid(1), study_uid(2)} <= {*found(modalities=("ES",))}
    assert study_uid(1) not in found(modalities=("OT",))
    assert {study_uid(1), study_uid(2)} <= {*found(modalities=("OT", "ES"))}
    assert found(modalities=("CT",)) == {}
    with pytest.raises(ArchiveError, match="more than 1 match"):
        archive.find(Query(modalities=("ES",), most=1))
    assert found(study_uid=MISSING) == {}


def test_studies_beyond_a_page_are_found_or_missed_aloud(server, tmp_path, monkeypatch):
    """Orthanc answers with nothing where it is asked for a modality from an offset on."""
    from polypskd.deployment.pacs import dicomweb

    archive = connect(server, "web", tmp_path)
    server.upload(write_bytes(build_instance(3)))
    everything = {one.study_uid for one in archive.find(Query(modalities=("ES",)))}
    assert len(everything) > 2
    monkeypatch.setattr(dicomweb, "PAGE", 2)
    with pytest.raises(ArchiveError, match="narrow the query"):
        archive.find(Query(modalities=("ES",)))
    assert {one.study_uid for one in archive.find(Query())} >= everything
    archive.close()


def test_days_are_inclusive(archive):
    from datetime import date

    def found(since, until):
        days = {
            name: date.fromisoformat(f"2024-01-0{day}") if day else None
            for name, day in (("since", since), ("until", until))
        }
        return bool(archive.find(Query(study_uid=study_uid(1), **days)))

    assert found(2, None)
    assert found(None, 2)
    assert found(2, 2)
    assert not found(3, None)
    assert not found(None, 1)


def test_instances_are_listed_with_class_series_and_modality(archive):
    told = archive.list_instances(study_uid(2))
    assert told == sorted(told, key=lambda one: one.sop_uid)
    assert {one.sop_uid: (one.sop_class, one.series_uid, one.modality) for one in told} == {
        instance_uid(2): (ENDOSCOPIC, series_uid(2), "ES"),
        instance_uid(2, 1): (SECONDARY, series_uid(22), "OT"),
    }
    described = {one.sop_uid: one.series_description for one in told}
    assert described[instance_uid(2)] == "Planted description"
    assert archive.list_instances(MISSING) == []


def test_what_is_fetched_is_what_was_stored_to_the_last_byte(archive, tmp_path):
    wanted = archive.list_instances(study_uid(2))
    files = archive.fetch(study_uid(2), wanted, make(tmp_path / "in"))
    assert [path.name for path in files] == [f"{one.sop_uid}.dcm" for one in wanted]
    sent = {
        instance_uid(2): compress_as_jpeg(
            build_instance(2, SeriesDescription="Planted description")
        ),
        instance_uid(2, 1): build_instance(
            2, 1, SOPClassUID=SECONDARY, Modality="OT", SeriesInstanceUID=series_uid(22)
        ),
    }
    for path in files:
        source = write_instance(tmp_path / "out", sent[path.stem])
        assert strip_meta(path.read_bytes()) == strip_meta(source.read_bytes())
        assert (read_frame(path) == read_frame(source)).all()
        assert path.stat().st_mode & 0o077 == 0
    assert sorted((tmp_path / "in").iterdir()) == sorted(files)


def test_only_what_is_wanted_is_fetched_and_nothing_twice(archive, tmp_path):
    wanted = archive.list_instances(study_uid(1))[:2]
    (tmp_path / "in").mkdir()
    there = tmp_path / "in" / f"{wanted[0].sop_uid}.dcm"
    there.write_bytes(b"of before")
    files = archive.fetch(study_uid(1), wanted, tmp_path / "in")
    assert len(files) == 2
    assert there.read_bytes() == b"of before"
    assert len([*(tmp_path / "in").iterdir()]) == 2


def test_what_is_gone_is_told(archive, tmp_path):
    left = archive.list_instances(study_uid(1))[:1]
    lost = InstanceEntry("1.2.3.4.5", ENDOSCOPIC, left[0].series_uid, "ES")
    assert len(archive.fetch(study_uid(1), [*left, lost], make(tmp_path / "a"))) == 1
    elsewhere = InstanceEntry("1.2.3.4.5", ENDOSCOPIC, "1.2.3.4", "ES")
    with pytest.raises(ArchiveError) as told:
        archive.fetch(MISSING, [elsewhere], make(tmp_path / "b"))
    assert told.value.gone
    assert not told.value.transient


def test_what_is_stored_is_there_once_and_again_is_no_refusal(archive, server, tmp_path):
    number = int.from_bytes(hashlib.sha256(str(tmp_path).encode()).digest()[:4], "big")
    files = [write_instance(tmp_path, build_instance(number))]
    files.append(write_instance(tmp_path, compress_as_jpeg(build_instance(number, 1))))
    uids = {instance_uid(number), instance_uid(number, 1)}
    assert archive.holds(study_uid(number), uids) == set()
    assert archive.store(files) == archive.store(files) == []
    assert archive.holds(study_uid(number), uids | {MISSING}) == uids
    told = server.ask("/dicom-web/instances", StudyInstanceUID=study_uid(number))
    assert {one["00080018"]["Value"][0] for one in told} == uids
    assert len(told) == 2
    fetched = archive.fetch(
        study_uid(number), archive.list_instances(study_uid(number)), make(tmp_path / "in")
    )
    for path in fetched:
        source = tmp_path / path.name
        assert strip_meta(path.read_bytes()) == strip_meta(source.read_bytes())


def test_what_the_archive_does_not_take_is_a_refusal_of_that_file_alone(server, tmp_path):
    archive = connect(server, "get", tmp_path)
    good = write_instance(tmp_path / "a", build_instance(70))
    strange = write_instance(tmp_path / "b", build_instance(71, SOPClassUID="1.2.3.4.5"))
    (refusal,) = archive.store([strange, good])
    assert refusal.file == strange
    assert not refusal.transient
    assert refusal.reason.startswith(f"127.0.0.1:{server.dicom_port}: it takes no ")
    assert archive.holds(study_uid(70), [instance_uid(70)])
    (tmp_path / "text.dcm").write_text("no DICOM")
    with pytest.raises(OutputError, match="is no DICOM file"):
        archive.store([tmp_path / "text.dcm"])
    archive.close()


def test_a_wrong_password_is_told_at_once_and_never_shown(server, tmp_path):
    archive = connect(server, "web", tmp_path, password="wr0ng-secret")  # noqa: S106
    with pytest.raises(ArchiveError, match="password") as told:
        archive.echo()
    assert not told.value.transient
    assert "wr0ng-secret" not in str(told.value)
    archive.close()


@pytest.mark.parametrize("way", ["get", "move"])
def test_wrong_ae_titles_are_told_at_once(way, server, tmp_path):
    wrong = {"called_ae": "ELSE"}, {"calling_ae": "NOBODY"}
    words = "is not called 'ELSE'", "does not know our AE title 'NOBODY'"
    for changes, word in zip(wrong, words, strict=True):
        archive = connect(server, way, tmp_path, **changes)
        for ask in (archive.echo, lambda one=archive: one.find(Query())):
            with pytest.raises(ArchiveError, match=word) as told:
                ask()
            assert not told.value.transient
            assert len(str(told.value).splitlines()) == 1
        archive.close()


def test_a_server_that_is_away_is_an_error_that_passes_and_then_it_goes_on(tmp_path, network):
    with Orthanc(tmp_path / "o") as server:
        server.upload(write_bytes(build_instance(1)))
        archives = [connect(server, way, tmp_path) for way in WAYS]
        for archive in archives:
            assert len(archive.find(Query())) == 1
        server.kill()
        for archive in archives:
            for ask in (archive.echo, lambda one=archive: one.find(Query())):
                with pytest.raises(ArchiveError) as told:
                    ask()
                assert told.value.transient
        server.start()
        for way, archive in zip(WAYS, archives, strict=True):
            entries = archive.list_instances(study_uid(1))
            assert len(archive.fetch(study_uid(1), entries, make(tmp_path / way))) == 1
        server.restart()  # between two questions over one connection
        for archive in archives:
            assert len(archive.find(Query())) == 1
            archive.close()


class LateEvent(threading.Event):
    """As if the thread that waited lost the processor right after it was let go on."""

    def wait(self, timeout=None):
        told = super().wait(timeout)
        time.sleep(0.003)
        return told


def test_no_answer_is_lost_where_two_threads_look_for_it(server, tmp_path):
    archive = connect(server, "get", tmp_path)
    asked = Query(study_uid=study_uid(1))
    archive.find(asked)
    archive._asking._reactor_checkpoint = late = LateEvent()
    late.set()
    assert [len(archive.find(asked)) for _ in range(60)] == [1] * 60
    assert archive._asking._reactor_checkpoint is late
    archive.close()


def test_an_archive_without_space_refuses_for_now(tmp_path, network):
    with Orthanc(tmp_path / "o", disk=3, changes={"MaximumStorageCacheSize": 0}) as server:
        large = build_instance(1, Rows=1200, Columns=1200, PixelData=bytes(1200 * 1200 * 3))
        path = write_instance(tmp_path / "out", large)
        for way in ("web", "get"):
            archive = connect(server, way, tmp_path)
            faults = store(archive, path)
            archive.close()
            assert faults
            assert all(one.transient for one in faults), faults
        archive = connect(server, "get", tmp_path)
        assert archive.holds(study_uid(1), [instance_uid(1)]) == set()
        server.grow(20)
        assert store(archive, path) == []
        archive.close()


def store(archive, path):
    """Store a file; give what is wrong, as a list of refusals or with the error itself."""
    try:
        return archive.store([path])
    except ArchiveError as error:
        return [error]
