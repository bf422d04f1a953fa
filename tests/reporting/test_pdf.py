import base64
import builtins
import io
import logging
import re
import sys

import pytest
from run_folder import make_run

from polypskd.errors import OutputError
from polypskd.reporting import pdf
from polypskd.reporting.collecting import BANNER, collect_report
from polypskd.reporting.page import render_html
from polypskd.reporting.record import read_record

OBSTACLE = pdf.find_obstacle()
able = pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE))
PAGE = "<!doctype html><html lang=en><head><title>t</title></head><body>{}</body></html>"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    record = read_record(make_run(tmp_path_factory.mktemp("pdf"), n=120))
    return render_html(collect_report(record, None))


@pytest.fixture(scope="module")
def made(page):
    return pdf.render_pdf(page, "run")


@pytest.fixture(scope="module")
def reader(made):
    pypdf = pytest.importorskip("pypdf")
    return pypdf.PdfReader(io.BytesIO(made))


def walk(node):
    node = node.get_object()
    yield node
    kids = node.get("/K", [])
    for kid in kids if isinstance(kids, list) else [kids]:
        found = kid.get_object() if hasattr(kid, "get_object") else kid
        if isinstance(found, dict) and "/S" in found:
            yield from walk(found)


@able
def test_it_says_that_it_is_pdf_a_2a_and_has_what_that_needs(reader):
    root = reader.trailer["/Root"]
    xmp = root["/Metadata"].get_data().decode()
    assert re.search(r'pdfaid:part="2"', xmp)
    assert re.search(r'pdfaid:conformance="A"', xmp)
    assert "<dc:title>" in xmp
    intent = root["/OutputIntents"][0].get_object()
    assert intent["/S"] == "/GTS_PDFA1"
    assert len(intent["/DestOutputProfile"].get_object().get_data()) > 100
    assert root["/MarkInfo"]["/Marked"] is True or bool(root["/MarkInfo"]["/Marked"])
    assert root["/Lang"] == "en"
    assert not reader.is_encrypted
    assert "/JavaScript" not in root.get("/Names", {})


@able
def test_figures_are_tagged_with_what_they_show_and_headings_and_tables_as_such(reader):
    nodes = list(walk(reader.trailer["/Root"]["/StructTreeRoot"]))
    kinds = {node.get("/S") for node in nodes}
    assert {"/H1", "/H2", "/Table", "/TH", "/TD", "/Figure"} <= kinds
    figures = [node for node in nodes if node.get("/S") == "/Figure"]
    assert len(figures) > 5
    assert all(node.get("/Alt") for node in figures)


@able
def test_every_font_is_in_the_file(reader):
    fonts = {}
    for one in reader.pages:
        found = one["/Resources"].get("/Font", {})
        fonts |= {name: font.get_object() for name, font in found.items()}
    assert fonts
    for font in fonts.values():
        below = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
        descriptor = below["/FontDescriptor"].get_object()
        assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(descriptor)
        assert "DejaVu" in font["/BaseFont"]
        assert "/ToUnicode" in font


@able
def test_every_page_says_research_use_only_and_its_number(reader):
    count = len(reader.pages)
    for i, one in enumerate(reader.pages):
        text = " ".join(one.extract_text().split())
        assert BANNER in text, i
        assert f"{i + 1} / {count}" in text


@able
def test_the_same_page_gives_the_same_bytes_without_a_date(page, made):
    assert pdf.render_pdf(page, "run") == made
    small = PAGE.format("<p>x</p>")
    assert pdf.render_pdf(small, "run") != pdf.render_pdf(small, "another run")
    assert b"/CreationDate" not in made
    assert f"/ID [({pdf.PDF_MARK}".encode() in made


@able
def test_nothing_is_fetched(tmp_path, monkeypatch):
    secret = tmp_path / "secret.txt"
    secret.write_text("hospital secret")
    opened = []
    whole = builtins.open
    monkeypatch.setattr(
        builtins, "open", lambda *a, **k: (opened.append(str(a[0])), whole(*a, **k))[1]
    )
    body = "".join(
        f'<img src="{url}"><link rel=attachment href="{url}"><link rel=stylesheet href="{url}">'
        for url in (secret.as_uri(), "http://127.0.0.1:9/x.css", "ftp://127.0.0.1:9/x")
    )
    assert pdf.render_pdf(PAGE.format(body), "run").startswith(b"%PDF")
    assert not [name for name in opened if "secret" in name]
    fetch = pdf.make_fetcher()
    for url in (secret.as_uri(), "http://127.0.0.1:9/", "FILE:///etc/hostname"):
        with pytest.raises(ValueError, match="disallowed protocol"):
            fetch(url)
    data = base64.b64encode(b"within").decode()
    assert fetch(f"data:text/plain;base64,{data}").read() == b"within"


@able
def test_the_layouts_remarks_reach_nobody(capfd, caplog):
    with caplog.at_level(logging.DEBUG):
        pdf.render_pdf(PAGE.format("<p style='unheard-of: 1'>x</p>"), "run")
    told = capfd.readouterr()
    assert told.out + told.err == ""
    assert not caplog.records
    assert logging.getLogger("weasyprint").level != logging.CRITICAL + 1


def test_without_weasyprint_one_line_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    told = pdf.find_obstacle()
    assert told is not None
    assert "weasyprint" in told
    assert "pip install 'polypskd[pdf]'" in told
    assert "apt install libpangoft2-1.0-0" in told
    assert "\n" not in told
    with pytest.raises(OutputError, match="polypskd\\[pdf\\]"):
        pdf.render_pdf(PAGE.format(""), "run")


def test_without_pango_one_line_names_it(monkeypatch):
    def fail() -> None:
        raise OSError("cannot load library 'libpango-1.0-0'")

    monkeypatch.setattr(pdf, "_load", fail)
    told = pdf.find_obstacle()
    assert told is not None
    assert "Pango" in told
    assert "\n" not in told
