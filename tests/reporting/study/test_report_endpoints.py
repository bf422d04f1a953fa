import pytest

from polypskd.reporting.study.endpoints import (
    list_endpoints,
    tabulate_endpoints,
    tell_endpoints,
)
from polypskd.reporting.study.polyps import tell_polyps, tell_rule
from polypskd.reporting.study.surveillance import tabulate_surveillance, tell_surveillance


def share(successes, trials, low=None, high=None):
    value = successes / trials if trials else None
    return {
        "value": value,
        "low": low,
        "high": high,
        "successes": successes,
        "trials": trials,
    }


def reach(measure, least, found, *, checked=True):
    return {
        "measure": measure,
        "least": least,
        "source": f"a society on {measure}",
        "checked": checked,
        **found,
    }


def endpoint(name, verdict, bound, reached, reason=""):
    return {
        "name": name,
        "by_value": verdict,
        "by_lower_bound": bound,
        "reason": reason,
        "reached": reached,
    }


@pytest.fixture
def section():
    rule = {"negative_to": 0.25, "positive_from": 0.75, "fixed_on": "val"}
    return {
        "unit": "lesions",
        "joined": {"rule": "mean_probability", "members": 900, "mixed": 0},
        "n": 300,
        "positive": 120,
        "patients": 80,
        "confidence": 0.9,
        "confidence_rule": {
            "kind": "coverage",
            "coverage": 0.9,
            "rule": rule,
            "reason": "",
            "kept": share(270, 300, 0.86, 0.94),
        },
        "sizes": {
            "known": 290,
            "unknown": 10,
            "bands": {"diminutive": 250, "small": 30, "large": 10},
            "reason": "",
        },
        "segments": {"reason": "no column tells segments; set study.polyps.segment"},
        "endpoints": [
            endpoint(
                "npv_rectosigmoid_diminutive",
                "not assessable",
                "not assessable",
                [reach("npv", 0.9, share(0, 0))],
                "no column tells segments",
            ),
            endpoint(
                "leave_in_situ",
                "met",
                "not met",
                [
                    reach("sensitivity", 0.925, share(95, 100, 0.9, 0.99), checked=False),
                    reach("specificity", 0.8, share(80, 100, 0.7, 0.9)),
                ],
            ),
            endpoint(
                "resect_and_discard",
                "not met",
                "not met",
                [reach("sensitivity", 0.8, share(70, 100, 0.6, 0.8))],
            ),
        ],
    }


@pytest.fixture
def surveillance():
    def one(guideline, strategy, agreed):
        found = share(agreed, 100, agreed / 100 - 0.05, agreed / 100 + 0.02)
        verdict = "met" if agreed >= 90 else "not met"
        return {
            "guideline": guideline,
            "version": "2020",
            "rule": "intervals agree if they have any point in common",
            "strategy": strategy,
            "agreement": found,
            "earlier": share(4, 100, 0.01, 0.08),
            "later": share(2, 100, 0.0, 0.05),
            "not_assessable": 7,
            "endpoint": endpoint(
                "surveillance_agreement",
                verdict,
                "not met",
                [reach("agreement", 0.9, found)],
                "each frame counts as a polyp of its own",
            ),
        }

    return {
        "exam": "exams",
        "exams": 107,
        "polyps": 420,
        "by_call": 300,
        "note": "each frame counts as a polyp of its own",
        "left_out": {"exams_of_unknown_histology": 3, "polyps_of_unknown_exam": 0},
        "called": {"adenoma": "tubular"},
        "confidence": 0.9,
        "guidelines": [
            one("esge", "resect_and_discard", 94),
            one("esge", "every_call", 91),
            one("usmstf", "resect_and_discard", 88),
            one("usmstf", "every_call", 84),
        ],
    }


def test_each_threshold_stands_in_words_beside_what_was_measured(section):
    table = tabulate_endpoints(section)[0]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows == {
        "NPV of diminutive rectosigmoid polyps: NPV": (
            "not assessable",
            "not assessable",
            "≥ 0.9",
            "–",
            "no column tells segments",
        ),
        "Leave in situ: sensitivity": (
            "met",
            "not met",
            "≥ 0.925 (unchecked)",
            "0.950 (0.900 to 0.990), 95/100",
            "–",
        ),
        "Leave in situ: specificity": (
            "met",
            "not met",
            "≥ 0.8",
            "0.800 (0.700 to 0.900), 80/100",
            "–",
        ),
        "Resect and discard: sensitivity": (
            "not met",
            "not met",
            "≥ 0.8",
            "0.700 (0.600 to 0.800), 70/100",
            "–",
        ),
    }
    assert "90% intervals" in table.caption


def test_the_column_of_remarks_is_left_out_where_there_is_none(section):
    section["endpoints"] = section["endpoints"][1:]
    table = tabulate_endpoints(section)[0]
    assert table.head[-1] == "Measured"
    assert all(len(row) == len(table.head) for row in table.rows)


def test_every_threshold_has_its_source_and_whether_it_was_checked(section, surveillance):
    table = tabulate_endpoints(section, surveillance)[1]
    assert table.rows[1] == (
        "Leave in situ",
        "sensitivity ≥ 0.925",
        "a society on sensitivity",
        "no",
    )
    assert sum(row[0] == "Agreement of surveillance intervals" for row in table.rows) == 1
    assert [row[3] for row in table.rows] == ["yes", "no", "yes", "yes", "yes"]


def test_sizes_are_counted_and_a_missing_column_has_no_rows(section):
    assert tabulate_endpoints(section)[2].rows == (
        ("Size", "diminutive", "250"),
        ("Size", "small", "30"),
        ("Size", "large", "10"),
        ("Size", "unknown", "10"),
    )


def test_surveillance_stands_among_the_endpoints_once_a_guideline(section, surveillance):
    titles = [one["title"] for one in list_endpoints(section, surveillance)]
    assert titles[-2:] == [
        "Agreement of surveillance intervals, ESGE 2020",
        "Agreement of surveillance intervals, USMSTF 2020",
    ]
    verdicts = [one["by_value"] for one in list_endpoints(section, surveillance)]
    assert verdicts[-2:] == ["met", "not met"]


def test_the_rule_of_confidence_and_unchecked_thresholds_are_told(section, surveillance):
    _, rule, unchecked = tell_endpoints(section, surveillance)
    assert "at most 0.250 or at least 0.750" in rule
    assert "keep 90% of its lesions; here that keeps 0.900 (0.860 to 0.940)" in rule
    assert "study.thresholds" in unchecked


def test_where_all_thresholds_are_checked_nothing_warns_of_them(section):
    for one in section["endpoints"][1]["reached"]:
        one["checked"] = True
    assert not any("unchecked" in text for text in tell_endpoints(section))


def test_polyps_are_told_with_the_rule_that_joined_their_frames(section):
    assert tell_polyps(section) == (
        "Judged: 300 lesions of 80 patients, 120 positive; each by the mean of its frames' "
        "probabilities (900 frames)."
    )
    section["joined"]["mixed"] = 4
    assert "4 have frames of several classes" in tell_polyps(section)


def test_a_rule_that_could_not_be_fixed_says_why():
    told = {"kind": "coverage", "rule": None, "reason": "the validation split has no frames"}
    assert tell_rule({"confidence_rule": told}) == (
        "No rule of confidence was fixed (the validation split has no frames), so every call "
        "counts."
    )


def test_agreement_is_told_for_each_guideline_and_strategy(surveillance):
    (table,) = tabulate_surveillance(surveillance)
    assert [row[3] for row in table.rows] == [
        "0.940 (0.890 to 0.960), 94/100",
        "0.910 (0.860 to 0.930), 91/100",
        "0.880 (0.830 to 0.900), 88/100",
        "0.840 (0.790 to 0.860), 84/100",
    ]
    assert table.rows[0][1:3] == ("met", "not met")
    assert table.rows[0][4:] == ("0.040 (0.010 to 0.080)", "0.020 (0.000 to 0.050)", "7")
    assert table.raw[0][3]["low"] == pytest.approx(0.89)
    found, caution, left_out = tell_surveillance(surveillance)
    assert "107 exams" in found
    assert "ESGE 2020 0.940" in found
    assert "0.910" not in found
    assert "several frames of one polyp" in caution
    assert left_out.startswith("Left out: 3 ")


def test_what_is_not_assessable_has_a_reason_and_no_table():
    none = {"not_assessable": "no column tells histology; set study.polyps.histology"}
    assert tabulate_endpoints(none) == tabulate_surveillance(none) == []
    assert tell_surveillance(none) == [
        "Surveillance intervals are not assessable: no column tells histology; set "
        "study.polyps.histology."
    ]
