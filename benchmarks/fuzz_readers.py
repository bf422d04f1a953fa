"""What the project makes of one file: refused in one line, read as it was, or read otherwise.

Every reader gives (outcome, text): the text is the fault, or a digest of what was read. Only the
project's own errors are caught.
"""

import hashlib
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from polypskd.cohort.damage import DamageError
from polypskd.errors import CohortError, Fault, PolypskdError

LONGEST = 2000  # characters of a line
KEY = b"0123456789abcdef" * 2
Read = tuple[str, str]


class LeakError(AssertionError):
    """A planted name came out."""


def check_line(text: str) -> None:
    """Hold a fault to being one line that a terminal and a table can show."""
    control = [one for one in text if unicodedata.category(one) in ("Cc", "Zl", "Zp", "Cs")]
    if control or not text.strip() or len(text) > LONGEST:
        raise AssertionError(f"no line of {LONGEST}: {text[:300]!r} ({len(text)})")


def refuse(error: Exception) -> Read:
    """Check the words of a fault."""
    lines: tuple[str, ...] = ()
    if isinstance(error, DamageError):
        lines = (str(Fault("file", error.what, error.value, error.todo)),)
    elif isinstance(error, PolypskdError):
        lines = error.lines
    for line in lines:
        check_line(line)
    return "refused", lines[0]


def _digest(*values: Any) -> str:
    digest = hashlib.sha256()
    for value in values:
        digest.update(np.ascontiguousarray(value) if isinstance(value, np.ndarray)
                      else repr(value).encode("utf-8", "backslashreplace"))  # fmt: skip
    return digest.hexdigest()[:16]


def read_frames(path: Path, numbers: Callable[[Path], list[str]] | None = None) -> Read:
    from polypskd.cohort.frames import check_frames

    names = [path.name] if numbers is None else numbers(path)
    seen: list[Any] = []
    faults = check_frames(
        path.parent, names, min_side=8, max_megapixels=64,
        look=lambda name, pixels: seen.append((name, _digest(pixels))))  # fmt: skip
    if faults:
        return refuse(CohortError(faults))
    return "read", _digest(sorted(seen))


def read_image(path: Path) -> Read:
    return read_frames(path)


def read_dicom(path: Path) -> Read:
    from polypskd.cohort.dicom import looks_like_dicom, read_attributes
    from polypskd.cohort.opened import count_frames

    def numbers(path: Path) -> list[str]:
        count = count_frames(path)
        return [path.name] if count == 1 else [f"{path.name}#{n}" for n in sorted({1, count})]

    looks_like_dicom(path)
    for value in read_attributes(path).columns.values():
        check_line(value or "-")
    return read_frames(path, numbers)


def read_video(path: Path) -> Read:
    from polypskd.cohort.video import open_video

    with open_video(path, min_side=8) as video:
        wanted = sorted({0, video.count // 2, video.count - 1})
        seen = [_digest(video.read(n)) for n in wanted]
        try:
            seen.append(str(video.find(0.1)))
        except DamageError:
            seen.append("no times")
        return "read", _digest(video.count, seen)


def read_deidentified(path: Path) -> Read:
    from fuzz_samples import MARK

    from polypskd.deployment.deidentification.panel import Trust
    from polypskd.deployment.deidentify import Wish, deidentify

    out = path.parent / f"out-{path.stem}"
    outcome = deidentify(path, out, Wish(KEY, trust=Trust(field=True, pixels=True, video=True)))
    for file in out.rglob("*"):
        # Only what was whole before: a name that damage tore is no name.
        if file.is_file() and MARK.encode() in file.read_bytes():
            raise LeakError(f"{MARK} in {file.suffix}")
    if outcome.refused:
        return refuse(CohortError(outcome.refused))
    return "read", _digest(sorted(outcome.ways.items()))


def read_votes(path: Path) -> Read:
    from fuzz_samples import CLASSES

    from polypskd.cohort.load import load_cohort
    from polypskd.config import CohortConfig

    form: dict[str, Any] = {
        "wide": {"kind": "wide", "annotators": ["Dr A", "Dr B", "Dr C"]},
        "counts": {"kind": "counts", "prefix": "votes_"},
    }.get(path.name.partition(".")[0], {"kind": "long"})
    section = {"frames": {"kind": "none"}, "votes": form | {"path": path}, "classes": CLASSES}
    _recognize(path)
    cohort = load_cohort(CohortConfig.model_validate(section))
    return "read", _digest(cohort.frame_ids, cohort.vote_frame, cohort.vote_fine)


def _recognize(path: Path) -> None:
    from polypskd.cohort.recognition import recognize_votes

    try:
        recognize_votes(None, path)
    except PolypskdError as error:
        refuse(error)


def read_export(path: Path) -> Read:
    from fuzz_samples import CLASSES

    from polypskd.cohort.exports.reading import read_export as read
    from polypskd.config import CohortConfig

    forms: dict[str, dict[str, Any]] = {
        "label_studio": {"kind": "label_studio"},
        "min": {"kind": "label_studio", "control": "class"},
        "coco": {"kind": "coco"},
        "datumaro": {"kind": "datumaro", "annotator": "who"},
        "labelme": {"kind": "labelme"},
        "cvat": {"kind": "cvat", "annotator": "who"},
        "report": {"kind": "dicom_sr", "codes": {"99X:A": "a", "99X:B": "b"}},
    }
    name = path.name.partition(".")[0]
    each = name in ("coco", "labelme")  # one file an annotator
    votes = forms[name] | {"path": {"Dr A": path} if each else path}
    section = {"frames": {"kind": "none"}, "votes": votes, "classes": CLASSES}
    _recognize(path)
    export = read(CohortConfig.model_validate(section).votes, None)  # type: ignore[arg-type]
    for note in export.notes:
        check_line(note)
    if export.faults:
        raise CohortError(export.faults)
    return "read", _digest(export.table.cells.rows())


def read_config(path: Path) -> Read:
    from polypskd import config

    return "read", _digest(config.read_config(path).model_dump_json().replace(str(path.parent), ""))


def read_answers(path: Path) -> Read:
    from polypskd.reporting.answers import read_answers as read

    return "read", _digest(read(path, {"claim": ("1", "2")}))


def read_rules(path: Path) -> Read:
    from polypskd.deployment.deidentification.rules import read_rules as read

    return "read", _digest(read(path))


def read_examples(path: Path) -> Read:
    from polypskd.labels.examples import read_examples as read

    examples = read(path)
    return "read", _digest(examples.frame_id, examples.level, examples.agreement)


def read_ballots(path: Path) -> Read:
    from polypskd.cohort.ballot_table import read_votes as read

    return "read", _digest(*read(path).values())


def read_arrays(path: Path) -> Read:
    from polypskd.arrays import read_arrays as read

    return "read", _digest(*read(path, ("logits", "recalls", "fingerprint"), verb="teach").values())


def read_network(path: Path) -> Read:
    from polypskd.models.checkpoint import read_network as read

    network = read(path, "teach").network
    return "read", _digest(*(one.detach().numpy() for one in network.parameters()))


READERS: dict[str, Callable[[Path], Read]] = {
    "image": read_image,
    "dicom": read_dicom,
    "dicom_endoscopy": read_dicom,
    "dicom_multiframe": read_dicom,
    "video": read_video,
    "deidentify": read_deidentified,
    "votes": read_votes,
    "export": read_export,
    "config": read_config,
    "answers": read_answers,
    "rules": read_rules,
    "examples": read_examples,
    "ballots": read_ballots,
    "arrays": read_arrays,
    "network": read_network,
}
TEXT = {"votes", "export", "config", "answers", "rules", "examples", "ballots"}


def read_case(kind: str, path: Path) -> Read:
    """Read a file as the project does; foreign exceptions escape."""
    try:
        return READERS[kind](path)
    except (DamageError, PolypskdError) as error:
        return refuse(error)
