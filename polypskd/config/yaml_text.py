"""YAML from strangers: nothing of it is evaluated, and nothing of it grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

LARGEST = 2**20  # bytes
LONGEST = 120  # characters of a reason that YAML's reader gives
MOST_PARTS = 100_000  # keys and values, those that an alias repeats counted each time


class PageError(ValueError):
    """Text that is no YAML, or none that a person writes; its message is one line.

    Args:
        why: what is wrong.
        place: " line 3 column 5", or nothing where that is not known.
    """

    def __init__(self, why: str, place: str = "") -> None:
        super().__init__(why)
        self.place = place


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice: the last would silently win."""

    def get_single_node(self) -> Any:
        node = super().get_single_node()
        if node is not None:
            _count_parts(node, {})
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            made = self.construct_object(key, deep=True)
            try:
                if made in seen:
                    line = node.start_mark.line + 1
                    raise yaml.YAMLError(f"key {made!r} stands twice in the section at line {line}")
                seen.add(made)
            except TypeError:
                break  # a list as a key, which the loader itself refuses
        return super().construct_mapping(node, deep=deep)


def _count_parts(node: Any, parts: dict[int, int]) -> int:
    """Refuse aliases that repeat each other until the memory is full, or that hold themselves."""
    known = parts.get(id(node))
    if known == 0:
        raise yaml.YAMLError("an alias holds itself")
    if known is not None:
        return known
    parts[id(node)] = 0
    total = 1
    for below in node.value if isinstance(node.value, list) else ():
        for one in below if isinstance(below, tuple) else (below,):
            total += _count_parts(one, parts)
            if total > MOST_PARTS:
                raise yaml.YAMLError(f"more than {MOST_PARTS:,} keys and values, aliases counted")
    parts[id(node)] = total
    return total


def parse_yaml(text: str) -> Any:
    """Parse YAML.

    Args:
        text: of a file.

    Raises:
        PageError: it is not valid, gives a key twice, is nested too deeply, or grows by aliases.

    >>> parse_yaml("seed: 3")
    {'seed': 3}
    """
    try:
        # A SafeLoader.
        return yaml.load(text, Loader=_Loader)  # noqa: S506
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" line {mark.line + 1} column {mark.column + 1}" if mark else ""
        raise PageError(_shorten(error.problem or error.context or ""), place) from None
    except yaml.YAMLError as error:
        raise PageError(_shorten(error)) from None
    except RecursionError:
        raise PageError("nested too deeply") from None
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        # Of a date, number or tag that says what it is not.
        raise PageError("a value is not what it seems, as a date 2024-13-45; put quotes") from None


def _shorten(reason: object) -> str:
    return " ".join(str(reason).split())[:LONGEST]


def read_text(path: Path) -> str:
    """Read the text of a YAML file.

    Raises:
        PageError: it is too large.
        OSError: it cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise PageError(f"more than {LARGEST:,} bytes")
    return data.decode("utf-8-sig")
