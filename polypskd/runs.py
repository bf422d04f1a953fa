"""A run: one folder of results, of one config.

Results of another config are never replaced unasked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from polypskd.artifacts import RunLog, clear_leftovers, write_text
from polypskd.config import Config, has_teacher, read_config
from polypskd.config.yaml_text import PageError, parse_yaml
from polypskd.errors import ArtifactError, OutputError

LABELS = ("examples.csv", "agreement.json", "excluded.csv", "test_votes.csv")
TEACHER = ("teacher.safetensors", "teacher_history.json", "targets.npz")
STUDENT = ("student.safetensors", "student_history.json")
NUMBERS = (
    "evaluation.json",
    "predictions.csv",
    "provenance.json",
    "answers.npz",
    "predictions_teacher.csv",
)
STUDY = ("study.json",)
REPORT = ("report.html", "report.json", "guidelines.json")


@dataclass(frozen=True)
class Run:
    """One folder of results.

    Args:
        folder: where everything goes.
        config: the experiment.
        log: told of everything.
        overwrite: whether results that stand there may be replaced.
        shared: folder of pixels, teachers and targets that several runs share; None for its own.
        pdf: whether report.pdf is made; None makes it where it can be made.
        answers: the authors' answers; None takes report.yaml of the folder, if it is there.
    """

    folder: Path
    config: Config
    log: RunLog
    overwrite: bool = False
    shared: Path | None = None
    pdf: bool | None = None
    answers: Path | None = None

    @property
    def cohort(self) -> Path:
        """Folder of a synthetic cohort."""
        return (self.shared or self.folder) / "cohort"


def open_run(
    config: Config,
    folder: Path,
    *,
    overwrite: bool = False,
    shared: Path | None = None,
    listen: Callable[[dict[str, Any]], None] | None = None,
) -> Run:
    """Open a run folder, new or of the same config; hold its lock while you use it.

    Raises:
        ConfigError: the key of pseudonyms lies in it.
        OutputError: it holds the results of another config, or other people's files.
    """
    from polypskd.cohort.pseudonyms import check_apart
    from polypskd.reporting.folders import remove_report

    check_apart(getattr(config.cohort.frames, "key_file", None), folder, "the run folder")
    path = folder / "config.yaml"
    text = _write_page(config)
    if not overwrite:
        refuse_other(config, folder)
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            # Each step judges by its stamp whether its files still hold. What the new config does
            # not make anew must not stand beside what it does.
            taught = () if has_teacher(config.student.method) else TEACHER
            for name in (*taught, *NUMBERS, *STUDY):
                (folder / name).unlink(missing_ok=True)
            remove_report(folder, REPORT)
    elif any(item.name != ".steps" for item in folder.iterdir()) and not overwrite:
        raise OutputError(f"{folder}: not empty and not a run; give --out another folder")
    clear_leftovers(folder)
    write_text(path, text)
    return Run(folder, config, RunLog(folder / "log.jsonl", listen), overwrite, shared)


def follow_run(config: Config, folder: Path) -> Run:
    """Give a run to a process that only computes; the first process of the job has opened it."""
    return Run(folder, config, RunLog(folder / "log.jsonl"))


def reopen_run(folder: Path, listen: Callable[[dict[str, Any]], None] | None = None) -> Run:
    """Open an existing run folder by the config that it holds.

    Raises:
        ArtifactError: it is not a run folder, or the comparison that it belongs to is damaged.
    """
    from polypskd.reporting.record import find_comparison

    path = folder / "config.yaml"
    if not path.exists():
        raise ArtifactError(f"{folder}: not a run folder (no config.yaml); give one under runs/")
    comparison = find_comparison(folder)
    return Run(
        folder,
        read_config(path),
        RunLog(folder / "log.jsonl", listen),
        shared=comparison.parent / "shared" if comparison else None,
    )


def refuse_other(config: Config, folder: Path) -> None:
    """Refuse a folder that holds the results of another config.

    A run that failed before its first result, say at a fault of the config, binds to nothing.

    Raises:
        OutputError: it does.
    """
    path = folder / "config.yaml"
    old = path.read_text(encoding="utf-8") if path.exists() else None
    if old is not None and old != _write_page(config) and _has_results(folder):
        try:
            changed = _first_change(parse_yaml(old), config)
        except PageError:
            changed = "its config.yaml is damaged"
        raise OutputError(
            f"{folder}: holds the results of another config ({changed}); "
            "give --out another folder, or --overwrite"
        )


def _write_page(config: Config) -> str:
    page = config.model_dump(mode="json")
    return yaml.safe_dump(page, sort_keys=False, allow_unicode=True)


def _has_results(folder: Path) -> bool:
    made = (*LABELS, *TEACHER, *STUDENT, *NUMBERS, *STUDY, *REPORT)
    return any((folder / name).exists() for name in made) or any(folder.glob(".steps/*.pt*"))


def _first_change(old: Any, config: Config) -> str:
    """Name the first key that differs."""

    def walk(a: Any, b: Any, at: str) -> str | None:
        if isinstance(a, dict) and isinstance(b, dict):
            for key in [*b, *(k for k in a if k not in b)]:
                found = walk(a.get(key), b.get(key), f"{at}.{key}" if at else str(key))
                if found:
                    return found
            return None
        return None if a == b else f"{at}: {a} → {b}"

    return walk(old, config.model_dump(mode="json"), "") or "written by another version"
