"""Compile what the image's verbs import, and see to it that it can be imported.

    /opt/polypskd/bin/python compile_used.py NEW_ROOT

Bytecode of all that is installed would take another 30 MB. It is never compared with its source, so
that a start reads one file a module, and two builds give the same bytes.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import py_compile
import sys
from pathlib import Path

# Of the packages of serve.in, what is imported within functions.
USED = "numpy cv2 onnxruntime onnxruntime.capi.onnxruntime_pybind11_state simplejpeg openjpeg "
USED += "jpeg_ls pylibjpeg pydantic yaml typer.core typer.rich_utils rich.console rich.progress "
USED += "rich.table PIL.Image pydicom pydicom.pixels pydicom.encaps highdicom highdicom.sr "
USED += (
    "highdicom.pr highdicom.sc pynetdicom pynetdicom.sop_class dicomweb_client dicomweb_client.api"
)
# Where torch or another package of training is missing, a module of ours cannot be imported.
OURS = ("polypskd.deployment", "polypskd.commands", "polypskd.cohort", "polypskd.config")


def main(root: Path) -> None:
    """Compile it."""
    for name in USED.split():
        importlib.import_module(name)
    for name in OURS:
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}.", onerror=lambda _: None):
            try:
                importlib.import_module(found.name)
            except ModuleNotFoundError:
                continue
    for name in ("polypskd.cli", "polypskd.terminal"):
        importlib.import_module(name)
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None) or ""
        if not path.endswith(".py") or not Path(path).is_file():
            continue
        real = str(Path(path).resolve())
        inside = real if real.startswith("/opt/") else str(root / real.lstrip("/"))
        if Path(inside).is_file() and "/build/map/" not in real:
            py_compile.compile(
                inside,
                dfile=real,
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
