"""Everything that the report step writes: the page, its PDF, its numbers, tables and figures."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from polypskd.artifacts import clear_leftovers, fingerprint, write_atomic, write_json, write_text
from polypskd.reporting.answers import ANSWERS, Answers, read_answers
from polypskd.reporting.collecting import collect_report
from polypskd.reporting.content import Content, Section, walk
from polypskd.reporting.data_sheet import write_data_sheet
from polypskd.reporting.figures import Picture, style
from polypskd.reporting.folders import PDF, forget_report, refuse_others, replace_folder, seal
from polypskd.reporting.guidelines import (
    Audit,
    audit_report,
    build_guidelines,
    describe_audit,
    list_items,
    tabulate_audit,
)
from polypskd.reporting.markup import escape_markdown, tabulate_markdown, write_csv
from polypskd.reporting.model_card import write_model_card
from polypskd.reporting.page import render_html
from polypskd.reporting.paper import write_paper
from polypskd.reporting.press import Press, open_press
from polypskd.reporting.record import read_record
from polypskd.reporting.schema import describe_report

DPI = 300
LAST = "appendix"  # the guidelines stand before it


@dataclass(frozen=True)
class Wishes:
    """What is asked of a report.

    Args:
        answers: the authors' answers; None takes report.yaml of the run folder, if it is there.
        pdf: whether report.pdf is made.
    """

    answers: Path | None = None
    pdf: bool = False


def write_outputs(
    run: Path,
    frames: Path | None,
    wishes: Wishes,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> tuple[str, ...]:
    """Write the report in every form into a run folder.

    Nothing names a patient, frame, file or annotator. What somebody else has put in the place of an
    output, or has changed by hand, is refused before anything is written.

    Args:
        run: the run folder.
        frames: folder of the frames for the gallery; None shows placeholders.
        wishes: what is asked.
        progress: told how many of how many parts are done.

    Returns:
        Names of the files written, below the run folder.

    Raises:
        ArtifactError: a file of the run is missing or damaged.
        ConfigError: the authors' answers have a fault.
        OutputError: the folder cannot be written to, or holds what is not ours.
    """
    refuse_others(run)
    with open_press() if wishes.pdf else nullcontext() as press:
        return _write_outputs(run, frames, wishes, press, progress)


def _write_outputs(
    run: Path,
    frames: Path | None,
    wishes: Wishes,
    press: Press | None,
    progress: Callable[[int, int], object],
) -> tuple[str, ...]:
    record = read_record(run)
    answers = find_answers(run, wishes.answers)
    clear_leftovers(run)
    plain = collect_report(record, frames)
    audit = audit_report(record, plain, answers)
    content = add_section(plain, build_guidelines(audit))
    page = render_html(content)
    printed = press.begin(page, fingerprint(record.provenance)) if press else None
    total = 5 + wishes.pdf
    progress(1, total)
    folders = {
        "tables": dict(list_tables(content)),
        "figures": dict(list_figures(content)),
        "paper": write_paper(record),
    }
    progress(2, total)
    report = describe_report(record, audit)
    texts = {
        "guidelines.md": seal(write_guidelines(audit, content.name)),
        "model_card.md": seal(write_model_card(record, answers)),
        "data_sheet.md": seal(write_data_sheet(record, answers)),
        "report.html": page,
    }
    made = ["report.json", "guidelines.json", *texts]
    forget_report(run)
    if printed:
        data = printed.result()
        write_atomic(run / PDF, lambda temporary: temporary.write_bytes(data))
        made.append(PDF)
        progress(3, total)
    else:
        (run / PDF).unlink(missing_ok=True)  # it would tell of an older report
    for name, files in folders.items():
        replace_folder(run / name, files)
        made += [f"{name}/{file}" for file in sorted(files)]
    progress(total - 1, total)
    write_json(run / "report.json", report)
    write_json(run / "guidelines.json", describe_audit(audit))
    for name, text in texts.items():
        write_text(run / name, text)
    progress(total, total)
    return tuple(made)


def find_answers(run: Path, given: Path | None) -> Answers:
    """Read the authors' answers: those given, else report.yaml of the run folder, else none.

    Raises:
        ConfigError: they have a fault.
    """
    path = given or run / ANSWERS
    return read_answers(path, list_items()) if given or path.exists() else Answers()


def add_section(content: Content, section: Section) -> Content:
    """Put a section before the appendix, or last."""
    keys = [one.key for one in content.sections]
    at = keys.index(LAST) if LAST in keys else len(keys)
    return replace(content, sections=(*content.sections[:at], section, *content.sections[at:]))


def list_tables(content: Content) -> Iterable[tuple[str, bytes]]:
    """Write every table of a report as CSV, by file name."""
    tables = [table for section in walk(content.sections) for table in section.tables]
    for name, table in zip(name_files(one.key for one in tables), tables, strict=True):
        yield f"{name}.csv", write_csv(table).encode()


def list_figures(content: Content) -> Iterable[tuple[str, bytes]]:
    """Draw every figure of a report as SVG, and as PNG of 300 dots an inch, by file name."""
    pictures = [one for section in walk(content.sections) for one in section.pictures]
    with style():
        for name, picture in zip(name_files(one.key for one in pictures), pictures, strict=True):
            head, _, code = picture.source.partition(",")
            if head == "data:image/svg+xml;base64":
                yield f"{name}.svg", base64.b64decode(code)
            if picture.figure is not None:
                yield f"{name}.png", _rasterize(picture)


def name_files(keys: Iterable[str]) -> list[str]:
    """Make file names of keys: each its own, also where letters' case does not count.

    >>> name_files(["by-level", "By-Level", "../a b"])
    ['by-level', 'By-Level-2', 'a-b']
    """
    names: list[str] = []
    seen: set[str] = set()
    for key in keys:
        plain = re.sub(r"[^A-Za-z0-9-]+", "-", key).strip("-")[:80] or "table"
        name, count = plain, 1
        while name.lower() in seen:
            count += 1
            name = f"{plain}-{count}"
        seen.add(name.lower())
        names.append(name)
    return names


def write_guidelines(audit: Audit, name: str) -> str:
    """Write the guidelines in Markdown.

    Args:
        audit: as of `audit_report`.
        name: of the run.
    """
    section = build_guidelines(audit)
    parts = [
        f"# {section.title}: {escape_markdown(name)}",
        "**Research use only: not a medical device, not for diagnosis.**",
        *(escape_markdown(text) for text in section.paragraphs),
    ]
    for guideline, entries in audit:
        parts += [
            f"## {guideline.name} {guideline.edition}",
            escape_markdown(f"{guideline.source}. {guideline.note}"),
            tabulate_markdown(tabulate_audit(guideline, entries)),
        ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _rasterize(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    assert picture.figure is not None  # noqa: S101 - the caller has looked
    picture.figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
