"""CSV tables as people save them: with or without BOM, with , ; tab or | between the cells.

Every cell stays text, stripped. Each row keeps the number of its line in the file in the column
`ROW`, so that a fault can name it.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from polypskd.cohort.damage import DamageError
from polypskd.cohort.regular import read_regular
from polypskd.errors import CohortError, Fault

ROW = "\0row"  # no column of a file can have this name
FRAME = "\0frame"  # the id of the frame that a row is about
NUMBER = "\0number"  # the same as a number, where a table has many rows a frame
SEPARATORS = ",;\t|"
MOST_COLUMNS = 4096
LARGEST = 2**30  # bytes; ten million votes have less than half of it
LONGEST_LINE = 2**24  # bytes
LONGEST_CELL = 1 << 16  # bytes; a longer one is a broken quote, or no cell of a table of votes
LISTED = 40  # columns named in a message
TOLD = (
    1000  # rows with one kind of fault told one by one; more than these are one fault of the file
)


@dataclass(frozen=True)
class Table:
    """A CSV file.

    Args:
        name: file name, as faults show it.
        cells: one text column a column, empty text for empty cells, and the line number `ROW`.
        places: what faults show instead of a line number, at the place of each `ROW`.
    """

    name: str
    cells: pl.DataFrame
    places: pl.Series | None = None

    @property
    def columns(self) -> list[str]:
        """Names of the file's columns, stripped."""
        return [name for name in self.cells.columns if not name.startswith("\0")]

    def place(self, row: int) -> str:
        """Name a row as faults show it, without the file."""
        return f"row {row}" if self.places is None else str(self.places[row])


def read_table(path: Path) -> Table:
    """Read a CSV file with a header.

    Raises:
        CohortError: the file is missing, empty, not UTF-8, or its header or a row is malformed.
    """
    where = path.name
    data = _read_bytes(path)
    header, start = _read_header(where, data)
    # A header of our own: polars would take the number of columns from a short or blank first row.
    plain = header.separator.join(f"c{i}" for i in range(len(header.names))) + "\n"
    # One copy without the file's own header; joined from views, as the file may not be small.
    data = b"".join([plain.encode(), memoryview(data)[start:]])
    try:
        cells = pl.read_csv(data, separator=header.separator, infer_schema=False)
        cells.columns = header.names
    except pl.exceptions.NoDataError:
        cells = pl.DataFrame()
    except pl.exceptions.PolarsError:
        raise CohortError(_find_ragged(where, data[len(plain) :], header)) from None
    del data
    if header.names and not cells.is_empty():
        _check_lengths(where, cells, header)
        cells = _strip(cells).with_row_index(ROW, offset=header.lines + 1)
        filled = cells.select(pl.any_horizontal(pl.col(*header.names) != "")).to_series()
        cells = cells if filled.all() else cells.filter(filled)
    if cells.is_empty():
        raise CohortError([Fault(where, "no rows below the header", todo="fill in the table")])
    return Table(where, cells)


def _check_lengths(where: str, cells: pl.DataFrame, header: _Header) -> None:
    """Refuse cells that no table of votes has: everything after would take minutes."""
    longest = cells.select(pl.all().str.len_bytes().max()).row(0)
    for name, length in zip(cells.columns, longest, strict=True):
        if (length or 0) > LONGEST_CELL:
            row = header.lines + 1 + int(cells[name].str.len_bytes().fill_null(0).arg_max() or 0)
            what = f"a cell of {length:,} bytes"
            raise CohortError([Fault(f"{where} row {row}", what, todo="check the quotes")])


def list_columns(names: Sequence[str]) -> str:
    """List columns for a message, the first forty of many.

    >>> list_columns(["frame", "vote"])
    'frame, vote'
    """
    more = f", ... ({len(names)} in all)" if len(names) > LISTED else ""
    return ", ".join(name[:80] for name in names[:LISTED]) + more


def _strip(cells: pl.DataFrame) -> pl.DataFrame:
    """Strip every cell and fill the empty ones; column by column, each of which takes its place."""
    for name in cells.columns:
        cells = cells.with_columns(pl.col(name).str.strip_chars().fill_null(""))
    return cells


@dataclass(frozen=True)
class _Header:
    names: list[str]
    separator: str
    lines: int = 1


def _read_bytes(path: Path) -> bytes:
    try:
        data = read_regular(path, LARGEST)
    except DamageError as damage:
        raise CohortError([Fault(path.name, damage.what, damage.value, damage.todo)]) from None
    except FileNotFoundError:
        raise CohortError([Fault(str(path), "file not found", todo="check the path")]) from None
    except OSError as error:
        raise CohortError([Fault(str(path), f"cannot be read ({error.strerror})")]) from None
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data or data.isspace():
        raise CohortError([Fault(path.name, "the file is empty", todo="fill in the table")])
    if data.startswith(b"PK\x03\x04"):
        todo = "save it as CSV UTF-8"
        raise CohortError([Fault(path.name, "is an Excel workbook", todo=todo)])
    if b"\n" not in data[: 2 * LONGEST_LINE] and b"\r" in data[:LONGEST_LINE]:
        # Classic Mac line ends, which polars would read as one long header.
        data = data.replace(b"\r", b"\n")
    _check_lines(path.name, data)
    save = "save the file as CSV UTF-8"
    strange = _find_strange(data)
    if strange is not None:
        row = data.count(b"\n", 0, strange) + 1
        value = f"0x{data[strange]:02x}"
        raise CohortError([Fault(f"{path.name} row {row}", "not UTF-8, byte", value, save)])
    if b"\0" in data:
        row = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise CohortError([Fault(f"{path.name} row {row}", "not text, byte", "0x00", save)])
    return data


def _find_strange(data: bytes) -> int | None:
    """Find the first byte that is no UTF-8; piece by piece, as text takes more room."""
    if data.isascii():
        return None
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), LONGEST_LINE):
        pending = len(decoder.getstate()[0])
        end = start + LONGEST_LINE
        try:
            decoder.decode(data[start:end], final=end >= len(data))
        except UnicodeDecodeError as error:
            return start - pending + error.start
    return None


def _check_lines(where: str, data: bytes) -> None:
    """Refuse a line that is no row of a table, before anything takes it apart."""
    start = 0
    while len(data) - start > LONGEST_LINE:
        end = data.rfind(b"\n", start, start + LONGEST_LINE)
        if end < 0:
            row = data.count(b"\n", 0, start) + 1
            what = f"a line of more than {LONGEST_LINE:,} bytes"
            raise CohortError([Fault(f"{where} row {row}", what, todo="check the line breaks")])
        start = end + 1


def _read_header(where: str, data: bytes) -> tuple[_Header, int]:
    """Names and separator, and the byte at which the rows begin; skips leading blank lines."""
    start = len(data) - len(data.lstrip(b"\r\n"))
    end = data.find(b"\n", start)
    end = len(data) if end < 0 else end + 1
    line = data[start:end].decode("utf-8").rstrip("\r\n")
    lines = data.count(b"\n", 0, end) or 1
    try:
        split = {sep: next(csv.reader([line], delimiter=sep)) for sep in SEPARATORS}
    except csv.Error:  # a name of 131,072 letters
        fault = Fault(f"{where} row {lines}", "not the header of a table", todo="check the quotes")
        raise CohortError([fault]) from None
    separator = max(SEPARATORS, key=lambda sep: len(split[sep]))
    if len(split[separator]) > MOST_COLUMNS:
        what = f"{len(split[separator]):,} columns"
        todo = f"at most {MOST_COLUMNS:,}; keep those of frames, votes, patients and splits"
        raise CohortError([Fault(f"{where} row {lines}", what, todo=todo)])
    names = [name.strip() or f"column_{i + 1}" for i, name in enumerate(split[separator])]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise CohortError(
            [
                Fault(f"{where} row {lines}", "two columns have the name", n, "rename one")
                for n in twice
            ]
        )
    return _Header(names, separator, lines), end


def _find_ragged(where: str, data: bytes, header: _Header) -> list[Fault]:
    reader = csv.reader(data.decode("utf-8").splitlines(), delimiter=header.separator)
    wide = len(header.names)
    try:
        for cells in reader:
            if len(cells) > wide:
                row = header.lines + reader.line_num
                what = f"{len(cells)} cells, but the header has {wide}"
                return [Fault(f"{where} row {row}", what, todo="put quotes around the separator")]
    except csv.Error:
        pass
    return [Fault(where, "not a CSV table", todo="check quotes and separators")]


def missing_columns(table: Table, names: Iterable[str]) -> list[Fault]:
    """Tell which of the columns a table lacks, with the closest name and all that it has."""
    faults = []
    for name in dict.fromkeys(names):
        if name not in table.columns:
            hint = suggest(name, table.columns)
            todo = f"{hint}its columns are: {list_columns(table.columns)}"
            faults.append(Fault(table.name, "no column", name, todo))
    return faults


def suggest(name: str, known: Iterable[str]) -> str:
    """Suggest the closest known name.

    >>> suggest("adenom", ["adenoma", "serrated"])
    "did you mean 'adenoma'? "
    """
    lower = {word.lower(): word for word in known}
    close = get_close_matches(name.lower(), list(lower), n=1, cutoff=0.6)
    return f"did you mean {lower[close[0]]!r}? " if close else ""


def tell_rows(table: Table, rows: pl.DataFrame, what: str, todo: str = "") -> list[Fault]:
    """Make one fault a row.

    Args:
        table: for its name.
        rows: columns `ROW`, and if given ``value`` and ``frame``.
        what: what is wrong.
        todo: what to do about it.
    """
    faults = [
        Fault(
            f"{table.name} {table.place(row[ROW])}".rstrip(),
            what,
            row.get("value", ""),
            todo,
            row.get("frame") or "",
        )
        for row in rows.sort(ROW).head(TOLD).iter_rows(named=True)
    ]
    if len(rows) > TOLD:
        faults.append(Fault(table.name, f"{what}: {len(rows) - TOLD} more rows", todo=todo))
    return faults


def number_cells(cells: pl.Series) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Number the unequal cells of a column, so that all that follows works on numbers.

    Args:
        cells: (N,) text, none null.

    Returns:
        (N,) number of each cell, and the place where the cell of each number stands first.

    >>> numbers, first = number_cells(pl.Series(["b", "a", "b"]))
    >>> first[numbers]
    array([0, 1, 0])
    """
    own = pl.Categorical(pl.Categories.random())  # numbers from 0 on, whatever else was read
    numbers = cells.cast(own).to_physical().to_numpy()
    first = np.zeros(int(numbers.max(initial=0)) + 1 if len(numbers) else 0, dtype=np.int64)
    # Written from the end: the first place is the one that stays.
    first[numbers[::-1]] = np.arange(len(numbers) - 1, -1, -1)
    return numbers, first


def first_duplicates(rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """Rows whose `key` stood before, with the row of its first place as ``first``."""
    marked = rows.filter(pl.col(key).is_duplicated())
    return marked.with_columns(first=pl.col(ROW).min().over(key)).filter(
        pl.col(ROW) != pl.col("first")
    )
