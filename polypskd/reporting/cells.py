"""What stands in a table's cell: numbers, intervals, dashes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

SPLITS = {"train": "training", "val": "validation", "test": "test"}  # as a reader says them
DASH = "–"
WILSON, STILL = "†", "‡"
MARKS = {
    WILSON: "no spread among resamples, so the interval is Wilson's",
    STILL: "no spread among resamples, so there is no interval",
}
WIDTH = 1e-12  # of an interval that is none


Layout = Literal["numbers", "words", "pairs", "tiles"]


@dataclass(frozen=True)
class Cell:
    """A cell that is printed otherwise than a program reads it.

    Args:
        text: as printed.
        raw: a number, an estimate or a text; None where there is nothing to read.
    """

    text: str
    raw: Any = None


@dataclass(frozen=True)
class Table:
    """A table ready to print: the first cell of each row is its heading.

    Args:
        caption: one sentence above the table.
        head: C column headings.
        rows: R rows of C cells; a cell that is DASH is shown as "not defined".
        key: its name in files and anchors; unique in a report.
        raw: the R rows as numbers, estimates and texts before they were printed; empty where a
            table was made of texts.
        layout: "numbers" aligns cells right, "words" left, "pairs" the second column left; "tiles"
            is a short list that a page shows as boxes.
        sortable: whether the order of the rows is the reader's to choose.
        fixed: that many last rows are totals, which stay last.
        fold: what stands on the fold that keeps a long table closed on the screen; empty where the
            table is open.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    key: str = ""
    raw: tuple[tuple[Any, ...], ...] = ()
    layout: Layout = "numbers"
    sortable: bool = False
    fixed: int = 0
    fold: str = ""


def make_table(
    key: str, caption: str, head: Sequence[str], raw: Iterable[Sequence[Any]], **look: Any
) -> Table:
    """Print the cells of a table: numbers, estimates with their intervals, texts.

    Args:
        key: its name in files and anchors.
        caption: one sentence above the table.
        head: C column headings.
        raw: R rows of C cells; an estimate is ``{value, low, high}``; a `Cell` brings its print.
        **look: layout, sortable, fixed, fold of the table.

    >>> make_table("f1", "F1.", ("Class", "F1"), [("polyp", 0.5), ("normal", None)]).rows
    (('polyp', '0.500'), ('normal', '–'))
    """
    given = [tuple(row) for row in raw]
    rows = tuple(tuple(_print_cell(cell) for cell in row) for row in given)
    kept = tuple(tuple(_settle(_read(cell)) for cell in row) for row in given)
    found = {find_mark(_read(cell)) for row in given for cell in row}
    notes = [f"{sign}: {MARKS[sign]}." for sign in MARKS if sign in found]
    caption = " ".join([caption, *notes]).strip()
    return Table(caption, tuple(head), rows, key=key, raw=kept, **look)


def _print_cell(cell: Any) -> str:
    return cell.text if isinstance(cell, Cell) else mark(cell)


def _read(cell: Any) -> Any:
    return cell.raw if isinstance(cell, Cell) else cell


def _settle(value: Any) -> Any:
    """Take the interval of no width off an estimate."""
    return {**value, "low": None, "high": None} if is_still(value) else value


def is_still(value: Any) -> bool:
    """Tell whether an estimate has an interval of no width: its resamples never varied.

    >>> is_still({"value": 1.0, "low": 1.0, "high": 1.0}), is_still({"value": 1.0, "low": None})
    (True, False)
    """
    if not isinstance(value, Mapping):
        return False
    low, high = value.get("low"), value.get("high")
    return low is not None and high is not None and abs(high - low) < WIDTH


def find_mark(value: Any) -> str:
    """Find the sign of an estimate whose interval is not that of the caption; empty for none."""
    if is_still(value):
        return STILL
    wilson = isinstance(value, Mapping) and value.get("method") == "Wilson"
    return WILSON if wilson and point(value) is not None else ""


def mark(value: Any) -> str:
    """Print an estimate with the sign of its interval.

    >>> mark({"value": 1.0, "low": 0.7, "high": 1.0, "method": "Wilson"})
    '1.000† (0.700 to 1.000)'
    >>> mark({"value": 0.5, "low": 0.5, "high": 0.5}), mark("text")
    ('0.500‡', 'text')
    """
    number, space, interval = format_estimate(value).partition(" (")
    sign = find_mark(value)
    return f"{number}{sign}{space}{interval}" if sign else format_estimate(value)


def format_number(value: Any, digits: int = 3) -> str:
    """Print one value: counts with commas, other numbers with `digits` decimals, None as a dash.

    >>> format_number(12345), format_number(-0.25), format_number(None), format_number(True)
    ('12,345', '−0.250', '–', 'yes')
    >>> format_number(-0.0004)
    '0.000'
    """
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, float):
        # Adding 0.0 takes the sign off what rounds to zero.
        return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−")
    return str(value)


def count(number: int, noun: str, several: str = "") -> str:
    """Print a number of things.

    Args:
        number: of the things.
        noun: for one.
        several: for more, where an s is not enough.

    >>> count(1, "seed"), count(1200, "frame"), count(2, "study", "studies")
    ('1 seed', '1,200 frames', '2 studies')
    """
    return f"{number:,} {noun if number == 1 else several or f'{noun}s'}"


def format_confidence(confidence: float | None) -> str:
    """Print the confidence of an interval; None is 0.95.

    >>> format_confidence(0.9), format_confidence(0.975), format_confidence(None)
    ('90%', '97.5%', '95%')
    """
    return f"{100 * (confidence or 0.95):g}%"


def point(value: Any) -> Any:
    """Take the estimate out of ``{value, low, high}``; a bare number is its own estimate.

    >>> point({"value": 0.5, "low": 0.4, "high": 0.6}), point(0.5), point(None)
    (0.5, 0.5, None)
    """
    return value.get("value") if isinstance(value, Mapping) else value


def format_estimate(value: Any, digits: int = 3) -> str:
    """Print an estimate, with its interval where it has one.

    >>> format_estimate({"value": 0.8, "low": 0.7, "high": 0.9})
    '0.800 (0.700 to 0.900)'
    >>> format_estimate({"value": 0.8, "low": None, "high": None})
    '0.800'
    """
    text = format_number(point(value), digits)
    if not isinstance(value, Mapping) or text == DASH:
        return text
    low, high = value.get("low"), value.get("high")
    if low is None or high is None or is_still(value):
        return text
    return f"{text} ({format_number(low, digits)} to {format_number(high, digits)})"


def format_change(value: Any) -> str:
    """Print a difference, or an estimate of one, with its sign.

    >>> format_change({"value": 0.02, "low": 0.01, "high": 0.03}), format_change(-0.5)
    ('+0.020 (0.010 to 0.030)', '−0.500')
    """
    text = format_estimate(value)
    return f"+{text}" if (point(value) or 0) > 0 else text


def tell_p(p: float | None) -> str:
    """Say a p value.

    >>> tell_p(0.0314), tell_p(0.0001), tell_p(None)
    ('p = 0.031', 'p < 0.001', 'p not defined')
    """
    if p is None:
        return "p not defined"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def pick(tree: Any, *keys: str) -> Any:
    """Walk down nested mappings; None where a step is absent or null.

    >>> pick({"a": {"b": 1}}, "a", "b"), pick({"a": None}, "a", "b")
    (1, None)
    """
    for key in keys:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(key)
    return tree


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of a JSON-like tree as (dotted key, text).

    >>> list(flatten({"a": {"b": 1}, "c": ["x", "y"]}))
    [('a.b', '1'), ('c', 'x, y')]
    """
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(tree, Sequence) and not isinstance(tree, str):
        if any(isinstance(item, Mapping) for item in tree):
            for index, item in enumerate(tree):
                yield from flatten(item, f"{prefix}.{index + 1}")
        else:
            yield prefix, ", ".join(_plain(item) for item in tree)
    else:
        yield prefix, _plain(tree)


def _plain(value: Any) -> str:
    """A setting as it stands in its file: no rounding, no commas."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
