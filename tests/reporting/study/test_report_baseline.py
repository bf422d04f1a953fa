import pytest

from polypskd.reporting.study.baseline import tabulate_baseline, tell_baseline


def split(frames, patients):
    return {
        "frames": frames,
        "patients": patients,
        "frames_per_patient": [1.0, 2.5, 4.0] if patients else None,
        "classes": {"low": frames // 2, "<b>high</b>": frames - frames // 2},
        "levels": {"easy": frames, "hard": 0},
        "votes_per_frame": [3.0, 5.0, 7.0],
    }


@pytest.fixture
def section():
    reasons = {f"reason {k}": 10 - k for k in range(8)}
    level = {"name": "NBI", "train": {"frames": 50, "patients": 9}, "val": None}
    level["test"] = {"frames": 1, "patients": None}
    return {
        "flow": {"given": 252, "left_out": reasons, "frames": 200, "patients": 40},
        "splits": {"train": split(100, 20), "val": split(40, 8), "test": split(60, 12)},
        "columns": {"mode": {"levels": [level]}, "site": {"not_assessable": "no column"}},
    }


def test_the_sentence_counts_what_was_given_and_what_is_judged(section):
    (told,) = tell_baseline(section)
    assert told.startswith("252 frames were given; 52 were left out.")
    assert "60 frames of 12 patients" in told
    section["flow"] |= {"given": 200, "left_out": {}}
    assert "all were kept" in tell_baseline(section)[0]


def test_the_table_holds_every_count(section):
    (table,) = tabulate_baseline(section)
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["Frames"] == ("100", "40", "60")
    assert rows["Frames a patient, median (range)"][0] == "2.5 (1 to 4)"
    assert rows["Class: low"] == ("50 (50%)", "20 (50%)", "30 (50%)")
    assert rows["mode: NBI"] == ("50 (50%), 9 pat.", "suppressed", "1 (2%)")
    assert {len(row) for row in table.rows} == {len(table.head)}


def test_counts_stay_numbers_for_a_spreadsheet(section):
    (table,) = tabulate_baseline(section)
    rows = {row[0]: row[1:] for row in table.raw}
    assert rows["Frames"] == (100, 40, 60)
    assert rows["Class: low"] == (50, 20, 30)
    assert rows["mode: NBI"] == (50, "suppressed", 1)


def test_what_is_not_assessable_has_no_table():
    reason = {"not_assessable": "the examples of all splits are not at hand"}
    assert tabulate_baseline(reason) == []
