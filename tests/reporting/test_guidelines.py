import re

import pytest
from run_folder import make_run

from polypskd.artifacts import read_json, write_json
from polypskd.reporting.answers import Answers, StudyFacts
from polypskd.reporting.collecting import collect_report
from polypskd.reporting.content import walk
from polypskd.reporting.data_sheet import write_data_sheet
from polypskd.reporting.exports import add_section, write_guidelines
from polypskd.reporting.facts import FACTS
from polypskd.reporting.guidelines import (
    Entry,
    audit_report,
    build_guidelines,
    describe_audit,
    list_items,
    read_guidelines,
    tabulate_audit,
)
from polypskd.reporting.page import render_html
from polypskd.reporting.record import Record, read_record


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    return read_record(make_run(tmp_path_factory.mktemp("guidelines")))


@pytest.fixture(scope="module")
def content(record):
    return collect_report(record, None)


def entries(record: Record, content, answers: Answers | None = None) -> dict[str, dict[str, Entry]]:
    audit = audit_report(record, content, answers or Answers())
    return {one.key: {entry.item.number: entry for entry in found} for one, found in audit}


def expand(*spans: str) -> list[str]:
    found = []
    for span in spans:
        match = re.fullmatch(r"(\d+)(?:-(\d+))?([a-z]*)", span)
        numbers = range(int(match[1]), int(match[2] or match[1]) + 1)
        found += [f"{n}{letter}" for n in numbers for letter in (match[3] or " ")]
    return [one.strip() for one in found]


def test_every_guideline_has_all_its_items_in_order_and_no_other():
    assert list_items() == {
        "stard-ai": tuple(
            expand("1-14", "15abcd", "16abc", "17ab", "18-25", "26ab", "27-39", "40ab")
        ),
        "claim-2024": tuple(expand("1-44")),
        "tripod-ai": tuple(
            expand(
                *("1-2", "3abc", "4", "5ab", "6abc", "7", "8abc", "9abc", "10-11", "12abcdefg"),
                *("13-17", "18abcdef", "19", "20abc", "21-22", "23ab", "24-26", "27abc"),
            )
        ),
    }
    assert len(list_items()["tripod-ai"]) == 52


def test_items_name_facts_and_study_facts_that_exist_and_every_fact_is_used():
    items = [item for one in read_guidelines() for item in one.items]
    assert {fact for item in items for fact in item.shows} == set(FACTS)
    named = {key for item in items for key in item.study}
    assert named <= set(StudyFacts.model_fields)
    assert set(StudyFacts.model_fields) - named == {"contact"}
    for item in items:
        assert item.shows or item.asks or item.about == "See the guideline."


def test_what_is_not_known_of_an_item_sends_to_the_guideline(record, content):
    found = entries(record, content)
    for key, number in (
        *(("stard-ai", "24"), ("stard-ai", "38")),
        *(("tripod-ai", "5b"), ("tripod-ai", "20a")),
    ):
        assert found[key][number].item.about == "See the guideline."
        assert "see the guideline" in found[key][number].missing


def test_every_place_that_is_named_stands_in_the_page(record, content):
    audit = audit_report(record, content, Answers())
    page = render_html(add_section(content, build_guidelines(audit)))
    places = {place.key for _, found in audit for entry in found for place in entry.places}
    assert places
    for key in places:
        assert f'id="{key}"' in page, key


def test_the_section_stands_before_the_appendix(content, record):
    audit = audit_report(record, content, Answers())
    whole = add_section(content, build_guidelines(audit))
    keys = [section.key for section in whole.sections]
    assert keys[keys.index("guidelines") + 1] == "appendix"
    assert len({section.key for section in walk(whole.sections)}) == len(list(walk(whole.sections)))


def test_status_follows_what_the_run_holds(record, content):
    found = entries(record, content)
    claim = found["claim-2024"]
    assert claim["39"].status == "filled"
    assert [place.key for place in claim["39"].places] == ["errors"]
    assert claim["20"].status == "filled"
    assert claim["36"].status == "partly"
    assert claim["36"].missing == ("sex and age of the patients: the baseline does not show both",)
    assert claim["19"].status == "partly"  # counts do not say how frames came there
    tripod = found["tripod-ai"]
    for number in ("12d", "13", "27a"):
        assert tripod[number].status == "partly", number
        assert tripod[number].missing, number
    assert claim["44"].status == "author"
    assert claim["27"].status == "not applicable"
    assert claim["27"].reason == "one student, no ensemble"
    assert claim["33"].status == "author"


def test_a_run_that_does_not_know_its_patients_does_not_claim_disjoint_splits(tmp_path):
    record = read_record(make_run(tmp_path, patients_known=False))
    found = entries(record, collect_report(record, None))
    assert found["claim-2024"]["20"].status == "author"
    assert "patients are unknown" in found["claim-2024"]["20"].missing[0]
    assert found["tripod-ai"]["12a"].status == "partly"
    assert found["tripod-ai"]["12d"].status == "author"


def test_where_each_frame_has_one_vote_agreement_does_not_apply(tmp_path):
    run = make_run(tmp_path)
    agreement = read_json(run / "agreement.json")
    agreement["statistics"]["votes_per_frame"] = {"min": 1, "median": 1.0, "max": 1}
    write_json(run / "agreement.json", agreement)
    record = read_record(run)
    found = entries(record, collect_report(record, None))
    assert found["stard-ai"]["19"].status == "not applicable"
    assert found["claim-2024"]["18"].status == "author"
    assert "Each frame has one vote" in write_data_sheet(record, Answers())


def test_a_run_without_intervals_does_not_claim_them(tmp_path):
    run = make_run(tmp_path)
    evaluation = read_json(run / "evaluation.json")
    evaluation["macro_f1"] |= {"low": None, "high": None}
    write_json(run / "evaluation.json", evaluation)
    record = read_record(run)
    found = entries(record, collect_report(record, None))
    assert found["stard-ai"]["31"].status == "author"


def test_a_fact_without_a_place_in_the_report_is_not_claimed(record, content):
    from dataclasses import replace

    kept = tuple(one for one in content.sections if one.key != "errors")
    found = entries(record, replace(content, sections=kept))
    assert found["claim-2024"]["39"].status == "author"


def test_authors_fill_an_item_by_its_number_by_a_study_fact_or_drop_it(record, content):
    told = Answers(
        study={"funding": "None.", "data_availability": "On request."},
        items={"claim-2024": {"30": "See supplement 2."}, "tripod-ai": {"27b": "A nurse."}},
        reasons={"stard-ai": {"29": "There was no external test set."}},
    )
    found = entries(record, content, told)
    assert found["claim-2024"]["44"].status == "filled"
    assert found["claim-2024"]["44"].answers == ("None.",)
    assert found["stard-ai"]["38"].status == "partly"  # what it asks is not known here
    assert found["stard-ai"]["38"].missing == ("see the guideline",)
    assert found["tripod-ai"]["27b"].status == "filled"  # told by the authors to the item itself
    assert found["claim-2024"]["30"].status == "filled"
    assert found["claim-2024"]["43"].status == "partly"  # the code is not told of
    assert found["stard-ai"]["29"].status == "not applicable"
    assert found["stard-ai"]["29"].reason == "There was no external test set."


def test_nothing_is_counted_and_nothing_is_called_compliant(record, content):
    audit = audit_report(record, content, Answers())
    page = render_html(add_section(content, build_guidelines(audit)))
    section = page[page.index('id="guidelines"') : page.index('id="appendix"')]
    markdown = write_guidelines(audit, "run")
    for text in (section, markdown, str(describe_audit(audit))):
        assert not re.search(r"complian|\bscore|\d\s*%| of (40|44|52)\b", text, re.IGNORECASE)


def test_items_of_which_nothing_is_known_share_a_row_of_the_page(record, content):
    for guideline, found in audit_report(record, content, Answers()):
        table = tabulate_audit(guideline, found)
        *own, others = table.rows
        assert others[0] == "others"
        listed = [row[0] for row in own] + others[1].partition(":")[0].split(", ")
        assert sorted(listed) == sorted(entry.item.number for entry in found)
        assert len(table.rows) < len(found)
