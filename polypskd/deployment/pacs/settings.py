"""How the archive is reached, what is asked for and what is sent back: a YAML file.

Passwords and tokens never stand in it: they come from environment variables or from files that
their owner alone can read.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from polypskd.config.misfits import describe_misfit
from polypskd.config.section import Count, Section
from polypskd.config.yaml_text import PageError, parse_yaml, read_text
from polypskd.deployment.pacs.archive import Query
from polypskd.deployment.pacs.connections import DicomWeb, Dimse, Receiver, Tls, is_loopback
from polypskd.deployment.pacs.retry import Patience
from polypskd.errors import ConfigError

__all__ = [
    "Asked",
    "DicomWeb",
    "Dimse",
    "Receiver",
    "Settings",
    "Tls",
    "Transfer",
    "Watching",
    "is_loopback",
    "read_settings",
]

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Modality = Annotated[str, Field(pattern=r"^[A-Z0-9_]{2,16}$")]
Kind = Literal["sr", "presentation_state", "secondary_capture", "pdf"]
SECRETS = ("password", "token", "secret", "passphrase", "passwd", "api_key")
INSTEAD = "secrets never stand in this file; name a variable (password_env) or a file of mode 600"


class Asked(Section):
    """Which studies are judged.

    Args:
        modalities: of the series that are judged; a study must have one of them.
        since: first day of the study.
        until: last day of the study.
        last_days: so many days back from today, today included, instead of the two.
        station: station name of the series that are judged; "" for any.
        description: of the study; ``*`` and ``?`` stand for letters.
        most: so many studies at the most in one answer.
    """

    modalities: Annotated[tuple[Modality, ...], Field(max_length=16)] = ("ES",)
    since: date | None = None
    until: date | None = None
    last_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    station: Annotated[str, Field(max_length=16)] = ""
    description: Annotated[str, Field(max_length=64)] = ""
    most: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000

    @model_validator(mode="after")
    def _fits(self) -> Asked:
        if self.last_days is not None and (self.since or self.until):
            raise ValueError("give last_days, or since and until, not both")
        if self.since and self.until and self.since > self.until:
            raise ValueError("since is later than until")
        return self

    def build_query(self, today: date | None = None) -> Query:
        """Build what an archive is asked.

        Args:
            today: for `last_days`; the day by this machine's clock if not given.
        """
        since = self.since
        if self.last_days is not None:
            day = today or datetime.now(UTC).astimezone().date()
            since = day - timedelta(days=self.last_days - 1)
        return Query(
            modalities=self.modalities,
            since=since,
            until=self.until,
            station=self.station,
            description=self.description,
            most=self.most,
        )


class Transfer(Section):
    """How patient the connection is, and how much it takes.

    Args:
        connect_s: seconds until a connection stands.
        read_s: seconds of silence until it is given up.
        tries: so often in all, if errors are of the kind that passes.
        first_wait_s: before the second try; each further wait is twice as long, plus jitter.
        longest_wait_s: no wait is longer.
        deadline_s: after so many seconds no further try is begun.
        most_megabytes: of one instance.
        batch_files: stored at once.
        batch_megabytes: stored at once; one larger file goes alone.
    """

    connect_s: Seconds = 10
    read_s: Seconds = 60
    tries: Annotated[int, Field(ge=1, le=1000)] = 6
    first_wait_s: Annotated[float, Field(ge=0, le=3600)] = 1
    longest_wait_s: Annotated[float, Field(ge=0, le=3600)] = 60
    deadline_s: Seconds = 900
    most_megabytes: Annotated[int, Field(ge=1, le=65_536)] = 2048
    batch_files: Annotated[int, Field(ge=1, le=1000)] = 20
    batch_megabytes: Annotated[int, Field(ge=1, le=65_536)] = 64

    @property
    def patience(self) -> Patience:
        """How often and how long something is tried."""
        return Patience(self.tries, self.first_wait_s, self.longest_wait_s, self.deadline_s)


class Watching(Section):
    """How `polypskd watch` waits for new studies.

    Args:
        poll_s: seconds between two questions.
        settle_s: a study is judged once it has not grown for so many seconds.
        queue: so many studies (or, of a receiver, instances) wait at the most.
        heartbeat_s: seconds between two lines that say that it is at work.
        receiver: for studies that are sent to us.
    """

    poll_s: Seconds = 60
    settle_s: Annotated[float, Field(ge=0, le=86_400)] = 120
    queue: Annotated[int, Field(ge=1, le=100_000)] = 1000
    heartbeat_s: Seconds = 300
    receiver: Receiver | None = None


class Settings(Section):
    """The settings file.

    Args:
        archive: how it is reached.
        query: which studies are judged.
        send: which results are stored in the archive; the report (sr) always is.
        report: a PDF file that goes into each study as `pdf`, as the run's report.pdf.
        transfer: patience and limits.
        watch: for `polypskd watch`.
        stride: every n-th frame of videos.
        threads: frames judged at a time; one a core if not given.
    """

    archive: Annotated[DicomWeb | Dimse, Field(discriminator="kind")]
    query: Asked = Asked()
    send: Annotated[tuple[Kind, ...], Field(min_length=1)] = ("sr",)
    report: Path | None = None
    transfer: Transfer = Transfer()
    watch: Watching = Watching()
    stride: Count = 1
    threads: Annotated[int, Field(ge=1, le=256)] | None = None

    @field_validator("send")
    @classmethod
    def _once(cls, send: tuple[Kind, ...]) -> tuple[Kind, ...]:
        if len({*send}) < len(send):
            raise ValueError("a kind stands twice")
        if "sr" not in send:
            raise ValueError("the structured report (sr) is always sent; name it, too")
        return send

    @model_validator(mode="after")
    def _has_report(self) -> Settings:
        if ("pdf" in self.send) != (self.report is not None):
            raise ValueError("send: [pdf] and report: FILE.pdf come together")
        return self


def read_settings(path: Path) -> Settings:
    """Read a settings file; paths in it are taken from its folder.

    Raises:
        ConfigError: it is missing, not YAML, or does not fit; no value of a secret is repeated.
    """
    try:
        raw = parse_yaml(read_text(path))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; docs/pacs.md shows one") from None
    except UnicodeDecodeError as error:
        byte = f"byte {error.start + 1:,}"
        raise ConfigError(f"{path}: is no UTF-8 text ({byte}); save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check its rights") from None
    except PageError as error:
        # Its words may quote a line, and the line a password.
        raise ConfigError(f"{path}{error.place}: not valid YAML; docs/pacs.md shows one") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must be a YAML mapping; docs/pacs.md shows one")
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as error:
        told = [_describe(raw, item) for item in error.errors()]
        raise ConfigError("\n".join(f"{path}: {line}" for line in told)) from None
    made: dict[str, Any] = _absolute(settings.model_dump(), path.parent.resolve())
    return Settings.model_validate(made)


def _describe(raw: dict[str, Any], item: Any) -> str:
    names = [part for part in item["loc"] if isinstance(part, str)]
    place = ".".join(name for name in names if name not in {"dicomweb", "dimse"})
    last = str(item["loc"][-1]) if item["loc"] else ""
    if item["type"] == "extra_forbidden":
        if last.lower() in SECRETS:
            return f"{place}: {INSTEAD}"
        return f"{place}: unknown key; docs/pacs.md lists the keys"
    if last == "url" or last.startswith(SECRETS):
        why = str(item.get("ctx", {}).get("error", "is not of the right kind"))
        return f"{place}: {why}"  # what stands there may hold a password
    if place == "archive" and not isinstance(raw["archive"], dict):
        return f"{place}: must be a section of keys"  # an address alone may hold a password, too
    if item["type"] == "union_tag_not_found":
        return f"{place}: needs the key kind: dicomweb or dimse"
    return describe_misfit(raw, item)


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, Path):
        return value if value.is_absolute() else folder / value
    if isinstance(value, dict):
        return {key: _absolute(item, folder) for key, item in value.items()}
    return value
