from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from run_folder import CLASSES, make_run, write_page

from polypskd.artifacts import read_json, write_json
from polypskd.errors import ArtifactError
from polypskd.labels.examples import read_examples
from polypskd.reporting import figures
from polypskd.reporting.collecting import BANNER
from polypskd.reporting.gallery import LIMIT, read_thumbnail
from polypskd.reporting.prose import describe_curriculum

VOID = {"meta", "img", "br", "link", "input", "hr", "wbr"}


class Page(HTMLParser):
    """Collects tables, text, images and every attribute; checks that tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.images: list[dict[str, str]] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.tags: set[str] = set()
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag == "img":
            self.images.append({key: value or "" for key, value in attrs})
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.scripts.append(data)
        if {"style", "script"} & set(self.open):
            return
        data = data.replace("\u00a0", " ")
        self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def row(self, name: str, cells: int) -> list[str]:
        return next(row for row in self.rows if row[0] == name and len(row) == cells)


def expected(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("made"))
    write_page(run, run.parent / "frames")
    return run


@pytest.fixture(scope="module")
def page(made: Path) -> Page:
    return Page((made / "report.html").read_text(encoding="utf-8"))


@pytest.fixture
def drawn(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def run(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose figures are made, but not turned into SVG, which takes most of the time."""
    monkeypatch.setattr(figures, "encode", lambda figure: "data:image/svg+xml;base64,")
    return drawn


def nullify(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: nullify(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [nullify(value) for value in tree] if tree and isinstance(tree[0], dict) else tree
    return tree if isinstance(tree, str | bool) else None


def change(path: Path, **keys: Any) -> None:
    write_json(path, read_json(path) | keys)


def test_the_page_needs_nothing_but_itself(page: Page) -> None:
    links = [value for _, key, value in page.attributes if key in {"src", "href", "action"}]
    assert links
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert not page.tags & {"link", "iframe", "object", "embed", "form"}


def test_only_the_report_s_own_script_may_run(page: Page) -> None:
    policy = next(value for _, key, value in page.attributes if "default-src" in value)
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split("; ")}
    assert rules["default-src"] == ["'none'"]
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules["script-src"] == [f"'sha256-{digest}'"]
    assert not [key for _, key, _ in page.attributes if key.startswith("on")]
    assert not re.search(r"fetch|XMLHttpRequest|import|eval|innerHTML|https?:", script)


def test_no_style_or_figure_loads_anything(made: Path, page: Page) -> None:
    text = (made / "report.html").read_text(encoding="utf-8")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    for image in page.images:
        if "svg" in image["src"][:30]:
            svg = base64.b64decode(image["src"].partition(",")[2]).decode()
            assert re.findall(r'href="(?!#|data:image/)', svg) == []


def test_the_banner_stands_at_both_ends(page: Page) -> None:
    assert page.text.count(BANNER) == 2
    assert page.text.removeprefix(
        "colitis-skd: research report of one run (research use only) Skip to the report "
    ).startswith(BANNER)
    assert page.text.endswith(BANNER)


def test_it_opens_on_a_phone_and_prints(made: Path) -> None:
    text = (made / "report.html").read_text(encoding="utf-8")
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert "@media print" in text


def test_every_image_has_an_alternative_text_and_every_anchor_a_target(page: Page) -> None:
    assert len(page.images) > 12
    assert all(len(image["alt"]) > 20 for image in page.images)
    targets = {value for _, key, value in page.attributes if key == "id"}
    assert {v[1:] for _, key, v in page.attributes if key == "href"} <= targets


def test_the_numbers_of_each_class_are_those_of_the_json(made: Path, page: Page) -> None:
    evaluation = read_json(made / "evaluation.json")
    for name in CLASSES:
        scores = evaluation["per_class"][name]
        keys = ("precision", "recall", "f1", "specificity", "auroc")
        shown = page.row(name, 7)
        assert shown[1:] == [*(expected(scores[key]) for key in keys), str(scores["support"])]


def test_the_summary_sets_the_student_beside_the_teacher(made: Path, page: Page) -> None:
    evaluation = read_json(made / "evaluation.json")
    teacher = evaluation["teacher"]
    both = [expected(side["macro_f1"]) for side in (evaluation, teacher)]
    assert page.row("Macro-F1", 3)[1:] == both
    assert page.row("Parameters", 3)[1:] == ["311,234", "11,177,538"]
    for when in ("before", "after"):
        assert page.row(f"ECE, {when} temperature scaling", 3)[1:] == [
            expected(side["calibration"][when]["ece"]) for side in (evaluation, teacher)
        ]
    assert "The student has 2.8% of the teacher's parameters." in page.text


def test_calibration_levels_and_information_are_those_of_the_json(made: Path, page: Page) -> None:
    evaluation = read_json(made / "evaluation.json")
    calibration = evaluation["calibration"]
    for key, label in (("brier", "Brier score"), ("ece_classwise", "ECE, class-wise")):
        assert page.row(label, 3)[1:] == [
            expected(calibration[when][key]) for when in ("before", "after")
        ]
    assert page.row("Calibration intercept", 3)[1] == "−0.040 (−0.300 to 0.200)"
    for level, scores in evaluation["by_level"].items():
        keys = ("macro_f1", "accuracy", "ece")
        shown = page.row(level, 5)[1:]
        assert shown == [str(scores["n_frames"]), *(expected(scores[key]) for key in keys)]
    assert page.row("Label bits (symmetric channel, Müller et al. 2020)", 2)[1] == "0.466"


def test_the_cohort_table_counts_the_examples(made: Path, page: Page) -> None:
    examples = read_examples(made / "examples.csv")
    for name in CLASSES:
        member = examples.consensus == name
        counts = [int((member & (examples.split == s)).sum()) for s in ("train", "val", "test")]
        assert page.row(name, 5)[1:] == [str(n) for n in [*counts, member.sum()]]
    patients = len(set(examples.patient_id))
    assert page.row("Patients", 5)[4] == str(patients)


def test_the_flow_tells_every_frame_and_patient(made: Path, page: Page) -> None:
    examples = read_examples(made / "examples.csv")
    flow = next(image["alt"] for image in page.images if image["alt"].startswith("Flow"))
    assert "363 frames given; 3 left out, 2: unreadable frame, 1: no votes; In the" in flow
    for split, told in (("train", "Training"), ("val", "Validation"), ("test", "Test")):
        people = {p for p, s in zip(examples.patient_id, examples.split, strict=True) if s == split}
        count = examples.split.tolist().count(split)
        assert f"{told}, {count} frames, {len(people)} patients" in flow
    assert "No frame stands in two splits, and no patient does." in page.text


def test_subclasses_stand_with_their_sizes(made: Path, page: Page) -> None:
    for row in read_json(made / "agreement.json")["subclasses"]:
        sizes = [str(row["size"][split]) for split in ("train", "val", "test")]
        assert page.row(row["name"], 6)[1:] == [row["class"], str(row["level"]), *sizes]
    assert "hyperplastic/extreme joined hyperplastic/very_hard: 2 frames" in page.text


def test_a_reason_is_counted_without_the_name_of_its_frame(page: Page) -> None:
    assert page.row("unreadable frame", 2)[1] == "2"


@pytest.mark.parametrize("name", ["report.html", "report.json"])
def test_no_patient_frame_annotator_or_path_is_named(made: Path, page: Page, name: str) -> None:
    text = (made / name).read_text(encoding="utf-8")
    for secret in ("PAT-", "frame-0", ".png", "frm-secret", "Secretname", str(made.parent)):
        assert secret not in text
    for image in page.images:
        assert b"PAT-" not in base64.b64decode(image["src"].partition(",")[2])


def test_the_worst_errors_are_the_surest_mistakes_on_test_frames(made: Path, page: Page) -> None:
    import polars as pl

    table = pl.read_csv(made / "predictions.csv").filter(
        (pl.col("split") == "test") & (pl.col("predicted") != pl.col("consensus"))
    )
    sure = sorted(
        ((row[f"p_{row['predicted']}"], row["frame_id"]) for row in table.to_dicts()), reverse=True
    )
    lines = (made / "examples.csv").read_text().splitlines()
    shown = re.findall(r"(\S+) → (\S+) Row (\d+), (\S+),", page.text)
    assert len(shown) == min(LIMIT, len(sure))
    for (reference, predicted, row, level), (value, frame) in zip(shown, sure, strict=False):
        card = page.text.partition(f"→ {predicted} Row {row},")[2].partition("→")[0]
        assert f"{predicted} {value:.3f} " in card
        assert lines[int(row) - 1].startswith(frame)
        assert f",{reference}/{level}," in lines[int(row) - 1]
        assert f",{reference}," in lines[int(row) - 1]
        assert reference != predicted


def test_thumbnails_are_small(page: Page) -> None:
    import cv2
    import numpy as np

    photos = [image["src"] for image in page.images if "jpeg" in image["src"][:30]]
    assert len(photos) == page.text.count(" → ")
    for photo in photos:
        data = np.frombuffer(base64.b64decode(photo.partition(",")[2]), dtype=np.uint8)
        frame = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert frame.shape == (168, 224, 3)


def test_frames_that_cannot_be_read_become_placeholders(run: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"not an image")
    (tmp_path / "empty.png").touch()
    for path in ("broken.png", "empty.png", "absent.png", ""):
        assert read_thumbnail(tmp_path, path) is None
    page = Page(write_page(run, None).read_text(encoding="utf-8"))
    assert page.text.count("frame not available") == page.text.count(" → ") > 12


def test_the_json_repeats_the_numbers_and_says_what_it_is(made: Path, page: Page) -> None:
    report = read_json(made / "report.json")
    evaluation = read_json(made / "evaluation.json")
    assert report["name"] == "colitis-skd"
    assert report["research_use_only"] is True
    assert report["evaluation"] == evaluation
    assert report["summary"]["student"]["macro_f1"] == evaluation["macro_f1"]
    assert report["summary"]["parameters_ratio"] == pytest.approx(311_234 / 11_177_538)
    assert report["cohort"]["exclusions"] == {"unreadable frame": 2, "no votes": 1}
    names = [person["name"] for person in report["agreement"]["statistics"]["annotators"]]
    assert names == ["annotator 1", "annotator 2", "annotator 3"]


def test_the_same_run_gives_the_same_bytes_and_few(made: Path, drawn: Path) -> None:
    first = [(made / name).read_bytes() for name in ("report.html", "report.json")]
    write_page(drawn, made.parent / "frames")
    assert [(drawn / name).read_bytes() for name in ("report.html", "report.json")] == first
    assert len(first[0]) < 3_000_000


def test_nulls_become_dashes(drawn: Path) -> None:
    evaluation = read_json(drawn / "evaluation.json")
    null = nullify(evaluation) | {
        "confusion": None,
        "curves": None,
        "reliability": None,
        "by_level": None,
        "information": None,
    }
    null["calibration"]["after"] = None
    write_json(drawn / "evaluation.json", null)
    agreement = read_json(drawn / "agreement.json")
    agreement["statistics"] = nullify(agreement["statistics"]) | {
        "patterns": {},
        "annotators": [],
        "pairwise_cohen": [],
    }
    write_json(drawn / "agreement.json", agreement)
    text = write_page(drawn, None).read_text(encoding="utf-8")
    page = Page(text)
    assert page.row("hyperplastic", 7)[1:] == ["–"] * 6
    assert page.row("Fleiss' kappa", 2)[1] == "–"
    assert '<abbr title="not defined">–</abbr>' in text
    assert "None" not in page.text
    assert "nan" not in page.text.split()


def test_a_student_without_a_teacher_is_told_alone(run: Path) -> None:
    change(run / "evaluation.json", teacher=None, method={"kind": "none"})
    page = Page(write_page(run, None).read_text(encoding="utf-8"))
    assert "No teacher was used." in page.text
    assert page.row("Macro-F1", 3)[2] == "–"
    assert "Loss of the teacher" not in page.text
    assert read_json(run / "report.json")["summary"]["teacher"] is None


def test_histories_and_exclusions_may_be_absent(run: Path) -> None:
    for name in ("student_history.json", "teacher_history.json", "excluded.csv"):
        (run / name).unlink()
    page = Page(write_page(run, None).read_text(encoding="utf-8"))
    assert "No training history was recorded." in page.text
    assert "What was left out, and why" not in page.text
    (run / "excluded.csv").write_text("frame_id,reason\n")
    (run / "student_history.json").write_text("[]")
    assert "No training history was recorded." in Page(write_page(run, None).read_text()).text


def test_unknown_patients_are_told_as_a_limitation(run: Path) -> None:
    change(run / "agreement.json", patients_known=False)
    page = Page(write_page(run, None).read_text(encoding="utf-8"))
    assert "Patients are unknown." in page.text
    assert page.row("Patients", 5)[1:] == ["–"] * 4
    assert read_json(run / "report.json")["cohort"]["n_patients"] is None


def test_a_class_may_have_any_name(tmp_path: Path) -> None:
    names = ("<script>alert(1)</script>", "a\"b'c", "$x_1$", "息肉", "p_x&y")
    run = make_run(tmp_path, classes=names, n=200)
    text = write_page(run, tmp_path / "frames").read_text(encoding="utf-8")
    page = Page(text)
    assert len(page.scripts) == 1
    assert text.count("<script") == 1
    assert "alert" not in page.scripts[0]
    assert all(len(page.row(name, 7)) == 7 for name in names)


def test_a_dozen_classes_fit(tmp_path: Path) -> None:
    classes = tuple(f"a rather long class name {i}" for i in range(12))
    run = make_run(tmp_path, classes=classes, n=500, patients_known=False, teacher=False)
    page = write_page(run, None)
    assert len(Page(page.read_text(encoding="utf-8")).images) >= 8
    assert page.stat().st_size < 3_000_000


def test_settings_and_provenance_are_listed_as_given(page: Page) -> None:
    assert page.row("student.method.alpha", 2)[1] == "0.5"
    assert page.row("packages.torch", 2)[1] == "2.9.1"
    assert page.row("teacher_sha256", 2)[1] == "–"
    assert not any(row and row[0].endswith((".root", ".path", ".annotators")) for row in page.rows)


@pytest.mark.parametrize(
    "name",
    [
        "config.yaml",
        "examples.csv",
        "agreement.json",
        "evaluation.json",
        "predictions.csv",
        "provenance.json",
    ],
)
def test_a_missing_file_is_named(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(ArtifactError, match=re.escape(name)) as caught:
        write_page(run, None)
    assert "\n" not in str(caught.value)


def test_damaged_files_are_named(run: Path) -> None:
    for name, text in (
        ("config.yaml", "- a"),
        ("evaluation.json", "[]"),
        ("predictions.csv", "frame_id,split\na,test\n"),
    ):
        kept = (run / name).read_text(encoding="utf-8")
        (run / name).write_text(text)
        with pytest.raises(ArtifactError, match=re.escape(name)):
            write_page(run, None)
        (run / name).write_text(kept, encoding="utf-8")


def test_predictions_of_another_cohort_are_refused(run: Path) -> None:
    text = (run / "predictions.csv").read_text().replace("frame-", "other-")
    (run / "predictions.csv").write_text(text)
    with pytest.raises(ArtifactError, match=r"does not fit examples\.csv"):
        write_page(run, None)


def test_the_curriculum_is_described_from_the_config(page: Page) -> None:
    for rule, sentence in (
        ({"kind": "staged", "order": "hard_to_easy", "epochs_per_stage": 4}, "every 4 epochs"),
        ({"kind": "staged", "epochs_per_stage": 1}, "a further stage joins every epoch."),
        ({"kind": "paced", "order": "random", "pace": "root"}, "Paced curriculum, random, root"),
        ({"kind": "none"}, "No curriculum"),
    ):
        assert sentence in describe_curriculum({"labels": {"curriculum": rule}})
    assert "Staged curriculum, easy to hard: a further stage joins every 4 epochs." in page.text


def test_the_report_json_is_plain_json(made: Path) -> None:
    text = (made / "report.json").read_text(encoding="utf-8")
    assert json.loads(text, parse_constant=pytest.fail)


DOUBTS = (
    "Temperature scaling made the calibration worse",
    "The validation split has",
    "not shown to be better than chance",
)


def test_sound_numbers_are_not_doubted(run: Path) -> None:
    path = run / "examples.csv"
    path.write_text(path.read_text().replace(",train,", ",val,", 50))
    text = Page(write_page(run, None).read_text(encoding="utf-8")).text
    assert not [doubt for doubt in DOUBTS if doubt in text]


def test_weak_numbers_are_told_as_limitations(run: Path) -> None:
    evaluation = read_json(run / "evaluation.json")
    evaluation["calibration"]["after"]["ece"] = {"value": 0.2, "low": 0.1, "high": 0.3}
    evaluation["auroc"] |= {"low": 0.5}
    evaluation["per_class"]["serrated"]["auroc"] |= {"low": 0.31}
    write_json(run / "evaluation.json", evaluation)
    page = Page(write_page(run, None).read_text(encoding="utf-8"))
    assert "the ECE rose from 0.131 to 0.200." in page.text
    fitted = (run / "examples.csv").read_text().count(",val,")
    assert f"The validation split has {fitted} frames only" in page.text
    assert "The interval of the AUROC of all classes, of serrated reaches 0.5: " in page.text


def test_hard_words_are_explained(page: Page) -> None:
    words = page.text.partition("The reference standard is")[2]
    for word in ("ECE", "Temperature scaling", "Label bits", "Equal-mass bins"):
        assert word in words


def test_without_a_curriculum_no_stage_is_drawn(run: Path, page: Page) -> None:
    assert "stage" in " ".join(image["alt"] for image in page.images)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["labels"]["curriculum"] = {"kind": "none"}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    other = Page(write_page(run, None).read_text(encoding="utf-8"))
    assert "stage" not in " ".join(image["alt"] for image in other.images)
    assert "No curriculum: all training examples are in use from the first epoch." in other.text
