import re
from importlib import resources

import pytest
import yaml

from polypskd.config import Config, parse_config, read_config
from polypskd.config.misfits import WORDS, list_keys
from polypskd.errors import ConfigError

NUMERIC = {"gt": "greater_than", "ge": "greater_than_equal", "lt": "less_than"}
NUMERIC |= {"le": "less_than_equal", "multiple_of": "multiple_of"}
# What each kind of schema may answer, by pydantic's own list of errors.
ANSWERS = {
    "model": {"model_type", "model_attributes_type"},
    "model-fields": {"missing", "extra_forbidden", "invalid_key"},
    "int": {"int_type", "int_parsing", "int_from_float", "int_parsing_size", "finite_number"},
    "float": {"float_type", "float_parsing", "finite_number"},
    "bool": {"bool_type", "bool_parsing"},
    "str": {"string_type", "string_unicode"},
    "literal": {"literal_error"},
    "tagged-union": {"union_tag_invalid", "union_tag_not_found", "model_attributes_type"},
    "tuple": {"tuple_type", "missing"},
    "dict": {"dict_type"},
    "is-instance": {"path_type"},
    "function-after": {"value_error"},
    "function-before": {"value_error"},
    "function-plain": {"value_error"},
    "function-wrap": {"value_error"},
}
BOUNDS = {
    "int": NUMERIC,
    "float": NUMERIC,
    "str": {
        "min_length": "string_too_short",
        "max_length": "string_too_long",
        "pattern": "string_pattern_mismatch",
    },
    "tuple": {"min_length": "too_short", "max_length": "too_long"},
    "dict": {"min_length": "too_short", "max_length": "too_long"},
}
PASSED_ON = {"default", "definition-ref", "definitions", "json-or-python", "lax-or-strict"}
PASSED_ON |= {"model-field", "nullable", "union", "any"}
PROGRAMMERS = r"Input|[Ff]ield|valid |\bstring|tuple|dictionary|integer|boolean|pars(e|ing)|"
PROGRAMMERS += r"discriminator|\btag|None|instance|pydantic|greater|\{|Error"
BAD = ("x", "", -1, 1.5, 10**400, 1e999, None, True, [], [-1, "x"], {}, {"": 1}, {1: {}}, "\ud800")


def page():
    text = resources.files("polypskd").joinpath("demo.yaml").read_text(encoding="utf-8")
    return parse_config(yaml.safe_load(text)).model_dump(mode="json")


def list_nodes(node):
    if isinstance(node, dict):
        if isinstance(node.get("type"), str):
            yield node
        # Metadata and defaults hold no schema.
        node = [value for key, value in node.items() if key not in ("metadata", "default")]
    if isinstance(node, list | tuple):
        for part in node:
            yield from list_nodes(part)


def list_places(value, place=()):
    yield place
    if isinstance(value, dict):
        for key, below in value.items():
            yield from list_places(below, (*place, key))


def put(raw, place, value):
    for key in place[:-1]:
        raw = raw[key]
    raw[place[-1]] = value


def test_every_kind_of_misfit_that_a_section_can_raise_has_plain_words():
    found = set()
    for node in list_nodes(Config.__pydantic_core_schema__):
        kind = node["type"]
        if kind in PASSED_ON or kind not in ANSWERS:
            # "no-info" and the like name how a validator is called.
            assert kind in PASSED_ON | {"no-info", "with-info"}, kind
            continue
        found |= ANSWERS[kind]
        set_bounds = {key for key, value in node.items() if value is not None}
        found |= {name for key, name in BOUNDS.get(kind, {}).items() if key in set_bounds}
    assert len(found) > 20
    assert found - {"extra_forbidden"} <= set(WORDS)


@pytest.mark.parametrize("value", BAD, ids=lambda value: repr(value)[:12])
def test_no_misfit_at_any_place_is_told_in_a_programmers_words(value):
    told = []
    for place in list_places(page()):
        if not place:
            continue
        raw = page()
        put(raw, place, value)
        try:
            parse_config(raw)
        except ConfigError as error:
            told += error.lines
    assert told
    # What was given is quoted, and may be anything.
    plain = [re.sub(r"'[^']*'|e\.g\. .*", "", line) for line in told]
    assert [line for line in plain if re.search(PROGRAMMERS, line)] == []


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("seed=abc", "config: seed 'abc': must be a whole number"),
        ("seed=-1", "config: seed -1: must be at least 0"),
        ("study.margin=2", "config: study.margin 2: must be less than 1"),
        ("study.prevalences=[]", "has too few entries: 0 of at least 1"),
        ("study.prevalences=0.5", "config: study.prevalences 0.5: must be a list, e.g. [1, 2]"),
        ("study.polyps=lesion", "config: study.polyps 'lesion': must be a section of keys"),
        ("study.polyps.rule=mean", "must be 'mean_probability', 'majority' or 'max_risk'"),
        ("study.confidence.kind=no", "config: study.confidence"),
        ("study.polyps.lesion=''", "config: study.polyps.lesion '': must not be empty"),
        ("study.groups={1: expert}", "config: study.groups: the key 1 must be text"),
        ("cohort.frames.size=big", "config: cohort.frames.size 'big': must be a whole number"),
        ("teacher.network.width=17", "config: teacher.network.width 17: must be a multiple of 16"),
        ("name=a b", "config: name 'a b': may hold letters, digits, '.', '_' and '-'"),
    ],
)
def test_a_misfit_is_told_with_its_place_and_value_and_what_is_wanted(override, told):
    with pytest.raises(ConfigError) as caught:
        parse_config(page(), (override,))
    assert any(told in line for line in caught.value.lines), caught.value.lines


@pytest.mark.parametrize(
    ("override", "close"),
    [
        ("sed=3", "seed"),
        ("study.polyp.lesion=a", "polyps"),
        ("study.polyps.segmnet=a", "segment"),
        ("study.confidence.covrage=0.5", "coverage"),
        ("study.subgroups={size: {colum: a}}", "column"),
        ("cohort.frames.patinets=9", "patients"),
    ],
)
def test_an_unknown_key_comes_with_the_known_one_most_like_it(override, close):
    with pytest.raises(ConfigError) as caught:
        parse_config(page(), (override,))
    assert any(f"did you mean '{close}'?" in line for line in caught.value.lines)


def test_an_unknown_key_like_no_other_comes_with_the_verb_that_lists_them():
    with pytest.raises(ConfigError, match="unknown key 'zzzz'; `polypskd schema` lists the keys"):
        parse_config(page(), ("zzzz=1",))


def test_the_keys_of_a_place_that_is_none_are_none():
    assert list_keys(("study", "no such section")) == []
    assert "seed" in list_keys(())


@pytest.mark.parametrize("text", ["2024-13-45", "9" * 5000, "[" * 5000])
def test_a_value_that_yaml_itself_stumbles_over_is_told_in_a_line(text, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"seed: {text}\n")
    with pytest.raises(ConfigError, match="not valid YAML") as caught:
        read_config(path)
    assert len(caught.value.lines) == 1
    with pytest.raises(ConfigError, match="not valid YAML"):
        parse_config(page(), (f"seed={text}",))


def test_a_wrong_choice_is_repeated_and_the_likeliest_is_suggested():
    raw = page()
    raw["student"]["network"]["kind"] = "resnet11"
    raw["cohort"]["split"]["kind"] = "colum"
    with pytest.raises(ConfigError) as caught:
        parse_config(raw)
    split, network = caught.value.lines
    assert "cohort.split.kind 'colum': must be one of 'random', 'column'" in split
    assert split.endswith("; did you mean 'column'?")
    assert "student.network.kind 'resnet11': must be" in network
    assert network.endswith("; did you mean 'resnet10'?")


def test_yaml_that_cannot_be_read_is_one_short_line_with_line_and_column(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("name: x\ncohort:\n  frames: [1, 2\n  votes: 3\n")
    with pytest.raises(ConfigError, match=r"a\.yaml line 4 column 8: not valid YAML: ") as caught:
        read_config(path)
    assert len(caught.value.lines) == 1
    assert len(str(caught.value)) < len(str(path)) + 160
