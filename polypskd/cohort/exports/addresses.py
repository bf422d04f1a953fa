"""Frames as label tools name them: addresses, server paths, names with an upload's prefix.

The rule: what names a server, a bucket or a storage is taken off; then the longest end of the path
that is a frame's path below the root names it; else the file's name does, if it is unique.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from polypskd.cohort.address import split_address

SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*/*")
NUMBER = re.compile(r"#\d+$")
PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
UPLOAD = re.compile(r"(?s)^(.*(?:^|/)data/upload/(?:\d+/)?)[0-9a-f]{8}-([^/]+)$")


def clean_address(given: str) -> str:
    """Give the path that an address names, without server, bucket, storage and query.

    Args:
        given: as the tool wrote it.

    >>> clean_address("s3://bucket/exam/a%20b.jpg")
    'exam/a b.jpg'
    >>> clean_address("/data/local-files/?d=exam/a.jpg")
    'exam/a.jpg'
    >>> clean_address("https://host/data/upload/3/0a1b2c3d-a.jpg?t=1")
    'data/upload/3/0a1b2c3d-a.jpg'
    >>> clean_address("exam/100%.jpg")
    'exam/100%.jpg'
    """
    text = given.replace("\\", "/")
    local = re.search(r"(?s)/data/local-files/?\?(?:.*&)?d=([^&]*)", text)
    if local:
        return _decode(local[1]).lstrip("/")
    scheme = SCHEME.match(text)
    if scheme or text.startswith("/data/"):
        text = text[scheme.end() :] if scheme else text
        number = NUMBER.search(text)
        text = re.split(r"[?#]", text, maxsplit=1)[0]
        text = _decode(text) + (number[0] if number else "")
    parts = [part for part in text.split("/") if part not in {"", "."}]
    while ".." in parts:
        place = parts.index("..")
        parts = parts[: max(place - 1, 0)] + parts[place + 1 :]
    return "/".join(parts)


def drop_prefix(path: str) -> str:
    """Take off the eight letters that Label Studio puts before the name of an uploaded file.

    >>> drop_prefix("data/upload/3/0a1b2c3d-a.jpg")
    'data/upload/3/a.jpg'
    >>> drop_prefix("exam/0a1b2c3d-a.jpg")
    'exam/0a1b2c3d-a.jpg'
    """
    found = UPLOAD.match(path)
    return found[1] + found[2] if found else path


def is_inline(given: str) -> bool:
    """Whether the image itself stands where its name should.

    >>> is_inline("data:image/png;base64,iVBORw0KGgo=")
    True
    """
    return given[:5].lower() == "data:"


def resolve_names(
    given: Iterable[str], frames: list[str] | None, *, upload_prefix: bool
) -> dict[str, str]:
    """Name the frame that each address means, as far as its path tells.

    Args:
        given: as the tool wrote them, unique.
        frames: ids of the frames that exist; None where every name stands for itself.
        upload_prefix: whether an upload's prefix is part of the name.

    Returns:
        Address → frame, or the cleaned path for the file's name to be looked up.

    >>> resolve_names(["s3://b/a.mp4#2"], ["x/a.mp4#1", "x/a.mp4#2"], upload_prefix=False)
    {'s3://b/a.mp4#2': 'a.mp4#2'}
    >>> resolve_names(["s3://b/root/p1/a.jpg"], ["p1/a.jpg", "p2/a.jpg"], upload_prefix=False)
    {'s3://b/root/p1/a.jpg': 'p1/a.jpg'}
    """
    known = set(frames or ())
    names = {split_address(frame)[0].rpartition("/")[2] for frame in known}
    names |= {re.sub(r"(?s)(.)\.[^.]+$", r"\1", name) for name in names}
    resolved = {}
    for address in given:
        path = clean_address(address)
        bare = path if upload_prefix else drop_prefix(path)
        tail = _find_tail(path, known) or _find_tail(bare, known)
        if tail is None:
            ends = (path.rpartition("/")[2], bare.rpartition("/")[2])
            tail = next((end for end in ends if NUMBER.sub("", end) in names), bare)
            # A server's folders say nothing where there are no files to compare with.
            if frames is None and (found := UPLOAD.match(path)) is not None:
                tail = found[2] if not upload_prefix else path.rpartition("/")[2]
        resolved[address] = tail
    return resolved


def _find_tail(path: str, known: set[str]) -> str | None:
    number = NUMBER.search(path)
    parts = path.split("/")
    # The name alone is looked up among all names, so that one in two folders is not guessed.
    ends = ["/".join(parts[start:]) for start in range(max(len(parts) - 1, 1))]
    for end in ends:
        # Where frames are listed by file, the frame's number stands behind.
        if end in known or (number and end.removesuffix(number[0]) in known):
            return end
    return None


def _decode(text: str) -> str:
    def replace(found: re.Match[str]) -> str:
        try:
            return bytes.fromhex(found[0].replace("%", "")).decode("utf-8")
        except UnicodeDecodeError:
            return found[0]

    return PERCENT.sub(replace, text)
