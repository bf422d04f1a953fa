"""Which instances are judged, by what the archive says of them and by what stands in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_studies import (
    SECONDARY,
    build_instance,
    instance_uid,
    study_uid,
    write_bytes,
    write_instance,
)

from polypskd.deployment.dicom_objects.result_objects import RESEARCH
from polypskd.deployment.pacs.archive import InstanceEntry, Query, is_uid, name_file
from polypskd.deployment.pacs.statuses import describe_status
from polypskd.deployment.pacs.study_inputs import find_stranger, select_files, select_inputs

REPORT, STATE = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.11.2"
PDF, DIRECTORY = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.1.3.10"
ENTRIES = st.builds(
    InstanceEntry,
    sop_uid=st.sampled_from(["1.1", "1.2", "1.3"]),
    sop_class=st.sampled_from([SECONDARY, REPORT, STATE, PDF, DIRECTORY, ""]),
    series_uid=st.just("1.9"),
    modality=st.sampled_from(["ES", "OT", ""]),
    series_description=st.sampled_from(["", "Colonoscopy", RESEARCH]),
    station=st.sampled_from(["", "TOWER1"]),
)


@given(st.lists(ENTRIES, max_size=6), st.sampled_from(["", "TOWER1"]), st.booleans())
def test_what_we_sent_and_what_shows_nothing_is_never_judged(entries, station, any_modality):
    query = Query(modalities=() if any_modality else ("ES",), station=station)
    chosen = select_inputs(entries, query, {"1.3"})
    for one in entries:
        wanted = (
            one.sop_uid != "1.3"
            and one.sop_class in {SECONDARY, ""}
            and one.series_description != RESEARCH
            and (any_modality or one.modality in {"ES", ""})
            and (not station or one.station == station)
        )
        assert (one in chosen) is wanted


def test_files_that_were_sent_to_us_are_chosen_by_the_same_rules(tmp_path):
    def write(turn, **changes):
        return write_instance(tmp_path, build_instance(1, turn, **changes))

    picture = write(0)
    other = write(1, Modality="OT")
    ours = write(2, SOPClassUID=SECONDARY, SeriesDescription=RESEARCH)
    report = write(3, SOPClassUID=REPORT)
    known = write(4)
    broken = name_file(tmp_path, instance_uid(1, 5))
    broken.write_bytes(write_bytes(build_instance(1, 5))[:200])
    files = [picture, other, ours, report, known, broken]
    chosen = select_files(files, Query(modalities=("ES",)), {known.stem})
    assert chosen == [picture, broken]  # what is broken is told when it is judged
    assert select_files(files, Query(station="TOWER1"), ()) == [broken]


def test_another_instance_or_study_than_asked_for_is_found(tmp_path):
    right = write_instance(tmp_path, build_instance(1))
    assert find_stranger([right], study_uid(1)) is None
    assert find_stranger([right], study_uid(2)) == right
    wrong = name_file(tmp_path, instance_uid(1, 9))
    wrong.write_bytes(write_bytes(build_instance(1, 8)))
    assert find_stranger([right, wrong], study_uid(1)) == wrong


@given(st.text(max_size=80))
def test_only_a_uid_becomes_the_name_of_a_file(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp()
    if is_uid(text):
        assert name_file(folder, text).parent == folder
        assert name_file(folder, text).resolve().is_relative_to(folder.resolve())
    else:
        with pytest.raises(ValueError, match="not a UID"):
            name_file(folder, text)


@given(st.from_regex(r"[0-9]+(\.[0-9]+)+", fullmatch=True))
def test_uids_of_64_signs_at_the_most_are_uids(uid):
    assert is_uid(uid) is (len(uid) <= 64)


@given(st.integers(0, 0xFFFF))
def test_every_status_has_words_and_its_number(status):
    words, transient = describe_status(status)
    assert f"0x{status:04X}" in words
    assert transient is (0xA700 <= status <= 0xA7FF or status == 0x0110)
