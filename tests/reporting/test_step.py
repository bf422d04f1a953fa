"""The report step: what is made anew, what is left alone, and what is told."""

import sys
from dataclasses import replace
from importlib import resources

import pytest
import yaml
from run_folder import make_run

from polypskd import account, verbs
from polypskd.artifacts import RunLog, read_json, write_json
from polypskd.commands import runs as commands
from polypskd.config import parse_config
from polypskd.errors import OutputError
from polypskd.reporting import exports, pdf
from polypskd.reporting.content import Content, Section
from polypskd.reporting.record import list_classes
from polypskd.reporting.tables import tabulate_classes
from polypskd.runs import REPORT, Run, open_run
from polypskd.summary import describe_report, describe_step

OBSTACLE = pdf.find_obstacle()
able = pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE))


def demo(*overrides):
    text = resources.files("polypskd").joinpath("demo.yaml").read_text(encoding="utf-8")
    return parse_config(yaml.safe_load(text), overrides)


@pytest.fixture(autouse=True)
def short_report(monkeypatch):
    """Draw one figure and write one table: what they hold is judged elsewhere."""

    def collect(record, frames):
        table = tabulate_classes(record.evaluation, list_classes(record))
        return Content("run", "Research use only.", (Section("results", "R", tables=(table,)),))

    monkeypatch.setattr(exports, "collect_report", collect)
    monkeypatch.setattr(exports, "list_figures", lambda content: [("roc.png", b"drawn")])


@pytest.fixture
def run(tmp_path):
    folder = make_run(tmp_path, n=120)
    return Run(folder, demo(), RunLog(folder / "log.jsonl"), pdf=False)


@pytest.fixture
def without_weasyprint(monkeypatch):
    monkeypatch.setitem(sys.modules, "weasyprint", None)


def test_a_report_is_made_once_and_again_when_a_part_of_it_is_gone(run):
    assert account.report(run)
    assert not account.report(run)
    stamped = read_json(run.folder / ".steps/report.json")["outputs"]
    assert {*REPORT, "tables/classes.csv", "figures/roc.png", "paper/methods.tex"} <= set(stamped)
    assert {name for name in stamped if not (run.folder / name).exists()} == set()
    (run.folder / "tables" / "classes.csv").unlink()
    assert account.report(run)
    assert (run.folder / "tables" / "classes.csv").exists()


@pytest.mark.parametrize("name", ["report.yaml", "study.json", "evaluation.json"])
def test_a_report_is_made_anew_when_what_it_rests_on_changes(run, name):
    account.report(run)
    path = run.folder / name
    if name == "report.yaml":
        path.write_text("study: {title: A title}")
    elif name == "study.json":
        write_json(path, {})
    else:
        write_json(path, read_json(path) | {"seed": 18})
    assert account.report(run)
    assert not account.report(run)


@able
def test_the_pdf_is_made_where_it_can_be_and_goes_with_no_pdf(run):
    page = run.folder / "report.pdf"
    asked = replace(run, pdf=None)
    assert account.report(asked)
    assert page.read_bytes().startswith(b"%PDF-1.7")
    assert not account.report(asked)
    assert str(page.resolve()) in describe_step("report", asked)[1]
    assert account.report(run)
    assert not page.exists()
    assert not account.report(run)
    values, text = describe_report(run, removed=True)
    assert values["remark"] == "No report.pdf, as asked; that of an older report is removed."
    assert values["remark"] in text.splitlines()
    assert describe_report(run)[0]["remark"] == "No report.pdf, as asked."


@able
def test_the_verb_says_what_was_written_what_was_fresh_and_what_went(run, capsys, monkeypatch):
    monkeypatch.setattr(verbs, "study", lambda run: False)
    monkeypatch.setattr("polypskd.runs.reopen_run", lambda folder, listen: run)

    def say(pdf):
        commands.report(run.folder, pdf=pdf, quiet=True)
        return capsys.readouterr().out.splitlines()[:-1]

    page, printed = ((run.folder / name).resolve() for name in ("report.html", "report.pdf"))
    assert say(None) == [f"Wrote {page}", f"Wrote {printed}"]
    assert say(None) == [f"{page} is up to date", f"{printed} is up to date"]
    gone = "No report.pdf, as asked; that of an older report is removed."
    assert say(False) == [f"Wrote {page}", gone]
    assert say(False) == [f"{page} is up to date", "No report.pdf, as asked."]


def test_without_weasyprint_the_report_is_made_and_one_line_names_the_package(
    run, without_weasyprint
):
    asked = replace(run, pdf=None)
    assert account.report(asked)
    assert not account.report(asked)
    values, text = describe_step("report", asked)
    assert values["pdf"] is None
    assert len([line for line in text.splitlines() if "polypskd[pdf]" in line]) == 1


def test_asking_for_the_pdf_where_it_cannot_be_made_fails_in_a_line(run, without_weasyprint):
    with pytest.raises(OutputError, match=r"polypskd\[pdf\]") as caught:
        account.report(replace(run, pdf=True))
    assert len(caught.value.lines) == 1
    assert not (run.folder / "report.html").exists()


def test_a_run_of_a_comparison_has_a_pdf_only_where_it_is_asked_for(run, monkeypatch):
    monkeypatch.setattr(pdf, "find_obstacle", lambda: pytest.fail("weasyprint was looked for"))
    beside = replace(run, pdf=None, shared=run.folder.parent)
    assert account.report(beside)
    assert not (run.folder / "report.pdf").exists()
    assert describe_step("report", beside)[0]["remark"] is None


def test_a_file_of_somebody_else_among_the_tables_is_refused_in_a_line(run):
    account.report(run)
    (run.folder / "tables" / "mine.csv").write_text("mine")
    assert not account.report(run)  # nothing is to be done
    (run.folder / "report.json").unlink()
    with pytest.raises(OutputError, match=r"mine\.csv: not made by polypskd"):
        account.report(run)


@pytest.mark.parametrize("name", ["report.html", "report.json", "guidelines.json"])
def test_a_file_that_was_changed_by_hand_is_refused_and_kept(run, name):
    account.report(run)
    page = run.folder / name
    page.write_text(page.read_text() + " ")
    with pytest.raises(OutputError, match=rf"{name}: changed by hand since it was made; move it"):
        account.report(run)
    assert page.read_text().endswith(" ")
    page.unlink()
    assert account.report(run)


def test_a_report_that_was_stopped_half_way_is_not_taken_for_work_by_hand(run, monkeypatch):
    account.report(run)
    (run.folder / "report.yaml").write_text("study: {title: A title}")
    with monkeypatch.context() as patch:
        patch.setattr(account, "write_stamp", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            account.report(run)
    assert account.report(run)


def test_answers_for_one_call_are_said_not_to_be_kept(run, tmp_path):
    answers = tmp_path / "mine.yaml"
    answers.write_text("study: {title: A title}")
    asked = replace(run, answers=answers)
    account.report(asked)
    line = f"The answers of {answers} are not kept; save them as {run.folder / 'report.yaml'}"
    values, text = describe_step("report", asked)
    assert values["answers"].startswith(line)
    assert line in text
    assert describe_step("report", run)[0]["answers"] is None
    answers.rename(run.folder / "report.yaml")
    kept = replace(run, answers=run.folder / "report.yaml")
    assert describe_step("report", kept)[0]["answers"] is None


def test_another_config_takes_the_report_away_but_not_what_is_not_ours(tmp_path):
    open_run(demo(), tmp_path)
    for name in ("report.html", "report.json", "model_card.md", "report.pdf"):
        (tmp_path / name).write_text("mine")
    open_run(demo("seed=3"), tmp_path, overwrite=True)
    assert not (tmp_path / "report.html").exists()
    assert (tmp_path / "model_card.md").read_text() == "mine"
    assert (tmp_path / "report.pdf").read_text() == "mine"
