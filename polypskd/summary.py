"""What came of a verb: JSON-like values, and a few lines for the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from polypskd.artifacts import read_json
from polypskd.cohort.table import Cohort
from polypskd.config import has_teacher
from polypskd.metrics.teaching import warn_of_run
from polypskd.reporting.cells import count, format_confidence
from polypskd.reporting.comparison_prose import format_p, is_shown, leaves_out_zero
from polypskd.runs import LABELS, NUMBERS, REPORT, STUDENT, TEACHER, Run

if TYPE_CHECKING:
    from polypskd.comparison.running import Outcome

PATIENTS_UNKNOWN = (
    "patients unknown: frames of one patient may stand in several splits, and intervals will be "
    "too narrow; set cohort.patients"
)

Said = tuple[dict[str, Any], str]  # for machines, for people


def describe_cohort(cohort: Cohort) -> tuple[dict[str, Any], str]:
    """Count what a cohort holds, as JSON-like values and as text."""
    votes = dict(zip(cohort.classes, cohort.counts.sum(0).tolist(), strict=True))
    reasons = Counter(item.reason for item in cohort.exclusions)
    patients = len(np.unique(cohort.patient_ids)) if cohort.patients_known else None
    result: dict[str, Any] = {
        "frames": len(cohort),
        "patients": patients,
        "annotators": len(cohort.annotators) or None,
        "votes": votes,
        "excluded": dict(reasons),
        "notes": list(cohort.notes),
        "warnings": [] if cohort.patients_known else [PATIENTS_UNKNOWN],
    }
    lines = [
        f"Frames      {len(cohort):>9,}",
        f"Patients    {f'{patients:,}' if patients else 'unknown':>9}",
        f"Annotators  {f'{len(cohort.annotators):,}' if cohort.annotators else 'unknown':>9}",
        f"Votes       {sum(votes.values()):>9,}",
        *(f"  {name:<24} {count:>9,}" for name, count in votes.items()),
    ]
    if reasons:
        lines.append(f"Left out    {sum(reasons.values()):>9,}")
        lines += [f"  {count:>6,}  {reason}" for reason, count in reasons.most_common(10)]
    lines += [f"NOTE  {note}" for note in cohort.notes]
    lines += [f"WARNING  {warning}" for warning in result["warnings"]]
    lines.append("No faults found.")
    return result, "\n".join(lines)


def describe_labels(described: dict[str, Any]) -> str:
    """Put agreement.json in a few lines."""
    lines = []
    for name, key in (
        ("Fleiss kappa", "fleiss_kappa"),
        ("Krippendorff alpha", "krippendorff_nominal"),
        ("Gwet AC1", "gwet_ac1"),
    ):
        found = described["statistics"].get(key)
        if found and found["value"] is not None:
            interval = (
                f" [{found['low']:.3f}, {found['high']:.3f}]" if found["low"] is not None else ""
            )
            lines.append(f"{name:<20} {found['value']:.3f}{interval}")
    confidence = described["statistics"].get("confidence")
    if confidence and any("[" in line for line in lines):
        lines.append(f"Brackets hold {format_confidence(confidence)} intervals.")
    lines.append(f"{'Subclass':<36} {'train':>7} {'val':>7} {'test':>7}")
    for row in described["subclasses"]:
        size = row["size"]
        lines.append(f"{row['name']:<36} {size['train']:>7} {size['val']:>7} {size['test']:>7}")
    return "\n".join([*lines, *described["merges"], *described["notes"]])


def describe_step(name: str, run: Run) -> Said:
    """Sum up what a verb has done to a run, as JSON-like values and as text."""
    values, text = DESCRIBE[name](run)
    return {"run": str(run.folder)} | values, text


def _describe_derive(run: Run) -> Said:
    described = read_json(run.folder / LABELS[1])
    return described, f"{describe_labels(described)}\nWrote {run.folder / LABELS[0]}"


def _describe_teach(run: Run) -> Said:
    method = run.config.student.method
    if not has_teacher(method):
        return {"teacher": None}, f"The method {method.kind} has no teacher."
    weights = run.folder / TEACHER[0]
    return {"teacher": str(weights)}, f"Wrote {weights} and {run.folder / TEACHER[2]}"


def _describe_distill(run: Run) -> Said:
    weights = run.folder / STUDENT[0]
    return {"student": str(weights)}, f"Wrote {weights}"


def _describe_evaluate(run: Run) -> Said:
    numbers = read_json(run.folder / NUMBERS[0])
    told = describe_scores(numbers, run.config.evaluation.confidence)
    return numbers, f"{told}\nWrote {run.folder / NUMBERS[0]}"


def describe_report(run: Run, *, done: bool = True, removed: bool = False) -> Said:
    """Sum up a report.

    Args:
        run: whose report it is.
        done: whether anything was written; else all of it was fresh.
        removed: whether the PDF of an older report is gone.
    """
    values: dict[str, Any] = {"run": str(run.folder)} | _list_report(run)
    if run.pdf is False and run.shared is None:
        older = "; that of an older report is removed" if removed else ""
        values["remark"] = f"No report.pdf, as asked{older}."
    values["answers"] = _tell_answers(run)
    values["written"] = done
    made = [values[key] for key in ("report", "pdf") if values[key]]
    lines = [f"Wrote {path}" if done else f"{path} is up to date" for path in made]
    lines += [values[key] for key in ("remark", "answers") if values[key]]
    lines.append(
        "Beside it: report.json, tables/, figures/, paper/, guidelines.md, model_card.md, "
        "data_sheet.md"
    )
    return values, "\n".join(lines)


def _tell_answers(run: Run) -> str | None:
    """Say that answers given for one call are not kept; None where they are the folder's own."""
    from polypskd.reporting.answers import ANSWERS

    kept = run.folder / ANSWERS
    if run.answers is None or run.answers.resolve() == kept.resolve():
        return None
    return f"The answers of {run.answers} are not kept; save them as {kept} to keep them."


def _list_report(run: Run) -> dict[str, Any]:
    """Name the report and its PDF, or what keeps the PDF from being made."""
    html, pdf = ((run.folder / name).resolve() for name in (REPORT[0], "report.pdf"))
    remark = None
    if not pdf.exists() and run.pdf is None and run.shared is None:
        from polypskd.reporting.pdf import find_obstacle

        remark = find_obstacle()
    return {"report": str(html), "pdf": str(pdf) if pdf.exists() else None, "remark": remark}


def _describe_run(run: Run) -> Said:
    numbers = read_json(run.folder / NUMBERS[0])
    listed = _list_report(run)
    values = {
        **listed,
        "macro_f1": numbers["macro_f1"],
        "teacher_macro_f1": numbers["teacher"]["macro_f1"] if numbers.get("teacher") else None,
        "calibration": {
            when: numbers["calibration"][when] and numbers["calibration"][when]["ece"]
            for when in ("before", "after")
        },
    }
    lines = [
        describe_scores(numbers, run.config.evaluation.confidence, bits=False),
        f"Report   {listed['report']}",
        *([f"PDF      {listed['pdf']}"] if listed["pdf"] else []),
        *([listed["remark"]] if listed["remark"] else []),
        "Research use only: not a medical device, not for diagnosis.",
    ]
    return values, "\n".join(lines)


def describe_comparison(record: dict[str, Any], folder: Path) -> Said:
    """Sum up a comparison: a line a method, the guards, and where the page is."""
    html = (folder / "comparison.html").resolve()
    interval = f"[{format_confidence(record['confidence'])} interval]"
    lines = [f"{'Method':<24} {'macro-F1':>16}   difference {interval}"]
    for name, entry in record["methods"].items():
        mean, spread = entry["macro_f1"]["mean"], entry["macro_f1"]["sd"]
        score = "failed" if mean is None else f"{mean:.3f}" + (f" ± {spread:.3f}" if spread else "")
        lines.append(f"{name:<24} {score:>16}   {_tell_differences(entry)}".rstrip())
        lines += [f"  seed {one['seed']} failed: {one['error']}" for one in entry["failed"]]
    lines += [*record["guards"], f"Comparison  {html}"]
    return {"comparison": str(html), "methods": record["methods"]}, "\n".join(lines)


def describe_shard(
    shard: str, outcomes: Sequence[Outcome], folder: Path, *, left: int, gathered: bool
) -> Said:
    """Sum up a shard of a comparison: what it did, what failed, and what to call next.

    Args:
        shard: index and count, e.g. ``2/4``.
        outcomes: of its runs.
        folder: of the comparison.
        left: number of runs of all shards that are not done.
        gathered: whether the comparison has been written.
    """
    failed = [one for one in outcomes if one.error]
    if gathered:
        then = f"Comparison  {(folder / 'comparison.html').resolve()}"
    elif left > len(failed):
        then = (
            f"Of all shards, {count(left, 'run')} {'is' if left == 1 else 'are'} not done; when "
            "every shard has ended, the same command without --shard writes the comparison."
        )
    else:
        again = " and tries again what failed" if left else ""
        then = f"The same command without --shard writes the comparison{again}."
    counts = f"{count(len(outcomes) - len(failed), 'run')} done, {len(failed)} failed"
    lines = [
        f"Shard {shard}: {counts}",
        *(f"  {one.method}, seed {one.seed} failed: {one.error}" for one in failed),
        then,
    ]
    values = {
        "shard": shard,
        "done": len(outcomes) - len(failed),
        "failed": [{"method": one.method, "seed": one.seed, "error": one.error} for one in failed],
        "left": left,
        "comparison": str((folder / "comparison.html").resolve()) if gathered else None,
        "next": None if gathered else then,
    }
    return values, "\n".join(lines)


def _tell_differences(entry: dict[str, Any]) -> str:
    told = []
    for reference, found in entry["differences"].items():
        f1 = found["macro_f1"]
        if f1["low"] is None:
            continue
        holm = f1["p_holm"]
        told_p = "" if holm is None else f"p (Holm) {format_p(holm)}"
        shown = told_p if is_shown(f1) else "no difference shown"
        if leaves_out_zero(f1) and not is_shown(f1):
            shown = f"{told_p}: not shown once all comparisons are counted"
        told.append(
            f"{f1['value']:+.3f} [{f1['low']:+.3f}, {f1['high']:+.3f}] to {reference}"
            + (f" ({shown})" if shown else "")
        )
    return "; ".join(told)


DESCRIBE: dict[str, Callable[[Run], Said]] = {
    "derive": _describe_derive,
    "teach": _describe_teach,
    "distill": _describe_distill,
    "evaluate": _describe_evaluate,
    "report": describe_report,
    "run": _describe_run,
}


def _tell_bits(information: dict[str, Any]) -> list[str]:
    """Tell the label bits, if there are subclasses to know."""
    bits, mutual, soft = (
        information.get(key) for key in ("label_bits", "mutual_information", "soft_information")
    )
    if not information.get("conditional_entropy") or bits is None:
        return []
    return [
        f"Label bits a frame: {bits:.3f} (symmetric channel), {mutual:.3f} (mutual information), "
        f"{soft:.3f} (soft); 0.4656 in Sajedi & Plataniotis, from another teacher"
    ]


def describe_scores(numbers: dict[str, Any], confidence: float, *, bits: bool = True) -> str:
    """Put macro-F1 and calibration error of student and teacher in a line each.

    Args:
        numbers: evaluation.json.
        confidence: of its intervals.
        bits: whether the label bits have a line, too.
    """

    def tell(record: dict[str, Any]) -> str:
        f1, ece = record["macro_f1"], record["calibration"]
        after = f" → {ece['after']['ece']['value']:.3f}" if ece.get("after") else ""
        interval = f" [{f1['low']:.3f}, {f1['high']:.3f}]" if f1["low"] is not None else ""
        return (
            f"macro-F1 {f1['value']:.3f}{interval}   ECE {ece['before']['ece']['value']:.3f}{after}"
        )

    teacher = numbers.get("teacher")
    lines = [f"Student  {tell(numbers)}"]
    if numbers["macro_f1"]["low"] is not None:
        lines[0] += f"   brackets: {format_confidence(confidence)} interval"
    if teacher:
        lines.append(f"Teacher  {tell(teacher)}")
        lines += _tell_bits(numbers["information"]) if bits else []
        lines += [warning] if (warning := warn_of_run(numbers)) else []
    return "\n".join(lines)
