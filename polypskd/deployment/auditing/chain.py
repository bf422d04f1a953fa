"""The lines of an audit log: canonical JSON, each sealed and tied to the one before it.

    {"event":"end","exit_code":0,...,"previous":"<64>","seal":"sha256:<64>","seq":7,"time":"..."}

`previous` is the SHA-256 of the line before, all its bytes without the line end; of the first line
ever, 64 zeros. `seal` is a hash of the line without its seal: SHA-256, or HMAC-SHA-256 under a key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

from polypskd.deployment.auditing.fields import HASH, is_allowed

LONGEST = 4096  # bytes of a line
TORN_MOST = 1 << 20  # bytes that a killed writer can have left behind
KEYED, UNKEYED = "hmac-sha256", "sha256"
FORMS = {
    "event": "[a-z]{1,20}",
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",
    "previous": HASH,
    "seal": f"({KEYED}|{UNKEYED}):{HASH}",
}
OWN = ("seq", "time", "previous", "seal")
Entry = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """A place in the chain: just after a line.

    Args:
        seq: number of that line, from 1; 0 before the first.
        digest: SHA-256 of that line, hexadecimal.
        size: bytes of its file up to and with its line end.
        length: bytes of the line without its line end.
    """

    seq: int
    digest: str
    size: int = 0
    length: int = 0


START = Point(0, "0" * 64)


def write_canonical(value: Entry) -> bytes:
    """Write JSON in its one form: sorted keys, no spaces, ASCII.

    >>> write_canonical({"b": 1, "a": "x"})
    b'{"a":"x","b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def make_seal(entry: Entry, key: bytes | None) -> str:
    """Hash an entry without its seal, under a key if there is one.

    >>> make_seal({"seq": 1}, None) == make_seal({"seq": 1, "seal": "any"}, None)
    True
    """
    data = write_canonical({name: value for name, value in entry.items() if name != "seal"})
    if key is None:
        return f"{UNKEYED}:{hashlib.sha256(data).hexdigest()}"
    return f"{KEYED}:{hmac.new(key, b'audit' + bytes(1) + data, hashlib.sha256).hexdigest()}"


def make_line(event: Entry, after: Point, time: str, key: bytes | None) -> tuple[bytes, Point]:
    """Make the line that follows a point.

    Args:
        event: checked fields.
        after: where the chain stands.
        time: UTC.
        key: seals the line; None for a plain hash.

    Returns:
        The line with its line end, and the point after it.

    >>> line, point = make_line({"event": "end"}, START, "2026-01-01T00:00:00.000Z", None)
    >>> point.seq, point.size == len(line)
    (1, True)
    """
    entry = {**event, "seq": after.seq + 1, "time": time, "previous": after.digest}
    line = write_canonical(entry | {"seal": make_seal(entry, key)})
    digest = hashlib.sha256(line).hexdigest()
    return line + b"\n", Point(after.seq + 1, digest, after.size + len(line) + 1, len(line))


def read_line(line: bytes) -> Entry | None:
    """Read a line; None if it is none of ours: cut, damaged, or not in canonical form.

    >>> read_line(b'{"seq": 1}') is None
    True
    """
    if len(line) > LONGEST:
        return None
    try:
        entry = json.loads(line)
        if not isinstance(entry, dict) or write_canonical(entry) != line:
            return None
    except (ValueError, RecursionError):
        return None
    seq = entry.get("seq")
    whole = all(
        isinstance(entry.get(name), str) and re.fullmatch(form, entry[name], re.ASCII)
        for name, form in FORMS.items()
    )
    return entry if whole and type(seq) is int and 0 < seq < 2**53 else None


@dataclass
class Walk:
    """Follow a chain line by line and note what is wrong.

    Args:
        key: checks the seals; None checks plain hashes only.
        point: where the chain stands; None takes the first line's word for it.
        name: of the file that is walked, for messages.
    """

    key: bytes | None
    point: Point | None
    name: str = ""
    number: int = 0
    kind: str = ""
    unchecked: int = 0
    entries: int = 0
    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    torn: bytearray = field(default_factory=bytearray)

    def start_file(self, name: str) -> None:
        """Go on in another file, or in the first one."""
        self.name, self.number = name, 0
        if self.point is not None:
            self.point = replace(self.point, size=0)

    def take(self, line: bytes) -> Entry | None:
        """Take the next line, without its line end.

        Returns:
            The entry if the line is one of ours, whether or not something is wrong with it.
        """
        self.number += 1
        entry = read_line(line)
        if entry is None:
            self.torn += line + b"\n"
            if len(self.torn) > TORN_MOST:
                self._complain("is nothing that this program writes")
                self.torn.clear()
            return None
        untold = self._explain(entry)
        self._judge(entry, untold)
        self._check_seal(entry)
        size = self.point.size if self.point is not None else 0
        size += len(self.torn) + len(line) + 1
        self.torn.clear()
        self.entries += 1
        self.point = Point(entry["seq"], hashlib.sha256(line).hexdigest(), size, len(line))
        return entry

    def finish(self) -> None:
        """Say what stands at the end and is no entry."""
        if self.torn:
            self._complain(
                f"ends in {len(self.torn) - 1} bytes that are no whole entry: a writer was killed, "
                "or the file was cut or changed; the next entry will tell of them"
            )
            self.torn.clear()

    def _explain(self, entry: Entry) -> bool:
        """Compare what stands before an entry with what it tells; whether it leaves some untold."""
        told = (entry.get("torn_bytes"), entry.get("torn_sha256"))
        if "beyond_head" in entry:
            self.notes.append(
                f"{self.name} line {self.number}: tells that the head file did not know of "
                f"{entry['beyond_head']} entries before it; a writer was killed there, or someone "
                "added them"
            )
        if not self.torn:
            if told != (None, None):
                self._complain("tells of a torn line that is not there")
            return False
        left = bytes(self.torn[:-1])
        if told == (len(left), hashlib.sha256(left).hexdigest()):
            self.notes.append(
                f"{self.name} line {self.number}: tells of {len(left)} bytes of a torn line "
                "before it; a writer was killed there, or the disk was full"
            )
            return False
        self._complain("comes after something unreadable: a line was changed, cut or put in")
        return True

    def _judge(self, entry: Entry, untold: bool) -> None:
        bad = [name for name in entry if name not in OWN and not is_allowed(name, entry[name])]
        if bad:
            self._complain("holds a field or value that is not on the allow-list")
        if (self.number == 1 + self.torn.count(b"\n")) != (entry["event"] == "open"):
            self._complain("is no beginning of a file: lines before it are missing or were moved")
        if self.point is None:
            self.point = Point(entry["seq"] - 1, entry["previous"])
            if entry["seq"] > 1:
                self.notes.append(
                    f"{self.name}: begins with entry {entry['seq']}; the files before it are not "
                    f"here, the last of them ends in {entry['previous']}"
                )
            elif entry["previous"] != START.digest:
                self._complain("is not the first, though it says so")
        elif untold:
            return
        elif (entry["seq"], entry["previous"]) != (self.point.seq + 1, self.point.digest):
            self._complain(
                f"entry {entry['seq']} does not follow entry {self.point.seq} before it: a line "
                "was changed, removed, moved, doubled or put in"
            )

    def _check_seal(self, entry: Entry) -> None:
        kind = entry["seal"].partition(":")[0]
        if self.key is None and kind == KEYED:
            self.unchecked += 1
        elif not hmac.compare_digest(make_seal(entry, self.key), entry["seal"]):
            other = self.key is not None and kind == UNKEYED
            self._complain(
                "is not sealed with a key"
                if other
                else "does not fit its seal: it was changed"
                + (", or the key is another" if self.key is not None else "")
            )
        if self.kind and kind != self.kind:
            self._complain(f"is sealed with {kind}, the line before it is not")
        self.kind = kind

    def _complain(self, what: str) -> None:
        self.findings.append(f"{self.name} line {self.number}: {what}")
