"""XML read tag by tag, without the parts of XML that can do harm.

expat itself with every door shut: a document type is refused at its first letter, so there are no
entities to blow up and none to fetch; only UTF-8 is read; tags are bounded in length and depth.
That is all that defusedxml would add, so it is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from xml.parsers import expat

from polypskd.cohort.exports.source import SAVE, fail, read_pieces

DEEPEST = 32
LONGEST_TAG = 8 << 20  # bytes; a mask is written into one
LONGEST_TEXT = 10_000
MOST_TAGS = 4_000_000
Opened = Callable[[tuple[str, ...], Mapping[str, str], int], None]
Closed = Callable[[tuple[str, ...], str], None]


class _RefusedError(Exception):
    def __init__(self, what: str, todo: str) -> None:
        super().__init__(what)
        self.what, self.todo = what, todo


def read_tags(path: Path, name: str, opened: Opened, closed: Closed) -> None:
    """Read an XML file and call for each tag.

    Args:
        path: the file.
        name: as faults show it.
        opened: called with the tags that lie around, the tag itself last, its attributes and the
            line.
        closed: called with the same tags and the text before its end, stripped, at most
            `LONGEST_TEXT` letters of it.

    Raises:
        CohortError: the bytes are not what `read_pieces` allows, or not XML without a document
            type.
    """
    stack: list[str] = []
    text: list[str] = []
    room = LONGEST_TEXT
    tags = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal room, tags
        stack.append(tag)
        tags += 1
        if tags > MOST_TAGS:
            raise _RefusedError(f"more than {MOST_TAGS:,} tags", "export it in parts")
        if len(stack) > DEEPEST:
            raise _RefusedError(
                "tags lie too deep in each other", "this is no export of a label tool"
            )
        text.clear()
        room = LONGEST_TEXT
        opened(tuple(stack), attributes, parser.CurrentLineNumber)

    def end(_: str) -> None:
        closed(tuple(stack), "".join(text).strip())
        stack.pop()
        text.clear()

    def characters(data: str) -> None:
        nonlocal room
        if room > 0:
            text.append(data[:room])
            room -= len(data)

    def refuse(*_: object) -> None:
        raise _RefusedError("declares a document type", "take the DOCTYPE out")

    def check(_: str, encoding: str | None, __: int) -> None:
        if encoding is not None and encoding.lower() not in {"utf-8", "utf8", "us-ascii", "ascii"}:
            raise _RefusedError("is not encoded as UTF-8", SAVE)

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = refuse
    parser.XmlDeclHandler = check
    fed = 0
    try:
        for piece in read_pieces(path, name):
            parser.Parse(piece, False)
            fed += len(piece)
            if fed - max(parser.CurrentByteIndex, 0) > LONGEST_TAG:
                raise _RefusedError(
                    f"a tag has more than {LONGEST_TAG >> 20} MiB", "export without masks"
                )
        parser.Parse(b"", True)
    except _RefusedError as refused:
        where = f"{name} line {parser.CurrentLineNumber}"
        raise fail(where, refused.what, todo=refused.todo) from None
    except expat.ExpatError as error:
        what = f"not XML: {expat.ErrorString(error.code)}"
        raise fail(f"{name} line {error.lineno}", what, todo="export it anew") from None
