"""The image as a MONAI Application Package 1.0.0: its two manifests, and what may be copied out.

`python -m polypskd.deployment.application_package` writes the manifests while the image is built.
"""

from __future__ import annotations

import json
import shutil
import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from polypskd.artifacts import describe_fault
from polypskd.cohort.address import DICOM, VIDEO
from polypskd.cohort.frames import READERS
from polypskd.deployment.application import MODEL_NAME, MODELS, SETTINGS
from polypskd.deployment.bundle import Bundle, open_bundle
from polypskd.deployment.manifest import MANIFEST
from polypskd.errors import ArtifactError, OutputError

APP = Path("/opt/holoscan/app")
DOCS = Path("/opt/holoscan/docs")
WORK = Path("/var/holoscan")
APP_MANIFEST = Path("/etc/holoscan/app.json")
PACKAGE_MANIFEST = Path("/etc/holoscan/pkg.json")
EXPORT = Path("/var/run/holoscan/export")
FORM = "1.0.0"  # of the package
NO_KIT = ("none", "0.0.0")  # no SDK made it, and its default version
COMMAND = [str(APP / "bin" / "polypskd"), "app"]


def build_app_manifest(version: str) -> dict[str, Any]:
    """Build app.json: how the application is run, and what goes in and out.

    Args:
        version: of polypskd.

    >>> build_app_manifest("0.1.0")["command"]
    '/opt/holoscan/app/bin/polypskd app'
    """
    return {
        "apiVersion": FORM,
        "type": "application",
        "sdk": NO_KIT[0],
        "sdkVersion": NO_KIT[1],
        "command": " ".join(COMMAND),
        "version": version,
        "workingDirectory": f"{WORK}/",
        "environment": {
            "HOLOSCAN_INPUT_PATH": f"{WORK}/input/",
            "HOLOSCAN_OUTPUT_PATH": f"{WORK}/output/",
            "HOLOSCAN_WORKDIR": f"{WORK}/",
            "HOLOSCAN_MODEL_PATH": f"{MODELS}/",
            "HOLOSCAN_CONFIG_PATH": str(SETTINGS),
            "HOLOSCAN_APP_MANIFEST_PATH": str(APP_MANIFEST),
            "HOLOSCAN_PKG_MANIFEST_PATH": str(PACKAGE_MANIFEST),
            "HOLOSCAN_DOCS": str(DOCS),
            "HOLOSCAN_LOGS": f"{WORK}/logs",
        },
        "input": {
            "path": "input/",
            "formats": [{"type": "file", "suffixes": sorted({*READERS, *DICOM, *VIDEO})}],
        },
        "output": {
            "path": "output/",
            "format": {
                "type": "file",
                "files": ["predictions.csv", "predictions.json", "faults.csv"],
            },
        },
        "readiness": _build_probe(*COMMAND, "--check"),
        # A run shows that it goes on by its end alone; this, that programs can be started there.
        "liveness": _build_probe(COMMAND[0], "version"),
        "timeout": 0,
    }


def build_package_manifest(version: str, bundle: Bundle | None) -> dict[str, Any]:
    """Build pkg.json: where the application and its model lie, and what they need.

    Args:
        version: of polypskd.
        bundle: that is part of the image; None where it is mounted.

    >>> build_package_manifest("0.1.0", None)["resources"]["gpu"]
    0
    """
    about: dict[str, Any] = {"name": MODEL_NAME, "path": MODEL_NAME}
    if bundle is not None:
        about["sha256"] = bundle.model_hash
    return {
        "apiVersion": FORM,
        "version": version,
        "applicationRoot": f"{APP}/",
        "modelRoot": f"{MODELS}/",
        "models": [about],
        "resources": {"cpu": 1, "gpu": 0, "memory": "1Gi", "sharedMemory": "64Mi"},
    }


def write_manifests(root: Path, version: str, models: Path = MODELS) -> None:
    """Write app.json and pkg.json, and see to it that a bundle in the image is whole.

    Args:
        root: of the image's file system, where they go.
        version: that the image is labeled with.
        models: folder that holds the image's bundle, if it has one.

    Raises:
        ArtifactError: the bundle is damaged, or the version is not that of the program.
    """
    if installed("polypskd") != version:
        raise ArtifactError(
            f"the image is labeled {version}, but holds polypskd {installed('polypskd')}; build it "
            f"with --build-arg VERSION={installed('polypskd')}"
        )
    folder = models / MODEL_NAME
    bundle = open_bundle(folder) if (folder / MANIFEST).exists() else None
    pages = {
        APP_MANIFEST: build_app_manifest(version),
        PACKAGE_MANIFEST: build_package_manifest(version, bundle),
    }
    for path, page in pages.items():
        target = _inside(root, path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(page, indent=2) + "\n", encoding="utf-8")


def read_manifests(root: Path = Path("/")) -> dict[str, Any]:
    """Read app.json and pkg.json.

    Args:
        root: of the file system.

    Raises:
        ArtifactError: they are not there, as outside of the image.
    """
    pages = {}
    for path in (APP_MANIFEST, PACKAGE_MANIFEST):
        try:
            pages[path.name] = json.loads(_inside(root, path).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ArtifactError(f"{path}: not there; this verb is for the image") from None
    return pages


def export_parts(root: Path = Path("/")) -> list[str]:
    """Copy app, config, models and docs to what is mounted at /var/run/holoscan/export.

    Where folders of these names are there, these alone are filled; else all four are made.

    Args:
        root: of the file system.

    Returns:
        names of the parts that were copied.

    Raises:
        OutputError: nothing is mounted there, or it cannot be written to.
    """
    target = _inside(root, EXPORT)
    if not target.is_dir():
        raise OutputError(f"{EXPORT}: no folder here; mount one: -v FOLDER:{EXPORT}")
    parts = {
        "app": (APP,),
        "config": (SETTINGS, APP_MANIFEST, PACKAGE_MANIFEST),
        "models": (MODELS,),
        "docs": (DOCS,),
    }
    try:
        chosen = [name for name in parts if (target / name).is_dir()] or list(parts)
        for name in chosen:
            (target / name).mkdir(exist_ok=True)
            for path in (_inside(root, part) for part in parts[name]):
                if path.is_dir():
                    _copy_below(path, target / name)
                elif path.exists():
                    shutil.copyfile(path, target / name / path.name)
    except OSError as error:
        raise OutputError(f"{EXPORT}: {describe_fault(error)}") from None
    return chosen


def _copy_below(folder: Path, target: Path) -> None:
    """Copy what lies below a folder, without rights and times: the target may be another user's."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            (target / path.name).mkdir(exist_ok=True)
            _copy_below(path, target / path.name)
        else:
            shutil.copyfile(path, target / path.name)


def _build_probe(*command: str) -> dict[str, Any]:
    return {
        "type": "command",
        "command": list(command),
        "initialDelaySeconds": 1,
        "periodSeconds": 60,
        "timeoutSeconds": 30,
        "failureThreshold": 3,
    }


def _inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


if __name__ == "__main__":
    write_manifests(Path(sys.argv[1]), sys.argv[2])
