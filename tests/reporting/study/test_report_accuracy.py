import pytest

from polypskd.reporting.study.accuracy import name_positives, tabulate_accuracy, tell_accuracy


def interval(value, low=None, high=None, **more):
    return {"value": value, "low": low, "high": high, **more}


def share(value, effect=1.0):
    clustered = {
        **interval(value, value - 0.2, value + 0.2),
        **{"trials": 40, "patients": 8, "icc": 0.1},
        **{"design_effect": effect, "effective_trials": 40 / effect},
    }
    return {
        **{"successes": 20, "trials": 40, "clustered": clustered},
        "wilson": interval(value, value - 0.11, value + 0.11),
        "clopper_pearson": interval(value, value - 0.12, value + 0.12),
        "gee": interval(value + 0.01, value - 0.13, value + 0.13),
        "percentile": interval(value, value - 0.14, value + 0.14),
        "bca": interval(value, None, None),
    }


def measure(value):
    both = interval(value, value - 0.3, value + 0.3)
    return {"percentile": both, "bca": both}


def diagnosis(start):
    names = ("sensitivity", "specificity", "ppv", "npv", "accuracy", "prevalence")
    found = {name: share(start + 0.01 * i) for i, name in enumerate(names)}
    return found | {name: measure(start - 0.1) for name in ("f1", "mcc", "balanced_accuracy")}


def make_section(positive=("b",), classes=("a", "b"), **more):
    areas = {"auroc_delong": interval(0.81, 0.7, 0.9), "average_precision": interval(0.61)}
    frames = {
        **{"n": 80, "positive": diagnosis(0.5), "risk": areas},
        "classes": {name: diagnosis(0.3 + 0.1 * k) for k, name in enumerate(classes)},
        "overall": {"accuracy": share(0.66), "macro_f1": measure(0.77)},
        **{area: dict.fromkeys(classes, value) for area, value in areas.items()},
    }
    return {
        **{"positive": list(positive), "confidence": 0.9, "patients_known": True},
        **{"frames": frames, "teacher": None},
        "lesions": {"not_assessable": "no column tells lesions"},
        "patients": {"not_assessable": "patients are unknown"},
        **more,
    }


def find(table, heading):
    (row,) = (row for row in table.rows if row[0] == heading)
    return dict(zip(table.head, row, strict=True))


def test_each_class_has_one_interval_a_score_and_the_caption_says_which():
    table = tabulate_accuracy(make_section())[0]
    assert "90% intervals by patient" in table.caption
    assert table.head == ("", "a", "b (positive)")
    # 0.3 ± 0.2 is Wilson's by patient; F1 has the percentile bootstrap's.
    assert find(table, "Sensitivity (recall)")["a"] == "0.300 (0.100 to 0.500)"
    assert find(table, "F1")["b (positive)"] == "0.300 (0.000 to 0.600)"
    assert find(table, "AUROC")["a"] == "0.810 (0.700 to 0.900)"
    assert find(table, "AUPRC (average precision)")["a"] == "0.610"


def test_several_positive_classes_have_a_column_together():
    table = tabulate_accuracy(make_section(("b", "c"), ("a", "b", "c")))[0]
    assert table.head == ("", "a", "b", "c", "All positive classes")
    assert find(table, "Specificity")["All positive classes"] == "0.510 (0.310 to 0.710)"


def test_all_intervals_stand_side_by_side():
    table = tabulate_accuracy(make_section())[-1]
    assert "side by side" in table.fold
    row = find(table, "Sensitivity (recall)")
    assert row["Frames"] == "20/40"
    assert row["Wilson"] == "0.390 to 0.610"
    assert row["Clopper–Pearson"] == "0.380 to 0.620"
    assert row["Wilson, clustered"] == "0.300 to 0.700"
    assert row["GEE"] == "0.510 (0.370 to 0.630)"
    assert row["Bootstrap, percentile"] == "0.360 to 0.640"
    assert row["Bootstrap, BCa"] == "–"
    assert find(table, "MCC")["Wilson"] == "–"
    raw = dict(zip(table.head, table.raw[0], strict=True))
    assert raw["Frames"] == "20 of 40"  # a spreadsheet reads 9/10 as a date
    assert raw["Wilson"] == {"value": 0.5, "low": 0.39, "high": 0.61}


def test_more_classes_than_stand_abreast_stand_in_rows():
    few = tabulate_accuracy(make_section())[0]
    many = tabulate_accuracy(make_section(classes=("a", "b", "c", "d", "e")))[0]
    assert many.head == ("Class", *(row[0] for row in few.rows))
    assert [row[0] for row in many.rows] == ["a", "b (positive)", "c", "d", "e"]
    assert find(many, "a")["F1"] == find(few, "F1")["a"]


def test_units_that_cannot_be_judged_say_why_and_others_by_which_rule():
    rule = {"rule": "majority", "reference": "max_risk", "of": "frames", "mixed": 3}
    lesions = {
        **{"n": 12, "positive": diagnosis(0.5), "overall": {"accuracy": share(0.66)}},
        "rule": rule,
    }
    section = make_section(lesions=lesions)
    table = tabulate_accuracy(section)[1]
    assert table.head == ("", "Frames", "Lesions")
    assert "Patients are not assessable: patients are unknown." in tell_accuracy(section)[-1]
    assert "Lesions are called by the majority of the frames" in table.caption
    assert "3 hold frames of several classes" in table.caption
    assert find(table, "Number")["Lesions"] == "12"
    assert find(table, "Accuracy, all classes")["Frames"] == "0.660 (0.460 to 0.860)"


def test_the_teacher_stands_beside_the_student():
    section = make_section()
    assert len(tabulate_accuracy(section)) == 2
    table = tabulate_accuracy(section | {"teacher": section["frames"]})[1]
    assert table.head == ("", "Student", "Teacher")
    assert find(table, "Macro-F1")["Teacher"] == "0.770 (0.470 to 1.070)"


def test_sentences_give_the_headline_and_what_clusters_cost():
    section = make_section()
    told, _ = tell_accuracy(section)
    assert "finds b with a sensitivity of 0.500 (0.300 to 0.700)" in told
    section["frames"]["positive"]["npv"] = share(0.5, effect=4.0)
    assert (
        "for the NPV 40 frames of 8 patients tell as much as 10 independent ones"
        in (tell_accuracy(section)[1])
    )


def test_unknown_patients_are_told():
    section = make_section(patients_known=False)
    assert "with 90% intervals: Wilson's for shares" in tabulate_accuracy(section)[0].caption
    caption = tabulate_accuracy(section)[-1].caption
    assert "All count frames as independent." in caption
    assert "GEE weighs patients" not in caption


def test_frames_alone_have_no_second_table():
    section = make_section()
    assert "accuracy-by-unit" not in [table.key for table in tabulate_accuracy(section)]
    assert "Lesions are not assessable: " in tell_accuracy(section)[-1]


def test_a_section_that_is_not_assessable_has_a_reason_and_no_table():
    section = {"not_assessable": "the test split has no frames"}
    assert tabulate_accuracy(section) == []
    assert "the test split has no frames" in tell_accuracy(section)[0]


@pytest.mark.parametrize(("names", "told"), [(["a"], "a"), (["a", "b"], "a or b")])
def test_positive_classes_are_named(names, told):
    assert name_positives({"positive": names}) == told
