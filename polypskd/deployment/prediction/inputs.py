"""What is to be judged: image files, DICOM files and videos, listed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from polypskd.cohort.address import DICOM, VIDEO, holds_many
from polypskd.cohort.damage import DamageError
from polypskd.cohort.frames import READERS, check_within
from polypskd.errors import CohortError, ConfigError, Fault

Kind = Literal["image", "dicom", "video"]


@dataclass(frozen=True)
class Source:
    """One file.

    Args:
        path: where it lies.
        name: how results name it: below the folder that was given, with / between the parts.
        kind: image, dicom or video.
    """

    path: Path
    name: str
    kind: Kind


@dataclass(frozen=True)
class Sources:
    """What was found.

    Args:
        files: sorted by name.
        faults: files that are not followed.
        other: number of files that hold no frames.
    """

    files: tuple[Source, ...]
    faults: tuple[Fault, ...] = ()
    other: int = 0


def list_sources(inputs: Sequence[Path]) -> Sources:
    """List the files below folders, and files that are named one by one.

    Hidden files and folders are skipped, and links to folders are not followed; a link to a file is
    followed where the file lies within the folder, and is a fault elsewhere. Files of one folder
    are named by their path below it; where several inputs are given, by the input's name too.

    Args:
        inputs: at least one file or folder.

    Raises:
        ConfigError: one of them is neither, or two files would have one name.
        CohortError: there is nothing to be judged.
    """
    files: list[Source] = []
    faults: list[Fault] = []
    other = 0
    for given in inputs:
        if given.is_dir():
            prefix = f"{given.resolve().name}/" if len(inputs) > 1 else ""
            other += _list_folder(given, prefix, files, faults)
        elif given.is_file():
            kind = tell_kind(given)
            if kind is None:
                known = ", ".join([*READERS, *sorted(DICOM), *sorted(VIDEO)])
                raise ConfigError(f"{given}: unknown suffix; use one of: {known}")
            files.append(Source(given, show_name(given.name), kind))
        else:
            raise ConfigError(f"{given}: no such file or folder; check the path")
    files.sort(key=lambda source: source.name)
    for one, next_ in pairwise(files):
        if one.name == next_.name:
            raise ConfigError(
                f"{one.path} and {next_.path} would both be named {one.name}; give the folder that "
                "holds both, or one of them"
            )
    if not files and not faults:
        where = ", ".join(map(str, inputs))
        what = f"no frames here{f' (other files: {other:,})' if other else ''}"
        raise CohortError([Fault(where, what, todo="give images, DICOM files, videos or a folder")])
    return Sources(tuple(files), tuple(faults), other)


def show_name(name: str) -> str:
    r"""Make a file's name fit for a table: bytes that are no UTF-8, and what ends a line, escaped.

    >>> show_name("a\nb.png")
    'a\\nb.png'
    """
    plain = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in plain)


def tell_kind(path: Path) -> Kind | None:
    """Tell by a file's name what it is, and by its first bytes if it may be a DICOM file; or None.

    Args:
        path: an existing file.
    """
    suffix = path.suffix.lower()
    if suffix in READERS:
        return "image"
    if suffix in VIDEO:
        return "video"
    if suffix in DICOM:
        return "dicom"
    if holds_many(path.name):
        from polypskd.cohort.dicom.recognition import looks_like_dicom

        return "dicom" if looks_like_dicom(path) else None
    return None


def _list_folder(root: Path, prefix: str, files: list[Source], faults: list[Fault]) -> int:
    other = 0
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            entries = list(os.scandir(root / below))
        except OSError as error:
            name = prefix + show_name(below)
            what = f"cannot be read ({error.strerror})"
            faults.append(Fault(name or str(root), what, todo="let it be read (chmod -R a+rX)"))
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            name = f"{below}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                waiting.append(f"{name}/")
                continue
            path = Path(entry.path)
            try:
                if entry.is_symlink():
                    check_within(root, name)
                kind = tell_kind(path) if entry.is_file() else None
            except (DamageError, OSError):
                told = prefix + show_name(name)
                todo = "copy the file into the folder"
                faults.append(Fault(told, "leads outside of the folder", todo=todo))
                continue
            if kind is None:
                other += 1
                continue
            files.append(Source(path, prefix + show_name(name), kind))
    return other
