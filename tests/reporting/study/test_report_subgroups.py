import base64
import re

import pytest

from polypskd.reporting.figures import style
from polypskd.reporting.study.subgroups import (
    draw_forest,
    draw_subgroups,
    tabulate_subgroups,
    tell_subgroups,
)


def level(name, status="shown", value=0.8, difference=-0.1, p=0.5):
    counts = {"shown": (90, 30), "too few": (12, 4), "suppressed": (None, None)}[status]
    one = {
        "value": {"value": value, "low": value - 0.1, "high": value + 0.1},
        "difference": {"value": difference, "low": -0.2, "high": 0.1},
        "p": p,
        "p_adjusted": p,
    }
    names = ("sensitivity", "specificity", "f1", "accuracy", "macro_f1", "ece")
    metrics = dict.fromkeys(names, one) if status == "shown" else {}
    return {
        "name": name,
        "status": status,
        "n_frames": counts[0],
        "n_patients": counts[1],
        "metrics": metrics,
    }


@pytest.fixture
def section():
    overall = {"value": 0.85, "low": 0.8, "high": 0.9}
    names = ("sensitivity", "specificity", "f1", "accuracy", "macro_f1", "ece")
    levels = [
        level("NBI", p=0.01),
        level("<b>WLE</b> $x$", value=0.7),
        level("LCI", "too few"),
        level("BLI", "suppressed"),
    ]
    return {
        "metrics": list(names),
        "rules": {"least_frames": 30, "least_patients": 10, "confidence": 0.95},
        "overall": dict.fromkeys(names, overall),
        "columns": {
            "mode": {"levels": levels, "heterogeneity": {n: {"p": 0.03} for n in names}},
            "site": {"not_assessable": "the cohort has no column 'site'"},
        },
    }


def test_what_differs_from_the_rest_is_told_and_what_is_kept_back(section):
    first, second, third = tell_subgroups(section)
    assert "sensitivity is lower than elsewhere for mode: NBI" in first
    assert "WLE" not in first
    assert "of 4 in all: 1 for fewer than 30 frames or 10 patients; 1 suppressed" in second
    assert "the total less the others would give such a level away" in second
    assert "is not judged here: " in third


def test_no_difference_is_no_proof_of_none(section):
    section["columns"]["mode"]["levels"] = [level("NBI"), level("WLE", p=None)]
    assert tell_subgroups(section)[:-1] == [
        "No level differs from the rest of its column in sensitivity and specificity by more than "
        "chance explains, after adjustment for their number; that is no proof that they are equal."
    ]


def test_a_table_has_a_row_for_each_level_and_keeps_back_what_is_suppressed(section):
    (table,) = tabulate_subgroups(section)
    assert {len(row) for row in table.rows} == {len(table.head)}
    rows = {row[0]: row for row in table.rows}
    assert rows["NBI"][1:5] == ("90", "30", "0.800 (0.700 to 0.900)", "−0.100, p = 0.010")
    assert rows["LCI"][1:4] == ("12", "4", "too few")
    assert set(rows["BLI"][1:]) == {"suppressed", "–"}
    assert rows["Heterogeneity, p"][3] == "0.030"


def test_the_forest_plot_names_every_level_and_its_numbers(section):
    with style():
        pictures = draw_subgroups(section)
        text = base64.b64decode(pictures[0].source.split(",")[1]).decode()
        assert pictures == draw_subgroups(section)  # the same bytes
    assert len(pictures) == 2
    assert "mode, NBI: 0.800 (0.700 to 0.900)" in pictures[0].alt
    assert "0.850 (0.800 to 0.900)" in pictures[0].alt
    told = re.sub(r"\s+", " ", text)
    assert all(word in told for word in ("NBI", "too few", "suppressed", "n = 90", "p = 0.030"))
    assert "<b>" not in text


def test_a_section_without_numbers_draws_nothing(section):
    reason = {"not_assessable": "the test split has no frames"}
    assert tabulate_subgroups(reason) == draw_subgroups(reason) == []
    section["columns"]["mode"]["levels"] = [level("LCI", "too few")]
    with style():
        section["overall"] = {n: {"value": None, "low": None, "high": None} for n in ("f1",)}
        assert draw_forest(section, "f1") is None
    section["columns"] = {}
    assert tell_subgroups(section) == [
        "No column tells subgroups apart; name some under study.subgroups."
    ]
