"""JSON read one entry at a time, so that a large or hostile file does not fill the memory."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polypskd.cohort.exports.source import SAVE, fail, read_pieces

LARGEST_ENTRY = 24 << 20  # characters; its lists may take forty times that in memory
MOST_ENTRIES = 2_000_000
SPACE = re.compile(r"[ \t\r\n]*")
IN_NUMBER = re.compile(r"[0-9.eE+-]*")


@dataclass(frozen=True)
class Piece:
    """One entry of a list at the top, or one value of an object there.

    Args:
        key: of the object; empty for a list at the top.
        value: the entry.
        line: in the file, from 1, where it begins.
        listed: whether it is one entry of a list.
    """

    key: str
    value: Any
    line: int
    listed: bool


class _TwiceError(ValueError):
    pass


def stream_json(path: Path, name: str) -> Iterator[Piece]:
    """Read a JSON file whose top is a list, or an object of lists and small values.

    Args:
        path: the file.
        name: as faults show it.

    Raises:
        CohortError: the bytes are not what `read_pieces` allows, the text is no JSON, a key
            stands twice, lists lie too deep in each other, or an entry is too large.
    """
    text = _Text(path, name)
    opened = text.peek()
    if opened == "[":
        for value, line in text.entries():
            yield Piece("", value, line, listed=True)
    elif opened == "{":
        yield from _stream_object(text)
    else:
        raise text.fail("not JSON of a label tool", todo="its first character must be [ or {")
    if text.peek():
        raise text.fail("text after the end of the JSON", todo="export it anew")


def _stream_object(text: _Text) -> Iterator[Piece]:
    text.step()
    seen: set[str] = set()
    if text.peek() == "}":
        text.step()
        return
    while True:
        if text.peek() != '"':
            raise text.fail("not JSON: a key is missing", todo="export it anew")
        key = text.decode()
        if key in seen:
            raise text.fail("a key stands twice:", key[:80], "export it anew")
        seen.add(key)
        if text.peek() != ":":
            raise text.fail("not JSON: no ':' after a key", todo="export it anew")
        text.step()
        if text.peek() == "[":
            for value, line in text.entries():
                yield Piece(key, value, line, listed=True)
        else:
            line = text.line
            yield Piece(key, text.decode(), line, listed=False)
        end = text.peek()
        text.step()
        if end == "}":
            return
        if end != ",":
            raise text.fail("not JSON: the file ends or breaks off", todo="export it anew")


class _Text:
    """The text not read yet; more of it is fetched as needed."""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.line = 1
        self._pieces = read_pieces(path, name)
        self._characters = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(object_pairs_hook=_no_twins)
        self._buffer = ""
        self._at = 0
        self._ended = False

    def fail(self, what: str, value: str = "", todo: str = "") -> Exception:
        return fail(f"{self.name} line {self.line}", what, value, todo)

    def peek(self) -> str:
        """Give the next character that is no blank; empty at the end."""
        while True:
            end = _end_of_space(self._buffer, self._at)
            self._pass(end)
            if end < len(self._buffer):
                return self._buffer[end]
            if not self._fetch(1):
                return ""

    def step(self) -> None:
        self._at += 1

    def entries(self) -> Iterator[tuple[Any, int]]:
        """Give each entry of a list, and its line."""
        self.step()
        if self.peek() == "]":
            self.step()
            return
        for _ in range(MOST_ENTRIES):
            self.peek()
            line = self.line
            yield self.decode(), line
            end = self.peek()
            self.step()
            if end == "]":
                return
            if end != ",":
                raise self.fail("not JSON: the file ends or breaks off", todo="export it anew")
        raise self.fail(f"more than {MOST_ENTRIES:,} entries", todo="export it in parts")

    def decode(self) -> Any:
        """Decode the value that begins here; a cut one is tried anew with twice the text."""
        self.peek()
        wanted = 1
        while True:
            try:
                value, end = self._json.raw_decode(self._buffer, self._at)
            except _TwiceError as error:
                raise self.fail("a key stands twice:", str(error), "export it anew") from None
            except RecursionError:
                todo = "this is no export of a label tool"
                raise self.fail("lists lie too deep in each other", todo=todo) from None
            except ValueError as error:
                size = len(self._buffer) - self._at
                if size > LARGEST_ENTRY:
                    what = f"an entry has more than {LARGEST_ENTRY >> 20} MiB"
                    raise self.fail(what, todo="export it without masks and images") from None
                if self._fetch(wanted):
                    wanted *= 2
                    continue
                at = error.pos if isinstance(error, json.JSONDecodeError) else self._at
                self._pass(max(at, self._at))
                what = error.msg if isinstance(error, json.JSONDecodeError) else "a number too long"
                raise self.fail(f"not JSON: {what.lower()}", todo="export it anew") from None
            # A number at the end may go on in the next piece.
            if IN_NUMBER.fullmatch(self._buffer, end) and self._fetch(wanted):
                continue
            if end - self._at > LARGEST_ENTRY:
                what = f"an entry has more than {LARGEST_ENTRY >> 20} MiB"
                raise self.fail(what, todo="export it without masks and images")
            self._pass(end)
            return value

    def _pass(self, end: int) -> None:
        self.line += self._buffer.count("\n", self._at, end)
        self._at = end

    def _fetch(self, pieces: int) -> bool:
        """Add pieces of the file to the text that is left; say whether there was one."""
        if self._ended:
            return False
        parts = [self._buffer[self._at :]]
        self._at = 0
        try:
            for _ in range(pieces):
                piece = next(self._pieces, None)
                self._ended = piece is None
                parts.append(self._characters.decode(piece or b"", final=self._ended))
                if self._ended:
                    break
        except UnicodeDecodeError as error:
            self._buffer = ""
            self.line += sum(part.count("\n") for part in parts)
            self.line += error.object.count(b"\n", 0, error.start)
            value = f"0x{error.object[error.start]:02x}"
            raise self.fail("not UTF-8, byte", value, SAVE) from None
        self._buffer = "".join(parts)
        return len(parts) > 1


def _end_of_space(text: str, start: int) -> int:
    found = SPACE.match(text, start)
    return found.end() if found else start


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _TwiceError(twice[:80])
    return made
