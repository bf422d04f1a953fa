"""Packages of the system and Python distributions, as they are installed or locked."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from email.message import Message
from email.parser import BytesHeaderParser
from pathlib import Path

from parts import Part, SbomError, build_purl, normalize

LOCKED = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.ASCII)
METADATA = re.compile(r"[^/]+\.dist-info/METADATA")
INSTALLED = re.compile(r".*\.(?:dist-info/METADATA|egg-info|egg-info/PKG-INFO)")
INTERPRETER = re.compile(r"usr/local/(?:bin|lib)/(?:lib)?python(3\.\d+)[.so10]*")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
STATUS = re.compile(r"var/lib/dpkg/(?:status|status\.d/.+)")
LICENSE = re.compile(r"^License:[ \t]*(\S.*)$", re.MULTILINE)
LONGEST = 100  # letters of a license's name; more is the license itself
# Names that mean one license; "BSD License" may be any of four.
MEANT = {
    "MIT": "MIT",
    "Apache-2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "BSD-2-Clause": "BSD-2-Clause",
    "BSD-3-Clause": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
}
CLASSIFIED = {
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}


def read_lock(path: Path) -> tuple[Part, ...]:
    """Read the distributions of a lock file, each with the hashes that may be installed.

    Raises:
        SbomError: it cannot be read, or a line has no version or no hash.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SbomError(f"{path}: cannot be read ({type(error).__name__})") from None
    lines = text.replace("\\\n", " ").splitlines()
    wanted = [line for line in lines if line.strip() and line.lstrip()[0] not in "#-"]
    parts = []
    for line in wanted:
        found, hashes = LOCKED.match(line), tuple(sorted(HASH.findall(line)))
        if found is None or not hashes:
            raise SbomError(f"{path}: {line[:60]!r} has no version or no hash; lock it anew")
        parts.append(_build_python(found[1], found[2], sha256=hashes))
    if not parts:
        raise SbomError(f"{path}: names no distribution")
    return tuple(parts)


def list_distributions(files: Mapping[str, bytes]) -> Iterator[Part]:
    """List the Python distributions that are installed."""
    for path, data in sorted(files.items()):
        if INSTALLED.fullmatch(path):
            page = BytesHeaderParser().parsebytes(data)
            expression, names = _read_license(page)
            yield _build_python(
                str(page["Name"]), str(page["Version"]), expression=expression, licenses=names
            )


def list_interpreters(files: Mapping[str, bytes]) -> Iterator[Part]:
    """List Python itself where it was built from source, as in the image python:3.11-slim.

    Debian's own Python is a package of the system.
    """
    found = set()
    for path, data in files.items():
        place = INTERPRETER.fullmatch(path)
        if place is not None:
            # Its version stands in the program as a text of its own.
            told = re.search(rb"\x00(%s\.\d+[a-z0-9+]*)\x00" % place[1].encode(), data)
            found |= {told[1].decode("ascii")} if told else set()
    for version in sorted(found):
        yield Part(
            "os",
            "python",
            version,
            build_purl("generic", "", "python", version),
            expression="PSF-2.0",
        )


def list_wheels(folder: Path) -> Iterator[Part]:
    """List the distributions of a folder of wheels, each with the hash of its file.

    Raises:
        SbomError: one cannot be read.
    """
    for path in sorted(folder.glob("*.whl")):
        try:
            with zipfile.ZipFile(path) as wheel:
                pages = [name for name in wheel.namelist() if METADATA.fullmatch(name)]
                (part,) = list_distributions({name: wheel.read(name) for name in pages})
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise SbomError(f"{path}: not a wheel ({type(error).__name__})") from None
        yield replace(part, sha256=(digest,))


def list_system_packages(files: Mapping[str, bytes]) -> Iterator[Part]:
    """List the Debian packages that are installed."""
    release = _read_release(files)
    system = release.get("ID", "debian")
    for path, data in sorted(files.items()):
        if not STATUS.fullmatch(path) or path.endswith(".md5sums"):
            continue
        for block in re.split(rb"\n\s*\n", data.strip()):
            page = BytesHeaderParser().parsebytes(block)
            told = str(page["Status"] or "install ok installed")
            if page["Package"] and told.endswith(" installed"):
                name, version = str(page["Package"]), str(page["Version"])
                marks = {"arch": str(page["Architecture"])}
                if "VERSION_ID" in release:
                    marks["distro"] = f"{system}-{release['VERSION_ID']}"
                yield Part(
                    "os",
                    name,
                    version,
                    build_purl("deb", system, name, version, **marks),
                    licenses=_read_copyright(files.get(f"usr/share/doc/{name}/copyright", b"")),
                    supplier=system.capitalize(),
                )


def join(locked: tuple[Part, ...], installed: tuple[Part, ...], where: str) -> tuple[Part, ...]:
    """Give installed distributions the hashes of the lock, and see that none is missing.

    Args:
        locked: what must be there.
        installed: what is there; empty where neither an image nor wheels were read.
        where: for the message.

    Raises:
        SbomError: one is missing, or there in another version.
    """
    if not installed:
        return locked
    hashes = {(normalize(one.name), one.version): one.sha256 for one in locked}
    there = {(normalize(one.name), one.version) for one in installed}
    for name, version in sorted(set(hashes) - there):
        found = ", ".join(sorted(has for one, has in there if one == name)) or "none"
        raise SbomError(f"{where}: has not {name} {version} of the lock ({found} is there)")
    return tuple(
        replace(one, sha256=one.sha256 or hashes.get((normalize(one.name), one.version), ()))
        for one in installed
    )


def _build_python(
    name: str,
    version: str,
    *,
    sha256: tuple[str, ...] = (),
    expression: str = "",
    licenses: tuple[str, ...] = (),
) -> Part:
    purl = build_purl("pypi", "", normalize(name), version)
    return Part("python", name, version, purl, sha256, "", expression, licenses)


def _read_license(page: Message) -> tuple[str, tuple[str, ...]]:
    """Give the SPDX expression, or else names."""
    if page["License-Expression"]:
        return str(page["License-Expression"]).strip(), ()
    classified = [
        str(one) for one in page.get_all("Classifier") or [] if str(one).startswith("License ::")
    ]
    if classified and all(one in CLASSIFIED for one in classified):
        return " AND ".join(sorted({CLASSIFIED[one] for one in classified})), ()
    told = " ".join(str(page["License"] or "").split())
    names = {one.rpartition(" :: ")[2] for one in classified}
    if told and told.upper() != "UNKNOWN" and len(told) <= LONGEST:
        if not names and told in MEANT:
            return MEANT[told], ()
        names.add(told)
    return "", tuple(sorted(names))


def _read_copyright(data: bytes) -> tuple[str, ...]:
    names = LICENSE.findall(data.decode("utf-8", "replace"))
    return tuple(sorted({name.strip() for name in names if len(name) <= LONGEST}))


def _read_release(files: Mapping[str, bytes]) -> dict[str, str]:
    data = files.get("etc/os-release") or files.get("usr/lib/os-release") or b""
    pairs = (line.partition("=") for line in data.decode("utf-8", "replace").splitlines())
    return {key: value.strip("\"'") for key, _, value in pairs if value}
