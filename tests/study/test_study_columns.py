import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.config import Config, Study
from polypskd.errors import ConfigError
from polypskd.pipeline import derive
from polypskd.runs import open_run
from polypskd.study.columns import check_columns, read_levels, read_numbers
from polypskd.study.endpoints import check_endpoints
from polypskd.verbs import check

SIZES = {"mm": np.array(["4", "", "12.5", "NA"])}


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"polyps": {"lesion": "polyp"}}, "study.polyps.lesion: the cohort has no column 'polyp'"),
        ({"subgroups": {"a": {"column": "site"}}}, "study.subgroups.a.column: the cohort has no"),
        ({"groups": {"Cy": "expert"}}, "no annotator 'Cy'; they are: Ann, Bo"),
        ({"groups": {"Ann": "all"}}, "the group 'all' is that of all annotators"),
    ],
)
def test_what_the_cohort_lacks_is_told_in_one_line(section, told):
    with pytest.raises(ConfigError, match=".*".join(told.split("; "))) as caught:
        check_columns(Study.model_validate(section), SIZES, ["Bo", "Ann", ""])
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_column_is_told_with_those_that_are_there():
    study = Study.model_validate({"subgroups": {"a": {"column": "site"}}})
    with pytest.raises(ConfigError, match="its columns are: mm"):
        check_columns(study, SIZES, [])
    with pytest.raises(ConfigError, match="it has none"):
        check_columns(study, {}, [])


@pytest.mark.parametrize("section", ["edges", "size_mm"])
def test_a_word_among_numbers_is_told(section):
    study = Study.model_validate(
        {"subgroups": {"size": {"column": "mm", "edges": [6]}}}
        if section == "edges"
        else {"polyps": {"size_mm": "mm"}}
    )
    check_columns(study, SIZES, [])
    with pytest.raises(ConfigError, match=r"column 'mm' holds '5 mm', which is no number"):
        check_columns(study, {"mm": np.array(["4", "5 mm"])}, [])
    with pytest.raises(ConfigError, match="'inf'"):
        check_columns(study, {"mm": np.array(["inf"])}, [])


def test_a_column_of_names_is_refused_as_a_subgroup():
    study = Study.model_validate({"subgroups": {"a": {"column": "id"}}})
    check_columns(study, {"id": (np.arange(200) % 50).astype(str)}, [])
    with pytest.raises(ConfigError, match="51 different values, more than 50"):
        check_columns(study, {"id": np.tile(np.arange(51).astype(str), 4)}, [])


@pytest.mark.parametrize(
    ("levels", "patients"),
    [(11, 21), (20, 20), (3, 3), (9, 9)],
)
def test_a_column_that_tells_patients_apart_is_refused_without_quoting_it(levels, patients):
    study = Study.model_validate({"subgroups": {"a": {"column": "who"}}})
    owner = np.repeat(np.arange(patients), 6)
    columns = {"who": np.char.add("Secret ", (owner % levels).astype(str))}
    told = f"subgroups.a: column 'who' has {levels} different values for {patients} patients"
    with pytest.raises(ConfigError, match=told) as caught:
        check_columns(study, columns, [], owner.astype(str))
    assert "Secret" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(("levels", "patients"), [(11, 22), (10, 12), (2, 2), (50, 100)])
def test_a_column_of_few_levels_is_taken(levels, patients):
    study = Study.model_validate({"subgroups": {"a": {"column": "site"}}})
    owner = np.repeat(np.arange(patients), 6)
    check_columns(study, {"site": (owner % levels).astype(str)}, [], owner.astype(str))


def test_a_level_for_each_frame_is_refused_where_patients_are_not_told():
    study = Study.model_validate({"subgroups": {"a": {"column": "frame"}}})
    with pytest.raises(ConfigError, match="tells them apart"):
        check_columns(study, {"frame": np.arange(12).astype(str)}, [])


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5, unique=True).map(sorted),
    st.lists(st.floats(-2e6, 2e6), min_size=1, max_size=20),
)
def test_each_number_lies_in_the_one_band_that_a_loop_finds(edges, numbers):
    column = read_levels(np.array([repr(x) for x in numbers]), edges, "x")
    assert len(set(column.levels)) == len(edges) + 1
    for level, number in zip(column.values, numbers, strict=True):
        assert level == column.levels[sum(number >= edge for edge in edges)]


def test_what_is_no_number_is_unknown():
    words = np.array(["4", "", "big", "inf", " 6 "])
    assert np.isnan(read_numbers(words)).tolist() == [False, True, True, True, False]
    column = read_levels(words, (6, 10), "x")
    assert column.values.tolist() == ["< 6", "unknown", "unknown", "unknown", "6 to < 10"]
    assert column.levels == ("< 6", "6 to < 10", "≥ 10")


def test_words_are_levels_and_those_for_nothing_are_unknown():
    column = read_levels(np.array(["NBI ", "NA", "", "WLE", "Unknown"]), (), "mode")
    assert column.values.tolist() == ["NBI", "unknown", "unknown", "WLE", "unknown"]
    assert column.levels == ("NBI", "WLE")


def test_check_and_derive_refuse_before_anything_is_written(tmp_path):
    page = {
        "name": "x",
        "cohort": {
            "frames": {
                "kind": "synthetic",
                "patients": 9,
                "frames_per_patient": 3,
                "size": 48,
                "annotators": 3,
            },
            "votes": {"kind": "synthetic"},
            "classes": ["low", "high"],
        },
        "labels": {"subclasses": {"kind": "none"}, "resamples": 0},
        "student": {"method": {"kind": "none"}},
        "study": {"groups": {"nobody": "expert"}},
    }
    (tmp_path / "run").mkdir()
    run = open_run(Config.model_validate(page), tmp_path / "run")
    with pytest.raises(ConfigError, match="no annotator 'nobody'; they are: annotator_1, "):
        derive(run)
    assert not (run.folder / "examples.csv").exists()
    page["study"] = {"subgroups": {"site": {"column": "site"}}}
    with pytest.raises(ConfigError, match="no column 'site'"):
        check(Config.model_validate(page), tmp_path / "cohort")
    page["study"] = {"groups": {"annotator_1": "expert"}}
    check(Config.model_validate(page), tmp_path / "cohort")


def test_every_fault_of_a_study_is_told_at_once_with_the_name_most_like_it():
    section = {
        "polyps": {"size_mm": "m", "segment": "place", "segments": {"Rektum": "rectum"}},
        "subgroups": {"a": {"column": "site"}, "b": {"column": "mm"}},
        "groups": {"An": "expert", "Bo": "all"},
    }
    columns = SIZES | {"place": np.array(["rectum ", "Colon", ""])}
    with pytest.raises(ConfigError) as caught:
        check_columns(Study.model_validate(section), columns, ["Ann", "Bo"])
    assert list(caught.value.lines) == [
        "study.polyps.size_mm: the cohort has no column 'm'; did you mean 'mm'? its columns are: "
        "mm, place",
        "study.subgroups.a.column: the cohort has no column 'site'; its columns are: mm, place",
        "study.polyps.segments: column 'place' never says 'Rektum'; did you mean 'rectum'? it "
        "says: Colon, rectum",
        "study.groups: the cohort has no annotator 'An'; did you mean 'Ann'? they are: Ann, Bo",
        "study.groups: the group 'all' is that of all annotators; rename yours",
    ]


def test_a_segment_that_the_column_says_in_other_letters_is_taken():
    study = Study.model_validate(
        {"polyps": {"segment": "place", "segments": {" RECTUM": "rectum", "colon": "elsewhere"}}}
    )
    check_columns(study, {"place": np.array(["rectum ", "Colon", ""])}, [])
    check_columns(Study.model_validate({"polyps": {"segments": {"x": "rectum"}}}), {}, [])


def test_a_misspelled_segment_histology_or_class_is_told_with_the_right_word():
    section = {
        "polyps": {
            "segments": {"a": "sigmiod", "b": "Rectum", "c": "transverse", "d": "anywhere"},
            "called": {"adenom": "tubulous", "adenoma": "tubular adenom"},
        },
        "thresholds": {"leave_in_situ": {"sens": 0.9}, "leave": {"sensitivity": 0.9}},
    }
    with pytest.raises(ConfigError) as caught:
        check_endpoints(Study.model_validate(section), ["adenoma", "serrated"])
    told = "\n".join(caught.value.lines)
    assert "study.polyps.segments.a: unknown segment 'sigmiod'; did you mean 'sigmoid'?" in told
    assert "unknown class 'adenom'; did you mean 'adenoma'? use any of: adenoma, serrated" in told
    assert "study.thresholds.leave_in_situ: unknown measure 'sens'" in told
    assert "study.thresholds: unknown endpoint 'leave'" in told
    assert "called.adenom: unknown histology 'tubulous'" in told
    assert len(caught.value.lines) == 6
