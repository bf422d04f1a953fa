"""The pages that security officers read: whatever they name as evidence exists."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("SECURITY.md", "docs/threat_model.md", "docs/hospital_it.md", "docs/audit.md")
PAGES = [ROOT / name for name in NAMES]
TEST = re.compile(r"`(tests/[\w./]+\.py)(?:::(\w+))?`")
FILE = re.compile(r"`((?:polypskd|tests|docs|docker|configs|benchmarks)/[\w./-]+)(?:::\w+)?`")
VERB = re.compile(r"polypskd ([a-z]+)(?: (verify|show|[A-Z…-]))?")
TARGET = re.compile(r"make ([a-z]+)")
TOLD = ("STRIDE", "Spoofing", "Tampering", "Repudiation", "disclosure", "Denial", "Elevation")


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@cache
def list_names(path: Path) -> frozenset:
    tree = ast.parse(read(path))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_test_that_a_page_names_exists(page):
    for file, name in TEST.findall(read(page)):
        assert (ROOT / file).is_file(), file
        assert not name or name in list_names(ROOT / file), f"{file}::{name}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_file_that_a_page_names_exists(page):
    for file in FILE.findall(read(page)):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_target_of_the_makefile_that_a_page_names_exists(page):
    targets = set(re.findall(r"^(\w+):", read(ROOT / "Makefile"), re.MULTILINE))
    assert {*TARGET.findall(read(page))} <= targets


def test_every_verb_that_a_page_names_exists():
    code = (
        "from typer.main import get_command; from polypskd.cli import app; "
        "print(*get_command(app).commands)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    verbs = set(told.stdout.split())
    lines = [
        part
        for page in PAGES
        for part in re.findall(r"`([^`]+)`|^ {4}(polypskd .*)$", read(page), re.MULTILINE)
    ]
    named = {verb for part in lines for verb, _ in VERB.findall("".join(part))}
    assert {"predict", "audit"} <= named
    assert named <= verbs


def test_every_row_of_evidence_has_some():
    for name, column in (("SECURITY.md", -1), ("docs/threat_model.md", -1)):
        rows = re.findall(r"^\|(.+)\|$", read(ROOT / name), re.MULTILINE)
        cells = [row.split("|") for row in rows]
        evident = [row for row in cells if "tests/" in "".join(row) or "docker/" in "".join(row)]
        assert len(evident) >= 10
        assert all(FILE.search(row[column]) for row in evident), name


def test_the_threat_model_goes_through_all_of_stride_on_a_page():
    page = read(ROOT / "docs/threat_model.md")
    joined = page.replace("**", "")
    assert all(word in joined for word in TOLD)
    assert len(page.splitlines()) < 90


# What the page calls missing, and where it would be if it were not.
MISSING = {
    "audit log": ("polypskd/commands/predict.py", "--audit"),
    "image": ("docker/Dockerfile", " AS serve"),
    "DICOM results": ("polypskd/deployment/structured_report.py", ""),
    "PACS": ("polypskd/commands/pacs.py", ""),
}


@pytest.mark.parametrize(("question", "place"), MISSING.items())
def test_what_is_there_is_no_longer_called_missing(question, place):
    page = read(ROOT / "docs/hospital_it.md")
    row = re.search(rf"^\| {question} \| (.+?) \| ", page, re.MULTILINE)
    file, word = place
    there = (ROOT / file).exists() and word in read(ROOT / file)
    assert ("not yet" in row[1]) != there, f"docs/hospital_it.md: the row {question!r} is not true"


def test_no_address_is_made_up():
    for page in PAGES:
        assert not re.search(r"[\w.]+@[\w-]+\.\w+|https?://", read(page)), page


def test_the_page_of_the_audit_log_names_every_field_event_and_outcome():
    from polypskd.deployment.auditing.fields import EVENTS, FIELDS, OUTCOMES

    words = set(re.findall(r"`(\w+)`", read(ROOT / "docs/audit.md")))
    assert {*EVENTS, *FIELDS, *OUTCOMES} - {"format"} <= words


def test_the_python_of_the_page_of_the_audit_log_runs_as_it_stands(tmp_path, monkeypatch):
    from polypskd.deployment.audit import verify

    (block,) = re.findall(r"```python\n(.*?)```", read(ROOT / "docs/audit.md"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(block, {})  # noqa: S102
    assert verify(tmp_path / "logs" / "audit.jsonl") == []
