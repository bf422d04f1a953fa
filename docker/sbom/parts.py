"""What an image or an installation is made of, one part at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote

Kind = Literal["os", "python", "weights", "data"]
RESEARCH = "Research use only: not a medical device, not for diagnosis."


class SbomError(Exception):
    """A fault of the input, told in one line."""


@dataclass(frozen=True)
class Part:
    """A package of the system, a Python distribution, or a file of a bundle.

    Args:
        kind: which of them.
        name: as its maker writes it.
        version: likewise.
        purl: package URL; "" for files.
        sha256: of the file; of a locked distribution one for each file that may be installed.
        sha1: of a bundle's file, which SPDX 2.3 asks for.
        expression: license as an SPDX expression; "" where only names are told.
        licenses: names of licenses, where there is no expression.
        supplier: who ships it; "" where unknown.
    """

    kind: Kind
    name: str
    version: str
    purl: str = ""
    sha256: tuple[str, ...] = ()
    sha1: str = ""
    expression: str = ""
    licenses: tuple[str, ...] = ()
    supplier: str = ""


@dataclass(frozen=True)
class Bundle:
    """A bundle: its own description and its files.

    Args:
        name: of the experiment.
        version: of the program that exported it.
        sha256: of its manifest.json, which holds the hash of each other file.
        model: what manifest.json says of the network.
        test: accuracy on the test frames, as in manifest.json.
        files: every file, manifest.json too.
        expression: license of the weights; "" where nobody states one.
    """

    name: str
    version: str
    sha256: str
    model: dict[str, object]
    test: dict[str, object]
    files: tuple[Part, ...]
    expression: str = ""


@dataclass(frozen=True)
class Whole:
    """Everything that is listed.

    Args:
        version: of polypskd.
        image: SHA-256 of the image's manifest; "" where none was read or it has none.
        parts: packages of the system and Python distributions, sorted.
        bundle: None where none was given.
        seconds: when, since 1970.
        left_out: what is not listed, in words.
    """

    version: str
    image: str
    parts: tuple[Part, ...]
    bundle: Bundle | None
    seconds: int
    left_out: tuple[str, ...] = field(default=())


def normalize(name: str) -> str:
    """Write the name of a Python distribution in its one form.

    >>> normalize("Foo.Bar_baz")
    'foo-bar-baz'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def build_purl(kind: str, space: str, name: str, version: str, **marks: str) -> str:
    """Build a package URL.

    >>> build_purl("deb", "debian", "libc6", "1:2.36+deb", arch="amd64")
    'pkg:deb/debian/libc6@1:2.36%2Bdeb?arch=amd64'
    """
    path = "/".join(quote(one, safe=":") for one in (space, name) if one)
    tail = "&".join(f"{key}={quote(value, safe=':')}" for key, value in sorted(marks.items()))
    return f"pkg:{kind}/{path}@{quote(version, safe=':')}{'?' if tail else ''}{tail}"
