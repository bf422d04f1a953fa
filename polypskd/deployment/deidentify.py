"""Copy a folder without its patients: the story of the verb `deidentify`.

Every file is cleaned or refused; one that is refused does not stop the others. A file of OUT is
taken as done if it was made from the same bytes, by the same options, under the same key.
"""

from __future__ import annotations

import hashlib
import json
import mimetypes
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from polypskd.artifacts import file_hash, lock_run, write_atomic, write_text
from polypskd.cohort.damage import DamageError
from polypskd.deployment.deidentification.attributes import Cleaning
from polypskd.deployment.deidentification.dicom_files import clean_dicom
from polypskd.deployment.deidentification.media import clean_image, read_image
from polypskd.deployment.deidentification.panel import Trust, plan_cleaning
from polypskd.deployment.deidentification.rules import Picture, Rules
from polypskd.deployment.deidentification.video_streams import (
    choose_suffix,
    clean_video,
    measure_video,
)
from polypskd.deployment.listing import list_files, recognize_kind
from polypskd.deployment.seals import name_sealed
from polypskd.errors import Fault, OutputError, PolypskdError

RECORD = "deidentified.jsonl"
OWN = {RECORD, ".steps"}
LARGEST_IMAGE = 2**28  # bytes
ARCHIVES = {".gz", ".bz2", ".xz", ".7z", ".rar", ".db"}
FORMAT = 2
Listen = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Wish:
    """What is wanted.

    Args:
        key: the secret.
        retained: of `polypskd.deployment.deidentification.profile.RETAINED`.
        rules: of the rule file.
        trust: what the user vouches for.
    """

    key: bytes = field(repr=False)
    retained: frozenset[str] = frozenset()
    rules: Rules = field(default_factory=Rules)
    trust: Trust = field(default_factory=Trust)

    @property
    def cleaning(self) -> Cleaning:
        """How attributes are cleaned."""
        return Cleaning(self.key, self.retained, self.rules.private)

    def seal(self) -> str:
        """Seal key and options, so that OUT is not made of two."""
        options = f"{FORMAT} {sorted(self.retained)} {self.rules} {self.trust}"
        return name_sealed(self.key, "options", options, length=32)


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Args:
        names: file of IN to file of OUT; the one list that leads back.
        ways: how pixels were cleaned, to the number of files.
        unchanged: files that were there already.
        refused: faults of the files that were not written.
        left_out: suffix to the number of files of a kind that is not known.
        others: files of an earlier call whose sources are gone, changed, or elsewhere.
        took: rule and size, as ``rule 2: 1080 x 1920``, to the number of files it took.
    """

    names: dict[str, str] = field(repr=False)
    ways: dict[str, int]
    unchanged: int
    refused: tuple[Fault, ...]
    left_out: dict[str, int]
    others: int
    took: dict[str, int] = field(default_factory=dict)


def deidentify(root: Path, out: Path, wish: Wish, listen: Listen = lambda event: None) -> Outcome:
    """Copy files without their patients.

    Args:
        root: a folder, or one file.
        out: a folder that is new, empty, or left by the same command.
        wish: key and options.
        listen: told of progress.

    Raises:
        OutputError: `root` is missing, or `out` cannot be used.
    """
    check_places(root, out)
    check_record(out, wish)
    with lock_run(out):
        _sweep(out)
        done = read_record(out)
        if not done:
            write_text(out / RECORD, json.dumps({"options": wish.seal()}) + "\n")
        return _clean_all(root, out, wish, done, listen)


def _clean_all(
    root: Path, out: Path, wish: Wish, done: dict[str, dict[str, str]], listen: Listen
) -> Outcome:
    files, refused = list_files(root)
    entries: dict[str, dict[str, str]] = {}
    names: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    unchanged = 0
    for number, (name, path) in enumerate(files):
        listen({"step": "deidentify", "event": "progress", "done": number, "total": len(files)})
        try:
            kind = recognize_kind(path)
            if not kind:
                left_out[tell_suffix(path.name)] += 1
                continue
            source = _seal_source(path, name, wish.key)
            entry = done.get(source)
            if entry is not None and _is_whole(out, entry):
                unchanged += 1
            else:
                entry = _clean_one(kind, name, path, out, wish, source) | {"source": source}
                with (out / RECORD).open("a", encoding="utf-8") as record:
                    record.write(json.dumps(entry) + "\n")
            entries[source], names[name] = entry, entry["file"]
        except DamageError as damage:
            refused.append(Fault(name, damage.what, damage.value, damage.todo))
        except OutputError:
            raise
        except PolypskdError as error:
            refused.append(Fault(name, str(error)))
        except OSError as error:
            refused.append(Fault(name, f"cannot be read ({error.strerror})"))
        except (RecursionError, MemoryError):
            refused.append(Fault(name, "its parts are nested too deep, or too large"))
    others = _find_others(out, done, entries)
    _close_record(out, wish, entries | others)
    listen({"step": "deidentify", "event": "done"})
    ways = Counter(entry["way"] for entry in entries.values())
    return Outcome(
        names,
        dict(sorted(ways.items())),
        unchanged,
        tuple(refused),
        dict(left_out),
        len({one["file"] for one in others.values()}),
        dict(Counter(entry["took"] for entry in entries.values() if "took" in entry)),
    )


def _find_others(
    out: Path, done: dict[str, dict[str, str]], entries: dict[str, dict[str, str]]
) -> dict[str, dict[str, str]]:
    """Find what earlier calls made from other sources; it is neither forgotten nor removed."""
    made = {entry["file"] for entry in entries.values()}
    return {
        source: entry
        for source, entry in done.items()
        if source not in entries and entry["file"] not in made and _is_whole(out, entry)
    }


def tell_suffix(name: str) -> str:
    """Tell the suffix of a file that is left out; none where it may be part of a name.

    >>> tell_suffix("list.CSV"), tell_suffix("report of Mr.Smith")
    ('.csv', '')
    """
    suffix = PurePath(name).suffix.lower()
    known = mimetypes.MimeTypes().types_map[True]  # what Python knows, whatever the system does
    return suffix if suffix in known or suffix in ARCHIVES else ""


def check_places(root: Path, out: Path) -> None:
    """Refuse places that lie within each other, or that hold something else.

    Raises:
        OutputError: one line that says which.
    """
    if not root.exists():
        raise OutputError(f"{root}: not found; give a folder or a file")
    real, target = root.resolve(), out.resolve()
    if target == real or target.is_relative_to(real) or real.is_relative_to(target):
        raise OutputError(f"{out}: lies within {root}, or around it; use another --out")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; --out must be a folder")
    new = not out.is_dir() or (out / RECORD).is_file()
    if not new and any(one.name not in OWN for one in out.iterdir()):
        raise OutputError(f"{out}: holds other files; use a new or empty folder as --out")


def check_record(out: Path, wish: Wish) -> None:
    """Refuse to go on in a folder that another key or other options made.

    Raises:
        OutputError: they differ, or the record cannot be read.
    """
    record = out / RECORD
    if not record.is_file():
        return
    first = record.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    try:
        options = json.loads(first)["options"]
    except (ValueError, KeyError, TypeError):
        raise OutputError(f"{record}: damaged; use a new folder as --out") from None
    if options != wish.seal():
        raise OutputError(
            f"{out}: was made with another key, other options or other rules; use a new --out"
        )


def read_record(out: Path) -> dict[str, dict[str, str]]:
    """Read which files are done: seal of the source to file, hash and way.

    A line that a kill tore off is left out, and its file is made again.
    """
    record = out / RECORD
    if not record.is_file():
        return {}
    done = {}
    for line in record.read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
        try:
            entry = json.loads(line)
            wanted = {name: entry[name] for name in ("file", "sha256", "way", "source")}
            took = {"took": str(entry["took"])} if "took" in entry else {}
            done[entry["source"]] = wanted | took
        except (ValueError, KeyError, TypeError):
            continue
    return done


def _clean_one(
    kind: str, name: str, path: Path, out: Path, wish: Wish, source: str
) -> dict[str, str]:
    """Clean and write one file; files of one name in two folders of IN do not overwrite another."""
    stem = source[:16]
    folder = name_sealed(wish.key, "folder", PurePath(name).parent.as_posix(), length=12)
    if kind == "dicom":
        made = clean_dicom(path, wish.cleaning, wish.rules, wish.trust)
        file, plan, write = f"{made.folder}/{stem}.dcm", made.plan, made.write
    elif kind == "image":
        if path.stat().st_size > LARGEST_IMAGE:
            raise DamageError("too large", todo=f"at most {LARGEST_IMAGE >> 20} MiB an image")
        data = path.read_bytes()
        pixels = read_image(data)
        picture = Picture("image", *pixels.shape[:2])
        plan = plan_cleaning(picture, wish.rules, wish.trust, lambda: [pixels])
        clean, suffix = clean_image(data, plan)
        file, write = f"{folder}/{stem}{suffix}", partial(_write_bytes, clean)
    else:
        width, height = measure_video(path)
        picture = Picture("video", height, width)
        plan = plan_cleaning(picture, wish.rules, wish.trust, list)
        suffix = choose_suffix(path.name)
        file = f"{folder}/{stem}{suffix}"
        write = partial(clean_video, path, plan=plan, suffix=suffix)
    write_atomic(out / file, write)
    entry = {"file": file, "sha256": file_hash(out / file), "way": plan.way}
    return entry | ({"took": plan.took} if plan.took else {})


def _write_bytes(data: bytes, path: Path) -> None:
    path.write_bytes(data)


def _seal_source(path: Path, name: str, key: bytes) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return name_sealed(key, "source", f"{digest} {name}", length=32)


def _is_whole(out: Path, entry: dict[str, str]) -> bool:
    file = out / entry["file"]
    if PurePath(entry["file"]).is_absolute() or ".." in PurePath(entry["file"]).parts:
        return False
    return file.is_file() and file_hash(file) == entry["sha256"]


def _sweep(out: Path) -> None:
    """Remove what a killed process left half-written."""
    for path in out.rglob(".*.tmp"):
        path.unlink(missing_ok=True)


def _close_record(out: Path, wish: Wish, entries: dict[str, dict[str, str]]) -> None:
    lines: Iterator[dict[str, str]] = iter(sorted(entries.values(), key=lambda one: one["file"]))
    page = [{"options": wish.seal()}, *lines]
    write_text(out / RECORD, "".join(json.dumps(one) + "\n" for one in page))
