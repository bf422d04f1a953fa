from dataclasses import replace

import numpy as np
import pytest

from polypskd.study.data import NotAssessableError
from polypskd.study.surveillance import describe_surveillance

CALLED = {"serrated": "ssl", "adenoma": "tubular"}
HISTOLOGY = np.array(["hyperplastic", "ssl", "tubular"])
POLYPS = {"histology": "path", "size_mm": "mm", "called": CALLED}


def by_reference(part):
    return HISTOLOGY[part.labels]


def of(section, guideline, strategy):
    return next(
        one
        for one in section["guidelines"]
        if (one["guideline"], one["strategy"]) == (guideline, strategy)
    )


def esge_years(polyps):
    """ESGE 2020 as one reads it: 3 years or back to screening; polyps are (histology, mm)."""
    adenomas = [size for kind, size in polyps if kind == "tubular"]
    serrated = [size for kind, size in polyps if kind != "tubular"]
    large = any(size >= 10 for size in adenomas + serrated)
    return 3 if large or len(adenomas) >= 5 else 10


def call_by_hand(data, low, high):
    """Name the likeliest class of the side that the risk stands on, with a plain loop."""
    names = []
    for p in data.test.calibrated:
        risk = sum(p[data.positive])
        side = risk >= high or (risk >= 0.5 and risk > low)
        names.append(max((p[k], k) for k in range(3) if data.positive[k] == side)[1])
    return HISTOLOGY[np.array(names)]


def test_agreement_under_esge_equals_a_reading_by_hand(make_data):
    data = make_data(
        n=400,
        patients=40,
        columns={"path": by_reference, "mm": ["4", "5", *["3"] * 9, "7", "5", *["4"] * 30, "11"]},
        polyps=POLYPS,
        confidence={"kind": "band", "negative_to": 0.3, "positive_from": 0.7},
    )
    section = describe_surveillance(data)
    names = call_by_hand(data, low=0.3, high=0.7)
    size = data.column("mm").astype(float)
    sure = (data.test.risk <= 0.3) | (data.test.risk >= 0.7)
    for strategy in ("resect_and_discard", "every_call"):
        by_call = (sure & (size <= 5)) if strategy == "resect_and_discard" else size > 0
        same = earlier = later = 0
        patients = sorted(set(data.test.patients.tolist()))
        for patient in patients:
            own = np.flatnonzero(data.test.patients == patient)
            truth = esge_years([(by_reference(data.test)[i], size[i]) for i in own])
            told = esge_years(
                [(names[i] if by_call[i] else by_reference(data.test)[i], size[i]) for i in own]
            )
            same += told == truth
            earlier += told < truth
            later += told > truth
        found = of(section, "esge", strategy)
        counts = [found[name]["successes"] for name in ("agreement", "earlier", "later")]
        assert counts == [same, earlier, later]
        assert found["agreement"]["trials"] == len(patients)
    assert section["by_call"] == (sure & (size <= 5)).sum()
    assert 0 < of(section, "esge", "every_call")["agreement"]["value"] < 1


def test_a_right_call_of_every_polyp_agrees_everywhere(make_data):
    data = make_data(columns={"path": by_reference, "mm": ["4"]}, polyps=POLYPS)
    perfect = np.eye(3)[data.test.labels] * 9
    data = replace(data, test=replace(data.test, student=perfect))
    for one in describe_surveillance(data)["guidelines"]:
        assert one["agreement"]["value"] == 1
        assert one["endpoint"]["by_value"] == "met"
        assert one["endpoint"]["name"] == "surveillance_agreement"


def test_both_guidelines_and_both_strategies_are_told(make_data):
    data = make_data(columns={"path": by_reference, "mm": ["4"]}, polyps=POLYPS)
    found = [
        (one["guideline"], one["version"], one["strategy"])
        for one in describe_surveillance(data)["guidelines"]
    ]
    assert found == [
        ("esge", "2020", "resect_and_discard"),
        ("esge", "2020", "every_call"),
        ("usmstf", "2020", "resect_and_discard"),
        ("usmstf", "2020", "every_call"),
    ]


def test_a_call_knows_no_dysplasia(make_data):
    data = make_data(
        columns={"path": ["tubular"], "mm": ["4"], "grade": ["high"]},
        polyps=POLYPS
        | {
            "dysplasia": "grade",
            "called": dict.fromkeys(("hyperplastic", "serrated", "adenoma"), "tubular"),
        },
        patients=20,
        n=40,
        confidence={"kind": "none"},
    )
    few = [np.sum(data.test.patients == name) < 5 for name in np.unique(data.test.patients)]
    found = of(describe_surveillance(data), "esge", "every_call")
    assert found["later"]["successes"] == np.sum(few)


def test_resection_in_pieces_is_the_same_on_both_sides(make_data):
    columns = {"path": by_reference, "mm": ["25"], "pieces": ["Yes"]}
    data = make_data(columns=columns, polyps=POLYPS | {"piecemeal": "pieces"})
    assert of(describe_surveillance(data), "esge", "every_call")["agreement"]["value"] == 1


def test_exams_are_counted_within_their_patient(make_data):
    columns = {"path": by_reference, "mm": ["4"], "exam": ["1", "2"]}
    data = make_data(n=160, columns=columns, polyps=POLYPS | {"exam": "exam"})
    section = describe_surveillance(data)
    exams = set(zip(data.test.patients.tolist(), data.column("exam").tolist(), strict=True))
    assert (section["exam"], section["exams"]) == ("exams", len(exams))


def test_exams_with_a_polyp_of_unknown_histology_are_left_out_and_counted(make_data):
    def path(part):
        return np.where(np.arange(len(part)) < 20, "", by_reference(part))

    data = make_data(columns={"path": path, "mm": ["4"]}, polyps=POLYPS)
    section = describe_surveillance(data)
    left_out = len(set(data.test.patients[:20].tolist()))
    assert section["left_out"]["exams_of_unknown_histology"] == left_out
    assert section["exams"] == len(set(data.test.patients.tolist())) - left_out


def test_an_exam_whose_needed_size_is_unknown_is_not_assessable(make_data):
    columns = {"path": by_reference, "mm": ["4", ""]}
    found = of(
        describe_surveillance(make_data(n=60, columns=columns, polyps=POLYPS)), "esge", "every_call"
    )
    assert found["not_assessable"] > 0
    assert found["agreement"]["trials"] == found["exams"] - found["not_assessable"]


def test_frames_that_stand_for_polyps_are_told_beside_the_endpoint(make_data):
    data = make_data(columns={"path": by_reference, "mm": ["4"]}, polyps=POLYPS)
    section = describe_surveillance(data)
    assert section["guidelines"][0]["endpoint"]["reason"] == section["note"] != ""


@pytest.mark.parametrize(
    ("columns", "polyps", "reason"),
    [
        ({}, {}, r"no column tells histology; set study\.polyps\.histology"),
        ({"path": ["tubular"]}, {"histology": "path"}, r"set study\.polyps\.size_mm"),
        (
            {"path": ["tubular"], "mm": ["4"]},
            {"histology": "path", "size_mm": "mm"},
            r"set study\.polyps\.called\.serrated to one of: tubular",
        ),
        ({"path": [""], "mm": ["4"]}, POLYPS, "no exam has the histology"),
    ],
)
def test_what_is_missing_is_told(make_data, columns, polyps, reason):
    with pytest.raises(NotAssessableError, match=reason):
        describe_surveillance(make_data(columns=columns, polyps=polyps))


def test_without_exams_and_patients_there_is_no_interval(make_data):
    columns = {"path": ["tubular"], "mm": ["4"]}
    data = make_data(columns=columns, polyps=POLYPS, patients_known=False)
    with pytest.raises(NotAssessableError, match=r"set study\.polyps\.exam or cohort\.patients"):
        describe_surveillance(data)


@pytest.mark.parametrize(
    ("name", "words"),
    [("histology", "tubular, "), ("dysplasia", "none, low, high"), ("piecemeal", "yes, true")],
)
def test_a_cell_that_cannot_be_read_is_counted_and_never_quoted(make_data, name, words):
    columns = {"histology": by_reference, "dysplasia": ["none"], "piecemeal": ["no"], "mm": ["4"]}
    columns[name] = lambda part: np.where(np.arange(len(part)) < 7, "Secret, P", columns_of(name))
    polyps = {one: one for one in ("histology", "dysplasia", "piecemeal")}
    data = make_data(columns=columns, polyps=POLYPS | polyps)
    with pytest.raises(NotAssessableError) as caught:
        describe_surveillance(data)
    assert f"study.polyps.{name}: 7 test cells cannot be read; write one of: {words}" in str(
        caught.value
    )
    assert "secret" not in str(caught.value).lower()


def columns_of(name):
    return {"histology": "ssl", "dysplasia": "low", "piecemeal": "yes"}[name]


def test_calls_that_lead_to_no_interval_disagree_and_are_counted(make_data):
    data = make_data(
        n=60,
        patients=60,
        classes=("adenoma", "cancer"),
        columns={"path": ["tubular"], "mm": ["4"]},
        polyps={"histology": "path", "size_mm": "mm", "called": {"adenoma": "tubular"}},
        confidence={"kind": "none"},
    )
    index = np.unique(data.test.patients, return_inverse=True)[1]
    wrong = index % 2  # every second patient's polyps are called cancer
    data = replace(data, test=replace(data.test, student=np.eye(2)[wrong] * 9))
    patients = index.max() + 1
    for one in describe_surveillance(data)["guidelines"]:
        assert one["agreement"]["trials"] == patients == one["exams"]
        assert one["no_interval_called"] == patients // 2
        assert one["agreement"]["successes"] == patients - patients // 2
        assert one["denominator"] == "exams with an interval by the reference"
        assert one["endpoint"]["by_value"] == "not met"
        assert one["not_assessable"] == 0


@pytest.mark.parametrize(("name", "clear"), [("dysplasia", "None"), ("piecemeal", "en bloc")])
def test_exams_whose_dysplasia_or_resection_is_unknown_are_left_out(make_data, name, clear):
    columns = {
        "path": by_reference,
        "mm": ["4"],
        "more": lambda part: np.where(np.arange(len(part)) < 20, "", clear),
    }
    data = make_data(columns=columns, polyps=POLYPS | {name: "more"})
    section = describe_surveillance(data)
    left_out = len(set(data.test.patients[:20].tolist()))
    assert section["left_out"] == {
        "exams_of_unknown_histology": 0,
        f"exams_of_unknown_{name}": left_out,
        "polyps_of_unknown_exam": 0,
    }
    assert section["exams"] == len(set(data.test.patients.tolist())) - left_out


def test_a_positive_call_enters_as_the_likeliest_positive_class(make_data):
    data = make_data(
        columns={"path": ["tubular"], "mm": ["4"]},
        n=20,
        patients=20,
        positive=["serrated", "adenoma"],
        polyps=POLYPS | {"called": {"serrated": "ssl", "adenoma": "cancer"}},
        confidence={"kind": "none"},
    )
    # Not positive is the likeliest class, and yet the risk is 0.6.
    logits = np.log(np.tile([0.4, 0.25, 0.35], (20, 1)))
    data = replace(data, test=replace(data.test, student=logits, temperature=1.0))
    section = describe_surveillance(data)
    found = of(section, "esge", "every_call")
    assert found["no_interval_called"] == found["exams"]  # all were called cancer
    assert section["call"] == "risk of at least 0.5, then the likeliest class of that side"
