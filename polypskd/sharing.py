"""What the runs of a comparison share: each borrows what another has made from the same inputs.

Teachers and targets are links, so that they lie on disk once; tables are copies, so that a hand
that corrects one run's does not change the others'.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from polypskd.artifacts import is_fresh, read_json, write_json, write_stamp
from polypskd.runs import LABELS, Run


def borrow(run: Run, step: str, inputs: str, outputs: Sequence[str]) -> bool:
    """Take a step's files from those that runs share; return whether they were there.

    The log says what they had cost, so that a borrowed teacher does not look like a free one.
    """
    folder = _shelf(run, step, inputs)
    if folder is None or not is_fresh(folder, step, inputs, outputs):
        return False
    for name in outputs:
        _place(folder / name, run.folder / name)
    write_stamp(run.folder, step, inputs, outputs)
    for name, seconds in read_json(folder / "seconds.json").items():
        run.log.tell(name, "borrowed", seconds=seconds)
    return True


def lend(
    run: Run,
    step: str,
    inputs: str,
    outputs: Sequence[str],
    seconds: Mapping[str, float | None] | None = None,
) -> None:
    """Leave a step's files, and what they cost by name, for other runs."""
    folder = _shelf(run, step, inputs)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in outputs:
            _place(run.folder / name, folder / name)
        paid = {name: cost for name, cost in (seconds or {}).items() if cost is not None}
        write_json(folder / "seconds.json", paid)
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
