"""A comparison one run of which fails by a fault that is ours, and what its files then hold."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import polypskd
from polypskd import cli
from polypskd.account import report
from polypskd.config import Config, read_config
from polypskd.errors import ArtifactError, OutputError
from polypskd.reporting.comparison_shape import find_misfit
from polypskd.runs import reopen_run
from polypskd.summary import describe_comparison
from polypskd.training import student

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "configs" / "synthetic.yaml"
SMALL = (
    "cohort.frames.patients=18",
    "cohort.frames.frames_per_patient=3",
    "cohort.frames.size=48",
    "augment.size=32",
    "augment.views=1",
    "labels.subclasses={kind: agreement_levels, levels: {easy: 0.8, hard: 0.0}, min_size: 2}",
    "labels.curriculum={kind: none}",
    "labels.resamples=20",
    "teacher.network.kind=resnet10",
    "teacher.network.width=16",
    "teacher.fit.epochs=1",
    "student.network.width=16",
    "student.fit.epochs=1",
    "evaluation.resamples=50",
    "evaluation.confidence=0.9",
)
METHODS = ("none", "kd", "soft_votes")
LACK = ("soft_votes", 18)  # the run that finds no memory


def read(*more: str) -> Config:
    return read_config(PAGE, (*SMALL, *more))


def lack_memory(material: Any, *rest: Any, **named: Any) -> Any:
    config = material.config
    if (config.student.method.kind, config.fit_seed) == LACK:
        raise MemoryError
    return TRAIN(material, *rest, **named)


TRAIN = student.train_student


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> tuple[Path, int, str, str]:
    """Give the folder, the exit code, and what stood on both outputs."""
    folder = tmp_path_factory.mktemp("failing") / "c"
    extra = [part for setting in SMALL for part in ("--set", setting)]
    words = ["compare", str(PAGE), "--methods", ",".join(METHODS), "--seeds", "2"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(student, "train_student", lack_memory)
        patch.setattr(sys, "argv", ["polypskd", *words, "--out", str(folder), "--quiet", *extra])
        out, err = (patch_stream(patch, name) for name in ("stdout", "stderr"))
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return folder, ended.value.code, "".join(out), "".join(err)


def patch_stream(patch: pytest.MonkeyPatch, name: str) -> list[str]:
    written: list[str] = []
    patch.setattr(getattr(sys, name), "write", written.append)
    return written


@pytest.fixture(scope="module")
def record(compared) -> dict[str, Any]:
    return json.loads((compared[0] / "comparison.json").read_text())


def test_a_run_without_memory_stops_no_other(record):
    for name, entry in record["methods"].items():
        assert [run["seed"] for run in entry["runs"]] == ([17] if name == LACK[0] else [17, 18])
    assert record["methods"][LACK[0]]["failed"] == [
        {"seed": 18, "error": "internal error, MemoryError"}
    ]


def test_the_exit_code_says_that_a_fault_was_ours_and_the_outputs_which(compared):
    _, code, out, err = compared
    assert code == 3
    assert "seed 18 failed: internal error, MemoryError" in out
    assert "comparison.html" in out
    assert err.splitlines() == [
        "polypskd: internal error in runs of soft_votes; this is our fault, please report it with "
        "the last lines of their log.jsonl; the other runs are done"
    ]


def test_the_failed_run_tells_its_log_where_it_failed(compared):
    log = compared[0] / LACK[0] / f"seed-{LACK[1]}" / "log.jsonl"
    last = json.loads(log.read_text().splitlines()[-1])
    assert (last["event"], last["error"]) == ("failed", "MemoryError")
    assert last["places"][-1].startswith("lack_memory (test_failing.py:")


def test_the_page_lists_the_failed_run_and_its_reason(compared):
    page = (compared[0] / "comparison.html").read_text()
    assert "soft_votes, seed 18" in page
    assert "internal error, MemoryError" in page
    assert "Some runs failed." in page


# --- a confidence that is not the usual one -------------------------------------------------------


def test_every_place_that_shows_an_interval_says_its_confidence(compared):
    folder, _, out, _ = compared
    assert out.splitlines()[0].endswith("difference [90% interval]")
    page = (folder / "comparison.html").read_text()
    assert "Its bracket is a 90% interval of the paired bootstrap" in page
    assert "with 90% intervals" in page
    assert "95%" not in page
    run = reopen_run(folder / "kd" / "seed-17")
    report(run)
    text = (run.folder / "report.html").read_text()
    assert "Brackets hold 90% intervals." in text
    assert "with 90% intervals" in text  # of the comparison's differences
    # Agreement has a confidence of its own, and says so.
    assert set(re.findall(r"(\d+)% intervals? in brackets", text)) == {"95"}
    assert "brackets: 90% interval" in describe("evaluate", run)
    assert "brackets: 90% interval" in describe("run", run)
    assert "Brackets hold 95% intervals." in describe("derive", run)


def describe(verb: str, run: Any) -> str:
    from polypskd.summary import describe_step

    return describe_step(verb, run)[1]


def test_a_smaller_confidence_gives_a_narrower_interval(compared, record):
    outcomes = redo(compared[0], read())  # all but the failed run are fresh
    again = polypskd.gather_comparison(read("evaluation.confidence=0.99"), outcomes)

    def width(found: dict[str, Any]) -> float:
        f1 = found["methods"]["kd"]["differences"]["none"]["nll"]
        return f1["high"] - f1["low"]

    assert width(again) > width(record) > 0
    assert "99%" in describe_comparison(again, compared[0])[1]


def redo(folder: Path, config: Config) -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(student, "train_student", lack_memory)
        return polypskd.run_comparison(config, METHODS, 2, folder)


# --- the page of the record -----------------------------------------------------------------------

DOC = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
NAMES = {"methods": "NAME", "differences": "REFERENCE", "by_level": "LEVEL"}


def walk(value: Any, place: tuple[str, ...] = ()) -> set[str]:
    """List the places of a record's values; what names a method, reference or level is left out."""
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return set().union(*(walk(item, place) for item in value))
    if value == [] and place[-1] in {"runs", "failed"}:
        return set()
    if not isinstance(value, dict) or place == ("provenance",):
        return {".".join(place)}
    name = NAMES.get(place[-1] if place else "")
    return set().union(*(walk(item, (*place, name or key)) for key, item in value.items()))


def told() -> set[str]:
    """List the keys of the page's tables; MEASURE and SCORE stand for what the page says."""
    keys = re.findall(r"^\| `([^`]+)` \|", DOC, re.MULTILINE)
    for word in ("MEASURE", "SCORE"):
        line = re.search(rf"^- `{word}` is one of: (.+)$", DOC, re.MULTILINE)[1]
        each = re.findall(r"`([^`]+)`", line)
        keys = [key.replace(word, one) for key in keys for one in (each if word in key else [""])]
    assert len(keys) == len(set(keys))
    return set(keys)


def test_the_page_tells_every_key_of_a_record_and_no_other(record):
    assert told() == walk(record)


def test_the_page_counts_the_pairs_of_holms_family_as_they_are_counted(record):
    def pairs(methods: int, references: int) -> int:
        return references * (methods - references) + references * (references - 1) // 2

    assert "r (M − r) + r (r − 1) / 2 pairs: 6 with the four methods above, 30 with twelve" in DOC
    assert (pairs(4, 3), pairs(12, 3)) == (6, 30)
    named = {
        frozenset((name, reference))
        for name, entry in record["methods"].items()
        for reference in entry["differences"]
    }
    assert len(named) == pairs(len(METHODS), 2)


def test_the_page_says_how_small_an_adjusted_p_can_be(record):
    def least(resamples: int, pairs: int, beyond: int = 0) -> float:
        p = max(2 * beyond / resamples, 1 / (resamples + 1))
        return polypskd.adjust_holm([p, *[1.0] * (pairs - 1)])[0]

    assert f"{least(2000, 20):.3f}" == "0.010"
    assert f"{least(2000, 20, 1):.3f}" == "0.020"
    assert least(2000, 100) < 0.05 < least(2000, 101)
    assert least(10_000, 101) < 0.05
    assert "20 pairs leave the least p at 0.010" in DOC
    assert "with more than 100 pairs nothing can be shown" in DOC
    p = [
        one["macro_f1"]["p"]
        for m in record["methods"].values()
        for one in m["differences"].values()
    ]
    assert min(p) >= 1 / (record["resamples"] + 1)


def test_a_real_record_has_the_shape_by_which_a_report_knows_one(record):
    assert find_misfit(record) == ""


# --- a report beside files that are not its comparison's ------------------------------------------


@pytest.fixture
def kept(compared):
    """Give the folder of a finished run, and put the comparison back afterwards."""
    folder = compared[0]
    path = folder / "comparison.json"
    before = path.read_bytes()
    yield folder / "none" / "seed-17"
    if path.is_dir():
        path.rmdir()
    path.write_bytes(before)


def tell(run: Path) -> dict[str, Any]:
    report(reopen_run(run))
    return json.loads((run / "report.json").read_text())


FOREIGN = (
    "[]",
    "3",
    '"text"',
    '{"methods": []}',
    '{"methods": {"none": 1}}',
    '{"methods": {"none": {"runs": 1, "failed": [1]}}}',
    '{"methods": {"none": {"runs": [{"seed": 99}]}}}',
    '{"a": 1, "b": 2}',
)


@pytest.mark.parametrize("text", FOREIGN)
def test_a_comparison_that_does_not_tell_of_the_run_is_left_alone(kept, text):
    (kept.parent.parent / "comparison.json").write_text(text)
    assert reopen_run(kept).shared is None  # a folder named shared may be anybody's
    assert tell(kept)["comparison"] is None
    assert "Comparison</h2>" not in (kept / "report.html").read_text()


def test_a_folder_of_that_name_is_left_alone(kept):
    path = kept.parent.parent / "comparison.json"
    path.unlink()
    path.mkdir()
    assert tell(kept)["comparison"] is None


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_damaged_comparison_is_one_line_that_names_it_and_the_remedy(kept, content):
    path = kept.parent.parent / "comparison.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"damaged; `polypskd compare CONFIG` writes") as error:
        tell(kept)
    assert error.value.lines[0].startswith(str(path))
    assert len(error.value.lines) == 1
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seeds": "all"}, "seeds: Input should be a valid list"),
        ({"reference": [1]}, r"reference\.0: Input should be a valid string"),
        ({"n_test_frames": "many"}, "n_test_frames: Input should be a valid integer"),
        ({"guards": None}, "guards: Input should be a valid list"),
    ],
)
def test_a_comparison_of_another_version_is_one_line_too(kept, record, change, told):
    (kept.parent.parent / "comparison.json").write_text(json.dumps(record | change))
    with pytest.raises(ArtifactError, match=told) as error:
        tell(kept)
    assert "not as this version writes it" in str(error.value)
    assert len(error.value.lines) == 1


def test_the_comparison_of_the_run_stands_in_its_report(kept, record):
    assert reopen_run(kept).shared == kept.parent.parent / "shared"
    assert tell(kept)["comparison"] == record
    assert "Comparison</h2>" in (kept / "report.html").read_text()


def test_a_run_of_another_name_has_no_comparison_whatever_lies_above(kept):
    moved = kept.with_name("demo")
    (kept.parent.parent / "comparison.json").write_text("{ not json")
    kept.rename(moved)
    try:
        assert tell(moved)["comparison"] is None
    finally:
        moved.rename(kept)


# --- another config's comparison; last, for it replaces the runs ----------------------------------


def test_another_config_is_refused_also_where_it_names_other_methods(compared, record):
    folder = compared[0]
    other = read("student.fit.lr=1.0e-3")
    for methods in (METHODS, ("none_smoothing", "random_subclasses")):
        with pytest.raises(OutputError, match=r"another config \(student\.fit\.lr: 0\.002 → 0"):
            polypskd.run_comparison(other, methods, 2, folder)
    assert json.loads((folder / "comparison.json").read_text()) == record


def test_another_number_of_seeds_and_other_methods_are_the_same_config(compared):
    folder = compared[0]
    outcomes = polypskd.run_comparison(read(), ("none", "kd"), 2, folder)
    assert [one.error for one in outcomes] == [""] * 4


def test_more_resamples_on_a_finished_comparison_only_judge_again(compared):
    folder, more = compared[0], read("evaluation.resamples=60")
    with pytest.raises(OutputError, match=r"evaluation\.resamples: 50 → 60"):
        polypskd.run_comparison(more, ("none", "kd"), 2, folder)
    seen = []
    outcomes = polypskd.run_comparison(
        more, ("none", "kd"), 2, folder, lambda event: seen.append(event["step"]), overwrite=True
    )
    assert polypskd.gather_comparison(more, outcomes)["resamples"] == 60
    assert set(seen) == {"compare", "evaluate"}


def test_overwriting_counts_no_run_of_the_older_config(compared, record):
    folder = compared[0]
    other = read("training_seed=18", "student.fit.lr=1.0e-3")
    seen: list[bool] = []

    def listen(event: dict[str, Any]) -> None:
        seen.append((folder / "comparison.json").exists())

    outcomes = polypskd.run_comparison(
        other, ("none", "none_smoothing"), 2, folder, listen, overwrite=True
    )
    assert not any(seen)  # what the older runs said together is gone before the first new one
    again = polypskd.gather_comparison(other, outcomes)
    assert set(again["methods"]) == {"none", "none_smoothing"}
    assert again["seeds"] == [18, 19]
    for one in outcomes:
        assert yaml.safe_load((one.folder / "config.yaml").read_text())["student"]["fit"]["lr"] == (
            1.0e-3
        )
    ours = [run["nll"] for run in again["methods"]["none"]["runs"]]
    assert record["methods"]["none"]["runs"][1]["nll"] not in ours
    polypskd.write_comparison(folder, again)
    assert tell(folder / "none" / "seed-18")["comparison"]["seeds"] == [18, 19]
    # An older run stays where it is, and is no longer part of the comparison.
    assert tell(folder / "kd" / "seed-17")["comparison"] is None
