"""The report as PDF/A-2a: tagged, its fonts in it, the same bytes each time.

Weasyprint and the system's Pango make it; where they are absent the page remains the report.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from polypskd.artifacts import describe_fault
from polypskd.errors import OutputError
from polypskd.reporting.folders import PDF_MARK

VARIANT = "pdf/a-2a"
REMEDY = "`pip install 'polypskd[pdf]'` and, on Debian, `apt install libpangoft2-1.0-0`"
OTHERWISE = "print report.html from a browser, or leave the PDF out with --no-pdf"
FAMILY = "DejaVu Sans"  # what the figures ask for, too
FACES = (
    ("DejaVuSans.ttf", "normal", "normal"),
    ("DejaVuSans-Bold.ttf", "bold", "normal"),
)
GENERATOR = '<meta name="generator" content="polypskd">'
LABELED = re.compile(r'(<svg\b[^>]*\baria-label="([^"]*)"[^>]*>)')  # weasyprint reads the title
PRINTED = """
.figures .plate img { max-height: 48mm; width: auto; max-width: 100% }
.figures figure.wide .plate img { max-height: 88mm }
table[aria-labelledby$="-items"] { table-layout: fixed; width: 100% }
table[aria-labelledby$="-items"] :is(th, td) { min-width: 0; width: 24% }
table[aria-labelledby$="-items"] :is(th, td):first-child { width: 8% }
table[aria-labelledby$="-items"] :is(th, td):last-child { width: 44% }
"""
LOGGERS = ("weasyprint", "weasyprint.progress", "fontTools", "PIL")


def find_obstacle() -> str | None:
    """Say in one line why no PDF can be made here; None where one can.

    Returns:
        The line, with the packages to install, or None.
    """
    try:
        _load()
    except ImportError:
        return f"report.pdf needs weasyprint, which is not installed; {REMEDY}"
    except OSError:
        return f"report.pdf needs the system library Pango, which is not found; {REMEDY}"
    return None


def render_pdf(page: str, identity: str) -> bytes:
    """Lay out a page of HTML for print, as PDF/A-2a.

    Nothing is fetched, whatever the page names: only what it holds itself is drawn.

    Args:
        page: one self-contained HTML page.
        identity: what the document's identifier is drawn from; the same page and identity give
            the same bytes.

    Returns:
        The PDF's bytes.

    Raises:
        OutputError: weasyprint or its system library is missing, or cannot lay out the page.
    """
    obstacle = find_obstacle()
    if obstacle:
        raise OutputError(obstacle)
    with _quiet():
        weasyprint = _load()
        digest = hashlib.sha256(identity.encode()).hexdigest()
        fonts = weasyprint.text.fonts.FontConfiguration()
        fetch = make_fetcher()
        marked = LABELED.sub(r"\1<title>\2</title>", page)
        marked = marked.replace("<head>", f"<head>{GENERATOR}", 1)
        source = weasyprint.HTML(string=marked, url_fetcher=fetch, base_url=None)
        try:
            # Our own style alone may open files: two fonts, each as large as the page.
            style = weasyprint.CSS(
                string=_choose_fonts(), font_config=fonts, url_fetcher=make_fetcher("file")
            )
            made: bytes = source.write_pdf(
                font_config=fonts,
                stylesheets=[style],
                pdf_variant=VARIANT,
                pdf_identifier=f"{PDF_MARK}{digest[:16]}".encode(),
            )
        except (ValueError, AssertionError, RecursionError) as error:
            raise OutputError(
                f"report.pdf: cannot be laid out ({type(error).__name__}); {OTHERWISE}"
            ) from None
        except OSError as error:
            raise OutputError(
                f"report.pdf: its temporary files {describe_fault(error)}; set TMPDIR to a folder "
                "that can be written to, or leave the PDF out with --no-pdf"
            ) from None
    return made


def make_fetcher(scheme: str = "data") -> Any:
    """Make what opens URIs of one scheme; with data:, no page has a file read or a server asked.

    Args:
        scheme: of the URIs that it opens.

    Raises:
        ImportError: weasyprint is missing.
    """
    urls = _load().urls
    return urls.URLFetcher(allowed_protocols={scheme}, allow_redirects=False)


def _load() -> Any:
    """Import weasyprint; it prints a banner of its own where Pango is absent."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        import weasyprint
        import weasyprint.text.fonts
        import weasyprint.urls
    return weasyprint


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the remarks of the layout to itself: they name CSS, not anything a user can mend."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _choose_fonts() -> str:
    """Take the fonts that come with matplotlib, so that every machine sets the same page."""
    found = find_spec("matplotlib")  # where it lies; to import it takes a while
    folder = Path(str(found and found.origin)).parent / "mpl-data" / "fonts" / "ttf"
    rules = [
        f"@font-face {{ font-family: '{FAMILY}'; font-weight: {weight}; font-style: {slant};"
        f" src: url('{(folder / name).as_uri()}') }}"
        for name, weight, slant in FACES
    ]
    everything = f"*, ::before, ::after {{ font-family: '{FAMILY}', sans-serif !important }}"
    margins = "".join(
        f"@{side} {{ font-family: '{FAMILY}', sans-serif !important }}"
        for side in ("bottom-left", "bottom-center", "bottom-right", "top-left", "top-right")
    )
    return "\n".join([*rules, everything, f"@page {{ {margins} }}", PRINTED])
