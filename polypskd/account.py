"""The account of a run: numbers → study → report; steps like those of `pipeline`."""

from __future__ import annotations

from collections.abc import Sequence

from polypskd.artifacts import file_hash, fingerprint, is_fresh, read_json, write_json, write_stamp
from polypskd.cohort.location import locate_frames
from polypskd.errors import ArtifactError, OutputError
from polypskd.runs import LABELS, NUMBERS, REPORT, STUDENT, STUDY, TEACHER, Run


def study(run: Run) -> bool:
    """Answers, votes, columns and frames → study.json and cams/; return whether it was done."""
    from polypskd.study.frames import describe_frames, list_cams
    from polypskd.study.opening import open_study
    from polypskd.study.sections import describe_study

    inputs = _hash_study_inputs(run)
    path = run.folder / STUDY[0]
    made = (*STUDY, *list_cams(read_json(path).get("cams", {}))) if path.exists() else STUDY
    if is_fresh(run.folder, "study", inputs, made):
        return False
    run.log.tell("study", "start")
    data = open_study(run.folder, run.config)
    record = describe_study(data, lambda done, total: run.log.progress("study", done, total))
    record |= describe_frames(run, data)
    write_json(path, record)
    # Frames that were away may come back: what was told without them is not taken for fresh.
    if (
        "not_assessable" not in record["cams"]
        or locate_frames(run.config.cohort, run.cohort) is None
    ):
        write_stamp(run.folder, "study", inputs, (*STUDY, *list_cams(record["cams"])))
    run.log.tell("study", "done")
    return True


def is_study_fresh(run: Run) -> bool:
    """Whether study.json is there, and of the numbers that stand beside it."""
    return is_fresh(run.folder, "study", _hash_study_inputs(run), STUDY)


def _hash_study_inputs(run: Run) -> str:
    read = (*LABELS, *NUMBERS[:2], NUMBERS[3], STUDENT[0])
    _need(run, read)
    sections = (run.config.study, run.config.evaluation)
    return fingerprint(
        [
            [section.model_dump(mode="json") for section in sections],
            [(name, file_hash(run.folder / name)) for name in read],
        ]
    )


def report(run: Run) -> bool:
    """Everything → report.html and its other forms; return whether anything was done.

    Raises:
        OutputError: report.pdf is asked for and cannot be made, or what stands in the place of an
            output is not ours.
    """
    from polypskd.reporting.folders import PDF, SEALED, list_stamped
    from polypskd.reporting.pdf import find_obstacle

    inputs = _hash_report_inputs(run)
    stamped = list_stamped(run.folder)
    outputs = {*REPORT, *SEALED, *stamped}
    had = PDF in stamped
    # The runs of a comparison are many, and few of them are read: a PDF only where it is asked for.
    wanted = run.pdf if run.pdf is not None else had or run.shared is None
    if had == wanted and is_fresh(run.folder, "report", inputs, outputs):
        return False
    obstacle = find_obstacle() if wanted else None
    if obstacle and run.pdf:
        raise OutputError(obstacle)
    if obstacle and not had and is_fresh(run.folder, "report", inputs, outputs):
        return False
    from polypskd.reporting.exports import Wishes, write_outputs

    run.log.tell("report", "start")
    made = write_outputs(
        run.folder,
        locate_frames(run.config.cohort, run.cohort),
        Wishes(answers=run.answers, pdf=wanted and not obstacle),
        progress=lambda done, total: run.log.progress("report", done, total),
    )
    write_stamp(run.folder, "report", inputs, made)
    run.log.tell("report", "done")
    return True


def _hash_report_inputs(run: Run) -> str:
    """Fingerprint what a report is made from."""
    from polypskd.reporting.record import find_comparison

    read = ["config.yaml", *LABELS[:2], *NUMBERS[:3]]
    _need(run, read)
    optional = ["excluded.csv", STUDENT[1], *TEACHER[1:2], *STUDY]
    read += [name for name in optional if (run.folder / name).exists()]
    read += sorted(f"cams/{path.name}" for path in run.folder.glob("cams/*.png"))
    beside = find_comparison(run.folder)
    answers = run.answers or run.folder / "report.yaml"
    return fingerprint(
        [
            [(name, file_hash(run.folder / name)) for name in read],
            file_hash(beside) if beside else None,
            file_hash(answers) if answers.is_file() else None,
        ]
    )


def _need(run: Run, names: Sequence[str]) -> None:
    missing = [name for name in names if not (run.folder / name).exists()]
    if missing:
        raise ArtifactError(
            f"{run.folder / missing[0]}: missing; `polypskd run CONFIG` makes all of it"
        )
