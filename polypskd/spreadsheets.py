"""Texts in CSV files that people open in a spreadsheet: none of them is run as a formula."""

from __future__ import annotations

import re

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # a spreadsheet may run what begins so
BREAKS = ("\t", "\r", "\n")
MARK = "'"
PLAIN = re.compile(r"[+-]?(\d[\d,]*(\.\d*)?|\.\d+)([eE][+-]?\d+)?%?")


def escape_cell(text: str) -> str:
    """Write a text so that a spreadsheet shows it, and does not run it; numbers stay numbers.

    An apostrophe is put before what begins like a formula, and before what begins with an
    apostrophe, so that `unescape_cell` gives every text back.

    >>> escape_cell("=HYPERLINK(1)"), escape_cell("-0.5"), escape_cell("polyp"), escape_cell("'a")
    ("'=HYPERLINK(1)", '-0.5', 'polyp', "''a")
    """
    bare = text.lstrip()
    risky = text.startswith((*BREAKS, MARK)) or bare.startswith(FORMULA)
    return f"{MARK}{text}" if risky and not PLAIN.fullmatch(text) else text


def unescape_cell(text: str) -> str:
    """Give the text that was escaped: the same without a first apostrophe.

    >>> unescape_cell("'=1+1.png"), unescape_cell("polyp")
    ('=1+1.png', 'polyp')
    """
    return text.removeprefix(MARK)
