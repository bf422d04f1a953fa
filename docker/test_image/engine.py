"""Podman, told to work on a machine that may do little: in a container, without systemd.

runc, because crun refuses mixed control groups; limits of their own, because those of the host may
not be raised there; images, locks and states in a folder of their own, beside those that the
machine has: two of these may run at once, and nothing is left.
"""

# ruff: noqa: S603, S607  it is Debian's podman, and its arguments are ours
from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TOOLS = {"podman": "podman", "runc": "runc", "mmdebstrap": "mmdebstrap", "conmon": "conmon"}
STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{0}/graph"\nrunroot = "{0}/run"\n'
CONTAINERS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
tmp_dir = "{0}/run/libpod"
"""
HARDENED = ("--read-only", "--read-only-tmpfs=false", "--network=none", "--cap-drop=ALL")
HARDENED += ("--security-opt=no-new-privileges", "--memory=600m", "--pids-limit=64")
HARDENED += ("--no-healthcheck",)  # its timer needs systemd; `podman healthcheck run` does not


class CannotRunError(Exception):
    """This machine cannot do it; the message says why."""


class FailedError(Exception):
    """The image is not as it should be; the message says how."""


@dataclass(frozen=True)
class Done:
    """What a command came to.

    Args:
        code: exit code.
        out: what it printed.
        said: what it complained of, without podman's own noise.
    """

    code: int
    out: str
    said: str


class Engine:
    """Podman with images in a folder.

    Args:
        folder: where images and settings go.

    Raises:
        CannotRunError: a program or a right is missing.
    """

    def __init__(self, folder: Path) -> None:
        path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/libexec/podman:/usr/lib/podman"
        missing = [name for tool, name in TOOLS.items() if not shutil.which(tool, path=path)]
        if missing:
            raise CannotRunError(f"not installed: {', '.join(missing)} (Debian's packages)")
        if os.geteuid() != 0:
            raise CannotRunError("folders of other users are made, so it must be run as root")
        self.folder = folder
        (folder / "storage.conf").write_text(STORAGE.format(folder))
        (folder / "containers.conf").write_text(CONTAINERS.format(folder))
        self.environment = os.environ | {
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "CONTAINERS_CONF": str(folder / "containers.conf"),
        }

    def call(self, *arguments: object, seconds: int = 300) -> Done:
        """Run podman."""
        try:
            done = subprocess.run(
                ["podman", *map(str, arguments)],
                capture_output=True,
                text=True,
                env=self.environment,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise FailedError(f"podman {arguments[0]}: not done after {seconds} s") from None
        said = [line for line in done.stderr.splitlines() if not line.startswith("time=")]
        return Done(done.returncode, done.stdout, "\n".join(said))

    def must(self, *arguments: object, seconds: int = 300) -> str:
        """Run podman and give what it prints; it must succeed."""
        done = self.call(*arguments, seconds=seconds)
        if done.code:
            raise FailedError(f"podman {arguments[0]}: {(done.said or done.out)[-2000:]}")
        return done.out

    def inspect(self, image: str) -> dict[str, Any]:
        """Give what podman knows of an image."""
        (about,) = json.loads(self.must("image", "inspect", image))
        return dict(about)

    def close(self, *, keep: bool = False) -> None:
        """Remove containers and mounts, and the images too unless they are to be kept."""
        self.call("rm", "--all", "--force", "--time", "0")
        self.call("image", "unmount", "--all")
        for place in (self.folder / "graph" / "overlay", self.folder / "run"):
            subprocess.run(["umount", "-q", str(place)], check=False)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


def import_base(engine: Engine, cache: Path) -> str:
    """Make the base image from Debian's packages, under the name that the Dockerfile asks for.

    Args:
        engine: as above.
        cache: folder that keeps the archive for the next time.

    Returns:
        its name.

    Raises:
        CannotRunError: Debian's packages are not to be had, or no container can be run here.
    """
    archive = cache / "bookworm-python3.11.tar"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        half = archive.with_suffix(f".{os.getpid()}.tar")
        command = ["mmdebstrap", "--variant=minbase", "--include=python3,python3-venv"]
        command += ["--include=ca-certificates", "--dpkgopt=path-exclude=/usr/share/man/*"]
        command += ["--dpkgopt=path-exclude=/usr/share/locale/*", "bookworm", str(half)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            half.unlink(missing_ok=True)
            raise CannotRunError(f"mmdebstrap: {done.stderr.strip()[-300:]}")
        half.replace(archive)
    name = "docker.io/library/python:3.11-slim"
    for step in (("import", archive, name), ("run", "--rm", *HARDENED, name, "python3", "-V")):
        done = engine.call(*step)
        if done.code:
            raise CannotRunError(f"podman {step[0]}: {done.said.strip()[-300:]}")
    return name
