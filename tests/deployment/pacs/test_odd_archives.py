"""Archives over DIMSE that lie, stop half-way, never end, or fall silent."""

import contextlib
import time
from io import BytesIO

import pytest
from small_studies import ENDOSCOPIC, build_instance, instance_uid, series_uid, study_uid

from polypskd.deployment.pacs.archive import InstanceEntry, Query
from polypskd.deployment.pacs.connections import Dimse
from polypskd.deployment.pacs.dimse import DimseArchive
from polypskd.deployment.pacs.settings import Transfer
from polypskd.errors import ArchiveError, OutputError

pytest.importorskip("pynetdicom")
pytestmark = pytest.mark.usefixtures("closed_lines")
FIND, GET = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.3"
WANTED = InstanceEntry(instance_uid(1), ENDOSCOPIC, series_uid(1), "ES")


@contextlib.contextmanager
def pretending(find=None, get=None, **limits):
    """An archive that answers as a test says."""
    from pynetdicom import AE, evt

    unit = AE(ae_title="ODD")
    unit.add_supported_context(FIND)
    unit.add_supported_context(GET)
    unit.add_supported_context(ENDOSCOPIC, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_C_FIND, find or nothing), (evt.EVT_C_GET, get or nothing)]
    server = unit.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    port = server.socket.getsockname()[1]
    settings = Dimse(kind="dimse", host="127.0.0.1", port=port, called_ae="ODD")
    archive = DimseArchive(settings, Transfer(**{"connect_s": 2, "read_s": 2} | limits))
    try:
        yield archive
    finally:
        archive.close()
        unit.shutdown()


def nothing(event):
    yield from ()


def answer(**values):
    from pydicom.dataset import Dataset

    told = Dataset()
    for keyword, value in values.items():
        setattr(told, keyword, value)
    return told


@pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length")
def test_uids_that_are_none_are_passed_over():
    def find(event):
        for uid in ("../../planted", "1" * 70, "", "1.2.3"):
            yield 0xFF00, answer(StudyInstanceUID=uid, ModalitiesInStudy="ES")
        yield 0xFF00, answer(StudyID="none")

    with pretending(find) as archive:
        assert [one.study_uid for one in archive.find(Query(modalities=("ES",)))] == ["1.2.3"]


def test_a_study_of_another_modality_than_was_asked_for_is_passed_over():
    def find(event):
        yield 0xFF00, answer(StudyInstanceUID="1.2.3", ModalitiesInStudy=["CT", "SR"])
        yield 0xFF00, answer(StudyInstanceUID="1.2.4", ModalitiesInStudy=["ES", "SR"])
        yield 0xFF00, answer(StudyInstanceUID="1.2.5")  # it does not say

    with pretending(find) as archive:
        found = [one.study_uid for one in archive.find(Query(modalities=("ES",)))]
        assert found == ["1.2.4", "1.2.5"]


def test_answers_without_end_are_an_error_and_the_next_question_is_answered():
    def find(event):
        number = 0
        while event.identifier.StudyInstanceUID != "1.2.3":
            number += 1
            yield 0xFF00, answer(StudyInstanceUID=f"1.2.{number}")

    with pretending(find) as archive:
        with pytest.raises(ArchiveError, match="more than 50 match"):
            archive.find(Query(most=50))
        assert archive.find(Query(study_uid="1.2.3")) == []


def test_an_archive_that_falls_silent_is_an_error_that_passes():
    def find(event):
        yield 0xFF00, answer(StudyInstanceUID="1.2.3")
        time.sleep(1.5)

    with pretending(find, read_s=0.4) as archive:
        with pytest.raises(ArchiveError) as told:
            archive.find(Query())
        assert told.value.transient


def test_an_archive_that_leaves_half_way_is_an_error_that_passes_and_no_short_list():
    def find(event):
        yield 0xFF00, answer(StudyInstanceUID="1.2.3")
        event.assoc.abort()
        yield 0xFF00, answer(StudyInstanceUID="1.2.4")

    with pretending(find) as archive:
        with pytest.raises(ArchiveError) as told:
            archive.find(Query())
        assert told.value.transient


@pytest.mark.parametrize(("status", "passes"), [(0xA700, True), (0xA900, False), (0x0122, False)])
def test_a_status_that_is_no_success_is_told(status, passes):
    def find(event):
        yield status, None

    with pretending(find) as archive:
        with pytest.raises(ArchiveError, match=f"0x{status:04X}") as told:
            archive.find(Query())
        assert told.value.transient is passes


def test_what_was_not_asked_for_is_not_written(tmp_path):
    def get(event):
        yield 2
        yield 0xFF00, build_instance(7)
        yield 0xFF00, build_instance(1, SOPInstanceUID="1.2.3.4")

    with pretending(get=get) as archive, pytest.raises(ArchiveError) as told:
        archive.fetch(study_uid(1), [WANTED], tmp_path / "in")
    assert told.value.gone
    assert [*(tmp_path / "in").iterdir()] == []


def test_an_instance_beyond_the_limit_is_an_error_and_leaves_nothing(tmp_path):
    def get(event):
        yield 1
        side = 700
        large = {"Rows": side, "Columns": side, "PixelData": bytes(3 * side * side)}
        yield 0xFF00, build_instance(1, **large)

    with pretending(get=get, most_megabytes=1) as archive, pytest.raises(ArchiveError):
        archive.fetch(study_uid(1), [WANTED], tmp_path / "in")
    assert [*(tmp_path / "in").iterdir()] == []


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    from polypskd.deployment.pacs import incoming

    def get(event):
        yield 1
        yield 0xFF00, build_instance(1)

    def open_full(handle, mode):
        return open("/dev/full", mode, buffering=0)  # noqa: PTH123

    monkeypatch.setattr(incoming.os, "fdopen", open_full)
    with pretending(get=get) as archive, pytest.raises(OutputError, match="free some space"):
        archive.fetch(study_uid(1), [WANTED], tmp_path / "in")
    monkeypatch.undo()
    assert [*(tmp_path / "in").iterdir()] == []


def test_a_part_that_is_no_instance_stays_small(tmp_path):
    from pynetdicom.dimse_messages import C_FIND_RSP, DIMSEMessage

    from polypskd.deployment.pacs.incoming import LARGEST_TALK, Intake, Part, Talk

    message = DIMSEMessage()
    message.__class__ = C_FIND_RSP
    part = Part(Intake(tmp_path, 1 << 30, 1), message, lambda file, message: None)
    assert isinstance(part, BytesIO)
    part.write(bytes(LARGEST_TALK))
    with pytest.raises(OSError, match="too large"):
        part.write(b"x")
    talk = Talk()
    talk.write(bytes(LARGEST_TALK))
    with pytest.raises(OSError, match="too large"):
        talk.write(b"x")
