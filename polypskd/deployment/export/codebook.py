"""The codebook of a bundle: which DICOM code a result says for each class and subclass."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from polypskd.config.section import Name, Section
from polypskd.deployment.bundle import PRIVATE, Code, Codebook, CodedClass, CodedSubclass
from polypskd.errors import ConfigError
from polypskd.labels.scheme import Scheme

# What pydicom's dictionary knows under these very words; all else needs the hospital's decision.
KNOWN = {
    "adenoma": Code(value="1187375007", scheme="SCT", meaning="Adenoma"),
    "tubular adenoma": Code(value="444408007", scheme="SCT", meaning="Tubular adenoma"),
    "polyp": Code(value="68496003", scheme="SCT", meaning="Polyp of colon"),
}
MOST = 1 << 20  # bytes of a codebook


class _Named(Section):
    name: Name
    definition: str = ""
    code: Code | None = None
    # Of the annotators' codebook; the hospital's results do not say them.
    risk: Annotated[int, Field(ge=0)] | None = None
    terms: tuple[str, ...] = ()
    consequence: str = ""


class _Page(Section):
    classes: tuple[_Named, ...]
    subclasses: tuple[_Named, ...] = ()
    title: str = ""
    version: str | int | float = ""
    task: str = ""
    not_a_class: dict[str, str] = Field(default_factory=dict)


def build_codebook(scheme: Scheme, positive: Sequence[str], page: Path | None = None) -> Codebook:
    """Give each class and subclass a code: the page's, a public one, or one of our own scheme.

    Args:
        scheme: what the outputs mean.
        positive: classes that count as positive.
        page: codebook.yaml, whose classes and subclasses may have a ``code``; may name more
            classes than there are.

    Raises:
        ConfigError: the page is missing, no codebook, or lacks a class; or two would have one code.
    """
    given = _read_page(page) if page is not None else _Page(classes=())
    named = {one.name: one for one in given.classes}
    lacking = [name for name in scheme.classes if page is not None and name not in named]
    if lacking:
        raise ConfigError(f"{page}: lacks the class {lacking[0]!r}; add it, or spell it as the run")
    below = {one.name: one for one in given.subclasses}
    unknown = [name for name in below if name not in scheme.subclasses]
    if unknown:
        raise ConfigError(
            f"{page}: subclass {unknown[0]!r} is none of this run; use one of: "
            f"{', '.join(scheme.subclasses)}"
        )
    classes = tuple(
        CodedClass(
            name=name,
            code=_choose_code(name, named.get(name)),
            definition=named[name].definition if name in named else "",
            positive=name in positive,
        )
        for name in scheme.classes
    )
    codes = {one.name: one.code for one in classes}
    subclasses = tuple(
        CodedSubclass(
            name=name,
            # A class without subclasses of its own is its own subclass.
            code=codes[name] if name in codes else _choose_code(name, below.get(name), known={}),
            of=scheme.classes[of],
        )
        for name, of in zip(scheme.subclasses, scheme.class_of.tolist(), strict=True)
    )
    _check_distinct(classes, page)
    _check_distinct(subclasses, page)
    return Codebook(classes=classes, subclasses=subclasses)


def name_private(name: str) -> Code:
    """Make a code of our own scheme, which depends on the name alone.

    >>> name_private("serrated").value, name_private("hyperplastic, very easy").value
    ('serrated', 'hyperplas-49a78d')
    """
    meaning = " ".join(re.sub(r"[\\\x00-\x1f\x7f]", " ", name).split())[:64] or "unnamed"
    value = re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    if value != name or len(value) > 16:
        value = f"{value[:9]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return Code(value=value, scheme=PRIVATE, meaning=meaning)


def _choose_code(name: str, given: _Named | None, known: Mapping[str, Code] = KNOWN) -> Code:
    if given is not None and given.code is not None:
        return given.code
    return known.get(name.lower().replace("_", " ")) or name_private(name)


def _check_distinct(coded: Sequence[CodedClass | CodedSubclass], page: Path | None) -> None:
    seen: dict[tuple[str, str], str] = {}
    for one in coded:
        key = (one.code.scheme, one.code.value)
        if key in seen:
            raise ConfigError(
                f"{page or 'codebook'}: {seen[key]!r} and {one.name!r} have one code, "
                f"{one.code.value} of {one.code.scheme}; give each a code of its own"
            )
        seen[key] = one.name


def _read_page(path: Path) -> _Page:
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
        if len(data) > MOST:
            raise ConfigError(f"{path}: larger than 1 MiB; give a codebook like the example's")
        page: Any = yaml.safe_load(data.decode("utf-8"))
        return _Page.model_validate(page)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check --codebook") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part)[:40] for part in first["loc"][:4]) or "the page"
        raise ConfigError(f"{path}: {at}: {first['msg']}; see docs/export.md") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError):
        raise ConfigError(f"{path}: not a YAML page; see docs/export.md") from None
