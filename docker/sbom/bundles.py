"""A bundle, file by file, each compared with its hash before it is listed."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from parts import Bundle, Part, SbomError

MANIFEST = "manifest.json"
SIGNATURES = ("manifest.json.sig", "manifest.json.asc")
WEIGHTS = (".onnx", ".safetensors")
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
