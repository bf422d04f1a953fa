"""Collect what a machine without network needs to install `polypskd predict`, without torch.

    python3 docker/offline/build.py --out dist/offline

Downloads the wheels of docker/serve.lock for this Python and this kind of machine, each compared
with its hash, adds polypskd's own wheel, lists of what is in it, a script that installs, and
SHA256SUMS over everything. The same wheels give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SUMS = "SHA256SUMS"
WHEEL = re.compile(r"([A-Za-z0-9_.]+)-([^-]+)-[^/]+\.whl")
EPOCH = "315532800"  # 1980, the first moment that a zip file can tell


class OfflineError(Exception):
    """A fault told in one line."""


def main() -> int:
    """Make the folder; tell a fault in one line."""
    parser = argparse.ArgumentParser(prog="docker/offline/build.py")
    parser.add_argument("--lock", type=Path, action="append", help="docker/serve.lock if not given")
    parser.add_argument("--own-wheel", type=Path, help="of polypskd; built here if not given")
    parser.add_argument("--bundle", type=Path, help="to go with it, and into its lists")
    parser.add_argument("--out", type=Path, required=True, help="new, or made by this script")
    given = parser.parse_args()
    try:
        locks = given.lock or [ROOT / "docker" / "serve.lock"]
        make(locks, given.own_wheel, given.bundle, given.out)
    except OfflineError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except OSError as error:
        where = error.filename or given.out
        sys.stderr.write(f"error: {where}: cannot be read or written ({error.strerror})\n")
        return 1
    return 0


def make(locks: list[Path], own: Path | None, bundle: Path | None, out: Path) -> None:
    """Make the folder aside and put it in place once it is whole.

    Raises:
        OfflineError: a wheel cannot be had or is not the locked one, or `out` holds other things.
        OSError: a file cannot be read or written.
    """
    if out.exists() and not (out / SUMS).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise OfflineError(f"{out}: holds other things; give a new folder")
    aside = out.with_name(f".{out.name}.new")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        _fill(aside, locks, own, bundle)
        if out.exists():
            shutil.rmtree(out)
        aside.rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    size = sum(path.stat().st_size for path in _list_files(out)) >> 20
    sys.stdout.write(
        f"{out}: {len(list((out / 'wheels').iterdir()))} wheels for Python {_tell_target()}, "
        f"{size} MiB; SHA-256 of {SUMS}: {_hash(out / SUMS)}\n"
    )


def _fill(folder: Path, locks: list[Path], own: Path | None, bundle: Path | None) -> None:
    wheels = folder / "wheels"
    wheels.mkdir(parents=True)
    wanted = [part for lock in locks for part in ("--requirement", lock)]
    _pip("download", "--require-hashes", "--no-deps", "--dest", wheels, *wanted)
    if own is None:
        _pip("wheel", "--no-deps", "--wheel-dir", wheels, ROOT)
    else:
        shutil.copyfile(own, wheels / own.name)
    (folder / "requirements.txt").write_text(_write_requirements(wheels))
    if bundle is not None:
        shutil.copytree(bundle, folder / "bundle", symlinks=True)
    _list_parts(folder, locks, folder / "bundle" if bundle else None)
    for name in ("install.sh", "INSTALL.txt"):
        (folder / name).write_bytes((HERE / name).read_bytes())
    (folder / "install.sh").chmod(0o755)
    (folder / "TARGET").write_text(f"{_tell_target()}\n")
    sums = [f"{_hash(path)}  ./{path.relative_to(folder)}" for path in _list_files(folder)]
    (folder / SUMS).write_text("\n".join(sums) + "\n")


def _tell_target() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor} {platform.machine()}"


def _pip(verb: str, *arguments: object) -> None:
    """Call pip of this Python, for wheels only."""
    only = ("--only-binary", ":all:") if verb == "download" else ()
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pip", verb, "--quiet", *only, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", EPOCH)},
    )
    if done.returncode:
        told = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        last = (told or done.stderr.strip().splitlines() or ["no word"])[-1]
        raise OfflineError(f"pip {verb}: {last.removeprefix('ERROR: ').strip()}")


def _write_requirements(wheels: Path) -> str:
    """Pin each wheel by the one hash that it has."""
    lines = []
    for path in sorted(wheels.iterdir()):
        found = WHEEL.fullmatch(path.name)
        if found is None:
            raise OfflineError(f"{path.name}: not a wheel")
        lines.append(f"{found[1].replace('_', '-')}=={found[2]} --hash=sha256:{_hash(path)}")
    return "\n".join(lines) + "\n"


def _list_parts(folder: Path, locks: list[Path], bundle: Path | None) -> None:
    given: list[object] = [part for lock in locks for part in ("--lock", lock)]
    given += ["--wheels", folder / "wheels", "--out", folder / "sbom"]
    given += [] if bundle is None else ["--bundle", bundle]
    done = subprocess.run(  # noqa: S603
        [sys.executable, ROOT / "docker" / "sbom", *map(str, given)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OfflineError(done.stderr.strip().removeprefix("error: "))


def _list_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
