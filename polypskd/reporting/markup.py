"""Texts and tables in Markdown, LaTeX and CSV; nothing from a cohort is read as a command there."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from polypskd.reporting.cells import DASH, Table
from polypskd.spreadsheets import escape_cell

LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # \textquotedbl would ask for the T1 encoding
    "−": "$-$",
    "–": "--",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "→": r"$\rightarrow$",
    "κ": r"$\kappa$",
    "†": r"\textdagger{}",
    "‡": r"\textdaggerdbl{}",
    "…": r"\ldots{}",
}
MARKDOWN = re.compile(r"([\\`*_\[\]|#~!])")
PARTS = {"value": "", "low": "low", "high": "high", "p_adjusted": "p (adjusted)"}
NUMBER = r"([+−-]?\d[\d,]*(?:\.\d+)?)"
ESTIMATE = re.compile(rf"{NUMBER}(?: \({NUMBER} to {NUMBER}\))?")  # as cells.py prints it


def escape_latex(text: str) -> str:
    r"""Write a text so that LaTeX prints it as it stands.

    >>> escape_latex("50% of a_b & c")
    '50\\% of a\\_b \\& c'
    """
    return "".join(LATEX.get(letter, letter) for letter in _flatten(text))


def escape_markdown(text: str) -> str:
    r"""Write a text so that Markdown prints it as it stands, and holds no HTML.

    >>> escape_markdown("<b> a_b")
    '&lt;b&gt; a\\_b'
    """
    plain = _flatten(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return MARKDOWN.sub(r"\\\1", plain)


def write_csv(table: Table) -> str:
    r"""Write a table as CSV: numbers as they were measured, estimates with low and high beside.

    Where differences were tested, so is their adjusted p.

    Args:
        table: with its raw cells where it has them; else the printed ones are written.

    >>> low = {"value": 0.5, "low": 0.25, "high": 0.75}
    >>> write_csv(Table("", ("Class", "F1"), (("polyp", "0.500"),), raw=(("polyp", low),)))
    'Class,F1,F1 low,F1 high\npolyp,0.5,0.25,0.75\n'
    """
    rows: Sequence[Sequence[Any]] = table.raw or [
        [cell if at == 0 else _read_printed(cell) for at, cell in enumerate(row)]
        for row in table.rows
    ]
    spread = [_list_parts([row[j] for row in rows]) for j in range(len(table.head))]
    head: list[str] = []
    for name, parts in zip(table.head, spread, strict=True):
        head += [name, *(f"{name} {PARTS[part]}".strip() for part in parts[1:])]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([escape_cell(name) for name in head])
    for row in rows:
        cells: list[str] = []
        for value, parts in zip(row, spread, strict=True):
            read = value if isinstance(value, Mapping) else {"value": value}
            cells += [_write_value(read.get(part)) for part in parts]
        writer.writerow(cells)
    return buffer.getvalue()


def _list_parts(values: Sequence[Any]) -> list[str]:
    """List the parts of a column's cells, a column of the CSV each."""
    estimates = [value for value in values if isinstance(value, Mapping)]
    tested = any("p_adjusted" in value for value in estimates)
    return list(PARTS)[: 1 if not estimates else 4 if tested else 3]


def tabulate_markdown(table: Table) -> str:
    """Write a table as Markdown, its caption before it."""
    lines = [
        f"{escape_markdown(table.caption)}\n" if table.caption else "",
        _row(escape_markdown(name) for name in table.head),
        _row("---:" if right else "---" for right in _find_numbers(table)),
        *(_row(escape_markdown(cell) for cell in row) for row in table.rows),
    ]
    return "\n".join(line for line in lines if line) + "\n"


def tabulate_latex(table: Table, label: str) -> str:
    """Write a table as LaTeX with booktabs.

    Args:
        table: the table.
        label: to refer to it; letters and hyphens.
    """
    columns = "".join("r" if right else "l" for right in _find_numbers(table))
    body = [_row_latex(row) for row in table.rows]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{escape_latex(table.caption)}}}\label{{tab:{label}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _row_latex(table.head),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def _row_latex(cells: Sequence[str]) -> str:
    """Write a row; one that begins with [ or * would be read as an option of the row before."""
    text = " & ".join(escape_latex(cell) for cell in cells)
    return ("{}" if text.startswith(("[", "*")) else "") + text + r" \\"


def _read_printed(text: str) -> Any:
    """Take a printed number or estimate back to what a program reads; other text stays."""
    match = ESTIMATE.fullmatch(text)
    if match is None:
        return text
    value, low, high = (part and part.replace(",", "").replace("−", "-") for part in match.groups())
    return value if low is None else {"value": value, "low": low, "high": high}


def _find_numbers(table: Table) -> list[bool]:
    """Tell for each column whether it holds numbers, which stand right."""
    rows: Sequence[Sequence[Any]] = table.raw or table.rows
    return [
        any(not isinstance(row[j], str) and row[j] is not None for row in rows)
        for j in range(len(table.head))
    ]


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _flatten(text: str) -> str:
    """One line, without characters that are not printed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _write_value(value: Any) -> str:
    if value is None or value == DASH:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return escape_cell(value) if isinstance(value, str) else str(value)
