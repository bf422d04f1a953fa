"""What a person sees while a run is at work: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

Event = dict[str, Any]
TITLES = {
    "import": "Importing frames",
    "derive": "Labels from votes",
    "decode": "Decoding frames",
    "teacher": "Training the teacher",
    "targets": "Caching its answers",
    "student": "Training the student",
    "evaluate": "Evaluating",
    "study": "Studying",
    "robustness": "Corrupting frames",
    "report": "Writing the report",
    "compare": "Comparing",
    "deidentify": "De-identifying",
    "export": "Exporting",
    "predict": "Judging frames",
    "dicom": "Writing DICOM results",
    "pacs": "Answering studies",
    "quality": "Measuring frames",
    "precisions": "Judging smaller forms",
}


def name_event(event: Event) -> str:
    """Name what is at work, and in a comparison for which method and seed.

    >>> name_event({"step": "student", "method": "kd", "seed": 3})
    'kd, seed 3: Training the student'
    """
    title = str(TITLES.get(event["step"], event["step"]))
    return f"{event['method']}, seed {event['seed']}: {title}" if "method" in event else title


def describe_event(event: Event) -> str | None:
    """Put an event in one plain line; None for those that need no line.

    >>> describe_event({"step": "report", "event": "start"})
    'Writing the report'
    """
    title = name_event(event)
    match event["event"]:
        case "start":
            return title
        case "fresh":
            return f"{title}: unchanged, skipped"
        case "pretrained":
            return f"{title}: {event['tensors']} of {event['of']} tensors from the given weights"
        case "borrowed":
            return f"{title}: taken from another run of the same inputs"
        case "waiting":
            return f"{title}: another process is at it; waiting to take it"
        case "resumed":
            return f"{title}: continued after epoch {event['epoch']}"
        case "counted":
            return f"{title}: {event['done']:,} of {event['total']:,}{event['rest']}"
        case "failed" if event["step"] == "tracking":
            return (
                f"Tracking ({event['kind']}) failed ({event['error']}); the run folder has all "
                "numbers, and the next command goes on"
            )
        case "again":
            return f"{event['why']}; tried again in {event['seconds']:.0f} s"
        case "damaged":
            return f"{title}: {event['file']} is damaged; the one before it is used"
        case "epoch":
            return (
                f"{title}: epoch {event['epoch']}/{event['epochs']}  "
                f"loss {event['train_loss']:.3f}  val loss {event['val_loss']:.3f}  "
                f"val macro-F1 {event['val_macro_f1']:.3f}"
            )
        case _:
            return None


@contextlib.contextmanager
def show_progress(quiet: bool) -> Iterator[Callable[[Event], None]]:
    """Give a listener for a run's log; everything goes to standard error."""
    if quiet:
        yield lambda event: None
    elif not sys.stderr.isatty():

        def line(event: Event) -> None:
            text = describe_event(event)
            if text:
                sys.stderr.write(text + "\n")
                sys.stderr.flush()

        yield line
    else:
        with _bars() as listen:
            yield listen


@contextlib.contextmanager
def _bars() -> Iterator[Callable[[Event], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}
        at_work: tuple[object, object] = (None, None)

        def listen(event: Event) -> None:
            nonlocal at_work
            step, run = event["step"], (event.get("method"), event.get("seed"))
            if "method" in event and run != at_work:
                # A comparison shows the bars of one run at a time, under its own.
                at_work = run
                for name in [name for name in tasks if name != "compare"]:
                    progress.remove_task(tasks.pop(name))
            if event["event"] == "timed":
                return
            if event["event"] in {"damaged", "failed", "again"}:
                progress.console.print(describe_event(event) or "", markup=False)
                return
            if step not in tasks:
                tasks[step] = progress.add_task(str(TITLES.get(step, step)), total=None, note="")
                if "method" in event:
                    progress.update(tasks[step], note=f"{run[0]}, seed {run[1]}")
            match event["event"]:
                case "progress":
                    progress.update(tasks[step], completed=event["done"], total=event["total"])
                    if event.get("counts"):
                        note = f"{event['done']:,} of {event['total']:,}"
                        progress.update(tasks[step], note=note)
                case "waiting":
                    progress.update(tasks[step], note="another process is at it")
                case "epoch":
                    note = f"epoch {event['epoch']} val F1 {event['val_macro_f1']:.3f}"
                    progress.update(tasks[step], note=note)
                case "done":
                    progress.update(tasks[step], total=1, completed=1)
                case "fresh":
                    progress.update(tasks[step], total=1, completed=1, note="unchanged")

        yield listen
