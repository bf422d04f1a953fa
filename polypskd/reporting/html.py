"""The report of a run, in one call."""

from __future__ import annotations

from pathlib import Path

from polypskd.reporting.exports import Wishes, write_outputs


def write_report(run: Path, frames_root: Path | None, *, pdf: bool = False) -> Path:
    """Write the report of a run folder in every form, as `polypskd report` does.

    Beside report.html: report.json, the guidelines, the model card, the data sheet, tables/,
    figures/ and paper/. They name no patient, frame, file or annotator. Authors' answers are read
    from report.yaml of the folder, if it is there.

    Args:
        run: the run folder.
        frames_root: folder of the frames for the gallery; None shows placeholders.
        pdf: whether report.pdf is made, which needs weasyprint; an older one goes otherwise.

    Returns:
        The path of report.html.

    Raises:
        ArtifactError: a file of the run is missing or damaged.
        ConfigError: the authors' answers have a fault.
        OutputError: the folder cannot be written to, or holds what is not ours.
    """
    write_outputs(run, frames_root, Wishes(pdf=pdf))
    return run / "report.html"
