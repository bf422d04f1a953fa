import csv
import io
import json
import re
import shutil
import struct
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from run_folder import make_run

import polypskd
from polypskd.artifacts import read_json
from polypskd.errors import ConfigError, OutputError
from polypskd.reporting import exports
from polypskd.reporting.exports import Wishes, write_outputs

TEXTS = (
    *("report.html", "report.json", "guidelines.json", "guidelines.md"),
    *("model_card.md", "data_sheet.md"),
    *("paper/methods.md", "paper/methods.tex", "paper/results.md", "paper/results.tex"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("exports"), n=120)


@pytest.fixture(scope="module")
def made(run):
    return write_outputs(run, run.parent / "frames", Wishes())


def read(run: Path, names) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in names}


def test_everything_that_is_listed_is_written_and_nothing_else(run, made):
    assert set(TEXTS) <= set(made)
    found = {path.relative_to(run).as_posix() for path in run.rglob("[!.]*") if path.is_file()}
    given = {"agreement.json", "config.yaml", "evaluation.json", "examples.csv", "predictions.csv"}
    given |= {"provenance.json", "student_history.json", "teacher_history.json", "excluded.csv"}
    assert found - given == set(made)


def test_the_public_call_makes_the_same_bytes_of_everything_and_leaves_nothing_behind(run, made):
    before = read(run, made)
    assert polypskd.write_report(run, run.parent / "frames") == run / "report.html"
    assert read(run, made) == before
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]


def test_tables_hold_the_numbers_of_evaluation_json_to_the_last_digit(run, made):
    evaluation = read_json(run / "evaluation.json")
    rows = list(csv.DictReader(io.StringIO((run / "tables/classes.csv").read_text())))
    for row in rows:
        scores = evaluation["per_class"][row["Class"]]
        for key, label in (("precision", "Precision"), ("recall", "Recall"), ("f1", "F1")):
            assert float(row[label]) == scores[key]["value"]
            assert float(row[f"{label} low"]) == scores[key]["low"]
            assert float(row[f"{label} high"]) == scores[key]["high"]
    assert [row["Class"] for row in rows] == evaluation["classes"]


def test_every_figure_is_there_as_svg_and_as_png_of_300_dpi_without_a_date(run, made):
    drawn = {name.partition(".")[0] for name in made if name.startswith("figures/")}
    assert len(drawn) > 5
    for name in drawn:
        svg = (run / f"{name}.svg").read_text()
        ET.fromstring(svg)  # noqa: S314 - ours
        assert "<dc:date>" not in svg
        png = (run / f"{name}.png").read_bytes()
        assert png.startswith(b"\x89PNG")
        at = png.index(b"pHYs") + 4
        x, y, unit = struct.unpack(">IIB", png[at : at + 9])
        assert (round(x * 0.0254), round(y * 0.0254), unit) == (300, 300, 1)
        assert b"tIME" not in png
        assert b"tEXt" not in png


def test_every_number_of_the_papers_texts_is_one_of_the_run(run, made):
    evaluation = read_json(run / "evaluation.json")
    told = (run / "paper/results.md").read_text()
    for value in (
        *evaluation["macro_f1"].values(),
        *evaluation["accuracy"].values(),
        *evaluation["teacher"]["macro_f1"].values(),
        *evaluation["per_class"]["adenoma"]["recall"].values(),
    ):
        assert f"{value:.3f}" in told
    shown = {float(word) for word in re.findall(r"\d\.\d{3}", told)}
    leaves = set()

    def walk(tree):
        if isinstance(tree, dict):
            for one in tree.values():
                walk(one)
        elif isinstance(tree, float):
            leaves.add(round(tree, 3))

    walk(evaluation)
    assert shown <= leaves


def test_the_cards_say_research_use_only_and_what_only_authors_know(run, made):
    for name in ("model_card.md", "data_sheet.md", "guidelines.md", "paper/methods.md"):
        assert "not a medical device" in (run / name).read_text(), name
    card = (run / "model_card.md").read_text()
    assert "Any decision about a patient" in card
    assert "Ethics approval: to be told by the authors" in card
    for key, digest in read_json(run / "provenance.json").items():
        if key.endswith("_sha256") and digest:
            assert digest in card


def test_authors_answers_are_taken_from_the_run_folder_or_from_a_given_file(
    tmp_path, run, made, monkeypatch
):
    monkeypatch.setattr(exports, "list_figures", lambda content: [])
    copied = tmp_path / "run"
    shutil.copytree(run, copied)
    (copied / "report.yaml").write_text("study: {ethics: Approved as 12/345}")
    write_outputs(copied, None, Wishes())
    for name in ("model_card.md", "data_sheet.md", "report.html"):
        assert "Approved as 12/345" in (copied / name).read_text()
    given = tmp_path / "mine.yaml"
    given.write_text("study: {ethics: Waived}")
    write_outputs(copied, None, Wishes(answers=given))
    assert "Waived" in (copied / "model_card.md").read_text()
    given.write_text("study: {ethcs: Waived}")
    before = (copied / "model_card.md").read_bytes()
    with pytest.raises(ConfigError, match="did you mean 'ethics'"):
        write_outputs(copied, None, Wishes(answers=given))
    assert (copied / "model_card.md").read_bytes() == before


@pytest.mark.parametrize(
    "name",
    ["tables/mine.csv", "figures/roc.svg", "paper/methods.md", "model_card.md", "report.pdf"],
)
def test_work_of_others_is_refused_before_anything_is_written(tmp_path, run, made, name):
    copied = tmp_path / "run"
    shutil.copytree(run, copied)
    (copied / name).write_text("mine")
    (copied / "report.json").unlink()
    with pytest.raises(OutputError, match=re.escape(name)) as caught:
        write_outputs(copied, None, Wishes())
    assert len(caught.value.lines) == 1
    assert (copied / name).read_text() == "mine"
    assert not (copied / "report.json").exists()


def test_report_json_is_versioned(run, made):
    report = json.loads((run / "report.json").read_text())
    assert report["schema"] == "polypskd/report/1"
    assert list(report["guidelines"]) == ["stard-ai", "claim-2024", "tripod-ai"]
