from __future__ import annotations

import base64
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_folder import make_run

from polypskd.labels.examples import Examples
from polypskd.reporting import figures
from polypskd.reporting.cells import format_estimate
from polypskd.reporting.collecting import BANNER, collect_report
from polypskd.reporting.content import Content, Section, list_pictures, list_tables, walk
from polypskd.reporting.curves import draw_losses
from polypskd.reporting.flow_figure import draw_flow
from polypskd.reporting.matrices import draw_levels
from polypskd.reporting.page import render_html
from polypskd.reporting.record import Record, read_record

NAMES = (
    "frame_id",
    "path",
    "patient_id",
    "split",
    "consensus",
    "subclass",
    "level",
    "stage",
    "agreement",
    "n_votes",
)
ORDER = [
    "summary",
    "methods",
    "results",
    "calibration",
    "agreement",
    "errors",
    "subgroups",
    "limitations",
    "appendix",
]


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return read_record(make_run(tmp_path_factory.mktemp("collected")))


@pytest.fixture(scope="module")
def content(record: Record) -> Content:
    return collect_report(record, None)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make figures, but no SVG of them, which takes most of the time."""
    monkeypatch.setattr(figures, "encode", lambda figure: "data:image/svg+xml;base64,")


def find(content: Content, key: str) -> Section:
    return next(section for section in walk(content.sections) if section.key == key)


def test_the_summary_stands_first_and_the_appendix_last(content: Content) -> None:
    assert [section.key for section in content.sections] == ORDER
    assert content.banner == BANNER


def test_every_key_is_unique_and_fit_for_a_file_name(content: Content) -> None:
    for found in (walk(content.sections), list_tables(content), list_pictures(content)):
        keys = [one.key for one in found]
        assert len(keys) == len(set(keys)) > 3
        assert all(key and key.replace("-", "").isalnum() for key in keys)


def test_every_cell_is_its_raw_value_printed(content: Content) -> None:
    for table in list_tables(content):
        assert len(table.raw) == len(table.rows) > 0
        for raw, row in zip(table.raw, table.rows, strict=True):
            assert len(raw) == len(row) == len(table.head)
            assert [format_estimate(cell) for cell in raw] == list(row)


def test_every_picture_keeps_its_figure(content: Content) -> None:
    for picture in list_pictures(content):
        assert picture.figure is not None
        svg = base64.b64decode(picture.source.partition(",")[2])
        assert b"<svg" in svg
        assert picture.alt
        assert picture.caption.endswith(".")


def test_tables_and_figures_are_numbered_in_the_order_of_reading(content: Content) -> None:
    page = render_html(content)
    for word, found in (("Table", list_tables(content)), ("Figure", list_pictures(content))):
        told = [getattr(one, "fold", "") or one.caption for one in found]
        places = [page.index(f"<b>{word} {n}.</b> {text[:4]}") for n, text in enumerate(told, 1)]
        assert places == sorted(places)


def test_the_same_record_gives_the_same_page(record: Record, content: Content) -> None:
    assert render_html(collect_report(record, None)) == render_html(content)


def test_without_a_study_no_endpoint_is_told(content: Content) -> None:
    assert [table.key for table in find(content, "summary").tables] == ["headline"]


def test_study_json_is_read_where_it_is(tmp_path: Path) -> None:
    run = make_run(tmp_path, n=200)
    assert read_record(run).study is None
    (run / "study.json").write_text('{"endpoints": {}}')
    assert read_record(run).study == {"endpoints": {}}


@pytest.mark.usefixtures("quick")
def test_no_patient_stands_in_two_splits_is_said_only_where_true(record: Record) -> None:
    def caption(changed: Record) -> str:
        return next(
            p.caption for p in list_pictures(collect_report(changed, None)) if p.key == "flow"
        )

    examples = record.examples
    mixed: Any = examples.split.copy()
    (rows,) = np.nonzero(examples.patient_id == examples.patient_id[0])
    mixed[rows[0]] = "test" if mixed[rows[1]] == "train" else "train"
    assert "no patient does" in caption(record)
    assert "patient does" not in caption(replace(record, examples=replace(examples, split=mixed)))
    unknown = record.agreement | {"patients_known": False}
    assert "patient does" not in caption(replace(record, agreement=unknown))


@pytest.mark.usefixtures("quick")
def test_one_vote_a_frame_is_no_agreement(record: Record) -> None:
    statistics = record.agreement["statistics"] | {"votes_per_frame": {"min": 1, "max": 1}}
    single = replace(record, agreement=record.agreement | {"statistics": statistics})
    content = collect_report(single, None)
    agreement = find(content, "agreement")
    assert "not assessable" in agreement.paragraphs[0]
    assert agreement.tables == agreement.pictures == ()
    assert "one vote a frame" in find(content, "summary").paragraphs[0]


def test_a_long_list_of_reasons_is_cut_and_no_frame_is_lost() -> None:
    examples = Examples(
        **{name: np.array([], dtype=object) for name in NAMES}, votes={}, carried={}
    )
    reasons = {f"a long reason that needs more than one line, number {n}": 10 + n for n in range(9)}
    flow = draw_flow(examples, reasons, sum(reasons.values()), known=False)
    counts = [int(n) for n in re.findall(r"(\d+): ", flow.alt)]
    assert counts == [10, 11, 12, 13, 14, 15, 16 + 17 + 18]
    assert "126 left out" in flow.alt
    assert flow.caption.startswith("Flow of frames. ")


def test_networks_of_an_ensemble_are_lines_of_their_own() -> None:
    history = [
        {"epoch": epoch, "member": member, "train_loss": 1 / epoch, "val_loss": 2 / epoch}
        for member in range(3)
        for epoch in range(1, 5)
    ]
    picture = draw_losses(history, "teacher")
    assert picture.figure is not None
    lines = picture.figure.axes[0].lines
    assert [list(line.get_xdata()) for line in lines] == [[1, 2, 3, 4]] * 6
    assert "over 4 epochs" in picture.alt
    assert "each of the 3 networks" in picture.caption


def test_intervals_of_levels_are_those_of_the_scores() -> None:
    scores = {"value": 0.7, "low": 0.55, "high": 0.8}
    levels = {name: {"n_frames": 9, "macro_f1": scores} for name in ("easy", "hard")}
    picture = draw_levels(levels, None, "agreement level")
    assert picture.figure is not None
    axes = picture.figure.axes[0]
    drawn = [tuple(one.get_segments()[0][:, 0]) for one in axes.collections]
    assert drawn == [(0.55, 0.8)] * 2
    assert "hard 0.700 (0.550 to 0.800)" in picture.alt


@pytest.mark.usefixtures("quick")
def test_a_section_of_nothing_is_left_out(record: Record) -> None:
    bare = replace(record, evaluation=record.evaluation | {"by_level": None})
    assert "subgroups" not in [section.key for section in collect_report(bare, None).sections]
