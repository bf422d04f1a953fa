from pathlib import Path

import pytest

from polypskd.config import parse_config, read_config
from polypskd.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


def minimal() -> dict:
    return {
        "name": "x",
        "cohort": {
            "frames": {"kind": "image_folder", "root": "frames"},
            "votes": {"kind": "long", "path": "votes.csv"},
            "classes": ["low", "high"],
        },
    }


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("configs/*.yaml"), *ROOT.glob("benchmarks/*.yaml")]), ids=str
)
def test_every_shipped_config_is_valid(path):
    assert read_config(path).name


def test_the_demo_is_the_shipped_synthetic_config():
    assert (ROOT / "polypskd" / "demo.yaml").read_text() == (
        ROOT / "configs" / "synthetic.yaml"
    ).read_text()


def test_an_unknown_key_is_named_in_one_line():
    with pytest.raises(
        ConfigError, match=r"^config: unknown key 'seeed'; did you mean 'seed'\?"
    ) as told:
        parse_config(minimal() | {"seeed": 3})
    assert "\n" not in str(told.value)


def test_a_wrong_value_is_told_with_its_key_and_value():
    with pytest.raises(ConfigError, match=r"seed -1: .*must be at least 0"):
        parse_config(minimal() | {"seed": -1})


@pytest.mark.parametrize("value", [".nan", ".inf"])
def test_a_number_that_is_not_finite_is_refused(value):
    with pytest.raises(ConfigError, match="finite"):
        parse_config(minimal(), (f"student.method.temperature={value}",))


def test_set_goes_through_the_same_validation():
    assert (
        parse_config(minimal(), ("student.method.temperature=2",)).student.method.temperature == 2
    )
    with pytest.raises(ConfigError, match=r"student\.method"):
        parse_config(minimal(), ("student.method.temperature=-2",))


def test_changing_a_kind_keeps_the_keys_that_both_kinds_have():
    raw = minimal() | {
        "student": {"method": {"kind": "skd", "temperature": 3.0, "hard_term": "subclass"}}
    }
    method = parse_config(raw, ("student.method.kind=kd",)).student.method
    assert (method.kind, method.temperature) == ("kd", 3.0)
    assert parse_config(raw, ("student.method.kind=none",)).student.method.kind == "none"


def test_a_key_of_another_kind_given_in_the_file_stays_an_error():
    raw = minimal() | {"student": {"method": {"kind": "kd", "hard_term": "class"}}}
    with pytest.raises(ConfigError, match="unknown key"):
        parse_config(raw, ("seed=3",))


def test_overrides_leave_the_callers_mapping_alone():
    raw = minimal()
    parse_config(raw, ("seed=3",))
    assert raw == minimal()


def test_paths_are_relative_to_the_config_file(tmp_path):
    path = tmp_path / "deep" / "c.yaml"
    path.parent.mkdir()
    path.write_text(
        "name: x\ncohort: {frames: {kind: image_folder, root: ../f},"
        " votes: {kind: long, path: v.csv}, classes: [a, b]}"
    )
    config = read_config(path)
    assert config.cohort.frames.root == tmp_path / "f"
    assert config.cohort.votes.path == tmp_path / "deep" / "v.csv"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: [", "not valid YAML"),
        ("- a\n- b", "must be a YAML mapping"),
        ("name: x\nname: y", "'name' stands twice"),
        ("name: !!python/object/apply:os.system ['true']", "not valid YAML"),
        ("", "must be a YAML mapping"),
    ],
)
def test_a_file_that_is_no_config_is_told_in_one_line(tmp_path, text, told):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=told) as error:
        read_config(path)
    assert "\n" not in str(error.value)


def test_a_missing_config_is_told(tmp_path):
    with pytest.raises(ConfigError, match="config file not found"):
        read_config(tmp_path / "none.yaml")


def test_a_config_in_another_encoding_is_told(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes("name: é".encode("latin-1"))
    with pytest.raises(ConfigError, match="UTF-8"):
        read_config(path)


def test_thresholds_must_fall():
    raw = minimal() | {
        "labels": {"subclasses": {"kind": "agreement_levels", "levels": {"a": 0.5, "b": 0.9}}}
    }
    with pytest.raises(ConfigError, match="must fall from the easiest to the hardest"):
        parse_config(raw)


@pytest.mark.parametrize("name", ['a"b', "a/b", "a\nb"])
def test_a_class_name_that_would_break_a_table_is_refused(name):
    raw = minimal()
    raw["cohort"]["classes"] = ["low", name]
    with pytest.raises(ConfigError, match="a quote, a slash or a line break"):
        parse_config(raw)


def test_merge_must_name_every_class_and_no_vote_twice():
    raw = minimal()
    raw["cohort"]["merge"] = {"low": ["a"]}
    with pytest.raises(ConfigError, match="keys must be the classes"):
        parse_config(raw)
    raw["cohort"]["merge"] = {"low": ["a"], "high": ["a"]}
    with pytest.raises(ConfigError, match="stands in two classes"):
        parse_config(raw)


def test_a_kind_is_not_told_as_a_part_of_the_path():
    told = r"unknown key 'labels\.subclasses\.min_size' \(of kind none\)"
    with pytest.raises(ConfigError, match=told):
        parse_config(minimal(), ("labels.subclasses.min_size=5",))
    with pytest.raises(ConfigError, match=r": student\.method\.temperature -2"):
        parse_config(minimal(), ("student.method.temperature=-2",))
    raw = minimal()
    del raw["cohort"]["votes"]["path"]
    with pytest.raises(ConfigError, match=r": cohort\.votes\.path: is missing"):
        parse_config(raw)


def test_an_override_without_a_value_is_told_with_examples():
    told = r"--set seed: write it as key=value, e\.g\. seed=3 or student\.method\.temperature=2"
    with pytest.raises(ConfigError, match=told):
        parse_config(minimal(), ("seed",))


def test_levels_that_are_missing_are_told_with_an_example():
    raw = minimal() | {"labels": {"subclasses": {"kind": "agreement_levels"}}}
    with pytest.raises(ConfigError, match=r"levels: \{easy: 0\.9, hard: 0\.0\}"):
        parse_config(raw)


def test_a_folder_given_as_a_config_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"is a folder; give its config\.yaml"):
        read_config(tmp_path)
