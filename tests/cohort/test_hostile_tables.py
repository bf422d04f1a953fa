"""Tables that nobody would write, told in one line and at once."""

import pytest

from polypskd.cohort.recognition import recognize_votes
from polypskd.cohort.tables import LONGEST_CELL, MOST_COLUMNS, read_table
from polypskd.errors import CohortError, PolypskdError


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("frame,vote\na,low\n" + "x" * 10_000_000 + ",low\n", "row 3: a cell of 10,000,000 bytes"),
        (",".join(f"c{i}" for i in range(10_000)) + "\n", "row 1: 10,000 columns"),
        ("frame," + "v" * 200_000 + "\na,b\n", "row 1: not the header of a table"),
    ],
)
def test_a_table_beyond_all_measure_is_one_short_fault(tmp_path, text, told):
    (tmp_path / "votes.csv").write_text(text)
    with pytest.raises(CohortError) as error:
        read_table(tmp_path / "votes.csv")
    (line,) = error.value.lines
    assert told in line
    assert len(line) < 200


def test_a_long_cell_and_many_columns_are_read(tmp_path):
    names = [f"c{i}" for i in range(MOST_COLUMNS)]
    cells = ["x" * LONGEST_CELL, *names[1:]]
    (tmp_path / "votes.csv").write_text(",".join(names) + "\n" + ",".join(cells) + "\n")
    table = read_table(tmp_path / "votes.csv")
    assert table.columns == names
    assert table.cells["c0"].str.len_chars().item() == LONGEST_CELL


def test_a_message_names_some_of_many_columns(tmp_path):
    names = ",".join(f"c{i}" for i in range(2000))
    (tmp_path / "votes.csv").write_text(f"{names}\n{names}\n")
    with pytest.raises(PolypskdError, match="2000 in all") as error:
        recognize_votes(None, tmp_path / "votes.csv")
    assert len(str(error.value)) < 600
