"""The report: one page that needs nothing but itself, and its numbers as JSON."""

from __future__ import annotations

from pathlib import Path

from polypskd.artifacts import write_json, write_text
from polypskd.reporting.cells import DASH
from polypskd.reporting.collecting import BANNER, collect_report, summarize
from polypskd.reporting.content import Content, list_pictures, list_tables
from polypskd.reporting.page import fill_page
from polypskd.reporting.record import read_record

__all__ = ["BANNER", "render_html", "write_report"]


def write_report(run: Path, frames_root: Path | None) -> Path:
    """Write report.html and report.json into a run folder.

    The report names no patient, frame, file or annotator.

    Args:
        run: the run folder.
        frames_root: folder of the frames for the gallery; None shows placeholders.

    Returns:
        The path of report.html.

    Raises:
        ArtifactError: a file of the run is missing or damaged.
        OutputError: the folder cannot be written to.
    """
    record = read_record(run)
    text = render_html(collect_report(record, frames_root))
    page = run / "report.html"
    write_json(run / "report.json", summarize(record))
    write_text(page, text)
    return page


def render_html(content: Content) -> str:
    """Render a report as one page; every text in it is escaped.

    Args:
        content: from `collect_report`.
    """
    return fill_page(
        "report.html.j2",
        dash=DASH,
        banner=content.banner,
        content=content,
        table_number={one.key: i + 1 for i, one in enumerate(list_tables(content))},
        figure_number={one.key: i + 1 for i, one in enumerate(list_pictures(content))},
    )
