import base64

import pytest

from polypskd.reporting.figures import style
from polypskd.reporting.study.calibration import (
    draw_calibration,
    tabulate_calibration,
    tell_calibration,
)


def interval(value, width=0.05):
    return {"value": value, "low": value - width, "high": value + width}


def bin_errors(value):
    names = ("ece", "ece_equal_mass", "ece_debiased", "rmsce_debiased", "mce")
    return {name: interval(value + 0.01 * i) for i, name in enumerate(names)}


def curve(ici, defined=True):
    line = [0.1, 0.5, 0.9] if defined else [None] * 3
    return {
        **{"predicted": [0.1, 0.5, 0.9], "observed": line, "low": line, "high": line},
        **{"ici": interval(ici), "e50": interval(ici), "e90": interval(ici)},
        **{"knots": [], "n_frames": 90, "n_events": 30, "n_patients": 20},
        "bins": {"predicted": [0.25, 0.75], "observed": [0.2, 0.8], "n_frames": [45, 45]},
    }


def scaling(value, classes, *, curves=True, slope=0.8):
    parts = ("brier", "reliability", "resolution", "uncertainty", "skill")
    found = {
        "errors": {
            "top_label": bin_errors(value),
            "classwise": bin_errors(value),
            "per_class": {name: bin_errors(value + 0.1) for name in classes},
        },
        "brier": {
            "overall": {part: interval(value) for part in parts},
            "per_class": {name: {part: interval(value) for part in parts} for name in classes},
        },
        **{"nll": interval(value), "slope": interval(slope), "intercept": interval(0.0)},
    }
    if curves:
        found["curves"] = {name: curve(value) for name in classes}
        found["risk_curve"] = curve(value)
        found["smooth_error"] = {"top_label": interval(value), "risk": interval(value)}
    return found


def make_section(classes=("a", "b", "c"), positive=("b", "c"), **scalings):
    made = {
        "none": scaling(0.4, classes),
        "temperature": scaling(0.2, classes, slope=1.0),
        "vector": scaling(0.1, classes, curves=False),
        "isotonic": scaling(0.3, classes, curves=False),
    }
    level = {key: interval(0.6) for key in ("ece", "brier", "nll", "slope")}
    return {
        **{"positive": list(positive), "confidence": 0.9, "bins": 10},
        **{"n_frames": 90, "n_validation": 60, "least_frames": 30, "least_patients": 10},
        "scalings": made | scalings,
        "levels": {
            "easy": {"n_frames": 70, "n_patients": 18, "none": level, "temperature": level},
            "hard": {"n_frames": 20, "n_patients": 8, "not_assessable": "few"},
        },
    }


UNFITTED = {"not_assessable": "the validation split has no frames"}
ALONE = dict.fromkeys(("temperature", "vector", "isotonic"), UNFITTED)


def find(table, heading):
    (row,) = (row for row in table.rows if row[0] == heading)
    return dict(zip(table.head, row, strict=True))


def test_scalings_stand_side_by_side():
    table = tabulate_calibration(make_section())[0]
    assert table.head == ("", "As it is", "Temperature", "Vector", "Isotonic")
    row = find(table, "Negative log-likelihood")
    assert row["As it is"] == "0.400 (0.350 to 0.450)"
    assert row["Vector"] == "0.100 (0.050 to 0.150)"
    assert find(table, "ECE, equal-mass bins")["Isotonic"] == "0.310 (0.260 to 0.360)"
    assert "90% intervals by patient, 10 bins" in table.caption
    assert "Risk is the probability of b or c." in table.caption


def test_what_was_not_fitted_has_no_column_but_a_reason():
    tables = tabulate_calibration(make_section(**ALONE))
    assert tables[0].head == ("", "As it is")
    assert "temperature scaling: the validation split has no frames" in tables[0].caption
    assert tables[1].head == ("", "As it is")
    assert tables[2].head[3:] == ("ECE, as it is", "Brier, as it is", "Slope, as it is")


def test_each_class_and_the_risk_have_rows_before_and_after():
    table = tabulate_calibration(make_section())[1]
    assert table.head == ("", "As it is", "After temperature scaling")
    row = find(table, "b: ECE")
    assert row["As it is"] == "0.500 (0.450 to 0.550)"
    assert find(table, "Risk: ICI")["After temperature scaling"] == "0.200 (0.150 to 0.250)"
    assert find(table, "Smooth ECE, risk")["As it is"] == "0.400 (0.350 to 0.450)"


def test_of_two_classes_one_is_told_as_the_other_is_its_mirror():
    section = make_section(("a", "b"), ("a",))
    headings = [row[0] for row in tabulate_calibration(section)[1].rows]
    assert "a: ICI" in headings
    assert not any(heading.startswith(("b:", "Risk:")) for heading in headings)
    with style():
        assert len(draw_calibration(section)) == 1


def test_a_level_of_few_frames_has_counts_and_no_numbers():
    table = tabulate_calibration(make_section())[2]
    assert find(table, "easy")["Slope, after"] == "0.600 (0.550 to 0.650)"
    row = find(table, "hard")
    assert (row["Frames"], row["Patients"], row["ECE, as it is"]) == ("20", "8", "–")
    assert "fewer than 30 frames or 10 patients" in table.caption


def test_figures_are_one_a_class_and_one_of_the_risk_with_words_for_all_of_it():
    with style():
        pictures = draw_calibration(make_section())
    assert len(pictures) == 4
    assert "of a, 30 of 90 frames" in pictures[0].alt
    assert "of b or c" in pictures[3].alt
    assert "0.25 0.20, 0.75 0.80" in pictures[0].alt
    for picture in pictures:
        svg = base64.b64decode(picture.source.split(",")[1]).decode()
        assert "after temperature scaling" in svg
        assert "as it is 0.400" in picture.caption
    with style():
        assert draw_calibration(make_section())[0].source == pictures[0].source


def test_a_curve_that_is_undefined_is_not_drawn():
    section = make_section(**ALONE)
    section["scalings"]["none"]["curves"]["a"] = curve(0.1, defined=False)
    section["scalings"]["none"]["risk_curve"] = None
    with style():
        pictures = draw_calibration(section)
    assert len(pictures) == 2
    assert "temperature" not in pictures[0].caption


def test_a_strange_name_of_a_class_is_drawn_as_it_is():
    section = make_section(("$x$", "<b>", "c"), ("c",))
    with style():
        svg = base64.b64decode(draw_calibration(section)[1].source.split(",")[1]).decode()
    assert "&lt;b&gt;" in svg


def test_sentences_say_before_after_and_the_best_scaling():
    told = tell_calibration(make_section())
    assert "0.410 (0.360 to 0.460) as it is and 0.210 (0.160 to 0.260) after" in told[0]
    assert "vector scaling has the least" in told[1]
    worse = {kind: scaling(0.9, "abc", curves=False) for kind in ("vector", "isotonic")}
    section = make_section(temperature=scaling(0.8, "abc"), **worse)
    assert tell_calibration(section)[1].startswith("No scaling fitted on 60 validation frames")
    assert "no scaling was fitted: the validation" in tell_calibration(make_section(**ALONE))[0]


@pytest.mark.parametrize(
    ("slope", "words"),
    [
        (0.0, "not shown to rise"),
        (0.5, "too extreme after"),
        (1.5, "too cautious after"),
        (1.0, "not shown to be too extreme or too cautious"),
    ],
)
def test_the_slope_is_put_in_words(slope, words):
    section = make_section(temperature=scaling(0.2, "abc", slope=slope))
    assert words in tell_calibration(section)[2]


def test_a_section_that_is_not_assessable_has_a_reason_and_nothing_else():
    section = {"not_assessable": "the test split has no frames"}
    assert tabulate_calibration(section) == draw_calibration(section) == []
    assert "the test split has no frames" in tell_calibration(section)[0]
