"""List what polypskd's image is made of: system, Python, weights; CycloneDX 1.6 and SPDX 2.3.

    python3 docker/sbom --image serve.tar --bundle bundle --out build/sbom

Standard library only, no network; the same input gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tomllib
from pathlib import Path

from bundles import compare_inside, read_bundle
from cyclonedx_page import build_cyclonedx
from packages import (
    join,
    list_distributions,
    list_interpreters,
    list_system_packages,
    list_wheels,
    read_lock,
)
from parts import Part, SbomError, Whole, build_purl
from spdx_page import build_spdx
from trees import Tree, read_tree

ROOT = Path(__file__).resolve().parents[2]
NO_IMAGE = "System packages are not listed: no image was given (--image)."
OF_LOCK = "Licenses of Python distributions are not listed: they stand in the image and in wheels."


def main() -> int:
    """Write both lists; tell a fault in one line."""
    given = _parse()
    try:
        whole = _collect(given)
        pages = {"cdx": build_cyclonedx(whole), "spdx": build_spdx(whole)}
        given.out.mkdir(parents=True, exist_ok=True)
        for kind, page in pages.items():
            _write(given.out / f"polypskd.{kind}.json", page)
    except SbomError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"error: {given.out}: cannot be written ({error.strerror})\n")
        return 1
    count = {kind: sum(one.kind == kind for one in whole.parts) for kind in ("os", "python")}
    files = 0 if whole.bundle is None else len(whole.bundle.files)
    sys.stdout.write(
        f"{given.out}: {count['os']} system packages, {count['python']} Python distributions, "
        f"{files} files of a bundle\n"
    )
    for line in whole.left_out:
        sys.stdout.write(f"  {line}\n")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="docker/sbom", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--image", type=Path, help="root folder, or archive of podman save, export")
    parser.add_argument("--wheels", type=Path, help="folder of wheels, where there is no image")
    parser.add_argument("--bundle", type=Path, help="folder that `polypskd export` wrote")
    parser.add_argument("--lock", type=Path, action="append", help="docker/serve.lock if not given")
    parser.add_argument("--weights-license", default="", help="SPDX expression, if one is stated")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def _collect(given: argparse.Namespace) -> Whole:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    tree = Tree({}) if given.image is None else read_tree(given.image)
    system = (*list_system_packages(tree.files), *list_interpreters(tree.files))
    installed = tuple(list_distributions(tree.files))
    if given.image is None and given.wheels is not None:
        installed = tuple(list_wheels(given.wheels))
        if not installed:
            raise SbomError(f"{given.wheels}: holds no wheel")
    if given.image is not None and not (system and installed):
        raise SbomError(f"{given.image}: has no list of Debian packages, or no Python distribution")
    locks = given.lock or [ROOT / "docker" / "serve.lock"]
    locked = tuple(part for lock in locks for part in read_lock(lock))
    python = join(locked, installed, str(given.image or given.wheels))
    if not any(one.name == "polypskd" for one in python):
        own = build_purl("pypi", "", "polypskd", version)
        python += (Part("python", "polypskd", version, own, expression="Apache-2.0"),)
    left_out = [] if given.image else [NO_IMAGE]
    left_out += [] if installed else [OF_LOCK]
    bundle = None if given.bundle is None else read_bundle(given.bundle, given.weights_license)
    unlisted = compare_inside(tree.files, bundle, str(given.image))
    return Whole(
        version=version,
        image=tree.image,
        parts=tuple(sorted({one.purl: one for one in system + python}.values(), key=_order)),
        bundle=bundle,
        seconds=_read_epoch(),
        left_out=(*left_out, *filter(None, [unlisted])),
    )


def _order(part: Part) -> tuple[str, str]:
    return part.kind, part.purl


def _read_epoch() -> int:
    told = os.environ.get("SOURCE_DATE_EPOCH", "0")
    if not told.isdecimal() or len(told) > 11:
        raise SbomError(f"SOURCE_DATE_EPOCH: {told[:40]!r} is no number of seconds")
    return int(told)


def _write(path: Path, page: dict[str, object]) -> None:
    text = json.dumps(page, indent=1, sort_keys=True, ensure_ascii=False)
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(f"{text}\n", encoding="utf-8")
    aside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
