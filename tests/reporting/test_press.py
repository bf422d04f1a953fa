import subprocess
import sys

import pytest

from polypskd.errors import OutputError
from polypskd.reporting import pdf, press

OBSTACLE = pdf.find_obstacle()
able = pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE))
PAGE = "<!doctype html><html lang=en><head><title>é</title></head><body><p>x</p></body></html>"
PARTS = ("text/__init__.py", "text/fonts.py", "urls.py")


@pytest.fixture
def disguise(tmp_path, monkeypatch):
    """Let the process find another weasyprint than ours, of the given source."""

    def put(source):
        for name in PARTS:
            path = tmp_path / "weasyprint" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        (tmp_path / "weasyprint" / "__init__.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))

    return put


def ask():
    with press.open_press() as opened:
        return opened.begin(PAGE, "run").result()


@able
def test_it_lays_out_the_same_bytes_as_this_process_would():
    assert ask() == pdf.render_pdf(PAGE, "run")


@able
def test_where_no_process_may_be_started_this_one_lays_out_the_page(monkeypatch):
    def refuse(*_, **__):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert ask().startswith(b"%PDF")


@able
def test_modules_that_lie_in_the_users_folder_are_not_taken_for_ours(tmp_path, monkeypatch):
    for name in ("json", "weasyprint", "polypskd"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(7)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    assert ask().startswith(b"%PDF")


def test_a_missing_library_is_told_in_its_one_line(disguise):
    disguise("raise ImportError('no such thing')\n")
    with pytest.raises(OutputError, match=r"needs weasyprint.*polypskd\[pdf\]") as caught:
        ask()
    assert len(caught.value.lines) == 1


def test_what_is_our_fault_comes_with_its_trace(disguise):
    disguise("raise KeyError('deep inside')\n")
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*deep inside"):
        ask()


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_a_process_that_was_ended_from_without_is_told_in_a_line_with_what_to_do(disguise):
    disguise("import os\nos.kill(os.getpid(), 9)\n")
    with pytest.raises(OutputError, match=r"signal 9.*memory.*--no-pdf") as caught:
        ask()
    assert len(caught.value.lines) == 1


def test_a_press_that_is_not_needed_after_all_leaves_no_process(disguise):
    disguise("import time\ntime.sleep(60)\n")
    with press.open_press() as opened:
        assert opened.process.poll() is None
    assert opened.process.returncode is not None

    def stop():
        opened.begin(PAGE, "run")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), press.open_press() as opened:
        stop()
    assert opened.process.returncode is not None


@able
def test_without_a_folder_for_temporary_files_one_line_names_the_variable(monkeypatch):
    def refuse(*_, **__):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("weasyprint.text.fonts.mkdtemp", refuse)
    with pytest.raises(OutputError, match="TMPDIR") as caught:
        pdf.render_pdf(PAGE, "run")
    assert len(caught.value.lines) == 1
