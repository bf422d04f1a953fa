"""HTTP as a hospital wants it: bounded answers, one host, no environment, faults in one line.

What `requests` says of a fault holds the address with the patient's UIDs, and is never repeated.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from threading import Event
from typing import TYPE_CHECKING, Any

import requests
from requests.auth import AuthBase
from requests.models import PreparedRequest, Response
from urllib3.util import parse_url

from polypskd.deployment.pacs.credentials import build_authorization, check_certificates
from polypskd.deployment.pacs.web_lines import CutAdapter
from polypskd.errors import ArchiveError

if TYPE_CHECKING:
    from polypskd.deployment.pacs.settings import DicomWeb, Transfer

MOST_ANSWER = 64 << 20  # bytes of an answer that is kept in memory
PIECE = 1 << 18
BUSY = {408, 425, 429, 500, 502, 503, 504, 507}
OK = range(200, 300)
LENGTHS = {"content-length", "transfer-encoding"}  # headers that say where a body ends
FOUND_ELSEWHERE = range(300, 400)
WORDS = {
    400: "does not understand the question (400); is it DICOMweb, and the address right?",
    401: "does not know this user or password (401); check username and password in the settings",
    403: "does not allow this (403); let its administrator grant the right",
    404: "has nothing at this address (404); check archive.url in the settings",
    407: "is behind a proxy, which is not supported (407)",
    413: "finds the answer too large (413); lower transfer.batch_megabytes in the settings",
    507: "is full (507); let its administrator look",
}


class _Authorization(AuthBase):
    """Adds the credentials to a request; they are read anew, as tokens change."""

    def __init__(self, archive: DicomWeb) -> None:
        self._archive = archive

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        value = build_authorization(self._archive)
        if value:
            request.headers["Authorization"] = value
        return request


class WebSession(requests.Session):
    """A session that speaks with one host alone.

    Args:
        archive: its address, credentials and certificates.
        transfer: time limits.

    Raises:
        ConfigError: a secret or certificate cannot be read.
    """

    def __init__(self, archive: DicomWeb, transfer: Transfer) -> None:
        super().__init__()
        check_certificates(archive.tls)
        build_authorization(archive)
        # Else REQUESTS_CA_BUNDLE, ~/.netrc and proxies of the environment would win over ours.
        self.trust_env = False
        self.auth = _Authorization(archive)
        tls = archive.tls
        self.verify = str(tls.ca_file) if tls.ca_file is not None else True
        if tls.client_cert is not None and tls.client_key is not None:
            self.cert = (str(tls.client_cert), str(tls.client_key))
        self.max_redirects = 3
        self.place = place_of(archive.url)
        self._timeout = (transfer.connect_s, transfer.read_s)
        self._deadline_s = transfer.deadline_s
        self._origin = _origin_of(archive.url)
        self._adapter = CutAdapter(pool_connections=1, pool_maxsize=2, max_retries=0)
        for scheme in ("https://", "http://"):
            self.mount(scheme, self._adapter)

    def send(self, request: PreparedRequest, **options: Any) -> Response:
        """Send a request, and read no more of the answer than is kept in memory.

        Raises:
            ArchiveError: in one line that holds no address beyond the host.
        """
        # Redirects come here, too: patients' data and the password go to no other host.
        if _origin_of(request.url or "") != self._origin:
            raise ArchiveError(
                f"{self.place}: redirects to another host, which is not followed; give the "
                "address of the archive itself as archive.url"
            )
        # `dicomweb_client` writes a blank as +, which archives take for a plus, and wildcards as
        # numbers, which some of them do not read.
        path, mark, query = (request.url or "").partition("?")
        for written, meant in (("+", "%20"), ("%2A", "*"), ("%3F", "?")):
            query = query.replace(written, meant)
        request.url = f"{path}{mark}{query}"
        wanted = options.pop("stream", False)
        # Without the port, as clients set it, a server behind a gateway is not found.
        request.headers.pop("Host", None)
        options["timeout"] = self._timeout
        with self._adapter.limit(self._deadline_s) as late:
            try:
                response = super().send(request, stream=True, **options)
            except (requests.RequestException, OSError, ValueError) as error:
                raise self._tell(error, late) from None
        if late.is_set():  # headers that are cut off count as whole
            response.close()
            raise self._tell(TimeoutError(), late)
        if response.status_code in FOUND_ELSEWHERE and not response.is_redirect:
            with response:  # else its empty body would say that there is none
                check_status(response, self.place)
        if not wanted:
            # What `Response.content` gives from now on; there is no public way to bound it.
            response._content = b"".join(self.read_pieces(response, MOST_ANSWER))
            framed = LENGTHS & {name.lower() for name in response.headers}
            if response.status_code == 200 and not response.content and not framed:
                # A server that went down within the headers would else say that there is nothing.
                raise tell_failure(requests.ConnectionError("ended early"), self.place)
        return response

    def read_pieces(self, response: Response, most: int) -> Iterator[bytes]:
        """Read the body of an answer piece by piece.

        Args:
            response: not yet read.
            most: bytes; more are refused.

        Raises:
            ArchiveError: it is larger, ends early, or takes too long.
        """
        size = 0
        with self._adapter.limit(self._deadline_s) as late:
            try:
                with response:
                    for piece in response.iter_content(PIECE):
                        size += len(piece)
                        if size > most:
                            raise ArchiveError(
                                f"{self.place}: sends more than {most >> 20} MiB at once, which "
                                "is not taken; see transfer.most_megabytes"
                            )
                        yield piece
            except (requests.RequestException, OSError, ValueError) as error:
                raise self._tell(error, late) from None

    def _tell(self, error: Exception, late: Event) -> ArchiveError:
        if late.is_set():
            words = f"{self.place}: sends too slowly; see transfer.deadline_s"
            return ArchiveError(words, transient=True)
        return tell_failure(error, self.place)


def place_of(url: str) -> str:
    """Give host and port of an address, for messages.

    >>> place_of("https://pacs.example.org:8443/dicom-web")
    'pacs.example.org:8443'
    """
    return str(parse_url(url).netloc)


def _origin_of(url: str) -> tuple[str | None, str | None, int | None]:
    parts = parse_url(url)
    return parts.scheme, parts.host, parts.port


def check_status(response: Response, place: str) -> None:
    """Refuse an answer that is no success.

    Args:
        response: of the archive.
        place: its host and port.

    Raises:
        ArchiveError: transient where the archive is busy; `gone` where nothing is there (404, 410).
    """
    code = response.status_code
    if code in OK:
        return
    words = WORDS.get(code, f"answers with an error ({code})")
    if code in BUSY and code not in WORDS:
        words = f"is busy or out of order ({code}); try again later, or look at the archive's log"
    elif code in FOUND_ELSEWHERE:
        words = f"redirects in a way that is not followed ({code}); check archive.url"
    raise ArchiveError(f"{place}: {words}", transient=code in BUSY, gone=code in {404, 410})


def say_odd(place: str) -> ArchiveError:
    """Say that an answer is no DICOMweb."""
    return ArchiveError(f"{place}: answers with what is no DICOMweb; check archive.url")


def say_too_many(place: str, most: int) -> ArchiveError:
    """Say that more match than are taken."""
    return ArchiveError(
        f"{place}: more than {most:,} match; narrow the query (dates, station), or raise query.most"
    )


def tell_failure(error: BaseException, place: str) -> ArchiveError:
    """Say what went wrong with a connection, without the address that the error holds.

    Args:
        error: of `requests` or below.
        place: host and port.
    """
    causes = list(_list_causes(error))

    def find(kind: type[BaseException] | tuple[type[BaseException], ...]) -> Any:
        return next((cause for cause in causes if isinstance(cause, kind)), None)

    if found := find(ArchiveError):
        return found  # type: ignore[no-any-return]
    if found := find(ssl.SSLCertVerificationError):
        why = str(found.verify_message or "unknown").strip()[:100]
        return ArchiveError(
            f"{place}: its certificate is not trusted ({why}); give the hospital's authority as "
            "archive.tls.ca_file"
        )
    if find((ssl.SSLError, requests.exceptions.SSLError)):
        # A server that is stopped half-way through a handshake looks like this, too.
        ended = find((ssl.SSLEOFError, ssl.SSLZeroReturnError)) is not None
        return ArchiveError(
            f"{place}: no TLS connection comes about; does it speak TLS on this port, and does it "
            "want or accept our client certificate (archive.tls)?",
            transient=ended,
        )
    if find(socket.gaierror):
        return ArchiveError(
            f"{place}: no such host; check archive.url and the name service", transient=True
        )
    if find(ConnectionRefusedError):
        return ArchiveError(
            f"{place}: refuses the connection; is the archive running, and the port right?",
            transient=True,
        )
    if find((requests.Timeout, TimeoutError)):
        return ArchiveError(
            f"{place}: does not answer in time; is it reachable from here?", transient=True
        )
    if find((requests.exceptions.TooManyRedirects, requests.exceptions.InvalidURL)):
        return ArchiveError(f"{place}: redirects without end; check archive.url")
    return ArchiveError(
        f"{place}: the connection was lost ({type(error).__name__})", transient=True
    )


def _list_causes(error: BaseException) -> Iterator[BaseException]:
    """List an error and all that it was made of, as libraries wrap one into the other."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
