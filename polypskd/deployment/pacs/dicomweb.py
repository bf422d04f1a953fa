"""An archive over DICOMweb: QIDO-RS asks, WADO-RS fetches, STOW-RS stores.

`dicomweb_client` asks. It would read an instance whole into memory and write it anew, in other
bytes than the archive has, so files are fetched and stored over the same session as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polypskd.deployment.pacs.archive import (
    InstanceEntry,
    Query,
    Refusal,
    StudyEntry,
    fits,
    is_uid,
    name_file,
)
from polypskd.deployment.pacs.dicom_json import (
    CLASS,
    DESCRIPTION,
    INSTANCE,
    MODALITY,
    SERIES,
    STATION,
    STUDY,
    Entry,
    read_study,
    read_text,
)
from polypskd.deployment.pacs.instance_files import list_batches, write_aside
from polypskd.deployment.pacs.multipart import TornError, find_boundary, read_only_part
from polypskd.deployment.pacs.web_session import (
    WebSession,
    check_status,
    say_odd,
    say_too_many,
    tell_failure,
)
from polypskd.deployment.pacs.web_storing import store_batch
from polypskd.errors import ArchiveError

if TYPE_CHECKING:
    from polypskd.deployment.pacs.settings import DicomWeb, Transfer

PAGE = 20_000  # entries of an answer; archives may give fewer
MOST_INSTANCES = 100_000  # of a study
AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
Search = Callable[..., list[Any]]


class DicomWebArchive:
    """An archive that speaks DICOMweb; see `archive.Archive`.

    Args:
        settings: how it is reached.
        transfer: patience and limits.

    Raises:
        ConfigError: the extra is not installed, or a secret or certificate cannot be read.
    """

    def __init__(self, settings: DicomWeb, transfer: Transfer) -> None:
        from dicomweb_client.web import DICOMwebClient

        # Their lines hold addresses with UIDs, and what a server has to say.
        for name in ("dicomweb_client", "urllib3", "requests", "retrying"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._url = settings.url
        self._transfer = transfer
        self._session = WebSession(settings, transfer)
        self.place = self._session.place
        self._client = DICOMwebClient(self._url, self._session, permissive_uid=True)
        self._client.set_http_retry_params(retry=False)  # it would send half a body again

    def echo(self) -> str:
        """Ask for one study; see `Archive.echo`."""
        self._ask(self._client.search_for_studies, limit=1)
        return f"{self.place} answers over DICOMweb"

    def find(self, query: Query) -> list[StudyEntry]:
        """See `Archive.find`."""
        wanted: dict[str, str] = {}
        if query.days:
            wanted["StudyDate"] = query.days
        if query.description:
            wanted["StudyDescription"] = query.description
        if query.study_uid:
            wanted["StudyInstanceUID"] = query.study_uid
        found: dict[str, StudyEntry] = {}
        for modality in query.modalities or ("",):
            filters = wanted | ({"ModalitiesInStudy": modality} if modality else {})
            entries = self._list_pages(
                self._client.search_for_studies,
                STUDY,
                query.most,
                search_filters=filters,
                fields=["ModalitiesInStudy", "NumberOfStudyRelatedInstances", "StudyTime"],
            )
            for entry in entries:
                study = read_study(entry)
                # Some archives pass over what they do not know how to match.
                if fits(study, query):
                    found[study.study_uid] = study
        if len(found) > query.most:
            raise say_too_many(self.place, query.most)
        return sorted(found.values(), key=lambda study: (study.when, study.study_uid))

    def list_instances(self, study_uid: str) -> list[InstanceEntry]:
        """See `Archive.list_instances`."""
        try:
            series = {
                read_text(entry, SERIES): entry
                for entry in self._list_pages(
                    self._client.search_for_series,
                    SERIES,
                    MOST_INSTANCES,
                    study_instance_uid=study_uid,
                    fields=["SeriesDescription", "StationName"],
                )
            }
        except ArchiveError as error:
            if error.gone:
                return []
            raise
        found = []
        for entry in self._list_entries(study_uid):
            if not is_uid(read_text(entry, SERIES)):
                raise ArchiveError(f"{self.place}: the study holds a UID that is none")
            of = series.get(read_text(entry, SERIES), {})
            found.append(
                InstanceEntry(
                    sop_uid=read_text(entry, INSTANCE),
                    sop_class=read_text(entry, CLASS),
                    series_uid=read_text(entry, SERIES),
                    modality=read_text(of, MODALITY) or read_text(entry, MODALITY),
                    series_description=read_text(of, DESCRIPTION),
                    station=read_text(of, STATION),
                )
            )
        return sorted(found, key=lambda one: one.sop_uid)

    def fetch(self, study_uid: str, instances: Sequence[InstanceEntry], folder: Path) -> list[Path]:
        """See `Archive.fetch`."""
        fetched = []
        for one in instances:
            path = name_file(folder, one.sop_uid)
            if not path.exists():
                try:
                    self._fetch_instance(study_uid, one, path)
                except ArchiveError as error:
                    if error.gone:
                        continue
                    raise
            fetched.append(path)
        if instances and not fetched:
            raise ArchiveError(f"{self.place}: the study is no longer there", gone=True)
        return fetched

    def store(self, files: Sequence[Path]) -> list[Refusal]:
        """See `Archive.store`."""
        refusals: list[Refusal] = []
        for batch in list_batches(files, self._transfer):
            refusals += store_batch(self._session, self._url, batch)
        return refusals

    def holds(self, study_uid: str, sop_uids: Collection[str]) -> set[str]:
        """See `Archive.holds`."""
        return {*sop_uids} & {read_text(one, INSTANCE) for one in self._list_entries(study_uid)}

    def close(self) -> None:
        """See `Archive.close`."""
        self._session.close()

    def _list_entries(self, study_uid: str) -> list[Entry]:
        """List what is said of the instances of a study; nothing where it is gone."""
        try:
            return self._list_pages(
                self._client.search_for_instances,
                INSTANCE,
                MOST_INSTANCES,
                study_instance_uid=study_uid,
                fields=["SOPClassUID", "SeriesInstanceUID"],
            )
        except ArchiveError as error:
            if error.gone:
                return []
            raise

    def _ask(self, search: Search, **wanted: Any) -> list[Entry]:
        """Ask one question over QIDO-RS, and check that the answer is one."""
        import requests

        try:
            answer = search(**wanted)
        except requests.HTTPError as error:
            if error.response is not None:
                check_status(error.response, self.place)
            raise tell_failure(error, self.place) from None
        except (requests.JSONDecodeError, RecursionError, UnicodeError):
            raise say_odd(self.place) from None
        except (requests.RequestException, ValueError) as error:
            raise tell_failure(error, self.place) from None
        if not isinstance(answer, list) or not all(isinstance(one, dict) for one in answer):
            raise say_odd(self.place)
        return answer

    def _list_pages(self, search: Search, tag: str, most: int, **wanted: Any) -> list[Entry]:
        """Ask page after page until one brings nothing new.

        Args:
            search: of the client.
            tag: of the UID by which an entry is known.
            most: entries that are taken; more are refused.
            **wanted: as the client takes it.
        """
        found: dict[str, Entry] = {}
        offset, last = 0, 0
        # All at once where that can be: Orthanc knows no offset where it is asked for a modality,
        # and says that there is nothing more.
        limit = min(most + 1, PAGE)
        while True:
            page = self._ask(search, limit=limit, offset=offset, **wanted)
            if last == limit and not page:
                raise say_too_many(self.place, limit - 1)
            last = len(page)
            before = len(found)
            for entry in page:
                uid = read_text(entry, tag)
                if is_uid(uid):
                    found[uid] = entry
                elif tag != STUDY:
                    raise ArchiveError(f"{self.place}: the study holds a UID that is none")
            if page and not found:
                raise say_odd(self.place)
            if len(found) > most:
                raise say_too_many(self.place, most)
            offset += len(page)
            if len(found) == before:
                return list(found.values())

    def _fetch_instance(self, study_uid: str, one: InstanceEntry, path: Path) -> None:
        address = f"{self._url}/studies/{study_uid}/series/{one.series_uid}"
        response = self._session.get(
            f"{address}/instances/{one.sop_uid}", headers={"Accept": AS_STORED}, stream=True
        )
        with response:
            check_status(response, self.place)
            pieces = self._session.read_pieces(response, self._transfer.most_megabytes << 20)
            try:
                with write_aside(path) as write:
                    content = response.headers.get("Content-Type", "")
                    if content.lower().startswith("multipart/related"):
                        read_only_part(pieces, find_boundary(content), write)
                    elif content.lower().startswith("application/dicom"):
                        for piece in pieces:
                            write(piece)
                    else:
                        raise say_odd(self.place)
            except TornError as torn:
                raise ArchiveError(
                    f"{self.place}: the answer to a fetch {torn}", transient=True
                ) from None
