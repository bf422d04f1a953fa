import pytest

from polypskd.comparison.variants import (
    CONTROLS,
    KINDS,
    ORDERS,
    build_variant,
    check_comparison,
    list_references,
    name_methods,
)
from polypskd.config import Config, parse_config
from polypskd.errors import ConfigError


def page(**more: object) -> Config:
    return parse_config(
        {
            "name": "x",
            "cohort": {
                "frames": {"kind": "none"},
                "votes": {"kind": "counts", "path": "v.csv", "prefix": "votes_"},
                "classes": ["low", "high"],
            },
            "labels": {
                "subclasses": {"kind": "agreement_levels", "levels": {"easy": 0.8, "hard": 0.0}},
                "curriculum": {"kind": "staged", "epochs_per_stage": 2},
            },
            "student": {"method": {"kind": "skd", "temperature": 3, "alpha": 0.7}},
        }
        | more
    )


@pytest.mark.parametrize("method", [*KINDS, *CONTROLS, *ORDERS, "random_subclasses"])
def test_every_name_builds_a_page_of_the_same_cohort(method):
    config = page()
    built = build_variant(config, method, 5)
    assert built.fit_seed == 5
    assert built.seed == config.seed
    assert built.cohort == config.cohort
    assert built.teacher == config.teacher
    assert built.labels.leveling == config.labels.subclasses


@pytest.mark.parametrize(
    "method",
    [
        *("kd", "subclass_distillation", "class_wise", "ordinal_skd"),
        *("kd_subclass_teacher", "skd_subclass_term", "class_wise_subclass"),
    ],
)
def test_temperature_and_alpha_go_over_to_methods_that_mean_the_same_by_them(method):
    built = build_variant(page(), method, 0).student.method
    assert (built.temperature, built.alpha) == (3, 0.7)


def test_methods_with_settings_of_their_own_keep_them():
    assert build_variant(page(), "logit_std", 0).student.method.temperature == 2


def test_the_random_control_shuffles_the_pages_own_subclasses():
    built = build_variant(page(), "random_subclasses", 0)
    assert built.labels.subclasses.kind == "random"
    assert built.labels.subclasses.of == page().labels.subclasses
    assert built.student.method.kind == "skd"


def test_a_variant_of_the_page_is_known_by_its_name():
    config = page(comparison={"variants": {"hot": ["student.method.temperature=9"]}})
    assert "hot" in name_methods(config)
    assert build_variant(config, "hot", 0).student.method.temperature == 9


def test_a_variant_of_shuffled_subclasses_is_a_control_that_others_are_compared_with():
    shuffled = "labels.subclasses={kind: random, of: {kind: vote_count}}"
    variants = {"shuffled": [shuffled], "hot": ["student.method.temperature=8"]}
    config = page(comparison={"variants": variants})
    methods = ["hot", "shuffled", "skd", "kd"]
    assert list_references(config, methods) == ["kd", "shuffled"]
    check_comparison(config, ["skd", "shuffled"], 2)
    with pytest.raises(ConfigError, match="name one to compare with"):
        check_comparison(config, ["skd", "hot"], 2)


def test_curriculum_controls_need_a_curriculum():
    assert build_variant(page(), "anti_curriculum", 0).labels.curriculum.order == "hard_to_easy"
    labels = {"subclasses": {"kind": "vote_count"}}
    with pytest.raises(ConfigError, match="no curriculum"):
        build_variant(page(labels=labels), "anti_curriculum", 0)


@pytest.mark.parametrize(
    ("methods", "seeds", "told"),
    [
        (["none", "kd"], 1, "two seeds at least"),
        (["none"], 3, "two different methods"),
        (["none", "none"], 3, "two different methods"),
        (["skd", "lelp"], 3, "name one to compare with: none, kd"),
        (["none", "magic"], 3, "magic: not known; use none, kd, skd"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_training(methods, seeds, told):
    with pytest.raises(ConfigError, match=told):
        check_comparison(page(), methods, seeds)


def test_subclasses_to_shuffle_are_needed():
    with pytest.raises(ConfigError, match="no subclasses to shuffle"):
        check_comparison(page(labels={}), ["none", "random_subclasses"], 2)


@pytest.mark.parametrize(
    "setting",
    ["seed=3", "cohort.split.val=0.3", "training_seed=1", "labels.levels_by={kind: vote_count}"],
)
def test_a_variant_may_not_change_what_it_is_judged_on(setting):
    config = page(comparison={"variants": {"other": [setting]}})
    with pytest.raises(ConfigError, match="judged on the same frames"):
        build_variant(config, "other", 0)


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        (
            {"student": {"method": {"kind": "lelp"}}, "teacher": {"ensemble": 2}},
            "last layer of one teacher",
        ),
        (
            {"student": {"method": {"kind": "ordinal_skd"}}, "labels": {}},
            "ordinal_skd needs levels of agreement",
        ),
        (
            {
                "student": {"method": {"kind": "soft_votes", "form": "sigmoid"}},
                "cohort": {
                    "frames": {"kind": "none"},
                    "votes": {"kind": "counts", "path": "v.csv", "prefix": "votes_"},
                    "classes": ["low", "middle", "high"],
                },
            },
            "use form: linear",
        ),
    ],
)
def test_a_page_whose_method_cannot_use_it_is_refused_when_it_is_read(sections, told):
    with pytest.raises(ConfigError, match=told):
        page(**sections)


NARROW = {"network": {"kind": "resnet10", "width": 16}}  # its last layer has 128 inputs


def lelp(classes: int, invented: int) -> dict:
    votes = {"kind": "counts", "path": "v.csv", "prefix": "votes_"}
    names = [f"class {k}" for k in range(classes)]
    return {
        "cohort": {"frames": {"kind": "none"}, "votes": votes, "classes": names},
        "teacher": NARROW,
        "student": {"method": {"kind": "lelp", "invented": invented}},
    }


def test_a_teacher_too_narrow_for_lelp_is_refused_when_the_page_is_read():
    assert page(**lelp(78, 50)).teacher.network.features == 78 + 50
    told = (
        r"50 directions .* head of 79 classes .* has 128 in all; widen teacher\.network, or lower"
    )
    with pytest.raises(ConfigError, match=told):
        page(**lelp(79, 50))
    other = page(**lelp(124, 4) | {"student": {}})  # fit for kd, but not for lelp beside it
    with pytest.raises(ConfigError, match=r"compare, lelp: .*5 directions .* head of 124 classes"):
        check_comparison(other, ["kd", "lelp"], 2)


def test_levels_of_a_page_of_shuffled_subclasses_are_those_that_were_shuffled():
    rule = {"kind": "agreement_levels", "levels": {"easy": 0.8, "hard": 0.0}}
    config = page(labels={"subclasses": {"kind": "random", "of": rule}})
    for method in ("none", "skd"):
        assert build_variant(config, method, 3).labels.leveling.kind == "agreement_levels"
