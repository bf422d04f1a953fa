"""The few files of an image that tell what it is made of, without an engine.

An image is a folder (a mounted root), a flat archive (`podman export`), or an image archive as
`podman save` writes it, for OCI or for Docker; of the last two kinds the layers are laid over each
other here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from parts import SbomError

WANTED = re.compile(
    r"var/lib/dpkg/status|var/lib/dpkg/status\.d/[^/]+|(?:etc|usr/lib)/os-release|"
    r".*\.dist-info/METADATA|.*\.egg-info(?:/PKG-INFO)?|usr/share/doc/[^/]+/copyright|"
    r"opt/holoscan/models/(?:[^/]+/)?manifest\.json|"
    r"usr/local/(?:bin/python3\.\d+|lib/libpython3\.\d+\.so\.1\.0)"
)
MOST = 64 << 20  # bytes of one file; dpkg's list of a large system has six million
GONE, EMPTIED = ".wh.", ".wh..wh..opq"


@dataclass(frozen=True)
class Tree:
    """Wanted files by their path below the root, and the SHA-256 of the image's manifest."""

    files: dict[str, bytes]
    image: str = ""


def read_tree(place: Path) -> Tree:
    """Read the wanted files of an image.

    Raises:
        SbomError: it is no folder and no archive that is known.
    """
    try:
        if place.is_dir():
            return Tree(dict(_walk(place)))
        with tarfile.open(place) as archive:
            names = set(archive.getnames())
            if "oci-layout" in names:
                return _read_oci(archive)
            if "manifest.json" in names:
                return _read_docker(archive)
            files: dict[str, bytes] = {}
            _lay_over(files, archive)
            return Tree(files)
    except (OSError, tarfile.TarError, ValueError, KeyError, IndexError, TypeError) as error:
        raise SbomError(
            f"{place}: not an image that can be read ({type(error).__name__}); give a root folder "
            "or what `podman save` or `podman export` wrote"
        ) from None


def _walk(root: Path) -> Iterator[tuple[str, bytes]]:
    pseudo = {root / name for name in ("proc", "sys", "dev", "run")}
    for folder, below, names in os.walk(root):
        here = Path(folder)
        below[:] = sorted(name for name in below if here / name not in pseudo)
        for name in names:
            path = here / name
            inside = path.relative_to(root).as_posix()
            if WANTED.fullmatch(inside) and path.is_file() and not path.is_symlink():
                yield inside, path.read_bytes()[:MOST]


def _read_oci(archive: tarfile.TarFile) -> Tree:
    entry = json.loads(_read(archive, "index.json"))["manifests"][0]
    page = json.loads(_read_blob(archive, entry["digest"]))
    files: dict[str, bytes] = {}
    for layer in page["layers"]:
        with _open(archive, _name_blob(layer["digest"])) as data:
            _lay_over_file(files, data)
    return Tree(files, entry["digest"].removeprefix("sha256:"))


def _read_docker(archive: tarfile.TarFile) -> Tree:
    files: dict[str, bytes] = {}
    for name in json.loads(_read(archive, "manifest.json"))[0]["Layers"]:
        with _open(archive, name) as data:
            _lay_over_file(files, data)
    return Tree(files)  # such an archive holds no manifest of a registry, so no digest


def _lay_over_file(files: dict[str, bytes], data: IO[bytes]) -> None:
    with tarfile.open(fileobj=data) as layer:
        _lay_over(files, layer)


def _lay_over(files: dict[str, bytes], layer: tarfile.TarFile) -> None:
    """Lay a layer over what is below it; what it says is gone is taken from below first."""
    added: dict[str, bytes] = {}
    for member in layer:
        name = member.name.removeprefix("./").strip("/")
        folder, _, last = name.rpartition("/")
        if last == EMPTIED:
            _remove(files, f"{folder}/")
        elif last.startswith(GONE):
            _remove(files, f"{folder}/{last.removeprefix(GONE)}".lstrip("/"))
        elif member.isreg() and WANTED.fullmatch(name):
            data = layer.extractfile(member)
            added[name] = data.read(MOST) if data else b""
        elif not member.isdir():
            files.pop(name, None)
    files.update(added)


def _remove(files: dict[str, bytes], path: str) -> None:
    for name in [one for one in files if one == path or one.startswith(path.rstrip("/") + "/")]:
        del files[name]


def _name_blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/', 1)}"


def _read_blob(archive: tarfile.TarFile, digest: str) -> bytes:
    data = _read(archive, _name_blob(digest))
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise ValueError(digest)
    return data


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    with _open(archive, name) as data:
        return data.read(MOST)


def _open(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    data = archive.extractfile(name)
    if data is None:
        raise ValueError(name)
    return data
