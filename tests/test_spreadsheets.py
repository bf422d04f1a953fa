import csv
import io

from hypothesis import example, given
from hypothesis import strategies as st

from polypskd.spreadsheets import BREAKS, FORMULA, PLAIN, escape_cell, unescape_cell


@given(st.text() | st.text("=+-@'\t\r\n 1.e%", max_size=5))
@example("'=1")
@example("''")
def test_every_text_comes_back_and_none_begins_a_formula(text):
    written = escape_cell(text)
    assert unescape_cell(written) == text
    risky = written.startswith(BREAKS) or written.lstrip().startswith(FORMULA)
    assert not risky or PLAIN.fullmatch(written)


@given(st.text(st.characters(exclude_characters="\r\n"), max_size=20))
def test_it_comes_back_through_a_csv_file(text):
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow([escape_cell(text)])
    ((read,),) = csv.reader(io.StringIO(file.getvalue()))
    assert unescape_cell(read) == text
