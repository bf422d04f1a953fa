"""The image under test, run as hardened as can be, and what is expected of its answers."""

from __future__ import annotations

import os
from pathlib import Path

from engine import HARDENED, Done, Engine, FailedError
from material import EPOCH, Case, read_results

LARGEST = 450_000_000  # bytes
PROGRAM = "/opt/holoscan/app/bin/polypskd"
PYTHON = "/opt/polypskd/bin/python"
MODEL = "/opt/holoscan/models/student"
EXPORT = "/var/run/holoscan/export"
TRAINING = ("torch", "monai", "albumentations", "sklearn", "scipy", "polars", "matplotlib", "pip")
SHELLS = ("sh", "bash", "dash", "busybox", "apt", "dpkg", "perl", "mount", "su")
Mount = tuple[Path, str]


class Image:
    """The image under test.

    Args:
        engine: podman.
        name: of the image.
        cases: what is judged in it.
        work: folder for results.
    """

    def __init__(self, engine: Engine, name: str, cases: list[Case], work: Path) -> None:
        self.engine, self.name, self.cases, self.work = engine, name, cases, work
        self.numbers: dict[str, float] = {}
        self._made = 0

    def make_output(self, owner: int = 10001, group: int = 10001, mode: int = 0o700) -> Path:
        """Make a folder for results, owned by a user."""
        self._made += 1
        folder = self.work / f"out{self._made}"
        folder.mkdir()
        os.chown(folder, owner, group)
        folder.chmod(mode)
        return folder

    def run(
        self, *command: str, mounts: tuple[Mount, ...] = (), more: tuple[str, ...] = ()
    ) -> Done:
        """Run it as hardened as can be; folders but results are mounted read-only."""
        volumes = [
            f"--volume={path}:{place}" + ("" if path.name.startswith("out") else ":ro")
            for path, place in mounts
        ]
        user = [] if any(one.startswith("--user") for one in more) else ["--user=10001:10001"]
        return self.engine.call(
            "run", "--rm", *HARDENED, *user, *volumes, *more, self.name, *command
        )

    def judge(self, case: Case, out: Path, *more: str) -> Done:
        """Run it without an argument over a case, or with the case's options."""
        mounts = ((case.bundle, MODEL), (case.frames, "/input"), (out, "/output"))
        command = ("app", *case.options) if case.options else ()
        epoch = f"--env=SOURCE_DATE_EPOCH={EPOCH}"
        return self.run(*command, mounts=mounts, more=(epoch, *more))


def expect(is_so: object, what: str) -> None:
    """Fail, unless."""
    if not is_so:
        raise FailedError(what)


def expect_results(case: Case, out: Path, done: Done) -> None:
    """Expect the bytes that `predict` writes outside of the container."""
    expect(done.code == case.code, f"{case.name}: exit code {done.code}: {done.said[-800:]}")
    found, wanted = read_results(out), read_results(case.expected)
    expect(wanted, "no results to compare with")
    expect(sorted(found) == sorted(wanted), f"{case.name}: {sorted(set(found) ^ set(wanted))}")
    other = [name for name in wanted if found[name] != wanted[name]]
    expect(not other, f"{case.name}: other bytes in {other}")


def expect_line(done: Done, *words: str) -> None:
    """Expect exit code 1 and one line that holds the words."""
    lines = done.said.strip().splitlines()
    expect(done.code == 1, f"exit code {done.code} instead of 1: {done.said[-800:]}")
    expect(len(lines) == 1 and lines[0].startswith("polypskd: "), f"not one line: {lines}")
    expect(all(word in lines[0] for word in words), f"{words} not in {lines[0]}")


def list_names(folder: Path) -> set[str]:
    """List what lies in a folder."""
    return {path.name for path in folder.iterdir()}
