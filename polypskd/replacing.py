"""When a table may replace another: nothing is lost that was not given up."""

from __future__ import annotations

from polypskd.artifacts import file_hash, is_fresh, stamped_hash
from polypskd.errors import ArtifactError, OutputError
from polypskd.labels.examples import Examples, write_examples
from polypskd.runs import LABELS, NUMBERS, STUDENT, TEACHER, Run


def replace_examples(run: Run, examples: Examples, inputs: str) -> None:
    """Write examples.csv, but not over work by hand or beside older results, unless asked to.

    Args:
        run: the run.
        examples: as derived.
        inputs: fingerprint of what they were derived from.

    Raises:
        ArtifactError: somebody has corrected the table by hand.
        OutputError: teacher, student or numbers were made of other votes or frames.
    """
    path, new = run.folder / LABELS[0], run.folder / ".steps" / LABELS[0]
    write_examples(new, examples)
    ours = (file_hash(new), stamped_hash(run.folder, "derive", LABELS[0]))
    if path.exists() and not run.overwrite and file_hash(path) not in ours:
        new.unlink()
        raise ArtifactError(
            f"{path}: changed by hand since it was derived; move it away, give --overwrite, "
            "or go on from it with `polypskd teach CONFIG`"
        )
    made = any((run.folder / name).exists() for name in (*TEACHER, *STUDENT, *NUMBERS))
    changed = ours[1] is not None and not is_fresh(run.folder, "derive", inputs, ())
    if made and changed and not run.overwrite:
        new.unlink()
        raise OutputError(
            f"{run.folder}: the votes or frames have changed since these results were made; "
            "give --out another folder, or --overwrite"
        )
    new.replace(path)
