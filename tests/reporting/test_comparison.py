from __future__ import annotations

import base64
import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from comparison_record import SKILL, make_record
from test_html import Page

from polypskd.errors import OutputError
from polypskd.reporting.collecting import BANNER
from polypskd.reporting.comparison import complete, hide_paths, write_comparison
from polypskd.reporting.comparison_prose import describe_difference, format_p, format_signed
from polypskd.reporting.comparison_tables import choose_level_measure

HOSTILE = "<script>alert(1)</script>\"&'$x$"


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return make_record()


@pytest.fixture(scope="module")
def made(record: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_comparison(folder, record)
    return folder


@pytest.fixture(scope="module")
def page(made: Path) -> Page:
    return Page((made / "comparison.html").read_text(encoding="utf-8"))


def write(folder: Path, record: dict[str, Any]) -> Page:
    write_comparison(folder, record)
    return Page((folder / "comparison.html").read_text(encoding="utf-8"))


def strict(path: Path) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_the_page_needs_nothing_but_itself_and_says_what_it_is(page: Page, made: Path) -> None:
    links = [value for _, key, value in page.attributes if key in {"src", "href", "action"}]
    assert links
    assert all(link.startswith(("data:image/", "#")) for link in links)
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "form"}
    assert page.text.count(BANNER) == 2
    assert strict(made / "comparison.json")["notice"] == BANNER
    assert all(image["alt"] for image in page.images)


def test_every_anchor_has_a_target(page: Page) -> None:
    targets = {value for _, key, value in page.attributes if key == "id"}
    assert {v[1:] for _, key, v in page.attributes if key == "href"} <= targets


def test_both_pages_share_one_style(made: Path) -> None:
    folder = Path(__file__).resolve().parents[2] / "polypskd" / "reporting" / "templates"
    for name in ("report.html.j2", "comparison.html.j2"):
        assert '{% include "page.css.j2" %}' in (folder / name).read_text(encoding="utf-8")
    assert "size: A4" in (made / "comparison.html").read_text(encoding="utf-8")


def test_means_and_deviations_are_those_of_the_runs(record: dict[str, Any], page: Page) -> None:
    for name, method in record["methods"].items():
        values = [run["macro_f1"] for run in method["runs"]]
        row = page.row(name, 5)
        assert row[1] == f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
        assert row[4] == f"{len(values)} of 5"


def test_differences_stand_with_their_intervals_and_p(record: dict[str, Any], page: Page) -> None:
    found = record["methods"]["skd"]["differences"]["kd"]
    macro, test = found["macro_f1"], found["mcnemar"]
    row = [row for row in page.rows if row[0] == "skd" and len(row) == 6][1]
    assert row[1] == f"+{macro['value']:.3f} [{macro['low']:.3f}, {macro['high']:.3f}]"
    assert row[2:] == [
        format_p(macro["p_holm"]),
        f"{test['b']} : {test['c']}",
        format_p(test["p_holm"]),
        "5",
    ]


def test_the_lead_says_shown_only_where_the_interval_leaves_out_zero(
    record: dict[str, Any], page: Page
) -> None:
    seen = set()
    for name, method in record["methods"].items():
        for reference, found in method["differences"].items():
            macro = found["macro_f1"]
            inside = macro["low"] <= 0 <= macro["high"]
            seeds = 4 if "subclass_distillation" in (name, reference) else 5
            sentence = describe_difference(macro, reference, seeds).replace("\u00a0", " ")
            assert sentence in page.text
            assert sentence.startswith("no difference shown: ") is inside
            seen.add(inside)
    assert seen == {True, False}


@pytest.mark.parametrize(
    ("low", "high", "holm", "start", "end"),
    [
        (0.004, 0.038, 0.03, "macro-F1 +0.021 [0.004, 0.038]", "p (Holm) 0.030."),
        (-0.004, 0.046, 0.3, "no difference shown: macro-F1", "p (Holm) 0.300."),
        (0.0, 0.042, 0.3, "no difference shown: macro-F1", "p (Holm) 0.300."),
        (
            0.004,
            0.038,
            0.08,
            "macro-F1 +0.021",
            "0.080: not shown once all comparisons are counted.",
        ),
        (None, None, None, "no difference shown: macro-F1 +0.021 against", "no interval."),
    ],
)
def test_the_sentence_is_chosen_by_the_interval(
    low: float | None, high: float | None, holm: float | None, start: str, end: str
) -> None:
    found = {"value": 0.021, "low": low, "high": high, "p_holm": holm}
    got = describe_difference(found, "kd", 5).replace("\u00a0", " ")
    assert got.startswith(start)
    assert got.endswith(end)
    assert "against kd over 5 seeds" in got


def test_a_loss_is_told_as_a_loss() -> None:
    found = {"value": -0.03, "low": -0.05, "high": -0.01, "p_holm": 0.001}
    got = describe_difference(found, "none", 1).replace("\u00a0", " ")
    assert got == "macro-F1 −0.030 [−0.050, −0.010] against none over 1 seed; p (Holm) 0.001."
    assert describe_difference(None, "kd", 0) == "difference to kd not defined."
    assert format_signed(-0.0001) == "0.000"


def test_a_panel_a_reference_with_every_other_method_in_the_order_given(page: Page) -> None:
    def letters(image: dict[str, str]) -> str:
        svg = base64.b64decode(image["src"].partition(",")[2]).decode()
        assert re.findall(r'href="(?!#|data:image/)', svg) == []
        return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))

    against = [letters(image) for image in page.images if "Differences in" in image["alt"]]
    assert len(against) == 2
    for text, reference in zip(against, ("none", "kd"), strict=True):
        assert f"Against {reference}" in text
        places = [text.index(f"{name} ") for name in SKILL if name != reference]
        assert places == sorted(places)


def test_the_json_has_no_nan_and_keeps_the_numbers(record: dict[str, Any], made: Path) -> None:
    got = strict(made / "comparison.json")
    assert got["research_use_only"] is True
    assert got["methods"]["none"]["auroc"] == {"mean": None, "sd": None}
    assert got["methods"]["none"]["runs"][0]["auroc"] is None
    assert got["methods"]["skd"]["differences"] == record["methods"]["skd"]["differences"]


def test_what_is_not_a_number_is_called_not_defined(page: Page, made: Path) -> None:
    assert page.row("none", 5)[3] == "–"
    assert '<abbr title="not defined">' in (made / "comparison.html").read_text(encoding="utf-8")
    assert not re.search(r"\bnan\b|\bNone\b", page.text)


def test_the_csv_has_one_row_for_each_method_and_seed(record: dict[str, Any], made: Path) -> None:
    table = pl.read_csv(made / "comparison.csv")
    assert table.select("method", "seed").n_unique() == len(table) == 30
    failed = table.filter(status="failed")
    assert failed.select("method", "seed").rows() == [("subclass_distillation", 4)]
    assert failed["macro_f1"].to_list() == [None]
    run = record["methods"]["skd"]["runs"][2]
    row = table.filter(method="skd", seed=run["seed"]).to_dicts()[0]
    assert row["macro_f1"] == run["macro_f1"]
    assert row["accuracy_level_3 of 5"] == run["by_level"]["3 of 5"]["accuracy"]
    assert row["seconds_student"] == run["seconds"]["student"]
    assert row["parameters"] == 172_430


def test_neither_page_nor_files_name_a_path(made: Path) -> None:
    for path in made.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/home|/data|ann lee|x\.csv|x\.pt", text), path.name


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("diverged; lower fit.lr", "diverged; lower fit.lr"),
        ("/a b/c/frame_1.png: broken\nTraceback", "[file] broken"),
        ("cannot read 'patient7.PNG'", "cannot read [file]"),
        (r"C:\Users\ann\x: missing", "[file] missing"),
        ("", ""),
    ],
)
def test_messages_lose_their_paths(message: str, shown: str) -> None:
    assert hide_paths(message) == shown


def test_failed_runs_are_listed_with_their_reason(page: Page) -> None:
    row = page.row("subclass_distillation, seed 4", 2)
    assert row[1] == "[file] training diverged; lower fit.lr"
    assert "Some runs failed." in page.text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    skill = {"none": 1.0, "kd": 1.2, HOSTILE: 1.4}
    record = make_record(skill, seeds=(1, 2), failed=())
    record |= {"name": HOSTILE, "guards": [HOSTILE], "classes": [HOSTILE, "b"]}
    page = write(tmp_path, record)
    assert "script" not in page.tags
    assert "<script" not in (tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert page.row(HOSTILE, 5)
    assert pl.read_csv(tmp_path / "comparison.csv")["method"].to_list()[-1] == HOSTILE


def test_one_seed_has_no_deviation_and_is_told_as_a_limitation(tmp_path: Path) -> None:
    page = write(tmp_path, make_record(seeds=(7,), failed=()))
    assert "±" not in page.row("skd", 5)[1]
    assert "One seed: the intervals hold the patients' chance alone" in page.text
    assert "over 1 seed;" in page.text


def test_a_method_without_a_run_is_said_to_have_none(tmp_path: Path) -> None:
    record = make_record(seeds=(1, 2), failed=(("skd", 1), ("skd", 2)))
    page = write(tmp_path, record)
    assert "skd : no run succeeded." in page.text
    assert page.row("skd", 5) == ["skd", "–", "–", "–", "0 of 2"]


def test_a_reference_without_a_run_leaves_its_differences_undefined(tmp_path: Path) -> None:
    page = write(tmp_path, make_record(seeds=(1, 2), failed=(("kd", 1), ("kd", 2))))
    assert "difference to kd not defined." in page.text
    assert "Against none" in base64.b64decode(page.images[0]["src"].partition(",")[2]).decode()
    assert len(page.images) == 2  # none's panel and the runs


def test_nothing_succeeded_is_still_a_page(tmp_path: Path) -> None:
    skill = {"none": 1.0, "kd": 1.2}
    failed = tuple((name, seed) for name in skill for seed in (1, 2))
    page = write(tmp_path, make_record(skill, seeds=(1, 2), failed=failed))
    assert page.images == []
    assert "No difference is defined" in page.text
    assert len(pl.read_csv(tmp_path / "comparison.csv")) == 4


def test_a_method_without_a_teacher_has_a_dash_for_it(page: Page) -> None:
    assert ["none", "–", "0.720", "–"] in page.rows
    assert ["kd", "0.680", "0.720", "0.210"] in page.rows


def test_costs_are_means_over_the_runs(page: Page) -> None:
    assert page.row("kd", 7)[1:] == ["812.5", "11.2", "243.0", "1,066.8", "172,430", "12,345,678"]


def test_levels_fall_back_on_accuracy_where_one_has_a_single_class(
    record: dict[str, Any], tmp_path: Path
) -> None:
    changed = copy.deepcopy(record)
    assert choose_level_measure(changed) == "macro_f1"
    changed["methods"]["kd"]["runs"][0]["by_level"]["unanimous"]["macro_f1"] = float("nan")
    assert "Accuracy on the test frames of each level" in write(tmp_path, changed).text


def test_levels_may_be_numbers(record: dict[str, Any], tmp_path: Path) -> None:
    changed = copy.deepcopy(record) | {"levels": [1, 2]}
    for method in changed["methods"].values():
        for run in method["runs"]:
            run["by_level"] = {1: {"macro_f1": 0.75}, 2: {"macro_f1": 0.25}}
    assert ["skd", "0.750 ± 0.000", "0.250 ± 0.000"] in write(tmp_path, changed).rows


def test_unknown_patients_are_told(tmp_path: Path) -> None:
    text = write(tmp_path, make_record({"none": 1.0, "kd": 1.2}, patients=None)).text
    assert "patients are unknown" in text
    assert "frames are treated as independent" in text


def test_optional_keys_may_be_absent(record: dict[str, Any], tmp_path: Path) -> None:
    bare = {
        key: copy.deepcopy(record[key])
        for key in ("seeds", "reference", "methods", "n_test_frames")
    }
    for method in bare["methods"].values():
        for key in ("description", "kind", "parameters", "macs", "failed"):
            del method[key]
        method["runs"] = [{k: run[k] for k in ("seed", "macro_f1")} for run in method["runs"]]
    page = write(tmp_path, bare)
    assert 'href="#levels"' not in (tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert page.row("skd", 5)[1].startswith("0.")


def test_numbers_of_numpy_are_written_as_plain_ones() -> None:
    run = {"seed": np.int64(3), "macro_f1": np.float64(0.5), "auroc": np.float32("nan")}
    whole = complete({"seeds": [3], "reference": [], "methods": {"kd": {"runs": [run]}}})
    assert json.dumps(whole["methods"]["kd"]["runs"], allow_nan=False)
    assert type(whole["methods"]["kd"]["runs"][0]["seed"]) is int


def test_the_record_given_is_left_as_it_is(record: dict[str, Any]) -> None:
    before = json.dumps(record)
    complete(record)
    assert json.dumps(record) == before


def test_the_same_record_gives_the_same_bytes(
    record: dict[str, Any], made: Path, tmp_path: Path
) -> None:
    write_comparison(tmp_path, record)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"comparison.html", "comparison.json", "comparison.csv"}
    for name in names:
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes()


def test_a_folder_that_cannot_be_written_is_named(record: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_comparison(tmp_path / "file", record)
