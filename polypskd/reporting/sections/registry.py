"""The order of the report's sections.

A further section is one function in this package and one row below. It gets the record and the
folder of the frames, and returns None where the run holds nothing for it to say.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from polypskd.reporting.content import Section
from polypskd.reporting.record import Record
from polypskd.reporting.sections.agreement import build_agreement
from polypskd.reporting.sections.appendix import build_appendix
from polypskd.reporting.sections.calibration import build_calibration
from polypskd.reporting.sections.clinical import build_clinical
from polypskd.reporting.sections.comparison import build_comparison
from polypskd.reporting.sections.errors import build_errors
from polypskd.reporting.sections.limitations import build_limitations
from polypskd.reporting.sections.methods import build_methods
from polypskd.reporting.sections.results import build_results
from polypskd.reporting.sections.robustness import build_robustness
from polypskd.reporting.sections.subgroups import build_subgroups
from polypskd.reporting.sections.summary import build_summary

Builder = Callable[[Record, Path | None], Section | None]

BUILDERS: tuple[Builder, ...] = (
    build_summary,
    build_methods,
    build_results,
    build_clinical,
    build_calibration,
    build_agreement,
    build_errors,
    build_subgroups,
    build_robustness,
    build_comparison,
    build_limitations,
    build_appendix,
)
