import json
from dataclasses import replace

import numpy as np
import pytest

from polypskd.labels.examples import Examples
from polypskd.study.robustness import describe_robustness
from polypskd.study.sections import SECTIONS, describe_study

COLUMNS = {
    "mm": ["4", "5", "7", "12"],
    "place": ["rectum", "sigmoid", "cecum"],
    "exam": [f"exam {number}" for number in range(30)],
    "path": ["hyperplastic", "ssl", "tubular"],
    "mode": ["NBI", "WLE"],
}
SETTINGS = {
    "polyps": {
        "exam": "exam",
        "size_mm": "mm",
        "segment": "place",
        "histology": "path",
        "called": {"serrated": "ssl", "adenoma": "tubular"},
    },
    "subgroups": {"mode": {"column": "mode"}},
    "groups": {"annotator 0": "expert", "annotator 1": "expert", "annotator 2": "trainee"},
}
CALLS = {
    **dict.fromkeys(
        ("accuracy", "annotators", "subgroups", "noninferiority"), "most probable class"
    ),
    **dict.fromkeys(("endpoints", "predictive_values", "selective"), "risk of at least 0.5"),
    "surveillance": "risk of at least 0.5, then the likeliest class of that side",
}


def add_examples(data):
    """Give the examples of the test frames, each of a patient of its own where none is known."""
    test, n = data.test, len(data.test)
    consensus = np.array(data.classes)[test.labels]
    return replace(
        data,
        examples=Examples(
            *(test.frame_ids, test.frame_ids, test.patients, np.full(n, "test"), consensus),
            *(consensus, np.zeros(n, np.int64), np.zeros(n, np.int64)),
            *(np.ones(n), np.ones(n, np.int64)),
            votes={},
            carried=dict(test.columns),
        ),
    )


def find_counts(found, place=""):
    """Find every number told under a key that names patients."""
    if isinstance(found, dict):
        for name, value in found.items():
            if "patients" in name and isinstance(value, int) and not isinstance(value, bool):
                yield f"{place}/{name}"
            yield from find_counts(value, f"{place}/{name}")
    elif isinstance(found, list | tuple):
        for number, value in enumerate(found):
            yield from find_counts(value, f"{place}/{number}")


@pytest.fixture(scope="module")
def make_study(make_data):
    def make(patients_known):
        data = make_data(
            columns=COLUMNS, teacher=True, patients_known=patients_known, resamples=20, **SETTINGS
        )
        if not patients_known:
            names = data.test.frame_ids
            sample = type(data.sample).draw(names, 20, 0).hold()
            data = replace(data, test=replace(data.test, patients=names), sample=sample)
        return describe_study(add_examples(data))

    return make


@pytest.fixture(scope="module", params=[True, False], ids=["patients known", "unknown"])
def told(request, make_study):
    return request.param, make_study(request.param)


def test_each_section_says_whether_patients_are_known(told):
    known, study = told
    assert study["patients_known"] is known
    assert {study[name]["patients_known"] for name in SECTIONS} == {known}
    assert not [name for name in SECTIONS if "not_assessable" in study[name]]


def test_unknown_patients_are_nowhere_counted(told):
    known, study = told
    rules = ("least_patients", "hidden_patients")  # of the config
    counts = [place for place in find_counts(study) if not place.endswith(rules)]
    assert bool(counts) is known
    if not known:
        assert "of 240 patients" not in json.dumps(study)


def test_sections_name_the_rule_of_the_call(told):
    _, study = told
    assert {name: study[name]["call"] for name in SECTIONS if "call" in study[name]} == CALLS


def test_robustness_names_the_rule_of_the_call(make_data):
    data = make_data(corruptions={"kinds": ["jpeg"], "strengths": [1], "frames": 240})

    class Constant:
        def predict(self, frames, progress=None):
            return np.zeros(len(frames), dtype=np.int64)

    found = describe_robustness(data, np.zeros((240, 8, 8, 3), np.uint8), Constant())
    assert found["call"] == "most probable class"
