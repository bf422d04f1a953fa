import base64

import pytest

from polypskd.reporting.figures import style
from polypskd.reporting.study.robustness import (
    draw_robustness,
    tabulate_robustness,
    tell_robustness,
)

NAMES = ("accuracy", "macro_f1", "sensitivity", "specificity")


def at(strength, number, change):
    value = {"value": 0.8, "low": 0.7, "high": 0.9}
    changed = {"value": change, "low": change - 0.1, "high": change + 0.1}
    metrics = {name: {"value": value, "change": changed} for name in NAMES}
    return {"strength": strength, "number": number, "metrics": metrics}


@pytest.fixture
def section():
    return {
        "n_frames": 500,
        "n_patients": 80,
        "confidence": 0.95,
        "clean": {name: {"value": 0.9, "low": 0.85, "high": 0.95} for name in NAMES},
        "kinds": {
            "blur": {"means": "share", "strengths": [at(1, 0.004, -0.02), at(5, 0.022, -0.3)]},
            "underexposure": {"means": "stops of light", "strengths": [at(3, -1.5, 0.05)]},
        },
    }


def test_the_costliest_corruption_is_told(section):
    size, sensitivity, specificity = tell_robustness(section)
    assert size.startswith("500 test frames of 80 patients")
    assert sensitivity == (
        "The largest loss of sensitivity among 3 changes is that of blur at strength 5: −0.300 "
        "(−0.400 to −0.200), from 0.900; its interval is not adjusted for being the largest."
    )
    assert "specificity" in specificity


def test_among_how_many_changes_it_is_the_largest_and_what_costs_nothing_is_told(section):
    section["kinds"]["blur"]["strengths"].pop()
    assert "among 2 changes is that of blur at strength 1" in tell_robustness(section)[1]
    section["kinds"].pop("blur")
    assert tell_robustness(section)[1:] == [
        "No corruption took sensitivity.",
        "No corruption took specificity.",
    ]
    undefined = {"value": None, "low": None, "high": None}
    for name in NAMES:
        section["kinds"]["underexposure"]["strengths"][0]["metrics"][name]["change"] = undefined
    section["n_patients"] = None
    assert len(tell_robustness(section)) == 1
    with style():
        draw_robustness(section)


def test_the_table_has_a_row_for_each_strength(section):
    (table,) = tabulate_robustness(section)
    assert [row[:3] for row in table.rows] == [
        ("Frames as they are", "–", "–"),
        ("Blur (share)", "1", "0.004"),
        ("Blur", "5", "0.022"),
        ("Underexposure (stops of light)", "3", "−1.5"),
    ]
    assert table.rows[3][3] == "+0.050 (−0.050 to 0.150)"
    assert {len(row) for row in table.rows} == {len(table.head)}


def test_the_figure_has_a_plot_for_each_kind(section):
    with style():
        (picture,) = draw_robustness(section)
        assert [picture] == draw_robustness(section)
        section["kinds"] |= dict.fromkeys(("jpeg", "crop"), section["kinds"]["blur"])
        (more,) = draw_robustness(section)
    assert "blur 5: sensitivity −0.300 (−0.400 to −0.200)" in picture.alt
    text = base64.b64decode(more.source.split(",")[1]).decode()
    assert all(kind in text for kind in ("blur", "underexposure", "jpeg", "crop"))


def test_nothing_is_drawn_of_nothing():
    reason = {"not_assessable": "study.corruptions.frames is 0"}
    assert draw_robustness(reason) == tabulate_robustness(reason) == []
