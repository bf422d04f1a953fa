import pytest

from polypskd.config import parse_config
from polypskd.errors import ConfigError
from polypskd.labels.derivation import derive_labels


def configure(method: str, subclasses: dict) -> object:
    cohort = {"frames": {"kind": "none"}, "votes": {"kind": "long", "path": "v.csv"}}
    return parse_config(
        {
            "name": "x",
            "cohort": cohort | {"classes": ["low", "high"]},
            "labels": {"subclasses": subclasses, "resamples": 0},
            "student": {"method": {"kind": method}},
        }
    )


VOTES = [[0, 0, 0], [0, 0, 1], [1, 1, 1]] * 12  # class by annotator
LEVELS = {"kind": "agreement_levels", "levels": {"easy": 0.9, "hard": 0.0}}


@pytest.mark.parametrize("rule", [{"kind": "none"}, LEVELS | {"min_size": 1000}])
def test_skd_without_a_divided_class_is_refused(make_cohort, rule):
    cohort = make_cohort(VOTES, ("low", "high"))
    with pytest.raises(ConfigError, match="skd needs a class with more than one subclass"):
        derive_labels(cohort, configure("skd", rule))
    for method in ("kd", "none"):
        derive_labels(cohort, configure(method, rule))


def test_one_divided_class_is_enough_for_skd(make_cohort):
    examples, _ = derive_labels(make_cohort(VOTES, ("low", "high")), configure("skd", LEVELS))
    assert set(examples.subclass) == {"low/easy", "low/hard", "high/easy"}


def test_quantiles_that_become_one_level_are_told_with_the_cause(make_cohort):
    cohort = make_cohort([[0, 0, 1], [0, 1, 1]] * 18, ("low", "high"))
    rule = {"kind": "agreement_levels", "quantiles": 2}
    told = "2 quantiles became 1 level, because 100 % of training frames have agreement 0.67"
    with pytest.raises(ConfigError, match=f"{told}; give levels"):
        derive_labels(cohort, configure("skd", rule))
    _, described = derive_labels(cohort, configure("kd", rule))
    assert any(note.startswith(told) for note in described["notes"])


def test_levels_merged_for_lack_of_frames_are_told_where_skd_is_refused(make_cohort):
    cohort = make_cohort(VOTES, ("low", "high"))
    with pytest.raises(
        ConfigError, match=r"needs a class .*; low/hard \(.*\) merged into low/easy"
    ):
        derive_labels(cohort, configure("skd", LEVELS | {"min_size": 1000}))
