"""The comparison's sentences, and how it prints differences, spreads and p values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polypskd.reporting.cells import DASH, count, format_confidence, format_number, pick

Json = dict[str, Any]
GAP = "\u00a0"  # no line break within an interval
ALPHA = 0.05
MANY = 10  # seeds, from which the interval is no longer too narrow for want of them


def format_signed(value: float | None, digits: int = 3) -> str:
    """Print a difference with its sign.

    >>> format_signed(0.02), format_signed(-0.02), format_signed(0.0), format_signed(None)
    ('+0.020', '−0.020', '0.000', '–')
    """
    text = format_number(value, digits)
    zero = text in {DASH, format_number(0.0, digits)}
    if text == format_number(-0.0, digits):
        return format_number(0.0, digits)
    return text if zero or text.startswith("−") else f"+{text}"


def format_difference(difference: Any, digits: int = 3) -> str:
    """Print a difference with its interval.

    >>> format_difference({"value": 0.02, "low": 0.004, "high": 0.04}).replace(GAP, " ")
    '+0.020 [0.004, 0.040]'
    """
    text = format_signed(pick(difference, "value"), digits)
    if text == DASH or pick(difference, "low") is None or pick(difference, "high") is None:
        return text
    low, high = (format_number(difference[side], digits) for side in ("low", "high"))
    return f"{text} [{low},{GAP}{high}]"


def format_spread(spread: Any, digits: int = 3) -> str:
    """Print a mean over seeds with its standard deviation, where there is one.

    >>> format_spread({"mean": 0.75, "sd": 0.01}).replace(GAP, " ")
    '0.750 ± 0.010'
    >>> format_spread({"mean": 0.75, "sd": None})
    '0.750'
    """
    text, sd = format_number(pick(spread, "mean"), digits), pick(spread, "sd")
    return text if text == DASH or sd is None else f"{text}{GAP}±{GAP}{format_number(sd, digits)}"


def format_p(p: float | None) -> str:
    """Print a p value.

    >>> format_p(0.0314), format_p(0.0001), format_p(None)
    ('0.031', '<0.001', '–')
    """
    if p is None:
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def list_seeds(method: Any) -> set[int]:
    """Give the seeds with which a method's runs succeeded."""
    return {run["seed"] for run in pick(method, "runs") or ()}


def leaves_out_zero(difference: Any) -> bool:
    """Say whether the interval leaves out 0; False where there is none.

    >>> leaves_out_zero({"low": 0.1, "high": 0.2}), leaves_out_zero({"low": -0.1, "high": 0.2})
    (True, False)
    """
    low, high = pick(difference, "low"), pick(difference, "high")
    return low is not None and high is not None and not low <= 0 <= high


def is_shown(difference: Any) -> bool:
    """Say whether the interval leaves out 0, also once all comparisons are counted.

    >>> found = {"low": 0.1, "high": 0.2}
    >>> is_shown(found), is_shown(found | {"p_holm": 0.2}), is_shown(None)
    (True, False, False)
    """
    holm = pick(difference, "p_holm")
    return leaves_out_zero(difference) and (holm is None or holm < ALPHA)


def describe_difference(difference: Any, reference: str, seeds: int) -> str:
    """Say in one sentence whether a method differs from a reference.

    Args:
        difference: value, low, high, p, p_holm of macro-F1; None where not computed.
        reference: its name.
        seeds: how many seeds both have.

    >>> found = {"value": 0.021, "low": 0.004, "high": 0.038, "p_holm": 0.03}
    >>> describe_difference(found, "kd", 5).replace(GAP, " ")
    'macro-F1 +0.021 [0.004, 0.038] against kd over 5 seeds; p (Holm) 0.030.'
    """
    if pick(difference, "value") is None:
        return f"difference to {reference} not defined."
    text = (
        f"macro-F1 {format_difference(difference)} against {reference} over {count(seeds, 'seed')}"
    )
    if pick(difference, "low") is None or pick(difference, "high") is None:
        return f"no difference shown: {text}; no interval."
    holm = pick(difference, "p_holm")
    if holm is not None:
        text += f"; p{GAP}(Holm){GAP}{format_p(holm)}"
    if not leaves_out_zero(difference):
        return f"no difference shown: {text}."
    if holm is not None and holm >= ALPHA:
        return f"{text}: not shown once all comparisons are counted."
    return f"{text}."


def list_findings(record: Json) -> list[tuple[str, list[str]]]:
    """Say for each method how it stands to each reference: (name, sentences)."""
    methods = record["methods"]
    findings = []
    for name, method in methods.items():
        if not method.get("runs"):
            findings.append((name, ["no run succeeded."]))
            continue
        sentences = [
            describe_difference(
                pick(method, "differences", reference, "macro_f1"),
                reference,
                len(list_seeds(method) & list_seeds(methods.get(reference))),
            )
            for reference in record["reference"]
            if reference != name and reference in methods
        ]
        if name in record["reference"]:
            found = f"macro-F1 {format_spread(method.get('macro_f1'))}, a reference."
            sentences.insert(0, found)
        findings.append((name, sentences or [f"macro-F1 {format_spread(method['macro_f1'])}."]))
    return findings


def describe_comparison(record: Json) -> str:
    """Say what was compared on what.

    >>> describe_comparison({"methods": {"kd": {}}, "seeds": [1, 2], "n_test_frames": 300,
    ...     "n_test_patients": None})
    'Comparison of 1 method over 2 seeds on 300 test frames; patients are unknown.'
    """
    patients = record.get("n_test_patients")
    of = f" of {count(patients, 'patient')}" if patients else "; patients are unknown"
    return (
        f"Comparison of {count(len(record['methods']), 'method')} over "
        f"{count(len(record['seeds']), 'seed')} on "
        f"{count(record.get('n_test_frames') or 0, 'test frame')}{of}."
    )


def explain_reading(record: Json) -> list[str]:
    """Say how the numbers were made and how to read them."""
    confidence = format_confidence(record.get("confidence"))
    resamples = record.get("resamples")
    often = f" {resamples:,} times" if resamples else ""
    unit = "patients" if record.get("n_test_patients") else "frames (patients are unknown)"
    return [
        "Each method was trained once with each seed and judged on the same test frames; ± is the "
        "standard deviation over seeds.",
        "A difference is the mean over seeds of a method's score minus the reference's with the "
        f"same seed. Its bracket is a {confidence} interval of the paired bootstrap: {unit} and "
        f"seeds are both drawn with replacement{often}, the same draw for all methods.",
        "A difference is called shown only if its interval leaves out 0 and its p (Holm) is below "
        f"{ALPHA:g}. "
        "“No difference shown” is not proof that there is none: the bracket says how large it may "
        "still be.",
        "p (Holm) is the two-sided bootstrap p value, adjusted for all pairs of method and "
        "reference on this page, for each measure by itself. Macro-F1 decides; the other measures "
        "are there to explain it.",
        "McNemar's exact test compares, frame by frame, the classes that most seeds of a method "
        "chose (ties go to the class of higher risk). It treats frames as independent, so where a "
        "patient has several frames its p is too small.",
        "Expected calibration error (ECE), Brier score and negative log-likelihood (NLL) are "
        "better when lower.",
    ]


def list_limitations(record: Json) -> list[str]:
    """List what the comparison cannot bear."""
    seeds = len(record["seeds"])
    lines = []
    if seeds == 1:
        lines.append(
            "One seed: the intervals hold the patients' chance alone; another seed may reverse "
            "a difference."
        )
    elif seeds < MANY:
        lines.append(
            f"{seeds} seeds: where seeds differ much among themselves, so few make the intervals "
            f"too narrow; {MANY} or more are better."
        )
    if not record.get("n_test_patients"):
        lines.append(
            "Patients are unknown: frames are treated as independent, so intervals are too narrow "
            "if patients have several frames."
        )
    if any(method.get("failed") for method in record["methods"].values()):
        lines.append(
            "Some runs failed. A difference rests on the seeds that both methods have, and the "
            "means of two methods may rest on different seeds."
        )
    return [
        *lines,
        "One cohort and one test split: nothing here says how the methods compare at another "
        "center or endoscope.",
        "Each method was trained with the settings of this config; other settings may order them "
        "otherwise.",
        "The reference standard is that of the runs, as each of their reports tells it: the "
        "annotators' consensus, or the class given with each frame.",
    ]


def join_names(names: Sequence[str] | Mapping[str, Any]) -> str:
    """List names in a sentence.

    >>> join_names(["a", "b", "c"])
    'a, b and c'
    """
    *most, last = list(names) or [DASH]
    return f"{', '.join(most)} and {last}" if most else last
