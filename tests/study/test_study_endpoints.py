import json
from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from polypskd.config import Study
from polypskd.errors import ConfigError
from polypskd.study.endpoints import check_endpoints, describe_endpoints, read_segment

SIZES = ("3", "5", "5.5", "12", "", "4")
PLACES = ("rectum", "Sigmoid", "cecum", "S9", "")
POLYPS = {"size_mm": "mm", "segment": "place"}


def drawn(words, seed):
    def column(part):
        generator = np.random.default_rng(seed + len(part))
        return generator.choice(np.array(words), size=len(part))

    return column


COLUMNS = {"mm": drawn(SIZES, 1), "place": drawn(PLACES, 2)}


def by_name(section):
    return {one["name"]: one for one in section["endpoints"]}


def count_by_hand(data, low, high, sizes, places):
    """Count the two-by-two table of diminutive polyps at these places, with a plain loop."""
    cells = {"tn": 0, "fp": 0, "fn": 0, "tp": 0, "low": 0}
    rows = (data.test.risk, data.test.outcome, data.column("mm"), data.column("place"))
    for risk, outcome, size, place in zip(*rows, strict=True):
        if size not in sizes or (places and place not in places):
            continue
        if low < risk < high:
            cells["low"] += 1
        elif risk >= high:
            cells["tp" if outcome else "fp"] += 1
        else:
            cells["fn" if outcome else "tn"] += 1
    return cells


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("npv_rectosigmoid_diminutive", ("rectum", "Sigmoid")),
        ("leave_in_situ", ("rectum", "Sigmoid")),
        ("resect_and_discard", ()),
    ],
)
def test_each_endpoint_equals_a_count_by_hand(make_data, name, places):
    band = {"kind": "band", "negative_to": 0.35, "positive_from": 0.7}
    data = make_data(n=900, columns=COLUMNS, polyps=POLYPS, confidence=band)
    found = by_name(describe_endpoints(data))[name]
    cells = count_by_hand(data, 0.35, 0.7, ("3", "5", "4"), places)
    assert found["asked"] == sum(cells.values())
    sure = found["high_confidence"]
    assert (sure["successes"], sure["trials"]) == (
        found["asked"] - cells["low"],
        found["asked"],
    )
    shares = {
        "npv": (cells["tn"], cells["tn"] + cells["fn"]),
        "sensitivity": (cells["tp"], cells["tp"] + cells["fn"]),
        "specificity": (cells["tn"], cells["tn"] + cells["fp"]),
    }
    met, sure_of_it = [], []
    for one in found["reached"]:
        successes, trials = shares[one["measure"]]
        assert (one["successes"], one["trials"]) == (successes, trials)
        low, high = proportion_confint(successes, trials, method="wilson")
        assert one["wilson"]["low"] == pytest.approx(low, abs=1e-9)
        assert one["wilson"]["high"] == pytest.approx(high, abs=1e-9)
        met.append(successes / trials >= one["least"])
        sure_of_it.append(min(low, one["low"]) >= one["least"])
    assert found["by_value"] == ("met" if all(met) else "not met")
    assert found["by_lower_bound"] == ("met" if all(sure_of_it) else "not met")


def test_polyps_without_size_or_segment_are_left_out_and_counted(make_data):
    data = make_data(n=300, columns=COLUMNS, polyps=POLYPS)
    section = describe_endpoints(data)
    size, place = data.column("mm"), data.column("place")
    assert section["sizes"]["unknown"] == (size == "").sum()
    assert section["segments"]["unreadable"] == (place == "S9").sum()
    assert section["segments"]["unknown"] == np.isin(place, ["S9", ""]).sum()
    told = by_name(section)["resect_and_discard"]
    assert told["unknown"] == (size == "").sum()


def test_a_column_may_have_its_own_words_for_segments(make_data):
    given = POLYPS | {"segments": {"s9": "sigmoid", "Cecum": "elsewhere"}}
    section = describe_endpoints(make_data(n=300, columns=COLUMNS, polyps=given))
    place = np.array(COLUMNS["place"](range(300)))
    assert section["segments"]["segments"] == {
        "rectum": (place == "rectum").sum(),
        "sigmoid": np.isin(place, ["Sigmoid", "S9"]).sum(),
        "other": (place == "cecum").sum(),
    }
    assert section["segments"]["unreadable"] == 0


def test_what_a_segment_is_called_takes_no_heed_of_case():
    assert read_segment("RECTUM", {}) == "rectum"
    assert read_segment("Rectum", {"rectum": "other"}) == "other"


def test_without_columns_an_endpoint_is_not_assessable_and_says_what_to_set(make_data):
    found = by_name(describe_endpoints(make_data()))
    assert {one["by_value"] for one in found.values()} == {"not assessable"}
    assert found["leave_in_situ"]["reason"] == (
        "no column tells sizes; set study.polyps.size_mm; "
        "no column tells segments; set study.polyps.segment"
    )
    assert found["resect_and_discard"]["reason"] == (
        "no column tells sizes; set study.polyps.size_mm"
    )


def test_a_column_that_the_cohort_lacks_is_named(make_data):
    found = by_name(describe_endpoints(make_data(polyps={"size_mm": "mm"})))
    assert found["resect_and_discard"]["reason"] == "the cohort has no column 'mm'"


def test_thresholds_of_the_config_are_told_with_their_source(make_data):
    changed = {"leave_in_situ": {"sensitivity": 0.95}}
    data = make_data(columns=COLUMNS, polyps=POLYPS, thresholds=changed)
    own, other = by_name(describe_endpoints(data))["leave_in_situ"]["reached"]
    assert (own["least"], own["source"], own["checked"]) == (0.95, "set in study.thresholds", True)
    assert (other["least"], other["checked"]) == (0.8, False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"thresholds": {"pivi_1": {"npv": 0.9}}}, "study.thresholds: unknown endpoint 'pivi_1'"),
        (
            {"thresholds": {"leave_in_situ": {"npv": 0.9}}},
            r"study.thresholds.leave_in_situ: unknown measure 'npv'; .*sensitivity, specificity",
        ),
        (
            {"polyps": {"called": {"adenoma": "adenoma"}}},
            r"study.polyps.called.adenoma: unknown histology 'adenoma'; use one of: tubular, ",
        ),
    ],
)
def test_what_no_study_could_be_made_with_is_refused_before_training(settings, message):
    with pytest.raises(ConfigError, match=message):
        check_endpoints(Study.model_validate(settings))


def test_a_class_that_does_not_exist_is_refused_where_classes_are_known():
    settings = Study.model_validate({"polyps": {"called": {"adenomas": "tubular"}}})
    check_endpoints(settings)
    with pytest.raises(
        ConfigError, match=r"unknown class 'adenomas'; did you mean 'adenoma'\? use any of: low, "
    ):
        check_endpoints(settings, ("low", "adenoma"))


def test_the_defaults_are_fine():
    check_endpoints(Study(), ("low", "adenoma"))


def test_without_a_rule_all_calls_are_counted_and_the_endpoint_says_so(make_data):
    data = make_data(n=300, columns=COLUMNS, polyps=POLYPS, confidence={"kind": "none"})
    found = by_name(describe_endpoints(data))["resect_and_discard"]
    assert found["high_confidence"] is None
    assert found["reason"] == "no rule of high confidence was fixed: all calls are counted"
    assert found["asked"] == np.isin(data.column("mm"), ["3", "4", "5"]).sum()


def test_the_share_kept_by_the_rule_is_that_of_a_plain_loop(make_data):
    data = make_data(confidence={"kind": "band", "negative_to": 0.3, "positive_from": 0.8})
    told = describe_endpoints(data)["confidence_rule"]
    kept = sum(risk <= 0.3 or risk >= 0.8 for risk in data.test.risk.tolist())
    assert told["kept"]["value"] == kept / len(data.test)


def test_lesions_are_counted_once(make_data):
    def name(part):
        return np.array([f"{p}/{y}" for p, y in zip(part.patients, part.labels, strict=True)])

    data = make_data(
        columns={"lesion": name, "mm": ["4"], "place": ["rectum"]},
        polyps=POLYPS | {"lesion": "lesion"},
    )
    section = describe_endpoints(data)
    lesions = len(set(name(data.test).tolist()))
    assert (section["unit"], section["n"], section["joined"]["members"]) == (
        "lesions",
        lesions,
        240,
    )
    assert by_name(section)["resect_and_discard"]["asked"] == lesions


def test_other_test_labels_leave_the_rule_as_it_is(make_data):
    data = make_data(columns=COLUMNS, polyps=POLYPS)
    turned = replace(data, test=replace(data.test, labels=(data.test.labels + 1) % 3))
    one, other = (describe_endpoints(each) for each in (data, turned))
    assert one["confidence_rule"] == other["confidence_rule"]
    assert one["endpoints"] != other["endpoints"]


def test_the_section_is_plain_json_and_names_no_patient_or_frame(make_data):
    data = make_data(columns=COLUMNS, polyps=POLYPS)
    text = json.dumps(describe_endpoints(data), allow_nan=False)
    assert "patient 0" not in text
    assert "test-0" not in text


def test_an_endpoint_of_few_patients_has_no_numbers(make_data):
    def size(part):
        return np.where(np.isin(part.patients, np.unique(part.patients)[:4]), "4", "12")

    settings = {"columns": {"mm": size}, "polyps": {"size_mm": "mm"}, "least_patients": 1}
    data = make_data(n=800, **settings)
    told = by_name(describe_endpoints(data))["resect_and_discard"]
    assert told["reason"] == "fewer than 5 patients have such polyps"
    assert told["by_value"] == told["by_lower_bound"] == "not assessable"
    assert told["asked"] is told["unknown"] is told["high_confidence"] is None
    assert told["reached"] == []
    shown = describe_endpoints(make_data(n=800, hidden_patients=4, **settings))
    assert by_name(shown)["resect_and_discard"]["asked"] == (data.column("mm") == "4").sum()
    assert "n" in json.loads(json.dumps(describe_endpoints(data), allow_nan=False))


def test_size_bands_and_segments_of_few_patients_are_not_counted(make_data):
    def rarely(word, *others):
        def column(part):
            rare = np.isin(part.patients, np.unique(part.patients)[:2])
            return np.where(rare, word, np.array(others)[np.arange(len(part)) % len(others)])

        return column

    columns = {"mm": rarely("12", "4", "7"), "place": rarely("", "rectum", "sigmoid", "cecum")}
    data = make_data(n=400, columns=columns, polyps=POLYPS)
    section = describe_endpoints(data)
    bands = section["sizes"]["bands"]
    # A second band is held back: else the total would give the first one away.
    assert bands["large"] is None
    assert sum(count is None for count in bands.values()) == 2
    assert section["sizes"]["known"] == 400
    places = section["segments"]
    assert places["known"] is places["unknown"] is places["contradictory"] is None
    assert sum(count is None for count in places["segments"].values()) == 1
    assert by_name(section)["leave_in_situ"]["unknown"] is None
    assert by_name(section)["resect_and_discard"]["unknown"] == 0
    told = describe_endpoints(make_data(n=400, columns=columns, polyps=POLYPS, hidden_patients=1))
    assert told["sizes"]["bands"]["large"] == (data.column("mm") == "12").sum()
    assert told["segments"]["unknown"] == (data.column("place") == "").sum()
