"""The page in a real browser: what a reader sees, clicks, filters and prints."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from comparison_record import make_record
from run_folder import CLASSES, make_run, write_page
from study_record import make_study

from polypskd.artifacts import read_json, write_json
from polypskd.reporting.collecting import BANNER
from polypskd.reporting.comparison import write_comparison

CHROMIUM = Path("/usr/bin/chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed")

HOSTILE = ("<script>alert(1)</script>", "=cmd('x')", "<img src=x onerror=alert(2)>")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("browser"))
    write_json(run / "study.json", make_study(classes=CLASSES))
    (run / "cams").mkdir()
    lines = (run / "examples.csv").read_text(encoding="utf-8").splitlines()
    for row in range(2, len(lines) + 1):
        cv2.imwrite(str(run / "cams" / f"{row}.png"), np.full((32, 32, 4), row % 256, np.uint8))
    return write_page(run, run.parent / "frames")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(tmp_path_factory.mktemp("hostile"), classes=HOSTILE, n=240)
    write_json(run / "study.json", make_study(n=120, classes=HOSTILE))
    for name in ("examples.csv", "predictions.csv"):
        text = (run / name).read_text(encoding="utf-8")
        text = text.replace("frame-0", "<script>alert(3)</script>-0")
        (run / name).write_text(text.replace("PAT-", "=HYPERLINK('x')-"), encoding="utf-8")
    config = (run / "config.yaml").read_text(encoding="utf-8")
    config = config.replace("colitis-skd", "</title><script>alert(4)</script>")
    (run / "config.yaml").write_text(config, encoding="utf-8")
    excluded = "frame_id,reason,detail\nx,<script>alert(5)</script>,\ny,=cmd(),\n"
    (run / "excluded.csv").write_text(excluded, encoding="utf-8")
    provenance = read_json(run / "provenance.json")
    write_json(run / "provenance.json", provenance | {"device": "</style><script>alert(6)"})
    return write_page(run, run.parent / "frames")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    write_comparison(folder, make_record())
    return folder / "comparison.html"


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    """Open a report; whatever the console says, asks for or shows is kept in `page.told`."""
    pages = []

    def start(path: Path, width: int = 1280, **look: Any) -> Any:
        page = browser.new_page(viewport={"width": width, "height": 900}, **look)
        page.set_default_timeout(10_000)
        page.told = []
        page.on("console", lambda message: page.told.append(message.text))
        page.on("pageerror", lambda error: page.told.append(str(error)))
        page.on("dialog", lambda dialog: (page.told.append(dialog.message), dialog.dismiss()))
        page.on(
            "request",
            lambda request: (
                request.url.startswith(("file:", "data:")) or page.told.append(request.url)
            ),
        )
        page.goto(path.as_uri())
        pages.append(page)
        return page

    yield start
    for page in pages:
        page.close()


def unfold(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def column(table: Any, number: int) -> list[str]:
    cells = table.locator(f"tbody tr > :nth-child({number})").all_inner_texts()
    return [" ".join(text.split()) for text in cells]


def test_nothing_is_said_on_the_console_and_nothing_is_fetched(
    open_page: Any, report: Path
) -> None:
    for look in ({}, {"color_scheme": "dark"}, {"reduced_motion": "reduce"}):
        page = open_page(report, **look)
        assert page.locator("h1").inner_text() == "colitis-skd"
        assert page.told == []


def test_every_figure_is_named_and_every_image_is_drawn(open_page: Any, report: Path) -> None:
    page = open_page(report)
    for image in page.locator("img").all():
        assert image.get_attribute("alt")
    for drawing in page.locator("svg").all():
        assert drawing.get_attribute("aria-label")
    assert page.evaluate("[...document.images].every((one) => one.naturalWidth > 0)")
    for figure in page.locator("figure").all():
        assert figure.locator("figcaption").inner_text()


@pytest.mark.parametrize("width", [1280, 800, 360])
def test_the_page_never_scrolls_sideways(
    open_page: Any, report: Path, hostile: Path, compared: Path, width: int
) -> None:
    for path in (report, hostile, compared):
        page = open_page(path, width)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width
        assert page.locator("table").count() > 5
        assert page.told == []


@pytest.mark.parametrize("width", [1280, 360])
def test_the_banner_is_on_every_screen(open_page: Any, report: Path, width: int) -> None:
    page = open_page(report, width)
    banner = page.get_by_role("region", name="Notice")
    for place in (0.0, 0.4, 1.0):
        page.evaluate(f"window.scrollTo(0, {place} * document.documentElement.scrollHeight)")
        box = banner.bounding_box()
        assert 0 <= box["y"] < 40
        assert banner.inner_text() == BANNER


def test_a_heading_sorts_its_table_both_ways_and_says_so(open_page: Any, report: Path) -> None:
    page = open_page(report)
    table = page.locator("table[aria-labelledby='table-subclasses']")
    before = [int(text) for text in column(table, 4)]
    head = table.locator("thead th").nth(3)
    head.get_by_role("button").click()
    assert [int(text) for text in column(table, 4)] == sorted(before)
    assert head.get_attribute("aria-sort") == "ascending"
    head.get_by_role("button").press("Enter")
    assert [int(text) for text in column(table, 4)] == sorted(before, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    assert page.locator("#told").inner_text() == "Sorted by training, descending."
    table.get_by_role("button", name="Subclass").press("Space")
    assert head.get_attribute("aria-sort") is None
    assert column(table, 1) == sorted(column(table, 1))


def test_what_is_not_defined_stays_last_and_totals_stay_below(open_page: Any, report: Path) -> None:
    page = open_page(report)
    unfold(page)
    pairs = page.locator("table[aria-labelledby='table-pairs']")
    for _ in range(2):
        pairs.get_by_role("button", name="Cohen's kappa").click()
        assert column(pairs, 3) == ["0.610 (0.500 to 0.700)", "–"]
    levels = page.locator("table[aria-labelledby='table-subgroups-1-difficulty-level']")
    assert levels.locator("tfoot th").all_inner_texts() == ["All test frames", "Heterogeneity, p"]


def test_large_counts_sort_as_numbers(open_page: Any, report: Path) -> None:
    page = open_page(report)
    unfold(page)
    table = page.locator("table[aria-labelledby='table-annotators']")
    texts = ["1,200", "−3", "950"]
    for row, text in zip(table.locator("tbody tr").all(), texts, strict=True):
        row.locator("td").first.evaluate("(cell, text) => { cell.textContent = text; }", text)
    table.get_by_role("button", name="Votes").click()
    assert column(table, 2) == ["−3", "950", "1,200"]


def test_the_gallery_is_filtered_and_the_count_announced(open_page: Any, report: Path) -> None:
    page = open_page(report)
    count = page.locator("#gallery-count")
    cards = page.locator(".gallery .card")
    total = cards.count()
    assert count.get_attribute("aria-live") == "polite"
    for name, data in (("Reference", "reference"), ("Predicted", "predicted"), ("Level", "level")):
        held = [card.get_attribute(f"data-{data}") for card in cards.all()]
        chosen = held[0]
        page.get_by_label(name, exact=True).select_option(chosen)
        visible = [card for card in cards.all() if card.is_visible()]
        assert len(visible) == held.count(chosen)
        assert {card.get_attribute(f"data-{data}") for card in visible} == {chosen}
        assert count.inner_text() == f"{len(visible)} of {total} frames shown."
        page.get_by_label(name, exact=True).select_option("")
    assert count.inner_text() == f"{total} of {total} frames shown."


def test_a_card_holds_votes_probabilities_and_the_heatmap(open_page: Any, report: Path) -> None:
    card = open_page(report).locator(".card").first
    assert card.locator("img").count() == 2
    assert "Grad-CAM" in card.locator("img").nth(1).get_attribute("alt")
    shares = [float(one.get_attribute("aria-label")) for one in card.locator("svg").all()]
    assert sum(shares) == pytest.approx(1, abs=0.002)
    votes = column(card.locator("table"), 3)
    assert sum(int(text) for text in votes) == 7


def test_it_reads_the_same_without_scripts(open_page: Any, report: Path) -> None:
    page = open_page(report, java_script_enabled=False)
    assert page.locator("th button").count() == 0
    assert not page.locator(".filter").is_visible()
    assert page.locator(".card").first.is_visible()
    assert page.get_by_role("heading", name="Limitations").is_visible()


def test_only_what_scrolls_is_a_stop_of_the_tab_key(open_page: Any, report: Path) -> None:
    def stops(width: int) -> int:
        page = open_page(report, width)
        unfold(page)
        page.wait_for_timeout(100)  # the folds tell of themselves a moment later
        return int(page.locator(".scroll[tabindex='0']").count())

    assert stops(1280) == 0
    assert stops(360) > 0


def test_the_skip_link_leads_to_the_report(open_page: Any, report: Path) -> None:
    page = open_page(report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing_serious(
    open_page: Any, report: Path, compared: Path, scheme: str, width: int
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is absent")
    for path in (report, compared):
        page = open_page(path, width, color_scheme=scheme)
        unfold(page)
        grave = [
            (one["id"], [node["html"][:120] for node in one["nodes"][:3]])
            for one in axe.Axe().run(page).response["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert grave == []


def test_axe_would_find_a_picture_without_words(open_page: Any, report: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is absent")
    page = open_page(report)
    page.locator("img").first.evaluate("(image) => image.removeAttribute('alt')")
    found = axe.Axe().run(page).response["violations"]
    assert "image-alt" in [one["id"] for one in found]


def test_no_table_is_cut_on_a_screen_of_a_desk(open_page: Any, report: Path) -> None:
    page = open_page(report)
    unfold(page)
    cut = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > "
        "one.clientWidth + 1).map((one) => one.getAttribute('aria-labelledby'))"
    )
    assert cut == []


def test_long_tables_are_folded_and_a_link_opens_the_fold(open_page: Any, report: Path) -> None:
    page = open_page(report)
    inner = page.locator("#table-pairs")
    assert not inner.is_visible()
    fold = page.locator("details", has=inner)
    assert "Cohen's kappa of each" in fold.locator("summary").inner_text()
    page.evaluate("location.hash = '#table-pairs'")
    inner.wait_for(state="visible")
    fold.locator("summary").click()
    inner.wait_for(state="hidden")


def test_print_opens_every_fold(open_page: Any, report: Path) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    path = report.parent / "folds.pdf"
    page = open_page(report)
    page.pdf(path=path, prefer_css_page_size=True)
    sheets = (one.extract_text() for one in pypdf.PdfReader(path).pages)
    text = " ".join(unicodedata.normalize("NFKC", " ".join(sheets)).split())  # no ligatures
    for caption in page.locator("details .caption").all():
        assert " ".join(caption.text_content().split())[:40] in text
    assert not page.locator("#table-pairs").is_visible()


def test_print_says_research_use_only_on_every_page(open_page: Any, report: Path) -> None:
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    page = open_page(report)
    path = report.parent / "print.pdf"
    page.pdf(path=path, prefer_css_page_size=True)
    sheets = pypdf.PdfReader(path).pages
    assert len(sheets) > 3
    for sheet in sheets:
        assert BANNER in " ".join(sheet.extract_text().split())
        assert float(sheet.mediabox.width) == pytest.approx(595, abs=1)


def test_hostile_names_are_shown_as_text_and_never_run(open_page: Any, hostile: Path) -> None:
    page = open_page(hostile)
    assert page.told == []
    assert page.locator("script").count() == 1
    assert page.locator("img[src='x']").count() == 0
    assert page.locator("h1").inner_text() == "</title><script>alert(4)</script>"
    unfold(page)
    text = page.locator("main").inner_text()
    for name in HOSTILE:
        assert name in text
    assert "<script>alert(5)</script>" in text
    assert "</style><script>alert(6)" in text
    page.get_by_label("Reference", exact=True).select_option(HOSTILE[0])
    shown = [card for card in page.locator(".card").all() if card.is_visible()]
    assert {card.get_attribute("data-reference") for card in shown} == {HOSTILE[0]}
    source = hostile.read_text(encoding="utf-8")
    assert "HYPERLINK" not in source  # a patient's id is nowhere
    assert "alert(3)" not in source  # nor is a frame's
