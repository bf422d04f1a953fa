"""What an import has done so far, one line a frame, so that a killed one goes on."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from polypskd.artifacts import fingerprint, write_json, write_text
from polypskd.cohort.damage import DamageError
from polypskd.cohort.frames import check_within
from polypskd.errors import OutputError

FOLDER = ".import"
FRAMES = "frames"  # below it the pictures
Entry = dict[str, Any]


class Journal:
    """The folder `.import` of a cohort.

    Args:
        out: the cohort's folder.
        options: all that the cohort depends on beside the files of its source.

    Raises:
        OutputError: the folder holds files that no import wrote, or another import's.
    """

    def __init__(self, out: Path, options: Any) -> None:
        self.out = out
        self.folder = out / FOLDER
        self.path = self.folder / "frames.jsonl"
        about = self.folder / "import.json"
        check_own(out, options)
        _clear_leftovers(out)
        write_json(about, {"options": fingerprint(options)})
        self.known = self._read()

    def find(self, frame: str, source: tuple[int | str, ...]) -> Entry | None:
        """Find what was made of a frame, if neither what it hangs on nor its file changed since.

        Args:
            frame: as in the source.
            source: what it hangs on beside the options: size and time of change of the
                file it is taken from, and what frames agree on.
        """
        entry = self.known.get(frame)
        if entry is None or tuple(entry["source"]) != source:
            return None
        if entry.get("fault"):
            return entry
        try:
            same = (self.out / entry["frame"]).stat().st_size == entry["bytes"]
        except OSError:
            return None
        return entry if same else None

    def note(self, entries: Iterable[Entry]) -> None:
        """Add what was made; a line cut by a kill is dropped when it is read."""
        lines = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(lines)
                file.flush()
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written ({error.strerror})") from None

    def write_table(self, name: str, text: str) -> None:
        """Write a table of the cohort, unless someone has changed it since the last import.

        Raises:
            OutputError: someone has.
        """
        path, stamps = self.out / name, self.folder / "tables.json"
        known: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError):
            known = json.loads(stamps.read_text(encoding="utf-8"))
        if path.is_symlink():
            raise OutputError(f"{path}: is a link; move it away")
        if path.exists():
            there = path.read_bytes()
            if there != text.encode() and known.get(name) != fingerprint(there.hex()):
                raise OutputError(f"{path}: was changed since it was written; move it away")
        write_json(stamps, known | {name: fingerprint(text.encode().hex())})
        write_text(path, text)

    def finish(self, entries: Sequence[Entry]) -> None:
        """Write the lines of an import that is whole; what it no longer holds is removed.

        A frame that was taken out of the source, as where a patient withdrew, stays nowhere.

        Args:
            entries: sorted.
        """
        lines = (json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
        kept = {entry.get("frame") for entry in entries}
        for entry in self.known.values():
            path = entry.get("frame")
            if isinstance(path, str) and path not in kept:
                name = path.removeprefix(f"{FRAMES}/")
                with contextlib.suppress(OSError, DamageError):
                    check_within(self.out / FRAMES, name)
                    (self.out / FRAMES / name).unlink()
        write_text(self.path, "".join(lines))

    def _read(self) -> dict[str, Entry]:
        known: dict[str, Entry] = {}
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return known
        for line in text.split("\n"):
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                entry = json.loads(line)
                if not {"from", "source"} <= entry.keys() or not {"fault", "frame"} & entry.keys():
                    continue
                known[entry["from"]] = entry
        if text and not text.endswith("\n"):
            self.note([])
            with contextlib.suppress(OSError), self.path.open("a", encoding="utf-8") as file:
                file.write("\n")
        return known


def _clear_leftovers(out: Path) -> None:
    """Remove what a killed import left half-written; links are not followed."""
    for folder, folders, names in os.walk(out):
        folders[:] = [name for name in folders if not (Path(folder) / name).is_symlink()]
        for name in names:
            if name.startswith(".") and name.endswith(".tmp"):
                (Path(folder) / name).unlink(missing_ok=True)


def check_own(out: Path, options: Any) -> None:
    """Check, touching nothing, that an import may begin or go on in a folder.

    Args:
        out: the cohort's folder.
        options: all that the cohort depends on beside the files of its source.

    Raises:
        OutputError: the folder holds files that no import wrote, or another import's.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise OutputError(f"{out}: is no folder; give --out another name")
    if not out.exists() or not os.listdir(out):  # noqa: PTH208
        return
    about = out / FOLDER / "import.json"
    if about.parent.is_symlink() or not about.is_file():
        raise OutputError(f"{out}: holds other files; give --out an empty folder")
    try:
        same = json.loads(about.read_text(encoding="utf-8")).get("options") == fingerprint(options)
    except (OSError, ValueError, AttributeError):
        same = False
    if not same:
        raise OutputError(
            f"{out}: was made from another source or with other options; use a new --out"
        )
