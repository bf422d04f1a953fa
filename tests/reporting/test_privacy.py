"""What is planted in a run, and must be found in none of the files that are shared."""

import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import yaml
from run_folder import make_run

from polypskd.artifacts import read_json, write_json
from polypskd.labels.examples import read_examples, write_examples
from polypskd.reporting import pdf
from polypskd.reporting.exports import Wishes, write_outputs

PATIENT, ANNOTATOR, SECRET = "SENTINELPATIENT", "Dr Sentinel Annotator", "/home/sentinel/secret"
SCRIPT, FORMULA = "<script>alert(1)</script>", '=HYPERLINK("http://evil.example","x")'
CLASSES = (f"benign {SCRIPT}", FORMULA, "adenoma")
MADE_PDF = pdf.find_obstacle() is None


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Write a run with sentinels in it; give the text of every output by name."""
    run = make_run(tmp_path_factory.mktemp("privacy"), n=120, classes=CLASSES)
    examples = read_examples(run / "examples.csv")
    patients = [f"{PATIENT}{one}" for one in examples.patient_id]
    frames = [f"{SCRIPT}{i}" if i % 2 else f"{FORMULA}{i}" for i in range(len(examples))]
    named = dict(zip(examples.frame_id, zip(frames, patients, strict=True), strict=True))
    planted = replace(examples, patient_id=np.array(patients), frame_id=np.array(frames))
    write_examples(run / "examples.csv", planted)
    rows = list(csv.DictReader(io.StringIO((run / "predictions.csv").read_text())))
    for row in rows:
        row["frame_id"], row["patient_id"] = named[row["frame_id"]]
    with (run / "predictions.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    agreement = read_json(run / "agreement.json")
    for i, one in enumerate(agreement["statistics"]["annotators"]):
        one["name"] = f"{ANNOTATOR} {i}"
    write_json(run / "agreement.json", agreement)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["cohort"]["frames"]["root"] = SECRET
    config["cohort"]["patients"] = {"kind": "pattern", "pattern": f"({PATIENT}1|P.)_.*"}
    config["cohort"]["votes"] |= {"path": SECRET, "annotators": [f"{ANNOTATOR} 0"]}
    config["study"] = {
        "groups": {f"{ANNOTATOR} 0": "expert", f"{ANNOTATOR} 1": "trainee", "Sentinel Guest": "x"}
    }
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    write_json(
        run / "provenance.json", read_json(run / "provenance.json") | {"votes": f"{SECRET}/v.csv"}
    )
    (run / "excluded.csv").write_text(f"frame_id,reason,detail\n{PATIENT}9,blurred,{SECRET}\n")
    names = write_outputs(run, run.parent / "frames", Wishes(pdf=MADE_PDF))
    texts = {name: (run / name).read_bytes().decode("utf-8", "replace") for name in names}
    if "report.pdf" in texts:
        texts["report.pdf"] = read_pdf(run / "report.pdf")
    return texts


def read_pdf(path):
    if shutil.which("pdftotext"):
        told = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True)
        return told.stdout
    pypdf = pytest.importorskip("pypdf")
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages)


def squeeze(text: str) -> str:
    """Without spaces and line breaks, with which a layout may cut a word."""
    return re.sub(r"\s+", "", text).lower()


@pytest.mark.parametrize("sentinel", [PATIENT, ANNOTATOR, "Sentinel Annotator", SECRET, "sentinel"])
def test_no_output_names_a_patient_an_annotator_or_a_path(shared, sentinel):
    assert len(shared) > 30
    for name, text in shared.items():
        assert squeeze(sentinel) not in squeeze(text), name


def test_groups_of_annotators_stand_by_their_numbers(shared):
    settings = dict(csv.reader(io.StringIO(shared["tables/settings.csv"])))
    assert settings["study.groups.annotator 1"] == "expert"
    assert settings["study.groups.annotator 2"] == "trainee"
    assert not [key for key in settings if "pattern" in key or key.endswith("votes.annotators")]


def test_no_output_names_a_frame(shared):
    for name, text in shared.items():
        assert not re.search(r"\)</script>\d|\)&lt;/script&gt;\d", text), name
        assert not re.search(r'"x"\)\d|&#34;x&#34;\)\d', text), name


def test_text_of_a_cohort_is_nowhere_markup(shared):
    seen = 0
    for name, text in shared.items():
        if name.endswith((".html", ".md", ".svg")):
            assert "<script>alert" not in text, name
            seen += "alert(1)" in text
    assert seen > 3  # the class is named, and escaped
    assert "\\textless{}script\\textgreater{}alert(1)" in shared["paper/results.tex"]


def test_no_cell_of_a_table_begins_a_formula(shared):
    seen = 0
    for name, text in shared.items():
        if not name.endswith(".csv"):
            continue
        for row in csv.reader(io.StringIO(text)):
            for cell in row:
                assert not re.match(r"[=@\t\r]", cell), (name, cell)
                assert not re.match(r"[+-][^\d.]", cell), (name, cell)
                seen += cell.startswith("'=HYPERLINK")
    assert seen > 2


@pytest.mark.skipif(not MADE_PDF, reason="no PDF can be made here")
def test_the_pdf_was_looked_into(shared):
    assert "Research use only" in shared["report.pdf"]
    assert "alert(1)" in shared["report.pdf"]


def test_nothing_is_called_compliant(shared):
    for name, text in shared.items():
        assert "complian" not in text.lower(), name
