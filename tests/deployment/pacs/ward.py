"""`polypskd pacs run` and `watch` beside a real archive: what a test does with them, and counts."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orthanc import OURS, TITLE, USER, Orthanc, bind_to_life
from predicting import predict
from pydicom import dcmread
from small_bundle import CLASSES, write_bundle
from small_studies import build_instance, write_bytes
from typer.testing import CliRunner

from polypskd.cli import app
from polypskd.errors import PolypskdError

PATIENCE = {"connect_s": 3, "read_s": 10, "tries": 60, "first_wait_s": 0.05, "longest_wait_s": 0.3}
FINDING, PROBABILITY = "121071", "122157"


@dataclass
class Ward:
    """An archive with studies, a bundle, and a folder in which they are answered.

    Args:
        server: the archive; it runs.
        folder: for all files.
        sources: number of a study → its file, as it was uploaded.
        out: folder of the journal.
    """

    server: Orthanc
    folder: Path
    sources: dict[int, bytes] = field(default_factory=dict)
    out: Path = Path()

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.out = self.folder / "out"
        self.bundle = write_bundle(self.folder / "bundle")
        secret = self.folder / "password"
        secret.write_text(self.server.password)
        secret.chmod(0o600)
        self.write_settings("web")

    def fill(self, numbers: range) -> None:
        """Let a study of one frame come into the archive for each number."""
        self.sources |= {number: write_bytes(build_instance(number)) for number in numbers}
        self.server.upload(*(self.sources[number] for number in numbers))

    def write_settings(self, way: str, archive: Any = None, **more: Any) -> Path:
        """Write settings for DICOMweb (`web`) or DIMSE (`get`, `move`)."""
        told: dict[str, Any] = {"kind": "dicomweb", "url": self.server.web, "username": USER}
        told |= {"password_file": "password"}
        if way != "web":
            told = {"kind": "dimse", "host": "127.0.0.1", "port": self.server.dicom_port}
            told |= {"called_ae": TITLE, "calling_ae": OURS, "retrieve": way}
            told |= {"listen_port": self.server.our_port}
        page = {"archive": told | (archive or {}), "transfer": PATIENCE, "threads": 1} | more
        path = self.folder / "pacs.yaml"
        path.write_text(json.dumps(page))  # JSON is YAML
        return path

    def command(self, *verb: str) -> list[str]:
        told = [*(verb or ("pacs", "run")), self.folder / "pacs.yaml", self.bundle]
        return [sys.executable, "-m", "polypskd", *map(str, told), "--out", str(self.out)]

    def run(self, within: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run it to its end: in this process, or `within` what is called before it."""
        command = [*self.command(), "--json"]
        if within:
            return subprocess.run(
                [*within, *command], capture_output=True, text=True, timeout=120, check=False
            )
        done = CliRunner().invoke(app, command[3:])
        code, said = done.exit_code, done.stderr
        if isinstance(done.exception, PolypskdError):
            code, said = 1, f"{said}polypskd: {done.exception}\n"
        elif done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(command, code, done.stdout, said)

    @contextlib.contextmanager
    def start(self, *verb: str) -> Iterator[subprocess.Popen[str]]:
        """Run it beside the test; it ends with the block."""
        pipe = subprocess.PIPE
        with subprocess.Popen(
            bind_to_life(*self.command(*verb)), stdout=pipe, stderr=pipe, text=True
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def read_journal(self) -> list[dict[str, Any]]:
        """Read the journal's whole lines."""
        path = self.out / "journal.jsonl"
        lines = path.read_bytes().split(b"\n")[1:-1] if path.exists() else []
        return [json.loads(line.partition(b" ")[2]) for line in lines]

    def count_sent(self) -> int:
        path = self.out / "journal.jsonl"
        return path.read_bytes().count(b'"state":"sent"') if path.exists() else 0

    def list_kept(self) -> list[str]:
        """List the DICOM files that lie in the folder."""
        return [name for *_, names in os.walk(self.out) for name in names if ".dcm" in name]

    def list_reports(self) -> dict[str, list[Any]]:
        """List what the archive's reports say: study → findings of each report in it."""
        wish = {"Level": "Instance", "Query": {"Modality": "SR"}}
        told: dict[str, list[Any]] = {}
        with self.server.rest() as rest:
            found = rest.post(f"{self.server.address}/tools/find", json=wish, timeout=60).json()
            for one in found:
                data = rest.get(f"{self.server.address}/instances/{one}/file", timeout=60).content
                report = dcmread(io.BytesIO(data))
                told.setdefault(str(report.StudyInstanceUID), []).append(read_findings(report))
        return told

    def predict(self) -> dict[str, list[Any]]:
        """Say what `predict` says of the same files, in the same words."""
        files = self.folder / "files"
        files.mkdir(exist_ok=True)
        studies = {}
        for number, data in self.sources.items():
            (files / f"{number}.dcm").write_bytes(data)
            told = dcmread(io.BytesIO(data), stop_before_pixels=True)
            studies[str(told.SOPInstanceUID)] = str(told.StudyInstanceUID)
        code, said = predict(self.bundle, files, "--out", self.folder / "predicted", "--threads", 1)
        assert code == 0, said
        page = json.loads((self.folder / "predicted" / "predictions.json").read_text())
        return {studies[row["sop_instance_uid"]]: [[read_row(row)]] for row in page["frames"]}


def read_findings(report: Any) -> list[Any]:
    """Read a report: of each group its source, code of the finding, and code → probability."""
    groups = report.ContentSequence[-1].ContentSequence
    return [read_group(group.ContentSequence) for group in groups]


def read_group(items: Any) -> tuple[str, str, dict[str, float]]:
    source, finding, shares = "", "", {}
    for item in items:
        name = item.ConceptNameCodeSequence[0].CodeValue
        if item.ValueType == "IMAGE":
            source = str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        elif name == FINDING:
            finding = item.ConceptCodeSequence[0].CodeValue
        elif name == PROBABILITY:
            of = item.ContentSequence[0].ConceptCodeSequence[0].CodeValue
            shares[of] = float(item.MeasuredValueSequence[0].NumericValue)
    return source, finding, shares


def read_row(row: Any) -> tuple[str, str, dict[str, float]]:
    """Read a frame of predictions.json; the small bundle's codes are P0, P1."""
    shares = {f"P{turn}": row["classes"][name] for turn, name in enumerate(CLASSES)}
    finding = f"P{CLASSES.index(row['predicted'])}" if row["predicted"] else ""
    return row["sop_instance_uid"], finding, shares


def wait_until(holds: Any, process: Any = None, seconds: float = 60) -> bool:
    """Wait until something holds; give up early where a process has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        if process is not None and process.poll() is not None:
            return bool(holds())
        time.sleep(0.04)
    return False


class OwnDisk:
    """A small disk of its own for a folder; it is gone with the process that holds it. Needs root.

    Args:
        folder: where it is seen, by what is run `within` alone.
        kilobytes: of the disk.
    """

    def __init__(self, folder: Path, kilobytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        mount = f'mount -t tmpfs -o size={kilobytes}k tmpfs "$0" && echo up && exec sleep 600'
        command = bind_to_life("unshare", "-m", "sh", "-c", mount, folder)
        self._holder = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"up\n"
        self.within = ("nsenter", "-t", str(self._holder.pid), "-m")
        self.folder = Path(f"/proc/{self._holder.pid}/root") / folder.relative_to("/")

    def close(self) -> None:
        self._holder.kill()
        self._holder.communicate()


def may_mount() -> bool:
    mount = 'mount -t tmpfs -o size=16k tmpfs "$0"'
    tried = ["unshare", "-m", "sh", "-c", mount, "/tmp"]  # noqa: S108 - in its own view alone
    return (
        os.geteuid() == 0 and not subprocess.run(tried, capture_output=True, check=False).returncode
    )
