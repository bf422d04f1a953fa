"""A bundle, file by file, each compared with its hash before it is listed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from parts import Bundle, Part, SbomError

MANIFEST = "manifest.json"
SIGNATURES = ("manifest.json.sig", "manifest.json.asc")
WEIGHTS = (".onnx", ".safetensors")
NO_BUNDLE = "No weights are listed: no bundle was given (--bundle)."
IN_IMAGE = "The weights in the image are not listed: no bundle was given (--bundle)."
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


def read_bundle(folder: Path, expression: str) -> Bundle:
    """Read what a bundle says of itself, and hash every file.

    Args:
        folder: what `polypskd export` wrote.
        expression: license of the weights, as its maker states it; "" where nobody does.

    Raises:
        SbomError: it is no bundle, or a file differs from its manifest, is missing or too many.
    """
    try:
        page = json.loads((folder / MANIFEST).read_bytes())
        if page["format"] != "polypskd-bundle" or page["research_use_only"] is not True:
            raise ValueError
        version, entries = str(page["version"]), dict(page["files"])
        files = [_read_file(folder, name, entries[name], version) for name in sorted(entries)]
        own = [name for name in (MANIFEST, *SIGNATURES) if (folder / name).is_file()]
        files += [_read_file(folder, name, None, version) for name in own]
        named = {*entries, *own}
        for path in sorted(folder.rglob("*")):
            if not path.is_dir() and path.relative_to(folder).as_posix() not in named:
                raise SbomError(f"{path}: not in the manifest; remove it")
        return Bundle(
            name=str(page["name"]),
            version=version,
            sha256=next(one.sha256[0] for one in files if one.name == MANIFEST),
            model=dict(page["model"]),
            test=_read_test(page),
            files=tuple(sorted(files, key=lambda one: one.name)),
            expression=expression,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SbomError(
            f"{folder}: not a bundle that can be read ({type(error).__name__}); "
            "`polypskd export RUN` makes one"
        ) from None


def compare_inside(files: Mapping[str, bytes], bundle: Bundle | None, where: str) -> str:
    """Compare the bundles inside an image with the one that is listed.

    Args:
        files: of the image.
        bundle: what is listed; None where nothing is.
        where: the image, for the message.

    Returns:
        what is left out, in words; "" where nothing is.

    Raises:
        SbomError: the image holds another bundle.
    """
    inside = {
        name: hashlib.sha256(data).hexdigest()
        for name, data in sorted(files.items())
        if name.endswith(f"/{MANIFEST}")
    }
    if bundle is None:
        return IN_IMAGE if inside else NO_BUNDLE
    for name, sha256 in inside.items():
        if sha256 != bundle.sha256:
            raise SbomError(
                f"{where}: holds another bundle ({name}, SHA-256 {sha256[:12]}...) than the one "
                f"given ({bundle.sha256[:12]}...)"
            )
    return ""


def _read_file(folder: Path, name: str, entry: dict[str, Any] | None, version: str) -> Part:
    path = folder / name
    if not PLAIN.fullmatch(name) or path.is_symlink():
        raise SbomError(f"{folder / MANIFEST}: names a file {name[:80]!r} that no bundle has")
    data = path.read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    if entry is not None and sha256 != entry["sha256"]:
        raise SbomError(f"{path}: SHA-256 differs from the manifest's; export the run again")
    return Part(
        kind="weights" if name.endswith(WEIGHTS) else "data",
        name=name,
        version=version,
        sha256=(sha256,),
        sha1=hashlib.sha1(data, usedforsecurity=False).hexdigest(),
    )


def _read_test(page: dict[str, Any]) -> dict[str, object]:
    test = page["provenance"].get("test", {})
    return {
        name: {key: float(value[key]) for key in ("value", "low", "high")}
        for name, value in test.items()
        if isinstance(value, dict) and {"value", "low", "high"} <= value.keys()
    }
