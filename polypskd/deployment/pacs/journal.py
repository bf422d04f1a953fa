"""What has been done with each study, on the disk before the next step: `journal.jsonl`.

A line is only ever added: its CRC-32, then JSON. What a kill has cut at the end was never believed
and is taken off; damage anywhere else is told. The file holds study and result UIDs, as it must to
know them again, and nothing else of a patient; it is closed to others (mode 600).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from polypskd.artifacts import describe_fault, fingerprint, lock_run
from polypskd.errors import ArtifactError, OutputError

State = Literal["found", "fetched", "judged", "sending", "sent", "failed", "gone", "empty"]
STATES = frozenset(get_args(State))
FORM = 1
NAME = "journal.jsonl"
FOLDER = ".pacs"
ASIDE = "move it aside to begin anew; what the archive has already is not sent twice"


@dataclass(frozen=True)
class Standing:
    """Where a study stands.

    Args:
        study_uid: of the study.
        state: that was reached last.
        inputs: digest of the instances that are judged; see `digest_inputs`.
        count: number of these.
        moment: first met with these instances, in ISO 8601 and UTC; its results bear it.
        results: SOP instance UIDs of what is sent.
        total: instances of the study in the archive, once that was done.
        reason: why it failed.
    """

    study_uid: str
    state: State
    inputs: str = ""
    count: int = 0
    moment: str = ""
    results: tuple[str, ...] = ()
    total: int = 0
    reason: str = ""

    @property
    def name(self) -> str:
        """What the study is called where its UID must not stand; see `name_study`."""
        return name_study(self.study_uid)


class StudyJournal:
    """The journal of a folder; open it by `open_journal`, which keeps other processes out.

    Args:
        path: of the file.
        options: what its entries hang on; another folder is needed for others.

    Raises:
        ArtifactError: a line is damaged.
        OutputError: it cannot be written, or its entries hang on other options.
    """

    def __init__(self, path: Path, options: Any) -> None:
        self.path = path
        self.results: set[str] = set()
        self._standings: dict[str, Standing] = {}
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._handle = os.open(path, flags, 0o600)
            os.fchmod(self._handle, 0o600)
        except OSError as error:
            raise OutputError(f"{path}: {describe_fault(error)}") from None
        try:
            self._read(fingerprint(options))
        except BaseException:
            self.close()
            raise

    def find(self, study_uid: str) -> Standing | None:
        """Find where a study stands; None where it was never met."""
        return self._standings.get(study_uid)

    def list_standings(self) -> Iterator[Standing]:
        """List where all studies stand, in the order in which they were met."""
        yield from self._standings.values()

    def count_states(self) -> dict[str, int]:
        """Count the studies of each state."""
        return dict(sorted(Counter(one.state for one in self._standings.values()).items()))

    def note(self, standing: Standing) -> None:
        """Note where a study stands; it is on the disk when this returns.

        Raises:
            OutputError: it cannot be written; nothing may go on that hangs on it.
        """
        entry = {"time": round(time.time(), 3), "name": standing.name}
        fields = {name: value for name, value in vars(standing).items() if value}
        self._append(entry | fields)
        self._take(standing)

    def close(self) -> None:
        """Close the file; twice does no harm."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _take(self, standing: Standing) -> None:
        self.results.update(standing.results)
        self._standings[standing.study_uid] = standing

    def _append(self, entry: Mapping[str, Any]) -> None:
        line = write_line(entry)
        size = os.fstat(self._handle).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._handle, line[written:])
            os.fsync(self._handle)
        except OSError as error:
            # Of a line that is not whole, nothing may stay: the next one would be joined to it.
            os.ftruncate(self._handle, size)
            raise OutputError(f"{self.path}: {describe_fault(error)}") from None

    def _read(self, options: str) -> None:
        with open(os.dup(self._handle), "rb") as file:  # noqa: PTH123 - of a handle
            file.seek(0)
            whole, number = 0, 0
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                entry = read_line(line)
                if entry is None:
                    raise ArtifactError(f"{self.path} line {number}: damaged; {ASIDE}")
                if number == 1:
                    self._check_head(entry, options)
                else:
                    self._take(self._read_standing(entry, number))
                whole += len(line)
        if os.fstat(self._handle).st_size > whole:
            os.ftruncate(self._handle, whole)
        if not whole:
            self._append({"form": FORM, "options": options})

    def _check_head(self, entry: Mapping[str, Any], options: str) -> None:
        if entry.get("form") != FORM:
            raise ArtifactError(f"{self.path}: is no journal of this version; {ASIDE}")
        if entry.get("options") != options:
            raise OutputError(
                f"{self.path}: is of another bundle, archive, report, stride or kind of "
                "result; give --out another folder"
            )

    def _read_standing(self, entry: Mapping[str, Any], number: int) -> Standing:
        fields = {name: entry[name] for name in Standing.__dataclass_fields__ if name in entry}
        fields["results"] = tuple(fields.get("results", ()))
        if entry.get("state") not in STATES or not isinstance(entry.get("study_uid"), str):
            raise ArtifactError(f"{self.path} line {number}: damaged; {ASIDE}")
        return Standing(**fields)


@contextmanager
def open_journal(out: Path, options: Any) -> Iterator[StudyJournal]:
    """Open the journal of a folder, and keep other processes out of the folder meanwhile.

    Args:
        out: the folder; it is made, closed to others, where it is missing.
        options: what its entries hang on.

    Raises:
        ArtifactError: a line is damaged.
        OutputError: another process is at work there, or it cannot be written.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise OutputError(f"{out}: is no folder; give --out another name")
    if (
        out.is_dir()
        and not (out / NAME).exists()
        and {path.name for path in out.iterdir()} - {FOLDER}
    ):
        raise OutputError(f"{out}: holds other files; give --out an empty folder")
    try:
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        (out / FOLDER).mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise OutputError(f"{out}: {describe_fault(error)}") from None
    with lock_run(out / FOLDER):
        journal = StudyJournal(out / NAME, options)
        try:
            yield journal
        finally:
            journal.close()


def digest_inputs(sop_uids: Iterable[str]) -> str:
    """Digest which instances a study has: others give another digest, their order does not.

    >>> digest_inputs(["1.2", "1.3"]) == digest_inputs(["1.3", "1.2"])
    True
    """
    return hashlib.sha256("\n".join(sorted(sop_uids)).encode()).hexdigest()[:32]


def name_study(study_uid: str) -> str:
    """Name a study where its UID must not stand, as in a log that others read.

    >>> name_study("1.2.3")
    'c47f5b18b8a4'
    """
    return hashlib.sha256(study_uid.encode()).hexdigest()[:12]


def write_line(entry: Mapping[str, Any]) -> bytes:
    """Write an entry as a line with its check.

    >>> read_line(write_line({"a": 1}))
    {'a': 1}
    """
    text = json.dumps(entry, ensure_ascii=True, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def read_line(line: bytes) -> dict[str, Any] | None:
    """Read a line; None where it is damaged."""
    check, _, text = line.rstrip(b"\n").partition(b" ")
    if check != b"%08x" % zlib.crc32(text):
        return None
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None
