"""Collect the file system of the serving image: Python, what it is linked to, and nothing else.

No shell, no package manager, no compiler: what is not there cannot be used by an intruder, and
needs no update. Runs in the build stage, in an image of Debian (python:3.11-slim is one):

    python3 collect_root.py NEW_ROOT

The list of Debian's packages is cut down to those that a file was taken from, so that scanners see
what is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

VENV = Path("/opt/polypskd")
USER = 10001
# Of the standard library: what tests, draws windows, installs or documents.
UNUSED = {"test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data"}
UNUSED |= {"site-packages", "dist-packages", "__pycache__"}
BUILDING = "config-3."  # for programs that Python is built into; holds a library of 45 MB
# Who we are, names of hosts, what TLS trusts. C.UTF-8 is built into glibc of Debian 12 and newer.
SYSTEM = (
    "/etc/os-release",
    "/usr/lib/os-release",
    "/etc/debian_version",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/openssl.cnf",
    "/usr/lib/ssl/openssl.cnf",
    "/usr/lib/ssl/certs",
    "/usr/lib/locale/C.utf8",
    "/usr/share/zoneinfo/UTC",
)
FOLDERS = (
    ("tmp", 0, 0o1777),
    ("input", 0, 0o755),
    ("output", USER, 0o770),
    ("var/holoscan", 0, 0o755),
    ("var/holoscan/logs", USER, 0o770),
    ("run", 0, 0o755),
    ("proc", 0, 0o755),
    ("sys", 0, 0o755),
    ("dev", 0, 0o755),
)
LINKS = (
    ("bin", "usr/bin"),
    ("sbin", "usr/sbin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib64"),
    ("var/run", "/run"),
    ("var/holoscan/input", "/input"),
    ("var/holoscan/output", "/output"),
)
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/sbin/nologin\n"
    f"polypskd:x:{USER}:0:polypskd:/tmp:/sbin/nologin\n",
    "etc/group": "root:x:0:\n",
}


def list_libraries(files: list[Path]) -> set[Path]:
    """List the shared libraries that files need, by the loader itself."""
    found: set[Path] = set()
    for start in range(0, len(files), 200):
        done = subprocess.run(  # noqa: S603
            ["/usr/bin/ldd", *map(str, files[start : start + 200])],
            capture_output=True,
            text=True,
            check=False,  # a file that is no program is told of and does not matter
        )
        for line in done.stdout.splitlines():
            words = line.split()
            path = words[2] if "=>" in words and len(words) > 2 else words[0] if words else ""
            if path.startswith("/") and not path.endswith(":"):
                found.add(Path(path))
    return found


def list_files(folder: Path, without: frozenset[str] | set[str] = frozenset()) -> list[Path]:
    """List files and links below a folder."""
    listed = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in without and not name.startswith(BUILDING)
        )
        listed += [Path(place, name) for name in names]
        listed += [Path(place, name) for name in folders if Path(place, name).is_symlink()]
    return listed


class Root:
    """A new root, and what was taken into it.

    Args:
        folder: empty or missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.taken: set[str] = set()
        for link, target in LINKS:
            if not target.startswith("/"):
                (folder / target).mkdir(parents=True, exist_ok=True)
            (folder / link).parent.mkdir(parents=True, exist_ok=True)
            (folder / link).symlink_to(target)

    def take(self, path: Path) -> None:
        """Take a file, and where it is a link, what this leads to."""
        real = Path(os.path.realpath(path.parent), path.name)
        if str(real) in self.taken or not os.path.lexists(real):
            return
        self.taken.add(str(real))
        target = self.folder / real.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if real.is_symlink():
            target.symlink_to(real.readlink())
            self.take(real.parent / real.readlink())
        elif real.is_dir():
            for one in sorted(real.iterdir()):
                self.take(one)
        else:
            shutil.copy2(real, target)


def take_packages(root: Root) -> None:
    """Note which of Debian's packages something was taken from, and take their licenses."""
    info = Path("/var/lib/dpkg/info")
    owners = set()
    for page in sorted(info.glob("*.list")):
        # A list may name /lib/... where the file lies in /usr/lib/...
        lines = map(Path, page.read_text().splitlines())
        real = (Path(os.path.realpath(line.parent), line.name) for line in lines)
        if any(str(path) in root.taken and not path.is_dir() for path in real):
            owners.add(page.stem.partition(":")[0])
    status = Path("/var/lib/dpkg/status").read_text().split("\n\n")
    kept = [part.strip() for part in status if part.partition("\n")[0].partition(": ")[2] in owners]
    target = root.folder / "var/lib/dpkg/status"
    target.parent.mkdir(parents=True)
    target.write_text("".join(f"{part}\n\n" for part in kept))
    for name in sorted(owners):
        root.take(Path(f"/usr/share/doc/{name}/copyright"))


def main(new: Path) -> None:
    """Collect it."""
    root = Root(new)
    interpreter = Path(os.path.realpath(sys.executable))
    library = Path(sysconfig.get_path("stdlib"))
    python = [interpreter, *list_files(library, UNUSED)]
    # The virtual environment's links go by way of these names.
    python += [
        path for path in interpreter.parent.glob("python3*") if path.resolve() == interpreter
    ]
    linked = [path for path in [*python, *list_files(VENV)] if ".so" in path.name]
    libraries = list_libraries([interpreter, *linked])
    # Loaded while running, where a thread ends; and with it what C++ needs.
    folders = {path.parent for path in libraries}
    libraries |= {folder / "libgcc_s.so.1" for folder in folders}
    for path in [*python, *sorted(libraries), *map(Path, SYSTEM)]:
        if not path.is_relative_to(VENV):
            root.take(path)
    take_packages(root)
    for name, owner, mode in FOLDERS:
        folder = new / name
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, owner, 0)
        folder.chmod(mode)
    for name, text in ACCOUNTS.items():
        (new / name).write_text(text)
    # Where libpython lies below /usr/local, it is found by the loader's list.
    subprocess.run(["/sbin/ldconfig", "-r", str(new)], check=True)  # noqa: S603


if __name__ == "__main__":
    main(Path(sys.argv[1]))
