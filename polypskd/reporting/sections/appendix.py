"""For whoever repeats the run: words, settings, provenance, hashes."""

from __future__ import annotations

from pathlib import Path

from polypskd.reporting.cells import make_table
from polypskd.reporting.content import Section
from polypskd.reporting.prose import WORDS
from polypskd.reporting.record import Record
from polypskd.reporting.tables import tabulate_provenance, tabulate_settings


def build_appendix(record: Record, frames: Path | None) -> Section:
    """List the words, the settings and the provenance of the run."""
    words = make_table("words", "Words used above.", ("Word", "Meaning"), WORDS, layout="words")
    return Section(
        "appendix",
        "Appendix",
        parts=(
            Section("vocabulary", "Words", tables=(words,)),
            Section("config", "Settings", tables=(tabulate_settings(record),)),
            Section("hashes", "Provenance", tables=(tabulate_provenance(record),)),
        ),
    )
