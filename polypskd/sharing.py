"""What the runs of a comparison share: each borrows what another has made from the same inputs.

Teachers and targets are links, so that they lie on disk once; tables are copies, so that a hand
that corrects one run's does not change the others'.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from polypskd.artifacts import is_fresh, write_stamp
from polypskd.runs import LABELS, Run


def borrow(run: Run, step: str, inputs: str, outputs: Sequence[str]) -> bool:
    """Take a step's files from those that runs share; return whether they were there."""
    folder = _shelf(run, step, inputs)
    if folder is None or not is_fresh(folder, step, inputs, outputs):
        return False
    for name in outputs:
        _place(folder / name, run.folder / name)
    write_stamp(run.folder, step, inputs, outputs)
    run.log.tell(step, "borrowed")
    return True


def lend(run: Run, step: str, inputs: str, outputs: Sequence[str]) -> None:
    """Leave a step's files for other runs."""
    folder = _shelf(run, step, inputs)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in outputs:
            _place(run.folder / name, folder / name)
        write_stamp(folder, step, inputs, outputs)


def _shelf(run: Run, step: str, inputs: str) -> Path | None:
    return None if run.shared is None else run.shared / f"{step}-{inputs[:24]}"


def _place(source: Path, target: Path) -> None:
    """Link, or copy a table or where the file system has no links; write through no older link."""
    target.unlink(missing_ok=True)
    if source.name not in LABELS:
        with contextlib.suppress(OSError):
            os.link(source, target)
    if not target.exists():
        shutil.copyfile(source, target)
