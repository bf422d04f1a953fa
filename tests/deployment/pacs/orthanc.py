"""Debian's Orthanc as tests start it: a real archive, alone in a network of its own.

Orthanc 1.10 listens at every address of its machine. Where the tests are root, it and whoever
speaks with it live in a network namespace without a name, in which there is nothing but the
loopback device: the kernel takes it away with its last process, and the server dies with the
process of the tests (PR_SET_PDEATHSIG), so that a killed run leaves nothing. Elsewhere it listens
at random ports and knows one user with a random password.
"""

import ctypes
import fcntl
import json
import os
import secrets
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

SERVER = "/usr/sbin/Orthanc"
WEB = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
STUNNEL = shutil.which("stunnel4") or shutil.which("stunnel")
NEW_NET = 0x40000000  # CLONE_NEWNET
HERE = "/proc/thread-self/ns/net"
TITLE = "ORTHANC"
OURS = "POLYPSKD"
USER = "service"


def miss_server() -> str:
    """Say why there is no server to test against; "" where there is."""
    if not Path(SERVER).exists():
        return "Orthanc is not installed (apt-get install orthanc orthanc-dicomweb)"
    return "" if Path(WEB).exists() else "the DICOMweb plugin of Orthanc is not installed"


@contextmanager
def enter_own_network() -> Iterator[bool]:
    """Let this thread, and what it starts, have a network of loopback alone where it may."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open(HERE, os.O_RDONLY)
    try:
        alone = libc.unshare(NEW_NET) == 0
        if alone:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
                request = struct.pack("16sh22x", b"lo", 0x1 | 0x40)  # IFF_UP, IFF_RUNNING
                fcntl.ioctl(asked, 0x8914, request)  # SIOCSIFFLAGS
        try:
            yield alone
        finally:
            if alone and libc.setns(before, NEW_NET):
                raise OSError(ctypes.get_errno(), "the network of before cannot be entered")
    finally:
        os.close(before)


def find_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def bind_to_life(*command: object) -> list[str]:
    """Give a command that ends with the process that started it."""
    tied = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    return [*tied, *map(str, command)]


@dataclass
class Orthanc:
    """One server with a storage folder of its own.

    Args:
        folder: its own; what it stores lies in `db`.
        changes: of its configuration.
        disk: megabytes that it may store; 0 is without end. Needs root.
    """

    folder: Path
    changes: dict[str, Any] = field(default_factory=dict)
    disk: int = 0
    password: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        self.http_port, self.dicom_port, self.our_port = find_port(), find_port(), find_port()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.storage.mkdir(exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        ours = {"AET": OURS, "Host": "127.0.0.1", "Port": self.our_port}
        ours |= {f"Allow{verb}": True for verb in ("Echo", "Store", "Find", "Get", "Move")}
        always = {f"DicomAlwaysAllow{verb}": False for verb in ("Store", "Find", "Get", "Move")}
        page = always | {
            "Plugins": [WEB],
            "StorageDirectory": str(self.storage),
            "IndexDirectory": str(self.storage),
            "TemporaryDirectory": str(self.storage),
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: self.password},
            "DicomAet": TITLE,
            "DicomPort": self.dicom_port,
            "DicomCheckCalledAet": True,
            "DicomCheckModalityHost": True,
            "DicomAlwaysAllowEcho": False,
            "OverwriteInstances": False,
            "SyncStorageArea": False,  # it is killed, the machine is not
            "DicomModalities": {"ours": ours},
            "DicomWeb": {
                "Enable": True,
                "Root": "/dicom-web/",
                "Host": f"127.0.0.1:{self.http_port}",
                "Ssl": False,
            },
        }
        (self.folder / "orthanc.json").write_text(json.dumps(page | self.changes))

    @property
    def storage(self) -> Path:
        return self.folder / "db"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def web(self) -> str:
        return f"{self.address}/dicom-web"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command: list[object] = [SERVER, self.folder / "orthanc.json"]
        if self.disk:
            mount = f'mount -t tmpfs -o size={self.disk}m tmpfs "$0" && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", mount, self.storage, *command]
        log = (self.folder / "orthanc.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                bind_to_life(*command), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        self.wait_until_up()

    def wait_until_up(self, seconds: float = 30) -> None:
        assert self.process is not None
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            if all(map(listens, (self.http_port, self.dicom_port))):
                return
            time.sleep(0.02)
        log = (self.folder / "orthanc.log").read_text(errors="replace")[-2000:]
        self.kill()
        pytest.fail(f"Orthanc did not start: {log}")

    def kill(self) -> None:
        """Let it vanish at once, as at a power loss."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def own_disk(self) -> Path:
        """Where its own disk is seen from here."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/root") / self.storage.relative_to("/")

    def fill_disk(self, left: int) -> None:
        """Leave so many bytes of its disk."""
        room = os.statvfs(self.own_disk)
        (self.own_disk / "ballast").write_bytes(bytes(room.f_bavail * room.f_frsize - left))

    def grow(self, megabytes: int) -> None:
        """Give it a larger disk, while it runs."""
        assert self.process is not None
        inside = ["nsenter", "-t", str(self.process.pid), "-m"]
        remount = ["mount", "-o", f"remount,size={megabytes}m", str(self.storage)]
        subprocess.run([*inside, *remount], check=True)

    def restart(self) -> None:
        self.kill()
        self.start()

    def ask(self, path: str, **query: Any) -> Any:
        """Ask its REST interface.

        Args:
            path: below its address.
            query: parameters.
        """
        answer = self.rest().get(self.address + path, params=query, timeout=30)
        answer.raise_for_status()
        return answer.json() if "json" in answer.headers["Content-Type"] else answer.content

    def upload(self, *files: bytes) -> None:
        with self.rest() as rest:
            for data in files:
                rest.post(f"{self.address}/instances", data=data, timeout=30).raise_for_status()

    def rest(self) -> Any:
        import requests

        session = requests.Session()
        session.trust_env = False
        session.auth = (USER, self.password)
        return session

    def __enter__(self) -> "Orthanc":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def wait_for(port: int, seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if listens(port):
            return True
        time.sleep(0.02)
    return False


def listens(port: int) -> bool:
    with socket.socket() as one:
        one.settimeout(1)
        return one.connect_ex(("127.0.0.1", port)) == 0
