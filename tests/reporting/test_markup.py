import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_record import make_study

from polypskd.reporting.cells import Table, make_table
from polypskd.reporting.markup import (
    escape_latex,
    escape_markdown,
    tabulate_latex,
    tabulate_markdown,
    write_csv,
)
from polypskd.reporting.study.subgroups import tabulate_subgroups
from polypskd.spreadsheets import escape_cell

ESTIMATE = {"value": 0.123456789, "low": -0.5, "high": None}


@pytest.mark.parametrize(
    "text",
    [
        *("=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "-", "=HYPERLINK('http://x')"),
        *(" =1+1", "\u00a0@SUM(A1)", "\n+1", "＝1+1", "＋cmd", "－x", " ＠SUM(A1)"),
    ],
)
def test_what_a_spreadsheet_would_run_gets_an_apostrophe(text):
    assert escape_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-0.5", "+3", "-1,234.5", "-2e-05", "polyp", "", "0-Is"])
def test_numbers_and_plain_words_stay_as_they_are(text):
    assert escape_cell(text) == text


@given(st.text(max_size=30))
def test_no_cell_of_a_csv_begins_a_formula(text):
    table = make_table("t", "", (text, "n"), [(text, -1.5)])
    for row in csv.reader(io.StringIO(write_csv(table), newline="")):
        assert not row[0].startswith(("=", "@", "\t", "\r"))
        if row[0].startswith(("+", "-")):
            float(row[0].replace(",", "").rstrip("%"))


def test_estimates_keep_their_digits_and_have_low_and_high_beside_them():
    table = make_table("t", "", ("Class", "F1", "n"), [("a", ESTIMATE, 1234), ("b", None, True)])
    rows = list(csv.reader(io.StringIO(write_csv(table))))
    assert rows == [
        ["Class", "F1", "F1 low", "F1 high", "n"],
        ["a", "0.123456789", "-0.5", "", "1234"],
        ["b", "", "", "", "yes"],
    ]


def test_a_table_of_printed_cells_gives_its_numbers_as_a_program_reads_them():
    table = Table(
        "", ("Method", "F1", "n"), (("kd", "−0.100 (−0.200 to 0.300)", "1,234"), ("skd", "–", "2"))
    )
    rows = list(csv.reader(io.StringIO(write_csv(table))))
    assert rows == [
        ["Method", "F1", "F1 low", "F1 high", "n"],
        ["kd", "-0.100", "-0.200", "0.300", "1234"],
        ["skd", "", "", "", "2"],
    ]


@given(st.text(max_size=40))
def test_markdown_holds_no_html_and_keeps_a_cell_on_one_line(text):
    told = escape_markdown(text)
    assert "<" not in told
    assert ">" not in told
    table = make_table("t", "", ("a", "b"), [(text, 1)])
    lines = tabulate_markdown(table).splitlines()
    assert len(lines) == 3
    bars = lines[2].replace("\\\\", "").replace("\\|", "").count("|")
    assert bars == 3


@given(st.text(max_size=40))
def test_latex_leaves_no_command_of_the_text(text):
    told = escape_latex(text)
    for command in (
        *("\\textbackslash{}", "\\textasciitilde{}", "\\textasciicircum{}", "\\textless{}"),
        *(
            "\\textgreater{}",
            "\\textbar{}",
            "\\textdagger{}",
            "\\textdaggerdbl{}",
            "\\rightarrow",
            "\\ldots{}",
        ),
        *("\\geq", "\\leq", "\\pm", "\\times", "\\kappa"),
        *("\\&", "\\%", "\\$", "\\#", "\\_", "\\{", "\\}", "$-$"),
    ):
        told = told.replace(command, "")
    assert not set(told) & set('\\&%#_{}~^<>|"')
    assert "\n" not in told


def test_a_class_that_looks_like_a_number_stays_a_word_in_the_first_column():
    table = Table("", ("Class", "F1"), (("1,000", "0.5"), ("0.250", "0.5")))
    rows = list(csv.reader(io.StringIO(write_csv(table))))
    assert rows[1:] == [["1,000", "0.5"], ["0.250", "0.5"]]


@pytest.mark.parametrize("name", ["[2cm] polyp", "*", "[x]"])
def test_no_row_in_latex_is_an_option_of_the_row_before(name):
    told = tabulate_latex(make_table("t", "", ("*a", "b"), [("x", 1), (name, 2)]), "t")
    for line in told.splitlines():
        assert not line.lstrip().startswith(("[", "*")), line
    assert f"{{}}{name}" in told


def test_quotes_in_latex_need_no_other_encoding():
    assert escape_latex('the "x"') == "the ''x''"


def test_an_interval_without_width_is_not_shown_and_wilsons_is_marked():
    still = {"value": 1.0, "low": 1.0, "high": 1.0}
    wilson = {"value": 1.0, "low": 0.7, "high": 1.0, "method": "Wilson"}
    table = make_table("t", "Scores.", ("a", "b"), [("x", still), ("y", wilson)])
    assert table.rows == (("x", "1.000‡"), ("y", "1.000† (0.700 to 1.000)"))
    assert table.caption == (
        "Scores. †: no spread among resamples, so the interval is Wilson's. "
        "‡: no spread among resamples, so there is no interval."
    )
    rows = list(csv.reader(io.StringIO(write_csv(table))))
    assert rows[1] == ["x", "1.0", "", ""]
    plain = make_table("t", "Scores.", ("a", "b"), [("x", ESTIMATE)])
    assert plain.caption == "Scores."


def test_a_table_in_latex_has_as_many_columns_as_it_says():
    table = make_table("t", "50% of it", ("Class", "F1"), [("a_b & c", ESTIMATE)])
    told = tabulate_latex(table, "t")
    assert "\\begin{tabular}{lr}" in told
    assert "a\\_b \\& c & 0.123 \\\\" in told
    assert "\\caption{50\\% of it}\\label{tab:t}" in told


def test_an_adjusted_p_stands_in_a_column_of_its_own_where_differences_were_tested():
    tested = {"value": -0.25, "low": -0.5, "high": -0.125, "p_adjusted": 0.03125}
    untested = {"value": 0.5, "low": None, "high": None}
    table = Table("", ("Level", "F1", "Less"), (), raw=(("a", untested, tested), ("b", None, None)))
    assert write_csv(table) == (
        "Level,F1,F1 low,F1 high,Less,Less low,Less high,Less p (adjusted)\n"
        "a,0.5,,,-0.25,-0.5,-0.125,0.03125\n"
        "b,,,,,,,\n"
    )


def test_the_csv_of_subgroups_holds_the_p_values_that_the_page_prints():
    section = make_study()["subgroups"]
    printed = 0
    for table in tabulate_subgroups(section):
        rows = list(csv.DictReader(io.StringIO(write_csv(table))))
        for at, row in enumerate(rows):
            for name in ("Sensitivity", "Specificity"):
                head = f"{name} less that of the rest"
                told = re.search(r", p (<|=) ([\d.]+)", table.rows[at][table.head.index(head)])
                given = row.get(f"{head} p (adjusted)")
                assert bool(told) == bool(given)
                if told:
                    printed += 1
                    p = float(given)
                    assert p < 0.001 if told[1] == "<" else f"{p:.3f}" == told[2]
    assert printed
