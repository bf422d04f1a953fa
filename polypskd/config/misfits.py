"""What does not fit the config's shape, in plain words: the place, the value, what is wanted."""

from __future__ import annotations

import re
from difflib import SequenceMatcher, get_close_matches
from functools import cache
from typing import Any

from polypskd.config.experiment import Config

NUMBER, WHOLE, SECTION = "must be a number", "must be a whole number", "must be a section of keys"
ENTRIES = "must be a list, e.g. [1, 2]"
TEXT = "must be text; put a number or yes and no in quotes"
# By the type of pydantic's error; braces take what it knows of the bound.
WORDS = {
    "missing": "is missing",
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_from_float": WHOLE,
    "int_parsing_size": "is too large a number",
    "float_type": NUMBER,
    "float_parsing": NUMBER,
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_type": TEXT,
    "string_unicode": "must be text that UTF-8 can hold",
    "string_too_short": "must not be empty",
    "string_too_long": "is longer than {max_length} characters",
    "string_pattern_mismatch": "may hold letters, digits, '.', '_' and '-', and begins with one of "
    "the first two",
    "invalid_key": TEXT,
    "multiple_of": "must be a multiple of {multiple_of:g}",
    "path_type": "must be a path, as text",
    "literal_error": "must be {expected}",
    "union_tag_invalid": "must be one of {expected_tags}",
    "union_tag_not_found": "needs the key {discriminator}; `polypskd schema` lists its values",
    "model_type": SECTION,
    "model_attributes_type": SECTION,
    "dict_type": SECTION,
    "tuple_type": ENTRIES,
    "too_short": "has too few entries: {actual_length} of at least {min_length}",
    "too_long": "has too many entries: {actual_length} of at most {max_length}",
    "none_required": "must be left out, or null",
    "value_error": "{error}",
}

CHOICES = ("literal_error", "union_tag_invalid")
QUOTE = "'"


def describe_misfit(raw: dict[str, Any], item: Any) -> str:
    """Say in one line what does not fit.

    Args:
        raw: the page as it was read.
        item: one of the errors of pydantic's ValidationError.

    Returns:
        Place, value and what is wanted; for an unknown key, the known one most like it.
    """
    place = item["loc"]
    name = None  # of a key that is wrong itself
    if place[-1:] == ("[key]",):
        name, place = item["input"], place[:-2]
    elif item["type"] == "invalid_key":
        name, place = item["input"], place[:-1]
    keys, kind = _find_place(raw, place)
    if item["type"] == "extra_forbidden":
        of = f" (of kind {kind})" if kind else ""
        close = get_close_matches(str(place[-1]), list_keys(place[:-1]), n=1)
        remedy = f"did you mean {close[0]!r}?" if close else "`polypskd schema` lists the keys"
        return f"unknown key {keys!r}{of}; {remedy}"
    words = WORDS.get(item["type"])
    message = words.format_map(item.get("ctx") or {}) if words else item["msg"]
    value = item.get("input")
    if item["type"] == "union_tag_invalid":
        told_by = item["ctx"]["discriminator"].strip(QUOTE)
        value, keys = value.get(told_by) if isinstance(value, dict) else value, f"{keys}.{told_by}"
    if item["type"] in CHOICES:
        message += _suggest(value, message)
    if name is not None:
        return (f"{keys}: " if keys else "") + f"the key {name!r} {message}"
    shown = f" {value!r}" if isinstance(value, str | int | float | bool) else ""
    return (f"{keys}{shown}: " if keys else "") + message


def _suggest(value: object, message: str) -> str:
    """Suggest the choice that is most like what was written.

    >>> _suggest("resnet11", "must be 'resnet10' or 'wide'")
    "; did you mean 'resnet10'?"
    """
    close: list[str] = []
    if isinstance(value, str):
        choices = re.findall(r"'([^']*)'", message)
        close = get_close_matches(value, choices, n=len(choices) or 1)
        # Of those that are equally like it, the first in the list.
        close.sort(key=lambda one: (-SequenceMatcher(None, one, value).ratio(), choices.index(one)))
    return f"; did you mean {close[0]!r}?" if close else ""


def list_keys(place: tuple[Any, ...]) -> list[str]:
    """List the keys that a section knows; none where there is no such section.

    Args:
        place: keys from the top, with the kind behind a section that is told apart by it.

    >>> list_keys(("study", "confidence", "coverage"))
    ['kind', 'coverage']
    """
    schema = _draw_schema()
    node: Any = schema
    for part in place:
        node = _resolve(schema, node)
        kinds = node.get("discriminator", {}).get("mapping", {})
        named = kinds.get(part) if isinstance(part, str) else None
        if named:
            node = {"$ref": named}
        elif isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties")
        if not isinstance(node, dict):
            return []
    return list(_resolve(schema, node).get("properties", {}))


@cache
def _draw_schema() -> dict[str, Any]:
    return Config.model_json_schema()


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference; of what may be left out, take what it is if it is there."""
    for choice in node.get("anyOf", ()):
        if choice.get("type") != "null":
            return _resolve(schema, choice)
    if "$ref" in node:
        found: dict[str, Any] = schema["$defs"][node["$ref"].rpartition("/")[2]]
        return _resolve(schema, found)
    return node


def _find_place(raw: dict[str, Any], loc: tuple[Any, ...]) -> tuple[str, str]:
    """Give the path as it stands in the file, and the kind of the section in which it ends."""
    here: Any = raw
    keys: list[str] = []
    kind = ""
    for part in loc:
        section = here if isinstance(here, dict) else {}
        if part not in section and section.get("kind") == part:
            kind = str(part)  # a union adds it to the path; the file has no such key
            continue
        keys.append(str(part))
        kind = kind if part == loc[-1] else ""
        if isinstance(here, list) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            here = section.get(part)
    return ".".join(keys), kind
