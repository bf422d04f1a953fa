"""Storing over DICOMweb (STOW-RS): some files in one request, and what the answer says of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from polypskd.deployment.pacs.archive import Refusal
from polypskd.deployment.pacs.dicom_json import (
    FAILED,
    REASON,
    REFERENCED,
    STORED,
    Entry,
    list_items,
    read_number,
    read_object,
    read_text,
)
from polypskd.deployment.pacs.instance_files import read_uid
from polypskd.deployment.pacs.multipart import FilesBody
from polypskd.deployment.pacs.statuses import DUPLICATE, describe_status
from polypskd.deployment.pacs.web_session import WebSession, check_status

DICOM_JSON = "application/dicom+json"
REFUSED = (400, 409)  # with an answer in DICOM JSON


def store_batch(session: WebSession, url: str, batch: Sequence[Path]) -> list[Refusal]:
    """Store files in one request; one by one where the archive refuses all of them together.

    Args:
        session: with the archive.
        url: of its service.
        batch: DICOM files, at least one.

    Returns:
        Those that were refused; one that it holds already is none of them.

    Raises:
        ArchiveError: the archive cannot be reached, or does not say what it did.
    """
    uids = {path: read_uid(path) for path in batch}
    body = FilesBody(batch)
    response = session.post(
        f"{url}/studies",
        data=body,
        headers={"Content-Type": body.content_type, "Accept": DICOM_JSON},
        allow_redirects=False,
    )
    told = read_object(response.content)
    code = response.status_code
    if code not in REFUSED or not told:
        check_status(response, session.place)
        return _list_refusals(session.place, uids, told)
    if len(batch) > 1:  # one that it does not take lets it refuse the others, too
        return [one for path in batch for one in store_batch(session, url, [path])]
    refusals = _list_refusals(session.place, uids, told)
    named = {read_text(one, REFERENCED) for one in list_items(told, FAILED)}
    if refusals and not named & {*uids.values()}:
        words = f"{session.place}: does not take the object ({code}); is it whole?"
        return [Refusal(batch[0], words)]
    return refusals


def _list_refusals(place: str, uids: Mapping[Path, str], told: Entry) -> list[Refusal]:
    stored = {read_text(one, REFERENCED) for one in list_items(told, STORED)}
    failed = {
        read_text(one, REFERENCED): read_number(one, REASON) for one in list_items(told, FAILED)
    }
    refusals = []
    for path, uid in uids.items():
        if uid in failed and failed[uid] != DUPLICATE:
            words, passes = describe_status(failed[uid])
            refusals.append(Refusal(path, f"{place}: {words}", passes))
        elif uid not in stored and uid not in failed:
            words = f"{place}: did not say whether it stored the object"
            refusals.append(Refusal(path, words, transient=True))
    return refusals
