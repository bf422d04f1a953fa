"""The map subclass → class, and how agreement.json holds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Scheme:
    """The map subclass → class, easiest subclass of each class first.

    Args:
        classes: K names, lowest to highest risk.
        subclasses: S names, grouped by class.
        class_of: (S,) class index of each subclass.
        level_of: (S,) difficulty level of each subclass, 0 = easiest.
    """

    classes: tuple[str, ...]
    subclasses: tuple[str, ...]
    class_of: Ints
    level_of: Ints


def class_scheme(scheme: Scheme) -> Scheme:
    """Forget the subclasses: one a class."""
    count = len(scheme.classes)
    return Scheme(scheme.classes, scheme.classes, np.arange(count), np.zeros(count, dtype=np.int64))


def name_levels(scheme: Scheme) -> NDArray[np.str_]:
    """Name the level of each subclass as the subclass does, (S,).

    >>> both = ("adenoma/easy", "adenoma/hard")
    >>> scheme = Scheme(("adenoma",), both, np.zeros(2, int), np.arange(2))
    >>> name_levels(scheme).tolist()
    ['easy', 'hard']
    """
    owners = [scheme.classes[owner] for owner in scheme.class_of]
    pairs = zip(scheme.subclasses, owners, strict=True)
    return np.array([name.removeprefix(f"{owner}/") for name, owner in pairs], dtype=np.str_)


def find_names(values: NDArray[np.str_], names: Sequence[str]) -> Ints:
    """Give each value's place among the names, which are few; the values may be millions.

    Args:
        values: (N,).
        names: of which each value is one.

    Raises:
        KeyError: a value is none of them.

    >>> find_names(np.array(["b", "a", "b"]), ("a", "b")).tolist()
    [1, 0, 1]
    """
    places = np.full(len(values), -1, dtype=np.int64)
    for place, name in enumerate(names):
        places[values == name] = place
    if (places < 0).any():
        raise KeyError(str(values[np.argmin(places)]))
    return places


def describe_scheme(scheme: Scheme, subclass: NDArray[np.str_], split: NDArray[np.str_]) -> Any:
    """Name, class, level and sizes of each subclass, as rows for JSON.

    Args:
        scheme: the subclasses.
        subclass: (N,) subclass name of each frame.
        split: (N,) "train", "val" or "test".
    """
    parts = {part: split == part for part in ("train", "val", "test")}
    rows = []
    for index, name in enumerate(scheme.subclasses):
        own = subclass == name
        rows.append(
            {
                "name": name,
                "class": scheme.classes[scheme.class_of[index]],
                "level": int(scheme.level_of[index]),
                "size": {part: int(np.count_nonzero(own & of)) for part, of in parts.items()},
            }
        )
    return rows


def parse_scheme(described: dict[str, Any]) -> Scheme:
    """Read the scheme out of agreement.json's "classes" and "subclasses"."""
    classes = tuple(described["classes"])
    rows = described["subclasses"]
    return Scheme(
        classes,
        tuple(row["name"] for row in rows),
        np.array([classes.index(row["class"]) for row in rows]),
        np.array([row["level"] for row in rows]),
    )
