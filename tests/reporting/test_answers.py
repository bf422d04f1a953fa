import pytest

from polypskd.errors import ConfigError
from polypskd.reporting.answers import read_answers
from polypskd.reporting.guidelines import list_items

PAGE = """
study:
  title: A light classifier of polyps
  ethics: "Approved: number 12/345"
guidelines:
  stard-ai:
    6: Approved.
    15d: Endoscopists.
    "29": {not_applicable: There was no external test set.}
"""


def read(tmp_path, text):
    path = tmp_path / "report.yaml"
    path.write_text(text, encoding="utf-8")
    return read_answers(path, list_items())


def test_answers_are_read_by_study_fact_and_by_item(tmp_path):
    told = read(tmp_path, PAGE)
    assert told.study == {
        "title": "A light classifier of polyps",
        "ethics": "Approved: number 12/345",
    }
    assert told.items == {"stard-ai": {"6": "Approved.", "15d": "Endoscopists."}}
    assert told.reasons == {"stard-ai": {"29": "There was no external test set."}}


def test_an_empty_page_answers_nothing(tmp_path):
    assert read(tmp_path, "").study == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("study: {fundng: x}", "unknown key 'study.fundng'; did you mean 'funding'?"),
        ("studdy: {title: x}", "unknown key 'studdy'; did you mean 'study'?"),
        ("guidelines: {stard: {1: x}}", "unknown guideline 'stard'; did you mean 'stard-ai'?"),
        ("guidelines: {stard-ai: {15e: x}}", "stard-ai has no item '15e'; did you mean '15"),
        ("study: {title: 3}", "'study.title' must be a text, not 3; put words in quotes"),
        ("study: {title: '  '}", "'study.title' must be a text"),
        ("study: 3", "'study' must be a section"),
        ("- a", "must be a section"),
        ("a: [", "not a readable YAML file"),
        ("guidelines: {stard-ai: {6: {why: x}}}", "not_applicable"),
    ],
)
def test_a_fault_is_told_in_a_line_with_what_was_probably_meant(tmp_path, text, told):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert any(told in line for line in caught.value.lines), caught.value.lines
    assert all(line.startswith(str(tmp_path / "report.yaml")) for line in caught.value.lines)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="not found; give --answers"):
        read_answers(tmp_path / "none.yaml", list_items())


def test_nothing_in_the_file_is_run(tmp_path):
    with pytest.raises(ConfigError, match="not a readable YAML"):
        read(tmp_path, "study: !!python/object/apply:os.getcwd []")
