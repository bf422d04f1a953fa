"""Folders and texts that are replaced as a whole, but never over somebody's own work.

A folder of ours holds a list of its files and their hashes; a text of ours begins with the hash of
the rest; the stamp of the report knows the hashes of the other files. What differs from that was
made or changed by somebody else, and is left alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from polypskd.artifacts import describe_fault, file_hash, read_json
from polypskd.errors import OutputError

FOLDERS = ("tables", "figures", "paper")
STAMPED = ("report.html", "report.json", "guidelines.json")  # guarded by the hashes of the stamp
SEALED = ("guidelines.md", "model_card.md", "data_sheet.md")
PDF = "report.pdf"
PDF_MARK = "polypskd"  # its identifier begins so
MARKER = ".polypskd.json"
SEAL = "<!-- Made by polypskd; sha256 of the rest: {} -->\n"
JUNK = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})  # what file browsers leave behind
AWAY = "move it away, then the same command writes it anew"


def refuse_others(run: Path) -> None:
    """Refuse to write a report where somebody else's work, or work by hand, would be lost.

    Args:
        run: the run folder.

    Raises:
        OutputError: it would.
    """
    for name in FOLDERS:
        refuse_foreign(run / name)
    for name in SEALED:
        refuse_unsealed(run / name)
    hashes = _read_stamp(run)
    for name in STAMPED:
        path = run / name
        if path.exists() and hashes.get(name) not in (None, file_hash(path)):
            raise OutputError(f"{path}: changed by hand since it was made; {AWAY}")
    if (run / PDF).exists() and not _is_our_pdf(run / PDF):
        raise OutputError(f"{run / PDF}: not made by polypskd; {AWAY}")


def remove_report(run: Path, names: Iterable[str]) -> None:
    """Remove the report of a run, but for what somebody else has made or changed by hand.

    Args:
        run: the run folder.
        names: files that need no look: they are always made anew.
    """
    for name in FOLDERS:
        remove_folder(run / name)
    for name in SEALED:
        if _is_sealed_file(run / name):
            (run / name).unlink()
    if (run / PDF).exists() and _is_our_pdf(run / PDF):
        (run / PDF).unlink()
    for name in names:
        (run / name).unlink(missing_ok=True)


def list_stamped(run: Path) -> tuple[str, ...]:
    """List the outputs that the last report of a run has written; none if there is none."""
    return tuple(_read_stamp(run))


def forget_report(run: Path) -> None:
    """Take back the last report's stamp, before its files are replaced.

    What a stopped process leaves would else look as if somebody had changed it by hand.
    """
    _stamp(run).unlink(missing_ok=True)


def _stamp(run: Path) -> Path:
    return run / ".steps" / "report.json"


def _read_stamp(run: Path) -> dict[str, str]:
    stamp = _stamp(run)
    outputs: dict[str, str] = read_json(stamp).get("outputs", {}) if stamp.exists() else {}
    return outputs


def refuse_foreign(folder: Path) -> None:
    """Refuse a folder that holds anything that we have not made; an absent one is fine.

    Raises:
        OutputError: naming the first file that is not ours, or was changed by hand.
    """
    if not (folder.exists() or folder.is_symlink()):
        return
    if folder.is_symlink() or not folder.is_dir():
        raise OutputError(f"{folder}: not a folder that polypskd has made; {AWAY}")
    listed = _read_marker(folder)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name == MARKER or path.name in JUNK:
            continue
        if name not in listed or path.is_symlink() or not path.is_file():
            raise OutputError(f"{path}: not made by polypskd; {AWAY}")
        if file_hash(path) != listed[name]:
            raise OutputError(f"{path}: changed by hand since it was made; {AWAY}")


def replace_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put a folder of files in the place of an older one, as a whole.

    Args:
        folder: what `refuse_foreign` lets pass.
        files: name → bytes.

    Raises:
        OutputError: it holds what we have not made, or cannot be written.
    """
    refuse_foreign(folder)
    try:
        new = Path(
            tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".drawing", dir=folder.parent)
        )
        hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
        for name, data in files.items():
            _write(new / name, data)
        _write(new / MARKER, (json.dumps(hashes, indent=1) + "\n").encode())
        new.chmod(0o755)
        if folder.exists():
            old = Path(
                tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".drawing", dir=folder.parent)
            )
            folder.replace(old)  # a rename over an empty folder
            new.replace(folder)
            shutil.rmtree(old, ignore_errors=True)
        else:
            new.replace(folder)
    except OSError as error:
        raise OutputError(f"{folder}: {describe_fault(error)}") from None


def remove_folder(folder: Path) -> None:
    """Remove a folder of ours; one that holds anything else stays."""
    try:
        refuse_foreign(folder)
    except OutputError:
        return
    if folder.exists():
        shutil.rmtree(folder)


def seal(text: str) -> str:
    """Put before a text the hash of the text.

    >>> is_sealed(seal("a")), is_sealed(seal("a") + "b"), is_sealed("a")
    (True, False, False)
    """
    return SEAL.format(hashlib.sha256(text.encode()).hexdigest()) + text


def is_sealed(text: str) -> bool:
    """Whether a text is as we made it."""
    head, _, rest = text.partition("\n")
    return f"{head}\n" == SEAL.format(hashlib.sha256(rest.encode()).hexdigest())


def refuse_unsealed(path: Path) -> None:
    """Refuse to write over a text that is not ours, or was changed by hand.

    Raises:
        OutputError: it is.
    """
    if (path.exists() or path.is_symlink()) and not _is_sealed_file(path):
        raise OutputError(f"{path}: not made by polypskd, or changed by hand; {AWAY}")


def _is_sealed_file(path: Path) -> bool:
    try:
        return is_sealed(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return False


def _is_our_pdf(path: Path) -> bool:
    try:
        return f"/ID [({PDF_MARK}".encode() in path.read_bytes()
    except OSError:
        return False


def _read_marker(folder: Path) -> dict[str, str]:
    try:
        listed = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        listed = {}
    return {str(k): str(v) for k, v in listed.items()} if isinstance(listed, dict) else {}


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
