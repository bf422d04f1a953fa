"""What lies in a folder: its files in order, their kinds, and links that lead elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from polypskd.cohort.damage import DamageError
from polypskd.cohort.dicom import looks_like_dicom
from polypskd.deployment.deidentification.media import is_image
from polypskd.deployment.deidentification.video_streams import is_video
from polypskd.errors import Fault


def list_files(root: Path) -> tuple[list[tuple[str, Path]], list[Fault]]:
    """List the files of a folder; links that lead out of it are told and not followed.

    Returns:
        (name below the folder, path) in order, and the faults.
    """
    if not root.is_dir():
        return [(root.name, root)], []
    real = root.resolve()
    files: list[tuple[str, Path]] = []
    faults = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        for name in sorted(names) + [one for one in folders if (Path(folder) / one).is_symlink()]:
            path = Path(folder) / name
            below = path.relative_to(root).as_posix()
            if name.startswith("."):
                continue
            if path.is_symlink() and (path.is_dir() or not _leads_into(path, real)):
                todo = "copy what it leads to into the folder"
                faults.append(Fault(below, "a symbolic link that is not followed", todo=todo))
            elif not path.is_file():
                faults.append(Fault(below, "not a file"))
            else:
                files.append((below, path))
    return sorted(files), faults


def _leads_into(path: Path, real: Path) -> bool:
    try:
        return path.resolve(strict=True).is_relative_to(real)
    except (OSError, RuntimeError):
        return False


def recognize_kind(path: Path) -> str:
    """Tell dicom, image or video, or nothing for any other file.

    Raises:
        DamageError: it is called DICOM and is none.
    """
    if is_image(path.name):
        return "image"
    if is_video(path.name):
        return "video"
    if looks_like_dicom(path):
        return "dicom"
    if path.suffix.lower() in {".dcm", ".dicom", ".ima"}:
        raise DamageError("not a readable DICOM file", todo="check that it is whole")
    return ""
