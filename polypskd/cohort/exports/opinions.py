"""DICOM structured reports (TID 1500): a coded answer on an image is a vote.

Within a measurement group (TID 1501) the answers that `codes` names count for every image or frame
that the group refers to. What an algorithm found, and what is said of a region, is no vote.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polypskd.cohort.damage import DamageError
from polypskd.cohort.exports.sheet import Person, Sheet
from polypskd.config import OpinionVotes
from polypskd.errors import CohortError

if TYPE_CHECKING:
    from pydicom import Dataset

REPORTS = "1.2.840.10008.5.1.4.1.1.88."  # how the SOP classes of structured reports begin
OBSERVER, OBSERVER_TYPE, DEVICE = "DCM:121008", "DCM:121005", "DCM:121007"
GROUP, ALGORITHM = "DCM:125007", "DCM:111001"
MOST_ITEMS = 100_000
UNDEFINED = 0xFFFFFFFF
DEEPEST = 32


@dataclass(frozen=True)
class _Item:
    """A content item: its type, the code of its name, and itself."""

    kind: str
    name: str
    content: Dataset


def read_opinions(path: Path, form: OpinionVotes, sheet: Sheet) -> None:
    """Read the votes of one report into a sheet.

    Args:
        path: a DICOM file; images beside the reports are passed over.
        form: the config's section.
        sheet: takes the votes; frames are named by their UID, with ``#`` and a frame's number.
    """
    from polypskd.cohort.dicom.header import read_header
    from polypskd.cohort.dicom.recognition import looks_like_dicom

    if not looks_like_dicom(path):
        sheet.leave("file", "it is not DICOM")
        return
    try:
        report = read_header(path).dataset
        if not str(report.get("SOPClassUID", "")).startswith(REPORTS):
            sheet.leave("DICOM file", "it is no structured report")
            return
        _check_whole(report)
        groups = [item.content for item in _walk(report) if item.name == GROUP]
        top = [_read_item(child) for child in report.get("ContentSequence") or ()]
        context = [item for item in top if item.name in {OBSERVER, OBSERVER_TYPE}]
        if not groups:
            sheet.leave("report", "it has no measurement group (TID 1501)")
        for number, group in enumerate(groups, 1):
            _read_group(list(_walk(group)), context, form, sheet, f"group {number}")
    except DamageError as error:
        sheet.blame("", error.what, error.value, error.todo)
    except OSError as error:
        sheet.blame("", f"cannot be read ({error.strerror})")
    except CohortError:
        raise
    except Exception:  # the parser reads on demand and raises what it meets; its words quote values
        sheet.blame("", "damaged: its content cannot be read", todo="copy the file anew")


def _check_whole(report: Dataset) -> None:
    """Refuse a report whose content breaks off: the parser takes what is left of it."""
    raw: Any = report.get_item("ContentSequence") if "ContentSequence" in report else None
    length, value = getattr(raw, "length", None), getattr(raw, "value", None)
    if isinstance(value, bytes) and length != UNDEFINED and len(value) != length:
        raise DamageError("cut short: the end of its content is missing", todo="copy the file anew")


def _walk(top: Dataset) -> Iterator[_Item]:
    """Give all content items below one, from the top down."""
    left = deque([(top, 0)])
    for _ in range(MOST_ITEMS):
        if not left:
            return
        parent, depth = left.popleft()
        for child in parent.get("ContentSequence") or ():
            if depth >= DEEPEST:
                raise DamageError("its content lies too deep", todo="copy the file anew")
            yield _read_item(child)
            left.append((child, depth + 1))
    raise DamageError(f"more than {MOST_ITEMS:,} content items", todo="ask for the file anew")


def _read_item(content: Dataset) -> _Item:
    return _Item(str(content.get("ValueType", "")), _read_code(content, "Name"), content)


def _read_code(item: Any, part: str) -> str:
    """Give ``scheme:value`` of an item's name or answer; empty where there is none."""
    key = "ConceptNameCodeSequence" if part == "Name" else "ConceptCodeSequence"
    codes = item.get(key)
    if not codes:
        return ""
    code = codes[0]
    value = code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue") or ""
    return f"{code.get('CodingSchemeDesignator', '')}:{value}"


def _read_group(
    items: list[_Item], context: list[_Item], form: OpinionVotes, sheet: Sheet, place: str
) -> None:
    own = [item for item in items if item.name in {OBSERVER, OBSERVER_TYPE}]
    observer = own or context
    device = any(
        item.name == OBSERVER_TYPE and _read_code(item.content, "Value") == DEVICE
        for item in observer
    )
    if device or any(item.name == ALGORITHM for item in items):
        sheet.leave("measurement group", "an algorithm made it")
        return
    asked = [
        item
        for item in items
        if item.kind == "CODE" and (form.question is None or item.name == form.question)
    ]
    answers = [_read_code(item.content, "Value") for item in asked]
    votes = list(dict.fromkeys(form.codes[code] for code in answers if code in form.codes))
    unknown = [code for code in answers if code not in form.codes]
    if form.question is None:
        for code in unknown:
            sheet.leave(f"answer {code[:80]}", "cohort.votes.codes does not name it")
    elif unknown:
        sheet.blame(place, "unknown answer", unknown[0], "add its code to cohort.votes.codes")
        return
    if not votes:
        sheet.leave("measurement group", "it holds no answer that is a vote")
        return
    if any(item.kind in {"SCOORD", "SCOORD3D"} for item in items):
        sheet.leave("measurement group of a region", "it says nothing of the whole frame")
        return
    frames = [frame for item in items if item.kind == "IMAGE" for frame in _name_frames(item)]
    if len(votes) > 1:
        todo = "one vote a group; name the question in cohort.votes.question"
        sheet.blame(place, "several choices of one annotator:", ", ".join(votes), todo)
        return
    if not frames:
        todo = "write the report with a source image a group"
        sheet.blame(place, "the group refers to no image", todo=todo)
        return
    person = sheet.person or _find_person(observer)
    if person is None:
        todo = "give cohort.votes.path as {annotator: folder}"
        sheet.blame(place, "the report does not say who observed", todo=todo)
        return
    for frame in dict.fromkeys(frames):
        sheet.add(frame, person, votes[0], place)


def _name_frames(item: _Item) -> list[str]:
    """Name what an image item refers to: UID, or UID#number of each of its frames."""
    named = []
    for reference in item.content.get("ReferencedSOPSequence") or ():
        uid = str(reference.get("ReferencedSOPInstanceUID", "")).strip()
        numbers = reference.get("ReferencedFrameNumber")
        if not uid:
            continue
        if numbers in (None, "", []):
            named.append(uid)
            continue
        several = numbers if isinstance(numbers, list) or hasattr(numbers, "append") else [numbers]
        named += [f"{uid}#{int(number)}" for number in several]
    return named


def _find_person(observer: list[_Item]) -> Person | None:
    names = {
        str(item.content.get("PersonName", "")).strip()
        for item in observer
        if item.name == OBSERVER
    } - {""}
    # Two observers of one report share an opinion; whose vote it is, nobody can say.
    return Person(names.pop()) if len(names) == 1 else None
