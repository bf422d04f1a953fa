"""The walls of the house: floors, foreign rooms, start-up."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "polypskd"
FILES = sorted(PACKAGE.rglob("*.py"))

DICOM_ROOMS = {"cohort/dicom/", "cohort/exports/opinions.py", "deployment/"}
ROOMS = {
    "albumentations": {"data/augment.py"},
    "monai": {"models/networks.py", "deployment/export/monai_files.py"},
    "onnx": {"deployment/export/"},
    "onnxruntime": {"deployment/"},
    "openvino": {"deployment/"},
    "pydicom": DICOM_ROOMS,
    "pylibjpeg": DICOM_ROOMS,
    "openjpeg": DICOM_ROOMS,
    "jpeg_ls": DICOM_ROOMS,
    "simplejpeg": DICOM_ROOMS,
    "pynetdicom": {"deployment/pacs/"},
    "dicomweb_client": {"deployment/pacs/"},
    "requests": {"deployment/pacs/"},
    "socket": {"deployment/pacs/"},
    "highdicom": {"deployment/"},
    "av": {"cohort/video", "deployment/deidentification/video_streams.py"},
    "sklearn": {"metrics/"},
    "typer": {"cli.py", "commands/"},
    "matplotlib": {"reporting/"},
    "jinja2": {"reporting/"},
    "weasyprint": {"reporting/pdf.py"},
    "rich": {"terminal.py"},
    "safetensors": {"models/checkpoint.py"},
    "tensorboard": {"tracking/"},
    "mlflow": {"tracking/"},
}
LIGHT = {"artifacts.py", "errors.py", "ranks.py", "job.py"}
LIGHT |= {"pipeline.py", "account.py", "verbs.py", "runs.py", "summary.py"}
BANNED = {"torchvision", "timm", "urllib", "http", "pickle"}


@cache
def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_each_foreign_package_stays_in_its_room(path):
    name = path.relative_to(PACKAGE).as_posix()
    for package, rooms in ROOMS.items():
        if package in imports(path):
            assert any(name.startswith(room) for room in rooms), package
    assert not imports(path) & BANNED


def test_no_file_has_a_name_that_says_nothing():
    names = {path.stem for path in FILES}
    assert not names & {"utils", "helpers", "common", "base", "misc"}


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


HEAVY = {"torch", "monai", "albumentations", "sklearn", "statsmodels", "pandas", "matplotlib"}


def test_help_loads_nothing_heavy():
    assert not loaded_by("import polypskd.cli") & (HEAVY | {"polars", "pydantic", "cv2", "numpy"})


def test_below_the_torch_line_nothing_heavy_is_loaded():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in FILES
        if path.relative_to(PACKAGE).parts[0] in {"config", "cohort", "labels", "metrics"}
        or path.name
        in {
            "artifacts.py",
            "errors.py",
            "pipeline.py",
            "account.py",
            "verbs.py",
            "ranks.py",
            "job.py",
            "runs.py",
            "summary.py",
        }
    ]
    assert not loaded_by(f"import {', '.join(modules)}") & {"torch", "monai", "albumentations"}


def test_the_readmes_test_command_is_the_one_that_ci_calls():
    lines = [line for line in (ROOT / "README.md").read_text().splitlines() if "make check" in line]
    assert "    pip install -e '.[dev]' && make check" in lines


def test_names_below_the_torch_line_are_had_without_it():
    names = ("derive_labels", "check_comparison", "PairedSample", "paired_difference")
    code = "import polypskd\n" + "\n".join(f"polypskd.{name}" for name in names)
    assert not loaded_by(code) & {"torch", "monai", "albumentations"}


def test_the_public_list_is_true_and_importing_the_package_loads_nothing():
    import polypskd

    for name in polypskd.__all__:
        assert getattr(polypskd, name).__doc__, name
    with pytest.raises(AttributeError, match="nonsense"):
        _ = polypskd.nonsense
    assert not loaded_by("import polypskd") & (HEAVY | {"numpy", "polars", "pydantic"})
