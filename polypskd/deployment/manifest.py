"""manifest.json: what a bundle holds, and the SHA-256 of each of its files.

Its bytes are canonical (sorted keys, one blank of indent, UTF-8, a newline at the end), so that a
signature of the file is a signature of what it says.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError

from polypskd.config.section import Name, Section
from polypskd.errors import ArtifactError

FORMAT = "polypskd-bundle"
VERSION = 1
MANIFEST = "manifest.json"
SIGNATURES = ("manifest.json.sig", "manifest.json.asc")  # detached; the manifest cannot name them
MOST_JSON = 8 << 20  # bytes
MOST_FILE = 4 << 30
MOST_FILES = 64
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
Page = TypeVar("Page", bound=Section)
EXPORT = "export the run again, or copy the bundle anew"


class Entry(Section):
    """One file of a bundle."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0, le=MOST_FILE)]


class Manifest(Section):
    """What a bundle says of itself.

    Args:
        name: of the experiment.
        version: of polypskd that exported it.
        research_use_only: always true.
        files: every other file by its path below the bundle.
        model: what the network is: kind, parameters, opset, temperature, size.
        parity: how far onnxruntime's probabilities are from PyTorch's on real frames.
        precisions: smaller networks of the bundle, by name, with what they cost.
        provenance: of the training; names no patient, user or machine.
    """

    format: Literal["polypskd-bundle"]
    format_version: Literal[1]
    name: Name
    version: Name
    research_use_only: Literal[True]
    files: Annotated[dict[str, Entry], Field(max_length=MOST_FILES)]
    model: dict[str, Any]
    parity: dict[str, Any]
    precisions: dict[str, dict[str, Any]]
    provenance: dict[str, Any]


def write_canonical(value: Mapping[str, Any]) -> bytes:
    """Write JSON in the one form that a value has.

    >>> print(write_canonical({"b": 1, "a": True}).decode(), end="")
    {
     "a": true,
     "b": 1
    }
    """
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of a bundle, looking at no other file.

    Raises:
        ArtifactError: it is missing, damaged, not canonical, or of another version.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder; `polypskd export RUN` makes a bundle")
    if not path.exists():
        raise ArtifactError(f"{folder}: not a bundle (no {MANIFEST}); {EXPORT}")
    data = read_bytes(path, MOST_JSON)
    page = parse_json(data, str(path))
    version = page.get("format_version") if isinstance(page, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise ArtifactError(
            f"{path}: format {version} is newer than this polypskd reads ({VERSION}); update it"
        )
    manifest = check_page(Manifest, page, str(path))
    if write_canonical(page) != data:
        raise ArtifactError(f"{path}: not in its canonical form, so it was changed; {EXPORT}")
    for name in manifest.files:
        if not PLAIN.fullmatch(name) or name in (MANIFEST, *SIGNATURES):
            raise ArtifactError(f"{path}: names a file {name[:80]!r} that no bundle has; {EXPORT}")
    return manifest


def check_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file of a bundle with its manifest.

    Raises:
        ArtifactError: one differs, is missing, or is not named; the first in order of names.
    """
    found = {name for name in _list_files(folder) if name not in (MANIFEST, *SIGNATURES)}
    for name in sorted(found - set(manifest.files)):
        raise ArtifactError(f"{folder / name}: not in the manifest; remove it, or {EXPORT}")
    for name in sorted(manifest.files):
        if name not in found:
            raise ArtifactError(f"{folder / name}: missing; {EXPORT}")
        check_file(folder, name, manifest.files[name])


def check_file(folder: Path, name: str, entry: Entry) -> None:
    """Compare one file with what the manifest says of it.

    Raises:
        ArtifactError: it differs or cannot be read.
    """
    path = folder / name
    try:
        size = path.stat().st_size
        if size != entry.size:
            raise ArtifactError(f"{path}: {size} bytes instead of {entry.size}; {EXPORT}")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); {EXPORT}") from None
    _compare(path, digest, entry)


def read_checked(folder: Path, name: str, entry: Entry) -> bytes:
    """Read a file and check the very bytes that are given back.

    Raises:
        ArtifactError: they are not those of the manifest.
    """
    path = folder / name
    data = read_bytes(path, entry.size)
    _compare(path, hashlib.sha256(data).hexdigest(), entry)
    return data


def read_bytes(path: Path, most: int) -> bytes:
    """Read a plain file of at most so many bytes.

    Raises:
        ArtifactError: it is larger, no plain file, or cannot be read.
    """
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise ArtifactError(f"{path}: not a plain file; {EXPORT}")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); {EXPORT}") from None
    if len(data) > most:
        raise ArtifactError(f"{path}: larger than {most} bytes; {EXPORT}")
    return data


def parse_json(data: bytes, where: str) -> Any:
    """Parse strict JSON: UTF-8, no NaN, no key twice.

    Raises:
        ArtifactError: it is none.
    """
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise ArtifactError(f"{where}: damaged (not JSON); {EXPORT}") from None


def check_page(kind: type[Page], value: Any, where: str) -> Page:
    """Check parsed JSON against its shape.

    Raises:
        ArtifactError: the first key that does not fit.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part)[:40] for part in first["loc"][:4]) or "the page"
        raise ArtifactError(f"{where}: {at}: {first['msg']}; {EXPORT}") from None


def _list_files(folder: Path) -> Iterator[str]:
    """List what lies below a folder; a link, a pipe or too many entries are refused."""
    waiting, seen = [folder], 0
    while waiting:
        try:
            entries = waiting.pop().iterdir()
            for path in entries:
                seen += 1
                mode = path.lstat().st_mode
                if seen > 2 * MOST_FILES:
                    raise ArtifactError(f"{folder}: more files than a bundle has; {EXPORT}")
                if stat.S_ISDIR(mode):
                    waiting.append(path)
                elif stat.S_ISREG(mode):
                    yield PurePosixPath(path.relative_to(folder)).as_posix()
                else:
                    raise ArtifactError(f"{path}: not a plain file; remove it, or {EXPORT}")
        except OSError as error:
            raise ArtifactError(f"{folder}: cannot be read ({error.strerror}); {EXPORT}") from None


def _compare(path: Path, digest: str, entry: Entry) -> None:
    if digest != entry.sha256:
        raise ArtifactError(
            f"{path}: SHA-256 {digest[:12]}... instead of {entry.sha256[:12]}...: it was changed; "
            f"{EXPORT}"
        )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _refuse(word: str) -> Any:
    raise ValueError(word)
