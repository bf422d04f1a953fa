"""What a prediction has done so far, so that a killed one goes on.

A line is a file, or a part of a video. Lines stand in the order of the results, so that the tables
are written from them in one pass.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polypskd.artifacts import describe_fault, fingerprint, write_json
from polypskd.errors import OutputError

FOLDER = ".predict"
ABOUT = "about.json"
EARLIER, FRAMES = JOURNALS = ("earlier.jsonl", "frames.jsonl")  # older lines first
Entry = dict[str, Any]


class PredictionJournal:
    """The folder `.predict` of a folder of results.

    Args:
        out: where the results go.
        options: what the answers depend on beside the files: the bundle, the stride.

    Raises:
        OutputError: the folder holds what no prediction wrote, or another bundle's predictions.
    """

    def __init__(self, out: Path, options: Any) -> None:
        self.folder = out / FOLDER
        self.path = self.folder / FRAMES
        self._earlier_path = self.folder / EARLIER
        check_own(out, options)
        write_json(self.folder / ABOUT, {"options": fingerprint(options)})
        self._keep_earlier()
        self._turn = threading.Lock()
        self._earlier: Any = None
        self._places: dict[str, tuple[int, int]] = {}
        self._index_earlier()
        self._file = self.path.open("wb")

    def find(self, part: str, sha256: str) -> bytes | None:
        """Find the line of a file, or a part of one, if it was judged and has not changed since.

        Args:
            part: name of the file, with the number of the part's first frame.
            sha256: of the file's bytes as they are now.
        """
        place = self._places.get(f"{sha256} {part}")
        if place is None:
            return None
        with self._turn:
            self._earlier.seek(place[0])
            line: bytes = self._earlier.read(place[1])
        return line

    def append(self, line: bytes) -> None:
        """Add a line to the journal.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            self._file.write(line)
            self._file.flush()  # out of the process, so that a kill loses nothing
        except OSError as error:
            raise OutputError(f"{self.path}: {describe_fault(error)}") from None

    def read(self) -> Iterator[Entry]:
        """Read what was appended, in its order."""
        with self.path.open("rb") as file:
            for line in file:
                yield json.loads(line)

    def finish(self) -> None:
        """Forget what is no longer of use once the results are written."""
        self.close()
        self._earlier_path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files."""
        # A full disk has been told of already.
        with contextlib.suppress(OSError):
            self._file.close()
        if self._earlier is not None:
            self._earlier.close()
            self._earlier = None

    def _keep_earlier(self) -> None:
        """Put the lines of the run before behind those of the runs before that."""
        if not self.path.exists() or not self.path.stat().st_size:
            return
        try:
            if not self._earlier_path.exists():
                self.path.replace(self._earlier_path)
                return
            # Killed in between, some lines stand there twice, and say the same.
            with self._earlier_path.open("ab") as file, self.path.open("rb") as lines:
                file.write(b"\n")
                shutil.copyfileobj(lines, file)
                file.flush()
                os.fsync(file.fileno())
            self.path.unlink()
        except OSError as error:
            raise OutputError(f"{self.folder}: {describe_fault(error)}") from None

    def _index_earlier(self) -> None:
        if not self._earlier_path.exists():
            return
        self._earlier = self._earlier_path.open("rb")
        at = 0
        for line in self._earlier:
            # What a kill has cut has no end; faults are looked at anew.
            if line.endswith(b"}\n"):
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    if not entry["faults"]:
                        self._places[f"{entry['sha256']} {entry['part']}"] = (at, len(line))
            at += len(line)


def write_line(entry: Entry) -> bytes:
    """Write an entry as the line that it becomes."""
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def check_own(out: Path, options: Any) -> None:
    """Refuse a folder that holds anything but what the same prediction has left there.

    Args:
        out: where the results go; it may be missing.
        options: what the answers depend on beside the files.

    Raises:
        OutputError: it does, or it is a link or a file.
    """
    about = out / FOLDER / ABOUT
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise OutputError(f"{out}: is no folder; give --out another name")
    own = {FOLDER}
    # Through a link, the journal would be written outside of --out.
    for path in (about.parent, *about.parent.rglob("*")):
        if path.is_symlink():
            raise OutputError(f"{path}: is a link; remove it, or give --out another folder")
    there = {path.name for path in out.iterdir()} if out.exists() else set()
    if not there - own and not about.exists():
        return
    if not about.is_file():
        raise OutputError(f"{out}: holds other files; give --out an empty folder")
    try:
        known = json.loads(about.read_text(encoding="utf-8")).get("options")
        same = known == fingerprint(options)
    except (OSError, ValueError, AttributeError):
        same = False
    if not same:
        raise OutputError(
            f"{out}: holds the predictions of another bundle, form or stride; give --out another "
            "folder"
        )
